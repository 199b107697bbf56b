// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What libuser/src/reader.c needs of the rest of the library. Its clock is the
 * fuzzer's: reader.c is compiled with clock_gettime renamed.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "fuzz_os.h"

int fuzz_clock_gettime(clockid_t clock, struct timespec *ts);
int alz_error(int err, const char *format, ...);

int fuzz_clock_gettime(clockid_t clock, struct timespec *ts)
{
	u64 now = fuzz_os.now;

	/* the coarse one is up to a tick late */
	if (clock == CLOCK_MONOTONIC_COARSE)
		now -= now > 9999999 ? 9999999 : now;
	ts->tv_sec = now / 1000000000;
	ts->tv_nsec = now % 1000000000;
	return 0;
}

int alz_error(int err, const char *format, ...)
{
	(void)format;
	return err;
}
