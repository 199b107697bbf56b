// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * ALazy: one value. In a STABLE cache, once a record without times is found its
 * address is kept, and a get is one load and one branch: what the ref needs is
 * reached by address dependency, as in reader.c. In another cache it is a get
 * whose hash is known.
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

	if (r->kind != ASYNCLAZY_RECORD_VALUE || r->flags & ASYNCLAZY_RECORD_TIMES)
		return r;
	if (__atomic_compare_exchange_n(&lazy->memo, &memo, r, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return r;
	return memo;
}

/*
 * Keep what a get came to, and give what is kept: in a STABLE cache, where a ref
 * without anything to put is a record in the arena.
 */
static void alz_lazy_memo_ref(struct alazy *lazy, struct alazy_ref *ref)
{
	const struct asynclazy_record *r;

	if (lazy->ask.cache->view.pins || ref->priv[2])
		return;
	/* back from the value to its record */
	r = (const void *)((const char *)ref->data -
			   alz_record_value_offset(lazy->ask.key_size));
	alz_ref_fill(ref, alz_lazy_keep(lazy, r));
}

/* What is known without the backend: as alz_find(). */
static int alz_lazy_find(struct alazy *lazy, struct alz_got *got)
{
	const struct asynclazy_record *r = alz_lazy_memo(lazy);
	int err;

	if (r) {
		got->err = 0;
		got->due = false;
		alz_ref_fill(&got->ref, r);
		return 0;
	}
	err = alz_find(&lazy->ask, got);
	if (!err && !got->err)
		alz_lazy_memo_ref(lazy, &got->ref);
	return err;
}

static __attribute__((noinline)) int alz_lazy_get(struct alazy *lazy, struct alazy_ref *ref)
{
	struct alz_got got;
	int err = alz_lazy_find(lazy, &got);

	err = alz_get_found(&lazy->ask, err, &got, 0, ref);
	if (!err)
		alz_lazy_memo_ref(lazy, ref);
	return err;
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
	struct alz_got got;
	int err = alz_lazy_find(lazy, &got);

	return alz_async_get(&lazy->ask, err, &got, done, ctx, wait);
}

ALZ_PUBLIC int alazy_peek(struct alazy *lazy, struct alazy_ref *ref, int *err)
{
	struct alz_got got;
	int ret = alz_lazy_find(lazy, &got);

	if (ret < 0)
		return ret;
	return ret ? alz_peek(&lazy->ask, ref, err) : alz_peek_got(&got, ref, err);
}
