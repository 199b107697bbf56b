// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Event counters: a u64 that only rises, waited for by both of its words. So a
 * change of either is seen, whichever way the lower one has gone meanwhile.
 */
#include <endian.h>

#include "words.h"

static const u32 *alz_counter_half(const uint64_t *counter, bool upper)
{
	return (const u32 *)counter + (upper == (__BYTE_ORDER == __LITTLE_ENDIAN));
}

static int alz_counter_check(struct alazy_cache *cache, const uint64_t *counter)
{
	if (!cache)
		return alz_key_check(NULL, NULL, 0);
	if (!counter || (uintptr_t)counter % sizeof(*counter))
		return alz_error(-EINVAL, "the counter is at %p: it has to be a uint64_t, aligned "
				 "as such; in the words of a cache, two from an even one on",
				 (const void *)counter);
	return 0;
}

/* What to wait for, if a counter is still at @seen. */
static void alz_counter_words(const uint64_t *counter, uint64_t seen, struct alazy_futex *words)
{
	words[0] = (struct alazy_futex){ .word = alz_counter_half(counter, false),
					 .expected = (u32)seen };
	words[1] = (struct alazy_futex){ .word = alz_counter_half(counter, true),
					 .expected = seen >> 32 };
}

ALZ_PUBLIC uint64_t alazy_counter_read(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

ALZ_PUBLIC int alazy_counter_add(struct alazy_cache *cache, uint64_t *counter, uint64_t n,
				 uint64_t *now)
{
	uint64_t value;
	int err;

	err = alz_counter_check(cache, counter);
	if (err)
		return err;
	if (cache->flags & ALAZY_CACHE_READONLY)
		return alz_words_refused(-EACCES);
	value = __atomic_add_fetch(counter, n, __ATOMIC_SEQ_CST);
	if (now)
		*now = value;
	/* all who wait, wait for this half too */
	err = alazy_futex_wake(cache, alz_counter_half(counter, false), UINT32_MAX);
	return err < 0 ? err : 0;
}

ALZ_PUBLIC int alazy_counter_wait(struct alazy_cache *cache, const uint64_t *counter,
				  uint64_t seen, uint64_t deadline_ns, uint64_t *now)
{
	struct alazy_futex words[2];
	uint64_t value;
	int err;

	err = alz_counter_check(cache, counter);
	if (err)
		return err;
	alz_counter_words(counter, seen, words);
	for (;;) {
		value = alazy_counter_read(counter);
		if (value != seen)
			break;
		err = alazy_futex_wait_any(cache, words, 2, deadline_ns, NULL);
		if (err && err != -EAGAIN)
			return err;
	}
	if (now)
		*now = value;
	return alz_ok();
}

ALZ_PUBLIC int alazy_counter_wait_async(struct alazy_cache *cache, const uint64_t *counter,
					uint64_t seen, alazy_futex_fn fn, void *ctx,
					struct alazy_wait **wait)
{
	struct alazy_futex words[2];
	int err;

	err = alz_counter_check(cache, counter);
	if (err)
		return err;
	alz_counter_words(counter, seen, words);
	return alazy_futex_wait_async(cache, words, 2, fn, ctx, wait, NULL);
}
