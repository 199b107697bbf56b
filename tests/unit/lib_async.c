// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Waiting without a thread: the descriptor and dispatch, cancellation,
 * callbacks. The same program on both backends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <unistd.h>

#include "util.h"

#define EVENT_INIT	(ALAZY_CLAIM_EVENT | ALAZY_CLAIM_INIT)
#define FD_INIT		(ALAZY_CLAIM_FD | ALAZY_CLAIM_INIT)

/* ---- the descriptor ---------------------------------------------------- */

TEST(fd_is_readable_exactly_while_something_is_due)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct answered got = { 0 };
	struct alazy_ticket t = take(cache, "k");
	struct alazy_answer a;
	int fd = alazy_fd(cache);

	check(fd >= 0);
	check_eq(readable(fd), 0);
	check_eq(claim(cache, "k", EVENT_INIT, &got, &a), ALAZY_ANSWER_PENDING);
	check_eq(readable(fd), 0);
	check_eq(alazy_dispatch(cache), 0);
	publish_int(&t, 5);
	/* a level: it stays until it is served */
	check_eq(readable(fd), 1);
	check_eq(readable(fd), 1);
	check_eq(atomic_load(&got.calls), 0);
	check_eq(alazy_dispatch(cache), 1);
	check_eq(atomic_load(&got.calls), 1);
	check_eq(got.kind, ALAZY_ANSWER_HIT);
	check_eq(got.value, 5);
	check_eq(readable(fd), 0);
	check_eq(alazy_dispatch(cache), 0);
	check_eq(alazy_fd(cache), fd);
	alazy_cache_close(cache);
}

TEST(one_dispatch_serves_all_that_is_due)
{
	enum { WAITS = 500 };
	struct alazy_cache *cache = open_cache(0, 0);
	struct get *gets = calloc(WAITS, sizeof(*gets));
	struct alazy_ticket t = take(cache, "k");
	unsigned int i;

	assert_non_null(gets);
	for (i = 0; i < WAITS; i++)
		check_eq(get_int_async(cache, "k", NULL, &gets[i], NULL), 0);
	publish_int(&t, 5);
	check_eq(alazy_dispatch(cache), WAITS);
	check_eq(readable(alazy_fd(cache)), 0);
	for (i = 0; i < WAITS; i++)
		check_eq(gets[i].got, 5);
	free(gets);
	alazy_cache_close(cache);
}

TEST(epoll_and_select_see_what_was_due_before_they_looked)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct answered got = { 0 };
	struct alazy_ticket t = take(cache, "k");
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	struct timeval zero = { 0 };
	struct alazy_answer a;
	int fd = alazy_fd(cache), ep = epoll_create1(EPOLL_CLOEXEC);
	fd_set set;

	check_eq(claim(cache, "k", ALAZY_CLAIM_EVENT, &got, &a),
		 ALAZY_ANSWER_PENDING);
	publish_int(&t, 5);
	check_eq(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), 0);
	check_eq(epoll_wait(ep, &ev, 1, 0), 1);
	check(ev.events & EPOLLIN);
	FD_ZERO(&set);
	FD_SET(fd, &set);
	check_eq(select(fd + 1, &set, NULL, NULL, &zero), 1);
	check_eq(alazy_dispatch(cache), 1);
	check_eq(atomic_load(&got.calls), 1);

	/* edge-triggered, it tells again of what comes later */
	t = take(cache, "l");
	check_eq(claim(cache, "l", ALAZY_CLAIM_EVENT, &got, &a),
		 ALAZY_ANSWER_PENDING);
	check_eq(epoll_wait(ep, &ev, 1, 0), 0);
	publish_int(&t, 6);
	check_eq(epoll_wait(ep, &ev, 1, 60000), 1);
	check_eq(alazy_dispatch(cache), 1);
	check_eq(got.value, 6);
	close(ep);
	alazy_cache_close(cache);
}

static void *publish_later(void *arg)
{
	struct get *get = arg;

	publish_int(&get->ticket, get->value);
	return NULL;
}

TEST(sleeping_poll_is_woken_by_another_thread)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get get = { 0 }, call;
	char key[16];
	pthread_t thread;
	int i;

	for (i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "%d", i);
		call = (struct get){ .value = i };
		check_eq(get_int_async(cache, key, make_later, &call, NULL), 0);
		get.ticket = call.ticket;
		get.value = i;
		thread = start_thread(publish_later, &get);
		drive(cache, &call.dones, 1);
		check_eq(call.got, i);
		join_thread(thread);
	}
	alazy_cache_close(cache);
}

/* ---- cancel ------------------------------------------------------------ */

TEST(cancelled_wait_is_not_called_and_disturbs_nobody)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get calls[10] = { 0 };
	struct alazy_wait *waits[10];
	struct alazy_ticket t = take(cache, "k");
	unsigned int i;

	for (i = 0; i < 10; i++)
		check_eq(get_int_async(cache, "k", make_never, &calls[i],
				       &waits[i]), 0);
	for (i = 0; i < 10; i += 2)
		check_eq(alazy_cancel(waits[i]), 0);
	check_eq(stats_of(cache).waits_now, 5);
	publish_int(&t, 8);
	check_eq(alazy_cancel(waits[1]), 0);	/* its event is on the way */
	for (i = 3; i < 10; i += 2)
		drive(cache, &calls[i].dones, 1);
	check_eq(alazy_dispatch(cache), 0);
	for (i = 0; i < 10; i++)
		check_eq(atomic_load(&calls[i].dones), i % 2 && i != 1);
	check_eq(stats_of(cache).waits_now, 0);
	alazy_cache_close(cache);
}

TEST(cancel_passes_a_ticket_on_its_way_to_the_next)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct answered got[3] = { 0 };
	struct alazy_answer a[3];
	struct alazy_ticket t = take(cache, "k");
	unsigned int i;

	for (i = 0; i < 3; i++)
		check_eq(claim(cache, "k", EVENT_INIT, &got[i], &a[i]),
			 ALAZY_ANSWER_PENDING);
	check_eq(alazy_abandon(&t), 0);
	check_eq(readable(alazy_fd(cache)), 1);
	check_eq(alazy_cancel(a[0].wait), 0);
	drive(cache, &got[1].calls, 1);
	check_eq(got[1].kind, ALAZY_ANSWER_TICKET);
	check_eq(atomic_load(&got[0].calls), 0);
	check_eq(atomic_load(&got[2].calls), 0);
	publish_int(&got[1].ticket, 1);
	drive(cache, &got[2].calls, 1);
	check_eq(got[2].kind, ALAZY_ANSWER_HIT);
	check_eq(stats_of(cache).tickets_now, 0);
	alazy_cache_close(cache);
}

TEST(cancel_of_the_last_offer_leaves_the_key_empty)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct answered got = { 0 };
	struct alazy_answer a, b;
	struct alazy_ticket t = take(cache, "k");

	check_eq(claim(cache, "k", EVENT_INIT, &got, &a), ALAZY_ANSWER_PENDING);
	check_eq(alazy_abandon(&t), 0);
	check_eq(alazy_cancel(a.wait), 0);
	check_eq(readable(alazy_fd(cache)), 0);
	check_eq(alazy_dispatch(cache), 0);
	check_eq(claim(cache, "k", 0, NULL, &b), ALAZY_ANSWER_EMPTY);
	check_eq(atomic_load(&got.calls), 0);
	alazy_cache_close(cache);
}

struct pair {
	struct alazy_wait *other;
	struct pair *peer;
	atomic_uint *called;
	bool cancelled;
};

static void cancel_the_other(int err, struct alazy_ref *ref, void *ctx)
{
	struct pair *p = ctx;

	check_eq(err, 0);
	check(ref);
	check(!p->cancelled);
	atomic_fetch_add(p->called, 1);
	p->peer->cancelled = true;
	check_eq(alazy_cancel(p->other), 0);
}

TEST(callback_may_cancel_a_wait_that_is_due)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_ticket t = take(cache, "k");
	atomic_uint called = 0;
	struct pair p[2] = {
		{ .peer = &p[1], .called = &called },
		{ .peer = &p[0], .called = &called },
	};

	check_eq(alazy_cache_get_async(cache, "k", 1, NULL, cancel_the_other,
				       &p[0], &p[1].other), 0);
	check_eq(alazy_cache_get_async(cache, "k", 1, NULL, cancel_the_other,
				       &p[1], &p[0].other), 0);
	publish_int(&t, 1);
	drive(cache, &called, 1);
	check_eq(alazy_dispatch(cache), 0);
	check_eq(atomic_load(&called), 1);
	alazy_cache_close(cache);
}

/* ---- callbacks --------------------------------------------------------- */

TEST(each_of_many_callbacks_comes_exactly_once)
{
	enum { KEYS = 100, EACH = 100 };
	struct alazy_cache *cache = open_cache(0, 0);
	struct get *gets = calloc(KEYS * EACH, sizeof(*gets));
	struct alazy_ticket tickets[KEYS];
	char key[16];
	unsigned int i;

	assert_non_null(gets);
	for (i = 0; i < KEYS; i++) {
		snprintf(key, sizeof(key), "%u", i);
		tickets[i] = take(cache, key);
	}
	for (i = 0; i < KEYS * EACH; i++) {
		snprintf(key, sizeof(key), "%u", i % KEYS);
		check_eq(get_int_async(cache, key, make_never, &gets[i], NULL),
			 0);
	}
	check_eq(stats_of(cache).waits_now, KEYS * EACH);
	/* in another order than they were asked for; a third fail */
	for (i = 0; i < KEYS; i++) {
		unsigned int n = i * 37 % KEYS;

		if (n % 3)
			publish_int(&tickets[n], n);
		else
			check_eq(alazy_fail(&tickets[n], -EIO, ALAZY_TRANSIENT,
					    0, "no"), 0);
	}
	for (i = 0; i < KEYS * EACH; i++) {
		unsigned int n = i % KEYS;

		drive(cache, &gets[i].dones, 1);
		check_eq(gets[i].err, n % 3 ? 0 : -EIO);
		check_eq(gets[i].got, n % 3 ? n : 0);
	}
	check_eq(alazy_dispatch(cache), 0);
	for (i = 0; i < KEYS * EACH; i++)
		check_eq(atomic_load(&gets[i].dones), 1);
	check_eq(stats_of(cache).waits_now, 0);
	free(gets);
	alazy_cache_close(cache);
}

struct crew {
	struct alazy_cache *cache;
	atomic_uint total;
	unsigned int target;
	int stop;	/* eventfd */
};

struct crew_get {
	struct crew *crew;
	atomic_uint calls;
};

static void crew_done(int err, struct alazy_ref *ref, void *ctx)
{
	struct crew_get *g = ctx;
	uint64_t one = 1;

	check_eq(err, 0);
	check(ref && ref->size == sizeof(int));
	atomic_fetch_add(&g->calls, 1);
	if (atomic_fetch_add(&g->crew->total, 1) + 1 == g->crew->target)
		check_eq(write(g->crew->stop, &one, sizeof(one)), sizeof(one));
}

static void crew_dispatch(unsigned int me, void *arg)
{
	struct crew *c = arg;
	struct pollfd fds[2] = {
		{ .fd = alazy_fd(c->cache), .events = POLLIN },
		{ .fd = c->stop, .events = POLLIN },
	};

	(void)me;
	while (check(poll(fds, 2, 60000) > 0) && !fds[1].revents)
		check(alazy_dispatch(c->cache) >= 0);
}

static void publish_all(void *arg)
{
	struct alazy_ticket *t = arg;

	for (; t->cache; t++)
		publish_int(t, 1);
}

static void crew_member(unsigned int me, void *arg)
{
	void **args = arg;

	if (me == 2)
		publish_all(args[1]);
	else
		crew_dispatch(me, args[0]);
}

TEST(two_dispatching_threads_share_the_callbacks)
{
	enum { KEYS = 500, EACH = 10 };
	struct crew crew = { .cache = open_cache(0, 0), .target = KEYS * EACH,
			     .stop = eventfd(0, EFD_CLOEXEC) };
	struct crew_get *gets = calloc(KEYS * EACH, sizeof(*gets));
	struct alazy_ticket tickets[KEYS + 1] = { 0 };
	void *args[2] = { &crew, tickets };
	char key[16];
	unsigned int i;

	assert_non_null(gets);
	for (i = 0; i < KEYS; i++) {
		snprintf(key, sizeof(key), "%u", i);
		tickets[i] = take(crew.cache, key);
	}
	for (i = 0; i < KEYS * EACH; i++) {
		gets[i].crew = &crew;
		snprintf(key, sizeof(key), "%u", i % KEYS);
		check_eq(alazy_cache_get_async(crew.cache, key, strlen(key), NULL,
					       crew_done, &gets[i], NULL), 0);
	}
	run_threads(3, crew_member, args);
	for (i = 0; i < KEYS * EACH; i++)
		check_eq(atomic_load(&gets[i].calls), 1);
	check_eq(alazy_dispatch(crew.cache), 0);
	close(crew.stop);
	free(gets);
	alazy_cache_close(crew.cache);
}

TEST(close_drops_pending_waits_without_their_callbacks)
{
	const char *name = unique_name("close");
	struct alazy_cache *cache = open_named(name, 0), *other;
	struct get calls[20] = { 0 }, next = { .value = 4 };
	struct answered got = { 0 };
	struct alazy_answer a;
	struct alazy_ticket t = take(cache, "k");
	unsigned int i;

	for (i = 0; i < 10; i++)
		check_eq(get_int_async(cache, "k", make_later, &calls[i], NULL),
			 0);
	check_eq(claim(cache, "k", FD_INIT, &got, &a), ALAZY_ANSWER_PENDING);
	publish_int(&t, 1);			/* due, not dispatched */
	for (; i < 20; i++)			/* pending */
		check_eq(get_int_async(cache, "l", make_later, &calls[i], NULL),
			 0);
	other = open_named(name, 0);
	alazy_cache_close(cache);
	for (i = 0; i < 20; i++)
		check_eq(atomic_load(&calls[i].dones), 0);
	close(a.fd);
	/* the ticket went with it */
	check_eq(get_int(other, "l", make_int, &next), 0);
	check_eq(next.got, 4);
	check_eq(stats_of(other).waits_now, 0);
	check_eq(stats_of(other).clients, 1);
	alazy_cache_close(other);
	check_eq(alazy_cache_unlink(name, ALAZY_BACKEND_AUTO), 0);
}

TEST(close_hands_tickets_to_waiters_of_others)
{
	const char *name = unique_name("closeover");
	struct alazy_cache *a = open_named(name, 0), *b = open_named(name, 0);
	struct get get = { .value = 5 };
	struct alazy_ticket t = take(a, "k");

	check_eq(get_int_async(b, "k", make_int, &get, NULL), 0);
	alazy_cache_close(a);
	(void)t;
	drive(b, &get.dones, 1);
	check_eq(get.err, 0);
	check_eq(get.got, 5);
	check_eq(get.attempt, 1);
	alazy_cache_close(b);
	check_eq(alazy_cache_unlink(name, ALAZY_BACKEND_AUTO), 0);
}

struct chain {
	struct alazy_cache *cache;
	atomic_uint depth;
	atomic_uint stop_at;
	struct alazy_ticket kept;
};

static int chain_init(const struct alazy_ticket *ticket, const void *key,
		      size_t key_size, void *ctx)
{
	struct chain *c = ctx;
	int value = 1;

	(void)key;
	(void)key_size;
	c->kept = *ticket;
	if (atomic_load(&c->depth) % 2)
		return 0;		/* later, by whoever drives the test */
	return alazy_publish(ticket, &value, sizeof(value), 0);
}

static void chain_done(int err, struct alazy_ref *ref, void *ctx)
{
	struct chain *c = ctx;
	unsigned int n = atomic_fetch_add(&c->depth, 1) + 1;

	check_eq(err, 0);
	check(ref);
	if (n < atomic_load(&c->stop_at))
		check(alazy_cache_get_async(c->cache, &n, sizeof(n), chain_init,
					    chain_done, c, NULL) >= 0);
}

TEST(callback_may_start_the_next_get)
{
	struct chain c = { .cache = open_cache(0, 0), .stop_at = 200 };
	unsigned int n = 0;

	check(alazy_cache_get_async(c.cache, &n, sizeof(n), chain_init,
				    chain_done, &c, NULL) >= 0);
	while ((n = atomic_load(&c.depth)) < 200) {
		if (n % 2)
			publish_int(&c.kept, 1);
		drive(c.cache, &c.depth, n + 1);
		if (!check(atomic_load(&c.depth) > n))
			break;
	}
	check_eq(atomic_load(&c.depth), 200);
	check_eq(alazy_cache_len(c.cache), 200);
	alazy_cache_close(c.cache);
}

struct keeper {
	struct alazy_ref ref;
	atomic_uint calls;
};

static void keep_ref(int err, struct alazy_ref *ref, void *ctx)
{
	struct keeper *k = ctx;

	check_eq(err, 0);
	if (ref) {
		k->ref = *ref;
		memset(ref, 0, sizeof(*ref));
	}
	atomic_fetch_add(&k->calls, 1);
}

TEST(callback_may_move_its_ref_out)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct keeper k = { 0 };
	struct alazy_ticket t = take(cache, "k");

	check_eq(alazy_cache_get_async(cache, "k", 1, NULL, keep_ref, &k, NULL),
		 0);
	publish_int(&t, 12);
	drive(cache, &k.calls, 1);
	check_eq(alazy_cache_invalidate(cache, "k", 1), 1);
	check_eq(ref_int(&k.ref), 12);
	alazy_ref_put(&k.ref);
	alazy_cache_close(cache);
}

/* ---- what comes while a callback or an init runs ----------------------- */

static void *dispatch_thread(void *arg)
{
	check(alazy_dispatch(arg) >= 0);
	return NULL;
}

static int publish_and_let_another_dispatch(const struct alazy_ticket *ticket,
					    const void *key, size_t key_size,
					    void *ctx)
{
	int err = make_int(ticket, key, key_size, ctx);

	join_thread(start_thread(dispatch_thread, ticket->cache));
	return err;
}

static int fail_and_let_another_dispatch(const struct alazy_ticket *ticket,
					 const void *key, size_t key_size,
					 void *ctx)
{
	int err = make_error(ticket, key, key_size, ctx);

	join_thread(start_thread(dispatch_thread, ticket->cache));
	return err;
}

TEST(end_that_another_thread_reads_while_init_runs_is_not_lost)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_ticket t = take(cache, "l");
	struct get get = { .value = 3 }, later = { .value = 4 };

	check(alazy_cache_get_async(cache, "k", 1,
				    publish_and_let_another_dispatch, on_done,
				    &get, NULL) >= 0);
	drive(cache, &get.dones, 1);
	check_eq(get.err, 0);
	check_eq(get.got, 3);
	/* the same for an init that dispatch calls */
	check_eq(alazy_cache_get_async(cache, "l", 1,
				       publish_and_let_another_dispatch, on_done,
				       &later, NULL), 0);
	check_eq(alazy_abandon(&t), 0);
	drive(cache, &later.dones, 1);
	check_eq(later.err, 0);
	check_eq(later.got, 4);
	check_eq(alazy_dispatch(cache), 0);
	check_eq(atomic_load(&get.dones), 1);
	check_eq(atomic_load(&later.dones), 1);
	/* an error is the callback's to tell, not the call's */
	get = (struct get){ .fail = -EIO };
	check(alazy_cache_get_async(cache, "m", 1, fail_and_let_another_dispatch,
				    on_done, &get, NULL) >= 0);
	check_eq(*alazy_strerror_detail(), 0);
	drive(cache, &get.dones, 1);
	check_eq(get.err, -EIO);
	alazy_cache_close(cache);
}

struct canceller {
	struct alazy_wait *other;
	atomic_uint calls;
};

static void cancel_and_count(int err, struct alazy_ref *ref, void *ctx)
{
	struct canceller *c = ctx;

	check_eq(err, 0);
	check(ref);
	check_eq(alazy_cancel(c->other), 0);
	atomic_fetch_add(&c->calls, 1);
}

TEST(ticket_for_a_wait_that_a_callback_cancels_goes_on)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_ticket t = take(cache, "k"), u = take(cache, "l");
	struct canceller first = { 0 };
	struct answered cancelled = { 0 }, next = { 0 };
	struct alazy_answer a;

	check_eq(alazy_cache_get_async(cache, "k", 1, NULL, cancel_and_count,
				       &first, NULL), 0);
	check_eq(claim(cache, "l", EVENT_INIT, &cancelled, &a),
		 ALAZY_ANSWER_PENDING);
	first.other = a.wait;
	check_eq(claim(cache, "l", EVENT_INIT, &next, &a), ALAZY_ANSWER_PENDING);
	/* both are due when dispatch looks, the ticket second */
	publish_int(&t, 1);
	check_eq(alazy_abandon(&u), 0);
	drive(cache, &next.calls, 1);
	check_eq(atomic_load(&first.calls), 1);
	check_eq(atomic_load(&cancelled.calls), 0);
	check_eq(next.kind, ALAZY_ANSWER_TICKET);
	publish_int(&next.ticket, 2);
	check_eq(stats_of(cache).waits_now, 0);
	alazy_cache_close(cache);
}

struct self_canceller {
	struct alazy_wait *wait;
	struct alazy_ticket ticket;
	atomic_uint inits;
	atomic_uint dones;
};

static int cancel_own_wait(const struct alazy_ticket *ticket, const void *key,
			   size_t key_size, void *ctx)
{
	struct self_canceller *c = ctx;

	(void)key;
	(void)key_size;
	c->ticket = *ticket;
	check_eq(alazy_cancel(c->wait), 0);
	atomic_fetch_add(&c->inits, 1);
	return 0;
}

static void cancel_when_done(int err, struct alazy_ref *ref, void *ctx)
{
	struct self_canceller *c = ctx;

	check_eq(err, 0);
	check(ref);
	check_eq(alazy_cancel(c->wait), -EALREADY);
	check_detail("callback|ended");
	atomic_fetch_add(&c->dones, 1);
}

TEST(cancel_in_the_last_callback_is_too_late)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_ticket t = take(cache, "k");
	struct self_canceller c = { 0 };

	check_eq(alazy_cache_get_async(cache, "k", 1, NULL, cancel_when_done, &c,
				       &c.wait), 0);
	publish_int(&t, 1);
	drive(cache, &c.dones, 1);
	check_eq(alazy_dispatch(cache), 0);
	check_eq(atomic_load(&c.dones), 1);
	alazy_cache_close(cache);
}

static void count_done(int err, struct alazy_ref *ref, void *ctx)
{
	struct self_canceller *c = ctx;

	(void)err;
	(void)ref;
	atomic_fetch_add(&c->dones, 1);
}

TEST(init_may_cancel_its_own_wait)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_ticket t = take(cache, "k");
	struct self_canceller c = { 0 };
	struct get get = { 0 };

	check_eq(alazy_cache_get_async(cache, "k", 1, cancel_own_wait, count_done,
				       &c, &c.wait), 0);
	check_eq(alazy_abandon(&t), 0);
	drive(cache, &c.inits, 1);
	check_eq(alazy_cache_peek(cache, "k", 1, NULL, NULL),
		 ALAZY_INITIALIZING);
	publish_int(&c.ticket, 5);
	check_eq(alazy_dispatch(cache), 0);
	check_eq(atomic_load(&c.dones), 0);
	check_eq(get_int(cache, "k", make_never, &get), 0);
	check_eq(get.got, 5);
	check_eq(stats_of(cache).waits_now, 0);
	alazy_cache_close(cache);
}

/* Waits that ended in between, and newer ones that wait when the old one ends. */
static void serve_old_wait(struct alazy_cache *cache, int between, int newer)
{
	struct get old = { .value = -1 }, cancelled = { 0 };
	struct get *gets = calloc(between + newer, sizeof(*gets));
	struct alazy_wait *wait;
	char key[32];
	int i;

	assert_non_null(gets);
	snprintf(key, sizeof(key), "old %d", between);
	check_eq(get_int_async(cache, key, make_later, &old, NULL), 0);
	check_eq(get_int_async(cache, key, NULL, &cancelled, &wait), 0);
	for (i = 0; i < between + newer; i++) {
		snprintf(key, sizeof(key), "%d of %d", i, between);
		gets[i].value = i;
		check_eq(get_int_async(cache, key, make_later, &gets[i], NULL),
			 0);
		if (i >= between)
			continue;
		publish_int(&gets[i].ticket, i);
		drive(cache, &gets[i].dones, 1);
	}
	check_eq(alazy_cancel(wait), 0);
	check_eq(atomic_load(&old.dones), 0);
	publish_int(&old.ticket, -1);
	drive(cache, &old.dones, 1);
	check_eq(old.got, -1);
	check_eq(atomic_load(&cancelled.dones), 0);
	for (i = between; i < between + newer; i++) {
		check_eq(atomic_load(&gets[i].dones), 0);
		publish_int(&gets[i].ticket, i);
	}
	for (i = 0; i < between + newer; i++) {
		drive(cache, &gets[i].dones, 1);
		check_eq(atomic_load(&gets[i].dones), 1);
		check_eq(gets[i].got, i);
	}
	free(gets);
}

TEST(old_wait_among_many_newer_ones_is_served)
{
	struct alazy_cache *cache = open_cache(0, 0);
	int between;

	for (between = 0; between < 128; between++)
		serve_old_wait(cache, between, 50);
	check_eq(stats_of(cache).waits_now, 0);
	alazy_cache_close(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fd_is_readable_exactly_while_something_is_due),
		cmocka_unit_test(one_dispatch_serves_all_that_is_due),
		cmocka_unit_test(epoll_and_select_see_what_was_due_before_they_looked),
		cmocka_unit_test(sleeping_poll_is_woken_by_another_thread),
		cmocka_unit_test(cancelled_wait_is_not_called_and_disturbs_nobody),
		cmocka_unit_test(cancel_passes_a_ticket_on_its_way_to_the_next),
		cmocka_unit_test(cancel_of_the_last_offer_leaves_the_key_empty),
		cmocka_unit_test(callback_may_cancel_a_wait_that_is_due),
		cmocka_unit_test(each_of_many_callbacks_comes_exactly_once),
		cmocka_unit_test(two_dispatching_threads_share_the_callbacks),
		cmocka_unit_test(close_drops_pending_waits_without_their_callbacks),
		cmocka_unit_test(close_hands_tickets_to_waiters_of_others),
		cmocka_unit_test(callback_may_start_the_next_get),
		cmocka_unit_test(callback_may_move_its_ref_out),
		cmocka_unit_test(end_that_another_thread_reads_while_init_runs_is_not_lost),
		cmocka_unit_test(ticket_for_a_wait_that_a_callback_cancels_goes_on),
		cmocka_unit_test(cancel_in_the_last_callback_is_too_late),
		cmocka_unit_test(init_may_cancel_its_own_wait),
		cmocka_unit_test(old_wait_among_many_newer_ones_is_served),
	};

	return RUN_TESTS(tests);
}
