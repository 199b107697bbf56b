// SPDX-License-Identifier: GPL-2.0-only
/* K3: a ticket that is given back goes to the oldest waiter that can. */
#include "kselftest_harness.h"
#include "remote.h"

FIXTURE(handover) {
	struct alz a;		/* the owner */
	struct alz b;		/* who waits */
	struct alz_blocker blocker;
	struct asynclazy_claim c;
	struct asynclazy_event e;
	__u64 ticket, generation;
};

FIXTURE_SETUP(handover)
{
	ASSERT_EQ(0, alz_setup(&self->a, 1000, 1 << 20));
	ASSERT_EQ(0, alz_join(&self->b, self->a.cache));
	ASSERT_EQ(0, alz_claim(&self->a, "k", INIT, &self->c));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
	self->ticket = self->c.out_ticket;
	self->generation = self->c.out_generation;
}

FIXTURE_TEARDOWN(handover)
{
	alz_leave(&self->b);
	alz_leave(&self->a);
}

TEST_F(handover, without_waiters_the_key_is_empty_again)	/* K3 */
{
	ASSERT_EQ(0, alz_abandon(&self->a, self->ticket));
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "k"));
	EXPECT_EQ(0, self->a.header->initializing);
	ASSERT_EQ(0, alz_claim(&self->b, "k", INIT, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
	EXPECT_NE(self->ticket, self->c.out_ticket);
	EXPECT_LT(self->generation, self->c.out_generation);
	EXPECT_EQ(0, self->c.out_attempt);
}

/* What a hand-over must look like, in a struct asynclazy_claim or _event. */
#define EXPECT_HANDED_OVER(new_ticket, new_generation, attempts, by) do {	\
	EXPECT_NE(self->ticket, new_ticket);				\
	EXPECT_NE(0, new_ticket);					\
	EXPECT_EQ(self->generation, new_generation);			\
	EXPECT_EQ(by, attempts);					\
	EXPECT_EQ(ASYNCLAZY_SLOT_INITIALIZING, alz_state_of(&self->a, "k"));	\
	EXPECT_EQ(-ESTALE, alz_publish(&self->a, self->ticket, "late"));	\
	EXPECT_EQ(ASYNCLAZY_SLOT_INITIALIZING, alz_state_of(&self->a, "k"));	\
	EXPECT_EQ(0, alz_publish(&self->b, new_ticket, "value"));	\
	EXPECT_TRUE(alz_has(&self->a, "k", "value"));			\
} while (0)

TEST_F(handover, a_blocked_claim_returns_the_ticket)	/* K3 */
{
	struct alz_blocker *b = &self->blocker;

	alz_block(b, &self->b, "k", INIT, 0);
	ASSERT_TRUE(alz_await_waits(&self->a, 1));
	ASSERT_EQ(0, alz_abandon(&self->a, self->ticket));
	ASSERT_TRUE(alz_block_ended(b, ALZ_SOON_MS));
	EXPECT_EQ(0, b->err);
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, b->claim.out_result);
	EXPECT_HANDED_OVER(b->claim.out_ticket, b->claim.out_generation,
			   b->claim.out_attempt, 1);
}

TEST_F(handover, an_event_brings_the_ticket)		/* K3 */
{
	struct asynclazy_event *e = &self->e;

	ASSERT_EQ(0, alz_claim_event(&self->b, "k", INIT | EVENT, 77, &self->c));
	ASSERT_EQ(0, alz_abandon(&self->a, self->ticket));
	ASSERT_EQ(0, alz_event(&self->b, e));
	EXPECT_EQ(77, e->cookie);
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, e->result);
	EXPECT_EQ(0, e->error);
	EXPECT_EQ(ASYNCLAZY_NO_RECORD, e->offset);
	EXPECT_HANDED_OVER(e->ticket, e->generation, e->attempt, 1);
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
}

TEST_F(handover, a_wait_fd_brings_the_ticket)		/* K3 */
{
	struct asynclazy_event *e = &self->e;
	int fd = alz_waitfd(&self->b, "k", INIT, 78);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, alz_poll(fd, 0));
	ASSERT_EQ(0, alz_abandon(&self->a, self->ticket));
	EXPECT_EQ(POLLIN, alz_poll(fd, ALZ_SOON_MS));
	ASSERT_EQ(0, alz_read_waitfd(fd, e, 0));
	EXPECT_EQ(78, e->cookie);
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, e->result);
	EXPECT_HANDED_OVER(e->ticket, e->generation, e->attempt, 1);
	close(fd);
}

TEST_F(handover, the_oldest_that_can_is_next)		/* K3 */
{
	struct asynclazy_event *e = &self->e;
	int i;

	/* 0 cannot initialise; 1, 2, 3 can */
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", EVENT, 0, &self->c));
	for (i = 1; i < 4; i++)
		ASSERT_EQ(0, alz_claim_event(&self->b, "k", INIT | EVENT, i, &self->c));
	ASSERT_EQ(0, alz_abandon(&self->a, self->ticket));
	for (i = 1; i < 4; i++) {
		ASSERT_EQ(1, alz_events(&self->b, e, 1, ALZ_SOON_MS));
		EXPECT_EQ(i, e->cookie);
		ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, e->result);
		EXPECT_EQ(i, e->attempt);
		EXPECT_EQ(self->generation, e->generation);
		EXPECT_EQ(0, alz_poll(self->b.client, 0));
		if (i < 3)
			ASSERT_EQ(0, alz_abandon(&self->b, e->ticket));
	}
	ASSERT_EQ(0, alz_publish(&self->b, e->ticket, "value"));
	ASSERT_EQ(0, alz_event(&self->b, e));
	EXPECT_EQ(0, e->cookie);
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, e->result);
	EXPECT_TRUE(alz_value_at(&self->b, e->offset, "value"));
}

TEST_F(handover, the_others_keep_waiting_and_all_get_the_value)	/* K3, I5 */
{
	struct alz_blocker *b = &self->blocker;
	int able = 1, others = 4;	/* the next cookie of each */
	struct asynclazy_event e[8];
	int fd, i;

	for (i = 1; i < 4; i++) {
		ASSERT_EQ(0, alz_claim_event(&self->b, "k", INIT | EVENT, i, &self->c));
		ASSERT_EQ(0, alz_claim_event(&self->b, "k", EVENT, i + 3, &self->c));
	}
	fd = alz_waitfd(&self->b, "k", INIT, 7);
	ASSERT_LE(0, fd);
	alz_block(b, &self->b, "k", INIT, 0);
	ASSERT_TRUE(alz_await_waits(&self->a, 8));
	ASSERT_EQ(0, alz_abandon(&self->a, self->ticket));
	ASSERT_EQ(1, alz_events(&self->b, e, 8, ALZ_SOON_MS));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, e[0].result);
	EXPECT_EQ(able++, e[0].cookie);
	EXPECT_EQ(0, alz_poll(self->b.client, ALZ_QUIET_MS));
	EXPECT_EQ(0, alz_poll(fd, 0));
	EXPECT_FALSE(alz_block_ended(b, 0));
	ASSERT_EQ(0, alz_publish(&self->b, e[0].ticket, "value"));
	/* those that can in their order, the others in theirs, in any mix */
	ASSERT_EQ(5, alz_events(&self->b, e, 8, ALZ_SOON_MS));
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(e[i].cookie < 4 ? able++ : others++, e[i].cookie);
		EXPECT_EQ(ASYNCLAZY_RESULT_HIT, e[i].result);
	}
	EXPECT_EQ(4, able);
	EXPECT_EQ(7, others);
	ASSERT_EQ(0, alz_read_waitfd(fd, e, ALZ_SOON_MS));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, e[0].result);
	ASSERT_TRUE(alz_block_ended(b, ALZ_SOON_MS));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, b->claim.out_result);
	close(fd);
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
}

TEST_F(handover, nobody_can_so_the_waits_are_cancelled)	/* K3 */
{
	struct alz_blocker *b = &self->blocker;
	int fd;

	ASSERT_EQ(0, alz_claim_event(&self->b, "k", EVENT, 1, &self->c));
	fd = alz_waitfd(&self->b, "k", 0, 2);
	ASSERT_LE(0, fd);
	alz_block(b, &self->b, "k", 0, 0);
	ASSERT_TRUE(alz_await_waits(&self->a, 3));
	ASSERT_EQ(0, alz_abandon(&self->a, self->ticket));
	ASSERT_EQ(0, alz_event(&self->b, &self->e));
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->e.result);
	EXPECT_EQ(ECANCELED, self->e.error);
	EXPECT_EQ(POLLIN | POLLERR, alz_poll(fd, ALZ_SOON_MS) & (POLLIN | POLLERR));
	ASSERT_EQ(0, alz_read_waitfd(fd, &self->e, 0));
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->e.result);
	EXPECT_EQ(ECANCELED, self->e.error);
	ASSERT_TRUE(alz_block_ended(b, ALZ_SOON_MS));
	EXPECT_EQ(0, b->err);
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, b->claim.out_result);
	EXPECT_EQ(ECANCELED, b->claim.out_error);
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "k"));
	close(fd);
	EXPECT_LT(0, alz_ticket(&self->b, "k"));
}

TEST_F(handover, an_offer_that_is_cancelled_goes_on)	/* K3, I10 */
{
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", INIT | EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", INIT | EVENT, 2, &self->c));
	ASSERT_EQ(0, alz_abandon(&self->a, self->ticket));
	ASSERT_EQ(POLLIN, alz_poll(self->b.client, ALZ_SOON_MS));
	ASSERT_EQ(0, alz_cancel(&self->b, 1));
	EXPECT_EQ(-ENOENT, alz_cancel(&self->b, 1));
	ASSERT_EQ(0, alz_event(&self->b, &self->e));
	EXPECT_EQ(2, self->e.cookie);
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->e.result);
	EXPECT_HANDED_OVER(self->e.ticket, self->e.generation, self->e.attempt, 2);
}

TEST_F(handover, an_offer_cancelled_by_the_last_one_ends_it)	/* K3, I10 */
{
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", INIT | EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_claim_event(&self->a, "k", EVENT, 2, &self->c));
	ASSERT_EQ(0, alz_abandon(&self->a, self->ticket));
	ASSERT_EQ(0, alz_cancel(&self->b, 1));
	EXPECT_EQ(0, alz_poll(self->b.client, 0));
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "k"));
	ASSERT_EQ(0, alz_event(&self->a, &self->e));
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->e.result);
	EXPECT_EQ(ECANCELED, self->e.error);
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
}

TEST_F(handover, an_offer_on_a_closed_fd_goes_on)	/* K3, I10 */
{
	int fd = alz_waitfd(&self->b, "k", INIT, 1);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", INIT | EVENT, 2, &self->c));
	ASSERT_EQ(0, alz_abandon(&self->a, self->ticket));
	ASSERT_EQ(POLLIN, alz_poll(fd, ALZ_SOON_MS));
	EXPECT_EQ(0, alz_poll(self->b.client, 0));
	close(fd);
	ASSERT_EQ(0, alz_event(&self->b, &self->e));
	EXPECT_EQ(2, self->e.cookie);
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->e.result);
	EXPECT_HANDED_OVER(self->e.ticket, self->e.generation, self->e.attempt, 2);
}

TEST_F(handover, an_offer_read_from_an_fd_stays_after_close)	/* K3 */
{
	int fd = alz_waitfd(&self->b, "k", INIT, 1);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, alz_abandon(&self->a, self->ticket));
	ASSERT_EQ(0, alz_read_waitfd(fd, &self->e, ALZ_SOON_MS));
	close(fd);
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->e.result);
	EXPECT_HANDED_OVER(self->e.ticket, self->e.generation, self->e.attempt, 1);
}

TEST_F(handover, to_another_process)			/* K3 */
{
	struct remote_answer answer;
	struct remote r;

	ASSERT_EQ(0, remote_start(&r, self->a.cache));
	ASSERT_EQ(0, remote_claim(&r, "k", INIT | BLOCK, 0, &answer));
	ASSERT_TRUE(alz_await_waits(&self->a, 1));
	ASSERT_EQ(0, alz_abandon(&self->a, self->ticket));
	ASSERT_EQ(0, remote_hear(&r, &answer, ALZ_SOON_MS));
	EXPECT_EQ(0, answer.err);
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, answer.claim.out_result);
	EXPECT_EQ(1, answer.claim.out_attempt);
	ASSERT_EQ(0, remote_publish(&r, answer.claim.out_ticket, "remote"));
	EXPECT_TRUE(alz_has(&self->a, "k", "remote"));
	remote_end(&r);
}

TEST_F(handover, back_to_the_one_who_gave_it_up)	/* K3 */
{
	ASSERT_EQ(0, alz_claim_event(&self->a, "k", INIT | EVENT, 5, &self->c));
	ASSERT_EQ(0, alz_abandon(&self->a, self->ticket));
	ASSERT_EQ(0, alz_event(&self->a, &self->e));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->e.result);
	EXPECT_NE(self->ticket, self->e.ticket);
	EXPECT_EQ(-ESTALE, alz_publish(&self->a, self->ticket, "late"));
	EXPECT_EQ(0, alz_publish(&self->a, self->e.ticket, "value"));
}

TEST_HARNESS_MAIN
