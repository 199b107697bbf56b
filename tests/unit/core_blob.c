// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The core: values in memfds: their budget, and that each file is put once. */
#include <stdio.h>

#include "core_recycle_util.h"

#define SIZE	1000
#define MB	(1ULL << 20)
#define FILES	64

static int files[FILES];	/* who has each */

static struct bench *begin(u64 segments)
{
	core_os_reset();
	memset(files, 0, sizeof(files));
	return bench_recycle(20000, segments);
}

static void end(struct bench *b)
{
	int i;

	bench_free(b);
	for (i = 0; i < FILES; i++)
		check_eq(files[i], 0);
}

static u64 generation_of(struct bench *b, const char *key)
{
	struct alz_answer a;

	check_eq(claim(b, 0, key, 0, 0, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_HIT);
	return a.generation;
}

static bool is_memfd(struct bench *b, u64 offset, u64 size)
{
	const struct asynclazy_record *r = alz_arena_record(&b->cache.arena, offset);
	struct asynclazy_memfd m;

	if (r->kind != ASYNCLAZY_RECORD_MEMFD || r->value_size != sizeof(m))
		return false;
	memcpy(&m, alz_record_value(r), sizeof(m));
	return m.size == size && m.page_size == 4096;
}

/* Memory for records and in memfds, together. */
static bool within_budget(struct bench *b)
{
	const struct alz_arena *arena = &b->cache.arena;

	return arena->allocated + arena->blob_bytes <= arena->budget;
}

TEST(published_memfd_is_found_by_key_and_by_generation)
{
	struct alz_reservation r = { .pin = 2 };
	struct alz_answer a;
	struct alz_blob *blob;
	struct bench *b;
	u64 t;

	b = begin(64);
	t = take(b, 1, "k");
	blob = blob_new(&files[0], 3 * MB);
	check_eq(publish_blob(b, 1, t, blob, true, 0, &r), 0);
	check_eq(files[0], 1);
	alz_blob_release(&b->cache, blob);
	check_eq(files[0], 1);
	check_consistent(b);
	check_eq(claim(b, 0, "k", 0, 0, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_HIT);
	check_eq(a.offset, r.offset);
	check_eq(a.generation, r.generation);
	check_eq(b->pins[1][1], pin_of(r.offset));
	check(is_memfd(b, a.offset, 3 * MB));
	check(blob_is_found(b, a.generation));
	check(!blob_is_found(b, a.generation + 1));
	check(!blob_is_found(b, 0));
	check_eq(b->cache.arena.blob_bytes, 3 * MB);
	end(b);
}

/* ---- each way that a value can go -------------------------------------- */

static struct bench *with_one(void)
{
	struct bench *b = begin(64);

	check_eq(put_blob(b, "k", MB, &files[0]), 0);
	check_eq(files[0], 1);
	return b;
}

static void gone(struct bench *b)
{
	check_eq(files[0], 0);
	check_eq(b->cache.arena.blob_bytes, 0);
	check_eq(b->cache.nr_blobs, 0);
	end(b);
}

TEST(file_is_put_when_its_value_is_replaced)
{
	struct bench *b = with_one();

	check_eq(set(b, 0, "k", "v", 1, 0), 0);
	gone(b);
	b = with_one();
	check_eq(put_blob(b, "k", MB, &files[1]), 0);
	check_eq(files[0], 0);
	check_eq(files[1], 1);
	check_eq(b->cache.arena.blob_bytes, MB);
	end(b);
}

TEST(file_is_put_when_its_key_is_invalidated_or_cleared)
{
	struct bench *b = with_one();
	u64 count;

	check_eq(invalidate(b, 1, "k"), 1);
	gone(b);
	b = with_one();
	check_eq(alz_clear(&b->client[0], &count), 0);
	gone(b);
}

TEST(file_is_put_when_its_value_is_dead_and_its_key_claimed)
{
	struct alz_reservation r = { 0 };
	struct bench *b = begin(64);
	struct alz_blob *blob = blob_new(&files[0], MB);

	check_eq(set_blob(b, 0, "k", blob, SEC, &r), 0);
	alz_blob_release(&b->cache, blob);
	core_os.now += SEC - 1;
	generation_of(b, "k");
	core_os.now += 1;
	take(b, 0, "k");
	gone(b);
}

TEST(file_is_put_when_its_segment_is_emptied)
{
	struct bench *b = with_one();
	u32 next = 0;

	while (files[0] && next < 20000)
		check_eq(put(b, next++, SIZE), 0);
	check(b->cache.count.evictions > 0);
	gone(b);
}

TEST(file_is_put_when_its_slot_is_needed)
{
	struct bench *b;
	u32 next = 0;

	core_os_reset();
	memset(files, 0, sizeof(files));
	b = bench_recycle(8, 64);
	check_eq(put_blob(b, "k", MB, &files[0]), 0);
	while (files[0] && next < 1000)
		check_eq(put(b, next++, SIZE), 0);
	gone(b);
}

TEST(file_is_put_when_its_cache_goes)
{
	struct bench *b = begin(64);
	int i;

	for (i = 0; i < 20; i++)
		check_eq(put_blob(b, name_of(i), 1 + i, &files[i]), 0);
	end(b);
}

TEST(file_that_is_being_handed_out_is_put_after_that)
{
	struct bench *b = with_one();
	u64 generation = generation_of(b, "k");
	struct alz_blob *blob = alz_blob_get(&b->client[1], generation);

	check(blob);
	check_eq(invalidate(b, 0, "k"), 1);
	check_consistent(b);
	check_eq(b->cache.arena.blob_bytes, 0);
	check_eq(files[0], 1);
	check(blob_is_found(b, generation));
	alz_blob_release(&b->cache, blob);
	check(!blob_is_found(b, generation));
	gone(b);
}

/* ---- the budget -------------------------------------------------------- */

TEST(memfds_and_records_share_the_budget)
{
	u32 next = 0, i, found = 0;
	struct bench *b = begin(64);

	for (i = 0; i < 2000 && !check_failures(); i++) {
		u64 size = random_u64() % (256 << 10);

		check_eq(put_blob(b, name_of(100000 + i), size, &files[0]), 0);
		check_consistent(b);
		check(within_budget(b));
		if (i % 3)
			continue;
		check_eq(put(b, next++, random_u64() % 20000), 0);
		check(within_budget(b));
	}
	for (i = 0; i < 2000; i++)
		found += where(b, 100000 + i) != ASYNCLAZY_NO_RECORD;
	check_eq(files[0], found);
	check_eq(b->cache.nr_blobs, found);
	check(found > 10 && found < 100);
	/* the arena is left what it needs, and uses it */
	check(b->cache.arena.blob_bytes <= 56 * SEGMENT);
	check(count_keys(b, 0, next) > 10);
	end(b);
}

TEST(of_memfds_those_go_that_were_not_read)
{
	struct bench *b = begin(64);
	int i;

	/* three fit */
	for (i = 0; i < 3; i++)
		check_eq(put_blob(b, name_of(i), MB, &files[i]), 0);
	visit(b, 0);
	check_eq(put_blob(b, name_of(3), MB, &files[3]), 0);
	check_eq(files[0] && !files[1] && files[2] && files[3], 1);
	check_eq(put_blob(b, name_of(4), MB, &files[4]), 0);
	check_eq(files[0] && !files[2] && files[3] && files[4], 1);
	/* all were read: the one that came first goes */
	visit(b, 0);
	visit(b, 3);
	visit(b, 4);
	check_eq(put_blob(b, name_of(5), MB, &files[5]), 0);
	check_eq(files[0] + files[3] + files[4], 2);
	check_eq(b->cache.count.evictions, 3);
	check_consistent(b);
	end(b);
}

TEST(memory_of_records_makes_way_for_memfds_and_comes_back)
{
	u32 next = 0, i, hot = 0;
	struct bench *b = begin(64);

	fill_up(b, &next, SIZE);
	for (i = 0; i < next; i += 8)
		visit(b, i);
	/* it came when it was wanted, and has what it works with */
	alz_reclaim(&b->cache);
	check_eq(put_blob(b, "k", 2 * MB, &files[0]), 0);
	check(within_budget(b));
	check_consistent(b);
	/* what was read is kept */
	for (i = 0; i < next; i += 8)
		hot += has(b, i);
	check_eq(hot, (next + 7) / 8);
	check(b->cache.arena.allocated <= 32 * SEGMENT);
	churn(b, &next, SIZE, b->cache.count.reclaims + 10);
	check_eq(files[0], 1);
	check_eq(invalidate(b, 0, "k"), 1);
	churn(b, &next, SIZE, b->cache.count.reclaims + 10);
	check_eq(b->cache.arena.allocated, 64 * SEGMENT);
	end(b);
}

static struct bench *raced;

static void overtake(void)
{
	check_eq(invalidate(raced, 2, "q"), 1);
}

TEST(memory_that_is_being_written_to_does_not_make_way)
{
	struct alz_reservation p = { 0 };
	struct alz_blob *blob;
	const struct alz_ttl ttl = { 0 };
	struct alz_reservation r[64];
	struct bench *b = begin(32);
	u32 i, n = 0;

	while (n < ARRAY_SIZE(r) &&
	       !alz_set_begin(&b->client[1], "k", 1, hash_of("k", 1), RECORD_MAX - 200, &ttl,
			      &r[n]))
		n++;
	check(n >= 40);
	check_eq(put_blob(b, "m", 20 * SEGMENT, &files[0]), -ENOSPC);
	check_eq(b->cache.arena.blob_bytes, 0);
	/* and then nobody is left to give it to */
	raced = b;
	blob = blob_new(&files[1], 20 * SEGMENT);
	core_os.unlocked = overtake;
	check_eq(publish_blob(b, 0, take(b, 0, "q"), blob, true, 0, &p), -ESTALE);
	alz_blob_release(&b->cache, blob);
	check_eq(files[1], 0);
	check_eq(b->cache.arena.blob_bytes, 0);
	for (i = 0; i < n; i++)
		alz_publish_abort(&r[i]);
	check_consistent(b);
	check_eq(put_blob(b, "m", 20 * SEGMENT, &files[0]), 0);
	check(within_budget(b));
	end(b);
}

TEST(memfd_that_does_not_fit_is_refused_or_not_kept)
{
	struct alz_reservation r = { 0 };
	struct bench *b = begin(64);
	struct alz_blob *blob;
	u64 t, count;

	check_eq(put_blob(b, "k", 3 * MB, &files[0]), 0);
	check_eq(put_blob(b, "l", 56 * SEGMENT + 1, &files[1]), -ENOSPC);
	check_eq(files[1], 0);
	check_eq(b->cache.count.nospace, 1);
	check_eq(put_blob(b, "l", UINT64_MAX, &files[1]), -ENOSPC);
	check_consistent(b);
	t = take(b, 0, "l");
	blob = blob_new(&files[1], 56 * SEGMENT + 1);
	check_eq(publish_blob(b, 0, t, blob, true, 0, &r), 0);
	check_eq(r.offset, ASYNCLAZY_NO_RECORD);
	check(r.generation);
	check_eq(b->cache.count.unkept, 1);
	alz_blob_release(&b->cache, blob);
	/* nobody waited */
	check_eq(files[1], 0);
	/* nothing had to go for what would not fit anyway */
	check_eq(files[0], 1);
	check_eq(alz_clear(&b->client[0], &count), 0);
	check_eq(put_blob(b, "l", 56 * SEGMENT, &files[1]), 0);
	check_consistent(b);
	end(b);
}

TEST(stable_cache_keeps_all_its_memfds)
{
	struct alz_reservation r = { 0 };
	struct alz_blob *blob;
	struct bench *b;
	u64 t;

	core_os_reset();
	memset(files, 0, sizeof(files));
	b = bench_new(100, 64 * SEGMENT);
	check_eq(put_blob(b, "k", 3 * MB, &files[0]), 0);
	check_eq(put_blob(b, "l", MB, &files[1]), -ENOSPC);
	t = take(b, 0, "l");
	blob = blob_new(&files[1], MB);
	check_eq(publish_blob(b, 0, t, blob, true, 0, &r), 0);
	check_eq(r.offset, ASYNCLAZY_NO_RECORD);
	alz_blob_release(&b->cache, blob);
	check_eq(files[0], 1);
	check_eq(files[1], 0);
	check(within_budget(b));
	/* one that replaces another */
	check_eq(invalidate(b, 0, "k"), 1);
	check_eq(put_blob(b, "l", MB, &files[1]), 0);
	check_consistent(b);
	end(b);
}

/* ---- reclaim ----------------------------------------------------------- */

TEST(memfd_whose_record_moves_is_still_found)
{
	struct bench *b = with_one();
	u64 generation = generation_of(b, "k");
	u32 next = 0, moves = 0;
	struct alz_answer a;
	u64 last = ASYNCLAZY_NO_RECORD;

	while (moves < 10 && next < 60000) {
		check_eq(put(b, next, SIZE), 0);
		visit(b, next - next % 10);
		next++;
		/* this reads it too */
		check_eq(claim(b, 1, "k", 0, 0, &a), 0);
		if (!check_eq(a.result, ASYNCLAZY_RESULT_HIT))
			break;
		check_eq(a.generation, generation);
		check(is_memfd(b, a.offset, MB));
		moves += a.offset != last;
		last = a.offset;
	}
	check_consistent(b);
	check(blob_is_found(b, generation));
	check_eq(files[0], 1);
	check_eq(invalidate(b, 0, "k"), 1);
	gone(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_memfd_is_found_by_key_and_by_generation),
		cmocka_unit_test(file_is_put_when_its_value_is_replaced),
		cmocka_unit_test(file_is_put_when_its_key_is_invalidated_or_cleared),
		cmocka_unit_test(file_is_put_when_its_value_is_dead_and_its_key_claimed),
		cmocka_unit_test(file_is_put_when_its_segment_is_emptied),
		cmocka_unit_test(file_is_put_when_its_slot_is_needed),
		cmocka_unit_test(file_is_put_when_its_cache_goes),
		cmocka_unit_test(file_that_is_being_handed_out_is_put_after_that),
		cmocka_unit_test(memfds_and_records_share_the_budget),
		cmocka_unit_test(of_memfds_those_go_that_were_not_read),
		cmocka_unit_test(memory_of_records_makes_way_for_memfds_and_comes_back),
		cmocka_unit_test(memory_that_is_being_written_to_does_not_make_way),
		cmocka_unit_test(memfd_that_does_not_fit_is_refused_or_not_kept),
		cmocka_unit_test(stable_cache_keeps_all_its_memfds),
		cmocka_unit_test(memfd_whose_record_moves_is_still_found),
	};

	return RUN_TESTS(tests);
}
