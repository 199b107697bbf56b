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

/* A get has ended. On an error the text is set; else @ref is the callback's. */
static int alz_async_end(struct alazy_wait *wait, int err, struct alazy_ref *ref)
{
	if (!alz_async_last(wait)) {
		if (!err)
			alz_ref_drop(ref);
		return ALZ_NEXT_GONE;
	}
	if (err) {
		wait->done(err, NULL, wait->ctx);
	} else {
		alz_ok();
		wait->done(0, ref, wait->ctx);
		alazy_ref_put(ref);
	}
	free(wait);
	return ALZ_NEXT_DONE;
}

static int alz_async_end_got(struct alazy_wait *wait, struct alz_got *got)
{
	return alz_async_end(wait, got->err ? alz_got_error(got) : 0, &got->ref);
}

/* A get has the ticket. The follower's event brings the end. */
static int alz_async_init(struct alazy_wait *wait, u64 id, u64 generation, u32 attempt)
{
	struct alazy_ticket ticket;
	struct alz_frame frame;

	if (!alz_async_owns(wait, id))
		return ALZ_NEXT_IDLE;
	alz_ticket_fill(&ticket, wait->ask.cache, id, generation, attempt);
	alz_frame_run(&frame, &wait->ask, &ticket, false);
	return ALZ_NEXT_IDLE;
}

static int alz_async_ask(struct alazy_wait *wait)
{
	u32 flags = ASYNCLAZY_CLAIM_EVENT | alz_ask_flags(&wait->ask);
	char detail[ASYNCLAZY_DETAIL_MAX];
	struct asynclazy_claim c;
	struct alz_hold hold;
	struct alz_got got;
	int err;

	if (flags & ASYNCLAZY_CLAIM_INIT)
		flags |= ASYNCLAZY_CLAIM_FOLLOW;
	err = alz_claim_call(&wait->ask, flags, 0, wait->cookie, detail, &c, &hold);
	if (err)
		return alz_claim_refused(&wait->ask, err);
	switch (c.out_result) {
	case ASYNCLAZY_RESULT_HIT:
	case ASYNCLAZY_RESULT_FAILED:
		err = alz_claim_find(&wait->ask, &c, detail, &hold, &got);
		if (err == ALZ_MISS)
			return ALZ_NEXT_ASK;
		return err ? err : alz_async_end_got(wait, &got);
	case ASYNCLAZY_RESULT_TICKET:
		return alz_async_init(wait, c.out_ticket, c.out_generation, c.out_attempt);
	case ASYNCLAZY_RESULT_EMPTY:
		return alz_async_end(wait, alz_get_empty(&wait->ask), NULL);
	default:
		return ALZ_NEXT_IDLE;
	}
}

/* An event of a get. */
static int alz_async_get_event(struct alazy_wait *wait, struct asynclazy_event *event,
			       struct alz_got *got)
{
	if (event->result == ASYNCLAZY_RESULT_TICKET) {
		if (alz_async_alive(wait))
			return alz_async_init(wait, event->ticket, event->generation,
					      event->attempt);
		alz_event_drop(wait->ask.cache, event, got);
		return ALZ_NEXT_IDLE;
	}
	/* invalidated, or gone before we had it: see alz_claim_again() */
	if (got->err == -ESTALE && !got->ref.size) {
		alz_ref_drop(&got->ref);
		return ALZ_NEXT_ASK;
	}
	return alz_async_end_got(wait, got);
}

/* An event of a claim. */
static int alz_async_claim_event(struct alazy_wait *wait, struct asynclazy_event *event,
				 struct alz_got *got)
{
	bool last = event->result != ASYNCLAZY_RESULT_TICKET || !wait->follow;
	struct alazy_cache *cache = wait->ask.cache;
	struct alazy_answer answer;

	if (last ? !alz_async_last(wait) : !alz_async_alive(wait)) {
		alz_event_drop(cache, event, got);
		return last ? ALZ_NEXT_GONE : ALZ_NEXT_IDLE;
	}
	if (got->err)
		event->result = ASYNCLAZY_RESULT_FAILED;
	alz_answer_event(&answer, cache, event, got);
	if (!last)
		answer.wait = wait;
	wait->answer(&answer, wait->ctx);
	alazy_ref_put(&answer.ref);
	if (!last)
		return ALZ_NEXT_IDLE;
	free(wait);
	return ALZ_NEXT_DONE;
}

static int alz_async_event(struct alazy_wait *wait, struct asynclazy_event *event,
			   struct alz_got *got)
{
	return wait->done ? alz_async_get_event(wait, event, got) :
		alz_async_claim_event(wait, event, got);
}

/* Go on until there is nothing to do. Return: DONE, GONE or IDLE. */
static int alz_async_run(struct alazy_wait *wait, int next)
{
	struct asynclazy_event event;
	struct alz_got got;

	for (;;) {
		if (next < 0)
			next = alz_async_end(wait, next, NULL);
		else if (next == ALZ_NEXT_ASK)
			next = alz_async_ask(wait);
		else if (next != ALZ_NEXT_IDLE || !alz_async_idle(wait, &event, &got))
			return next;
		else
			next = alz_async_event(wait, &event, &got);
	}
}

/** alz_async_serve() - an event has come for a wait, which is ours to work on */
void alz_async_serve(struct alazy_wait *wait, const struct asynclazy_event *event,
		     const struct alz_got *got)
{
	struct asynclazy_event e = *event;
	struct alz_got g = *got;

	if (wait->futex)
		alz_words_serve(wait, event);
	else
		alz_async_run(wait, alz_async_event(wait, &e, &g));
}

/* The reader has it: done at once. */
static int alz_async_found(struct alz_got *got, alazy_done_fn done, void *ctx)
{
	if (got->err) {
		done(alz_got_error(got), NULL, ctx);
	} else {
		alz_ok();
		done(0, &got->ref, ctx);
		alazy_ref_put(&got->ref);
	}
	alz_ok();
	return 1;
}

/**
 * alz_async_get() - alazy_cache_get_async(), after the reader has looked
 * @err: as alz_find() returned
 * @found: from there; taken over
 * @ctx: for @done
 */
int alz_async_get(const struct alz_ask *ask, int err, struct alz_got *found,
		  alazy_done_fn done, void *ctx, struct alazy_wait **handle)
{
	struct alazy_wait *wait;
	int next;

	if (err < 0)
		return err;
	if (!done) {
		if (!err)
			alz_ref_drop(&found->ref);
		return alz_error(-EINVAL, "the callback is NULL: nobody would learn of the end");
	}
	if (!err && alz_unlikely(found->due) && ask->init)
		err = alz_refresh(ask, false, found);
	if (!err)
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
	struct alz_got got;

	if (alz_key_bad(cache, key, key_size))
		return alz_key_check(cache, key, key_size);
	ask.hash = alz_reader_hash(&cache->view, key, key_size);
	return alz_async_get(&ask, alz_find(&ask, &got), &got, done, ctx, wait);
}
