// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The core: what others do while a segment is being emptied. Each scene is
 * played once for each time that reclaim lets go of the lock, and the others
 * come in there.
 */
#include <stdio.h>

#include "core_recycle_util.h"

#define SIZE	6000	/* ten records a segment */
#define OLD	20	/* keys in the two segments that go */
#define KEPT	10	/* of them, what was read: the even ones */

static struct {
	struct bench *b;
	unsigned int at, n;	/* the unlock that is meant, those so far */
	void (*others)(void);
	u64 offset;		/* what they were told */
	u32 next;
} race;

static void come_in_once(void)
{
	if (race.n++ == race.at)
		race.others();
}

/*
 * A cache that is full. What is kept of the first segment takes the free one, so
 * that reclaim empties another.
 */
static void race_begin(u64 max_keys)
{
	u32 i;

	core_os_reset();
	race.b = bench_recycle(max_keys, 8);
	race.next = 0;
	race.n = 0;
	race.offset = ASYNCLAZY_NO_RECORD;
	fill_up(race.b, &race.next, SIZE);
	check_eq(race.next, 70);
	for (i = 0; i < OLD; i += 2)
		visit(race.b, i);
}

/* Return: false if reclaim does not let go of the lock so often. */
static bool race_run(void)
{
	core_os.each_unlock = come_in_once;
	alz_reclaim(&race.b->cache);
	core_os.each_unlock = NULL;
	check(race.b->cache.count.reclaims > 0);
	check_consistent(race.b);
	return race.n > race.at;
}

/*
 * Play a scene to its end at each unlock. @after: what must be true then, besides
 * that everything is in order. Copying alone lets go of the lock KEPT times.
 */
static void race_all(u64 max_keys, void (*others)(void), void (*after)(void))
{
	bool more = true;

	race.others = others;
	for (race.at = 0; more && !check_failures(); race.at++) {
		race_begin(max_keys);
		more = race_run();
		if (more)
			after();
		bench_free(race.b);
	}
	check(race.at > KEPT + 2);
}

static void nothing(void)
{
}

static void the_read_are_kept(void)
{
	check_eq(count_keys(race.b, 0, OLD), KEPT);
	check_eq(count_keys(race.b, OLD, race.next), race.next - OLD);
}

TEST(undisturbed_it_keeps_what_was_read)
{
	race_all(1000, nothing, the_read_are_kept);
}

/* ---- replace, take away ------------------------------------------------ */

static void set_all_anew(void)
{
	u32 i;

	for (i = 0; i < OLD; i++)
		check_eq(set(race.b, 1, name_of(i), "new", 3, 0), 0);
}

static void all_are_new(void)
{
	u32 i;

	for (i = 0; i < OLD; i++) {
		u64 offset = where(race.b, i);

		check(offset != ASYNCLAZY_NO_RECORD && value_is(race.b, offset, "new", 3));
	}
	check_eq(count_keys(race.b, OLD, race.next), race.next - OLD);
	check_eq(race.b->cache.header->keys, race.next);
}

TEST(value_set_while_its_old_one_is_copied_is_the_one_that_stays)
{
	race_all(1000, set_all_anew, all_are_new);
}

static void invalidate_all(void)
{
	u32 i;

	for (i = 0; i < OLD; i++)
		invalidate(race.b, 1, name_of(i));
}

static void all_are_gone(void)
{
	check_eq(count_keys(race.b, 0, OLD), 0);
	check_eq(count_keys(race.b, OLD, race.next), race.next - OLD);
	check_eq(race.b->cache.header->keys, race.next - OLD);
}

TEST(value_invalidated_while_it_is_copied_does_not_come_back)
{
	race_all(1000, invalidate_all, all_are_gone);
}

static void invalidate_and_claim(void)
{
	u32 i;

	for (i = 0; i < OLD; i++) {
		invalidate(race.b, 1, name_of(i));
		take(race.b, 1, name_of(i));
	}
}

static void all_are_in_the_making(void)
{
	check_eq(race.b->cache.header->initializing, OLD);
	all_are_gone();
}

TEST(key_claimed_anew_while_its_old_value_is_copied_stays_in_the_making)
{
	race_all(1000, invalidate_and_claim, all_are_in_the_making);
}

static void clear_and_set_one(void)
{
	u64 count;

	check_eq(alz_clear(&race.b->client[1], &count), 0);
	check_eq(set(race.b, 1, name_of(2), "new", 3, 0), 0);
}

static void only_one_is_there(void)
{
	check_eq(race.b->cache.header->keys, 1);
	check(value_is(race.b, where(race.b, 2), "new", 3));
}

TEST(values_cleared_while_they_are_copied_do_not_come_back)
{
	race_all(1000, clear_and_set_one, only_one_is_there);
}

/* ---- the table under it ------------------------------------------------ */

/* Slots move, and where no move helps others go. */
static void crowd_the_table(void)
{
	u32 i;

	for (i = 0; i < 60; i++)
		take(race.b, 1, name_of(1000 + i));
}

static void no_slot_is_wrong(void)
{
	check_eq(race.b->cache.header->initializing, 60);
	check(count_keys(race.b, OLD, race.next) > 40);
	check_eq(race.b->cache.header->keys, count_keys(race.b, 0, race.next));
}

TEST(slots_that_move_while_their_records_are_copied_are_found)
{
	/* 128 slots, and 130 keys */
	race_all(64, crowd_the_table, no_slot_is_wrong);
}

/* ---- readers ----------------------------------------------------------- */

static void ask_with_a_pin(void)
{
	struct alz_claim c = {
		.key = name_of(4), .key_size = strlen(name_of(4)), .pin = 3,
		.hash = hash_of(name_of(4), strlen(name_of(4))),
	};
	struct alz_answer a;

	check_eq(alz_claim(&race.b->client[2], &c, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_HIT);
	race.offset = a.offset;
}

static void what_was_given_stays(void)
{
	u32 i;

	check_eq(race.b->pins[2][2], pin_of(race.offset));
	for (i = 0; i < 100; i++)
		check_eq(put(race.b, race.next + i, SIZE), 0);
	check_consistent(race.b);
	check(bytes_are(race.b, race.offset, 4));
}

TEST(record_given_out_while_it_is_copied_stays_for_as_long_as_it_is_pinned)
{
	race_all(1000, ask_with_a_pin, what_was_given_stays);
}

/* The library's way: the pin, and then another look at the slot. */
static void read_by_the_slot(void)
{
	u64 offset = where(race.b, 4);

	race.b->pins[2][7] = pin_of(offset);
	if (where(race.b, 4) == offset)
		race.offset = offset;
}

static void what_was_read_stays(void)
{
	u32 i;

	check(race.offset != ASYNCLAZY_NO_RECORD);
	for (i = 0; i < 100; i++)
		check_eq(put(race.b, race.next + i, SIZE), 0);
	check(bytes_are(race.b, race.offset, 4));
}

TEST(record_pinned_by_its_reader_while_it_is_copied_stays)
{
	race_all(1000, read_by_the_slot, what_was_read_stays);
}

/* ---- others that publish, come and go ---------------------------------- */

static void fill_the_rest(void)
{
	u32 i;

	/* a segment is closed meanwhile: there is no next one, or there is */
	for (i = 0; i < 15; i++)
		if (put(race.b, race.next, SIZE) != -EINTR)
			race.next++;
}

static void the_rest_is_there(void)
{
	check_eq(count_keys(race.b, 0, OLD), KEPT);
	/* the more is taken, the more is to be made free */
	check(count_keys(race.b, OLD, race.next) >= race.next - 3 * OLD);
	check(count_keys(race.b, OLD, race.next) >= 40);
}

TEST(publishes_go_on_while_a_segment_is_emptied)
{
	race_all(1000, fill_the_rest, the_rest_is_there);
}

static void come_and_go(void)
{
	alz_client_detach(&race.b->client[0]);
	bench_attach(race.b, 0);
	alz_client_die(&race.b->client[1]);
}

TEST(clients_come_and_go_while_a_segment_is_emptied)
{
	race_all(1000, come_and_go, the_read_are_kept);
}

/* ---- a clear that is overtaken by reclaim ------------------------------ */

static void reclaim_some(void)
{
	u32 i;

	/* all of it is read, so that half of it is copied and linked anew */
	for (i = 0; i < 70; i++)
		visit(race.b, i);
	alz_reclaim(&race.b->cache);
	check_eq(put(race.b, race.next++, SIZE), 0);
	core_os.unlocked = reclaim_some;
}

TEST(what_is_copied_while_a_clear_goes_on_is_cleared_too)
{
	u64 count = 0;
	u32 first, i;

	race_begin(20000);
	first = race.next;
	core_os.unlocked = reclaim_some;
	check_eq(alz_clear(&race.b->client[1], &count), 0);
	core_os.unlocked = NULL;
	check(race.next > first + 20);
	check_eq(count_keys(race.b, 0, first), 0);
	/* what was put meanwhile is not: but reclaim may have taken it */
	for (i = race.next - 5; i < race.next; i++)
		check(has(race.b, i));
	check(count <= first);
	check_consistent(race.b);
	bench_free(race.b);
}

/* ---- a full table ------------------------------------------------------ */

TEST(new_key_takes_the_slot_of_one_that_was_not_read)
{
	struct bench *b;
	u32 i, k;

	core_os_reset();
	b = bench_recycle(8, 8);
	for (i = 0; i < 16; i++)
		check_eq(put(b, i, 10), 0);
	check_eq(b->cache.header->keys, 16);
	for (i = 16; i < 200; i++) {
		u32 spared = random_u64() % i;

		/* all but one were read */
		memset(b->cache.visited, 0, b->cache.visited_size);
		for (k = 0; k < i; k++)
			if (k != spared)
				visit(b, k);
		if (where(b, spared) == ASYNCLAZY_NO_RECORD)
			continue;
		check_eq(put(b, i, 10), 0);
		check(has(b, i));
		check(!has(b, spared));
		check_eq(b->cache.header->keys, 16);
		check_consistent(b);
	}
	check(b->cache.count.evictions > 10);
	check_eq(b->cache.count.nospace, 0);
	bench_free(b);
}

TEST(if_all_were_read_one_goes_and_the_others_begin_anew)
{
	u32 i, next = 16, gone = 0;
	struct bench *b;

	core_os_reset();
	b = bench_recycle(8, 8);
	for (i = 0; i < 16; i++) {
		check_eq(put(b, i, 10), 0);
		visit(b, i);
	}
	/* and so what was read once long ago does not stay for ever */
	for (; next < 100; next++) {
		check_eq(put(b, next, 10), 0);
		visit(b, next);
	}
	for (i = 0; i < 16; i++)
		gone += !has(b, i);
	check_eq(gone, 16);
	check_eq(b->cache.header->keys, 16);
	bench_free(b);
}

TEST(keys_in_the_making_are_never_evicted)
{
	struct alz_answer a;
	u64 ticket[16];
	struct bench *b;
	u32 i;

	core_os_reset();
	b = bench_recycle(8, 8);
	for (i = 0; i < 16; i++) {
		check_eq(put(b, 100 + i, 10), 0);
		ticket[i] = take(b, 0, name_of(i));
	}
	check_eq(b->cache.header->initializing, 16);
	check_eq(claim(b, 1, "k", ASYNCLAZY_CLAIM_INIT, 0, &a), -ENOSPC);
	check_eq(set(b, 1, "k", "v", 1, 0), -ENOSPC);
	check_consistent(b);
	for (i = 0; i < 16; i++)
		check_eq(publish(b, 0, ticket[i], "v", 1, 0), 0);
	check_eq(b->cache.header->keys, 16);
	check_eq(set(b, 1, "k", "v", 1, 0), 0);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(undisturbed_it_keeps_what_was_read),
		cmocka_unit_test(value_set_while_its_old_one_is_copied_is_the_one_that_stays),
		cmocka_unit_test(value_invalidated_while_it_is_copied_does_not_come_back),
		cmocka_unit_test(key_claimed_anew_while_its_old_value_is_copied_stays_in_the_making),
		cmocka_unit_test(values_cleared_while_they_are_copied_do_not_come_back),
		cmocka_unit_test(slots_that_move_while_their_records_are_copied_are_found),
		cmocka_unit_test(record_given_out_while_it_is_copied_stays_for_as_long_as_it_is_pinned),
		cmocka_unit_test(record_pinned_by_its_reader_while_it_is_copied_stays),
		cmocka_unit_test(publishes_go_on_while_a_segment_is_emptied),
		cmocka_unit_test(clients_come_and_go_while_a_segment_is_emptied),
		cmocka_unit_test(what_is_copied_while_a_clear_goes_on_is_cleared_too),
		cmocka_unit_test(new_key_takes_the_slot_of_one_that_was_not_read),
		cmocka_unit_test(if_all_were_read_one_goes_and_the_others_begin_anew),
		cmocka_unit_test(keys_in_the_making_are_never_evicted),
	};

	return RUN_TESTS(tests);
}
