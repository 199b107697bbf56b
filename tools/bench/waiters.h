/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Ways to be told of a wake: see waiters.c. */
#ifndef BENCH_WAITERS_H
#define BENCH_WAITERS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench.h"

struct bench_waiters;

struct bench_method {
	const char *name;
	unsigned int asleep_us;	/* until all who were armed are asleep */
	/* Return: 0; else ->why says why it cannot be had here */
	int (*open)(struct bench_waiters *w);
	void (*close)(struct bench_waiters *w);	/* also after a failed open */
	void (*arm)(struct bench_waiters *w);	/* all wait for the next change */
	void (*wake)(struct bench_waiters *w);	/* ->word has changed */
	void (*collect)(struct bench_waiters *w);	/* until all have been told */
};

struct bench_waiters {
	const struct bench_method *method;
	unsigned int n;
	uint32_t *word;
	uint64_t woken;			/* when, ns */
	uint64_t *told;			/* nanoseconds until each was */
	atomic_uint nr_told;
	pthread_barrier_t armed;
	bool over;
	void *priv;
	const char *why;
};

void bench_told(struct bench_waiters *w);
void *bench_calloc(size_t n, size_t size);	/* or the end */

extern const struct bench_method bench_ours, bench_eventfd, bench_pipe, bench_threads,
	bench_helpers, bench_uring;

#endif
