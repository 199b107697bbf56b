// SPDX-License-Identifier: GPL-2.0-only
/* A worker that makes the calls of the uAPI itself. */
#include "storm.h"

static __u64 cookie;

/*
 * Coming and going
 */

static void raw_attach(struct view *v)
{
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
	if (a->client < 0) {
		wrong(WRONG_ANSWER, "cache %llu: attach: %s", v->serial, strerror(-a->client));
		_exit(1);
	}
	set_nonblock(a->client);
	phase(PHASE_MAP);
	if (alz_map_all(a)) {
		wrong(WRONG_ANSWER, "cache %llu: mmap: %s", v->serial, strerror(errno));
		_exit(1);
	}
}

static void raw_detach(struct view *v)
{
	bool early = rnd(2);

	ticket_drop_view(v);
	record_drop_view(v);
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

/* A second mapping of it all, touched here and there where there is something for sure. */
static void raw_map(struct view *v)
{
	__u64 used = v->a.pins ? 0 : v->a.header->arena_used;
	unsigned int n = rnd(16);
	char *p;

	phase(PHASE_MAP);
	p = mmap(NULL, v->a.arena_size, PROT_READ, MAP_SHARED, v->a.client, ASYNCLAZY_OFF_ARENA);
	if (p == MAP_FAILED) {
		wrong(WRONG_ANSWER, "cache %llu: mmap: %s", v->serial, strerror(errno));
		return;
	}
	while (used && n--)
		__atomic_load_n(&p[rnd(used)], __ATOMIC_RELAXED);
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

	key_name(some_key(v), name);
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
	if (flags & INIT && percent(30))
		flags |= ASYNCLAZY_CLAIM_REFRESH;
	key_name(key, name);
	alz_claim_fill(&v->a, &c, name, strlen(name), flags);
	c.cookie = ++cookie;
	c.pin = v->a.pins ? PIN_CALL : 0;
	/* who holds what others wait for does not wait for ever itself */
	if (flags & BLOCK && (self.nr_held || waits_any_able() || rnd(2)))
		c.deadline = alz_now() + rnd(20 * ALZ_MSEC);
	phase(flags & BLOCK ? PHASE_WAIT : PHASE_CLAIM);
	err = alz_claim_raw(&v->a, &c);
	phase(PHASE_CLAIM);
	if (err) {
		if (err == -ENOSPC)
			count(&storm->totals.nospace);
		else if (err == -EAGAIN && !(flags & (BLOCK | EVENT | WAITFD)))
			; /* it is not its turn, or it failed just now */
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
	case ASYNCLAZY_RESULT_FAILED:
		record_answer(v, key, &c, "claim");
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
	__u32 size = value_size(v);
	const void *value = value_make(v, key, NULL, size, &note);
	__u64 generation;
	int err;

	if (!value)
		return;
	phase_short(PHASE_SET);
	err = ticket_set(v, key, value, size, &generation);
	note->state = err ? VALUE_REFUSED : VALUE_STORED;
	if (!err) {
		ledger_outcome(v, generation, OUTCOME_VALUE, note - v->ledger->value);
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

static void raw_expire(struct view *v, __u32 key)
{
	struct asynclazy_expire e = { .size = sizeof(e) };
	char name[32];
	int err;

	e.key_size = key_name(key, name);
	e.key = (uintptr_t)name;
	e.hash = alz_hash(&v->a, name, e.key_size);
	phase_short(PHASE_EXPIRE);
	err = alz_call(v->a.client, ASYNCLAZY_IOC_EXPIRE, &e);
	if (err && err != -ENOSPC)
		wrong(WRONG_ANSWER, "cache %llu: expire: %s", v->serial, strerror(-err));
}

static void raw_think(void)
{
	struct timespec t = { .tv_nsec = rnd(2 * ALZ_MSEC) };

	phase(self.nr_held ? PHASE_MAKE : PHASE_THINK);
	nanosleep(&t, NULL);
}

static void raw_step(struct view *v)
{
	__u32 key = some_key(v);
	struct alz_found found;
	__u64 what = rnd(100);

	if (storm->caches[v->index].full) {
		raw_think();
	} else if (what < 45) {
		record_read(v, key, &found);
		if (!found.record || percent(20))
			raw_claim(v, key);
	} else if (what < 60) {
		if (self.nr_held)
			ticket_end(rnd(self.nr_held), false);
	} else if (what < 61) {
		if (self.nr_held)
			ticket_extend(rnd(self.nr_held));
	} else if (what < 62) {
		raw_expire(v, key);
	} else if (what < 73) {
		waits_serve(rnd(3));
	} else if (what < 77) {
		waits_cancel();
	} else if (what < 81) {
		raw_set(v, key);
	} else if (what < 87) {
		raw_empty(v, key, percent(4));
	} else if (what < 89) {
		raw_map(v);
	} else if (what < 90) {
		raw_second(v);
	} else if (what < 93) {
		record_unpin_some();
	} else if (what < 95) {
		raw_detach(v);
		raw_attach(v);
	} else if (what < 96 && percent(20)) {
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

		worker_operation();
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
