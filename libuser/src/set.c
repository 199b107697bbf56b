// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Changing keys whatever their state: set, invalidate, clear. And peek. */
#include <unistd.h>

#include "lib.h"

/* A memfd that leaves the cache too little for all else. Return: @err */
static int alz_error_budget(const struct alazy_cache *cache, size_t size, int err)
{
	return alz_error(err, "the value of %zu bytes does not fit into the cache, which has "
			 "%llu for all: open one with a larger arena_size", size,
			 (unsigned long long)cache->view.header->budget);
}

/** alz_error_efbig() - a value larger than the cache takes. Return: -EFBIG */
int alz_error_efbig(const struct alazy_cache *cache, size_t size)
{
	return alz_error(-EFBIG, "the value of %zu bytes is larger than the cache takes (%llu): "
			 "open the cache with a larger segment_size", size,
			 (unsigned long long)cache->view.header->value_max);
}

/** alz_error_arena() - no room for a value. Return: -ENOSPC */
int alz_error_arena(const struct alazy_cache *cache)
{
	return alz_error(-ENOSPC, "the arena of the cache is full (%llu bytes): "
			 "open a new cache with a larger arena_size",
			 (unsigned long long)cache->view.arena_size);
}

/** alz_error_table() - no room for a key. Return: -ENOSPC */
int alz_error_table(const struct alazy_cache *cache)
{
	return alz_error(-ENOSPC, "the table of the cache has no room for another key (%llu "
			 "are there): invalidate some, or open a new cache with a larger "
			 "max_keys",
			 (unsigned long long)__atomic_load_n(&cache->view.header->keys,
			 __ATOMIC_RELAXED));
}

ALZ_PUBLIC void alazy_ref_put(struct alazy_ref *ref)
{
	/* most are of a STABLE cache, where nothing is to be put, or have a pin */
	if (ref->priv[0])
		alz_pin_clear((u64 *)ref->priv[0]);
	if (alz_unlikely(ref->priv[2]))
		alz_ref_let(ref);
	*ref = (struct alazy_ref){ 0 };
}

/* A set found no room in a STABLE cache: whether it was the arena that had none. */
static bool alz_arena_is_full(const struct alazy_cache *cache, size_t key_size,
			      size_t size)
{
	const struct asynclazy_header *h = cache->view.header;
	u64 start = __atomic_load_n(&h->arena_used, __ATOMIC_RELAXED);
	u64 segment = 1ULL << h->segment_shift;
	u64 need = alz_record_size(key_size, size, false);

	if ((start & (segment - 1)) + need > segment)
		start = alz_round_up(start, segment);
	return start + need > h->arena_size;
}

/* An evicting cache has no room. Return: -ENOSPC */
static int alz_error_held(const struct alazy_cache *cache, size_t size)
{
	return alz_error(-ENOSPC, "there is no room for %zu bytes now: what was evicted is still "
			 "read by refs that were not put, or the value is large for a cache of "
			 "%llu bytes: put refs, or open one with a larger arena_size", size,
			 (unsigned long long)cache->view.header->budget);
}

static int alz_set_failed(const struct alazy_cache *cache, size_t key_size,
			  size_t size, int err)
{
	if (err == -EFBIG)
		return alz_error_efbig(cache, size);
	if (err != -ENOSPC)
		return alz_error_backend(err);
	if (cache->view.pins)
		return alz_error_held(cache, size);
	if (alz_arena_is_full(cache, key_size, size))
		return alz_error_arena(cache);
	return alz_error_table(cache);
}

static int alz_set_call(struct alazy_cache *cache, const void *key, size_t key_size,
			struct asynclazy_set *s)
{
	s->key = (uintptr_t)key;
	s->key_size = key_size;
	s->hash = alz_reader_hash(&cache->view, key, key_size);
	return alz_call(cache, ASYNCLAZY_IOC_SET, s);
}

ALZ_PUBLIC int alazy_cache_set(struct alazy_cache *cache, const void *key,
			       size_t key_size, const void *data, size_t size,
			       uint64_t ttl_ns)
{
	struct asynclazy_set s = {
		.size = sizeof(s),
		.value = (uintptr_t)data,
		.value_size = size,
		.ttl = ttl_ns,
	};
	int err, fd;

	if (alz_key_bad(cache, key, key_size))
		return alz_key_check(cache, key, key_size);
	if (!data && size)
		return alz_error(-EINVAL, "the value is NULL, its size is %zu", size);
	err = alz_set_call(cache, key, key_size, &s);
	/* too large for the arena: as a file */
	if (err == -EFBIG && cache->view.pins) {
		fd = alz_value_memfd(data, size);
		if (fd < 0)
			return alz_error_backend(fd);
		s.flags = ASYNCLAZY_VALUE_FD;
		s.value = 0;
		s.value_fd = fd;
		err = alz_set_call(cache, key, key_size, &s);
		close(fd);
		if (err == -ENOSPC)
			return alz_error_budget(cache, size, -EFBIG);
	}
	return err ? alz_set_failed(cache, key_size, size, err) : alz_ok();
}

ALZ_PUBLIC int alazy_cache_set_fd(struct alazy_cache *cache, const void *key,
				  size_t key_size, int fd,
				  const struct alazy_publish_opts *opts)
{
	struct asynclazy_set s = { .size = sizeof(s), .flags = ASYNCLAZY_VALUE_FD };
	struct alazy_publish_opts o;
	size_t size = 0;
	int err;

	if (alz_key_bad(cache, key, key_size))
		return alz_key_check(cache, key, key_size);
	err = alz_value_opts(opts, &o);
	if (!err)
		err = alz_value_seal(fd, &size);
	if (err)
		return err;
	s.value_fd = fd;
	s.value_size = size;
	s.ttl = o.ttl_ns;
	s.stale_ttl = o.stale_ttl_ns;
	s.dead_ttl = o.dead_ttl_ns;
	err = alz_set_call(cache, key, key_size, &s);
	if (err == -ENOSPC)
		return alz_error_budget(cache, size, err);
	return err ? alz_error_backend(err) : alz_ok();
}

ALZ_PUBLIC int alazy_cache_invalidate(struct alazy_cache *cache, const void *key,
				      size_t key_size)
{
	struct asynclazy_invalidate i = {
		.size = sizeof(i),
		.key = (uintptr_t)key,
		.key_size = key_size,
	};
	int err;

	if (alz_key_bad(cache, key, key_size))
		return alz_key_check(cache, key, key_size);
	i.hash = alz_reader_hash(&cache->view, key, key_size);
	err = alz_call(cache, ASYNCLAZY_IOC_INVALIDATE, &i);
	if (err)
		return alz_error_backend(err);
	alz_ok();
	return i.out_count > 0;
}

ALZ_PUBLIC int64_t alazy_cache_clear(struct alazy_cache *cache)
{
	struct asynclazy_clear c = { .size = sizeof(c) };
	int err = alz_call(cache, ASYNCLAZY_IOC_CLEAR, &c);

	if (err)
		return alz_error_backend(err);
	alz_ok();
	return c.out_count;
}

/** alz_peek_got() - alazy_cache_peek() when there is something; @got is taken over */
int alz_peek_got(struct alz_got *got, struct alazy_ref *ref, int *err)
{
	if (got->err) {
		int e = alz_got_error(got);

		if (err)
			*err = e;
		return ALAZY_FAILED;
	}
	if (ref)
		*ref = got->ref;
	else
		alz_ref_drop(&got->ref);
	alz_ok();
	return ALAZY_FILLED;
}

/** alz_peek() - alazy_cache_peek() of a key whose hash is known */
int alz_peek(const struct alz_ask *ask, struct alazy_ref *ref, int *err)
{
	char detail[ASYNCLAZY_DETAIL_MAX];
	struct asynclazy_claim c;
	struct alz_hold hold;
	struct alz_got got;
	int ret = alz_find(ask, &got);

	while (ret == ALZ_MISS) {
		ret = alz_claim_call(ask, 0, 0, 0, detail, &c, &hold);
		if (ret)
			return alz_error_backend(ret);
		if (c.out_offset == ASYNCLAZY_NO_RECORD &&
		    c.out_result != ASYNCLAZY_RESULT_FAILED) {
			alz_ok();
			return c.out_result == ASYNCLAZY_RESULT_PENDING ?
				ALAZY_INITIALIZING : ALAZY_EMPTY;
		}
		ret = alz_claim_find(ask, &c, detail, &hold, &got);
	}
	return ret ? ret : alz_peek_got(&got, ref, err);
}

ALZ_PUBLIC int alazy_cache_peek(struct alazy_cache *cache, const void *key,
				size_t key_size, struct alazy_ref *ref, int *err)
{
	struct alz_ask ask = { .cache = cache, .key = key, .key_size = key_size };

	if (alz_key_bad(cache, key, key_size))
		return alz_key_check(cache, key, key_size);
	ask.hash = alz_reader_hash(&cache->view, key, key_size);
	return alz_peek(&ask, ref, err);
}
