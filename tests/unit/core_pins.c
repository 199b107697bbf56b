// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The core: what a reader pins stays as it is, for as long as it is pinned. */
#include <stdio.h>
#include <stdlib.h>

#include "core_recycle_util.h"

#define SIZE	1000
#define MANY	200	/* clients: more than are looked at under one hold of the lock */

static u8 *copy_of(struct bench *b, u64 offset)
{
	const void *memory = b->cache.arena.memory[offset / SEGMENT];
	u8 *copy = malloc(SEGMENT);

	assert_non_null(copy);
	memcpy(copy, memory, SEGMENT);
	return copy;
}

/* The whole segment is what it was. */
static bool unchanged(struct bench *b, u64 offset, const u8 *copy)
{
	const void *memory = b->cache.arena.memory[offset / SEGMENT];

	return memory && !memcmp(memory, copy, segment_of(b, offset)->head);
}

TEST(pinned_segment_is_not_used_again_until_it_is_let_go)
{
	u32 next = 0;
	struct bench *b;
	u64 offset;
	u8 *copy;

	core_os_reset();
	b = bench_recycle(20000, 8);
	fill_up(b, &next, SIZE);
	offset = where(b, 7);
	copy = copy_of(b, offset);
	b->pins[1][5] = pin_of(offset);
	churn(b, &next, SIZE, 40);
	check_eq(where(b, 7), ASYNCLAZY_NO_RECORD);
	check(unchanged(b, offset, copy));
	check_eq(segment_of(b, offset)->state, ALZ_SEGMENT_RETIRED);
	check_eq(b->cache.arena.nr_held, 1);
	check_eq(b->cache.pins_now, 1);
	/* with another one in its place */
	check_eq(b->cache.arena.allocated, 9 * SEGMENT);
	check_consistent(b);
	b->pins[1][5] = 0;
	churn(b, &next, SIZE, 41);
	check_eq(b->cache.arena.nr_held, 0);
	check_eq(b->cache.arena.allocated, 8 * SEGMENT);
	check_consistent(b);
	free(copy);
	bench_free(b);
}

TEST(each_pin_of_each_client_is_looked_at)
{
	u32 next = 0, who, pin;
	struct bench *b;

	core_os_reset();
	b = bench_recycle(20000, 8);
	fill_up(b, &next, SIZE);
	for (who = 0; who < CLIENTS; who++) {
		for (pin = 0; pin < PINS; pin++) {
			u64 offset = where(b, next - 1);

			/* the first byte of its segment, or the last */
			b->pins[who][pin] = offset / SEGMENT * SEGMENT +
				(pin % 2 ? SEGMENT - 64 : 0) + ASYNCLAZY_PIN_SET;
			churn(b, &next, SIZE, b->cache.count.reclaims + 9);
			check_eq(segment_of(b, offset)->state, ALZ_SEGMENT_RETIRED);
			check_eq(b->cache.arena.nr_held, 1);
			b->pins[who][pin] = 0;
			churn(b, &next, SIZE, b->cache.count.reclaims + 1);
			check_eq(b->cache.arena.nr_held, 0);
			check_consistent(b);
		}
	}
	bench_free(b);
}

TEST(pinned_segments_are_replaced_up_to_the_budget_again)
{
	struct asynclazy_stats s = { 0 };
	u32 next = 0, pins = 0;
	struct bench *b;
	int err;

	core_os_reset();
	b = bench_recycle(20000, 8);
	/* one reader that lets nothing go */
	for (;;) {
		err = put(b, next, SIZE);
		if (err || check_failures())
			break;
		if (!pins || b->pins[0][pins - 1] / SEGMENT != where(b, next) / SEGMENT)
			b->pins[0][pins++] = pin_of(where(b, next));
		next++;
		check(b->cache.arena.allocated <= 16 * SEGMENT);
	}
	check_eq(err, -ENOSPC);
	/* all but what reclaim works with */
	check_eq(pins, 15);
	check_eq(b->cache.arena.allocated, 16 * SEGMENT);
	check_consistent(b);
	/* it can be asked again, until all that was there has gone for nothing */
	while (b->cache.arena.nr_held < 15 && !check_failures())
		check_eq(put(b, next, SIZE), -ENOSPC);
	check_eq(put(b, next, SIZE), -ENOSPC);
	check_consistent(b);
	alz_cache_stats(&b->cache, &s);
	check_eq(s.out_segments_held, 15);
	check_eq(s.out_pins_now, 15);
	/* one that is let go is enough to go on */
	b->pins[0][0] = 0;
	check_eq(put(b, next, SIZE), 0);
	check(has(b, next));
	memset(b->pins, 0, sizeof(b->pins));
	core_os.released = 0;
	churn(b, &next, SIZE, b->cache.count.reclaims + 2);
	check_eq(b->cache.arena.allocated, 8 * SEGMENT);
	check_eq(core_os.released, 8);
	check_eq(b->cache.arena.nr_held, 0);
	check_consistent(b);
	/* and what was given back can be used again */
	churn(b, &next, SIZE, b->cache.count.reclaims + 30);
	check_eq(count_keys(b, next - 100, next), 100);
	bench_free(b);
}

TEST(pins_of_a_dead_client_do_not_count)
{
	u32 next = 0;
	struct bench *b;
	u64 offset;

	core_os_reset();
	b = bench_recycle(20000, 8);
	fill_up(b, &next, SIZE);
	offset = where(b, 3);
	b->pins[2][0] = pin_of(offset);
	churn(b, &next, SIZE, 5);
	check_eq(b->cache.arena.nr_held, 1);
	alz_client_die(&b->client[2]);
	churn(b, &next, SIZE, 6);
	check_eq(b->cache.arena.nr_held, 0);
	check_consistent(b);
	bench_free(b);
}

static u64 *all_pins(struct bench *b)
{
	return &b->pins[0][0];
}

static u64 garbage(struct bench *b)
{
	u64 x = random_u64();

	switch (x % 8) {
	case 0: return x;
	case 1: return x % (16 * SEGMENT);	/* anywhere in the arena */
	case 2: return x % (16 * SEGMENT) | ASYNCLAZY_PIN_SET;
	case 3: return 16 * SEGMENT + x % 3 - 1;
	case 4: return ~0ULL >> x % 32;
	case 5: return b->cache.arena.nr_segments;
	default: return 0;
	}
}

TEST(pins_that_make_no_sense_do_no_harm)
{
	u32 next = 0, i, refused = 0;
	struct bench *b;

	core_os_reset();
	b = bench_recycle(20000, 8);
	while (next < 20000) {
		for (i = 0; i < 8; i++)
			all_pins(b)[random_u64() % (CLIENTS * PINS)] = garbage(b);
		refused += put(b, next++, SIZE) != 0;
		if (next % 64 == 0)
			check_consistent(b);
		check(b->cache.arena.allocated <= 16 * SEGMENT);
		if (next % 1000 == 0)
			memset(b->pins, 0, sizeof(b->pins));
	}
	/* a client may fill the arena with pins, but not for longer than they stay */
	check(refused < next / 2);
	memset(b->pins, 0, sizeof(b->pins));
	for (i = 0; i < 1000; i++)
		check_eq(put(b, next++, SIZE), 0);
	check_eq(b->cache.arena.nr_held, 0);
	bench_free(b);
}

/* ---- who sets them ----------------------------------------------------- */

static int claim_pinned(struct bench *b, const char *key, u32 flags, u32 pin,
			struct alz_waiter *w, struct alz_answer *a)
{
	struct alz_claim c = {
		.key = key, .key_size = strlen(key), .hash = hash_of(key, strlen(key)),
		.flags = flags, .pin = pin, .waiter = w,
	};

	return alz_claim(&b->client[1], &c, a);
}

TEST(claim_sets_its_pin_if_there_is_a_record)
{
	struct alz_answer a;
	struct bench *b;
	bool kept;
	u64 t;

	core_os_reset();
	b = bench_recycle(0, 8);
	check(alz_pin_valid(&b->client[1], 0));
	check(alz_pin_valid(&b->client[1], PINS));
	check(!alz_pin_valid(&b->client[1], PINS + 1));
	b->pins[1][4] = 77;
	check_eq(claim_pinned(b, "k", 0, 5, NULL, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_EMPTY);
	check_eq(claim_pinned(b, "k", ASYNCLAZY_CLAIM_INIT, 5, NULL, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
	check_eq(b->pins[1][4], 77);
	check_eq(publish(b, 1, a.ticket, "v", 1, 0), 0);
	check_eq(claim_pinned(b, "k", 0, 5, NULL, &a), 0);
	check_eq(b->pins[1][4], pin_of(a.offset));
	check_eq(claim_pinned(b, "k", 0, 0, NULL, &a), 0);
	/* an error that is kept has a record too */
	t = take(b, 0, "l");
	check_eq(alz_fail(&b->client[0], t, EIO, ASYNCLAZY_FAIL_PERMANENT, 0, "text", 4, &kept), 0);
	check_eq(claim_pinned(b, "l", 0, PINS, NULL, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_FAILED);
	check_eq(b->pins[1][PINS - 1], pin_of(a.offset));
	bench_free(b);
}

TEST(end_of_a_wait_sets_its_pin_if_there_is_a_record)
{
	const u32 flags = ASYNCLAZY_CLAIM_BLOCK | ASYNCLAZY_CLAIM_INIT;
	struct alz_waiter w = { 0 };
	struct alz_answer a;
	struct bench *b;
	u64 t;

	core_os_reset();
	b = bench_recycle(0, 8);
	t = take(b, 0, "k");
	check_eq(claim_pinned(b, "k", flags, 2, &w, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_PENDING);
	check_eq(alz_wait_finish(&b->client[1], &w, -ETIMEDOUT, 2, &a), -ETIMEDOUT);
	check_eq(b->pins[1][1], 0);
	/* a ticket */
	memset(&w, 0, sizeof(w));
	check_eq(claim_pinned(b, "k", flags, 2, &w, &a), 0);
	check_eq(alz_abandon(&b->client[0], t), 0);
	check_eq(alz_wait_finish(&b->client[1], &w, -ETIMEDOUT, 2, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
	check_eq(b->pins[1][1], 0);
	/* an error that is told only */
	memset(&w, 0, sizeof(w));
	check_eq(claim_pinned(b, "k", flags, 2, &w, &a), 0);
	check_eq(alz_abandon(&b->client[1], b->client[1].cache->generation), 0);
	check_eq(alz_wait_finish(&b->client[1], &w, -ETIMEDOUT, 2, &a), 0);
	t = a.ticket;
	/* a value */
	memset(&w, 0, sizeof(w));
	check_eq(claim_pinned(b, "k", flags, 2, &w, &a), 0);
	check_eq(publish(b, 1, t, "value", 5, 0), 0);
	check_eq(alz_wait_finish(&b->client[1], &w, -ETIMEDOUT, 2, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_HIT);
	check_eq(b->pins[1][1], pin_of(a.offset));
	check(value_is(b, a.offset, "value", 5));
	bench_free(b);
}

TEST(publish_sets_its_pin_and_a_late_one_does_not)
{
	struct alz_reservation r;
	struct bench *b;
	u64 t;

	core_os_reset();
	b = bench_recycle(0, 8);
	t = take(b, 2, "k");
	check_eq(alz_publish_begin(&b->client[2], t, 4, NULL, &r), 0);
	memcpy(r.value, "late", 4);
	r.pin = 9;
	invalidate(b, 0, "k");
	check_eq(alz_publish_commit(&b->client[2], &r), -ESTALE);
	check_eq(b->pins[2][8], 0);
	t = take(b, 2, "k");
	check_eq(alz_publish_begin(&b->client[2], t, 4, NULL, &r), 0);
	memcpy(r.value, "good", 4);
	r.pin = 9;
	check_eq(alz_publish_commit(&b->client[2], &r), 0);
	check_eq(b->pins[2][8], pin_of(r.offset));
	check(r.generation);
	bench_free(b);
}

/* ---- races with the look at the pins ----------------------------------- */

static struct {
	struct bench *b;
	struct alz_client *many;
	u64 offset;
	u8 *copy;
	unsigned int at, n;
} race;

static void pin_late(void)
{
	race.b->pins[1][PINS - 1] = pin_of(race.offset);
}

TEST(pin_that_was_set_before_the_barrier_ended_counts)
{
	u32 next = 0;

	core_os_reset();
	race.b = bench_recycle(20000, 8);
	fill_up(race.b, &next, SIZE);
	race.offset = where(race.b, 0);
	race.copy = copy_of(race.b, race.offset);
	core_os.at_barrier = pin_late;
	alz_reclaim(&race.b->cache);
	check(core_os.barriers > 0);
	check_eq(segment_of(race.b, race.offset)->state, ALZ_SEGMENT_RETIRED);
	churn(race.b, &next, SIZE, 20);
	check(unchanged(race.b, race.offset, race.copy));
	free(race.copy);
	bench_free(race.b);
}

static void attach_many(struct bench *b)
{
	static bool readable;
	int i;

	race.many = calloc(MANY, sizeof(*race.many));
	assert_non_null(race.many);
	for (i = 0; i < MANY; i++) {
		race.many[i].nr_pins = PINS;
		race.many[i].pins = b->pins[2];
		race.many[i].os = &readable;
		alz_client_attach(&race.many[i], &b->cache);
	}
}

static void detach_many(void)
{
	int i;

	for (i = 0; i < MANY; i++)
		if (race.many[i].cache)
			alz_client_detach(&race.many[i]);
	free(race.many);
}

static void pin_and_let_go(void)
{
	if (race.n++ != race.at)
		return;
	race.b->pins[1][0] = pin_of(race.offset);
	alz_events_release(&race.b->client[1]);
}

/*
 * An event's record is held until the next read; its reader pins it and reads on.
 * At whatever moment that is, reclaim sees the one or the other.
 */
TEST(record_pinned_after_its_event_is_never_missed)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	bool more = true;
	u32 next;
	u64 t;

	for (race.at = 0; more && !check_failures(); race.at++) {
		core_os_reset();
		race.b = bench_recycle(20000, 8);
		t = take(race.b, 0, "k");
		check_eq(claim(race.b, 1, "k", ASYNCLAZY_CLAIM_EVENT, 1, &a), 0);
		check_eq(publish(race.b, 0, t, "value", 5, 0), 0);
		check_eq(events(race.b, 1, &ev, 1), 1);
		race.offset = ev.offset;
		attach_many(race.b);
		next = 0;
		fill_up(race.b, &next, SIZE);
		race.copy = copy_of(race.b, race.offset);
		race.n = 0;
		core_os.each_unlock = pin_and_let_go;
		alz_reclaim(&race.b->cache);
		core_os.each_unlock = NULL;
		more = race.n > race.at;
		check_eq(segment_of(race.b, race.offset)->state, ALZ_SEGMENT_RETIRED);
		check(unchanged(race.b, race.offset, race.copy));
		churn(race.b, &next, SIZE, 20);
		check(unchanged(race.b, race.offset, race.copy));
		check(value_is(race.b, race.offset, "value", 5));
		free(race.copy);
		detach_many();
		bench_free(race.b);
	}
	check(race.at > 5);
}

static void others_come_and_go(void)
{
	unsigned int i = race.n++;

	/* some that were looked at, some that were not, and some are new */
	if (i % 3 == 0 && race.many[i % MANY].cache) {
		alz_client_detach(&race.many[i % MANY]);
		memset(&race.many[i % MANY], 0, sizeof(race.many[0]));
	} else if (i % 3 == 1) {
		alz_client_detach(&race.b->client[0]);
		bench_attach(race.b, 0);
	} else if (race.many[MANY - 1 - i % MANY].cache) {
		alz_client_die(&race.many[MANY - 1 - i % MANY]);
	}
}

TEST(clients_that_come_and_go_during_the_look_hide_no_pin)
{
	u32 next = 0;

	core_os_reset();
	race.b = bench_recycle(20000, 8);
	fill_up(race.b, &next, SIZE);
	race.offset = where(race.b, 0);
	race.copy = copy_of(race.b, race.offset);
	attach_many(race.b);
	race.b->pins[1][0] = pin_of(race.offset);
	race.n = 0;
	core_os.each_unlock = others_come_and_go;
	churn(race.b, &next, SIZE, 40);
	core_os.each_unlock = NULL;
	check_eq(segment_of(race.b, race.offset)->state, ALZ_SEGMENT_RETIRED);
	check(unchanged(race.b, race.offset, race.copy));
	check_eq(race.b->cache.arena.nr_held, 1);
	free(race.copy);
	detach_many();
	bench_free(race.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pinned_segment_is_not_used_again_until_it_is_let_go),
		cmocka_unit_test(each_pin_of_each_client_is_looked_at),
		cmocka_unit_test(pinned_segments_are_replaced_up_to_the_budget_again),
		cmocka_unit_test(pins_of_a_dead_client_do_not_count),
		cmocka_unit_test(pins_that_make_no_sense_do_no_harm),
		cmocka_unit_test(claim_sets_its_pin_if_there_is_a_record),
		cmocka_unit_test(end_of_a_wait_sets_its_pin_if_there_is_a_record),
		cmocka_unit_test(publish_sets_its_pin_and_a_late_one_does_not),
		cmocka_unit_test(pin_that_was_set_before_the_barrier_ended_counts),
		cmocka_unit_test(record_pinned_after_its_event_is_never_missed),
		cmocka_unit_test(clients_that_come_and_go_during_the_look_hide_no_pin),
	};

	return RUN_TESTS(tests);
}
