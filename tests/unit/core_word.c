// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The core: words that are waited for, and locks among them. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "core_util.h"

#define WORDS	64
#define MANY	300

static u32 held[CLIENTS][16];

static struct bench *words_new(void)
{
	const struct alz_geometry g = {
		.max_keys = 100, .arena_size = 8 << 16, .segment_size = 1 << 16,
		.words = WORDS,
	};
	struct bench *b;
	int i;

	core_os_reset();
	memset(held, 0, sizeof(held));
	b = bench_with(&g);
	for (i = 0; i < CLIENTS; i++) {
		b->client[i].held = held[i];
		b->client[i].nr_held = 16;
	}
	return b;
}

static struct alz_word_at word(u32 index, u32 expected)
{
	return (struct alz_word_at){ .offset = 4 * index, .expected = expected };
}

static int wait_any(struct bench *b, int who, struct alz_word_at *at, u32 n, u64 cookie,
		    u32 *changed)
{
	struct alz_word_wait q = {
		.at = at, .count = n, .kind = ALZ_WAIT_EVENT, .cookie = cookie,
	};

	return alz_word_wait(&b->client[who], &q, changed);
}

static int wait_one(struct bench *b, int who, u32 index, u64 cookie)
{
	struct alz_word_at at = word(index, 0);
	u32 changed;

	return wait_any(b, who, &at, 1, cookie, &changed);
}

static int wait_mine(struct bench *b, int who, u32 index, u8 kind, struct alz_waiter *w)
{
	struct alz_word_at at = word(index, 0);
	struct alz_word_wait q = { .at = &at, .count = 1, .kind = kind, .waiter = w };
	u32 changed;

	memset(w, 0, sizeof(*w));
	return alz_word_wait(&b->client[who], &q, &changed);
}

static u32 wake(struct bench *b, u32 index, u32 n)
{
	struct alz_word_at at = word(index, 0);
	u32 done = alz_word_wake(&b->client[0], &at, n);

	check_consistent(b);
	return done;
}

/* The one event that is due to a client; 0: none. */
static u64 woken(struct bench *b, int who, u32 *index)
{
	struct asynclazy_event ev[2];
	u32 n = events(b, who, ev, 2);

	check(n <= 1);
	if (!n)
		return 0;
	check_eq(ev[0].result, ASYNCLAZY_RESULT_WOKEN);
	check_eq(ev[0].offset, ASYNCLAZY_NO_RECORD);
	check_eq(ev[0].ticket, 0);
	if (index)
		*index = ev[0].attempt;
	return ev[0].cookie;
}

TEST(k11_so_many_are_woken_and_oldest_first)
{
	const u32 ask[] = { 0, 1, 3, INT_MAX }, get[] = { 0, 1, 3, 4 };
	struct bench *b = words_new();
	struct asynclazy_event ev[8];
	u32 i, j, n, next = 1;

	for (i = 1; i <= 8; i++)
		check_eq(wait_one(b, 1, 5, i), 0);
	check_eq(b->cache.waiting[5], 8);
	check_eq(wake(b, 6, INT_MAX), 0);
	for (i = 0; i < 4; i++) {
		check_eq(wake(b, 5, ask[i]), get[i]);
		n = events(b, 1, ev, 8);
		check_eq(n, get[i]);
		for (j = 0; j < n; j++)
			check_eq(ev[j].cookie, next++);
	}
	check_eq(b->cache.waiting[5], 0);
	check_eq(wake(b, 5, INT_MAX), 0);
	check_eq(b->cache.count.wakes, 8);
	bench_free(b);
}

TEST(f1_another_value_is_told_at_once)
{
	struct alz_word_at at[3] = { word(1, 0), word(2, 7), word(3, 0) };
	struct bench *b = words_new();
	u32 changed = 9;

	check_eq(wait_any(b, 0, at, 3, 1, &changed), 1);
	check_eq(changed, 1);
	check_consistent(b);
	b->cache.words[2] = 7;
	check_eq(wait_any(b, 0, at, 3, 1, &changed), 0);
	check_eq(b->cache.count.waits_now, 3);
	check_eq(b->client[0].nr_waits, 3);
	check_consistent(b);
	bench_free(b);
}

static struct bench *here;

static void change_it(void)
{
	core_os.each_unlock = NULL;
	here->cache.words[1] = 1;
}

/* It changes after the first look, and before the wait is on the queue. */
TEST(f1_change_in_between_is_not_missed)
{
	struct alz_word_at at = word(1, 0);
	u32 changed = 9;

	here = words_new();
	/* there is no memory for the word yet: the lock is let go for that */
	core_os.each_unlock = change_it;
	check_eq(wait_any(here, 0, &at, 1, 1, &changed), 1);
	check_eq(changed, 0);
	check_eq(here->cache.waiting[1], 0);
	check_consistent(here);
	bench_free(here);
}

TEST(f6_any_of_several_and_the_others_take_no_wake)
{
	struct alz_word_at at[2] = { word(1, 0), word(2, 0) };
	struct bench *b = words_new();
	u32 index = 9;

	check_eq(wait_any(b, 0, at, 2, 1, &index), 0);
	check_eq(wait_one(b, 1, 1, 2), 0);
	check_eq(wake(b, 2, 1), 1);
	check_eq(woken(b, 0, &index), 1);
	check_eq(index, 1);
	check_eq(wake(b, 1, 1), 1);
	check_eq(woken(b, 0, NULL), 0);
	check_eq(woken(b, 1, NULL), 2);
	/* the same word twice is one wait */
	at[1] = word(1, 0);
	check_eq(wait_any(b, 0, at, 2, 3, &index), 0);
	check_eq(b->cache.waiting[1], 2);
	check_eq(wake(b, 1, INT_MAX), 1);
	check_eq(woken(b, 0, &index), 3);
	check_eq(index, 0);
	bench_free(b);
}

TEST(i10_wake_of_who_cancels_goes_on)
{
	struct bench *b = words_new();
	struct alz_waiter w;

	check_eq(wait_one(b, 0, 1, 1), 0);
	check_eq(wait_one(b, 1, 1, 2), 0);
	check_eq(wait_mine(b, 2, 1, ALZ_WAIT_FD, &w), 0);
	check_eq(wake(b, 1, 1), 1);
	check_eq(alz_cancel(&b->client[0], 1), 0);
	check_consistent(b);
	/* not told either, and its client dies */
	alz_client_die(&b->client[1]);
	check_consistent(b);
	check_eq(w.state, ALZ_ENDED);
	check_eq(wait_one(b, 0, 1, 3), 0);
	/* nor is the last one */
	alz_wait_fd_close(&b->cache, &w);
	check_consistent(b);
	check_eq(woken(b, 0, NULL), 3);
	check_eq(b->cache.count.wakes, 1);
	/* who has been told keeps it */
	check_eq(wait_one(b, 0, 1, 4), 0);
	check_eq(wait_mine(b, 2, 1, ALZ_WAIT_FD, &w), 0);
	check_eq(wake(b, 1, 1), 1);
	check_eq(woken(b, 0, NULL), 4);
	alz_client_die(&b->client[0]);
	check_eq(w.state, ALZ_WAITING);
	alz_wait_fd_close(&b->cache, &w);
	bench_free(b);
}

TEST(f5_deadline_leaves_nobody_behind)
{
	struct bench *b = words_new();
	struct alz_answer a;
	struct alz_waiter w;

	check_eq(wait_mine(b, 0, 1, ALZ_WAIT_BLOCK, &w), 0);
	check_eq(wait_one(b, 1, 1, 2), 0);
	check_eq(alz_wait_finish(&b->client[0], &w, 0, 0, &a), -EAGAIN);
	check_eq(alz_wait_finish(&b->client[0], &w, -ETIMEDOUT, 0, &a), -ETIMEDOUT);
	check_eq(wake(b, 1, 1), 1);
	check_eq(woken(b, 1, NULL), 2);
	/* a wake that came first wins */
	check_eq(wait_mine(b, 0, 1, ALZ_WAIT_BLOCK, &w), 0);
	check_eq(wake(b, 1, 1), 1);
	check_eq(alz_wait_finish(&b->client[0], &w, -ETIMEDOUT, 0, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_WOKEN);
	check_eq(a.attempt, 0);
	bench_free(b);
}

static u64 newcomer;

static void comes_late(void)
{
	check_eq(wait_one(here, 2, 1, ++newcomer), 0);
}

TEST(k11_who_comes_while_all_are_woken_is_not_one_of_them)
{
	struct asynclazy_event ev[MANY];
	u64 i;

	here = words_new();
	newcomer = 0;
	for (i = 1; i <= MANY; i++)
		check_eq(wait_one(here, 1, 1, i), 0);
	core_os.each_unlock = comes_late;
	check_eq(alz_word_wake(&here->client[0], &(struct alz_word_at){ .offset = 4 },
			       INT_MAX), MANY);
	core_os.each_unlock = NULL;
	check(newcomer >= MANY / ALZ_BATCH);
	check_consistent(here);
	check_eq(events(here, 1, ev, MANY), MANY);
	check_eq(events(here, 2, ev, MANY), 0);
	bench_free(here);
}

TEST(k13_what_is_refused_leaves_nothing)
{
	struct alz_word_at at[2] = { word(1, 0), word(2, 0) };
	struct bench *b = words_new();
	u32 changed;
	int i, err;

	b->client[0].max_waits = 2;
	check_eq(wait_any(b, 0, at, 2, 1, &changed), 0);
	check_eq(wait_one(b, 0, 3, 2), -EDQUOT);
	check_consistent(b);
	b->client[0].max_waits = 100;
	check_eq(wait_any(b, 0, at, 2, 1, &changed), -EEXIST);
	check_consistent(b);
	check_eq(alz_cancel(&b->client[0], 1), 0);
	for (i = 1; i < 10; i++) {
		long live = core_os.live;

		core_os.fail_nth = i;
		err = wait_any(b, 0, at, 2, 1, &changed);
		check_consistent(b);
		if (!err)
			break;
		check_eq(err, -ENOMEM);
		check_eq(core_os.live, live);
	}
	/* the waiter, its entries, the two words */
	check_eq(i, 5);
	core_os.fail_nth = 0;
	bench_free(b);
}

TEST(f11_any_place_of_an_object)
{
	struct bench *b = words_new();
	u32 there = 3, changed;
	int files = 2;
	struct alz_word_at at = {
		.object = &there, .offset = 4096, .file = &files, .address = &there,
		.expected = 3,
	};
	struct alz_word_at other = at;

	/* it is not there when it is looked at first, or second */
	core_os.absent = 1;
	check_eq(wait_any(b, 0, &at, 1, 1, &changed), -EFAULT);
	check_eq(wait_any(b, 0, &at, 1, 1, &changed), 0);
	check(!at.file);
	check_eq(wait_any(b, 1, &other, 1, 1, &changed), 0);
	check(other.file == &files);
	check_consistent(b);
	check_eq(alz_word_wake(&b->client[2], &(struct alz_word_at){ .object = &there }, 9), 0);
	check_eq(alz_word_wake(&b->client[2], &(struct alz_word_at){ .offset = 4096 }, 9), 0);
	check_eq(alz_word_wake(&b->client[2], &other, 9), 2);
	check_eq(woken(b, 0, NULL), 1);
	check_eq(files, 2);
	check_eq(woken(b, 1, NULL), 1);
	check_eq(files, 1);
	bench_free(b);
}

TEST(f9_lock_of_a_dead_client)
{
	struct bench *b = words_new();
	u32 id = b->client[1].lock_id;

	check(id && id != b->client[0].lock_id && id != b->client[2].lock_id);
	/* it has 3, is about to have 4 and 5, and writes nonsense */
	held[1][0] = 4;
	held[1][1] = 5;
	held[1][7] = 6;
	held[1][8] = WORDS + 1;
	held[1][9] = UINT32_MAX;
	held[1][10] = 9;
	b->cache.words[3] = id;
	b->cache.words[5] = b->client[2].lock_id;
	check_eq(wait_one(b, 2, 4, 2), 0);
	check_eq(wait_any(b, 2, &(struct alz_word_at){ .offset = 12, .expected = id }, 1, 1,
			  &(u32){ 0 }), 0);
	check_eq(wait_any(b, 0, &(struct alz_word_at){ .offset = 20,
			  .expected = b->client[2].lock_id }, 1, 1, &(u32){ 0 }), 0);
	alz_client_die(&b->client[1]);
	check_consistent(b);
	check_eq(b->cache.words[3], ASYNCLAZY_LOCK_DIED);
	check_eq(b->cache.words[4], 0);
	check_eq(b->cache.words[5], b->client[2].lock_id);
	/* of both words: the second may have been woken to take it */
	check_eq(b->cache.waiting[3], 0);
	check_eq(b->cache.waiting[4], 0);
	check_eq(b->cache.waiting[5], 1);
	bench_free(b);
}

TEST(f9_numbers_are_not_given_twice)
{
	struct bench *b = words_new();
	u32 first = b->client[0].lock_id;

	alz_client_detach(&b->client[2]);
	b->cache.lock_ids = 2ULL * (ASYNCLAZY_LOCK_OWNER + 1ULL) + first - 1;
	bench_attach(b, 2);
	check(b->client[2].lock_id);
	check(b->client[2].lock_id != first);
	check(b->client[2].lock_id != b->client[1].lock_id);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(k11_so_many_are_woken_and_oldest_first),
		cmocka_unit_test(f1_another_value_is_told_at_once),
		cmocka_unit_test(f1_change_in_between_is_not_missed),
		cmocka_unit_test(f6_any_of_several_and_the_others_take_no_wake),
		cmocka_unit_test(i10_wake_of_who_cancels_goes_on),
		cmocka_unit_test(f5_deadline_leaves_nobody_behind),
		cmocka_unit_test(k11_who_comes_while_all_are_woken_is_not_one_of_them),
		cmocka_unit_test(k13_what_is_refused_leaves_nothing),
		cmocka_unit_test(f11_any_place_of_an_object),
		cmocka_unit_test(f9_lock_of_a_dead_client),
		cmocka_unit_test(f9_numbers_are_not_given_twice),
	};

	return RUN_TESTS(tests);
}
