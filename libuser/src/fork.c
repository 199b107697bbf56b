// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Forked children. A child reads on through the mappings that it inherited,
 * which stay where they are. Its first call to a backend finds that the epoch
 * has risen since the cache was attached, and attaches anew: alz_call().
 *
 * All locks of the library are held across the fork, so that the child finds
 * what they protect in order.
 */
#include "lib.h"

pthread_mutex_t alz_caches_lock = PTHREAD_MUTEX_INITIALIZER;
unsigned int alz_fork_epoch;

static struct alazy_cache *alz_caches;	/* alz_caches_lock */
static pthread_once_t alz_fork_once = PTHREAD_ONCE_INIT;
static int alz_fork_err;

static void alz_fork_prepare(void)
{
	struct alazy_cache *cache;

	pthread_mutex_lock(&alz_caches_lock);
	for (cache = alz_caches; cache; cache = cache->next)
		pthread_mutex_lock(&cache->lock);
	alz_local_fork_prepare();
}

static void alz_fork_release(void)
{
	struct alazy_cache *cache;

	for (cache = alz_caches; cache; cache = cache->next)
		pthread_mutex_unlock(&cache->lock);
	pthread_mutex_unlock(&alz_caches_lock);
}

static void alz_fork_parent(void)
{
	alz_local_fork_done();
	alz_fork_release();
}

static void alz_fork_child(void)
{
	struct alazy_cache *cache;

	__atomic_store_n(&alz_fork_epoch, alz_fork_epoch + 1, __ATOMIC_RELAXED);
	for (cache = alz_caches; cache; cache = cache->next) {
		alz_frames_forked(cache);
		alz_cache_forked(cache);
	}
	alz_local_fork_done();
	alz_fork_release();
}

static void alz_fork_register(void)
{
	alz_fork_err = -pthread_atfork(alz_fork_prepare, alz_fork_parent, alz_fork_child);
}

/** alz_fork_init() - at every open. Return: 0, -ENOMEM */
int alz_fork_init(void)
{
	pthread_once(&alz_fork_once, alz_fork_register);
	return alz_fork_err;
}

void alz_caches_add(struct alazy_cache *cache)
{
	pthread_mutex_lock(&alz_caches_lock);
	cache->next = alz_caches;
	alz_caches = cache;
	pthread_mutex_unlock(&alz_caches_lock);
}

/** alz_caches_find() - under alz_caches_lock: the cache with this attachment, or NULL */
struct alazy_cache *alz_caches_find(u64 pins_id)
{
	struct alazy_cache *cache = alz_caches;

	while (cache && cache->pins_id != pins_id)
		cache = cache->next;
	return cache;
}

void alz_caches_del(struct alazy_cache *cache)
{
	struct alazy_cache **at = &alz_caches;

	pthread_mutex_lock(&alz_caches_lock);
	while (*at != cache)
		at = &(*at)->next;
	*at = cache->next;
	pthread_mutex_unlock(&alz_caches_lock);
}
