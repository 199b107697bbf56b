// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * What fails, and what kills its initialisers: back-off and the crash breaker. Rows K9
 * and K14. The same program on both backends; processes on the module only.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

#define MSEC	1000000ULL
#define HOUR	(3600 * 1000 * MSEC)
#define BACKOFF	(200 * MSEC)

static struct alazy_cache *open_backoff(const char *name, uint64_t backoff)
{
	return open_with(name, (struct alazy_cache_opts) { .backoff_ns = backoff });
}

static int fail_k(struct alazy_cache *cache, const char *detail)
{
	struct get get = { .fail = -ECONNREFUSED, .detail = detail };

	return get_int(cache, "k", make_error, &get);
}

TEST(k9_next_caller_initialises_after_the_backoff)
{
	struct alazy_cache *cache = open_backoff(NULL, BACKOFF);
	struct get get = { .value = 7 };
	uint64_t failed = now_ns();

	check_eq(fail_k(cache, "no backend"), -ECONNREFUSED);
	check_detail("no backend");
	check_eq(get_int(cache, "k", make_int, &get), 0);
	check(now_ns() >= failed + BACKOFF * 3 / 4);
	check_eq(get.got, 7);
	check_eq(get.inits, 1);
	alazy_cache_close(cache);
}

TEST(k9_failure_ends_it_for_all_and_only_one_tries_again)
{
	enum { WAITERS = 100 };
	struct alazy_cache *cache = open_backoff(NULL, BACKOFF);
	struct alazy_ticket t = take(cache, "k");
	struct get gets[WAITERS], again[WAITERS];
	unsigned int i, inits = 0;

	memset(gets, 0, sizeof(gets));
	memset(again, 0, sizeof(again));
	for (i = 0; i < WAITERS; i++)
		check_eq(get_int_async(cache, "k", make_never, &gets[i], NULL), 0);
	check_eq(alazy_fail(&t, -EIO, ALAZY_TRANSIENT, 0, "why"), 0);
	for (i = 0; i < WAITERS; i++) {
		drive(cache, &gets[i].dones, 1);
		check_eq(gets[i].err, -EIO);
	}
	/* all of them come again: one initialisation, once its time has come */
	for (i = 0; i < WAITERS; i++) {
		again[i].value = 5;
		check_eq(get_int_async(cache, "k", make_int, &again[i], NULL), 0);
	}
	for (i = 0; i < WAITERS; i++) {
		drive(cache, &again[i].dones, 1);
		check_eq(again[i].err, 0);
		check_eq(again[i].got, 5);
		inits += again[i].inits;
	}
	check_eq(inits, 1);
	check_eq(stats_of(cache).held, 0);
	alazy_cache_close(cache);
}

TEST(k9_deadline_and_who_does_not_wait)
{
	struct alazy_cache *cache = open_with(NULL, (struct alazy_cache_opts) {
		.backoff_ns = HOUR, .backoff_max_ns = HOUR });
	struct alazy_answer answer;
	struct get get = { .value = 7 };
	struct alazy_flight f = { .size = sizeof(f) };

	check_eq(fail_k(cache, "why"), -ECONNREFUSED);
	check_eq(get_int_until(cache, "k", make_never, &get, now_ns() + 1), -ETIMEDOUT);
	check_eq(get_int(cache, "k", NULL, &get), -ENOENT);
	check_eq(alazy_claim(cache, "k", 1, ALAZY_CLAIM_INIT, 0, NULL, NULL, &answer), -EAGAIN);
	check_detail("failed just now");
	check_eq(alazy_cache_flight(cache, "k", 1, &f), 0);
	check_eq(f.flags, ALAZY_FLIGHT_NONE);
	check_eq(f.err, -ECONNREFUSED);
	check(!strcmp(f.detail, "why"));
	/* who knows better */
	check_eq(alazy_cache_invalidate(cache, "k", 1), 0);
	check_eq(alazy_cache_flight(cache, "k", 1, &f), -ENOENT);
	check_eq(get_int(cache, "k", make_int, &get), 0);
	alazy_cache_close(cache);
}

TEST(k9_backoff_never)
{
	struct alazy_cache *cache = open_backoff(NULL, ALAZY_NEVER);
	struct get get = { .value = 7 };
	int i;

	for (i = 0; i < 100; i++)
		check_eq(fail_k(cache, NULL), -ECONNREFUSED);
	check_eq(get_int(cache, "k", make_int, &get), 0);
	alazy_cache_close(cache);
}

/* ---- processes --------------------------------------------------------------- */

static int fail_in_a_child(void *arg)
{
	return fail_k(arg, "in a child") != -ECONNREFUSED;
}

TEST(k9_backoff_is_one_for_the_host)
{
	const char *name = unique_name("trouble");
	struct alazy_cache *cache;
	struct get get = { .value = 7 };
	uint64_t failed = now_ns();

	if (!on_kernel())
		skip();
	cache = open_backoff(name, BACKOFF);
	check_eq(reap(start_child(fail_in_a_child, cache)), 0);
	check_eq(get_int(cache, "k", make_int, &get), 0);
	check(now_ns() >= failed + BACKOFF * 3 / 4);
	check_eq(get.got, 7);
	alazy_cache_close(cache);
	alazy_cache_unlink(name, ALAZY_BACKEND_AUTO);
}

static int die_of_it(const struct alazy_ticket *t, const void *key, size_t size, void *ctx)
{
	(void)t;
	(void)key;
	(void)size;
	(void)ctx;
	kill(getpid(), SIGKILL);
	return 0;
}

static int try_to_make(void *arg)
{
	struct get get = { 0 };

	return get_int(arg, "k", die_of_it, &get) != -EOWNERDEAD;
}

TEST(k14_key_that_kills_its_initialisers_does_not_kill_them_all)
{
	const char *name = unique_name("breaker");
	struct alazy_cache *cache;
	struct get get = { .value = 7 };
	struct alazy_flight f = { .size = sizeof(f) };
	unsigned int i, dead = 0, spared = 0;
	pid_t children[20];

	if (!on_kernel())
		skip();
	cache = open_with(name, (struct alazy_cache_opts) { .breaker_ns = HOUR });
	for (i = 0; i < 20; i++)
		children[i] = start_child(try_to_make, cache);
	for (i = 0; i < 20; i++) {
		int status = reap(children[i]);

		dead += status == 128 + SIGKILL;
		spared += status == 0;
	}
	check_eq(dead, 3);
	check_eq(spared, 17);
	check_eq(get_int(cache, "k", make_never, &get), -EOWNERDEAD);
	check_detail("3 processes died");
	check_eq(alazy_cache_flight(cache, "k", 1, &f), 0);
	check_eq(f.flags, ALAZY_FLIGHT_NONE | ALAZY_FLIGHT_BROKEN);
	check_eq(stats_of(cache).broken, 1);
	/* until somebody says that it is well again */
	check_eq(alazy_cache_invalidate(cache, "k", 1), 0);
	check_eq(get_int(cache, "k", make_int, &get), 0);
	check_eq(get.got, 7);
	alazy_cache_close(cache);
	alazy_cache_unlink(name, ALAZY_BACKEND_AUTO);
}

/* ---- who goes away -------------------------------------------------------------- */

TEST(l9_restartable_goes_to_the_next_when_its_caller_cancels)
{
	struct alazy_cache *cache = open_with(NULL, (struct alazy_cache_opts) {
		.flags = ALAZY_CACHE_RESTARTABLE });
	struct get first = { .value = 1 }, next = { .value = 2 }, last = { 0 };
	struct alazy_wait *wait = NULL;
	int one = 1;

	check_eq(get_int_async(cache, "k", make_later, &first, &wait), 0);
	check_eq(get_int_async(cache, "k", make_int, &next, NULL), 0);
	check_eq(alazy_cancel(wait), 0);
	check_eq(alazy_publish(&first.ticket, &one, sizeof(one), 0), -ESTALE);
	drive(cache, &next.dones, 1);
	check_eq(next.got, 2);
	check_eq(next.inits, 1);
	check_eq(first.dones, 0);
	/* with nobody else it is as if it had never been asked for */
	check_eq(get_int_async(cache, "l", make_later, &last, &wait), 0);
	check_eq(alazy_cancel(wait), 0);
	check_eq(alazy_cache_peek(cache, "l", 1, NULL, NULL), ALAZY_EMPTY);
	check_eq(stats_of(cache).tickets_now, 0);
	alazy_cache_close(cache);
}

TEST(k14_owner_sees_the_last_waiter_leave)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_ticket t = take(cache, "k");
	struct get gets[2] = { { 0 }, { 0 } };
	struct alazy_wait *waits[2] = { NULL, NULL };

	check_eq(alazy_extend(&t, 0, 0), 0);
	check_eq(get_int_async(cache, "k", make_never, &gets[0], &waits[0]), 0);
	check_eq(get_int_async(cache, "k", NULL, &gets[1], &waits[1]), 0);
	check_eq(alazy_extend(&t, 0, 0), 2);
	check_eq(alazy_cancel(waits[0]), 0);
	check_eq(alazy_extend(&t, 0, 0), 1);
	check_eq(alazy_cancel(waits[1]), 0);
	check_eq(alazy_extend(&t, 0, 0), 0);
	check_eq(alazy_abandon(&t), 0);
	check_eq(alazy_extend(&t, 0, 0), -ESTALE);
	alazy_cache_close(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(k9_next_caller_initialises_after_the_backoff),
		cmocka_unit_test(k9_failure_ends_it_for_all_and_only_one_tries_again),
		cmocka_unit_test(k9_deadline_and_who_does_not_wait),
		cmocka_unit_test(k9_backoff_never),
		cmocka_unit_test(k9_backoff_is_one_for_the_host),
		cmocka_unit_test(k14_key_that_kills_its_initialisers_does_not_kill_them_all),
		cmocka_unit_test(l9_restartable_goes_to_the_next_when_its_caller_cancels),
		cmocka_unit_test(k14_owner_sees_the_last_waiter_leave),
	};

	return RUN_TESTS(tests);
}
