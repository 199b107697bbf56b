// SPDX-License-Identifier: GPL-2.0-only
/* A worker that makes the calls of the uAPI itself. */
#include "storm.h"

static __u64 cookie;

/* A record that a claim or an event names. */
void raw_record(struct view *v, __u32 key, __u64 generation, __u64 offset, bool error,
		const char *how)
{
	const struct asynclazy_record *r;
	char name[32];

	if (offset >= v->a.arena_size) {
		wrong(WRONG_VALUE, "cache %llu key %u, %s: no record at %llu", v->serial, key, how,
		      offset);
		return;
	}
	r = alz_record(&v->a, offset);
	if (r->generation != generation || r->key_size != key_name(key, name) ||
	    memcmp(r + 1, name, r->key_size) ||
	    r->kind != (error ? ASYNCLAZY_RECORD_ERROR : ASYNCLAZY_RECORD_VALUE)) {
		wrong(WRONG_VALUE, "cache %llu key %u generation %llu, %s: the record at %llu is of generation %llu, kind %u",
		      v->serial, key, generation, how, offset, r->generation, r->kind);
		return;
	}
	if (error)
		error_check(v, key, generation, r->error, alz_record_value(r), r->value_size, how);
	else
		value_check(v, key, generation, alz_record_value(r), r->value_size, how);
}

/* An error, with its text here or in a record. */
void raw_failed(struct view *v, __u32 key, __u64 generation, int error, __u64 offset,
		const void *text, size_t size, const char *how)
{
	if (offset != ASYNCLAZY_NO_RECORD)
		raw_record(v, key, generation, offset, true, how);
	else
		error_check(v, key, generation, error, text, size, how);
}

/*
 * Coming and going
 */

static void raw_attach(struct view *v)
{
	struct asynclazy_geometry g;
	struct alz *a = &v->a;
	char name[64];
	int device;

	for (;;) {
		phase(PHASE_OPEN);
		if (!cache_enter(v, name))
			continue;
		device = alz_device(O_RDWR);
		a->cache = alz_open(device, name, ASYNCLAZY_OPEN_READ | ASYNCLAZY_OPEN_WRITE);
		close(device);
		if (a->cache >= 0)
			break;
		if (a->cache != -ENOENT || !cache_moved(v))
			wrong(WRONG_ANSWER, "cache %llu: open: %s", v->serial, strerror(-a->cache));
	}
	phase(PHASE_ATTACH);
	a->client = alz_attach(a->cache);
	if (a->client < 0 || alz_geometry(a->client, &g)) {
		wrong(WRONG_ANSWER, "cache %llu: attach: %s", v->serial, strerror(-a->client));
		_exit(1);
	}
	phase(PHASE_MAP);
	a->table_size = g.out_table_size;
	a->arena_size = g.out_arena_size;
	a->header = mmap(NULL, a->table_size, PROT_READ, MAP_SHARED, a->client,
			 ASYNCLAZY_OFF_TABLE);
	a->arena = mmap(NULL, a->arena_size, PROT_READ, MAP_SHARED, a->client,
			ASYNCLAZY_OFF_ARENA);
	if (a->header == MAP_FAILED || a->arena == MAP_FAILED) {
		wrong(WRONG_ANSWER, "cache %llu: mmap: %s", v->serial, strerror(errno));
		_exit(1);
	}
}

static void raw_detach(struct view *v)
{
	bool early = rnd(2);

	ticket_drop_view(v);
	if (early)
		waits_drop_view(v);
	phase(PHASE_UNMAP);
	alz_unmap(&v->a);
	phase_short(PHASE_DETACH);
	alz_leave(&v->a);
	/* wait fds outlive the client */
	if (!early)
		waits_drop_view(v);
	cache_leave(v);
}

/* A second mapping of it all, touched here and there. */
static void raw_map(struct view *v)
{
	__u64 used = v->a.header->arena_used, at;
	char *p;

	phase(PHASE_MAP);
	p = mmap(NULL, v->a.arena_size, PROT_READ, MAP_SHARED, v->a.client, ASYNCLAZY_OFF_ARENA);
	if (p == MAP_FAILED) {
		wrong(WRONG_ANSWER, "cache %llu: mmap: %s", v->serial, strerror(errno));
		return;
	}
	for (at = rnd(65536); at < used; at += 65536)
		__atomic_load_n(&p[at], __ATOMIC_RELAXED);
	phase(PHASE_UNMAP);
	munmap(p, v->a.arena_size);
}

/* A second client of this process. */
static void raw_second(struct view *v)
{
	struct asynclazy_claim c;
	struct alz b = v->a;
	char name[32];
	int err;

	key_name(some_key(), name);
	phase(PHASE_ATTACH);
	b.client = alz_attach(v->a.cache);
	if (b.client < 0) {
		wrong(WRONG_ANSWER, "cache %llu: attach: %s", v->serial, strerror(-b.client));
		return;
	}
	phase(PHASE_CLAIM);
	/* whatever comes of it dies with it, a ticket too */
	err = alz_claim_event(&b, name, INIT | EVENT | FOLLOW, 1, &c);
	if (err)
		wrong(WRONG_ANSWER, "cache %llu: claim: %s", v->serial, strerror(-err));
	phase_short(PHASE_DETACH);
	close(b.client);
}

/*
 * Asking
 */

static void raw_read(struct view *v, __u32 key, struct alz_found *f)
{
	char name[32];

	phase(PHASE_READ);
	alz_find(&v->a, name, key_name(key, name), f);
	if (!f->record)
		return;
	if (f->record->generation < v->last[key])
		wrong(WRONG_VALUE, "cache %llu key %u: generation %llu after %u", v->serial, key,
		      f->record->generation, v->last[key]);
	v->last[key] = f->record->generation;
	raw_record(v, key, f->record->generation, f->offset,
		   f->state == ASYNCLAZY_SLOT_FAILED, "in place");
}

static void raw_claim(struct view *v, __u32 key)
{
	static const __u32 kinds[] = { 0, BLOCK, BLOCK, EVENT, EVENT, EVENT, WAITFD, WAITFD };
	__u32 flags = kinds[rnd(sizeof(kinds) / sizeof(*kinds))];
	struct asynclazy_claim c;
	char name[32];
	int err;

	if (percent(85))
		flags |= INIT;
	if (flags & EVENT && flags & INIT && percent(40))
		flags |= FOLLOW;
	if (flags & (EVENT | WAITFD) && !waits_room())
		flags &= INIT;
	key_name(key, name);
	alz_claim_fill(&v->a, &c, name, strlen(name), flags);
	c.cookie = ++cookie;
	/* who holds what others wait for does not wait for ever itself */
	if (flags & BLOCK && (self.nr_held || waits_any_able() || rnd(2)))
		c.deadline = alz_now() + rnd(20 * ALZ_MSEC);
	phase(flags & BLOCK ? PHASE_WAIT : PHASE_CLAIM);
	err = alz_claim_raw(&v->a, &c);
	phase(PHASE_CLAIM);
	if (err) {
		if (err == -ENOSPC)
			count(&storm->totals.nospace);
		else if (err != -ETIMEDOUT || !c.deadline)
			wrong(WRONG_ANSWER, "cache %llu key %u: claim 0x%x: %s", v->serial, key,
			      flags, strerror(-err));
		return;
	}
	switch (c.out_result) {
	case ASYNCLAZY_RESULT_TICKET:
		if (flags & FOLLOW)
			waits_add(v, key, c.cookie, -1, false, true);
		ticket_hold(v, key, c.out_generation, c.out_ticket, c.out_attempt);
		if (worker_hurry(key))
			ticket_end(self.nr_held - 1, false);
		break;
	case ASYNCLAZY_RESULT_PENDING:
		if (flags & (EVENT | WAITFD))
			waits_add(v, key, c.cookie, flags & WAITFD ? c.out_fd : -1, flags & INIT,
				  flags & FOLLOW);
		break;
	case ASYNCLAZY_RESULT_HIT:
		raw_record(v, key, c.out_generation, c.out_offset, false, "claim");
		break;
	case ASYNCLAZY_RESULT_FAILED:
		raw_failed(v, key, c.out_generation, c.out_error, c.out_offset,
			   alz_claim_detail(), c.out_detail_size, "claim");
		break;
	case ASYNCLAZY_RESULT_EMPTY:
		if (flags & INIT)
			wrong(WRONG_ANSWER, "cache %llu key %u: EMPTY to one who can", v->serial,
			      key);
	}
}

static void raw_set(struct view *v, __u32 key)
{
	struct value_note *note;
	struct asynclazy_set s;
	__u32 size = value_size(v);
	char name[32];
	const void *value = value_make(v, key, NULL, size, &note);
	int err;

	if (!value)
		return;
	key_name(key, name);
	phase_short(PHASE_SET);
	err = alz_set_bytes(&v->a, name, value, size, 0, &s);
	note->state = err ? VALUE_REFUSED : VALUE_STORED;
	if (!err) {
		ledger_outcome(v, s.out_generation, OUTCOME_VALUE, note - v->ledger->value);
		count(&storm->totals.sets);
	} else if (err == -ENOSPC || err == -EFBIG) {
		count(&storm->totals.nospace);
	} else {
		wrong(WRONG_ANSWER, "cache %llu key %u: set: %s", v->serial, key, strerror(-err));
	}
}

static void raw_empty(struct view *v, __u32 key, bool all)
{
	__u64 many;
	__u32 n;
	char name[32];
	int err;

	key_name(key, name);
	phase_short(all ? PHASE_CLEAR : PHASE_INVALIDATE);
	err = all ? alz_clear(&v->a, &many) : alz_invalidate(&v->a, name, &n);
	if (err)
		wrong(WRONG_ANSWER, "cache %llu: invalidate: %s", v->serial, strerror(-err));
}

static void raw_think(void)
{
	struct timespec t = { .tv_nsec = rnd(2 * ALZ_MSEC) };

	phase(self.nr_held ? PHASE_MAKE : PHASE_THINK);
	nanosleep(&t, NULL);
}

static void raw_step(struct view *v)
{
	__u32 key = some_key();
	struct alz_found found;
	__u64 what = rnd(100);

	if (storm->caches[v->index].full) {
		raw_think();
	} else if (what < 45) {
		raw_read(v, key, &found);
		if (!found.record || percent(20))
			raw_claim(v, key);
	} else if (what < 60) {
		if (self.nr_held)
			ticket_end(rnd(self.nr_held), false);
	} else if (what < 73) {
		waits_serve(rnd(3));
	} else if (what < 77) {
		waits_cancel();
	} else if (what < 81) {
		raw_set(v, key);
	} else if (what < 87) {
		raw_empty(v, key, percent(4));
	} else if (what < 90) {
		raw_map(v);
	} else if (what < 92) {
		raw_second(v);
	} else if (what < 94) {
		raw_detach(v);
		raw_attach(v);
	} else if (what < 95 && percent(20)) {
		worker_exec();
	} else {
		raw_think();
	}
}

static void raw_calm(void)
{
	while (self.nr_held || waits_left()) {
		while (self.nr_held)
			ticket_end(self.nr_held - 1, true);
		if (waits_left())
			waits_serve(1000);
	}
	worker_idle();
}

void raw_run(void)
{
	__u32 i;

	for (i = 0; i < CACHES; i++)
		raw_attach(&self.views[i]);
	for (;;) {
		struct view *v = &self.views[rnd(CACHES)];

		count(&self.me->operations);
		if (calm()) {
			raw_calm();
		} else if (cache_moved(v) && percent(20)) {
			raw_detach(v);
			raw_attach(v);
		} else {
			raw_step(v);
		}
	}
}
