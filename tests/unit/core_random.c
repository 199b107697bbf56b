// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The core: random operations of three clients on a few keys, beside a model
 * that knows only what the clients were told. After each step the structures
 * are compared with one another, and at the end every wait must have ended.
 *
 * I1 one ticket a flight; I3, I4 every wait ends; I5 with the value of its
 * flight; I6 a late publish changes nothing.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core_util.h"

#define KEYS	6
#define WAITS	64

/* What is written as a value: whose it is, and when it was written. */
struct value {
	u32 key;
	u32 pad;
	u64 serial;
};

struct wait {
	bool used;
	bool offered;		/* told that it has the ticket; FOLLOW goes on */
	int who;
	int key;
	u32 flags;
	u64 serial;		/* when it began */
};

static struct bench *b;
static u64 serial;		/* values written so far */
static u64 current[KEYS];	/* serial of the value; 0: none; UINT64_MAX: error */
static u64 ticket[KEYS];	/* as told to its owner, until it is ended */
static int owner[KEYS];
static u64 stale[8];		/* tickets that have ended */
static int stale_owner[8];
static struct wait waits[WAITS];
static u64 invalidated[KEYS];	/* serial at the last invalidation */

static const char *key_name(int key)
{
	static const char *const names[KEYS] = { "a", "b", "c", "dd", "ee", "f" };

	return names[key];
}

static void end_ticket(int key)
{
	int i = random_u64() % ARRAY_SIZE(stale);

	if (!ticket[key])
		return;
	stale[i] = ticket[key];
	stale_owner[i] = owner[key];
	ticket[key] = 0;
}

static void told_ticket(int key, int who, u64 t)
{
	/* an earlier one must have ended; see overtaken() for those untold */
	check(!ticket[key]);
	check_eq(current[key], 0);
	ticket[key] = t;
	owner[key] = who;
}

static struct wait *free_wait(u64 *cookie)
{
	u64 i;

	for (i = 0; i < WAITS; i++) {
		if (!waits[i].used) {
			*cookie = i;
			return &waits[i];
		}
	}
	return NULL;
}

/* A ticket that is on its way to a waiter: whose events have to be read. */
static bool offer_is_pending(int key)
{
	struct alz_answer a;

	check_eq(claim(b, 0, key_name(key), 0, 0, &a), 0);
	return a.result == ASYNCLAZY_RESULT_PENDING && !ticket[key];
}

static void check_value(int key, u64 offset, u64 after)
{
	const struct asynclazy_record *r;
	struct value v;

	r = alz_arena_record(&b->cache.arena, offset);
	if (!check_eq(r->value_size, sizeof(v)))
		return;
	memcpy(&v, alz_record_value(r), sizeof(v));
	check_eq(v.key, key);
	check(v.serial > after);
	check(v.serial <= serial);
}

static void do_claim(int who, int key)
{
	const u32 choices[] = {
		0, ASYNCLAZY_CLAIM_INIT, ASYNCLAZY_CLAIM_EVENT,
		ASYNCLAZY_CLAIM_EVENT | ASYNCLAZY_CLAIM_INIT,
		ASYNCLAZY_CLAIM_EVENT | ASYNCLAZY_CLAIM_INIT |
			ASYNCLAZY_CLAIM_FOLLOW,
	};
	u32 flags = choices[random_u64() % ARRAY_SIZE(choices)];
	u64 cookie = 0;
	struct wait *w = free_wait(&cookie);
	struct alz_answer a;

	if (!w)
		flags &= ASYNCLAZY_CLAIM_INIT;
	check_eq(claim(b, who, key_name(key), flags, cookie, &a), 0);
	switch (a.result) {
	case ASYNCLAZY_RESULT_HIT:
		check(current[key] && current[key] != UINT64_MAX);
		check_value(key, a.offset, current[key] - 1);
		return;
	case ASYNCLAZY_RESULT_FAILED:
		check(current[key] == UINT64_MAX);
		return;
	case ASYNCLAZY_RESULT_EMPTY:
		check(!current[key] && !ticket[key]);
		check(!(flags & ASYNCLAZY_CLAIM_INIT));
		return;
	case ASYNCLAZY_RESULT_TICKET:
		told_ticket(key, who, a.ticket);
		if (!(flags & ASYNCLAZY_CLAIM_FOLLOW))
			return;
		break;
	default:
		check_eq(a.result, ASYNCLAZY_RESULT_PENDING);
		check_eq(current[key], 0);
		if (!(flags & ASYNCLAZY_CLAIM_EVENT))
			return;
	}
	*w = (struct wait){ true, a.result == ASYNCLAZY_RESULT_TICKET, who, key,
			    flags, serial };
}

static void do_event(int who, const struct asynclazy_event *ev)
{
	struct wait *w;

	if (!check(ev->cookie < WAITS))
		return;
	w = &waits[ev->cookie];
	if (!check(w->used) || !check_eq(w->who, who))
		return;
	if (ev->result == ASYNCLAZY_RESULT_TICKET) {
		check(w->flags & ASYNCLAZY_CLAIM_INIT);
		check(!w->offered);
		w->offered = true;
		/* it may have been overtaken before it was read */
		if (alz_flight_owned(&b->client[who], ev->ticket,
				     &(struct alz_flight *){ NULL }) == 0)
			told_ticket(w->key, who, ev->ticket);
		if (w->flags & ASYNCLAZY_CLAIM_FOLLOW)
			return;
	} else if (ev->result == ASYNCLAZY_RESULT_HIT) {
		/* of its own flight or a later one: never of an earlier */
		check_value(w->key, ev->offset, w->serial);
	} else {
		check_eq(ev->result, ASYNCLAZY_RESULT_FAILED);
		check(ev->error > 0);
		if (ev->flags & ASYNCLAZY_EVENT_DETAIL) {
			char text[ASYNCLAZY_DETAIL_MAX];
			u32 size;

			check_eq(alz_fetch(&b->client[who], ev->cookie, text,
					   sizeof(text), &size, true), 0);
			check_eq(size, 4);
		}
	}
	w->used = false;
}

static void do_events(int who, u32 max)
{
	struct asynclazy_event ev[WAITS];
	u32 n = events(b, who, ev, max), i;

	b->cache.lock.held = 1;	/* for alz_flight_owned() in do_event() */
	for (i = 0; i < n; i++) {
		b->cache.lock.held = ev[i].result == ASYNCLAZY_RESULT_TICKET;
		do_event(who, &ev[i]);
	}
	b->cache.lock.held = 0;
}

static struct value new_value(int key)
{
	return (struct value){ key, 0, ++serial };
}

static void do_publish(int key)
{
	struct value v = new_value(key);

	if (!ticket[key])
		return;
	check_eq(publish(b, owner[key], ticket[key], &v, sizeof(v), 0), 0);
	end_ticket(key);
	current[key] = v.serial;
}

static void do_fail(int key)
{
	u32 class = random_u64() % 3;
	bool kept;

	if (!ticket[key])
		return;
	check_eq(alz_fail(&b->client[owner[key]], ticket[key], EIO, class, 0,
			  "text", 4, &kept), 0);
	check_eq(kept, class != ASYNCLAZY_FAIL_TRANSIENT);
	end_ticket(key);
	if (kept)
		current[key] = UINT64_MAX;
}

static void do_abandon(int key)
{
	if (!ticket[key])
		return;
	check_eq(alz_abandon(&b->client[owner[key]], ticket[key]), 0);
	end_ticket(key);
}

static void do_set(int who, int key)
{
	struct value v = new_value(key);

	check_eq(set(b, who, key_name(key), &v, sizeof(v), 0), 0);
	end_ticket(key);
	current[key] = v.serial;
}

static void do_invalidate(int who, int key)
{
	bool there = current[key] || ticket[key] || offer_is_pending(key);

	check_eq(invalidate(b, who, key_name(key)), there);
	end_ticket(key);
	current[key] = 0;
	invalidated[key] = serial;
}

static void do_clear(int who)
{
	u64 count = 0, expected = 0;
	int key;

	for (key = 0; key < KEYS; key++)
		expected += current[key] || ticket[key] || offer_is_pending(key);
	check_eq(alz_clear(&b->client[who], &count), 0);
	check_eq(count, expected);
	for (key = 0; key < KEYS; key++) {
		end_ticket(key);
		current[key] = 0;
		invalidated[key] = serial;
	}
}

static void do_cancel(void)
{
	u64 cookie = random_u64() % WAITS;
	struct wait *w = &waits[cookie];

	if (!w->used)
		return;
	check_eq(alz_cancel(&b->client[w->who], cookie), 0);
	w->used = false;
}

static void do_stale(void)
{
	int i = random_u64() % ARRAY_SIZE(stale);

	if (stale[i])
		check_eq(publish(b, stale_owner[i], stale[i], "late", 4, 0),
			 -ESTALE);
}

static void do_death(int who)
{
	struct alz_client *c = &b->client[who];
	int i;

	alz_client_detach(c);
	check_consistent(b);
	for (i = 0; i < WAITS; i++)
		if (waits[i].who == who)
			waits[i].used = false;
	for (i = 0; i < KEYS; i++)
		if (ticket[i] && owner[i] == who)
			end_ticket(i);
	for (i = 0; i < (int)ARRAY_SIZE(stale); i++)
		if (stale_owner[i] == who)
			stale[i] = 0;
	memset(c, 0, sizeof(*c));
	c->max_waits = 1 << 20;
	c->max_tickets = 1 << 20;
	c->os = &b->readable[who];
	b->readable[who] = false;
	alz_client_attach(c, &b->cache);
}

static void step(void)
{
	int who = random_u64() % CLIENTS, key = random_u64() % KEYS;

	switch (random_u64() % 64) {
	case 0 ... 23: do_claim(who, key); break;
	case 24 ... 31: do_events(who, 1 + random_u64() % WAITS); break;
	case 32 ... 37: do_publish(key); break;
	case 38 ... 41: do_fail(key); break;
	case 42 ... 45: do_abandon(key); break;
	case 46 ... 47: do_set(who, key); break;
	case 48 ... 54: do_invalidate(who, key); break;
	case 55 ... 58: do_cancel(); break;
	case 59 ... 61: do_stale(); break;
	case 62: do_death(who); break;
	default:
		if (random_u64() % 16 == 0)
			do_clear(who);
	}
}

/* End all flights: then every wait must have its event. */
static void finish(void)
{
	int key, who, round, i;

	for (round = 0; round < 2 * WAITS; round++) {
		for (who = 0; who < CLIENTS; who++)
			do_events(who, WAITS);
		for (key = 0; key < KEYS; key++)
			do_abandon(key);
	}
	for (i = 0; i < WAITS; i++)
		check(!waits[i].used);
	check_eq(b->cache.header->initializing, 0);
	check_eq(b->cache.count.waits_now, 0);
	check_eq(b->cache.count.tickets_now, 0);
}

static void one_run(unsigned long steps)
{
	unsigned long i;

	core_os_reset();
	b = bench_new(0, 4096 * 65536ULL);
	memset(current, 0, sizeof(current));
	memset(ticket, 0, sizeof(ticket));
	memset(stale, 0, sizeof(stale));
	memset(waits, 0, sizeof(waits));
	serial = 0;
	for (i = 0; i < steps && !check_failures(); i++) {
		step();
		if (i % 16 == 0)
			check_consistent(b);
	}
	if (!check_failures())
		finish();
	bench_free(b);
}

TEST(random_operations_agree_with_a_model)
{
	unsigned long runs = scaled(2000, 40), i;

	for (i = 0; i < runs && !check_failures(); i++)
		one_run(2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations_agree_with_a_model),
	};

	return RUN_TESTS(tests);
}
