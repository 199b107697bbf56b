// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A limit of time for each input. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "limit.h"

#define LIMIT_S		60	/* an input takes milliseconds */

static void limit_is_over(int sig)
{
	static const char text[] = "error: an input does not end\n";

	(void)sig;
	if (write(2, text, sizeof(text) - 1) < 0)
		_exit(2);
	abort();
}

void limit_input(void)
{
	signal(SIGALRM, limit_is_over);
	alarm(LIMIT_S);
}
