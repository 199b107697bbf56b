// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Claim: the one question. Is there a record; if not, does somebody make it;
 * if not, may the caller. All three are asked under one hold of the lock, so
 * there is no moment at which two callers are both told to initialise, and no
 * moment between looking and waiting at which a wake-up could be lost.
 */
#include "core.h"

static bool alz_claim_hit(struct alz_cache *cache, const u64 *slot,
			  struct alz_answer *answer)
{
	const struct asynclazy_record *r;

	r = alz_arena_record(&cache->arena, alz_slot_offset(*slot));
	if (r->flags & ASYNCLAZY_RECORD_TIMES && alz_record_dead(r, alz_os_now()))
		return false;
	answer->result = r->kind == ASYNCLAZY_RECORD_ERROR ?
		ASYNCLAZY_RESULT_FAILED : ASYNCLAZY_RESULT_HIT;
	answer->error = r->error;
	answer->generation = r->generation;
	answer->offset = alz_slot_offset(*slot);
	cache->count.hits++;
	return true;
}

/* Register the wait that the caller asked for. */
static int alz_claim_wait(struct alz_client *client, const struct alz_claim *c,
			  struct alz_waiter **fresh, struct alz_flight *f, bool can_init)
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
	alz_wait_enqueue(client, w, f);
	return 0;
}

/* Make the caller the owner of a new flight. @dead: its key's slot, or NULL. */
static int alz_claim_start(struct alz_client *client, const struct alz_claim *c,
			   u64 *dead, struct alz_flight **spare,
			   struct alz_waiter **fresh, struct alz_answer *answer)
{
	bool follow = c->flags & ASYNCLAZY_CLAIM_FOLLOW;
	struct alz_cache *cache = client->cache;
	struct alz_flight *f = *spare;
	u64 *slot = dead;
	int err;

	if (client->nr_tickets >= client->max_tickets)
		return -EDQUOT;
	if (!slot)
		slot = alz_table_room(cache, c->hash);
	if (!slot) {
		cache->count.nospace++;
		return -ENOSPC;
	}
	if (follow) {
		err = alz_claim_wait(client, c, fresh, f, false);
		if (err)
			return err;
	}
	alz_table_store(cache, slot, alz_slot_pack(ASYNCLAZY_SLOT_INITIALIZING,
						   alz_slot_tag(c->hash), 0));
	alz_flight_start(cache, f, client);
	*spare = NULL;
	answer->result = ASYNCLAZY_RESULT_TICKET;
	answer->ticket = f->ticket;
	answer->generation = f->generation;
	return 0;
}

/*
 * One try under the lock. -EAGAIN: memory is needed, see what is missing in
 * @need_flight and @need_waiter.
 */
static int alz_claim_try(struct alz_client *client, const struct alz_claim *c,
			 struct alz_flight **spare, struct alz_waiter **fresh,
			 bool *need_flight, bool *need_waiter,
			 struct alz_answer *answer)
{
	bool init = c->flags & ASYNCLAZY_CLAIM_INIT;
	bool event = c->flags & ASYNCLAZY_CLAIM_EVENT;
	struct alz_cache *cache = client->cache;
	struct alz_flight *f;
	u64 *slot;

	if (client->dead)
		return -EOWNERDEAD;
	slot = alz_table_find(cache, c->key, c->key_size, c->hash);
	if (slot && alz_claim_hit(cache, slot, answer))
		return 0;
	f = alz_flight_find(cache, c->key, c->key_size, c->hash);
	if (!f && !init) {
		answer->result = ASYNCLAZY_RESULT_EMPTY;
		return 0;
	}
	*need_waiter = event && !*fresh;
	*need_flight = !f && !*spare;
	if (*need_waiter || *need_flight)
		return -EAGAIN;
	if (!f)
		return alz_claim_start(client, c, slot, spare, fresh, answer);
	answer->result = ASYNCLAZY_RESULT_PENDING;
	answer->generation = f->generation;
	if (!(c->flags & ALZ_WAIT_FLAGS))
		return 0;
	return alz_claim_wait(client, c, fresh, f, init);
}

/**
 * alz_claim() - get the value, or the ticket to make it, or wait
 * @client: the caller's
 * @c: flags are valid; a wait in @c->waiter stays registered until
 *	alz_wait_finish() or alz_wait_fd_close()
 * @answer: filled on 0
 *
 * Return: 0, -ENOSPC, -EDQUOT, -EEXIST, -EOWNERDEAD, -ENOMEM.
 */
int alz_claim(struct alz_client *client, const struct alz_claim *c,
	      struct alz_answer *answer)
{
	bool need_flight = false, need_waiter = false;
	struct alz_cache *cache = client->cache;
	struct alz_flight *spare = NULL;
	struct alz_waiter *fresh = NULL;
	int err;

	memset(answer, 0, offsetof(struct alz_answer, detail));
	answer->offset = ASYNCLAZY_NO_RECORD;
	alz_os_lock(&cache->lock);
	cache->count.claims++;
	for (;;) {
		err = alz_claim_try(client, c, &spare, &fresh, &need_flight,
				    &need_waiter, answer);
		if (err != -EAGAIN)
			break;
		alz_os_unlock(&cache->lock);
		if (need_flight)
			spare = alz_flight_new(c->key, c->key_size, c->hash);
		if (need_waiter)
			fresh = alz_os_alloc(sizeof(*fresh));
		alz_os_lock(&cache->lock);
		if ((need_flight && !spare) || (need_waiter && !fresh)) {
			err = -ENOMEM;
			break;
		}
	}
	alz_os_unlock(&cache->lock);
	alz_flight_put(spare);
	alz_os_free(fresh);
	return err;
}
