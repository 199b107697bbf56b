// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Ending a flight, and changing a key whatever its state.
 *
 * A record is written in two steps: room is reserved under the lock, the value
 * is copied in without it (copying may fault and take any time), and the slot
 * is stored under it again, if the ticket is still good.
 */
#include "core.h"

/* What a publish says of its time, or else the cache. */
static struct alz_ttl alz_ttl_of(const struct alz_cache *cache, const struct alz_ttl *ttl)
{
	if (ttl && ttl->ttl)
		return *ttl;
	return (struct alz_ttl) { cache->ttl, cache->stale_ttl, cache->dead_ttl };
}

static bool alz_ttl_ends(const struct alz_ttl *t)
{
	return t->ttl && t->ttl != ASYNCLAZY_NEVER;
}

static void alz_times_write(struct asynclazy_times *times, const struct alz_ttl *t)
{
	times->published = alz_os_now();
	times->fresh_until = alz_until(times->published, t->ttl);
	times->stale_until = alz_until(times->fresh_until, t->stale_ttl);
	times->dead_until = alz_until(times->stale_until, t->dead_ttl);
}

static void alz_record_write(struct alz_reservation *r, const void *key, u32 key_size,
			     u64 hash, const struct alz_ttl *ttl)
{
	struct alz_ttl t = alz_ttl_of(r->cache, ttl);
	struct asynclazy_record *record = r->record;

	memset(record, 0, sizeof(*record));
	record->hash = hash;
	record->key_size = key_size;
	record->value_size = r->value_size;
	record->kind = ASYNCLAZY_RECORD_VALUE;
	record->granules = r->size >> ASYNCLAZY_GRANULE_SHIFT;
	memcpy(record + 1, key, key_size);
	r->value = alz_record_value(record);
	if (alz_ttl_ends(&t)) {
		record->flags = ASYNCLAZY_RECORD_TIMES;
		alz_times_write(alz_record_times(record), &t);
	}
	if (r->blob) {
		const struct asynclazy_memfd memfd = { r->blob->size, r->blob->page_size };

		record->kind = ASYNCLAZY_RECORD_MEMFD;
		memcpy(r->value, &memfd, sizeof(memfd));
	}
}

/* Room in the arena for a record; may let go of the lock. */
static int alz_record_reserve(struct alz_cache *cache, u32 key_size, u64 value_size,
			      const struct alz_ttl *ttl, struct alz_reservation *r)
{
	struct alz_ttl t = alz_ttl_of(cache, ttl);
	int err;

	memset(r, 0, sizeof(*r));
	if (value_size > cache->value_max)
		return -EFBIG;
	r->cache = cache;
	r->value_size = value_size;
	r->size = alz_record_size(key_size, value_size, alz_ttl_ends(&t));
	err = alz_arena_reserve(cache, r->size, &r->offset);
	if (err == -ENOSPC)
		cache->count.nospace++;
	if (!err)
		r->record = alz_arena_record(&cache->arena, r->offset);
	return err;
}

/* The same for the ticket of a client: written but for its value. */
static int alz_ticket_reserve(struct alz_client *client, u64 ticket, u64 value_size,
			      const struct alz_ttl *ttl, struct alz_blob *blob,
			      struct alz_reservation *r)
{
	struct alz_cache *cache = client->cache;
	struct alz_flight *f;
	int err;

	err = alz_flight_owned(client, ticket, &f);
	if (!err)
		err = alz_record_reserve(cache, f->key_size, value_size, ttl, r);
	if (err)
		return err;
	/* the lock may have been let go */
	err = alz_flight_owned(client, ticket, &f);
	if (err) {
		alz_arena_give_back(cache, r->offset, r->size);
		return err;
	}
	r->ticket = ticket;
	r->blob = blob;
	alz_record_write(r, f->key, f->key_size, f->hash, ttl);
	r->record->generation = f->generation;
	r->record->took = alz_os_now() - f->begun;
	return 0;
}

/**
 * alz_publish_begin() - room for the value of a ticket
 * @client: the owner
 * @ticket: its ticket
 * @value_size: bytes
 * @ttl: relative ns; NULL, or 0 in it: the cache's
 * @r: filled on 0: write the value to r->value, then commit or abort
 *
 * Between begin and its end nothing may take long, since the segment that the
 * value goes to cannot be reclaimed meanwhile.
 *
 * Return: 0, -ESTALE, -ENOENT, -EFBIG, -ENOSPC, -ENOMEM, -EINTR; the ticket is
 * kept.
 */
int alz_publish_begin(struct alz_client *client, u64 ticket, u64 value_size,
		      const struct alz_ttl *ttl, struct alz_reservation *r)
{
	struct alz_cache *cache = client->cache;
	int err;

	alz_os_lock(&cache->lock);
	err = alz_ticket_reserve(client, ticket, value_size, ttl, NULL, r);
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
 * @ttl: relative ns
 * @r: filled on 0
 *
 * As alz_publish_begin(), without a ticket. @key is not used after the return.
 */
int alz_set_begin(struct alz_client *client, const void *key, u32 key_size,
		  u64 hash, u64 value_size, const struct alz_ttl *ttl,
		  struct alz_reservation *r)
{
	struct alz_cache *cache = client->cache;
	int err = -EOWNERDEAD;

	alz_os_lock(&cache->lock);
	if (!client->dead)
		err = alz_record_reserve(cache, key_size, value_size, ttl, r);
	alz_os_unlock(&cache->lock);
	if (!err)
		alz_record_write(r, key, key_size, hash, ttl);
	return err;
}

static u64 alz_record_word(const struct alz_reservation *r, u64 state)
{
	return alz_slot_pack(state, alz_slot_tag(r->record->hash), r->offset);
}

/* The record is complete: from here on it is found. */
static void alz_commit_link(struct alz_client *client, u64 *slot, struct alz_reservation *r)
{
	struct alz_cache *cache = client->cache;

	r->generation = r->record->generation;
	if (r->blob) {
		alz_blob_born(cache, r->blob, r->generation);
		alz_blob_keep(cache, r->blob, r->record->hash, r->offset);
	}
	alz_arena_written(cache, r->offset);
	alz_table_store(cache, slot, alz_record_word(r, ASYNCLAZY_SLOT_FILLED));
	alz_pin_set(client, r->pin, r->offset);
}

/* What a flight ends with is a memfd. */
static void alz_flight_blob(struct alz_flight *f, struct alz_blob *blob)
{
	if (blob)
		blob->refs++;
	f->blob = blob;
}

static int alz_commit_set(struct alz_client *client, struct alz_reservation *r)
{
	struct alz_cache *cache = client->cache;
	struct asynclazy_record *record = r->record;
	const void *key = alz_record_key(record);
	struct alz_flight *f;
	u64 *slot;

	f = alz_flight_find(cache, key, record->key_size, record->hash);
	if (f)
		slot = alz_flight_slot(cache, f);
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
	alz_trouble_over(cache, record->hash);
	alz_commit_link(client, slot, r);
	if (f) {
		alz_flight_blob(f, r->blob);
		alz_flight_end(cache, f, ASYNCLAZY_RESULT_HIT, 0, r->offset,
			       record->generation);
	}
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
		err = alz_commit_set(client, r);
		goto out;
	}
	err = alz_flight_owned(client, r->ticket, &f);
	if (err)
		goto out;
	cache->count.publishes++;
	alz_trouble_over(cache, f->hash);
	alz_commit_link(client, alz_flight_slot(cache, f), r);
	alz_flight_blob(f, r->blob);
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

/* Nobody but those who wait gets it. */
static int alz_publish_unkept(struct alz_client *client, u64 ticket, struct alz_blob *blob,
			      struct alz_reservation *r)
{
	struct alz_cache *cache = client->cache;
	struct alz_flight *f;
	int err;

	err = alz_flight_owned(client, ticket, &f);
	if (err)
		return err;
	cache->count.publishes++;
	cache->count.unkept++;
	alz_trouble_over(cache, f->hash);
	r->offset = ASYNCLAZY_NO_RECORD;
	r->generation = f->generation;
	alz_blob_born(cache, blob, f->generation);
	alz_flight_blob(f, blob);
	/* what is there, if anything, is not the value any more */
	alz_table_store(cache, alz_flight_slot(cache, f), ASYNCLAZY_SLOT_EMPTY);
	alz_flight_end(cache, f, ASYNCLAZY_RESULT_HIT, 0, ASYNCLAZY_NO_RECORD,
		       f->generation);
	return 0;
}

/**
 * alz_publish_blob() - end a flight with a memfd
 * @client: the owner
 * @ticket: its ticket
 * @blob: new; the caller's count stays the caller's
 * @keep: false: only for those who wait
 * @ttl: relative ns
 * @r: ->pin is set before; ->generation and ->offset are filled on 0
 *
 * Return: 0, with r->offset NO_RECORD if there was no room to keep it; -ESTALE,
 * -ENOENT, -ENOMEM, -EINTR.
 */
int alz_publish_blob(struct alz_client *client, u64 ticket, struct alz_blob *blob,
		     bool keep, const struct alz_ttl *ttl, struct alz_reservation *r)
{
	struct alz_cache *cache = client->cache;
	struct alz_flight *f;
	u32 pin = r->pin;
	int err;

	alz_os_lock(&cache->lock);
	/* what is late makes nothing else go */
	err = alz_flight_owned(client, ticket, &f);
	if (!err)
		err = keep ? alz_blob_reserve(cache, blob->size) : -ENOSPC;
	if (!err) {
		err = alz_ticket_reserve(client, ticket, sizeof(struct asynclazy_memfd),
					 ttl, blob, r);
		if (err)
			alz_blob_unreserve(cache, blob->size);
	}
	if (err == -ENOSPC) {
		err = alz_publish_unkept(client, ticket, blob, r);
		alz_os_unlock(&cache->lock);
		return err;
	}
	alz_os_unlock(&cache->lock);
	if (err)
		return err;
	r->pin = pin;
	err = alz_publish_commit(client, r);
	if (err) {
		alz_os_lock(&cache->lock);
		alz_blob_unreserve(cache, blob->size);
		alz_os_unlock(&cache->lock);
	}
	return err;
}

/**
 * alz_set_blob() - set a key to a memfd: see alz_set_begin(), alz_publish_blob()
 * @client: whose
 * @key: the key
 * @key_size: bytes in it
 * @hash: of the key
 * @blob: new; the caller's count stays the caller's
 * @ttl: relative ns
 * @r: ->generation and ->offset are filled on 0
 */
int alz_set_blob(struct alz_client *client, const void *key, u32 key_size, u64 hash,
		 struct alz_blob *blob, const struct alz_ttl *ttl,
		 struct alz_reservation *r)
{
	struct alz_cache *cache = client->cache;
	int err = -EOWNERDEAD;

	alz_os_lock(&cache->lock);
	if (!client->dead)
		err = alz_blob_reserve(cache, blob->size);
	if (!err) {
		err = alz_record_reserve(cache, key_size,
					 sizeof(struct asynclazy_memfd), ttl, r);
		if (err)
			alz_blob_unreserve(cache, blob->size);
	} else if (err == -ENOSPC) {
		cache->count.nospace++;
	}
	alz_os_unlock(&cache->lock);
	if (err)
		return err;
	r->blob = blob;
	alz_record_write(r, key, key_size, hash, ttl);
	err = alz_publish_commit(client, r);
	if (err) {
		alz_os_lock(&cache->lock);
		alz_blob_unreserve(cache, blob->size);
		alz_os_unlock(&cache->lock);
	}
	return err;
}

/* Turn the flight's error into a record. 1: done; 0: there is no room. */
static int alz_fail_keep(struct alz_client *client, u64 ticket, s32 error, u64 ttl,
			 const void *detail, u32 detail_size,
			 struct alz_reservation *r, struct alz_flight **f)
{
	struct alz_ttl t = { .ttl = ttl ? ttl : ASYNCLAZY_NEVER };
	int full = alz_ticket_reserve(client, ticket, detail_size, &t, NULL, r);
	int err;

	if (full == -ESTALE || full == -ENOENT)
		return full;
	/* the lock may have been let go */
	err = alz_flight_owned(client, ticket, f);
	if (err || full)
		return err;
	r->record->kind = ASYNCLAZY_RECORD_ERROR;
	r->record->error = error;
	if (detail_size)
		memcpy(r->value, detail, detail_size);
	return 1;
}

/* A copy of an error's text. Return: 0, -ENOMEM */
static int alz_detail_copy(const void *detail, u32 size, void **copy)
{
	*copy = size ? alz_os_alloc(size) : NULL;
	if (!*copy)
		return size ? -ENOMEM : 0;
	memcpy(*copy, detail, size);
	return 0;
}

/* The error is kept: it is the result. */
static void alz_fail_link(struct alz_cache *cache, struct alz_flight *f,
			  const struct alz_reservation *r)
{
	alz_arena_written(cache, r->offset);
	alz_trouble_over(cache, f->hash);
	alz_table_store(cache, alz_flight_slot(cache, f),
			alz_record_word(r, ASYNCLAZY_SLOT_FAILED));
}

/* It is not: what was there before stays, and is not tried again at once. */
static void alz_fail_tell(struct alz_cache *cache, struct alz_flight *f, s32 error,
			  void **copy, void **memo, u32 size)
{
	f->detail = *copy;
	f->detail_size = size;
	*copy = NULL;
	alz_trouble_failed(cache, f->hash, error, *memo, size);
	*memo = NULL;
	alz_flight_vacate(cache, f);
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
	void *copy = NULL, *memo = NULL;
	struct alz_reservation r;
	struct alz_flight *f;
	int err;

	*kept = false;
	if (error < 1 || error > 4095 || error_class > ASYNCLAZY_FAIL_PERMANENT ||
	    detail_size > ASYNCLAZY_DETAIL_MAX ||
	    (ttl && error_class != ASYNCLAZY_FAIL_NEGATIVE))
		return -EINVAL;
	if (error_class == ASYNCLAZY_FAIL_NEGATIVE && !ttl)
		ttl = ALZ_DEFAULT_NEGATIVE_TTL;
	err = alz_detail_copy(detail, detail_size, &copy);
	if (!err && cache->backoff)
		err = alz_detail_copy(detail, detail_size, &memo);
	if (err) {
		alz_os_free(copy);
		return err;
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
		alz_fail_link(cache, f, &r);
	} else {
		alz_fail_tell(cache, f, error, &copy, &memo, detail_size);
	}
	cache->count.fails++;
	alz_flight_end(cache, f, ASYNCLAZY_RESULT_FAILED, error, offset, f->generation);
out:
	alz_os_unlock(&cache->lock);
	alz_os_free(copy);
	alz_os_free(memo);
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
