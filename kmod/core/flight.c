// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Flights: who owns a running initialisation, who comes next, and how it ends.
 *
 * A flight is on the by_key and by_ticket tables while it runs, and holds an
 * INITIALIZING slot; or, if it makes anew what is there, the slot of that, which is
 * marked REFRESHING. It is counted by itself while it runs, and by each waiter
 * that has yet to take its outcome.
 */
#include "core.h"

/** alz_flight_new() - Return: a flight of this key, not started; NULL: no memory */
struct alz_flight *alz_flight_new(const void *key, u32 key_size, u64 hash)
{
	struct alz_flight *f = alz_os_alloc(sizeof(*f));

	if (!f)
		return NULL;
	f->key = alz_os_alloc(key_size);
	if (!f->key) {
		alz_os_free(f);
		return NULL;
	}
	memcpy(f->key, key, key_size);
	alz_list_init(&f->key_link);
	alz_list_init(&f->ticket_link);
	alz_list_init(&f->owner_link);
	alz_list_init(&f->able);
	alz_list_init(&f->waiters);
	alz_list_init(&f->need_waits);
	alz_list_init(&f->need_flights);
	alz_list_init(&f->need_link);
	alz_list_init(&f->queue_link);
	f->hash = hash;
	f->key_size = key_size;
	f->refs = 1;
	return f;
}

/** alz_flight_put() - drop one count, under the lock if it ran; NULL is allowed */
void alz_flight_put(struct alz_flight *f)
{
	if (!f || --f->refs)
		return;
	if (f->hold)
		--*f->hold;
	alz_blob_put(f->blob);
	alz_os_free(f->key);
	alz_os_free(f->detail);
	alz_os_free(f);
}

/** alz_generation_next() - draw a generation, which is never drawn again */
u64 alz_generation_next(struct alz_cache *cache)
{
	ALZ_MUST_HOLD(&cache->lock);
	cache->generation++;
	alz_os_store(&cache->header->generation, cache->generation);
	return cache->generation;
}

static struct alz_list *alz_flight_chain(struct alz_cache *cache, u64 hash)
{
	return &cache->by_key[alz_mix(cache, hash) & cache->flight_mask];
}

/** alz_flight_find() - Return: the running flight of a key, or NULL */
struct alz_flight *alz_flight_find(struct alz_cache *cache, const void *key,
				   u32 key_size, u64 hash)
{
	struct alz_list *head = alz_flight_chain(cache, hash);
	struct alz_list *at;

	ALZ_MUST_HOLD(&cache->lock);
	for (at = head->next; at != head; at = at->next) {
		struct alz_flight *f = alz_entry(at, struct alz_flight, key_link);

		if (f->hash == hash && f->key_size == key_size &&
		    !memcmp(f->key, key, key_size))
			return f;
	}
	return NULL;
}

/** alz_flight_slot() - the slot that a running flight holds */
u64 *alz_flight_slot(struct alz_cache *cache, const struct alz_flight *f)
{
	u64 *slot = alz_table_find(cache, f->key, f->key_size, f->hash);

	return slot ? slot : alz_table_find_initializing(cache, f->hash);
}

/** alz_flight_vacate() - a flight gives its slot back; what was there before stays */
void alz_flight_vacate(struct alz_cache *cache, const struct alz_flight *f)
{
	u64 *slot = alz_flight_slot(cache, f);

	if (*slot & ASYNCLAZY_SLOT_REFRESHING)
		alz_table_mark(cache, slot, false);
	else
		alz_table_store(cache, slot, ASYNCLAZY_SLOT_EMPTY);
}

/**
 * alz_flight_owned() - the flight that a ticket of this client is for
 * @client: whose
 * @ticket: its ticket
 * @flight: set on 0
 *
 * Return: 0; -ESTALE if the ticket was granted once and is not this client's
 * now; -ENOENT if it never was.
 */
int alz_flight_owned(struct alz_client *client, u64 ticket, struct alz_flight **flight)
{
	struct alz_cache *cache = client->cache;
	struct alz_list *head = &cache->by_ticket[ticket & cache->flight_mask];
	struct alz_list *at;

	ALZ_MUST_HOLD(&cache->lock);
	for (at = head->next; at != head; at = at->next) {
		*flight = alz_entry(at, struct alz_flight, ticket_link);
		if ((*flight)->ticket == ticket && (*flight)->owner == client)
			return 0;
	}
	if (!ticket || ticket > cache->generation)
		return -ENOENT;
	cache->count.stale++;
	return -ESTALE;
}

/* @offered: who is yet to be told, or NULL */
static void alz_flight_grant(struct alz_cache *cache, struct alz_flight *f,
			     struct alz_client *owner, struct alz_waiter *offered)
{
	f->owner = owner;
	f->offered = offered;
	f->untold = false;
	f->begun = alz_os_now();
	f->ticket = alz_generation_next(cache);
	alz_list_add_tail(&f->ticket_link, &cache->by_ticket[f->ticket & cache->flight_mask]);
	alz_list_add_tail(&f->owner_link, &owner->tickets);
	owner->nr_tickets++;
	cache->count.tickets++;
	cache->count.tickets_now++;
	alz_lease_begin(cache, f);
}

static void alz_flight_revoke(struct alz_cache *cache, struct alz_flight *f)
{
	if (!f->owner)
		return;
	alz_list_del(&f->ticket_link);
	alz_list_del(&f->owner_link);
	alz_lease_end(cache, f);
	alz_need_end(f);
	f->owner->nr_tickets--;
	f->owner = NULL;
	cache->count.tickets_now--;
}

/**
 * alz_flight_offer() - give the ticket to the oldest waiter that can initialise
 * @cache: locked
 * @f: running, without an owner
 *
 * It asked to, so its client's quota of tickets does not stand in the way.
 *
 * Return: false if there is none.
 */
bool alz_flight_offer(struct alz_cache *cache, struct alz_flight *f)
{
	while (!alz_list_empty(&f->able)) {
		struct alz_waiter *w = alz_entry(f->able.next, struct alz_waiter, link);

		if (w->client->dead) {
			/* about to be dropped: see alz_client_die() */
			alz_list_del(&w->link);
			continue;
		}
		alz_flight_grant(cache, f, w->client, w);
		cache->count.handovers++;
		w->ticket = f->ticket;
		w->generation = f->generation;
		w->attempt = f->attempt;
		/* from a wait for it to making it: it is needed as before */
		alz_need_made(f, w->parent);
		alz_wait_deliver(w, ALZ_OFFERED);
		return true;
	}
	return false;
}

/**
 * alz_flight_offer_next() - who was offered the ticket did not take it
 * @cache: locked; the lock may be let go and taken again
 * @f: running, with ->offered; somebody else waits who can initialise
 *
 * It goes to the oldest of the others, and who did not take it waits on, last.
 */
void alz_flight_offer_next(struct alz_cache *cache, struct alz_flight *f)
{
	struct alz_waiter *w = f->offered;

	ALZ_MUST_HOLD(&cache->lock);
	alz_flight_revoke(cache, f);
	alz_wait_requeue(w, &f->able);
	/* all of them may be of a client that is just dying */
	if (!alz_flight_offer(cache, f))
		alz_flight_empty(cache, f, EOWNERDEAD);
}

/** alz_flight_enter() - from here on a new flight is found by its key */
void alz_flight_enter(struct alz_cache *cache, struct alz_flight *f)
{
	f->generation = alz_generation_next(cache);
	alz_list_add_tail(&f->key_link, alz_flight_chain(cache, f->hash));
}

/**
 * alz_flight_start() - let a flight run
 * @cache: locked; an INITIALIZING slot is there
 * @f: new
 * @owner: gets the ticket
 */
void alz_flight_start(struct alz_cache *cache, struct alz_flight *f,
		      struct alz_client *owner)
{
	alz_flight_enter(cache, f);
	f->started = alz_os_now();
	alz_flight_grant(cache, f, owner, NULL);
}

/**
 * alz_flight_hand_over() - the owner is gone: next, or the key is EMPTY again
 * @cache: locked; the lock may be let go and taken again
 * @f: running
 * @error: positive errno for waiters that cannot initialise, if nobody can
 */
void alz_flight_hand_over(struct alz_cache *cache, struct alz_flight *f, int error)
{
	alz_flight_revoke(cache, f);
	f->attempt++;
	if (!alz_flight_offer(cache, f))
		alz_flight_empty(cache, f, error);
}

/**
 * alz_flight_owner_died() - its process is gone
 * @cache: locked; the lock may be let go and taken again
 * @f: running
 */
void alz_flight_owner_died(struct alz_cache *cache, struct alz_flight *f)
{
	/* who was not told of it yet did not die of it */
	if (!f->untold && alz_trouble_died(cache, f->hash)) {
		alz_flight_revoke(cache, f);
		alz_flight_empty(cache, f, EOWNERDEAD);
		return;
	}
	alz_flight_hand_over(cache, f, EOWNERDEAD);
}

/* From here on nobody finds the flight by key or ticket. */
static void alz_flight_finish(struct alz_cache *cache, struct alz_flight *f,
			      u32 result, s32 error, u64 offset, u64 generation)
{
	alz_list_del(&f->key_link);
	alz_admit_never(cache, f);
	alz_flight_revoke(cache, f);
	/* the rest may stay for as long as a waiter does not read its event */
	alz_os_free(f->key);
	f->key = NULL;
	f->ended = true;
	f->result = result;
	f->error = error;
	f->offset = offset;
	f->record_generation = generation;
	if (offset != ASYNCLAZY_NO_RECORD && !cache->arena.stable) {
		f->hold = &alz_arena_segment(&cache->arena, offset)->holds;
		++*f->hold;
	}
}

/**
 * alz_flight_end() - tell all waiters the outcome; the slot says it already
 * @cache: locked; the lock is let go now and then if there are many waiters
 * @f: running; the caller's pointer is invalid afterwards
 * @result: ASYNCLAZY_RESULT_HIT or FAILED
 * @error: positive errno of FAILED
 * @offset: of the record, or NO_RECORD
 * @generation: of the record
 */
void alz_flight_end(struct alz_cache *cache, struct alz_flight *f,
		    u32 result, s32 error, u64 offset, u64 generation)
{
	int n = 0;

	alz_flight_finish(cache, f, result, error, offset, generation);
	alz_list_splice_tail(&f->able, &f->waiters);
	while (!alz_list_empty(&f->waiters)) {
		alz_wait_deliver(alz_entry(f->waiters.next, struct alz_waiter, link),
				 ALZ_ENDED);
		if (++n % ALZ_BATCH)
			continue;
		alz_os_unlock(&cache->lock);
		alz_os_relax();
		alz_os_lock(&cache->lock);
	}
	alz_flight_put(f);
	alz_admit(cache);
}

/**
 * alz_flight_invalidate() - the key was invalidated while it is in the making
 * @cache: locked; the lock may be let go and taken again
 * @f: running
 *
 * The owner's ticket is stale from here on. If a waiter can initialise, the
 * flight starts again under a new generation, and its waiters stay; otherwise
 * the key is EMPTY and they are told ESTALE: ask again.
 */
void alz_flight_invalidate(struct alz_cache *cache, struct alz_flight *f)
{
	alz_flight_revoke(cache, f);
	f->generation = alz_generation_next(cache);
	f->started = alz_os_now();
	f->attempt = 0;
	/* one that is queued stays where it is: somebody wants it */
	if (f->held)
		alz_admit_held(cache, f);
	else if (!f->queued && !alz_flight_offer(cache, f))
		alz_flight_empty(cache, f, ESTALE);
}

/**
 * alz_flight_empty() - nobody is there who would make it: the key is as before
 * @cache: locked; the lock may be let go and taken again
 * @f: without an owner; the caller's pointer is invalid afterwards
 * @error: positive errno for the waiters that it has
 */
void alz_flight_empty(struct alz_cache *cache, struct alz_flight *f, s32 error)
{
	alz_flight_vacate(cache, f);
	alz_flight_end(cache, f, ASYNCLAZY_RESULT_FAILED, error, ASYNCLAZY_NO_RECORD,
		       f->generation);
}
