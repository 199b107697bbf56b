// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What went wrong with keys, and how long nobody tries again for that.
 *
 * Back-off: after an error that is not kept, nobody begins to make the value before
 * a time has passed, which doubles with each failure in a row. Who would, waits for
 * that time with its flight held: once for the whole host, not each for itself.
 *
 * Breaker: when so many owners have died within a minute, claims fail at once with
 * EOWNERDEAD for a time, which doubles with each time in a row; the next death after
 * it is enough to begin it anew.
 *
 * This is remembered of as many keys as there is room for. Of four that share a
 * place, who has been quiet for longest makes room: then it is tried too early.
 */
#include "core.h"
#include "text.h"

#define ALZ_TROUBLE_WAYS	4
#define ALZ_TROUBLE_MIN		64	/* entries */
#define ALZ_TROUBLE_MAX		8192
#define ALZ_TROUBLE_KEYS	32	/* of the cache, for each entry */
#define ALZ_TROUBLE_MEMORY	(60 * ALZ_NSEC_PER_SEC)	/* quiet for so long: forgotten */
#define ALZ_FAILURES_MAX	16	/* that double the time */
#define ALZ_TRIPS_MAX		10

static u64 alz_trouble_bytes(const struct alz_cache *cache)
{
	return (cache->trouble_mask + 1ULL) * ALZ_TROUBLE_WAYS * sizeof(struct alz_trouble);
}

/** alz_troubles_init() - Return: 0, -ENOMEM */
int alz_troubles_init(struct alz_cache *cache)
{
	u32 n = ALZ_TROUBLE_MIN;

	if (!cache->backoff && !cache->max_deaths)
		return 0;
	while (n < ALZ_TROUBLE_MAX && (u64)n * ALZ_TROUBLE_KEYS < cache->max_keys)
		n <<= 1;
	cache->trouble_mask = n / ALZ_TROUBLE_WAYS - 1;
	cache->troubles = alz_os_pages_alloc(alz_trouble_bytes(cache));
	return cache->troubles ? 0 : -ENOMEM;
}

static struct alz_trouble *alz_trouble_set(const struct alz_cache *cache, u64 hash)
{
	return cache->troubles +
		(alz_mix(cache, hash) & cache->trouble_mask) * ALZ_TROUBLE_WAYS;
}

static void alz_trouble_forget(struct alz_trouble *t)
{
	alz_os_free(t->detail);
	memset(t, 0, sizeof(*t));
}

/** alz_troubles_forget() - all of them; the lock is let go now and then */
void alz_troubles_forget(struct alz_cache *cache)
{
	u64 i, n = (cache->trouble_mask + 1ULL) * ALZ_TROUBLE_WAYS;
	u32 steps = 0;

	for (i = 0; cache->troubles && i < n; i++) {
		if (!cache->troubles[i].seen)
			continue;
		alz_trouble_forget(&cache->troubles[i]);
		alz_breathe(cache, &steps);
	}
}

/** alz_troubles_fini() - free what alz_troubles_init() made, if it did */
void alz_troubles_fini(struct alz_cache *cache)
{
	if (!cache->troubles)
		return;
	alz_os_lock(&cache->lock);
	alz_troubles_forget(cache);
	alz_os_unlock(&cache->lock);
	alz_os_pages_free(cache->troubles, alz_trouble_bytes(cache));
}

/** alz_trouble_find() - Return: what is known of a key, or NULL */
struct alz_trouble *alz_trouble_find(const struct alz_cache *cache, u64 hash)
{
	struct alz_trouble *t;
	u32 i;

	if (!cache->troubles)
		return NULL;
	t = alz_trouble_set(cache, hash);
	for (i = 0; i < ALZ_TROUBLE_WAYS; i++, t++)
		if (t->seen && t->hash == hash)
			return t;
	return NULL;
}

/* The entry of a key, a new one if need be; what is long ago does not count. */
static struct alz_trouble *alz_trouble_get(struct alz_cache *cache, u64 hash, u64 now)
{
	struct alz_trouble *t = alz_trouble_find(cache, hash);
	u32 i;

	if (!t) {
		struct alz_trouble *set = alz_trouble_set(cache, hash);

		t = set;
		for (i = 1; i < ALZ_TROUBLE_WAYS; i++)
			if (set[i].seen < t->seen)
				t = &set[i];
		alz_trouble_forget(t);
	} else if (now >= alz_until(t->until > t->seen ? t->until : t->seen,
				    ALZ_TROUBLE_MEMORY)) {
		alz_trouble_forget(t);
	}
	t->hash = hash;
	t->seen = now;
	return t;
}

static u64 alz_doubled(u64 time, u32 times, u64 max)
{
	while (times-- && time < max)
		time *= 2;
	return time < max ? time : max;
}

/* Up to a quarter less, such that what failed together does not come together. */
static u64 alz_jitter(const struct alz_cache *cache, u64 time, u64 hash, u64 now)
{
	return time - time / 4 * (alz_mix(cache, hash ^ now) >> 54) / 1024;
}

/**
 * alz_trouble_failed() - an initialisation ended with an error that is not kept
 * @cache: locked
 * @hash: of its key
 * @error: positive errno
 * @detail: its text, or NULL; taken over
 * @detail_size: bytes of it
 */
void alz_trouble_failed(struct alz_cache *cache, u64 hash, s32 error, void *detail,
			u32 detail_size)
{
	u64 now = alz_os_now();
	struct alz_trouble *t;
	u64 time;

	ALZ_MUST_HOLD(&cache->lock);
	if (!cache->backoff) {
		alz_os_free(detail);
		return;
	}
	t = alz_trouble_get(cache, hash, now);
	time = alz_doubled(cache->backoff, t->failures, cache->backoff_max);
	if (t->failures < ALZ_FAILURES_MAX)
		t->failures++;
	t->until = alz_until(now, alz_jitter(cache, time, hash, now));
	/* it can be tried without dying of it */
	t->open = false;
	t->deaths = 0;
	t->trips = 0;
	t->error = error;
	alz_os_free(t->detail);
	t->detail = detail;
	t->detail_size = detail ? detail_size : 0;
}

/**
 * alz_trouble_died() - an owner died while it made a value
 * @cache: locked
 * @hash: of its key
 *
 * Return: whether that was one too many: the flight is to be ended, see
 * alz_trouble_refuse().
 */
bool alz_trouble_died(struct alz_cache *cache, u64 hash)
{
	u64 now = alz_os_now();
	struct alz_trouble *t;

	ALZ_MUST_HOLD(&cache->lock);
	if (!cache->max_deaths)
		return false;
	t = alz_trouble_get(cache, hash, now);
	if (!t->deaths || now >= alz_until(t->since, ALZ_TROUBLE_MEMORY)) {
		t->since = now;
		t->deaths = 0;
	}
	t->deaths++;
	if (t->deaths < cache->max_deaths && !t->trips)
		return false;
	t->until = alz_until(now, alz_doubled(cache->breaker, t->trips, ASYNCLAZY_NEVER / 2));
	if (t->trips < ALZ_TRIPS_MAX)
		t->trips++;
	t->deaths = 0;
	t->error = EOWNERDEAD;
	t->open = true;
	cache->count.broken++;
	return true;
}

/** alz_trouble_over() - there is a value, or somebody says that all is well again */
void alz_trouble_over(struct alz_cache *cache, u64 hash)
{
	struct alz_trouble *t = alz_trouble_find(cache, hash);

	ALZ_MUST_HOLD(&cache->lock);
	if (t)
		alz_trouble_forget(t);
}

/** alz_trouble_until() - Return: when the key may be tried again; 0: now */
u64 alz_trouble_until(struct alz_cache *cache, u64 hash)
{
	const struct alz_trouble *t = alz_trouble_find(cache, hash);

	ALZ_MUST_HOLD(&cache->lock);
	return t && t->until > alz_os_now() ? t->until : 0;
}

/* "3 processes died ...: it is tried again in 4 s" */
static u32 alz_trouble_tell(const struct alz_cache *cache, const struct alz_trouble *t,
			    u64 now, void *detail)
{
	struct alz_text text = { detail, (u8 *)detail + ASYNCLAZY_DETAIL_MAX };
	u64 left = t->until > now ? t->until - now : 0;

	alz_text_number(&text, cache->max_deaths + (t->trips ? t->trips - 1 : 0));
	alz_text_put(&text, " processes died while they made the value: it is tried again in ");
	left = left / ALZ_NSEC_PER_SEC + 1;
	alz_text_number(&text, left < ~0U ? (u32)left : ~0U);
	alz_text_put(&text, " s, or once it is set or invalidated");
	return text.at - (u8 *)detail;
}

/**
 * alz_trouble_refuse() - whether the breaker of a key is open
 * @cache: locked
 * @hash: of the key
 * @detail: where a text of ASYNCLAZY_DETAIL_MAX bytes goes
 *
 * Return: bytes of the text; 0: it is not.
 */
u32 alz_trouble_refuse(struct alz_cache *cache, u64 hash, void *detail)
{
	const struct alz_trouble *t = alz_trouble_find(cache, hash);
	u64 now;

	ALZ_MUST_HOLD(&cache->lock);
	if (!t || !t->open)
		return 0;
	now = alz_os_now();
	return t->until > now ? alz_trouble_tell(cache, t, now, detail) : 0;
}
