// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The table: buckets of eight slots, two candidate buckets a key. A slot that
 * is INITIALIZING holds the place of a running flight; it has a tag but no
 * record, and two of the same tag are as good as one another, since the tag
 * together with one bucket gives the other bucket.
 */
#include "core.h"

#define ALZ_STEPS	128	/* buckets that are looked at to make room */

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
	u64 old = *slot;

	ALZ_MUST_HOLD(&cache->lock);
	alz_table_count(cache, old, -1ULL);
	alz_table_count(cache, word, 1);
	alz_visited_set(cache, slot, false);
	/* pairs with the reader's address dependency from word to record */
	alz_os_store_release(slot, word);
	if (alz_slot_has_record(old)) {
		const struct asynclazy_record *r;

		r = alz_arena_record(&cache->arena, alz_slot_offset(old));
		if (r->kind == ASYNCLAZY_RECORD_MEMFD)
			alz_blob_unkeep(cache, r->generation);
	}
}

/**
 * alz_table_relink() - the record of a slot has been copied
 * @cache: the cache
 * @slot: FILLED or FAILED
 * @offset: of the copy, which is complete
 */
void alz_table_relink(struct alz_cache *cache, u64 *slot, u64 offset)
{
	const struct asynclazy_record *r = alz_arena_record(&cache->arena, offset);
	u64 word = *slot;

	ALZ_MUST_HOLD(&cache->lock);
	if (r->kind == ASYNCLAZY_RECORD_MEMFD)
		alz_blob_moved(cache, r->generation, offset);
	alz_visited_set(cache, slot, false);
	/* as in alz_table_store() */
	alz_os_store_release(slot, alz_slot_pack(alz_slot_marks(word),
						 word & ALZ_SLOT_TAG_MASK, offset));
}

/**
 * alz_table_mark() - whether the record of a slot is being made anew
 * @cache: the cache
 * @slot: FILLED
 * @refreshing: since a flight has begun; false: it has ended without a record
 */
void alz_table_mark(struct alz_cache *cache, u64 *slot, bool refreshing)
{
	ALZ_MUST_HOLD(&cache->lock);
	alz_os_store_release(slot, refreshing ? *slot | ASYNCLAZY_SLOT_REFRESHING :
			     *slot & ~ASYNCLAZY_SLOT_REFRESHING);
}

/* What a slot is without its record: if that is being made anew, its flight's. */
static u64 alz_slot_dropped(u64 word)
{
	if (!(word & ASYNCLAZY_SLOT_REFRESHING))
		return ASYNCLAZY_SLOT_EMPTY;
	return alz_slot_pack(ASYNCLAZY_SLOT_INITIALIZING, word & ALZ_SLOT_TAG_MASK, 0);
}

/** alz_table_drop() - take the record of a slot away; a flight of its key goes on */
void alz_table_drop(struct alz_cache *cache, u64 *slot)
{
	alz_table_store(cache, slot, alz_slot_dropped(*slot));
}

/* The hash too: under another hash it is another entry, a liar's own. */
static bool alz_record_is(const struct asynclazy_record *r, const void *key, u32 key_size,
			  u64 hash)
{
	return r->hash == hash && r->key_size == key_size &&
	       !memcmp(alz_record_key(r), key, key_size);
}

static u64 *alz_bucket_find(struct alz_cache *cache, u64 bucket, const void *key,
			    u32 key_size, u64 hash)
{
	u64 tag = alz_slot_tag(hash);
	u64 *slot = alz_table_bucket(cache, bucket);
	u64 *end = slot + ASYNCLAZY_BUCKET_SLOTS;

	for (; slot < end; slot++) {
		if ((*slot & ALZ_SLOT_TAG_MASK) != tag || !alz_slot_has_record(*slot))
			continue;
		if (alz_record_is(alz_arena_record(&cache->arena, alz_slot_offset(*slot)),
				  key, key_size, hash))
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
	slot = alz_bucket_find(cache, first, key, key_size, hash);
	if (!slot && other != first)
		slot = alz_bucket_find(cache, other, key, key_size, hash);
	return slot;
}

/* The slot with this word, but for its state. */
static u64 *alz_bucket_link(struct alz_cache *cache, u64 bucket, u64 word)
{
	u64 *slot = alz_table_bucket(cache, bucket);
	int i;

	for (i = 0; i < ASYNCLAZY_BUCKET_SLOTS; i++)
		if (alz_slot_has_record(slot[i]) &&
		    slot[i] - alz_slot_marks(slot[i]) == word)
			return slot + i;
	return NULL;
}

/**
 * alz_table_find_offset() - the slot that links to the record at an offset
 * @cache: the cache
 * @hash: of its key
 * @offset: bytes from the start of the arena
 *
 * Return: the slot; NULL if the record was replaced, or taken away.
 */
u64 *alz_table_find_offset(struct alz_cache *cache, u64 hash, u64 offset)
{
	u64 tag = alz_slot_tag(hash);
	u64 first = alz_bucket_first(hash, cache->bucket_mask);
	u64 word = alz_slot_pack(0, tag, offset);
	u64 *slot;

	ALZ_MUST_HOLD(&cache->lock);
	slot = alz_bucket_link(cache, first, word);
	if (!slot)
		slot = alz_bucket_link(cache,
				       alz_bucket_other(first, tag, cache->bucket_mask),
				       word);
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

/**
 * alz_slot_cleared() - whether a slot's record is older than a running CLEAR
 * @cache: the cache
 * @word: the slot's
 */
bool alz_slot_cleared(struct alz_cache *cache, u64 word)
{
	return cache->clearing && alz_slot_has_record(word) &&
	       alz_arena_record(&cache->arena, alz_slot_offset(word))->generation <=
	       cache->clearing;
}

/* A bucket that could be reached by moving slots, and from where. */
struct alz_step {
	u32 bucket;
	u8 from;	/* the step that it was reached from */
	u8 slot;	/* of that step's bucket: what would move here */
};

/*
 * Move slots along the path that leads to @step, whose bucket has @room, last
 * one first. A copy is stored before its original goes: a reader sees the entry
 * twice or, if it looked at the buckets in the wrong order, misses it and asks
 * under the lock.
 *
 * Return: the slot that has become free in the path's first bucket; NULL if the
 * path crossed itself, which leaves everything in order.
 */
static u64 *alz_table_move(struct alz_cache *cache, const struct alz_step *steps,
			   u32 step, u64 *room)
{
	while (steps[step].from != step) {
		u32 from = steps[step].from;
		u64 *slot = alz_table_bucket(cache, steps[from].bucket) + steps[step].slot;
		u64 word = *slot;

		if (!word || alz_bucket_other(steps[from].bucket, word & ALZ_SLOT_TAG_MASK,
					      cache->bucket_mask) != steps[step].bucket)
			return NULL;
		if (alz_slot_cleared(cache, word)) {
			/* CLEAR may have been at its new place already */
			alz_table_drop(cache, slot);
			cache->cleared++;
			word = *slot;
		}
		if (word) {
			alz_visited_set(cache, room, alz_visited(cache, slot));
			alz_os_store_release(room, word);
			alz_os_store_release(slot, ASYNCLAZY_SLOT_EMPTY);
		}
		room = slot;
		step = from;
	}
	return room;
}

/*
 * Breadth first from the two candidate buckets of a new entry: a slot of a full
 * bucket can move to its other bucket, where a slot can move to its other ... The
 * first bucket with an EMPTY slot ends the search.
 */
static u64 *alz_table_displace(struct alz_cache *cache, u64 first, u64 other)
{
	struct alz_step steps[ALZ_STEPS] = {
		{ .bucket = first, .from = 0 },
		{ .bucket = other, .from = 1 },
	};
	u32 n = 2;
	u32 at;

	for (at = 0; at < n; at++) {
		u64 *room = alz_bucket_word(cache, steps[at].bucket, ASYNCLAZY_SLOT_EMPTY);
		u64 *slot = alz_table_bucket(cache, steps[at].bucket);
		u32 i;

		if (room)
			return alz_table_move(cache, steps, at, room);
		for (i = 0; i < ASYNCLAZY_BUCKET_SLOTS && n < ALZ_STEPS; i++)
			steps[n++] = (struct alz_step) {
				.bucket = alz_bucket_other(steps[at].bucket,
							   slot[i] & ALZ_SLOT_TAG_MASK,
							   cache->bucket_mask),
				.from = at,
				.slot = i,
			};
	}
	return NULL;
}

/* Nobody asks for a dead record by name when the table is full: take its slot. */
static u64 *alz_bucket_evict_dead(struct alz_cache *cache, u64 bucket, u64 now)
{
	u64 *slot = alz_table_bucket(cache, bucket);
	int i;

	for (i = 0; i < ASYNCLAZY_BUCKET_SLOTS; i++, slot++) {
		if (!alz_slot_has_record(*slot) || *slot & ASYNCLAZY_SLOT_REFRESHING ||
		    !alz_record_dead(alz_arena_record(&cache->arena,
						      alz_slot_offset(*slot)), now))
			continue;
		alz_table_store(cache, slot, ASYNCLAZY_SLOT_EMPTY);
		return slot;
	}
	return NULL;
}

/* The n-th of the slots where a key may lie. */
static u64 *alz_candidate(struct alz_cache *cache, u64 first, u64 other, u32 n)
{
	return alz_table_bucket(cache, n < ASYNCLAZY_BUCKET_SLOTS ? first : other) +
	       n % ASYNCLAZY_BUCKET_SLOTS;
}

/*
 * Rather than refuse a new key, let an old one go: best one that was not read. If
 * all were, they have to be read again before the next is looked for.
 */
static u64 *alz_bucket_evict(struct alz_cache *cache, u64 first, u64 other)
{
	u64 *best = NULL;
	bool read = false;
	u32 i;

	for (i = 0; i < 2 * ASYNCLAZY_BUCKET_SLOTS; i++) {
		u64 *slot = alz_candidate(cache, first, other, i);

		if (!alz_slot_has_record(*slot) || *slot & ASYNCLAZY_SLOT_REFRESHING)
			continue;
		best = slot;
		read = alz_visited(cache, slot);
		if (!read)
			break;
	}
	for (i = 0; read && i < 2 * ASYNCLAZY_BUCKET_SLOTS; i++)
		alz_visited_set(cache, alz_candidate(cache, first, other, i), false);
	if (best) {
		cache->count.evictions++;
		alz_table_store(cache, best, ASYNCLAZY_SLOT_EMPTY);
	}
	return best;
}

/**
 * alz_table_room() - an EMPTY slot for a hash, moving others if need be
 * @cache: the cache
 * @hash: of the key
 *
 * Return: the slot; NULL if the table is full there.
 */
u64 *alz_table_room(struct alz_cache *cache, u64 hash)
{
	u64 first = alz_bucket_first(hash, cache->bucket_mask);
	u64 other = alz_bucket_other(first, alz_slot_tag(hash), cache->bucket_mask);
	u64 *slot;

	ALZ_MUST_HOLD(&cache->lock);
	slot = alz_table_displace(cache, first, other);
	if (!slot)
		slot = alz_bucket_evict_dead(cache, first, alz_os_now());
	if (!slot)
		slot = alz_bucket_evict_dead(cache, other, alz_os_now());
	if (!slot && !cache->arena.stable)
		slot = alz_bucket_evict(cache, first, other);
	return slot;
}
