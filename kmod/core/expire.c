// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Making values stale before their time. Records do not change, so it is a copy with
 * other times that takes the place of one.
 */
#include "core.h"

#define ALZ_EXPIRE_AGAIN	1	/* the record is another one by now */

static u64 alz_earlier(u64 a, u64 b)
{
	return a < b ? a : b;
}

/* Stale from now on, for as long as it would have been, but not for longer. */
static void alz_times_expire(struct asynclazy_times *times, u64 now)
{
	u64 stale = ASYNCLAZY_NEVER, dead = ASYNCLAZY_NEVER;

	if (times->stale_until != ASYNCLAZY_NEVER)
		stale = times->stale_until - times->fresh_until;
	if (times->dead_until != ASYNCLAZY_NEVER)
		dead = times->dead_until - times->stale_until;
	times->fresh_until = now;
	times->stale_until = alz_earlier(times->stale_until, alz_until(now, stale));
	times->dead_until = alz_earlier(times->dead_until,
					alz_until(times->stale_until, dead));
}

static void alz_expire_write(struct asynclazy_record *copy, const struct asynclazy_record *r,
			     u64 size, u64 now)
{
	const struct asynclazy_times never = {
		ASYNCLAZY_NEVER, ASYNCLAZY_NEVER, ASYNCLAZY_NEVER, now,
	};

	memcpy(copy, r, (u64)r->granules << ASYNCLAZY_GRANULE_SHIFT);
	copy->granules = size >> ASYNCLAZY_GRANULE_SHIFT;
	if (!(copy->flags & ASYNCLAZY_RECORD_TIMES))
		*alz_record_times(copy) = never;
	copy->flags |= ASYNCLAZY_RECORD_TIMES;
	alz_times_expire(alz_record_times(copy), now);
}

/* Lets go of the lock. Return: 0, ALZ_EXPIRE_AGAIN, a negative errno. */
static int alz_expire_copy(struct alz_cache *cache, u64 offset, u64 now)
{
	const struct asynclazy_record *r = alz_arena_record(&cache->arena, offset);
	u64 size = alz_record_size(r->key_size, r->value_size, true);
	u64 *slot;
	u64 to;
	int err;

	err = alz_arena_reserve(cache, size, &to);
	if (err)
		return err;
	/* its room is not used again before we say so */
	alz_os_unlock(&cache->lock);
	alz_expire_write(alz_arena_record(&cache->arena, to), r, size, now);
	alz_os_lock(&cache->lock);
	slot = alz_table_find_offset(cache, r->hash, offset);
	if (!slot) {
		alz_arena_give_back(cache, to, size);
		return ALZ_EXPIRE_AGAIN;
	}
	alz_arena_written(cache, to);
	alz_table_relink(cache, slot, to);
	return 0;
}

/* One record of the key. Return: as alz_expire_copy() */
static int alz_expire_slot(struct alz_cache *cache, u64 *slot, u32 *count)
{
	u64 offset = alz_slot_offset(*slot);
	const struct asynclazy_record *r = alz_arena_record(&cache->arena, offset);
	const struct asynclazy_times *times = r->flags & ASYNCLAZY_RECORD_TIMES ?
		alz_record_times(r) : NULL;
	u64 now = alz_os_now();
	u32 *holds;
	int err;

	if (alz_record_dead(r, now))
		return 0;
	if (r->kind == ASYNCLAZY_RECORD_ERROR ||
	    (times && times->stale_until == times->fresh_until)) {
		alz_table_drop(cache, slot);
		*count = 1;
		return 0;
	}
	if (times && now >= times->fresh_until) {
		*count = 1;
		return 0;
	}
	holds = &alz_arena_segment(&cache->arena, offset)->holds;
	++*holds;
	err = alz_expire_copy(cache, offset, now);
	--*holds;
	*count = !err;
	return err;
}

/**
 * alz_expire() - make the value of a key stale now
 * @client: whose
 * @key: the key
 * @key_size: bytes in it
 * @hash: of the key
 * @count: 1 if there was a value
 *
 * What has no time to be stale is dropped.
 *
 * Return: 0, -EOWNERDEAD, -ENOSPC, -ENOMEM, -EINTR.
 */
int alz_expire(struct alz_client *client, const void *key, u32 key_size, u64 hash,
	       u32 *count)
{
	struct alz_cache *cache = client->cache;
	int err = 0;
	u64 *slot;

	*count = 0;
	alz_os_lock(&cache->lock);
	do {
		if (client->dead) {
			err = -EOWNERDEAD;
			break;
		}
		slot = alz_table_find(cache, key, key_size, hash);
		err = slot ? alz_expire_slot(cache, slot, count) : 0;
	} while (err == ALZ_EXPIRE_AGAIN);
	if (err == -ENOSPC)
		cache->count.nospace++;
	alz_os_unlock(&cache->lock);
	return err;
}
