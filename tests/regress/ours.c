// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ours, over libasynclazy: a key of a cache, and one ALazy value. Each get looks
 * first (a peek) and asks then, so that a row can have the state change between
 * the two, as it does to the ancestors.
 */
#include <asynclazy.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "subject.h"
#include "world.h"

#define KEY		"key"
#define KEY_SIZE	3
#define PATIENCE	20	/* seconds after which a get of ours has hung */

struct ours {
	struct alazy_cache *cache;
	struct alazy *lazy;	/* of our_lazy */
	unsigned int follows;	/* waits of who initialises, not of who sleeps */
};

static struct alazy_cache *cache_new(void)
{
	struct alazy_cache *cache = alazy_cache_open(NULL, NULL);

	if (!cache) {
		perror("alazy_cache_open");
		exit(2);
	}
	return cache;
}

bool ours_on_kernel(void)
{
	struct alazy_cache *cache = cache_new();
	bool kernel = !strcmp(alazy_backend(cache), "kernel");

	alazy_cache_close(cache);
	return kernel;
}

static uint64_t deadline(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (ts.tv_sec + PATIENCE) * 1000000000ULL + ts.tv_nsec;
}

static int take_value(struct alazy_ref *ref, int *value)
{
	int err = ref->size == sizeof(*value) ? 0 : -EBADMSG;

	if (!err)
		memcpy(value, ref->data, sizeof(*value));
	alazy_ref_put(ref);
	return err;
}

static int init(const struct alazy_ticket *ticket, const void *key, size_t key_size, void *ctx)
{
	struct make *make = ctx;
	int value, err;

	(void)key;
	(void)key_size;
	err = make_run(make, &value);
	if (make->lost) {
		point(POINT_LOST);
		return 0;	/* and the ticket has not been ended */
	}
	if (err && make->kept)
		alazy_fail(ticket, err, ALAZY_NEGATIVE, 0, NULL);
	else if (!err)
		alazy_publish(ticket, &value, sizeof(value), 0);
	point(POINT_TOLD);
	return err;
}

static void look(int state)
{
	if (state == ALAZY_EMPTY)
		point(POINT_ABSENT);
	else if (state == ALAZY_INITIALIZING)
		point(POINT_SEEN);
}

static int peeked(int state, struct alazy_ref *ref, int err, int *value)
{
	switch (state) {
	case ALAZY_FILLED:
		return take_value(ref, value) ? PEEK_EMPTY : PEEK_VALUE;
	case ALAZY_FAILED:
		*value = err;
		return PEEK_ERROR;
	case ALAZY_INITIALIZING:
		return PEEK_INITIALIZING;
	default:
		return PEEK_EMPTY;
	}
}

static void asleep(void *obj, unsigned int n)
{
	struct alazy_stats stats = { .size = sizeof(stats) };
	struct ours *ours = obj;

	do {
		sched_yield();
	} while (!alazy_cache_stats(ours->cache, &stats) && stats.waits_now != n + ours->follows);
}

static void ours_close(void *obj)
{
	struct ours *ours = obj;

	alazy_free(ours->lazy);
	alazy_cache_close(ours->cache);
	free(ours);
}

static void *ours_open(void)
{
	struct ours *ours = calloc(1, sizeof(*ours));

	if (!ours)
		abort();
	ours->cache = cache_new();
	return ours;
}

/* ---- without blocking ---------------------------------------------------- */

struct answer {
	int done;
	int err;
	int value;
};

static void on_done(int err, struct alazy_ref *ref, void *ctx)
{
	struct answer *answer = *(struct answer **)ctx;

	answer->err = err ?: take_value(ref, &answer->value);
	answer->done = 1;
}

/* What an asynchronous get carries: first what on_done() wants. */
struct async {
	struct answer *answer;
	struct make *make;
	struct alazy_ticket ticket;
};

static int init_async(const struct alazy_ticket *ticket, const void *key, size_t key_size,
		      void *ctx)
{
	struct async *async = ctx;

	async->ticket = *ticket;
	return init(ticket, key, key_size, async->make);
}

static int await_done(struct alazy_cache *cache, const struct answer *answer, int *value)
{
	struct pollfd p = { .fd = alazy_fd(cache), .events = POLLIN };

	while (!answer->done) {
		if (poll(&p, 1, PATIENCE * 1000) != 1)
			return -ETIMEDOUT;
		alazy_dispatch(cache);
	}
	*value = answer->value;
	return answer->err;
}

static int get_async(struct ours *ours, struct make *make, int *value)
{
	struct answer answer = { 0 };
	struct async async = { &answer, make, { .id = 0 } };
	int ret = alazy_cache_get_async(ours->cache, KEY, KEY_SIZE, init_async, on_done, &async,
					NULL);

	return ret < 0 ? ret : await_done(ours->cache, &answer, value);
}

/* ---- a key of a cache ---------------------------------------------------- */

/* The initialiser is a process, and is killed. */
static int get_killed(struct ours *ours, struct make *make)
{
	struct alazy_answer answer;
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (!alazy_claim(ours->cache, KEY, KEY_SIZE, ALAZY_CLAIM_INIT, 0, NULL, NULL,
				 &answer) && answer.kind == ALAZY_ANSWER_TICKET)
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	make->runs++;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
		return -ECHILD;
	point(POINT_LOST);
	return -EOWNERDEAD;
}

static int our_map_get(void *obj, struct make *make, int *value)
{
	struct ours *ours = obj;
	struct alazy_ref ref;
	int err;

	look(alazy_cache_peek(ours->cache, KEY, KEY_SIZE, NULL, NULL));
	if (make->lost && ours_on_kernel())
		return get_killed(ours, make);
	if (make->async)
		return get_async(ours, make, value);
	err = alazy_cache_get_until(ours->cache, KEY, KEY_SIZE, init, make, deadline(), &ref);
	return err ?: take_value(&ref, value);
}

static int our_map_peek(void *obj, int *value)
{
	struct ours *ours = obj;
	struct alazy_ref ref;
	int err = 0;
	int state = alazy_cache_peek(ours->cache, KEY, KEY_SIZE, &ref, &err);

	return peeked(state, &ref, err, value);
}

static void our_map_remove(void *obj)
{
	struct ours *ours = obj;

	alazy_cache_invalidate(ours->cache, KEY, KEY_SIZE);
}

const struct subject our_map = {
	.name = "ours",
	.open = ours_open,
	.close = ours_close,
	.get = our_map_get,
	.peek = our_map_peek,
	.remove = our_map_remove,
	.asleep = asleep,
};

/* ---- one ALazy value ----------------------------------------------------- */

/* The callers share one object; an initialiser is that of whoever got the ticket. */
static _Thread_local struct make *my_make;

static int init_mine(const struct alazy_ticket *ticket, const void *key, size_t key_size,
		     void *ctx)
{
	(void)ctx;
	return init(ticket, key, key_size, my_make);
}

static void *our_lazy_open(void)
{
	struct ours *ours = ours_open();

	ours->lazy = alazy_new(ours->cache, KEY, KEY_SIZE, init_mine, NULL);
	if (!ours->lazy)
		abort();
	return ours;
}

/* The initialising task is dropped: it waits no more, and lets its ticket go. */
static int get_dropped(struct ours *ours, struct make *make)
{
	struct answer answer = { 0 };
	struct async async = { &answer, make, { .id = 0 } };
	struct alazy_wait *wait;
	int err;

	ours->follows = 1;
	err = alazy_cache_get_async(ours->cache, KEY, KEY_SIZE, init_async, on_done, &async, &wait);
	if (!err)
		err = alazy_cancel(wait);
	return err ?: alazy_abandon(&async.ticket) ?: -ECANCELED;
}

static int our_lazy_get(void *obj, struct make *make, int *value)
{
	struct ours *ours = obj;
	struct alazy_ref ref;
	int err;

	look(alazy_peek(ours->lazy, NULL, NULL));
	if (make->lost)
		return get_dropped(ours, make);
	my_make = make;
	err = alazy_get(ours->lazy, &ref);
	return err ?: take_value(&ref, value);
}

static int our_lazy_peek(void *obj, int *value)
{
	struct ours *ours = obj;
	struct alazy_ref ref;
	int err = 0;
	int state = alazy_peek(ours->lazy, &ref, &err);

	return peeked(state, &ref, err, value);
}

const struct subject our_lazy = {
	.name = "ours",
	.open = our_lazy_open,
	.close = ours_close,
	.get = our_lazy_get,
	.peek = our_lazy_peek,
	.asleep = asleep,
};
