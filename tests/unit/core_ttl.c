// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The core: how long a value is fresh, stale, and there at all. */
#include <stdio.h>

#include "core_recycle_util.h"

#define NEVER	ASYNCLAZY_NEVER

static struct bench *begin(u64 ttl, u64 stale_ttl, u64 dead_ttl, u32 flags)
{
	const struct alz_geometry g = {
		.max_keys = 20000, .arena_size = 8 * SEGMENT, .segment_size = SEGMENT,
		.ttl = ttl, .stale_ttl = stale_ttl, .dead_ttl = dead_ttl, .flags = flags,
	};

	core_os_reset();
	return bench_with(&g);
}

static int set_with(struct bench *b, const char *key, const struct alz_ttl *ttl)
{
	struct alz_reservation r;
	int err = alz_set_begin(&b->client[0], key, strlen(key), hash_of(key, strlen(key)),
				5, ttl, &r);

	if (err)
		return err;
	memcpy(r.value, "value", 5);
	return alz_publish_commit(&b->client[0], &r);
}

/* The record of a key that is there; NULL: it is absent. */
static const struct asynclazy_record *record_of(struct bench *b, const char *key)
{
	struct alz_answer a;

	check_eq(claim(b, 1, key, 0, 0, &a), 0);
	if (a.result == ASYNCLAZY_RESULT_EMPTY)
		return NULL;
	return alz_arena_record(&b->cache.arena, a.offset);
}

/* Its times, from now; and it is there until it is no longer stale. */
static void times_are(struct bench *b, const char *key, u64 fresh, u64 stale, u64 dead)
{
	const struct asynclazy_record *r = record_of(b, key);
	const struct asynclazy_times *t;
	u64 now = core_os.now;

	if (!check(r) || !check_eq(r->flags, ASYNCLAZY_RECORD_TIMES))
		return;
	t = alz_record_times(r);
	check_eq(t->published, now);
	check_eq(t->fresh_until, now + fresh);
	check_eq(t->stale_until, now + fresh + stale);
	check_eq(t->dead_until, now + fresh + stale + dead);
	core_os.now = t->stale_until - 1;
	check(record_of(b, key));
	core_os.now++;
	check(!record_of(b, key));
	core_os.now = now;
}

static bool lives_for_ever(struct bench *b, const char *key)
{
	const struct asynclazy_record *r = record_of(b, key);

	return r && !(r->flags & ASYNCLAZY_RECORD_TIMES);
}

TEST(times_are_those_of_the_publish)
{
	struct bench *b = begin(0, 0, 0, 0);

	check_eq(set_with(b, "k", &(struct alz_ttl){ 3 * SEC, 2 * SEC, SEC }), 0);
	times_are(b, "k", 3 * SEC, 2 * SEC, SEC);
	check_eq(set_with(b, "k", &(struct alz_ttl){ 1, 0, 0 }), 0);
	times_are(b, "k", 1, 0, 0);
	check_eq(set_with(b, "k", &(struct alz_ttl){ 1, 0, 7 }), 0);
	times_are(b, "k", 1, 0, 7);
	/* without one of its own it lives for ever */
	check_eq(set_with(b, "k", NULL), 0);
	check(lives_for_ever(b, "k"));
	check_eq(set_with(b, "k", &(struct alz_ttl){ 0, 5, 5 }), 0);
	check(lives_for_ever(b, "k"));
	bench_free(b);
}

TEST(publish_that_says_nothing_has_the_times_of_the_cache)
{
	u32 flags;

	for (flags = 0; flags <= ASYNCLAZY_CREATE_STABLE; flags++) {
		struct bench *b = begin(30, 20, 10, flags);
		u64 t = take(b, 0, "l");

		check_eq(set_with(b, "k", NULL), 0);
		times_are(b, "k", 30, 20, 10);
		check_eq(set_with(b, "k", &(struct alz_ttl){ 0, 5, 5 }), 0);
		times_are(b, "k", 30, 20, 10);
		check_eq(publish(b, 0, t, "v", 1, 0), 0);
		times_are(b, "l", 30, 20, 10);
		/* one of its own is its own in all parts */
		check_eq(set_with(b, "k", &(struct alz_ttl){ 7, 0, 0 }), 0);
		times_are(b, "k", 7, 0, 0);
		check_eq(set_with(b, "k", &(struct alz_ttl){ NEVER, 0, 0 }), 0);
		check(lives_for_ever(b, "k"));
		bench_free(b);
	}
}

TEST(time_does_not_overflow)
{
	const struct alz_ttl ttls[] = {
		{ NEVER - 1, 0, 0 }, { 5, NEVER, 0 }, { 5, 5, NEVER }, { NEVER - 1, NEVER, NEVER },
		{ 1ULL << 63, 1ULL << 63, 1ULL << 63 },
	};
	struct bench *b = begin(0, 0, 0, 0);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ttls); i++) {
		const struct asynclazy_times *t;

		check_eq(set_with(b, "k", &ttls[i]), 0);
		t = alz_record_times(record_of(b, "k"));
		check(t->dead_until == NEVER);
		check(t->fresh_until >= t->published && t->fresh_until <= t->stale_until);
		check(t->stale_until <= t->dead_until);
		check_consistent(b);
	}
	core_os.now = NEVER - 1;
	check(record_of(b, "k"));
	check_eq(set_with(b, "k", &(struct alz_ttl){ 100, 100, 100 }), 0);
	check(record_of(b, "k"));
	bench_free(b);
}

TEST(errors_have_times_of_their_own)
{
	struct bench *b = begin(30, 20, 10, 0);
	bool kept;
	u64 t;

	t = take(b, 0, "k");
	check_eq(alz_fail(&b->client[0], t, EIO, ASYNCLAZY_FAIL_PERMANENT, 0, "text", 4, &kept), 0);
	check(lives_for_ever(b, "k"));
	t = take(b, 0, "l");
	check_eq(alz_fail(&b->client[0], t, EIO, ASYNCLAZY_FAIL_NEGATIVE, 0, "text", 4, &kept), 0);
	times_are(b, "l", 5 * SEC, 0, 0);
	t = take(b, 0, "m");
	check_eq(alz_fail(&b->client[0], t, EIO, ASYNCLAZY_FAIL_NEGATIVE, 9, "text", 4, &kept), 0);
	times_are(b, "m", 9, 0, 0);
	bench_free(b);
}

TEST(parts_of_a_time_to_live_need_the_first)
{
	struct alz_geometry g = { .max_keys = 1, .arena_size = 1 };

	check_eq(alz_geometry_check(&g), 0);
	g.stale_ttl = 1;
	check_eq(alz_geometry_check(&g), -EINVAL);
	g.stale_ttl = 0;
	g.dead_ttl = 1;
	check_eq(alz_geometry_check(&g), -EINVAL);
	g.ttl = 1;
	check_eq(alz_geometry_check(&g), 0);
	g.dead_ttl = 0;
	check_eq(alz_geometry_check(&g), 0);
	/* of a value the same */
	check(!alz_ttl_bad(&(struct alz_ttl) { 0, 0, 0 }));
	check(!alz_ttl_bad(&(struct alz_ttl) { 1, 2, 3 }));
	check(!alz_ttl_bad(&(struct alz_ttl) { 1, 0, 3 }));
	check(alz_ttl_bad(&(struct alz_ttl) { 0, 2, 0 }));
	check(alz_ttl_bad(&(struct alz_ttl) { 0, 0, 3 }));
}

TEST(memfds_have_times_too)
{
	struct bench *b = begin(30, 20, 10, 0);
	int file = 0;

	check_eq(put_blob(b, "k", 100, &file), 0);
	times_are(b, "k", 30, 20, 10);
	check_eq(file, 1);
	core_os.now += 60;
	/* it is dead, and goes when its key is wanted */
	take(b, 0, "k");
	check_eq(file, 0);
	bench_free(b);
}

TEST(copy_dies_when_its_original_would_have)
{
	struct bench *b = begin(0, 0, 0, 0);
	u64 first, dead;
	u32 next = 0;

	check_eq(put_for(b, 70000, 100, 50 * SEC), 0);
	first = where(b, 70000);
	dead = core_os.now + 50 * SEC;
	fill_up(b, &next, 1000);
	while (next < 20000 && core_os.now < dead - SEC) {
		check(visit(b, 70000));
		check_eq(put(b, next, 1000), 0);
		visit(b, next - next % 10);
		next++;
		core_os.now += SEC / 100;
	}
	check(b->cache.count.reinsertions > 0);
	check(where(b, 70000) != first);
	check(has(b, 70000));
	check_eq(alz_record_times(alz_arena_record(&b->cache.arena, where(b, 70000)))->dead_until,
		 dead);
	core_os.now = dead;
	check(!record_of(b, name_of(70000)));
	check_consistent(b);
	bench_free(b);
}

TEST(segment_knows_when_the_last_of_its_records_is_dead)
{
	struct bench *b = begin(0, 0, 0, 0);
	const struct alz_segment *s = &b->cache.arena.segments[0];

	check_eq(put_for(b, 0, 10, 5), 0);
	check_eq(s->dead_until, core_os.now + 5);
	check_eq(put_for(b, 1, 10, 3), 0);
	check_eq(s->dead_until, core_os.now + 5);
	check_eq(put_for(b, 2, 10, 9), 0);
	check_eq(s->dead_until, core_os.now + 9);
	check_eq(put_for(b, 3, 10, NEVER), 0);
	check(s->dead_until == NEVER);
	check_consistent(b);
	bench_free(b);
}

TEST(dead_values_are_the_first_to_go_from_a_full_table)
{
	const struct alz_geometry g = {
		.max_keys = 8, .arena_size = 8 * SEGMENT, .segment_size = SEGMENT,
	};
	struct bench *b;
	u32 i;

	core_os_reset();
	b = bench_with(&g);
	for (i = 0; i < 16; i++)
		check_eq(put_for(b, i, 10, i % 4 ? 0 : SEC), 0);
	for (i = 0; i < 16; i++)
		if (i % 4 == 0)
			visit(b, i);
	core_os.now += SEC;
	for (i = 16; i < 20; i++)
		check_eq(put(b, i, 10), 0);
	for (i = 0; i < 20; i++)
		check_eq(has(b, i), i % 4 || i >= 16);
	check_eq(b->cache.count.evictions, 0);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_those_of_the_publish),
		cmocka_unit_test(publish_that_says_nothing_has_the_times_of_the_cache),
		cmocka_unit_test(time_does_not_overflow),
		cmocka_unit_test(errors_have_times_of_their_own),
		cmocka_unit_test(parts_of_a_time_to_live_need_the_first),
		cmocka_unit_test(memfds_have_times_too),
		cmocka_unit_test(copy_dies_when_its_original_would_have),
		cmocka_unit_test(segment_knows_when_the_last_of_its_records_is_dead),
		cmocka_unit_test(dead_values_are_the_first_to_go_from_a_full_table),
	};

	return RUN_TESTS(tests);
}
