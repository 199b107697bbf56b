// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The core: the table of slots, up to its limit. */
#include <stdio.h>
#include <stdlib.h>

#include "core_util.h"

static int set_hashed(struct bench *b, const void *key, u32 key_size, u64 hash,
		      u64 ttl)
{
	const struct alz_ttl t = { .ttl = ttl };
	struct alz_reservation r;
	int err = alz_set_begin(&b->client[0], key, key_size, hash, key_size, &t, &r);

	if (err)
		return err;
	memcpy(r.value, key, key_size);
	return alz_publish_commit(&b->client[0], &r);
}

static u64 *find(struct bench *b, const void *key, u32 key_size, u64 hash)
{
	u64 *slot;

	alz_os_lock(&b->cache.lock);
	slot = alz_table_find(&b->cache, key, key_size, hash);
	alz_os_unlock(&b->cache.lock);
	return slot;
}

static bool has(struct bench *b, u64 key, u64 hash)
{
	u64 *slot = find(b, &key, sizeof(key), hash);

	return slot && alz_slot_state(*slot) == ASYNCLAZY_SLOT_FILLED &&
	       value_is(b, alz_slot_offset(*slot), &key, sizeof(key));
}

/* Keys by number, under hashes drawn anew: how many went in before -ENOSPC. */
static u64 fill(struct bench *b, u64 *hashes, u64 most)
{
	u64 i;

	for (i = 0; i < most; i++) {
		int err;

		hashes[i] = random_u64();
		err = set_hashed(b, &i, sizeof(i), hashes[i], 0);
		if (err) {
			check_eq(err, -ENOSPC);
			break;
		}
	}
	return i;
}

TEST(table_never_fills_before_its_keys)
{
	const u64 keys[] = { 1, 7, 8, 14, 16, 20, 28, 29, 32, 56, 64, 100, 112,
			     224, 448, 896, 1024, 1792, 14336 };
	unsigned int i, round;
	u64 j;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		unsigned int rounds = keys[i] < 1000 ? scaled(2000, 200) : 5;
		u64 *hashes = calloc(keys[i], sizeof(*hashes));

		assert_non_null(hashes);
		for (round = 0; round < rounds; round++) {
			struct bench *b;

			core_os_reset();
			b = bench_new(keys[i], (keys[i] / 512 + 1) << 16);
			if (!check_eq(fill(b, hashes, keys[i]), keys[i]))
				round = rounds;
			for (j = 0; j < keys[i] && round < rounds; j++)
				check(has(b, j, hashes[j]));
			bench_free(b);
		}
		free(hashes);
	}
}

TEST(large_table_fills_beyond_95_percent)
{
	enum { BUCKETS = 4096, SLOTS = 8 * BUCKETS };
	u64 *hashes = calloc(SLOTS + 1, sizeof(*hashes));
	struct bench *b;
	u64 n, i;

	core_os_reset();
	b = bench_new(7 * BUCKETS, SLOTS * 128ULL);
	check_eq(b->cache.bucket_mask, BUCKETS - 1);
	assert_non_null(hashes);
	n = fill(b, hashes, SLOTS + 1);
	check(n >= SLOTS * 95ULL / 100);
	check(n <= SLOTS);
	check(core_os.releases > n);	/* some were moved */
	check_eq(b->cache.header->keys, n);
	for (i = 0; i < n; i++)
		check(has(b, i, hashes[i]));
	for (; i < n + 1000 && i < SLOTS; i++)
		check(!find(b, &i, sizeof(i), random_u64()));
	bench_free(b);
	free(hashes);
}

TEST(equal_hashes_share_two_buckets_and_are_told_apart)
{
	struct bench *b;
	u64 i, hash = 0x123456789abcdefULL;

	core_os_reset();
	b = bench_new(7 * 64, 0);
	for (i = 0; i < 16; i++)
		check_eq(set_hashed(b, &i, sizeof(i), hash, 0), 0);
	check_eq(set_hashed(b, &i, sizeof(i), hash, 0), -ENOSPC);
	check_eq(b->cache.count.nospace, 1);
	for (i = 0; i < 16; i++)
		check(has(b, i, hash));
	check(!find(b, &i, sizeof(i), hash));
	/* a prefix of one that is there */
	i = 3;
	check(!find(b, &i, 7, hash));
	bench_free(b);
}

TEST(same_key_under_another_hash_is_another_entry)
{
	struct alz_claim c = { .key = "key", .key_size = 3,
			       .flags = ASYNCLAZY_CLAIM_INIT };
	const u64 hash = 5ULL << 40;	/* two that differ in no tag or bucket */
	struct alz_answer a[2];
	struct bench *b;

	core_os_reset();
	b = bench_new(7 * 64, 0);
	check_eq(set_hashed(b, "key", 3, hash, 0), 0);
	check(!find(b, "key", 3, hash + (1 << 20)));
	check_eq(set_hashed(b, "key", 3, hash + (1 << 20), 0), 0);
	check(find(b, "key", 3, hash) != find(b, "key", 3, hash + (1 << 20)));
	check_eq(b->cache.header->keys, 2);
	/* and another flight */
	c.hash = hash + (2 << 20);
	check_eq(alz_claim(&b->client[0], &c, &a[0]), 0);
	c.hash = hash + (3 << 20);
	check_eq(alz_claim(&b->client[0], &c, &a[1]), 0);
	check_eq(a[0].result, ASYNCLAZY_RESULT_TICKET);
	check_eq(a[1].result, ASYNCLAZY_RESULT_TICKET);
	check_consistent(b);
	check_eq(publish(b, 0, a[1].ticket, "v", 1, 0), 0);
	check(find(b, "key", 3, hash + (3 << 20)));
	check(!find(b, "key", 3, hash + (2 << 20)));
	check_consistent(b);
	bench_free(b);
}

TEST(displaced_flights_keep_their_slots)
{
	enum { KEYS = 7 * 32 };
	struct alz_answer a;
	u64 tickets[KEYS];
	struct bench *b;
	char key[16];
	u64 i, n = 0;

	core_os_reset();
	b = bench_new(KEYS, 0);
	for (i = 0; i < KEYS; i++) {
		snprintf(key, sizeof(key), "%llu", (unsigned long long)i);
		check_eq(claim(b, 0, key, ASYNCLAZY_CLAIM_INIT, 0, &a), 0);
		tickets[i] = a.ticket;
		check_consistent(b);
	}
	check(core_os.releases > KEYS);	/* some were moved */
	check_eq(b->cache.header->initializing, KEYS);
	for (i = 0; i < KEYS; i += 3, n++)
		check_eq(publish(b, 0, tickets[i], &i, sizeof(i), 0), 0);
	for (i = 1; i < KEYS; i += 3)
		check_eq(alz_abandon(&b->client[0], tickets[i]), 0);
	check_eq(b->cache.header->keys, n);
	check_consistent(b);
	bench_free(b);
}

TEST(dead_records_give_way_in_a_full_table)
{
	struct bench *b;
	u64 i, hash = 77;

	core_os_reset();
	b = bench_new(7 * 64, 0);
	for (i = 0; i < 16; i++)	/* a quarter dies, in both buckets */
		check_eq(set_hashed(b, &i, sizeof(i), hash, i % 4 ? 0 : 1000), 0);
	check_eq(set_hashed(b, &i, sizeof(i), hash, 0), -ENOSPC);
	core_os.now += 1000;
	for (i = 16; i < 20; i++)
		check_eq(set_hashed(b, &i, sizeof(i), hash, 0), 0);
	check_eq(set_hashed(b, &i, sizeof(i), hash, 0), -ENOSPC);
	for (i = 0; i < 20; i++)
		check_eq(has(b, i, hash), i >= 16 || i % 4);
	check_eq(b->cache.header->keys, 16);
	bench_free(b);
}

/* Random sets and invalidations at a high load, against a plain array. */
TEST(churn_agrees_with_a_model)
{
	enum { KEYS = 7 * 128 };
	static u64 hashes[2 * KEYS];
	static bool there[2 * KEYS];
	u64 i, key, count = 0, rounds = scaled(2000000, 100000), changes = 0;
	struct bench *b;

	core_os_reset();
	b = bench_new(KEYS, rounds * 128);
	memset(there, 0, sizeof(there));
	for (i = 0; i < 2 * KEYS; i++)
		hashes[i] = random_u64();
	for (i = 0; i < rounds; i++) {
		key = random_u64() % (2 * KEYS);
		if (there[key] && random_u64() % 2) {
			u32 n = 0;

			check_eq(alz_invalidate(&b->client[0], &key, sizeof(key),
						hashes[key], &n), 0);
			check_eq(n, 1);
			there[key] = false;
			count--;
			changes++;
		} else if (there[key] || count < KEYS) {
			check_eq(set_hashed(b, &key, sizeof(key), hashes[key], 0),
				 0);
			count += !there[key];
			there[key] = true;
			changes++;
		}
		key = random_u64() % (2 * KEYS);
		check_eq(has(b, key, hashes[key]), there[key]);
		check_eq(b->cache.header->keys, count);
	}
	check(core_os.releases > changes);	/* some were moved */
	check_consistent(b);
	bench_free(b);
}

TEST(geometry_that_no_cache_can_have)
{
	const struct alz_geometry bad[] = {
		{ .max_keys = 0, .arena_size = 1 << 20 },
		{ .max_keys = 1, .arena_size = 0 },
		{ .max_keys = UINT64_MAX, .arena_size = 1 << 20 },
		{ .max_keys = 1, .arena_size = UINT64_MAX },
		{ .max_keys = 1, .arena_size = 1 << 20, .segment_size = 65537 },
		{ .max_keys = 1, .arena_size = 1 << 20, .segment_size = 32768 },
		{ .max_keys = 1, .arena_size = 1 << 20, .segment_size = 1 << 27 },
		{ .max_keys = 1, .arena_size = 1ULL << 43, .segment_size = 65536 },
		{ .max_keys = 1, .arena_size = 1ULL << 42, .segment_size = 1 << 26 },
		{ .max_keys = 1, .arena_size = 1,
		  .words = (1 << 24) + 1 },
	};
	struct alz_geometry good = { .max_keys = 1, .arena_size = 1 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		check_eq(alz_geometry_check(&bad[i]), -EINVAL);
	check_eq(alz_geometry_check(&good), 0);
	check(alz_geometry_bytes(&good) >= 4096 + 4096 + 65536);
}

TEST(cache_that_finds_no_memory_leaves_none_behind)
{
	const struct alz_geometry g = { .max_keys = 1000, .arena_size = 1 << 20 };
	struct alz_cache cache;
	long n;
	int err;

	core_os_reset();
	for (n = 0;; n++) {
		memset(&cache, 0, sizeof(cache));
		core_os.fail_after = n;
		err = alz_cache_init(&cache, &g, NULL);
		if (!err)
			break;
		check_eq(err, -ENOMEM);
		check_eq(core_os.live, 0);
	}
	check(n >= 4);
	alz_cache_fini(&cache);
	check_eq(core_os.live, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_never_fills_before_its_keys),
		cmocka_unit_test(large_table_fills_beyond_95_percent),
		cmocka_unit_test(equal_hashes_share_two_buckets_and_are_told_apart),
		cmocka_unit_test(same_key_under_another_hash_is_another_entry),
		cmocka_unit_test(displaced_flights_keep_their_slots),
		cmocka_unit_test(dead_records_give_way_in_a_full_table),
		cmocka_unit_test(churn_agrees_with_a_model),
		cmocka_unit_test(geometry_that_no_cache_can_have),
		cmocka_unit_test(cache_that_finds_no_memory_leaves_none_behind),
	};

	return RUN_TESTS(tests);
}
