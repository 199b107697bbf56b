// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Taking the outcome of a wait, in its three forms, and taking a wait back.
 */
#include "core.h"

/* Whether the ticket that @w was offered is still its client's. */
static bool alz_offer_stands(const struct alz_waiter *w)
{
	return w->state == ALZ_OFFERED && !w->flight->ended &&
	       w->flight->owner == w->client && w->flight->ticket == w->ticket;
}

/* Drop a wait; an offer that nobody will see goes to the next waiter. */
static void alz_wait_take_back(struct alz_cache *cache, struct alz_waiter *w)
{
	struct alz_flight *f = alz_offer_stands(w) ? w->flight : NULL;

	alz_wait_drop(cache, w);
	if (f)
		alz_flight_hand_over(cache, f, ECANCELED);
}

/**
 * alz_wait_finish() - end a BLOCK wait: take its outcome, or take it back
 * @client: whose
 * @w: registered by alz_claim()
 * @reason: negative errno to return if the wait goes on; 0: it does
 * @pin: 0, or which pin to set at the record
 * @answer: filled on 0
 *
 * An outcome or a ticket that came in the meantime wins over @reason, so that
 * a signal or a deadline never loses a ticket.
 *
 * Return: 0; @reason; -EAGAIN: an offer came and went, @w is still registered.
 */
int alz_wait_finish(struct alz_client *client, struct alz_waiter *w, int reason,
		    u32 pin, struct alz_answer *answer)
{
	struct alz_cache *cache = client->cache;
	int err = 0;

	alz_os_lock(&cache->lock);
	if (w->state == ALZ_WAITING && !reason) {
		alz_os_unlock(&cache->lock);
		return -EAGAIN;
	}
	if (w->state == ALZ_WAITING) {
		cache->count.cancels++;
		err = reason;
	} else {
		alz_offer_taken(cache, w);
		alz_wait_answer(w, answer);
		alz_pin_set(client, pin, answer->offset);
		/* kept or not: it may be evicted before its reader has asked for it */
		if (answer->result == ASYNCLAZY_RESULT_HIT && w->flight->blob) {
			answer->blob = w->flight->blob;
			answer->blob->refs++;
		}
	}
	alz_wait_drop(cache, w);
	alz_os_unlock(&cache->lock);
	return err;
}

/**
 * alz_wait_fd_answer() - the state of an FD wait; may be asked any number of times
 * @cache: the cache
 * @w: the waiter
 * @report: the asker is told: an offer is then its own to end
 * @answer: result PENDING while the wait goes on, or once it is ALZ_ORPHAN
 *
 * Return: whether it was told before.
 */
bool alz_wait_fd_answer(struct alz_cache *cache, struct alz_waiter *w, bool report,
			struct alz_answer *answer)
{
	bool before;

	alz_os_lock(&cache->lock);
	before = w->reported;
	if (w->state == ALZ_ENDED || w->state == ALZ_OFFERED) {
		alz_wait_answer(w, answer);
		w->reported |= report;
		if (report)
			alz_offer_taken(cache, w);
	} else {
		memset(answer, 0, offsetof(struct alz_answer, detail));
		answer->result = ASYNCLAZY_RESULT_PENDING;
	}
	alz_os_unlock(&cache->lock);
	return before;
}

/** alz_wait_fd_untold() - who was told for the first time did not get it after all */
void alz_wait_fd_untold(struct alz_cache *cache, struct alz_waiter *w)
{
	alz_os_lock(&cache->lock);
	w->reported = false;
	alz_os_unlock(&cache->lock);
}

/** alz_wait_fd_close() - end an FD wait; @w is the caller's again */
void alz_wait_fd_close(struct alz_cache *cache, struct alz_waiter *w)
{
	alz_os_lock(&cache->lock);
	if (w->state == ALZ_WAITING)
		cache->count.cancels++;
	if (w->state == ALZ_OFFERED && w->reported)
		alz_wait_drop(cache, w);
	else if (w->state != ALZ_ORPHAN)
		alz_wait_take_back(cache, w);
	alz_os_unlock(&cache->lock);
}

/**
 * alz_cancel() - take an EVENT wait back
 * @client: whose
 * @cookie: of the wait
 *
 * Return: 0; -ENOENT if there is none, or its event is being read just now.
 */
int alz_cancel(struct alz_client *client, u64 cookie)
{
	struct alz_cache *cache = client->cache;
	struct alz_waiter *w;
	int err = -ENOENT;

	alz_os_lock(&cache->lock);
	w = alz_waits_find(client, cookie);
	if (w && !w->reported) {
		cache->count.cancels++;
		alz_wait_take_back(cache, w);
		if (alz_list_empty(&client->ready))
			alz_os_ready(client, false);
		err = 0;
	}
	alz_os_unlock(&cache->lock);
	return err;
}

/**
 * alz_fetch() - the text of an error whose event was read
 * @client: whose
 * @cookie: of the wait
 * @size: bytes at @detail
 * @detail: where @size bytes have room
 * @out_size: bytes of the whole text
 * @take: this ends the wait; without, it can be fetched again
 *
 * Return: 0, -ENOENT.
 */
int alz_fetch(struct alz_client *client, u64 cookie, void *detail, u32 size,
	      u32 *out_size, bool take)
{
	struct alz_cache *cache = client->cache;
	struct alz_waiter *w;
	int err = -ENOENT;

	alz_os_lock(&cache->lock);
	w = alz_waits_find(client, cookie);
	if (w && w->state == ALZ_DETAIL) {
		struct alz_flight *f = w->flight;

		*out_size = f->detail_size;
		memcpy(detail, f->detail, size < f->detail_size ? size : f->detail_size);
		if (take)
			alz_wait_drop(cache, w);
		err = 0;
	}
	alz_os_unlock(&cache->lock);
	return err;
}

static void alz_event_fill(struct asynclazy_event *event, const struct alz_waiter *w)
{
	const struct alz_flight *f = w->flight;

	memset(event, 0, sizeof(*event));
	event->cookie = w->cookie;
	event->cache_id = w->client->cache->header->cache_id;
	if (w->state == ALZ_OFFERED) {
		event->result = ASYNCLAZY_RESULT_TICKET;
		event->ticket = w->ticket;
		event->attempt = w->attempt;
		event->generation = w->generation;
		event->offset = ASYNCLAZY_NO_RECORD;
		return;
	}
	event->result = f->result;
	event->error = f->error;
	event->generation = f->record_generation;
	event->offset = f->offset;
	event->attempt = w->words ? w->attempt : 0;
	if (f->detail) {
		event->flags = ASYNCLAZY_EVENT_DETAIL;
		event->detail_size = f->detail_size;
	}
}

/**
 * alz_events_copy() - copy out the oldest events, without taking them
 * @client: whose
 * @max: room at @events
 * @events: @max of them
 *
 * The caller excludes others that read from the same client, hands the events
 * on, and then calls alz_events_done(). So a reader that faults loses nothing.
 *
 * Return: how many.
 */
u32 alz_events_copy(struct alz_client *client, struct asynclazy_event *events, u32 max)
{
	struct alz_cache *cache = client->cache;
	struct alz_list *at;
	u32 n = 0;

	alz_os_lock(&cache->lock);
	for (at = client->ready.next; at != &client->ready && n < max; at = at->next) {
		struct alz_waiter *w = alz_entry(at, struct alz_waiter, link);

		w->reported = true;
		alz_event_fill(&events[n++], w);
	}
	alz_os_unlock(&cache->lock);
	return n;
}

/* An event was taken: what becomes of its wait. */
static void alz_event_taken(struct alz_cache *cache, struct alz_waiter *w)
{
	struct alz_flight *f = w->flight;

	if (w->state == ALZ_OFFERED)
		alz_offer_taken(cache, w);
	if (w->state == ALZ_OFFERED && w->follow) {
		w->can_init = false;
		w->reported = false;
		w->state = ALZ_WAITING;
		alz_list_del(&w->link);
		alz_list_add_tail(&w->link, &f->waiters);
		if (f->ended)
			alz_wait_deliver(w, ALZ_ENDED);
	} else if (w->state == ALZ_ENDED && f->detail) {
		w->state = ALZ_DETAIL;
		w->reported = false;
		alz_list_del(&w->link);
	} else {
		alz_wait_drop(cache, w);
	}
}

/**
 * alz_events_done() - the events that were copied out are with the reader
 * @client: whose
 * @taken: false if they could not be handed on: they stay
 */
void alz_events_done(struct alz_client *client, bool taken)
{
	struct alz_cache *cache = client->cache;
	struct alz_list *at, *next;

	alz_os_lock(&cache->lock);
	for (at = client->ready.next; at != &client->ready; at = next) {
		struct alz_waiter *w = alz_entry(at, struct alz_waiter, link);

		next = at->next;
		if (!w->reported)
			break;
		if (taken)
			alz_event_taken(cache, w);
		else
			w->reported = false;
	}
	if (alz_list_empty(&client->ready))
		alz_os_ready(client, false);
	alz_os_unlock(&cache->lock);
}

/**
 * alz_events_release() - the reader asks for more: let go of what was held for it
 * @client: whose
 *
 * The records and memfds of events stay from alz_events_done() until here.
 */
void alz_events_release(struct alz_client *client)
{
	struct alz_cache *cache = client->cache;

	alz_os_lock(&cache->lock);
	alz_wait_forget(client);
	alz_os_unlock(&cache->lock);
}
