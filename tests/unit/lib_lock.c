// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Locks whose holder may die, and counters of events. The same on both backends. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "util.h"

#define SLOTS	1024	/* locks that a process may have at a time */

/* What came of an asynchronous lock. */
struct locked {
	struct alazy_cache *cache;
	uint32_t *word;
	atomic_uint calls;
	atomic_uint *all;
	int err;
	bool leave;		/* the callback unlocks */
};

static void on_locked(int err, size_t index, void *ctx)
{
	struct locked *l = ctx;

	check_eq(index, 0);
	l->err = err;
	atomic_fetch_add(&l->calls, 1);
	if (l->all)
		atomic_fetch_add(l->all, 1);
	if (l->leave)
		check_eq(alazy_unlock(l->cache, l->word), 0);
}

TEST(a_lock_is_one_owners_at_a_time)
{
	struct alazy_cache *cache = open_cache(0, 0);
	uint32_t *word = alazy_word(cache, 3);
	uint64_t deadline = now_ns() + 10 * MSEC;

	check_eq(alazy_unlock(cache, word), -EPERM);
	check_detail("does not have");
	check_eq(alazy_lock(cache, word, 0), 0);
	check_eq(alazy_trylock(cache, word), -EBUSY);
	check_eq(alazy_lock(cache, word, 0), -EDEADLK);
	check_detail("this thread");
	check_eq(alazy_unlock(cache, word), 0);
	check_eq(alazy_unlock(cache, word), -EPERM);
	check_eq(alazy_trylock(cache, word), 0);
	check_eq(alazy_unlock(cache, word), 0);
	check_eq(word_load(word), 0);

	/* what an asynchronous one got is no thread's */
	struct locked l = { .cache = cache, .word = word };

	check_eq(alazy_lock_async(cache, word, on_locked, &l, NULL), 1);
	check_eq(atomic_load(&l.calls), 1);
	check_eq(alazy_lock(cache, word, deadline), -ETIMEDOUT);
	check(now_ns() >= deadline);
	check_eq(alazy_unlock(cache, word), 0);
	check_eq(alazy_lock(cache, word, 0), 0);
	check_eq(alazy_unlock(cache, word), 0);
	check_eq(stats_of(cache).waits_now, 0);
	alazy_cache_close(cache);
}

/* Increments that are no atomic ones. */
struct sum {
	struct alazy_cache *cache;
	uint32_t *word;
	unsigned long rounds;
	volatile unsigned long *total;
};

static void sum_up(unsigned int me, void *arg)
{
	struct sum *s = arg;
	unsigned long i;

	(void)me;
	for (i = 0; i < s->rounds; i++) {
		if (!check_eq(alazy_lock(s->cache, s->word, 0), 0))
			return;
		*s->total = *s->total + 1;
		if (!check_eq(alazy_unlock(s->cache, s->word), 0))
			return;
	}
}

TEST(threads_exclude_one_another)
{
	struct alazy_cache *cache = open_cache(0, 0);
	unsigned long total = 0;
	struct sum s = { cache, alazy_word(cache, 0), scaled(1000000, 5000), &total };

	run_threads(4, sum_up, &s);
	check_eq(total, 4 * s.rounds);
	check_eq(word_load(s.word), 0);
	check_eq(stats_of(cache).waits_now, 0);
	alazy_cache_close(cache);
}

static int sum_in_child(void *arg)
{
	struct sum *s = arg;

	sum_up(0, s);
	return 0;
}

TEST_IF(processes_exclude_one_another, on_kernel(), "a local cache is of one process")
{
	struct alazy_cache *cache = open_cache(0, 0);
	unsigned long *total = share_alloc(sizeof(*total));
	struct sum s = { cache, alazy_word(cache, 0), scaled(1000000, 5000), total };
	pid_t pid[4];
	int i;

	for (i = 0; i < 4; i++)
		pid[i] = start_child(sum_in_child, &s);
	for (i = 0; i < 4; i++)
		check_eq(reap(pid[i]), 0);
	check_eq(*total, 4 * s.rounds);
	check_eq(word_load(s.word), 0);
	share_free(total, sizeof(*total));
	alazy_cache_close(cache);
}

TEST(asynchronous_ones_get_it_one_after_the_other)
{
	enum { N = 200 };
	struct alazy_cache *cache = open_cache(0, 0);
	uint32_t *word = alazy_word(cache, 0);
	struct locked l[N] = { 0 };
	atomic_uint all = 0;
	unsigned int i;

	check_eq(alazy_lock(cache, word, 0), 0);
	for (i = 0; i < N; i++) {
		l[i] = (struct locked){ .cache = cache, .word = word, .all = &all, .leave = true };
		check_eq(alazy_lock_async(cache, word, on_locked, &l[i], NULL), 0);
	}
	check_eq(alazy_dispatch(cache), 0);
	check_eq(alazy_unlock(cache, word), 0);
	drive(cache, &all, N);
	for (i = 0; i < N; i++) {
		check_eq(atomic_load(&l[i].calls), 1);
		check_eq(l[i].err, 0);
	}
	check_eq(word_load(word), 0);
	check_eq(stats_of(cache).waits_now, 0);
	alazy_cache_close(cache);
}

TEST(who_cancels_leaves_the_lock_to_others)
{
	struct alazy_cache *cache = open_cache(0, 0);
	uint32_t *word = alazy_word(cache, 0);
	struct locked gone = { .cache = cache, .word = word };
	struct locked l = { .cache = cache, .word = word };
	struct alazy_wait *wait;

	check_eq(alazy_lock(cache, word, 0), 0);
	check_eq(alazy_lock_async(cache, word, on_locked, &gone, &wait), 0);
	check_eq(alazy_lock_async(cache, word, on_locked, &l, NULL), 0);
	check_eq(alazy_unlock(cache, word), 0);
	/* it was told, and has not heard */
	check_eq(alazy_cancel(wait), 0);
	check_eq(alazy_dispatch(cache), 1);
	check_eq(atomic_load(&gone.calls), 0);
	check_eq(atomic_load(&l.calls), 1);
	check_eq(l.err, 0);
	check_eq(alazy_unlock(cache, word), 0);
	alazy_cache_close(cache);
}

TEST(so_many_are_all_that_a_process_may_have)
{
	struct alazy_cache *cache = open_with(NULL, (struct alazy_cache_opts){ .words = 2000 });
	uint32_t *words = alazy_word(cache, 0);
	struct locked l = { .cache = cache, .word = words };
	unsigned int i;

	for (i = 0; i < SLOTS; i++)
		check_eq(alazy_lock(cache, &words[i], 0), 0);
	check_eq(alazy_lock(cache, &words[i], 0), -ENOLCK);
	check_detail("1024");
	check_eq(alazy_trylock(cache, &words[i]), -ENOLCK);
	check_eq(alazy_lock_async(cache, &words[i], on_locked, &l, NULL), -ENOLCK);
	check_eq(alazy_unlock(cache, &words[700]), 0);
	check_eq(alazy_lock(cache, &words[i], 0), 0);
	for (i = 0; i <= SLOTS; i++)
		check_eq(alazy_unlock(cache, &words[i]), i == 700 ? -EPERM : 0);
	alazy_cache_close(cache);
}

TEST(who_closes_the_cache_dies_with_its_locks)
{
	const char *name = unique_name("lock");
	struct alazy_cache *a = open_named(name, 0), *b = open_named(name, 0);
	uint32_t *word = alazy_word(b, 9);
	struct locked l = { .cache = b, .word = word };

	check_eq(alazy_lock(a, alazy_word(a, 9), 0), 0);
	check_eq(alazy_trylock(b, word), -EBUSY);
	check_eq(alazy_unlock(b, word), -EPERM);
	check_eq(alazy_lock_async(b, word, on_locked, &l, NULL), 0);
	alazy_cache_close(a);
	drive(b, &l.calls, 1);
	check_eq(l.err, -EOWNERDEAD);
	check_eq(alazy_unlock(b, word), 0);
	/* it was seen to */
	check_eq(alazy_lock(b, word, 0), 0);
	check_eq(alazy_unlock(b, word), 0);
	alazy_cache_close(b);
	alazy_cache_unlink(name, 0);
}

TEST(a_dead_holder_is_told_of_until_somebody_has_seen_to_it)
{
	const char *name = unique_name("lock");
	struct alazy_cache *a = open_named(name, 0), *b = open_named(name, 0);
	uint32_t *word = alazy_word(b, 9);
	struct locked gone = { .cache = b, .word = word };
	struct alazy_wait *wait;

	check_eq(alazy_lock(a, alazy_word(a, 9), 0), 0);
	check_eq(alazy_lock_async(b, word, on_locked, &gone, &wait), 0);
	alazy_cache_close(a);
	/* told, and cancelled before it has heard */
	check_eq(alazy_cancel(wait), 0);
	check_eq(alazy_trylock(b, word), -EOWNERDEAD);
	check_detail("half done");
	check_eq(alazy_unlock(b, word), 0);
	check_eq(alazy_trylock(b, word), 0);
	check_eq(alazy_unlock(b, word), 0);
	alazy_cache_close(b);
	alazy_cache_unlink(name, 0);
}

struct holder {
	struct alazy_cache *cache;
	int said;		/* a pipe */
};

static int hold_and_stop(void *arg)
{
	const struct holder *h = arg;

	if (!check_eq(alazy_lock(h->cache, alazy_word(h->cache, 1), 0), 0))
		return 1;
	if (write(h->said, "", 1) != 1)
		return 1;
	for (;;)
		pause();
}

/* A child has the lock; it is killed. */
static pid_t start_holder(struct alazy_cache *cache)
{
	struct holder h = { .cache = cache };
	int fds[2];
	char c;
	pid_t pid;

	check_eq(pipe(fds), 0);
	h.said = fds[1];
	pid = start_child(hold_and_stop, &h);
	check_eq(read(fds[0], &c, 1), 1);
	close(fds[0]);
	close(fds[1]);
	return pid;
}

TEST_IF(a_killed_holder_is_noticed_at_once, on_kernel(), "a local cache is of one process")
{
	struct alazy_cache *cache = open_cache(0, 0);
	uint32_t *word = alazy_word(cache, 1);
	struct locked l = { .cache = cache, .word = word };
	unsigned int i;
	pid_t pid;

	for (i = 0; i < scaled(200, 10); i++) {
		pid = start_holder(cache);
		check_eq(alazy_trylock(cache, word), -EBUSY);
		kill(pid, SIGKILL);
		/* while it dies: no deadline, and it ends */
		check_eq(alazy_lock(cache, word, 0), -EOWNERDEAD);
		check_eq(alazy_unlock(cache, word), 0);
		check_eq(reap(pid), 128 + SIGKILL);
	}
	pid = start_holder(cache);
	check_eq(alazy_lock_async(cache, word, on_locked, &l, NULL), 0);
	kill(pid, SIGKILL);
	drive(cache, &l.calls, 1);
	check_eq(l.err, -EOWNERDEAD);
	check_eq(alazy_unlock(cache, word), 0);
	check_eq(reap(pid), 128 + SIGKILL);
	alazy_cache_close(cache);
}

/* What a child may do with the locks that its parent has. */
static int in_a_child(void *arg)
{
	struct alazy_cache *cache = arg;
	uint32_t *parents = alazy_word(cache, 0), *own = alazy_word(cache, 1);

	check_eq(alazy_unlock(cache, parents), -EPERM);
	if (on_kernel()) {
		check_eq(alazy_trylock(cache, parents), -EBUSY);
	} else {
		/* its copy of the cache: who had it is not here */
		check_eq(alazy_trylock(cache, parents), -EOWNERDEAD);
		check_eq(alazy_unlock(cache, parents), 0);
	}
	check_eq(alazy_lock(cache, own, 0), 0);
	check_eq(alazy_unlock(cache, own), 0);
	/* and dies with this one */
	check_eq(alazy_lock(cache, own, 0), 0);
	return 0;
}

TEST(a_forked_child_has_none_of_its_parents)
{
	struct alazy_cache *cache = open_cache(0, 0);
	uint32_t *words = alazy_word(cache, 0);

	check_eq(alazy_lock(cache, &words[0], 0), 0);
	check_eq(reap(start_child(in_a_child, cache)), 0);
	check_eq(alazy_unlock(cache, &words[0]), 0);
	check_eq(alazy_lock(cache, &words[1], now_ns() + 60 * SEC),
		 on_kernel() ? -EOWNERDEAD : 0);
	check_eq(alazy_unlock(cache, &words[1]), 0);
	alazy_cache_close(cache);
}

TEST(what_is_no_lock_is_refused)
{
	struct alazy_cache *cache = open_cache(0, 0);
	uint32_t mine = 0;

	check_eq(alazy_lock(cache, &mine, 0), -EINVAL);
	check_detail("own words");
	check_eq(alazy_lock(cache, NULL, 0), -EINVAL);
	check_eq(alazy_lock(NULL, &mine, 0), -EINVAL);
	check_eq(alazy_trylock(cache, &mine), -EINVAL);
	check_eq(alazy_unlock(cache, &mine), -EINVAL);
	check_eq(alazy_lock_async(cache, alazy_word(cache, 0), NULL, NULL, NULL), -EINVAL);
	check_detail("callback");
	alazy_cache_close(cache);
}

/* ---- counters ---------------------------------------------------------- */

static void on_counted(int err, size_t index, void *ctx)
{
	atomic_uint *calls = ctx;

	(void)index;
	check_eq(err, 0);
	atomic_fetch_add(calls, 1);
}

TEST(a_counter_tells_of_what_was_before_and_passes_a_words_end)
{
	struct alazy_cache *cache = open_cache(0, 0);
	uint64_t *counter = (uint64_t *)alazy_word(cache, 2);
	uint64_t now = 0, seen = 0;
	atomic_uint calls = 0;
	unsigned int i;

	check_eq(alazy_counter_add(cache, counter, UINT32_MAX - 3ULL, &now), 0);
	check_eq(now, UINT32_MAX - 3ULL);
	/* what was before the first wait */
	check_eq(alazy_counter_wait(cache, counter, seen, 0, &seen), 0);
	check_eq(seen, now);
	for (i = 0; i < 8; i++) {
		check_eq(alazy_counter_wait_async(cache, counter, seen, on_counted, &calls, NULL),
			 0);
		check_eq(alazy_dispatch(cache), 0);
		check_eq(alazy_counter_add(cache, counter, 1, NULL), 0);
		check_eq(alazy_dispatch(cache), 1);
		check_eq(alazy_counter_wait_async(cache, counter, seen, on_counted, &calls, NULL),
			 -EAGAIN);
		check_eq(alazy_counter_read(counter), seen + 1);
		seen++;
	}
	check_eq(seen, UINT32_MAX + 5ULL);
	check_eq(atomic_load(&calls), 8);
	/* the lower word is as before */
	check_eq(alazy_counter_wait_async(cache, counter, seen, on_counted, &calls, NULL), 0);
	check_eq(alazy_counter_add(cache, counter, 1ULL << 32, &now), 0);
	check_eq(alazy_dispatch(cache), 1);
	check_eq(alazy_counter_wait(cache, counter, seen, 0, &seen), 0);
	check_eq(seen, now);
	check_eq(alazy_counter_wait(cache, counter, seen, now_ns() + MSEC, NULL), -ETIMEDOUT);
	check_eq(stats_of(cache).waits_now, 0);
	alazy_cache_close(cache);
}

struct events {
	struct alazy_cache *cache;
	uint64_t *counter;
	uint64_t each;
};

/* Two that count, two that wait until they have seen all. */
static void events_side(unsigned int me, void *arg)
{
	struct events *e = arg;
	uint64_t i, seen = UINT32_MAX - e->each, last;

	if (me < 2) {
		for (i = 0; i < e->each; i++)
			check_eq(alazy_counter_add(e->cache, e->counter, 1, NULL), 0);
		return;
	}
	while (seen != UINT32_MAX + e->each) {
		last = seen;
		if (!check_eq(alazy_counter_wait(e->cache, e->counter, seen, now_ns() + 60 * SEC,
						 &seen), 0))
			return;
		check(seen > last);
	}
}

TEST(all_events_are_seen_by_all_who_wait)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct events e = { cache, (uint64_t *)alazy_word(cache, 0), scaled(100000, 3000) };

	check_eq(alazy_counter_add(cache, e.counter, UINT32_MAX - e.each, NULL), 0);
	run_threads(4, events_side, &e);
	check_eq(alazy_counter_read(e.counter), UINT32_MAX + e.each);
	check_eq(stats_of(cache).waits_now, 0);
	alazy_cache_close(cache);
}

TEST(what_is_no_counter_is_refused)
{
	struct alazy_cache *cache = open_cache(0, 0);
	uint64_t *odd = (uint64_t *)alazy_word(cache, 1);
	uint64_t mine = 0, now;
	atomic_uint calls = 0;

	check_eq(alazy_counter_add(cache, odd, 1, NULL), -EINVAL);
	check_detail("even");
	check_eq(alazy_counter_wait(cache, NULL, 0, 1, NULL), -EINVAL);
	check_eq(alazy_counter_wait_async(NULL, &mine, 0, on_counted, &calls, NULL), -EINVAL);
	/* but any of one's own will do */
	check_eq(alazy_counter_wait_async(cache, &mine, 0, on_counted, &calls, NULL), 0);
	check_eq(alazy_counter_add(cache, &mine, 2, &now), 0);
	check_eq(now, 2);
	check_eq(alazy_dispatch(cache), 1);
	check_eq(atomic_load(&calls), 1);
	alazy_cache_close(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lock_is_one_owners_at_a_time),
		cmocka_unit_test(threads_exclude_one_another),
		cmocka_unit_test(processes_exclude_one_another),
		cmocka_unit_test(asynchronous_ones_get_it_one_after_the_other),
		cmocka_unit_test(who_cancels_leaves_the_lock_to_others),
		cmocka_unit_test(so_many_are_all_that_a_process_may_have),
		cmocka_unit_test(who_closes_the_cache_dies_with_its_locks),
		cmocka_unit_test(a_dead_holder_is_told_of_until_somebody_has_seen_to_it),
		cmocka_unit_test(a_killed_holder_is_noticed_at_once),
		cmocka_unit_test(a_forked_child_has_none_of_its_parents),
		cmocka_unit_test(what_is_no_lock_is_refused),
		cmocka_unit_test(a_counter_tells_of_what_was_before_and_passes_a_words_end),
		cmocka_unit_test(all_events_are_seen_by_all_who_wait),
		cmocka_unit_test(what_is_no_counter_is_refused),
	};

	return RUN_TESTS(tests);
}
