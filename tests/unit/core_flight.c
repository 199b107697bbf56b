// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The core: who owns a flight, who comes next, how it ends. */
#include <stdio.h>
#include <stdlib.h>

#include "core_util.h"

#define EVENT		ASYNCLAZY_CLAIM_EVENT
#define EVENT_INIT	(ASYNCLAZY_CLAIM_EVENT | ASYNCLAZY_CLAIM_INIT)
#define INIT		ASYNCLAZY_CLAIM_INIT
#define FOLLOW		(EVENT_INIT | ASYNCLAZY_CLAIM_FOLLOW)

static u32 result_of(struct bench *b, const char *key)
{
	struct alz_answer a;

	check_eq(claim(b, 0, key, 0, 0, &a), 0);
	return a.result;
}

static int fail_text(struct bench *b, int who, u64 ticket, u32 class, u64 ttl)
{
	bool kept;

	return alz_fail(&b->client[who], ticket, EIO, class, ttl, "text", 4,
			&kept);
}

/* ---- tickets ----------------------------------------------------------- */

TEST(i1_one_ticket_a_flight)
{
	struct alz_answer a;
	struct bench *b;
	u64 t;

	core_os_reset();
	b = bench_new(0, 0);
	t = take(b, 0, "k");
	check_eq(claim(b, 0, "k", INIT, 0, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_PENDING);
	check_eq(claim(b, 1, "k", INIT, 0, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_PENDING);
	check_eq(publish(b, 1, t, "no", 2, 0), -ESTALE);	/* another's */
	check_eq(alz_abandon(&b->client[1], t), -ESTALE);
	check_eq(publish(b, 0, t, "v", 1, 0), 0);
	check_eq(claim(b, 1, "k", INIT, 0, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_HIT);
	check(value_is(b, a.offset, "v", 1));
	check_consistent(b);
	bench_free(b);
}

TEST(i6_an_ended_ticket_changes_nothing)
{
	struct bench *b;
	u64 t[5], used;
	int i;

	core_os_reset();
	b = bench_new(0, 0);
	t[0] = take(b, 0, "published");
	check_eq(publish(b, 0, t[0], "v", 1, 0), 0);
	t[1] = take(b, 0, "failed");
	check_eq(fail_text(b, 0, t[1], ASYNCLAZY_FAIL_PERMANENT, 0), 0);
	t[2] = take(b, 0, "abandoned");
	check_eq(alz_abandon(&b->client[0], t[2]), 0);
	t[3] = take(b, 0, "set");
	check_eq(set(b, 1, "set", "s", 1, 0), 0);
	t[4] = take(b, 0, "invalidated");
	check_eq(invalidate(b, 1, "invalidated"), 1);
	used = b->cache.header->arena_used;
	for (i = 0; i < 5; i++) {
		check_eq(publish(b, 0, t[i], "late", 4, 0), -ESTALE);
		check_eq(fail_text(b, 0, t[i], ASYNCLAZY_FAIL_PERMANENT, 0),
			 -ESTALE);
		check_eq(alz_abandon(&b->client[0], t[i]), -ESTALE);
	}
	check_eq(b->cache.count.stale, 15);
	check_eq(b->cache.header->arena_used, used);
	check_eq(result_of(b, "published"), ASYNCLAZY_RESULT_HIT);
	check_eq(result_of(b, "failed"), ASYNCLAZY_RESULT_FAILED);
	check_eq(result_of(b, "abandoned"), ASYNCLAZY_RESULT_EMPTY);
	check_eq(result_of(b, "set"), ASYNCLAZY_RESULT_HIT);
	check_eq(result_of(b, "invalidated"), ASYNCLAZY_RESULT_EMPTY);
	/* never granted */
	check_eq(publish(b, 0, 0, "v", 1, 0), -ENOENT);
	check_eq(publish(b, 0, 123456, "v", 1, 0), -ENOENT);
	check_eq(alz_abandon(&b->client[0], UINT64_MAX), -ENOENT);
	bench_free(b);
}

TEST(publish_overtaken_while_its_value_was_copied_is_stale)
{
	struct alz_reservation r;
	struct bench *b;
	u64 t;

	core_os_reset();
	b = bench_new(0, 0);
	t = take(b, 0, "k");
	check_eq(alz_publish_begin(&b->client[0], t, 4, NULL, &r), 0);
	check_eq(set(b, 1, "k", "new", 3, 0), 0);
	memcpy(r.value, "late", 4);
	check_eq(alz_publish_commit(&b->client[0], &r), -ESTALE);
	check_consistent(b);
	check_eq(result_of(b, "k"), ASYNCLAZY_RESULT_HIT);
	check_eq(b->cache.header->keys, 1);
	bench_free(b);
}

TEST(publish_overtaken_by_another_flight_of_the_key_is_stale)
{
	struct alz_reservation r;
	struct alz_answer a;
	struct bench *b;
	u64 t, u, used;

	core_os_reset();
	b = bench_new(0, 0);
	t = take(b, 0, "k");
	used = b->cache.header->arena_used;
	check_eq(alz_publish_begin(&b->client[0], t, 4, NULL, &r), 0);
	memcpy(r.value, "late", 4);
	check_eq(invalidate(b, 1, "k"), 1);
	u = take(b, 0, "k");
	check_eq(alz_publish_commit(&b->client[0], &r), -ESTALE);
	/* its room is free again */
	check_eq(b->cache.header->arena_used, used);
	check_eq(result_of(b, "k"), ASYNCLAZY_RESULT_PENDING);
	check_eq(publish(b, 0, u, "new", 3, 0), 0);
	check_eq(claim(b, 0, "k", 0, 0, &a), 0);
	check(value_is(b, a.offset, "new", 3));
	bench_free(b);
}

TEST(generations_never_repeat)
{
	u64 last = 0, t;
	struct alz_answer a;
	struct bench *b;
	int i;

	core_os_reset();
	b = bench_new(0, 0);
	for (i = 0; i < 100; i++) {
		check_eq(claim(b, 0, "k", INIT, 0, &a), 0);
		t = a.ticket;
		check(a.generation > last && t > last);
		last = b->cache.generation;
		switch (i % 4) {
		case 0:
			check_eq(publish(b, 0, t, "v", 1, 0), 0);
			check_eq(invalidate(b, 0, "k"), 1);
			break;
		case 1:
			check_eq(fail_text(b, 0, t, ASYNCLAZY_FAIL_TRANSIENT, 0),
				 0);
			break;
		case 2:
			check_eq(alz_abandon(&b->client[0], t), 0);
			break;
		default:
			check_eq(set(b, 0, "k", "s", 1, 0), 0);
			check_eq(invalidate(b, 0, "k"), 1);
		}
		check(b->cache.header->generation >= last);
	}
	bench_free(b);
}

/* ---- handing over ------------------------------------------------------ */

TEST(hand_over_is_first_come_first_served)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	struct bench *b;
	u64 t, i;
	int who = 0;

	core_os_reset();
	b = bench_new(0, 0);
	t = take(b, 0, "k");
	/* every third cannot */
	for (i = 1; i <= 30; i++)
		check_eq(claim(b, i % 2, "k", i % 3 ? EVENT_INIT : EVENT, i, &a),
			 0);
	for (i = 1; i <= 30; i++) {
		if (i % 3 == 0)
			continue;
		check_eq(alz_abandon(&b->client[who], t), 0);
		who = i % 2;
		check_eq(b->readable[!who], false);
		check_eq(events(b, who, &ev, 1), 1);
		check_eq(ev.cookie, i);
		check_eq(ev.result, ASYNCLAZY_RESULT_TICKET);
		check_eq(ev.attempt, i - i / 3);
		t = ev.ticket;
		check_consistent(b);
	}
	/* nobody is left who can */
	check_eq(alz_abandon(&b->client[who], t), 0);
	for (i = 3; i <= 30; i += 3) {
		check_eq(events(b, i % 2, &ev, 1), 1);
		check_eq(ev.cookie, i);
		check_eq(ev.result, ASYNCLAZY_RESULT_FAILED);
		check_eq(ev.error, ECANCELED);
	}
	check_eq(result_of(b, "k"), ASYNCLAZY_RESULT_EMPTY);
	check_eq(b->cache.count.handovers, 20);
	bench_free(b);
}

TEST(death_hands_over_past_the_dead_clients_own_waits)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	struct bench *b;

	core_os_reset();
	b = bench_new(0, 0);
	(void)take(b, 0, "k");
	(void)take(b, 0, "alone");
	check_eq(claim(b, 2, "alone", EVENT, 9, &a), 0);
	check_eq(claim(b, 0, "k", EVENT_INIT, 1, &a), 0);
	check_eq(claim(b, 1, "k", EVENT_INIT, 2, &a), 0);
	check_eq(claim(b, 2, "k", EVENT_INIT, 3, &a), 0);
	alz_client_die(&b->client[0]);
	check_consistent(b);
	check_eq(b->cache.count.deaths, 2);
	check_eq(events(b, 1, &ev, 1), 1);
	check_eq(ev.result, ASYNCLAZY_RESULT_TICKET);
	check_eq(ev.attempt, 1);
	check_eq(events(b, 2, &ev, 1), 1);
	check_eq(ev.cookie, 9);
	check_eq(ev.result, ASYNCLAZY_RESULT_FAILED);
	check_eq(ev.error, EOWNERDEAD);
	/* one that was offered the ticket and dies before it read that */
	alz_client_die(&b->client[1]);
	check_eq(events(b, 2, &ev, 1), 1);
	check_eq(ev.result, ASYNCLAZY_RESULT_TICKET);
	check_eq(ev.attempt, 2);
	alz_client_die(&b->client[1]);	/* again: nothing */
	check_eq(b->cache.count.deaths, 3);
	/* the dead can do nothing more */
	check_eq(claim(b, 0, "k", INIT, 0, &a), -EOWNERDEAD);
	check_eq(set(b, 0, "k", "v", 1, 0), -EOWNERDEAD);
	check_eq(publish(b, 2, ev.ticket, "v", 1, 0), 0);
	check_consistent(b);
	bench_free(b);
}

#define MANY	200

static struct bench *dying;
static u64 many_tickets[MANY];

static void owner_gives_up_all(void)
{
	int i;

	for (i = 0; i < MANY; i++)
		check_eq(alz_abandon(&dying->client[0], many_tickets[i]), 0);
}

TEST(nothing_is_offered_to_a_client_that_is_dying)
{
	struct asynclazy_event ev[MANY];
	struct alz_answer a;
	struct bench *b;
	char key[16];
	int i;

	core_os_reset();
	dying = b = bench_new(0, 0);
	for (i = 0; i < MANY; i++) {
		snprintf(key, sizeof(key), "%d", i);
		many_tickets[i] = take(b, 0, key);
		check_eq(claim(b, 1, key, EVENT_INIT, i, &a), 0);
		check_eq(claim(b, 2, key, EVENT_INIT, i, &a), 0);
	}
	/* when some of its waits are gone, and some still there */
	core_os.unlocked = owner_gives_up_all;
	alz_client_die(&b->client[1]);
	check(!core_os.unlocked);
	check_eq(events(b, 2, ev, MANY), MANY);
	for (i = 0; i < MANY; i++) {
		check_eq(ev[i].result, ASYNCLAZY_RESULT_TICKET);
		check_eq(ev[i].attempt, 1);
	}
	check_consistent(b);
	bench_free(b);
}

TEST(i5_follower_hears_of_its_flight_whoever_ends_it)
{
	struct asynclazy_event ev[2];
	struct alz_answer a;
	struct bench *b;
	u64 t;

	core_os_reset();
	b = bench_new(0, 0);
	check_eq(claim(b, 0, "k", FOLLOW, 1, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
	t = a.ticket;
	check_eq(claim(b, 1, "k", FOLLOW, 1, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_PENDING);
	/* the follower itself is not offered the ticket again */
	check_eq(alz_abandon(&b->client[0], t), 0);
	check_eq(b->readable[0], false);
	check_eq(events(b, 1, ev, 2), 1);
	check_eq(ev[0].result, ASYNCLAZY_RESULT_TICKET);
	check_eq(ev[0].attempt, 1);
	check_eq(b->readable[1], false);
	check_consistent(b);
	check_eq(publish(b, 1, ev[0].ticket, "v", 1, 0), 0);
	check_eq(events(b, 0, ev, 2), 1);
	check_eq(ev[0].result, ASYNCLAZY_RESULT_HIT);
	/* that one followed too, from its offer on */
	check_eq(events(b, 1, ev, 2), 1);
	check_eq(ev[0].cookie, 1);
	check_eq(ev[0].result, ASYNCLAZY_RESULT_HIT);
	bench_free(b);
}

TEST(follower_whose_flight_ended_before_it_read_its_offer)
{
	struct asynclazy_event ev[2];
	struct alz_answer a;
	struct bench *b;
	u64 t;

	core_os_reset();
	b = bench_new(0, 0);
	t = take(b, 0, "k");
	check_eq(claim(b, 1, "k", FOLLOW, 1, &a), 0);
	check_eq(alz_abandon(&b->client[0], t), 0);
	check_eq(set(b, 2, "k", "s", 1, 0), 0);
	check_eq(events(b, 1, ev, 1), 1);
	check_eq(ev[0].result, ASYNCLAZY_RESULT_TICKET);
	check_eq(publish(b, 1, ev[0].ticket, "late", 4, 0), -ESTALE);
	check_eq(events(b, 1, ev, 1), 1);
	check_eq(ev[0].result, ASYNCLAZY_RESULT_HIT);
	check(value_is(b, ev[0].offset, "s", 1));
	bench_free(b);
}

/* ---- errors ------------------------------------------------------------ */

TEST(error_classes_and_their_ends)
{
	struct alz_answer a;
	struct bench *b;
	bool kept;
	u64 t;

	core_os_reset();
	b = bench_new(0, 0);
	t = take(b, 0, "transient");
	check_eq(fail_text(b, 0, t, ASYNCLAZY_FAIL_TRANSIENT, 0), 0);
	check_eq(result_of(b, "transient"), ASYNCLAZY_RESULT_EMPTY);

	t = take(b, 0, "negative");
	check_eq(fail_text(b, 0, t, ASYNCLAZY_FAIL_NEGATIVE, 0), 0);
	core_os.now += 5 * SEC - 1;
	check_eq(result_of(b, "negative"), ASYNCLAZY_RESULT_FAILED);
	core_os.now += 1;
	check_eq(result_of(b, "negative"), ASYNCLAZY_RESULT_EMPTY);

	t = take(b, 0, "short");
	check_eq(fail_text(b, 0, t, ASYNCLAZY_FAIL_NEGATIVE, 100), 0);
	core_os.now += 99;
	check_eq(result_of(b, "short"), ASYNCLAZY_RESULT_FAILED);
	core_os.now += 1;
	check_eq(result_of(b, "short"), ASYNCLAZY_RESULT_EMPTY);
	/* its slot is used again */
	t = take(b, 0, "short");
	check_eq(publish(b, 0, t, "v", 1, 0), 0);

	t = take(b, 0, "permanent");
	check_eq(fail_text(b, 0, t, ASYNCLAZY_FAIL_PERMANENT, 0), 0);
	core_os.now += 1000000 * SEC;
	check_eq(claim(b, 1, "permanent", INIT, 0, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_FAILED);
	check_eq(a.error, EIO);
	check(a.offset != ASYNCLAZY_NO_RECORD);
	check_eq(invalidate(b, 0, "permanent"), 1);
	check_eq(result_of(b, "permanent"), ASYNCLAZY_RESULT_EMPTY);

	t = take(b, 0, "wordless");
	check_eq(alz_fail(&b->client[0], t, EIO, ASYNCLAZY_FAIL_PERMANENT, 0,
			  NULL, 0, &kept), 0);
	check_eq(kept, true);
	check_eq(result_of(b, "wordless"), ASYNCLAZY_RESULT_FAILED);

	t = take(b, 0, "bad");
	check_eq(alz_fail(&b->client[0], t, 0, 0, 0, "", 0, &kept), -EINVAL);
	check_eq(alz_fail(&b->client[0], t, 4096, 0, 0, "", 0, &kept), -EINVAL);
	check_eq(alz_fail(&b->client[0], t, EIO, 3, 0, "", 0, &kept), -EINVAL);
	check_eq(alz_fail(&b->client[0], t, EIO, 0, 5, "", 0, &kept), -EINVAL);
	check_eq(alz_fail(&b->client[0], t, EIO, 0, 0, "", 257, &kept), -EINVAL);
	check_eq(result_of(b, "bad"), ASYNCLAZY_RESULT_PENDING);
	bench_free(b);
}

TEST(value_ends_with_its_ttl)
{
	struct bench *b;

	core_os_reset();
	b = bench_new(0, 0);
	check_eq(set(b, 0, "k", "v", 1, 1000), 0);
	check_eq(set(b, 0, "ever", "v", 1, 0), 0);
	check_eq(set(b, 0, "never", "v", 1, ASYNCLAZY_NEVER), 0);
	check_eq(set(b, 0, "long", "v", 1, ASYNCLAZY_NEVER - 1), 0);
	core_os.now += 999;
	check_eq(result_of(b, "k"), ASYNCLAZY_RESULT_HIT);
	core_os.now += 1;
	check_eq(result_of(b, "k"), ASYNCLAZY_RESULT_EMPTY);
	core_os.now = ASYNCLAZY_NEVER - 2;
	check_eq(result_of(b, "ever"), ASYNCLAZY_RESULT_HIT);
	check_eq(result_of(b, "never"), ASYNCLAZY_RESULT_HIT);
	check_eq(result_of(b, "long"), ASYNCLAZY_RESULT_HIT);
	bench_free(b);
}

/* ---- set, invalidate, clear -------------------------------------------- */

TEST(invalidation_moves_the_waiters_to_a_new_flight)
{
	struct asynclazy_event ev[4];
	struct alz_answer a;
	struct bench *b;
	u64 t, old_generation;

	core_os_reset();
	b = bench_new(0, 0);
	check_eq(claim(b, 0, "k", FOLLOW, 1, &a), 0);
	t = a.ticket;
	old_generation = a.generation;
	check_eq(claim(b, 1, "k", EVENT, 1, &a), 0);
	check_eq(claim(b, 1, "k", EVENT_INIT, 2, &a), 0);
	check_eq(claim(b, 2, "k", EVENT_INIT, 3, &a), 0);
	check_eq(invalidate(b, 2, "k"), 1);
	check_consistent(b);
	check_eq(publish(b, 0, t, "late", 4, 0), -ESTALE);
	check_eq(result_of(b, "k"), ASYNCLAZY_RESULT_PENDING);
	check_eq(events(b, 1, ev, 4), 1);
	check_eq(ev[0].cookie, 2);
	check_eq(ev[0].result, ASYNCLAZY_RESULT_TICKET);
	check(ev[0].generation > old_generation);
	check_eq(ev[0].attempt, 0);	/* a new generation: nobody failed yet */
	check_eq(b->readable[0], false);
	check_eq(b->readable[2], false);
	check_eq(publish(b, 1, ev[0].ticket, "new", 3, 0), 0);
	/* all waiters, the old follower too, get the new value */
	check_eq(events(b, 0, ev, 4), 1);
	check(value_is(b, ev[0].offset, "new", 3));
	check_eq(events(b, 1, ev, 4), 1);
	check(value_is(b, ev[0].offset, "new", 3));
	check_eq(events(b, 2, ev, 4), 1);
	check(value_is(b, ev[0].offset, "new", 3));
	bench_free(b);
}

TEST(invalidation_forgets_the_owners_that_were_lost)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	struct bench *b;
	u64 t, i;

	core_os_reset();
	b = bench_new(0, 0);
	t = take(b, 0, "k");
	for (i = 0; i < 3; i++)
		check_eq(claim(b, 1, "k", EVENT_INIT, i, &a), 0);
	check_eq(alz_abandon(&b->client[0], t), 0);
	check_eq(events(b, 1, &ev, 1), 1);
	check_eq(ev.attempt, 1);
	check_eq(invalidate(b, 2, "k"), 1);
	check_eq(events(b, 1, &ev, 1), 1);
	check_eq(ev.result, ASYNCLAZY_RESULT_TICKET);
	check_eq(ev.attempt, 0);
	bench_free(b);
}

TEST(invalidation_without_a_successor_ends_the_waits)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	struct bench *b;

	core_os_reset();
	b = bench_new(0, 0);
	check_eq(claim(b, 0, "k", FOLLOW, 1, &a), 0);
	check_eq(claim(b, 1, "k", EVENT, 1, &a), 0);
	check_eq(invalidate(b, 2, "k"), 1);
	check_eq(result_of(b, "k"), ASYNCLAZY_RESULT_EMPTY);
	check_eq(events(b, 0, &ev, 1), 1);
	check_eq(ev.result, ASYNCLAZY_RESULT_FAILED);
	check_eq(events(b, 1, &ev, 1), 1);
	check_eq(ev.result, ASYNCLAZY_RESULT_FAILED);
	check_eq(ev.error, ESTALE);
	bench_free(b);
}

TEST(set_serves_all_waiters_of_a_flight)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	struct bench *b;
	u64 t;
	int i;

	core_os_reset();
	b = bench_new(0, 0);
	t = take(b, 0, "k");
	for (i = 0; i < CLIENTS; i++)
		check_eq(claim(b, i, "k", EVENT_INIT, 1, &a), 0);
	check_eq(set(b, 1, "k", "set", 3, 0), 0);
	for (i = 0; i < CLIENTS; i++) {
		check_eq(events(b, i, &ev, 1), 1);
		check_eq(ev.result, ASYNCLAZY_RESULT_HIT);
		check(value_is(b, ev.offset, "set", 3));
	}
	check_eq(alz_abandon(&b->client[0], t), -ESTALE);
	bench_free(b);
}

static struct bench *raced;

static void others_start_anew(void)
{
	(void)take(raced, 1, "later");
	check_eq(set(raced, 1, "later-set", "v", 1, 0), 0);
}

TEST(clear_ends_what_was_there_and_nothing_later)
{
	enum { KEYS = 900 };
	struct asynclazy_event ev;
	struct alz_answer a;
	struct bench *b;
	u64 count = 0, t;
	char key[16];
	int i;

	core_os_reset();
	raced = b = bench_new(0, 0);
	for (i = 0; i < KEYS; i++) {
		snprintf(key, sizeof(key), "%d", i);
		check_eq(set(b, 0, key, "v", 1, 0), 0);
	}
	t = take(b, 0, "bad");
	check_eq(fail_text(b, 0, t, ASYNCLAZY_FAIL_PERMANENT, 0), 0);
	t = take(b, 0, "lone");
	(void)take(b, 0, "waited");
	check_eq(claim(b, 2, "waited", EVENT_INIT, 1, &a), 0);
	core_os.unlocked = others_start_anew;
	check_eq(alz_clear(&b->client[0], &count), 0);
	check(core_os.relaxes > 0);
	check_eq(count, KEYS + 3);
	check_consistent(b);
	check_eq(publish(b, 0, t, "late", 4, 0), -ESTALE);
	check_eq(result_of(b, "later"), ASYNCLAZY_RESULT_PENDING);
	check_eq(result_of(b, "later-set"), ASYNCLAZY_RESULT_HIT);
	check_eq(result_of(b, "bad"), ASYNCLAZY_RESULT_EMPTY);
	check_eq(b->cache.header->keys, 1);
	check_eq(events(b, 2, &ev, 1), 1);
	check_eq(ev.result, ASYNCLAZY_RESULT_TICKET);
	bench_free(b);
}

static unsigned long filled, moved;

/* At every pause of the sweep, so that parts of the table are swept, parts not. */
static void others_fill_the_table(void)
{
	unsigned long before = core_os.releases, n = filled;
	char key[16];
	int i;

	for (i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "new%lu", filled);
		filled += !set(raced, 1, key, "v", 1, 0);
	}
	moved += core_os.releases - before - (filled - n);
	core_os.unlocked = others_fill_the_table;
}

TEST(clear_misses_nothing_that_moves_meanwhile)
{
	enum { KEYS = 7 * 1024 };
	u64 count = 0, generation, i, slots;
	char key[16];

	core_os_reset();
	raced = bench_new(KEYS, 2 * KEYS * 128ULL);
	for (i = 0; i < KEYS; i++) {
		snprintf(key, sizeof(key), "%llu", (unsigned long long)i);
		check_eq(set(raced, 0, key, "v", 1, 0), 0);
	}
	generation = raced->cache.generation;
	filled = moved = 0;
	core_os.unlocked = others_fill_the_table;
	check_eq(alz_clear(&raced->client[0], &count), 0);
	core_os.unlocked = NULL;
	check(filled > 1000);
	check(moved > 20);
	check_eq(count, KEYS);
	check_eq(raced->cache.header->keys, filled);
	slots = (raced->cache.bucket_mask + 1) * ASYNCLAZY_BUCKET_SLOTS;
	for (i = 0; i < slots; i++) {
		u64 word = raced->cache.slots[i];

		if (alz_slot_has_record(word))
			check(alz_arena_record(&raced->cache.arena,
					       alz_slot_offset(word))->generation >
			      generation);
	}
	bench_free(raced);
}

static void others_look_while_many_are_told(void)
{
	struct alz_answer a;

	/* I5, I3: the value is there before the last has been told */
	check_eq(claim(raced, 1, "k", EVENT_INIT, 999999, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_HIT);
	check_eq(alz_cancel(&raced->client[2], 900), 0);
	alz_client_die(&raced->client[0]);
}

TEST(many_waiters_are_told_in_steps_that_others_may_cut_into)
{
	enum { WAITERS = 1000 };
	struct asynclazy_event *ev = calloc(WAITERS, sizeof(*ev));
	struct alz_answer a;
	u64 t, i;

	assert_non_null(ev);
	core_os_reset();
	raced = bench_new(0, 0);
	/* so that memory for the arena is there */
	check_eq(set(raced, 0, "first", "v", 1, 0), 0);
	t = take(raced, 0, "k");
	for (i = 0; i < WAITERS; i++)
		check_eq(claim(raced, 2, "k", EVENT_INIT, i, &a), 0);
	core_os.unlocked = others_look_while_many_are_told;
	check_eq(publish(raced, 0, t, "v", 1, 0), 0);
	check(!core_os.unlocked);
	check(core_os.relaxes > 0);
	check_eq(events(raced, 2, ev, WAITERS), WAITERS - 1);
	check_consistent(raced);
	bench_free(raced);
	free(ev);
}

/* ---- memory that runs out ---------------------------------------------- */

/* One of everything; each may fail with -ENOMEM, none may break anything. */
static bool one_of_everything(struct bench *b)
{
	struct asynclazy_event ev[8];
	struct alz_answer a;
	bool nomem = false, kept;
	u64 t[3] = { 0 }, count;
	u32 n;
	int i, err;

	for (i = 0; i < 3; i++) {
		const char *keys[] = { "a", "b", "c" };

		err = claim(b, 0, keys[i], i ? FOLLOW : INIT, i, &a);
		check(!err || err == -ENOMEM);
		nomem |= err;
		t[i] = err ? 0 : a.ticket;
		err = claim(b, 1, keys[i], EVENT_INIT, i, &a);
		check(!err || err == -ENOMEM);
		nomem |= err;
		check_consistent(b);
	}
	err = t[0] ? publish(b, 0, t[0], "v", 1, 0) : 0;
	check(!err || err == -ENOMEM);
	nomem |= err;
	check_consistent(b);
	err = t[1] ? alz_fail(&b->client[0], t[1], EIO, ASYNCLAZY_FAIL_PERMANENT,
			      0, "text", 4, &kept) : 0;
	check(!err || err == -ENOMEM);
	nomem |= err;
	check_consistent(b);
	err = alz_invalidate(&b->client[0], "c", 1, hash_of("c", 1), &n);
	check(!err || err == -ENOMEM);
	nomem |= err;
	check_consistent(b);
	err = alz_clear(&b->client[2], &count);
	check(!err || err == -ENOMEM);
	nomem |= err;
	check_consistent(b);
	for (i = 0; i < CLIENTS; i++)
		events(b, i, ev, ARRAY_SIZE(ev));
	check_consistent(b);
	return nomem;
}

TEST(memory_may_run_out_at_any_allocation)
{
	struct bench *b;
	bool nomem;
	long n;

	for (n = 0; n < 1000; n++) {
		core_os_reset();
		b = bench_new(0, 0);
		core_os.fail_after = n;
		nomem = one_of_everything(b);
		bench_free(b);
		if (!nomem && n)
			break;
	}
	check(n > 8 && n < 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(i1_one_ticket_a_flight),
		cmocka_unit_test(i6_an_ended_ticket_changes_nothing),
		cmocka_unit_test(publish_overtaken_while_its_value_was_copied_is_stale),
		cmocka_unit_test(publish_overtaken_by_another_flight_of_the_key_is_stale),
		cmocka_unit_test(generations_never_repeat),
		cmocka_unit_test(hand_over_is_first_come_first_served),
		cmocka_unit_test(death_hands_over_past_the_dead_clients_own_waits),
		cmocka_unit_test(nothing_is_offered_to_a_client_that_is_dying),
		cmocka_unit_test(i5_follower_hears_of_its_flight_whoever_ends_it),
		cmocka_unit_test(follower_whose_flight_ended_before_it_read_its_offer),
		cmocka_unit_test(error_classes_and_their_ends),
		cmocka_unit_test(value_ends_with_its_ttl),
		cmocka_unit_test(invalidation_moves_the_waiters_to_a_new_flight),
		cmocka_unit_test(invalidation_forgets_the_owners_that_were_lost),
		cmocka_unit_test(invalidation_without_a_successor_ends_the_waits),
		cmocka_unit_test(set_serves_all_waiters_of_a_flight),
		cmocka_unit_test(clear_ends_what_was_there_and_nothing_later),
		cmocka_unit_test(clear_misses_nothing_that_moves_meanwhile),
		cmocka_unit_test(many_waiters_are_told_in_steps_that_others_may_cut_into),
		cmocka_unit_test(memory_may_run_out_at_any_allocation),
	};

	return RUN_TESTS(tests);
}
