// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Clients: attachment to a cache, and what their death sets free. */
#include "core.h"

/** alz_client_attach() - @client is zeroed, with its quotas and ->os set */
void alz_client_attach(struct alz_client *client, struct alz_cache *cache)
{
	client->cache = cache;
	alz_list_init(&client->ready);
	alz_list_init(&client->tickets);
	alz_list_init(&client->fd_waits);
	alz_os_lock(&cache->lock);
	alz_list_add_tail(&client->link, &cache->clients);
	cache->count.clients++;
	alz_os_unlock(&cache->lock);
}

/* Let others in now and then: a dying client may have a million waits. */
static void alz_client_breathe(struct alz_cache *cache, u32 *n)
{
	if (++*n % ALZ_BATCH)
		return;
	alz_os_unlock(&cache->lock);
	alz_os_relax();
	alz_os_lock(&cache->lock);
}

/**
 * alz_client_die() - the process is gone: hand its tickets over, drop its waits
 * @client: whose
 *
 * Idempotent. No thread of the process is in a call any more. The waits go
 * first, so that whoever looks for a next owner does not walk over them;
 * nothing is offered to a client that is marked dead.
 */
void alz_client_die(struct alz_client *client)
{
	struct alz_cache *cache = client->cache;
	u32 n = 0;

	alz_os_lock(&cache->lock);
	if (client->dead)
		goto out;
	client->dead = true;
	cache->count.clients--;
	while (client->waits) {
		alz_wait_drop(cache, client->waits);
		alz_client_breathe(cache, &n);
	}
	while (!alz_list_empty(&client->fd_waits)) {
		struct alz_waiter *w = alz_entry(client->fd_waits.next,
						 struct alz_waiter, fd_link);

		alz_wait_drop(cache, w);
		alz_os_store_state(&w->state, ALZ_ORPHAN);
		alz_os_wake(w);
		alz_client_breathe(cache, &n);
	}
	while (!alz_list_empty(&client->tickets)) {
		cache->count.deaths++;
		alz_flight_hand_over(cache, alz_entry(client->tickets.next,
						      struct alz_flight, owner_link),
				     EOWNERDEAD);
		alz_client_breathe(cache, &n);
	}
	alz_os_ready(client, true);
out:
	alz_os_unlock(&cache->lock);
}

/** alz_client_detach() - die if it has not, and leave the cache */
void alz_client_detach(struct alz_client *client)
{
	struct alz_cache *cache = client->cache;

	alz_client_die(client);
	alz_os_lock(&cache->lock);
	alz_list_del(&client->link);
	alz_os_unlock(&cache->lock);
}
