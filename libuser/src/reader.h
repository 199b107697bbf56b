/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* The hit path: from a key to its record, in pages that this process only reads. */
#ifndef ALZ_READER_H
#define ALZ_READER_H

#include <slot.h>
#include "asynclazy.h"

#define alz_likely(x)	__builtin_expect(!!(x), 1)
#define alz_unlikely(x)	__builtin_expect(!!(x), 0)

/* A mapped cache. Constant from open to close, in forked children too. */
struct alz_view {
	const u64 *slots;
	u64 bucket_mask;
	const char *arena;
	u64 seed;
	u64 *pins;		/* this attachment's; NULL: the cache is STABLE */
	u8 *visited;		/* a byte a bucket; NULL: the same */
	const struct asynclazy_header *header;
	u64 table_size;
	u64 arena_size;
	u64 visited_size;
};

/* In two registers. */
struct alz_found {
	const struct asynclazy_record *record;	/* alive; NULL: ask the backend */
	u64 hash;
};

struct alz_found alz_reader_get(const struct alz_view *view, const void *key,
				size_t key_size);
const struct asynclazy_record *alz_reader_find(const struct alz_view *view,
					       const void *key, size_t key_size,
					       u64 hash);
const struct asynclazy_record *alz_reader_pin(const struct alz_view *view,
					      const void *key, size_t key_size,
					      u64 hash, u64 *pin);
const u64 *alz_reader_slot(const struct alz_view *view, const struct asynclazy_record *r);
bool alz_clock_before(u64 time);
u64 alz_reader_hash(const struct alz_view *view, const void *key, size_t key_size);

int alz_view_check(const struct asynclazy_header *header);
void alz_view_init(struct alz_view *view, const struct asynclazy_header *header,
		   const void *arena);

static inline const struct asynclazy_record *
alz_view_record(const struct alz_view *view, u64 offset)
{
	return (const void *)(view->arena + offset);
}

/* After all that was read through it. */
static inline void alz_pin_clear(u64 *pin)
{
	__atomic_store_n(pin, 0, __ATOMIC_RELEASE);
}

/* Of a record of a STABLE cache. */
static inline void alz_ref_fill(struct alazy_ref *ref,
				const struct asynclazy_record *r)
{
	ref->data = alz_record_value(r);
	ref->size = r->value_size;
	ref->generation = r->generation;
	ref->priv[0] = 0;
	ref->priv[1] = 0;
	ref->priv[2] = 0;
}

#endif
