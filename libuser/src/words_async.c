// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Asynchronous waits for words, and for locks, which are waits that go on until the
 * lock was taken.
 *
 * They are in the table of waits, see struct alazy_wait, but for one thing: one that
 * is cancelled stays there until it is certain that nobody has read its event. Who
 * has must know the word, to pass on the wake that nobody will make use of.
 */
#include "words.h"

static struct asynclazy_word *alz_wait_words(struct alazy_wait *wait)
{
	return (struct asynclazy_word *)wait->key;
}

static void alz_words_free(struct alazy_wait *wait)
{
	if (wait->slot >= 0 && wait->epoch == alz_fork_epoch)
		alz_lock_slot_put(wait->ask.cache, wait->slot);
	free(wait);
}

/* Out of the table, and free it. */
static void alz_words_drop(struct alazy_wait *wait)
{
	struct alazy_cache *cache = wait->ask.cache;

	pthread_mutex_lock(&cache->lock);
	alz_async_unlink(wait);
	pthread_mutex_unlock(&cache->lock);
	alz_words_free(wait);
}

/*
 * Nobody works on it, and it is cancelled. From then on who has read its event may have
 * ended and freed it: it is ours only once the backend has cancelled it, so @cookie was
 * read before, under the lock.
 */
static void alz_words_take_back(struct alazy_wait *wait, struct alazy_cache *cache, u64 cookie,
				bool ours)
{
	if (!ours || !alz_cancel_call(cache, cookie))
		alz_words_drop(wait);
}

/* Cancelled, with a wake, or with the lock, that is another's now. */
static void alz_words_pass_on(struct alazy_wait *wait, int err, u32 index)
{
	const struct asynclazy_word *w = alz_wait_words(wait);

	if (wait->slot < 0) {
		alz_words_wake(wait->ask.cache, &w[index], 1);
	} else if (!err || err == -EOWNERDEAD) {
		/* as if the holder had died with it, if one had */
		alz_lock_let(wait->ask.cache, w->word, err);
		wait->slot = -1;
	}
}

/* It has ended, and is freed. */
static void alz_words_end(struct alazy_wait *wait, int err, u32 index)
{
	struct alazy_cache *cache = wait->ask.cache;
	bool cancelled;

	pthread_mutex_lock(&cache->lock);
	cancelled = wait->cancelled;
	if (!cancelled)
		wait->ending = true;
	alz_async_unlink(wait);
	pthread_mutex_unlock(&cache->lock);
	if (cancelled) {
		alz_words_pass_on(wait, err, index);
	} else {
		/* the slot of a lock that was taken is the lock's from now on */
		if (!err || err == -EOWNERDEAD)
			wait->slot = -1;
		if (!err)
			alz_ok();
		wait->futex(err, index, wait->ctx);
	}
	alz_words_free(wait);
}

/* Return: 0: the wait goes on; -EAGAIN: a word is not as expected, @index says which. */
static int alz_words_arm(struct alazy_wait *wait, u32 *index)
{
	struct asynclazy_wait q = {
		.size = sizeof(q),
		.flags = ASYNCLAZY_CLAIM_EVENT,
		.words = (uintptr_t)alz_wait_words(wait),
		.count = wait->nr_words,
		.cookie = wait->cookie,
	};
	int err = alz_call(wait->ask.cache, ASYNCLAZY_IOC_WAIT, &q);

	*index = q.out_index;
	if (!err && q.out_result == ASYNCLAZY_RESULT_CHANGED)
		return -EAGAIN;
	return err;
}

/*
 * Take a lock, or wait on for it. Return: 0, -EOWNERDEAD: it is taken; ALZ_LOCK_BUSY: the
 * wait goes on; another negative errno.
 */
static int alz_words_lock(struct alazy_wait *wait)
{
	struct asynclazy_word *w = alz_wait_words(wait);
	u32 index;
	int err;

	do {
		err = alz_lock_try(wait->ask.cache, w->word, wait->slot, false, &w->expected);
		if (err != ALZ_LOCK_BUSY)
			return err;
		err = alz_words_arm(wait, &index);
	} while (err == -EAGAIN);
	return err ? err : ALZ_LOCK_BUSY;
}

/*
 * There is nothing to do on a wait that we work on. Return: true: it is still ours, and
 * @index is of a wake that has come meanwhile.
 */
static bool alz_words_idle(struct alazy_wait *wait, u32 *index)
{
	bool ours = wait->epoch == alz_fork_epoch;
	struct alazy_cache *cache = wait->ask.cache;
	u64 cookie = wait->cookie;
	bool has_event, cancelled;

	pthread_mutex_lock(&cache->lock);
	has_event = wait->has_event;
	wait->has_event = false;
	wait->busy = has_event;
	cancelled = wait->cancelled;
	*index = wait->event.attempt;
	pthread_mutex_unlock(&cache->lock);
	if (has_event)
		return true;
	if (cancelled)
		alz_words_take_back(wait, cache, cookie, ours);
	return false;
}

/* Woken: on until it has ended, or has nothing to do. */
static void alz_words_woken(struct alazy_wait *wait, u32 index)
{
	int err;

	do {
		err = wait->slot >= 0 ? alz_words_lock(wait) : 0;
		if (err != ALZ_LOCK_BUSY) {
			if (err == -EOWNERDEAD)
				alz_lock_died();
			else if (err)
				alz_words_refused(err);
			alz_words_end(wait, err, index);
			return;
		}
	} while (alz_words_idle(wait, &index));
}

/** alz_words_serve() - the event of a wait has come, which is ours to work on */
void alz_words_serve(struct alazy_wait *wait, const struct asynclazy_event *event)
{
	alz_words_woken(wait, event->attempt);
}

/** alz_words_cancel() - Return: 0; -EALREADY: its callback runs */
int alz_words_cancel(struct alazy_wait *wait)
{
	bool ours = wait->epoch == alz_fork_epoch;
	struct alazy_cache *cache = wait->ask.cache;
	u64 cookie = wait->cookie;
	bool busy, ending;

	pthread_mutex_lock(&cache->lock);
	ending = wait->ending;
	busy = wait->busy;
	wait->cancelled = !ending;
	pthread_mutex_unlock(&cache->lock);
	if (ending)
		return -EALREADY;
	/* who works on it sees to it */
	if (!busy)
		alz_words_take_back(wait, cache, cookie, ours);
	return 0;
}

/**
 * alz_words_async() - begin a wait
 * @w: @n words, copied
 * @slot: -1; or of a lock that is to be taken, which is the wait's from here on
 *
 * Return: 0: it waits; 1: the lock was free, @fn was called; -EAGAIN: a word is not as
 * expected, which @index says; another negative errno. Without a text.
 */
int alz_words_async(struct alazy_cache *cache, const struct asynclazy_word *w, size_t n,
		    int slot, alazy_futex_fn fn, void *ctx, struct alazy_wait **handle,
		    u32 *index)
{
	struct alz_ask ask = { .cache = cache, .key = w, .key_size = n * sizeof(*w) };
	struct alazy_wait *wait;
	int err;

	wait = alz_async_new(&ask, ctx, true);
	if (!wait)
		return -ENOMEM;
	wait->futex = fn;
	wait->nr_words = n;
	wait->slot = slot;
	wait->busy = true;
	if (alz_async_add(wait)) {
		free(wait);
		return -ENOMEM;
	}
	/* not after user code has run, which may free what @handle points to */
	if (handle)
		*handle = wait;
	err = slot >= 0 ? alz_words_lock(wait) : alz_words_arm(wait, index);
	if (slot >= 0 && (!err || err == -EOWNERDEAD)) {
		if (err)
			alz_lock_died();
		alz_words_end(wait, err, 0);
		return 1;
	}
	if (err < 0) {
		if (handle)
			*handle = NULL;
		wait->slot = -1;
		alz_words_drop(wait);
		return err;
	}
	if (alz_words_idle(wait, index))
		alz_words_woken(wait, *index);
	return 0;
}

ALZ_PUBLIC int alazy_futex_wait_async(struct alazy_cache *cache, const struct alazy_futex *words,
				      size_t n, alazy_futex_fn fn, void *ctx,
				      struct alazy_wait **wait, size_t *index)
{
	struct asynclazy_word w[ALAZY_FUTEX_MAX];
	u32 which;
	int err;

	if (!fn)
		return alz_error(-EINVAL, "the callback is NULL: nobody would learn of the end");
	err = alz_words_begin(cache, words, n, w, index);
	if (err)
		return err;
	err = alz_words_async(cache, w, n, -1, fn, ctx, wait, &which);
	if (err == -EAGAIN && index)
		*index = which;
	return err ? alz_words_refused(err) : alz_ok();
}
