// SPDX-License-Identifier: GPL-2.0-only
/* K9: how an initialisation fails, who hears of it, and for how long. */
#include "kselftest_harness.h"
#include "remote.h"

FIXTURE(error) {
	struct alz a;		/* whose initialisation fails */
	struct alz b;		/* who asks */
	struct asynclazy_claim c;
	struct asynclazy_event e;
	struct asynclazy_stats stats;
	struct alz_state before;
	struct alz_blocker blocker;
	__u64 ticket;
	char text[ASYNCLAZY_DETAIL_MAX + 8];
};

FIXTURE_SETUP(error)
{
	ASSERT_EQ(0, alz_setup(&self->a, 1000, 1 << 20));
	ASSERT_EQ(0, alz_join(&self->b, self->a.cache));
	self->ticket = alz_ticket(&self->a, "k");
	ASSERT_LT(0, self->ticket);
}

FIXTURE_TEARDOWN(error)
{
	alz_leave(&self->b);
	alz_leave(&self->a);
}

/* A claim that is answered with a kept error and its text. */
#define EXPECT_KEPT(error_number, detail) do {				\
	const struct asynclazy_record *r_;				\
	ASSERT_EQ(0, alz_claim(&self->b, "k", INIT, &self->c));		\
	ASSERT_EQ(ASYNCLAZY_RESULT_FAILED, self->c.out_result);		\
	EXPECT_EQ(error_number, self->c.out_error);			\
	ASSERT_NE(ASYNCLAZY_NO_RECORD, self->c.out_offset);		\
	r_ = alz_record(&self->b, self->c.out_offset);			\
	EXPECT_EQ(ASYNCLAZY_RECORD_ERROR, r_->kind);			\
	EXPECT_EQ(error_number, r_->error);				\
	EXPECT_EQ(self->c.out_generation, r_->generation);		\
	EXPECT_TRUE(alz_value_at(&self->b, self->c.out_offset, detail));	\
	EXPECT_EQ(ASYNCLAZY_SLOT_FAILED, alz_state_of(&self->a, "k"));	\
} while (0)

TEST_F(error, a_kept_error_sticks)			/* K9 */
{
	__u64 tickets;
	int i;

	ASSERT_EQ(0, alz_fail(&self->a, self->ticket, ENOENT, PERMANENT, 0, "no such file"));
	EXPECT_EQ(1, self->a.header->errors);
	EXPECT_EQ(0, self->a.header->initializing);
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->stats));
	tickets = self->stats.out_tickets;
	for (i = 0; i < 5; i++)
		EXPECT_KEPT(ENOENT, "no such file");
	/* blocking and event claims are answered at once, too */
	ASSERT_EQ(0, alz_claim(&self->b, "k", INIT | BLOCK, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->c.out_result);
	ASSERT_EQ(0, alz_claim(&self->b, "k", 0, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->c.out_result);
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->stats));
	EXPECT_EQ(tickets, self->stats.out_tickets);
	EXPECT_EQ(0, self->stats.out_waits_now);
}

TEST_F(error, a_kept_error_reaches_another_process)	/* K9 */
{
	struct remote_answer answer;
	struct remote r;

	ASSERT_EQ(0, remote_start(&r, self->a.cache));
	ASSERT_EQ(0, remote_claim(&r, "k", INIT | BLOCK, 0, &answer));
	ASSERT_TRUE(alz_await_waits(&self->a, 1));
	ASSERT_EQ(0, alz_fail(&self->a, self->ticket, EPROTO, NEGATIVE, 0, "text"));
	ASSERT_EQ(0, remote_hear(&r, &answer, ALZ_SOON_MS));
	EXPECT_EQ(0, answer.err);
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, answer.claim.out_result);
	EXPECT_EQ(EPROTO, answer.claim.out_error);
	EXPECT_TRUE(alz_value_at(&self->a, answer.claim.out_offset, "text"));
	remote_end(&r);
}

TEST_F(error, a_permanent_error_ends_by_invalidation)	/* K9 */
{
	__u32 count;

	ASSERT_EQ(0, alz_fail(&self->a, self->ticket, EIO, PERMANENT, 0, "broken"));
	EXPECT_KEPT(EIO, "broken");
	ASSERT_EQ(0, alz_invalidate(&self->b, "k", &count));
	EXPECT_EQ(1, count);
	EXPECT_EQ(0, self->a.header->errors);
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "k"));
	self->ticket = alz_ticket(&self->b, "k");
	ASSERT_LT(0, self->ticket);
	EXPECT_EQ(0, alz_publish(&self->b, self->ticket, "good"));
	EXPECT_TRUE(alz_has(&self->a, "k", "good"));
}

TEST_F(error, a_permanent_error_ends_by_set)		/* K9, K10 */
{
	ASSERT_EQ(0, alz_fail(&self->a, self->ticket, EIO, PERMANENT, 0, "broken"));
	ASSERT_EQ(0, alz_set(&self->b, "k", "good"));
	EXPECT_TRUE(alz_has(&self->a, "k", "good"));
	EXPECT_EQ(0, self->a.header->errors);
	EXPECT_EQ(1, self->a.header->keys);
}

/* Sleep until the kept error of "k" is dead. */
static __u64 outlive(struct alz *a, __u64 *until)
{
	const struct asynclazy_times *times;
	struct timespec t;
	struct alz_found f;

	alz_find(a, "k", 1, &f);
	if (f.state != ASYNCLAZY_SLOT_FAILED || !(f.record->flags & ASYNCLAZY_RECORD_TIMES))
		return 0;
	times = alz_record_times(f.record);
	*until = times->dead_until;
	t.tv_sec = *until / ALZ_SEC;
	t.tv_nsec = *until % ALZ_SEC;
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
	return times->published;
}

TEST_F(error, a_negative_error_ends_with_its_time)	/* K9 */
{
	__u64 start = alz_now(), published, until = 0;

	ASSERT_EQ(0, alz_fail(&self->a, self->ticket, EIO, NEGATIVE, 300 * ALZ_MSEC, "not now"));
	EXPECT_KEPT(EIO, "not now");
	published = outlive(&self->a, &until);
	EXPECT_LE(start, published);
	EXPECT_EQ(published + 300 * ALZ_MSEC, until);
	ASSERT_EQ(0, alz_claim(&self->b, "k", 0, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_EMPTY, self->c.out_result);
	ASSERT_EQ(0, alz_claim(&self->b, "k", INIT, &self->c));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
	EXPECT_EQ(0, alz_publish(&self->b, self->c.out_ticket, "good"));
	EXPECT_TRUE(alz_has(&self->a, "k", "good"));
	EXPECT_EQ(1, self->a.header->keys);
	EXPECT_EQ(0, self->a.header->errors);
}

TEST_F(error, a_negative_error_lasts_5_seconds_unless_told)	/* K9 */
{
	const struct asynclazy_times *times;
	struct alz_found f;

	ASSERT_EQ(0, alz_fail(&self->a, self->ticket, EIO, NEGATIVE, 0, NULL));
	alz_find(&self->a, "k", 1, &f);
	ASSERT_EQ(ASYNCLAZY_SLOT_FAILED, f.state);
	ASSERT_EQ(ASYNCLAZY_RECORD_TIMES, f.record->flags & ASYNCLAZY_RECORD_TIMES);
	times = alz_record_times(f.record);
	EXPECT_EQ(times->published + 5 * ALZ_SEC, times->dead_until);
}

TEST_F(error, a_kept_error_may_last_for_ever)		/* K9 */
{
	struct alz_found f;

	ASSERT_EQ(0, alz_fail(&self->a, self->ticket, EIO, NEGATIVE, ASYNCLAZY_NEVER, NULL));
	alz_find(&self->a, "k", 1, &f);
	ASSERT_EQ(ASYNCLAZY_SLOT_FAILED, f.state);
	if (f.record->flags & ASYNCLAZY_RECORD_TIMES)
		EXPECT_EQ(ASYNCLAZY_NEVER, alz_record_times(f.record)->dead_until);
}

TEST_F(error, a_transient_error_is_told_and_not_kept)	/* K9 */
{
	struct alz_blocker *b = &self->blocker;
	int fd = alz_waitfd(&self->b, "k", INIT, 1);
	char text[64 + 16];
	__u32 size;

	ASSERT_LE(0, fd);
	alz_block(b, &self->b, "k", INIT, 0);
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", INIT | EVENT, 2, &self->c));
	ASSERT_TRUE(alz_await_waits(&self->a, 3));
	ASSERT_EQ(0, alz_fail(&self->a, self->ticket, EHOSTDOWN, TRANSIENT, 0, "try later"));
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "k"));
	EXPECT_EQ(0, self->a.header->errors);

	ASSERT_TRUE(alz_block_ended(b, ALZ_SOON_MS));
	EXPECT_EQ(0, b->err);
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, b->claim.out_result);
	EXPECT_EQ(EHOSTDOWN, b->claim.out_error);
	EXPECT_EQ(ASYNCLAZY_NO_RECORD, b->claim.out_offset);
	EXPECT_EQ(9, b->claim.out_detail_size);
	EXPECT_EQ(0, memcmp(b->detail, "try later", 9));

	ASSERT_EQ(0, alz_event(&self->b, &self->e));
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->e.result);
	EXPECT_EQ(EHOSTDOWN, self->e.error);
	EXPECT_EQ(ASYNCLAZY_NO_RECORD, self->e.offset);
	EXPECT_EQ(ASYNCLAZY_EVENT_DETAIL, self->e.flags);
	EXPECT_EQ(9, self->e.detail_size);
	ASSERT_EQ(0, alz_fetch(&self->b, 2, self->text, sizeof(self->text), &size));
	EXPECT_EQ(9, size);
	EXPECT_EQ(0, memcmp(self->text, "try later", 9));

	ASSERT_EQ(64 + 9, read(fd, text, sizeof(text)));
	EXPECT_EQ(0, memcmp(text + 64, "try later", 9));
	close(fd);
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
	/* the next caller runs */
	EXPECT_LT(0, alz_ticket(&self->b, "k"));
}

TEST_F(error, a_failure_ends_the_generation_for_all)	/* K9: not one by one */
{
	struct asynclazy_event events[8];
	__u64 tickets;
	int i;

	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, alz_claim_event(&self->b, "k", INIT | EVENT, i, &self->c));
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->stats));
	tickets = self->stats.out_tickets;
	ASSERT_EQ(0, alz_fail(&self->a, self->ticket, EIO, TRANSIENT, 0, NULL));
	ASSERT_EQ(8, alz_events(&self->b, events, 8, ALZ_SOON_MS));
	for (i = 0; i < 8; i++) {
		EXPECT_EQ(i, events[i].cookie);
		EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, events[i].result);
		EXPECT_EQ(EIO, events[i].error);
		EXPECT_EQ(0, events[i].flags);
	}
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->stats));
	EXPECT_EQ(tickets, self->stats.out_tickets);
	EXPECT_EQ(0, self->stats.out_waits_now);
}

TEST_F(error, a_text_is_fetched_once)			/* K9 */
{
	__u32 size;

	EXPECT_EQ(-ENOENT, alz_fetch(&self->b, 2, self->text, sizeof(self->text), &size));
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", EVENT, 2, &self->c));
	EXPECT_EQ(-ENOENT, alz_fetch(&self->b, 2, self->text, sizeof(self->text), &size));
	ASSERT_EQ(0, alz_fail(&self->a, self->ticket, EIO, TRANSIENT, 0, "why"));
	ASSERT_EQ(0, alz_event(&self->b, &self->e));
	ASSERT_EQ(ASYNCLAZY_EVENT_DETAIL, self->e.flags);
	/* it counts as a wait until then, and has its cookie */
	EXPECT_TRUE(alz_await_waits(&self->a, 1));
	EXPECT_EQ(0, alz_poll(self->b.client, 0));
	EXPECT_EQ(-ENOENT, alz_fetch(&self->a, 2, self->text, sizeof(self->text), &size));
	EXPECT_EQ(0, alz_fetch(&self->b, 2, self->text, sizeof(self->text), &size));
	EXPECT_EQ(3, size);
	EXPECT_EQ(-ENOENT, alz_fetch(&self->b, 2, self->text, sizeof(self->text), &size));
	EXPECT_EQ(-ENOENT, alz_cancel(&self->b, 2));
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
}

TEST_F(error, a_text_can_be_cancelled)			/* K9 */
{
	__u32 size;

	ASSERT_EQ(0, alz_claim_event(&self->b, "k", EVENT, 2, &self->c));
	ASSERT_EQ(0, alz_fail(&self->a, self->ticket, EIO, TRANSIENT, 0, "why"));
	ASSERT_EQ(0, alz_event(&self->b, &self->e));
	EXPECT_TRUE(alz_await_waits(&self->a, 1));
	EXPECT_EQ(0, alz_cancel(&self->b, 2));
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
	EXPECT_EQ(-ENOENT, alz_fetch(&self->b, 2, self->text, sizeof(self->text), &size));
}

TEST_F(error, a_short_buffer_takes_the_start_of_the_text)	/* K9 */
{
	__u32 size;

	ASSERT_EQ(0, alz_claim_event(&self->b, "k", EVENT, 2, &self->c));
	ASSERT_EQ(0, alz_fail(&self->a, self->ticket, EIO, TRANSIENT, 0, "a longer text"));
	ASSERT_EQ(0, alz_event(&self->b, &self->e));
	memset(self->text, ALZ_POISON, sizeof(self->text));
	ASSERT_EQ(0, alz_fetch(&self->b, 2, self->text, 4, &size));
	EXPECT_EQ(0, memcmp(self->text, "a lo", 4));
	EXPECT_EQ((char)ALZ_POISON, self->text[4]);
	EXPECT_LE(4, size);
}

TEST_F(error, texts_have_up_to_256_bytes)		/* K9 */
{
	struct asynclazy_fail f = {
		.ticket = self->ticket, .error = EIO, .error_class = PERMANENT,
		.detail = (uintptr_t)self->text, .detail_size = ASYNCLAZY_DETAIL_MAX + 1,
	};
	struct alz_found found;

	memset(self->text, 't', sizeof(self->text));
	alz_snapshot(&self->a, &self->before);
	EXPECT_EQ(-EINVAL, alz_fail_raw(&self->a, &f));
	f.detail_size = ~0U;
	EXPECT_EQ(-EINVAL, alz_fail_raw(&self->a, &f));
	EXPECT_TRUE(alz_unchanged(&self->a, &self->before));
	f.detail_size = ASYNCLAZY_DETAIL_MAX;
	ASSERT_EQ(0, alz_fail_raw(&self->a, &f));
	EXPECT_EQ(1, f.out_kept);
	alz_find(&self->b, "k", 1, &found);
	ASSERT_EQ(ASYNCLAZY_SLOT_FAILED, found.state);
	EXPECT_EQ(ASYNCLAZY_DETAIL_MAX, found.value_size);
	EXPECT_EQ(0, memcmp(self->text, found.value, ASYNCLAZY_DETAIL_MAX));
}

TEST_F(error, impossible_errors_are_refused)		/* K9 */
{
	int bad[] = { 0, -1, -EIO, 4096, 1 << 30 };
	struct asynclazy_fail f = {
		.ticket = self->ticket, .error_class = TRANSIENT,
	};
	unsigned int i;

	alz_snapshot(&self->a, &self->before);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		f.error = bad[i];
		EXPECT_EQ(-EINVAL, alz_fail_raw(&self->a, &f)) TH_LOG("error %d", bad[i]);
	}
	f.error = EIO;
	f.error_class = 3;
	EXPECT_EQ(-EINVAL, alz_fail_raw(&self->a, &f));
	f.error_class = ~0U;
	EXPECT_EQ(-EINVAL, alz_fail_raw(&self->a, &f));
	EXPECT_TRUE(alz_unchanged(&self->a, &self->before));
	f.error = 4095;
	f.error_class = TRANSIENT;
	EXPECT_EQ(0, alz_fail_raw(&self->a, &f));
	EXPECT_EQ(0, f.out_kept);
}

TEST_F(error, an_error_without_room_is_told_and_not_kept)	/* K9 */
{
	struct asynclazy_fail f = {
		.error = EIO, .error_class = PERMANENT,
		.detail = (uintptr_t)"why", .detail_size = 3,
	};
	struct asynclazy_create c;
	struct alz small;
	int device = alz_device(O_RDWR), n = 0;
	__u32 size;

	/* one segment of 64 KiB, filled to the last granule */
	memset(&c, 0, sizeof(c));
	c.size = sizeof(c);
	c.flags = ASYNCLAZY_CREATE_STABLE;
	c.max_keys = 2000;
	c.arena_size = 1;
	c.segment_size = 1 << 16;
	ASSERT_EQ(0, alz_call(device, ASYNCLAZY_IOC_CREATE, &c));
	ASSERT_EQ(0, alz_join(&small, c.out_fd));
	f.ticket = alz_ticket(&small, "k");
	while (!alz_set(&small, "filler", "") && n++ < 10000)
		;
	ASSERT_GT(10000, n);
	ASSERT_EQ(0, alz_claim_event(&small, "k", EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_fail_raw(&small, &f));
	EXPECT_EQ(0, f.out_kept);
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&small, "k"));
	ASSERT_EQ(0, alz_event(&small, &self->e));
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->e.result);
	EXPECT_EQ(EIO, self->e.error);
	EXPECT_EQ(ASYNCLAZY_NO_RECORD, self->e.offset);
	ASSERT_EQ(0, alz_fetch(&small, 1, self->text, sizeof(self->text), &size));
	EXPECT_EQ(0, memcmp(self->text, "why", 3));
	alz_leave(&small);
	close(c.out_fd);
	close(device);
}

TEST_HARNESS_MAIN
