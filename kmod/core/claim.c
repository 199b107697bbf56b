// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Claim: the one question. Is there a record; if not, does somebody make it;
 * if not, may the caller. All three are asked under one hold of the lock, so
 * there is no moment at which two callers are both told to initialise, and no
 * moment between looking and waiting at which a wake-up could be lost.
 */
#include "core.h"

/* What a claim may need memory for, which is taken without the lock. */
struct alz_spares {
	struct alz_flight *flight;
	struct alz_waiter *waiter;
	bool need_flight;
	bool need_waiter;
	bool refresh;		/* and could do without: there is a value */
};

/* Something changed under the claim: from the start. */
#define ALZ_CLAIM_AGAIN	1

static const struct asynclazy_record *alz_slot_record(struct alz_cache *cache, const u64 *slot)
{
	return alz_arena_record(&cache->arena, alz_slot_offset(*slot));
}

static bool alz_claim_hit(struct alz_client *client, const struct alz_claim *c,
			  const u64 *slot, struct alz_answer *answer)
{
	struct alz_cache *cache = client->cache;
	const struct asynclazy_record *r = alz_slot_record(cache, slot);

	if (r->flags & ASYNCLAZY_RECORD_TIMES && !alz_record_readable(r, alz_os_now()))
		return false;
	answer->result = r->kind == ASYNCLAZY_RECORD_ERROR ?
		ASYNCLAZY_RESULT_FAILED : ASYNCLAZY_RESULT_HIT;
	answer->error = r->error;
	answer->generation = r->generation;
	answer->offset = alz_slot_offset(*slot);
	alz_pin_set(client, c->pin, answer->offset);
	alz_visited_set(cache, slot, true);
	cache->count.hits++;
	return true;
}

/*
 * Whether the caller is the one who makes anew what it has found: it can, it is
 * time to, and nobody does, or tried just now.
 */
static bool alz_refresh_due(struct alz_client *client, const struct alz_claim *c,
			    const u64 *slot, const struct alz_flight *parent)
{
	struct alz_cache *cache = client->cache;
	const struct asynclazy_record *r = alz_slot_record(cache, slot);
	const struct asynclazy_times *times;
	u64 from;

	if (!(c->flags & ASYNCLAZY_CLAIM_INIT) || !(r->flags & ASYNCLAZY_RECORD_TIMES) ||
	    r->kind == ASYNCLAZY_RECORD_ERROR || *slot & ASYNCLAZY_SLOT_REFRESHING)
		return false;
	times = alz_record_times(r);
	if (times->stale_until == times->fresh_until)
		return false;
	from = times->fresh_until;
	/* who saw another one before this does not count */
	if (c->flags & ASYNCLAZY_CLAIM_REFRESH)
		from -= alz_refresh_lead(r);
	if (alz_os_now() < from)
		return false;
	if (client->nr_tickets >= client->max_tickets || (!parent && !alz_admits(cache)))
		return false;
	return !alz_trouble_until(cache, c->hash);
}

/* Register the wait that the caller asked for. */
static int alz_claim_wait(struct alz_client *client, const struct alz_claim *c,
			  struct alz_waiter **fresh, struct alz_flight *f,
			  struct alz_flight *parent, bool can_init)
{
	struct alz_waiter *w = c->waiter;

	if (client->nr_waits >= client->max_waits)
		return -EDQUOT;
	if (c->flags & ASYNCLAZY_CLAIM_EVENT) {
		w = *fresh;
		w->kind = ALZ_WAIT_EVENT;
		w->cookie = c->cookie;
		w->client = client;
		w->follow = c->flags & ASYNCLAZY_CLAIM_FOLLOW;
		if (!alz_waits_add(client, w))
			return -EEXIST;
		*fresh = NULL;
	} else {
		w->kind = c->flags & ASYNCLAZY_CLAIM_FD ? ALZ_WAIT_FD : ALZ_WAIT_BLOCK;
		w->cookie = c->cookie;
	}
	w->can_init = can_init;
	f->child |= !!parent;
	alz_wait_enqueue(client, w, f, parent);
	return 0;
}

/* Room for a flight: the slot of what is there and can still be of use, or a new one. */
static bool alz_claim_slot(struct alz_cache *cache, const struct alz_claim *c, u64 **slot)
{
	if (!*slot)
		*slot = alz_table_room(cache, c->hash);
	if (!*slot)
		cache->count.nospace++;
	return *slot;
}

static void alz_claim_mark(struct alz_cache *cache, const struct alz_claim *c, u64 *slot)
{
	if (alz_slot_has_record(*slot) &&
	    !alz_record_dead(alz_slot_record(cache, slot), alz_os_now()))
		alz_table_mark(cache, slot, true);
	else
		alz_table_store(cache, slot, alz_slot_pack(ASYNCLAZY_SLOT_INITIALIZING,
							   alz_slot_tag(c->hash), 0));
}

/* The caller is the owner. What is there, if anything, is for it to look at. */
static void alz_claim_own(struct alz_client *client, const struct alz_claim *c,
			  const u64 *slot, struct alz_flight *parent,
			  struct alz_flight *f, struct alz_answer *answer)
{
	alz_flight_start(client->cache, f, client);
	alz_need_made(f, parent);
	answer->result = ASYNCLAZY_RESULT_TICKET;
	answer->error = 0;
	answer->ticket = f->ticket;
	answer->generation = f->generation;
	if (!alz_slot_has_record(*slot))
		return;
	client->cache->count.refreshes++;
	answer->offset = alz_slot_offset(*slot);
	alz_pin_set(client, c->pin, answer->offset);
}

/*
 * Make the caller the owner of a new flight, or, if too many run, or its key is in
 * trouble, the first that waits for one. @slot: with what is there, or NULL.
 */
static int alz_claim_start(struct alz_client *client, const struct alz_claim *c,
			   u64 *slot, struct alz_flight *parent,
			   struct alz_spares *spares, struct alz_answer *answer)
{
	bool follow = c->flags & ASYNCLAZY_CLAIM_FOLLOW;
	struct alz_cache *cache = client->cache;
	u64 until = alz_trouble_until(cache, c->hash);
	bool admitted = !until && (parent || alz_admits(cache));
	struct alz_flight *f = spares->flight;
	int err;

	if (client->nr_tickets >= client->max_tickets)
		return -EDQUOT;
	if (!admitted && !(c->flags & ALZ_WAIT_FLAGS))
		return -EAGAIN;
	if (!alz_claim_slot(cache, c, &slot))
		return -ENOSPC;
	if (follow || !admitted) {
		err = alz_claim_wait(client, c, &spares->waiter, f, admitted ? NULL : parent,
				     !admitted);
		if (err)
			return err;
	}
	alz_claim_mark(cache, c, slot);
	spares->flight = NULL;
	if (admitted) {
		alz_claim_own(client, c, slot, parent, f, answer);
		return 0;
	}
	alz_admit_later(cache, f, until);
	answer->result = ASYNCLAZY_RESULT_PENDING;
	answer->generation = f->generation;
	return 0;
}

/* Nobody makes it, and there is nothing to be had. */
static bool alz_claim_none(struct alz_cache *cache, const struct alz_claim *c,
			   struct alz_answer *answer)
{
	answer->detail_size = alz_trouble_refuse(cache, c->hash, answer->detail);
	if (answer->detail_size) {
		answer->result = ASYNCLAZY_RESULT_FAILED;
		answer->error = EOWNERDEAD;
		return true;
	}
	answer->result = ASYNCLAZY_RESULT_EMPTY;
	return !(c->flags & ASYNCLAZY_CLAIM_INIT);
}

/* Somebody makes it: wait, if that was asked for. */
static int alz_claim_join(struct alz_client *client, const struct alz_claim *c,
			  struct alz_flight *f, struct alz_flight *parent,
			  struct alz_spares *spares, struct alz_answer *answer)
{
	struct alz_cache *cache = client->cache;

	answer->result = ASYNCLAZY_RESULT_PENDING;
	answer->generation = f->generation;
	if (!(c->flags & ALZ_WAIT_FLAGS))
		return 0;
	/* its turn would wait for the parent's end, which waits for it */
	if (parent && f->queued) {
		alz_admit_child(cache, f);
		return ALZ_CLAIM_AGAIN;
	}
	if (parent && alz_cycle_find(cache, f, parent, answer))
		return 0;
	return alz_claim_wait(client, c, &spares->waiter, f, parent,
			      c->flags & ASYNCLAZY_CLAIM_INIT);
}

/*
 * One try under the lock. -ENOMEM: memory is needed, see what is missing in
 * @spares; ALZ_CLAIM_AGAIN.
 */
static int alz_claim_try(struct alz_client *client, const struct alz_claim *c,
			 struct alz_spares *spares, struct alz_answer *answer)
{
	struct alz_cache *cache = client->cache;
	struct alz_flight *parent = NULL;
	struct alz_flight *f;
	u64 *slot;
	int err;

	if (client->dead)
		return -EOWNERDEAD;
	if (c->parent) {
		err = alz_flight_owned(client, c->parent, &parent);
		if (err)
			return err;
	}
	slot = alz_table_find(cache, c->key, c->key_size, c->hash);
	spares->refresh = slot && alz_claim_hit(client, c, slot, answer);
	if (spares->refresh && !alz_refresh_due(client, c, slot, parent))
		return 0;
	f = alz_flight_find(cache, c->key, c->key_size, c->hash);
	if (!f && !spares->refresh && alz_claim_none(cache, c, answer))
		return 0;
	spares->need_waiter = c->flags & ASYNCLAZY_CLAIM_EVENT && !spares->waiter;
	spares->need_flight = !f && !spares->flight;
	if (spares->need_waiter || spares->need_flight)
		return -ENOMEM;
	if (!f)
		return alz_claim_start(client, c, slot, parent, spares, answer);
	return alz_claim_join(client, c, f, parent, spares, answer);
}

/* Return: 0, -ENOMEM */
static int alz_spares_get(struct alz_spares *spares, const struct alz_claim *c)
{
	if (spares->need_flight)
		spares->flight = alz_flight_new(c->key, c->key_size, c->hash);
	if (spares->need_waiter)
		spares->waiter = alz_os_alloc(sizeof(*spares->waiter));
	return (spares->need_flight && !spares->flight) ||
	       (spares->need_waiter && !spares->waiter) ? -ENOMEM : 0;
}

/**
 * alz_claim() - get the value, or the ticket to make it, or wait
 * @client: the caller's
 * @claim: flags are valid; a wait in @claim->waiter stays registered until
 *	alz_wait_finish() or alz_wait_fd_close()
 * @answer: filled on 0
 *
 * Return: 0, -ENOSPC, -EDQUOT, -EEXIST, -EOWNERDEAD, -ENOMEM; of @claim->parent
 * -ESTALE, -ENOENT; -EAGAIN: too many initialisations run, or the key's failed just
 * now, and @claim does not wait.
 */
int alz_claim(struct alz_client *client, const struct alz_claim *claim,
	      struct alz_answer *answer)
{
	struct alz_cache *cache = client->cache;
	struct alz_spares spares = { 0 };
	struct alz_claim c = *claim;
	int err;

	alz_os_lock(&cache->lock);
	cache->count.claims++;
	for (;;) {
		memset(answer, 0, offsetof(struct alz_answer, detail));
		answer->offset = ASYNCLAZY_NO_RECORD;
		err = alz_claim_try(client, &c, &spares, answer);
		if (err == ALZ_CLAIM_AGAIN)
			continue;
		if (err != -ENOMEM)
			break;
		alz_os_unlock(&cache->lock);
		err = alz_spares_get(&spares, &c);
		alz_os_lock(&cache->lock);
		/* who has no memory for making it anew reads on */
		if (err && spares.refresh)
			c.flags &= ~ASYNCLAZY_CLAIM_INIT;
		else if (err)
			break;
	}
	alz_os_unlock(&cache->lock);
	alz_flight_put(spares.flight);
	alz_os_free(spares.waiter);
	return err;
}
