// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Refs into caches that evict: however many, in whatever threads, what they refer
 * to stays as it is until they are put. Row L13. The same program on both backends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define SIZE		500	/* bytes of most values here */
#define IN_PLACE	7	/* refs of a thread that are no copies */
#define LINES		63	/* threads that have any such */

static void put_key(struct alazy_cache *cache, uint64_t key)
{
	check_eq(set_pattern(cache, key, SIZE, key), 0);
}

static bool take_ref(struct alazy_cache *cache, uint64_t key, struct alazy_ref *ref)
{
	memset(ref, 0, sizeof(*ref));
	return check_eq(alazy_cache_get(cache, &key, sizeof(key), NULL, NULL, ref), 0) &&
	       check(ref_is_pattern(ref, SIZE, key));
}

static void put_ref(struct alazy_ref *ref, uint64_t key)
{
	check(ref_is_pattern(ref, SIZE, key));
	alazy_ref_put(ref);
}

/* ---- one thread --------------------------------------------------------- */

TEST(l13_a_thread_has_a_hundred_refs_and_seven_of_them_in_place)
{
	enum { REFS = 100 };
	struct alazy_cache *cache = open_small(NULL, 16);
	struct alazy_ref refs[REFS];
	uint64_t i;

	for (i = 0; i < REFS; i++)
		put_key(cache, i);
	for (i = 0; i < REFS; i++)
		take_ref(cache, i, &refs[i]);
	flood_cache(cache);
	check_eq(stats_of(cache).pins_now, IN_PLACE);
	for (i = 0; i < REFS; i++)
		check(ref_is_pattern(&refs[i], SIZE, i));
	/* what is put is free for the next, in any order */
	put_ref(&refs[3], 3);
	put_ref(&refs[99], 99);
	put_key(cache, 99);
	take_ref(cache, 99, &refs[99]);
	put_key(cache, 3);
	take_ref(cache, 3, &refs[3]);
	flood_cache(cache);
	check_eq(stats_of(cache).pins_now, IN_PLACE);
	for (i = REFS; i--;)
		put_ref(&refs[i], i);
	check_no_pins(cache);
	alazy_cache_close(cache);
}

static void open_caches(struct alazy_cache **caches, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		caches[i] = open_small(NULL, 8);
}

/* A thread with refs in all of @n caches at once, more than it has pins. */
static void use_caches(struct alazy_cache **caches, unsigned int n)
{
	struct alazy_ref refs[10][IN_PLACE + 2];
	unsigned int i, j;

	for (j = 0; j < IN_PLACE + 2; j++) {
		for (i = 0; i < n; i++) {
			put_key(caches[i], 16 * i + j);
			take_ref(caches[i], 16 * i + j, &refs[i][j]);
		}
	}
	for (i = 0; i < n; i++)
		flood_cache(caches[i]);
	for (i = 0; i < n; i++)
		for (j = 0; j < IN_PLACE + 2; j++)
			put_ref(&refs[i][j], 16 * i + j);
	for (i = 0; i < n; i++)
		check_no_pins(caches[i]);
}

TEST(l13_a_thread_has_refs_in_two_and_in_ten_caches)
{
	struct alazy_cache *caches[10];
	unsigned int i;

	open_caches(caches, 10);
	use_caches(caches, 2);
	use_caches(caches, 10);
	use_caches(caches + 5, 2);
	for (i = 0; i < 10; i++)
		alazy_cache_close(caches[i]);
}

TEST(cache_that_is_closed_and_opened_again_is_read_anew)
{
	const char *name = unique_name("again");
	struct alazy_cache *keep = open_small(name, 8), *cache;
	struct alazy_ref ref, left;
	unsigned int i;

	put_key(keep, 1);
	for (i = 0; i < 200; i++) {
		cache = i % 2 ? open_small(name, 8) : open_small(NULL, 8);
		if (i % 2 == 0)
			put_key(cache, 1);
		/* one ref is still there at the close, which takes it */
		take_ref(cache, 1, &left);
		take_ref(cache, 1, &ref);
		put_ref(&ref, 1);
		alazy_cache_close(cache);
		take_ref(keep, 1, &ref);
		put_ref(&ref, 1);
	}
	check_eq(stats_of(keep).clients, 1);
	check_no_pins(keep);
	alazy_cache_close(keep);
	check_eq(alazy_cache_unlink(name, ALAZY_BACKEND_AUTO), 0);
}

TEST(kept_errors_of_an_evicting_cache_pin_nothing)
{
	struct alazy_cache *cache = open_small(NULL, 8);
	struct get bad[2] = {
		{ .fail = -EACCES, .fail_class = ALAZY_PERMANENT, .detail = "for ever" },
		{ .fail = -EBUSY, .fail_class = ALAZY_NEGATIVE, .ttl = 3600 * SEC,
		  .detail = "for an hour" },
	};
	struct alazy_ref refs[IN_PLACE + 1];
	struct get get = { 0 };
	unsigned int round, i;
	int err;

	check_eq(get_int(cache, "0", make_error, &bad[0]), -EACCES);
	check_eq(get_int(cache, "1", make_error, &bad[1]), -EBUSY);
	check_eq(get_int(cache, "unread", make_error, &bad[0]), -EACCES);
	/* with pins to spare, and without */
	for (round = 0; round < 2; round++) {
		for (i = 0; i < 100; i++) {
			const char *key = i % 2 ? "1" : "0";

			check_eq(get_int(cache, key, make_never, &get), bad[i % 2].fail);
			check_eq(strcmp(alazy_strerror_detail(), bad[i % 2].detail), 0);
			check_eq(get_int_async(cache, key, make_never, &get, NULL), 1);
			check_eq(get.err, bad[i % 2].fail);
			check_eq(alazy_cache_peek(cache, key, 1, NULL, &err), ALAZY_FAILED);
			check_eq(err, bad[i % 2].fail);
		}
		for (i = 0; !round && i < IN_PLACE + 1; i++) {
			put_key(cache, i);
			take_ref(cache, i, &refs[i]);
		}
	}
	for (i = 0; i < IN_PLACE + 1; i++)
		put_ref(&refs[i], i);
	check_no_pins(cache);
	/* one that nobody read again is evicted, as anything else */
	check_eq(alazy_cache_peek(cache, "unread", 6, NULL, NULL), ALAZY_EMPTY);
	alazy_cache_close(cache);
}

/* ---- many threads ------------------------------------------------------- */

struct crowd {
	struct alazy_cache *cache;
	struct latch took, go;
};

static void take_three_refs(unsigned int me, void *arg)
{
	struct crowd *c = arg;
	struct get get = { 0 };
	struct alazy_answer a;
	struct alazy_ref refs[3];
	uint64_t keys[3] = { me, me + 1, 1000 };
	char text[16];
	unsigned int i;

	for (i = 0; i < 3; i++)
		take_ref(c->cache, keys[i], &refs[i]);
	/* every other way to a value that is there */
	snprintf(text, sizeof(text), "%u", me);
	check_eq(get_int(c->cache, text, make_int, &get), 0);
	for (i = 0; i < 4; i++) {
		const uint32_t flags[] = { 0, ALAZY_CLAIM_INIT | ALAZY_CLAIM_BLOCK,
					   ALAZY_CLAIM_EVENT, ALAZY_CLAIM_FD };
		struct answered ctx;

		if (check_eq(claim(c->cache, text, flags[i], &ctx, &a), ALAZY_ANSWER_HIT))
			check_eq(ref_int(&a.ref), 0);
		alazy_ref_put(&a.ref);
	}
	check_eq(get_int_async(c->cache, text, make_never, &get, NULL), 1);
	check_eq(get.err, 0);
	latch_add(&c->took);
	latch_wait(&c->go, 1);
	for (i = 0; i < 3; i++)
		put_ref(&refs[i], keys[i]);
}

static void *flood_thread(void *arg)
{
	struct crowd *c = arg;

	latch_wait(&c->took, 100);
	flood_cache(c->cache);
	/* 63 have a line, and the others copies */
	check_eq(stats_of(c->cache).pins_now, 3 * LINES);
	latch_add(&c->go);
	return NULL;
}

TEST(l13_a_hundred_threads_have_refs_at_once)
{
	struct crowd c = {
		.cache = open_small(NULL, 32), .took = LATCH_INIT, .go = LATCH_INIT,
	};
	pthread_t thread;
	uint64_t i;

	for (i = 0; i < 101; i++)
		put_key(c.cache, i);
	put_key(c.cache, 1000);
	thread = start_thread(flood_thread, &c);
	run_threads(100, take_three_refs, &c);
	join_thread(thread);
	check_no_pins(c.cache);
	alazy_cache_close(c.cache);
}

struct errand {
	struct alazy_cache *cache;
	uint64_t key;
	struct alazy_ref ref;
};

static void *fetch(void *arg)
{
	struct errand *e = arg;

	take_ref(e->cache, e->key, &e->ref);
	return NULL;
}

static void *fetch_and_put(void *arg)
{
	struct errand *e = arg;

	take_ref(e->cache, e->key, &e->ref);
	put_ref(&e->ref, e->key);
	return NULL;
}

static void *put_for_another(void *arg)
{
	struct errand *e = arg;

	put_ref(&e->ref, e->key);
	return NULL;
}

TEST(l13_ref_outlives_its_thread_and_is_put_by_another)
{
	enum { ERRANDS = 200 };
	struct alazy_cache *cache = open_small(NULL, 32);
	struct errand *e = calloc(ERRANDS, sizeof(*e));
	unsigned int i;

	assert_non_null(e);
	for (i = 0; i < ERRANDS; i++) {
		e[i] = (struct errand){ .cache = cache, .key = i };
		put_key(cache, i);
		join_thread(start_thread(fetch, &e[i]));
	}
	flood_cache(cache);
	/* all that 63 lines of seven have room for, though each had one at a time */
	check_eq(stats_of(cache).pins_now, ERRANDS);
	for (i = 0; i < ERRANDS; i++)
		join_thread(start_thread(put_for_another, &e[i]));
	check_no_pins(cache);
	free(e);
	alazy_cache_close(cache);
}

TEST(l13_thread_that_ends_gives_its_line_to_the_next)
{
	unsigned int threads = scaled(20000, 2000), i;
	struct alazy_cache *cache = open_small(NULL, 8);
	struct errand e = { .cache = cache, .key = 5 };

	put_key(cache, 5);
	for (i = 0; i < threads; i++)
		join_thread(start_thread(fetch_and_put, &e));
	/* the last one's ref is in place, which it would not be without a line */
	join_thread(start_thread(fetch, &e));
	flood_cache(cache);
	check_eq(stats_of(cache).pins_now, 1);
	put_ref(&e.ref, 5);
	check_no_pins(cache);
	alazy_cache_close(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(l13_a_thread_has_a_hundred_refs_and_seven_of_them_in_place),
		cmocka_unit_test(l13_a_thread_has_refs_in_two_and_in_ten_caches),
		cmocka_unit_test(cache_that_is_closed_and_opened_again_is_read_anew),
		cmocka_unit_test(kept_errors_of_an_evicting_cache_pin_nothing),
		cmocka_unit_test(l13_a_hundred_threads_have_refs_at_once),
		cmocka_unit_test(l13_ref_outlives_its_thread_and_is_put_by_another),
		cmocka_unit_test(l13_thread_that_ends_gives_its_line_to_the_next),
	};

	return RUN_TESTS(tests);
}
