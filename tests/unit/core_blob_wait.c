// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The core: memfds and those who wait for them; and when publishing one fails. */
#include <stdio.h>

#include "core_recycle_util.h"

#define SIZE	1000
#define MB	(1ULL << 20)
#define FILES	8

static int files[FILES];	/* who has each */

static struct bench *begin(u64 segments)
{
	core_os_reset();
	memset(files, 0, sizeof(files));
	return bench_recycle(20000, segments);
}

static void end(struct bench *b)
{
	int i;

	bench_free(b);
	for (i = 0; i < FILES; i++)
		check_eq(files[i], 0);
}

/* The owner publishes a memfd: only for the waiters, or kept too. */
static u64 publish_one(struct bench *b, u64 ticket, bool keep)
{
	struct alz_blob *blob = blob_new(&files[0], MB);
	struct alz_reservation r = { 0 };

	check_eq(publish_blob(b, 0, ticket, blob, keep, 0, &r), 0);
	check_eq(r.offset == ASYNCLAZY_NO_RECORD, !keep);
	alz_blob_release(&b->cache, blob);
	check_consistent(b);
	return r.generation;
}

/* ---- not kept, but delivered ------------------------------------------- */

TEST(blocked_call_gets_the_memfd_that_is_not_kept)
{
	struct alz_answer a, z;
	struct alz_waiter w[2];
	struct bench *b;
	u64 t, generation;

	b = begin(64);
	t = take(b, 0, "k");
	check_eq(claim_wait(b, 1, "k", ASYNCLAZY_CLAIM_BLOCK, &w[0], &a), 0);
	check_eq(claim_wait(b, 2, "k", ASYNCLAZY_CLAIM_BLOCK, &w[1], &a), 0);
	generation = publish_one(b, t, false);
	check_eq(b->cache.header->keys, 0);
	check_eq(files[0], 1);
	b->pins[1][0] = 5;
	check_eq(alz_wait_finish(&b->client[1], &w[0], 0, 1, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_HIT);
	check_eq(a.offset, ASYNCLAZY_NO_RECORD);
	check_eq(a.generation, generation);
	check_eq(b->pins[1][0], 5);
	check(a.blob && a.blob->file == &files[0]);
	check_eq(alz_wait_finish(&b->client[2], &w[1], -EINTR, 0, &z), 0);
	check(z.blob == a.blob);
	alz_blob_release(&b->cache, a.blob);
	check_eq(files[0], 1);
	alz_blob_release(&b->cache, z.blob);
	check_eq(files[0], 0);
	check_eq(b->cache.arena.blob_bytes, 0);
	end(b);
}

TEST(event_of_a_memfd_that_is_not_kept_finds_it_until_the_next_read)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	struct bench *b;
	u64 t, generation;

	b = begin(64);
	t = take(b, 0, "k");
	check_eq(claim(b, 1, "k", ASYNCLAZY_CLAIM_EVENT, 1, &a), 0);
	generation = publish_one(b, t, false);
	/* before it is read too: another process may be told of it */
	check(blob_is_found(b, generation));
	check_eq(events(b, 1, &ev, 1), 1);
	check_eq(ev.result, ASYNCLAZY_RESULT_HIT);
	check_eq(ev.offset, ASYNCLAZY_NO_RECORD);
	check_eq(ev.generation, generation);
	check(blob_is_found(b, generation));
	check_consistent(b);
	alz_events_release(&b->client[1]);
	check(!blob_is_found(b, generation));
	check_eq(files[0], 0);
	end(b);
}

TEST(per_wait_fd_finds_the_memfd_until_it_is_closed)
{
	struct alz_answer a;
	struct alz_waiter w;
	struct bench *b;
	u64 t, generation;

	b = begin(64);
	t = take(b, 0, "k");
	check_eq(claim_wait(b, 1, "k", ASYNCLAZY_CLAIM_FD, &w, &a), 0);
	generation = publish_one(b, t, false);
	alz_wait_fd_answer(&b->cache, &w, true, &a);
	check_eq(a.result, ASYNCLAZY_RESULT_HIT);
	check_eq(a.offset, ASYNCLAZY_NO_RECORD);
	check_eq(a.generation, generation);
	check(blob_is_found(b, generation));
	alz_wait_fd_close(&b->cache, &w);
	check(!blob_is_found(b, generation));
	end(b);
}

TEST(memfd_that_is_not_kept_goes_with_the_last_who_waits)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	struct bench *b;
	u64 t, generation;

	b = begin(64);
	t = take(b, 0, "k");
	check_eq(claim(b, 1, "k", ASYNCLAZY_CLAIM_EVENT, 1, &a), 0);
	check_eq(claim(b, 2, "k", ASYNCLAZY_CLAIM_EVENT, 1, &a), 0);
	check_eq(claim(b, 2, "k", ASYNCLAZY_CLAIM_EVENT, 2, &a), 0);
	generation = publish_one(b, t, false);
	/* one reads and dies, one is cancelled, one is never read */
	check_eq(events(b, 1, &ev, 1), 1);
	alz_client_die(&b->client[1]);
	check(blob_is_found(b, generation));
	check_eq(alz_cancel(&b->client[2], 1), 0);
	check(blob_is_found(b, generation));
	check_consistent(b);
	alz_client_die(&b->client[2]);
	check(!blob_is_found(b, generation));
	end(b);
}

TEST(key_whose_memfd_is_not_kept_can_be_claimed_again)
{
	struct alz_answer a;
	struct bench *b;
	u64 t, generation;

	b = begin(64);
	t = take(b, 0, "k");
	check_eq(claim(b, 1, "k", ASYNCLAZY_CLAIM_EVENT, 1, &a), 0);
	generation = publish_one(b, t, false);
	check_eq(claim(b, 2, "k", 0, 0, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_EMPTY);
	t = take(b, 2, "k");
	check_eq(publish(b, 2, t, "v", 1, 0), 0);
	/* the two generations are not mixed up */
	check(blob_is_found(b, generation));
	check_eq(claim(b, 2, "k", 0, 0, &a), 0);
	check(!blob_is_found(b, a.generation));
	end(b);
}

/* ---- kept, and gone before its waiters came for it --------------------- */

TEST(memfd_that_was_kept_stays_for_its_waiters_when_it_is_evicted)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	struct bench *b;
	u64 t, generation;

	b = begin(64);
	t = take(b, 0, "k");
	check_eq(claim(b, 1, "k", ASYNCLAZY_CLAIM_EVENT, 1, &a), 0);
	generation = publish_one(b, t, true);
	check_eq(put_blob(b, "l", 3 * MB, &files[1]), 0);
	check_eq(b->cache.arena.blob_bytes, 3 * MB);
	check_eq(put_blob(b, "m", 3 * MB, &files[2]), 0);
	check_eq(claim(b, 2, "k", 0, 0, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_EMPTY);
	check_eq(files[0], 1);
	check_eq(events(b, 1, &ev, 1), 1);
	check(ev.offset != ASYNCLAZY_NO_RECORD);
	check_eq(ev.generation, generation);
	check(blob_is_found(b, generation));
	check_consistent(b);
	alz_events_release(&b->client[1]);
	check_eq(files[0], 0);
	end(b);
}

TEST(blocked_call_has_a_memfd_that_was_kept_and_is_evicted)
{
	struct alz_answer a;
	struct alz_waiter w;
	struct bench *b;
	u64 t, generation;

	b = begin(64);
	t = take(b, 0, "k");
	check_eq(claim_wait(b, 1, "k", ASYNCLAZY_CLAIM_BLOCK, &w, &a), 0);
	generation = publish_one(b, t, true);
	check_eq(alz_wait_finish(&b->client[1], &w, 0, 1, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_HIT);
	check_eq(a.generation, generation);
	check(a.offset != ASYNCLAZY_NO_RECORD);
	check_eq(put_blob(b, "l", 3 * MB, &files[1]), 0);
	if (check(a.blob && a.blob->file == &files[0])) {
		check_eq(files[0], 1);
		alz_blob_release(&b->cache, a.blob);
	}
	check(!blob_is_found(b, generation));
	check_eq(files[0], 0);
	end(b);
}

TEST(set_of_a_memfd_reaches_those_who_wait)
{
	struct alz_answer a;
	struct alz_waiter w;
	struct bench *b;

	b = begin(64);
	take(b, 0, "k");
	check_eq(claim_wait(b, 1, "k", ASYNCLAZY_CLAIM_BLOCK, &w, &a), 0);
	check_eq(put_blob(b, "k", MB, &files[0]), 0);
	check_eq(alz_wait_finish(&b->client[1], &w, 0, 3, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_HIT);
	check_eq(b->pins[1][2], pin_of(a.offset));
	check(blob_is_found(b, a.generation));
	if (a.blob)
		alz_blob_release(&b->cache, a.blob);
	end(b);
}

/* ---- it fails ---------------------------------------------------------- */

static struct bench *raced;

static void overtake(void)
{
	check_eq(set(raced, 2, "k", "v", 1, 0), 0);
}

TEST(late_memfd_changes_nothing)
{
	struct alz_reservation r = { 0 };
	struct alz_blob *blob;
	u64 t, stale;

	raced = begin(64);
	t = take(raced, 0, "k");
	invalidate(raced, 1, "k");
	check_eq(put_blob(raced, "l", 3 * MB, &files[1]), 0);
	blob = blob_new(&files[0], 3 * MB);
	stale = raced->cache.count.stale;
	/* the ticket was stale before: nothing goes to make room for it */
	check_eq(publish_blob(raced, 0, t, blob, true, 0, &r), -ESTALE);
	check_eq(files[1], 1);
	check_eq(publish_blob(raced, 0, t, blob, false, 0, &r), -ESTALE);
	check_eq(publish_blob(raced, 1, UINT64_MAX, blob, true, 0, &r), -ENOENT);
	check_eq(raced->cache.count.stale, stale + 2);
	check_consistent(raced);
	/* it became stale while room was made */
	check_eq(invalidate(raced, 0, "l"), 1);
	t = take(raced, 0, "k");
	core_os.unlocked = overtake;
	check_eq(publish_blob(raced, 0, t, blob, true, 0, &r), -ESTALE);
	check_eq(raced->cache.arena.blob_bytes, 0);
	check_consistent(raced);
	check_eq(files[0], 1);
	/* it is still the caller's, to try again */
	check_eq(invalidate(raced, 0, "k"), 1);
	t = take(raced, 0, "k");
	check_eq(publish_blob(raced, 0, t, blob, true, 0, &r), 0);
	alz_blob_release(&raced->cache, blob);
	check_eq(files[0], 1);
	end(raced);
}

static int unlocks;			/* until it happens; 0: it has */
static void (*happens)(void);

static void count_unlock(void)
{
	if (unlocks && !--unlocks)
		happens();
}

static void invalidate_it(void)
{
	invalidate(raced, 2, "k");
}

static void die(void)
{
	alz_client_die(&raced->client[0]);
}

/* At each moment where others come in. Return: whether there was such a moment. */
static bool raced_at(int n, void (*what)(void), bool publish, u64 size)
{
	struct alz_reservation r = { 0 };
	struct alz_blob *blob;
	bool there;
	u64 t = 0;
	int err;

	raced = begin(64);
	if (publish)
		t = take(raced, 0, "k");
	blob = blob_new(&files[0], size);
	happens = what;
	unlocks = n;
	core_os.each_unlock = count_unlock;
	err = publish ? publish_blob(raced, 0, t, blob, true, 0, &r) :
		set_blob(raced, 0, "k", blob, 0, &r);
	core_os.each_unlock = NULL;
	there = !unlocks;
	if (!there)
		check_eq(err, 0);
	else if (err)
		check(err == (what == die ? -EOWNERDEAD : -ESTALE) ||
		      (publish && (err == -ESTALE || err == -ENOENT)));
	check_eq(files[0], 1);
	alz_blob_release(&raced->cache, blob);
	check_consistent(raced);
	check_eq(raced->cache.arena.blob_bytes, files[0] ? size : 0);
	end(raced);
	return there;
}

TEST(memfd_that_others_overtake_at_any_moment_leaves_nothing_reserved)
{
	int n;

	for (n = 1; raced_at(n, invalidate_it, true, MB); n++)
		;
	check(n > 3);
	for (n = 1; raced_at(n, die, true, MB); n++)
		;
	check(n > 3);
	for (n = 1; raced_at(n, die, false, MB); n++)
		;
	check(n > 3);
	/* and one that nobody will keep */
	for (n = 1; raced_at(n, invalidate_it, true, 60 * SEGMENT); n++)
		;
	check(n > 1);
}

TEST(dying_publisher_of_a_memfd_leaves_nothing_reserved)
{
	struct alz_reservation r = { 0 };
	struct alz_blob *blob;
	struct bench *b;
	u64 t;

	b = begin(64);
	t = take(b, 0, "k");
	blob = blob_new(&files[0], MB);
	core_os.dying = true;
	check_eq(publish_blob(b, 0, t, blob, true, 0, &r), -EINTR);
	check_eq(set_blob(b, 0, "l", blob, 0, &r), -EINTR);
	core_os.dying = false;
	check_eq(b->cache.arena.blob_bytes, 0);
	check_consistent(b);
	alz_client_die(&b->client[1]);
	check_eq(set_blob(b, 1, "l", blob, 0, &r), -EOWNERDEAD);
	check_eq(b->cache.arena.blob_bytes, 0);
	check_eq(publish_blob(b, 0, t, blob, true, 0, &r), 0);
	alz_blob_release(&b->cache, blob);
	end(b);
}

TEST(each_allocation_may_fail_and_the_next_try_succeeds)
{
	struct alz_reservation r = { 0 };
	struct alz_blob *blob;
	struct bench *b;
	int n, faults = 0;
	u64 t;

	for (n = 1; n < 10; n++) {
		int err;

		b = begin(64);
		t = take(b, 0, "k");
		core_os.fail_nth = n;
		core_os.failed = 0;
		blob = blob_new(&files[0], MB);
		if (!blob) {
			check_eq(files[0], 0);
			blob = blob_new(&files[0], MB);
		}
		err = publish_blob(b, 0, t, blob, true, 0, &r);
		if (err) {
			check_eq(err, -ENOMEM);
			check_eq(b->cache.arena.blob_bytes, 0);
			check_consistent(b);
			err = publish_blob(b, 0, t, blob, true, 0, &r);
		}
		check_eq(err, 0);
		check(r.offset != ASYNCLAZY_NO_RECORD);
		alz_blob_release(&b->cache, blob);
		blob = blob_new(&files[1], MB);
		if (!blob)
			blob = blob_new(&files[1], MB);
		err = set_blob(b, 0, "l", blob, 0, &r);
		check_eq(err, 0);
		alz_blob_release(&b->cache, blob);
		faults += core_os.failed;
		check_consistent(b);
		check_eq(b->cache.nr_blobs, 2);
		core_os.fail_nth = 0;
		end(b);
	}
	check_eq(faults, 3);
}

TEST(record_that_finds_no_room_leaves_the_memfd_to_the_waiters)
{
	static struct alz_reservation r[8 * SEGMENT / 64];
	struct alz_reservation p = { 0 };
	struct alz_blob *blob;
	struct bench *b;
	u64 t, n = 0;

	b = begin(8);
	t = take(b, 0, "k");
	/* others write everywhere, to the last granule */
	while (!alz_set_begin(&b->client[0], "x", 1, hash_of("x", 1), 0, NULL, &r[n]))
		n++;
	b->open = n;
	blob = blob_new(&files[0], 64);
	check_eq(publish_blob(b, 0, t, blob, true, 0, &p), 0);
	check_eq(p.offset, ASYNCLAZY_NO_RECORD);
	check_eq(b->cache.arena.blob_bytes, 0);
	check_consistent(b);
	/* nobody waits for what is set */
	check_eq(set_blob(b, 0, "l", blob, 0, &p), -ENOSPC);
	check_eq(b->cache.arena.blob_bytes, 0);
	/* the ticket goes before it is known that there is no room */
	raced = b;
	t = take(b, 0, "k");
	core_os.unlocked = invalidate_it;
	check_eq(publish_blob(b, 0, t, blob, true, 0, &p), -ESTALE);
	check(!core_os.unlocked);
	check_eq(b->cache.arena.blob_bytes, 0);
	check_consistent(b);
	alz_blob_release(&b->cache, blob);
	check_eq(files[0], 0);
	while (n--)
		alz_publish_abort(&r[n]);
	b->open = 0;
	end(b);
}

TEST(memfd_without_a_slot_leaves_nothing_reserved)
{
	struct bench *b;
	char name[16];
	int i = 0;

	core_os_reset();
	memset(files, 0, sizeof(files));
	b = bench_new(1, 64 * SEGMENT);
	do
		snprintf(name, sizeof(name), "%d", i++);
	while (!set(b, 0, name, "v", 1, 0));
	check_eq(put_blob(b, name, MB, &files[0]), -ENOSPC);
	check_eq(b->cache.arena.blob_bytes, 0);
	check_eq(files[0], 0);
	check_consistent(b);
	end(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocked_call_gets_the_memfd_that_is_not_kept),
		cmocka_unit_test(event_of_a_memfd_that_is_not_kept_finds_it_until_the_next_read),
		cmocka_unit_test(per_wait_fd_finds_the_memfd_until_it_is_closed),
		cmocka_unit_test(memfd_that_is_not_kept_goes_with_the_last_who_waits),
		cmocka_unit_test(key_whose_memfd_is_not_kept_can_be_claimed_again),
		cmocka_unit_test(memfd_that_was_kept_stays_for_its_waiters_when_it_is_evicted),
		cmocka_unit_test(blocked_call_has_a_memfd_that_was_kept_and_is_evicted),
		cmocka_unit_test(set_of_a_memfd_reaches_those_who_wait),
		cmocka_unit_test(late_memfd_changes_nothing),
		cmocka_unit_test(memfd_that_others_overtake_at_any_moment_leaves_nothing_reserved),
		cmocka_unit_test(dying_publisher_of_a_memfd_leaves_nothing_reserved),
		cmocka_unit_test(each_allocation_may_fail_and_the_next_try_succeeds),
		cmocka_unit_test(record_that_finds_no_room_leaves_the_memfd_to_the_waiters),
		cmocka_unit_test(memfd_without_a_slot_leaves_nothing_reserved),
	};

	return RUN_TESTS(tests);
}
