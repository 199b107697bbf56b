// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Admission: so many initialisations of a cache run at a time. One that is one too
 * many for now is a flight like any other, with waiters and an INITIALIZING slot,
 * but without an owner: it stands in a queue, first come, first served over all
 * keys and processes, and is offered to its waiters when its turn has come.
 *
 * A claim that is made for the sake of a ticket is admitted in any case, and so is
 * what it waits for: its parent was, and would wait for ever for their turn.
 *
 * A flight that is held, since its key was in trouble, joins the queue after that.
 */
#include "core.h"

/** alz_admits() - whether another initialisation may begin now */
bool alz_admits(const struct alz_cache *cache)
{
	return !cache->max_inits || cache->count.tickets_now < cache->max_inits;
}

static void alz_queue_leave(struct alz_cache *cache, struct alz_flight *f)
{
	alz_list_del(&f->queue_link);
	f->queued = false;
	cache->nr_queued--;
}

static void alz_queue_join(struct alz_cache *cache, struct alz_flight *f)
{
	f->queued = true;
	alz_list_add_tail(&f->queue_link, &cache->queue);
	cache->nr_queued++;
}

static void alz_hold_leave(struct alz_cache *cache, struct alz_flight *f)
{
	f->held = false;
	cache->nr_held--;
	alz_lease_end(cache, f);
}

/**
 * alz_admit_later() - a new flight has to wait for its turn
 * @cache: locked; the flight's slot is there
 * @f: new, with a waiter that can initialise
 * @until: not before; 0: any time
 */
void alz_admit_later(struct alz_cache *cache, struct alz_flight *f, u64 until)
{
	ALZ_MUST_HOLD(&cache->lock);
	alz_flight_enter(cache, f);
	if (!until) {
		alz_queue_join(cache, f);
		return;
	}
	f->held = true;
	cache->nr_held++;
	alz_lease_hold(cache, f, until);
}

/** alz_admit_never() - it has ended, whatever way; its turn may not have come yet */
void alz_admit_never(struct alz_cache *cache, struct alz_flight *f)
{
	ALZ_MUST_HOLD(&cache->lock);
	if (f->queued)
		alz_queue_leave(cache, f);
	if (f->held)
		alz_hold_leave(cache, f);
}

static void alz_admit_offer(struct alz_cache *cache, struct alz_flight *f)
{
	f->started = alz_os_now();
	/* all who could may be about to be dropped */
	if (!alz_flight_offer(cache, f))
		alz_flight_empty(cache, f, ECANCELED);
}

/**
 * alz_admit() - an initialisation is over: whose turn is it
 * @cache: locked; the lock may be let go and taken again
 */
void alz_admit(struct alz_cache *cache)
{
	ALZ_MUST_HOLD(&cache->lock);
	/* what ends in here comes here again */
	if (cache->admitting)
		return;
	cache->admitting = true;
	while (!alz_list_empty(&cache->queue) && alz_admits(cache)) {
		struct alz_flight *f = alz_entry(cache->queue.next, struct alz_flight,
						 queue_link);

		alz_queue_leave(cache, f);
		alz_admit_offer(cache, f);
	}
	cache->admitting = false;
}

/**
 * alz_admit_child() - what is queued is needed for a ticket: it is its turn
 * @cache: locked; the lock may be let go and taken again
 * @f: queued; the caller's pointer is invalid afterwards
 */
void alz_admit_child(struct alz_cache *cache, struct alz_flight *f)
{
	ALZ_MUST_HOLD(&cache->lock);
	alz_queue_leave(cache, f);
	alz_admit_offer(cache, f);
}

/**
 * alz_admit_held() - a flight need not be held any longer
 * @cache: locked; the lock may be let go and taken again
 * @f: held; the caller's pointer is invalid afterwards
 */
void alz_admit_held(struct alz_cache *cache, struct alz_flight *f)
{
	ALZ_MUST_HOLD(&cache->lock);
	alz_hold_leave(cache, f);
	if (f->child) {
		alz_admit_offer(cache, f);
		return;
	}
	alz_queue_join(cache, f);
	alz_admit(cache);
}
