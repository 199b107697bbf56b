// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The core: a cache that recycles, filled beyond its budget: what stays, what goes. */
#include <stdio.h>

#include "core_recycle_util.h"

#define SIZE		1000	/* of most values: 60 records a segment */
#define A_SEGMENT	60
#define BUDGET		(8 * A_SEGMENT)

static bool figures_add_up(struct bench *b)
{
	struct asynclazy_stats s = { 0 };

	alz_cache_stats(&b->cache, &s);
	check_eq(s.out_segments, 8);
	check_eq((s.out_segments_free + s.out_segments_open + s.out_segments_full +
		  s.out_segments_held) * SEGMENT, s.out_arena_allocated);
	return s.out_arena_allocated <= 8 * SEGMENT && s.out_arena_used <= 8 * SEGMENT &&
	       !s.out_nospace;
}

TEST(memory_stays_within_the_budget_however_much_is_put)
{
	struct bench *b;
	u32 i;

	core_os_reset();
	b = bench_recycle(20000, 8);
	for (i = 0; i < 20 * BUDGET && !check_failures(); i++) {
		check_eq(put(b, i, SIZE), 0);
		check(has(b, i));
		check(figures_add_up(b));
		if (i % 16 == 0)
			check_consistent(b);
	}
	check_eq(b->cache.arena.allocated, 8 * SEGMENT);
	check(b->cache.count.reclaims > 18 * 8);
	check_eq(b->cache.count.reinsertions, 0);
	check_eq(b->cache.count.evictions + count_keys(b, 0, i), i);
	/* most of the budget is used, and for the youngest */
	check(count_keys(b, 0, i) > BUDGET / 2);
	check_eq(count_keys(b, 0, i), count_keys(b, i - BUDGET, i));
	bench_free(b);
}

TEST(every_size_of_value_finds_room)
{
	struct bench *b;
	u32 i;

	core_os_reset();
	b = bench_recycle(2000, 8);
	for (i = 0; i < 3000 && !check_failures(); i++) {
		u64 size = random_u64() % (random_u64() % 4 ? 2000 : b->cache.value_max + 1);

		check_eq(put(b, i, size), 0);
		check(has(b, i));
		if (random_u64() % 4)
			visit(b, i - random_u64() % (i + 1));
		check(figures_add_up(b));
		if (i % 16 == 0)
			check_consistent(b);
	}
	bench_free(b);
}

TEST(publishes_do_not_wait_if_reclaim_comes_when_it_is_wanted)
{
	unsigned int wanted = 0;
	struct bench *b;
	u32 i;

	core_os_reset();
	b = bench_recycle(20000, 64);
	for (i = 0; i < 4 * 64 * A_SEGMENT; i++) {
		check_eq(put(b, i, SIZE), 0);
		/* not at once */
		if (core_os.wanted != wanted && i % 50 == 0) {
			wanted = core_os.wanted;
			alz_reclaim(&b->cache);
			check_consistent(b);
			check_eq(alz_arena_low(&b->cache.arena), 0);
		}
	}
	check(wanted > 10);
	check_eq(b->cache.count.waited, 0);
	check_eq(core_os.urgent, 0);
	bench_free(b);
}

TEST(what_was_read_survives_where_the_rest_goes)
{
	u32 next = 0, i, kept = 0;
	struct bench *b;

	core_os_reset();
	b = bench_recycle(20000, 8);
	fill_up(b, &next, SIZE);
	check_eq(next, 7 * A_SEGMENT);
	for (i = 0; i < next; i += 10)
		check(visit(b, i));
	churn(b, &next, SIZE, 7);
	for (i = 0; i < 7 * A_SEGMENT; i++)
		kept += i % 10 ? 0 : has(b, i);
	check_eq(kept, 42);
	check_eq(b->cache.count.reinsertions, kept);
	check_eq(count_keys(b, 0, 7 * A_SEGMENT), kept);
	check_consistent(b);
	/* a copy begins anew: if others are read, and it is not, it goes */
	while (b->cache.count.reclaims < 60) {
		check_eq(put(b, next, SIZE), 0);
		check(visit(b, next / 4 * 4));
		next++;
	}
	check_eq(count_keys(b, 0, 7 * A_SEGMENT), 0);
	check_consistent(b);
	bench_free(b);
}

TEST(background_reclaim_keeps_what_was_read_too)
{
	u32 next = 0, i;
	struct bench *b;

	core_os_reset();
	b = bench_recycle(20000, 8);
	/* it comes before the budget is full, when nothing is free */
	while (!alz_arena_low(&b->cache.arena))
		check_eq(put(b, next++, SIZE), 0);
	for (i = 0; i < 10; i++)
		check(visit(b, i));
	alz_reclaim(&b->cache);
	check_consistent(b);
	check(b->cache.count.reclaims >= 1);
	check_eq(count_keys(b, 0, A_SEGMENT), 10);
	bench_free(b);
}

TEST(a_scan_of_what_is_never_read_does_not_push_out_the_hot)
{
	const u32 hot = 2 * A_SEGMENT;	/* a quarter of the budget */
	u32 next = hot, i, misses = 0;
	struct bench *b;

	core_os_reset();
	b = bench_recycle(20000, 8);
	while (next < 40 * BUDGET) {
		check_eq(put(b, next++, SIZE), 0);
		/* all of the hot is read in the time of a quarter of the budget */
		i = random_u64() % hot;
		if (visit(b, i))
			continue;
		misses += next > 20 * BUDGET;
		check_eq(put(b, i, SIZE), 0);
	}
	printf("# a scan, and a quarter of the budget is hot: %u of %u reads missed\n", misses,
	       20 * BUDGET);
	check(misses < 20 * BUDGET / 100);
	check_consistent(b);
	bench_free(b);
}

TEST(if_all_is_read_copying_is_bounded_and_there_is_still_room)
{
	struct alz_counters *n;
	struct bench *b;
	u32 next, i;

	core_os_reset();
	b = bench_recycle(20000, 8);
	n = &b->cache.count;
	for (next = 0; next < 10 * BUDGET && !check_failures(); next++) {
		u64 was = n->reclaims, copies = n->reinsertions;

		for (i = next < 2 * BUDGET ? 0 : next - 2 * BUDGET; i < next && next % 8 == 0; i++)
			visit(b, i);
		check_eq(put(b, next, SIZE), 0);
		check(n->reinsertions - copies <= (n->reclaims - was) * A_SEGMENT * 3 / 4);
		check(figures_add_up(b));
	}
	check(n->reinsertions > 0);
	check_consistent(b);
	bench_free(b);
}

TEST(segment_with_an_open_writer_is_never_emptied)
{
	struct alz_reservation r;
	const struct alz_segment *s;
	u32 next = 0;
	struct bench *b;

	core_os_reset();
	b = bench_recycle(20000, 8);
	while (next < 90)
		check_eq(put(b, next++, SIZE), 0);
	check_eq(alz_set_begin(&b->client[0], "k", 1, hash_of("k", 1), SIZE, NULL, &r), 0);
	b->open++;
	s = segment_of(b, r.offset);
	churn(b, &next, SIZE, 3 * 8);
	check_eq(s->state, ALZ_SEGMENT_FULL);
	check_consistent(b);
	/* with all that is in it */
	check_eq(count_keys(b, A_SEGMENT, 90), 30);
	memset(r.value, 7, SIZE);
	check_eq(alz_publish_commit(&b->client[0], &r), 0);
	b->open--;
	/* the hand went by: when it comes again */
	while (s->state == ALZ_SEGMENT_FULL && b->cache.count.reclaims < 100) {
		check_eq(put(b, next, SIZE), 0);
		check(visit(b, next++));
	}
	check_eq(count_keys(b, A_SEGMENT, 90), 0);
	bench_free(b);
}

TEST(if_each_segment_is_written_to_there_is_no_room_until_one_ends)
{
	struct alz_reservation r[9];
	struct bench *b;
	int err = 0, n;

	core_os_reset();
	b = bench_recycle(0, 8);
	for (n = 0; !err && n < 9; n++) {
		err = alz_set_begin(&b->client[0], "k", 1, hash_of("k", 1),
				    b->cache.value_max, NULL, &r[n]);
		b->open += !err;
	}
	check_eq(err, -ENOSPC);
	/* one segment is for reclaim itself */
	check_eq(b->open, 7);
	check_eq(b->cache.count.nospace, 1);
	check_consistent(b);
	while (b->open) {
		alz_publish_abort(&r[--b->open]);
		check_consistent(b);
		check_eq(put(b, b->open, b->cache.value_max), 0);
	}
	bench_free(b);
}

TEST(holes_are_walked_over)
{
	struct alz_reservation r[6];
	u32 next = 0, i;
	struct bench *b;

	core_os_reset();
	b = bench_recycle(20000, 8);
	while (b->cache.count.reclaims < 30 && !check_failures()) {
		for (i = 0; i < 6; i++)
			check_eq(alz_set_begin(&b->client[0], "k", 1, hash_of("k", 1),
					       64 * i, NULL, &r[i]), 0);
		check_eq(put(b, next, SIZE), 0);
		visit(b, next++);
		for (i = 0; i < 6; i++) {
			if (i % 2) {
				alz_publish_abort(&r[i]);
				continue;
			}
			memset(r[i].value, 1, 64 * i);
			check_eq(alz_publish_commit(&b->client[0], &r[i]), 0);
		}
		check_consistent(b);
	}
	bench_free(b);
}

TEST(segments_of_dead_records_go_first)
{
	u32 next = 0, i;
	struct bench *b;

	core_os_reset();
	b = bench_recycle(20000, 8);
	/* the fourth segment is full of what lives for a second */
	for (; next < 4 * A_SEGMENT; next++)
		check_eq(put_for(b, next, SIZE - 32, next / A_SEGMENT == 3 ? SEC : 0), 0);
	fill_up(b, &next, SIZE);
	core_os.now += SEC;
	for (i = 3 * A_SEGMENT; i < 4 * A_SEGMENT; i++)
		check(visit(b, i));
	churn(b, &next, SIZE, 1);
	check_eq(b->cache.count.expired, A_SEGMENT);
	check_eq(b->cache.count.evictions, 0);
	check_eq(count_keys(b, 0, 3 * A_SEGMENT), 3 * A_SEGMENT);
	check_eq(count_keys(b, 3 * A_SEGMENT, 4 * A_SEGMENT), 0);
	/* then the hand goes on from the oldest */
	churn(b, &next, SIZE, 2);
	check_eq(count_keys(b, 0, A_SEGMENT), 0);
	check_eq(count_keys(b, A_SEGMENT, 3 * A_SEGMENT), 2 * A_SEGMENT);
	check_consistent(b);
	bench_free(b);
}

TEST(values_that_are_set_anew_leave_room_behind)
{
	struct bench *b;
	u32 i;

	core_os_reset();
	b = bench_recycle(20000, 8);
	for (i = 0; i < 10 * BUDGET; i++)
		check_eq(put(b, i % 20, SIZE), 0);
	/* nothing that is there had to go: only what was replaced */
	check_eq(count_keys(b, 0, 20), 20);
	check_eq(b->cache.count.evictions, 0);
	check_consistent(b);
	bench_free(b);
}

TEST(dying_publisher_does_not_wait_for_room)
{
	struct bench *b;
	u32 next = 0, i;
	u64 ticket;
	int err;

	core_os_reset();
	b = bench_recycle(20000, 8);
	fill_up(b, &next, SIZE);
	ticket = take(b, 0, "k");
	core_os.dying = true;
	for (err = 0, i = 0; !err && i < 2 * A_SEGMENT; i++)
		err = put(b, next + i, SIZE);
	check_eq(err, -EINTR);
	check_eq(publish(b, 0, ticket, "v", b->cache.value_max, 0), -EINTR);
	check_consistent(b);
	alz_reclaim(&b->cache);
	check_eq(b->cache.count.reclaims, 0);
	core_os.dying = false;
	check_eq(publish(b, 0, ticket, "v", 1, 0), 0);
	bench_free(b);
}

TEST(cache_that_finds_no_more_memory_goes_on_with_what_it_has)
{
	struct bench *b;
	u32 next = 0;

	core_os_reset();
	b = bench_recycle(20000, 8);
	core_os.fail_after = 0;
	check_eq(put(b, next, SIZE), -ENOMEM);
	check_eq(b->cache.arena.allocated, 0);
	check_consistent(b);
	core_os.fail_after = 3;
	while (next < 6 * A_SEGMENT)
		check_eq(put(b, next++, SIZE), 0);
	check_eq(b->cache.arena.allocated, 3 * SEGMENT);
	check_consistent(b);
	core_os.fail_after = -1;
	while (next < 20 * A_SEGMENT)
		check_eq(put(b, next++, SIZE), 0);
	check_eq(b->cache.arena.allocated, 8 * SEGMENT);
	check_consistent(b);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_stays_within_the_budget_however_much_is_put),
		cmocka_unit_test(every_size_of_value_finds_room),
		cmocka_unit_test(publishes_do_not_wait_if_reclaim_comes_when_it_is_wanted),
		cmocka_unit_test(what_was_read_survives_where_the_rest_goes),
		cmocka_unit_test(background_reclaim_keeps_what_was_read_too),
		cmocka_unit_test(a_scan_of_what_is_never_read_does_not_push_out_the_hot),
		cmocka_unit_test(if_all_is_read_copying_is_bounded_and_there_is_still_room),
		cmocka_unit_test(segment_with_an_open_writer_is_never_emptied),
		cmocka_unit_test(if_each_segment_is_written_to_there_is_no_room_until_one_ends),
		cmocka_unit_test(holes_are_walked_over),
		cmocka_unit_test(segments_of_dead_records_go_first),
		cmocka_unit_test(values_that_are_set_anew_leave_room_behind),
		cmocka_unit_test(dying_publisher_does_not_wait_for_room),
		cmocka_unit_test(cache_that_finds_no_more_memory_goes_on_with_what_it_has),
	};

	return RUN_TESTS(tests);
}
