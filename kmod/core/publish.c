// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Ending a flight, and changing a key whatever its state.
 *
 * A record is written in two steps: room is reserved under the lock, the value
 * is copied in without it (copying may fault and take any time), and the slot
 * is stored under it again, if the ticket is still good.
 */
#include "core.h"

static bool alz_ttl_ends(u64 ttl)
{
	return ttl && ttl != ASYNCLAZY_NEVER;
}

/* Absolute end of a time to live, which may be longer than time itself. */
static u64 alz_ttl_until(u64 now, u64 ttl)
{
	return ttl < ASYNCLAZY_NEVER - now ? now + ttl : ASYNCLAZY_NEVER;
}

static void alz_record_write(struct alz_reservation *r, const void *key, u32 key_size,
			     u64 hash, u64 ttl)
{
	struct asynclazy_record *record = r->record;

	memset(record, 0, sizeof(*record));
	record->hash = hash;
	record->key_size = key_size;
	record->value_size = r->value_size;
	record->kind = ASYNCLAZY_RECORD_VALUE;
	record->granules = r->size >> ASYNCLAZY_GRANULE_SHIFT;
	memcpy(record + 1, key, key_size);
	r->value = alz_record_value(record);
	if (alz_ttl_ends(ttl)) {
		struct asynclazy_times *times = alz_record_times(record);
		u64 now = alz_os_now();

		record->flags = ASYNCLAZY_RECORD_TIMES;
		times->published = now;
		times->dead_until = alz_ttl_until(now, ttl);
		times->stale_until = times->dead_until;
		times->fresh_until = times->dead_until;
	}
}

/* Room in the arena for a record; may let go of the lock. */
static int alz_record_reserve(struct alz_cache *cache, u32 key_size, u64 value_size,
			      u64 ttl, struct alz_reservation *r)
{
	int err;

	if (value_size > cache->value_max)
		return -EFBIG;
	r->cache = cache;
	r->value_size = value_size;
	r->size = alz_record_size(key_size, value_size, alz_ttl_ends(ttl));
	err = alz_arena_reserve(cache, r->size, &r->offset);
	if (err == -ENOSPC)
		cache->count.nospace++;
	if (!err)
		r->record = alz_arena_record(&cache->arena, r->offset);
	return err;
}

/**
 * alz_publish_begin() - room for the value of a ticket
 * @client: the owner
 * @ticket: its ticket
 * @value_size: bytes
 * @ttl: relative ns; 0 or NEVER for none
 * @r: filled on 0: write the value to r->value, then commit or abort
 *
 * Return: 0, -ESTALE, -ENOENT, -EFBIG, -ENOSPC, -ENOMEM; the ticket is kept.
 */
int alz_publish_begin(struct alz_client *client, u64 ticket, u64 value_size,
		      u64 ttl, struct alz_reservation *r)
{
	struct alz_cache *cache = client->cache;
	struct alz_flight *f;
	int err;

	alz_os_lock(&cache->lock);
	err = alz_flight_owned(client, ticket, &f);
	if (err)
		goto out;
	err = alz_record_reserve(cache, f->key_size, value_size, ttl, r);
	if (err)
		goto out;
	/* the lock may have been let go */
	err = alz_flight_owned(client, ticket, &f);
	if (err) {
		alz_arena_give_back(cache, r->offset, r->size);
		goto out;
	}
	r->ticket = ticket;
	alz_record_write(r, f->key, f->key_size, f->hash, ttl);
	r->record->generation = f->generation;
out:
	alz_os_unlock(&cache->lock);
	return err;
}

/**
 * alz_set_begin() - room for a value that is set
 * @client: whose
 * @key: the key
 * @key_size: bytes in it
 * @hash: of the key
 * @value_size: bytes of the value
 * @ttl: relative ns; 0 or NEVER for none
 * @r: filled on 0
 *
 * As alz_publish_begin(), without a ticket. @key is not used after the return.
 */
int alz_set_begin(struct alz_client *client, const void *key, u32 key_size,
		  u64 hash, u64 value_size, u64 ttl, struct alz_reservation *r)
{
	struct alz_cache *cache = client->cache;
	int err = -EOWNERDEAD;

	alz_os_lock(&cache->lock);
	if (!client->dead)
		err = alz_record_reserve(cache, key_size, value_size, ttl, r);
	alz_os_unlock(&cache->lock);
	if (err)
		return err;
	r->ticket = 0;
	alz_record_write(r, key, key_size, hash, ttl);
	return 0;
}

static u64 alz_record_word(const struct alz_reservation *r, u64 state)
{
	return alz_slot_pack(state, alz_slot_tag(r->record->hash), r->offset);
}

static int alz_commit_set(struct alz_cache *cache, struct alz_reservation *r)
{
	struct asynclazy_record *record = r->record;
	const void *key = alz_record_key(record);
	struct alz_flight *f;
	u64 *slot;

	f = alz_flight_find(cache, key, record->key_size, record->hash);
	if (f)
		slot = alz_table_find_initializing(cache, record->hash);
	else
		slot = alz_table_find(cache, key, record->key_size, record->hash);
	if (!slot)
		slot = alz_table_room(cache, record->hash);
	if (!slot) {
		cache->count.nospace++;
		return -ENOSPC;
	}
	record->generation = alz_generation_next(cache);
	cache->count.sets++;
	alz_table_store(cache, slot, alz_record_word(r, ASYNCLAZY_SLOT_FILLED));
	if (f)
		alz_flight_end(cache, f, ASYNCLAZY_RESULT_HIT, 0, r->offset,
			       record->generation);
	return 0;
}

/**
 * alz_publish_commit() - link a record that is complete
 * @client: as for begin
 * @r: used up
 *
 * Return: 0; -ESTALE if the ticket is no longer the client's; for a set also
 * -ENOSPC. On an error nothing has changed.
 */
int alz_publish_commit(struct alz_client *client, struct alz_reservation *r)
{
	struct alz_cache *cache = client->cache;
	struct alz_flight *f;
	int err;

	alz_os_lock(&cache->lock);
	if (!r->ticket) {
		err = alz_commit_set(cache, r);
		goto out;
	}
	err = alz_flight_owned(client, r->ticket, &f);
	if (err)
		goto out;
	cache->count.publishes++;
	alz_table_store(cache, alz_table_find_initializing(cache, f->hash),
			alz_record_word(r, ASYNCLAZY_SLOT_FILLED));
	alz_flight_end(cache, f, ASYNCLAZY_RESULT_HIT, 0, r->offset, f->generation);
out:
	alz_os_unlock(&cache->lock);
	if (err)
		alz_publish_abort(r);
	return err;
}

/** alz_publish_abort() - give the room back; a ticket is still held */
void alz_publish_abort(struct alz_reservation *r)
{
	/* readers map the arena: what was refused is not theirs to see */
	memset(r->record, 0, r->size);
	alz_os_lock(&r->cache->lock);
	alz_arena_give_back(r->cache, r->offset, r->size);
	alz_os_unlock(&r->cache->lock);
}

/* Turn the flight's error into a record. 1: done; 0: there is no room. */
static int alz_fail_keep(struct alz_client *client, u64 ticket, s32 error, u64 ttl,
			 const void *detail, u32 detail_size,
			 struct alz_reservation *r, struct alz_flight **f)
{
	struct alz_cache *cache = client->cache;

	int full = alz_record_reserve(cache, (*f)->key_size, detail_size, ttl, r);
	/* the lock may have been let go */
	int err = alz_flight_owned(client, ticket, f);

	if (err && !full)
		alz_arena_give_back(cache, r->offset, r->size);
	if (err || full)
		return err;
	alz_record_write(r, (*f)->key, (*f)->key_size, (*f)->hash, ttl);
	r->record->kind = ASYNCLAZY_RECORD_ERROR;
	r->record->error = error;
	r->record->generation = (*f)->generation;
	if (detail_size)
		memcpy(r->value, detail, detail_size);
	return 1;
}

/**
 * alz_fail() - end a flight with an error
 * @client: whose
 * @ticket: its ticket
 * @detail_size: bytes at @detail
 * @error: positive errno, 1 to 4095
 * @error_class: ASYNCLAZY_FAIL_*
 * @ttl: relative ns, for NEGATIVE
 * @detail: @detail_size bytes of text, at most ASYNCLAZY_DETAIL_MAX
 * @kept: whether later callers will see it
 *
 * Return: 0, -ESTALE, -ENOENT, -EINVAL, -ENOMEM.
 */
int alz_fail(struct alz_client *client, u64 ticket, s32 error, u32 error_class,
	     u64 ttl, const void *detail, u32 detail_size, bool *kept)
{
	struct alz_cache *cache = client->cache;
	u64 offset = ASYNCLAZY_NO_RECORD;
	u64 word = ASYNCLAZY_SLOT_EMPTY;
	struct alz_reservation r;
	struct alz_flight *f;
	void *copy = NULL;
	int err;

	*kept = false;
	if (error < 1 || error > 4095 || error_class > ASYNCLAZY_FAIL_PERMANENT ||
	    detail_size > ASYNCLAZY_DETAIL_MAX ||
	    (ttl && error_class != ASYNCLAZY_FAIL_NEGATIVE))
		return -EINVAL;
	if (error_class == ASYNCLAZY_FAIL_NEGATIVE && !ttl)
		ttl = ALZ_DEFAULT_NEGATIVE_TTL;
	if (detail_size) {
		copy = alz_os_alloc(detail_size);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, detail, detail_size);
	}
	alz_os_lock(&cache->lock);
	err = alz_flight_owned(client, ticket, &f);
	if (err)
		goto out;
	if (error_class != ASYNCLAZY_FAIL_TRANSIENT) {
		err = alz_fail_keep(client, ticket, error, ttl, copy, detail_size, &r, &f);
		if (err < 0)
			goto out;
		*kept = err;
		err = 0;
	}
	if (*kept) {
		offset = r.offset;
		word = alz_record_word(&r, ASYNCLAZY_SLOT_FAILED);
	} else {
		f->detail = copy;
		f->detail_size = detail_size;
		copy = NULL;
	}
	cache->count.fails++;
	alz_table_store(cache, alz_table_find_initializing(cache, f->hash), word);
	alz_flight_end(cache, f, ASYNCLAZY_RESULT_FAILED, error, offset, f->generation);
out:
	alz_os_unlock(&cache->lock);
	alz_os_free(copy);
	return err;
}

/** alz_abandon() - give a ticket back. Return: 0, -ESTALE, -ENOENT */
int alz_abandon(struct alz_client *client, u64 ticket)
{
	struct alz_cache *cache = client->cache;
	struct alz_flight *f;
	int err;

	alz_os_lock(&cache->lock);
	err = alz_flight_owned(client, ticket, &f);
	if (!err) {
		cache->count.abandons++;
		alz_flight_hand_over(cache, f, ECANCELED);
	}
	alz_os_unlock(&cache->lock);
	return err;
}
