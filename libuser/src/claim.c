// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The ticket level: claims in their forms, and per-wait descriptors. */
#include "lib.h"

#define ALZ_CLAIM_FLAGS \
	(ALAZY_CLAIM_INIT | ALAZY_CLAIM_BLOCK | ALAZY_CLAIM_EVENT | \
	 ALAZY_CLAIM_FD | ALAZY_CLAIM_FOLLOW | ALAZY_CLAIM_REFRESH)

_Static_assert((int)ALAZY_CLAIM_INIT == (int)ASYNCLAZY_CLAIM_INIT &&
	       (int)ALAZY_CLAIM_BLOCK == (int)ASYNCLAZY_CLAIM_BLOCK &&
	       (int)ALAZY_CLAIM_EVENT == (int)ASYNCLAZY_CLAIM_EVENT &&
	       (int)ALAZY_CLAIM_FD == (int)ASYNCLAZY_CLAIM_FD &&
	       (int)ALAZY_CLAIM_FOLLOW == (int)ASYNCLAZY_CLAIM_FOLLOW &&
	       (int)ALAZY_CLAIM_REFRESH == (int)ASYNCLAZY_CLAIM_REFRESH &&
	       (int)ALAZY_ANSWER_PENDING == (int)ASYNCLAZY_RESULT_PENDING &&
	       (int)ALAZY_ANSWER_TICKET == (int)ASYNCLAZY_RESULT_TICKET &&
	       (int)ALAZY_ANSWER_FAILED == (int)ASYNCLAZY_RESULT_FAILED &&
	       (int)ALAZY_ANSWER_HIT == (int)ASYNCLAZY_RESULT_HIT,
	       "the library's numbers are the uAPI's");

/** alz_poll() - until one can be read, or the deadline. Return: 0, -ETIMEDOUT */
int alz_poll(struct pollfd *fds, size_t n, u64 deadline)
{
	bool ends = deadline && deadline < INT64_MAX;
	struct timespec ts;
	u64 now, left;
	int ready;

	do {
		now = ends ? alz_os_now() : 0;
		left = deadline > now ? deadline - now : 0;
		ts = (struct timespec){ left / 1000000000, left % 1000000000 };
		ready = ppoll(fds, n, ends ? &ts : NULL, NULL);
	} while (ready < 0);
	return ready ? 0 : -ETIMEDOUT;
}

static void alz_claim_event_fill(struct asynclazy_claim *c, const struct asynclazy_event *e)
{
	c->out_result = e->result;
	c->out_error = e->error;
	c->out_ticket = e->ticket;
	c->out_attempt = e->attempt;
	c->out_detail_size = e->detail_size;
	c->out_generation = e->generation;
	c->out_offset = e->offset;
}

/*
 * A BLOCK of a thread that has no pin, in a cache where what it waits for may go
 * before it has it: a wait with a descriptor, which holds it.
 */
static int alz_claim_unpinned(struct alazy_cache *cache, struct asynclazy_claim *c,
			      u64 deadline, char *detail, struct alz_hold *hold)
{
	struct pollfd p = { .events = POLLIN };
	struct alz_wait_event w;
	int err, fd, late;

	c->flags = (c->flags & ~ASYNCLAZY_CLAIM_BLOCK) | ASYNCLAZY_CLAIM_FD;
	err = alz_call(cache, ASYNCLAZY_IOC_CLAIM, c);
	if (err || c->out_result != ASYNCLAZY_RESULT_PENDING)
		return err;
	fd = c->out_fd;
	p.fd = fd;
	do {
		late = alz_poll(&p, 1, deadline);
		/* what has come by now wins over the deadline */
		err = cache->backend->read_wait(cache, fd, &w);
	} while (err == -EAGAIN && !late);
	if (!err) {
		alz_claim_event_fill(c, &w.event);
		memcpy(detail, w.detail, w.event.detail_size);
	}
	if (!err && (w.event.result == ASYNCLAZY_RESULT_HIT ||
		     w.event.offset != ASYNCLAZY_NO_RECORD)) {
		hold->wait = fd + 1;
		hold->copy = true;
	} else {
		cache->backend->end_wait(cache, fd);
	}
	return err == -EAGAIN ? late : err;
}

static int alz_claim_made(struct alazy_cache *cache, struct asynclazy_claim *c,
			  u64 deadline, char *detail, struct alz_hold *hold)
{
	u32 flags = c->flags;
	int err;

	if (flags & ASYNCLAZY_CLAIM_BLOCK && cache->view.pins && !hold->pin) {
		err = alz_claim_unpinned(cache, c, deadline, detail, hold);
		/* without a descriptor to spare it is what it was for */
		if (err != -EMFILE && err != -ENFILE)
			return err;
		c->flags = flags;
	}
	return alz_call(cache, ASYNCLAZY_IOC_CLAIM, c);
}

/**
 * alz_claim_call() - CLAIM
 * @ask: the key and its hash
 * @detail: ASYNCLAZY_DETAIL_MAX bytes
 * @c: filled
 * @hold: filled: what holds the value or error, for alz_claim_got()
 *
 * Return: 0 or a negative errno without a text.
 */
int alz_claim_call(const struct alz_ask *ask, u32 flags, u64 deadline, u64 cookie,
		   char *detail, struct asynclazy_claim *c, struct alz_hold *hold)
{
	int err;

	alz_hold_get(ask->cache, hold);
	*c = (struct asynclazy_claim){
		.size = sizeof(*c),
		.flags = flags,
		.key = (uintptr_t)ask->key,
		.key_size = ask->key_size,
		.hash = ask->hash,
		.cookie = cookie,
		.parent = alz_frame_ticket(ask->cache),
		.deadline = deadline,
		.detail = (uintptr_t)detail,
		.detail_size = ASYNCLAZY_DETAIL_MAX,
		.pin = hold->number,
	};
	err = alz_claim_made(ask->cache, c, deadline, detail, hold);
	/* the caller's own initialisation was overtaken: then it is nobody's child */
	if (c->parent && (err == -ESTALE || err == -ENOENT)) {
		c->parent = 0;
		err = alz_claim_made(ask->cache, c, deadline, detail, hold);
	}
	/* what is made anew: readers find it, and the owner needs it not */
	if (!err && c->out_result == ASYNCLAZY_RESULT_TICKET && hold->pin)
		alz_pin_clear(hold->pin);
	return err;
}

/* A copy of a text. */
static int alz_ref_copy(const char *text, size_t size, struct alazy_ref *ref)
{
	char *copy = malloc(size ? size : 1);

	if (!copy)
		return alz_error_backend(-ENOMEM);
	memcpy(copy, text, size);
	ref->data = copy;
	ref->size = size;
	ref->priv[1] = (uintptr_t)copy;
	ref->priv[2] = ALZ_REF_COPY;
	return 0;
}

/** alz_ref_text() - the text of the last error, as far as there is memory for it */
void alz_ref_text(struct alazy_ref *ref)
{
	const char *text = alazy_strerror_detail();

	*ref = (struct alazy_ref){ 0 };
	alz_ref_copy(text, strlen(text), ref);
}

/*
 * A memfd that was waited for, with its file.
 *
 * @r: its record, held meanwhile; NULL: it was not kept, or nothing holds it
 */
static int alz_got_memfd(struct alazy_cache *cache, const struct asynclazy_record *r, int fd,
			 u64 generation, const struct alz_hold *hold, struct alz_got *got)
{
	int err = alz_map_file(cache, fd, generation, r, &got->ref);

	if (hold->pin)
		alz_pin_clear(hold->pin);
	return err;
}

static int alz_claim_held(struct alazy_cache *cache, const struct asynclazy_claim *c,
			  const char *detail, const struct alz_hold *hold,
			  struct alz_got *got)
{
	const struct asynclazy_record *r = NULL;

	/* if nothing holds it, it may be something else by now */
	if (c->out_offset != ASYNCLAZY_NO_RECORD &&
	    (!cache->view.pins || hold->pin || hold->wait))
		r = alz_view_record(&cache->view, c->out_offset);
	if (c->flags & ASYNCLAZY_CLAIM_BLOCK && c->out_fd >= 0)
		return alz_got_memfd(cache, r, c->out_fd, c->out_generation, hold, got);
	if (r)
		return alz_got_record(cache, r, hold, got);
	if (c->out_offset != ASYNCLAZY_NO_RECORD)
		return ALZ_MISS;
	if (c->out_result == ASYNCLAZY_RESULT_FAILED) {
		got->err = -c->out_error;
		return alz_ref_copy(detail, c->out_detail_size, &got->ref);
	}
	return alz_map_unkept(cache, c->out_generation, &got->ref);
}

/**
 * alz_claim_got() - RESULT_HIT or FAILED: what it brings
 * @c: from alz_claim_call()
 * @detail: from there
 * @hold: from there
 * @got: filled on 0
 *
 * Return: 0; ALZ_MISS: claim again, it may be gone by now; a negative errno with
 * its text.
 */
int alz_claim_got(struct alazy_cache *cache, const struct asynclazy_claim *c,
		  const char *detail, const struct alz_hold *hold, struct alz_got *got)
{
	int err;

	*got = (struct alz_got){ 0 };
	err = alz_claim_held(cache, c, detail, hold, got);
	if (hold->wait)
		cache->backend->end_wait(cache, hold->wait - 1);
	return err;
}

/**
 * alz_claim_find() - the same, where a thread without a pin reads it as it is found
 *
 * Return: as alz_claim_got().
 */
int alz_claim_find(const struct alz_ask *ask, const struct asynclazy_claim *c,
		   const char *detail, const struct alz_hold *hold, struct alz_got *got)
{
	int err = alz_claim_got(ask->cache, c, detail, hold, got);

	return err == ALZ_MISS ? alz_find(ask, got) : err;
}

/**
 * alz_event_got() - the same of an event, whose record is held meanwhile
 * @detail: its text, of event->detail_size bytes
 *
 * Return: as alz_claim_got(); ALZ_MISS cannot be.
 */
int alz_event_got(struct alazy_cache *cache, const struct asynclazy_event *e,
		  const char *detail, struct alz_got *got)
{
	struct asynclazy_claim c = {
		.out_result = e->result,
		.out_error = e->error,
		.out_detail_size = e->detail_size,
		.out_generation = e->generation,
		.out_offset = e->offset,
	};
	struct alz_hold hold;

	*got = (struct alz_got){ 0 };
	if (e->result != ASYNCLAZY_RESULT_HIT && e->result != ASYNCLAZY_RESULT_FAILED)
		return 0;
	alz_hold_get(cache, &hold);
	if (e->offset == ASYNCLAZY_NO_RECORD)
		return alz_claim_held(cache, &c, detail, &hold, got);
	if (hold.pin)
		__atomic_store_n(hold.pin, e->offset | ASYNCLAZY_PIN_SET, __ATOMIC_RELAXED);
	else
		hold.copy = true;
	return alz_got_record(cache, alz_view_record(&cache->view, e->offset), &hold, got);
}

/**
 * alz_claim_again() - the wait ended because the key was invalidated: ask again
 *
 * An initialiser's own ESTALE has a text or a record: see alazy_fail().
 */
bool alz_claim_again(const struct asynclazy_claim *c)
{
	return c->out_result == ASYNCLAZY_RESULT_FAILED && c->out_error == ESTALE &&
	       c->out_offset == ASYNCLAZY_NO_RECORD && !c->out_detail_size;
}

/** alz_claim_refused() - CLAIM failed: set the text. Return: @err */
int alz_claim_refused(const struct alz_ask *ask, int err)
{
	switch (err) {
	case -ENOSPC:
		return alz_error_table(ask->cache);
	case -ETIMEDOUT:
		return alz_error(err, "the deadline passed while another caller makes the value");
	case -EAGAIN:
		return alz_error(err, "as many initialisations run as max_inits of the cache says, "
				 "or this one failed just now: wait for its turn, with "
				 "ALAZY_CLAIM_BLOCK, _EVENT or _FD");
	default:
		return alz_error_backend(err);
	}
}

void alz_ticket_fill(struct alazy_ticket *ticket, struct alazy_cache *cache,
		     u64 id, u64 generation, u32 attempt)
{
	*ticket = (struct alazy_ticket){
		.cache = cache,
		.id = id,
		.generation = generation,
		.attempt = attempt,
	};
}

/*
 * From a claim: leaves ->wait alone, and sets the text of FAILED. @got is taken
 * over.
 */
static void alz_answer_fill(struct alazy_answer *a, struct alazy_cache *cache,
			    const struct asynclazy_claim *c, struct alz_got *got)
{
	memset(a, 0, sizeof(*a));
	a->kind = c->out_result;
	a->fd = -1;
	alz_ok();
	switch (a->kind) {
	case ALAZY_ANSWER_HIT:
		a->ref = got->ref;
		break;
	case ALAZY_ANSWER_FAILED:
		a->err = alz_got_error(got);
		break;
	case ALAZY_ANSWER_TICKET:
		alz_ticket_fill(&a->ticket, cache, c->out_ticket, c->out_generation,
				c->out_attempt);
		break;
	case ALAZY_ANSWER_PENDING:
		if (c->flags & ASYNCLAZY_CLAIM_FD)
			a->fd = c->out_fd;
		break;
	default:	/* EMPTY */
		break;
	}
}

/** alz_answer_event() - the same from an event; @got is taken over */
void alz_answer_event(struct alazy_answer *a, struct alazy_cache *cache,
		      const struct asynclazy_event *e, struct alz_got *got)
{
	struct asynclazy_claim c = {
		.out_result = e->result,
		.out_error = e->error,
		.out_ticket = e->ticket,
		.out_generation = e->generation,
		.out_attempt = e->attempt,
	};

	alz_answer_fill(a, cache, &c, got);
}

static int alz_claim_check(u32 flags, alazy_answer_fn fn, const void *answer)
{
	u32 waits = flags & (ALAZY_CLAIM_BLOCK | ALAZY_CLAIM_EVENT | ALAZY_CLAIM_FD);
	u32 follow = ALAZY_CLAIM_INIT | ALAZY_CLAIM_EVENT;

	if (!answer)
		return alz_error(-EINVAL, "there is nowhere for the answer to go: it is NULL");
	if (flags & ~ALZ_CLAIM_FLAGS)
		return alz_error(-EINVAL, "unknown flags 0x%x: ALAZY_CLAIM_* are 0x%x",
				 flags & ~ALZ_CLAIM_FLAGS, ALZ_CLAIM_FLAGS);
	if (waits & (waits - 1))
		return alz_error(-EINVAL, "of ALAZY_CLAIM_BLOCK, _EVENT and _FD at most one");
	if (flags & ALAZY_CLAIM_FOLLOW && (flags & follow) != follow)
		return alz_error(-EINVAL, "ALAZY_CLAIM_FOLLOW needs ALAZY_CLAIM_INIT and "
				 "ALAZY_CLAIM_EVENT");
	if (flags & ALAZY_CLAIM_REFRESH && !(flags & ALAZY_CLAIM_INIT))
		return alz_error(-EINVAL, "ALAZY_CLAIM_REFRESH needs ALAZY_CLAIM_INIT");
	if (flags & ALAZY_CLAIM_EVENT && !fn)
		return alz_error(-EINVAL, "ALAZY_CLAIM_EVENT needs a callback: fn is NULL");
	return 0;
}

/* Claim until the answer is there. Return: 0, or a negative errno with its text. */
static int alz_claim_once(const struct alz_ask *ask, u32 flags, u64 deadline, u64 cookie,
			  struct asynclazy_claim *c, struct alz_got *got)
{
	char detail[ASYNCLAZY_DETAIL_MAX];
	struct alz_hold hold;
	int err;

	do {
		err = alz_claim_call(ask, flags, deadline, cookie, detail, c, &hold);
		if (err)
			return alz_claim_refused(ask, err);
		if (alz_claim_again(c))
			err = ALZ_MISS;
		else if (c->out_result == ASYNCLAZY_RESULT_HIT ||
			 c->out_result == ASYNCLAZY_RESULT_FAILED)
			err = alz_claim_find(ask, c, detail, &hold, got);
	} while (err == ALZ_MISS);
	return err;
}

/* EVENT: registered before the claim, since another thread may dispatch. */
static int alz_claim_event(const struct alz_ask *ask, u32 flags, alazy_answer_fn fn,
			   struct alazy_answer *answer)
{
	struct alazy_wait *wait = alz_async_new(ask, ask->ctx, false);
	bool follow = flags & ALAZY_CLAIM_FOLLOW;
	struct asynclazy_claim c;
	struct alz_got got;
	int err;

	if (!wait)
		return alz_error_backend(-ENOMEM);
	wait->answer = fn;
	wait->follow = follow;
	err = alz_async_add(wait);
	if (err) {
		free(wait);
		return alz_error_backend(err);
	}
	err = alz_claim_once(ask, flags, 0, wait->cookie, &c, &got);
	if (err) {
		alz_async_drop(wait);
		return err;
	}
	if (c.out_result == ASYNCLAZY_RESULT_PENDING ||
	    (c.out_result == ASYNCLAZY_RESULT_TICKET && follow)) {
		alz_answer_fill(answer, ask->cache, &c, &got);
		answer->wait = wait;
		return 0;
	}
	alz_async_drop(wait);
	alz_answer_fill(answer, ask->cache, &c, &got);
	return 0;
}

ALZ_PUBLIC int alazy_claim(struct alazy_cache *cache, const void *key, size_t key_size,
			   uint32_t flags, uint64_t deadline_ns, alazy_answer_fn fn,
			   void *ctx, struct alazy_answer *answer)
{
	struct alz_ask ask = {
		.cache = cache, .key = key, .key_size = key_size, .ctx = ctx,
	};
	struct asynclazy_claim c;
	struct alz_got got;
	int err;

	if (alz_key_bad(cache, key, key_size))
		return alz_key_check(cache, key, key_size);
	err = alz_claim_check(flags, fn, answer);
	if (err)
		return err;
	ask.hash = alz_reader_hash(&cache->view, key, key_size);
	if (flags & ALAZY_CLAIM_EVENT)
		return alz_claim_event(&ask, flags, fn, answer);
	err = alz_claim_once(&ask, flags, deadline_ns, 0, &c, &got);
	if (!err)
		alz_answer_fill(answer, cache, &c, &got);
	return err;
}

/**
 * alz_wait_read() - what a per-wait descriptor brings
 * @words: it is to be of a wait for words, else of a claim
 *
 * Return: 0, or a negative errno with its text.
 */
int alz_wait_read(struct alazy_cache *cache, int fd, struct alz_wait_event *w, bool words)
{
	int err = -EBADF;

	if (alz_attached(cache))
		err = cache->backend->read_wait(cache, fd, w);
	if (!err && (w->event.result == ASYNCLAZY_RESULT_WOKEN) != words)
		err = -EBADF;
	switch (err) {
	case 0:
		return 0;
	case -EAGAIN:
		return alz_error(err, "the wait goes on: poll the descriptor until it is readable");
	case -EOWNERDEAD:
		return alz_error(err, "the wait behind descriptor %d is of another process, or its "
				 "cache is closed: wait again", fd);
	default:
		return alz_error(err, "descriptor %d is no wait of this cache for that: give the one "
				 "that %s made", fd, words ? "alazy_futex_wait_fd()" :
				 "alazy_claim() with ALAZY_CLAIM_FD");
	}
}

ALZ_PUBLIC int alazy_wait_read(struct alazy_cache *cache, int fd,
			       struct alazy_answer *answer)
{
	struct alz_wait_event w = { 0 };
	struct alz_got got;
	int err;

	err = alz_wait_read(cache, fd, &w, false);
	if (err)
		return err;
	/* what it brings stays until the descriptor is closed */
	err = alz_event_got(cache, &w.event, w.detail, &got);
	if (err)
		return err == ALZ_MISS ? alz_error_backend(-EIO) : err;
	alz_answer_event(answer, cache, &w.event, &got);
	return 0;
}
