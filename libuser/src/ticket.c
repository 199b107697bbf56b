// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Ending flights: publish, fail, abandon; and frames, by which a get learns
 * what its initialiser did with the ticket without another call.
 */
#include "lib.h"

static struct alz_frame *alz_frame_find(struct alazy_cache *cache, u64 ticket)
{
	struct alz_frame *frame = cache->frames;

	while (frame && frame->ticket != ticket)
		frame = frame->next;
	return frame;
}

static void alz_frame_push(struct alazy_cache *cache, struct alz_frame *frame)
{
	frame->thread = pthread_self();
	pthread_mutex_lock(&cache->lock);
	frame->next = cache->frames;
	cache->frames = frame;
	pthread_mutex_unlock(&cache->lock);
}

static void alz_frame_pop(struct alazy_cache *cache, struct alz_frame *frame)
{
	struct alz_frame **at = &cache->frames;

	pthread_mutex_lock(&cache->lock);
	while (*at != frame)
		at = &(*at)->next;
	*at = frame->next;
	pthread_mutex_unlock(&cache->lock);
}

/** alz_frames_forked() - in a child, under the lock: the other threads are gone */
void alz_frames_forked(struct alazy_cache *cache)
{
	struct alz_frame **at = &cache->frames;

	while (*at) {
		if (pthread_equal((*at)->thread, pthread_self()))
			at = &(*at)->next;
		else
			*at = (*at)->next;
	}
}

/* A ticket has ended: tell the frame that it belongs to, if that still runs. */
static void alz_frame_note(const struct alazy_ticket *ticket, enum alz_frame_state state,
			   u64 offset, int err, const char *detail, size_t detail_size)
{
	struct alazy_cache *cache = ticket->cache;
	struct alz_frame *frame;

	pthread_mutex_lock(&cache->lock);
	frame = alz_frame_find(cache, ticket->id);
	if (frame && frame->state == ALZ_FRAME_HELD) {
		frame->state = state;
		frame->offset = offset;
		frame->err = err;
		frame->detail_size = detail_size;
		memcpy(frame->detail, detail, detail_size);
	}
	pthread_mutex_unlock(&cache->lock);
}

/* A call with a ticket was refused: set the text. */
static int alz_ticket_refused(const struct alazy_ticket *ticket, size_t size, int err)
{
	switch (err) {
	case -ENOENT:
	case -ESTALE:
		alz_frame_note(ticket, ALZ_FRAME_OVERTAKEN, 0, 0, "", 0);
		return alz_error(-ESTALE, "the ticket has ended: by publish, fail or abandon, "
				 "or because the key was set or invalidated; nothing was "
				 "changed");
	case -ENOSPC:
		return alz_error_arena(ticket->cache);
	case -EFBIG:
		return alz_error_efbig(ticket->cache, size);
	default:
		return alz_error_backend(err);
	}
}

static int alz_ticket_check(const struct alazy_ticket *ticket)
{
	if (!ticket || !ticket->cache)
		return alz_error(-EINVAL, "the ticket is NULL or has no cache");
	return 0;
}

ALZ_PUBLIC int alazy_publish(const struct alazy_ticket *ticket, const void *data,
			     size_t size, uint64_t ttl_ns)
{
	struct asynclazy_publish p = {
		.size = sizeof(p),
		.value = (uintptr_t)data,
		.value_size = size,
		.ttl = ttl_ns,
	};
	int err = alz_ticket_check(ticket);

	if (err)
		return err;
	if (!data && size)
		return alz_error(-EINVAL, "the value is NULL, its size is %zu", size);
	p.ticket = ticket->id;
	err = alz_call(ticket->cache, ASYNCLAZY_IOC_PUBLISH, &p);
	if (err)
		return alz_ticket_refused(ticket, size, err);
	alz_frame_note(ticket, ALZ_FRAME_PUBLISHED, p.out_offset, 0, "", 0);
	return alz_ok();
}

/* FAIL, with the arguments in order. */
static int alz_fail_call(const struct alazy_ticket *ticket, int err, int error_class,
			 u64 ttl, const char *detail)
{
	size_t size = detail ? strnlen(detail, ASYNCLAZY_DETAIL_MAX) : 0;
	struct asynclazy_fail f = {
		.size = sizeof(f),
		.ticket = ticket->id,
		.error = -err,
		.error_class = error_class,
		.ttl = ttl,
		.detail = (uintptr_t)detail,
		.detail_size = size,
	};
	int ret = alz_call(ticket->cache, ASYNCLAZY_IOC_FAIL, &f);

	if (ret)
		return alz_ticket_refused(ticket, 0, ret);
	alz_frame_note(ticket, ALZ_FRAME_FAILED, 0, err, detail ? detail : "", size);
	return alz_ok();
}

ALZ_PUBLIC int alazy_fail(const struct alazy_ticket *ticket, int err, int error_class,
			  uint64_t ttl_ns, const char *detail)
{
	int ret = alz_ticket_check(ticket);

	if (ret)
		return ret;
	if (err >= 0 || err < -4095)
		return alz_error(-EINVAL, "the error %d is no negative errno (-1 to -4095)", err);
	if (error_class < ALAZY_TRANSIENT || error_class > ALAZY_PERMANENT)
		return alz_error(-EINVAL, "unknown error class %d: ALAZY_TRANSIENT, ALAZY_NEGATIVE "
				 "or ALAZY_PERMANENT", error_class);
	if (ttl_ns && error_class != ALAZY_NEGATIVE)
		return alz_error(-EINVAL, "a ttl is for ALAZY_NEGATIVE only: give 0");
	/* without a text ESTALE would mean "invalidated": see alz_claim_again() */
	if (err == -ESTALE && (!detail || !*detail))
		detail = "Stale file handle";
	return alz_fail_call(ticket, err, error_class, ttl_ns, detail);
}

ALZ_PUBLIC int alazy_abandon(const struct alazy_ticket *ticket)
{
	struct asynclazy_abandon a = { .size = sizeof(a) };
	int err = alz_ticket_check(ticket);

	if (err)
		return err;
	a.ticket = ticket->id;
	err = alz_call(ticket->cache, ASYNCLAZY_IOC_ABANDON, &a);
	if (err)
		return alz_ticket_refused(ticket, 0, err);
	alz_frame_note(ticket, ALZ_FRAME_ABANDONED, 0, 0, "", 0);
	return alz_ok();
}

/* The initialiser returned an error with the ticket in hand: fail with it. */
static void alz_frame_fail(const struct alazy_ticket *ticket, int err)
{
	char detail[ASYNCLAZY_DETAIL_MAX + 1] = "";

	if (err < -4095)
		err = -EINVAL;
	/* what the library said of the call that failed, for everybody */
	if (err == -ENOSPC || err == -EFBIG)
		strncat(detail, alazy_strerror_detail(), ASYNCLAZY_DETAIL_MAX);
	err = alazy_fail(ticket, err, ALAZY_TRANSIENT, 0, *detail ? detail : NULL);
	if (err && err != -ESTALE)
		alazy_abandon(ticket);
}

static enum alz_frame_state alz_frame_look(struct alazy_cache *cache,
					   const struct alz_frame *frame)
{
	enum alz_frame_state state;

	pthread_mutex_lock(&cache->lock);
	state = frame->state;
	pthread_mutex_unlock(&cache->lock);
	return state;
}

/**
 * alz_frame_run() - run the initialiser of a ticket that was granted
 * @frame: ->state tells afterwards what became of the ticket
 * @must_end: it is given back if the initialiser leaves it open
 */
void alz_frame_run(struct alz_frame *frame, const struct alz_ask *ask,
		   const struct alazy_ticket *ticket, bool must_end)
{
	int err;

	frame->ticket = ticket->id;
	frame->state = ALZ_FRAME_HELD;
	alz_frame_push(ask->cache, frame);
	alz_ok();
	err = ask->init(ticket, ask->key, ask->key_size, ask->ctx);
	if ((err < 0 || must_end) && alz_frame_look(ask->cache, frame) == ALZ_FRAME_HELD) {
		if (err < 0)
			alz_frame_fail(ticket, err);
		else
			alazy_abandon(ticket);
	}
	alz_frame_pop(ask->cache, frame);
}
