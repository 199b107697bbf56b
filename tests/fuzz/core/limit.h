/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What libFuzzer does by -timeout: an input that does not end is found, too. */
#ifndef FUZZ_LIMIT_H
#define FUZZ_LIMIT_H

void limit_input(void);		/* an input begins: its time is 60 s from now */

#endif
