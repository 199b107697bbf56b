// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Get or initialise, blocking. The reader first; on a miss one call, which
 * brings the value, an error, or the ticket.
 */
#include "lib.h"

#define ALZ_AGAIN	1	/* ask again from the top */

/* A record of the reader's or the backend's. */
static inline int alz_get_record(const struct asynclazy_record *r, struct alazy_ref *ref)
{
	if (alz_unlikely(r->kind == ASYNCLAZY_RECORD_ERROR))
		return alz_error_record(r);
	alz_ref_fill(ref, r);
	return alz_ok();
}

/* The ticket is ours: run the initialiser and see what it did with it. */
static int alz_get_init(const struct alz_ask *ask, const struct asynclazy_claim *c,
			struct alazy_ref *ref)
{
	struct alazy_ticket ticket;
	struct alz_frame frame;

	alz_ticket_fill(&ticket, ask->cache, c->out_ticket, c->out_generation,
			c->out_attempt);
	alz_frame_run(&frame, ask, &ticket, true);
	switch (frame.state) {
	case ALZ_FRAME_PUBLISHED:
		alz_ref_fill(ref, alz_view_record(&ask->cache->view, frame.offset));
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
	int err;

	err = alz_claim_call(ask, ASYNCLAZY_CLAIM_BLOCK | alz_ask_flags(ask), deadline,
			     0, detail, &c);
	if (err)
		return alz_claim_refused(ask, err);
	switch (c.out_result) {
	case ASYNCLAZY_RESULT_HIT:
		return alz_get_record(alz_view_record(&ask->cache->view, c.out_offset), ref);
	case ASYNCLAZY_RESULT_FAILED:
		return alz_claim_again(&c) ? ALZ_AGAIN :
			alz_claim_failed(ask->cache, &c, detail);
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

static inline int alz_cache_get(struct alazy_cache *cache, const void *key,
				size_t key_size, alazy_init_fn init, void *ctx,
				u64 deadline, struct alazy_ref *ref)
{
	struct alz_found found;
	struct alz_ask ask;

	if (alz_unlikely(alz_key_bad(cache, key, key_size)))
		return alz_key_check(cache, key, key_size);
	found = alz_reader_get(&cache->view, key, key_size);
	if (alz_likely(found.record))
		return alz_get_record(found.record, ref);
	ask = (struct alz_ask){ cache, key, key_size, found.hash, init, ctx };
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
