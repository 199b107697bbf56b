// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Changing keys whatever their state: set, invalidate, clear. And peek. */
#include "lib.h"

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

/* A set found no room: whether it was the arena that had none. */
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

static int alz_set_failed(const struct alazy_cache *cache, size_t key_size,
			  size_t size, int err)
{
	if (err == -EFBIG)
		return alz_error_efbig(cache, size);
	if (err != -ENOSPC)
		return alz_error_backend(err);
	if (alz_arena_is_full(cache, key_size, size))
		return alz_error_arena(cache);
	return alz_error_table(cache);
}

ALZ_PUBLIC int alazy_cache_set(struct alazy_cache *cache, const void *key,
			       size_t key_size, const void *data, size_t size,
			       uint64_t ttl_ns)
{
	struct asynclazy_set s = {
		.size = sizeof(s),
		.key = (uintptr_t)key,
		.key_size = key_size,
		.value = (uintptr_t)data,
		.value_size = size,
		.ttl = ttl_ns,
	};
	int err;

	if (alz_key_bad(cache, key, key_size))
		return alz_key_check(cache, key, key_size);
	if (!data && size)
		return alz_error(-EINVAL, "the value is NULL, its size is %zu", size);
	s.hash = alz_reader_hash(&cache->view, key, key_size);
	err = alz_call(cache, ASYNCLAZY_IOC_SET, &s);
	return err ? alz_set_failed(cache, key_size, size, err) : alz_ok();
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

/** alz_peek_record() - alazy_cache_peek() when there is a record */
int alz_peek_record(const struct asynclazy_record *r, struct alazy_ref *ref, int *err)
{
	if (r->kind == ASYNCLAZY_RECORD_ERROR) {
		int e = alz_error_record(r);

		if (err)
			*err = e;
		return ALAZY_FAILED;
	}
	if (ref)
		alz_ref_fill(ref, r);
	alz_ok();
	return ALAZY_FILLED;
}

/** alz_peek() - alazy_cache_peek() when the reader knows nothing */
int alz_peek(const struct alz_ask *ask, struct alazy_ref *ref, int *err)
{
	char detail[ASYNCLAZY_DETAIL_MAX];
	struct asynclazy_claim c;
	int ret = alz_claim_call(ask, 0, 0, 0, detail, &c);

	if (ret)
		return alz_error_backend(ret);
	if (c.out_offset != ASYNCLAZY_NO_RECORD)
		return alz_peek_record(alz_view_record(&ask->cache->view, c.out_offset),
				       ref, err);
	alz_ok();
	return c.out_result == ASYNCLAZY_RESULT_PENDING ? ALAZY_INITIALIZING : ALAZY_EMPTY;
}

ALZ_PUBLIC int alazy_cache_peek(struct alazy_cache *cache, const void *key,
				size_t key_size, struct alazy_ref *ref, int *err)
{
	struct alz_ask ask = { .cache = cache, .key = key, .key_size = key_size };
	struct alz_found found;

	if (alz_key_bad(cache, key, key_size))
		return alz_key_check(cache, key, key_size);
	found = alz_reader_get(&cache->view, key, key_size);
	if (found.record)
		return alz_peek_record(found.record, ref, err);
	ask.hash = found.hash;
	return alz_peek(&ask, ref, err);
}

ALZ_PUBLIC void alazy_ref_put(struct alazy_ref *ref)
{
	/* records stay until close: there is nothing to give back but the handle */
	*ref = (struct alazy_ref){ 0 };
}
