/* SPDX-License-Identifier: GPL-2.0-only */
/* What the patterns have in common: a cache, time, and how they fail. */
#ifndef PATTERN_H
#define PATTERN_H

#include <asynclazy.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SKIP	77

/* @held has to be so, or the program ends. */
#define must(held) must_at((held), #held, __FILE__, __LINE__)
static inline void must_at(int held, const char *what, const char *file, int line)
{
	if (held)
		return;
	fprintf(stderr, "%s:%d: not so: %s (%s)\n", file, line, what, alazy_strerror_detail());
	exit(1);
}

static inline struct alazy_cache *open_cache(void)
{
	struct alazy_cache *cache = alazy_cache_open(NULL, NULL);

	must(cache != NULL);
	return cache;
}

static inline uint32_t load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

/* Write a word, and wake who waits for it. */
static inline void change(struct alazy_cache *cache, uint32_t *word, uint32_t value, uint32_t n)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
	must(alazy_futex_wake(cache, word, n) >= 0);
}

static inline uint64_t after_ms(unsigned int ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec + ms * 1000000ULL;
}

/* One turn of a loop of one's own: until something is due, and what that leads to. */
static inline void turn(struct alazy_cache *cache)
{
	struct pollfd p = { .fd = alazy_fd(cache), .events = POLLIN };

	must(poll(&p, 1, 20000) == 1);
	must(alazy_dispatch(cache) >= 0);
}

static inline pthread_t thread(void *(*fn)(void *arg), void *arg)
{
	pthread_t t;

	must(!pthread_create(&t, NULL, fn, arg));
	return t;
}

/* Another process: fn() is its main(). */
static inline pid_t process(int (*fn)(void *arg), void *arg)
{
	pid_t pid = fork();

	must(pid >= 0);
	if (!pid)
		exit(fn(arg));
	return pid;
}

static inline void ended_well(pid_t pid)
{
	int status;

	must(waitpid(pid, &status, 0) == pid && status == 0);
}

#endif /* PATTERN_H */
