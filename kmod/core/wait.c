// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Waits: entries on flights, and how their outcome reaches a client, whose EVENT
 * waits are found by cookie.
 */
#include "core.h"

/* What a wait counts against its client's quota: words take memory each. */
static u32 alz_wait_cost(const struct alz_waiter *w)
{
	return w->words ? w->words : 1;
}

/** alz_waits_find() - Return: the EVENT wait with this cookie, or NULL */
struct alz_waiter *alz_waits_find(struct alz_client *client, u64 cookie)
{
	struct alz_node *node = alz_tree_find(client->waits, cookie);

	return node ? alz_entry(node, struct alz_waiter, node) : NULL;
}

/** alz_waits_add() - Return: false if the cookie is in use */
bool alz_waits_add(struct alz_client *client, struct alz_waiter *w)
{
	if (alz_tree_find(client->waits, w->cookie))
		return false;
	alz_tree_add(client->cache, &client->waits, &w->node);
	return true;
}

/** alz_waits_del() - take a wait out of the tree; it is in it */
void alz_waits_del(struct alz_client *client, struct alz_waiter *w)
{
	alz_tree_del(client->cache, &client->waits, &w->node);
}

/**
 * alz_wait_deliver() - a waiter's wait is over: tell it
 * @w: on its flight's list
 * @state: ALZ_ENDED, ALZ_OFFERED
 */
void alz_wait_deliver(struct alz_waiter *w, u8 state)
{
	struct alz_client *client = w->client;

	ALZ_MUST_HOLD(&client->cache->lock);
	alz_list_del(&w->link);
	if (state == ALZ_ENDED && !w->words)
		alz_need_over(w);
	if (w->kind == ALZ_WAIT_EVENT) {
		w->state = state;
		alz_list_add_tail(&w->link, &client->ready);
		alz_os_ready(client, true);
	} else {
		alz_os_store_state(&w->state, state);
		alz_os_wake(w);
	}
}

/**
 * alz_wait_requeue() - a waiter did not take what it was offered: it waits again
 * @w: ALZ_OFFERED, not reported
 * @queue: of its flight
 */
void alz_wait_requeue(struct alz_waiter *w, struct alz_list *queue)
{
	struct alz_client *client = w->client;

	ALZ_MUST_HOLD(&client->cache->lock);
	alz_os_store_state(&w->state, ALZ_WAITING);
	alz_list_del(&w->link);
	alz_list_add_tail(&w->link, queue);
	if (w->kind == ALZ_WAIT_EVENT && alz_list_empty(&client->ready))
		alz_os_ready(client, false);
}

/** alz_wait_answer() - what an ended or offered wait brought */
void alz_wait_answer(const struct alz_waiter *w, struct alz_answer *answer)
{
	const struct alz_flight *f = w->flight;

	answer->blob = NULL;
	answer->detail_size = 0;
	if (w->state == ALZ_OFFERED) {
		answer->result = ASYNCLAZY_RESULT_TICKET;
		answer->error = 0;
		answer->ticket = w->ticket;
		answer->attempt = w->attempt;
		answer->generation = w->generation;
		answer->offset = ASYNCLAZY_NO_RECORD;
		return;
	}
	answer->result = f->result;
	answer->error = f->error;
	answer->ticket = 0;
	answer->attempt = w->words ? w->attempt : 0;
	answer->generation = f->record_generation;
	answer->offset = f->offset;
	if (f->detail) {
		answer->detail_size = f->detail_size;
		memcpy(answer->detail, f->detail, f->detail_size);
	}
}

/**
 * alz_wait_begin() - a waiter is on its lists: count it
 * @client: whose
 * @w: an EVENT waiter is in the tree already
 * @flight: where its outcome will be
 */
void alz_wait_begin(struct alz_client *client, struct alz_waiter *w,
		    struct alz_flight *flight)
{
	struct alz_cache *cache = client->cache;

	ALZ_MUST_HOLD(&cache->lock);
	w->client = client;
	w->flight = flight;
	w->state = ALZ_WAITING;
	flight->refs++;
	if (w->kind == ALZ_WAIT_FD)
		alz_list_add_tail(&w->fd_link, &client->fd_waits);
	client->nr_waits += alz_wait_cost(w);
	cache->count.waits_now += alz_wait_cost(w);
	cache->count.waits++;
}

/**
 * alz_wait_enqueue() - put a waiter at the end of a flight's queue
 * @client: whose
 * @w: in no list; an EVENT waiter is in the tree already
 * @flight: running
 * @parent: for whose sake, or NULL
 */
void alz_wait_enqueue(struct alz_client *client, struct alz_waiter *w,
		      struct alz_flight *flight, struct alz_flight *parent)
{
	ALZ_MUST_HOLD(&client->cache->lock);
	alz_need_wait(w, parent);
	alz_list_add_tail(&w->link, w->can_init ? &flight->able : &flight->waiters);
	alz_wait_begin(client, w, flight);
}

/**
 * alz_wait_drop() - take a waiter off every list; an EVENT waiter is freed
 * @cache: locked; the lock may be let go and taken again
 * @w: in any state; an offer has been dealt with
 */
void alz_wait_drop(struct alz_cache *cache, struct alz_waiter *w)
{
	struct alz_client *client = w->client;
	struct alz_flight *f = w->flight;
	struct alz_flight *unwanted = NULL;

	ALZ_MUST_HOLD(&cache->lock);
	alz_list_del(&w->link);
	if (w->words)
		alz_word_leave(cache, w);
	else
		alz_need_over(w);
	if (f && f->offered == w) {
		f->offered = NULL;
		f->untold = client->dead;
	}
	if (f && alz_flight_idle(f) && alz_list_empty(&f->able))
		unwanted = f;
	client->nr_waits -= alz_wait_cost(w);
	cache->count.waits_now -= alz_wait_cost(w);
	if (w->kind == ALZ_WAIT_EVENT)
		alz_waits_del(client, w);
	if (w->kind == ALZ_WAIT_EVENT && w->reported && !client->dead &&
	    w->flight && (w->flight->hold || w->flight->blob)) {
		/* its record stays until the reader of its event asks for more */
		alz_list_add_tail(&w->link, &client->recent);
		return;
	}
	if (w->flight) {
		alz_flight_put(w->flight);
		w->flight = NULL;
	}
	if (w->kind == ALZ_WAIT_EVENT)
		alz_os_free(w);
	else if (w->kind == ALZ_WAIT_FD)
		alz_list_del(&w->fd_link);
	/* nobody is left who would make it when its turn comes */
	if (unwanted)
		alz_flight_empty(cache, unwanted, ECANCELED);
}

/** alz_wait_forget() - what the last events led to is no longer held; may let go of the lock */
void alz_wait_forget(struct alz_client *client)
{
	struct alz_cache *cache = client->cache;
	u32 n = 0;

	ALZ_MUST_HOLD(&cache->lock);
	while (!alz_list_empty(&client->recent)) {
		struct alz_waiter *w = alz_entry(client->recent.next, struct alz_waiter, link);

		alz_list_del(&w->link);
		alz_flight_put(w->flight);
		alz_os_free(w);
		/* a read may have taken a million events */
		alz_breathe(cache, &n);
	}
}
