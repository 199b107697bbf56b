// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The table: buckets of eight slots, two candidate buckets a key. A slot that
 * is INITIALIZING holds the place of a running flight; it has a tag but no
 * record, and two of the same tag are as good as one another, since the tag
 * together with one bucket gives the other bucket.
 */
#include "core.h"

static u64 *alz_table_bucket(struct alz_cache *cache, u64 bucket)
{
	return cache->slots + bucket * ASYNCLAZY_BUCKET_SLOTS;
}

static void alz_table_count(struct alz_cache *cache, u64 word, u64 by)
{
	struct asynclazy_header *h = cache->header;
	u64 *count[] = { NULL, &h->initializing, &h->keys, &h->errors };
	u64 *n = count[alz_slot_state(word)];

	if (n)
		alz_os_store(n, *n + by);
}

/**
 * alz_table_store() - change a slot: the one store that readers see
 * @cache: the cache
 * @slot: in its table
 * @word: the new word; its record, if any, is complete
 */
void alz_table_store(struct alz_cache *cache, u64 *slot, u64 word)
{
	ALZ_MUST_HOLD(&cache->lock);
	alz_table_count(cache, *slot, -1ULL);
	alz_table_count(cache, word, 1);
	/* pairs with the reader's address dependency from word to record */
	alz_os_store_release(slot, word);
}

static bool alz_record_is(const struct asynclazy_record *r, const void *key, u32 key_size)
{
	return r->key_size == key_size && !memcmp(alz_record_key(r), key, key_size);
}

static u64 *alz_bucket_find(struct alz_cache *cache, u64 bucket, u64 tag,
			    const void *key, u32 key_size)
{
	u64 *slot = alz_table_bucket(cache, bucket);
	u64 *end = slot + ASYNCLAZY_BUCKET_SLOTS;

	for (; slot < end; slot++) {
		if ((*slot & ALZ_SLOT_TAG_MASK) != tag || !alz_slot_has_record(*slot))
			continue;
		if (alz_record_is(alz_arena_record(&cache->arena, alz_slot_offset(*slot)),
				  key, key_size))
			return slot;
	}
	return NULL;
}

/**
 * alz_table_find() - the slot that links to the record of a key
 * @cache: the cache
 * @key: the key
 * @key_size: bytes in it
 * @hash: of the key
 *
 * Return: the slot, FILLED or FAILED, dead or not; NULL if there is none.
 */
u64 *alz_table_find(struct alz_cache *cache, const void *key, u32 key_size, u64 hash)
{
	u64 tag = alz_slot_tag(hash);
	u64 first = alz_bucket_first(hash, cache->bucket_mask);
	u64 other = alz_bucket_other(first, tag, cache->bucket_mask);
	u64 *slot;

	ALZ_MUST_HOLD(&cache->lock);
	slot = alz_bucket_find(cache, first, tag, key, key_size);
	if (!slot && other != first)
		slot = alz_bucket_find(cache, other, tag, key, key_size);
	return slot;
}

static u64 *alz_bucket_word(struct alz_cache *cache, u64 bucket, u64 word)
{
	u64 *slot = alz_table_bucket(cache, bucket);
	int i;

	for (i = 0; i < ASYNCLAZY_BUCKET_SLOTS; i++)
		if (slot[i] == word)
			return slot + i;
	return NULL;
}

/**
 * alz_table_find_initializing() - a slot that a flight of this hash holds
 * @cache: the cache
 * @hash: of the key
 *
 * Return: the slot; NULL never happens while such a flight runs.
 */
u64 *alz_table_find_initializing(struct alz_cache *cache, u64 hash)
{
	u64 tag = alz_slot_tag(hash);
	u64 first = alz_bucket_first(hash, cache->bucket_mask);
	u64 word = alz_slot_pack(ASYNCLAZY_SLOT_INITIALIZING, tag, 0);
	u64 *slot = alz_bucket_word(cache, first, word);

	if (!slot)
		slot = alz_bucket_word(cache,
				       alz_bucket_other(first, tag, cache->bucket_mask),
				       word);
	return slot;
}

/*
 * Make room in a full bucket by moving one of its slots to that slot's other
 * bucket. The copy is stored before the original goes: a reader sees the entry
 * twice or, if it looked at the buckets in the wrong order, misses it and asks
 * under the lock.
 */
static u64 *alz_bucket_displace(struct alz_cache *cache, u64 bucket)
{
	u64 *slot = alz_table_bucket(cache, bucket);
	int i;

	for (i = 0; i < ASYNCLAZY_BUCKET_SLOTS; i++) {
		u64 other = alz_bucket_other(bucket, slot[i] & ALZ_SLOT_TAG_MASK,
					     cache->bucket_mask);
		u64 *room = alz_bucket_word(cache, other, ASYNCLAZY_SLOT_EMPTY);

		if (!room)
			continue;
		alz_os_store_release(room, slot[i]);
		alz_os_store_release(slot + i, ASYNCLAZY_SLOT_EMPTY);
		cache->moves++;
		return slot + i;
	}
	return NULL;
}

/* Two moves: make room in the other bucket of one of our slots, then use it. */
static u64 *alz_bucket_displace_twice(struct alz_cache *cache, u64 bucket)
{
	u64 *slot = alz_table_bucket(cache, bucket);
	int i;

	for (i = 0; i < ASYNCLAZY_BUCKET_SLOTS; i++) {
		u64 other = alz_bucket_other(bucket, slot[i] & ALZ_SLOT_TAG_MASK,
					     cache->bucket_mask);

		if (other != bucket && alz_bucket_displace(cache, other))
			return alz_bucket_displace(cache, bucket);
	}
	return NULL;
}

/* Nobody asks for a dead record by name when the table is full: take its slot. */
static u64 *alz_bucket_evict_dead(struct alz_cache *cache, u64 bucket, u64 now)
{
	u64 *slot = alz_table_bucket(cache, bucket);
	int i;

	for (i = 0; i < ASYNCLAZY_BUCKET_SLOTS; i++, slot++) {
		if (!alz_slot_has_record(*slot) ||
		    !alz_record_dead(alz_arena_record(&cache->arena,
						      alz_slot_offset(*slot)), now))
			continue;
		alz_table_store(cache, slot, ASYNCLAZY_SLOT_EMPTY);
		return slot;
	}
	return NULL;
}

/**
 * alz_table_room() - an EMPTY slot for a hash, moving at most two others
 * @cache: the cache
 * @hash: of the key
 *
 * Return: the slot; NULL if the table is full there. With eight slots a bucket
 * and these moves that is beyond 95 % of the table.
 */
u64 *alz_table_room(struct alz_cache *cache, u64 hash)
{
	u64 first = alz_bucket_first(hash, cache->bucket_mask);
	u64 other = alz_bucket_other(first, alz_slot_tag(hash), cache->bucket_mask);
	u64 *slot;

	ALZ_MUST_HOLD(&cache->lock);
	slot = alz_bucket_word(cache, first, ASYNCLAZY_SLOT_EMPTY);
	if (!slot)
		slot = alz_bucket_word(cache, other, ASYNCLAZY_SLOT_EMPTY);
	if (!slot)
		slot = alz_bucket_displace(cache, first);
	if (!slot)
		slot = alz_bucket_displace(cache, other);
	if (!slot)
		slot = alz_bucket_displace_twice(cache, first);
	if (!slot)
		slot = alz_bucket_displace_twice(cache, other);
	if (!slot)
		slot = alz_bucket_evict_dead(cache, first, alz_os_now());
	if (!slot)
		slot = alz_bucket_evict_dead(cache, other, alz_os_now());
	return slot;
}
