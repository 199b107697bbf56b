// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * How long a ticket may be held. One that was offered to a waiter has to be taken
 * in some time, or goes to the next one. One that was taken is late after the soft
 * lease, which is only said, and is taken away after the hard lease, if there is
 * one. Its owner renews both by EXTEND, and says how far it is.
 *
 * A flight has one deadline: the next of these, or, while it is held, the end of
 * that, in cache->deadlines.
 */
#include "core.h"

static void alz_deadline_clear(struct alz_cache *cache, struct alz_flight *f)
{
	if (!f->deadline.key)
		return;
	alz_tree_del(cache, &cache->deadlines, &f->deadline);
	f->deadline.key = 0;
}

static void alz_deadline_set(struct alz_cache *cache, struct alz_flight *f, u64 at)
{
	alz_deadline_clear(cache, f);
	if (at == ASYNCLAZY_NEVER)
		return;
	/* each has its own nanosecond */
	while (alz_tree_find(cache->deadlines, at))
		at++;
	f->deadline.key = at;
	alz_tree_add(cache, &cache->deadlines, &f->deadline);
	if (alz_tree_first(cache->deadlines) == &f->deadline)
		alz_os_deadline(cache, at);
}

/* When an offer that was not taken goes on; NEVER: it was, or it need not be. */
static u64 alz_offer_until(const struct alz_cache *cache, const struct alz_flight *f)
{
	return f->offered && cache->accept ? alz_until(f->granted, cache->accept) :
		ASYNCLAZY_NEVER;
}

static u64 alz_soft_until(const struct alz_cache *cache, const struct alz_flight *f)
{
	return cache->soft_lease && !f->late ? alz_until(f->granted, cache->soft_lease) :
		ASYNCLAZY_NEVER;
}

/** alz_hard_until() - Return: when its ticket is taken away, or NEVER */
u64 alz_hard_until(const struct alz_cache *cache, const struct alz_flight *f)
{
	return cache->hard_lease ? alz_until(f->granted, cache->hard_lease) :
		ASYNCLAZY_NEVER;
}

static void alz_lease_arm(struct alz_cache *cache, struct alz_flight *f)
{
	u64 at = alz_offer_until(cache, f);
	u64 soft = alz_soft_until(cache, f);
	u64 hard = alz_hard_until(cache, f);

	at = soft < at ? soft : at;
	alz_deadline_set(cache, f, hard < at ? hard : at);
}

static void alz_lease_renew(struct alz_cache *cache, struct alz_flight *f)
{
	f->granted = alz_os_now();
	f->late = false;
	alz_lease_arm(cache, f);
}

/** alz_lease_begin() - a ticket was granted; f->offered: to whom it is yet to be told */
void alz_lease_begin(struct alz_cache *cache, struct alz_flight *f)
{
	ALZ_MUST_HOLD(&cache->lock);
	f->done = 0;
	f->total = 0;
	alz_lease_renew(cache, f);
}

/** alz_lease_hold() - nobody may have the ticket before @until */
void alz_lease_hold(struct alz_cache *cache, struct alz_flight *f, u64 until)
{
	ALZ_MUST_HOLD(&cache->lock);
	alz_deadline_set(cache, f, until);
}

/** alz_lease_end() - nobody has the ticket any more */
void alz_lease_end(struct alz_cache *cache, struct alz_flight *f)
{
	ALZ_MUST_HOLD(&cache->lock);
	f->offered = NULL;
	alz_deadline_clear(cache, f);
}

/** alz_offer_taken() - a waiter has been told of its ticket: its lease begins */
void alz_offer_taken(struct alz_cache *cache, struct alz_waiter *w)
{
	struct alz_flight *f = w->flight;

	ALZ_MUST_HOLD(&cache->lock);
	if (f->offered != w)
		return;
	f->offered = NULL;
	alz_lease_renew(cache, f);
}

/* Nobody took it in time. If somebody else can, that is who it is for. */
static void alz_offer_expired(struct alz_cache *cache, struct alz_flight *f)
{
	struct alz_waiter *w = f->offered;

	/* it is just being read, or there is nobody else */
	if (w->reported || alz_list_empty(&f->able)) {
		alz_lease_renew(cache, f);
		return;
	}
	cache->count.unaccepted++;
	alz_flight_offer_next(cache, f);
}

static void alz_flight_due(struct alz_cache *cache, struct alz_flight *f, u64 now)
{
	if (f->held) {
		alz_admit_held(cache, f);
	} else if (now >= alz_offer_until(cache, f)) {
		alz_offer_expired(cache, f);
	} else if (now >= alz_hard_until(cache, f)) {
		cache->count.revoked++;
		alz_flight_hand_over(cache, f, ETIME);
	} else {
		if (now >= alz_soft_until(cache, f)) {
			f->late = true;
			cache->count.late++;
		}
		alz_lease_arm(cache, f);
	}
}

/**
 * alz_deadlines_run() - do what is due
 * @cache: the cache
 *
 * To be called at the time that was last given to alz_os_deadline(), or later.
 */
void alz_deadlines_run(struct alz_cache *cache)
{
	struct alz_node *first;
	u64 now = alz_os_now();
	u32 n = 0;

	alz_os_lock(&cache->lock);
	for (;;) {
		first = alz_tree_first(cache->deadlines);
		if (!first || first->key > now)
			break;
		alz_flight_due(cache, alz_entry(first, struct alz_flight, deadline), now);
		alz_breathe(cache, &n);
	}
	alz_os_deadline(cache, first ? first->key : 0);
	alz_os_unlock(&cache->lock);
}

static u32 alz_list_count(const struct alz_list *head)
{
	const struct alz_list *at;
	u32 n = 0;

	for (at = head->next; at != head && n < ALZ_COUNT_MAX; at = at->next)
		n++;
	return n;
}

/** alz_flight_waiters() - how many wait, each kind counted up to ALZ_COUNT_MAX */
u32 alz_flight_waiters(const struct alz_flight *f)
{
	return alz_list_count(&f->able) + alz_list_count(&f->waiters);
}

/**
 * alz_extend() - the owner goes on: its leases begin anew
 * @client: the owner
 * @ticket: its ticket
 * @done: how far it is
 * @total: of how much; 0: not known
 * @until: when the ticket will be taken away, or NEVER
 * @waiters: how many wait for it now, each kind counted up to ALZ_COUNT_MAX
 *
 * Return: 0, -ESTALE, -ENOENT, -EINVAL (more is done than there is).
 */
int alz_extend(struct alz_client *client, u64 ticket, u64 done, u64 total, u64 *until,
	       u32 *waiters)
{
	struct alz_cache *cache = client->cache;
	struct alz_flight *f;
	int err;

	if (total && done > total)
		return -EINVAL;
	alz_os_lock(&cache->lock);
	err = alz_flight_owned(client, ticket, &f);
	if (!err) {
		/* who extends it knows of it */
		f->offered = NULL;
		f->done = done;
		f->total = total;
		alz_lease_renew(cache, f);
		*until = alz_hard_until(cache, f);
		*waiters = alz_flight_waiters(f);
		cache->count.extends++;
	}
	alz_os_unlock(&cache->lock);
	return err;
}
