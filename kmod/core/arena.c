// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The arena: segments of equal size, each filled front to back; a record lies
 * in one segment. Memory for a segment is taken when the first record goes
 * there.
 *
 * A STABLE cache has as many segments as its budget pays for and fills them in
 * order. In any other, a segment is used again when nothing in it is needed any
 * more: see reclaim.c. It has more segments than its budget pays for, so that
 * one which a reader still needs can be put aside, with another in its place.
 *
 * A segment is on one list: of those without memory, of those with memory and
 * nothing in them, full in its fill, or emptied and waiting for its readers. A
 * segment that is being filled is on none.
 */
#include "core.h"

/**
 * alz_arena_init() - an arena without memory
 * @arena: zeroed
 * @g: passed alz_geometry_check()
 * @segment_shift: bytes in a segment
 * @os: for alz_os_segment_alloc()
 *
 * Return: 0, -ENOMEM.
 */
int alz_arena_init(struct alz_arena *arena, const struct alz_geometry *g,
		   u32 segment_shift, void *os)
{
	u32 i;

	alz_os_mutex_init(&arena->room_lock);
	arena->segment_shift = segment_shift;
	arena->budget = alz_geometry_budget(g);
	arena->stable = g->flags & ASYNCLAZY_CREATE_STABLE;
	arena->nr_segments = alz_geometry_arena(g) >> segment_shift;
	arena->os = os;
	alz_list_init(&arena->empty);
	alz_list_init(&arena->free);
	alz_list_init(&arena->retired);
	alz_list_init(&arena->full);
	arena->hand = &arena->full;
	for (i = 0; i < ALZ_FILLS; i++)
		arena->open[i] = ALZ_NO_SEGMENT;
	arena->memory = alz_os_pages_alloc(arena->nr_segments * sizeof(void *));
	arena->segments = alz_os_pages_alloc(arena->nr_segments * sizeof(*arena->segments));
	if (!arena->memory || !arena->segments)
		return -ENOMEM;
	for (i = 0; i < arena->nr_segments; i++)
		alz_list_add_tail(&arena->segments[i].link, &arena->empty);
	/* what reclaim keeps ready: see alz_arena_low() */
	if (!arena->stable) {
		u64 n = arena->budget >> segment_shift;

		arena->ahead = n / 16 < 2 ? 2 : n / 16 > 64 ? 64 : n / 16;
		arena->spare = arena->ahead / 2;
	}
	return 0;
}

void alz_arena_fini(struct alz_arena *arena)
{
	u64 size = 1ULL << arena->segment_shift;
	u32 i;

	for (i = 0; arena->memory && i < arena->nr_segments; i++)
		if (arena->memory[i])
			alz_os_segment_free(arena->os, i, arena->memory[i], size);
	if (arena->memory)
		alz_os_pages_free(arena->memory, arena->nr_segments * sizeof(void *));
	if (arena->segments)
		alz_os_pages_free(arena->segments,
				  arena->nr_segments * sizeof(*arena->segments));
	if (arena->segment_shift)
		alz_os_mutex_fini(&arena->room_lock);
}

/** alz_arena_record() - where the core finds the record at an offset */
struct asynclazy_record *alz_arena_record(struct alz_arena *arena, u64 offset)
{
	char *segment = arena->memory[offset >> arena->segment_shift];

	return (void *)(segment + (offset & ((1ULL << arena->segment_shift) - 1)));
}

/** alz_arena_used() - tell readers and statistics how much is given out */
static void alz_arena_used(struct alz_cache *cache, u64 change)
{
	cache->arena.used += change;
	alz_os_store(&cache->header->arena_used, cache->arena.used);
}

/**
 * alz_arena_limit() - bytes of memory that segments may have together
 * @arena: the arena
 *
 * What is put aside for readers is not counted against the budget, up to as
 * much again: a reader that does not go on cannot take the cache from others.
 */
u64 alz_arena_limit(const struct alz_arena *arena)
{
	u64 held = arena->nr_held << arena->segment_shift;
	u64 limit = arena->budget + (held < arena->budget ? held : arena->budget);

	return limit > arena->blob_bytes ? limit - arena->blob_bytes : 0;
}

static bool alz_arena_may_grow(const struct alz_arena *arena)
{
	return !alz_list_empty(&arena->empty) &&
	       arena->allocated + (1ULL << arena->segment_shift) <= alz_arena_limit(arena);
}

/**
 * alz_arena_ready() - how many segments may be filled without reclaim
 * @arena: the arena
 *
 * Those that are free, and those that there may be memory for; less what there
 * is memory for beyond the limit. Plus ->nr_segments, so that it is never less
 * than 0.
 */
u64 alz_arena_ready(const struct alz_arena *arena)
{
	u64 all = (u64)arena->nr_segments << arena->segment_shift;

	return arena->nr_free +
	       ((all + alz_arena_limit(arena) - arena->allocated) >> arena->segment_shift);
}

/** alz_arena_low() - how many segments reclaim should make free */
u32 alz_arena_low(const struct alz_arena *arena)
{
	u64 ready = alz_arena_ready(arena);
	u64 want = (u64)arena->nr_segments + arena->ahead;

	return ready < want ? want - ready : 0;
}

static struct alz_segment *alz_segment_first(struct alz_list *list)
{
	return alz_entry(list->next, struct alz_segment, link);
}

static u32 alz_segment_index(const struct alz_arena *arena, const struct alz_segment *s)
{
	return s - arena->segments;
}

static bool alz_fill_fits(const struct alz_arena *arena, u32 fill, u64 size)
{
	u32 open = arena->open[fill];

	return open != ALZ_NO_SEGMENT &&
	       arena->segments[open].head + size <= 1ULL << arena->segment_shift;
}

/* Whoever fills a segment has come to its end. */
static void alz_fill_close(struct alz_arena *arena, u32 fill)
{
	struct alz_segment *s;

	if (arena->open[fill] == ALZ_NO_SEGMENT)
		return;
	s = &arena->segments[arena->open[fill]];
	s->state = ALZ_SEGMENT_FULL;
	alz_policy_add(arena, s);
	arena->open[fill] = ALZ_NO_SEGMENT;
}

/** alz_arena_close() - let reclaim have what is being filled. Return: if there is any */
bool alz_arena_close(struct alz_arena *arena)
{
	bool closed = false;
	u32 fill;

	for (fill = 0; fill < ALZ_FILLS; fill++) {
		u32 open = arena->open[fill];

		if (open == ALZ_NO_SEGMENT || !arena->segments[open].head)
			continue;
		alz_fill_close(arena, fill);
		closed = true;
	}
	return closed;
}

/* Go on in a segment that has memory and nothing in it. */
static void alz_fill_open(struct alz_arena *arena, u32 fill, struct alz_segment *s)
{
	alz_fill_close(arena, fill);
	alz_list_del(&s->link);
	arena->nr_free--;
	s->state = ALZ_SEGMENT_OPEN;
	s->fill = fill;
	s->head = 0;
	s->dead_until = 0;
	arena->open[fill] = alz_segment_index(arena, s);
}

/* Take a free segment that is there, unless it is kept for reclaim itself. */
static bool alz_fill_next(struct alz_cache *cache, u32 fill, bool reclaiming)
{
	struct alz_arena *arena = &cache->arena;

	if (alz_list_empty(&arena->free) ||
	    (!reclaiming && arena->nr_free <= arena->spare && !alz_arena_may_grow(arena)))
		return false;
	alz_fill_open(arena, fill, alz_segment_first(&arena->free));
	if (!arena->stable && alz_arena_low(arena))
		alz_os_reclaim_wanted(cache);
	return true;
}

/**
 * alz_arena_grow() - take memory for one more segment
 * @cache: locked; the lock is let go meanwhile
 *
 * One at a time, under room_lock.
 *
 * Return: 0, -ENOSPC, -ENOMEM.
 */
int alz_arena_grow(struct alz_cache *cache)
{
	struct alz_arena *arena = &cache->arena;
	u64 size = 1ULL << arena->segment_shift;
	struct alz_segment *s;
	void *memory;
	u32 index;

	if (!alz_arena_may_grow(arena))
		return -ENOSPC;
	s = alz_segment_first(&arena->empty);
	index = alz_segment_index(arena, s);
	alz_list_del(&s->link);
	arena->allocated += size;
	alz_os_unlock(&cache->lock);
	memory = alz_os_segment_alloc(arena->os, index, size);
	alz_os_lock(&cache->lock);
	if (!memory) {
		arena->allocated -= size;
		/* back to where it was: a STABLE cache fills them in order */
		alz_list_add(&s->link, &arena->empty);
		return -ENOMEM;
	}
	alz_os_store_pointer(&arena->memory[index], memory);
	s->state = ALZ_SEGMENT_FREE;
	alz_list_add_tail(&s->link, &arena->free);
	arena->nr_free++;
	return 0;
}

/* Give back the memory of one free segment, of which there are some; under room_lock. */
static void alz_arena_shrink(struct alz_cache *cache)
{
	struct alz_arena *arena = &cache->arena;
	u64 size = 1ULL << arena->segment_shift;
	struct alz_segment *s;
	void *memory;
	u32 index;

	ALZ_MUST_HOLD(&cache->lock);
	s = alz_segment_first(&arena->free);
	index = alz_segment_index(arena, s);
	memory = arena->memory[index];
	alz_list_del(&s->link);
	arena->nr_free--;
	s->state = ALZ_SEGMENT_EMPTY;
	alz_os_unlock(&cache->lock);
	/* takes it out of the readers' mappings too, and then clears ->memory */
	alz_os_segment_release(arena->os, index, memory, size, &arena->memory[index]);
	alz_os_lock(&cache->lock);
	arena->allocated -= size;
	alz_list_add_tail(&s->link, &arena->empty);
}

/**
 * alz_arena_trim() - give back the memory of what is free beyond the limit
 * @cache: locked, with room_lock; the lock is let go meanwhile
 * @keep: this many free segments are left
 */
void alz_arena_trim(struct alz_cache *cache, u32 keep)
{
	struct alz_arena *arena = &cache->arena;

	while (arena->allocated > alz_arena_limit(arena) && arena->nr_free > keep)
		alz_arena_shrink(cache);
}

/* Make room by all means: 0, or why there is none. */
static int alz_arena_make_room(struct alz_cache *cache, u64 size)
{
	struct alz_arena *arena = &cache->arena;
	const u32 fill = ALZ_FILL_NEW;
	bool waited = false;
	int err;

	alz_os_unlock(&cache->lock);
	err = alz_os_mutex_lock(&arena->room_lock);
	alz_os_lock(&cache->lock);
	if (err)
		return err;
	/* somebody may have made room while we waited, or may take what we make */
	while (!err && !alz_fill_fits(arena, fill, size) &&
	       !alz_fill_next(cache, fill, false)) {
		err = alz_arena_grow(cache);
		if (err && !arena->stable) {
			/* also if there is no memory: with what there is */
			cache->count.waited += !waited;
			waited = true;
			if (alz_reclaim_run(cache, true))
				err = 0;
		}
	}
	alz_arena_trim(cache, 0);
	alz_os_unlock(&cache->lock);
	alz_os_mutex_unlock(&arena->room_lock);
	alz_os_lock(&cache->lock);
	return err;
}

static u64 alz_fill_take(struct alz_cache *cache, u64 size, u32 fill)
{
	struct alz_arena *arena = &cache->arena;
	u32 open = arena->open[fill];
	struct alz_segment *s = &arena->segments[open];
	u64 offset = ((u64)open << arena->segment_shift) + s->head;

	/* a STABLE arena has no gaps in its count: what is skipped is used up */
	alz_arena_used(cache, arena->stable ? offset + size - arena->used : size);
	s->head += size;
	s->writers++;
	/* what is inserted pays for what is copied; two segments are saved up at most */
	if (fill == ALZ_FILL_NEW && arena->credit < 2ULL << arena->segment_shift)
		arena->credit += size;
	return offset;
}

/**
 * alz_arena_reserve() - room for a record
 * @cache: locked; the lock is dropped and taken again if memory is needed
 * @size: a multiple of the granule, at most a segment
 * @offset: where, from the start of the arena
 *
 * To be ended by alz_arena_written() or alz_arena_give_back(): until then its
 * segment is not reclaimed.
 *
 * Return: 0, -ENOSPC, -ENOMEM, -EINTR.
 */
int alz_arena_reserve(struct alz_cache *cache, u64 size, u64 *offset)
{
	struct alz_arena *arena = &cache->arena;

	ALZ_MUST_HOLD(&cache->lock);
	while (!alz_fill_fits(arena, ALZ_FILL_NEW, size)) {
		int err = 0;

		if (!alz_fill_next(cache, ALZ_FILL_NEW, false))
			err = alz_arena_make_room(cache, size);
		if (err)
			return err;
	}
	*offset = alz_fill_take(cache, size, ALZ_FILL_NEW);
	return 0;
}

/** alz_arena_reserve_copy() - the same for reclaim: -ENOSPC rather than wait */
int alz_arena_reserve_copy(struct alz_cache *cache, u64 size, u64 *offset)
{
	if (!alz_fill_fits(&cache->arena, ALZ_FILL_KEPT, size) &&
	    !alz_fill_next(cache, ALZ_FILL_KEPT, true))
		return -ENOSPC;
	*offset = alz_fill_take(cache, size, ALZ_FILL_KEPT);
	return 0;
}

/**
 * alz_arena_written() - a reservation was used: its record is complete
 * @cache: locked
 * @offset: of the record
 */
void alz_arena_written(struct alz_cache *cache, u64 offset)
{
	struct alz_segment *s = alz_arena_segment(&cache->arena, offset);
	const struct asynclazy_record *r = alz_arena_record(&cache->arena, offset);
	u64 dead_until = ASYNCLAZY_NEVER;

	ALZ_MUST_HOLD(&cache->lock);
	if (r->flags & ASYNCLAZY_RECORD_TIMES)
		dead_until = alz_record_times(r)->dead_until;
	if (s->dead_until < dead_until)
		s->dead_until = dead_until;
	s->writers--;
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
	struct alz_segment *s = alz_arena_segment(arena, offset);
	struct asynclazy_record *r = alz_arena_record(arena, offset);
	u64 end = (offset & ((1ULL << arena->segment_shift) - 1)) + size;

	ALZ_MUST_HOLD(&cache->lock);
	s->writers--;
	if (s->state == ALZ_SEGMENT_OPEN && s->head == end) {
		s->head -= size;
		alz_arena_used(cache, -size);
		return;
	}
	r->kind = ASYNCLAZY_RECORD_HOLE;
	r->flags = 0;
	r->granules = size >> ASYNCLAZY_GRANULE_SHIFT;
}

/**
 * alz_segment_retire() - nothing links into a segment any more
 * @cache: locked
 * @s: FULL
 */
void alz_segment_retire(struct alz_cache *cache, struct alz_segment *s)
{
	ALZ_MUST_HOLD(&cache->lock);
	alz_arena_used(cache, -s->head);
	alz_policy_del(&cache->arena, s);
	s->state = ALZ_SEGMENT_RETIRED;
	s->pinned = false;
	alz_list_del(&s->link);
	alz_list_add_tail(&s->link, &cache->arena.retired);
}

/** alz_segment_free() - nobody reads in a retired segment any more */
void alz_segment_free(struct alz_cache *cache, struct alz_segment *s)
{
	ALZ_MUST_HOLD(&cache->lock);
	s->state = ALZ_SEGMENT_FREE;
	alz_list_del(&s->link);
	alz_list_add_tail(&s->link, &cache->arena.free);
	cache->arena.nr_free++;
}

/** alz_record_readable() - whether readers may have it: it is fresh or stale */
bool alz_record_readable(const struct asynclazy_record *r, u64 now)
{
	return !(r->flags & ASYNCLAZY_RECORD_TIMES) ||
	       now < alz_record_times(r)->stale_until;
}

/** alz_record_dead() - whether the record's time has run out */
bool alz_record_dead(const struct asynclazy_record *r, u64 now)
{
	return r->flags & ASYNCLAZY_RECORD_TIMES &&
	       now >= alz_record_times(r)->dead_until;
}
