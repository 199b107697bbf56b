// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Get or initialise without blocking, and what the events of waits lead to.
 *
 * Every function here that takes a wait works on it: see struct alazy_wait.
 */
#include "lib.h"

/* What is to be done with a wait next; a negative errno: its claim was refused. */
enum alz_next {
	ALZ_NEXT_IDLE,		/* nothing, until its next event */
	ALZ_NEXT_ASK,		/* claim (again) */
	ALZ_NEXT_DONE,		/* it ended, with its callback */
	ALZ_NEXT_GONE,		/* it ended without, being cancelled */
};

/* A get has ended. On an error the text is set. */
static int alz_async_end(struct alazy_wait *wait, int err,
			 const struct asynclazy_record *r)
{
	struct alazy_ref ref;

	if (!alz_async_last(wait))
		return ALZ_NEXT_GONE;
	if (err) {
		wait->done(err, NULL, wait->ctx);
	} else {
		alz_ref_fill(&ref, r);
		alz_ok();
		wait->done(0, &ref, wait->ctx);
		alazy_ref_put(&ref);
	}
	free(wait);
	return ALZ_NEXT_DONE;
}

static int alz_async_end_at(struct alazy_wait *wait, u64 offset)
{
	return alz_async_end(wait, 0, alz_view_record(&wait->ask.cache->view, offset));
}

/* A get has the ticket. The follower's event brings the end. */
static int alz_async_init(struct alazy_wait *wait, u64 id, u64 generation, u32 attempt)
{
	struct alazy_ticket ticket;
	struct alz_frame frame;

	alz_ticket_fill(&ticket, wait->ask.cache, id, generation, attempt);
	alz_frame_run(&frame, &wait->ask, &ticket, false);
	return ALZ_NEXT_IDLE;
}

static int alz_async_ask(struct alazy_wait *wait)
{
	u32 flags = ASYNCLAZY_CLAIM_EVENT | alz_ask_flags(&wait->ask);
	struct alazy_cache *cache = wait->ask.cache;
	char detail[ASYNCLAZY_DETAIL_MAX];
	struct asynclazy_claim c;
	int err;

	if (flags & ASYNCLAZY_CLAIM_INIT)
		flags |= ASYNCLAZY_CLAIM_FOLLOW;
	err = alz_claim_call(&wait->ask, flags, 0, wait->cookie, detail, &c);
	if (err)
		return alz_claim_refused(&wait->ask, err);
	switch (c.out_result) {
	case ASYNCLAZY_RESULT_HIT:
		return alz_async_end_at(wait, c.out_offset);
	case ASYNCLAZY_RESULT_FAILED:
		return alz_async_end(wait, alz_claim_failed(cache, &c, detail), NULL);
	case ASYNCLAZY_RESULT_TICKET:
		return alz_async_init(wait, c.out_ticket, c.out_generation, c.out_attempt);
	case ASYNCLAZY_RESULT_EMPTY:
		return alz_async_end(wait, alz_get_empty(&wait->ask), NULL);
	default:
		return ALZ_NEXT_IDLE;
	}
}

/* Fetch the text of an error that is not kept; the event's size becomes true. */
static void alz_event_text(struct alazy_cache *cache, struct asynclazy_event *event,
			   char *detail)
{
	struct asynclazy_fetch f = {
		.size = sizeof(f),
		.cookie = event->cookie,
		.detail = (uintptr_t)detail,
		.detail_size = ASYNCLAZY_DETAIL_MAX,
	};

	event->detail_size = 0;
	if (event->flags & ASYNCLAZY_EVENT_DETAIL &&
	    !alz_call(cache, ASYNCLAZY_IOC_FETCH, &f))
		event->detail_size = f.out_detail_size;
}

static int alz_async_get_failed(struct alazy_wait *wait, struct asynclazy_event *event)
{
	struct alazy_cache *cache = wait->ask.cache;
	char detail[ASYNCLAZY_DETAIL_MAX];
	int err;

	alz_event_text(cache, event, detail);
	if (event->offset != ASYNCLAZY_NO_RECORD)
		err = alz_error_record(alz_view_record(&cache->view, event->offset));
	else if (event->error == ESTALE && !event->detail_size)
		return ALZ_NEXT_ASK;	/* invalidated: see alz_claim_again() */
	else
		err = alz_error_flight(-event->error, detail, event->detail_size);
	return alz_async_end(wait, err, NULL);
}

/* An event of a get. */
static int alz_async_get_event(struct alazy_wait *wait, struct asynclazy_event *event)
{
	switch (event->result) {
	case ASYNCLAZY_RESULT_HIT:
		return alz_async_end_at(wait, event->offset);
	case ASYNCLAZY_RESULT_FAILED:
		return alz_async_get_failed(wait, event);
	default:
		if (alz_async_alive(wait))
			return alz_async_init(wait, event->ticket, event->generation,
					      event->attempt);
		alz_event_drop(wait->ask.cache, event);
		return ALZ_NEXT_IDLE;
	}
}

/* An event of a claim. */
static int alz_async_claim_event(struct alazy_wait *wait, struct asynclazy_event *event)
{
	bool last = event->result != ASYNCLAZY_RESULT_TICKET || !wait->follow;
	struct alazy_cache *cache = wait->ask.cache;
	char detail[ASYNCLAZY_DETAIL_MAX];
	struct alazy_answer answer;

	alz_event_text(cache, event, detail);
	if (last ? !alz_async_last(wait) : !alz_async_alive(wait)) {
		alz_event_drop(cache, event);
		return last ? ALZ_NEXT_GONE : ALZ_NEXT_IDLE;
	}
	alz_answer_event(&answer, cache, event, detail);
	if (!last)
		answer.wait = wait;
	wait->answer(&answer, wait->ctx);
	alazy_ref_put(&answer.ref);
	if (!last)
		return ALZ_NEXT_IDLE;
	free(wait);
	return ALZ_NEXT_DONE;
}

static int alz_async_event(struct alazy_wait *wait, struct asynclazy_event *event)
{
	return wait->done ? alz_async_get_event(wait, event) :
		alz_async_claim_event(wait, event);
}

/* Go on until there is nothing to do. Return: DONE, GONE or IDLE. */
static int alz_async_run(struct alazy_wait *wait, int next)
{
	struct asynclazy_event event;

	for (;;) {
		if (next < 0)
			next = alz_async_end(wait, next, NULL);
		else if (next == ALZ_NEXT_ASK)
			next = alz_async_ask(wait);
		else if (next != ALZ_NEXT_IDLE || !alz_async_idle(wait, &event))
			return next;
		else
			next = alz_async_event(wait, &event);
	}
}

/** alz_async_serve() - an event has come for a wait, which is ours to work on */
void alz_async_serve(struct alazy_wait *wait, const struct asynclazy_event *event)
{
	struct asynclazy_event copy = *event;

	alz_async_run(wait, alz_async_event(wait, &copy));
}

/* The reader has a record: done at once. */
static int alz_async_found(const struct asynclazy_record *r, alazy_done_fn done, void *ctx)
{
	struct alazy_ref ref;

	if (r->kind == ASYNCLAZY_RECORD_ERROR) {
		done(alz_error_record(r), NULL, ctx);
	} else {
		alz_ref_fill(&ref, r);
		alz_ok();
		done(0, &ref, ctx);
		alazy_ref_put(&ref);
	}
	alz_ok();
	return 1;
}

/**
 * alz_async_get() - alazy_cache_get_async() with a hash
 * @found: by the reader, or NULL
 * @ctx: for @done
 */
int alz_async_get(const struct alz_ask *ask, const struct asynclazy_record *found,
		  alazy_done_fn done, void *ctx, struct alazy_wait **handle)
{
	struct alazy_wait *wait;
	int next;

	if (!done)
		return alz_error(-EINVAL, "the callback is NULL: nobody would learn of the end");
	if (found)
		return alz_async_found(found, done, ctx);
	wait = alz_async_new(ask, ctx, true);
	if (!wait)
		return alz_error_backend(-ENOMEM);
	wait->done = done;
	wait->follow = true;
	wait->busy = true;
	if (alz_async_add(wait)) {
		free(wait);
		return alz_error_backend(-ENOMEM);
	}
	/* not after user code has run, which may free what @handle points to */
	if (handle)
		*handle = wait;
	next = alz_async_ask(wait);
	if (next < 0) {
		if (handle)
			*handle = NULL;
		alz_async_drop(wait);
		return next;
	}
	next = alz_async_run(wait, next);
	alz_ok();
	return next == ALZ_NEXT_DONE;
}

ALZ_PUBLIC int alazy_cache_get_async(struct alazy_cache *cache, const void *key,
				     size_t key_size, alazy_init_fn init,
				     alazy_done_fn done, void *ctx,
				     struct alazy_wait **wait)
{
	struct alz_ask ask = { cache, key, key_size, 0, init, ctx };
	struct alz_found found;

	if (alz_key_bad(cache, key, key_size))
		return alz_key_check(cache, key, key_size);
	found = alz_reader_get(&cache->view, key, key_size);
	ask.hash = found.hash;
	return alz_async_get(&ask, found.record, done, ctx, wait);
}
