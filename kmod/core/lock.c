// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Locks: words that say which client has them, so that the next one is told when
 * the holder dies. Taking and leaving one that nobody waits for is the library's
 * doing alone: the core comes in when a client dies, and looks at what that one said
 * in its own page that it has, or is about to take.
 */
#include "core.h"

#define ALZ_LOCK_TRIES	16	/* while others write to it all the time */

static bool alz_lock_id_used(const struct alz_cache *cache, u32 id)
{
	const struct alz_list *at;

	/* each is new, until all have been given out */
	if (cache->lock_ids <= ASYNCLAZY_LOCK_OWNER)
		return false;
	for (at = cache->clients.next; at != &cache->clients; at = at->next)
		if (alz_entry(at, struct alz_client, link)->lock_id == id)
			return true;
	return false;
}

/** alz_lock_id() - give a client the number that it writes to its locks, from 1 on */
void alz_lock_id(struct alz_client *client)
{
	struct alz_cache *cache = client->cache;

	ALZ_MUST_HOLD(&cache->lock);
	do {
		client->lock_id = ++cache->lock_ids & ASYNCLAZY_LOCK_OWNER;
	} while (!client->lock_id || alz_lock_id_used(cache, client->lock_id));
}

/*
 * A lock that a dead client named. If it has it, it has not any more. If nobody
 * has it, it may be that the client was woken to take it, so somebody else is.
 */
static void alz_lock_died(struct alz_client *client, u64 index)
{
	struct alz_cache *cache = client->cache;
	u32 *word = &cache->words[index];
	u32 value = alz_os_load_u32(word);
	u32 tries = ALZ_LOCK_TRIES;
	u32 was;

	while ((value & ASYNCLAZY_LOCK_OWNER) == client->lock_id && tries--) {
		was = alz_os_cmpxchg_u32(word, value, ASYNCLAZY_LOCK_DIED);
		value = was == value ? ASYNCLAZY_LOCK_DIED : was;
	}
	if (!(value & ASYNCLAZY_LOCK_OWNER))
		alz_word_wake_own(cache, index);
}

/** alz_locks_die() - the locks of a client that died; may let go of the lock */
void alz_locks_die(struct alz_client *client)
{
	struct alz_cache *cache = client->cache;
	u32 i, index, n = 0;

	ALZ_MUST_HOLD(&cache->lock);
	for (i = 0; i < client->nr_held; i++) {
		/* the client wrote what it liked: read once, then checked */
		index = alz_os_load_u32(&client->held[i]);
		if (!index || !alz_word_valid(cache, index - 1))
			continue;
		alz_lock_died(client, index - 1);
		alz_breathe(cache, &n);
	}
}
