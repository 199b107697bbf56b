// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Leases, offers with a deadline, admission, what needs what, values that are made
 * anew, back-off and breaker, all at once and at random. No answer is foretold: what
 * must hold is that every structure agrees with every other, that no more run than
 * may, that a ticket is one client's, and that in the end all of it ends (I4).
 */
#include <stdio.h>

#include "core_flights_util.h"

#define KEYS		12
#define TICKETS_MAX	64

struct mine {
	u64 id;
	int who;
};

static struct {
	struct bench *b;
	struct mine ticket[TICKETS_MAX];
	int nr_tickets;
	u64 cookie;
	struct flights_seen seen;
	struct alz_geometry g;
} r;

static u64 rnd(u64 n)
{
	return random_u64() % n;
}

static void key_of(char *name)
{
	sprintf(name, "key%d", (int)rnd(KEYS));
}

static void hold(int who, u64 id)
{
	if (!check(r.nr_tickets < TICKETS_MAX))
		return;
	r.ticket[r.nr_tickets++] = (struct mine) { id, who };
	r.seen.taken++;
}

static void end_ticket(int n)
{
	struct mine t = r.ticket[n];
	struct alz_client *c = &r.b->client[t.who];
	bool kept;
	int err;

	r.ticket[n] = r.ticket[--r.nr_tickets];
	switch (rnd(4)) {
	case 0:
		err = alz_abandon(c, t.id);
		break;
	case 1:
		err = alz_fail(c, t.id, EIO, ASYNCLAZY_FAIL_TRANSIENT, 0, "no", 2, &kept);
		break;
	default:
		err = publish(r.b, t.who, t.id, "value", 5, rnd(2) ? 0 : 1 + rnd(3000));
		break;
	}
	check(!err || err == -ESTALE);
}

static void do_claim(void)
{
	static const u32 kinds[] = { 0, ASYNCLAZY_CLAIM_EVENT, ASYNCLAZY_CLAIM_EVENT,
				     ASYNCLAZY_CLAIM_EVENT | ASYNCLAZY_CLAIM_FOLLOW };
	int who = rnd(CLIENTS);
	struct alz_answer a;
	char name[16];
	struct alz_claim c = { .key = name, .flags = kinds[rnd(4)], .cookie = ++r.cookie };
	int err, i;

	key_of(name);
	c.key_size = strlen(name);
	c.hash = hash_of(name, c.key_size);
	if (rnd(10) < 8 || c.flags & ASYNCLAZY_CLAIM_FOLLOW)
		c.flags |= ASYNCLAZY_CLAIM_INIT | (rnd(2) ? ASYNCLAZY_CLAIM_REFRESH : 0);
	for (i = 0; i < r.nr_tickets && rnd(2); i++)
		if (r.ticket[i].who == who)
			c.parent = r.ticket[i].id;
	if (r.nr_tickets > TICKETS_MAX - 8)
		c.flags &= ASYNCLAZY_CLAIM_EVENT;
	err = alz_claim(&r.b->client[who], &c, &a);
	if (err == -ESTALE)
		check(c.parent);
	else if (err == -EAGAIN)
		check((r.g.max_inits || r.g.backoff) && !(c.flags & ALZ_WAIT_FLAGS));
	else if (check_eq(err, 0) && a.result == ASYNCLAZY_RESULT_TICKET)
		hold(who, a.ticket);
	if (!err && a.result == ASYNCLAZY_RESULT_FAILED && a.error == EDEADLK) {
		check(c.parent && c.flags & ALZ_WAIT_FLAGS);
		r.seen.cycles++;
	}
	if (!err && a.result == ASYNCLAZY_RESULT_HIT)
		check(alz_record_readable(alz_arena_record(&r.b->cache.arena, a.offset),
					  core_os.now));
	r.seen.refused += !err && a.result == ASYNCLAZY_RESULT_FAILED && a.error == EOWNERDEAD;
	r.seen.queued += !!r.b->cache.nr_queued;
	r.seen.held += !!r.b->cache.nr_held;
}

static bool do_read(int who)
{
	struct asynclazy_event ev;

	if (!events(r.b, who, &ev, 1))
		return false;
	if (ev.result == ASYNCLAZY_RESULT_TICKET)
		hold(who, ev.ticket);
	else if (ev.flags & ASYNCLAZY_EVENT_DETAIL)
		alz_cancel(&r.b->client[who], ev.cookie);
	return true;
}

static void do_look(int who, const char *name)
{
	struct asynclazy_flight info = { .size = sizeof(info) };
	char detail[ASYNCLAZY_DETAIL_MAX];
	int err = alz_flight_look(&r.b->client[who], name, strlen(name),
				  hash_of(name, strlen(name)), &info, detail);

	check(!err || err == -ENOENT);
	r.seen.looks += !err;
	if (err || info.out_flags & ASYNCLAZY_FLIGHT_NONE)
		return;
	alz_os_lock(&r.b->cache.lock);
	check(alz_flight_find(&r.b->cache, name, strlen(name), hash_of(name, strlen(name))));
	alz_os_unlock(&r.b->cache.lock);
}

static void do_step(void)
{
	char name[16];
	u64 what = rnd(100), until;
	u32 waiters;
	int n, i;

	key_of(name);
	if (what < 40) {
		do_claim();
	} else if (what < 55) {
		do_read(rnd(CLIENTS));
	} else if (what < 72) {
		if (r.nr_tickets)
			end_ticket(rnd(r.nr_tickets));
	} else if (what < 78) {
		n = r.nr_tickets ? (int)rnd(r.nr_tickets) : -1;
		if (n >= 0)
			alz_extend(&r.b->client[r.ticket[n].who], r.ticket[n].id, 1, 2,
				   &until, &waiters);
	} else if (what < 82) {
		alz_cancel(&r.b->client[rnd(CLIENTS)], r.cookie - rnd(20));
	} else if (what < 83) {
		do_look(rnd(CLIENTS), name);
	} else if (what < 85) {
		invalidate(r.b, rnd(CLIENTS), name);
	} else if (what < 86) {
		set(r.b, rnd(CLIENTS), name, "set", 3, rnd(2) ? 0 : 1 + rnd(1000));
	} else if (what < 87) {
		n = rnd(10);
		if (n)
			alz_expire(&r.b->client[rnd(CLIENTS)], name, strlen(name),
				   hash_of(name, strlen(name)), &waiters);
		else
			alz_clear(&r.b->client[rnd(CLIENTS)], &until);
	} else if (what < 88) {
		n = rnd(CLIENTS);
		alz_client_detach(&r.b->client[n]);
		for (i = r.nr_tickets; i--; )
			if (r.ticket[i].who == n)
				r.ticket[i] = r.ticket[--r.nr_tickets];
		bench_attach(r.b, n);
	} else {
		core_os.now += rnd(200);
		alz_deadlines_run(&r.b->cache);
	}
}

/* Something runs, or will: what is made anew has no INITIALIZING slot. */
static bool flies(void)
{
	const struct alz_cache *c = &r.b->cache;

	return r.nr_tickets || c->header->initializing || c->count.tickets_now ||
	       c->nr_queued || c->nr_held;
}

/**
 * flights_run() - @steps of it, or until the random numbers end
 * @g: what may happen; the sizes are ours
 */
struct flights_seen flights_run(struct alz_geometry g, int steps)
{
	int i, left;

	core_os_reset();
	core_os.now = 1000;
	memset(&r, 0, sizeof(r));
	g.max_keys = 1000;
	g.arena_size = 64 << 16;
	g.segment_size = 1 << 16;
	r.g = g;
	r.b = bench_with(&g);
	for (i = 0; i < steps && !random_ended; i++) {
		do_step();
		check_consistent(r.b);
	}
	r.seen.unaccepted = r.b->cache.count.unaccepted;
	r.seen.late = r.b->cache.count.late;
	r.seen.revoked = r.b->cache.count.revoked;
	r.seen.refreshes = r.b->cache.count.refreshes;
	/* whoever has a ticket ends it: then, at some time, nothing runs any more */
	for (left = 10000; left && flies(); left--) {
		while (r.nr_tickets)
			end_ticket(0);
		for (i = 0; i < CLIENTS; i++)
			do_read(i);
		core_os.now += 10;
		alz_deadlines_run(&r.b->cache);
	}
	check(left);
	check_eq(r.b->cache.nr_queued, 0);
	check_eq(r.b->cache.nr_held, 0);
	check(!r.b->cache.deadlines);
	check_consistent(r.b);
	bench_free(r.b);
	return r.seen;
}

const struct alz_geometry flights_geometries[FLIGHTS_GEOMETRIES] = {
	{ 0 },
	{ .accept = 300 },
	{ .soft_lease = 200, .hard_lease = 600 },
	{ .max_inits = 3 },
	{ .ttl = 400, .stale_ttl = 300, .dead_ttl = 200 },
	{ .backoff = 50, .backoff_max = 400 },
	{ .max_deaths = 2, .breaker = 100 },
	{
		.accept = 150, .soft_lease = 300, .hard_lease = 900, .max_inits = 2,
		.ttl = 2000, .stale_ttl = 500,
	},
	{
		.accept = 100, .hard_lease = 400, .max_inits = 1,
		.ttl = 100, .stale_ttl = 100, .dead_ttl = 1000,
		.backoff = 20, .backoff_max = 100, .max_deaths = 1, .breaker = 50,
	},
};
