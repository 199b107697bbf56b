// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What waits are to the loop that has them: how late a timer of one millisecond is told,
 * with nothing else there, and with 1,000 waits, one of which is woken all the time.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <asynclazy.h>

#include "bench.h"

#define WAITS		1000
#define TICKS		1000
#define PERIOD_NS	1000000
#define WAKE_US		100

struct ticker {
	struct alazy_cache *cache;
	atomic_bool over;
	unsigned long woken;
	uint64_t late[TICKS];
};

struct wait {
	struct ticker *t;
	uint32_t *word;
};

static void wait_again(struct wait *w);

static void on_wake(int err, size_t index, void *ctx)
{
	struct wait *w = ctx;

	(void)err;
	(void)index;
	w->t->woken++;
	wait_again(w);
}

static void wait_again(struct wait *w)
{
	struct alazy_futex f = { .word = w->word };
	int err;

	do {
		f.expected = __atomic_load_n(w->word, __ATOMIC_ACQUIRE);
		err = alazy_futex_wait_async(w->t->cache, &f, 1, on_wake, w, NULL, NULL);
	} while (err == -EAGAIN);
	if (err)
		bench_die("alazy_futex_wait_async", err);
}

static void *waker(void *arg)
{
	struct ticker *t = arg;
	unsigned int i;

	for (i = 0; !t->over; i++) {
		uint32_t *word = alazy_word(t->cache, i % WAITS);

		__atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
		alazy_futex_wake(t->cache, word, 1);
		usleep(WAKE_US);
	}
	return NULL;
}

/* A loop, until the timer has gone off so often. */
static void loop(struct ticker *t, const char *with)
{
	struct itimerspec often = { .it_interval.tv_nsec = PERIOD_NS };
	struct pollfd p[2] = { { .fd = alazy_fd(t->cache), .events = POLLIN },
			       { .events = POLLIN } };
	uint64_t start, now, expirations, due = 0;
	unsigned int ticks = 0;

	p[1].fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	start = bench_now();
	often.it_value.tv_sec = (long)((start + PERIOD_NS) / 1000000000);
	often.it_value.tv_nsec = (long)((start + PERIOD_NS) % 1000000000);
	timerfd_settime(p[1].fd, TFD_TIMER_ABSTIME, &often, NULL);
	while (ticks < TICKS) {
		poll(p, 2, -1);
		if (p[1].revents && read(p[1].fd, &expirations, sizeof(expirations)) > 0) {
			now = bench_now() - start;
			/* the first of those that have gone by */
			t->late[ticks++] = now - (due + 1) * PERIOD_NS;
			due += expirations;
		}
		if (p[0].revents)
			alazy_dispatch(t->cache);
	}
	close(p[1].fd);
	bench_sort(t->late, TICKS);
	printf("# a timer of 1 ms, %s: p50 %.1f us late, p99 %.1f us, most %.1f us; %lu wakes\n",
	       with, bench_us(t->late, TICKS, 50), bench_us(t->late, TICKS, 99),
	       bench_us(t->late, TICKS, 100), t->woken);
}

void bench_ticker(int runs)
{
	static struct wait waits[WAITS];
	static struct ticker t;
	pthread_t thread;
	int i;

	t.cache = alazy_cache_open(NULL, NULL);
	if (!t.cache)
		bench_die("alazy_cache_open", -errno);
	printf("\n");
	for (i = 0; i < runs; i++)
		loop(&t, "alone");
	for (i = 0; i < WAITS; i++) {
		waits[i] = (struct wait){ &t, alazy_word(t.cache, i) };
		wait_again(&waits[i]);
	}
	for (i = 0; i < runs; i++)
		loop(&t, "with 1,000 waits that nobody wakes");
	if (pthread_create(&thread, NULL, waker, &t))
		bench_die("pthread_create", -EAGAIN);
	for (i = 0; i < runs; i++)
		loop(&t, "with 1,000 waits, and one woken every 0.1 ms");
	t.over = true;
	pthread_join(thread, NULL);
	alazy_cache_close(t.cache);
}
