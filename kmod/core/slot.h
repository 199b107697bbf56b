/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Slots and records as the uAPI header lays them out: packing, and where a
 * hash may live. Readers and the core share these.
 */
#ifndef ALZ_CORE_SLOT_H
#define ALZ_CORE_SLOT_H

#include "os.h"
#include <linux/asynclazy.h>

#define ALZ_SLOT_TAG_MASK \
	(((1ULL << ASYNCLAZY_SLOT_TAG_BITS) - 1) << ASYNCLAZY_SLOT_TAG_SHIFT)

static inline u64 alz_slot_state(u64 word)
{
	return word & ASYNCLAZY_SLOT_STATE_MASK;
}

/* The state, and whether it is being made anew. */
static inline u64 alz_slot_marks(u64 word)
{
	return word & (ASYNCLAZY_SLOT_STATE_MASK | ASYNCLAZY_SLOT_REFRESHING);
}

/* FILLED and FAILED link to a record, and have bit 1 in common. */
static inline bool alz_slot_has_record(u64 word)
{
	return word & ASYNCLAZY_SLOT_FILLED;
}

/* The tag of @hash, in its place in a slot's word. */
static inline u64 alz_slot_tag(u64 hash)
{
	return (hash >> ASYNCLAZY_HASH_TAG_SHIFT) << ASYNCLAZY_SLOT_TAG_SHIFT;
}

static inline u64 alz_slot_offset(u64 word)
{
	return (word >> ASYNCLAZY_SLOT_OFFSET_SHIFT) << ASYNCLAZY_GRANULE_SHIFT;
}

static inline u64 alz_slot_pack(u64 state, u64 tag, u64 offset)
{
	return state | tag |
	       (offset >> ASYNCLAZY_GRANULE_SHIFT) << ASYNCLAZY_SLOT_OFFSET_SHIFT;
}

static inline u64 alz_bucket_first(u64 hash, u64 mask)
{
	return hash & mask;
}

/*
 * The other candidate of a slot, from either one: so that a slot can be moved
 * knowing nothing but its word. It differs from @bucket unless there is only
 * one bucket.
 */
static inline u64 alz_bucket_other(u64 bucket, u64 tag, u64 mask)
{
	u64 t = tag >> ASYNCLAZY_SLOT_TAG_SHIFT;

	return bucket ^ (((t * ASYNCLAZY_TAG_SPREAD) | 1) & mask);
}

static inline u64 alz_round_up(u64 n, u64 to)
{
	return (n + to - 1) & ~(to - 1);
}

/* Bytes from the start of a record to its value. */
static inline u64 alz_record_value_offset(u32 key_size)
{
	return alz_round_up(sizeof(struct asynclazy_record) + key_size, 16);
}

/* Bytes from the start of a record to its times. */
static inline u64 alz_record_times_offset(u32 key_size, u64 value_size)
{
	return alz_round_up(alz_record_value_offset(key_size) + value_size, 8);
}

/* Whole bytes of a record, rounded up to granules. */
static inline u64 alz_record_size(u32 key_size, u64 value_size, bool times)
{
	u64 size = alz_record_times_offset(key_size, value_size);

	if (times)
		size += sizeof(struct asynclazy_times);
	return alz_round_up(size, 1ULL << ASYNCLAZY_GRANULE_SHIFT);
}

static inline const void *alz_record_key(const struct asynclazy_record *r)
{
	return r + 1;
}

static inline void *alz_record_value(const struct asynclazy_record *r)
{
	return (char *)r + alz_record_value_offset(r->key_size);
}

static inline struct asynclazy_times *alz_record_times(const struct asynclazy_record *r)
{
	return (struct asynclazy_times *)
		((char *)r + alz_record_times_offset(r->key_size, r->value_size));
}

/*
 * How long before it is stale a record may be made anew, at most: eight times as
 * long as that took, and not before halfway.
 */
static inline u64 alz_refresh_lead(const struct asynclazy_record *r)
{
	const struct asynclazy_times *t = alz_record_times(r);
	u64 half = t->fresh_until > t->published ? (t->fresh_until - t->published) / 2 : 0;

	return r->took < half / 8 ? r->took * 8 : half;
}

#endif
