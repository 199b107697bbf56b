// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The core: a waiter's record stays until the waiter has had the time to pin it. */
#include <stdio.h>

#include "core_recycle_util.h"

#define SIZE	1000

/* Key "k" is published while @who waits for it in some form. */
static u64 publish_k(struct bench *b, u64 ticket)
{
	struct alz_answer a;

	check_eq(publish(b, 0, ticket, "value", 5, 0), 0);
	check_eq(claim(b, 0, "k", 0, 0, &a), 0);
	return a.offset;
}

static bool stays(struct bench *b, u64 offset, u32 *next)
{
	churn(b, next, SIZE, b->cache.count.reclaims + 20);
	check_consistent(b);
	return segment_of(b, offset)->state == ALZ_SEGMENT_RETIRED &&
	       value_is(b, offset, "value", 5);
}

static bool goes(struct bench *b, u64 offset, u32 *next)
{
	churn(b, next, SIZE, b->cache.count.reclaims + 1);
	check_consistent(b);
	return b->cache.arena.nr_held == 0 &&
	       (segment_of(b, offset)->state != ALZ_SEGMENT_RETIRED);
}

TEST(event_that_was_read_holds_its_record_until_the_next_read)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	u64 t, offset;
	struct bench *b;
	u32 next = 0;

	core_os_reset();
	b = bench_recycle(20000, 8);
	t = take(b, 0, "k");
	check_eq(claim(b, 1, "k", ASYNCLAZY_CLAIM_EVENT, 1, &a), 0);
	offset = publish_k(b, t);
	check(stays(b, offset, &next));
	check_eq(events(b, 1, &ev, 1), 1);
	check_eq(ev.result, ASYNCLAZY_RESULT_HIT);
	check_eq(ev.offset, offset);
	check(stays(b, offset, &next));
	/* it is no wait any more: its cookie is free, and it counts for no quota */
	check_eq(b->client[1].nr_waits, 0);
	t = take(b, 0, "l");
	check_eq(claim(b, 1, "l", ASYNCLAZY_CLAIM_EVENT, 1, &a), 0);
	check_eq(alz_cancel(&b->client[1], 1), 0);
	check(stays(b, offset, &next));
	alz_events_release(&b->client[1]);
	check(goes(b, offset, &next));
	bench_free(b);
}

TEST(events_that_could_not_be_handed_on_hold_as_before)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	u64 t, offset;
	struct bench *b;
	u32 next = 0;

	core_os_reset();
	b = bench_recycle(20000, 8);
	t = take(b, 0, "k");
	check_eq(claim(b, 1, "k", ASYNCLAZY_CLAIM_EVENT, 1, &a), 0);
	offset = publish_k(b, t);
	check_eq(alz_events_copy(&b->client[1], &ev, 1), 1);
	alz_events_done(&b->client[1], false);
	/* a read that failed begins with letting go as well */
	alz_events_release(&b->client[1]);
	check(stays(b, offset, &next));
	check_eq(b->client[1].nr_waits, 1);
	check_eq(alz_cancel(&b->client[1], 1), 0);
	check(goes(b, offset, &next));
	bench_free(b);
}

TEST(only_the_events_of_the_last_read_hold)
{
	struct asynclazy_event ev[2];
	u64 t[3], offset[3], i;
	struct alz_answer a;
	struct bench *b;
	u32 next = 0;

	core_os_reset();
	b = bench_recycle(20000, 8);
	for (i = 0; i < 3; i++) {
		t[i] = take(b, 0, name_of(1000 + i));
		check_eq(claim(b, 1, name_of(1000 + i), ASYNCLAZY_CLAIM_EVENT, i, &a), 0);
	}
	/* in three segments */
	for (i = 0; i < 3; i++) {
		check_eq(publish(b, 0, t[i], "value", 5, 0), 0);
		offset[i] = where(b, 1000 + i);
		check_eq(put(b, next++, 40000), 0);
		check_eq(put(b, next++, 40000), 0);
	}
	check_eq(events(b, 1, ev, 2), 2);
	check(stays(b, offset[0], &next) && stays(b, offset[1], &next));
	check(stays(b, offset[2], &next));
	check_eq(b->cache.arena.nr_held, 3);
	alz_events_release(&b->client[1]);
	check_eq(events(b, 1, ev, 2), 1);
	check_eq(ev[0].offset, offset[2]);
	check(stays(b, offset[2], &next));
	check_eq(b->cache.arena.nr_held, 1);
	alz_events_release(&b->client[1]);
	check(goes(b, offset[2], &next));
	bench_free(b);
}

TEST(death_lets_go_of_all_that_is_held)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	struct alz_waiter w;
	u64 t, offset;
	struct bench *b;
	u32 next = 0;

	core_os_reset();
	b = bench_recycle(20000, 8);
	t = take(b, 0, "k");
	/* one that is read, one that is not, and an fd */
	check_eq(claim(b, 1, "k", ASYNCLAZY_CLAIM_EVENT, 1, &a), 0);
	check_eq(claim(b, 1, "k", ASYNCLAZY_CLAIM_EVENT, 2, &a), 0);
	check_eq(claim_wait(b, 1, "k", ASYNCLAZY_CLAIM_FD, &w, &a), 0);
	offset = publish_k(b, t);
	check_eq(events(b, 1, &ev, 1), 1);
	check(stays(b, offset, &next));
	alz_client_die(&b->client[1]);
	check_consistent(b);
	check(goes(b, offset, &next));
	alz_wait_fd_close(&b->cache, &w);
	bench_free(b);
}

TEST(per_wait_fd_holds_until_it_is_closed)
{
	struct alz_answer a;
	struct alz_waiter w;
	u64 t, offset;
	struct bench *b;
	u32 next = 0;

	core_os_reset();
	b = bench_recycle(20000, 8);
	t = take(b, 0, "k");
	check_eq(claim_wait(b, 1, "k", ASYNCLAZY_CLAIM_FD, &w, &a), 0);
	offset = publish_k(b, t);
	check(stays(b, offset, &next));
	alz_wait_fd_answer(&b->cache, &w, true, &a);
	check_eq(a.offset, offset);
	check(stays(b, offset, &next));
	alz_wait_fd_close(&b->cache, &w);
	check(goes(b, offset, &next));
	bench_free(b);
}

TEST(blocked_call_holds_until_it_has_its_pin)
{
	struct alz_answer a;
	struct alz_waiter w;
	u64 t, offset;
	struct bench *b;
	u32 next = 0;

	core_os_reset();
	b = bench_recycle(20000, 8);
	t = take(b, 0, "k");
	check_eq(claim_wait(b, 1, "k", ASYNCLAZY_CLAIM_BLOCK, &w, &a), 0);
	offset = publish_k(b, t);
	/* it is not scheduled for long */
	check(stays(b, offset, &next));
	check_eq(alz_wait_finish(&b->client[1], &w, 0, 1, &a), 0);
	check_eq(a.offset, offset);
	check_eq(segment_of(b, offset)->holds, 0);
	check(stays(b, offset, &next));
	b->pins[1][0] = 0;
	check(goes(b, offset, &next));
	bench_free(b);
}

TEST(value_that_was_replaced_is_still_there_for_who_waited_for_it)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	u64 t, offset;
	struct bench *b;
	u32 next = 0;

	core_os_reset();
	b = bench_recycle(20000, 8);
	t = take(b, 0, "k");
	check_eq(claim(b, 1, "k", ASYNCLAZY_CLAIM_EVENT, 1, &a), 0);
	offset = publish_k(b, t);
	check_eq(set(b, 2, "k", "other", 5, 0), 0);
	check_eq(invalidate(b, 2, "k"), 1);
	check(stays(b, offset, &next));
	check_eq(events(b, 1, &ev, 1), 1);
	check_eq(ev.offset, offset);
	check(value_is(b, ev.offset, "value", 5));
	alz_events_release(&b->client[1]);
	check(goes(b, offset, &next));
	bench_free(b);
}

TEST(copy_that_is_kept_leaves_the_waiters_record_where_it_was)
{
	struct asynclazy_event ev;
	u64 t, offset, copy;
	struct alz_answer a;
	struct bench *b;
	u32 next = 0;

	core_os_reset();
	b = bench_recycle(20000, 8);
	t = take(b, 0, name_of(5000));
	check_eq(claim(b, 1, name_of(5000), ASYNCLAZY_CLAIM_EVENT, 1, &a), 0);
	check_eq(publish(b, 0, t, "value", 5, 0), 0);
	offset = where(b, 5000);
	fill_up(b, &next, SIZE);
	check(visit(b, 5000));
	churn(b, &next, SIZE, 1);
	copy = where(b, 5000);
	check(copy != offset && copy != ASYNCLAZY_NO_RECORD);
	check_eq(segment_of(b, offset)->state, ALZ_SEGMENT_RETIRED);
	check_eq(events(b, 1, &ev, 1), 1);
	check_eq(ev.offset, offset);
	check(value_is(b, offset, "value", 5) && value_is(b, copy, "value", 5));
	check_eq(alz_arena_record(&b->cache.arena, copy)->generation, ev.generation);
	bench_free(b);
}

TEST(kept_error_is_held_as_a_value_is)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	struct bench *b;
	u32 next = 0;
	bool kept;
	u64 t;

	core_os_reset();
	b = bench_recycle(20000, 8);
	t = take(b, 0, "k");
	check_eq(claim(b, 1, "k", ASYNCLAZY_CLAIM_EVENT, 1, &a), 0);
	check_eq(alz_fail(&b->client[0], t, EIO, ASYNCLAZY_FAIL_PERMANENT, 0, "text", 4, &kept), 0);
	check(kept);
	check_eq(events(b, 1, &ev, 1), 1);
	check_eq(ev.result, ASYNCLAZY_RESULT_FAILED);
	churn(b, &next, SIZE, 20);
	check_consistent(b);
	check_eq(segment_of(b, ev.offset)->state, ALZ_SEGMENT_RETIRED);
	check(!memcmp(alz_record_value(alz_arena_record(&b->cache.arena, ev.offset)),
		      "text", 4));
	alz_events_release(&b->client[1]);
	check(goes(b, ev.offset, &next));
	bench_free(b);
}

TEST(error_that_is_not_kept_holds_nothing_but_its_text)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	struct bench *b;
	char text[8];
	bool kept;
	u32 size;
	u64 t;

	core_os_reset();
	b = bench_recycle(20000, 8);
	t = take(b, 0, "k");
	check_eq(claim(b, 1, "k", ASYNCLAZY_CLAIM_EVENT, 1, &a), 0);
	check_eq(claim(b, 2, "k", ASYNCLAZY_CLAIM_EVENT, 1, &a), 0);
	check_eq(alz_fail(&b->client[0], t, EIO, ASYNCLAZY_FAIL_TRANSIENT, 0, "text", 4, &kept), 0);
	check_eq(events(b, 1, &ev, 1), 1);
	check_eq(ev.flags, ASYNCLAZY_EVENT_DETAIL);
	alz_events_release(&b->client[1]);
	check_eq(alz_fetch(&b->client[1], 1, text, sizeof(text), &size, true), 0);
	check_eq(size, 4);
	check_consistent(b);
	check_eq(events(b, 2, &ev, 1), 1);
	bench_free(b);
}

TEST(owner_that_follows_holds_what_it_made)
{
	const u32 flags = ASYNCLAZY_CLAIM_INIT | ASYNCLAZY_CLAIM_EVENT |
			  ASYNCLAZY_CLAIM_FOLLOW;
	struct asynclazy_event ev;
	struct alz_answer a;
	struct bench *b;
	u32 next = 0;
	u64 offset;

	core_os_reset();
	b = bench_recycle(20000, 8);
	check_eq(claim(b, 0, "k", flags, 1, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
	check_eq(claim(b, 1, "k", flags, 1, &a), 0);
	check_eq(alz_abandon(&b->client[0], b->cache.generation), 0);
	/* the offer holds nothing, and the wait goes on */
	check_eq(events(b, 1, &ev, 1), 1);
	check_eq(ev.result, ASYNCLAZY_RESULT_TICKET);
	alz_events_release(&b->client[1]);
	check_eq(publish(b, 1, ev.ticket, "value", 5, 0), 0);
	check_eq(events(b, 0, &ev, 1), 1);
	offset = ev.offset;
	check_eq(events(b, 1, &ev, 1), 1);
	check_eq(ev.offset, offset);
	check(stays(b, offset, &next));
	alz_events_release(&b->client[0]);
	check(stays(b, offset, &next));
	alz_events_release(&b->client[1]);
	check(goes(b, offset, &next));
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(event_that_was_read_holds_its_record_until_the_next_read),
		cmocka_unit_test(events_that_could_not_be_handed_on_hold_as_before),
		cmocka_unit_test(only_the_events_of_the_last_read_hold),
		cmocka_unit_test(death_lets_go_of_all_that_is_held),
		cmocka_unit_test(per_wait_fd_holds_until_it_is_closed),
		cmocka_unit_test(blocked_call_holds_until_it_has_its_pin),
		cmocka_unit_test(value_that_was_replaced_is_still_there_for_who_waited_for_it),
		cmocka_unit_test(copy_that_is_kept_leaves_the_waiters_record_where_it_was),
		cmocka_unit_test(kept_error_is_held_as_a_value_is),
		cmocka_unit_test(error_that_is_not_kept_holds_nothing_but_its_text),
		cmocka_unit_test(owner_that_follows_holds_what_it_made),
	};

	return RUN_TESTS(tests);
}
