// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an event leads to, its record or its memfd, stays until the next read() of
 * the client fd; what a per-wait fd leads to, until it is closed.
 */
#include "kselftest_harness.h"
#include "remote.h"

#define BUDGET	(1ULL << 20)
#define SIZE	12000

FIXTURE(event_hold) {
	struct alz a, b;
	struct asynclazy_claim c;
	struct asynclazy_event e;
	struct asynclazy_stats s;
	char value[SIZE];
	__u64 filled;		/* keys that were used to push others out */
};

FIXTURE_SETUP(event_hold)
{
	ASSERT_EQ(0, alz_setup_evicting(&self->a, 2000, BUDGET));
	ASSERT_EQ(0, alz_join(&self->b, self->a.cache));
}

FIXTURE_TEARDOWN(event_hold)
{
	alz_leave(&self->b);
	alz_leave(&self->a);
}

static int publish_key(struct alz *a, char *value, const char *name, __u64 key)
{
	__u64 ticket = alz_ticket(a, name);

	alz_stamp(value, SIZE, key, 1);
	return ticket ? alz_publish_bytes(a, ticket, value, SIZE, 0, NULL) : -EIO;
}

/* Publish three times as much as there is room for. */
static int push_out(FIXTURE_DATA(event_hold) *self)
{
	char name[32];
	__u64 i;
	int err = 0;

	for (i = 0; i < 3 * BUDGET / SIZE && !err; i++) {
		sprintf(name, "filler %llu", self->filled++);
		err = publish_key(&self->b, self->value, name, i);
	}
	return err;
}

/* Whether the record is the one of key 7, still. */
static bool record_stays(FIXTURE_DATA(event_hold) *self, __u64 offset, __u64 generation)
{
	const struct asynclazy_record *r = alz_record(&self->a, offset);

	return offset < self->a.arena_size && r->generation == generation &&
	       alz_stamped(alz_record_value(r), r->value_size, 7, NULL);
}

#define EXPECT_HELD(n) do {						\
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));		\
	EXPECT_EQ(n, self->s.out_segments_held);			\
} while (0)

/* Publishes, until reclaim has seen that nobody holds anything. */
#define EXPECT_LET_GO() do {						\
	ASSERT_EQ(0, push_out(self));					\
	ASSERT_TRUE(alz_await_held(&self->a, 0));			\
} while (0)

TEST_F(event_hold, the_record_of_an_event_until_the_next_read)	/* L13, I5 */
{
	__u64 ticket = alz_ticket(&self->b, "k");

	ASSERT_EQ(0, alz_claim_event(&self->a, "k", EVENT, 1, &self->c));
	alz_stamp(self->value, SIZE, 7, 1);
	ASSERT_EQ(0, alz_publish_bytes(&self->b, ticket, self->value, SIZE, 0, NULL));
	/* before it is read */
	ASSERT_EQ(0, push_out(self));
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->b, "k"));
	EXPECT_HELD(1);
	ASSERT_EQ(0, alz_event(&self->a, &self->e));
	ASSERT_EQ(ASYNCLAZY_RESULT_HIT, self->e.result);
	EXPECT_TRUE(record_stays(self, self->e.offset, self->e.generation));
	/* after it was */
	ASSERT_EQ(0, push_out(self));
	EXPECT_HELD(1);
	EXPECT_TRUE(record_stays(self, self->e.offset, self->e.generation));
	/* a wait that was read counts no more */
	EXPECT_EQ(0, self->s.out_waits_now);
	EXPECT_EQ(-ENOENT, alz_cancel(&self->a, 1));
	/* one that finds nothing is a read, too */
	ASSERT_EQ(0, fcntl(self->a.client, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-1, read(self->a.client, &self->e, sizeof(self->e)));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_LET_GO();
}

TEST_F(event_hold, those_of_one_read_together)		/* L13 */
{
	struct asynclazy_event e[8];
	__u64 ticket[8], generation[8], offset[8];
	char name[16];
	int i;

	for (i = 0; i < 8; i++) {
		sprintf(name, "k%d", i);
		ticket[i] = alz_ticket(&self->b, name);
		ASSERT_EQ(0, alz_claim_event(&self->a, name, EVENT, i, &self->c));
	}
	for (i = 0; i < 8; i++) {
		/* each in a segment of its own */
		alz_stamp(self->value, SIZE, 7, 1);
		ASSERT_EQ(0, alz_publish_bytes(&self->b, ticket[i], self->value, SIZE, 0, NULL));
		ASSERT_EQ(0, push_out(self));
	}
	EXPECT_HELD(8);
	ASSERT_EQ(3, alz_events(&self->a, e, 3, 0));
	for (i = 0; i < 3; i++) {
		offset[i] = e[i].offset;
		generation[i] = e[i].generation;
	}
	ASSERT_EQ(0, push_out(self));
	EXPECT_HELD(8);
	for (i = 0; i < 3; i++)
		EXPECT_TRUE(record_stays(self, offset[i], generation[i]));
	ASSERT_EQ(5, alz_events(&self->a, e, 8, 0));
	ASSERT_EQ(0, push_out(self));
	EXPECT_HELD(5);
	for (i = 0; i < 5; i++)
		EXPECT_TRUE(record_stays(self, e[i].offset, e[i].generation));
	/* a pin that is set before the next read goes on from there */
	self->a.pins[0] = e[2].offset | ASYNCLAZY_PIN_SET;
	ASSERT_EQ(0, fcntl(self->a.client, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-1, read(self->a.client, &self->e, sizeof(self->e)));
	ASSERT_EQ(0, push_out(self));
	EXPECT_HELD(1);
	EXPECT_TRUE(record_stays(self, e[2].offset, e[2].generation));
	alz_unpin(&self->a, 1);
	EXPECT_LET_GO();
}

TEST_F(event_hold, the_record_of_a_wait_fd_until_it_is_closed)	/* L13 */
{
	__u64 ticket = alz_ticket(&self->b, "k");
	int fd = alz_waitfd(&self->a, "k", 0, 1), i;

	ASSERT_LE(0, fd);
	alz_stamp(self->value, SIZE, 7, 1);
	ASSERT_EQ(0, alz_publish_bytes(&self->b, ticket, self->value, SIZE, 0, NULL));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, push_out(self));
		EXPECT_HELD(1);
		ASSERT_EQ(0, alz_read_waitfd(fd, &self->e, ALZ_SOON_MS));
		EXPECT_TRUE(record_stays(self, self->e.offset, self->e.generation));
	}
	/* reads of the client fd have nothing to do with it */
	ASSERT_EQ(0, fcntl(self->a.client, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-1, read(self->a.client, &self->e, sizeof(self->e)));
	ASSERT_EQ(0, push_out(self));
	EXPECT_HELD(1);
	close(fd);
	EXPECT_LET_GO();
}

TEST_F(event_hold, an_event_that_is_cancelled_holds_nothing)	/* L13 */
{
	__u64 ticket = alz_ticket(&self->b, "k");

	ASSERT_EQ(0, alz_claim_event(&self->a, "k", EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_publish(&self->b, ticket, "value"));
	ASSERT_EQ(0, push_out(self));
	EXPECT_HELD(1);
	ASSERT_EQ(0, alz_cancel(&self->a, 1));
	EXPECT_LET_GO();
}

TEST_F(event_hold, the_dead_hold_nothing)		/* L13, I8, K8 */
{
	struct remote_answer answer;
	struct remote r;
	__u64 ticket[2];

	ASSERT_EQ(0, remote_start(&r, self->a.cache));
	ticket[0] = alz_ticket(&self->b, "read");
	ticket[1] = alz_ticket(&self->b, "not read");
	ASSERT_EQ(0, remote_claim(&r, "read", EVENT, 1, &answer));
	ASSERT_EQ(0, remote_claim(&r, "not read", EVENT, 2, &answer));
	ASSERT_EQ(0, alz_publish(&self->b, ticket[0], "value"));
	ASSERT_EQ(0, push_out(self));
	ASSERT_EQ(0, remote_event(&r, REMOTE_EVENT, ALZ_SOON_MS, &answer));
	ASSERT_EQ(0, alz_publish(&self->b, ticket[1], "value"));
	ASSERT_EQ(0, push_out(self));
	EXPECT_HELD(2);
	remote_end(&r);
	ASSERT_TRUE(alz_await_clients(&self->a, 2));
	EXPECT_LET_GO();
}

TEST_F(event_hold, a_kept_error_is_held_as_well)	/* L13, K9 */
{
	__u64 ticket = alz_ticket(&self->b, "k");
	const struct asynclazy_record *r;

	ASSERT_EQ(0, alz_claim_event(&self->a, "k", EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_fail(&self->b, ticket, EIO, PERMANENT, 0, "why it failed"));
	ASSERT_EQ(0, push_out(self));
	EXPECT_HELD(1);
	ASSERT_EQ(0, alz_event(&self->a, &self->e));
	ASSERT_EQ(ASYNCLAZY_RESULT_FAILED, self->e.result);
	ASSERT_NE(ASYNCLAZY_NO_RECORD, self->e.offset);
	ASSERT_EQ(0, push_out(self));
	r = alz_record(&self->a, self->e.offset);
	EXPECT_EQ(ASYNCLAZY_RECORD_ERROR, r->kind);
	EXPECT_EQ(EIO, r->error);
	EXPECT_TRUE(alz_value_at(&self->a, self->e.offset, "why it failed"));
}

TEST_F(event_hold, the_text_that_is_not_fetched_holds_no_segment)	/* L13, K9 */
{
	__u64 ticket = alz_ticket(&self->b, "k");
	char text[16];
	__u32 size;

	ASSERT_EQ(0, alz_claim_event(&self->a, "k", EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_fail(&self->b, ticket, EIO, TRANSIENT, 0, "why"));
	ASSERT_EQ(0, push_out(self));
	EXPECT_HELD(0);
	ASSERT_EQ(0, alz_event(&self->a, &self->e));
	ASSERT_EQ(0, push_out(self));
	EXPECT_HELD(0);
	EXPECT_EQ(0, alz_fetch(&self->a, 1, text, sizeof(text), &size));
	EXPECT_EQ(3, size);
}

/* One read() may take very many: letting go of them must not stop the others. */
TEST_F(event_hold, many_events_are_let_go_of)		/* K7, L13 */
{
	int many = alz_debug_kernel() ? 2000 : 20000, i, n = 0;
	struct asynclazy_event *e = malloc(many * sizeof(*e));
	__u64 ticket = alz_ticket(&self->b, "k");

	ASSERT_NE(NULL, e);
	for (i = 0; i < many; i++)
		ASSERT_EQ(0, alz_claim_event(&self->a, "k", EVENT, i, &self->c));
	ASSERT_EQ(0, alz_publish(&self->b, ticket, "value"));
	while (n < many)
		n += alz_events(&self->a, e, many, ALZ_SOON_MS);
	ASSERT_EQ(many, n);
	ASSERT_EQ(0, push_out(self));
	EXPECT_HELD(1);
	/* their cookies are free */
	ticket = alz_ticket(&self->b, "other");
	for (i = 0; i < many; i++)
		ASSERT_EQ(0, alz_claim_event(&self->a, "other", EVENT, i, &self->c));
	ASSERT_EQ(0, alz_publish(&self->b, ticket, "value"));
	for (n = 0; n < many;)
		n += alz_events(&self->a, e, many, ALZ_SOON_MS);
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(0, self->s.out_waits_now);
	free(e);
}

TEST_HARNESS_MAIN
