// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Memory that one path frees twice: gcc -fanalyzer. */
#include <stdlib.h>

static void done(int argc, char *p)
{
	if (argc > 2)
		free(p);
}

int main(int argc, char **argv)
{
	char *p = malloc(argc);

	if (!p || !argv)
		return 1;
	done(argc, p);
	free(p);
	return 0;
}
