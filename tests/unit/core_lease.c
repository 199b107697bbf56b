// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The core: offers that nobody takes, tickets that are held for too long. Row K14. */
#include <stdio.h>

#include "core_util.h"

#define EVENT_INIT	(ASYNCLAZY_CLAIM_EVENT | ASYNCLAZY_CLAIM_INIT)
#define BLOCK_INIT	(ASYNCLAZY_CLAIM_BLOCK | ASYNCLAZY_CLAIM_INIT)
#define FD_INIT		(ASYNCLAZY_CLAIM_FD | ASYNCLAZY_CLAIM_INIT)
#define ACCEPT		100
#define SOFT		1000
#define HARD		5000

static struct bench *begin(u64 accept, u64 soft, u64 hard)
{
	const struct alz_geometry g = {
		.max_keys = 1000,
		.arena_size = 16 << 16,
		.segment_size = 1 << 16,
		.flags = ASYNCLAZY_CREATE_STABLE,
		.accept = accept,
		.soft_lease = soft,
		.hard_lease = hard,
	};

	core_os_reset();
	core_os.now = 1000000;
	return bench_with(&g);
}

static void pass(struct bench *b, u64 time)
{
	core_os.now += time;
	alz_deadlines_run(&b->cache);
	check_consistent(b);
}

static int extend(struct bench *b, int who, u64 ticket, u64 done, u64 total)
{
	u32 waiters;
	u64 until;

	return alz_extend(&b->client[who], ticket, done, total, &until, &waiters);
}

/* The next event of @who brings the ticket of this flight. Return: it. */
static u64 offered(struct bench *b, int who, u64 cookie)
{
	struct asynclazy_event ev = { 0 };

	check_eq(events(b, who, &ev, 1), 1);
	check_eq(ev.result, ASYNCLAZY_RESULT_TICKET);
	check_eq(ev.cookie, cookie);
	return ev.ticket;
}

/* ---- leases ------------------------------------------------------------- */

TEST(k14_without_leases_nothing_is_ever_due)
{
	struct alz_answer a;
	struct bench *b;
	u64 t;

	b = begin(0, 0, 0);
	t = take(b, 0, "k");
	check_eq(claim(b, 1, "k", EVENT_INIT, 1, &a), 0);
	check_eq(alz_abandon(&b->client[0], t), 0);
	check(!b->cache.deadlines);
	check_eq(core_os.deadline, 0);
	pass(b, 1ULL << 60);
	check(look(b, "k").out_flags == ASYNCLAZY_FLIGHT_OFFERED);
	check_eq(look(b, "k").out_until, ASYNCLAZY_NEVER);
	bench_free(b);
}

TEST(k14_soft_lease_is_told_and_changes_nothing)
{
	struct bench *b;
	u64 t;

	b = begin(0, SOFT, 0);
	t = take(b, 0, "k");
	check_eq(core_os.deadline, core_os.now + SOFT);
	pass(b, SOFT - 1);
	check_eq(look(b, "k").out_flags, 0);
	pass(b, 1);
	check_eq(look(b, "k").out_flags, ASYNCLAZY_FLIGHT_LATE);
	check_eq(b->cache.count.late, 1);
	check_eq(core_os.deadline, 0);
	/* once */
	pass(b, 10 * SOFT);
	check_eq(b->cache.count.late, 1);
	check_eq(publish(b, 0, t, "v", 1, 0), 0);
	check_eq(b->cache.count.stale, 0);
	bench_free(b);
}

TEST(k14_hard_lease_takes_the_ticket_away)
{
	struct alz_answer a;
	struct bench *b;
	u64 t, next;

	b = begin(0, SOFT, HARD);
	t = take(b, 0, "k");
	check_eq(claim(b, 1, "k", EVENT_INIT, 1, &a), 0);
	pass(b, HARD - 1);
	check_eq(b->cache.count.late, 1);
	check_eq(b->cache.count.revoked, 0);
	pass(b, 1);
	check_eq(b->cache.count.revoked, 1);
	next = offered(b, 1, 1);
	check(next > t);
	/* fenced: nothing that the old owner does changes anything */
	check_eq(publish(b, 0, t, "late", 4, 0), -ESTALE);
	check_eq(extend(b, 0, t, 0, 0), -ESTALE);
	check_eq(alz_abandon(&b->client[0], t), -ESTALE);
	check_eq(look(b, "k").out_attempt, 1);
	check_eq(look(b, "k").out_owner, 2);
	check_eq(publish(b, 1, next, "v", 1, 0), 0);
	check_eq(claim(b, 2, "k", 0, 0, &a), 0);
	check(value_is(b, a.offset, "v", 1));
	check(!b->cache.deadlines);
	bench_free(b);
}

TEST(k14_hard_lease_with_nobody_behind_leaves_the_key_empty)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	struct bench *b;

	b = begin(0, 0, HARD);
	take(b, 0, "k");
	check_eq(claim(b, 1, "k", ASYNCLAZY_CLAIM_EVENT, 1, &a), 0);
	pass(b, HARD);
	check_eq(events(b, 1, &ev, 1), 1);
	check_eq(ev.result, ASYNCLAZY_RESULT_FAILED);
	check_eq(ev.error, ETIME);
	take(b, 2, "k");
	bench_free(b);
}

TEST(k14_extend_begins_the_leases_anew_and_tells_how_far_it_is)
{
	struct bench *b;
	u64 t, until;
	u32 waiters;
	int i;

	b = begin(0, SOFT, HARD);
	t = take(b, 0, "k");
	for (i = 0; i < 10; i++) {
		pass(b, HARD - 1);
		check_eq(look(b, "k").out_flags, ASYNCLAZY_FLIGHT_LATE);
		check_eq(alz_extend(&b->client[0], t, i, 10, &until, &waiters), 0);
		check_eq(until, core_os.now + HARD);
		check_eq(look(b, "k").out_flags, 0);
		check_eq(look(b, "k").out_done, i);
		check_eq(look(b, "k").out_total, 10);
		check_eq(look(b, "k").out_until, until);
	}
	check_eq(b->cache.count.revoked, 0);
	check_eq(b->cache.count.late, 10);
	check_eq(b->cache.count.extends, 10);
	check_eq(extend(b, 0, t, 11, 10), -EINVAL);
	check_eq(extend(b, 0, t, 11, 0), 0);
	check_eq(extend(b, 1, t, 0, 0), -ESTALE);
	check_eq(extend(b, 0, 99999, 0, 0), -ENOENT);
	/* what the next owner does is its own */
	check_eq(alz_abandon(&b->client[0], t), 0);
	take(b, 1, "k");
	check_eq(look(b, "k").out_done, 0);
	bench_free(b);
}

TEST(k14_flight_is_told_of_while_it_runs)
{
	struct asynclazy_flight f = { 0 };
	struct alz_answer a;
	struct bench *b;
	u64 t, start;

	b = begin(ACCEPT, SOFT, HARD);
	check_eq(look_at(b, "k", &f), -ENOENT);
	t = take(b, 0, "k");
	start = core_os.now;
	check_eq(claim(b, 1, "k", EVENT_INIT, 1, &a), 0);
	check_eq(claim(b, 1, "k", ASYNCLAZY_CLAIM_EVENT, 2, &a), 0);
	core_os.now += 10;
	f = look(b, "k");
	check_eq(f.out_owner, 1);
	check_eq(f.out_waiters, 2);
	check_eq(f.out_started, start);
	check_eq(f.out_granted, start);
	check_eq(f.out_generation, a.generation);
	check_eq(alz_abandon(&b->client[0], t), 0);
	f = look(b, "k");
	check_eq(f.out_owner, 2);
	check_eq(f.out_flags, ASYNCLAZY_FLIGHT_OFFERED);
	check_eq(f.out_attempt, 1);
	check_eq(f.out_waiters, 1);
	check_eq(f.out_started, start);
	check_eq(f.out_granted, core_os.now);
	t = offered(b, 1, 1);
	check_eq(look(b, "k").out_flags, 0);
	check_eq(publish(b, 1, t, "v", 1, 0), 0);
	check_eq(look_at(b, "k", &f), -ENOENT);
	bench_free(b);
}

/* ---- offers ------------------------------------------------------------- */

TEST(k14_offer_that_nobody_takes_goes_to_the_next)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	struct bench *b;
	u64 t;

	b = begin(ACCEPT, 0, 0);
	t = take(b, 0, "k");
	check_eq(claim(b, 1, "k", EVENT_INIT, 1, &a), 0);
	check_eq(claim(b, 2, "k", EVENT_INIT, 2, &a), 0);
	check_eq(alz_abandon(&b->client[0], t), 0);
	check(b->readable[1]);
	pass(b, ACCEPT - 1);
	check_eq(look(b, "k").out_owner, 2);
	pass(b, 1);
	check_eq(b->cache.count.unaccepted, 1);
	check_eq(look(b, "k").out_owner, 3);
	/* the level fell again: there is nothing to be read */
	check(!b->readable[1]);
	check_eq(events(b, 1, &ev, 1), 0);
	/* who was too slow waits on, behind the others, and has the value */
	t = offered(b, 2, 2);
	check_eq(publish(b, 2, t, "v", 1, 0), 0);
	check_eq(events(b, 1, &ev, 1), 1);
	check_eq(ev.result, ASYNCLAZY_RESULT_HIT);
	check_eq(ev.cookie, 1);
	bench_free(b);
}

TEST(k14_offers_go_round_until_somebody_takes_one)
{
	struct alz_answer a;
	struct bench *b;
	int i;

	b = begin(ACCEPT, 0, 0);
	check_eq(alz_abandon(&b->client[0], take(b, 0, "k")), 0);
	take(b, 0, "k");
	check_eq(claim(b, 1, "k", EVENT_INIT, 1, &a), 0);
	check_eq(claim(b, 2, "k", EVENT_INIT, 2, &a), 0);
	alz_client_die(&b->client[0]);
	for (i = 0; i < 9; i++) {
		check_eq(look(b, "k").out_owner, i % 2 ? 3 : 2);
		pass(b, ACCEPT);
	}
	check_eq(b->cache.count.unaccepted, 9);
	offered(b, 2, 2);
	check_eq(look(b, "k").out_flags, 0);
	/* taken: now it is its own for as long as it likes */
	pass(b, 1000 * ACCEPT);
	check_eq(look(b, "k").out_owner, 3);
	bench_free(b);
}

TEST(k14_only_one_who_can_is_offered_it_for_as_long_as_it_takes)
{
	struct alz_answer a;
	struct bench *b;
	u64 t;

	b = begin(ACCEPT, 0, 0);
	t = take(b, 0, "k");
	check_eq(claim(b, 1, "k", EVENT_INIT, 1, &a), 0);
	check_eq(claim(b, 2, "k", ASYNCLAZY_CLAIM_EVENT, 2, &a), 0);
	check_eq(alz_abandon(&b->client[0], t), 0);
	pass(b, 50 * ACCEPT);
	check_eq(b->cache.count.unaccepted, 0);
	check_eq(b->cache.count.handovers, 1);
	/* until another one comes: it had its time */
	check_eq(claim(b, 2, "k", EVENT_INIT, 3, &a), 0);
	pass(b, ACCEPT);
	check_eq(look(b, "k").out_owner, 3);
	offered(b, 2, 3);
	bench_free(b);
}

TEST(k14_lease_begins_when_the_offer_is_taken)
{
	struct alz_answer a;
	struct bench *b;
	u64 t;

	b = begin(10 * HARD, 0, HARD);
	t = take(b, 0, "k");
	check_eq(claim(b, 1, "k", EVENT_INIT, 1, &a), 0);
	check_eq(alz_abandon(&b->client[0], t), 0);
	pass(b, HARD - 1);
	t = offered(b, 1, 1);
	pass(b, HARD - 1);
	check_eq(publish(b, 1, t, "v", 1, 0), 0);
	bench_free(b);
}

TEST(k14_blocked_call_whose_offer_has_gone_on_waits_again)
{
	struct alz_answer a, z;
	struct alz_waiter w;
	struct bench *b;
	u64 t;

	b = begin(ACCEPT, 0, 0);
	t = take(b, 0, "k");
	check_eq(claim_wait(b, 1, "k", BLOCK_INIT, &w, &a), 0);
	check_eq(claim(b, 2, "k", EVENT_INIT, 2, &z), 0);
	check_eq(alz_abandon(&b->client[0], t), 0);
	check_eq(w.state, ALZ_OFFERED);
	pass(b, ACCEPT);
	check_eq(w.state, ALZ_WAITING);
	/* it was woken, and comes too late */
	check_eq(alz_wait_finish(&b->client[1], &w, 0, 0, &a), -EAGAIN);
	check_eq(publish(b, 2, offered(b, 2, 2), "v", 1, 0), 0);
	check_eq(w.state, ALZ_ENDED);
	check_eq(alz_wait_finish(&b->client[1], &w, 0, 0, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_HIT);
	check(value_is(b, a.offset, "v", 1));
	bench_free(b);
}

TEST(k14_blocked_call_in_time_has_the_ticket)
{
	struct alz_answer a, z;
	struct alz_waiter w;
	struct bench *b;
	u64 t;

	b = begin(ACCEPT, 0, HARD);
	t = take(b, 0, "k");
	check_eq(claim_wait(b, 1, "k", BLOCK_INIT, &w, &a), 0);
	check_eq(claim(b, 2, "k", EVENT_INIT, 2, &z), 0);
	check_eq(alz_abandon(&b->client[0], t), 0);
	pass(b, ACCEPT - 1);
	check_eq(alz_wait_finish(&b->client[1], &w, -EINTR, 0, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
	pass(b, ACCEPT);
	check_eq(publish(b, 1, a.ticket, "v", 1, 0), 0);
	bench_free(b);
}

TEST(k14_per_wait_fd_whose_offer_has_gone_on_is_quiet_again)
{
	struct alz_answer a, z;
	struct alz_waiter w;
	struct bench *b;
	u64 t;

	b = begin(ACCEPT, 0, 0);
	t = take(b, 0, "k");
	check_eq(claim_wait(b, 1, "k", FD_INIT, &w, &a), 0);
	check_eq(claim(b, 2, "k", EVENT_INIT, 2, &z), 0);
	check_eq(alz_abandon(&b->client[0], t), 0);
	check(!alz_wait_fd_answer(&b->cache, &w, false, &a));
	check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
	pass(b, ACCEPT);
	check(!alz_wait_fd_answer(&b->cache, &w, true, &a));
	check_eq(a.result, ASYNCLAZY_RESULT_PENDING);
	t = offered(b, 2, 2);
	/* and has it again when the other one gives it back */
	check_eq(alz_abandon(&b->client[2], t), 0);
	check(!alz_wait_fd_answer(&b->cache, &w, true, &a));
	check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
	check(alz_wait_fd_answer(&b->cache, &w, true, &z));
	check_eq(z.ticket, a.ticket);
	pass(b, 10 * ACCEPT);
	check_eq(publish(b, 1, a.ticket, "v", 1, 0), 0);
	alz_wait_fd_close(&b->cache, &w);
	bench_free(b);
}

TEST(k14_event_that_is_just_being_read_is_not_taken_away)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	struct bench *b;
	u64 t;

	b = begin(ACCEPT, 0, 0);
	t = take(b, 0, "k");
	check_eq(claim(b, 1, "k", EVENT_INIT, 1, &a), 0);
	check_eq(claim(b, 2, "k", EVENT_INIT, 2, &a), 0);
	check_eq(alz_abandon(&b->client[0], t), 0);
	check_eq(alz_events_copy(&b->client[1], &ev, 1), 1);
	pass(b, ACCEPT);
	check_eq(look(b, "k").out_owner, 2);
	/* its reader faulted: then it is as if nothing had happened */
	alz_events_done(&b->client[1], false);
	pass(b, ACCEPT);
	check_eq(look(b, "k").out_owner, 3);
	check_eq(alz_events_copy(&b->client[2], &ev, 1), 1);
	pass(b, ACCEPT);
	alz_events_done(&b->client[2], true);
	pass(b, 10 * ACCEPT);
	check_eq(look(b, "k").out_owner, 3);
	check_eq(publish(b, 2, ev.ticket, "v", 1, 0), 0);
	bench_free(b);
}

TEST(k14_dead_or_cancelled_waiters_are_not_offered_it_again)
{
	struct alz_answer a;
	struct bench *b;
	u64 t;

	b = begin(ACCEPT, 0, 0);
	t = take(b, 0, "k");
	check_eq(claim(b, 1, "k", EVENT_INIT, 1, &a), 0);
	check_eq(claim(b, 2, "k", EVENT_INIT, 2, &a), 0);
	check_eq(claim(b, 2, "k", EVENT_INIT, 3, &a), 0);
	check_eq(alz_abandon(&b->client[0], t), 0);
	/* with an offer that was not read */
	alz_client_die(&b->client[1]);
	check_eq(look(b, "k").out_owner, 3);
	check_eq(alz_cancel(&b->client[2], 2), 0);
	check_eq(look(b, "k").out_waiters, 0);
	pass(b, 3 * ACCEPT);
	check_eq(publish(b, 2, offered(b, 2, 3), "v", 1, 0), 0);
	check(!b->cache.deadlines);
	bench_free(b);
}

static struct bench *dying;

static void let_it_expire(void)
{
	core_os.now += ACCEPT;
	alz_deadlines_run(&dying->cache);
}

/* All who could take it are of one client, whose waits go by and by. */
TEST(i4_offer_that_expires_while_its_client_dies)
{
	enum { WAITS = 300 };
	struct alz_answer a;
	u64 cookie, t;

	dying = begin(ACCEPT, 0, 0);
	t = take(dying, 0, "k");
	for (cookie = 1; cookie <= WAITS; cookie++)
		check_eq(claim(dying, 1, "k", EVENT_INIT, cookie, &a), 0);
	check_eq(alz_abandon(&dying->client[0], t), 0);
	core_os.each_unlock = let_it_expire;
	alz_client_die(&dying->client[1]);
	core_os.each_unlock = NULL;
	check_consistent(dying);
	check_eq(dying->cache.header->initializing, 0);
	take(dying, 2, "k");
	bench_free(dying);
}

/* ---- many --------------------------------------------------------------- */

TEST(k14_many_deadlines_each_at_its_time)
{
	enum { KEYS = 500 };
	char name[KEYS][16];
	struct bench *b;
	u64 start;
	int i;

	b = begin(0, 0, HARD);
	start = core_os.now;
	for (i = 0; i < KEYS; i++) {
		sprintf(name[i], "key%d", i);
		take(b, i % CLIENTS, name[i]);
		/* several at the same nanosecond */
		core_os.now += i % 3 == 0;
	}
	/* as they were granted, one after the other, and no earlier */
	for (i = 0; i < KEYS; i++) {
		u64 n = b->cache.count.revoked;

		check_eq(n, i);
		check(core_os.deadline >= start + HARD + (i + 2) / 3);
		check(core_os.deadline > core_os.now);
		core_os.now = core_os.deadline - 1;
		alz_deadlines_run(&b->cache);
		check_eq(b->cache.count.revoked, n);
		core_os.now++;
		alz_deadlines_run(&b->cache);
		check_eq(b->cache.count.revoked, n + 1);
	}
	check(!b->cache.deadlines);
	check_eq(core_os.deadline, 0);
	check_eq(b->cache.header->initializing, 0);
	bench_free(b);
}

TEST(impossible_leases_are_refused)
{
	struct alz_geometry g = {
		.max_keys = 10, .arena_size = 1 << 20, .soft_lease = 2, .hard_lease = 1,
	};

	check_eq(alz_geometry_check(&g), -EINVAL);
	g.hard_lease = 2;
	check_eq(alz_geometry_check(&g), 0);
	g.hard_lease = 0;
	check_eq(alz_geometry_check(&g), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(k14_without_leases_nothing_is_ever_due),
		cmocka_unit_test(k14_soft_lease_is_told_and_changes_nothing),
		cmocka_unit_test(k14_hard_lease_takes_the_ticket_away),
		cmocka_unit_test(k14_hard_lease_with_nobody_behind_leaves_the_key_empty),
		cmocka_unit_test(k14_extend_begins_the_leases_anew_and_tells_how_far_it_is),
		cmocka_unit_test(k14_flight_is_told_of_while_it_runs),
		cmocka_unit_test(k14_offer_that_nobody_takes_goes_to_the_next),
		cmocka_unit_test(k14_offers_go_round_until_somebody_takes_one),
		cmocka_unit_test(k14_only_one_who_can_is_offered_it_for_as_long_as_it_takes),
		cmocka_unit_test(k14_lease_begins_when_the_offer_is_taken),
		cmocka_unit_test(k14_blocked_call_whose_offer_has_gone_on_waits_again),
		cmocka_unit_test(k14_blocked_call_in_time_has_the_ticket),
		cmocka_unit_test(k14_per_wait_fd_whose_offer_has_gone_on_is_quiet_again),
		cmocka_unit_test(k14_event_that_is_just_being_read_is_not_taken_away),
		cmocka_unit_test(k14_dead_or_cancelled_waiters_are_not_offered_it_again),
		cmocka_unit_test(i4_offer_that_expires_while_its_client_dies),
		cmocka_unit_test(k14_many_deadlines_each_at_its_time),
		cmocka_unit_test(impossible_leases_are_refused),
	};

	return RUN_TESTS(tests);
}
