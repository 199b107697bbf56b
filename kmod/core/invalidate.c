// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Making keys EMPTY, also while they are in the making: the running flight is
 * taken off, its owner's ticket is stale, and its waiters start again.
 */
#include "core.h"

/**
 * alz_invalidate() - make a key EMPTY
 * @client: whose
 * @key: the key
 * @key_size: bytes in it
 * @hash: of the key
 * @count: values, errors and flights that it ended
 *
 * Return: 0, -EOWNERDEAD.
 */
int alz_invalidate(struct alz_client *client, const void *key, u32 key_size,
		   u64 hash, u32 *count)
{
	struct alz_cache *cache = client->cache;
	struct alz_flight *f;
	int err = 0;
	u64 *slot;

	*count = 0;
	alz_os_lock(&cache->lock);
	if (client->dead) {
		err = -EOWNERDEAD;
		goto out;
	}
	cache->count.invalidates++;
	alz_generation_next(cache);
	slot = alz_table_find(cache, key, key_size, hash);
	f = alz_flight_find(cache, key, key_size, hash);
	if (slot) {
		alz_table_drop(cache, slot);
		++*count;
	}
	alz_trouble_over(cache, hash);
	if (f) {
		++*count;
		alz_flight_invalidate(cache, f);
	}
out:
	alz_os_unlock(&cache->lock);
	return err;
}

static struct alz_flight *alz_flight_before(struct alz_cache *cache, u32 chain,
					    u64 generation)
{
	struct alz_list *head = &cache->by_key[chain];
	struct alz_list *at;

	for (at = head->next; at != head; at = at->next) {
		struct alz_flight *f = alz_entry(at, struct alz_flight, key_link);

		if (f->generation <= generation)
			return f;
	}
	return NULL;
}

/* Let others in now and then. */
static void alz_clear_breathe(struct alz_cache *cache, u64 n)
{
	if (n % ALZ_BATCH)
		return;
	alz_os_unlock(&cache->lock);
	alz_os_relax();
	alz_os_lock(&cache->lock);
}

/* What it makes anew goes too. */
static void alz_clear_flight(struct alz_cache *cache, struct alz_flight *f, u64 *count)
{
	u64 *slot = alz_flight_slot(cache, f);

	if (*slot & ASYNCLAZY_SLOT_REFRESHING) {
		alz_table_drop(cache, slot);
		++*count;
	}
	alz_flight_invalidate(cache, f);
}

/* Invalidate the flights that are older than @generation. */
static void alz_clear_flights(struct alz_cache *cache, u64 generation, u64 *count)
{
	u32 chain = 0;

	while (chain <= cache->flight_mask) {
		struct alz_flight *f = alz_flight_before(cache, chain, generation);

		if (!f) {
			chain++;
			alz_clear_breathe(cache, chain);
			continue;
		}
		++*count;
		alz_clear_flight(cache, f, count);
		alz_clear_breathe(cache, *count);
	}
}

/* Empty the slots whose record is older than cache->clearing. */
static void alz_clear_slots(struct alz_cache *cache, u64 *count)
{
	u64 slots = (cache->bucket_mask + 1) * ASYNCLAZY_BUCKET_SLOTS;
	u64 i;

	for (i = 0; i < slots; i++) {
		if (alz_slot_cleared(cache, cache->slots[i])) {
			alz_table_drop(cache, &cache->slots[i]);
			++*count;
		}
		if (!((i + 1) % ASYNCLAZY_BUCKET_SLOTS))
			alz_clear_breathe(cache, (i + 1) / ASYNCLAZY_BUCKET_SLOTS);
	}
}

/**
 * alz_clear() - invalidate every key that is there now
 * @client: whose
 * @count: values, errors and flights that it ended
 *
 * The lock is let go now and then. What is stored meanwhile has a later
 * generation and stays; what would be moved meanwhile is dropped instead, by
 * alz_table_move(), so that nothing slips through behind the sweep.
 *
 * Return: 0, -EOWNERDEAD.
 */
int alz_clear(struct alz_client *client, u64 *count)
{
	struct alz_cache *cache = client->cache;
	u64 generation, cleared;
	int err = 0;

	*count = 0;
	alz_os_lock(&cache->lock);
	if (client->dead) {
		err = -EOWNERDEAD;
		goto out;
	}
	cache->count.invalidates++;
	generation = alz_generation_next(cache);
	alz_troubles_forget(cache);
	alz_clear_flights(cache, generation, count);
	/* a later CLEAR includes this one: nobody lowers the mark */
	if (generation > cache->clearing)
		cache->clearing = generation;
	cleared = cache->cleared;
	alz_clear_slots(cache, count);
	*count += cache->cleared - cleared;
out:
	alz_os_unlock(&cache->lock);
	return err;
}
