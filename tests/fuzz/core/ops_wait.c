// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Taking the outcome of a wait, and taking a wait back. */
#include <stdlib.h>

#include "world.h"

/* A cookie that is in use, mostly. */
static u64 cookie_of(const struct op *op, struct world_cache *c, int *client)
{
	const struct model *m = &c->model;
	int i, n = 0, list[M_WAITS];

	for (i = 0; i < m->waits; i++)
		if (m->wait[i].state != M_FREE && m->wait[i].kind == M_EVENT &&
		    !world.client[m->wait[i].client].dying)
			list[n++] = i;
	if (!n || op->a % 8 == 7)
		return op->b & 15;
	i = list[(op->b | op->c << 8) % n];
	*client = m->wait[i].client;
	return m->wait[i].cookie;
}

static void cancel_apply(struct run *r, bool last)
{
	(void)last;
	if (!r->applied)
		r->expect = m_cancel(&r->c->model, r->client, r->cookie);
}

void op_cancel(const struct op *op)
{
	int client = client_for(op);
	u64 cookie = cookie_of(op, cache_of(client), &client);
	struct run r = { .apply = cancel_apply, .cookie = cookie };

	trace("cancel: client %d cookie %llu", client, cookie);
	run_begin(&r, op, client);
	r.err = alz_cancel(world.client[client].core, cookie);
	run_end(&r);
	trace(" -> %d\n", r.err);
	fuzz_check(r.err == r.expect, "cancel returned %d, not %d", r.err, r.expect);
}

void op_fetch(const struct op *op)
{
	int client = client_for(op), i, w;
	struct world_cache *c = cache_of(client);
	struct model *m = &c->model;
	u64 cookie = cookie_of(op, c, &client);
	u32 room = op->d & 1 ? ASYNCLAZY_DETAIL_MAX : op->d, size = 0;
	char text[ASYNCLAZY_DETAIL_MAX + 1];
	bool take = op->d & 2;
	int err;

	/* one that has a text, if there is one */
	for (i = 0; i < m->waits && op->a & 1; i++) {
		if (m->wait[i].state == M_DETAIL && !world.client[m->wait[i].client].dying) {
			client = m->wait[i].client;
			cookie = m->wait[i].cookie;
		}
	}
	w = m_wait_find(m, client, cookie);
	memset(text, 0x5a, sizeof(text));
	err = alz_fetch(world.client[client].core, cookie, text, room, &size, take);
	trace("fetch: client %d cookie %llu, room for %u%s -> %d, %u\n", client, cookie, room,
	      take ? ", taken" : "", err, size);
	if (w < 0 || m->wait[w].state != M_DETAIL) {
		fuzz_check(err == -ENOENT, "fetch returned %d, and there is no text", err);
	} else {
		const struct m_flight *f = &m->flight[m->wait[w].flight];
		u32 n = room < f->detail_size ? room : f->detail_size;

		fuzz_check(!err && size == f->detail_size &&
			   !memcmp(text, f->detail, n) && text[n] == 0x5a,
			   "fetch returned %d, a text of %u bytes, not %u", err, size,
			   f->detail_size);
		if (take)
			m_drop(m, w);
	}
}

/* ---- events --------------------------------------------------------------- */

static void events_apply(struct run *r, bool last)
{
	(void)last;
	if (!r->applied)
		m_events_done(&r->c->model, r->client, r->kept);
}

static void expect_event(struct world_cache *c, const struct asynclazy_event *ev, int wait)
{
	struct m_wait *w = &c->model.wait[wait];
	struct m_answer a = m_outcome(&c->model, w);

	trace("  event: cookie %llu %s error %d generation %llu offset %#llx ticket %llu\n",
	      ev->cookie, result_name(ev->result), ev->error, ev->generation, ev->offset,
	      ev->ticket);
	fuzz_check(ev->cookie == w->cookie, "the event of cookie %llu comes before that of %llu",
		   ev->cookie, (u64)w->cookie);
	fuzz_check(ev->result == a.result && ev->error == a.error &&
		   ev->generation == a.generation && ev->offset == a.offset &&
		   ev->ticket == a.ticket && ev->attempt == a.attempt &&
		   ev->flags == (a.detail_size ? ASYNCLAZY_EVENT_DETAIL : 0) &&
		   ev->detail_size == a.detail_size && !ev->pad &&
		   ev->cache_id == c->model.cache_id,
		   "the event ought to be %s error %d generation %llu offset %#llx ticket %llu "
		   "attempt %u text %u", result_name(a.result), a.error, (u64)a.generation,
		   (u64)a.offset, (u64)a.ticket, a.attempt, a.detail_size);
	w->reported = true;
}

void op_events(const struct op *op)
{
	struct asynclazy_event ev[256];
	int client = client_for(op), list[M_WAITS], i, n;
	struct world_client *wc = &world.client[client];
	struct run r = { .apply = events_apply };
	u32 max = op->a & 3 ? ARRAY_SIZE(ev) : op->b % 8;
	u32 got;

	/* who reads excludes others that read */
	if (wc->reading)
		return;
	wc->reading = true;
	trace("events: client %d, room for %u\n", client, max);
	got = alz_events_copy(wc->core, ev, max);
	n = m_ready(&cache_of(client)->model, client, list);
	if (n > (int)max)
		n = max;
	for (i = 0; i < n && i < (int)got; i++)
		expect_event(cache_of(client), &ev[i], list[i]);
	fuzz_check((int)got == n, "%u events, not %d", got, n);

	/* between copying and taking: as if at a request for memory */
	r.kept = op->c % 8 != 7;	/* else the reader's buffer faulted */
	run_begin(&r, op, client);
	if (op->d & 1)
		fuzz_gap(GAP_MEMORY);
	alz_events_done(wc->core, r.kept);
	run_end(&r);
	trace("  %s\n", r.kept ? "taken" : "not taken");
	wc->reading = false;
}

/* ---- BLOCK, FD ------------------------------------------------------------- */

static struct side *side_pick(const struct op *op, u8 kind)
{
	int i, n = op->b % SIDES;

	for (i = 0; i < SIDES; i++, n = (n + 1) % SIDES)
		if (world.side[n] && world.side[n]->w.flight &&
		    world.side[n]->w.kind == kind && world.side[n]->cache >= 0)
			return world.side[n];
	/* an orphan has no flight any more */
	for (i = 0; i < SIDES && kind == ALZ_WAIT_FD; i++)
		if (world.side[i] && world.side[i]->w.state == ALZ_ORPHAN &&
		    world.side[i]->cache >= 0)
			return world.side[i];
	return NULL;
}

static void side_free(struct side *s)
{
	int i;

	for (i = 0; i < SIDES; i++)
		if (world.side[i] == s)
			world.side[i] = NULL;
	free(s);
}

static void finish_apply(struct run *r, bool last)
{
	struct model *m = &r->c->model;
	int i = m_wait_of(m, r->side);

	fuzz_check(last, "the end of a wait breathes");
	if (m->wait[i].state == M_WAITING) {
		m->count.cancels++;
		r->answer.err = r->error;
	} else {
		r->answer = m_outcome(m, &m->wait[i]);
	}
	m_drop(m, i);
}

static void finish(struct side *s, int reason)
{
	struct world_cache *c = &world.cache[s->cache];
	int client = c->model.wait[m_wait_of(&c->model, s)].client;
	struct run r = { .apply = finish_apply, .side = s, .error = reason };
	struct alz_answer a;

	trace("finish: client %d", client);
	memset(&a, 0xa5, sizeof(a));
	run_begin(&r, NULL, client);
	r.err = alz_wait_finish(world.client[client].core, &s->w, reason, 0, &a);
	run_end(&r);
	expect_answer("finish", r.err, &a, &r.answer);
	side_free(s);
}

void op_finish(const struct op *op)
{
	struct side *s = side_pick(op, ALZ_WAIT_BLOCK);

	if (s)
		finish(s, op->a & 1 ? -ETIMEDOUT : -EINTR);
}

void op_fd_answer(const struct op *op)
{
	struct side *s = side_pick(op, ALZ_WAIT_FD);
	bool report = op->a & 1;
	struct m_answer expect = { .result = ASYNCLAZY_RESULT_PENDING };
	struct alz_answer a;
	struct model *m;
	struct m_wait *w;

	if (!s)
		return;
	m = &world.cache[s->cache].model;
	w = &m->wait[m_wait_of(m, s)];
	if (w->state == M_ENDED || w->state == M_OFFERED) {
		expect = m_outcome(m, w);
		w->reported |= report;
	}
	trace("fd: of client %d%s", w->client, report ? ", reported" : "");
	memset(&a, 0xa5, sizeof(a));
	alz_wait_fd_answer(&world.cache[s->cache].core, &s->w, report, &a);
	expect_answer("fd", 0, &a, &expect);
}

static void fd_close_apply(struct run *r, bool last)
{
	struct model *m = &r->c->model;
	int i = m_wait_of(m, r->side);

	(void)last;
	if (r->applied)
		return;
	if (m->wait[i].state == M_WAITING)
		m->count.cancels++;
	if (m->wait[i].state == M_ORPHAN)
		m->wait[i].state = M_FREE;
	else if (m->wait[i].state == M_OFFERED && m->wait[i].reported)
		m_drop(m, i);
	else
		m_take_back(m, i);
}

static void fd_close(const struct op *op, struct side *s)
{
	struct world_cache *c = &world.cache[s->cache];
	struct run r = { .apply = fd_close_apply, .side = s, .c = c };

	trace("close: fd of client %d\n", c->model.wait[m_wait_of(&c->model, s)].client);
	run_begin(&r, op, -1);
	/* it is in this call alone: nobody else can name it */
	s->cache = -1;
	alz_wait_fd_close(&c->core, &s->w);
	run_end(&r);
	side_free(s);
}

void op_fd_close(const struct op *op)
{
	struct side *s = side_pick(op, ALZ_WAIT_FD);

	if (s)
		fd_close(op, s);
}

void side_end(struct side *s)
{
	if (s->w.kind == ALZ_WAIT_FD)
		fd_close(NULL, s);
	else
		finish(s, -EINTR);
}
