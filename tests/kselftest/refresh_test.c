// SPDX-License-Identifier: GPL-2.0-only
/* L14, K10: values that are made anew while they are read; EXPIRE. */
#include "kselftest_harness.h"
#include "remote.h"

#define FOR_EVER	(3600 * ALZ_SEC)

FIXTURE(refresh) {
	struct alz a, b;
	struct remote r;
	struct remote_answer answer;
	struct alz_blocker blocker;
	struct alz_found found;
	struct asynclazy_claim c;
	struct asynclazy_event e;
	struct asynclazy_flight f;
	struct asynclazy_stats s;
};

FIXTURE_VARIANT(refresh) {
	__u32 flags;
};

FIXTURE_VARIANT_ADD(refresh, stable) {
	.flags = ASYNCLAZY_CREATE_STABLE,
};

FIXTURE_VARIANT_ADD(refresh, evict) {
	.flags = 0,
};

FIXTURE_SETUP(refresh)
{
	struct asynclazy_create c = {
		.flags = variant->flags, .max_keys = 1000, .arena_size = 1 << 20,
		.segment_size = 1 << 16,
	};

	self->r.pid = -1;
	ASSERT_EQ(0, alz_setup_as(&self->a, &c));
	ASSERT_EQ(0, alz_join(&self->b, self->a.cache));
}

FIXTURE_TEARDOWN(refresh)
{
	if (self->r.pid > 0)
		remote_end(&self->r);
	alz_leave(&self->b);
	alz_leave(&self->a);
}

/* Publish @value: fresh for @ttl, then stale for @stale. */
static int publish(const struct alz *a, __u64 ticket, const char *value, __u64 ttl,
		   __u64 stale)
{
	struct asynclazy_publish p = {
		.size = sizeof(p), .ticket = ticket, .value = (uintptr_t)value,
		.value_size = strlen(value), .ttl = ttl, .stale_ttl = stale,
	};

	return alz_call(a->client, ASYNCLAZY_IOC_PUBLISH, &p);
}

static int expire(const struct alz *a, const char *key, __u32 *count)
{
	struct asynclazy_expire e = {
		.size = sizeof(e), .key = (uintptr_t)key, .key_size = strlen(key),
		.hash = alz_hash(a, key, strlen(key)),
	};
	int err = alz_call(a->client, ASYNCLAZY_IOC_EXPIRE, &e);

	*count = e.out_count;
	return err;
}

/* "k" is `old`, stale, and will be for long. */
static int stale(const struct alz *a)
{
	return publish(a, alz_ticket(a, "k"), "old", 1, FOR_EVER);
}

static __u64 refreshing(const struct alz *a, const char *key)
{
	struct alz_found found;

	alz_find(a, key, strlen(key), &found);
	return found.word & ASYNCLAZY_SLOT_REFRESHING;
}

TEST_F(refresh, one_makes_it_anew_and_the_others_read_on)	/* L14 */
{
	__u64 old;
	int i;

	ASSERT_EQ(0, stale(&self->a));
	ASSERT_EQ(0, alz_claim(&self->b, "k", 0, &self->c));
	ASSERT_EQ(ASYNCLAZY_RESULT_HIT, self->c.out_result);
	old = self->c.out_offset;
	ASSERT_EQ(0, alz_claim(&self->a, "k", INIT, &self->c));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
	EXPECT_EQ(old, self->c.out_offset);
	EXPECT_NE(0, refreshing(&self->a, "k"));
	ASSERT_EQ(0, remote_start(&self->r, self->a.cache));
	for (i = 0; i < 10; i++) {
		struct asynclazy_claim other;

		ASSERT_EQ(0, alz_claim(&self->b, "k", INIT | BLOCK, &other));
		EXPECT_EQ(ASYNCLAZY_RESULT_HIT, other.out_result);
		EXPECT_EQ(old, other.out_offset);
		ASSERT_EQ(0, remote_claim(&self->r, "k", INIT, 0, &self->answer));
		EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->answer.claim.out_result);
		EXPECT_TRUE(alz_has(&self->b, "k", "old"));
	}
	ASSERT_EQ(0, alz_flight(&self->b, "k", &self->f));
	EXPECT_EQ(ASYNCLAZY_FLIGHT_REFRESH, self->f.out_flags);
	EXPECT_EQ(0, self->f.out_waiters);
	ASSERT_EQ(0, publish(&self->a, self->c.out_ticket, "new", FOR_EVER, 0));
	EXPECT_EQ(0, refreshing(&self->a, "k"));
	EXPECT_TRUE(alz_has(&self->b, "k", "new"));
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(1, self->s.out_refreshes);
	EXPECT_EQ(2, self->s.out_tickets);
	EXPECT_EQ(1, self->s.out_keys);
}

TEST_F(refresh, a_failure_leaves_the_value_and_is_seen_beside_it)	/* L14 */
{
	ASSERT_EQ(0, stale(&self->a));
	ASSERT_EQ(0, alz_claim(&self->a, "k", INIT, &self->c));
	ASSERT_EQ(0, alz_fail(&self->a, self->c.out_ticket, EIO, TRANSIENT, 0, "why"));
	EXPECT_EQ(0, refreshing(&self->a, "k"));
	EXPECT_TRUE(alz_has(&self->b, "k", "old"));
	/* an error that is to be kept takes its place */
	ASSERT_EQ(0, alz_claim(&self->b, "k", INIT, &self->c));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
	ASSERT_EQ(0, alz_fail(&self->b, self->c.out_ticket, ENOENT, PERMANENT, 0, "gone"));
	ASSERT_EQ(0, alz_claim(&self->a, "k", INIT, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->c.out_result);
	EXPECT_EQ(ENOENT, self->c.out_error);
}

TEST_F(refresh, a_killed_owner_leaves_the_value)		/* L14, K8 */
{
	ASSERT_EQ(0, stale(&self->a));
	ASSERT_EQ(0, remote_start(&self->r, self->a.cache));
	ASSERT_EQ(0, remote_claim(&self->r, "k", INIT, 0, &self->answer));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->answer.claim.out_result);
	EXPECT_NE(0, refreshing(&self->a, "k"));
	ASSERT_EQ(0, remote_kill(&self->r));
	self->r.pid = -1;
	ASSERT_TRUE(alz_await_clients(&self->a, 2));
	EXPECT_EQ(0, refreshing(&self->a, "k"));
	EXPECT_TRUE(alz_has(&self->a, "k", "old"));
	ASSERT_EQ(0, alz_claim(&self->a, "k", INIT, &self->c));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
	ASSERT_EQ(0, publish(&self->a, self->c.out_ticket, "new", FOR_EVER, 0));
	EXPECT_TRUE(alz_has(&self->b, "k", "new"));
}

TEST_F(refresh, past_stale_until_it_is_waited_for)	/* L14 */
{
	ASSERT_EQ(0, publish(&self->a, alz_ticket(&self->a, "k"), "old", 1, 1));
	ASSERT_EQ(0, alz_claim(&self->a, "k", INIT, &self->c));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
	ASSERT_EQ(0, alz_claim(&self->b, "k", 0, &self->c) ||
		  self->c.out_result != ASYNCLAZY_RESULT_PENDING);
	alz_block(&self->blocker, &self->b, "k", INIT, 0);
	ASSERT_TRUE(alz_await_waits(&self->a, 1));
	EXPECT_EQ(0, alz_set(&self->a, "k", "new"));
	ASSERT_TRUE(alz_block_ended(&self->blocker, ALZ_SOON_MS));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->blocker.claim.out_result);
	EXPECT_TRUE(alz_value_at(&self->b, self->blocker.claim.out_offset, "new"));
}

TEST_F(refresh, it_is_made_anew_early_by_who_asks_for_that)	/* L14 */
{
	__u64 fresh = 600 * ALZ_MSEC, ticket = alz_ticket(&self->a, "k"), published;

	/* a value that took long is soon due: but in the latter half of its time only */
	usleep(100000);
	ASSERT_EQ(0, publish(&self->a, ticket, "old", fresh, FOR_EVER));
	published = alz_now();
	do {
		ASSERT_EQ(0, alz_claim(&self->b, "k", INIT, &self->c));
		if (self->c.out_result == ASYNCLAZY_RESULT_TICKET)
			SKIP(return, "this machine was away for longer than the value was fresh");
		ASSERT_EQ(0, alz_claim(&self->b, "k", INIT | ASYNCLAZY_CLAIM_REFRESH, &self->c));
	} while (self->c.out_result == ASYNCLAZY_RESULT_HIT);
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
	EXPECT_LE(published + fresh / 4, alz_now());
	ASSERT_EQ(0, publish(&self->b, self->c.out_ticket, "new", FOR_EVER, FOR_EVER));
	ASSERT_EQ(0, alz_claim(&self->b, "k", INIT | ASYNCLAZY_CLAIM_REFRESH, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->c.out_result);
}

TEST_F(refresh, expire_makes_it_stale_now)		/* K10, L14 */
{
	__u32 count;

	ASSERT_EQ(0, alz_set(&self->a, "k", "old"));
	ASSERT_EQ(0, alz_claim(&self->b, "k", INIT, &self->c));
	ASSERT_EQ(ASYNCLAZY_RESULT_HIT, self->c.out_result);
	ASSERT_EQ(0, expire(&self->b, "k", &count));
	EXPECT_EQ(1, count);
	EXPECT_TRUE(alz_has(&self->a, "k", "old"));
	ASSERT_EQ(0, alz_claim(&self->a, "k", 0, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->c.out_result);
	ASSERT_EQ(0, alz_claim(&self->a, "k", INIT, &self->c));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
	EXPECT_TRUE(alz_value_at(&self->a, self->c.out_offset, "old"));
	ASSERT_EQ(0, alz_publish(&self->a, self->c.out_ticket, "new"));
	EXPECT_TRUE(alz_has(&self->b, "k", "new"));
	ASSERT_EQ(0, expire(&self->b, "nothing", &count));
	EXPECT_EQ(0, count);
}

TEST_F(refresh, expire_takes_the_longest_key)		/* K10 */
{
	char key[ASYNCLAZY_KEY_MAX + 1] = { 0 };
	__u32 count;

	memset(key, 'k', ASYNCLAZY_KEY_MAX);
	ASSERT_EQ(0, publish(&self->a, alz_ticket(&self->a, key), "old", FOR_EVER, FOR_EVER));
	ASSERT_EQ(0, expire(&self->b, key, &count));
	EXPECT_EQ(1, count);
	ASSERT_EQ(0, alz_claim(&self->b, key, INIT, &self->c));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
	ASSERT_EQ(0, publish(&self->b, self->c.out_ticket, "new", FOR_EVER, 0));
	EXPECT_TRUE(alz_has(&self->a, key, "new"));
}

TEST_F(refresh, expire_leaves_a_flight_alone)		/* K10 */
{
	__u64 ticket;
	__u32 count;

	ASSERT_EQ(0, stale(&self->a));
	ticket = alz_ticket(&self->a, "k");
	ASSERT_NE(0, ticket);
	ASSERT_EQ(0, expire(&self->b, "k", &count));
	ASSERT_EQ(0, alz_publish(&self->a, ticket, "new"));
	EXPECT_TRUE(alz_has(&self->b, "k", "new"));
}

TEST_F(refresh, invalidate_and_set_overtake_it)		/* K10 */
{
	__u64 ticket;
	__u32 count;

	ASSERT_EQ(0, stale(&self->a));
	ticket = alz_ticket(&self->a, "k");
	ASSERT_NE(0, ticket);
	ASSERT_EQ(0, alz_invalidate(&self->b, "k", &count));
	EXPECT_EQ(-ESTALE, alz_publish(&self->a, ticket, "late"));
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "k"));

	ASSERT_EQ(0, stale(&self->a));
	ticket = alz_ticket(&self->a, "k");
	ASSERT_NE(0, ticket);
	ASSERT_EQ(0, alz_set(&self->b, "k", "set"));
	EXPECT_EQ(-ESTALE, alz_publish(&self->a, ticket, "late"));
	EXPECT_TRUE(alz_has(&self->a, "k", "set"));
	EXPECT_EQ(0, refreshing(&self->a, "k"));
}

TEST_F(refresh, a_memfd_is_made_anew_and_expires_too)	/* L14, L16 */
{
	int fd = alz_memfd("large", 5, ALZ_SEALS), read_fd;
	struct asynclazy_set s;
	__u64 size;
	__u32 count;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, alz_set_memfd(&self->a, "k", fd, 5, &s));
	ASSERT_EQ(0, expire(&self->b, "k", &count));
	EXPECT_EQ(1, count);
	ASSERT_EQ(0, alz_claim(&self->b, "k", INIT, &self->c));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
	/* who reads on can still have it */
	ASSERT_EQ(0, alz_claim(&self->a, "k", INIT, &self->c));
	ASSERT_EQ(ASYNCLAZY_RESULT_HIT, self->c.out_result);
	read_fd = alz_memfd_of(&self->a, self->c.out_generation, &size);
	ASSERT_LE(0, read_fd);
	EXPECT_EQ(5, size);
	close(read_fd);
	close(fd);
}

TEST_HARNESS_MAIN
