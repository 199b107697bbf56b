// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Making keys EMPTY, also while they are in the making: the running flight is
 * taken off, its owner's ticket is stale, and its waiters start again.
 */
#include "core.h"

/*
 * End a running flight. If a waiter could go on, that needs @spare as its
 * successor: without one, false.
 */
static bool alz_flight_invalidate(struct alz_cache *cache, struct alz_flight *f,
				  struct alz_flight **spare)
{
	if (!alz_flight_can_go_on(f)) {
		alz_table_store(cache, alz_table_find_initializing(cache, f->hash),
				ASYNCLAZY_SLOT_EMPTY);
		alz_flight_end(cache, f, ASYNCLAZY_RESULT_FAILED, ESTALE,
			       ASYNCLAZY_NO_RECORD, f->generation);
		return true;
	}
	if (!*spare)
		return false;
	alz_flight_restart(cache, f, *spare);
	*spare = NULL;
	return true;
}

/**
 * alz_invalidate() - make a key EMPTY
 * @client: whose
 * @key: the key
 * @key_size: bytes in it
 * @hash: of the key
 * @count: values, errors and flights that it ended
 *
 * Return: 0, -EOWNERDEAD, -ENOMEM.
 */
int alz_invalidate(struct alz_client *client, const void *key, u32 key_size,
		   u64 hash, u32 *count)
{
	struct alz_cache *cache = client->cache;
	struct alz_flight *spare = NULL;
	struct alz_flight *f;
	int err = 0;
	u64 *slot;

	*count = 0;
	/* before the lock, so that the whole is one step; few need it */
	spare = alz_flight_new(key, key_size, hash);
	if (!spare)
		return -ENOMEM;
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
		alz_table_store(cache, slot, ASYNCLAZY_SLOT_EMPTY);
		++*count;
	}
	if (f) {
		alz_flight_invalidate(cache, f, &spare);
		++*count;
	}
out:
	alz_os_unlock(&cache->lock);
	alz_flight_put(spare);
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

/* Invalidate the flights that are older than @generation. */
static int alz_clear_flights(struct alz_cache *cache, u64 generation, u64 *count)
{
	struct alz_flight *spare = NULL;
	u32 chain = 0;
	int err = 0;

	while (chain <= cache->flight_mask) {
		struct alz_flight *f = alz_flight_before(cache, chain, generation);
		void *key;
		u32 key_size;
		u64 hash;

		if (!f) {
			chain++;
			continue;
		}
		if (alz_flight_invalidate(cache, f, &spare)) {
			++*count;
			continue;
		}
		/* counted while the lock is let go, to copy its key */
		f->refs++;
		key = f->key;
		key_size = f->key_size;
		hash = f->hash;
		alz_os_unlock(&cache->lock);
		spare = alz_flight_new(key, key_size, hash);
		alz_os_lock(&cache->lock);
		if (!spare) {
			alz_flight_put(f);
			err = -ENOMEM;
			break;
		}
		if (!f->ended && alz_flight_invalidate(cache, f, &spare))
			++*count;
		alz_flight_put(f);
		/* it is for that key only */
		alz_flight_put(spare);
		spare = NULL;
	}
	return err;
}

/* Empty the slots whose record is older than @generation. */
static void alz_clear_slots(struct alz_cache *cache, u64 generation, u64 *count)
{
	u64 slots = (cache->bucket_mask + 1) * ASYNCLAZY_BUCKET_SLOTS;
	u64 moves;
	u64 i;

	do {
		/* a slot that moves from behind us to before us would be missed */
		moves = cache->moves;
		for (i = 0; i < slots; i++) {
			u64 word = cache->slots[i];

			if (alz_slot_has_record(word) &&
			    alz_arena_record(&cache->arena,
					     alz_slot_offset(word))->generation <= generation) {
				alz_table_store(cache, &cache->slots[i],
						ASYNCLAZY_SLOT_EMPTY);
				++*count;
			}
			if ((i + 1) % (ALZ_BATCH * ASYNCLAZY_BUCKET_SLOTS))
				continue;
			alz_os_unlock(&cache->lock);
			alz_os_relax();
			alz_os_lock(&cache->lock);
		}
	} while (moves != cache->moves);
}

/**
 * alz_clear() - invalidate every key that is there now
 * @client: whose
 * @count: values, errors and flights that it ended
 *
 * Return: 0, -EOWNERDEAD, -ENOMEM (some flights go on).
 */
int alz_clear(struct alz_client *client, u64 *count)
{
	struct alz_cache *cache = client->cache;
	u64 generation;
	int err;

	*count = 0;
	alz_os_lock(&cache->lock);
	if (client->dead) {
		err = -EOWNERDEAD;
		goto out;
	}
	cache->count.invalidates++;
	generation = alz_generation_next(cache);
	err = alz_clear_flights(cache, generation, count);
	alz_clear_slots(cache, generation, count);
out:
	alz_os_unlock(&cache->lock);
	return err;
}
