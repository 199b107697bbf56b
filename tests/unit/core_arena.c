// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The core: room for records, and what is done with room that is not used. */
#include <stdio.h>

#include "core_util.h"

#define SEGMENT	65536ULL

static int reserve(struct bench *b, u64 size, u64 *offset)
{
	int err;

	alz_os_lock(&b->cache.lock);
	err = alz_arena_reserve(&b->cache, size, offset);
	alz_os_unlock(&b->cache.lock);
	b->open += !err;
	return err;
}

static void give_back(struct bench *b, u64 offset, u64 size)
{
	alz_os_lock(&b->cache.lock);
	alz_arena_give_back(&b->cache, offset, size);
	alz_os_unlock(&b->cache.lock);
	b->open--;
}

TEST(records_follow_one_another_within_segments)
{
	u64 offset, end = 0, given = 0;
	struct bench *b;
	int err;

	core_os_reset();
	b = bench_new(0, 16 * SEGMENT);
	for (;;) {
		u64 size = (random_u64() % 100 + 1) * 64;

		err = reserve(b, size, &offset);
		if (err)
			break;
		check_eq(offset % 64, 0);
		check(offset >= end);
		/* a gap only where the next would not have fitted */
		if (offset != end) {
			check_eq(offset % SEGMENT, 0);
			check((end % SEGMENT) + size > SEGMENT);
		}
		check(offset / SEGMENT == (offset + size - 1) / SEGMENT);
		end = offset + size;
		check_eq(b->cache.header->arena_used, end);
		given += size;
	}
	check_eq(err, -ENOSPC);
	check(end > 16 * SEGMENT - 6400 && end <= 16 * SEGMENT);
	check(given > 15 * SEGMENT);
	check_eq(b->cache.arena.allocated, 16 * SEGMENT);
	check_eq(reserve(b, SEGMENT, &offset), -ENOSPC);
	bench_free(b);
}

TEST(memory_is_taken_as_it_fills)
{
	struct bench *b;
	u64 offset, i;

	core_os_reset();
	b = bench_new(0, 16 * SEGMENT);
	check_eq(b->cache.arena.allocated, 0);
	for (i = 1; i <= 16; i++) {
		check_eq(reserve(b, SEGMENT, &offset), 0);
		check_eq(offset, (i - 1) * SEGMENT);
		check_eq(b->cache.arena.allocated, i * SEGMENT);
	}
	check_eq(reserve(b, 64, &offset), -ENOSPC);
	bench_free(b);
}

TEST(last_room_is_taken_back_earlier_becomes_a_hole)
{
	struct asynclazy_record *r;
	struct bench *b;
	u64 a, c, d;

	core_os_reset();
	b = bench_new(0, 0);
	check_eq(reserve(b, 128, &a), 0);
	check_eq(reserve(b, 192, &c), 0);
	give_back(b, c, 192);
	check_eq(b->cache.header->arena_used, c);
	check_eq(reserve(b, 64, &d), 0);
	check_eq(d, c);
	give_back(b, a, 128);
	r = alz_arena_record(&b->cache.arena, a);
	check_eq(r->kind, ASYNCLAZY_RECORD_HOLE);
	check_eq(r->granules, 2);
	check_eq(b->cache.header->arena_used, d + 64);
	bench_free(b);
}

TEST(aborted_publish_gives_its_room_back_and_keeps_the_ticket)
{
	struct alz_reservation r, s;
	struct bench *b;
	u64 ticket, used;

	core_os_reset();
	b = bench_new(0, 0);
	ticket = take(b, 0, "k");
	used = b->cache.header->arena_used;
	check_eq(alz_publish_begin(&b->client[0], ticket, 1000, NULL, &r), 0);
	check(b->cache.header->arena_used > used);
	alz_publish_abort(&r);
	check_eq(b->cache.header->arena_used, used);
	/* two at a time, ended in the order they began */
	check_eq(alz_publish_begin(&b->client[0], ticket, 1000, NULL, &r), 0);
	check_eq(alz_set_begin(&b->client[0], "l", 1, hash_of("l", 1), 8, NULL, &s),
		 0);
	alz_publish_abort(&r);
	check_eq(alz_arena_record(&b->cache.arena, r.offset)->kind,
		 ASYNCLAZY_RECORD_HOLE);
	memset(s.value, 1, 8);
	check_eq(alz_publish_commit(&b->client[0], &s), 0);
	check_eq(publish(b, 0, ticket, "v", 1, 0), 0);
	bench_free(b);
}

TEST(bytes_that_were_refused_are_not_left_in_the_arena)
{
	struct alz_reservation r;
	const char *segment;
	struct bench *b;
	u64 ticket, i, n = 0;

	core_os_reset();
	b = bench_new(0, 0);
	/* one that is aborted, one that is overtaken */
	ticket = take(b, 0, "k");
	check_eq(alz_publish_begin(&b->client[0], ticket, 500, NULL, &r), 0);
	memset(r.value, 0xee, 500);
	alz_publish_abort(&r);
	check_eq(alz_publish_begin(&b->client[0], ticket, 500, NULL, &r), 0);
	memset(r.value, 0xee, 500);
	check_eq(invalidate(b, 1, "k"), 1);
	check_eq(alz_publish_commit(&b->client[0], &r), -ESTALE);
	segment = b->cache.arena.memory[0];
	for (i = 0; i < SEGMENT; i++)
		n += (unsigned char)segment[i] == 0xee;
	check_eq(n, 0);
	bench_free(b);
}

TEST(value_sizes_up_to_the_limit)
{
	static char value[SEGMENT];
	struct bench *b;
	u64 max;

	core_os_reset();
	b = bench_new(0, 4 * SEGMENT);
	max = b->cache.value_max;
	check(max > SEGMENT - 8192 && max < SEGMENT);
	check_eq(set(b, 0, "k", value, max, 0), 0);
	check_eq(set(b, 0, "k", value, max, 5), 0);
	check_eq(set(b, 0, "k", value, max + 1, 0), -EFBIG);
	check_eq(set(b, 0, "k", value, UINT64_MAX, 0), -EFBIG);
	check_eq(set(b, 0, "k", value, max, 0), 0);
	check_eq(set(b, 0, "k", value, max, 0), 0);
	check_eq(set(b, 0, "k", value, max, 0), -ENOSPC);
	bench_free(b);
}

TEST(largest_value_of_the_largest_key_fits)
{
	static char value[SEGMENT], key[ASYNCLAZY_KEY_MAX];
	const struct alz_ttl ttl = { .ttl = 9 };
	struct alz_reservation r;
	struct bench *b;

	core_os_reset();
	b = bench_new(0, SEGMENT);
	memset(key, 'k', sizeof(key));
	check_eq(alz_set_begin(&b->client[0], key, sizeof(key),
			       hash_of(key, sizeof(key)), b->cache.value_max,
			       &ttl, &r), 0);
	memcpy(r.value, value, b->cache.value_max);
	check_eq(alz_publish_commit(&b->client[0], &r), 0);
	bench_free(b);
}

/* ---- what others do while the lock is let go --------------------------- */

static struct bench *raced;
static u64 raced_offset;

static void others_reserve(void)
{
	check_eq(reserve(raced, 64, &raced_offset), 0);
}

TEST(two_that_grow_at_once_take_memory_once)
{
	u64 offset;

	core_os_reset();
	raced = bench_new(0, 4 * SEGMENT);
	core_os.unlocked = others_reserve;
	check_eq(reserve(raced, 128, &offset), 0);
	check_eq(raced_offset, 0);
	check_eq(offset, 64);
	check_eq(raced->cache.arena.allocated, SEGMENT);
	bench_free(raced);
}

static u64 raced_ticket;

static void others_invalidate(void)
{
	check_eq(invalidate(raced, 1, "k"), 1);
}

TEST(ticket_overtaken_while_memory_was_taken_is_stale)
{
	struct alz_reservation r;

	core_os_reset();
	raced = bench_new(0, 0);
	raced_ticket = take(raced, 0, "k");
	core_os.unlocked = others_invalidate;
	check_eq(alz_publish_begin(&raced->client[0], raced_ticket, 8, NULL, &r),
		 -ESTALE);
	check_eq(raced->cache.header->arena_used, 0);
	bench_free(raced);
}

TEST(ticket_overtaken_while_an_error_found_room_is_stale)
{
	bool kept = true;

	core_os_reset();
	raced = bench_new(0, 0);
	raced_ticket = take(raced, 0, "k");
	core_os.unlocked = others_invalidate;
	check_eq(alz_fail(&raced->client[0], raced_ticket, EIO,
			  ASYNCLAZY_FAIL_PERMANENT, 0, "text", 4, &kept), -ESTALE);
	check_eq(kept, 0);
	check_eq(raced->cache.header->errors, 0);
	check_eq(raced->cache.header->arena_used, 0);
	bench_free(raced);
}

TEST(segment_without_memory_is_told_and_tried_again)
{
	struct bench *b;
	u64 ticket;

	core_os_reset();
	b = bench_new(0, 0);
	ticket = take(b, 0, "k");
	core_os.fail_after = 0;
	check_eq(publish(b, 0, ticket, "v", 1, 0), -ENOMEM);
	check_consistent(b);
	core_os.fail_after = -1;
	check_eq(publish(b, 0, ticket, "v", 1, 0), 0);
	bench_free(b);
}

/* Every record and hole of a segment can be found from its start. */
TEST(segments_can_be_walked)
{
	struct alz_reservation r[40];
	struct bench *b;
	u64 offset = 0, n = 0, holes = 0;
	unsigned int i;
	char key[16];

	core_os_reset();
	b = bench_new(0, 0);
	for (i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "%u", i);
		check_eq(alz_set_begin(&b->client[0], key, strlen(key),
				       hash_of(key, strlen(key)), i * 10, 0,
				       &r[i]), 0);
		memset(r[i].value, 0, i * 10);
	}
	for (i = 0; i < 40; i++) {
		if (i % 3 == 1)
			alz_publish_abort(&r[i]);
		else
			check_eq(alz_publish_commit(&b->client[0], &r[i]), 0);
	}
	while (offset < b->cache.arena.used) {
		struct asynclazy_record *rec;

		rec = alz_arena_record(&b->cache.arena, offset);
		if (!check(rec->granules))
			break;
		holes += rec->kind == ASYNCLAZY_RECORD_HOLE;
		offset += (u64)rec->granules << ASYNCLAZY_GRANULE_SHIFT;
		n++;
	}
	check_eq(offset, b->cache.arena.used);
	check_eq(n, 40);
	check_eq(holes, 13);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_follow_one_another_within_segments),
		cmocka_unit_test(memory_is_taken_as_it_fills),
		cmocka_unit_test(last_room_is_taken_back_earlier_becomes_a_hole),
		cmocka_unit_test(aborted_publish_gives_its_room_back_and_keeps_the_ticket),
		cmocka_unit_test(bytes_that_were_refused_are_not_left_in_the_arena),
		cmocka_unit_test(value_sizes_up_to_the_limit),
		cmocka_unit_test(largest_value_of_the_largest_key_fits),
		cmocka_unit_test(two_that_grow_at_once_take_memory_once),
		cmocka_unit_test(ticket_overtaken_while_memory_was_taken_is_stale),
		cmocka_unit_test(ticket_overtaken_while_an_error_found_room_is_stale),
		cmocka_unit_test(segment_without_memory_is_told_and_tried_again),
		cmocka_unit_test(segments_can_be_walked),
	};

	return RUN_TESTS(tests);
}
