// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Get or initialise: rows L2, L3, L4, L8, L9, L10 and L11 of the features.
 * The same program on both backends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "util.h"

#define TASKS	10

static unsigned int inits_of(struct get *gets, unsigned int n)
{
	unsigned int i, sum = 0;

	for (i = 0; i < n; i++)
		sum += atomic_load(&gets[i].inits);
	return sum;
}

/* ---- L2 ---------------------------------------------------------------- */

struct l2 {
	struct alazy_cache *cache;
	struct get gets[TASKS];
};

static void l2_task(unsigned int me, void *arg)
{
	struct l2 *t = arg;

	get_int(t->cache, "answer", make_slow, &t->gets[me]);
}

static void check_second_init_is_not_run(struct alazy_cache *cache)
{
	struct get second = { .value = 99 };

	check_eq(get_int(cache, "answer", make_never, &second), 0);
	check_eq(second.got, 42);
	check_eq(get_int_async(cache, "answer", make_never, &second, NULL), 1);
	check_eq(second.err, 0);
	check_eq(second.got, 42);
	check_eq(atomic_load(&second.inits), 0);
}

TEST(l2_ten_blocking_tasks_run_one_init)
{
	struct l2 t = { .cache = open_cache(0, 0) };
	unsigned int i;

	for (i = 0; i < TASKS; i++)
		t.gets[i].value = 42;
	run_threads(TASKS, l2_task, &t);
	check_eq(inits_of(t.gets, TASKS), 1);
	for (i = 0; i < TASKS; i++) {
		check_eq(t.gets[i].err, 0);
		check_eq(t.gets[i].got, 42);
	}
	check_second_init_is_not_run(t.cache);
	alazy_cache_close(t.cache);
}

static int timer_in(uint64_t ns)
{
	struct itimerspec its = { .it_value = { ns / SEC, ns % SEC } };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	check(fd >= 0);
	check_eq(timerfd_settime(fd, 0, &its, NULL), 0);
	return fd;
}

TEST(l2_ten_async_tasks_run_one_init)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get gets[TASKS] = { 0 };
	struct pollfd fds[2] = { 0 };
	unsigned int i, dones = 0;
	uint64_t ticks;

	for (i = 0; i < TASKS; i++) {
		gets[i].value = 42;
		check_eq(get_int_async(cache, "answer", make_later, &gets[i],
				       NULL), 0);
	}
	check_eq(inits_of(gets, TASKS), 1);
	check_eq(atomic_load(&gets[0].inits), 1);

	fds[0].fd = alazy_fd(cache);
	fds[1].fd = timer_in(10 * MSEC);
	fds[0].events = fds[1].events = POLLIN;
	while (dones < TASKS && check(poll(fds, 2, 60000) > 0)) {
		if (fds[1].revents) {
			check_eq(dones, 0);
			check_eq(read(fds[1].fd, &ticks, sizeof(ticks)),
				 sizeof(ticks));
			check_eq(alazy_publish(&gets[0].ticket, &gets[0].value,
					       sizeof(int), 0), 0);
		}
		if (fds[0].revents)
			check(alazy_dispatch(cache) > 0);
		for (i = dones = 0; i < TASKS; i++)
			dones += atomic_load(&gets[i].dones);
	}
	for (i = 0; i < TASKS; i++) {
		check_eq(atomic_load(&gets[i].dones), 1);
		check_eq(gets[i].err, 0);
		check_eq(gets[i].got, 42);
	}
	check_eq(inits_of(gets, TASKS), 1);
	check_second_init_is_not_run(cache);
	close(fds[1].fd);
	alazy_cache_close(cache);
}

TEST(l2_peek_tells_each_state)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get get = { .value = 42 };
	struct alazy_ref ref;
	int err = 1;

	check_eq(alazy_cache_peek(cache, "k", 1, &ref, &err), ALAZY_EMPTY);
	check_eq(get_int_async(cache, "k", make_later, &get, NULL), 0);
	check_eq(alazy_cache_peek(cache, "k", 1, &ref, &err),
		 ALAZY_INITIALIZING);
	check_eq(alazy_cache_peek(cache, "k", 1, NULL, NULL),
		 ALAZY_INITIALIZING);
	check_eq(alazy_publish(&get.ticket, &get.value, sizeof(int), 0), 0);
	drive(cache, &get.dones, 1);
	check_eq(get.got, 42);
	check_eq(alazy_cache_peek(cache, "k", 1, NULL, NULL), ALAZY_FILLED);
	if (check_eq(alazy_cache_peek(cache, "k", 1, &ref, &err),
		     ALAZY_FILLED)) {
		check_eq(ref_int(&ref), 42);
		alazy_ref_put(&ref);
	}

	get = (struct get){ .fail = -EHOSTDOWN, .detail = "no such host",
			    .fail_class = ALAZY_PERMANENT };
	check_eq(get_int(cache, "bad", make_error, &get), -EHOSTDOWN);
	check_eq(alazy_cache_peek(cache, "bad", 3, &ref, &err), ALAZY_FAILED);
	check_eq(err, -EHOSTDOWN);
	check_eq(strcmp(alazy_strerror_detail(), "no such host"), 0);
	check_eq(alazy_cache_peek(cache, "bad", 3, NULL, NULL), ALAZY_FAILED);
	alazy_cache_close(cache);
}

TEST(l2_get_without_init_only_waits)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get none = { 0 }, get = { .value = 7 }, follower = { 0 };
	int ret;

	check_eq(get_int(cache, "k", NULL, &none), -ENOENT);
	ret = get_int_async(cache, "k", NULL, &none, NULL);
	check(ret == -ENOENT || (ret == 1 && none.err == -ENOENT));

	check_eq(get_int_async(cache, "k", make_later, &get, NULL), 0);
	check_eq(get_int_async(cache, "k", NULL, &follower, NULL), 0);
	check_eq(alazy_publish(&get.ticket, &get.value, sizeof(int), 0), 0);
	drive(cache, &follower.dones, 1);
	check_eq(follower.err, 0);
	check_eq(follower.got, 7);
	alazy_cache_close(cache);
}

/* ---- L3 ---------------------------------------------------------------- */

static void check_kept_error(struct alazy_cache *cache, int fail_class)
{
	struct get bad = { .fail = -EACCES, .fail_class = fail_class,
			   .detail = "the token was refused" };
	struct get good = { .value = 1 };
	unsigned int i;

	check_eq(get_int(cache, "token", make_error, &bad), -EACCES);
	check_eq(strcmp(alazy_strerror_detail(), bad.detail), 0);
	for (i = 0; i < 3; i++) {
		check_eq(get_int(cache, "token", make_never, &good), -EACCES);
		check_eq(strcmp(alazy_strerror_detail(), bad.detail), 0);
	}
	check_eq(get_int_async(cache, "token", make_never, &good, NULL), 1);
	check_eq(good.err, -EACCES);
	check_eq(atomic_load(&good.inits), 0);

	check_eq(alazy_cache_invalidate(cache, "token", 5), 1);
	check_eq(get_int(cache, "token", make_int, &good), 0);
	check_eq(good.got, 1);
	check_eq(atomic_load(&good.inits), 1);
	check_eq(alazy_cache_invalidate(cache, "token", 5), 1);
}

TEST(l3_kept_error_is_given_again)
{
	struct alazy_cache *cache = open_cache(0, 0);

	check_kept_error(cache, ALAZY_PERMANENT);
	check_kept_error(cache, ALAZY_NEGATIVE);
	alazy_cache_close(cache);
}

TEST(l3_negative_error_ends_with_its_ttl)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get bad = { .fail = -EIO, .fail_class = ALAZY_NEGATIVE,
			   .ttl = 200 * MSEC };
	struct get good = { .value = 5 };
	uint64_t before, after, start;

	before = now_ns();
	check_eq(get_int(cache, "k", make_error, &bad), -EIO);
	after = now_ns();
	do {
		start = now_ns();
		get_int(cache, "k", make_int, &good);
		if (good.err)
			check_eq(good.err, -EIO);
	} while (good.err && start < after + bad.ttl);
	check_eq(good.err, 0);
	check_eq(good.got, 5);
	check(now_ns() >= before + bad.ttl);
	alazy_cache_close(cache);
}

TEST(l3_transient_error_is_told_to_waiters_but_not_kept)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get first = { 0 }, waiter = { .value = 1 }, next = { .value = 2 };

	check_eq(get_int_async(cache, "k", make_later, &first, NULL), 0);
	check_eq(get_int_async(cache, "k", make_never, &waiter, NULL), 0);
	check_eq(alazy_fail(&first.ticket, -EIO, ALAZY_TRANSIENT, 0, "line cut"),
		 0);
	drive(cache, &first.dones, 1);
	drive(cache, &waiter.dones, 1);
	check_eq(first.err, -EIO);
	check_eq(waiter.err, -EIO);
	check_eq(alazy_cache_peek(cache, "k", 1, NULL, NULL), ALAZY_EMPTY);
	check_eq(get_int(cache, "k", make_int, &next), 0);
	check_eq(next.got, 2);
	alazy_cache_close(cache);
}

static int return_error(const struct alazy_ticket *ticket, const void *key,
			size_t key_size, void *ctx)
{
	make_nothing(ticket, key, key_size, ctx);
	return -EREMOTEIO;
}

TEST(l3_errno_returned_by_init_fails_the_flight)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get bad = { 0 }, good = { .value = 3 };
	int ret;

	check_eq(get_int(cache, "k", return_error, &bad), -EREMOTEIO);
	check_eq(atomic_load(&bad.inits), 1);
	ret = get_int_async(cache, "k", return_error, &bad, NULL);
	check(ret >= 0);
	drive(cache, &bad.dones, 1);
	check_eq(bad.err, -EREMOTEIO);
	check_eq(atomic_load(&bad.inits), 2);
	check_eq(get_int(cache, "k", make_int, &good), 0);
	check_eq(good.got, 3);
	alazy_cache_close(cache);
}

static int fail_then_publish(const struct alazy_ticket *ticket, const void *key,
			     size_t key_size, void *ctx)
{
	check_eq(make_error(ticket, key, key_size, ctx), 0);
	check_eq(alazy_publish(ticket, "late", 4, 0), -ESTALE);
	return -EBADMSG;	/* too late, too */
}

TEST(l3_first_end_of_a_ticket_counts)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get get = { .fail = -EIO, .fail_class = ALAZY_TRANSIENT };

	check_eq(get_int(cache, "k", fail_then_publish, &get), -EIO);
	check_eq(atomic_load(&get.inits), 1);
	alazy_cache_close(cache);
}

TEST(l3_estale_is_an_error_like_others)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get get = { .fail = -ESTALE }, waiter = { 0 };
	struct get owner = { 0 };

	check_eq(get_int(cache, "k", make_error, &get), -ESTALE);
	check_eq(atomic_load(&get.inits), 1);
	check_eq(get_int_async(cache, "l", make_later, &owner, NULL), 0);
	check_eq(get_int_async(cache, "l", make_never, &waiter, NULL), 0);
	check_eq(alazy_fail(&owner.ticket, -ESTALE, ALAZY_TRANSIENT, 0, NULL),
		 0);
	drive(cache, &owner.dones, 1);
	drive(cache, &waiter.dones, 1);
	check_eq(owner.err, -ESTALE);
	check_eq(waiter.err, -ESTALE);
	check_eq(atomic_load(&owner.inits), 1);
	alazy_cache_close(cache);
}

static void text_in_callback(int err, struct alazy_ref *ref, void *ctx)
{
	struct get *get = ctx;

	check_eq(strcmp(alazy_strerror_detail(), "disk on fire"), 0);
	on_done(err, ref, get);
}

TEST(l3_detail_reaches_callbacks_and_waiting_threads)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get owner = { 0 }, waiter = { 0 };
	char text[400];

	check_eq(get_int_async(cache, "k", make_later, &owner, NULL), 0);
	check_eq(alazy_cache_get_async(cache, "k", 1, NULL, text_in_callback,
				       &waiter, NULL), 0);
	check_eq(alazy_fail(&owner.ticket, -EIO, ALAZY_TRANSIENT, 0,
			    "disk on fire"), 0);
	drive(cache, &waiter.dones, 1);

	/* longer than 256 bytes: cut, not refused */
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	owner = (struct get){ .fail = -EIO, .fail_class = ALAZY_PERMANENT,
			      .detail = text };
	check_eq(get_int(cache, "long", make_error, &owner), -EIO);
	check(strlen(alazy_strerror_detail()) >= 255);
	check(strlen(alazy_strerror_detail()) <= 256);
	check_eq(strspn(alazy_strerror_detail(), "x"),
		 strlen(alazy_strerror_detail()));
	alazy_cache_close(cache);
}

/* ---- L4 ---------------------------------------------------------------- */

/* One that starts a 5 s init, and gives up after 20 ms. */
static void give_up_at_20_ms(struct alazy_cache *cache, struct get *first,
			     struct alazy_wait *wait)
{
	struct pollfd fds[2] = {
		{ .fd = alazy_fd(cache), .events = POLLIN },
		{ .fd = timer_in(5 * SEC), .events = POLLIN },
	};

	check_eq(poll(fds, 2, 20), 0);
	check_eq(alazy_cancel(wait), 0);
	check_eq(alazy_abandon(&first->ticket), 0);
	close(fds[1].fd);
}

TEST(l4_next_caller_completes_after_the_first_timed_out)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get first = { .value = 1 }, next = { .value = 2 };
	struct alazy_wait *wait = NULL;
	uint64_t start;

	check_eq(get_int_async(cache, "k", make_later, &first, &wait), 0);
	give_up_at_20_ms(cache, &first, wait);
	start = now_ns();
	check_eq(get_int(cache, "k", make_int, &next), 0);
	check(now_ns() - start < 100 * MSEC);
	check_eq(next.got, 2);
	check_eq(atomic_load(&next.inits), 1);
	check_eq(atomic_load(&first.dones), 0);
	check_eq(alazy_publish(&first.ticket, &first.value, sizeof(int), 0),
		 -ESTALE);
	check_eq(get_int(cache, "k", make_never, &first), 0);
	check_eq(first.got, 2);
	alazy_cache_close(cache);
}

TEST(l4_waiting_callers_complete_after_the_first_timed_out)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get first = { .value = 1 }, async = { .value = 3 };
	struct get blocked = { .value = 2, .cache = cache, .key = "k" };
	struct alazy_wait *wait = NULL;
	uint64_t start, waits;
	pthread_t thread;

	check_eq(get_int_async(cache, "k", make_later, &first, &wait), 0);
	waits = stats_of(cache).waits_now;
	thread = start_thread(get_thread, &blocked);
	await_waits(cache, waits + 1);
	check_eq(get_int_async(cache, "k", make_int, &async, NULL), 0);
	give_up_at_20_ms(cache, &first, wait);
	start = now_ns();
	join_thread(thread);
	drive(cache, &async.dones, 1);
	check(now_ns() - start < 100 * MSEC);
	/* the oldest of the two that waited has made it, for both */
	check_eq(blocked.err, 0);
	check_eq(async.err, 0);
	check_eq(blocked.got, 2);
	check_eq(async.got, 2);
	check_eq(atomic_load(&blocked.inits), 1);
	check_eq(blocked.attempt, 1);
	check_eq(atomic_load(&async.inits), 0);
	check_eq(atomic_load(&first.dones), 0);
	alazy_cache_close(cache);
}

TEST(l4_init_that_returns_early_is_given_up)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get early = { 0 }, next = { .value = 2 };

	check_eq(get_int(cache, "k", make_nothing, &early), -ECANCELED);
	check_eq(atomic_load(&early.inits), 1);
	check_detail("init|ticket|gave up|given up");
	check_eq(alazy_cache_peek(cache, "k", 1, NULL, NULL), ALAZY_EMPTY);
	check_eq(get_int(cache, "k", make_int, &next), 0);
	check_eq(next.got, 2);
	check_eq(atomic_load(&next.inits), 1);
	alazy_cache_close(cache);
}

static int tell_await_return(const struct alazy_ticket *ticket, const void *key,
			     size_t key_size, void *ctx)
{
	struct get *get = ctx;

	make_nothing(ticket, key, key_size, ctx);
	latch_add(get->started);
	latch_wait(get->go, 1);
	return 0;
}

static void *early_thread(void *arg)
{
	struct get *get = arg;

	get_int(get->cache, get->key, tell_await_return, get);
	return NULL;
}

TEST(l4_waiter_takes_over_from_an_init_that_returns_early)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct latch started = LATCH_INIT, go = LATCH_INIT;
	struct get early = { .cache = cache, .key = "k", .started = &started,
			     .go = &go };
	struct get waiter = { .value = 6, .cache = cache, .key = "k" };
	pthread_t threads[2];

	threads[0] = start_thread(early_thread, &early);
	latch_wait(&started, 1);
	threads[1] = start_thread(get_thread, &waiter);
	await_waits(cache, 1);
	latch_add(&go);
	join_thread(threads[0]);
	join_thread(threads[1]);
	check_eq(early.err, -ECANCELED);
	check_eq(waiter.err, 0);
	check_eq(waiter.got, 6);
	check_eq(atomic_load(&waiter.inits), 1);
	check_eq(waiter.attempt, 1);
	alazy_cache_close(cache);
}

TEST(l4_deadline_ends_a_blocking_wait_and_nothing_else)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get owner = { .value = 8 }, other = { 0 }, late = { 0 };
	uint64_t deadline;

	check_eq(get_int_async(cache, "k", make_later, &owner, NULL), 0);
	check_eq(get_int_async(cache, "k", make_never, &other, NULL), 0);
	deadline = now_ns() + 20 * MSEC;
	check_eq(get_int_until(cache, "k", make_never, &late, deadline),
		 -ETIMEDOUT);
	check(now_ns() >= deadline);
	check_detail("deadline|timed out|in time");
	/* a deadline that has passed already */
	check_eq(get_int_until(cache, "k", make_never, &late, 1), -ETIMEDOUT);
	check_eq(stats_of(cache).tickets_now, 1);

	check_eq(alazy_publish(&owner.ticket, &owner.value, sizeof(int), 0), 0);
	drive(cache, &other.dones, 1);
	drive(cache, &owner.dones, 1);
	check_eq(other.got, 8);
	check_eq(owner.got, 8);
	/* it bounds waiting: hits and own inits it does not */
	check_eq(get_int_until(cache, "k", make_never, &late, 1), 0);
	check_eq(get_int_until(cache, "new", make_int, &late, 1), 0);
	alazy_cache_close(cache);
}

/* ---- L8 ---------------------------------------------------------------- */

struct payload {
	const char *text;
	atomic_uint *inits;
};

static int make_payload(const struct alazy_ticket *ticket, const void *key,
			size_t key_size, void *ctx)
{
	struct payload *p = ctx;
	char value[64];
	int n;

	n = snprintf(value, sizeof(value), "%.*s:%s", (int)key_size,
		     (const char *)key, p->text);
	atomic_fetch_add(p->inits, 1);
	return alazy_publish(ticket, value, n, 0);
}

static void get_payload(struct alazy_cache *cache, struct payload *p,
			const char *want)
{
	struct alazy_ref ref;

	/* the key is derived from the payload: its first word */
	if (!check_eq(alazy_cache_get(cache, p->text, strcspn(p->text, " "),
				      make_payload, p, &ref), 0))
		return;
	check(ref_is(&ref, want, strlen(want)));
	alazy_ref_put(&ref);
}

TEST(l8_same_id_with_another_payload_gets_the_first_value)
{
	struct alazy_cache *cache = open_cache(0, 0);
	atomic_uint inits = 0;
	struct payload p[] = {
		{ "page red", &inits }, { "page blue", &inits },
		{ "book blue", &inits },
	};

	get_payload(cache, &p[0], "page:page red");
	get_payload(cache, &p[1], "page:page red");
	get_payload(cache, &p[0], "page:page red");
	check_eq(atomic_load(&inits), 1);
	get_payload(cache, &p[2], "book:book blue");
	check_eq(atomic_load(&inits), 2);
	alazy_cache_close(cache);
}

/* ---- L9 ---------------------------------------------------------------- */

static void *publish_thread(void *arg)
{
	struct get *get = arg;

	check_eq(alazy_publish(&get->ticket, &get->value, sizeof(int), 0), 0);
	return NULL;
}

TEST(l9_init_goes_on_when_its_only_caller_cancels)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get only = { .value = 11 }, later = { 0 };
	struct alazy_wait *wait = NULL;

	check_eq(get_int_async(cache, "k", make_later, &only, &wait), 0);
	check_eq(alazy_cancel(wait), 0);
	check_eq(alazy_cache_peek(cache, "k", 1, NULL, NULL),
		 ALAZY_INITIALIZING);
	join_thread(start_thread(publish_thread, &only));
	check_eq(get_int(cache, "k", make_never, &later), 0);
	check_eq(later.got, 11);
	check(alazy_dispatch(cache) >= 0);
	check_eq(atomic_load(&only.dones), 0);
	alazy_cache_close(cache);
}

TEST(l9_a_thousand_waiters_get_the_detached_value)
{
	enum { WAITERS = 1000 };
	struct alazy_cache *cache = open_cache(0, 0);
	struct get *gets = calloc(WAITERS, sizeof(*gets));
	struct get only = { .value = 12 };
	struct alazy_wait *wait = NULL;
	unsigned int i;

	assert_non_null(gets);
	check_eq(get_int_async(cache, "k", make_later, &only, &wait), 0);
	for (i = 0; i < WAITERS; i++)
		check_eq(get_int_async(cache, "k", make_never, &gets[i], NULL),
			 0);
	check_eq(alazy_cancel(wait), 0);
	join_thread(start_thread(publish_thread, &only));
	for (i = 0; i < WAITERS; i++)
		drive(cache, &gets[i].dones, 1);
	check_eq(alazy_dispatch(cache), 0);
	for (i = 0; i < WAITERS; i++) {
		check_eq(atomic_load(&gets[i].dones), 1);
		check_eq(gets[i].err, 0);
		check_eq(gets[i].got, 12);
	}
	check_eq(atomic_load(&only.dones), 0);
	alazy_cache_close(cache);
	free(gets);
}

/* ---- L10 --------------------------------------------------------------- */

struct l10 {
	struct alazy_cache *cache;
	uint64_t keys;
	atomic_ulong inits;
	atomic_ulong errors;
};

static int make_instantly(const struct alazy_ticket *ticket, const void *key,
			  size_t key_size, void *ctx)
{
	struct l10 *t = ctx;

	atomic_fetch_add(&t->inits, 1);
	return alazy_publish(ticket, key, key_size, 0);
}

static void get_all(unsigned int me, void *arg)
{
	struct l10 *t = arg;
	struct alazy_ref ref;
	uint64_t i;

	(void)me;
	for (i = 0; i < t->keys; i++) {
		int err = alazy_cache_get(t->cache, &i, sizeof(i),
					  make_instantly, t, &ref);

		if (err || !ref_is(&ref, &i, sizeof(i)))
			atomic_fetch_add(&t->errors, 1);
		if (!err)
			alazy_ref_put(&ref);
	}
}

static void get_all_with(unsigned int threads, uint64_t keys)
{
	struct l10 t = { .cache = open_cache(keys, keys * 192), .keys = keys };

	run_threads(threads, get_all, &t);
	check_eq(atomic_load(&t.errors), 0);
	check_eq(atomic_load(&t.inits), keys);
	check_eq(alazy_cache_len(t.cache), keys);
	alazy_cache_close(t.cache);
}

TEST_VOLUME(l10_instant_init_never_fails_a_single_caller)
{
	get_all_with(1, scaled(1000000, 50000));
}

TEST_VOLUME(l10_instant_init_never_fails_racing_callers)
{
	get_all_with(4, scaled(500000, 25000));
}

/* ---- L11 --------------------------------------------------------------- */

TEST(l11_a_sleeping_init_holds_nothing_up)
{
	struct alazy_cache *cache = open_cache(60000, 0);
	struct latch started = LATCH_INIT, go = LATCH_INIT;
	struct get sleeper = { .value = 1, .cache = cache, .key = "asleep",
			       .started = &started, .go = &go };
	struct get get = { .value = 2 };
	pthread_t thread;
	unsigned int i;
	char key[16];

	thread = start_thread(get_gated_thread, &sleeper);
	latch_wait(&started, 1);
	/* 100,000: 25,000 each of init, hit, set, invalidate */
	for (i = 0; i < 25000; i++) {
		snprintf(key, sizeof(key), "%u", i);
		check_eq(get_int(cache, key, make_int, &get), 0);
		check_eq(get_int(cache, key, make_never, &get), 0);
		check_eq(alazy_cache_set(cache, key, strlen(key), "x", 1, 0), 0);
		check_eq(alazy_cache_invalidate(cache, key, strlen(key)), 1);
	}
	check_eq(alazy_cache_peek(cache, "asleep", 6, NULL, NULL),
		 ALAZY_INITIALIZING);
	latch_add(&go);
	join_thread(thread);
	check_eq(sleeper.err, 0);
	check_eq(sleeper.got, 1);
	alazy_cache_close(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(l2_ten_blocking_tasks_run_one_init),
		cmocka_unit_test(l2_ten_async_tasks_run_one_init),
		cmocka_unit_test(l2_peek_tells_each_state),
		cmocka_unit_test(l2_get_without_init_only_waits),
		cmocka_unit_test(l3_kept_error_is_given_again),
		cmocka_unit_test(l3_negative_error_ends_with_its_ttl),
		cmocka_unit_test(l3_transient_error_is_told_to_waiters_but_not_kept),
		cmocka_unit_test(l3_errno_returned_by_init_fails_the_flight),
		cmocka_unit_test(l3_first_end_of_a_ticket_counts),
		cmocka_unit_test(l3_estale_is_an_error_like_others),
		cmocka_unit_test(l3_detail_reaches_callbacks_and_waiting_threads),
		cmocka_unit_test(l4_next_caller_completes_after_the_first_timed_out),
		cmocka_unit_test(l4_waiting_callers_complete_after_the_first_timed_out),
		cmocka_unit_test(l4_init_that_returns_early_is_given_up),
		cmocka_unit_test(l4_waiter_takes_over_from_an_init_that_returns_early),
		cmocka_unit_test(l4_deadline_ends_a_blocking_wait_and_nothing_else),
		cmocka_unit_test(l8_same_id_with_another_payload_gets_the_first_value),
		cmocka_unit_test(l9_init_goes_on_when_its_only_caller_cancels),
		cmocka_unit_test(l9_a_thousand_waiters_get_the_detached_value),
		cmocka_unit_test(l10_instant_init_never_fails_a_single_caller),
		cmocka_unit_test(l10_instant_init_never_fails_racing_callers),
		cmocka_unit_test(l11_a_sleeping_init_holds_nothing_up),
	};

	return RUN_TESTS(tests);
}
