// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A cache as a whole: its geometry, its making and unmaking, its figures. */
#include "core.h"

#define ALZ_KEYS_MAX		(1ULL << 32)
#define ALZ_ARENA_MAX		(1ULL << 43)	/* what fits between two mmap offsets */
#define ALZ_BUDGET_MAX		(1ULL << 41)	/* such that alz_geometry_arena() fits */
#define ALZ_SEGMENTS_MAX	(1ULL << 20)
#define ALZ_WORDS_MAX		(1ULL << 24)
#define ALZ_FLIGHT_CHAINS_MIN	64
#define ALZ_FLIGHT_CHAINS_MAX	16384

static u32 alz_segment_shift(const struct alz_geometry *g)
{
	u32 shift = g->arena_size < ALZ_ARENA_HUGE ? ALZ_SEGMENT_SHIFT_DEFAULT :
		ALZ_SEGMENT_SHIFT_HUGE;

	if (g->segment_size) {
		shift = ALZ_SEGMENT_SHIFT_MIN;
		while (1ULL << shift < g->segment_size)
			shift++;
		return shift;
	}
	/* a small cache has small segments, a huge one has not too many */
	while (shift > ALZ_SEGMENT_SHIFT_MIN &&
	       (g->flags & ASYNCLAZY_CREATE_STABLE ? 1ULL : 2ULL * ALZ_SEGMENTS_MIN) << shift >
	       g->arena_size)
		shift--;
	while (shift < ALZ_SEGMENT_SHIFT_MAX && g->arena_size >> shift > ALZ_SEGMENTS_MAX)
		shift++;
	return shift;
}

/**
 * alz_geometry_troubles() - what CREATE says of troubles, with the defaults for 0
 * @g: filled: there 0 is none
 * @backoff: ns; NEVER: none
 * @backoff_max: ns
 * @breaker: ns
 * @max_deaths: all bits set: none
 */
void alz_geometry_troubles(struct alz_geometry *g, u64 backoff, u64 backoff_max,
			   u64 breaker, u32 max_deaths)
{
	if (backoff == ASYNCLAZY_NEVER)
		g->backoff = 0;
	else
		g->backoff = backoff ? backoff : ALZ_BACKOFF_DEFAULT;
	g->backoff_max = backoff_max ? backoff_max : ALZ_BACKOFF_MAX_DEFAULT;
	if (!backoff_max && g->backoff_max < g->backoff)
		g->backoff_max = g->backoff;
	g->breaker = breaker ? breaker : ALZ_BREAKER_DEFAULT;
	if (max_deaths == ~0U)
		g->max_deaths = 0;
	else
		g->max_deaths = max_deaths ? max_deaths : ALZ_DEATHS_DEFAULT;
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
	if (!(g->flags & ASYNCLAZY_CREATE_STABLE) && g->arena_size > ALZ_BUDGET_MAX)
		return -EINVAL;
	/* a part without those before it is nonsense */
	if ((g->stale_ttl || g->dead_ttl) && !g->ttl)
		return -EINVAL;
	if (g->hard_lease && g->hard_lease < g->soft_lease)
		return -EINVAL;
	if (g->words > ALZ_WORDS_MAX)
		return -EINVAL;
	if (g->backoff > g->backoff_max || (g->max_deaths && !g->breaker))
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

/** alz_geometry_budget() - bytes of memory for records and memfds */
u64 alz_geometry_budget(const struct alz_geometry *g)
{
	u32 shift = alz_segment_shift(g);
	u64 size = alz_round_up(g->arena_size, 1ULL << shift);

	if (!(g->flags & ASYNCLAZY_CREATE_STABLE) && size >> shift < ALZ_SEGMENTS_MIN)
		size = (u64)ALZ_SEGMENTS_MIN << shift;
	return size;
}

/**
 * alz_geometry_arena() - bytes of address space for records
 * @g: passed alz_geometry_check()
 *
 * With room for what readers hold, beside what the budget pays for.
 */
u64 alz_geometry_arena(const struct alz_geometry *g)
{
	u64 budget = alz_geometry_budget(g);

	if (g->flags & ASYNCLAZY_CREATE_STABLE)
		return budget;
	return 2 * budget;
}

/** alz_geometry_bytes() - what a cache counts against its user's quota */
u64 alz_geometry_bytes(const struct alz_geometry *g)
{
	return alz_table_size(g) + alz_geometry_budget(g) + 2 * alz_words_size(g->words);
}

static void alz_header_fill(struct alz_cache *cache, const struct alz_geometry *g)
{
	struct asynclazy_header *h = cache->header;

	h->magic = ASYNCLAZY_MAGIC;
	h->abi_version = ASYNCLAZY_ABI_VERSION;
	h->header_size = ASYNCLAZY_HEADER_SIZE;
	h->features = ASYNCLAZY_FEATURE_MEMFD | ASYNCLAZY_FEATURE_REFRESH;
	h->features |= cache->arena.stable ? ASYNCLAZY_FEATURE_STABLE :
		ASYNCLAZY_FEATURE_RECYCLE;
	if (g->words)
		h->features |= ASYNCLAZY_FEATURE_WORDS;
	h->cache_id = g->cache_id;
	h->hash_seed = g->hash_seed;
	h->bucket_count = cache->bucket_mask + 1;
	h->granule_shift = ASYNCLAZY_GRANULE_SHIFT;
	h->segment_shift = cache->arena.segment_shift;
	h->arena_size = alz_geometry_arena(g);
	h->value_max = cache->value_max;
	h->key_max = ASYNCLAZY_KEY_MAX;
	h->flags = g->flags;
	h->table_size = cache->table_size;
	h->visited_size = cache->visited_size;
	h->pins_size = cache->arena.stable ? 0 : ASYNCLAZY_PINS_SIZE;
	h->words_size = g->words * sizeof(u32);
	h->budget = alz_geometry_budget(g);
}

static struct alz_list *alz_chains_new(u32 chains)
{
	struct alz_list *heads = alz_os_pages_alloc(chains * sizeof(*heads));
	u32 i;

	for (i = 0; heads && i < chains; i++)
		alz_list_init(&heads[i]);
	return heads;
}

static void alz_chains_free(const struct alz_cache *cache, struct alz_list *heads)
{
	if (heads)
		alz_os_pages_free(heads, (cache->flight_mask + 1ULL) * sizeof(*heads));
}

static int alz_cache_init_policy(struct alz_cache *cache)
{
	cache->visited_size = alz_round_up(cache->bucket_mask + 1, ASYNCLAZY_HEADER_SIZE);
	cache->visited = alz_os_pages_alloc(cache->visited_size);
	return cache->visited ? 0 : -ENOMEM;
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
	alz_list_init(&cache->blobs);
	alz_list_init(&cache->queue);
	cache->ttl = g->ttl;
	cache->stale_ttl = g->stale_ttl;
	cache->dead_ttl = g->dead_ttl;
	cache->accept = g->accept;
	cache->soft_lease = g->soft_lease;
	cache->hard_lease = g->hard_lease;
	cache->max_inits = g->max_inits;
	cache->backoff = g->backoff;
	cache->backoff_max = g->backoff_max;
	cache->breaker = g->breaker;
	cache->max_deaths = g->max_deaths;
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
	cache->blobs_by_generation = alz_chains_new(chains);
	cache->words_by_place = alz_chains_new(chains);
	err = alz_arena_init(&cache->arena, g, shift, arena_os);
	if (!err && !cache->arena.stable)
		err = alz_cache_init_policy(cache);
	if (!err)
		err = alz_troubles_init(cache);
	if (!err)
		err = alz_words_init(cache, g->words);
	if (err || !cache->header || !cache->by_key || !cache->by_ticket ||
	    !cache->blobs_by_generation || !cache->words_by_place) {
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
	alz_os_lock(&cache->lock);
	while (!alz_list_empty(&cache->blobs))
		alz_blob_unkeep(cache, alz_entry(cache->blobs.next, struct alz_blob,
						 link)->generation);
	alz_os_unlock(&cache->lock);
	alz_words_fini(cache);
	alz_troubles_fini(cache);
	alz_arena_fini(&cache->arena);
	if (cache->visited)
		alz_os_pages_free(cache->visited, cache->visited_size);
	alz_chains_free(cache, cache->words_by_place);
	alz_chains_free(cache, cache->blobs_by_generation);
	alz_chains_free(cache, cache->by_ticket);
	alz_chains_free(cache, cache->by_key);
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
	s->out_evictions = c->evictions;
	s->out_reinsertions = c->reinsertions;
	s->out_expired = c->expired;
	s->out_unkept = c->unkept;
	s->out_reclaims = c->reclaims;
	s->out_waited = c->waited;
	s->out_memfds = cache->nr_blobs;
	s->out_memfd_bytes = cache->arena.blob_bytes;
	s->out_segments = cache->arena.budget >> cache->arena.segment_shift;
	s->out_segments_free = cache->arena.nr_free;
	s->out_segments_open = (cache->arena.open[ALZ_FILL_NEW] != ALZ_NO_SEGMENT) +
		(cache->arena.open[ALZ_FILL_KEPT] != ALZ_NO_SEGMENT);
	s->out_segments_full = cache->arena.nr_full;
	s->out_segments_held = cache->arena.nr_held;
	s->out_pins_now = cache->pins_now;
	s->out_late = c->late;
	s->out_revoked = c->revoked;
	s->out_unaccepted = c->unaccepted;
	s->out_extends = c->extends;
	s->out_queued = cache->nr_queued;
	s->out_held = cache->nr_held;
	s->out_refreshes = c->refreshes;
	s->out_broken = c->broken;
	s->out_wakes = c->wakes;
	alz_os_unlock(&cache->lock);
}
