// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Caches that evict: what they keep, what they let go, and what their figures say.
 * Rows L6 and L13. The same program on both backends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

/* What a key's value is, for ever: 0 to 3 KiB. */
static size_t size_of(uint64_t key)
{
	return key * 2654435761U % 3072;
}

struct maker {
	struct alazy_cache *cache;
	unsigned long inits;
};

static int make_pattern(const struct alazy_ticket *ticket, const void *key,
			size_t key_size, void *ctx)
{
	struct maker *m = ctx;
	char value[3072];
	uint64_t k;

	check_eq(key_size, sizeof(k));
	memcpy(&k, key, sizeof(k));
	m->inits++;
	pattern_fill(value, size_of(k), k);
	return alazy_publish(ticket, value, size_of(k), 0);
}

static void get_key(struct maker *m, uint64_t key)
{
	struct alazy_ref ref;

	if (!check_eq(alazy_cache_get(m->cache, &key, sizeof(key), make_pattern, m,
				      &ref), 0))
		return;
	check(ref_is_pattern(&ref, size_of(key), key));
	alazy_ref_put(&ref);
}

static void check_bounded(struct alazy_cache *cache)
{
	struct alazy_stats s;
	uint64_t sum, len;

	/* of one moment: the kernel backend goes on evicting for a while */
	do {
		s = stats_of(cache);
		len = alazy_cache_len(cache);
	} while (stats_of(cache).evictions != s.evictions);
	check(s.arena_allocated + s.memfd_bytes <= s.segments * SMALL_SEGMENT);
	check(s.arena_used <= s.arena_allocated);
	sum = (s.segments_free + s.segments_open + s.segments_full +
	       s.segments_held) * SMALL_SEGMENT;
	/* on the kernel backend some may be on their way just now */
	check(on_kernel() ? sum <= s.arena_allocated : sum == s.arena_allocated);
	check_eq(s.keys, len);
}

static uint64_t count_filled(struct alazy_cache *cache, uint64_t keys)
{
	uint64_t key, n = 0;

	for (key = 0; key < keys; key++)
		n += alazy_cache_peek(cache, &key, sizeof(key), NULL, NULL) ==
			ALAZY_FILLED;
	return n;
}

/* ---- more than there is room for --------------------------------------- */

TEST(l13_memory_is_bounded_and_values_right_far_beyond_the_arena)
{
	uint64_t keys = scaled(1000000, 20000), i, filled;
	struct maker m = { .cache = open_small(NULL, 16) };
	struct alazy_stats s;

	for (i = 0; i < keys; i++) {
		get_key(&m, i);
		get_key(&m, i - i % 7);		/* some of them hits */
		if (i % 512 == 0)
			check_bounded(m.cache);
	}
	/* of one moment, though the kernel backend goes on evicting for a while */
	do {
		s = stats_of(m.cache);
		filled = count_filled(m.cache, keys);
	} while (stats_of(m.cache).evictions != s.evictions);
	check_eq(filled, s.keys);
	check_eq(s.nospace, 0);
	check_eq(s.unkept, 0);
	check_eq(s.expired, 0);
	check_eq(s.segments, 16);
	check_eq(s.publishes, m.inits);
	check(s.reclaims > 0);
	/* L6: each that was made is there, or was evicted, once */
	check_eq(m.inits, s.keys + s.evictions);
	/* and there is as much as there is room for: half of it at the least */
	check(s.keys > 8 * SMALL_SEGMENT / (1536 + 128));
	check_bounded(m.cache);
	alazy_cache_close(m.cache);
}

TEST(l6_table_that_is_full_lets_old_keys_go)
{
	struct alazy_cache_opts opts = { .size = sizeof(opts), .max_keys = 64 };
	struct alazy_cache *cache = alazy_cache_open(NULL, &opts);
	uint64_t i, keys = 10000;
	struct maker m = { .cache = cache };
	struct alazy_stats s;

	assert_non_null(cache);
	for (i = 0; i < keys; i++) {
		check_eq(set_pattern(cache, i, size_of(i), i), 0);
		check_eq(alazy_cache_peek(cache, &i, sizeof(i), NULL, NULL),
			 ALAZY_FILLED);
		get_key(&m, i + keys);
	}
	s = stats_of(cache);
	check_eq(s.nospace, 0);
	check_eq(s.sets, keys);
	check_eq(s.keys + s.evictions, 2 * keys);
	check(s.keys >= 64);
	check_eq(count_filled(cache, 2 * keys), s.keys);
	alazy_cache_close(cache);
}

TEST(l13_values_as_large_as_a_segment_take_turns)
{
	struct alazy_cache *cache = open_small(NULL, 8);
	size_t size = SMALL_SEGMENT - 8192;
	struct alazy_ref ref;
	uint64_t i;

	for (i = 0; i < 200; i++) {
		check_eq(set_pattern(cache, i, i % 2 ? size : 100, i), 0);
		if (!check_eq(alazy_cache_peek(cache, &i, sizeof(i), &ref, NULL),
			      ALAZY_FILLED))
			continue;
		check(ref_is_pattern(&ref, i % 2 ? size : 100, i));
		alazy_ref_put(&ref);
		check_bounded(cache);
	}
	check_eq(stats_of(cache).memfds, 0);
	alazy_cache_close(cache);
}

TEST(l13_what_is_read_often_survives_a_scan)
{
	enum { HOT = 100, ROUNDS = 400, COLD = 20 };
	struct maker hot = { .cache = open_small(NULL, 16) };
	struct maker cold = { .cache = hot.cache };
	unsigned long warm;
	uint64_t i, round;

	/* some 150 KiB of 1 MiB are hot; the scan is of some 12 MiB */
	for (i = 0; i < HOT; i++)
		get_key(&hot, i);
	warm = hot.inits;
	check_eq(warm, HOT);
	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < COLD; i++)
			get_key(&cold, HOT + round * COLD + i);
		for (i = 0; i < HOT; i++)
			get_key(&hot, i);
	}
	check_eq(cold.inits, ROUNDS * COLD);
	/* of 40,000 reads; first in, first out would make each a dozen times */
	check(hot.inits - warm <= HOT);
	check(stats_of(hot.cache).reinsertions > 0);
	alazy_cache_close(hot.cache);
}

/* ---- L13: values that go while somebody reads them ---------------------- */

static bool overlaps(const struct alazy_ref *a, const struct alazy_ref *b)
{
	return (const char *)a->data < (const char *)b->data + b->size &&
	       (const char *)b->data < (const char *)a->data + a->size;
}

/* Set new keys, four times what there is room for; nobody may touch @n held ones. */
static void flood(struct alazy_cache *cache, const struct alazy_ref *held, unsigned int n)
{
	static uint64_t key = 1000000;
	struct alazy_ref ref;
	unsigned int i, j;

	for (i = 0; i < 4 * 8 * SMALL_SEGMENT / 1088; i++, key++) {
		check_eq(set_pattern(cache, key, 1000, key), 0);
		if (!check_eq(alazy_cache_peek(cache, &key, sizeof(key), &ref, NULL),
			      ALAZY_FILLED))
			continue;
		check(ref_is_pattern(&ref, 1000, key));
		for (j = 0; j < n; j++)
			check(!overlaps(&ref, &held[j]));
		alazy_ref_put(&ref);
	}
}

static void hold_in_segments_of_their_own(struct alazy_cache *cache, struct alazy_ref *held)
{
	uint64_t i;

	for (i = 0; i < 4; i++) {
		check_eq(set_pattern(cache, i, 3000, i), 0);
		check_eq(alazy_cache_peek(cache, &i, sizeof(i), &held[i], NULL),
			 ALAZY_FILLED);
		check_eq(set_pattern(cache, 100 + i, 61000, i), 0);
	}
}

static void check_held(struct alazy_cache *cache, struct alazy_ref *held, unsigned int from)
{
	struct alazy_stats s = stats_of(cache);
	unsigned int i;

	for (i = from; i < 4; i++)
		check(ref_is_pattern(&held[i], 3000, i));
	/* memory is put aside for what is held, and only for that */
	check_eq(s.segments_held, 4 - from);
	check_eq(s.pins_now, 4 - from);
	check(s.arena_allocated <= (8 + 4 - from) * SMALL_SEGMENT);
}

TEST(l13_value_that_is_held_stays_when_it_is_set_removed_evicted_or_cleared)
{
	struct alazy_cache *cache = open_small(NULL, 8);
	struct alazy_ref held[4];
	uint64_t i;

	hold_in_segments_of_their_own(cache, held);
	i = 0;
	check_eq(set_pattern(cache, i, 1000, 77), 0);
	i = 1;
	check_eq(alazy_cache_invalidate(cache, &i, sizeof(i)), 1);
	flood(cache, held, 4);
	for (i = 0; i < 4; i++)
		check_eq(alazy_cache_peek(cache, &i, sizeof(i), NULL, NULL),
			 ALAZY_EMPTY);
	check_held(cache, held, 0);
	check(alazy_cache_clear(cache) > 0);
	check_eq(alazy_cache_len(cache), 0);
	flood(cache, held, 4);
	check_held(cache, held, 0);
	for (i = 0; i < 4; i++) {
		alazy_ref_put(&held[i]);
		alazy_ref_put(&held[i]);	/* allowed */
		flood(cache, held, 4);
		check_held(cache, held, i + 1);
	}
	check_bounded(cache);
	alazy_cache_close(cache);
}

TEST(l13_memory_of_what_was_held_is_used_again)
{
	struct alazy_cache *cache = open_small(NULL, 8);
	struct alazy_ref held[4];
	unsigned int round, i;

	/* there are addresses for 16 segments: 50 times 4 that stay away would show */
	for (round = 0; round < 50; round++) {
		hold_in_segments_of_their_own(cache, held);
		flood(cache, held, 4);
		check_held(cache, held, 0);
		for (i = 0; i < 4; i++)
			alazy_ref_put(&held[i]);
	}
	flood(cache, held, 0);
	check_bounded(cache);
	check_eq(stats_of(cache).nospace, 0);
	alazy_cache_close(cache);
}

/* ---- clear, len --------------------------------------------------------- */

TEST(clear_and_len_of_a_cache_that_has_evicted)
{
	struct maker m = { .cache = open_small(NULL, 8) };
	struct get bad = { .fail = -EIO, .fail_class = ALAZY_PERMANENT };
	uint64_t i, len, evicted;
	int64_t cleared;

	for (i = 0; i < 2000; i++)
		get_key(&m, i);
	check_eq(get_int(m.cache, "bad", make_error, &bad), -EIO);
	/* the kernel may be at making room for later */
	evicted = stats_of(m.cache).evictions;
	len = alazy_cache_len(m.cache);
	check(len > 0 && len < 2000);
	cleared = alazy_cache_clear(m.cache);
	check(cleared > 0 && cleared <= (int64_t)len + 1);
	check(cleared + stats_of(m.cache).evictions - evicted >= len + 1);
	check_eq(alazy_cache_len(m.cache), 0);
	check_eq(stats_of(m.cache).errors, 0);
	check_eq(count_filled(m.cache, 2000), 0);
	m.inits = 0;
	for (i = 0; i < 100; i++)
		get_key(&m, i);
	check_eq(m.inits, 100);
	check_eq(alazy_cache_len(m.cache), 100);
	alazy_cache_close(m.cache);
}

/* ---- TTL ---------------------------------------------------------------- */

#define TTL(...) (struct alazy_publish_opts){ .size = sizeof(struct alazy_publish_opts), \
					      __VA_ARGS__ }

static bool is_there(struct alazy_cache *cache, const char *key)
{
	int state = alazy_cache_peek(cache, key, strlen(key), NULL, NULL);

	check(state == ALAZY_FILLED || state == ALAZY_EMPTY);
	return state == ALAZY_FILLED;
}

/* A value that was published between two moments is gone after @ttl, not before. */
static void check_lives(struct alazy_cache *cache, const char *key, uint64_t before,
			uint64_t after, uint64_t ttl)
{
	uint64_t start;
	bool there;

	do {
		start = now_ns();
		there = is_there(cache, key);
		sched_yield();
	} while (there && start < after + ttl);
	check(!there);
	check(now_ns() >= before + ttl);
}

TEST(l13_values_are_read_while_they_are_fresh_or_stale)
{
	struct alazy_cache *cache = open_small(NULL, 8);
	struct alazy_publish_opts o = TTL(.ttl_ns = 40 * MSEC, .stale_ttl_ns = 30 * MSEC,
					  .dead_ttl_ns = 30 * MSEC);
	struct alazy_ticket t = take(cache, "k");
	uint64_t before = now_ns();
	struct alazy_ref ref;

	check_eq(alazy_publish_with(&t, "v", 1, &o), 0);
	check_eq(alazy_cache_peek(cache, "k", 1, &ref, NULL), ALAZY_FILLED);
	check_lives(cache, "k", before, now_ns(), 70 * MSEC);
	/* who has it goes on reading it */
	check(ref_is(&ref, "v", 1));
	alazy_ref_put(&ref);
	/* one part that never ends, and the whole does not */
	t = take(cache, "n");
	o = TTL(.ttl_ns = 1, .stale_ttl_ns = ALAZY_NEVER);
	check_eq(alazy_publish_with(&t, "v", 1, &o), 0);
	check(is_there(cache, "n"));
	t = take(cache, "d");
	check_eq(alazy_publish_with(&t, "v", 1, NULL), 0);
	check(is_there(cache, "d"));
	alazy_cache_close(cache);
}

TEST(l13_times_of_the_cache_are_for_values_that_say_none)
{
	struct alazy_cache_opts opts = {
		.size = sizeof(opts), .ttl_ns = 30 * MSEC, .stale_ttl_ns = 20 * MSEC,
		.dead_ttl_ns = 10 * MSEC,
	};
	struct alazy_cache *cache = alazy_cache_open(NULL, &opts);
	struct alazy_publish_opts none = TTL(), own = TTL(.ttl_ns = 1);
	uint64_t before = now_ns(), after;
	struct alazy_ticket t;

	assert_non_null(cache);
	check_eq(alazy_cache_set(cache, "set", 3, "v", 1, 0), 0);
	t = take(cache, "published");
	check_eq(alazy_publish(&t, "v", 1, 0), 0);
	t = take(cache, "with");
	check_eq(alazy_publish_with(&t, "v", 1, &none), 0);
	after = now_ns();
	check_eq(alazy_cache_set(cache, "longer", 6, "v", 1, 3600 * SEC), 0);
	check_eq(alazy_cache_set(cache, "never", 5, "v", 1, ALAZY_NEVER), 0);
	t = take(cache, "own");
	check_eq(alazy_publish_with(&t, "v", 1, &own), 0);
	check(!is_there(cache, "own"));
	check_lives(cache, "set", before, after, 50 * MSEC);
	check_lives(cache, "published", before, after, 50 * MSEC);
	check_lives(cache, "with", before, after, 50 * MSEC);
	check(is_there(cache, "longer"));
	check(is_there(cache, "never"));
	alazy_cache_close(cache);
}

TEST(malformed_publish_options_are_refused_and_the_ticket_stays)
{
	struct { struct alazy_publish_opts o; uint64_t more; } newer = {
		{ .size = sizeof(newer) }, 1,
	};
	const struct alazy_publish_opts bad[] = {
		{ 0 }, TTL(.flags = 1), TTL(.reserved = { 0, 1 }), TTL(.stale_ttl_ns = 1),
		TTL(.dead_ttl_ns = 1),
	};
	struct alazy_cache *cache = open_small(NULL, 8);
	struct alazy_ticket t = take(cache, "k");
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		check_eq(alazy_publish_with(&t, "v", 1, &bad[i]), -EINVAL);
		check_detail("size|reserved|ttl_ns");
	}
	check_eq(alazy_publish_with(&t, "v", 1, &newer.o), -E2BIG);
	check_detail("newer");
	newer.more = 0;
	check_eq(alazy_publish_with(&t, "v", 1, &newer.o), 0);
	check(is_there(cache, "k"));
	alazy_cache_close(cache);
}

TEST(l13_room_of_dead_values_goes_first)
{
	struct alazy_cache *cache = open_small(NULL, 16);
	char value[1000] = "";
	uint64_t i;

	/* old ones that live, then dead ones, then new ones, each a third of it */
	for (i = 0; i < 270; i++)
		check_eq(set_pattern(cache, i, 1000, i), 0);
	for (; i < 540; i++)
		check_eq(alazy_cache_set(cache, &i, sizeof(i), value, sizeof(value), 1), 0);
	for (; i < 1020; i++)
		check_eq(set_pattern(cache, i, 1000, i), 0);
	check(stats_of(cache).expired >= 100);
	/* but for the few that shared a segment with them, all that live are there */
	check(stats_of(cache).evictions <= 64);
	check(count_filled(cache, 270) >= 270 - 64);
	alazy_cache_close(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(l13_memory_is_bounded_and_values_right_far_beyond_the_arena),
		cmocka_unit_test(l6_table_that_is_full_lets_old_keys_go),
		cmocka_unit_test(l13_values_as_large_as_a_segment_take_turns),
		cmocka_unit_test(l13_what_is_read_often_survives_a_scan),
		cmocka_unit_test(l13_value_that_is_held_stays_when_it_is_set_removed_evicted_or_cleared),
		cmocka_unit_test(l13_memory_of_what_was_held_is_used_again),
		cmocka_unit_test(l13_values_are_read_while_they_are_fresh_or_stale),
		cmocka_unit_test(l13_times_of_the_cache_are_for_values_that_say_none),
		cmocka_unit_test(malformed_publish_options_are_refused_and_the_ticket_stays),
		cmocka_unit_test(l13_room_of_dead_values_goes_first),
		cmocka_unit_test(clear_and_len_of_a_cache_that_has_evicted),
	};

	return RUN_TESTS(tests);
}
