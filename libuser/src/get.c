// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Get or initialise, blocking. The reader first; on a miss one call, which
 * brings the value, an error, or the ticket.
 */
#include "lib.h"

#define ALZ_AGAIN	1	/* ask again from the top */

/** alz_get_got() - end a get with what it came to; @got is taken over */
int alz_get_got(struct alz_got *got, struct alazy_ref *ref)
{
	if (got->err)
		return alz_got_error(got);
	*ref = got->ref;
	return alz_ok();
}

/**
 * alz_get_init() - the ticket is ours: run the initialiser and see what it did with it
 *
 * Return: 0 with @ref; ALZ_AGAIN: ask for what it came to; a negative errno with its
 * text.
 */
int alz_get_init(const struct alz_ask *ask, const struct asynclazy_claim *c,
		 struct alazy_ref *ref)
{
	struct alazy_ticket ticket;
	struct alz_frame frame;

	alz_ticket_fill(&ticket, ask->cache, c->out_ticket, c->out_generation,
			c->out_attempt);
	alz_frame_run(&frame, ask, &ticket, true);
	switch (frame.state) {
	case ALZ_FRAME_PUBLISHED:
		if (!frame.ref.data)
			return ALZ_AGAIN;
		*ref = frame.ref;
		return alz_ok();
	case ALZ_FRAME_FAILED:
		return alz_error_flight(frame.err, frame.detail, frame.detail_size);
	case ALZ_FRAME_ABANDONED:
		return alz_error(-ECANCELED, "the init function gave its ticket up, or "
				 "returned without ending it: it must publish, fail, or return "
				 "a negative errno");
	case ALZ_FRAME_OVERTAKEN:
		return ALZ_AGAIN;
	default:
		/* it could not be ended: with the attachment it will be */
		return alz_error_backend(-EOWNERDEAD);
	}
}

/** alz_get_empty() - RESULT_EMPTY: set the text. Return: the negative errno */
int alz_get_empty(const struct alz_ask *ask)
{
	if (ask->init)
		return alz_error(-EACCES, "the key has no value, and the cache was opened "
				 "read-only: to initialise, open it without "
				 "ALAZY_CACHE_READONLY");
	return alz_error(-ENOENT, "the key has no value and nobody makes one: "
			 "get with an init function to make it");
}

/* One round: ALZ_AGAIN, 0, or a negative errno with its text. */
static int alz_get_once(const struct alz_ask *ask, u64 deadline, struct alazy_ref *ref)
{
	char detail[ASYNCLAZY_DETAIL_MAX];
	struct asynclazy_claim c;
	struct alz_hold hold;
	struct alz_got got;
	int err;

	err = alz_claim_call(ask, ASYNCLAZY_CLAIM_BLOCK | alz_ask_flags(ask), deadline,
			     0, detail, &c, &hold);
	if (err)
		return alz_claim_refused(ask, err);
	switch (c.out_result) {
	case ASYNCLAZY_RESULT_HIT:
	case ASYNCLAZY_RESULT_FAILED:
		if (alz_claim_again(&c))
			return ALZ_AGAIN;
		err = alz_claim_find(ask, &c, detail, &hold, &got);
		if (err == ALZ_MISS)
			return ALZ_AGAIN;
		return err ? err : alz_get_got(&got, ref);
	case ASYNCLAZY_RESULT_TICKET:
		return alz_get_init(ask, &c, ref);
	default:
		return alz_get_empty(ask);
	}
}

/**
 * alz_get() - the blocking get, when the reader knows nothing
 *
 * Return: as alazy_cache_get_until().
 */
__attribute__((noinline))
int alz_get(const struct alz_ask *ask, u64 deadline, struct alazy_ref *ref)
{
	int err;

	do {
		err = alz_get_once(ask, deadline, ref);
	} while (err == ALZ_AGAIN);
	return err;
}

/**
 * alz_get_found() - the blocking get, after the reader has looked
 * @err: as alz_find() returned
 * @got: from there; taken over
 */
int alz_get_found(const struct alz_ask *ask, int err, struct alz_got *got, u64 deadline,
		  struct alazy_ref *ref)
{
	if (!err && alz_unlikely(got->due) && ask->init)
		err = alz_refresh(ask, true, got);
	/* gone by now: a memfd goes with its record's slot */
	if (err == ALZ_MISS)
		return alz_get(ask, deadline, ref);
	return err ? err : alz_get_got(got, ref);
}

/* A record of a STABLE cache that is no plain value. */
static __attribute__((noinline)) int alz_get_special(const struct alz_ask *ask, u64 deadline,
						     const struct asynclazy_record *r,
						     struct alazy_ref *ref)
{
	static const struct alz_hold none;
	struct alz_got got;
	int err = alz_got_record(ask->cache, r, &none, &got);

	return alz_get_found(ask, err, &got, deadline, ref);
}

/* The same where records make room for others. */
static __attribute__((noinline)) int alz_recycle_get(const struct alz_ask *ask,
						     u64 deadline, struct alazy_ref *ref)
{
	struct alz_got got;
	int err;

	err = alz_recycle_find(ask->cache, ask->key, ask->key_size, ask->hash, &got);
	return alz_get_found(ask, err, &got, deadline, ref);
}

static inline int alz_cache_get(struct alazy_cache *cache, const void *key,
				size_t key_size, alazy_init_fn init, void *ctx,
				u64 deadline, struct alazy_ref *ref)
{
	struct alz_found found;
	struct alz_ask ask;

	if (alz_unlikely(alz_key_bad(cache, key, key_size)))
		return alz_key_check(cache, key, key_size);
	if (cache->view.pins) {
		ask = (struct alz_ask){ cache, key, key_size,
			alz_reader_hash(&cache->view, key, key_size), init, ctx };
		return alz_recycle_get(&ask, deadline, ref);
	}
	found = alz_reader_get(&cache->view, key, key_size);
	if (alz_likely(found.record && found.record->kind == ASYNCLAZY_RECORD_VALUE &&
		       !found.record->flags)) {
		alz_ref_fill(ref, found.record);
		return alz_ok();
	}
	ask = (struct alz_ask){ cache, key, key_size, found.hash, init, ctx };
	if (found.record)
		return alz_get_special(&ask, deadline, found.record, ref);
	return alz_get(&ask, deadline, ref);
}

ALZ_PUBLIC int alazy_cache_get(struct alazy_cache *cache, const void *key,
			       size_t key_size, alazy_init_fn init, void *ctx,
			       struct alazy_ref *ref)
{
	return alz_cache_get(cache, key, key_size, init, ctx, 0, ref);
}

ALZ_PUBLIC int alazy_cache_get_until(struct alazy_cache *cache, const void *key,
				     size_t key_size, alazy_init_fn init, void *ctx,
				     uint64_t deadline_ns, struct alazy_ref *ref)
{
	return alz_cache_get(cache, key, key_size, init, ctx, deadline_ns, ref);
}
