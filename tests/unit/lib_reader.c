// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The library's hit path by itself, on a table made by hand: which slots it
 * takes, and that it tells keys apart even where their hashes are equal. White
 * box: it includes the library's own reader.h.
 */
#include <stdlib.h>

#include "reader.h"
#include "check.h"

#define BUCKETS	4
#define RECORDS	64
#define RECORD	1024	/* bytes of each in the arena */

struct made {
	_Alignas(64) u64 slots[BUCKETS * ASYNCLAZY_BUCKET_SLOTS];
	_Alignas(64) char arena[RECORDS * RECORD];
	struct alz_view view;
};

static struct made *make(void)
{
	struct made *m = aligned_alloc(64, sizeof(*m));

	assert_non_null(m);
	memset(m, 0, sizeof(*m));
	m->view.slots = m->slots;
	m->view.bucket_mask = BUCKETS - 1;
	m->view.arena = m->arena;
	m->view.seed = 99;
	return m;
}

static struct asynclazy_record *put_record(struct made *m, unsigned int n,
					   const void *key, u32 key_size)
{
	struct asynclazy_record *r = (void *)(m->arena + n * RECORD);

	memset(r, 0, RECORD);
	r->kind = ASYNCLAZY_RECORD_VALUE;
	r->key_size = key_size;
	memcpy(r + 1, key, key_size);
	return r;
}

static void put_slot(struct made *m, unsigned int slot, u64 state, u64 hash,
		     unsigned int n)
{
	struct asynclazy_record *r = (void *)(m->arena + n * RECORD);

	r->hash = hash;
	m->slots[slot] = alz_slot_pack(state, alz_slot_tag(hash),
				       (u64)n * RECORD);
}

static const struct asynclazy_record *find(struct made *m, const void *key,
					   size_t key_size, u64 hash)
{
	return alz_reader_find(&m->view, key, key_size, hash);
}

static void check_key_size(struct made *m, size_t n)
{
	u64 hash = 0x5555551234567800ULL;
	const struct asynclazy_record *r;
	/* at its own address, so that a read past it is seen */
	unsigned char *key = malloc(n), *longer = malloc(n + 1);
	size_t i;

	assert_non_null(key);
	assert_non_null(longer);
	for (i = 0; i < n; i++)
		key[i] = longer[i] = i * 7 + n;
	longer[n] = 0;
	r = put_record(m, 5, key, n);
	put_slot(m, 3, ASYNCLAZY_SLOT_FILLED, hash, 5);
	check(find(m, key, n, hash) == r);
	for (i = 0; i < n; i++) {
		key[i] ^= 1 << (i % 8);
		check(!find(m, key, n, hash));
		key[i] ^= 1 << (i % 8);
	}
	check(!find(m, longer, n + 1, hash));
	/* a liar's entry: the same key, slot and tag under another hash */
	r = put_record(m, 5, key, n);
	put_slot(m, 3, ASYNCLAZY_SLOT_FILLED, hash ^ 1ULL << 35, 5);
	check(!find(m, key, n, hash));
	put_slot(m, 3, ASYNCLAZY_SLOT_FILLED, hash, 5);
	check(find(m, key, n, hash) == r);
	if (n > 1)
		check(!find(m, key, n - 1, hash));
	free(key);
	free(longer);
}

TEST(keys_of_equal_hash_are_told_apart_by_every_byte)
{
	struct made *m = make();
	size_t n;

	for (n = 1; n <= 300; n++)
		check_key_size(m, n);
	free(m);
}

TEST(every_slot_of_both_buckets_is_looked_at)
{
	struct made *m = make();
	u64 hash = 0xabcdef0000000001ULL;
	u64 first = alz_bucket_first(hash, BUCKETS - 1);
	u64 other = alz_bucket_other(first, alz_slot_tag(hash), BUCKETS - 1);
	const struct asynclazy_record *r = put_record(m, 9, "key", 3);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(m->slots); i++) {
		u64 bucket = i / ASYNCLAZY_BUCKET_SLOTS;
		bool mine = bucket == first || bucket == other;

		memset(m->slots, 0, sizeof(m->slots));
		put_slot(m, i, ASYNCLAZY_SLOT_FILLED, hash, 9);
		check(find(m, "key", 3, hash) == (mine ? r : NULL));
		/* also while its successor is being made */
		m->slots[i] |= ASYNCLAZY_SLOT_REFRESHING;
		check(find(m, "key", 3, hash) == (mine ? r : NULL));
	}
	free(m);
}

TEST(only_slots_with_a_record_of_this_tag_are_followed)
{
	struct made *m = make();
	u64 hash = 0x123456 * (1ULL << 40) + 2, bit;
	struct asynclazy_record *r = put_record(m, 1, "key", 3);
	unsigned int slot = 2 * ASYNCLAZY_BUCKET_SLOTS + 4;

	put_slot(m, slot, ASYNCLAZY_SLOT_FILLED, hash, 1);
	check(find(m, "key", 3, hash) == r);
	put_slot(m, slot, ASYNCLAZY_SLOT_FAILED, hash, 1);
	check(find(m, "key", 3, hash) == r);
	put_slot(m, slot, ASYNCLAZY_SLOT_INITIALIZING, hash, 1);
	check(!find(m, "key", 3, hash));
	put_slot(m, slot, ASYNCLAZY_SLOT_EMPTY, hash, 1);
	check(!find(m, "key", 3, hash));
	for (bit = 1ULL << 40; bit; bit <<= 1) {
		put_slot(m, slot, ASYNCLAZY_SLOT_FILLED, hash ^ bit, 1);
		check(!find(m, "key", 3, hash));
	}
	free(m);
}

TEST(many_of_one_tag_in_a_bucket)
{
	struct made *m = make();
	u64 hash = 0x777777 * (1ULL << 40);
	const struct asynclazy_record *r[16];
	u64 first = 0, other;
	unsigned int i;
	char key[2] = "k";

	other = alz_bucket_other(first, alz_slot_tag(hash), BUCKETS - 1);
	for (i = 0; i < 16; i++) {
		key[1] = i;
		r[i] = put_record(m, i, key, 2);
		put_slot(m, (i < 8 ? first : other) * 8 + i % 8,
			 ASYNCLAZY_SLOT_FILLED, hash, i);
	}
	for (i = 0; i < 16; i++) {
		key[1] = i;
		check(find(m, key, 2, hash) == r[i]);
	}
	key[1] = 16;
	check(!find(m, key, 2, hash));
	free(m);
}

TEST(records_with_an_end_are_compared_with_the_clock)
{
	struct made *m = make();
	u64 hash = 0x31415926535ULL;
	struct asynclazy_record *r = put_record(m, 0, "key", 3);
	struct asynclazy_times *times = alz_record_times(r);

	put_slot(m, alz_bucket_first(hash, BUCKETS - 1) * 8,
		 ASYNCLAZY_SLOT_FILLED, hash, 0);
	r->flags = ASYNCLAZY_RECORD_TIMES;
	times->stale_until = now_ns() + 3600 * SEC;
	check(find(m, "key", 3, hash) == r);
	times->stale_until = UINT64_MAX;
	check(find(m, "key", 3, hash) == r);
	times->stale_until = now_ns();
	check(!find(m, "key", 3, hash));
	times->stale_until = 1;
	check(!find(m, "key", 3, hash));
	r->flags = 0;
	check(find(m, "key", 3, hash) == r);
	free(m);
}

TEST(get_and_find_use_the_same_hash)
{
	struct made *m = make();
	struct alz_found found;
	const struct asynclazy_record *r = put_record(m, 7, "some key", 8);
	u64 hash = alz_reader_hash(&m->view, "some key", 8);

	found = alz_reader_get(&m->view, "some key", 8);
	check(!found.record);
	check(found.hash == hash);
	put_slot(m, alz_bucket_first(hash, BUCKETS - 1) * 8 + 7,
		 ASYNCLAZY_SLOT_FILLED, hash, 7);
	found = alz_reader_get(&m->view, "some key", 8);
	check(found.record == r);
	check(found.hash == hash);
	/* another seed, another hash */
	m->view.seed++;
	check(alz_reader_hash(&m->view, "some key", 8) != hash);
	free(m);
}

/* K1: a module of another ABI is refused, and the text says what to do. */
TEST(k1_another_abi_is_refused_with_a_clear_text)
{
	const struct asynclazy_header good = {
		.magic = ASYNCLAZY_MAGIC,
		.abi_version = ASYNCLAZY_ABI_VERSION,
		.header_size = ASYNCLAZY_HEADER_SIZE,
		.bucket_count = 8,
		.granule_shift = ASYNCLAZY_GRANULE_SHIFT,
	};
	struct asynclazy_header h = good;

	check_eq(alz_view_check(&h), 0);
	h.abi_version = 7;
	check_eq(alz_view_check(&h), -EPROTO);
	check(strstr(alazy_strerror_detail(), "ABI 7"));
	check(strstr(alazy_strerror_detail(), "same release"));
	h = good;
	h.magic++;
	check_eq(alz_view_check(&h), -EPROTO);
	check(strstr(alazy_strerror_detail(), "asynclazy.ko"));
	h = good;
	h.granule_shift = 4;
	check_eq(alz_view_check(&h), -EPROTO);
	h = good;
	h.bucket_count = 3;
	check_eq(alz_view_check(&h), -EPROTO);
	h = good;
	h.header_size = 8;
	check_eq(alz_view_check(&h), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_equal_hash_are_told_apart_by_every_byte),
		cmocka_unit_test(every_slot_of_both_buckets_is_looked_at),
		cmocka_unit_test(only_slots_with_a_record_of_this_tag_are_followed),
		cmocka_unit_test(many_of_one_tag_in_a_bucket),
		cmocka_unit_test(records_with_an_end_are_compared_with_the_clock),
		cmocka_unit_test(get_and_find_use_the_same_hash),
		cmocka_unit_test(k1_another_abi_is_refused_with_a_clear_text),
	};

	return RUN_TESTS(tests);
}
