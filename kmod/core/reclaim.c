// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Reclaim: segments that are old are emptied and used again.
 *
 * A segment is emptied record by record: what is dead, or was not read lately,
 * loses its slot; what was read is copied to another segment. Then a barrier on
 * every CPU, and then a look at the pins. A reader stores its pin, looks at the
 * slot again, and only then reads the record. If it stored before the barrier,
 * we see the pin. If it did after, its second look comes after as well, and finds
 * that the slot links there no more. So no lock, fence or read-modify-write is
 * needed of a reader, and one that stands still keeps what it reads.
 *
 * One at a time, under room_lock; the cache's lock is let go now and then.
 */
#include "core.h"

/* Its bytes do not change, and its segment is not used again before we say so. */
static void alz_record_copy(struct alz_cache *cache, const struct asynclazy_record *r,
			    u64 to, u64 size)
{
	alz_os_unlock(&cache->lock);
	memcpy(alz_arena_record(&cache->arena, to), r, size);
	alz_os_lock(&cache->lock);
}

/*
 * Copy a record to where it will stay for longer. Return: false if there is no
 * room for that; true if it was copied, or has lost its slot meanwhile.
 */
static bool alz_record_keep(struct alz_cache *cache, const struct asynclazy_record *r,
			    u64 offset, u64 size)
{
	u64 hash = r->hash;
	u64 *slot;
	u64 to;

	if (alz_arena_reserve_copy(cache, size, &to))
		return false;
	alz_record_copy(cache, r, to, size);
	slot = alz_table_find_offset(cache, hash, offset);
	if (!slot) {
		alz_arena_give_back(cache, to, size);
		return true;
	}
	alz_arena_written(cache, to);
	alz_table_relink(cache, slot, to);
	cache->count.reinsertions++;
	return true;
}

/* One record of a segment that is being emptied. */
static void alz_record_evict(struct alz_cache *cache, u64 offset, u64 *kept)
{
	const struct asynclazy_record *r = alz_arena_record(&cache->arena, offset);
	u64 size = (u64)r->granules << ASYNCLAZY_GRANULE_SHIFT;
	u64 *slot;

	if (r->kind == ASYNCLAZY_RECORD_HOLE)
		return;
	slot = alz_table_find_offset(cache, r->hash, offset);
	if (!slot)
		return;
	if (r->flags & ASYNCLAZY_RECORD_TIMES && alz_record_dead(r, alz_os_now())) {
		cache->count.expired++;
		alz_table_drop(cache, slot);
		return;
	}
	/*
	 * Not more than was inserted, and three quarters of a segment at most: so the
	 * work for an insertion is bounded, whatever clients say that they have read.
	 */
	if (alz_visited(cache, slot) && size <= cache->arena.credit &&
	    *kept + size <= 3ULL << (cache->arena.segment_shift - 2) &&
	    alz_record_keep(cache, r, offset, size)) {
		cache->arena.credit -= size;
		*kept += size;
		return;
	}
	cache->count.evictions++;
	alz_table_drop(cache, slot);
}

/* Take every link into a segment away. */
static void alz_segment_empty(struct alz_cache *cache, struct alz_segment *s)
{
	u64 offset = (u64)(s - cache->arena.segments) << cache->arena.segment_shift;
	u64 end = offset + s->head;
	u64 kept = 0;
	u32 n = 0;

	while (offset < end) {
		u32 granules = alz_arena_record(&cache->arena, offset)->granules;

		alz_record_evict(cache, offset, &kept);
		offset += (u64)granules << ASYNCLAZY_GRANULE_SHIFT;
		alz_breathe(cache, &n);
	}
}

/* The pins of one client: which retired segments it reads in. */
static void alz_client_pins(struct alz_cache *cache, const struct alz_client *client)
{
	struct alz_arena *arena = &cache->arena;
	u32 i;

	for (i = 0; i < client->nr_pins; i++) {
		/* the client may write anything there, at any time: load it once */
		u64 pin = alz_os_load(&client->pins[i]);
		u64 index = pin >> arena->segment_shift;

		if (!pin || index >= arena->nr_segments ||
		    arena->segments[index].state != ALZ_SEGMENT_RETIRED)
			continue;
		arena->segments[index].pinned = true;
		cache->pins_now++;
	}
}

/*
 * Each client's pins, once. Those that were looked at go to the end of the list,
 * and so do those that attach meanwhile, which cannot have found a link.
 */
static void alz_pins_look(struct alz_cache *cache)
{
	u32 n = 0;

	cache->pin_epoch++;
	cache->pins_now = 0;
	while (!alz_list_empty(&cache->clients)) {
		struct alz_client *client = alz_entry(cache->clients.next,
						      struct alz_client, link);

		if (client->pin_epoch == cache->pin_epoch)
			return;
		client->pin_epoch = cache->pin_epoch;
		alz_list_del(&client->link);
		alz_list_add_tail(&client->link, &cache->clients);
		if (client->dead)
			continue;
		alz_client_pins(cache, client);
		/* each has as many pins as there are steps in some batches */
		n += ALZ_BATCH / 8 - 1;
		alz_breathe(cache, &n);
	}
}

/* After a barrier: which of the retired segments nobody reads in. */
static void alz_reclaim_settle(struct alz_cache *cache)
{
	struct alz_arena *arena = &cache->arena;
	struct alz_list *at, *next;

	/*
	 * First the holds: what was held by an event may have been pinned and then
	 * let go behind our back, but not the other way round.
	 */
	for (at = arena->retired.next; at != &arena->retired; at = at->next) {
		struct alz_segment *s = alz_entry(at, struct alz_segment, link);

		s->pinned = s->holds;
	}
	alz_pins_look(cache);
	arena->nr_held = 0;
	for (at = arena->retired.next; at != &arena->retired; at = next) {
		struct alz_segment *s = alz_entry(at, struct alz_segment, link);

		next = at->next;
		if (s->pinned)
			arena->nr_held++;
		else
			alz_segment_free(cache, s);
	}
	/* some were held until now, with others in their place */
	alz_arena_trim(cache, arena->spare);
}

/*
 * Empty some segments, wait for their readers, and look which have none. Return:
 * whether any was emptied.
 */
static bool alz_reclaim_round(struct alz_cache *cache, bool urgent)
{
	struct alz_arena *arena = &cache->arena;
	u32 want = alz_arena_low(arena);
	u32 n = 0;

	if (urgent && !want)
		want = 1;
	/* not more at once than there is room for what is kept of them */
	if (want > 1 && want > 2 * arena->nr_free)
		want = arena->nr_free ? 2 * arena->nr_free : 1;
	for (; n < want; n++) {
		struct alz_segment *s = alz_policy_victim(arena, alz_os_now());

		if (!s && urgent && alz_arena_close(arena))
			s = alz_policy_victim(arena, alz_os_now());
		if (!s)
			break;
		alz_segment_empty(cache, s);
		alz_segment_retire(cache, s);
		cache->count.reclaims++;
	}
	if (alz_list_empty(&arena->retired))
		return false;
	alz_os_unlock(&cache->lock);
	alz_os_barrier(urgent);
	alz_os_lock(&cache->lock);
	alz_reclaim_settle(cache);
	return n;
}

/**
 * alz_reclaim_run() - make a segment free, or some
 * @cache: locked, with room_lock; the lock is let go meanwhile
 * @urgent: somebody waits for it
 *
 * Return: whether there is more room than before.
 */
bool alz_reclaim_run(struct alz_cache *cache, bool urgent)
{
	struct alz_arena *arena = &cache->arena;
	u64 ready = alz_arena_ready(arena);
	int rounds = 5;

	/* what is kept is copied to what is free: it takes no memory itself */
	while (arena->nr_free < arena->spare && !alz_arena_grow(cache))
		;
	/* what is kept of one segment may fill most of the one that it makes free */
	while (rounds-- && alz_reclaim_round(cache, urgent) &&
	       alz_arena_ready(arena) <= ready)
		;
	return alz_arena_ready(arena) > ready;
}

/**
 * alz_reclaim() - make segments free ahead of need
 * @cache: not locked; may sleep
 *
 * The side calls it some time after alz_os_reclaim_wanted(). Without it publishes
 * that find no free segment do it themselves.
 */
void alz_reclaim(struct alz_cache *cache)
{
	struct alz_arena *arena = &cache->arena;

	if (alz_os_mutex_lock(&arena->room_lock))
		return;
	alz_os_lock(&cache->lock);
	while (alz_arena_low(arena) && alz_reclaim_run(cache, false))
		;
	alz_arena_trim(cache, 0);
	alz_os_unlock(&cache->lock);
	alz_os_mutex_unlock(&arena->room_lock);
}
