// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Waits: entries on flights, and how their outcome reaches a client.
 *
 * A client's EVENT waits are found by cookie in a treap: a search tree on the
 * cookie that is a heap on a priority. The priority is a keyed mix of the
 * cookie, so that a client which picks its cookies cannot make it deep: depth
 * is logarithmic in expectation, at no memory beside the two children.
 */
#include "core.h"

static u64 alz_waits_priority(const struct alz_client *client, u64 cookie)
{
	return alz_mix(client->cache, cookie);
}

/** alz_waits_find() - Return: the EVENT wait with this cookie, or NULL */
struct alz_waiter *alz_waits_find(struct alz_client *client, u64 cookie)
{
	struct alz_waiter *w = client->waits;

	while (w && w->cookie != cookie)
		w = w->child[cookie > w->cookie];
	return w;
}

/* Split the tree at @node into those below @cookie and those above. */
static void alz_waits_split(struct alz_waiter *node, u64 cookie,
			    struct alz_waiter **below, struct alz_waiter **above)
{
	while (node) {
		if (node->cookie < cookie) {
			*below = node;
			below = &node->child[1];
			node = *below;
		} else {
			*above = node;
			above = &node->child[0];
			node = *above;
		}
	}
	*below = NULL;
	*above = NULL;
}

/** alz_waits_add() - Return: false if the cookie is in use */
bool alz_waits_add(struct alz_client *client, struct alz_waiter *w)
{
	u64 priority = alz_waits_priority(client, w->cookie);
	struct alz_waiter **at = &client->waits;

	if (alz_waits_find(client, w->cookie))
		return false;
	while (*at && alz_waits_priority(client, (*at)->cookie) >= priority)
		at = &(*at)->child[w->cookie > (*at)->cookie];
	alz_waits_split(*at, w->cookie, &w->child[0], &w->child[1]);
	*at = w;
	return true;
}

/** alz_waits_del() - take a wait out of the tree; it is in it */
void alz_waits_del(struct alz_client *client, struct alz_waiter *w)
{
	struct alz_waiter **at = &client->waits;
	struct alz_waiter *below = w->child[0];
	struct alz_waiter *above = w->child[1];

	while (*at != w)
		at = &(*at)->child[w->cookie > (*at)->cookie];
	while (below && above) {
		if (alz_waits_priority(client, below->cookie) >=
		    alz_waits_priority(client, above->cookie)) {
			*at = below;
			at = &below->child[1];
			below = *at;
		} else {
			*at = above;
			at = &above->child[0];
			above = *at;
		}
	}
	*at = below ? below : above;
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
	if (w->kind == ALZ_WAIT_EVENT) {
		w->state = state;
		alz_list_add_tail(&w->link, &client->ready);
		alz_os_ready(client, true);
	} else {
		alz_os_store_state(&w->state, state);
		alz_os_wake(w);
	}
}

/** alz_wait_answer() - what an ended or offered wait brought */
void alz_wait_answer(const struct alz_waiter *w, struct alz_answer *answer)
{
	const struct alz_flight *f = w->flight;

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
	answer->attempt = 0;
	answer->generation = f->record_generation;
	answer->offset = f->offset;
	if (f->detail) {
		answer->detail_size = f->detail_size;
		memcpy(answer->detail, f->detail, f->detail_size);
	}
}

/**
 * alz_wait_enqueue() - put a waiter at the end of a flight's queue
 * @client: whose
 * @w: in no list; an EVENT waiter is in the tree already
 * @flight: running
 */
void alz_wait_enqueue(struct alz_client *client, struct alz_waiter *w,
		      struct alz_flight *flight)
{
	struct alz_cache *cache = client->cache;

	ALZ_MUST_HOLD(&cache->lock);
	w->client = client;
	w->flight = flight;
	w->state = ALZ_WAITING;
	flight->refs++;
	alz_list_add_tail(&w->link, w->can_init ? &flight->able : &flight->waiters);
	if (w->kind == ALZ_WAIT_FD)
		alz_list_add_tail(&w->fd_link, &client->fd_waits);
	client->nr_waits++;
	cache->count.waits_now++;
	cache->count.waits++;
}

/**
 * alz_wait_drop() - take a waiter off every list; an EVENT waiter is freed
 * @cache: locked
 * @w: in any state; an offer has been dealt with
 */
void alz_wait_drop(struct alz_cache *cache, struct alz_waiter *w)
{
	struct alz_client *client = w->client;

	ALZ_MUST_HOLD(&cache->lock);
	alz_list_del(&w->link);
	if (w->flight) {
		alz_flight_put(w->flight);
		w->flight = NULL;
	}
	client->nr_waits--;
	cache->count.waits_now--;
	if (w->kind == ALZ_WAIT_EVENT) {
		alz_waits_del(client, w);
		alz_os_free(w);
	} else if (w->kind == ALZ_WAIT_FD) {
		alz_list_del(&w->fd_link);
	}
}
