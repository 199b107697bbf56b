// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Running an input: the caches, who comes in at gaps, what is compared when. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "world.h"

struct world world;
static bool has_memory[2][M_SEGMENTS];

/* ---- telling -------------------------------------------------------------- */

void trace(const char *format, ...)
{
	va_list args;

	if (!world.trace)
		return;
	va_start(args, format);
	/* what begins with a blank goes on with the line */
	if (*format != ' ' && *format != '\n')
		fprintf(stderr, "%*s", 2 + 4 * (world.depth > 1), "");
	vfprintf(stderr, format, args);
	va_end(args);
}

/* The calls that led to it are shown by making them again. */
void fuzz_fail(const char *format, ...)
{
	static bool again;
	va_list args;

	va_start(args, format);
	fprintf(stderr, again ? "\n  -> " : "core_fuzz: mismatch: ");
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	if (!again && !world.trace) {
		again = true;
		fprintf(stderr, "core_fuzz: in %s, the calls:\n", world.name);
		world.trace = true;
		world_run(world.input, world.size);
	}
	abort();
}

/* ---- clients -------------------------------------------------------------- */

struct world_cache *cache_of(int client)
{
	return &world.cache[world.client[client].cache];
}

static void client_attach(int client, int cache)
{
	static const u32 waits[] = { 1 << 20, 1 << 20, 4, 1 }, tickets[] = { 1 << 20, 3 };
	struct world_client *wc = &world.client[client];

	*wc = (struct world_client){ .cache = cache, .core = calloc(1, sizeof(*wc->core)) };
	fuzz_check(wc->core, "out of memory");
	wc->core->max_waits = waits[(world.quota + client) % 4];
	wc->core->max_tickets = tickets[(world.quota >> 2) + client == 2];
	trace("attach: client %d to cache %d, at most %llu waits, %llu tickets\n", client,
	      cache, wc->core->max_waits, wc->core->max_tickets);
	alz_client_attach(wc->core, &world.cache[cache].core);
	m_attach(&world.cache[cache].model, client, wc->core->max_waits,
		 wc->core->max_tickets);
}

/* The client that an operation names, attached if it was not. */
int client_for(const struct op *op)
{
	int i = (op->who & 7) % M_CLIENTS;

	while (world.client[i].dying)
		i = (i + 1) % M_CLIENTS;
	if (!world.client[i].core)
		client_attach(i, (op->who >> 6) % world.caches);
	return i;
}

/* A dead client leaves its cache. */
void client_free(int client)
{
	struct world_client *wc = &world.client[client];

	cache_of(client)->model.client[client].attached = false;
	free(wc->core);
	wc->core = NULL;
}

void fuzz_readable(struct alz_client *client, bool more)
{
	int i;

	for (i = 0; i < M_CLIENTS; i++)
		if (world.client[i].core == client)
			world.client[i].readable = more;
}

/* ---- one call -------------------------------------------------------------- */

static struct world_cache *cache_with(const u64 *slot)
{
	int i;

	for (i = 0; i < world.caches; i++) {
		struct alz_cache *c = &world.cache[i].core;

		if (slot >= c->slots && slot < c->slots + 8 * (c->bucket_mask + 1))
			return &world.cache[i];
	}
	return NULL;
}

/* At the very store, what a slot links to must be complete. */
void fuzz_stored(const u64 *slot, u64 word)
{
	const struct m_reservation *r = world.run ? world.run->linking : NULL;
	struct world_cache *c = cache_with(slot);
	u64 offset = word >> 27 << 6;
	struct m_entry e;
	int i;

	fuzz_check(c, "a slot of no cache is stored");
	if (!(word & ASYNCLAZY_SLOT_FILLED)) {
		fuzz_check(offset == 0, "a slot without a record has an offset");
		return;
	}
	for (i = 0; i < c->model.entries; i++) {
		if (c->model.entry[i].used && c->model.entry[i].offset == offset) {
			check_record(c, offset, &c->model.entry[i], true);
			return;
		}
	}
	fuzz_check(r, "a slot is stored that links to a record which nobody wrote");
	e = (struct m_entry){
		.key = r->key, .hash = r->hash, .bytes = r->bytes, .size = r->size,
		.is_error = world.run->error, .error = world.run->error,
		.timed = m_ttl_ends(r->ttl), .published = r->published,
	};
	e.dead_until = r->ttl > ASYNCLAZY_NEVER - r->published ? ASYNCLAZY_NEVER :
		r->published + r->ttl;
	check_record(c, offset, &e, true);
}

/*
 * A segment is given memory. The model knows which one it must be, except where
 * others came in: they may have made room before it, so that it is for later.
 */
void fuzz_grown(struct fuzz_arena *arena, u32 index)
{
	int i;

	for (i = 0; i < world.caches; i++)
		if (arena == &world.cache[i].arena && world.run && world.run->nested)
			m_grown(&world.cache[i].model, index);
}

/*
 * The core's wake-ups since the last time, one by one beside the model's; unless
 * @all, only as many as the model has by now.
 */
void run_tell(struct world_cache *c, bool all)
{
	struct model *m = &c->model;
	unsigned int i;
	int k;

	for (i = 0; i < fuzz_os.tolds; i++) {
		struct told *t = &fuzz_os.told[i];
		int due = m_due(m);
		struct m_wait *w = &m->wait[due < 0 ? 0 : due];

		if (due < 0 && !all)
			break;
		if (t->client) {
			for (k = 0; k < M_CLIENTS && world.client[k].core != t->client; k++)
				;
			fuzz_check(k < M_CLIENTS, "a client is told that is gone");
			if (m->client[k].dead)
				continue;
			fuzz_check(due >= 0 && w->kind == M_EVENT && w->client == k,
				   "client %d is told, and %s%d is due", k,
				   due < 0 ? "nobody " : "a wait of client ",
				   due < 0 ? 0 : w->client);
		} else {
			k = m_wait_of(m, t->waiter);
			fuzz_check(k >= 0, "a waiter is woken that is not there");
			if (m->wait[k].state == M_ORPHAN)
				continue;
			fuzz_check(due == k, "a waiter of client %d is woken, not the one "
				   "whose turn it is", m->wait[k].client);
		}
		m_told(m, due);
	}
	fuzz_os.tolds -= i;
	memmove(fuzz_os.told, fuzz_os.told + i, fuzz_os.tolds * sizeof(fuzz_os.told[0]));
}

static void run_settle(struct run *r, bool last)
{
	r->apply(r, last);
	r->applied = true;
	run_tell(r->c, true);
}

void run_begin(struct run *r, const struct op *op, int client)
{
	r->outer = world.run;
	r->op = op;
	r->client = client;
	if (client >= 0) {
		r->c = cache_of(client);
		world.client[client].busy++;
	}
	r->nests = op && !r->outer ? op->fault >> 4 & 3 : 0;
	r->fail_at = fuzz_os.fail_at;
	r->requests = fuzz_os.requests;
	r->failed = fuzz_os.failed;
	fuzz_os.fail_at = op ? op->fault & 15 : 0;
	fuzz_os.requests = 0;
	fuzz_os.failed = 0;
	world.run = r;
	world.depth++;
}

/* The model has done it too, and nobody was forgotten. */
void run_end(struct run *r)
{
	int due;

	run_settle(r, true);
	due = m_due(&r->c->model);
	fuzz_check(due < 0, "a waiter of client %d is not told", r->c->model.wait[due].client);
	world.run = r->outer;
	world.depth--;
	if (r->client >= 0)
		world.client[r->client].busy--;
	fuzz_os.fail_at = r->fail_at;
	fuzz_os.requests = r->requests;
	fuzz_os.failed = r->failed;
}

bool next_op(struct op *op)
{
	if (world.at + sizeof(*op) > world.size)
		return false;
	memcpy(op, world.input + world.at, sizeof(*op));
	world.at += sizeof(*op);
	return true;
}

static void park(bool parked)
{
	int i, k;

	for (i = 0; i < world.caches; i++)
		for (k = 0; k < world.cache[i].model.waits; k++)
			if (world.cache[i].model.wait[k].due)
				world.cache[i].model.wait[k].parked = parked;
}

/* The core has let go of its lock: another call comes in. */
void fuzz_gap(enum gap gap)
{
	struct run *r = world.run;
	struct op op;

	if (!r || !r->nests || !next_op(&op))
		return;
	r->nests--;
	r->nested = true;
	if (gap == GAP_BREATH)
		run_settle(r, false);
	park(true);
	trace(" [\n");
	op_do(&op);
	trace("  ] ");
	park(false);
	if (gap == GAP_MEMORY && r->came_in)
		r->came_in(r);
}

/* ---- the whole -------------------------------------------------------------- */

static void cache_begin(int i, u8 keys, u8 arena)
{
	struct world_cache *c = &world.cache[i];
	struct alz_geometry g = {
		.hash_seed = 0x1234567 + i, .secret = 0x7654321, .cache_id = i + 1,
		.flags = ASYNCLAZY_CREATE_STABLE,
	};
	const struct asynclazy_header *h;

	op_cache_geometry(keys, arena, &g);
	trace("cache %d: %llu keys, %llu bytes in segments of %llu\n", i, g.max_keys,
	      g.arena_size, g.segment_size);
	memset(&c->core, 0, sizeof(c->core));
	memset(c->arena.used, 0, sizeof(c->arena.used));
	c->clear = NULL;
	c->checked = 0;
	fuzz_arena_init(&c->arena);
	fuzz_check(alz_geometry_check(&g) == 0, "the geometry is refused");
	fuzz_check(alz_cache_init(&c->core, &g, &c->arena) == 0, "no cache");
	h = c->core.header;
	check_header(h, &g);
	fuzz_check(alz_geometry_bytes(&g) == h->table_size + h->arena_size,
		   "%llu bytes to charge", alz_geometry_bytes(&g));
	alz_view_init(&c->view, h, c->arena.bytes);
	c->model.now = fuzz_os.now;
	c->model.segment_size = 1ULL << h->segment_shift;
	c->model.segments = h->arena_size >> h->segment_shift;
	c->model.value_max = h->value_max;
	c->model.cache_id = i + 1;
	c->model.has_memory = has_memory[i];
	m_init(&c->model);
}

/* The model has no room for more: the rest of the input is left. */
bool world_full(void)
{
	return m_full(&world.cache[0].model) ||
	       (world.caches > 1 && m_full(&world.cache[1].model));
}

static void check_all(void)
{
	int i;

	for (i = 0; i < world.caches; i++) {
		check_stats(&world.cache[i]);
		check_table(&world.cache[i]);
	}
	for (i = 0; i < M_CLIENTS; i++) {
		const struct world_client *wc = &world.client[i];
		int list[M_WAITS];

		if (wc->core && !wc->core->dead)
			fuzz_check(wc->readable == !!m_ready(&cache_of(i)->model, i, list),
				   "client %d is said to have %s", i,
				   wc->readable ? "events" : "none");
	}
}

static void world_end(void)
{
	int i;

	for (i = 0; i < M_CLIENTS; i++)
		if (world.client[i].core)
			client_die(i);
	check_all();
	for (i = 0; i < SIDES; i++)
		if (world.side[i])
			side_end(world.side[i]);
	for (i = 0; i < world.caches; i++) {
		struct asynclazy_stats s = { 0 };

		alz_cache_stats(&world.cache[i].core, &s);
		fuzz_check(!s.out_clients && !s.out_tickets_now && !s.out_waits_now &&
			   !s.out_initializing, "something is left of the clients");
		op_read(&(struct op){ .who = i << 6 });
		alz_cache_fini(&world.cache[i].core);
		fuzz_arena_fini(&world.cache[i].arena);
	}
	fuzz_check(!fuzz_os.live, "%ld allocations are not freed", fuzz_os.live);
}

void world_run(const u8 *input, size_t size)
{
	static const u64 starts[] = { 1000000000000ULL, 1000, ASYNCLAZY_NEVER - (1ULL << 40) };
	static const u8 masks[] = { 255, 3, 15, 1, 63, 7, 31, 255 };
	bool tracing = world.trace;
	u8 head[8] = { 0 };
	struct op op;
	int i;

	memcpy(head, input, size < 8 ? size : 8);
	fuzz_os_reset();
	memset(world.client, 0, sizeof(world.client));
	memset(world.held, 0, sizeof(world.held));
	memset(world.side, 0, sizeof(world.side));
	world.input = input;
	world.size = size;
	world.at = 8;
	world.run = NULL;
	world.depth = 0;
	world.trace = tracing;
	world.caches = 1 + (head[0] & 1);
	world.key_mask = masks[head[0] >> 1 & 7];
	world.quota = head[1];
	fuzz_os.now = starts[head[2] % ARRAY_SIZE(starts)];
	for (i = 0; i < world.caches; i++)
		cache_begin(i, head[3 + 2 * i], head[4 + 2 * i]);
	while (!world_full() && next_op(&op)) {
		op_do(&op);
		check_all();
	}
	world_end();
}
