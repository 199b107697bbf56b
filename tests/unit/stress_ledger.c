// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The crash storm's ledger: what it calls wrong, and that it says so of nothing else. */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "check.h"
#include "storm.h"

#define OWNER	0
#define OTHER	1

struct storm *storm;
struct worker self;

/* In the test no ticket is still good that the ledger asks about. */
int ticket_renew(const struct held *h)
{
	(void)h;
	return -ESTALE;
}

static struct view view;

static void be(unsigned int slot)
{
	self.slot = slot;
	self.me = &storm->slots[slot];
}

/* @leased: tickets are taken away. */
static void ledger_new(bool leased)
{
	storm = share_alloc(sizeof(*storm));
	view = (struct view){ .index = leased, .serial = 1, .ledger = &storm->ledgers[0] };
	storm->slots[OWNER].epoch = 1;
	storm->slots[OTHER].epoch = 1;
	be(OWNER);
}

static void ledger_free(void)
{
	share_free(storm, sizeof(*storm));
}

static struct held held(__u64 generation, __u64 ticket)
{
	return (struct held){ .view = &view, .generation = generation, .ticket = ticket };
}

static void end(__u64 generation, __u64 ticket)
{
	struct held h = held(generation, ticket);

	ledger_ending(&h);
	ledger_ended(&h, 0);
}

static __u32 found(void)
{
	return storm->wrongs[WRONG_TICKET];
}

TEST(a_flight_after_the_other_is_right)
{
	ledger_new(false);
	ledger_grant(&view, 0, 1, 1, 0);
	end(1, 1);
	ledger_grant(&view, 0, 2, 2, 0);
	end(2, 2);
	check_eq(found(), 0);
	check_eq(storm->totals.tickets, 2);
	ledger_free();
}

/* A ticket whose owner is killed, and the next one, said to be this attempt. */
static void hand_over(__u32 attempt)
{
	ledger_new(false);
	ledger_grant(&view, 0, 1, 1, 0);
	storm->slots[OWNER].doomed = true;
	be(OTHER);
	ledger_grant(&view, 0, 1, 2, attempt);
}

TEST(a_hand_over_from_the_dead_is_right)
{
	hand_over(1);
	end(1, 2);
	check_eq(found(), 0);
	check_eq(storm->totals.handovers, 1);
	ledger_free();
}

TEST(two_tickets_of_a_generation_are_wrong)
{
	ledger_new(false);
	ledger_grant(&view, 0, 1, 1, 0);
	be(OTHER);
	ledger_grant(&view, 0, 1, 2, 1);
	check_eq(found(), 1);
	ledger_free();
}

TEST(a_ticket_after_the_end_is_wrong)
{
	ledger_new(false);
	ledger_grant(&view, 0, 1, 1, 0);
	end(1, 1);
	ledger_grant(&view, 0, 1, 2, 1);
	check_eq(found(), 1);
	ledger_free();
}

TEST(a_hand_over_that_is_said_to_be_the_first_is_wrong)
{
	hand_over(0);
	check_eq(found(), 1);
	ledger_free();
}

TEST(two_outcomes_of_a_generation_are_wrong)
{
	ledger_new(false);
	ledger_outcome(&view, 1, OUTCOME_VALUE, 1);
	ledger_outcome(&view, 1, OUTCOME_VALUE, 1);
	check_eq(found(), 0);
	ledger_outcome(&view, 1, OUTCOME_VALUE, 2);
	check_eq(found(), 1);
	ledger_free();
}

/* The generation that is at hand, and the one that the late one is done with. */
struct pace {
	_Atomic __u64 at, done;
	__u64 rounds;
};

/* Was given each ticket 1, which was taken away before it could note it. */
static int late(void *arg)
{
	struct pace *pace = arg;
	__u64 g;

	be(OTHER);
	for (g = 1; g <= pace->rounds; g++) {
		while (pace->at < g)
			sched_yield();
		ledger_grant(&view, 0, g, 1, 0);
		pace->done = g;
	}
	return 0;
}

TEST(who_notes_a_lost_ticket_late_is_in_nobodys_way)
{
	struct pace *pace = share_alloc(sizeof(*pace));
	struct held h;
	pid_t pid;
	__u64 g;

	ledger_new(true);
	pace->rounds = scaled(NUMBERS - 1, 20000);
	pid = start_child(late, pace);
	for (g = 1; g <= pace->rounds; g++) {
		h = held(g, 2);
		ledger_grant(&view, 0, g, 2, 1);
		pace->at = g;
		do {
			ledger_ending(&h);
			ledger_ended(&h, 0);
		} while (pace->done < g);
	}
	check_eq(reap(pid), 0);
	check_eq(found(), 0);
	if (found())
		print_message("# %s\n", storm->text[0]);
	share_free(pace, sizeof(*pace));
	ledger_free();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flight_after_the_other_is_right),
		cmocka_unit_test(a_hand_over_from_the_dead_is_right),
		cmocka_unit_test(two_tickets_of_a_generation_are_wrong),
		cmocka_unit_test(a_ticket_after_the_end_is_wrong),
		cmocka_unit_test(a_hand_over_that_is_said_to_be_the_first_is_wrong),
		cmocka_unit_test(two_outcomes_of_a_generation_are_wrong),
		cmocka_unit_test(who_notes_a_lost_ticket_late_is_in_nobodys_way),
	};

	return RUN_TESTS(tests);
}
