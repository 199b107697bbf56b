// SPDX-License-Identifier: GPL-2.0-only
/* L5, K14: a claim that would close a cycle is refused before it waits. */
#include "kselftest_harness.h"
#include "alz.h"

FIXTURE(cycle) {
	struct alz a, b;
	struct asynclazy_claim c;
	struct asynclazy_event e;
	__u64 ta, tb;
	char text[ASYNCLAZY_DETAIL_MAX];
};

FIXTURE_SETUP(cycle)
{
	ASSERT_EQ(0, alz_setup(&self->a, 1000, 1 << 20));
	ASSERT_EQ(0, alz_join(&self->b, self->a.cache));
	self->ta = alz_ticket(&self->a, "a");
	self->tb = alz_ticket(&self->b, "b");
	ASSERT_NE(0, self->ta);
	ASSERT_NE(0, self->tb);
}

FIXTURE_TEARDOWN(cycle)
{
	alz_leave(&self->b);
	alz_leave(&self->a);
}

static int need(const struct alz *a, __u64 parent, const char *key, __u32 flags,
		struct asynclazy_claim *c)
{
	alz_claim_fill(a, c, key, strlen(key), flags);
	c->parent = parent;
	c->cookie = 1;
	return alz_claim_raw(a, c);
}

TEST_F(cycle, a_key_that_needs_itself)				/* L5 */
{
	snprintf(self->text, sizeof(self->text), "a -> a: pid %d", getpid());
	ASSERT_EQ(0, need(&self->a, self->ta, "a", INIT | BLOCK, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->c.out_result);
	EXPECT_EQ(EDEADLK, self->c.out_error);
	EXPECT_EQ(ASYNCLAZY_NO_RECORD, self->c.out_offset);
	ASSERT_EQ(strlen(self->text), self->c.out_detail_size);
	EXPECT_EQ(0, memcmp(self->text, alz_claim_detail(), strlen(self->text)));
	EXPECT_EQ(0, alz_publish(&self->a, self->ta, "value"));
}

TEST_F(cycle, two_that_need_one_another)			/* L5 */
{
	static const __u32 forms[] = { BLOCK, EVENT, WAITFD, INIT | BLOCK, INIT | EVENT };
	__u32 i;

	ASSERT_EQ(0, need(&self->a, self->ta, "b", INIT | EVENT, &self->c));
	ASSERT_EQ(ASYNCLAZY_RESULT_PENDING, self->c.out_result);
	for (i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		ASSERT_EQ(0, need(&self->b, self->tb, "a", forms[i], &self->c));
		EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->c.out_result);
		EXPECT_EQ(EDEADLK, self->c.out_error);
	}
	/* who only looks does not wait */
	ASSERT_EQ(0, need(&self->b, self->tb, "a", 0, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_PENDING, self->c.out_result);
	EXPECT_TRUE(alz_await_waits(&self->a, 1));
	/* and the other one gets what it waits for */
	ASSERT_EQ(0, alz_publish(&self->b, self->tb, "value"));
	ASSERT_EQ(0, alz_event(&self->a, &self->e));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->e.result);
}

TEST_F(cycle, without_a_parent_nothing_is_known_of_it)		/* L5 */
{
	ASSERT_EQ(0, need(&self->a, self->ta, "b", EVENT, &self->c));
	ASSERT_EQ(0, need(&self->b, 0, "a", EVENT, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_PENDING, self->c.out_result);
}

TEST_F(cycle, a_parent_is_a_ticket_of_the_caller)		/* K3 */
{
	EXPECT_EQ(-ESTALE, need(&self->b, self->ta, "x", INIT, &self->c));
	EXPECT_EQ(-ENOENT, need(&self->a, 1 << 30, "x", INIT, &self->c));
	ASSERT_EQ(0, alz_abandon(&self->a, self->ta));
	EXPECT_EQ(-ESTALE, need(&self->a, self->ta, "x", INIT, &self->c));
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "x"));
}

TEST_HARNESS_MAIN
