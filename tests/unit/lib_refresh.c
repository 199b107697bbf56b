// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Values that are made anew while they are read: stale-while-revalidate,
 * stale-if-error, early refresh, expire. Row L14. The same program on both backends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

#define MSEC	1000000ULL
#define HOUR	(3600 * 1000 * MSEC)

static void publish_stale(const struct alazy_ticket *t, int value, uint64_t ttl, uint64_t stale)
{
	struct alazy_publish_opts opts = {
		.size = sizeof(opts), .ttl_ns = ttl, .stale_ttl_ns = stale,
	};

	check_eq(alazy_publish_with(t, &value, sizeof(value), &opts), 0);
}

/* "k" is 1, stale, and will be for long. */
static struct alazy_cache *open_with_stale(void)
{
	struct alazy_cache *cache = open_with(NULL, (struct alazy_cache_opts) {
		.backoff_ns = HOUR, .backoff_max_ns = HOUR });
	struct alazy_ticket t = take(cache, "k");

	publish_stale(&t, 1, 1, HOUR);
	return cache;
}

/* ---- many readers --------------------------------------------------------------- */

struct crowd {
	struct alazy_cache *cache;
	unsigned int readers;
	atomic_uint inits;
	struct latch begun;		/* the initialiser */
	struct latch reading;		/* had the old value while the new one was made */
	struct latch made;		/* the new one is there */
};

static int make_anew(const struct alazy_ticket *t, const void *key, size_t size, void *ctx)
{
	struct crowd *c = ctx;

	(void)key;
	(void)size;
	atomic_fetch_add(&c->inits, 1);
	latch_add(&c->begun);
	/* all but this one */
	latch_wait(&c->reading, c->readers - 1);
	publish_stale(t, 2, HOUR, HOUR);
	latch_add(&c->made);
	return 0;
}

static int read_once(struct crowd *c)
{
	struct alazy_ref ref;
	int value;

	check_eq(alazy_cache_get(c->cache, "k", 1, make_anew, c, &ref), 0);
	value = ref_int(&ref);
	alazy_ref_put(&ref);
	return value;
}

static void *read_on(void *arg)
{
	struct crowd *c = arg;

	/* one of them comes back with the new value */
	if (read_once(c) == 1) {
		latch_wait(&c->begun, 1);
		check_eq(read_once(c), 1);
		latch_add(&c->reading);
		latch_wait(&c->made, 1);
	}
	check_eq(read_once(c), 2);
	return NULL;
}

TEST(l14_a_thousand_readers_over_an_expiry)
{
	struct alazy_cache *cache = open_with_stale();
	struct crowd c = {
		.cache = cache,
		.readers = 1000,
		.begun = LATCH_INIT, .reading = LATCH_INIT, .made = LATCH_INIT,
	};
	pthread_t *threads = calloc(c.readers, sizeof(*threads));
	unsigned int i;

	assert_non_null(threads);
	for (i = 0; i < c.readers; i++)
		threads[i] = start_thread(read_on, &c);
	for (i = 0; i < c.readers; i++)
		join_thread(threads[i]);
	check_eq(c.inits, 1);
	check_eq(c.reading.count, c.readers - 1);
	check_eq(stats_of(cache).refreshes, 1);
	check_eq(stats_of(cache).tickets, 2);
	check_eq(stats_of(cache).waits, 0);
	check_no_pins(cache);
	free(threads);
	alazy_cache_close(cache);
}

/* ---- one -------------------------------------------------------------------------- */

TEST(l14_error_leaves_the_value_and_is_seen_beside_it)
{
	struct alazy_cache *cache = open_with_stale();
	struct get get = { .fail = -EIO, .detail = "no backend" }, later = { .value = 3 };
	struct alazy_flight f = { .size = sizeof(f) };

	check_eq(get_int(cache, "k", make_error, &get), 0);
	check_eq(get.got, 1);
	check_eq(get.inits, 1);
	check_eq(alazy_cache_flight(cache, "k", 1, &f), 0);
	check_eq(f.flags, ALAZY_FLIGHT_NONE);
	check_eq(f.err, -EIO);
	check_eq(f.failures, 1);
	check(!strcmp(f.detail, "no backend"));
	check(f.retry_ns > now_ns());
	/* nobody tries again before its time, and nobody waits for that */
	check_eq(get_int(cache, "k", make_never, &later), 0);
	check_eq(later.got, 1);
	check_eq(stats_of(cache).waits, 0);
	alazy_cache_close(cache);
}

TEST(l14_nobody_reads_past_stale_until)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_ticket t = take(cache, "k");
	struct get get = { .value = 2 };

	publish_stale(&t, 1, 1, 1);
	check_eq(get_int(cache, "k", NULL, &get), -ENOENT);
	check_eq(get_int(cache, "k", make_int, &get), 0);
	check_eq(get.got, 2);
	alazy_cache_close(cache);
}

TEST(l14_asynchronous_get_has_the_old_value_at_once)
{
	struct alazy_cache *cache = open_with_stale();
	struct get get = { 0 }, other = { 0 };
	int two = 2;

	check_eq(get_int_async(cache, "k", make_later, &get, NULL), 1);
	check_eq(get.dones, 1);
	check_eq(get.got, 1);
	check_eq(get.inits, 1);
	check_eq(get_int_async(cache, "k", make_never, &other, NULL), 1);
	check_eq(other.got, 1);
	check_eq(alazy_publish(&get.ticket, &two, sizeof(two), 0), 0);
	check_eq(get_int(cache, "k", make_never, &other), 0);
	check_eq(other.got, 2);
	alazy_cache_close(cache);
}

TEST(l14_who_cannot_initialise_reads_the_stale_value)
{
	struct alazy_cache *cache = open_with_stale();
	struct get get = { 0 };

	check_eq(get_int(cache, "k", NULL, &get), 0);
	check_eq(get.got, 1);
	check_eq(stats_of(cache).refreshes, 0);
	alazy_cache_close(cache);
}

/* Takes 60 ms: such that it is made anew a good while before it is stale. */
static int make_long(const struct alazy_ticket *t, const void *key, size_t size, void *ctx)
{
	struct get *get = ctx;

	(void)key;
	(void)size;
	usleep(60000);
	publish_stale(t, ++get->value, 500 * MSEC, HOUR);
	get->ttl = now_ns() + 500 * MSEC;
	return 0;
}

static int make_early(const struct alazy_ticket *t, const void *key, size_t size, void *ctx)
{
	struct get *get = ctx;

	(void)key;
	(void)size;
	get->inits += now_ns() < get->ttl;
	publish_stale(t, ++get->value, HOUR, HOUR);
	return 0;
}

TEST(l14_value_that_takes_long_is_made_anew_before_it_is_stale)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get get = { 0 };
	int i, old;

	/* a machine that is busy may miss it a few times */
	for (i = 0; i < 10 && !get.inits; i++) {
		check_eq(alazy_cache_invalidate(cache, "k", 1), i ? 1 : 0);
		check_eq(get_int(cache, "k", make_long, &get), 0);
		old = get.got;
		do {
			check_eq(get_int(cache, "k", make_early, &get), 0);
		} while (get.got == old);
	}
	check_eq(get.inits, 1);
	check_eq(stats_of(cache).waits, 0);
	alazy_cache_close(cache);
}

/* ---- expire -------------------------------------------------------------------------- */

TEST(k10_expired_value_is_read_until_there_is_another)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get get = { .value = 2 };
	int one = 1;

	check_eq(alazy_cache_set(cache, "k", 1, &one, sizeof(one), 0), 0);
	check_eq(get_int(cache, "k", make_never, &get), 0);
	check_eq(alazy_cache_expire(cache, "k", 1), 1);
	check_eq(get_int(cache, "k", NULL, &get), 0);
	check_eq(get.got, 1);
	check_eq(get_int(cache, "k", make_int, &get), 0);
	check_eq(get.got, 2);
	check_eq(get.inits, 1);
	check_eq(alazy_cache_expire(cache, "nothing", 7), 0);
	check_eq(alazy_cache_expire(cache, "", 0), -EINVAL);
	check_detail("key");
	check_eq(alazy_cache_expire(NULL, "k", 1), -EINVAL);
	alazy_cache_close(cache);
}

TEST(k10_read_only_cache_does_not_expire)
{
	const char *name = unique_name("expire");
	struct alazy_cache *cache = open_named(name, 0);
	struct alazy_cache *readonly = open_named(name,
						  ALAZY_CACHE_EXISTING | ALAZY_CACHE_READONLY);

	check_eq(alazy_cache_set(cache, "k", 1, "1", 1, 0), 0);
	check_eq(alazy_cache_expire(readonly, "k", 1), -EACCES);
	check_detail("read-only");
	alazy_cache_close(readonly);
	alazy_cache_close(cache);
	alazy_cache_unlink(name, ALAZY_BACKEND_AUTO);
}

TEST(l14_large_value_is_made_anew_and_expires_too)
{
	struct alazy_cache *cache = open_for_large(NULL);
	struct alazy_ref ref;
	struct get get = { .value = 2 };

	set_memfd(cache, "k", LARGE, 1);
	check_eq(alazy_cache_expire(cache, "k", 1), 1);
	get_value(cache, "k", &ref);
	check(ref_is_pattern(&ref, LARGE, 1));
	check_eq(get_int(cache, "k", make_int, &get), 0);
	check_eq(get.got, 2);
	put_pattern(&ref, LARGE, 1);
	alazy_cache_close(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(l14_a_thousand_readers_over_an_expiry),
		cmocka_unit_test(l14_error_leaves_the_value_and_is_seen_beside_it),
		cmocka_unit_test(l14_nobody_reads_past_stale_until),
		cmocka_unit_test(l14_asynchronous_get_has_the_old_value_at_once),
		cmocka_unit_test(l14_who_cannot_initialise_reads_the_stale_value),
		cmocka_unit_test(l14_value_that_takes_long_is_made_anew_before_it_is_stale),
		cmocka_unit_test(k10_expired_value_is_read_until_there_is_another),
		cmocka_unit_test(k10_read_only_cache_does_not_expire),
		cmocka_unit_test(l14_large_value_is_made_anew_and_expires_too),
	};

	return RUN_TESTS(tests);
}
