// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The size of a pointer where that of the array is meant: clang-tidy. */
#include <string.h>

struct name {
	char text[64];
};

int main(int argc, char **argv)
{
	struct name *name = (struct name *)argv[0];

	memset(name, 0, sizeof(name));
	return argc;
}
