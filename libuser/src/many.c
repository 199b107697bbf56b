// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Get or initialise many keys in one call.
 *
 * First everything is claimed that nobody makes, without waiting, in one order for
 * all callers; then the initialiser runs, once for all the tickets; and only then is
 * waited for what others make. So nobody who waits holds a ticket, and two callers of
 * the same keys, in whatever order, cannot wait for one another.
 *
 * Each further ticket is claimed for the sake of the one before, as the initialiser
 * is over when all are: so cycles through any of them are found (kmod/core/cycle.c),
 * and a batch is admitted as one.
 */
#include <stdlib.h>

#include "lib.h"

/* One key of a call, beside its item. */
struct alz_one {
	struct alz_ask ask;
	struct alazy_item *item;
	struct alz_frame frame;		/* if it has a ticket */
	struct alazy_ref old;		/* REFRESH: what is there */
	bool has_old;
	bool done;
	int fd;				/* of a wait, or -1 */
};

struct alz_many {
	struct alazy_cache *cache;
	alazy_init_many_fn init;
	void *ctx;
	u64 deadline;
	size_t n;
	struct alz_one *ones;
	struct alz_one **order;		/* by hash and key */
	/* tickets that were granted and not run yet, and whose they are */
	struct alazy_ticket *tickets;
	struct alz_one **owners;
	size_t *which;
	size_t nr_tickets;
	size_t nr_done;
};

/* The callback of a single initialiser: says that this one can. */
static int alz_many_able(const struct alazy_ticket *ticket, const void *key, size_t key_size,
			 void *ctx)
{
	(void)ticket;
	(void)key;
	(void)key_size;
	(void)ctx;
	return -ENOSYS;
}

static void alz_one_end(struct alz_many *m, struct alz_one *one, int err,
			const struct alazy_ref *ref)
{
	if (one->has_old)
		alz_ref_drop(&one->old);
	one->has_old = false;
	one->done = true;
	m->nr_done++;
	one->item->err = err;
	if (ref)
		one->item->ref = *ref;
	else
		alz_ref_text(&one->item->ref);
}

static void alz_one_got(struct alz_many *m, struct alz_one *one, struct alz_got *got)
{
	if (got->err)
		alz_one_end(m, one, alz_got_error(got), NULL);
	else
		alz_one_end(m, one, 0, &got->ref);
}

static int alz_one_compare(const void *a, const void *b)
{
	const struct alz_ask *x = &(*(struct alz_one *const *)a)->ask;
	const struct alz_ask *y = &(*(struct alz_one *const *)b)->ask;
	size_t least = x->key_size < y->key_size ? x->key_size : y->key_size;
	int diff;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	diff = memcmp(x->key, y->key, least);
	if (!diff && x->key_size != y->key_size)
		diff = x->key_size < y->key_size ? -1 : 1;
	return diff;
}

/* The ticket is ours: its frame goes on top, so that the next one is its child. */
static void alz_many_granted(struct alz_many *m, struct alz_one *one,
			     const struct asynclazy_claim *c)
{
	struct alazy_ticket *ticket = &m->tickets[m->nr_tickets];

	alz_ticket_fill(ticket, m->cache, c->out_ticket, c->out_generation, c->out_attempt);
	m->owners[m->nr_tickets] = one;
	m->which[m->nr_tickets] = one->item - m->ones[0].item;
	m->nr_tickets++;
	alz_frame_begin(&one->frame, ticket, true);
}

/* What became of a ticket. Those that others ended are asked for again. */
static void alz_many_ended(struct alz_many *m, struct alz_one *one)
{
	struct alz_frame *frame = &one->frame;
	struct alz_got got;

	switch (frame->state) {
	case ALZ_FRAME_PUBLISHED:
		if (frame->ref.data)
			alz_one_end(m, one, 0, &frame->ref);
		return;
	case ALZ_FRAME_FAILED:
	case ALZ_FRAME_ABANDONED:
		/* what is stale is better than nothing */
		if (one->has_old && !alz_find(&one->ask, &got))
			alz_one_got(m, one, &got);
		else if (frame->state == ALZ_FRAME_FAILED)
			alz_one_end(m, one, alz_error_flight(frame->err, frame->detail,
							     frame->detail_size), NULL);
		else
			alz_one_end(m, one, -ECANCELED, NULL);
		return;
	case ALZ_FRAME_OVERTAKEN:
		return;
	default:
		/* it could not be ended: with the attachment it will be */
		alz_one_end(m, one, alz_error_backend(-EOWNERDEAD), NULL);
		return;
	}
}

/* Make what we have tickets for, in one call. */
static void alz_many_make(struct alz_many *m)
{
	size_t i, n = m->nr_tickets;
	int err;

	if (!n)
		return;
	m->nr_tickets = 0;
	alz_ok();
	err = m->init(m->tickets, m->which, n, m->ctx);
	for (i = n; i-- > 0;)
		alz_frame_end(&m->owners[i]->frame, &m->tickets[i], err);
	for (i = 0; i < n; i++)
		alz_many_ended(m, m->owners[i]);
}

/* Without a wait: the value, an error, a ticket; or somebody makes it. */
static void alz_many_claim(struct alz_many *m, struct alz_one *one)
{
	u32 flags = alz_ask_flags(&one->ask);
	char detail[ASYNCLAZY_DETAIL_MAX];
	struct asynclazy_claim c;
	struct alz_hold hold;
	struct alz_got got;
	int err;

	if (one->has_old)
		flags |= ASYNCLAZY_CLAIM_REFRESH;
	err = alz_claim_call(&one->ask, flags, 0, 0, detail, &c, &hold);
	if (!err && c.out_result == ASYNCLAZY_RESULT_TICKET) {
		alz_many_granted(m, one, &c);
		return;
	}
	if (!err && (c.out_result == ASYNCLAZY_RESULT_HIT ||
		     (c.out_result == ASYNCLAZY_RESULT_FAILED && !alz_claim_again(&c))) &&
	    !alz_claim_find(&one->ask, &c, detail, &hold, &got))
		alz_one_got(m, one, &got);
	else if (one->has_old) {
		struct alazy_ref old = one->old;

		one->has_old = false;
		alz_one_end(m, one, 0, &old);
	} else if (!err && c.out_result == ASYNCLAZY_RESULT_EMPTY) {
		alz_one_end(m, one, alz_get_empty(&one->ask), NULL);
	} else if (err && err != -EAGAIN && err != -EDQUOT) {
		/* of which the one means that it is not our turn yet */
		alz_one_end(m, one, alz_claim_refused(&one->ask, err), NULL);
	}
}

/* What readers find, and what is to be claimed in its order. Return: how many. */
static size_t alz_many_find(struct alz_many *m)
{
	size_t i, n = 0;

	for (i = 0; i < m->n; i++) {
		struct alz_one *one = &m->ones[i];
		struct alz_got got;
		int err = alz_find(&one->ask, &got);

		if (err == ALZ_MISS) {
			m->order[n++] = one;
		} else if (err) {
			alz_one_end(m, one, err, NULL);
		} else if (got.due && alz_ask_flags(&one->ask)) {
			one->old = got.ref;
			one->has_old = true;
			m->order[n++] = one;
		} else {
			alz_one_got(m, one, &got);
		}
	}
	qsort(m->order, n, sizeof(*m->order), alz_one_compare);
	return n;
}

/* ---- waiting for all ------------------------------------------------------- */

/* One is left over: it is made by others, or was. Wait; it may come to us after all. */
static void alz_many_wait(struct alz_many *m, struct alz_one *one)
{
	char detail[ASYNCLAZY_DETAIL_MAX];
	struct asynclazy_claim c;
	struct alz_hold hold;
	struct alz_got got;
	int err;

	while (!one->done) {
		err = alz_claim_call(&one->ask, ASYNCLAZY_CLAIM_BLOCK | alz_ask_flags(&one->ask),
				     m->deadline, 0, detail, &c, &hold);
		if (err) {
			alz_one_end(m, one, alz_claim_refused(&one->ask, err), NULL);
		} else if (c.out_result == ASYNCLAZY_RESULT_TICKET) {
			alz_many_granted(m, one, &c);
			alz_many_make(m);
		} else if (c.out_result == ASYNCLAZY_RESULT_EMPTY) {
			alz_one_end(m, one, alz_get_empty(&one->ask), NULL);
		} else if (!alz_claim_again(&c)) {
			err = alz_claim_find(&one->ask, &c, detail, &hold, &got);
			if (!err)
				alz_one_got(m, one, &got);
			else if (err != ALZ_MISS)
				alz_one_end(m, one, err, NULL);
		}
	}
}

/* ---- waiting for any ------------------------------------------------------- */

static void alz_any_leave(struct alz_many *m, struct alz_one *one)
{
	if (one->fd >= 0)
		m->cache->backend->end_wait(m->cache, one->fd);
	one->fd = -1;
}

/* A wait with a descriptor. Return: 0: it has one, or is done; a negative errno */
static int alz_any_enter(struct alz_many *m, struct alz_one *one)
{
	char detail[ASYNCLAZY_DETAIL_MAX];
	struct asynclazy_claim c;
	struct alz_hold hold;
	struct alz_got got;
	int err;

	err = alz_claim_call(&one->ask, ASYNCLAZY_CLAIM_FD | alz_ask_flags(&one->ask), 0, 0,
			     detail, &c, &hold);
	if (err)
		return err;
	switch (c.out_result) {
	case ASYNCLAZY_RESULT_PENDING:
		one->fd = c.out_fd;
		return 0;
	case ASYNCLAZY_RESULT_TICKET:
		alz_many_granted(m, one, &c);
		alz_many_make(m);
		return 0;
	case ASYNCLAZY_RESULT_EMPTY:
		alz_one_end(m, one, alz_get_empty(&one->ask), NULL);
		return 0;
	default:
		/* if it is gone again, another round asks again */
		if (!alz_claim_again(&c) &&
		    !alz_claim_find(&one->ask, &c, detail, &hold, &got))
			alz_one_got(m, one, &got);
		return 0;
	}
}

/* Its descriptor is readable. */
static void alz_any_read(struct alz_many *m, struct alz_one *one)
{
	struct asynclazy_claim c = { 0 };
	struct alz_wait_event w;
	struct alz_got got;
	int err = m->cache->backend->read_wait(m->cache, one->fd, &w);

	if (err == -EAGAIN)
		return;
	if (!err && w.event.result == ASYNCLAZY_RESULT_TICKET) {
		c.out_ticket = w.event.ticket;
		c.out_generation = w.event.generation;
		c.out_attempt = w.event.attempt;
		alz_many_granted(m, one, &c);
		alz_any_leave(m, one);
		alz_many_make(m);
		return;
	}
	if (!err)
		err = alz_event_got(m->cache, &w.event, w.detail, &got);
	alz_any_leave(m, one);
	if (err && err != ALZ_MISS)
		alz_one_end(m, one, alz_error_backend(err), NULL);
	else if (!err && got.err == -ESTALE && !got.ref.size)
		alz_ref_drop(&got.ref);
	else if (!err)
		alz_one_got(m, one, &got);
}

/* Until one of them is readable, or the deadline. Return: 0, -ETIMEDOUT */
static int alz_any_poll(struct alz_many *m, size_t n, struct pollfd *fds)
{
	size_t i, k = 0;
	int err;

	for (i = 0; i < n; i++)
		if (m->order[i]->fd >= 0)
			fds[k++] = (struct pollfd){ .fd = m->order[i]->fd, .events = POLLIN };
	err = alz_poll(fds, k, m->deadline);
	for (i = 0, k = 0; !err && i < n; i++)
		if (m->order[i]->fd >= 0 && fds[k++].revents)
			alz_any_read(m, m->order[i]);
	return err;
}

/*
 * Waits for all of them, or as many as there are descriptors for, and the quota allows.
 *
 * Return: 0: so it is; ALZ_MISS: not yet, or one is done; a negative errno
 */
static int alz_any_enter_all(struct alz_many *m, size_t n)
{
	bool waits = false, all = true;
	size_t i;
	int err;

	for (i = 0; i < n && !m->nr_done; i++) {
		err = m->order[i]->fd < 0 ? alz_any_enter(m, m->order[i]) : 0;
		if ((err == -EMFILE || err == -ENFILE || err == -EDQUOT) && waits)
			break;
		if (err)
			return err;
		waits |= m->order[i]->fd >= 0;
		all &= m->order[i]->fd >= 0;
	}
	return all && !m->nr_done ? 0 : ALZ_MISS;
}

/* All @n are made by others: wait until one is there. */
static int alz_many_any(struct alz_many *m, size_t n)
{
	struct pollfd *fds = calloc(n, sizeof(*fds));
	size_t i;
	int err = 0;

	while (fds && !m->nr_done && err >= 0) {
		err = alz_any_enter_all(m, n);
		if (!err)
			err = alz_any_poll(m, n, fds);
	}
	for (i = 0; i < n; i++)
		alz_any_leave(m, m->order[i]);
	free(fds);
	if (!fds)
		err = -ENOMEM;
	return m->nr_done ? 0 : err;
}

/* ---- the call --------------------------------------------------------------- */

static void alz_many_fini(struct alz_many *m)
{
	free(m->ones);
	free(m->order);
	free(m->tickets);
	free(m->owners);
	free(m->which);
}

static int alz_many_init(struct alz_many *m, struct alazy_item *items)
{
	size_t i;

	m->ones = calloc(m->n, sizeof(*m->ones));
	m->order = calloc(m->n, sizeof(*m->order));
	m->tickets = calloc(m->n, sizeof(*m->tickets));
	m->owners = calloc(m->n, sizeof(*m->owners));
	m->which = calloc(m->n, sizeof(*m->which));
	if (!m->ones || !m->order || !m->tickets || !m->owners || !m->which) {
		alz_many_fini(m);
		alz_error_backend(-ENOMEM);
		return -ENOMEM;
	}
	for (i = 0; i < m->n; i++) {
		struct alz_one *one = &m->ones[i];

		one->item = &items[i];
		one->fd = -1;
		one->ask = (struct alz_ask){
			m->cache, items[i].key, items[i].key_size,
			alz_reader_hash(&m->cache->view, items[i].key, items[i].key_size),
			m->init ? alz_many_able : NULL, NULL,
		};
		items[i].err = -EINPROGRESS;
		items[i].ref = (struct alazy_ref){ 0 };
	}
	return 0;
}

static int alz_many_check(struct alazy_cache *cache, const struct alazy_item *items, size_t n,
			  u32 flags)
{
	size_t i;
	int err;

	if (!cache || (n && !items))
		return alz_error(-EINVAL, "the %s NULL", cache ? "items are" : "cache is");
	if (flags & ~(u32)ALAZY_MANY_ANY)
		return alz_error(-EINVAL, "unknown flags 0x%x: ALAZY_MANY_ANY is 0x%x", flags,
				 ALAZY_MANY_ANY);
	if (n > INT32_MAX)
		return alz_error(-E2BIG, "%zu keys: 2147483647 at most", n);
	for (i = 0; i < n; i++) {
		err = alz_key_check(cache, items[i].key, items[i].key_size);
		if (err)
			return err;
	}
	return 0;
}

ALZ_PUBLIC int alazy_cache_get_many(struct alazy_cache *cache, struct alazy_item *items,
				    size_t n, alazy_init_many_fn init, void *ctx,
				    uint32_t flags, uint64_t deadline_ns)
{
	struct alz_many m = {
		.cache = cache, .init = init, .ctx = ctx, .deadline = deadline_ns, .n = n,
	};
	size_t i, missing, values = 0;
	int err = alz_many_check(cache, items, n, flags);

	if (err || !n)
		return err;
	err = alz_many_init(&m, items);
	if (err)
		return err;
	missing = alz_many_find(&m);
	for (i = 0; i < missing; i++)
		alz_many_claim(&m, m.order[i]);
	alz_many_make(&m);
	if (!(flags & ALAZY_MANY_ANY))
		for (i = 0; i < missing; i++)
			alz_many_wait(&m, m.order[i]);
	else if (missing && !m.nr_done)
		err = alz_many_any(&m, missing);
	for (i = 0; i < n; i++)
		values += !items[i].err;
	alz_many_fini(&m);
	if (err)
		return err == -ETIMEDOUT ?
			alz_error(err, "the deadline passed while others make all the values") :
			alz_error_backend(err);
	alz_ok();
	return values;
}
