// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Values in memfds. The side has checked the file and holds it; here it is a
 * blob, counted by the record that says so while a slot links to that, by each
 * flight that ended with it, and by each call that is handing it out. It is
 * found by its generation.
 */
#include "core.h"

static struct alz_list *alz_blob_chain(struct alz_cache *cache, u64 generation)
{
	return &cache->blobs_by_generation[generation & cache->flight_mask];
}

/**
 * alz_blob_new() - a blob of nobody
 * @file: for alz_os_file_put(); taken over on success
 * @size: bytes
 * @page_size: of its pages
 *
 * Return: counted once; NULL: no memory.
 */
struct alz_blob *alz_blob_new(void *file, u64 size, u64 page_size)
{
	struct alz_blob *blob = alz_os_alloc(sizeof(*blob));

	if (!blob)
		return NULL;
	alz_list_init(&blob->link);
	alz_list_init(&blob->chain);
	blob->refs = 1;
	blob->file = file;
	blob->size = size;
	blob->page_size = page_size;
	return blob;
}

/** alz_blob_put() - drop one count; under the lock; NULL is allowed */
void alz_blob_put(struct alz_blob *blob)
{
	if (!blob || --blob->refs)
		return;
	alz_list_del(&blob->chain);
	alz_os_file_put(blob->file);
	alz_os_free(blob);
}

/** alz_blob_release() - the same without the lock */
void alz_blob_release(struct alz_cache *cache, struct alz_blob *blob)
{
	alz_os_lock(&cache->lock);
	alz_blob_put(blob);
	alz_os_unlock(&cache->lock);
}

/** alz_blob_born() - a blob gets its generation, by which it can be found */
void alz_blob_born(struct alz_cache *cache, struct alz_blob *blob, u64 generation)
{
	ALZ_MUST_HOLD(&cache->lock);
	blob->generation = generation;
	alz_list_add_tail(&blob->chain, alz_blob_chain(cache, generation));
}

static struct alz_blob *alz_blob_find(struct alz_cache *cache, u64 generation)
{
	struct alz_list *head = alz_blob_chain(cache, generation);
	struct alz_list *at;

	ALZ_MUST_HOLD(&cache->lock);
	for (at = head->next; at != head; at = at->next) {
		struct alz_blob *blob = alz_entry(at, struct alz_blob, chain);

		if (blob->generation == generation)
			return blob;
	}
	return NULL;
}

/**
 * alz_blob_get() - the blob of a generation
 * @client: who asks
 * @generation: of its record, event or answer
 *
 * Return: counted for the caller, who ends it with alz_blob_release(); NULL.
 */
struct alz_blob *alz_blob_get(struct alz_client *client, u64 generation)
{
	struct alz_cache *cache = client->cache;
	struct alz_blob *blob;

	alz_os_lock(&cache->lock);
	blob = alz_blob_find(cache, generation);
	if (blob)
		blob->refs++;
	alz_os_unlock(&cache->lock);
	return blob;
}

/** alz_blob_keep() - a record of a blob is being linked; its bytes are reserved */
void alz_blob_keep(struct alz_cache *cache, struct alz_blob *blob, u64 hash, u64 offset)
{
	ALZ_MUST_HOLD(&cache->lock);
	blob->refs++;
	blob->hash = hash;
	blob->offset = offset;
	blob->kept = true;
	alz_list_add_tail(&blob->link, &cache->blobs);
	cache->nr_blobs++;
}

/** alz_blob_moved() - its record has been copied */
void alz_blob_moved(struct alz_cache *cache, u64 generation, u64 offset)
{
	struct alz_blob *blob = alz_blob_find(cache, generation);

	if (blob)
		blob->offset = offset;
}

/** alz_blob_unkeep() - no slot links to its record any more */
void alz_blob_unkeep(struct alz_cache *cache, u64 generation)
{
	struct alz_blob *blob = alz_blob_find(cache, generation);

	if (!blob || !blob->kept)
		return;
	blob->kept = false;
	alz_list_del(&blob->link);
	cache->nr_blobs--;
	cache->arena.blob_bytes -= blob->size;
	alz_blob_put(blob);
}

/* Evict the oldest blob that was not read since it was last looked at; may let go of the lock. */
static bool alz_blob_evict(struct alz_cache *cache)
{
	u64 n = cache->nr_blobs;
	u32 steps = 0;
	u64 *slot;

	/* after one round all are marked as not read */
	for (n *= 2; n && !alz_list_empty(&cache->blobs); n--) {
		struct alz_blob *blob = alz_entry(cache->blobs.next, struct alz_blob, link);

		slot = alz_table_find_offset(cache, blob->hash, blob->offset);
		if (slot && !alz_visited(cache, slot)) {
			cache->count.evictions++;
			alz_table_drop(cache, slot);
			return true;
		}
		if (slot)
			alz_visited_set(cache, slot, false);
		alz_list_del(&blob->link);
		alz_list_add_tail(&blob->link, &cache->blobs);
		alz_breathe(cache, &steps);
	}
	return false;
}

/*
 * What the arena needs at least, so that one large value does not push all else
 * out: an eighth of the budget, and what reclaim works with.
 */
static u64 alz_blob_max(const struct alz_arena *arena)
{
	u64 least = (u64)(arena->ahead + arena->spare + ALZ_FILLS) << arena->segment_shift;

	if (least < arena->budget / 8)
		least = arena->budget / 8;
	return least < arena->budget ? arena->budget - least : 0;
}

/**
 * alz_blob_reserve() - count a value's bytes against the budget
 * @cache: locked; the lock is let go meanwhile
 * @size: bytes
 *
 * Until it is kept or alz_blob_unreserve() is called.
 *
 * Return: 0, -ENOSPC, -EINTR.
 */
int alz_blob_reserve(struct alz_cache *cache, u64 size)
{
	struct alz_arena *arena = &cache->arena;
	int err;

	if (size > alz_blob_max(arena))
		return -ENOSPC;
	alz_os_unlock(&cache->lock);
	err = alz_os_mutex_lock(&arena->room_lock);
	alz_os_lock(&cache->lock);
	if (err)
		return err;
	while (!arena->stable && arena->blob_bytes + size > alz_blob_max(arena) &&
	       alz_blob_evict(cache))
		;
	if (arena->blob_bytes + size > alz_blob_max(arena))
		err = -ENOSPC;
	else
		arena->blob_bytes += size;
	/* it is inserted: what is kept of records may be copied for it */
	if (!err)
		arena->credit += size;
	/* what reclaim needs for its copies is given back last */
	alz_arena_trim(cache, arena->spare);
	while (!arena->stable && arena->allocated > alz_arena_limit(arena) &&
	       alz_reclaim_run(cache, true))
		;
	alz_arena_trim(cache, 0);
	if (arena->credit > 2ULL << arena->segment_shift)
		arena->credit = 2ULL << arena->segment_shift;
	if (!err && arena->allocated > alz_arena_limit(arena)) {
		arena->blob_bytes -= size;
		err = -ENOSPC;
	}
	alz_os_unlock(&cache->lock);
	alz_os_mutex_unlock(&arena->room_lock);
	alz_os_lock(&cache->lock);
	return err;
}

/** alz_blob_unreserve() - it is not kept after all */
void alz_blob_unreserve(struct alz_cache *cache, u64 size)
{
	ALZ_MUST_HOLD(&cache->lock);
	cache->arena.blob_bytes -= size;
}
