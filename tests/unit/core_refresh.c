// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The core: values that are made anew while they are read on, and EXPIRE. L14 and
 * design 5.9.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core_recycle_util.h"
#include "core_util.h"

#define INIT		ASYNCLAZY_CLAIM_INIT
#define EVENT		ASYNCLAZY_CLAIM_EVENT
#define EVENT_INIT	(EVENT | INIT)
#define FRESH		1000
#define STALE		500
#define DEAD		300
#define REFRESHING	ASYNCLAZY_SLOT_REFRESHING

static struct bench *begin_with(struct alz_geometry g)
{
	g.max_keys = 1000;
	g.arena_size = 16 << 16;
	g.segment_size = 1 << 16;
	g.ttl = g.ttl ? g.ttl : FRESH;
	g.stale_ttl = g.stale_ttl ? g.stale_ttl : STALE;
	g.dead_ttl = DEAD;
	core_os_reset();
	core_os.now = 1000000;
	return bench_with(&g);
}

static struct bench *begin(void)
{
	return begin_with((struct alz_geometry) { .flags = ASYNCLAZY_CREATE_STABLE });
}

static struct alz_answer ask(struct bench *b, int who, const char *key, u32 flags, u64 cookie)
{
	struct alz_answer a;

	check_eq(claim(b, who, key, flags, cookie, &a), 0);
	check_consistent(b);
	return a;
}

static bool reads(struct bench *b, int who, const char *key, const char *value)
{
	struct alz_answer a = ask(b, who, key, 0, 0);

	return a.result == ASYNCLAZY_RESULT_HIT && value_is(b, a.offset, value, strlen(value));
}

static u64 *slot_of(struct bench *b, const char *key)
{
	u64 *slot;

	alz_os_lock(&b->cache.lock);
	slot = alz_table_find(&b->cache, key, strlen(key), hash_of(key, strlen(key)));
	alz_os_unlock(&b->cache.lock);
	return slot;
}

static u64 word_of(struct bench *b, const char *key)
{
	const u64 *slot = slot_of(b, key);

	return slot ? *slot : 0;
}

/* A stale "old", and the ticket to make it anew. */
static u64 refresh(struct bench *b, int who)
{
	struct alz_answer a;

	check_eq(set(b, 0, "k", "old", 3, 0), 0);
	core_os.now += FRESH;
	a = ask(b, who, "k", INIT, 0);
	check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
	check(value_is(b, a.offset, "old", 3));
	check(word_of(b, "k") & REFRESHING);
	return a.ticket;
}

static int fail_with(struct bench *b, int who, u64 ticket, u32 error_class)
{
	bool kept;
	int err = alz_fail(&b->client[who], ticket, EIO, error_class, 0, NULL, 0, &kept);

	check_consistent(b);
	return err;
}

TEST(l14_one_makes_it_anew_and_all_others_read_on)
{
	struct bench *b;
	u64 t;

	b = begin();
	check_eq(set(b, 0, "k", "old", 3, 0), 0);
	core_os.now += FRESH - 1;
	check_eq(ask(b, 1, "k", INIT, 0).result, ASYNCLAZY_RESULT_HIT);
	core_os.now++;
	/* who cannot is not asked to */
	check(reads(b, 1, "k", "old"));
	check(!(word_of(b, "k") & REFRESHING));
	t = ask(b, 1, "k", EVENT_INIT, 1).ticket;
	check(t);
	check_eq(look(b, "k").out_flags, ASYNCLAZY_FLIGHT_REFRESH);
	check_eq(ask(b, 1, "k", INIT, 0).result, ASYNCLAZY_RESULT_HIT);
	check_eq(ask(b, 2, "k", EVENT_INIT, 2).result, ASYNCLAZY_RESULT_HIT);
	check_eq(b->cache.count.waits_now, 0);
	check_eq(publish(b, 1, t, "new", 3, 0), 0);
	check(reads(b, 2, "k", "new"));
	check(!(word_of(b, "k") & REFRESHING));
	check_eq(ask(b, 2, "k", INIT, 0).result, ASYNCLAZY_RESULT_HIT);
	check_eq(b->cache.count.refreshes, 1);
	check_eq(b->cache.header->keys, 1);
	bench_free(b);
}

TEST(l14_what_was_there_stays_if_it_cannot_be_made_anew)
{
	struct bench *b;
	int i;

	b = begin();
	for (i = 0; i < 4; i++) {
		u64 t = refresh(b, 1);

		switch (i) {
		case 0:
			check_eq(fail_with(b, 1, t, ASYNCLAZY_FAIL_TRANSIENT), 0);
			break;
		case 1:
			check_eq(alz_abandon(&b->client[1], t), 0);
			break;
		default:
			alz_client_detach(&b->client[1]);
			bench_attach(b, 1);
		}
		check_consistent(b);
		check(reads(b, 2, "k", "old"));
		check(!(word_of(b, "k") & REFRESHING));
		check_eq(publish(b, 1, t, "late", 4, 0), -ESTALE);
		/* the next one tries */
		t = ask(b, 2, "k", INIT, 0).ticket;
		check(t);
		check_eq(publish(b, 2, t, "new", 3, 0), 0);
		check(reads(b, 0, "k", "new"));
	}
	/* an error that is kept is a result, and takes its place */
	check_eq(fail_with(b, 1, refresh(b, 1), ASYNCLAZY_FAIL_NEGATIVE), 0);
	check_eq(ask(b, 2, "k", 0, 0).result, ASYNCLAZY_RESULT_FAILED);
	check_eq(b->cache.header->keys, 0);
	check_eq(b->cache.header->errors, 1);
	bench_free(b);
}

TEST(l14_failure_is_not_repeated_before_its_backoff)
{
	struct bench *b;

	b = begin_with((struct alz_geometry) {
		.flags = ASYNCLAZY_CREATE_STABLE, .backoff = 100, .backoff_max = 100,
	});
	check_eq(fail_with(b, 1, refresh(b, 1), ASYNCLAZY_FAIL_TRANSIENT), 0);
	check_eq(ask(b, 1, "k", INIT, 0).result, ASYNCLAZY_RESULT_HIT);
	/* the error is readable beside the value */
	check_eq(look(b, "k").out_error, EIO);
	check_eq(look(b, "k").out_flags, ASYNCLAZY_FLIGHT_NONE);
	core_os.now += 100;
	check_eq(ask(b, 1, "k", INIT, 0).result, ASYNCLAZY_RESULT_TICKET);
	bench_free(b);
}

TEST(l14_nobody_reads_past_stale_until)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	struct bench *b;
	u64 t;

	b = begin();
	t = refresh(b, 1);
	core_os.now += STALE;
	check(!reads(b, 2, "k", "old"));
	check_eq(ask(b, 2, "k", EVENT_INIT, 1).result, ASYNCLAZY_RESULT_PENDING);
	check_eq(ask(b, 0, "k", EVENT, 1).result, ASYNCLAZY_RESULT_PENDING);
	/* the flight goes on when its owner dies, and is handed over */
	alz_client_detach(&b->client[1]);
	bench_attach(b, 1);
	check_consistent(b);
	check_eq(events(b, 2, &ev, 1), 1);
	check_eq(ev.result, ASYNCLAZY_RESULT_TICKET);
	check_eq(publish(b, 1, t, "late", 4, 0), -ESTALE);
	check_eq(publish(b, 2, ev.ticket, "new", 3, 0), 0);
	check_eq(events(b, 0, &ev, 1), 1);
	check(value_is(b, ev.offset, "new", 3));
	/* past it the owner has what was there, until it is dead */
	core_os.now += FRESH + STALE;
	a = ask(b, 1, "k", INIT, 0);
	check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
	check(value_is(b, a.offset, "new", 3));
	check_eq(fail_with(b, 1, a.ticket, ASYNCLAZY_FAIL_TRANSIENT), 0);
	check_eq(ask(b, 2, "k", 0, 0).result, ASYNCLAZY_RESULT_EMPTY);
	core_os.now += DEAD;
	a = ask(b, 1, "k", INIT, 0);
	check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
	check_eq(a.offset, ASYNCLAZY_NO_RECORD);
	check_eq(alz_slot_state(word_of(b, "k")), ASYNCLAZY_SLOT_EMPTY);
	check_eq(b->cache.header->initializing, 1);
	bench_free(b);
}

TEST(l14_early_only_within_the_time_that_it_took)
{
	const u64 took[] = { 0, 10, 40, 10000 };
	struct alz_answer a;
	struct bench *b;
	u64 lead, i;

	b = begin();
	for (i = 0; i < ARRAY_SIZE(took); i++) {
		lead = took[i] * 8 < FRESH / 2 ? took[i] * 8 : FRESH / 2;
		invalidate(b, 0, "k");
		a = ask(b, 1, "k", INIT, 0);
		core_os.now += took[i];
		check_eq(publish(b, 1, a.ticket, "v", 1, 0), 0);
		core_os.now += FRESH - lead - 1;
		a = ask(b, 1, "k", INIT | ASYNCLAZY_CLAIM_REFRESH, 0);
		check_eq(a.result, ASYNCLAZY_RESULT_HIT);
		core_os.now++;
		if (lead)
			check_eq(ask(b, 1, "k", INIT, 0).result, ASYNCLAZY_RESULT_HIT);
		a = ask(b, 1, "k", INIT | ASYNCLAZY_CLAIM_REFRESH, 0);
		check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
		check_eq(publish(b, 1, a.ticket, "w", 1, 0), 0);
		/* who looked at the one before does not make it again */
		a = ask(b, 2, "k", INIT | ASYNCLAZY_CLAIM_REFRESH, 0);
		check_eq(a.result, ASYNCLAZY_RESULT_HIT);
	}
	bench_free(b);
}

TEST(value_without_time_to_be_stale_is_not_made_anew_before_it_is_gone)
{
	struct alz_ttl ttl = { 100, 0, 50 };
	struct alz_reservation r;
	struct alz_answer a;
	struct bench *b;
	u64 t;

	b = begin();
	t = take(b, 0, "k");
	core_os.now += 50;
	check_eq(alz_publish_begin(&b->client[0], t, 1, &ttl, &r), 0);
	check_eq(alz_publish_commit(&b->client[0], &r), 0);
	core_os.now += 99;
	a = ask(b, 1, "k", INIT | ASYNCLAZY_CLAIM_REFRESH, 0);
	check_eq(a.result, ASYNCLAZY_RESULT_HIT);
	core_os.now++;
	a = ask(b, 1, "k", INIT, 0);
	check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
	bench_free(b);
}

TEST(refresh_needs_a_turn_and_room_for_a_ticket_or_reads_on)
{
	struct alz_answer a;
	struct bench *b;
	u64 t;

	b = begin_with((struct alz_geometry) {
		.flags = ASYNCLAZY_CREATE_STABLE, .max_inits = 1,
	});
	check_eq(set(b, 0, "k", "old", 3, 0), 0);
	core_os.now += FRESH;
	t = take(b, 0, "other");
	check_eq(ask(b, 1, "k", EVENT_INIT, 1).result, ASYNCLAZY_RESULT_HIT);
	check_eq(b->cache.nr_queued, 0);
	check_eq(publish(b, 0, t, "v", 1, 0), 0);
	b->client[1].max_tickets = 0;
	check_eq(ask(b, 1, "k", INIT, 0).result, ASYNCLAZY_RESULT_HIT);
	b->client[1].max_tickets = 5;
	/* no memory is no reason either */
	core_os.fail_after = 0;
	check_eq(ask(b, 1, "k", INIT, 0).result, ASYNCLAZY_RESULT_HIT);
	core_os.fail_after = -1;
	a = ask(b, 1, "k", INIT, 0);
	check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
	check_eq(publish(b, 1, a.ticket, "new", 3, 0), 0);
	bench_free(b);
}

TEST(k10_set_invalidate_and_clear_during_a_refresh)
{
	struct asynclazy_event ev;
	struct bench *b;
	u64 t, n;
	int i;

	b = begin();
	t = refresh(b, 1);
	check_eq(set(b, 0, "k", "set", 3, 0), 0);
	check_consistent(b);
	check_eq(publish(b, 1, t, "late", 4, 0), -ESTALE);
	check(reads(b, 2, "k", "set"));
	for (i = 0; i < 2; i++) {
		t = refresh(b, 1);
		/* one who waits since it is past its time gets the new ticket */
		core_os.now += STALE;
		check_eq(ask(b, 2, "k", EVENT_INIT, 1).result, ASYNCLAZY_RESULT_PENDING);
		if (i) {
			check_eq(alz_clear(&b->client[0], &n), 0);
			check_eq(n, 2);
		} else {
			check_eq(invalidate(b, 0, "k"), 2);
		}
		check_consistent(b);
		check_eq(publish(b, 1, t, "late", 4, 0), -ESTALE);
		check_eq(b->cache.header->keys, 0);
		check_eq(events(b, 2, &ev, 1), 1);
		check_eq(publish(b, 2, ev.ticket, "new", 3, 0), 0);
		check(reads(b, 0, "k", "new"));
	}
	/* and with nobody who waits it is EMPTY */
	t = refresh(b, 1);
	check_eq(invalidate(b, 0, "k"), 2);
	check_eq(ask(b, 2, "k", 0, 0).result, ASYNCLAZY_RESULT_EMPTY);
	check_eq(fail_with(b, 1, t, ASYNCLAZY_FAIL_TRANSIENT), -ESTALE);
	bench_free(b);
}

TEST(flight_goes_on_when_what_it_makes_anew_is_evicted)
{
	struct alz_answer a;
	struct bench *b;
	u64 *slot, t;
	u32 n = 0;

	b = begin_with((struct alz_geometry) { 0 });
	t = refresh(b, 1);
	slot = slot_of(b, "k");
	alz_os_lock(&b->cache.lock);
	alz_visited_set(&b->cache, slot, false);
	alz_os_unlock(&b->cache.lock);
	while (alz_slot_has_record(word_of(b, "k")))
		check_eq(put(b, n++, 5000), 0);
	check_consistent(b);
	a = ask(b, 2, "k", EVENT, 1);
	check_eq(a.result, ASYNCLAZY_RESULT_PENDING);
	check_eq(look(b, "k").out_flags, 0);
	check_eq(publish(b, 1, t, "new", 3, 0), 0);
	check(reads(b, 2, "k", "new"));
	bench_free(b);
}

TEST(record_that_is_made_anew_keeps_its_mark_when_it_is_copied)
{
	struct bench *b;
	u64 t, before;
	u32 n = 0;

	b = begin_with((struct alz_geometry) { 0 });
	t = refresh(b, 1);
	before = word_of(b, "k");
	while (n < 4000 && (word_of(b, "k") == before || !n)) {
		u64 word = word_of(b, "k");

		if (!alz_slot_has_record(word))
			break;
		check(reads(b, 2, "k", "old"));
		check_eq(put(b, n++, 3000), 0);
	}
	check(word_of(b, "k") & REFRESHING);
	check(word_of(b, "k") != before);
	check_consistent(b);
	check_eq(publish(b, 1, t, "new", 3, 0), 0);
	check(reads(b, 2, "k", "new"));
	bench_free(b);
}

static int expire(struct bench *b, const char *key, u32 *count)
{
	int err = alz_expire(&b->client[0], key, strlen(key), hash_of(key, strlen(key)), count);

	check_consistent(b);
	return err;
}

TEST(expire_makes_a_value_stale_for_as_long_as_it_would_have_been)
{
	u64 long_ago, t;
	struct bench *b;
	u32 count;

	b = begin();
	check_eq(expire(b, "k", &count), 0);
	check_eq(count, 0);
	check_eq(set(b, 0, "k", "old", 3, 0), 0);
	core_os.now += 10;
	check_eq(expire(b, "k", &count), 0);
	check_eq(count, 1);
	check(reads(b, 2, "k", "old"));
	long_ago = core_os.now;
	core_os.now += STALE - 1;
	check(reads(b, 2, "k", "old"));
	/* once more is no more */
	check_eq(expire(b, "k", &count), 0);
	check_eq(count, 1);
	core_os.now++;
	check(!reads(b, 2, "k", "old"));
	core_os.now = long_ago;
	t = ask(b, 1, "k", INIT, 0).ticket;
	check(t);
	check_eq(expire(b, "k", &count), 0);
	check_eq(publish(b, 1, t, "new", 3, 0), 0);
	check(reads(b, 2, "k", "new"));
	/* without times it is stale for ever */
	check_eq(set(b, 0, "n", "never", 5, ASYNCLAZY_NEVER), 0);
	check_eq(expire(b, "n", &count), 0);
	core_os.now += 1ULL << 60;
	check(reads(b, 2, "n", "never"));
	check_eq(ask(b, 2, "n", INIT, 0).result, ASYNCLAZY_RESULT_TICKET);
	bench_free(b);
}

TEST(expire_of_what_cannot_be_stale_invalidates)
{
	struct bench *b;
	u32 count;

	b = begin();
	check_eq(set(b, 0, "k", "v", 1, 100), 0);
	check_eq(expire(b, "k", &count), 0);
	check_eq(count, 1);
	check_eq(ask(b, 1, "k", 0, 0).result, ASYNCLAZY_RESULT_EMPTY);
	check_eq(fail_with(b, 0, take(b, 0, "k"), ASYNCLAZY_FAIL_PERMANENT), 0);
	check_eq(expire(b, "k", &count), 0);
	check_eq(count, 1);
	check_eq(ask(b, 1, "k", 0, 0).result, ASYNCLAZY_RESULT_EMPTY);
	check_eq(set(b, 0, "k", "v", 1, 0), 0);
	core_os.now += FRESH + STALE + DEAD;
	check_eq(expire(b, "k", &count), 0);
	check_eq(count, 0);
	bench_free(b);
}

TEST(expire_without_room_or_a_client_changes_nothing)
{
	struct alz_answer a;
	struct bench *b;
	char name[16];
	u64 nospace;
	u32 count, i;

	b = begin();
	check_eq(set(b, 0, "k", "v", 1, 0), 0);
	for (i = 0; !set(b, 0, name, "v", 1, 0) || i < 2; i++)
		snprintf(name, sizeof(name), "%u", i % 900);
	nospace = b->cache.count.nospace;
	check_eq(expire(b, "k", &count), -ENOSPC);
	check_eq(count, 0);
	check_eq(b->cache.count.nospace, nospace + 1);
	a = ask(b, 1, "k", 0, 0);
	check_eq(a.result, ASYNCLAZY_RESULT_HIT);
	alz_client_die(&b->client[0]);
	check_eq(expire(b, "k", &count), -EOWNERDEAD);
	bench_free(b);
}

TEST(expire_keeps_memfds_and_values_of_any_size)
{
	struct bench *b;
	char *big = calloc(1, 60000);
	int file = 0;
	u32 count;

	b = begin_with((struct alz_geometry) { 0 });
	check_eq(put_blob(b, "m", 100, &file), 0);
	check_eq(expire(b, "m", &count), 0);
	check_eq(count, 1);
	check_eq(b->cache.nr_blobs, 1);
	check_eq(ask(b, 1, "m", 0, 0).result, ASYNCLAZY_RESULT_HIT);
	invalidate(b, 0, "m");
	check_eq(b->cache.nr_blobs, 0);
	memset(big, 'x', 60000);
	check_eq(set(b, 0, "b", big, 60000, ASYNCLAZY_NEVER), 0);
	check_eq(expire(b, "b", &count), 0);
	check(value_is(b, ask(b, 1, "b", 0, 0).offset, big, 60000));
	free(big);
	bench_free(b);
}

static struct bench *racing;

static void overtake(void)
{
	core_os.each_unlock = NULL;
	check_eq(set(racing, 1, "k", "other", 5, 0), 0);
}

static void undo(void)
{
	core_os.each_unlock = NULL;
	check_eq(invalidate(racing, 1, "k"), 1);
}

TEST(expire_of_what_is_replaced_meanwhile)
{
	struct bench *b;
	u32 count;

	b = begin_with((struct alz_geometry) { 0 });
	racing = b;
	check_eq(set(b, 0, "k", "old", 3, 0), 0);
	core_os.each_unlock = overtake;
	check_eq(expire(b, "k", &count), 0);
	check_eq(count, 1);
	check(reads(b, 2, "k", "other"));
	check_eq(set(b, 0, "k", "old", 3, 0), 0);
	core_os.each_unlock = undo;
	check_eq(expire(b, "k", &count), 0);
	check_eq(count, 0);
	check_eq(ask(b, 1, "k", 0, 0).result, ASYNCLAZY_RESULT_EMPTY);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(l14_one_makes_it_anew_and_all_others_read_on),
		cmocka_unit_test(l14_what_was_there_stays_if_it_cannot_be_made_anew),
		cmocka_unit_test(l14_failure_is_not_repeated_before_its_backoff),
		cmocka_unit_test(l14_nobody_reads_past_stale_until),
		cmocka_unit_test(l14_early_only_within_the_time_that_it_took),
		cmocka_unit_test(value_without_time_to_be_stale_is_not_made_anew_before_it_is_gone),
		cmocka_unit_test(refresh_needs_a_turn_and_room_for_a_ticket_or_reads_on),
		cmocka_unit_test(k10_set_invalidate_and_clear_during_a_refresh),
		cmocka_unit_test(flight_goes_on_when_what_it_makes_anew_is_evicted),
		cmocka_unit_test(record_that_is_made_anew_keeps_its_mark_when_it_is_copied),
		cmocka_unit_test(expire_makes_a_value_stale_for_as_long_as_it_would_have_been),
		cmocka_unit_test(expire_of_what_cannot_be_stale_invalidates),
		cmocka_unit_test(expire_without_room_or_a_client_changes_nothing),
		cmocka_unit_test(expire_keeps_memfds_and_values_of_any_size),
		cmocka_unit_test(expire_of_what_is_replaced_meanwhile),
	};

	return RUN_TESTS(tests);
}
