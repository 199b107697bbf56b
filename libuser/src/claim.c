// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The ticket level: claims in their forms, and per-wait descriptors. */
#include "lib.h"

#define ALZ_CLAIM_FLAGS \
	(ALAZY_CLAIM_INIT | ALAZY_CLAIM_BLOCK | ALAZY_CLAIM_EVENT | \
	 ALAZY_CLAIM_FD | ALAZY_CLAIM_FOLLOW)

_Static_assert((int)ALAZY_CLAIM_INIT == (int)ASYNCLAZY_CLAIM_INIT &&
	       (int)ALAZY_CLAIM_BLOCK == (int)ASYNCLAZY_CLAIM_BLOCK &&
	       (int)ALAZY_CLAIM_EVENT == (int)ASYNCLAZY_CLAIM_EVENT &&
	       (int)ALAZY_CLAIM_FD == (int)ASYNCLAZY_CLAIM_FD &&
	       (int)ALAZY_CLAIM_FOLLOW == (int)ASYNCLAZY_CLAIM_FOLLOW &&
	       (int)ALAZY_ANSWER_PENDING == (int)ASYNCLAZY_RESULT_PENDING &&
	       (int)ALAZY_ANSWER_TICKET == (int)ASYNCLAZY_RESULT_TICKET &&
	       (int)ALAZY_ANSWER_FAILED == (int)ASYNCLAZY_RESULT_FAILED &&
	       (int)ALAZY_ANSWER_HIT == (int)ASYNCLAZY_RESULT_HIT,
	       "the library's numbers are the uAPI's");

/**
 * alz_claim_call() - CLAIM
 * @ask: the key and its hash
 * @detail: ASYNCLAZY_DETAIL_MAX bytes
 * @c: filled
 *
 * Return: 0 or a negative errno without a text.
 */
int alz_claim_call(const struct alz_ask *ask, u32 flags, u64 deadline, u64 cookie,
		   char *detail, struct asynclazy_claim *c)
{
	*c = (struct asynclazy_claim){
		.size = sizeof(*c),
		.flags = flags,
		.key = (uintptr_t)ask->key,
		.key_size = ask->key_size,
		.hash = ask->hash,
		.cookie = cookie,
		.deadline = deadline,
		.detail = (uintptr_t)detail,
		.detail_size = ASYNCLAZY_DETAIL_MAX,
	};
	return alz_call(ask->cache, ASYNCLAZY_IOC_CLAIM, c);
}

/** alz_claim_failed() - RESULT_FAILED: set the text. Return: the negative errno */
int alz_claim_failed(const struct alazy_cache *cache,
		     const struct asynclazy_claim *c, const char *detail)
{
	if (c->out_offset != ASYNCLAZY_NO_RECORD)
		return alz_error_record(alz_view_record(&cache->view, c->out_offset));
	return alz_error_flight(-c->out_error, detail, c->out_detail_size);
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

/** alz_answer_fill() - from a claim. Leaves ->wait and the text of FAILED alone */
static void alz_answer_fill(struct alazy_answer *a, struct alazy_cache *cache,
			    const struct asynclazy_claim *c, const char *detail)
{
	memset(a, 0, sizeof(*a));
	a->kind = c->out_result;
	a->fd = -1;
	alz_ok();
	switch (a->kind) {
	case ALAZY_ANSWER_HIT:
		alz_ref_fill(&a->ref, alz_view_record(&cache->view, c->out_offset));
		break;
	case ALAZY_ANSWER_FAILED:
		a->err = alz_claim_failed(cache, c, detail);
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

/** alz_answer_event() - the same from an event; its text, if any, in @detail */
void alz_answer_event(struct alazy_answer *a, struct alazy_cache *cache,
		      const struct asynclazy_event *e, const char *detail)
{
	struct asynclazy_claim c = {
		.out_result = e->result,
		.out_error = e->error,
		.out_detail_size = e->detail_size,
		.out_ticket = e->ticket,
		.out_generation = e->generation,
		.out_offset = e->offset,
		.out_attempt = e->attempt,
	};

	alz_answer_fill(a, cache, &c, detail);
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
	if (flags & ALAZY_CLAIM_EVENT && !fn)
		return alz_error(-EINVAL, "ALAZY_CLAIM_EVENT needs a callback: fn is NULL");
	return 0;
}

/* EVENT: registered before the claim, since another thread may dispatch. */
static int alz_claim_event(const struct alz_ask *ask, u32 flags, alazy_answer_fn fn,
			   struct alazy_answer *answer)
{
	struct alazy_wait *wait = alz_async_new(ask, ask->ctx, false);
	bool follow = flags & ALAZY_CLAIM_FOLLOW;
	char detail[ASYNCLAZY_DETAIL_MAX];
	struct asynclazy_claim c;
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
	err = alz_claim_call(ask, flags, 0, wait->cookie, detail, &c);
	if (err) {
		alz_async_drop(wait);
		return alz_claim_refused(ask, err);
	}
	if (c.out_result == ASYNCLAZY_RESULT_PENDING ||
	    (c.out_result == ASYNCLAZY_RESULT_TICKET && follow)) {
		alz_answer_fill(answer, ask->cache, &c, detail);
		answer->wait = wait;
		return 0;
	}
	alz_async_drop(wait);
	alz_answer_fill(answer, ask->cache, &c, detail);
	return 0;
}

ALZ_PUBLIC int alazy_claim(struct alazy_cache *cache, const void *key, size_t key_size,
			   uint32_t flags, uint64_t deadline_ns, alazy_answer_fn fn,
			   void *ctx, struct alazy_answer *answer)
{
	struct alz_ask ask = {
		.cache = cache, .key = key, .key_size = key_size, .ctx = ctx,
	};
	char detail[ASYNCLAZY_DETAIL_MAX];
	struct asynclazy_claim c;
	int err;

	if (alz_key_bad(cache, key, key_size))
		return alz_key_check(cache, key, key_size);
	err = alz_claim_check(flags, fn, answer);
	if (err)
		return err;
	ask.hash = alz_reader_hash(&cache->view, key, key_size);
	if (flags & ALAZY_CLAIM_EVENT)
		return alz_claim_event(&ask, flags, fn, answer);
	do {
		err = alz_claim_call(&ask, flags, deadline_ns, 0, detail, &c);
		if (err)
			return alz_claim_refused(&ask, err);
	} while (alz_claim_again(&c));
	alz_answer_fill(answer, cache, &c, detail);
	return 0;
}

ALZ_PUBLIC int alazy_wait_read(struct alazy_cache *cache, int fd,
			       struct alazy_answer *answer)
{
	struct alz_wait_event w;
	int err = -EBADF;

	if (alz_attached(cache))
		err = cache->backend->read_wait(cache, fd, &w);
	switch (err) {
	case 0:
		alz_answer_event(answer, cache, &w.event, w.detail);
		return 0;
	case -EAGAIN:
		return alz_error(err, "the wait goes on: poll the descriptor until it is readable");
	case -EOWNERDEAD:
		return alz_error(err, "the wait behind descriptor %d is of another process, or its "
				 "cache is closed: claim again", fd);
	default:
		return alz_error(err, "descriptor %d is no wait of this cache: give the one that "
				 "alazy_claim() made with ALAZY_CLAIM_FD", fd);
	}
}
