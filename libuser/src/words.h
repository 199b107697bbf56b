/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* Words: what waits for them, locks and counters have in common. */
#ifndef ALZ_WORDS_H
#define ALZ_WORDS_H

#include "lib.h"

/* words.c */
int alz_word_name(const struct alazy_cache *cache, const u32 *word, struct asynclazy_word *w);
int alz_words_begin(struct alazy_cache *cache, const struct alazy_futex *words, size_t n,
		    struct asynclazy_word *w, size_t *index);
int alz_words_wait(struct alazy_cache *cache, const struct asynclazy_word *w, u32 n,
		   u64 deadline, u32 *index);
int alz_words_wake(struct alazy_cache *cache, const struct asynclazy_word *w, u32 n);
int alz_words_refused(int err);

/* words_async.c */
int alz_words_async(struct alazy_cache *cache, const struct asynclazy_word *w, size_t n,
		    int slot, alazy_futex_fn fn, void *ctx, struct alazy_wait **handle,
		    u32 *index);

/* lock.c */
#define ALZ_LOCK_BUSY	1

int alz_lock_try(struct alazy_cache *cache, u64 index, int slot, bool thread, u32 *value);
void alz_lock_let(struct alazy_cache *cache, u64 index, int err);
int alz_lock_died(void);
void alz_lock_slot_put(struct alazy_cache *cache, int slot);

/* It may be half of somebody's u64. */
typedef u32 __attribute__((may_alias)) alz_any_u32;

static inline u32 alz_word_load(const u32 *word)
{
	return __atomic_load_n((const alz_any_u32 *)word, __ATOMIC_ACQUIRE);
}

/* One of the cache's own: its number. */
static inline bool alz_word_own(const struct asynclazy_word *w)
{
	return !(w->flags & ASYNCLAZY_WORD_ADDRESS);
}

#endif
