// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Calls that end a flight, or set a value whatever the state. */
#include "world.h"

/* Each value begins elsewhere; the same input always writes the same. */
static const u8 *next_value(void)
{
	return value_bytes(world.at + 7 * fuzz_os.stores);
}

/* A refused ticket: which of the two is not clear if the number is no ticket's. */
static void expect_refused(struct run *r)
{
	if (r->expect == -ESTALE && m_ticket_unclear(&r->c->model, r->ticket) &&
	    r->err == -ENOENT)
		r->expect = -ENOENT;
	if (r->expect == -ESTALE)
		r->c->model.count.stale++;
}

static struct held *held_free(void)
{
	int i;

	for (i = 0; i < HELDS; i++)
		if (world.held[i].state == HELD_FREE)
			return &world.held[i];
	return NULL;
}

static void begin_apply(struct run *r, bool last)
{
	struct model *m = &r->c->model;
	u32 key_size;
	int f;

	fuzz_check(last, "a begin breathes");
	key_bytes(r->key, &key_size);
	r->expect = r->owned;
	m->room_busy = r->c->core.arena.room_lock.held;
	if (!r->owned)
		r->expect = m_reserve(m, key_size, &r->held->m, fuzz_os.failed);
	if (!r->expect && !r->held->is_set) {
		/* it may have been overtaken while memory was taken */
		r->expect = m_owned(m, r->client, r->ticket, &f);
		if (r->expect)
			m_give_back(m, &r->held->m);
		else
			r->held->m.generation = m->flight[f].generation;
	}
	if (r->expect == -ESTALE || r->expect == -ENOENT)
		expect_refused(r);
}

/* Room for a value: @h is filled on 0. */
static int begin(const struct op *op, int client, struct held *h, u64 ticket, int key,
		 u64 hash, u64 ttl)
{
	struct run r = {
		.apply = begin_apply, .held = h, .ticket = ticket, .key = key, .hash = hash,
	};
	struct world_cache *c = cache_of(client);
	struct model *m = &c->model;
	const struct alz_ttl times = { .ttl = ttl };
	u32 key_size;
	const void *bytes;
	int f;

	if (h->is_set) {
		r.owned = m->client[client].dead ? -EOWNERDEAD : 0;
	} else {
		r.owned = m_owned(m, client, ticket, &f);
		if (!r.owned) {
			r.key = m->flight[f].key;
			r.hash = m->flight[f].hash;
		}
	}
	bytes = key_bytes(r.key, &key_size);
	h->client = client;
	h->m = (struct m_reservation){ .key = r.key, .hash = r.hash, .ticket = ticket,
				       .ttl = ttl };
	h->m.size = op_value_size(c, key_size, op->c, op->d, ttl);
	h->m.bytes = next_value();
	memset(&h->r, 0xa5, sizeof(h->r));
	run_begin(&r, op, client);
	if (h->is_set) {
		trace("set: client %d key %d hash %#llx, %llu bytes, ttl %llu", client, key,
		      hash, (u64)h->m.size, ttl);
		r.err = alz_set_begin(world.client[client].core, bytes, key_size, hash,
				      h->m.size, &times, &h->r);
	} else {
		trace("publish: client %d ticket %llu, %llu bytes, ttl %llu", client, ticket,
		      (u64)h->m.size, ttl);
		r.err = alz_publish_begin(world.client[client].core, ticket, h->m.size, &times,
					  &h->r);
	}
	run_end(&r);
	trace(" -> %d\n", r.err);
	fuzz_check(r.err == r.expect, "begin returned %d, not %d", r.err, r.expect);
	if (r.err)
		return r.err;
	fuzz_check(h->r.offset == h->m.offset && h->r.value_size == h->m.size &&
		   (u8 *)h->r.value == c->arena.bytes + h->m.offset + m_value_at(key_size),
		   "room at %#llx, not %#llx", h->r.offset, (u64)h->m.offset);
	return 0;
}

static void commit_apply(struct run *r, bool last)
{
	struct model *m = &r->c->model;
	struct held *h = r->held;
	int f;

	(void)last;
	if (r->applied)
		return;
	if (h->is_set) {
		absorb_vanished(r->c, h->m.key, h->m.hash);
		if (r->no_room)
			check_no_room(r->c, h->m.hash);
		r->expect = m_set(m, &h->m, r->no_room);
	} else {
		r->expect = m_owned(m, r->client, r->ticket, &f);
		if (!r->expect)
			m_publish(m, f, &h->m);
		else
			expect_refused(r);
	}
	if (r->expect)
		m_give_back(m, &h->m);
}

static void commit(const struct op *op, struct held *h)
{
	struct run r = {
		.apply = commit_apply, .held = h, .ticket = h->m.ticket, .linking = &h->m,
	};
	struct world_cache *c = cache_of(h->client);

	memcpy(h->r.value, h->m.bytes, h->m.size);
	trace("commit: client %d key %d at %#llx", h->client, h->m.key, (u64)h->m.offset);
	run_begin(&r, op, h->client);
	r.err = alz_publish_commit(world.client[h->client].core, &h->r);
	r.no_room = r.err == -ENOSPC;
	run_end(&r);
	trace(" -> %d\n", r.err);
	fuzz_check(r.err == r.expect, "commit returned %d, not %d", r.err, r.expect);
	if (r.err)
		check_given_back(c, &h->m);
	check_key(c, h->m.key, h->m.hash);
}

static void give_up(struct held *h)
{
	struct world_cache *c = cache_of(h->client);

	trace("give up: client %d key %d at %#llx\n", h->client, h->m.key, (u64)h->m.offset);
	/* some of it was written already */
	memcpy(h->r.value, h->m.bytes, h->m.size / 2);
	alz_publish_abort(&h->r);
	m_give_back(&c->model, &h->m);
	check_given_back(c, &h->m);
}

static void end_held(const struct op *op, struct held *h)
{
	if (op->a >> 4 == 15)
		give_up(h);
	else
		commit(op, h);
}

void op_publish(const struct op *op)
{
	int client = client_for(op);
	u64 ticket = op_ticket(op, cache_of(client), &client);
	struct held h = { .is_set = false };

	if (!begin(op, client, &h, ticket, 0, 0, op_ttl(cache_of(client), op->a)))
		end_held(op, &h);
}

void op_set(const struct op *op)
{
	int client = client_for(op), key = op->key & world.key_mask;
	struct held h = { .is_set = true };

	if (!begin(op, client, &h, 0, key, key_hash(cache_of(client), key, op->who >> 3 & 7),
		   op_ttl(cache_of(client), op->a)))
		end_held(op, &h);
}

/* Many small values: to fill the table. */
void op_set_many(const struct op *op)
{
	struct op one = *op;
	int i;

	one.code = 0;
	one.c = 20;
	one.fault = 0;
	for (i = 0; i < op->d % 64; i++, one.key++) {
		int client = client_for(op), key = one.key;
		struct held h = { .is_set = true };

		if (world_full())
			return;
		if (!begin(&one, client, &h, 0, key,
			   key_hash(cache_of(client), key, op->who >> 3 & 7),
			   op_ttl(cache_of(client), op->a)))
			commit(&one, &h);
	}
}

/* A begin whose commit comes later, after other calls. */
void op_begin(const struct op *op)
{
	int client = client_for(op), key = op->key & world.key_mask;
	struct held *h = held_free();
	u64 ticket = 0;

	if (!h)
		return;
	h->is_set = op->a & 16;
	if (!h->is_set)
		ticket = op_ticket(op, cache_of(client), &client);
	h->state = HELD_BUSY;
	h->state = begin(op, client, h, ticket, key,
			 key_hash(cache_of(client), key, op->who >> 3 & 7),
			 op_ttl(cache_of(client), op->a)) ? HELD_FREE : HELD_OPEN;
}

void op_commit(const struct op *op)
{
	int i, n = op->b % HELDS;

	for (i = 0; i < HELDS; i++, n = (n + 1) % HELDS) {
		struct held *h = &world.held[n];

		if (h->state != HELD_OPEN)
			continue;
		h->state = HELD_BUSY;
		end_held(op, h);
		h->state = HELD_FREE;
		return;
	}
}

/* A client that dies is in no call: its reservations have ended. */
void held_abort(int client)
{
	int i;

	for (i = 0; i < HELDS; i++) {
		if (world.held[i].state != HELD_OPEN || world.held[i].client != client)
			continue;
		give_up(&world.held[i]);
		world.held[i].state = HELD_FREE;
	}
}

/* ---- fail, abandon -------------------------------------------------------- */

/* Whose ticket it is, and of which key: if it is one. */
static void fail_look(struct run *r)
{
	const struct model *m = &r->c->model;
	int f;

	r->owned = m_owned(m, r->client, r->ticket, &f);
	r->made.key = r->owned ? 0 : m->flight[f].key;
	r->made.hash = r->owned ? 0 : m->flight[f].hash;
}

/*
 * The first request for memory is for the text, before the ticket is looked at:
 * who came in meanwhile may have ended it, or made it one.
 */
static void fail_came_in(struct run *r)
{
	if (r->made.size && !fuzz_os.requests)
		fail_look(r);
	r->made.published = r->c->model.now;
}

static void fail_apply(struct run *r, bool last)
{
	bool no_text = r->made.size && fuzz_os.fail_at == 1;
	struct model *m = &r->c->model;
	bool room = false;
	int f = -1;

	(void)last;
	if (r->applied)
		return;
	r->expect = no_text ? -ENOMEM : r->owned;
	if (!r->expect) {
		u32 key_size;

		key_bytes(r->made.key, &key_size);
		m->room_busy = r->c->core.arena.room_lock.held;
		if (r->class != ASYNCLAZY_FAIL_TRANSIENT)
			room = !m_reserve(m, key_size, &r->made, fuzz_os.failed);
		r->expect = m_owned(m, r->client, r->ticket, &f);
		if (r->expect && room)
			m_give_back(m, &r->made);
	}
	if (!r->expect) {
		r->kept = room;
		m_fail(m, f, r->error, r->made.bytes, r->made.size, room ? &r->made : NULL);
	} else if (r->expect != -ENOMEM) {
		expect_refused(r);
	}
}

void op_fail(const struct op *op)
{
	static const s32 errors[] = { EIO, 1, 4095, ENOENT, 0, 4096, -EIO };
	static const u16 details[] = { 0, 4, 1, 255, 256, 40, 257, 64 };
	static const u64 ttls[] = { 0, 0, 1, 1000, ALZ_NSEC_PER_SEC, ASYNCLAZY_NEVER,
		ASYNCLAZY_NEVER - 1 };
	int client = client_for(op);
	u64 ticket = op_ticket(op, cache_of(client), &client);
	s32 error = errors[op->a & 7 ? (op->a & 7) % 4 : op->a / 8 % 7];
	u32 class = op->c % 16 == 15 ? 3 : op->c % 3;
	u32 size = details[op->d % ARRAY_SIZE(details)];
	u64 ttl = class == ASYNCLAZY_FAIL_NEGATIVE || op->c % 32 == 31 ?
		ttls[op->c / 16 % ARRAY_SIZE(ttls)] : 0;
	struct run r = {
		.apply = fail_apply, .came_in = fail_came_in, .c = cache_of(client),
		.client = client, .ticket = ticket, .error = error, .class = class,
		.made = {
			.bytes = next_value(), .size = size, .ttl = ttl,
			.published = cache_of(client)->model.now,
		},
	};
	bool kept = true;

	fail_look(&r);
	if (class == ASYNCLAZY_FAIL_NEGATIVE && !ttl)
		r.made.ttl = 5 * ALZ_NSEC_PER_SEC;
	r.linking = &r.made;
	trace("fail: client %d ticket %llu error %d class %u ttl %llu, text of %u", client,
	      ticket, error, class, ttl, size);
	if (error < 1 || error > 4095 || class > 2 || size > 256 || (ttl && class != 1)) {
		r.err = alz_fail(world.client[client].core, ticket, error, class, ttl,
				 r.made.bytes, size, &kept);
		trace(" -> %d\n", r.err);
		fuzz_check(r.err == -EINVAL && !kept, "a malformed failure: %d", r.err);
		return;
	}
	run_begin(&r, op, client);
	r.err = alz_fail(world.client[client].core, ticket, error, class, ttl, r.made.bytes,
			 size, &kept);
	run_end(&r);
	trace(" -> %d%s\n", r.err, kept ? ", kept" : "");
	fuzz_check(r.err == r.expect, "fail returned %d, not %d", r.err, r.expect);
	fuzz_check(kept == r.kept, "the error is %s", kept ? "kept" : "not kept");
	if (!r.err)
		check_key(cache_of(client), r.made.key, r.made.hash);
}

static void abandon_apply(struct run *r, bool last)
{
	struct model *m = &r->c->model;
	int f;

	(void)last;
	if (r->applied)
		return;
	r->expect = m_owned(m, r->client, r->ticket, &f);
	if (r->expect) {
		expect_refused(r);
		return;
	}
	m->count.abandons++;
	m_hand_over(m, f, ECANCELED);
}

void op_abandon(const struct op *op)
{
	int client = client_for(op);
	u64 ticket = op_ticket(op, cache_of(client), &client);
	struct run r = { .apply = abandon_apply, .ticket = ticket };

	trace("abandon: client %d ticket %llu", client, ticket);
	run_begin(&r, op, client);
	r.err = alz_abandon(world.client[client].core, ticket);
	run_end(&r);
	trace(" -> %d\n", r.err);
	fuzz_check(r.err == r.expect, "abandon returned %d, not %d", r.err, r.expect);
}
