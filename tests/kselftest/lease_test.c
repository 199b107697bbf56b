// SPDX-License-Identifier: GPL-2.0-only
/* K14: tickets that are held for too long, offers that nobody takes, progress. */
#include "kselftest_harness.h"
#include "remote.h"

/* such that who does its part is in time, also on a busy machine */
#define LEASE	((alz_debug_kernel() ? 2000 : 400) * ALZ_MSEC)

FIXTURE(lease) {
	struct alz a;			/* the owner */
	struct alz b;			/* who waits, in the same process */
	struct remote r;		/* who waits, in another one */
	struct remote_answer answer;
	struct alz_blocker blocker;
	struct asynclazy_claim c;
	struct asynclazy_event e;
	struct asynclazy_flight f;
	struct asynclazy_stats s;
};

FIXTURE_SETUP(lease)
{
	self->a.client = -1;
	self->b.client = -1;
	self->r.pid = -1;
}

FIXTURE_TEARDOWN(lease)
{
	if (self->r.pid > 0) {
		kill(self->r.pid, SIGCONT);
		remote_end(&self->r);
	}
	alz_leave(&self->b);
	alz_leave(&self->a);
}

static int setup(struct alz *a, struct alz *b, __u64 accept, __u64 soft, __u64 hard)
{
	struct asynclazy_create c = {
		.flags = ASYNCLAZY_CREATE_STABLE,
		.max_keys = 1000,
		.arena_size = 1 << 20,
		.accept = accept,
		.soft_lease = soft,
		.hard_lease = hard,
	};
	int err = alz_setup_as(a, &c);

	return err ? err : alz_join(b, a->cache);
}

static int extend(const struct alz *a, __u64 ticket, __u64 done, __u64 total, __u64 *until)
{
	struct asynclazy_extend e = {
		.size = sizeof(e), .ticket = ticket, .done = done, .total = total,
	};
	int err = alz_call(a->client, ASYNCLAZY_IOC_EXTEND, &e);

	if (until)
		*until = e.out_until;
	return err;
}

TEST_F(lease, a_hard_lease_takes_the_ticket_away)	/* K14 */
{
	__u64 ticket, begin = alz_now();

	ASSERT_EQ(0, setup(&self->a, &self->b, 0, 0, LEASE));
	ticket = alz_ticket(&self->a, "k");
	ASSERT_NE(0, ticket);
	alz_block(&self->blocker, &self->b, "k", INIT, 0);
	ASSERT_TRUE(alz_block_ended(&self->blocker, ALZ_SOON_MS));
	EXPECT_LE(LEASE, alz_now() - begin);
	EXPECT_EQ(0, self->blocker.err);
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->blocker.claim.out_result);
	EXPECT_EQ(1, self->blocker.claim.out_attempt);
	/* fenced */
	EXPECT_EQ(-ESTALE, alz_publish(&self->a, ticket, "late"));
	EXPECT_EQ(-ESTALE, extend(&self->a, ticket, 0, 0, NULL));
	EXPECT_EQ(0, alz_publish(&self->b, self->blocker.claim.out_ticket, "value"));
	EXPECT_TRUE(alz_has(&self->a, "k", "value"));
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(1, self->s.out_revoked);
	EXPECT_EQ(0, self->s.out_deaths);
}

TEST_F(lease, waiters_that_cannot_initialise_are_told)	/* K14 */
{
	ASSERT_EQ(0, setup(&self->a, &self->b, 0, 0, LEASE));
	ASSERT_NE(0, alz_ticket(&self->a, "k"));
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", EVENT, 7, &self->c));
	ASSERT_EQ(0, alz_event(&self->b, &self->e));
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->e.result);
	EXPECT_EQ(ETIME, self->e.error);
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "k"));
	EXPECT_EQ(-ENOENT, alz_flight(&self->a, "k", &self->f));
}

TEST_F(lease, a_soft_lease_is_told_of)			/* K14 */
{
	__u64 ticket;

	ASSERT_EQ(0, setup(&self->a, &self->b, 0, LEASE, 0));
	ticket = alz_ticket(&self->a, "k");
	ASSERT_EQ(0, alz_flight(&self->b, "k", &self->f));
	EXPECT_EQ(0, self->f.out_flags);
	EXPECT_EQ(getpid(), self->f.out_owner);
	EXPECT_EQ(ASYNCLAZY_NEVER, self->f.out_until);
	ASSERT_TRUE(alz_await_late(&self->a, 1));
	ASSERT_EQ(0, alz_flight(&self->b, "k", &self->f));
	EXPECT_EQ(ASYNCLAZY_FLIGHT_LATE, self->f.out_flags);
	EXPECT_EQ(0, alz_publish(&self->a, ticket, "value"));
	EXPECT_TRUE(alz_has(&self->b, "k", "value"));
}

TEST_F(lease, extend_renews_it_and_carries_progress)	/* K14 */
{
	__u64 ticket, until, begin = alz_now(), i;

	ASSERT_EQ(0, setup(&self->a, &self->b, 0, 0, LEASE));
	ticket = alz_ticket(&self->a, "k");
	/* several leases long */
	for (i = 0; alz_now() - begin < 3 * LEASE; i++) {
		ASSERT_EQ(0, extend(&self->a, ticket, i, 1000000, &until));
		EXPECT_LE(alz_now(), until);
		ASSERT_EQ(0, alz_flight(&self->b, "k", &self->f));
		EXPECT_EQ(i, self->f.out_done);
		EXPECT_EQ(1000000, self->f.out_total);
		EXPECT_EQ(until, self->f.out_until);
		EXPECT_LE(begin, self->f.out_started);
		EXPECT_LE(self->f.out_started, self->f.out_granted);
		usleep(LEASE / 20 / 1000);
	}
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(0, self->s.out_revoked);
	EXPECT_EQ(i, self->s.out_extends);
	EXPECT_EQ(-EINVAL, extend(&self->a, ticket, 2, 1, NULL));
	EXPECT_EQ(-ESTALE, extend(&self->b, ticket, 0, 0, NULL));
	EXPECT_EQ(-ENOENT, extend(&self->a, 1 << 30, 0, 0, NULL));
	EXPECT_EQ(0, alz_publish(&self->a, ticket, "value"));
	EXPECT_EQ(-ESTALE, extend(&self->a, ticket, 0, 0, NULL));
}

TEST_F(lease, another_process_sees_who_makes_it)	/* K14 */
{
	ASSERT_EQ(0, setup(&self->a, &self->b, 0, 0, 0));
	ASSERT_EQ(0, remote_start(&self->r, self->a.cache));
	ASSERT_NE(0, remote_ticket(&self->r, "k"));
	ASSERT_EQ(0, alz_claim_event(&self->a, "k", INIT | EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_flight(&self->b, "k", &self->f));
	EXPECT_EQ(self->r.pid, self->f.out_owner);
	EXPECT_EQ(2, self->f.out_waiters);
	EXPECT_EQ(self->c.out_generation, self->f.out_generation);
	ASSERT_EQ(0, remote_kill(&self->r));
	ASSERT_EQ(0, alz_event(&self->a, &self->e));
	ASSERT_EQ(0, alz_flight(&self->b, "k", &self->f));
	EXPECT_EQ(getpid(), self->f.out_owner);
	EXPECT_EQ(1, self->f.out_attempt);
	self->r.pid = -1;
}

TEST_F(lease, a_flight_of_a_long_key_is_found_too)	/* K14 */
{
	char key[400];

	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = 0;
	ASSERT_EQ(0, setup(&self->a, &self->b, 0, 0, 0));
	ASSERT_NE(0, alz_ticket(&self->a, key));
	ASSERT_EQ(0, alz_flight(&self->b, key, &self->f));
	EXPECT_EQ(getpid(), self->f.out_owner);
	key[300] = 'x';
	EXPECT_EQ(-ENOENT, alz_flight(&self->b, key, &self->f));
}

/* ---- offers -------------------------------------------------------------- */

TEST_F(lease, an_unread_event_goes_to_the_next_waiter)	/* K14 */
{
	__u64 ticket;

	ASSERT_EQ(0, setup(&self->a, &self->b, LEASE, 0, 0));
	ticket = alz_ticket(&self->a, "k");
	ASSERT_EQ(0, alz_claim_event(&self->a, "k", INIT | EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", INIT | EVENT, 2, &self->c));
	ASSERT_EQ(0, alz_abandon(&self->a, ticket));
	EXPECT_EQ(POLLIN, alz_poll(self->a.client, 0));
	/* the first one does not read */
	ASSERT_EQ(0, alz_event(&self->b, &self->e));
	EXPECT_EQ(2, self->e.cookie);
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->e.result);
	EXPECT_EQ(0, alz_poll(self->a.client, 0));
	ASSERT_EQ(0, alz_publish(&self->b, self->e.ticket, "value"));
	ASSERT_EQ(0, alz_event(&self->a, &self->e));
	EXPECT_EQ(1, self->e.cookie);
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->e.result);
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(1, self->s.out_unaccepted);
}

TEST_F(lease, an_unread_wait_fd_is_quiet_again)		/* K14 */
{
	__u64 ticket;
	int fd;

	ASSERT_EQ(0, setup(&self->a, &self->b, LEASE, 0, 0));
	ticket = alz_ticket(&self->a, "k");
	fd = alz_waitfd(&self->b, "k", INIT, 5);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, alz_claim_event(&self->a, "k", INIT | EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_abandon(&self->a, ticket));
	EXPECT_EQ(POLLIN, alz_poll(fd, 0));
	ASSERT_EQ(0, alz_event(&self->a, &self->e));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->e.result);
	EXPECT_EQ(0, alz_poll(fd, 0));
	ASSERT_EQ(0, fcntl(fd, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-1, read(fd, &self->e, sizeof(self->e)));
	EXPECT_EQ(EAGAIN, errno);
	/* and again readable when there is something */
	ASSERT_EQ(0, alz_publish(&self->a, self->e.ticket, "value"));
	ASSERT_EQ(0, alz_read_waitfd(fd, &self->e, ALZ_SOON_MS));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->e.result);
	close(fd);
}

TEST_F(lease, a_stopped_process_does_not_keep_an_offer)	/* K14 */
{
	struct remote_request q = { .op = REMOTE_CLAIM, .flags = INIT | BLOCK, .key = "k" };
	__u64 ticket;
	int status;

	ASSERT_EQ(0, setup(&self->a, &self->b, LEASE, 0, 0));
	ticket = alz_ticket(&self->a, "k");
	ASSERT_EQ(0, remote_start(&self->r, self->a.cache));
	ASSERT_EQ(0, remote_send(&self->r, &q));
	ASSERT_TRUE(alz_await_waits(&self->a, 1));
	ASSERT_EQ(0, kill(self->r.pid, SIGSTOP));
	ASSERT_EQ(self->r.pid, waitpid(self->r.pid, &status, WUNTRACED));
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", INIT | EVENT, 2, &self->c));
	ASSERT_EQ(0, alz_abandon(&self->a, ticket));
	ASSERT_EQ(0, alz_event(&self->b, &self->e));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->e.result);
	ASSERT_EQ(0, kill(self->r.pid, SIGCONT));
	ASSERT_EQ(0, alz_publish(&self->b, self->e.ticket, "value"));
	/* its call goes on where it was, and has what the other one made */
	ASSERT_EQ(0, remote_hear(&self->r, &self->answer, ALZ_SOON_MS));
	EXPECT_EQ(0, self->answer.err);
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->answer.claim.out_result);
}

TEST_F(lease, an_offer_that_was_read_stays)		/* K14 */
{
	__u64 ticket;

	ASSERT_EQ(0, setup(&self->a, &self->b, LEASE / 4, 0, 0));
	ticket = alz_ticket(&self->a, "k");
	ASSERT_EQ(0, alz_claim_event(&self->a, "k", INIT | EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", INIT | EVENT, 2, &self->c));
	ASSERT_EQ(0, alz_abandon(&self->a, ticket));
	ASSERT_EQ(0, alz_event(&self->a, &self->e));
	EXPECT_EQ(0, alz_poll(self->b.client, LEASE / ALZ_MSEC));
	EXPECT_EQ(0, alz_publish(&self->a, self->e.ticket, "value"));
}

/* ---- what is refused ------------------------------------------------------ */

TEST_F(lease, impossible_ones_are_refused)		/* K1 */
{
	EXPECT_EQ(-EINVAL, setup(&self->a, &self->b, 0, 2, 1));
	alz_leave(&self->a);
	EXPECT_EQ(0, setup(&self->a, &self->b, ASYNCLAZY_NEVER, ASYNCLAZY_NEVER,
			   ASYNCLAZY_NEVER));
	EXPECT_NE(0, alz_ticket(&self->a, "k"));
	EXPECT_EQ(-ENOENT, alz_flight(&self->a, "other", &self->f));
}

TEST_HARNESS_MAIN
