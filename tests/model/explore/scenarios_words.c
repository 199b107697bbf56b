// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Words: one changes a word and wakes who waits for it, unless nobody does, as the
 * library's alazy_futex_wake() does without a call. Whoever waits is told, though one of
 * them gives up, takes its wait back, or dies (F1, F5, I10): one who is not would sleep
 * when all others have ended, which the explorer takes for an error.
 */
#include "explore.h"

static struct alz_word_at word_at(u32 expected)
{
	return (struct alz_word_at) { .offset = sizeof(u32), .expected = expected };
}

/* libuser/src/words.c: who waits is looked at after the word has its new value */
static void wake(int me)
{
	struct alz_word_at at = word_at(0);

#ifndef MUTANT_NO_WAKER_FENCE
	x_drain();
#endif
	if (alz_os_load_u32(&x_waiting[1]))
		alz_word_wake(&x.client[me], &at, 1);
}

static void change_and_wake(int me)
{
	alz_os_store_u32(&x_words[1], 1);
	wake(me);
}

static int wait(int me, u32 expected, u8 kind)
{
	struct alz_word_at at = word_at(expected);
	struct alz_word_wait q = {
		.at = &at, .count = 1, .kind = kind, .cookie = 7, .waiter = &x.waiter[me],
	};
	u32 changed;

	return alz_word_wait(&x.client[me], &q, &changed);
}

/* Return: whether it was woken, which one is who finds the word changed, too. */
static bool waits(int me, bool patient)
{
	int err = wait(me, 0, ALZ_WAIT_BLOCK);

	x_check(!err || err == 1);
	if (err)
		return false;
	err = x_wait_block(me, patient);
	x_check(!err || (!patient && err == -ETIMEDOUT));
	if (!err)
		x_check(x.note.answer[me].result == ASYNCLAZY_RESULT_WOKEN);
	return !err;
}

static void changes_0(void)
{
	change_and_wake(0);
}

static void waits_1(void)
{
	waits(1, true);
}

/* Each wake is for one: who has had it passes it on. */
static void waits_and_passes_on_1(void)
{
	if (waits(1, true))
		wake(1);
}

static void waits_and_passes_on_2(void)
{
	if (waits(2, true))
		wake(2);
}

static void waits_a_while_1(void)
{
	if (waits(1, false))
		wake(1);
}

static void cancels_1(void)
{
	x_check(!alz_cancel(&x.client[1], 7));
}

static void dies_1(void)
{
	alz_client_die(&x.client[1]);
}

static void start(void)
{
	x_start();
	x.cache.words = x_words;
	x.cache.waiting = x_waiting;
	x.cache.nr_words = X_WORDS;
}

static void start_waited_for(void)
{
	start();
	x_check(!wait(1, 0, ALZ_WAIT_EVENT));
	x_check(x_waiting[1] == 1);
}

static void finish(void)
{
	x_check(x_words[1] == 1 && !x_waiting[1]);
	x.cache.nr_words = 0;
	x.cache.words = NULL;
	x.cache.waiting = NULL;
	x_finish();
}

const struct x_scenario x_words_scenarios[] = {
	{ "a wake against a wait for a word", start, { changes_0, waits_1 }, finish, 0 },
	{ "a wake against two waits for a word", start,
	  { changes_0, waits_and_passes_on_1, waits_and_passes_on_2 }, finish, 0 },
	{ "a wake against a wait for a word with a deadline", start,
	  { changes_0, waits_a_while_1, waits_and_passes_on_2 }, finish, 0 },
	{ "a wake against a cancel of a wait for a word", start_waited_for,
	  { changes_0, cancels_1, waits_and_passes_on_2 }, finish, 0 },
	{ "a wake against the death of who waits for a word", start_waited_for,
	  { changes_0, dies_1, waits_and_passes_on_2 }, finish, 0 },
};

const unsigned int x_words_nr = sizeof(x_words_scenarios) / sizeof(*x_words_scenarios);
