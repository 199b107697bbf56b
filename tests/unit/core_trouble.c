// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The core: back-off after errors that are not kept, and the crash breaker. K9, K14. */
#include <stdio.h>

#include "core_util.h"

#define INIT		ASYNCLAZY_CLAIM_INIT
#define EVENT		ASYNCLAZY_CLAIM_EVENT
#define EVENT_INIT	(EVENT | INIT)
#define MS		1000000ULL
#define BACKOFF		(50 * MS)
#define MOST		(5000 * MS)
#define BREAKER		(5000 * MS)

static struct bench *begin_with(struct alz_geometry g)
{
	g.max_keys = g.max_keys ? g.max_keys : 1000;
	g.arena_size = 16 << 16;
	g.segment_size = 1 << 16;
	g.flags = ASYNCLAZY_CREATE_STABLE;
	core_os_reset();
	core_os.now = 1000 * MS;
	return bench_with(&g);
}

static struct bench *begin(u64 backoff, u32 max_deaths)
{
	return begin_with((struct alz_geometry) {
		.backoff = backoff, .backoff_max = MOST,
		.breaker = BREAKER, .max_deaths = max_deaths,
	});
}

static void pass(struct bench *b, u64 time)
{
	core_os.now += time;
	alz_deadlines_run(&b->cache);
	check_consistent(b);
}

static int gave_up(struct bench *b, int who, u64 ticket, const char *text)
{
	bool kept;
	int err = alz_fail(&b->client[who], ticket, EIO, ASYNCLAZY_FAIL_TRANSIENT, 0, text,
			   strlen(text), &kept);

	check(!kept);
	check_consistent(b);
	return err;
}

static u32 want(struct bench *b, int who, const char *key, u32 flags, u64 cookie)
{
	struct alz_answer a;

	check_eq(claim(b, who, key, flags, cookie, &a), 0);
	check_consistent(b);
	return a.result;
}

static bool quiet(struct bench *b, int who)
{
	struct asynclazy_event ev;

	return !events(b, who, &ev, 1);
}

static u64 offered(struct bench *b, int who)
{
	struct asynclazy_event ev = { 0 };

	check_eq(events(b, who, &ev, 1), 1);
	check_eq(ev.result, ASYNCLAZY_RESULT_TICKET);
	check_consistent(b);
	return ev.ticket;
}

static void die(struct bench *b, int who)
{
	alz_client_detach(&b->client[who]);
	bench_attach(b, who);
	check_consistent(b);
}

/* The owner of a new flight of "k" dies. */
static void kill_owner(struct bench *b)
{
	take(b, 0, "k");
	die(b, 0);
}

/* ---- back-off ----------------------------------------------------------- */

TEST(k9_next_caller_waits_for_the_backoff_and_then_makes_it)
{
	struct alz_answer a;
	struct bench *b;
	u64 t;

	b = begin(BACKOFF, 0);
	check_eq(gave_up(b, 0, take(b, 0, "k"), "disk on fire"), 0);
	check_eq(claim(b, 1, "k", INIT, 0, &a), -EAGAIN);
	check_eq(want(b, 1, "k", 0, 0), ASYNCLAZY_RESULT_EMPTY);
	check_eq(want(b, 1, "k", EVENT_INIT, 1), ASYNCLAZY_RESULT_PENDING);
	check_eq(want(b, 2, "k", EVENT, 1), ASYNCLAZY_RESULT_PENDING);
	check_eq(want(b, 0, "k", EVENT_INIT, 1), ASYNCLAZY_RESULT_PENDING);
	check_eq(look(b, "k").out_flags, ASYNCLAZY_FLIGHT_HELD);
	check_eq(look(b, "k").out_error, EIO);
	check_eq(look(b, "k").out_failures, 1);
	check(!strcmp((char *)(uintptr_t)look(b, "k").detail, "disk on fire"));
	check_eq(b->cache.nr_held, 1);
	/* other keys are none of its business */
	take(b, 1, "l");
	pass(b, BACKOFF * 3 / 4 - 1);
	check(quiet(b, 0) && quiet(b, 1) && quiet(b, 2));
	pass(b, BACKOFF / 4 + 1);
	check_eq(b->cache.nr_held, 0);
	t = offered(b, 1);
	check(quiet(b, 0) && quiet(b, 2));
	check_eq(publish(b, 1, t, "v", 1, 0), 0);
	check(!quiet(b, 0) && !quiet(b, 2));
	check_eq(want(b, 0, "k", 0, 0), ASYNCLAZY_RESULT_HIT);
	bench_free(b);
}

/* How long the key is held after its n-th failure. */
static u64 held_for(struct bench *b)
{
	u64 retry = look(b, "k").out_retry;

	return retry ? retry - core_os.now : 0;
}

TEST(k9_backoff_doubles_up_to_its_most_and_differs_a_little)
{
	u64 want_ns = BACKOFF;
	struct bench *b;
	bool less = false;
	int i;

	b = begin(BACKOFF, 0);
	for (i = 0; i < 12; i++) {
		gave_up(b, 0, take(b, 0, "k"), "");
		check(held_for(b) <= want_ns && held_for(b) > want_ns * 3 / 4 - 1);
		less |= held_for(b) < want_ns;
		check_eq(look(b, "k").out_failures, i + 1);
		core_os.now = look(b, "k").out_retry;
		want_ns = 2 * want_ns < MOST ? 2 * want_ns : MOST;
	}
	check(less);
	/* what is long ago does not count */
	core_os.now += 60000 * MS;
	gave_up(b, 0, take(b, 0, "k"), "");
	check_eq(look(b, "k").out_failures, 1);
	check(held_for(b) <= BACKOFF);
	bench_free(b);
}

TEST(k9_value_ends_the_backoff_and_so_does_who_knows_better)
{
	struct bench *b;
	u64 count;
	u64 t;

	b = begin(BACKOFF, 0);
	gave_up(b, 0, take(b, 0, "k"), "");
	check_eq(want(b, 1, "k", EVENT_INIT, 1), ASYNCLAZY_RESULT_PENDING);
	invalidate(b, 2, "k");
	t = offered(b, 1);
	check_eq(publish(b, 1, t, "v", 1, 0), 0);
	invalidate(b, 2, "k");
	gave_up(b, 0, take(b, 0, "k"), "");
	check_eq(look(b, "k").out_failures, 1);
	check_eq(want(b, 1, "k", EVENT_INIT, 2), ASYNCLAZY_RESULT_PENDING);
	check_eq(set(b, 2, "k", "s", 1, 0), 0);
	check(!quiet(b, 1));
	check_eq(b->cache.nr_held, 0);
	invalidate(b, 2, "k");
	gave_up(b, 0, take(b, 0, "k"), "text");
	check_eq(want(b, 1, "k", EVENT_INIT, 3), ASYNCLAZY_RESULT_PENDING);
	check_eq(alz_clear(&b->client[2], &count), 0);
	offered(b, 1);
	/* an error that is kept is a result */
	alz_fail(&b->client[1], look(b, "k").out_generation, EIO, 0, 0, NULL, 0, &(bool){ 0 });
	bench_free(b);
}

TEST(k9_held_flight_that_nobody_wants_any_more_leaves)
{
	struct alz_waiter w;
	struct alz_answer a;
	struct bench *b;

	b = begin(BACKOFF, 0);
	gave_up(b, 0, take(b, 0, "k"), "");
	check_eq(want(b, 1, "k", EVENT_INIT, 1), ASYNCLAZY_RESULT_PENDING);
	check_eq(want(b, 2, "k", EVENT, 1), ASYNCLAZY_RESULT_PENDING);
	check_eq(alz_cancel(&b->client[1], 1), 0);
	check_consistent(b);
	check(!quiet(b, 2));
	check_eq(b->cache.nr_held, 0);
	check_eq(b->cache.header->initializing, 0);
	check(!b->cache.deadlines);
	/* a deadline that passes, a client that dies */
	check_eq(claim_wait(b, 1, "k", INIT | ASYNCLAZY_CLAIM_BLOCK, &w, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_PENDING);
	check_eq(alz_wait_finish(&b->client[1], &w, -ETIMEDOUT, 0, &a), -ETIMEDOUT);
	check_eq(want(b, 1, "k", EVENT_INIT, 1), ASYNCLAZY_RESULT_PENDING);
	die(b, 1);
	check_eq(b->cache.nr_held, 0);
	pass(b, MOST);
	take(b, 0, "k");
	bench_free(b);
}

TEST(k9_held_flight_joins_the_queue_but_a_child_does_not)
{
	struct bench *b;
	u64 t, child;

	b = begin_with((struct alz_geometry) {
		.backoff = BACKOFF, .backoff_max = MOST, .max_inits = 1,
	});
	gave_up(b, 0, take(b, 0, "k"), "");
	gave_up(b, 0, take(b, 0, "c"), "");
	t = take(b, 0, "a");
	check_eq(want(b, 1, "k", EVENT_INIT, 1), ASYNCLAZY_RESULT_PENDING);
	child = hash_of("c", 1);
	check_eq(alz_claim(&b->client[0], &(struct alz_claim) {
		.key = "c", .key_size = 1, .hash = child, .flags = EVENT_INIT, .cookie = 9,
		.parent = t,
	}, &(struct alz_answer){ 0 }), 0);
	check_eq(b->cache.nr_held, 2);
	pass(b, BACKOFF);
	check_eq(look(b, "k").out_flags, ASYNCLAZY_FLIGHT_QUEUED);
	check(quiet(b, 1));
	/* "a" waits for "c", so that it cannot wait for its end */
	check_eq(publish(b, 0, offered(b, 0), "v", 1, 0), 0);
	check(quiet(b, 1));
	check_eq(publish(b, 0, t, "v", 1, 0), 0);
	offered(b, 1);
	bench_free(b);
}

/* ---- breaker ------------------------------------------------------------ */

TEST(k14_third_death_within_a_minute_is_told_to_all)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	struct bench *b;
	int i;

	b = begin(0, 3);
	kill_owner(b);
	take(b, 0, "k");
	check_eq(want(b, 1, "k", EVENT_INIT, 1), ASYNCLAZY_RESULT_PENDING);
	check_eq(want(b, 2, "k", EVENT_INIT, 1), ASYNCLAZY_RESULT_PENDING);
	die(b, 0);
	offered(b, 1);
	/* it would be the turn of client 2, which lives on */
	die(b, 1);
	check_eq(events(b, 2, &ev, 1), 1);
	check_eq(ev.result, ASYNCLAZY_RESULT_FAILED);
	check_eq(ev.error, EOWNERDEAD);
	check_eq(b->cache.count.broken, 1);
	for (i = 0; i < 2; i++) {
		check_eq(claim(b, 2, "k", i ? EVENT_INIT : 0, 2, &a), 0);
		check_eq(a.result, ASYNCLAZY_RESULT_FAILED);
		check_eq(a.error, EOWNERDEAD);
		check_eq(a.offset, ASYNCLAZY_NO_RECORD);
		a.detail[a.detail_size] = 0;
		check(strstr((char *)a.detail, "3 processes died"));
		check(strstr((char *)a.detail, "in 6 s"));
	}
	check_eq(look(b, "k").out_flags,
		 ASYNCLAZY_FLIGHT_NONE | ASYNCLAZY_FLIGHT_BROKEN);
	take(b, 0, "other");
	pass(b, BREAKER);
	take(b, 0, "k");
	bench_free(b);
}

TEST(k14_next_death_opens_it_again_for_twice_as_long)
{
	u64 want_ns = BREAKER;
	struct bench *b;
	int i;

	b = begin(0, 3);
	kill_owner(b);
	kill_owner(b);
	for (i = 0; i < 13; i++) {
		kill_owner(b);
		check_eq(look(b, "k").out_retry, core_os.now + want_ns);
		check_eq(want(b, 1, "k", INIT, 0), ASYNCLAZY_RESULT_FAILED);
		core_os.now += want_ns;
		want_ns *= i < 10 ? 2 : 1;
	}
	/* one that lives is enough */
	check_eq(publish(b, 0, take(b, 0, "k"), "v", 1, 0), 0);
	invalidate(b, 0, "k");
	kill_owner(b);
	kill_owner(b);
	check_eq(publish(b, 0, take(b, 0, "k"), "v", 1, 0), 0);
	bench_free(b);
}

TEST(k14_deaths_that_are_far_apart_or_innocent_do_not_count)
{
	struct bench *b;
	int i;

	b = begin(0, 2);
	for (i = 0; i < 5; i++) {
		kill_owner(b);
		core_os.now += 60000 * MS;
	}
	/* who was not told that it owns it did not die of it */
	take(b, 0, "k");
	check_eq(want(b, 1, "k", EVENT_INIT, 1), ASYNCLAZY_RESULT_PENDING);
	check_eq(want(b, 2, "k", EVENT_INIT, 1), ASYNCLAZY_RESULT_PENDING);
	die(b, 0);
	die(b, 1);
	offered(b, 2);
	check_eq(b->cache.count.broken, 0);
	die(b, 2);
	check_eq(b->cache.count.broken, 1);
	invalidate(b, 0, "k");
	take(b, 0, "k");
	bench_free(b);
}

TEST(more_keys_in_trouble_than_there_is_room_for)
{
	struct bench *b;
	char key[16];
	int i, held = 0;

	b = begin_with((struct alz_geometry) {
		.backoff = BACKOFF, .backoff_max = MOST, .max_keys = 10000,
	});
	for (i = 0; i < 5000; i++) {
		snprintf(key, sizeof(key), "key %d", i);
		gave_up(b, 0, take(b, 0, key), "some text");
	}
	for (i = 0; i < 5000; i++) {
		struct asynclazy_flight f;

		snprintf(key, sizeof(key), "key %d", i);
		held += !look_at(b, key, &f);
	}
	/* 512 entries, the younger the better */
	check(held > 400 && held <= 512);
	bench_free(b);
}

TEST(nonsense_about_troubles_is_refused)
{
	struct alz_geometry g = { .max_keys = 1, .arena_size = 1, .backoff = 2 };

	check_eq(alz_geometry_check(&g), -EINVAL);
	g.backoff_max = 2;
	check_eq(alz_geometry_check(&g), 0);
	g.max_deaths = 1;
	check_eq(alz_geometry_check(&g), -EINVAL);
	alz_geometry_troubles(&g, 0, 0, 0, 0);
	check_eq(g.backoff, ALZ_BACKOFF_DEFAULT);
	check_eq(g.backoff_max, ALZ_BACKOFF_MAX_DEFAULT);
	check_eq(g.breaker, ALZ_BREAKER_DEFAULT);
	check_eq(g.max_deaths, ALZ_DEATHS_DEFAULT);
	alz_geometry_troubles(&g, MOST + ALZ_BACKOFF_MAX_DEFAULT, 0, 1, ~0U);
	check_eq(g.backoff_max, g.backoff);
	check_eq(g.max_deaths, 0);
	alz_geometry_troubles(&g, ASYNCLAZY_NEVER, 0, 1, 5);
	check_eq(g.backoff, 0);
	check_eq(g.max_deaths, 5);
	check_eq(alz_geometry_check(&g), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(k9_next_caller_waits_for_the_backoff_and_then_makes_it),
		cmocka_unit_test(k9_backoff_doubles_up_to_its_most_and_differs_a_little),
		cmocka_unit_test(k9_value_ends_the_backoff_and_so_does_who_knows_better),
		cmocka_unit_test(k9_held_flight_that_nobody_wants_any_more_leaves),
		cmocka_unit_test(k9_held_flight_joins_the_queue_but_a_child_does_not),
		cmocka_unit_test(k14_third_death_within_a_minute_is_told_to_all),
		cmocka_unit_test(k14_next_death_opens_it_again_for_twice_as_long),
		cmocka_unit_test(k14_deaths_that_are_far_apart_or_innocent_do_not_count),
		cmocka_unit_test(more_keys_in_trouble_than_there_is_room_for),
		cmocka_unit_test(nonsense_about_troubles_is_refused),
	};

	return RUN_TESTS(tests);
}
