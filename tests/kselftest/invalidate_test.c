// SPDX-License-Identifier: GPL-2.0-only
/* K10: invalidate, set and clear, also while somebody initialises. */
#include "kselftest_harness.h"
#include "remote.h"

FIXTURE(invalidate) {
	struct alz a;		/* the owner */
	struct alz b;		/* who waits, and who interferes */
	struct alz_blocker blocker;
	struct asynclazy_claim c;
	struct asynclazy_event e[16];
	struct alz_state before;
	__u64 ticket, generation;
	__u32 count;
};

FIXTURE_SETUP(invalidate)
{
	ASSERT_EQ(0, alz_setup(&self->a, 1000, 1 << 20));
	ASSERT_EQ(0, alz_join(&self->b, self->a.cache));
	ASSERT_EQ(0, alz_claim(&self->a, "k", INIT, &self->c));
	self->ticket = self->c.out_ticket;
	self->generation = self->c.out_generation;
}

FIXTURE_TEARDOWN(invalidate)
{
	alz_leave(&self->b);
	alz_leave(&self->a);
}

/* The owner's late publish changes nothing. I6 */
#define EXPECT_OVERTAKEN() do {						\
	alz_snapshot(&self->a, &self->before);				\
	EXPECT_EQ(-ESTALE, alz_publish(&self->a, self->ticket, "late"));	\
	EXPECT_EQ(-ESTALE, alz_fail(&self->a, self->ticket, EIO, PERMANENT, 0, "late"));	\
	EXPECT_EQ(-ESTALE, alz_abandon(&self->a, self->ticket));	\
	EXPECT_TRUE(alz_unchanged(&self->a, &self->before));		\
} while (0)

TEST_F(invalidate, nothing_there_is_fine)		/* K10 */
{
	__u64 count;

	ASSERT_EQ(0, alz_abandon(&self->a, self->ticket));
	ASSERT_EQ(0, alz_invalidate(&self->b, "nothing", &self->count));
	EXPECT_EQ(0, self->count);
	ASSERT_EQ(0, alz_clear(&self->b, &count));
	EXPECT_EQ(0, count);
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "nothing"));
	EXPECT_EQ(0, self->a.header->keys);
}

TEST_F(invalidate, a_value_is_gone)			/* K10 */
{
	ASSERT_EQ(0, alz_publish(&self->a, self->ticket, "value"));
	ASSERT_EQ(0, alz_set(&self->a, "other", "stays"));
	ASSERT_EQ(0, alz_invalidate(&self->b, "k", &self->count));
	EXPECT_EQ(1, self->count);
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "k"));
	EXPECT_TRUE(alz_has(&self->a, "other", "stays"));
	EXPECT_EQ(1, self->a.header->keys);
	ASSERT_EQ(0, alz_invalidate(&self->b, "k", &self->count));
	EXPECT_EQ(0, self->count);
	ASSERT_EQ(0, alz_claim(&self->b, "k", INIT, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
	EXPECT_LT(self->generation, self->c.out_generation);
}

TEST_F(invalidate, a_flight_without_waiters_ends)	/* K10, I6 */
{
	ASSERT_EQ(0, alz_invalidate(&self->b, "k", &self->count));
	EXPECT_EQ(1, self->count);
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "k"));
	EXPECT_EQ(0, self->a.header->initializing);
	EXPECT_OVERTAKEN();
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "k"));
}

TEST_F(invalidate, those_who_only_wait_are_told_it_is_stale)	/* K10 */
{
	struct alz_blocker *b = &self->blocker;
	int fd;

	ASSERT_EQ(0, alz_claim_event(&self->b, "k", EVENT, 1, &self->c));
	fd = alz_waitfd(&self->b, "k", 0, 2);
	ASSERT_LE(0, fd);
	alz_block(b, &self->b, "k", 0, 0);
	ASSERT_TRUE(alz_await_waits(&self->a, 3));
	ASSERT_EQ(0, alz_invalidate(&self->b, "k", &self->count));
	EXPECT_EQ(1, self->count);
	ASSERT_EQ(0, alz_event(&self->b, self->e));
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->e[0].result);
	EXPECT_EQ(ESTALE, self->e[0].error);
	ASSERT_EQ(0, alz_read_waitfd(fd, self->e, ALZ_SOON_MS));
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->e[0].result);
	EXPECT_EQ(ESTALE, self->e[0].error);
	ASSERT_TRUE(alz_block_ended(b, ALZ_SOON_MS));
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, b->claim.out_result);
	EXPECT_EQ(ESTALE, b->claim.out_error);
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "k"));
	EXPECT_OVERTAKEN();
	close(fd);
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
}

TEST_F(invalidate, a_waiter_that_can_starts_again)	/* K10, I1 */
{
	struct asynclazy_event *e = self->e;

	ASSERT_EQ(0, alz_claim_event(&self->b, "k", EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", INIT | EVENT, 2, &self->c));
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", INIT | EVENT, 3, &self->c));
	ASSERT_EQ(0, alz_invalidate(&self->b, "k", &self->count));
	EXPECT_EQ(1, self->count);
	/* the oldest that can has a ticket of a new generation */
	ASSERT_EQ(1, alz_events(&self->b, e, 16, ALZ_SOON_MS));
	EXPECT_EQ(2, e->cookie);
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, e->result);
	EXPECT_NE(self->ticket, e->ticket);
	EXPECT_LT(self->generation, e->generation);
	EXPECT_EQ(0, e->attempt);
	EXPECT_EQ(0, alz_poll(self->b.client, ALZ_QUIET_MS));
	EXPECT_EQ(ASYNCLAZY_SLOT_INITIALIZING, alz_state_of(&self->a, "k"));
	EXPECT_EQ(1, self->a.header->initializing);
	EXPECT_OVERTAKEN();
	/* newcomers join the new flight */
	ASSERT_EQ(0, alz_claim_event(&self->a, "k", INIT | EVENT, 4, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_PENDING, self->c.out_result);
	EXPECT_EQ(e->generation, self->c.out_generation);
	ASSERT_EQ(0, alz_publish(&self->b, e->ticket, "new"));
	EXPECT_TRUE(alz_has(&self->a, "k", "new"));
	ASSERT_EQ(2, alz_events(&self->b, e, 16, ALZ_SOON_MS));
	/* in any order, since only one of them can initialise */
	EXPECT_TRUE(e[0].cookie == 1 || e[0].cookie == 3);
	EXPECT_EQ(1 + 3, e[0].cookie + e[1].cookie);
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, e[0].result);
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, e[1].result);
	EXPECT_TRUE(alz_value_at(&self->b, e[1].offset, "new"));
	ASSERT_EQ(0, alz_event(&self->a, e));
	EXPECT_EQ(4, e->cookie);
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
}

TEST_F(invalidate, a_blocked_process_starts_again)	/* K10 */
{
	struct remote_answer answer;
	struct remote r;

	ASSERT_EQ(0, remote_start(&r, self->a.cache));
	ASSERT_EQ(0, remote_claim(&r, "k", INIT | BLOCK, 0, &answer));
	ASSERT_TRUE(alz_await_waits(&self->a, 1));
	ASSERT_EQ(0, alz_invalidate(&self->b, "k", &self->count));
	ASSERT_EQ(0, remote_hear(&r, &answer, ALZ_SOON_MS));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, answer.claim.out_result);
	EXPECT_LT(self->generation, answer.claim.out_generation);
	EXPECT_OVERTAKEN();
	EXPECT_EQ(0, remote_publish(&r, answer.claim.out_ticket, "remote"));
	EXPECT_TRUE(alz_has(&self->a, "k", "remote"));
	remote_end(&r);
}

TEST_F(invalidate, an_unread_ticket_of_the_old_generation_is_stale)	/* K10, I1 */
{
	struct asynclazy_event *e = self->e;
	int n;

	ASSERT_EQ(0, alz_claim_event(&self->b, "k", INIT | EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_abandon(&self->a, self->ticket));
	ASSERT_EQ(POLLIN, alz_poll(self->b.client, ALZ_SOON_MS));
	ASSERT_EQ(0, alz_invalidate(&self->a, "k", &self->count));
	EXPECT_EQ(1, self->count);
	n = alz_events(&self->b, e, 16, ALZ_SOON_MS);
	ASSERT_EQ(1, n);
	/* the offer, overtaken, or word that the flight is stale: never a valid ticket */
	if (e->result == ASYNCLAZY_RESULT_TICKET) {
		EXPECT_EQ(-ESTALE, alz_publish(&self->b, e->ticket, "late"));
	} else {
		EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, e->result);
		EXPECT_EQ(ESTALE, e->error);
	}
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "k"));
	EXPECT_LT(0, alz_ticket(&self->a, "k"));
}

TEST_F(invalidate, the_owner_may_do_it_itself)		/* K10 */
{
	ASSERT_EQ(0, alz_invalidate(&self->a, "k", &self->count));
	EXPECT_EQ(1, self->count);
	EXPECT_OVERTAKEN();
	EXPECT_LT(0, alz_ticket(&self->a, "k"));
}

TEST_F(invalidate, a_follower_of_a_stale_flight_is_told)	/* K10 */
{
	ASSERT_EQ(0, alz_claim_event(&self->b, "new", INIT | EVENT | FOLLOW, 9, &self->c));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
	ASSERT_EQ(0, alz_invalidate(&self->a, "new", &self->count));
	ASSERT_EQ(0, alz_event(&self->b, self->e));
	EXPECT_EQ(9, self->e[0].cookie);
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->e[0].result);
	EXPECT_EQ(ESTALE, self->e[0].error);
}

TEST_F(invalidate, set_stores_whatever_the_state)	/* K10 */
{
	struct asynclazy_set s;

	/* EMPTY */
	ASSERT_EQ(0, alz_set_bytes(&self->b, "empty", "value", 5, 0, &s));
	EXPECT_TRUE(alz_has(&self->a, "empty", "value"));
	EXPECT_TRUE(alz_value_at(&self->b, s.out_offset, "value"));
	EXPECT_EQ(s.out_generation, alz_record(&self->b, s.out_offset)->generation);
	/* FILLED */
	ASSERT_EQ(0, alz_set(&self->b, "empty", "other"));
	EXPECT_TRUE(alz_has(&self->a, "empty", "other"));
	/* FAILED */
	ASSERT_EQ(0, alz_fail(&self->a, self->ticket, EIO, PERMANENT, 0, NULL));
	ASSERT_EQ(0, alz_set(&self->b, "k", "value"));
	EXPECT_TRUE(alz_has(&self->a, "k", "value"));
	EXPECT_EQ(2, self->a.header->keys);
	EXPECT_EQ(0, self->a.header->errors);
}

TEST_F(invalidate, set_during_a_flight_completes_the_waiters)	/* K10, I5, I6 */
{
	struct alz_blocker *b = &self->blocker;
	int fd;

	ASSERT_EQ(0, alz_claim_event(&self->b, "k", INIT | EVENT, 1, &self->c));
	fd = alz_waitfd(&self->b, "k", 0, 2);
	ASSERT_LE(0, fd);
	alz_block(b, &self->b, "k", INIT, 0);
	ASSERT_TRUE(alz_await_waits(&self->a, 3));
	ASSERT_EQ(0, alz_set(&self->b, "k", "set"));
	EXPECT_TRUE(alz_has(&self->a, "k", "set"));
	EXPECT_EQ(0, self->a.header->initializing);
	ASSERT_EQ(1, alz_events(&self->b, self->e, 16, ALZ_SOON_MS));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->e[0].result);
	EXPECT_TRUE(alz_value_at(&self->b, self->e[0].offset, "set"));
	EXPECT_LT(self->generation, self->e[0].generation);
	ASSERT_EQ(0, alz_read_waitfd(fd, self->e, ALZ_SOON_MS));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->e[0].result);
	ASSERT_TRUE(alz_block_ended(b, ALZ_SOON_MS));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, b->claim.out_result);
	EXPECT_TRUE(alz_value_at(&self->b, b->claim.out_offset, "set"));
	EXPECT_OVERTAKEN();
	EXPECT_TRUE(alz_has(&self->a, "k", "set"));
	close(fd);
}

TEST_F(invalidate, clear_takes_everything)		/* K10 */
{
	__u64 count, ticket;

	ASSERT_EQ(0, alz_set(&self->a, "value1", "v"));
	ASSERT_EQ(0, alz_set(&self->a, "value2", "v"));
	ticket = alz_ticket(&self->a, "error");
	ASSERT_EQ(0, alz_fail(&self->a, ticket, EIO, PERMANENT, 0, NULL));
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", EVENT, 1, &self->c));
	ticket = alz_ticket(&self->a, "restarts");
	ASSERT_EQ(0, alz_claim_event(&self->b, "restarts", INIT | EVENT, 2, &self->c));
	ASSERT_EQ(0, alz_clear(&self->b, &count));
	EXPECT_EQ(5, count);
	EXPECT_EQ(0, self->a.header->keys);
	EXPECT_EQ(0, self->a.header->errors);
	EXPECT_EQ(1, self->a.header->initializing);
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "value1"));
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "error"));
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "k"));
	EXPECT_OVERTAKEN();
	EXPECT_EQ(-ESTALE, alz_publish(&self->a, ticket, "late"));
	ASSERT_EQ(2, alz_events(&self->b, self->e, 16, ALZ_SOON_MS));
	for (int i = 0; i < 2; i++) {
		if (self->e[i].cookie == 1) {
			EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->e[i].result);
			EXPECT_EQ(ESTALE, self->e[i].error);
		} else {
			ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->e[i].result);
			EXPECT_EQ(0, alz_publish(&self->b, self->e[i].ticket, "again"));
		}
	}
	EXPECT_TRUE(alz_has(&self->a, "restarts", "again"));
	EXPECT_EQ(0, self->a.header->initializing);
}

TEST_F(invalidate, clear_takes_many)			/* K10 */
{
	char key[16];
	__u64 count;
	int i;

	ASSERT_EQ(0, alz_abandon(&self->a, self->ticket));
	for (i = 0; i < 900; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		if (i % 3) {
			ASSERT_EQ(0, alz_set(&self->a, key, "v"));
		} else {
			ASSERT_LT(0, alz_ticket(&self->a, key));
		}
	}
	ASSERT_EQ(0, alz_clear(&self->b, &count));
	EXPECT_EQ(900, count);
	EXPECT_EQ(0, self->a.header->keys + self->a.header->initializing);
	for (i = 0; i < 900; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ASSERT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, key));
	}
	alz_snapshot(&self->a, &self->before);
	EXPECT_EQ(0, self->before.tickets_now);
}

/* Set and invalidate @n keys of its own, for ever, in a table that is full. */
static void churn(int cache, int n, int socket)
{
	__u64 r = 1, moves;
	struct alz a;
	char key[16];

	if (alz_join(&a, cache) || peer_say(socket, 1))
		_exit(1);
	for (moves = 0;; moves++) {
		int err;

		snprintf(key, sizeof(key), "c%d", (int)(alz_rand(&r) % n));
		/* the table is full: make room elsewhere */
		err = alz_rand(&r) % 4 ? alz_set(&a, key, "v") : alz_invalidate(&a, key, NULL);
		if (err && err != -ENOSPC)
			_exit(2);
	}
}

TEST_F(invalidate, clear_takes_all_while_others_move_it)	/* K10, I6 */
{
	int round, i, set, rounds = alz_debug_kernel() ? 15 : alz_full() ? 120 : 60;
	struct asynclazy_stats s;
	int socket, keys, left;
	__u64 count, word;
	struct alz a;
	char key[16];
	pid_t pid;

	/* so many buckets that CLEAR does not do all in one go */
	ASSERT_EQ(0, alz_setup(&a, 512 * 7, 256 << 20));
	keys = a.header->bucket_count * ASYNCLAZY_BUCKET_SLOTS * 5 / 6;
	pid = peer_fork(&socket);
	if (!pid)
		churn(a.cache, keys / 5, socket);
	ASSERT_EQ(0, peer_hear(socket, &word, ALZ_SOON_MS));
	for (round = 0; round < rounds; round++) {
		for (i = set = 0; i < keys; i++) {
			snprintf(key, sizeof(key), "k%d", i);
			set += !alz_set(&a, key, "v");
		}
		ASSERT_EQ(0, alz_stats(a.cache, &s));
		if (s.out_arena_used > a.arena_size - (16 << 20))
			break;
		EXPECT_LT(keys * 9 / 10, set) TH_LOG("round %d", round);
		ASSERT_EQ(0, alz_clear(&a, &count));
		EXPECT_LE(set, (long)count);
		for (i = left = 0; i < keys; i++) {
			snprintf(key, sizeof(key), "k%d", i);
			left += alz_state_of(&a, key) != ASYNCLAZY_SLOT_EMPTY;
		}
		ASSERT_EQ(0, left) TH_LOG("round %d of %d, %d keys set", round, rounds, set);
	}
	EXPECT_LT(5, round);
	kill(pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, peer_reap(pid));
	close(socket);
	/* and the counts are right */
	ASSERT_EQ(0, alz_clear(&a, &count));
	EXPECT_EQ(0, a.header->keys + a.header->errors + a.header->initializing);
	alz_leave(&a);
}

TEST_HARNESS_MAIN
