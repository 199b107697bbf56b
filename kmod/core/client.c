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
	alz_list_init(&client->recent);
	alz_os_lock(&cache->lock);
	client->pin_epoch = cache->pin_epoch;
	alz_lock_id(client);
	alz_list_add_tail(&client->link, &cache->clients);
	cache->count.clients++;
	alz_os_unlock(&cache->lock);
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
		alz_wait_drop(cache, alz_entry(client->waits, struct alz_waiter, node));
		alz_breathe(cache, &n);
	}
	while (!alz_list_empty(&client->fd_waits)) {
		struct alz_waiter *w = alz_entry(client->fd_waits.next,
						 struct alz_waiter, fd_link);

		/* first: the drop may let go of the lock, and then its fd may be closed */
		alz_os_store_state(&w->state, ALZ_ORPHAN);
		alz_os_wake(w);
		alz_wait_drop(cache, w);
		alz_breathe(cache, &n);
	}
	alz_locks_die(client);
	while (!alz_list_empty(&client->tickets)) {
		cache->count.deaths++;
		alz_flight_owner_died(cache, alz_entry(client->tickets.next,
						       struct alz_flight, owner_link));
		alz_breathe(cache, &n);
	}
	alz_wait_forget(client);
	alz_os_ready(client, true);
out:
	alz_os_unlock(&cache->lock);
}

/** alz_pin_valid() - whether a client may name this pin; 0 is none */
bool alz_pin_valid(const struct alz_client *client, u32 pin)
{
	return pin <= client->nr_pins;
}

/**
 * alz_pin_set() - set a client's pin on its behalf
 * @client: whose
 * @pin: 0, or the pin-th, from 1
 * @offset: of a record that is linked or held, or NO_RECORD
 */
void alz_pin_set(struct alz_client *client, u32 pin, u64 offset)
{
	ALZ_MUST_HOLD(&client->cache->lock);
	if (pin && offset != ASYNCLAZY_NO_RECORD)
		alz_os_store(&client->pins[pin - 1], offset | ASYNCLAZY_PIN_SET);
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
