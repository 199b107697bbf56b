// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Words: waiting in three forms, exact wakes, cancelling. The same on both backends. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "util.h"

/* What came of an asynchronous wait, and in which order. */
struct woken {
	atomic_uint calls;
	int err;
	size_t index;
	unsigned int order;
};

static atomic_uint order;

static void on_woken(int err, size_t index, void *ctx)
{
	struct woken *w = ctx;

	w->err = err;
	w->index = index;
	w->order = atomic_fetch_add(&order, 1);
	atomic_fetch_add(&w->calls, 1);
}

static int wait_async(struct alazy_cache *cache, const uint32_t *word, uint32_t expected,
		      struct woken *w, struct alazy_wait **wait)
{
	struct alazy_futex f = { .word = word, .expected = expected };

	return alazy_futex_wait_async(cache, &f, 1, on_woken, w, wait, NULL);
}

/* A thread that waits in the call for the word of its wait, which is 0. */
struct waiter {
	struct alazy_cache *cache;
	uint32_t *word;
	uint64_t deadline;
	int err;
	atomic_uint done;
	pthread_t thread;
};

static void *waiter_thread(void *arg)
{
	struct waiter *w = arg;

	w->err = alazy_futex_wait(w->cache, w->word, 0, w->deadline);
	atomic_store(&w->done, 1);
	return NULL;
}

static void waiter_begin(struct waiter *w, struct alazy_cache *cache, uint32_t *word,
			 uint64_t deadline)
{
	*w = (struct waiter){ .cache = cache, .word = word, .deadline = deadline };
	w->thread = start_thread(waiter_thread, w);
}

static void waiter_start(struct waiter *w, struct alazy_cache *cache, uint32_t *word,
			 uint64_t deadline)
{
	struct alazy_stats s = stats_of(cache);

	waiter_begin(w, cache, word, deadline);
	await_waits(cache, s.waits_now + 1);
}

TEST(words_are_shared_by_all_who_have_the_cache)
{
	const char *name = unique_name("words");
	struct alazy_cache *a = open_named(name, 0), *b = open_named(name, 0);

	check_eq(alazy_words(a), 1024);
	check(alazy_word(a, 0) && alazy_word(a, 1023) == alazy_word(a, 0) + 1023);
	check_eq(word_load(alazy_word(a, 1023)), 0);
	word_store(alazy_word(a, 5), 77);
	check_eq(word_load(alazy_word(b, 5)), 77);
	alazy_cache_close(a);
	alazy_cache_close(b);
	/* they stay with the name */
	a = open_named(name, 0);
	check_eq(word_load(alazy_word(a, 5)), 77);
	alazy_cache_close(a);
	alazy_cache_unlink(name, 0);
}

TEST(how_many_there_are_is_said_at_the_making)
{
	struct alazy_cache *cache = open_with(NULL, (struct alazy_cache_opts){ .words = 3 });
	struct alazy_cache_opts opts = { .size = sizeof(opts), .words = (1 << 24) + 1 };

	check_eq(alazy_words(cache), 3);
	check(alazy_word(cache, 2));
	errno = 0;
	check(!alazy_word(cache, 3));
	check_eq(errno, EINVAL);
	check_detail("3 words");
	alazy_cache_close(cache);
	check(!alazy_cache_open(NULL, &opts));
	check_eq(errno, EINVAL);
	check_detail("2^24");
}

TEST(another_value_returns_at_once)
{
	struct alazy_cache *cache = open_cache(0, 0);
	unsigned long i, n = scaled(1000000, 20000);
	uint32_t *words = alazy_word(cache, 0);
	struct alazy_futex f[2] = { { .word = &words[0] }, { .word = &words[1] } };
	struct woken got = { 0 };
	size_t index = 9;

	word_store(&words[1], 1);
	for (i = 0; i < n; i++)
		if (!check_eq(alazy_futex_wait(cache, &words[1], 0, 0), -EAGAIN))
			break;
	check_detail("another value");
	check_eq(alazy_futex_wait_any(cache, f, 2, 0, &index), -EAGAIN);
	check_eq(index, 1);
	index = 9;
	check_eq(alazy_futex_wait_async(cache, f, 2, on_woken, &got, NULL, &index), -EAGAIN);
	check_eq(index, 1);
	index = 9;
	check_eq(alazy_futex_wait_fd(cache, f, 2, &index), -EAGAIN);
	check_eq(index, 1);
	check_eq(stats_of(cache).waits_now, 0);
	check_eq(alazy_dispatch(cache), 0);
	check_eq(atomic_load(&got.calls), 0);
	alazy_cache_close(cache);
}

static void *pong_thread(void *arg)
{
	pong_side(arg, 1);
	return NULL;
}

TEST(no_change_is_missed_between_threads)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct pong p = { cache, alazy_word(cache, 0), scaled(100000, 3000) };
	pthread_t thread = start_thread(pong_thread, &p);

	pong_side(&p, 0);
	join_thread(thread);
	check_eq(word_load(p.word), 2 * p.rounds);
	check_eq(stats_of(cache).waits_now, 0);
	alazy_cache_close(cache);
}

TEST(a_wake_ends_so_many_waits_those_first_that_waited_longest)
{
	struct alazy_cache *cache = open_cache(0, 0);
	uint32_t *word = alazy_word(cache, 7);
	struct woken got[8] = { 0 };
	unsigned int i;

	atomic_store(&order, 0);
	check_eq(alazy_futex_wake(cache, word, INT_MAX), 0);
	for (i = 0; i < 8; i++)
		check_eq(wait_async(cache, word, 0, &got[i], NULL), 0);
	check_eq(alazy_futex_wake(cache, word, 0), 0);
	check_eq(alazy_dispatch(cache), 0);
	check_eq(alazy_futex_wake(cache, word, 1), 1);
	check_eq(alazy_dispatch(cache), 1);
	check_eq(alazy_futex_wake(cache, word, 3), 3);
	check_eq(alazy_dispatch(cache), 3);
	check_eq(alazy_futex_wake(cache, word + 1, INT_MAX), 0);
	check_eq(alazy_futex_wake(cache, word, UINT32_MAX), 4);
	check_eq(alazy_dispatch(cache), 4);
	for (i = 0; i < 8; i++) {
		check_eq(atomic_load(&got[i].calls), 1);
		check_eq(got[i].order, i);
		check_eq(got[i].err, 0);
	}
	check_eq(alazy_futex_wake(cache, word, 1), 0);
	check_eq(stats_of(cache).wakes, 8);
	alazy_cache_close(cache);
}

TEST(a_wake_ends_so_many_calls_that_wait)
{
	struct alazy_cache *cache = open_cache(0, 0);
	uint32_t *word = alazy_word(cache, 7);
	static const int wakes[] = { 0, 1, 3, INT_MAX }, woken[] = { 0, 1, 3, 4 };
	struct waiter w[8];
	unsigned int i, from = 0;

	for (i = 0; i < 8; i++)
		waiter_start(&w[i], cache, word, now_ns() + 60 * SEC);
	for (i = 0; i < 4; i++) {
		check_eq(alazy_futex_wake(cache, word, wakes[i]), woken[i]);
		/* exactly these: the others still wait */
		for (; woken[i] && from < (i == 3 ? 8U : i == 2 ? 4U : 1U); from++) {
			join_thread(w[from].thread);
			check_eq(w[from].err, 0);
		}
		check_eq(stats_of(cache).waits_now, 8 - from);
	}
	check_eq(from, 8);
	alazy_cache_close(cache);
}

TEST(a_deadline_leaves_no_waiter_behind)
{
	struct alazy_cache *cache = open_cache(0, 0);
	uint32_t *word = alazy_word(cache, 0);
	uint64_t deadline = now_ns() + 20 * MSEC;
	struct waiter first, second;
	uint64_t waiters;

	/* on a busy machine the first is done before it is seen to wait */
	waiter_begin(&first, cache, word, deadline);
	while (!atomic_load(&first.done) && !stats_of(cache).waits_now)
		sched_yield();
	waiter_begin(&second, cache, word, 0);
	do {
		sched_yield();
		waiters = 2 - atomic_load(&first.done);
	} while (stats_of(cache).waits_now < waiters);
	join_thread(first.thread);
	check_eq(first.err, -ETIMEDOUT);
	check(now_ns() >= deadline);
	check_eq(alazy_futex_wake(cache, word, 1), 1);
	join_thread(second.thread);
	check_eq(second.err, 0);
	check_eq(alazy_futex_wait(cache, word, 0, 1), -ETIMEDOUT);
	check_detail("deadline");
	check_eq(stats_of(cache).waits_now, 0);
	alazy_cache_close(cache);
}

TEST(of_several_words_the_one_that_was_woken_is_told)
{
	struct alazy_cache *cache = open_cache(0, 0);
	uint32_t *words = alazy_word(cache, 0);
	struct alazy_futex f[2] = { { .word = &words[0] }, { .word = &words[1] } };
	struct woken any = { 0 }, other = { 0 };

	check_eq(alazy_futex_wait_async(cache, f, 2, on_woken, &any, NULL, NULL), 0);
	check_eq(wait_async(cache, &words[0], 0, &other, NULL), 0);
	word_store(&words[1], 1);
	check_eq(alazy_futex_wake(cache, &words[1], 1), 1);
	check_eq(alazy_dispatch(cache), 1);
	check_eq(atomic_load(&any.calls), 1);
	check_eq(any.index, 1);
	/* it is no longer in the way of those who wait for the other one */
	check_eq(alazy_futex_wake(cache, &words[0], 1), 1);
	check_eq(alazy_dispatch(cache), 1);
	check_eq(atomic_load(&other.calls), 1);
	alazy_cache_close(cache);
}

TEST(of_a_batch_each_change_is_told)
{
	enum { N = 64 };
	struct alazy_cache *cache = open_cache(0, 0);
	uint32_t *words = alazy_word(cache, 100);
	struct alazy_futex f[N] = { 0 };
	uint64_t told = 0;
	unsigned int i;

	for (i = 0; i < N; i++) {
		word_store(&words[i], 1000);
		f[i] = (struct alazy_futex){ .word = &words[i], .expected = 1000 };
	}
	/* their sum stays as it is */
	word_store(&words[11], 1001);
	word_store(&words[50], 999);
	alazy_futex_wake(cache, &words[11], 1);
	alazy_futex_wake(cache, &words[50], 1);
	for (i = 0; i < 2; i++) {
		size_t index = N;

		check_eq(alazy_futex_wait_any(cache, f, N, 0, &index), -EAGAIN);
		told |= 1ULL << index;
		f[index].expected = word_load(&words[index]);
	}
	check_eq(told, 1ULL << 11 | 1ULL << 50);
	check_eq(alazy_futex_wait_any(cache, f, N, now_ns() + MSEC, NULL), -ETIMEDOUT);
	alazy_cache_close(cache);
}

TEST(a_wake_of_a_wait_that_is_cancelled_goes_on)
{
	struct alazy_cache *cache = open_cache(0, 0);
	uint32_t *word = alazy_word(cache, 0);
	struct woken first = { 0 }, second = { 0 };
	struct alazy_wait *wait;

	check_eq(wait_async(cache, word, 0, &first, &wait), 0);
	check_eq(wait_async(cache, word, 0, &second, NULL), 0);
	check_eq(alazy_futex_wake(cache, word, 1), 1);
	/* it was on its way to the first */
	check_eq(alazy_cancel(wait), 0);
	check_eq(alazy_dispatch(cache), 1);
	check_eq(atomic_load(&first.calls), 0);
	check_eq(atomic_load(&second.calls), 1);
	check_eq(stats_of(cache).waits_now, 0);
	alazy_cache_close(cache);
}

/* One thread dispatches, the other cancels: the wake is somebody's, whoever is faster. */
struct race {
	struct alazy_cache *cache;
	struct alazy_wait *wait;
	struct woken first, second;
	struct latch over;		/* the cancel */
	int cancelled;
};

static void race_side(unsigned int me, void *arg)
{
	struct race *r = arg;

	if (me) {
		r->cancelled = alazy_cancel(r->wait);
		latch_add(&r->over);
		return;
	}
	while (!atomic_load(&r->first.calls) && !atomic_load(&r->second.calls))
		alazy_dispatch(r->cache);
}

/* The handle is good until this returns. */
static void on_woken_and_cancelled(int err, size_t index, void *ctx)
{
	struct race *r = ctx;

	latch_wait(&r->over, 1);
	on_woken(err, index, &r->first);
}

TEST(a_wake_is_lost_neither_to_cancel_nor_to_dispatch)
{
	struct alazy_cache *cache = open_cache(0, 0);
	uint32_t *word = alazy_word(cache, 0);
	unsigned long i, n = scaled(100000, 1000);

	for (i = 0; i < n; i++) {
		struct alazy_futex f = { .word = word };
		struct race r = { .cache = cache, .over = LATCH_INIT };

		check_eq(alazy_futex_wait_async(cache, &f, 1, on_woken_and_cancelled, &r,
						&r.wait, NULL), 0);
		check_eq(wait_async(cache, word, 0, &r.second, NULL), 0);
		check_eq(alazy_futex_wake(cache, word, 1), 1);
		run_threads(2, race_side, &r);
		if (!check(r.cancelled == 0 || r.cancelled == -EALREADY))
			break;
		check_eq(atomic_load(&r.first.calls), r.cancelled != 0);
		check_eq(atomic_load(&r.second.calls), r.cancelled == 0);
		/* the next round starts from nobody */
		alazy_futex_wake(cache, word, INT_MAX);
		alazy_dispatch(cache);
		if (!check_eq(stats_of(cache).waits_now, 0))
			break;
	}
	alazy_cache_close(cache);
}

TEST(a_wait_by_a_descriptor_of_its_own)
{
	struct alazy_cache *cache = open_cache(0, 0);
	uint32_t *words = alazy_word(cache, 0);
	struct alazy_futex f[2] = { { .word = &words[0] }, { .word = &words[1] } };
	struct woken got = { 0 };
	struct alazy_answer answer;
	size_t index = 9;
	int fd, other;

	fd = alazy_futex_wait_fd(cache, f, 2, NULL);
	check(fd >= 0);
	check_eq(readable(fd), 0);
	check_eq(alazy_futex_wait_read(cache, fd, NULL), -EAGAIN);
	check_eq(alazy_futex_wake(cache, &words[1], 1), 1);
	check_eq(readable(fd), 1);
	check_eq(alazy_futex_wait_read(cache, fd, &index), 0);
	check_eq(index, 1);
	/* for ever */
	check_eq(readable(fd), 1);
	check_eq(alazy_futex_wait_read(cache, fd, NULL), 0);
	check_eq(alazy_wait_read(cache, fd, &answer), -EBADF);
	close(fd);
	check_eq(alazy_futex_wait_read(cache, fd, NULL), -EBADF);

	/* one that was woken, and is closed before that was read of */
	fd = alazy_futex_wait_fd(cache, f, 1, NULL);
	other = alazy_futex_wait_fd(cache, f, 1, NULL);
	check_eq(alazy_futex_wake(cache, &words[0], 1), 1);
	check_eq(readable(other), 0);
	close(fd);
	alazy_dispatch(cache);
	check_eq(readable(other), 1);
	check_eq(alazy_futex_wait_read(cache, other, NULL), 0);
	close(other);

	/* or read of: it has been of use */
	fd = alazy_futex_wait_fd(cache, f, 1, NULL);
	check_eq(wait_async(cache, &words[0], 0, &got, NULL), 0);
	check_eq(alazy_futex_wake(cache, &words[0], 1), 1);
	check_eq(alazy_futex_wait_read(cache, fd, NULL), 0);
	close(fd);
	alazy_dispatch(cache);
	check_eq(atomic_load(&got.calls), 0);
	alazy_cache_close(cache);
}

TEST(any_word_of_this_process_can_be_waited_for)
{
	struct alazy_cache *cache = open_cache(0, 0);
	uint32_t *words = calloc(2, sizeof(*words));
	struct woken got = { 0 }, other = { 0 };

	assert_non_null(words);
	check_eq(wait_async(cache, &words[0], 0, &got, NULL), 0);
	check_eq(wait_async(cache, &words[1], 0, &other, NULL), 0);
	word_store(&words[0], 1);
	check_eq(alazy_futex_wake(cache, &words[0], INT_MAX), 1);
	check_eq(alazy_dispatch(cache), 1);
	check_eq(atomic_load(&got.calls), 1);
	check_eq(atomic_load(&other.calls), 0);
	check_eq(alazy_futex_wait(cache, &words[0], 0, 0), -EAGAIN);
	alazy_cache_close(cache);
	free(words);
}

/* In its callback a wait is begun anew. */
struct again {
	struct alazy_cache *cache;
	uint32_t *word;
	unsigned int left;
	atomic_uint calls;
};

static void on_again(int err, size_t index, void *ctx)
{
	struct again *a = ctx;
	struct alazy_futex f = { .word = a->word, .expected = word_load(a->word) };

	check_eq(err, 0);
	check_eq(index, 0);
	atomic_fetch_add(&a->calls, 1);
	if (a->left && a->left--)
		check_eq(alazy_futex_wait_async(a->cache, &f, 1, on_again, a, NULL, NULL), 0);
}

TEST(a_callback_may_wait_again)
{
	struct alazy_cache *cache = open_cache(0, 0);
	uint32_t *word = alazy_word(cache, 0);
	struct again a = { .cache = cache, .word = word, .left = 99 };
	struct alazy_futex f = { .word = word };
	unsigned int i;

	check_eq(alazy_futex_wait_async(cache, &f, 1, on_again, &a, NULL, NULL), 0);
	for (i = 0; i < 100; i++) {
		word_store(word, i + 1);
		check_eq(alazy_futex_wake(cache, word, 1), 1);
		check_eq(alazy_dispatch(cache), 1);
	}
	check_eq(atomic_load(&a.calls), 100);
	check_eq(alazy_futex_wake(cache, word, 1), 0);
	alazy_cache_close(cache);
}

TEST(many_waits_and_their_wake)
{
	struct alazy_cache *cache = open_cache(0, 0);
	unsigned long i, n = scaled(100000, 5000);
	struct woken *got = calloc(n, sizeof(*got));
	struct alazy_wait **wait = calloc(n, sizeof(*wait));
	uint32_t *word = alazy_word(cache, 0);
	unsigned long calls = 0;

	assert_non_null(got);
	assert_non_null(wait);
	for (i = 0; i < n; i++)
		check_eq(wait_async(cache, word, 0, &got[i], &wait[i]), 0);
	for (i = 0; i < n; i += 10)
		check_eq(alazy_cancel(wait[i]), 0);
	check_eq(stats_of(cache).waits_now, n - n / 10);
	word_store(word, 1);
	check_eq(alazy_futex_wake(cache, word, INT_MAX), n - n / 10);
	check_eq(alazy_dispatch(cache), n - n / 10);
	for (i = 0; i < n; i++)
		calls += atomic_load(&got[i].calls) == (i % 10 != 0);
	check_eq(calls, n);
	free(wait);
	free(got);
	alazy_cache_close(cache);
}

TEST(what_is_open_when_the_cache_is_closed_goes)
{
	const char *name = unique_name("words");
	struct alazy_cache *a = open_named(name, 0), *b = open_named(name, 0);
	struct woken gone = { 0 }, got = { 0 };

	check_eq(wait_async(a, alazy_word(a, 0), 0, &gone, NULL), 0);
	check_eq(wait_async(b, alazy_word(b, 0), 0, &got, NULL), 0);
	check_eq(alazy_futex_wake(b, alazy_word(b, 0), 1), 1);
	/* the wake was on its way to the other, and goes on */
	alazy_cache_close(a);
	drive(b, &got.calls, 1);
	check_eq(atomic_load(&gone.calls), 0);
	alazy_cache_close(b);
	alazy_cache_unlink(name, 0);
}

TEST(what_cannot_be_waited_for_is_refused)
{
	struct alazy_cache *cache = open_cache(0, 0);
	uint32_t *word = alazy_word(cache, 0);
	struct alazy_futex many[ALAZY_FUTEX_MAX + 1];
	struct alazy_futex bad = { .word = word, .reserved = 1 };
	const uint32_t *odd = (const uint32_t *)((const char *)word + 2);
	unsigned int i;

	for (i = 0; i <= ALAZY_FUTEX_MAX; i++)
		many[i] = (struct alazy_futex){ .word = word };
	check_eq(alazy_futex_wait_any(cache, many, ALAZY_FUTEX_MAX + 1, 1, NULL), -EINVAL);
	check_detail("1 to 128");
	check_eq(alazy_futex_wait_any(cache, many, ALAZY_FUTEX_MAX, 1, NULL), -ETIMEDOUT);
	check_eq(alazy_futex_wait_any(cache, many, 0, 1, NULL), -EINVAL);
	check_eq(alazy_futex_wait_any(cache, NULL, 1, 1, NULL), -EINVAL);
	check_eq(alazy_futex_wait_any(cache, &bad, 1, 1, NULL), -EINVAL);
	check_detail("reserved");
	check_eq(alazy_futex_wait_any(NULL, many, 1, 1, NULL), -EINVAL);
	check_eq(alazy_futex_wait(cache, NULL, 0, 1), -EINVAL);
	check_eq(alazy_futex_wait(cache, odd, 0, 1), -EINVAL);
	check_detail("aligned");
	check_eq(alazy_futex_wait_async(cache, many, 1, NULL, NULL, NULL, NULL), -EINVAL);
	check_detail("callback");
	check_eq(alazy_futex_wake(cache, odd, 1), -EINVAL);
	check_eq(alazy_futex_wake(NULL, word, 1), -EINVAL);
	check_eq(alazy_futex_wait_read(cache, -1, NULL), -EBADF);
	check_eq(alazy_futex_wait_read(cache, STDERR_FILENO, NULL), -EBADF);
	check_eq(stats_of(cache).waits_now, 0);
	alazy_cache_close(cache);
}

TEST(a_read_only_cache_is_waited_for_not_woken)
{
	const char *name = unique_name("words");
	struct alazy_cache *cache = open_named(name, 0);
	struct alazy_cache *reader = open_named(name, ALAZY_CACHE_EXISTING |
						ALAZY_CACHE_READONLY);
	uint32_t *word = alazy_word(reader, 4);
	struct woken got = { 0 };

	check_eq(wait_async(reader, word, 0, &got, NULL), 0);
	check_eq(alazy_futex_wake(reader, word, 1), -EACCES);
	check_detail("read-only");
	check_eq(alazy_lock(reader, word, 1), -EACCES);
	check_eq(alazy_trylock(reader, word), -EACCES);
	check_eq(alazy_unlock(reader, word), -EACCES);
	check_eq(alazy_futex_wake(cache, alazy_word(cache, 4), 1), 1);
	drive(reader, &got.calls, 1);
	alazy_cache_close(reader);
	alazy_cache_close(cache);
	alazy_cache_unlink(name, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_shared_by_all_who_have_the_cache),
		cmocka_unit_test(how_many_there_are_is_said_at_the_making),
		cmocka_unit_test(another_value_returns_at_once),
		cmocka_unit_test(no_change_is_missed_between_threads),
		cmocka_unit_test(a_wake_ends_so_many_waits_those_first_that_waited_longest),
		cmocka_unit_test(a_wake_ends_so_many_calls_that_wait),
		cmocka_unit_test(a_deadline_leaves_no_waiter_behind),
		cmocka_unit_test(of_several_words_the_one_that_was_woken_is_told),
		cmocka_unit_test(of_a_batch_each_change_is_told),
		cmocka_unit_test(a_wake_of_a_wait_that_is_cancelled_goes_on),
		cmocka_unit_test(a_wake_is_lost_neither_to_cancel_nor_to_dispatch),
		cmocka_unit_test(a_wait_by_a_descriptor_of_its_own),
		cmocka_unit_test(any_word_of_this_process_can_be_waited_for),
		cmocka_unit_test(a_callback_may_wait_again),
		cmocka_unit_test(many_waits_and_their_wake),
		cmocka_unit_test(what_is_open_when_the_cache_is_closed_goes),
		cmocka_unit_test(what_cannot_be_waited_for_is_refused),
		cmocka_unit_test(a_read_only_cache_is_waited_for_not_woken),
	};

	return RUN_TESTS(tests);
}
