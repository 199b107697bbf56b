// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Invalidating, dying, time, geometry. */
#include <stdlib.h>

#include "world.h"

static void invalidate_apply(struct run *r, bool last)
{
	struct model *m = &r->c->model;
	int f;

	(void)last;
	if (r->applied)
		return;
	if (m->client[r->client].dead) {
		r->expect = -EOWNERDEAD;
		return;
	}
	m->count.invalidates++;
	m->generation++;
	r->count = m_invalidate_entry(m, r->key, r->hash);
	f = m_flight_find(m, r->key, r->hash);
	if (f >= 0) {
		r->count++;
		m_invalidate_flight(m, f);
	}
}

void op_invalidate(const struct op *op)
{
	int client = client_for(op), key = op->key & world.key_mask;
	u64 hash = key_hash(cache_of(client), key, op->who >> 3 & 7);
	struct run r = { .apply = invalidate_apply, .key = key, .hash = hash };
	u32 key_size, count = ~0u;
	const void *bytes = key_bytes(key, &key_size);

	trace("invalidate: client %d key %d hash %#llx", client, key, hash);
	run_begin(&r, op, client);
	r.err = alz_invalidate(world.client[client].core, bytes, key_size, hash, &count);
	run_end(&r);
	trace(" -> %d, %u\n", r.err, count);
	fuzz_check(r.err == r.expect && count == r.count,
		   "invalidate returned %d, %u ended; not %d, %llu", r.err, count, r.expect,
		   r.count);
	check_key(cache_of(client), key, hash);
}

/* ---- clear ------------------------------------------------------------------ */

/* Whether the core still has the flight of before the CLEAR. */
static bool flight_untouched(const struct world_cache *c, const struct m_flight *f)
{
	u32 i;

	for (i = 0; i <= c->core.flight_mask; i++) {
		const struct alz_list *head = &c->core.by_key[i], *at;

		for (at = head->next; at != head; at = at->next) {
			const struct alz_flight *g = alz_entry(at, struct alz_flight, key_link);

			if (g->generation == f->generation && g->hash == f->hash)
				return true;
		}
	}
	return false;
}

/* In which order flights are cleared is the core's own affair: look. */
static int clear_order(const struct world_cache *c, int *order)
{
	int n = 0, k;
	u32 i;

	for (i = 0; i <= c->core.flight_mask; i++) {
		const struct alz_list *head = &c->core.by_key[i], *at;

		for (at = head->next; at != head; at = at->next) {
			const struct alz_flight *g = alz_entry(at, struct alz_flight, key_link);

			for (k = 0; k < c->model.flights; k++)
				if (c->model.flight[k].running &&
				    c->model.flight[k].ticket == g->ticket)
					order[n++] = k;
		}
	}
	return n;
}

/* What it has done so far, or, at the end, all of it. */
static void clear_apply(struct run *r, bool last)
{
	struct world_cache *c = r->c;
	struct model *m = &c->model;
	int i;

	if (m->client[r->client].dead && !r->applied) {
		r->expect = -EOWNERDEAD;
		return;
	}
	if (!r->applied) {
		m->count.invalidates++;
		r->mark = ++m->generation;
	}
	for (i = 0; i < r->orders; i++) {
		struct m_flight *f = &m->flight[r->order[i]];

		if (!f->running || f->generation > r->mark ||
		    (!last && flight_untouched(c, f)))
			continue;
		r->count++;
		m_invalidate_flight(m, r->order[i]);
		run_tell(c, false);
	}
	for (i = 0; i < m->entries; i++) {
		struct m_entry *e = &m->entry[i];

		if (!e->used || e->generation > r->mark || (!last && in_table(c, e)))
			continue;
		r->count++;
		m_entry_forget(m, i);
	}
}

void op_clear(const struct op *op)
{
	int client = client_for(op), order[M_FLIGHTS];
	struct world_cache *c = cache_of(client);
	struct run r = { .apply = clear_apply, .order = order };
	u64 count = ~0ULL;
	bool inner = c->clear;

	r.orders = clear_order(c, order);
	trace("clear: client %d", client);
	run_begin(&r, op, client);
	if (!inner)
		c->clear = &r;
	r.err = alz_clear(world.client[client].core, &count);
	run_end(&r);
	if (!inner)
		c->clear = NULL;
	trace(" -> %d, %llu\n", r.err, count);
	fuzz_check(r.err == r.expect, "clear returned %d, not %d", r.err, r.expect);
	fuzz_check(count >= r.count && count <= r.count + r.unsure,
		   "clear ended %llu, not %llu", count, r.count);
}

/* ---- death ------------------------------------------------------------------ */

static void die_apply(struct run *r, bool last)
{
	struct model *m = &r->c->model;
	struct alz_client *core = world.client[r->client].core;
	int i;

	if (m->client[r->client].dead && !r->applied)
		return;
	m->client[r->client].dead = true;
	for (i = 0; i < m->waits; i++) {
		struct m_wait *w = &m->wait[i];

		if (w->state == M_FREE || w->state == M_ORPHAN || w->client != r->client)
			continue;
		if (w->kind == M_EVENT) {
			m_drop(m, i);
		} else if (last || ((struct side *)w->side)->w.state == ALZ_ORPHAN) {
			m_drop(m, i);
			w->state = M_ORPHAN;
		}
	}
	/* the tickets, in the order in which they were granted */
	while (m_tickets_of(m, r->client) > (last ? 0 : core->nr_tickets)) {
		m->count.deaths++;
		m_hand_over(m, m_flight_oldest(m, r->client), EOWNERDEAD);
		run_tell(r->c, false);
	}
}

static void die(const struct op *op, int client, bool leave)
{
	struct world_client *wc = &world.client[client];
	struct run r = { .apply = die_apply };
	bool was_dead = wc->core->dead;
	int i;

	held_abort(client);
	for (i = 0; i < SIDES; i++)
		if (world.side[i] && world.side[i]->w.kind == ALZ_WAIT_BLOCK &&
		    world.side[i]->w.client == wc->core)
			side_end(world.side[i]);
	trace("die: client %d%s\n", client, leave ? ", and leave" : "");
	run_begin(&r, op, client);
	wc->dying = true;
	if (leave)
		alz_client_detach(wc->core);
	else
		alz_client_die(wc->core);
	run_end(&r);
	wc->dying = false;
	fuzz_check(wc->readable || was_dead, "a dead client is not readable");
	if (leave)
		client_free(client);
}

void client_die(int client)
{
	die(NULL, client, true);
}

void op_die(const struct op *op)
{
	int client = client_for(op);

	/* a process that dies is in no call */
	if (!world.client[client].busy && !world.client[client].reading)
		die(op, client, op->a & 3);
}

/* ---- the rest --------------------------------------------------------------- */

void op_time(const struct op *op)
{
	static const u64 steps[] = { 1, 1000, 1000000, ALZ_NSEC_PER_SEC,
		5 * ALZ_NSEC_PER_SEC, 60 * ALZ_NSEC_PER_SEC };
	u64 now = fuzz_os.now, then = now + steps[op->b % ARRAY_SIZE(steps)];
	int i, k, skip = op->b;

	/* to the end of some record, or just before it, or just after */
	for (i = 0; i < world.caches && op->a & 3; i++) {
		const struct model *m = &world.cache[i].model;

		for (k = 0; k < m->entries; k++) {
			const struct m_entry *e = &m->entry[k];

			if (e->used && e->timed && e->dead_until > now &&
			    e->dead_until - now < 1000 * ALZ_NSEC_PER_SEC && skip-- >= 0)
				then = e->dead_until + op->c % 3 - 1;
		}
	}
	if (then < now || then > ASYNCLAZY_NEVER - 3)
		return;
	trace("time: %llu, by %llu\n", then, then - now);
	fuzz_os.now = then;
	for (i = 0; i < world.caches; i++)
		world.cache[i].model.now = then;
}

/* Which geometries there can be, and running out of memory while one is made. */
void op_geometry(const struct op *op)
{
	struct alz_geometry g = {
		.hash_seed = op->d, .cache_id = 9, .flags = ASYNCLAZY_CREATE_STABLE,
	};
	static struct fuzz_arena arena;
	struct alz_cache cache;
	u64 segment;
	bool valid;
	long live = fuzz_os.live;
	int err;

	op_odd_geometry(op, &g);
	segment = g.segment_size;
	valid = g.max_keys && g.max_keys <= 1ULL << 32 && g.arena_size &&
		g.arena_size <= 1ULL << 43 && !(segment & (segment - 1)) &&
		(!segment || (segment >= 65536 && segment <= 64 << 20)) &&
		(!segment || g.arena_size / segment <= 1 << 20);
	err = alz_geometry_check(&g);
	trace("geometry: %llu keys, %llu bytes in segments of %llu -> %d\n", g.max_keys,
	      g.arena_size, g.segment_size, err);
	fuzz_check(err == (valid ? 0 : -EINVAL), "the geometry is %s",
		   err ? "refused" : "accepted");
	if (err)
		return;
	/* a run of no client's: what fails here fails in this cache's making */
	memset(&cache, 0, sizeof(cache));
	fuzz_arena_init(&arena);
	{
		unsigned int fail_at = fuzz_os.fail_at, requests = fuzz_os.requests;
		unsigned int failed = fuzz_os.failed;
		struct run *run = world.run;

		world.run = NULL;
		fuzz_os.fail_at = op->fault & 15;
		fuzz_os.requests = 0;
		fuzz_os.failed = 0;
		err = alz_cache_init(&cache, &g, &arena);
		fuzz_check(err == (fuzz_os.failed ? -ENOMEM : 0), "init returned %d", err);
		fuzz_os.fail_at = fail_at;
		fuzz_os.requests = requests;
		fuzz_os.failed = failed;
		world.run = run;
	}
	if (!err) {
		check_header(cache.header, &g);
		fuzz_check(alz_geometry_bytes(&g) ==
			   cache.header->table_size + cache.header->arena_size,
			   "%llu bytes to charge", alz_geometry_bytes(&g));
		alz_cache_fini(&cache);
	}
	fuzz_check(fuzz_os.live == live, "a cache that is unmade leaves memory");
}

/* What the library's reader finds, of all keys. */
void op_read(const struct op *op)
{
	struct world_cache *c = &world.cache[(op->who >> 6) % world.caches];
	struct model *m = &c->model;
	int i;

	trace("read all\n");
	for (i = 0; i < m->entries; i++)
		if (m->entry[i].used)
			check_key(c, m->entry[i].key, m->entry[i].hash);
	for (i = 0; i < m->flights; i++)
		if (m->flight[i].running)
			check_key(c, m->flight[i].key, m->flight[i].hash);
	for (i = 0; i < 8; i++)
		check_key(c, (op->key + i) % KEYS, key_hash(c, (op->key + i) % KEYS,
							    op->who >> 3 & 7));
}
