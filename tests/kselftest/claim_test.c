// SPDX-License-Identifier: GPL-2.0-only
/* K3: claim, publish and abandon; what each state answers, legal or not. */
#include "kselftest_harness.h"
#include "remote.h"

FIXTURE(claim) {
	struct alz a;
	struct alz b;		/* a second client of this process */
	struct asynclazy_claim c;
	struct asynclazy_event e;
	struct alz_state before;
};

FIXTURE_SETUP(claim)
{
	ASSERT_EQ(0, alz_setup(&self->a, 1000, 1 << 20));
	ASSERT_EQ(0, alz_join(&self->b, self->a.cache));
}

FIXTURE_TEARDOWN(claim)
{
	alz_leave(&self->b);
	alz_leave(&self->a);
}

/*
 * Legal
 */

TEST_F(claim, looking_at_an_empty_key_says_so)		/* K3 */
{
	__u32 flags[] = { 0, BLOCK, EVENT, WAITFD };
	unsigned int i;
	int fds = alz_open_fds();

	alz_snapshot(&self->a, &self->before);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		ASSERT_EQ(0, alz_claim(&self->a, "k", flags[i], &self->c));
		EXPECT_EQ(ASYNCLAZY_RESULT_EMPTY, self->c.out_result);
		EXPECT_EQ(ASYNCLAZY_NO_RECORD, self->c.out_offset);
	}
	EXPECT_TRUE(alz_unchanged(&self->a, &self->before));
	EXPECT_EQ(fds, alz_open_fds());
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "k"));
}

TEST_F(claim, first_claimer_gets_the_ticket)		/* K3 */
{
	__u32 flags[] = { INIT, INIT | BLOCK, INIT | EVENT, INIT | WAITFD,
			  INIT | EVENT | FOLLOW };
	char key[16];
	unsigned int i;
	int fds = alz_open_fds();

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		snprintf(key, sizeof(key), "k%u", i);
		ASSERT_EQ(0, alz_claim_event(&self->a, key, flags[i], i, &self->c));
		EXPECT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
		EXPECT_NE(0, self->c.out_ticket);
		EXPECT_NE(0, self->c.out_generation);
		EXPECT_EQ(0, self->c.out_attempt);
		EXPECT_EQ(ASYNCLAZY_NO_RECORD, self->c.out_offset);
		EXPECT_EQ(ASYNCLAZY_SLOT_INITIALIZING, alz_state_of(&self->a, key));
		EXPECT_EQ(i + 1, self->a.header->initializing);
	}
	EXPECT_EQ(fds, alz_open_fds());
}

TEST_F(claim, second_claimer_is_told_to_wait)		/* K3 */
{
	ASSERT_LT(0, alz_ticket(&self->a, "k"));
	alz_snapshot(&self->a, &self->before);
	ASSERT_EQ(0, alz_claim(&self->b, "k", 0, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_PENDING, self->c.out_result);
	ASSERT_EQ(0, alz_claim(&self->b, "k", INIT, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_PENDING, self->c.out_result);
	/* the owner too */
	ASSERT_EQ(0, alz_claim(&self->a, "k", INIT, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_PENDING, self->c.out_result);
	EXPECT_TRUE(alz_unchanged(&self->a, &self->before));
}

TEST_F(claim, publish_fills_the_slot_and_all_see_it)	/* K3 */
{
	struct asynclazy_publish p;
	struct alz_found f;
	__u64 ticket;

	ASSERT_EQ(0, alz_claim(&self->a, "k", INIT, &self->c));
	ticket = self->c.out_ticket;
	ASSERT_EQ(0, alz_publish_bytes(&self->a, ticket, "value", 5, 0, &p));
	EXPECT_EQ(self->c.out_generation, p.out_generation);
	alz_find(&self->b, "k", 1, &f);
	ASSERT_EQ(ASYNCLAZY_SLOT_FILLED, f.state);
	EXPECT_EQ(p.out_offset, f.offset);
	EXPECT_EQ(p.out_generation, f.record->generation);
	EXPECT_TRUE(alz_has(&self->b, "k", "value"));
	EXPECT_EQ(1, self->b.header->keys);
	EXPECT_EQ(0, self->b.header->initializing);
}

TEST_F(claim, a_filled_key_is_a_hit_whatever_the_flags)	/* K3 */
{
	__u32 flags[] = { 0, INIT, BLOCK, EVENT, WAITFD, INIT | BLOCK, INIT | EVENT,
			  INIT | WAITFD, INIT | EVENT | FOLLOW };
	unsigned int i;
	int fds = alz_open_fds();

	ASSERT_EQ(0, alz_publish(&self->a, alz_ticket(&self->a, "k"), "value"));
	alz_snapshot(&self->a, &self->before);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		ASSERT_EQ(0, alz_claim(&self->b, "k", flags[i], &self->c));
		EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->c.out_result);
		EXPECT_TRUE(alz_value_at(&self->b, self->c.out_offset, "value"));
		EXPECT_EQ(alz_record(&self->b, self->c.out_offset)->generation,
			  self->c.out_generation);
	}
	EXPECT_TRUE(alz_unchanged(&self->a, &self->before));
	EXPECT_EQ(fds, alz_open_fds());
	EXPECT_EQ(0, alz_poll(self->b.client, 0));
}

TEST_F(claim, a_blocked_claim_returns_the_value)	/* K3 */
{
	__u64 ticket = alz_ticket(&self->a, "k");
	struct alz_blocker blockers[2];

	alz_block(&blockers[0], &self->b, "k", 0, 0);
	alz_block(&blockers[1], &self->a, "k", INIT, ASYNCLAZY_NEVER);
	ASSERT_TRUE(alz_await_waits(&self->a, 2));
	ASSERT_EQ(0, alz_publish(&self->a, ticket, "value"));
	for (int i = 0; i < 2; i++) {
		ASSERT_TRUE(alz_block_ended(&blockers[i], ALZ_SOON_MS));
		EXPECT_EQ(0, blockers[i].err);
		EXPECT_EQ(ASYNCLAZY_RESULT_HIT, blockers[i].claim.out_result);
		EXPECT_TRUE(alz_value_at(&self->a, blockers[i].claim.out_offset, "value"));
	}
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
}

TEST_F(claim, a_blocked_claim_stays_asleep_until_the_end)	/* K3 */
{
	__u64 ticket = alz_ticket(&self->a, "k");
	struct alz_blocker blocker;

	alz_block(&blocker, &self->b, "k", INIT, 0);
	ASSERT_TRUE(alz_await_waits(&self->a, 1));
	EXPECT_EQ(0, alz_set(&self->a, "other", "value"));
	EXPECT_EQ(-ESTALE, alz_publish(&self->b, ticket, "value"));
	ASSERT_FALSE(alz_block_ended(&blocker, ALZ_QUIET_MS));
	ASSERT_EQ(0, alz_publish(&self->a, ticket, "value"));
	EXPECT_TRUE(alz_block_ended(&blocker, ALZ_SOON_MS));
}

TEST_F(claim, a_deadline_ends_the_wait_and_leaves_no_waiter)	/* K3 */
{
	__u64 ticket = alz_ticket(&self->a, "k"), deadline;
	struct asynclazy_claim *c = &self->c;

	alz_snapshot(&self->a, &self->before);
	alz_claim_fill(&self->b, c, "k", 1, INIT | BLOCK);
	deadline = alz_now() + 30 * ALZ_MSEC;
	c->deadline = deadline;
	EXPECT_EQ(-ETIMEDOUT, alz_claim_raw(&self->b, c));
	EXPECT_LE(deadline, alz_now());
	/* one that has passed long ago */
	c->deadline = 1;
	EXPECT_EQ(-ETIMEDOUT, alz_claim_raw(&self->b, c));
	EXPECT_TRUE(alz_unchanged(&self->a, &self->before));
	/* which says nothing against a value, or a ticket, that is there */
	ASSERT_EQ(0, alz_publish(&self->a, ticket, "value"));
	ASSERT_EQ(0, alz_claim_raw(&self->b, c));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, c->out_result);
	alz_claim_fill(&self->b, c, "other", 5, INIT | BLOCK);
	c->deadline = 1;
	ASSERT_EQ(0, alz_claim_raw(&self->b, c));
	EXPECT_EQ(ASYNCLAZY_RESULT_TICKET, c->out_result);
}

static void nothing(int signal)
{
	(void)signal;
}

TEST_F(claim, a_signal_interrupts_a_blocked_claim)	/* K3 */
{
	struct sigaction act = { .sa_handler = nothing };
	struct alz_blocker blocker;

	ASSERT_EQ(0, sigaction(SIGUSR1, &act, NULL));
	ASSERT_LT(0, alz_ticket(&self->a, "k"));
	alz_snapshot(&self->a, &self->before);
	alz_block(&blocker, &self->b, "k", INIT, 0);
	ASSERT_TRUE(alz_await_waits(&self->a, 1));
	do
		pthread_kill(blocker.thread, SIGUSR1);
	while (!alz_block_ended(&blocker, 10));
	EXPECT_EQ(-EINTR, blocker.err);
	EXPECT_TRUE(alz_unchanged(&self->a, &self->before));
}

TEST_F(claim, a_signal_with_restart_loses_nothing)	/* K3 */
{
	struct sigaction act = { .sa_handler = nothing, .sa_flags = SA_RESTART };
	__u64 ticket = alz_ticket(&self->a, "k");
	struct alz_blocker blocker;
	int i;

	ASSERT_EQ(0, sigaction(SIGUSR1, &act, NULL));
	alz_block(&blocker, &self->b, "k", INIT, 0);
	ASSERT_TRUE(alz_await_waits(&self->a, 1));
	for (i = 0; i < 20; i++)
		pthread_kill(blocker.thread, SIGUSR1);
	ASSERT_EQ(0, alz_publish(&self->a, ticket, "value"));
	ASSERT_TRUE(alz_block_ended(&blocker, ALZ_SOON_MS));
	/* "may be restarted" */
	if (blocker.err) {
		EXPECT_EQ(-EINTR, blocker.err);
	} else {
		EXPECT_EQ(ASYNCLAZY_RESULT_HIT, blocker.claim.out_result);
	}
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
}

TEST_F(claim, a_blocked_process_can_be_killed)		/* K3, K8 */
{
	struct remote_answer answer;
	struct remote r;

	ASSERT_LT(0, alz_ticket(&self->a, "k"));
	ASSERT_EQ(0, remote_start(&r, self->a.cache));
	ASSERT_EQ(0, remote_claim(&r, "k", INIT | BLOCK, 0, &answer));
	ASSERT_TRUE(alz_await_waits(&self->a, 1));
	ASSERT_EQ(0, remote_kill(&r));
	EXPECT_EQ(128 + SIGKILL, remote_reap(&r));
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
	EXPECT_TRUE(alz_await_clients(&self->a, 2));
}

TEST_F(claim, generations_only_rise)			/* K3 */
{
	struct asynclazy_publish p;
	struct asynclazy_set s;
	__u64 last = 0;
	int i;

	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, alz_claim(&self->a, "k", INIT, &self->c));
		ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
		EXPECT_LT(last, self->c.out_generation);
		last = self->c.out_generation;
		ASSERT_EQ(0, alz_publish_bytes(&self->a, self->c.out_ticket, "v", 1, 0, &p));
		EXPECT_EQ(last, p.out_generation);
		ASSERT_EQ(0, alz_set_bytes(&self->a, "k", "w", 1, 0, &s));
		EXPECT_LT(last, s.out_generation);
		last = s.out_generation;
		EXPECT_LE(last, self->a.header->generation);
		ASSERT_EQ(0, alz_invalidate(&self->a, "k", NULL));
	}
}

TEST_F(claim, values_of_any_size_arrive_whole)		/* K3 */
{
	static char value[20000];
	__u64 sizes[] = { 0, 1, 15, 16, 17, 63, 64, 65, 4096, sizeof(value) };
	struct alz_found f;
	char key[16];
	unsigned int i;

	for (i = 0; i < sizeof(value); i++)
		value[i] = i * 7 + i / 256;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		snprintf(key, sizeof(key), "k%u", i);
		ASSERT_EQ(0, alz_publish_bytes(&self->a, alz_ticket(&self->a, key), value,
					       sizes[i], 0, NULL));
		alz_find(&self->b, key, strlen(key), &f);
		ASSERT_EQ(ASYNCLAZY_SLOT_FILLED, f.state);
		ASSERT_EQ(sizes[i], f.value_size);
		EXPECT_EQ(0, memcmp(value, f.value, sizes[i]));
	}
}

TEST_F(claim, keys_are_byte_strings)			/* K3 */
{
	static const struct {
		const char *bytes;
		__u32 size;
	} keys[] = {
		{ "a", 1 }, { "a\0", 2 }, { "a\0b", 3 }, { "a\0c", 3 }, { "\0", 1 },
		{ "\0\0", 2 }, { "\xff\xfe", 2 },
	};
	struct asynclazy_claim *c = &self->c;
	struct alz_found f;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		alz_claim_fill(&self->a, c, keys[i].bytes, keys[i].size, INIT);
		ASSERT_EQ(0, alz_claim_raw(&self->a, c));
		ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, c->out_result);
		ASSERT_EQ(0, alz_publish_bytes(&self->a, c->out_ticket, &i, sizeof(i), 0, NULL));
	}
	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		alz_find(&self->b, keys[i].bytes, keys[i].size, &f);
		ASSERT_EQ(ASYNCLAZY_SLOT_FILLED, f.state);
		EXPECT_EQ(0, memcmp(&i, f.value, sizeof(i)));
	}
}

TEST_F(claim, keys_of_one_hash_are_told_apart)		/* K3 */
{
	struct asynclazy_claim *c = &self->c;
	char key[16];
	int i;

	/* two at a time, so that flights and records meet; up to the 16 slots */
	for (i = 0; i < 16; i++) {
		snprintf(key, sizeof(key), "same%d", i);
		alz_claim_fill(&self->a, c, key, strlen(key), INIT);
		c->hash = 0x123456789abcdef0;
		ASSERT_EQ(0, alz_claim_raw(&self->a, c));
		ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, c->out_result);
		if (i % 2)
			ASSERT_EQ(0, alz_publish(&self->a, c->out_ticket, key));
	}
	for (i = 0; i < 16; i++) {
		snprintf(key, sizeof(key), "same%d", i);
		alz_claim_fill(&self->b, c, key, strlen(key), 0);
		c->hash = 0x123456789abcdef0;
		ASSERT_EQ(0, alz_claim_raw(&self->b, c));
		if (i % 2) {
			EXPECT_EQ(ASYNCLAZY_RESULT_HIT, c->out_result);
			EXPECT_TRUE(alz_value_at(&self->b, c->out_offset, key));
		} else {
			EXPECT_EQ(ASYNCLAZY_RESULT_PENDING, c->out_result);
		}
	}
}

TEST_F(claim, a_wrong_hash_hides_only_the_liars_entry)	/* K3, I7 */
{
	struct asynclazy_claim *c = &self->c;

	ASSERT_EQ(0, alz_set(&self->a, "k", "true"));
	alz_claim_fill(&self->b, c, "k", 1, INIT);
	c->hash = ~c->hash;
	ASSERT_EQ(0, alz_claim_raw(&self->b, c));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, c->out_result);
	ASSERT_EQ(0, alz_publish(&self->b, c->out_ticket, "lie"));
	EXPECT_TRUE(alz_has(&self->a, "k", "true"));
	ASSERT_EQ(0, alz_claim(&self->a, "k", INIT, c));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, c->out_result);
	EXPECT_TRUE(alz_value_at(&self->a, c->out_offset, "true"));
}

/*
 * Illegal: the errno, and that nothing has changed
 */

/* All three ways to end a flight with this ticket give this error. */
#define EXPECT_NO_TICKET(error, client, ticket) do {			\
	alz_snapshot(&self->a, &self->before);				\
	EXPECT_EQ(error, alz_publish(client, ticket, "wrong"));		\
	EXPECT_EQ(error, alz_fail(client, ticket, EIO, TRANSIENT, 0, NULL));	\
	EXPECT_EQ(error, alz_fail(client, ticket, EIO, PERMANENT, 0, "wrong"));	\
	EXPECT_EQ(error, alz_abandon(client, ticket));			\
	EXPECT_TRUE(alz_unchanged(&self->a, &self->before));		\
} while (0)

TEST_F(claim, a_ticket_that_never_was_is_not_found)	/* K3 */
{
	EXPECT_NO_TICKET(-ENOENT, &self->a, 1);
	ASSERT_LT(0, alz_ticket(&self->a, "k"));
	EXPECT_NO_TICKET(-ENOENT, &self->a, 0);
	EXPECT_NO_TICKET(-ENOENT, &self->a, 1ULL << 62);
	EXPECT_NO_TICKET(-ENOENT, &self->a, ~0ULL);
}

TEST_F(claim, a_ticket_ends_once)			/* K3 */
{
	__u64 ticket;

	ticket = alz_ticket(&self->a, "published");
	ASSERT_EQ(0, alz_publish(&self->a, ticket, "value"));
	EXPECT_NO_TICKET(-ESTALE, &self->a, ticket);
	EXPECT_TRUE(alz_has(&self->a, "published", "value"));

	ticket = alz_ticket(&self->a, "failed");
	ASSERT_EQ(0, alz_fail(&self->a, ticket, EIO, TRANSIENT, 0, NULL));
	EXPECT_NO_TICKET(-ESTALE, &self->a, ticket);

	ticket = alz_ticket(&self->a, "kept");
	ASSERT_EQ(0, alz_fail(&self->a, ticket, EIO, PERMANENT, 0, "text"));
	EXPECT_NO_TICKET(-ESTALE, &self->a, ticket);

	ticket = alz_ticket(&self->a, "abandoned");
	ASSERT_EQ(0, alz_abandon(&self->a, ticket));
	EXPECT_NO_TICKET(-ESTALE, &self->a, ticket);

	ticket = alz_ticket(&self->a, "set");
	ASSERT_EQ(0, alz_set(&self->b, "set", "value"));
	EXPECT_NO_TICKET(-ESTALE, &self->a, ticket);
	EXPECT_TRUE(alz_has(&self->a, "set", "value"));

	ticket = alz_ticket(&self->a, "invalidated");
	ASSERT_EQ(0, alz_invalidate(&self->b, "invalidated", NULL));
	EXPECT_NO_TICKET(-ESTALE, &self->a, ticket);
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "invalidated"));
}

TEST_F(claim, a_ticket_is_its_clients_own)		/* K3, I7 */
{
	__u64 ticket = alz_ticket(&self->a, "k");

	EXPECT_NO_TICKET(-ESTALE, &self->b, ticket);
	EXPECT_EQ(ASYNCLAZY_SLOT_INITIALIZING, alz_state_of(&self->a, "k"));
	EXPECT_EQ(0, alz_publish(&self->a, ticket, "value"));
}

TEST_F(claim, a_ticket_of_another_cache_is_nothing_here)	/* K3 */
{
	__u64 ticket = 0;
	struct alz other;
	char key[16];
	int i;

	ASSERT_EQ(0, alz_setup(&other, 100, 1 << 20));
	for (i = 0; i < 50; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ticket = alz_ticket(&other, key);
	}
	EXPECT_NO_TICKET(-ENOENT, &self->a, ticket);
	EXPECT_EQ(0, alz_publish(&other, ticket, "value"));
	alz_leave(&other);
}

TEST_F(claim, impossible_flags_are_refused)		/* K3 */
{
	__u32 flags[] = {
		BLOCK | EVENT, BLOCK | WAITFD, EVENT | WAITFD, BLOCK | EVENT | WAITFD,
		FOLLOW, FOLLOW | INIT, FOLLOW | EVENT, FOLLOW | INIT | BLOCK,
		FOLLOW | INIT | WAITFD,
		ASYNCLAZY_CLAIM_REFRESH, ASYNCLAZY_CLAIM_REFRESH | BLOCK,
	};
	unsigned int i;

	ASSERT_LT(0, alz_ticket(&self->a, "running"));
	alz_snapshot(&self->a, &self->before);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		EXPECT_EQ(-EINVAL, alz_claim(&self->a, "k", flags[i], &self->c))
			TH_LOG("flags %#x", flags[i]);
		EXPECT_EQ(-EINVAL, alz_claim(&self->a, "running", flags[i], &self->c))
			TH_LOG("flags %#x", flags[i]);
	}
	EXPECT_TRUE(alz_unchanged(&self->a, &self->before));
}

TEST_F(claim, keys_have_1_to_4096_bytes)		/* K3 */
{
	struct asynclazy_invalidate in = { .size = sizeof(in) };
	struct asynclazy_set s = { .size = sizeof(s) };
	__u32 bad[] = { 0, ASYNCLAZY_KEY_MAX + 1, 1 << 20, ~0U };
	struct asynclazy_claim *c = &self->c;
	char key[ASYNCLAZY_KEY_MAX + 1];
	struct alz_found f;
	unsigned int i;

	memset(key, 'k', sizeof(key));
	alz_snapshot(&self->a, &self->before);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		alz_claim_fill(&self->a, c, key, 1, INIT);
		c->key_size = bad[i];
		EXPECT_EQ(-EINVAL, alz_claim_raw(&self->a, c));
		s.key = in.key = (uintptr_t)key;
		s.key_size = in.key_size = bad[i];
		EXPECT_EQ(-EINVAL, alz_call(self->a.client, ASYNCLAZY_IOC_SET, &s));
		EXPECT_EQ(-EINVAL, alz_call(self->a.client, ASYNCLAZY_IOC_INVALIDATE, &in));
	}
	EXPECT_TRUE(alz_unchanged(&self->a, &self->before));
	alz_claim_fill(&self->a, c, key, ASYNCLAZY_KEY_MAX, INIT);
	ASSERT_EQ(0, alz_claim_raw(&self->a, c));
	ASSERT_EQ(0, alz_publish(&self->a, c->out_ticket, "value"));
	alz_find(&self->b, key, ASYNCLAZY_KEY_MAX, &f);
	EXPECT_EQ(ASYNCLAZY_SLOT_FILLED, f.state);
}

TEST_F(claim, the_deadline_is_for_blocking_only_but_harmless)	/* K3 */
{
	struct asynclazy_claim *c = &self->c;

	alz_claim_fill(&self->a, c, "k", 1, 0);
	c->deadline = ASYNCLAZY_NEVER;
	ASSERT_EQ(0, alz_claim_raw(&self->a, c));
	EXPECT_EQ(ASYNCLAZY_RESULT_EMPTY, c->out_result);
}

/*
 * Under a wrong hash. Both lies have the tag of the truth, and its two buckets.
 */

#define LIES	2

static __u64 lie(const struct alz *a, const char *key, int which)
{
	__u64 hash = alz_hash(a, key, strlen(key));

	if (which == 0)
		return hash ^ 1ULL << 35;
	/* the first bucket for the second */
	return hash ^ ((((hash >> ASYNCLAZY_HASH_TAG_SHIFT) * ASYNCLAZY_TAG_SPREAD) | 1) &
		       (a->header->bucket_count - 1));
}

static int lying_claim(const struct alz *a, const char *key, int which, __u32 flags,
		       struct asynclazy_claim *c)
{
	alz_claim_fill(a, c, key, strlen(key), flags);
	c->hash = lie(a, key, which);
	return alz_claim_raw(a, c);
}

static int lying_set(const struct alz *a, const char *key, int which, const char *value)
{
	struct asynclazy_set s = {
		.size = sizeof(s), .key = (uintptr_t)key, .key_size = strlen(key),
		.hash = lie(a, key, which),
		.value = (uintptr_t)value, .value_size = strlen(value),
	};

	return alz_call(a->client, ASYNCLAZY_IOC_SET, &s);
}

static int lying_invalidate(const struct alz *a, const char *key, int which, __u32 *count)
{
	struct asynclazy_invalidate i = {
		.size = sizeof(i), .key = (uintptr_t)key, .key_size = strlen(key),
		.hash = lie(a, key, which),
	};
	int err = alz_call(a->client, ASYNCLAZY_IOC_INVALIDATE, &i);

	*count = i.out_count;
	return err;
}

TEST_F(claim, a_lie_that_comes_first_is_no_answer)	/* K3, I7 */
{
	struct asynclazy_claim *c = &self->c;
	__u32 count;
	int i;

	for (i = 0; i < LIES; i++) {
		ASSERT_EQ(0, lying_claim(&self->b, "k", i, INIT, c));
		ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, c->out_result) TH_LOG("lie %d", i);
		ASSERT_EQ(0, alz_publish(&self->b, c->out_ticket, "liar"));
	}
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "k"));
	ASSERT_EQ(0, alz_claim(&self->a, "k", 0, c));
	EXPECT_EQ(ASYNCLAZY_RESULT_EMPTY, c->out_result);
	ASSERT_EQ(0, alz_claim(&self->a, "k", INIT, c));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, c->out_result);
	ASSERT_EQ(0, alz_publish(&self->a, c->out_ticket, "honest"));
	EXPECT_TRUE(alz_has(&self->a, "k", "honest"));
	/* it takes away what is honest, and only that */
	ASSERT_EQ(0, alz_invalidate(&self->a, "k", &count));
	EXPECT_EQ(1, count);
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "k"));
	EXPECT_EQ(LIES, self->a.header->keys);
	ASSERT_EQ(0, alz_claim(&self->a, "k", INIT, c));
	EXPECT_EQ(ASYNCLAZY_RESULT_TICKET, c->out_result);
}

TEST_F(claim, a_lie_about_a_running_flight_is_another)	/* K3, I1, I7 */
{
	struct asynclazy_claim *c = &self->c;
	__u64 ticket = alz_ticket(&self->a, "k"), lied[LIES];
	__u32 count;
	int i;

	ASSERT_LT(0, ticket);
	ASSERT_EQ(0, alz_claim_event(&self->a, "k", EVENT, 1, c));
	for (i = 0; i < LIES; i++) {
		ASSERT_EQ(0, lying_claim(&self->b, "k", i, INIT, c));
		ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, c->out_result) TH_LOG("lie %d", i);
		lied[i] = c->out_ticket;
		EXPECT_NE(ticket, lied[i]);
	}
	EXPECT_EQ(1 + LIES, self->a.header->initializing);
	/* whatever the liar does, the flight goes on */
	ASSERT_EQ(0, alz_publish(&self->b, lied[0], "liar"));
	ASSERT_EQ(0, lying_invalidate(&self->b, "k", 1, &count));
	EXPECT_EQ(1, count);
	EXPECT_EQ(-ESTALE, alz_publish(&self->b, lied[1], "liar"));
	ASSERT_EQ(0, lying_set(&self->b, "k", 1, "liar"));
	EXPECT_EQ(0, alz_poll(self->a.client, 0));
	EXPECT_EQ(ASYNCLAZY_SLOT_INITIALIZING, alz_state_of(&self->a, "k"));
	EXPECT_EQ(1, self->a.header->initializing);
	ASSERT_EQ(0, alz_claim(&self->a, "k", INIT, c));
	EXPECT_EQ(ASYNCLAZY_RESULT_PENDING, c->out_result);
	ASSERT_EQ(0, alz_publish(&self->a, ticket, "honest"));
	ASSERT_EQ(0, alz_event(&self->a, &self->e));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->e.result);
	EXPECT_TRUE(alz_value_at(&self->a, self->e.offset, "honest"));
	EXPECT_TRUE(alz_has(&self->a, "k", "honest"));
}

TEST_F(claim, a_lie_does_not_touch_a_value)		/* K3, K10, I7 */
{
	struct asynclazy_claim *c = &self->c;
	__u32 count;
	int i;

	ASSERT_EQ(0, alz_set(&self->a, "k", "honest"));
	for (i = 0; i < LIES; i++) {
		ASSERT_EQ(0, lying_invalidate(&self->b, "k", i, &count));
		EXPECT_EQ(0, count) TH_LOG("lie %d", i);
		ASSERT_EQ(0, lying_claim(&self->b, "k", i, 0, c));
		EXPECT_EQ(ASYNCLAZY_RESULT_EMPTY, c->out_result);
		ASSERT_EQ(0, lying_set(&self->b, "k", i, "liar"));
		EXPECT_TRUE(alz_has(&self->a, "k", "honest"));
		ASSERT_EQ(0, alz_claim(&self->a, "k", INIT, c));
		ASSERT_EQ(ASYNCLAZY_RESULT_HIT, c->out_result);
		EXPECT_TRUE(alz_value_at(&self->a, c->out_offset, "honest"));
	}
	EXPECT_EQ(1 + LIES, self->a.header->keys);
	ASSERT_EQ(0, alz_invalidate(&self->a, "k", &count));
	EXPECT_EQ(1, count);
	ASSERT_EQ(0, alz_claim(&self->a, "k", 0, c));
	EXPECT_EQ(ASYNCLAZY_RESULT_EMPTY, c->out_result);
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "k"));
	/* the liar still has its own */
	ASSERT_EQ(0, lying_claim(&self->b, "k", 0, 0, c));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, c->out_result);
	EXPECT_TRUE(alz_value_at(&self->b, c->out_offset, "liar"));
}

TEST_HARNESS_MAIN
