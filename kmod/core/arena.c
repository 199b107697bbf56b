// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The arena: segments of equal size, filled front to back. A record lies in
 * one segment. Memory for a segment is taken when the first record goes there.
 */
#include "core.h"

int alz_arena_init(struct alz_arena *arena, u64 size, u32 segment_shift, void *os)
{
	arena->nr_segments = size >> segment_shift;
	arena->segment_shift = segment_shift;
	arena->os = os;
	arena->segments = alz_os_pages_alloc(arena->nr_segments * sizeof(void *));
	return arena->segments ? 0 : -ENOMEM;
}

void alz_arena_fini(struct alz_arena *arena)
{
	u64 size = 1ULL << arena->segment_shift;
	u32 i;

	if (!arena->segments)
		return;
	for (i = 0; i < arena->nr_segments; i++)
		if (arena->segments[i])
			alz_os_segment_free(arena->os, i, arena->segments[i], size);
	alz_os_pages_free(arena->segments, arena->nr_segments * sizeof(void *));
}

/** alz_arena_record() - where the core finds the record at an offset */
struct asynclazy_record *alz_arena_record(struct alz_arena *arena, u64 offset)
{
	char *segment = arena->segments[offset >> arena->segment_shift];

	return (void *)(segment + (offset & ((1ULL << arena->segment_shift) - 1)));
}

/* Take memory for a segment; drops the lock meanwhile. */
static int alz_arena_grow(struct alz_cache *cache, u32 index)
{
	struct alz_arena *arena = &cache->arena;
	u64 size = 1ULL << arena->segment_shift;
	void *segment;

	alz_os_unlock(&cache->lock);
	segment = alz_os_segment_alloc(arena->os, index, size);
	alz_os_lock(&cache->lock);
	if (!segment)
		return -ENOMEM;
	if (arena->segments[index]) {	/* somebody else was faster */
		alz_os_unlock(&cache->lock);
		alz_os_segment_free(arena->os, index, segment, size);
		alz_os_lock(&cache->lock);
		return 0;
	}
	arena->allocated += size;
	alz_os_store_pointer(&arena->segments[index], segment);
	return 0;
}

/**
 * alz_arena_reserve() - room for a record of @size bytes
 * @cache: locked; the lock is dropped and taken again if memory is needed
 * @size: a multiple of the granule, at most a segment
 * @offset: where, from the start of the arena
 *
 * Return: 0, -ENOSPC, -ENOMEM.
 */
int alz_arena_reserve(struct alz_cache *cache, u64 size, u64 *offset)
{
	struct alz_arena *arena = &cache->arena;
	u64 segment_size = 1ULL << arena->segment_shift;

	ALZ_MUST_HOLD(&cache->lock);
	for (;;) {
		u64 start = arena->head;
		u64 index;
		int err;

		if ((start & (segment_size - 1)) + size > segment_size)
			start = alz_round_up(start, segment_size);
		index = start >> arena->segment_shift;
		if (index >= arena->nr_segments)
			return -ENOSPC;
		if (arena->segments[index]) {
			*offset = start;
			arena->head = start + size;
			alz_os_store(&cache->header->arena_used, arena->head);
			return 0;
		}
		err = alz_arena_grow(cache, index);
		if (err)
			return err;
	}
}

/**
 * alz_arena_give_back() - undo a reservation that will not be used
 * @cache: the cache
 * @offset: from the start of the arena
 * @size: bytes
 *
 * The last one is simply taken back; an earlier one becomes a hole, so that
 * the records of a segment can be walked.
 */
void alz_arena_give_back(struct alz_cache *cache, u64 offset, u64 size)
{
	struct alz_arena *arena = &cache->arena;
	struct asynclazy_record *r = alz_arena_record(arena, offset);

	ALZ_MUST_HOLD(&cache->lock);
	if (arena->head == offset + size) {
		arena->head = offset;
		alz_os_store(&cache->header->arena_used, offset);
		return;
	}
	r->kind = ASYNCLAZY_RECORD_HOLE;
	r->granules = size >> ASYNCLAZY_GRANULE_SHIFT;
}

/** alz_record_dead() - whether the record's time has run out */
bool alz_record_dead(const struct asynclazy_record *r, u64 now)
{
	return r->flags & ASYNCLAZY_RECORD_TIMES &&
	       now >= alz_record_times(r)->dead_until;
}
