// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Caches: opening, closing, names, figures, and the way to the backend. */
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#include "lib.h"

#define ALZ_OPEN_FLAGS \
	(ALAZY_CACHE_STABLE | ALAZY_CACHE_EXCLUSIVE | ALAZY_CACHE_EXISTING | \
	 ALAZY_CACHE_READONLY | ALAZY_CACHE_SHARED | ALAZY_CACHE_RESTARTABLE)
#define ALZ_KEYS_DEFAULT	65536
#define ALZ_ARENA_DEFAULT	(64ULL << 20)
#define ALZ_ARENA_MAX		(1ULL << 43)
#define ALZ_KEYS_MAX		(1ULL << 32)
#define ALZ_SEGMENT_MIN		(64ULL << 10)
#define ALZ_SEGMENT_MAX		(64ULL << 20)
#define ALZ_WORDS_DEFAULT	1024
#define ALZ_WORDS_MAX		(1ULL << 24)

static int alz_name_check(const char *name)
{
	size_t n = strnlen(name, ASYNCLAZY_NAME_MAX + 1);

	if (!n || n > ASYNCLAZY_NAME_MAX)
		return alz_error(-EINVAL, "the name of a cache has 1 to %d bytes",
				 ASYNCLAZY_NAME_MAX);
	return 0;
}

/* What the first programs that were built with these had. */
#define ALZ_OPTS_MIN	offsetof(struct alazy_cache_opts, accept_ns)

/* A newer program's options are fine as long as it does not use what is new. */
static int alz_opts_tail(const struct alazy_cache_opts *opts)
{
	const char *p = (const char *)opts;
	size_t i;

	for (i = sizeof(*opts); i < opts->size; i++)
		if (opts->size > 4096 || p[i])
			return alz_error(-E2BIG, "the options (size %u) are newer than this "
					 "library: install the libasynclazy that the program "
					 "was built for", opts->size);
	return 0;
}

static int alz_opts_flags(const char *name, const struct alazy_cache_opts *o)
{
	if (o->flags & ~ALZ_OPEN_FLAGS)
		return alz_error(-EINVAL, "unknown flags 0x%x: ALAZY_CACHE_* are 0x%x",
				 o->flags & ~ALZ_OPEN_FLAGS, ALZ_OPEN_FLAGS);
	if (o->flags & ALAZY_CACHE_EXCLUSIVE && o->flags & ALAZY_CACHE_EXISTING)
		return alz_error(-EINVAL, "ALAZY_CACHE_EXCLUSIVE and ALAZY_CACHE_EXISTING "
				 "exclude one another");
	if (o->flags & ALAZY_CACHE_READONLY && !(o->flags & ALAZY_CACHE_EXISTING))
		return alz_error(-EINVAL, "ALAZY_CACHE_READONLY needs ALAZY_CACHE_EXISTING: "
				 "nobody could fill a new read-only cache");
	if (!name && o->flags & ALAZY_CACHE_EXISTING)
		return alz_error(-EINVAL, "ALAZY_CACHE_EXISTING needs a name: "
				 "an anonymous cache is always new");
	if (o->backend > ALAZY_BACKEND_LOCAL)
		return alz_error(-EINVAL, "unknown backend %u: ALAZY_BACKEND_AUTO, _KERNEL or "
				 "_LOCAL", o->backend);
	if (o->backend == ALAZY_BACKEND_LOCAL && o->flags & ALAZY_CACHE_SHARED)
		return alz_error(-EINVAL, "ALAZY_CACHE_SHARED excludes ALAZY_BACKEND_LOCAL, "
				 "which shares nothing with other processes");
	return 0;
}

static int alz_opts_geometry(const struct alazy_cache_opts *o)
{
	if (o->mode & ~0777U)
		return alz_error(-EINVAL, "mode %o has more than permission bits", o->mode);
	if (!o->ttl_ns && (o->stale_ttl_ns || o->dead_ttl_ns))
		return alz_error(-EINVAL, "stale_ttl_ns and dead_ttl_ns begin where ttl_ns "
				 "ends: set that too");
	if (o->hard_lease_ns && o->hard_lease_ns < o->soft_lease_ns)
		return alz_error(-EINVAL, "hard_lease_ns %llu is less than soft_lease_ns %llu: "
				 "nothing would be late before it is taken away",
				 (unsigned long long)o->hard_lease_ns,
				 (unsigned long long)o->soft_lease_ns);
	if (o->backoff_max_ns && o->backoff_ns != ALAZY_NEVER && o->backoff_max_ns < o->backoff_ns)
		return alz_error(-EINVAL, "backoff_max_ns %llu is less than backoff_ns %llu, "
				 "which it is the most of", (unsigned long long)o->backoff_max_ns,
				 (unsigned long long)o->backoff_ns);
	if (o->segment_size & (o->segment_size - 1) ||
	    (o->segment_size && (o->segment_size < ALZ_SEGMENT_MIN ||
				 o->segment_size > ALZ_SEGMENT_MAX)))
		return alz_error(-EINVAL, "segment_size %llu is not 0 and no power of two from "
				 "64 KiB to 64 MiB", (unsigned long long)o->segment_size);
	if (o->words > ALZ_WORDS_MAX)
		return alz_error(-EINVAL, "words %llu is more than 2^24",
				 (unsigned long long)o->words);
	if (o->max_keys > ALZ_KEYS_MAX)
		return alz_error(-EINVAL, "max_keys %llu is more than 2^32",
				 (unsigned long long)o->max_keys);
	if (o->flags & ALAZY_CACHE_STABLE && o->arena_size > ALZ_ARENA_MAX)
		return alz_error(-EINVAL, "arena_size %llu is more than 8 TiB",
				 (unsigned long long)o->arena_size);
	if (!(o->flags & ALAZY_CACHE_STABLE) && o->arena_size > ALZ_ARENA_MAX / 4)
		return alz_error(-EINVAL, "arena_size %llu is more than 2 TiB: that is for "
				 "ALAZY_CACHE_STABLE only", (unsigned long long)o->arena_size);
	return 0;
}

/* Fill @o from the caller's @opts, with the defaults in it. */
static int alz_opts_read(struct alazy_cache_opts *o, const char *name,
			 const struct alazy_cache_opts *opts)
{
	int err = 0;

	memset(o, 0, sizeof(*o));
	if (opts && opts->size < ALZ_OPTS_MIN)
		return alz_error(-EINVAL, "size is %u: set it to sizeof(struct alazy_cache_opts)",
				 opts->size);
	if (opts) {
		err = alz_opts_tail(opts);
		memcpy(o, opts, opts->size < sizeof(*o) ? opts->size : sizeof(*o));
	}
	if (!err && name)
		err = alz_name_check(name);
	if (!err)
		err = alz_opts_flags(name, o);
	if (!err)
		err = alz_opts_geometry(o);
	if (!o->max_keys)
		o->max_keys = ALZ_KEYS_DEFAULT;
	if (!o->arena_size)
		o->arena_size = ALZ_ARENA_DEFAULT;
	if (!o->words)
		o->words = ALZ_WORDS_DEFAULT;
	return err;
}

/* ALAZY_BACKEND decides in place of AUTO. */
static int alz_backend_wanted(u32 *backend)
{
	const char *env = getenv("ALAZY_BACKEND");

	if (*backend != ALAZY_BACKEND_AUTO || !env || !*env)
		return 0;
	if (!strcmp(env, "kernel"))
		*backend = ALAZY_BACKEND_KERNEL;
	else if (!strcmp(env, "local"))
		*backend = ALAZY_BACKEND_LOCAL;
	else
		return alz_error(-EINVAL, "the environment variable ALAZY_BACKEND is \"%.40s\": "
				 "it may be kernel, local or unset", env);
	return 0;
}

static int alz_cache_try(struct alazy_cache *cache, const struct alz_backend *backend,
			 const char *name, const struct alazy_cache_opts *o)
{
	cache->backend = backend;
	return backend->open(cache, name, o);
}

/* The rule in the comment of alazy_cache_open(). */
static int alz_cache_choose(struct alazy_cache *cache, const char *name,
			    const struct alazy_cache_opts *o)
{
	u32 backend = o->backend;
	int err = alz_backend_wanted(&backend);

	if (err)
		return err;
	if (backend == ALAZY_BACKEND_LOCAL && o->flags & ALAZY_CACHE_SHARED)
		return alz_error(-ENODEV, "the cache is to be shared, but ALAZY_BACKEND=local: "
				 "unset it and load the asynclazy module");
	if (backend == ALAZY_BACKEND_LOCAL)
		return alz_cache_try(cache, &alz_backend_local, name, o);
	err = alz_cache_try(cache, &alz_backend_kernel, name, o);
	/* only if it is the device that does not open */
	if (err && !cache->priv && backend == ALAZY_BACKEND_AUTO && !name &&
	    !(o->flags & ALAZY_CACHE_SHARED) && (err == -ENODEV || err == -EACCES))
		err = alz_cache_try(cache, &alz_backend_local, name, o);
	return err;
}

static void alz_cache_locks_fini(struct alazy_cache *cache)
{
	pthread_mutex_destroy(&cache->read_lock);
	pthread_mutex_destroy(&cache->events_lock);
	pthread_mutex_destroy(&cache->lock);
}

static int alz_cache_open(struct alazy_cache *cache, const char *name,
			  const struct alazy_cache_opts *opts)
{
	struct alazy_cache_opts o;
	int err = alz_opts_read(&o, name, opts);

	if (!err && alz_fork_init())
		err = alz_error_backend(-ENOMEM);
	if (err)
		return err;
	pthread_mutex_init(&cache->lock, NULL);
	pthread_mutex_init(&cache->events_lock, NULL);
	pthread_mutex_init(&cache->read_lock, NULL);
	cache->pins_id = alz_pins_new_id();
	cache->flags = o.flags;
	cache->epoch = alz_fork_epoch;
	cache->pid = getpid();
	err = alz_cache_choose(cache, name, &o);
	if (!err && o.flags & ALAZY_CACHE_STABLE && cache->view.pins) {
		cache->backend->close(cache);
		err = alz_error(-EINVAL, "the cache \"%s\" is there and is not STABLE: open it "
				"without ALAZY_CACHE_STABLE, or unlink it", name);
	}
	if (!err && alz_locks_new(cache)) {
		cache->backend->close(cache);
		err = alz_error_backend(-ENOMEM);
	}
	if (err) {
		alz_cache_locks_fini(cache);
		return err;
	}
	alz_caches_add(cache);
	return 0;
}

ALZ_PUBLIC struct alazy_cache *alazy_cache_open(const char *name,
						const struct alazy_cache_opts *opts)
{
	struct alazy_cache *cache = calloc(1, sizeof(*cache));
	int err;

	if (!cache) {
		alz_error_backend(-ENOMEM);
		return NULL;
	}
	err = alz_cache_open(cache, name, opts);
	if (err) {
		free(cache);
		errno = -err;
		return NULL;
	}
	alz_ok();
	return cache;
}

ALZ_PUBLIC void alazy_cache_close(struct alazy_cache *cache)
{
	if (!cache)
		return;
	alz_caches_del(cache);
	alz_async_free_all(cache);
	alz_maps_close(cache);
	cache->backend->close(cache);
	alz_cache_locks_fini(cache);
	free(cache->words.locks);
	free(cache);
	alz_ok();
}

ALZ_PUBLIC int alazy_cache_unlink(const char *name, uint32_t backend)
{
	int err;

	if (!name)
		return alz_error(-EINVAL, "an anonymous cache has no name to take away");
	if (backend > ALAZY_BACKEND_LOCAL)
		return alz_error(-EINVAL, "unknown backend %u: ALAZY_BACKEND_AUTO, _KERNEL or "
				 "_LOCAL", backend);
	err = alz_name_check(name);
	if (!err)
		err = alz_backend_wanted(&backend);
	if (err)
		return err;
	if (backend == ALAZY_BACKEND_LOCAL)
		err = alz_backend_local.unlink(name);
	else
		err = alz_backend_kernel.unlink(name);
	return err ? err : alz_ok();
}

ALZ_PUBLIC const char *alazy_backend(const struct alazy_cache *cache)
{
	return cache->backend->name;
}

ALZ_PUBLIC uint64_t alazy_cache_len(const struct alazy_cache *cache)
{
	alz_ok();
	return __atomic_load_n(&cache->view.header->keys, __ATOMIC_RELAXED);
}

/** alz_cache_forked() - in a child, under all locks: its pins are not these */
void alz_cache_forked(struct alazy_cache *cache)
{
	/* who held them is not here */
	pthread_mutex_init(&cache->events_lock, NULL);
	pthread_mutex_init(&cache->read_lock, NULL);
	alz_locks_forked(cache);
	if (cache->view.pins) {
		cache->pins_id = alz_pins_new_id();
		cache->lines = 0;
	}
	if (cache->backend->forked)
		cache->backend->forked(cache);
}

/**
 * alz_cache_attach() - once in a forked child, whichever thread comes first
 *
 * Return: 0 or a negative errno.
 */
int alz_cache_attach(struct alazy_cache *cache)
{
	int err = 0;

	pthread_mutex_lock(&alz_caches_lock);
	if (!alz_attached(cache) || cache->pid != getpid()) {
		err = cache->backend->reattach(cache);
		if (!err) {
			cache->pid = getpid();
			__atomic_store_n(&cache->epoch, alz_fork_epoch, __ATOMIC_RELEASE);
		}
	}
	pthread_mutex_unlock(&alz_caches_lock);
	return err;
}

/**
 * alz_call() - a client call, in forked children too
 * @nr: ASYNCLAZY_IOC_*
 * @arg: its struct, with size set
 *
 * Return: 0 or a negative errno; never -EINTR. The text is the caller's to set.
 */
int alz_call(struct alazy_cache *cache, unsigned long nr, void *arg)
{
	int err;

	for (;;) {
		if (alz_unlikely(!alz_attached(cache))) {
			err = alz_cache_attach(cache);
			if (err)
				return err;
		}
		err = cache->backend->call(cache, nr, arg);
		if (err == -EINTR)
			continue;
		/* a child that pthread_atfork() was not told of */
		if (err != -EOWNERDEAD || cache->pid == getpid())
			return err;
		err = alz_cache_attach(cache);
		if (err)
			return err;
	}
}

/** alz_key_check() - Return: 0, or -EINVAL with the text set */
int alz_key_check(const struct alazy_cache *cache, const void *key, size_t key_size)
{
	if (!cache)
		return alz_error(-EINVAL, "the cache is NULL: look at what alazy_cache_open() "
				 "returned");
	if (!key)
		return alz_error(-EINVAL, "the key is NULL");
	if (key_size - 1 >= ASYNCLAZY_KEY_MAX)
		return alz_error(-EINVAL, "a key has 1 to %d bytes, this one has %zu",
				 ASYNCLAZY_KEY_MAX, key_size);
	return 0;
}

ALZ_PUBLIC int alazy_cache_owner(struct alazy_cache *cache, uint32_t *uid, uint32_t *mode)
{
	struct asynclazy_geometry g = { .size = sizeof(g) };
	int err;

	if (!cache)
		return alz_key_check(NULL, NULL, 0);
	/* nobody else has a cache of this process */
	g.out_uid = geteuid();
	g.out_mode = 0600;
	if (cache->backend == &alz_backend_kernel) {
		err = alz_call(cache, ASYNCLAZY_IOC_GEOMETRY, &g);
		if (err)
			return alz_error_backend(err);
	}
	if (uid)
		*uid = g.out_uid;
	if (mode)
		*mode = g.out_mode;
	return alz_ok();
}

/* What the first programs that were built with these had. */
#define ALZ_STATS_MIN	offsetof(struct alazy_stats, late)

ALZ_PUBLIC int alazy_cache_stats(struct alazy_cache *cache, struct alazy_stats *stats)
{
	struct asynclazy_stats s = { .size = sizeof(s) };
	u64 size = stats->size, known;
	int err;

	if (size < ALZ_STATS_MIN)
		return alz_error(-EINVAL, "size is %llu: set it to sizeof(struct alazy_stats)",
				 (unsigned long long)size);
	err = alz_call(cache, ASYNCLAZY_IOC_STATS, &s);
	if (err)
		return alz_error_backend(err);
	/* what follows size is in the same order and of the same type */
	_Static_assert(offsetof(struct asynclazy_stats, out_wakes) -
		       offsetof(struct asynclazy_stats, out_claims) ==
		       offsetof(struct alazy_stats, wakes) -
		       offsetof(struct alazy_stats, claims), "the figures correspond");
	known = size < sizeof(*stats) ? size : sizeof(*stats);
	memcpy(&stats->claims, &s.out_claims, known - sizeof(stats->size));
	/* what a newer program asks for and this library does not know */
	memset((char *)stats + known, 0, size - known);
	return alz_ok();
}
