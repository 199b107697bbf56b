// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Ending flights: publish, fail, abandon; and frames, by which a get learns
 * what its initialiser did with the ticket without another call.
 */
#include <fcntl.h>
#include <unistd.h>

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
	__atomic_store_n(&cache->frames, frame, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&cache->lock);
}

static void alz_frame_pop(struct alazy_cache *cache, struct alz_frame *frame)
{
	struct alz_frame **at = &cache->frames;

	pthread_mutex_lock(&cache->lock);
	while (*at != frame)
		at = &(*at)->next;
	__atomic_store_n(at, frame->next, __ATOMIC_RELAXED);
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

/* See alazy_parent(). */
static __thread struct alazy_ticket alz_parent __attribute__((tls_model("initial-exec")));

ALZ_PUBLIC void alazy_parent(const struct alazy_ticket *ticket)
{
	alz_parent = ticket ? *ticket : (struct alazy_ticket){ 0 };
}

/**
 * alz_frame_ticket() - what this thread's claims are for the sake of
 *
 * Return: the ticket whose initialiser it runs; that of alazy_parent(); or 0.
 */
u64 alz_frame_ticket(struct alazy_cache *cache)
{
	u64 stated = alz_parent.cache == cache ? alz_parent.id : 0, ticket = 0;
	const struct alz_frame *frame;

	/* written by this thread, if it has one */
	if (!__atomic_load_n(&cache->frames, __ATOMIC_RELAXED))
		return stated;
	pthread_mutex_lock(&cache->lock);
	for (frame = cache->frames; frame && !ticket; frame = frame->next)
		if (frame->state == ALZ_FRAME_HELD &&
		    pthread_equal(frame->thread, pthread_self()))
			ticket = frame->ticket;
	pthread_mutex_unlock(&cache->lock);
	return ticket ? ticket : stated;
}

/* Whether a blocking get waits for what becomes of a ticket. */
static bool alz_frame_wants(const struct alazy_ticket *ticket)
{
	struct alazy_cache *cache = ticket->cache;
	struct alz_frame *frame;
	bool wants;

	pthread_mutex_lock(&cache->lock);
	frame = alz_frame_find(cache, ticket->id);
	wants = frame && frame->must_end;
	pthread_mutex_unlock(&cache->lock);
	return wants;
}

/*
 * A ticket has ended: tell the frame that it belongs to, if that still runs. @ref,
 * if any, is taken over.
 */
static void alz_frame_note(const struct alazy_ticket *ticket, enum alz_frame_state state,
			   struct alazy_ref *ref, int err, const char *detail,
			   size_t detail_size)
{
	struct alazy_cache *cache = ticket->cache;
	struct alz_frame *frame;

	pthread_mutex_lock(&cache->lock);
	frame = alz_frame_find(cache, ticket->id);
	if (frame && frame->state == ALZ_FRAME_HELD) {
		frame->state = state;
		if (ref)
			frame->ref = *ref;
		ref = NULL;
		frame->err = err;
		frame->detail_size = detail_size;
		memcpy(frame->detail, detail, detail_size);
	}
	pthread_mutex_unlock(&cache->lock);
	if (ref)
		alz_ref_drop(ref);
}

/** alz_ticket_refused() - a call with a ticket was: set the text. Return: the errno */
int alz_ticket_refused(const struct alazy_ticket *ticket, size_t size, int err)
{
	switch (err) {
	case -ENOENT:
	case -ESTALE:
		alz_frame_note(ticket, ALZ_FRAME_OVERTAKEN, NULL, 0, "", 0);
		return alz_error(-ESTALE, "the ticket has ended: by publish, fail or abandon, "
				 "or because the key was set or invalidated, or it was held "
				 "for too long; nothing was changed");
	case -ENOSPC:
		return alz_error_arena(ticket->cache);
	case -EFBIG:
		return alz_error_efbig(ticket->cache, size);
	default:
		return alz_error_backend(err);
	}
}

/** alz_ticket_check() - Return: 0; -EINVAL with its text */
int alz_ticket_check(const struct alazy_ticket *ticket)
{
	if (!ticket || !ticket->cache)
		return alz_error(-EINVAL, "the ticket is NULL or has no cache");
	return 0;
}

/* PUBLISH in either form; what a get waits for is pinned on the way. */
static int alz_publish_call(const struct alazy_ticket *ticket, struct asynclazy_publish *p)
{
	struct alazy_cache *cache = ticket->cache;
	bool wants = alz_frame_wants(ticket);
	struct alz_hold hold = { 0 };
	struct alz_got got = { 0 };
	int err;

	if (wants)
		alz_hold_get(cache, &hold);
	p->ticket = ticket->id;
	p->pin = hold.number;
	err = alz_call(cache, ASYNCLAZY_IOC_PUBLISH, p);
	if (err)
		return err;
	if (!wants)
		; /* nobody would put it */
	else if (p->out_offset == ASYNCLAZY_NO_RECORD)
		alz_map_file(cache, fcntl(p->value_fd, F_DUPFD_CLOEXEC, 0),
			     p->out_generation, NULL, &got.ref);
	else if (hold.pin || !cache->view.pins)
		alz_got_record(cache, alz_view_record(&cache->view, p->out_offset), &hold,
			       &got);
	alz_frame_note(ticket, ALZ_FRAME_PUBLISHED, &got.ref, 0, "", 0);
	return 0;
}

/* It is too large for the arena, or there is no room now: as a file. */
static int alz_publish_as_fd(const struct alazy_ticket *ticket, struct asynclazy_publish *p,
			     int why)
{
	int fd = alz_value_memfd((const void *)(uintptr_t)p->value, p->value_size);
	int err;

	if (fd < 0)
		return fd;
	p->flags = ASYNCLAZY_VALUE_FD;
	if (why == -ENOSPC)
		p->flags |= ASYNCLAZY_VALUE_UNKEPT;
	p->value = 0;
	p->value_fd = fd;
	err = alz_publish_call(ticket, p);
	close(fd);
	return err;
}

static void alz_publish_fill(struct asynclazy_publish *p, const struct alazy_publish_opts *o)
{
	*p = (struct asynclazy_publish){
		.size = sizeof(*p),
		.ttl = o->ttl_ns,
		.stale_ttl = o->stale_ttl_ns,
		.dead_ttl = o->dead_ttl_ns,
	};
}

ALZ_PUBLIC int alazy_publish_with(const struct alazy_ticket *ticket, const void *data,
				  size_t size, const struct alazy_publish_opts *opts)
{
	struct alazy_publish_opts o;
	struct asynclazy_publish p;
	int err = alz_ticket_check(ticket);

	if (!err)
		err = alz_value_opts(opts, &o);
	if (err)
		return err;
	if (!data && size)
		return alz_error(-EINVAL, "the value is NULL, its size is %zu", size);
	alz_publish_fill(&p, &o);
	p.value = (uintptr_t)data;
	p.value_size = size;
	err = alz_publish_call(ticket, &p);
	if ((err == -EFBIG || err == -ENOSPC) && ticket->cache->view.pins)
		err = alz_publish_as_fd(ticket, &p, err);
	return err ? alz_ticket_refused(ticket, size, err) : alz_ok();
}

ALZ_PUBLIC int alazy_publish(const struct alazy_ticket *ticket, const void *data,
			     size_t size, uint64_t ttl_ns)
{
	struct alazy_publish_opts opts = { .size = sizeof(opts), .ttl_ns = ttl_ns };

	return alazy_publish_with(ticket, data, size, &opts);
}

ALZ_PUBLIC int alazy_publish_fd(const struct alazy_ticket *ticket, int fd,
				const struct alazy_publish_opts *opts)
{
	struct alazy_publish_opts o;
	struct asynclazy_publish p;
	size_t size = 0;
	int err = alz_ticket_check(ticket);

	if (!err)
		err = alz_value_opts(opts, &o);
	if (!err)
		err = alz_value_seal(fd, &size);
	if (err)
		return err;
	alz_publish_fill(&p, &o);
	p.flags = ASYNCLAZY_VALUE_FD;
	p.value_fd = fd;
	p.value_size = size;
	err = alz_publish_call(ticket, &p);
	return err ? alz_ticket_refused(ticket, size, err) : alz_ok();
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
	alz_frame_note(ticket, ALZ_FRAME_FAILED, NULL, err, detail ? detail : "", size);
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

/** alz_abandon_call() - ABANDON */
int alz_abandon_call(struct alazy_cache *cache, u64 ticket)
{
	struct asynclazy_abandon a = { .size = sizeof(a), .ticket = ticket };

	return alz_call(cache, ASYNCLAZY_IOC_ABANDON, &a);
}

ALZ_PUBLIC int alazy_abandon(const struct alazy_ticket *ticket)
{
	int err = alz_ticket_check(ticket);

	if (err)
		return err;
	err = alz_abandon_call(ticket->cache, ticket->id);
	if (err)
		return alz_ticket_refused(ticket, 0, err);
	alz_frame_note(ticket, ALZ_FRAME_ABANDONED, NULL, 0, "", 0);
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

/** alz_frame_begin() - the initialiser of a ticket is about to run in this thread */
void alz_frame_begin(struct alz_frame *frame, const struct alazy_ticket *ticket,
		     bool must_end)
{
	frame->ticket = ticket->id;
	frame->state = ALZ_FRAME_HELD;
	frame->must_end = must_end;
	frame->ref = (struct alazy_ref){ 0 };
	alz_frame_push(ticket->cache, frame);
}

/** alz_frame_end() - it has run: @err is what it returned */
void alz_frame_end(struct alz_frame *frame, const struct alazy_ticket *ticket, int err)
{
	if ((err < 0 || frame->must_end) &&
	    alz_frame_look(ticket->cache, frame) == ALZ_FRAME_HELD) {
		if (err < 0)
			alz_frame_fail(ticket, err);
		else
			alazy_abandon(ticket);
	}
	alz_frame_pop(ticket->cache, frame);
}

/**
 * alz_frame_run() - run the initialiser of a ticket that was granted
 * @frame: ->state tells afterwards what became of the ticket
 * @must_end: it is given back if the initialiser leaves it open
 */
void alz_frame_run(struct alz_frame *frame, const struct alz_ask *ask,
		   const struct alazy_ticket *ticket, bool must_end)
{
	alz_frame_begin(frame, ticket, must_end);
	alz_ok();
	alz_frame_end(frame, ticket, ask->init(ticket, ask->key, ask->key_size, ask->ctx));
}
