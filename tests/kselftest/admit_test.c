// SPDX-License-Identifier: GPL-2.0-only
/* K14: so many initialisations run at a time; the others wait for their turn. */
#include "kselftest_harness.h"
#include "remote.h"

FIXTURE(admit) {
	struct alz a, b;
	struct remote r;
	struct alz_blocker blocker;
	struct asynclazy_claim c;
	struct asynclazy_event e;
	struct asynclazy_flight f;
	struct asynclazy_stats s;
};

FIXTURE_SETUP(admit)
{
	struct asynclazy_create c = {
		.flags = ASYNCLAZY_CREATE_STABLE, .max_keys = 1000, .arena_size = 1 << 20,
		.max_inits = 1,
	};

	self->r.pid = -1;
	ASSERT_EQ(0, alz_setup_as(&self->a, &c));
	ASSERT_EQ(0, alz_join(&self->b, self->a.cache));
}

FIXTURE_TEARDOWN(admit)
{
	if (self->r.pid > 0)
		remote_end(&self->r);
	alz_leave(&self->b);
	alz_leave(&self->a);
}

TEST_F(admit, the_next_in_line_has_its_turn)			/* K14 */
{
	__u64 ticket = alz_ticket(&self->a, "a");

	ASSERT_NE(0, ticket);
	ASSERT_EQ(0, alz_claim_event(&self->b, "b", INIT | EVENT, 1, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_PENDING, self->c.out_result);
	alz_block(&self->blocker, &self->b, "c", INIT, 0);
	ASSERT_TRUE(alz_await_waits(&self->a, 2));
	ASSERT_EQ(0, alz_flight(&self->a, "c", &self->f));
	EXPECT_EQ(ASYNCLAZY_FLIGHT_QUEUED, self->f.out_flags);
	EXPECT_EQ(2, self->f.out_queue);
	EXPECT_EQ(0, self->f.out_owner);
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(2, self->s.out_queued);
	EXPECT_EQ(1, self->s.out_tickets_now);
	ASSERT_EQ(0, alz_publish(&self->a, ticket, "value"));
	ASSERT_EQ(0, alz_event(&self->b, &self->e));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->e.result);
	EXPECT_FALSE(alz_block_ended(&self->blocker, ALZ_QUIET_MS));
	ASSERT_EQ(0, alz_publish(&self->b, self->e.ticket, "value"));
	ASSERT_TRUE(alz_block_ended(&self->blocker, ALZ_SOON_MS));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->blocker.claim.out_result);
	EXPECT_EQ(0, alz_publish(&self->b, self->blocker.claim.out_ticket, "value"));
}

TEST_F(admit, a_killed_owner_makes_room)			/* K14, K8 */
{
	ASSERT_EQ(0, remote_start(&self->r, self->a.cache));
	ASSERT_NE(0, remote_ticket(&self->r, "a"));
	ASSERT_EQ(0, alz_claim_event(&self->b, "b", INIT | EVENT, 1, &self->c));
	ASSERT_EQ(0, remote_kill(&self->r));
	ASSERT_EQ(0, alz_event(&self->b, &self->e));
	EXPECT_EQ(ASYNCLAZY_RESULT_TICKET, self->e.result);
	self->r.pid = -1;
}

TEST_F(admit, a_killed_waiter_leaves_the_queue)			/* K14, I8 */
{
	__u64 ticket = alz_ticket(&self->a, "a");
	struct remote_answer answer;

	ASSERT_EQ(0, remote_start(&self->r, self->a.cache));
	ASSERT_EQ(0, remote_claim(&self->r, "b", INIT | EVENT, 1, &answer));
	ASSERT_EQ(0, alz_claim_event(&self->b, "b", EVENT, 1, &self->c));
	ASSERT_EQ(ASYNCLAZY_RESULT_PENDING, self->c.out_result);
	ASSERT_EQ(0, remote_kill(&self->r));
	ASSERT_EQ(0, alz_event(&self->b, &self->e));
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->e.result);
	EXPECT_EQ(ECANCELED, self->e.error);
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(0, self->s.out_queued);
	EXPECT_EQ(1, self->s.out_initializing);
	EXPECT_EQ(0, alz_publish(&self->a, ticket, "value"));
	self->r.pid = -1;
}

TEST_F(admit, who_does_not_wait_is_refused_and_a_child_is_not)	/* K14 */
{
	__u64 ticket = alz_ticket(&self->a, "a");

	EXPECT_EQ(-EAGAIN, alz_claim(&self->b, "b", INIT, &self->c));
	EXPECT_EQ(-ENOENT, alz_flight(&self->b, "b", &self->f));
	alz_claim_fill(&self->a, &self->c, "child", 5, INIT | BLOCK);
	self->c.parent = ticket;
	ASSERT_EQ(0, alz_claim_raw(&self->a, &self->c));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
	EXPECT_EQ(0, alz_publish(&self->a, self->c.out_ticket, "value"));
	EXPECT_EQ(-EAGAIN, alz_claim(&self->b, "b", INIT, &self->c));
	EXPECT_EQ(0, alz_publish(&self->a, ticket, "value"));
	EXPECT_NE(0, alz_ticket(&self->b, "b"));
}

TEST_HARNESS_MAIN
