/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What the examples of event loops have in common: many gets of a value that this
 * process is to make, and many waits for a word; a timer of the loop's ends them all.
 */
#ifndef EXAMPLE_WAITS_H
#define EXAMPLE_WAITS_H

#include <asynclazy.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TICK_MS	100UL	/* after which the loop's timer is to call waits_tick() */

struct waits {
	struct alazy_cache *cache;
	struct alazy_ticket ticket;	/* for the value, until the tick */
	unsigned long n;		/* of each kind */
	unsigned long values, woken;	/* that have come */
	double idle;			/* processor time from the begin to the tick, in it */
	double begun, cpu;		/* seconds */
};

static inline double waits_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static inline void waits_die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, alazy_strerror_detail());
	exit(1);
}

/* The first get: it is for us to make the value, but not now. */
static inline int waits_make(const struct alazy_ticket *ticket, const void *key, size_t key_size,
			     void *ctx)
{
	(void)key;
	(void)key_size;
	((struct waits *)ctx)->ticket = *ticket;
	return 0;
}

static inline void waits_value(int err, struct alazy_ref *ref, void *ctx)
{
	if (err || ref->size != 5 || memcmp(ref->data, "value", 5))
		waits_die("get");
	((struct waits *)ctx)->values++;
}

static inline void waits_woken(int err, size_t index, void *ctx)
{
	if (err || index)
		waits_die("wait");
	((struct waits *)ctx)->woken++;
}

/* Begin all of them. @argv[1]: how many, or 10,000 */
static inline void waits_begin(struct waits *w, int argc, char **argv)
{
	struct alazy_futex f = { 0 };
	unsigned long i;

	memset(w, 0, sizeof(*w));
	w->n = argc > 1 ? strtoul(argv[1], NULL, 0) : 10000;
	w->cache = alazy_cache_open(NULL, NULL);
	if (!w->cache)
		waits_die("alazy_cache_open");
	f.word = alazy_word(w->cache, 0);
	for (i = 0; i < w->n; i++) {
		if (alazy_cache_get_async(w->cache, "key", 3, waits_make, waits_value, w, NULL))
			waits_die("alazy_cache_get_async");
		if (alazy_futex_wait_async(w->cache, &f, 1, waits_woken, w, NULL, NULL))
			waits_die("alazy_futex_wait_async");
	}
	w->begun = waits_clock(CLOCK_MONOTONIC);
	w->cpu = waits_clock(CLOCK_PROCESS_CPUTIME_ID);
}

/* The loop's timer has gone off: the value is there, and the word has changed. */
static inline void waits_tick(struct waits *w)
{
	uint32_t *word = alazy_word(w->cache, 0);

	w->idle = (waits_clock(CLOCK_PROCESS_CPUTIME_ID) - w->cpu) /
		  (waits_clock(CLOCK_MONOTONIC) - w->begun);
	if (alazy_publish(&w->ticket, "value", 5, 0))
		waits_die("alazy_publish");
	__atomic_store_n(word, 1, __ATOMIC_RELEASE);
	if (alazy_futex_wake(w->cache, word, UINT32_MAX) != (int)w->n)
		waits_die("alazy_futex_wake");
}

static inline bool waits_done(const struct waits *w)
{
	return w->values == w->n && w->woken == w->n;
}

/* Return: for main(). A loop that was busy while nothing was due has failed. */
static inline int waits_end(struct waits *w, const char *loop)
{
	bool good = waits_done(w) && w->idle < 0.5;

	printf("%s, %s: %lu values, %lu wakes, %.1f %% of a processor while idle\n", loop,
	       alazy_backend(w->cache), w->values, w->woken, 100 * w->idle);
	alazy_cache_close(w->cache);
	return !good;
}

#endif /* EXAMPLE_WAITS_H */
