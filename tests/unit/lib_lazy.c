// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * struct alazy (ALazy): row L2 through alazy_get(), alazy_get_async() and
 * alazy_peek(), and what it keeps once resolved. The same program on both
 * backends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

#define TASKS	10

static struct alazy *lazy_new(struct alazy_cache *cache, alazy_init_fn init,
			      struct get *get)
{
	struct alazy *lazy = alazy_new(cache, "answer", 6, init, get);

	if (!lazy)
		fprintf(stderr, "# alazy_new: %s\n", alazy_strerror_detail());
	assert_non_null(lazy);
	return lazy;
}

/* Returns the error, or the value. */
static int lazy_int(struct alazy *lazy)
{
	struct alazy_ref ref;
	int err, value;

	memset(&ref, 0xa5, sizeof(ref));
	err = alazy_get(lazy, &ref);
	if (err)
		return err;
	value = ref_int(&ref);
	alazy_ref_put(&ref);
	return value;
}

static int lazy_int_async(struct alazy *lazy, struct get *get)
{
	int ret = alazy_get_async(lazy, on_done, get, NULL);

	check(ret <= 1);
	check_eq(atomic_load(&get->dones), ret == 1);
	return ret;
}

struct shared {
	struct alazy *lazy;
	int got[TASKS];
};

static void lazy_task(unsigned int me, void *arg)
{
	struct shared *s = arg;

	s->got[me] = lazy_int(s->lazy);
}

TEST(l2_ten_tasks_of_one_lazy_run_one_init)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get get = { .value = 42 }, other = { .value = 99 };
	struct shared s = { .lazy = lazy_new(cache, make_slow, &get) };
	struct alazy *second = lazy_new(cache, make_never, &other);
	unsigned int i;

	run_threads(TASKS, lazy_task, &s);
	for (i = 0; i < TASKS; i++)
		check_eq(s.got[i], 42);
	check_eq(atomic_load(&get.inits), 1);
	/* another object of the same key, with another init */
	check_eq(lazy_int(second), 42);
	check_eq(lazy_int(s.lazy), 42);
	check_eq(atomic_load(&get.inits), 1);
	check_eq(atomic_load(&other.inits), 0);
	alazy_free(s.lazy);
	alazy_free(second);
	alazy_cache_close(cache);
}

TEST(l2_ten_async_gets_of_one_lazy_run_one_init)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get get = { .value = 42 }, calls[TASKS] = { 0 }, late = { 0 };
	struct alazy *lazy = lazy_new(cache, make_later, &get);
	unsigned int i;

	for (i = 0; i < TASKS; i++)
		check_eq(lazy_int_async(lazy, &calls[i]), 0);
	check_eq(atomic_load(&get.inits), 1);
	check_eq(alazy_publish(&get.ticket, &get.value, sizeof(int), 0), 0);
	for (i = 0; i < TASKS; i++) {
		drive(cache, &calls[i].dones, 1);
		check_eq(atomic_load(&calls[i].dones), 1);
		check_eq(calls[i].err, 0);
		check_eq(calls[i].got, 42);
	}
	check_eq(lazy_int_async(lazy, &late), 1);
	check_eq(late.got, 42);
	check_eq(lazy_int(lazy), 42);
	check_eq(atomic_load(&get.inits), 1);
	alazy_free(lazy);
	alazy_cache_close(cache);
}

TEST(l2_peek_of_a_lazy_tells_each_state)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get get = { .value = 42 }, call = { 0 };
	struct alazy *lazy = lazy_new(cache, make_later, &get);
	struct alazy_ref ref;
	int err = 0;

	check_eq(alazy_peek(lazy, &ref, &err), ALAZY_EMPTY);
	check_eq(lazy_int_async(lazy, &call), 0);
	check_eq(alazy_peek(lazy, &ref, &err), ALAZY_INITIALIZING);
	check_eq(alazy_fail(&get.ticket, -EHOSTDOWN, ALAZY_PERMANENT, 0, "down"),
		 0);
	drive(cache, &call.dones, 1);
	check_eq(call.err, -EHOSTDOWN);
	check_eq(alazy_peek(lazy, &ref, &err), ALAZY_FAILED);
	check_eq(err, -EHOSTDOWN);
	check_eq(strcmp(alazy_strerror_detail(), "down"), 0);
	check_eq(alazy_cache_set(cache, "answer", 6, &get.value, sizeof(int), 0),
		 0);
	check_eq(alazy_peek(lazy, NULL, NULL), ALAZY_FILLED);
	if (check_eq(alazy_peek(lazy, &ref, &err), ALAZY_FILLED)) {
		check_eq(ref_int(&ref), 42);
		alazy_ref_put(&ref);
	}
	alazy_free(lazy);
	alazy_cache_close(cache);
}

TEST_STABLE(resolved_lazy_stays_resolved,
	    "where values stay for ever, a lazy keeps what it found")
{
	struct alazy_cache *cache = open_stable(0, 0);
	struct get get = { .value = 1 }, fresh_get = { .value = 3 };
	struct alazy *lazy = lazy_new(cache, make_int, &get), *fresh;
	int two = 2;

	check_eq(lazy_int(lazy), 1);
	check_eq(alazy_cache_set(cache, "answer", 6, &two, sizeof(two), 0), 0);
	check_eq(lazy_int(lazy), 1);
	fresh = lazy_new(cache, make_int, &fresh_get);
	check_eq(lazy_int(fresh), 2);
	check_eq(alazy_cache_invalidate(cache, "answer", 6), 1);
	check_eq(lazy_int(lazy), 1);
	check_eq(lazy_int(fresh), 2);
	check_eq(atomic_load(&get.inits), 1);
	alazy_free(fresh);
	fresh = lazy_new(cache, make_int, &fresh_get);
	check_eq(lazy_int(fresh), 3);
	alazy_free(lazy);
	/* the value stays in the cache */
	check_eq(lazy_int(fresh), 3);
	check_eq(alazy_cache_len(cache), 1);
	alazy_free(fresh);
	alazy_free(NULL);
	alazy_cache_close(cache);
}

TEST_EVICT(lazy_of_an_evicting_cache_sees_what_is_set,
	    "where values stay for ever, a lazy keeps what it found")
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get get = { .value = 1 }, call = { 0 };
	struct alazy *lazy = lazy_new(cache, make_int, &get);
	int two = 2;

	check_eq(lazy_int(lazy), 1);
	check_eq(alazy_cache_set(cache, "answer", 6, &two, sizeof(two), 0), 0);
	check_eq(lazy_int(lazy), 2);
	check_eq(lazy_int_async(lazy, &call), 1);
	check_eq(call.got, 2);
	check_eq(atomic_load(&get.inits), 1);
	check_eq(alazy_cache_invalidate(cache, "answer", 6), 1);
	check_eq(alazy_peek(lazy, NULL, NULL), ALAZY_EMPTY);
	check_eq(lazy_int(lazy), 1);
	check_eq(lazy_int(lazy), 1);
	check_eq(atomic_load(&get.inits), 2);
	alazy_free(lazy);
	alazy_cache_close(cache);
}

TEST_STABLE(lazy_resolved_by_another_is_kept_too,
	    "where values stay for ever, a lazy keeps what it found")
{
	struct alazy_cache *cache = open_stable(0, 0);
	struct get get = { .value = 9 }, call = { 0 };
	struct alazy *lazy = lazy_new(cache, make_never, &get);
	int one = 1, two = 2;

	check_eq(alazy_cache_set(cache, "answer", 6, &one, sizeof(one), 0), 0);
	check_eq(lazy_int_async(lazy, &call), 1);
	check_eq(call.got, 1);
	check_eq(alazy_cache_set(cache, "answer", 6, &two, sizeof(two), 0), 0);
	check_eq(lazy_int(lazy), 1);
	alazy_free(lazy);
	alazy_cache_close(cache);
}

TEST(value_with_a_ttl_is_not_memoised)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get get = { .value = 1, .ttl = 3600 * SEC };
	struct alazy *lazy = lazy_new(cache, make_int, &get);
	uint64_t start, after;
	int two = 2, got;

	check_eq(lazy_int(lazy), 1);
	check_eq(lazy_int(lazy), 1);
	check_eq(atomic_load(&get.inits), 1);
	check_eq(alazy_cache_set(cache, "answer", 6, &two, sizeof(two),
				 50 * MSEC), 0);
	after = now_ns();
	/* 2 while it lives, then the init runs again */
	do {
		start = now_ns();
		got = lazy_int(lazy);
		check(got == 1 || got == 2);
		sched_yield();
	} while (got == 2 && start < after + 50 * MSEC);
	check_eq(got, 1);
	check_eq(atomic_load(&get.inits), 2);
	alazy_free(lazy);
	alazy_cache_close(cache);
}

static int fail_then_make(const struct alazy_ticket *ticket, const void *key,
			  size_t key_size, void *ctx)
{
	struct get *get = ctx;

	if (atomic_load(&get->inits) < 2)
		return make_error(ticket, key, key_size, ctx);
	return make_int(ticket, key, key_size, ctx);
}

TEST(errors_are_not_memoised)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get get = { .value = 5, .fail = -EIO,
			   .fail_class = ALAZY_TRANSIENT };
	struct alazy *lazy = lazy_new(cache, fail_then_make, &get);

	check_eq(lazy_int(lazy), -EIO);
	get.fail = -EBADMSG;
	get.fail_class = ALAZY_PERMANENT;
	check_eq(lazy_int(lazy), -EBADMSG);
	check_eq(lazy_int(lazy), -EBADMSG);
	check_eq(atomic_load(&get.inits), 2);
	check_eq(alazy_cache_invalidate(cache, "answer", 6), 1);
	check_eq(lazy_int(lazy), 5);
	check_eq(lazy_int(lazy), 5);
	check_eq(atomic_load(&get.inits), 3);
	alazy_free(lazy);
	alazy_cache_close(cache);
}

TEST(lazy_copies_its_key)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get get = { .value = 8 };
	char key[] = "volatile";
	struct alazy *lazy = alazy_new(cache, key, 8, make_int, &get);

	assert_non_null(lazy);
	memset(key, 'x', 8);
	check_eq(lazy_int(lazy), 8);
	check_eq(alazy_cache_peek(cache, "volatile", 8, NULL, NULL),
		 ALAZY_FILLED);
	check_eq(alazy_cache_peek(cache, key, 8, NULL, NULL), ALAZY_EMPTY);
	alazy_free(lazy);
	alazy_cache_close(cache);
}

struct race {
	struct alazy *lazy;
	atomic_uint bad;
};

static void hammer(unsigned int me, void *arg)
{
	struct race *r = arg;
	unsigned long i, n = scaled(1000000, 50000);

	(void)me;
	for (i = 0; i < n; i++)
		if (lazy_int(r->lazy) != 42)
			atomic_fetch_add(&r->bad, 1);
}

TEST(racing_gets_of_one_lazy_agree)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get get = { .value = 42 };
	struct race r = { .lazy = lazy_new(cache, make_int, &get) };

	run_threads(4, hammer, &r);
	check_eq(atomic_load(&r.bad), 0);
	check_eq(atomic_load(&get.inits), 1);
	alazy_free(r.lazy);
	alazy_cache_close(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(l2_ten_tasks_of_one_lazy_run_one_init),
		cmocka_unit_test(l2_ten_async_gets_of_one_lazy_run_one_init),
		cmocka_unit_test(l2_peek_of_a_lazy_tells_each_state),
		cmocka_unit_test(resolved_lazy_stays_resolved),
		cmocka_unit_test(lazy_of_an_evicting_cache_sees_what_is_set),
		cmocka_unit_test(lazy_resolved_by_another_is_kept_too),
		cmocka_unit_test(value_with_a_ttl_is_not_memoised),
		cmocka_unit_test(errors_are_not_memoised),
		cmocka_unit_test(lazy_copies_its_key),
		cmocka_unit_test(racing_gets_of_one_lazy_agree),
	};

	return RUN_TESTS(tests);
}
