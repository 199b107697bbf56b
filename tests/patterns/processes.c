// SPDX-License-Identifier: GPL-2.0-only
/*
 * Across processes: workers that are forked wait for the word of their parent, take a
 * lock in turn, and one of them dies with it.
 */
#include "pattern.h"

#include <signal.h>

#define WORKERS	4
#define ROUNDS	500

enum { GO, LOCK, TOTAL, READY };

static uint32_t *word(struct alazy_cache *cache, unsigned int which)
{
	return alazy_word(cache, which);
}

static int worker(void *arg)
{
	struct alazy_cache *cache = arg;
	unsigned int i;
	int err;

	__atomic_fetch_add(word(cache, READY), 1, __ATOMIC_SEQ_CST);
	must(alazy_futex_wake(cache, word(cache, READY), 1) >= 0);
	while (!load(word(cache, GO))) {
		err = alazy_futex_wait(cache, word(cache, GO), 0, after_ms(20000));
		must(!err || err == -EAGAIN);
	}
	for (i = 0; i < ROUNDS; i++) {
		err = alazy_lock(cache, word(cache, LOCK), after_ms(20000));
		must(!err || err == -EOWNERDEAD);
		*word(cache, TOTAL) = *word(cache, TOTAL) + 1;
		must(!alazy_unlock(cache, word(cache, LOCK)));
	}
	return 0;
}

static int dies_with_the_lock(void *arg)
{
	struct alazy_cache *cache = arg;

	must(!alazy_lock(cache, word(cache, LOCK), after_ms(20000)));
	raise(SIGKILL);
	return 1;
}

int main(void)
{
	struct alazy_cache *cache = open_cache();
	pid_t pid[WORKERS], doomed;
	uint32_t ready;
	int i, status;

	if (strcmp(alazy_backend(cache), "kernel"))
		return SKIP;	/* a local cache is of one process */
	doomed = process(dies_with_the_lock, cache);
	for (i = 0; i < WORKERS; i++)
		pid[i] = process(worker, cache);
	while ((ready = load(word(cache, READY))) < WORKERS) {
		status = alazy_futex_wait(cache, word(cache, READY), ready, after_ms(20000));
		must(!status || status == -EAGAIN);
	}
	must(waitpid(doomed, &status, 0) == doomed && WIFSIGNALED(status));
	change(cache, word(cache, GO), 1, UINT32_MAX);
	for (i = 0; i < WORKERS; i++)
		ended_well(pid[i]);
	must(*word(cache, TOTAL) == WORKERS * ROUNDS);
	alazy_cache_close(cache);
	return 0;
}
