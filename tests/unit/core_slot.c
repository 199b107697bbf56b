// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The core: slots and records, as the uAPI header lays them out. */
#include "core_util.h"

TEST(slot_word_holds_its_parts_apart)
{
	const u64 offset_max = ((1ULL << 37) - 1) << ASYNCLAZY_GRANULE_SHIFT;
	unsigned int i;

	check_eq(alz_slot_pack(ASYNCLAZY_SLOT_EMPTY, 0, 0), 0);
	for (i = 0; i < 100000; i++) {
		u64 state = random_u64() & ASYNCLAZY_SLOT_STATE_MASK;
		u64 tag = alz_slot_tag(random_u64());
		u64 offset = random_u64() & offset_max;
		u64 word = alz_slot_pack(state, tag, offset);

		check(alz_slot_state(word) == state);
		check((word & ALZ_SLOT_TAG_MASK) == tag);
		check(alz_slot_offset(word) == offset);
		check(!(word & ASYNCLAZY_SLOT_REFRESHING));
		word |= ASYNCLAZY_SLOT_REFRESHING;
		check(alz_slot_state(word) == state);
		check((word & ALZ_SLOT_TAG_MASK) == tag);
		check(alz_slot_offset(word) == offset);
		check_eq(alz_slot_has_record(word),
			 state == ASYNCLAZY_SLOT_FILLED ||
			 state == ASYNCLAZY_SLOT_FAILED);
	}
	/* every offset an arena can have fits */
	check(offset_max >= (1ULL << 43) - (1ULL << ASYNCLAZY_GRANULE_SHIFT));
	/* the tag is the top of the hash: independent of the bucket */
	check(alz_slot_tag(0xabcdefULL << 40) ==
	      0xabcdefULL << ASYNCLAZY_SLOT_TAG_SHIFT);
	check(alz_slot_tag((1ULL << 40) - 1) == 0);
}

TEST(bucket_pair_is_the_same_from_both_ends)
{
	unsigned int shift, i;

	for (shift = 0; shift <= 29; shift++) {
		u64 mask = (1ULL << shift) - 1;

		for (i = 0; i < 10000; i++) {
			u64 hash = random_u64();
			u64 tag = alz_slot_tag(hash);
			u64 first = alz_bucket_first(hash, mask);
			u64 other = alz_bucket_other(first, tag, mask);

			check(first <= mask && other <= mask);
			check(alz_bucket_other(other, tag, mask) == first);
			check((other == first) == !mask);
		}
	}
}

TEST(bucket_pairs_are_spread)
{
	enum { BUCKETS = 64, ROUNDS = 64000 };
	unsigned int count[BUCKETS] = { 0 };
	unsigned int i;

	/* of the keys of one bucket, the other buckets */
	for (i = 0; i < ROUNDS; i++) {
		u64 hash = random_u64() & ~(u64)(BUCKETS - 1);

		count[alz_bucket_other(0, alz_slot_tag(hash), BUCKETS - 1)]++;
	}
	/* half of them can be: each its share, give or take a third */
	for (i = 0; i < BUCKETS; i++)
		check(!count[i] || (count[i] > ROUNDS / 32 * 2 / 3 &&
				    count[i] < ROUNDS / 32 * 4 / 3));
	for (i = 1; i < BUCKETS; i += 2)
		check(count[i]);
}

TEST(record_parts_do_not_overlap_and_are_aligned)
{
	u32 key_size;
	u64 size;

	for (key_size = 1; key_size <= ASYNCLAZY_KEY_MAX; key_size += 5) {
		for (size = 0; size < 200; size += 3) {
			u64 value = alz_record_value_offset(key_size);
			u64 times = alz_record_times_offset(key_size, size);
			u64 plain = alz_record_size(key_size, size, false);
			u64 timed = alz_record_size(key_size, size, true);

			check(value >= sizeof(struct asynclazy_record) + key_size);
			check_eq(value % 16, 0);
			check(times >= value + size && times < value + size + 8);
			check_eq(times % 8, 0);
			check(plain >= value + size && plain < value + size + 72);
			check(timed >= times + sizeof(struct asynclazy_times));
			check_eq(plain % 64, 0);
			check_eq(timed % 64, 0);
		}
	}
}

TEST(record_accessors_point_where_the_offsets_say)
{
	_Alignas(64) char room[512] = { 0 };
	struct asynclazy_record *r = (void *)room;

	r->key_size = 21;
	r->value_size = 33;
	check(alz_record_key(r) == room + sizeof(*r));
	check(alz_record_value(r) == room + alz_record_value_offset(21));
	check((char *)alz_record_times(r) ==
	      room + alz_record_times_offset(21, 33));
}

TEST(shared_layouts_keep_their_size)
{
	check_eq(sizeof(struct asynclazy_event), 64);
	check_eq(sizeof(struct asynclazy_record), 48);
	check_eq(sizeof(struct asynclazy_times), 32);
	check_eq(offsetof(struct asynclazy_header, keys), 64);
	check(sizeof(struct asynclazy_header) <= ASYNCLAZY_HEADER_SIZE);
	check_eq(ASYNCLAZY_BUCKET_SLOTS * sizeof(u64), 64);
}

TEST(i12_a_wait_costs_at_most_128_bytes)
{
	check(sizeof(struct alz_waiter) <= 128);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slot_word_holds_its_parts_apart),
		cmocka_unit_test(bucket_pair_is_the_same_from_both_ends),
		cmocka_unit_test(bucket_pairs_are_spread),
		cmocka_unit_test(record_parts_do_not_overlap_and_are_aligned),
		cmocka_unit_test(record_accessors_point_where_the_offsets_say),
		cmocka_unit_test(shared_layouts_keep_their_size),
		cmocka_unit_test(i12_a_wait_costs_at_most_128_bytes),
	};

	return RUN_TESTS(tests);
}
