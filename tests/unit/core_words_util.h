/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* Words at random, for a unit test and for libFuzzer. */
#ifndef ALZ_TEST_CORE_WORDS_UTIL_H
#define ALZ_TEST_CORE_WORDS_UTIL_H

#include "core_util.h"

/* How often each came about. */
struct words_seen {
	u64 waits, changed, refused, woken, passed, cancels, events, finished, closed, deaths;
	u64 locks;	/* of the dead */
	u64 raced;	/* changes before a wait was there */
};

/* so many random operations on a new cache, unless random_ended comes true */
struct words_seen words_run(unsigned long steps);

#endif
