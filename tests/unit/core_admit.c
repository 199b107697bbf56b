// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The core: how many initialisations run at a time, and whose turn is next. Row K14. */
#include <stdio.h>

#include "core_util.h"

#define EVENT		ASYNCLAZY_CLAIM_EVENT
#define INIT		ASYNCLAZY_CLAIM_INIT
#define EVENT_INIT	(EVENT | INIT)
#define BLOCK_INIT	(ASYNCLAZY_CLAIM_BLOCK | INIT)
#define FOLLOW		(EVENT_INIT | ASYNCLAZY_CLAIM_FOLLOW)

static struct bench *begin(u32 max_inits)
{
	const struct alz_geometry g = {
		.max_keys = 20000,
		.arena_size = 16 << 16,
		.segment_size = 1 << 16,
		.flags = ASYNCLAZY_CREATE_STABLE,
		.max_inits = max_inits,
	};

	core_os_reset();
	return bench_with(&g);
}

static u32 want(struct bench *b, int who, const char *key, u32 flags, u64 cookie)
{
	struct alz_answer a;

	check_eq(claim(b, who, key, flags, cookie, &a), 0);
	check_consistent(b);
	return a.result;
}

/* The next event of @who. */
static struct asynclazy_event told(struct bench *b, int who, u64 cookie, u32 result)
{
	struct asynclazy_event ev = { 0 };

	check_eq(events(b, who, &ev, 1), 1);
	check_eq(ev.cookie, cookie);
	check_eq(ev.result, result);
	check_consistent(b);
	return ev;
}

static bool quiet(struct bench *b, int who)
{
	struct asynclazy_event ev;

	return !events(b, who, &ev, 1);
}

TEST(k14_so_many_run_and_the_next_in_line_follows)
{
	struct asynclazy_event ev;
	struct bench *b;
	u64 ta, tb;

	b = begin(2);
	ta = take(b, 0, "a");
	tb = take(b, 1, "b");
	check_eq(want(b, 2, "c", EVENT_INIT, 1), ASYNCLAZY_RESULT_PENDING);
	check_eq(want(b, 1, "d", EVENT_INIT, 2), ASYNCLAZY_RESULT_PENDING);
	check_eq(want(b, 0, "e", EVENT_INIT, 3), ASYNCLAZY_RESULT_PENDING);
	check_eq(b->cache.nr_queued, 3);
	check_eq(b->cache.count.tickets_now, 2);
	check_eq(look(b, "c").out_queue, 1);
	check_eq(look(b, "e").out_queue, 3);
	check_eq(look(b, "e").out_flags, ASYNCLAZY_FLIGHT_QUEUED);
	check_eq(look(b, "e").out_owner, 0);
	check_eq(look(b, "a").out_queue, 0);
	/* who follows a flight is never refused */
	check_eq(want(b, 2, "a", EVENT, 4), ASYNCLAZY_RESULT_PENDING);
	check_eq(want(b, 2, "d", EVENT, 5), ASYNCLAZY_RESULT_PENDING);
	check(quiet(b, 2));

	check_eq(publish(b, 1, tb, "v", 1, 0), 0);
	ev = told(b, 2, 1, ASYNCLAZY_RESULT_TICKET);
	check_eq(ev.attempt, 0);
	check_eq(look(b, "d").out_queue, 1);
	/* each way to end one lets another in */
	check_eq(alz_abandon(&b->client[2], ev.ticket), 0);
	ev = told(b, 1, 2, ASYNCLAZY_RESULT_TICKET);
	check_eq(set(b, 2, "a", "s", 1, 0), 0);
	told(b, 2, 4, ASYNCLAZY_RESULT_HIT);
	check_eq(publish(b, 0, ta, "late", 4, 0), -ESTALE);
	told(b, 0, 3, ASYNCLAZY_RESULT_TICKET);
	check_eq(publish(b, 1, ev.ticket, "v", 1, 0), 0);
	told(b, 2, 5, ASYNCLAZY_RESULT_HIT);
	check_eq(b->cache.nr_queued, 0);
	take(b, 0, "f");
	bench_free(b);
}

TEST(k14_who_does_not_wait_is_told_to_come_again)
{
	struct alz_answer a;
	struct bench *b;
	u64 t;

	b = begin(1);
	t = take(b, 0, "a");
	check_eq(claim(b, 1, "b", INIT, 0, &a), -EAGAIN);
	check_eq(claim(b, 1, "b", 0, 0, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_EMPTY);
	check_eq(claim(b, 1, "a", INIT, 0, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_PENDING);
	check_eq(b->cache.header->initializing, 1);
	check_eq(publish(b, 0, t, "v", 1, 0), 0);
	take(b, 1, "b");
	bench_free(b);
}

TEST(k14_dead_owner_makes_room)
{
	struct bench *b;

	b = begin(1);
	take(b, 0, "a");
	check_eq(want(b, 1, "b", EVENT_INIT, 1), ASYNCLAZY_RESULT_PENDING);
	/* the key's own next comes first: its flight goes on */
	check_eq(want(b, 2, "a", EVENT_INIT, 1), ASYNCLAZY_RESULT_PENDING);
	alz_client_die(&b->client[0]);
	told(b, 2, 1, ASYNCLAZY_RESULT_TICKET);
	check(quiet(b, 1));
	alz_client_die(&b->client[2]);
	told(b, 1, 1, ASYNCLAZY_RESULT_TICKET);
	bench_free(b);
}

TEST(k14_queued_one_that_nobody_wants_any_more_leaves)
{
	struct alz_answer a;
	struct alz_waiter w;
	struct bench *b;
	u64 t;

	b = begin(1);
	t = take(b, 0, "a");
	check_eq(want(b, 1, "b", EVENT_INIT, 1), ASYNCLAZY_RESULT_PENDING);
	check_eq(want(b, 2, "b", EVENT, 1), ASYNCLAZY_RESULT_PENDING);
	check_eq(want(b, 2, "c", EVENT_INIT, 2), ASYNCLAZY_RESULT_PENDING);
	check_eq(claim_wait(b, 1, "d", BLOCK_INIT, &w, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_PENDING);
	/* cancelled: who cannot initialise is told */
	check_eq(alz_cancel(&b->client[1], 1), 0);
	check_eq(told(b, 2, 1, ASYNCLAZY_RESULT_FAILED).error, ECANCELED);
	check_eq(b->cache.nr_queued, 2);
	/* its deadline passed */
	check_eq(alz_wait_finish(&b->client[1], &w, -ETIMEDOUT, 0, &a), -ETIMEDOUT);
	check_eq(b->cache.nr_queued, 1);
	/* its process died */
	alz_client_die(&b->client[2]);
	check_eq(b->cache.nr_queued, 0);
	check_eq(b->cache.header->initializing, 1);
	check_eq(publish(b, 0, t, "v", 1, 0), 0);
	take(b, 1, "b");
	bench_free(b);
}

static struct bench *dying;
static struct alz_waiter *closing;

static void close_it(void)
{
	alz_wait_fd_close(&dying->cache, closing);
	/* its file is freed: nobody may look at it from here on */
	memset(closing, 0xa5, sizeof(*closing));
}

/* To tell them all the lock is let go, and the fd may be a child's to close. */
TEST(i8_fd_of_the_last_who_wanted_it_is_closed_while_its_client_dies)
{
	struct alz_waiter w;
	struct alz_answer a;
	u64 cookie;

	dying = begin(1);
	take(dying, 0, "a");
	check_eq(claim_wait(dying, 1, "b", ASYNCLAZY_CLAIM_FD | INIT, &w, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_PENDING);
	for (cookie = 0; cookie < 2 * ALZ_BATCH; cookie++)
		check_eq(claim(dying, 2, "b", EVENT, cookie, &a), 0);
	closing = &w;
	core_os.unlocked = close_it;
	alz_client_die(&dying->client[1]);
	check_eq(dying->cache.nr_queued, 0);
	check_eq(dying->client[1].nr_waits, 0);
	check_eq(w.kind, 0xa5);
	check_eq(w.state, 0xa5);
	check_consistent(dying);
	bench_free(dying);
}

static u64 running;

static void end_running(void)
{
	check_eq(alz_abandon(&dying->client[0], running), 0);
}

/* Its turn comes while the lock is let go, with some of them still on the list. */
TEST(k14_turn_of_one_that_only_the_dying_want)
{
	struct alz_answer a;
	u64 cookie, inits;

	dying = begin(1);
	running = take(dying, 0, "a");
	for (cookie = 0; cookie < 2 * ALZ_BATCH; cookie++)
		check_eq(claim(dying, 1, "b", EVENT_INIT, cookie, &a), 0);
	check_eq(dying->cache.nr_queued, 1);
	check_eq(want(dying, 2, "c", EVENT_INIT, 1), ASYNCLAZY_RESULT_PENDING);
	inits = dying->cache.count.tickets;
	core_os.unlocked = end_running;
	alz_client_die(&dying->client[1]);
	check(!core_os.unlocked);
	check_eq(dying->cache.nr_queued, 0);
	check_eq(dying->cache.count.tickets, inits + 1);
	check_eq(publish(dying, 2, told(dying, 2, 1, ASYNCLAZY_RESULT_TICKET).ticket, "v", 1, 0), 0);
	take(dying, 2, "b");
	bench_free(dying);
}

TEST(k14_queued_one_that_is_set_or_invalidated)
{
	struct bench *b;
	u64 t;

	b = begin(1);
	t = take(b, 0, "a");
	check_eq(want(b, 1, "b", EVENT_INIT, 1), ASYNCLAZY_RESULT_PENDING);
	check_eq(want(b, 1, "c", EVENT_INIT, 2), ASYNCLAZY_RESULT_PENDING);
	check_eq(set(b, 2, "b", "v", 1, 0), 0);
	told(b, 1, 1, ASYNCLAZY_RESULT_HIT);
	/* it stays in its place, of a new generation */
	check_eq(invalidate(b, 2, "c"), 1);
	check(quiet(b, 1));
	check_eq(look(b, "c").out_queue, 1);
	check_eq(publish(b, 0, t, "v", 1, 0), 0);
	t = told(b, 1, 2, ASYNCLAZY_RESULT_TICKET).ticket;
	check_eq(publish(b, 1, t, "v", 1, 0), 0);
	bench_free(b);
}

TEST(k14_follower_in_the_queue_is_told_both)
{
	struct bench *b;
	u64 t;

	b = begin(1);
	t = take(b, 0, "a");
	check_eq(want(b, 1, "b", FOLLOW, 1), ASYNCLAZY_RESULT_PENDING);
	check_eq(publish(b, 0, t, "v", 1, 0), 0);
	t = told(b, 1, 1, ASYNCLAZY_RESULT_TICKET).ticket;
	check_eq(publish(b, 1, t, "v", 1, 0), 0);
	told(b, 1, 1, ASYNCLAZY_RESULT_HIT);
	bench_free(b);
}

TEST(k14_what_an_initialiser_needs_is_admitted)
{
	struct alz_claim c = { .key = "b", .key_size = 1, .flags = BLOCK_INIT };
	struct alz_waiter w = { 0 };
	struct alz_answer a;
	struct bench *b;
	u64 t;

	b = begin(1);
	t = take(b, 0, "a");
	check_eq(want(b, 1, "z", EVENT_INIT, 1), ASYNCLAZY_RESULT_PENDING);
	c.hash = hash_of("b", 1);
	c.parent = t;
	c.waiter = &w;
	check_eq(alz_claim(&b->client[0], &c, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
	check_eq(b->cache.count.tickets_now, 2);
	check_eq(publish(b, 0, a.ticket, "v", 1, 0), 0);
	/* one too many has ended: nobody's turn yet */
	check(quiet(b, 1));
	check_eq(publish(b, 0, t, "v", 1, 0), 0);
	told(b, 1, 1, ASYNCLAZY_RESULT_TICKET);
	bench_free(b);
}

TEST(k14_what_an_initialiser_needs_has_its_turn_if_it_queues)
{
	struct alz_claim c = { .key = "b", .key_size = 1, .flags = EVENT_INIT, .cookie = 2 };
	struct alz_answer a;
	struct bench *b;
	u64 ta, tb;

	b = begin(1);
	ta = take(b, 0, "a");
	c.hash = hash_of("b", 1);
	c.parent = ta;
	check_eq(want(b, 1, "b", EVENT_INIT, 1), ASYNCLAZY_RESULT_PENDING);
	check(quiet(b, 1));
	/* a needs b, which would wait for the turn that a has */
	check_eq(alz_claim(&b->client[0], &c, &a), 0);
	check_consistent(b);
	check_eq(a.result, ASYNCLAZY_RESULT_PENDING);
	tb = told(b, 1, 1, ASYNCLAZY_RESULT_TICKET).ticket;
	check_eq(publish(b, 1, tb, "b", 1, 0), 0);
	told(b, 0, 2, ASYNCLAZY_RESULT_HIT);
	check_eq(publish(b, 0, ta, "a", 1, 0), 0);
	check_eq(b->cache.nr_queued, 0);
	bench_free(b);
}

TEST(k14_first_come_first_served_over_many)
{
	enum { KEYS = 1500, AT_ONCE = 7 };
	u64 ticket[AT_ONCE], first = 0;
	struct bench *b;
	char name[16];
	int i;

	b = begin(AT_ONCE);
	for (i = 0; i < AT_ONCE; i++) {
		sprintf(name, "run%d", i);
		ticket[i] = take(b, i % CLIENTS, name);
	}
	for (i = 0; i < KEYS; i++) {
		struct alz_answer a;

		sprintf(name, "key%d", i);
		check_eq(claim(b, 0, name, EVENT_INIT, i, &a), 0);
		check_eq(a.result, ASYNCLAZY_RESULT_PENDING);
	}
	check_eq(b->cache.nr_queued, KEYS);
	check_eq(look(b, "key1400").out_queue, 1000);
	for (i = 0; i < AT_ONCE; i++)
		check_eq(publish(b, i % CLIENTS, ticket[i], "v", 1, 0), 0);
	for (i = 0; i < KEYS; i++) {
		struct asynclazy_event ev;

		check(b->cache.count.tickets_now <= AT_ONCE);
		check_eq(events(b, 0, &ev, 1), 1);
		check_eq(ev.result, ASYNCLAZY_RESULT_TICKET);
		check_eq(ev.cookie, first++);
		check_eq(publish(b, 0, ev.ticket, "v", 1, 0), 0);
	}
	check_eq(b->cache.nr_queued, 0);
	check_eq(b->cache.count.tickets_now, 0);
	check_consistent(b);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(k14_so_many_run_and_the_next_in_line_follows),
		cmocka_unit_test(k14_who_does_not_wait_is_told_to_come_again),
		cmocka_unit_test(k14_dead_owner_makes_room),
		cmocka_unit_test(k14_queued_one_that_nobody_wants_any_more_leaves),
		cmocka_unit_test(i8_fd_of_the_last_who_wanted_it_is_closed_while_its_client_dies),
		cmocka_unit_test(k14_turn_of_one_that_only_the_dying_want),
		cmocka_unit_test(k14_queued_one_that_is_set_or_invalidated),
		cmocka_unit_test(k14_follower_in_the_queue_is_told_both),
		cmocka_unit_test(k14_what_an_initialiser_needs_is_admitted),
		cmocka_unit_test(k14_what_an_initialiser_needs_has_its_turn_if_it_queues),
		cmocka_unit_test(k14_first_come_first_served_over_many),
	};

	return RUN_TESTS(tests);
}
