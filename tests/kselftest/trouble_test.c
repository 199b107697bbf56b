// SPDX-License-Identifier: GPL-2.0-only
/* K9, K14: back-off after errors that are not kept, and the crash breaker. */
#include "kselftest_harness.h"
#include "remote.h"

#define BACKOFF		(400 * ALZ_MSEC)
#define BREAKER		((alz_debug_kernel() ? 2000 : 600) * ALZ_MSEC)

FIXTURE(trouble) {
	struct alz a, b;
	struct remote r;
	struct remote_answer answer;
	struct alz_blocker blocker;
	struct asynclazy_claim c;
	struct asynclazy_event e;
	struct asynclazy_flight f;
	struct asynclazy_stats s;
	char text[ASYNCLAZY_DETAIL_MAX + 1];
};

FIXTURE_SETUP(trouble)
{
	self->a.client = -1;
	self->b.client = -1;
	self->r.pid = -1;
}

FIXTURE_TEARDOWN(trouble)
{
	if (self->r.pid > 0)
		remote_end(&self->r);
	alz_leave(&self->b);
	alz_leave(&self->a);
}

static int setup(struct alz *a, struct alz *b, struct asynclazy_create c)
{
	int err;

	c.flags = ASYNCLAZY_CREATE_STABLE;
	c.max_keys = 1000;
	c.arena_size = 1 << 20;
	err = alz_setup_as(a, &c);
	return err ? err : alz_join(b, a->cache);
}

static const struct asynclazy_create backoff = { .backoff = BACKOFF };

/* What is known of a key, with the text of its error. */
static int look(FIXTURE_DATA(trouble) *self, const char *key)
{
	struct asynclazy_flight *f = &self->f;
	int err;

	memset(f, 0, sizeof(*f));
	memset(self->text, 0, sizeof(self->text));
	f->size = sizeof(*f);
	f->key = (uintptr_t)key;
	f->key_size = strlen(key);
	f->hash = alz_hash(&self->b, key, f->key_size);
	f->detail = (uintptr_t)self->text;
	f->detail_size = sizeof(self->text) - 1;
	err = alz_call(self->b.client, ASYNCLAZY_IOC_FLIGHT, f);
	return err;
}

TEST_F(trouble, the_next_caller_begins_after_the_backoff)	/* K9 */
{
	__u64 failed;

	ASSERT_EQ(0, setup(&self->a, &self->b, backoff));
	failed = alz_now();
	ASSERT_EQ(0, alz_fail(&self->a, alz_ticket(&self->a, "k"), ECONNREFUSED, TRANSIENT, 0,
			      "no backend"));
	EXPECT_EQ(-EAGAIN, alz_claim(&self->b, "k", INIT, &self->c));
	EXPECT_EQ(0, alz_claim(&self->b, "k", 0, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_EMPTY, self->c.out_result);
	ASSERT_EQ(0, look(self, "k"));
	EXPECT_EQ(ASYNCLAZY_FLIGHT_NONE, self->f.out_flags);
	EXPECT_EQ(ECONNREFUSED, self->f.out_error);
	EXPECT_EQ(1, self->f.out_failures);
	EXPECT_LE(failed + BACKOFF * 3 / 4, self->f.out_retry);
	EXPECT_GE(alz_now() + BACKOFF, self->f.out_retry);
	EXPECT_STREQ("no backend", self->text);
	EXPECT_EQ(10, self->f.out_detail_size);

	ASSERT_EQ(0, alz_claim_event(&self->b, "k", INIT | EVENT, 1, &self->c));
	ASSERT_EQ(ASYNCLAZY_RESULT_PENDING, self->c.out_result);
	ASSERT_EQ(0, look(self, "k"));
	EXPECT_EQ(ASYNCLAZY_FLIGHT_HELD, self->f.out_flags);
	EXPECT_EQ(1, self->f.out_waiters);
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(1, self->s.out_held);
	EXPECT_EQ(0, self->s.out_tickets_now);

	ASSERT_EQ(0, alz_event(&self->b, &self->e));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->e.result);
	EXPECT_LE(failed + BACKOFF * 3 / 4, alz_now());
	ASSERT_EQ(0, alz_publish(&self->b, self->e.ticket, "value"));
	EXPECT_EQ(-ENOENT, look(self, "k"));
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(0, self->s.out_held);
}

TEST_F(trouble, it_is_one_schedule_for_the_host)	/* K9 */
{
	__u64 failed, ticket;

	ASSERT_EQ(0, setup(&self->a, &self->b, backoff));
	ASSERT_EQ(0, remote_start(&self->r, self->a.cache));
	ticket = remote_ticket(&self->r, "k");
	ASSERT_NE(0, ticket);
	failed = alz_now();
	ASSERT_EQ(0, remote_do(&self->r, &(struct remote_request) {
		.op = REMOTE_FAIL, .ticket = ticket, .error = EIO, .text = "over there",
	}, &self->answer));
	ASSERT_EQ(0, self->answer.err);
	/* a thread of this process, and the other one: one of them gets it, once */
	alz_block(&self->blocker, &self->a, "k", INIT, 0);
	ASSERT_TRUE(alz_await_waits(&self->a, 1));
	ASSERT_EQ(0, remote_claim(&self->r, "k", INIT | EVENT, 1, &self->answer));
	EXPECT_EQ(ASYNCLAZY_RESULT_PENDING, self->answer.claim.out_result);
	ASSERT_TRUE(alz_block_ended(&self->blocker, ALZ_SOON_MS));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->blocker.claim.out_result);
	EXPECT_LE(failed + BACKOFF * 3 / 4, alz_now());
	ASSERT_EQ(0, alz_publish(&self->a, self->blocker.claim.out_ticket, "value"));
	ASSERT_EQ(0, remote_event(&self->r, REMOTE_EVENT, ALZ_SOON_MS, &self->answer));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->answer.event.result);
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(2, self->s.out_tickets);
}

TEST_F(trouble, it_doubles_with_each_failure_up_to_its_most)	/* K9 */
{
	__u64 time = 20 * ALZ_MSEC, most = 70 * ALZ_MSEC, before;
	int i;

	ASSERT_EQ(0, setup(&self->a, &self->b,
			   (struct asynclazy_create) { .backoff = time, .backoff_max = most }));
	for (i = 1; i <= 5; i++) {
		ASSERT_EQ(0, alz_claim(&self->a, "k", INIT | BLOCK, &self->c));
		ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
		before = alz_now();
		ASSERT_EQ(0, alz_fail(&self->a, self->c.out_ticket, EIO, TRANSIENT, 0, ""));
		ASSERT_EQ(0, look(self, "k"));
		EXPECT_EQ(i, self->f.out_failures);
		if (self->f.out_retry)
			EXPECT_GE(alz_now() + time, self->f.out_retry);
		/* a machine that is busy may have been away until then */
		if (self->f.out_retry)
			EXPECT_LE(before + time * 3 / 4, self->f.out_retry);
		time = time * 2 < most ? time * 2 : most;
	}
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(5, self->s.out_fails);
}

TEST_F(trouble, a_value_or_who_knows_better_ends_it)	/* K9 */
{
	static const char *const keys[] = { "set", "invalidate", "clear" };
	__u32 count;
	__u64 many;
	int i;

	ASSERT_EQ(0, setup(&self->a, &self->b,
			   (struct asynclazy_create) { .backoff = 3600 * ALZ_SEC }));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, alz_fail(&self->a, alz_ticket(&self->a, keys[i]), EIO, TRANSIENT,
				      0, ""));
		ASSERT_EQ(-EAGAIN, alz_claim(&self->b, keys[i], INIT, &self->c));
	}
	ASSERT_EQ(0, alz_set(&self->a, "set", "value"));
	EXPECT_EQ(-ENOENT, look(self, "set"));
	EXPECT_EQ(0, alz_invalidate(&self->a, "invalidate", &count));
	EXPECT_NE(0, alz_ticket(&self->b, "invalidate"));
	/* who waits has its turn at once */
	ASSERT_EQ(0, alz_claim_event(&self->b, "clear", INIT | EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_clear(&self->a, &many));
	ASSERT_EQ(0, alz_event(&self->b, &self->e));
	EXPECT_EQ(ASYNCLAZY_RESULT_TICKET, self->e.result);
}

TEST_F(trouble, errors_that_are_kept_have_none)		/* K9 */
{
	ASSERT_EQ(0, setup(&self->a, &self->b, backoff));
	ASSERT_EQ(0, alz_fail(&self->a, alz_ticket(&self->a, "k"), ENOENT, NEGATIVE, 1, ""));
	while (!alz_claim(&self->b, "k", INIT, &self->c) &&
	       self->c.out_result == ASYNCLAZY_RESULT_FAILED)
		;
	EXPECT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
}

/* ---- the breaker ------------------------------------------------------------ */

/* An owner of "k" that is killed. */
static int one_dies(FIXTURE_DATA(trouble) *self)
{
	int err = remote_start(&self->r, self->a.cache);

	if (!err && !remote_ticket(&self->r, "k"))
		err = -EIO;
	if (!err)
		err = remote_kill(&self->r);
	if (err)
		return err;
	self->r.pid = -1;
	return alz_await_clients(&self->a, 2) ? 0 : -ETIMEDOUT;
}

TEST_F(trouble, three_dead_owners_are_enough)		/* K14 */
{
	__u64 opened;

	ASSERT_EQ(0, setup(&self->a, &self->b,
			   (struct asynclazy_create) { .max_deaths = 3, .breaker = BREAKER }));
	ASSERT_EQ(0, one_dies(self));
	ASSERT_EQ(0, one_dies(self));
	ASSERT_EQ(0, remote_start(&self->r, self->a.cache));
	ASSERT_NE(0, remote_ticket(&self->r, "k"));
	/* who would be the next one is told instead, and so is who only waits */
	ASSERT_EQ(0, alz_claim_event(&self->a, "k", INIT | EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", EVENT, 1, &self->c));
	opened = alz_now();
	ASSERT_EQ(0, remote_kill(&self->r));
	self->r.pid = -1;
	ASSERT_EQ(0, alz_event(&self->a, &self->e));
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->e.result);
	EXPECT_EQ(EOWNERDEAD, self->e.error);
	ASSERT_EQ(0, alz_event(&self->b, &self->e));
	EXPECT_EQ(EOWNERDEAD, self->e.error);

	ASSERT_EQ(0, alz_claim(&self->b, "k", INIT, &self->c));
	if (alz_now() < opened + BREAKER) {
		ASSERT_EQ(ASYNCLAZY_RESULT_FAILED, self->c.out_result);
		EXPECT_EQ(EOWNERDEAD, self->c.out_error);
		EXPECT_EQ(ASYNCLAZY_NO_RECORD, self->c.out_offset);
		EXPECT_EQ(0, strncmp(alz_claim_detail(), "3 processes died", 16))
			TH_LOG("\"%s\"", alz_claim_detail());
		ASSERT_EQ(0, look(self, "k"));
		EXPECT_EQ(ASYNCLAZY_FLIGHT_NONE | ASYNCLAZY_FLIGHT_BROKEN, self->f.out_flags);
	}
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(1, self->s.out_broken);
	EXPECT_EQ(3, self->s.out_deaths);
	/* other keys are not concerned */
	EXPECT_NE(0, alz_ticket(&self->b, "other"));
}

TEST_F(trouble, the_breaker_closes_and_the_next_death_opens_it_again)	/* K14 */
{
	__u64 opened, again;

	ASSERT_EQ(0, setup(&self->a, &self->b,
			   (struct asynclazy_create) { .max_deaths = 1, .breaker = BREAKER }));
	opened = alz_now();
	ASSERT_EQ(0, one_dies(self));
	/* not an event: nobody is told that it may be tried again, who asks is */
	while (!alz_claim(&self->b, "k", INIT, &self->c) &&
	       self->c.out_result == ASYNCLAZY_RESULT_FAILED)
		usleep(1000);
	EXPECT_LE(opened + BREAKER, alz_now());
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
	ASSERT_EQ(0, alz_abandon(&self->b, self->c.out_ticket));
	again = alz_now();
	ASSERT_EQ(0, one_dies(self));
	ASSERT_EQ(0, look(self, "k"));
	EXPECT_LE(again + 2 * BREAKER, self->f.out_retry);
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(2, self->s.out_broken);
	/* and a value ends it */
	ASSERT_EQ(0, alz_set(&self->a, "k", "value"));
	EXPECT_TRUE(alz_has(&self->b, "k", "value"));
}

TEST_F(trouble, nonsense_is_refused)			/* K13 */
{
	EXPECT_EQ(-EINVAL, setup(&self->a, &self->b, (struct asynclazy_create) {
		.backoff = 2 * ALZ_SEC, .backoff_max = ALZ_SEC }));
}

TEST_HARNESS_MAIN
