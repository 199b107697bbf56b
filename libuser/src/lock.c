// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Locks: words that say which attachment has them. Taking and leaving one that nobody
 * waits for makes no call. While an attachment has one, or is about to take it, that
 * is said in one of its slots in HELD, where the backend looks when it dies.
 *
 * What is known here only, of the locks of this process: which slot is whose, and which
 * thread has it, so that a thread that locks what it has is told so.
 */
#include "words.h"

#define ALZ_LOCK_SLOTS	(ASYNCLAZY_HELD_SIZE / sizeof(u32))

struct alz_locks {
	u64 used[ALZ_LOCK_SLOTS / 64];		/* a bit for each slot; atomic */
	uintptr_t thread[ALZ_LOCK_SLOTS];	/* that has the lock of it, or 0; atomic */
	u16 slot[];				/* of each word, while it is our lock; atomic */
};

/** alz_locks_new() - what a cache with words needs. Return: 0, -ENOMEM */
int alz_locks_new(struct alazy_cache *cache)
{
	struct alz_locks *locks;

	if (!cache->words.held)
		return 0;
	locks = calloc(1, sizeof(*locks) + cache->words.nr * sizeof(locks->slot[0]));
	cache->words.locks = locks;
	return locks ? 0 : -ENOMEM;
}

/** alz_locks_forked() - in a child, at once: what is locked is the parent's */
void alz_locks_forked(struct alazy_cache *cache)
{
	struct alz_locks *locks = cache->words.locks;

	if (!locks)
		return;
	memset(locks->used, 0, sizeof(locks->used));
	memset(locks->thread, 0, sizeof(locks->thread));
}

/* A slot of our own that says that we are about to take a lock. Return: it, -ENOLCK. */
static int alz_lock_slot_get(struct alazy_cache *cache, u64 index)
{
	struct alz_locks *locks = cache->words.locks;
	unsigned int i, bit;

	for (i = 0; i < ALZ_LOCK_SLOTS / 64; i++) {
		u64 used = __atomic_load_n(&locks->used[i], __ATOMIC_RELAXED);

		while (~used) {
			bit = __builtin_ctzll(~used);
			used = __atomic_fetch_or(&locks->used[i], 1ULL << bit, __ATOMIC_ACQUIRE);
			if (used & 1ULL << bit)
				continue;
			bit += i * 64;
			__atomic_store_n(&cache->words.held[bit], (u32)index + 1,
					 __ATOMIC_RELAXED);
			/* who is killed here has said it: a matter of the compiler */
			__atomic_signal_fence(__ATOMIC_SEQ_CST);
			return bit;
		}
	}
	return -ENOLCK;
}

/** alz_lock_slot_put() - it does not have the lock, and is not about to */
void alz_lock_slot_put(struct alazy_cache *cache, int slot)
{
	struct alz_locks *locks = cache->words.locks;

	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&cache->words.held[slot], 0, __ATOMIC_RELAXED);
	__atomic_fetch_and(&locks->used[slot / 64], ~(1ULL << slot % 64), __ATOMIC_RELEASE);
}

/**
 * alz_lock_try() - take a lock if nobody has it
 * @slot: from alz_lock_slot_get()
 * @thread: it is for this thread, not for a callback
 * @value: ALZ_LOCK_BUSY: what to wait for a change of
 *
 * Return: 0; -EOWNERDEAD: taken, and its holder has died; ALZ_LOCK_BUSY.
 */
int alz_lock_try(struct alazy_cache *cache, u64 index, int slot, bool thread, u32 *value)
{
	struct alz_locks *locks = cache->words.locks;
	u32 *word = &cache->words.words[index];
	u32 was = __atomic_load_n(word, __ATOMIC_RELAXED);

	do {
		if (was & ASYNCLAZY_LOCK_OWNER) {
			*value = was;
			return ALZ_LOCK_BUSY;
		}
	} while (!__atomic_compare_exchange_n(word, &was, cache->words.lock_id, false,
					      __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	__atomic_store_n(&locks->slot[index], slot, __ATOMIC_RELAXED);
	__atomic_store_n(&locks->thread[slot], thread ? (uintptr_t)pthread_self() : 0,
			 __ATOMIC_RELAXED);
	return was & ASYNCLAZY_LOCK_DIED ? -EOWNERDEAD : 0;
}

/* Whether this thread has it: only it can have written so. */
static bool alz_lock_mine(const struct alazy_cache *cache, u64 index)
{
	const struct alz_locks *locks = cache->words.locks;
	u32 slot = __atomic_load_n(&locks->slot[index], __ATOMIC_RELAXED);

	return __atomic_load_n(&locks->thread[slot], __ATOMIC_RELAXED) ==
		(uintptr_t)pthread_self() &&
	       __atomic_load_n(&cache->words.held[slot], __ATOMIC_RELAXED) == index + 1;
}

/**
 * alz_lock_let() - leave a lock that this attachment has
 * @err: -EOWNERDEAD: the next one is to know that a holder has died; else 0
 */
void alz_lock_let(struct alazy_cache *cache, u64 index, int err)
{
	struct asynclazy_word w = { .word = index };
	struct alz_locks *locks = cache->words.locks;
	u32 slot = __atomic_load_n(&locks->slot[index], __ATOMIC_RELAXED);

	__atomic_store_n(&locks->thread[slot], 0, __ATOMIC_RELAXED);
	__atomic_exchange_n(&cache->words.words[index], err ? ASYNCLAZY_LOCK_DIED : 0,
			    __ATOMIC_SEQ_CST);
	/* if it fails, the next one is woken by the death of this process at the latest */
	alz_words_wake(cache, &w, 1);
	alz_lock_slot_put(cache, slot);
}

/** alz_lock_died() - the text of a lock whose holder died. Return: -EOWNERDEAD */
int alz_lock_died(void)
{
	return alz_error(-EOWNERDEAD, "the lock is yours; who had it before died with it: see to "
			 "what it guards, which may be half done");
}

/* A lock is one of the cache's own words, and of this attachment. */
static int alz_lock_check(struct alazy_cache *cache, const u32 *word, u64 *index)
{
	struct asynclazy_word w = { 0 };
	int err;

	if (!cache)
		return alz_key_check(NULL, NULL, 0);
	err = alz_word_name(cache, word, &w);
	if (err)
		return err;
	if (!alz_word_own(&w))
		return alz_error(-EINVAL, "a lock is one of the cache's own words, see "
				 "alazy_word(): of others nobody can tell when its holder dies");
	if (cache->flags & ALAZY_CACHE_READONLY)
		return alz_words_refused(-EACCES);
	*index = w.word;
	if (alz_attached(cache))
		return 0;
	err = alz_cache_attach(cache);
	return err ? alz_error_backend(err) : 0;
}

/* A slot for a lock that is to be taken. Return: it, or a negative errno with its text. */
static int alz_lock_begin(struct alazy_cache *cache, const u32 *word, u64 *index)
{
	int err = alz_lock_check(cache, word, index);
	int slot = err ? err : alz_lock_slot_get(cache, *index);

	if (slot != -ENOLCK)
		return slot;
	return alz_error(slot, "this process has %zu locks of the cache, or is about to take "
			 "them: it can have no more at a time", (size_t)ALZ_LOCK_SLOTS);
}

/* Wait in the call until it is taken. Return: as alz_lock_try(); another errno, no text. */
static int alz_lock_wait(struct alazy_cache *cache, u64 index, int slot, u64 deadline)
{
	struct asynclazy_word w = { .word = index };
	u32 which;
	int err;

	for (;;) {
		err = alz_lock_try(cache, index, slot, true, &w.expected);
		if (err != ALZ_LOCK_BUSY)
			return err;
		if ((w.expected & ASYNCLAZY_LOCK_OWNER) == cache->words.lock_id &&
		    alz_lock_mine(cache, index))
			return -EDEADLK;
		err = alz_words_wait(cache, &w, 1, deadline, &which);
		if (err && err != -EAGAIN)
			return err;
	}
}

static int alz_lock_end(int err)
{
	switch (err) {
	case 0:
		return alz_ok();
	case -EOWNERDEAD:
		return alz_lock_died();
	case -EDEADLK:
		return alz_error(err, "this thread has the lock already");
	case -ETIMEDOUT:
		return alz_error(err, "the lock was not free by the deadline");
	default:
		return alz_words_refused(err);
	}
}

ALZ_PUBLIC int alazy_lock(struct alazy_cache *cache, uint32_t *word, uint64_t deadline_ns)
{
	u64 index = 0;
	int slot;
	int err;

	slot = alz_lock_begin(cache, word, &index);
	if (slot < 0)
		return slot;
	err = alz_lock_wait(cache, index, slot, deadline_ns);
	if (err && err != -EOWNERDEAD)
		alz_lock_slot_put(cache, slot);
	return alz_lock_end(err);
}

ALZ_PUBLIC int alazy_trylock(struct alazy_cache *cache, uint32_t *word)
{
	u32 value;
	u64 index = 0;
	int slot;
	int err;

	slot = alz_lock_begin(cache, word, &index);
	if (slot < 0)
		return slot;
	err = alz_lock_try(cache, index, slot, true, &value);
	if (err != ALZ_LOCK_BUSY)
		return alz_lock_end(err);
	alz_lock_slot_put(cache, slot);
	return alz_error(-EBUSY, "somebody has the lock");
}

ALZ_PUBLIC int alazy_lock_async(struct alazy_cache *cache, uint32_t *word, alazy_futex_fn fn,
				void *ctx, struct alazy_wait **wait)
{
	struct asynclazy_word w = { 0 };
	u32 which;
	int slot;
	int ret;

	if (!fn)
		return alz_error(-EINVAL, "the callback is NULL: nobody would have the lock");
	slot = alz_lock_begin(cache, word, &w.word);
	if (slot < 0)
		return slot;
	ret = alz_words_async(cache, &w, 1, slot, fn, ctx, wait, &which);
	if (ret < 0) {
		alz_lock_slot_put(cache, slot);
		return alz_words_refused(ret);
	}
	alz_ok();
	return ret;
}

ALZ_PUBLIC int alazy_unlock(struct alazy_cache *cache, uint32_t *word)
{
	u64 index = 0;
	int err;

	err = alz_lock_check(cache, word, &index);
	if (err)
		return err;
	if ((alz_word_load(word) & ASYNCLAZY_LOCK_OWNER) != cache->words.lock_id)
		return alz_error(-EPERM, "this process does not have the lock");
	alz_lock_let(cache, index, 0);
	return alz_ok();
}
