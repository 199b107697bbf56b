// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The core: waits, how they are found, and how their outcome is taken. */
#include <stdio.h>
#include <stdlib.h>

#include "core_util.h"

#define EVENT		ASYNCLAZY_CLAIM_EVENT
#define EVENT_INIT	(ASYNCLAZY_CLAIM_EVENT | ASYNCLAZY_CLAIM_INIT)

/* ---- the tree of cookies ----------------------------------------------- */

static unsigned int depth_of(const struct alz_node *w)
{
	unsigned int a, b;

	if (!w)
		return 0;
	a = depth_of(w->child[0]);
	b = depth_of(w->child[1]);
	return 1 + (a > b ? a : b);
}

static u64 in_order(const struct alz_node *w, u64 *last)
{
	u64 n;

	if (!w)
		return 0;
	n = in_order(w->child[0], last);
	check(w->key > *last);
	*last = w->key;
	return n + 1 + in_order(w->child[1], last);
}

static u64 tree_size(const struct alz_client *c)
{
	u64 last = 0;

	return in_order(c->waits, &last);
}

static void shuffle(u64 *cookies, u64 n)
{
	u64 i, j, t;

	for (i = n - 1; i; i--) {
		j = random_u64() % (i + 1);
		t = cookies[i];
		cookies[i] = cookies[j];
		cookies[j] = t;
	}
}

/* Add all, find all, delete half, find, delete the rest: in any order. */
static void exercise_tree(u64 *cookies, u64 n)
{
	struct alz_waiter *waiters = calloc(n, sizeof(*waiters));
	struct alz_waiter again = { 0 };
	struct bench *b;
	struct alz_client *c;
	u64 i;

	assert_non_null(waiters);
	core_os_reset();
	b = bench_new(0, 0);
	c = &b->client[0];
	for (i = 0; i < n; i++) {
		waiters[i].cookie = cookies[i];
		waiters[i].client = c;
		check(!alz_waits_find(c, cookies[i]));
		check(alz_waits_add(c, &waiters[i]));
	}
	/* about 2.5 times the optimum is expected; 5 times never happens */
	check(depth_of(c->waits) <= 5 * 17);
	check_eq(tree_size(c), n);
	for (i = 0; i < n; i++)
		check(alz_waits_find(c, cookies[i]) == &waiters[i]);
	again.cookie = cookies[n / 2];
	check(!alz_waits_add(c, &again));
	check(alz_waits_find(c, again.cookie) == &waiters[n / 2]);
	for (i = 0; i < n; i += 2)
		alz_waits_del(c, &waiters[i]);
	check_eq(tree_size(c), n / 2);
	for (i = 0; i < n; i++)
		check(alz_waits_find(c, cookies[i]) ==
		      (i % 2 ? &waiters[i] : NULL));
	check(depth_of(c->waits) <= 5 * 17);
	for (i = 1; i < n; i += 2)
		alz_waits_del(c, &waiters[i]);
	check(!c->waits);
	bench_free(b);
	free(waiters);
}

TEST(tree_of_100k_cookies_in_any_order)
{
	enum { N = 100000 };
	u64 *cookies = calloc(N, sizeof(*cookies)), i;

	assert_non_null(cookies);
	for (i = 0; i < N; i++)		/* random, all different */
		cookies[i] = (random_u64() << 20) + i + 1;
	exercise_tree(cookies, N);
	for (i = 0; i < N; i++)		/* rising */
		cookies[i] = i + 1;
	exercise_tree(cookies, N);
	for (i = 0; i < N; i++)		/* falling */
		cookies[i] = N - i;
	exercise_tree(cookies, N);
	for (i = 0; i < N; i++)		/* addresses */
		cookies[i] = 0x7f0000000000ULL + i * 128;
	shuffle(cookies, N);
	exercise_tree(cookies, N);
	for (i = 0; i < N; i++)		/* only high bits differ */
		cookies[i] = (i + 1) << 40;
	exercise_tree(cookies, N);
	free(cookies);
}

/* ---- events ------------------------------------------------------------ */

TEST(k7_only_what_was_published_among_many_waits)
{
	enum { WAITS = 100000, DUE = 10 };
	struct asynclazy_event *ev = calloc(WAITS, sizeof(*ev));
	u64 *tickets = calloc(WAITS, sizeof(*tickets));
	struct alz_answer a;
	struct bench *b;
	char key[16];
	u64 i;

	assert_non_null(ev);
	assert_non_null(tickets);
	core_os_reset();
	b = bench_new(WAITS, 0);
	for (i = 0; i < WAITS; i++) {
		snprintf(key, sizeof(key), "%llu", (unsigned long long)i);
		tickets[i] = take(b, 0, key);
		check_eq(claim(b, 1, key, EVENT, i, &a), 0);
		check_eq(a.result, ASYNCLAZY_RESULT_PENDING);
	}
	check_eq(b->readable[1], false);
	for (i = 0; i < DUE; i++)
		check_eq(publish(b, 0, tickets[i * 9999 + 7], &i, sizeof(i), 0),
			 0);
	check_eq(b->readable[1], true);
	check_eq(b->readable[0], false);
	check_eq(events(b, 1, ev, WAITS), DUE);
	for (i = 0; i < DUE; i++) {
		check_eq(ev[i].cookie, i * 9999 + 7);
		check_eq(ev[i].result, ASYNCLAZY_RESULT_HIT);
		check(value_is(b, ev[i].offset, &i, sizeof(i)));
	}
	check_eq(b->readable[1], false);
	check_eq(events(b, 1, ev, WAITS), 0);
	check_eq(b->client[1].nr_waits, WAITS - DUE);
	check_consistent(b);
	bench_free(b);
	free(ev);
	free(tickets);
}

TEST(events_that_could_not_be_handed_on_stay)
{
	struct asynclazy_event ev[4], again[4];
	struct alz_answer a;
	struct bench *b;
	u64 ticket, i;

	core_os_reset();
	b = bench_new(0, 0);
	ticket = take(b, 0, "k");
	for (i = 1; i <= 4; i++)
		check_eq(claim(b, 1, "k", EVENT, i, &a), 0);
	check_eq(publish(b, 0, ticket, "v", 1, 0), 0);
	check_eq(alz_events_copy(&b->client[1], ev, 3), 3);
	/* being read just now: too late to take it back */
	check_eq(alz_cancel(&b->client[1], 2), -ENOENT);
	check_eq(alz_cancel(&b->client[1], 4), 0);
	alz_events_done(&b->client[1], false);
	check_eq(b->readable[1], true);
	check_eq(events(b, 1, again, 4), 3);
	check(!memcmp(ev, again, 3 * sizeof(*ev)));
	check_eq(ev[0].cookie, 1);
	check_eq(ev[2].cookie, 3);
	check_eq(b->client[1].nr_waits, 0);
	bench_free(b);
}

TEST(few_at_a_time_in_the_order_they_ended)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	u64 tickets[10], i;
	struct bench *b;
	char key[4];

	core_os_reset();
	b = bench_new(0, 0);
	for (i = 0; i < 10; i++) {
		snprintf(key, sizeof(key), "%d", (int)i);
		tickets[i] = take(b, 0, key);
		check_eq(claim(b, 1, key, EVENT, i, &a), 0);
	}
	for (i = 0; i < 10; i++)
		check_eq(publish(b, 0, tickets[i * 3 % 10], "v", 1, 0), 0);
	for (i = 0; i < 10; i++) {
		check_eq(events(b, 1, &ev, 1), 1);
		check_eq(ev.cookie, i * 3 % 10);
		check_eq(b->readable[1], i < 9);
	}
	bench_free(b);
}

TEST(cookie_in_use_is_refused_and_starts_nothing)
{
	struct alz_answer a;
	struct bench *b;

	core_os_reset();
	b = bench_new(0, 0);
	(void)take(b, 0, "k");
	check_eq(claim(b, 1, "k", EVENT, 5, &a), 0);
	check_eq(claim(b, 1, "k", EVENT, 5, &a), -EEXIST);
	check_eq(claim(b, 1, "new", EVENT_INIT | ASYNCLAZY_CLAIM_FOLLOW, 5, &a),
		 -EEXIST);
	check_eq(b->cache.header->initializing, 1);
	check_consistent(b);
	/* another client's cookies are its own */
	check_eq(claim(b, 2, "k", EVENT, 5, &a), 0);
	bench_free(b);
}

TEST(quota_of_waits_and_of_tickets)
{
	struct alz_answer a;
	struct bench *b;
	u64 t;

	core_os_reset();
	b = bench_new(0, 0);
	b->client[1].max_waits = 2;
	b->client[1].max_tickets = 1;
	t = take(b, 0, "k");
	check_eq(claim(b, 1, "k", EVENT_INIT, 1, &a), 0);
	check_eq(claim(b, 1, "k", EVENT_INIT, 2, &a), 0);
	check_eq(claim(b, 1, "k", EVENT_INIT, 3, &a), -EDQUOT);
	check_eq(claim(b, 1, "f", EVENT_INIT | ASYNCLAZY_CLAIM_FOLLOW, 4, &a),
		 -EDQUOT);
	check_eq(b->cache.header->initializing, 1);
	(void)take(b, 1, "l");
	check_eq(claim(b, 1, "m", ASYNCLAZY_CLAIM_INIT, 0, &a), -EDQUOT);
	check_consistent(b);
	/* what it has asked for earlier it gets */
	check_eq(claim(b, 2, "k", EVENT_INIT, 1, &a), 0);
	check_eq(alz_abandon(&b->client[0], t), 0);
	check_eq(b->readable[1], true);
	check_eq(b->readable[2], false);
	bench_free(b);
}

/* ---- cancel, fetch ----------------------------------------------------- */

TEST(cancel_in_each_state)
{
	struct asynclazy_event ev[4];
	struct alz_answer a;
	struct bench *b;
	u64 t, u;

	core_os_reset();
	b = bench_new(0, 0);
	check_eq(alz_cancel(&b->client[1], 1), -ENOENT);
	t = take(b, 0, "k");
	u = take(b, 0, "l");
	check_eq(claim(b, 1, "k", EVENT, 1, &a), 0);
	check_eq(alz_cancel(&b->client[2], 1), -ENOENT);	/* another's */
	check_eq(alz_cancel(&b->client[1], 1), 0);		/* waiting */
	check_eq(alz_cancel(&b->client[1], 1), -ENOENT);
	check_eq(claim(b, 1, "k", EVENT, 1, &a), 0);
	check_eq(publish(b, 0, t, "v", 1, 0), 0);
	check_eq(b->readable[1], true);
	check_eq(alz_cancel(&b->client[1], 1), 0);		/* ended */
	check_eq(b->readable[1], false);
	check_eq(events(b, 1, ev, 4), 0);
	/* offered: the ticket goes to the next */
	check_eq(claim(b, 1, "l", EVENT_INIT, 2, &a), 0);
	check_eq(claim(b, 2, "l", EVENT_INIT, 2, &a), 0);
	check_eq(alz_abandon(&b->client[0], u), 0);
	check_eq(b->readable[1], true);
	check_eq(alz_cancel(&b->client[1], 2), 0);
	check_eq(b->readable[1], false);
	check_eq(events(b, 2, ev, 4), 1);
	check_eq(ev[0].result, ASYNCLAZY_RESULT_TICKET);
	check_eq(ev[0].attempt, 2);
	check_eq(alz_cancel(&b->client[2], 2), -ENOENT);	/* taken */
	check_eq(publish(b, 2, ev[0].ticket, "v", 1, 0), 0);
	bench_free(b);
}

TEST(cancelled_offer_that_is_stale_hands_nothing_over)
{
	struct asynclazy_event ev[4];
	struct alz_answer a;
	struct bench *b;
	u64 t;

	core_os_reset();
	b = bench_new(0, 0);
	t = take(b, 0, "k");
	check_eq(claim(b, 1, "k", EVENT_INIT, 1, &a), 0);
	check_eq(alz_abandon(&b->client[0], t), 0);
	/* the offer is overtaken before it is read; another flight starts */
	check_eq(invalidate(b, 2, "k"), 1);
	t = take(b, 2, "k");
	check_eq(claim(b, 0, "k", EVENT_INIT, 1, &a), 0);
	check_eq(alz_cancel(&b->client[1], 1), 0);
	check_eq(b->readable[0], false);
	check_eq(publish(b, 2, t, "v", 1, 0), 0);
	check_eq(events(b, 0, ev, 4), 1);
	check_eq(ev[0].result, ASYNCLAZY_RESULT_HIT);
	bench_free(b);
}

TEST(stale_offer_tells_the_generation_it_was_made_for)
{
	struct alz_waiter w = { 0 };
	struct asynclazy_event ev[4];
	struct alz_answer a;
	struct bench *b;
	u64 t, generation;

	core_os_reset();
	b = bench_new(0, 0);
	t = take(b, 0, "k");
	generation = t - 1;		/* the flight drew it just before */
	check_eq(claim(b, 1, "k", EVENT_INIT, 1, &a), 0);
	check_eq(claim_wait(b, 2, "k", ASYNCLAZY_CLAIM_INIT | ASYNCLAZY_CLAIM_FD,
			    &w, &a), 0);
	check_eq(a.generation, generation);
	check_eq(alz_abandon(&b->client[0], t), 0);
	/* not read yet; the flight goes on under another generation */
	check_eq(invalidate(b, 0, "k"), 1);
	check_eq(events(b, 1, ev, 4), 1);
	check_eq(ev[0].result, ASYNCLAZY_RESULT_TICKET);
	check_eq(ev[0].generation, generation);
	check_eq(publish(b, 1, ev[0].ticket, "v", 1, 0), -ESTALE);
	alz_wait_fd_answer(&b->cache, &w, true, &a);
	check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
	check(a.generation > generation);
	check(a.ticket > a.generation);
	t = a.ticket;
	generation = a.generation;
	/* the same on a wait fd */
	check_eq(claim(b, 1, "k", EVENT_INIT, 2, &a), 0);
	check_eq(invalidate(b, 0, "k"), 1);
	alz_wait_fd_answer(&b->cache, &w, true, &a);
	check_eq(a.ticket, t);
	check_eq(a.generation, generation);
	alz_wait_fd_close(&b->cache, &w);
	bench_free(b);
}

TEST(text_of_an_error_is_fetched_once)
{
	struct asynclazy_event ev;
	char text[ASYNCLAZY_DETAIL_MAX];
	struct alz_answer a;
	struct bench *b;
	u32 size = 0;
	bool kept;
	u64 t;

	core_os_reset();
	b = bench_new(0, 0);
	t = take(b, 0, "k");
	check_eq(claim(b, 1, "k", EVENT, 1, &a), 0);
	check_eq(alz_fail(&b->client[0], t, EIO, ASYNCLAZY_FAIL_TRANSIENT, 0,
			  "some text", 9, &kept), 0);
	check_eq(kept, false);
	check_eq(alz_fetch(&b->client[1], 1, text, sizeof(text), &size, true),
		 -ENOENT);
	check_eq(events(b, 1, &ev, 1), 1);
	check_eq(ev.result, ASYNCLAZY_RESULT_FAILED);
	check_eq(ev.error, EIO);
	check_eq(ev.offset, ASYNCLAZY_NO_RECORD);
	check_eq(ev.flags, ASYNCLAZY_EVENT_DETAIL);
	check_eq(ev.detail_size, 9);
	check_eq(b->client[1].nr_waits, 1);
	memset(text, 'x', sizeof(text));
	/* looked at as often as one likes, taken once */
	check_eq(alz_fetch(&b->client[1], 1, text, 4, &size, false), 0);
	check_eq(size, 9);
	check(!memcmp(text, "somex", 5));
	check_eq(b->client[1].nr_waits, 1);
	size = 0;
	check_eq(alz_fetch(&b->client[1], 1, text, sizeof(text), &size, true), 0);
	check_eq(size, 9);
	check(!memcmp(text, "some textx", 10));
	check_eq(alz_fetch(&b->client[1], 1, text, sizeof(text), &size, true),
		 -ENOENT);
	check_eq(b->client[1].nr_waits, 0);
	/* without a text nothing is left to fetch */
	t = take(b, 0, "k");
	check_eq(claim(b, 1, "k", EVENT, 1, &a), 0);
	check_eq(alz_fail(&b->client[0], t, EIO, ASYNCLAZY_FAIL_TRANSIENT, 0, "",
			  0, &kept), 0);
	check_eq(events(b, 1, &ev, 1), 1);
	check_eq(ev.flags, 0);
	check_eq(b->client[1].nr_waits, 0);
	bench_free(b);
}

/* ---- BLOCK, FD --------------------------------------------------------- */

TEST(blocked_wait_takes_an_outcome_rather_than_its_reason)
{
	struct alz_waiter w[3];
	struct alz_answer a;
	struct bench *b;
	u64 t;

	core_os_reset();
	b = bench_new(0, 0);
	t = take(b, 0, "k");
	check_eq(claim_wait(b, 1, "k", ASYNCLAZY_CLAIM_BLOCK, &w[0], &a), 0);
	check_eq(claim_wait(b, 1, "k", ASYNCLAZY_CLAIM_BLOCK |
			    ASYNCLAZY_CLAIM_INIT, &w[1], &a), 0);
	check_eq(claim_wait(b, 2, "k", ASYNCLAZY_CLAIM_BLOCK, &w[2], &a), 0);
	check_eq(alz_wait_finish(&b->client[1], &w[0], -ETIMEDOUT, 0, &a),
		 -ETIMEDOUT);
	check_eq(alz_abandon(&b->client[0], t), 0);
	check_eq(core_os.wakes, 1);
	/* the deadline and the offer came together: the offer wins */
	check_eq(alz_wait_finish(&b->client[1], &w[1], -ETIMEDOUT, 0, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
	check_eq(a.attempt, 1);
	check_eq(publish(b, 1, a.ticket, "v", 1, 0), 0);
	check_eq(core_os.wakes, 2);
	check_eq(alz_wait_finish(&b->client[2], &w[2], -EINTR, 0, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_HIT);
	check(value_is(b, a.offset, "v", 1));
	bench_free(b);
}

TEST(fd_wait_answers_again_and_gives_back_what_nobody_saw)
{
	const u32 flags = ASYNCLAZY_CLAIM_FD | ASYNCLAZY_CLAIM_INIT;
	struct alz_waiter w[3];
	struct alz_answer a;
	struct bench *b;
	u64 t;
	int i;

	core_os_reset();
	b = bench_new(0, 0);
	t = take(b, 0, "k");
	for (i = 0; i < 3; i++)
		check_eq(claim_wait(b, i, "k", flags, &w[i], &a), 0);
	alz_wait_fd_answer(&b->cache, &w[0], true, &a);
	check_eq(a.result, ASYNCLAZY_RESULT_PENDING);
	check_eq(alz_abandon(&b->client[0], t), 0);
	alz_wait_fd_answer(&b->cache, &w[0], false, &a);	/* a poll */
	check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
	alz_wait_fd_close(&b->cache, &w[0]);
	/* seen by nobody: on to the next, who sees it and closes */
	alz_wait_fd_answer(&b->cache, &w[1], true, &a);
	check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
	t = a.ticket;
	alz_wait_fd_answer(&b->cache, &w[1], true, &a);
	check_eq(a.ticket, t);
	alz_wait_fd_close(&b->cache, &w[1]);
	alz_wait_fd_answer(&b->cache, &w[2], true, &a);
	check_eq(a.result, ASYNCLAZY_RESULT_PENDING);
	check_eq(publish(b, 1, t, "v", 1, 0), 0);
	for (i = 0; i < 3; i++) {
		alz_wait_fd_answer(&b->cache, &w[2], true, &a);
		check_eq(a.result, ASYNCLAZY_RESULT_HIT);
	}
	alz_wait_fd_close(&b->cache, &w[2]);
	bench_free(b);
}

TEST(fd_wait_whose_reader_faulted_was_not_told)
{
	struct alz_waiter w[2];
	struct alz_answer a;
	struct bench *b;
	u64 t;
	int i;

	core_os_reset();
	b = bench_new(0, 0);
	t = take(b, 0, "k");
	for (i = 0; i < 2; i++)
		check_eq(claim_wait(b, i, "k", ASYNCLAZY_CLAIM_FD | ASYNCLAZY_CLAIM_INIT, &w[i],
				    &a), 0);
	check_eq(alz_abandon(&b->client[0], t), 0);
	check(!alz_wait_fd_answer(&b->cache, &w[0], true, &a));
	check(alz_wait_fd_answer(&b->cache, &w[0], true, &a));
	check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
	alz_wait_fd_untold(&b->cache, &w[0]);
	/* so it goes to the next when it is closed */
	alz_wait_fd_close(&b->cache, &w[0]);
	check_consistent(b);
	check(!alz_wait_fd_answer(&b->cache, &w[1], true, &a));
	check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
	alz_wait_fd_close(&b->cache, &w[1]);
	check_eq(publish(b, 1, a.ticket, "v", 1, 0), 0);
	bench_free(b);
}

TEST(fd_wait_outlives_its_client_as_an_orphan)
{
	struct alz_waiter w[2];
	struct alz_answer a;
	struct bench *b;
	u64 t;

	core_os_reset();
	b = bench_new(0, 0);
	t = take(b, 0, "k");
	check_eq(claim_wait(b, 1, "k", ASYNCLAZY_CLAIM_FD, &w[0], &a), 0);
	check_eq(claim_wait(b, 1, "k", ASYNCLAZY_CLAIM_FD, &w[1], &a), 0);
	alz_client_die(&b->client[1]);
	check_eq(core_os.wakes, 2);
	check_eq(w[0].state, ALZ_ORPHAN);
	check_consistent(b);
	check_eq(publish(b, 0, t, "v", 1, 0), 0);
	alz_wait_fd_answer(&b->cache, &w[0], true, &a);
	check_eq(a.result, ASYNCLAZY_RESULT_PENDING);
	alz_wait_fd_close(&b->cache, &w[0]);
	alz_wait_fd_close(&b->cache, &w[1]);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tree_of_100k_cookies_in_any_order),
		cmocka_unit_test(k7_only_what_was_published_among_many_waits),
		cmocka_unit_test(events_that_could_not_be_handed_on_stay),
		cmocka_unit_test(few_at_a_time_in_the_order_they_ended),
		cmocka_unit_test(cookie_in_use_is_refused_and_starts_nothing),
		cmocka_unit_test(quota_of_waits_and_of_tickets),
		cmocka_unit_test(cancel_in_each_state),
		cmocka_unit_test(cancelled_offer_that_is_stale_hands_nothing_over),
		cmocka_unit_test(stale_offer_tells_the_generation_it_was_made_for),
		cmocka_unit_test(text_of_an_error_is_fetched_once),
		cmocka_unit_test(blocked_wait_takes_an_outcome_rather_than_its_reason),
		cmocka_unit_test(fd_wait_answers_again_and_gives_back_what_nobody_saw),
		cmocka_unit_test(fd_wait_whose_reader_faulted_was_not_told),
		cmocka_unit_test(fd_wait_outlives_its_client_as_an_orphan),
	};

	return RUN_TESTS(tests);
}
