// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A cache as a whole: its geometry, its making and unmaking, its figures. */
#include "core.h"

#define ALZ_KEYS_MAX		(1ULL << 32)
#define ALZ_ARENA_MAX		(1ULL << 43)	/* what fits between two mmap offsets */
#define ALZ_SEGMENTS_MAX	(1ULL << 20)
#define ALZ_FLIGHT_CHAINS_MIN	64
#define ALZ_FLIGHT_CHAINS_MAX	16384

static u32 alz_segment_shift(const struct alz_geometry *g)
{
	u32 shift = ALZ_SEGMENT_SHIFT_DEFAULT;

	if (g->segment_size) {
		shift = ALZ_SEGMENT_SHIFT_MIN;
		while (1ULL << shift < g->segment_size)
			shift++;
		return shift;
	}
	/* a small cache has small segments, a huge one has not too many */
	while (shift > ALZ_SEGMENT_SHIFT_MIN && 1ULL << shift > g->arena_size)
		shift--;
	while (shift < ALZ_SEGMENT_SHIFT_MAX && g->arena_size >> shift > ALZ_SEGMENTS_MAX)
		shift++;
	return shift;
}

/**
 * alz_geometry_check() - Return: 0, or -EINVAL for what no cache can have
 * @g: what was asked for
 */
int alz_geometry_check(const struct alz_geometry *g)
{
	if (!g->max_keys || g->max_keys > ALZ_KEYS_MAX)
		return -EINVAL;
	if (!g->arena_size || g->arena_size > ALZ_ARENA_MAX)
		return -EINVAL;
	if (g->segment_size & (g->segment_size - 1))
		return -EINVAL;
	if (g->segment_size &&
	    (g->segment_size < 1ULL << ALZ_SEGMENT_SHIFT_MIN ||
	     g->segment_size > 1ULL << ALZ_SEGMENT_SHIFT_MAX))
		return -EINVAL;
	if (g->arena_size >> alz_segment_shift(g) > ALZ_SEGMENTS_MAX)
		return -EINVAL;
	return 0;
}

/*
 * Seven keys to a bucket of eight, so that the table does not fill before them.
 * In a tiny table too many keys may by chance have the same two buckets: there
 * it is four.
 */
static u64 alz_bucket_count(const struct alz_geometry *g)
{
	u64 buckets = 1;

	while (buckets * (buckets <= 8 ? 4 : ASYNCLAZY_BUCKET_SLOTS - 1) < g->max_keys)
		buckets <<= 1;
	return buckets;
}

static u64 alz_table_size(const struct alz_geometry *g)
{
	return alz_round_up(ASYNCLAZY_HEADER_SIZE +
			    alz_bucket_count(g) * ASYNCLAZY_BUCKET_SLOTS * sizeof(u64),
			    ASYNCLAZY_HEADER_SIZE);
}

static u64 alz_arena_size(const struct alz_geometry *g)
{
	return alz_round_up(g->arena_size, 1ULL << alz_segment_shift(g));
}

/** alz_geometry_bytes() - what a cache counts against its user's quota */
u64 alz_geometry_bytes(const struct alz_geometry *g)
{
	return alz_table_size(g) + alz_arena_size(g);
}

static void alz_header_fill(struct alz_cache *cache, const struct alz_geometry *g)
{
	struct asynclazy_header *h = cache->header;

	h->magic = ASYNCLAZY_MAGIC;
	h->abi_version = ASYNCLAZY_ABI_VERSION;
	h->header_size = ASYNCLAZY_HEADER_SIZE;
	h->features = ASYNCLAZY_FEATURE_STABLE;
	h->cache_id = g->cache_id;
	h->hash_seed = g->hash_seed;
	h->bucket_count = cache->bucket_mask + 1;
	h->granule_shift = ASYNCLAZY_GRANULE_SHIFT;
	h->segment_shift = cache->arena.segment_shift;
	h->arena_size = alz_arena_size(g);
	h->value_max = cache->value_max;
	h->key_max = ASYNCLAZY_KEY_MAX;
	h->flags = g->flags;
	h->table_size = cache->table_size;
}

static struct alz_list *alz_chains_new(u32 chains)
{
	struct alz_list *heads = alz_os_pages_alloc(chains * sizeof(*heads));
	u32 i;

	for (i = 0; heads && i < chains; i++)
		alz_list_init(&heads[i]);
	return heads;
}

/**
 * alz_cache_init() - make a cache
 * @cache: zeroed
 * @g: passed alz_geometry_check()
 * @arena_os: given to alz_os_segment_alloc() and alz_os_segment_free()
 *
 * Return: 0, -ENOMEM.
 */
int alz_cache_init(struct alz_cache *cache, const struct alz_geometry *g, void *arena_os)
{
	u32 shift = alz_segment_shift(g);
	u64 chains = ALZ_FLIGHT_CHAINS_MIN;
	int err;

	alz_os_lock_init(&cache->lock);
	alz_list_init(&cache->clients);
	cache->max_keys = g->max_keys;
	cache->bucket_mask = alz_bucket_count(g) - 1;
	cache->table_size = alz_table_size(g);
	cache->value_max = (1ULL << shift) - alz_record_size(ASYNCLAZY_KEY_MAX, 0, true);
	cache->secret = g->secret;

	while (chains < ALZ_FLIGHT_CHAINS_MAX && chains * 32 < g->max_keys)
		chains <<= 1;
	cache->flight_mask = chains - 1;

	cache->header = alz_os_pages_alloc(cache->table_size);
	cache->by_key = alz_chains_new(chains);
	cache->by_ticket = alz_chains_new(chains);
	err = alz_arena_init(&cache->arena, alz_arena_size(g), shift, arena_os);
	if (err || !cache->header || !cache->by_key || !cache->by_ticket) {
		alz_cache_fini(cache);
		return -ENOMEM;
	}
	cache->slots = (u64 *)((char *)cache->header + ASYNCLAZY_HEADER_SIZE);
	alz_header_fill(cache, g);
	return 0;
}

/** alz_cache_fini() - free what the cache has; all clients have detached */
void alz_cache_fini(struct alz_cache *cache)
{
	u64 chains = cache->flight_mask + 1ULL;

	alz_arena_fini(&cache->arena);
	if (cache->by_ticket)
		alz_os_pages_free(cache->by_ticket, chains * sizeof(struct alz_list));
	if (cache->by_key)
		alz_os_pages_free(cache->by_key, chains * sizeof(struct alz_list));
	if (cache->header)
		alz_os_pages_free(cache->header, cache->table_size);
	alz_os_lock_fini(&cache->lock);
}

/** alz_cache_stats() - fill the out_ fields */
void alz_cache_stats(struct alz_cache *cache, struct asynclazy_stats *s)
{
	const struct alz_counters *c = &cache->count;
	const struct asynclazy_header *h = cache->header;

	alz_os_lock(&cache->lock);
	s->out_claims = c->claims;
	s->out_hits = c->hits;
	s->out_tickets = c->tickets;
	s->out_waits = c->waits;
	s->out_publishes = c->publishes;
	s->out_fails = c->fails;
	s->out_abandons = c->abandons;
	s->out_deaths = c->deaths;
	s->out_handovers = c->handovers;
	s->out_stale = c->stale;
	s->out_cancels = c->cancels;
	s->out_sets = c->sets;
	s->out_invalidates = c->invalidates;
	s->out_nospace = c->nospace;
	s->out_keys = h->keys;
	s->out_errors = h->errors;
	s->out_initializing = h->initializing;
	s->out_arena_used = h->arena_used;
	s->out_arena_allocated = cache->arena.allocated;
	s->out_clients = c->clients;
	s->out_tickets_now = c->tickets_now;
	s->out_waits_now = c->waits_now;
	alz_os_unlock(&cache->lock);
}
