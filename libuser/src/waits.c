// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Asynchronous waits: the table of those that are open, who works on one, and
 * who frees it, when dispatch, cancel and close meet. See struct alazy_wait.
 */
#include "lib.h"

#define ALZ_WAITS_MIN	64

/**
 * alz_async_new() - a wait that is in no table
 * @keep_key: copy the key, since it will be asked for again
 *
 * Return: the wait; NULL: no memory.
 */
struct alazy_wait *alz_async_new(const struct alz_ask *ask, void *ctx, bool keep_key)
{
	struct alazy_wait *wait;

	wait = calloc(1, sizeof(*wait) + (keep_key ? ask->key_size : 0));
	if (!wait)
		return NULL;
	wait->ask = *ask;
	wait->ctx = ctx;
	wait->epoch = alz_fork_epoch;
	if (keep_key) {
		memcpy(wait->key, ask->key, ask->key_size);
		wait->ask.key = wait->key;
	}
	return wait;
}

static struct alazy_wait **alz_waits_at(struct alazy_cache *cache, u64 cookie)
{
	return &cache->waits[cookie & cache->waits_mask];
}

/* Cookies are drawn in sequence, so they spread by themselves. */
static int alz_waits_grow(struct alazy_cache *cache)
{
	u64 size = cache->waits ? (cache->waits_mask + 1) * 2 : ALZ_WAITS_MIN;
	struct alazy_wait **old = cache->waits;
	u64 n = old ? cache->waits_mask + 1 : 0;
	struct alazy_wait *wait, *next;
	u64 i;

	if (n > cache->nr_waits)
		return 0;
	cache->waits = calloc(size, sizeof(*cache->waits));
	if (!cache->waits) {
		cache->waits = old;
		return old ? 0 : -ENOMEM;
	}
	cache->waits_mask = size - 1;
	for (i = 0; i < n; i++) {
		for (wait = old[i]; wait; wait = next) {
			next = wait->next;
			wait->next = *alz_waits_at(cache, wait->cookie);
			*alz_waits_at(cache, wait->cookie) = wait;
		}
	}
	free(old);
	return 0;
}

/** alz_async_add() - give it a cookie and put it into the table. Return: 0, -ENOMEM */
int alz_async_add(struct alazy_wait *wait)
{
	struct alazy_cache *cache = wait->ask.cache;
	int err;

	pthread_mutex_lock(&cache->lock);
	err = alz_waits_grow(cache);
	if (!err) {
		wait->cookie = ++cache->cookie;
		wait->next = *alz_waits_at(cache, wait->cookie);
		*alz_waits_at(cache, wait->cookie) = wait;
		cache->nr_waits++;
	}
	pthread_mutex_unlock(&cache->lock);
	return err;
}

/** alz_async_unlink() - under the lock: it is in the table */
void alz_async_unlink(struct alazy_wait *wait)
{
	struct alazy_cache *cache = wait->ask.cache;
	struct alazy_wait **at = alz_waits_at(cache, wait->cookie);

	while (*at != wait)
		at = &(*at)->next;
	*at = wait->next;
	cache->nr_waits--;
}

/** alz_async_drop() - the backend knows nothing of it: take it out and free it */
void alz_async_drop(struct alazy_wait *wait)
{
	struct alazy_cache *cache = wait->ask.cache;

	pthread_mutex_lock(&cache->lock);
	if (!wait->cancelled)
		alz_async_unlink(wait);
	pthread_mutex_unlock(&cache->lock);
	free(wait);
}

/** alz_cancel_call() - Return: 0; -ENOENT: its event has been read, or it has none */
int alz_cancel_call(struct alazy_cache *cache, u64 cookie)
{
	struct asynclazy_cancel c = { .size = sizeof(c), .cookie = cookie };

	return alz_call(cache, ASYNCLAZY_IOC_CANCEL, &c);
}

/**
 * alz_event_drop() - an event for a wait that was cancelled
 *
 * A ticket goes to the next waiter; what it brought is let go.
 */
void alz_event_drop(struct alazy_cache *cache, const struct asynclazy_event *event,
		    struct alz_got *got)
{
	struct asynclazy_abandon a = { .size = sizeof(a), .ticket = event->ticket };

	alz_ref_drop(&got->ref);
	if (event->result != ASYNCLAZY_RESULT_TICKET)
		return;
	alz_cancel_call(cache, event->cookie);
	alz_call(cache, ASYNCLAZY_IOC_ABANDON, &a);
}

/**
 * alz_async_for_event() - whose event this is
 *
 * Return: the wait, which is the caller's to work on; NULL: nobody's, or it
 * was left with the thread that is working on the wait.
 */
struct alazy_wait *alz_async_for_event(struct alazy_cache *cache,
				       const struct asynclazy_event *event,
				       struct alz_got *got)
{
	struct alazy_wait *wait = NULL;
	bool left = false;

	pthread_mutex_lock(&cache->lock);
	if (cache->waits)
		wait = *alz_waits_at(cache, event->cookie);
	while (wait && wait->cookie != event->cookie)
		wait = wait->next;
	if (wait && wait->busy) {
		/* a second one comes only if the ticket of the first is stale */
		wait->event = *event;
		wait->got = *got;
		wait->has_event = true;
		left = true;
		wait = NULL;
	} else if (wait) {
		wait->busy = true;
	}
	pthread_mutex_unlock(&cache->lock);
	if (!wait && !left)
		alz_event_drop(cache, event, got);
	return wait;
}

/**
 * alz_async_idle() - there is nothing to do for now on a wait that we work on
 *
 * Return: false: it is no longer ours; true: it is, and @event has come with @got.
 */
bool alz_async_idle(struct alazy_wait *wait, struct asynclazy_event *event,
		    struct alz_got *got)
{
	bool ours = wait->epoch == alz_fork_epoch;
	struct alazy_cache *cache = wait->ask.cache;
	bool has_event, cancelled;

	pthread_mutex_lock(&cache->lock);
	has_event = wait->has_event;
	cancelled = wait->cancelled;
	*event = wait->event;
	*got = wait->got;
	wait->has_event = false;
	wait->busy = has_event && !cancelled;
	pthread_mutex_unlock(&cache->lock);
	if (!cancelled)
		return has_event;
	if (ours && has_event)
		alz_event_drop(cache, event, got);
	else if (ours)
		alz_cancel_call(cache, wait->cookie);
	free(wait);
	return false;
}

/** alz_async_alive() - whether a wait that we work on is still wanted */
bool alz_async_alive(struct alazy_wait *wait)
{
	struct alazy_cache *cache = wait->ask.cache;
	bool alive;

	pthread_mutex_lock(&cache->lock);
	alive = !wait->cancelled;
	pthread_mutex_unlock(&cache->lock);
	return alive;
}

/**
 * alz_async_owns() - the init function of a wait that we work on is about to run
 *
 * Return: false: it was cancelled, and the ticket is given up for that.
 */
bool alz_async_owns(struct alazy_wait *wait, u64 ticket)
{
	struct alazy_cache *cache = wait->ask.cache;
	bool wanted = true;

	if (!(cache->flags & ALAZY_CACHE_RESTARTABLE))
		return true;
	pthread_mutex_lock(&cache->lock);
	wanted = !wait->cancelled;
	wait->ticket = ticket;
	pthread_mutex_unlock(&cache->lock);
	if (!wanted)
		alz_abandon_call(cache, ticket);
	return wanted;
}

/**
 * alz_async_last() - the last callback of a wait that we work on is due
 *
 * Return: true: call it, then free the wait; false: it was cancelled, and is
 * freed.
 */
bool alz_async_last(struct alazy_wait *wait)
{
	struct alazy_cache *cache = wait->ask.cache;
	bool cancelled;

	pthread_mutex_lock(&cache->lock);
	cancelled = wait->cancelled;
	if (!cancelled) {
		alz_async_unlink(wait);
		wait->ending = true;
	}
	pthread_mutex_unlock(&cache->lock);
	if (cancelled)
		free(wait);
	return !cancelled;
}

/** alz_async_cancel() - Return: 0; -EALREADY: its last callback runs */
int alz_async_cancel(struct alazy_wait *wait)
{
	bool ours = wait->epoch == alz_fork_epoch;
	struct alazy_cache *cache = wait->ask.cache;
	u64 cookie = wait->cookie, ticket;
	bool busy;

	if (wait->futex)
		return alz_words_cancel(wait);
	pthread_mutex_lock(&cache->lock);
	if (wait->ending) {
		pthread_mutex_unlock(&cache->lock);
		return -EALREADY;
	}
	alz_async_unlink(wait);
	busy = wait->busy;
	ticket = wait->ticket;
	wait->cancelled = true;
	pthread_mutex_unlock(&cache->lock);
	/* who works on it frees it, perhaps by now */
	if (!busy)
		free(wait);
	if (ours)
		alz_cancel_call(cache, cookie);
	/* it may have ended by now, which is as good */
	if (ours && ticket)
		alz_abandon_call(cache, ticket);
	return 0;
}

/** alz_async_free_all() - the cache is being closed */
void alz_async_free_all(struct alazy_cache *cache)
{
	struct alazy_wait *wait, *next;
	u64 i;

	for (i = 0; cache->waits && i <= cache->waits_mask; i++) {
		for (wait = cache->waits[i]; wait; wait = next) {
			next = wait->next;
			free(wait);
		}
	}
	free(cache->waits);
	cache->waits = NULL;
}
