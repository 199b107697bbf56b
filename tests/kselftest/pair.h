/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Other clients, who must not notice what a test or a fuzzer does.
 *
 * A pair of processes that use a cache of their own all the time: one claims,
 * the other waits for it, in turn as a blocked call, by event and by wait fd,
 * and the key ends in turn by publish, fail and abandon. Each looks at every
 * answer, and waits for none longer than 20 seconds.
 */
#ifndef KSELFTEST_PAIR_H
#define KSELFTEST_PAIR_H

#include <stdbool.h>
#include <linux/types.h>

/*
 * @child, if any, is called in both processes first. Return: 0 when they have done
 * some rounds; -errno, and there may be a complaint.
 */
int alz_pair_start(void (*child)(void));
__u64 alz_pair_rounds(void);
/* Await two further rounds. Return: whether they came, without a complaint. */
bool alz_pair_goes_on(void);
/* What is wrong, or NULL. */
const char *alz_pair_complaint(void);
void alz_pair_stop(void);

#endif
