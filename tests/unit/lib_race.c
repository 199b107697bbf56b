// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Threads that do everything at once, for the sanitizers and for what only
 * shows under load: I1, I3, I4, I5. The same program on both backends.
 *
 * Each thread has a client of its own on one named cache, and one more is
 * shared by all. Nobody blocks while it holds a ticket.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

#define THREADS	4
#define KEYS	16
#define WAITS	64	/* at a time, of one thread */
#define HELD	32	/* tickets at a time, of one thread */

struct value {
	uint32_t key;
	uint32_t thread;
	uint64_t serial;
};

struct racer;

/* An asynchronous wait; its slot is free again once it has ended. */
struct race_wait {
	struct racer *racer;
	struct alazy_wait *wait;
	uint32_t key;
	unsigned int calls;
	bool pending;
	bool starting;		/* in alazy_cache_get_async() */
};

struct racer {
	struct alazy_cache *own;
	struct alazy_cache *shared;
	uint32_t me;
	uint64_t random;
	uint64_t serial;
	struct alazy_ticket held[HELD];
	unsigned int nr_held;
	struct race_wait waits[WAITS];
	unsigned int pending;
};

static atomic_uint flights[KEYS];	/* that run just now: 0 or 1 */

static uint32_t roll(struct racer *r, uint32_t n)
{
	r->random = r->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (r->random >> 33) % n;
}

static void check_value(const struct alazy_ref *ref, uint32_t key)
{
	struct value v;

	if (!check_eq(ref->size, sizeof(v)))
		return;
	memcpy(&v, ref->data, sizeof(v));
	check_eq(v.key, key);
	check(v.thread < THREADS);
	check(v.serial);
}

static struct value new_value(struct racer *r, uint32_t key)
{
	return (struct value){ key, r->me, ++r->serial };
}

/* End a ticket in one way or another; it may have been overtaken. */
static void end_ticket(struct racer *r, const struct alazy_ticket *t,
		       uint32_t key)
{
	struct value v = new_value(r, key);
	int err;

	switch (roll(r, 8)) {
	case 0:
		err = alazy_abandon(t);
		break;
	case 1:
		err = alazy_fail(t, -EIO, ALAZY_TRANSIENT, 0, "transient");
		break;
	case 2:
		err = alazy_fail(t, -EPERM, ALAZY_NEGATIVE, 1, NULL);
		break;
	default:
		err = alazy_publish(t, &v, sizeof(v), 0);
	}
	check(err == 0 || err == -ESTALE);
}

static int race_init(const struct alazy_ticket *ticket, const void *key,
		     size_t key_size, void *ctx)
{
	struct racer *r = ctx;
	uint32_t k;

	check_eq(key_size, sizeof(k));
	memcpy(&k, key, sizeof(k));
	end_ticket(r, ticket, k);
	/* sometimes it has an error to tell as well, which comes too late */
	return roll(r, 16) ? 0 : -EREMOTEIO;
}

static int race_init_async(const struct alazy_ticket *ticket, const void *key,
			   size_t key_size, void *ctx)
{
	struct race_wait *w = ctx;
	struct racer *r = w->racer;

	check(w->pending || w->starting);
	if (r->nr_held == HELD || roll(r, 2))
		return race_init(ticket, key, key_size, r);
	r->held[r->nr_held++] = *ticket;
	return 0;
}

static void end_held(struct racer *r, unsigned int down_to)
{
	while (r->nr_held > down_to) {
		r->nr_held--;
		/* whose key it is only matters to a value's reader */
		end_ticket(r, &r->held[r->nr_held],
			   r->held[r->nr_held].reserved);
	}
}

static bool expected(int err)
{
	return err == 0 || err == -EIO || err == -EPERM || err == -ECANCELED ||
	       err == -ENOENT || err == -EREMOTEIO;
}

static void race_done(int err, struct alazy_ref *ref, void *ctx)
{
	struct race_wait *w = ctx;

	check(expected(err));
	check(w->pending || w->starting);
	w->calls++;
	if (ref)
		check_value(ref, w->key);
	if (w->pending)
		w->racer->pending--;
	w->pending = false;
}

static struct race_wait *free_wait(struct racer *r)
{
	unsigned int i;

	for (i = 0; i < WAITS; i++)
		if (!r->waits[i].pending)
			return &r->waits[i];
	return NULL;
}

/* The key travels in the ticket's reserved field of our own copy. */
static int race_init_key(const struct alazy_ticket *ticket, const void *key,
			 size_t key_size, void *ctx)
{
	struct race_wait *w = ctx;
	unsigned int n = w->racer->nr_held;
	int err = race_init_async(ticket, key, key_size, ctx);

	if (w->racer->nr_held > n)
		w->racer->held[n].reserved = w->key;
	return err;
}

static void start_async(struct racer *r, uint32_t key)
{
	struct race_wait *w = free_wait(r);
	int ret;

	if (!w)
		return;
	*w = (struct race_wait){ .racer = r, .key = key, .starting = true };
	ret = alazy_cache_get_async(r->own, &key, sizeof(key),
				    roll(r, 4) ? race_init_key : NULL, race_done,
				    w, &w->wait);
	w->starting = false;
	if (ret == 0) {
		check_eq(w->calls, 0);
		w->pending = true;
		r->pending++;
	} else if (ret == 1) {
		check_eq(w->calls, 1);
	} else {
		check_eq(ret, -ENOENT);
		check_eq(w->calls, 0);
	}
}

static void cancel_one(struct racer *r)
{
	struct race_wait *w = &r->waits[roll(r, WAITS)];

	if (!w->pending)
		return;
	check_eq(alazy_cancel(w->wait), 0);
	check_eq(w->calls, 0);
	w->pending = false;
	r->pending--;
}

static void get_blocking(struct racer *r, struct alazy_cache *cache,
			 uint32_t key)
{
	struct alazy_ref ref;
	int err;

	end_held(r, 0);
	/* others hold theirs for as long as they like, so not for ever */
	err = alazy_cache_get_until(cache, &key, sizeof(key), race_init, r,
				    now_ns() + roll(r, 1000) * 1000, &ref);
	check(expected(err) || err == -ETIMEDOUT);
	if (err)
		return;
	check_value(&ref, key);
	alazy_ref_put(&ref);
}

static void claim_fd(struct racer *r, struct alazy_cache *cache, uint32_t key)
{
	struct alazy_answer a, b;
	struct pollfd p;
	int err;

	err = alazy_claim(cache, &key, sizeof(key),
			  ALAZY_CLAIM_FD | (roll(r, 2) ? ALAZY_CLAIM_INIT : 0),
			  0, NULL, NULL, &a);
	if (!check_eq(err, 0))
		return;
	if (a.kind == ALAZY_ANSWER_PENDING) {
		p = (struct pollfd){ .fd = a.fd, .events = POLLIN };
		check(poll(&p, 1, roll(r, 2)) >= 0);
		err = alazy_wait_read(cache, a.fd, &b);
		check(err == 0 || err == -EAGAIN);
		if (p.revents)
			check_eq(err, 0);
		close(a.fd);
		if (err)
			return;
		a = b;
	}
	if (a.kind == ALAZY_ANSWER_TICKET)
		end_ticket(r, &a.ticket, key);
	if (a.kind == ALAZY_ANSWER_HIT) {
		check_value(&a.ref, key);
		alazy_ref_put(&a.ref);
	}
}

/* I1: while one has the ticket, no other has. */
static int make_alone(const struct alazy_ticket *ticket, const void *key,
		      size_t key_size, void *ctx)
{
	struct value v;
	uint32_t k;

	(void)key_size;
	memcpy(&k, key, sizeof(k));
	check_eq(atomic_fetch_add(&flights[k], 1), 0);
	v = new_value(ctx, k);
	atomic_fetch_sub(&flights[k], 1);
	return alazy_publish(ticket, &v, sizeof(v), 1);	/* dead at once */
}

static void step(struct racer *r)
{
	struct alazy_cache *cache = roll(r, 2) ? r->own : r->shared;
	uint32_t key = roll(r, KEYS);
	struct value v;

	switch (roll(r, 20)) {
	case 0 ... 4: start_async(r, key); break;
	case 5 ... 7: check(alazy_dispatch(r->own) >= 0); break;
	case 8: check(alazy_dispatch(r->shared) >= 0); break;
	case 9 ... 10: get_blocking(r, cache, key); break;
	case 11 ... 12: claim_fd(r, cache, key); break;
	case 13: cancel_one(r); break;
	case 14: end_held(r, r->nr_held / 2); break;
	case 15:
		v = new_value(r, key);
		check_eq(alazy_cache_set(cache, &key, sizeof(key), &v, sizeof(v),
					 0), 0);
		break;
	case 16 ... 17:
		check(alazy_cache_invalidate(cache, &key, sizeof(key)) >= 0);
		break;
	case 18:
		check(alazy_cache_peek(cache, &key, sizeof(key), NULL, NULL) >= 0);
		break;
	default:
		if (!roll(r, 16))
			check(alazy_cache_clear(cache) >= 0);
	}
}

/* All tickets ended, all waits must end too, whoever has to do it. */
static void finish(struct racer *r)
{
	struct pollfd p = { .fd = alazy_fd(r->own), .events = POLLIN };

	end_held(r, 0);
	while (r->pending) {
		if (!check(poll(&p, 1, 60000) == 1))
			break;
		check(alazy_dispatch(r->own) >= 0);
		end_held(r, 0);
	}
}

static void race(unsigned int me, void *arg)
{
	struct racer *r = (struct racer *)arg + me;
	unsigned long steps = scaled(1000000, 20000), i;

	for (i = 0; i < steps && !check_failures(); i++)
		step(r);
	finish(r);
}

TEST(threads_do_everything_at_once)
{
	const char *name = unique_name("race");
	struct racer *racers = calloc(THREADS, sizeof(*racers));
	/* an evicting one is so small that its room is used again and again */
	struct alazy_cache *shared = open_with(name, (struct alazy_cache_opts){
		.arena_size = on_stable() ? scaled(512, 64) << 20 : 512 << 10,
	});
	struct alazy_stats s;
	unsigned int i;

	assert_non_null(racers);
	for (i = 0; i < THREADS; i++) {
		racers[i].own = open_named(name, ALAZY_CACHE_EXISTING);
		racers[i].shared = shared;
		racers[i].me = i;
		racers[i].random = 12345 + i;
	}
	run_threads(THREADS, race, racers);
	for (i = 0; i < THREADS; i++) {
		check_eq(racers[i].pending, 0);
		check_eq(racers[i].nr_held, 0);
		alazy_cache_close(racers[i].own);
	}
	check_eq(alazy_dispatch(shared), 0);
	s = stats_of(shared);
	check_eq(s.tickets_now, 0);
	check_eq(s.waits_now, 0);
	check_eq(s.initializing, 0);
	check_eq(s.clients, 1);
	alazy_cache_close(shared);
	check_eq(alazy_cache_unlink(name, ALAZY_BACKEND_AUTO), 0);
	free(racers);
}

static void make_and_forget(unsigned int me, void *arg)
{
	struct racer *r = (struct racer *)arg + me;
	unsigned long n = scaled(200000, 5000), i;
	struct alazy_ref ref;
	uint32_t key;

	for (i = 0; i < n; i++) {
		key = i % KEYS;
		if (!check_eq(alazy_cache_get(r->shared, &key, sizeof(key),
					      make_alone, r, &ref), 0))
			return;
		check_value(&ref, key);
		alazy_ref_put(&ref);
	}
}

TEST(i1_initialisers_of_one_key_never_overlap)
{
	struct racer *racers = calloc(THREADS, sizeof(*racers));
	struct alazy_cache *cache = open_cache(0, scaled(256, 64) << 20);
	unsigned int i;

	assert_non_null(racers);
	for (i = 0; i < THREADS; i++) {
		racers[i].shared = cache;
		racers[i].me = i;
	}
	run_threads(THREADS, make_and_forget, racers);
	check(stats_of(cache).publishes >= KEYS);
	check_eq(stats_of(cache).stale, 0);
	alazy_cache_close(cache);
	free(racers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_do_everything_at_once),
		cmocka_unit_test(i1_initialisers_of_one_key_never_overlap),
	};

	return RUN_TESTS(tests);
}
