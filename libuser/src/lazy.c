// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * ALazy: one value. Once a record without times is found its address is kept,
 * and a get is one load and one branch: what the ref needs is reached by
 * address dependency, as in reader.c.
 */
#include "lib.h"

struct alazy {
	const struct asynclazy_record *memo;	/* once set, stays */
	struct alz_ask ask;			/* its key is ours */
	char key[];
};

ALZ_PUBLIC struct alazy *alazy_new(struct alazy_cache *cache, const void *key,
				   size_t key_size, alazy_init_fn init, void *ctx)
{
	struct alazy *lazy;

	if (alz_key_bad(cache, key, key_size)) {
		alz_key_check(cache, key, key_size);
		return NULL;
	}
	lazy = calloc(1, sizeof(*lazy) + key_size);
	if (!lazy) {
		alz_error_backend(-ENOMEM);
		return NULL;
	}
	memcpy(lazy->key, key, key_size);
	lazy->ask = (struct alz_ask){
		cache, lazy->key, key_size,
		alz_reader_hash(&cache->view, key, key_size), init, ctx,
	};
	alz_ok();
	return lazy;
}

ALZ_PUBLIC void alazy_free(struct alazy *lazy)
{
	free(lazy);
}

static inline const struct asynclazy_record *alz_lazy_memo(const struct alazy *lazy)
{
#ifdef ALZ_TSAN
	/* the sanitizer knows nothing of address dependencies */
	return __atomic_load_n(&lazy->memo, __ATOMIC_ACQUIRE);
#else
	return __atomic_load_n(&lazy->memo, __ATOMIC_RELAXED);
#endif
}

/* The first record that is found stays, whoever else finds another. */
static const struct asynclazy_record *alz_lazy_keep(struct alazy *lazy,
						    const struct asynclazy_record *r)
{
	const struct asynclazy_record *memo = NULL;

	if (r->kind == ASYNCLAZY_RECORD_ERROR || r->flags & ASYNCLAZY_RECORD_TIMES)
		return r;
	if (__atomic_compare_exchange_n(&lazy->memo, &memo, r, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return r;
	return memo;
}

/* What is known without the backend. */
static const struct asynclazy_record *alz_lazy_find(struct alazy *lazy)
{
	const struct asynclazy_record *r = alz_lazy_memo(lazy);
	const struct alz_ask *ask = &lazy->ask;

	if (r)
		return r;
	r = alz_reader_find(&ask->cache->view, ask->key, ask->key_size, ask->hash);
	return r ? alz_lazy_keep(lazy, r) : NULL;
}

static __attribute__((noinline)) int alz_lazy_get(struct alazy *lazy, struct alazy_ref *ref)
{
	const struct asynclazy_record *r = alz_lazy_find(lazy);
	int err;

	if (r && r->kind == ASYNCLAZY_RECORD_ERROR)
		return alz_error_record(r);
	if (r) {
		alz_ref_fill(ref, r);
		return alz_ok();
	}
	err = alz_get(&lazy->ask, 0, ref);
	if (err)
		return err;
	/* back from the value to its record */
	r = (const void *)((const char *)ref->data -
			   alz_record_value_offset(lazy->ask.key_size));
	alz_ref_fill(ref, alz_lazy_keep(lazy, r));
	return alz_ok();
}

ALZ_PUBLIC int alazy_get(struct alazy *lazy, struct alazy_ref *ref)
{
	const struct asynclazy_record *r = alz_lazy_memo(lazy);

	if (alz_unlikely(!r))
		return alz_lazy_get(lazy, ref);
	alz_ref_fill(ref, r);
	return alz_ok();
}

ALZ_PUBLIC int alazy_get_async(struct alazy *lazy, alazy_done_fn done, void *ctx,
			       struct alazy_wait **wait)
{
	const struct asynclazy_record *r = alz_lazy_find(lazy);

	return alz_async_get(&lazy->ask, r, done, ctx, wait);
}

ALZ_PUBLIC int alazy_peek(struct alazy *lazy, struct alazy_ref *ref, int *err)
{
	const struct asynclazy_record *r = alz_lazy_find(lazy);

	return r ? alz_peek_record(r, ref, err) : alz_peek(&lazy->ask, ref, err);
}
