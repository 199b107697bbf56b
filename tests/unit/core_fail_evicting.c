// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Every allocation fails once: of caches of every kind while they are made; and of what an
 * evicting cache does, with words and memfds. Here a call may do without what it did not
 * get, so steps are not compared as in core_fail.c: one that fails says ENOMEM and leaves
 * nothing behind, and succeeds when it is made again.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core_recycle_util.h"

#define INIT	ASYNCLAZY_CLAIM_INIT
#define EVENT	ASYNCLAZY_CLAIM_EVENT
#define SIZE	20000
#define FRESH	1000
#define STALE	500

static const struct alz_geometry kinds[] = {
	{ .flags = ASYNCLAZY_CREATE_STABLE },
	{ .flags = ASYNCLAZY_CREATE_STABLE, .words = 64 },
	{ .flags = 0 },
	{ .flags = 0, .words = 64 },
	{ .flags = 0, .words = 1 << 20, .max_inits = 2, .backoff = 1000, .backoff_max = 2000 },
};

TEST(caches_of_every_kind_are_made_when_there_is_memory)
{
	struct alz_cache *cache = calloc(1, sizeof(*cache));
	unsigned int i, faults;
	int err = -ENOMEM, n;

	assert_non_null(cache);
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct alz_geometry g = kinds[i];

		g.max_keys = 100000;
		g.arena_size = 16 << 16;
		g.segment_size = 1 << 16;
		core_os_reset();
		for (n = 1, faults = 0; n < 100; n++, faults++) {
			memset(cache, 0, sizeof(*cache));
			core_os.fail_nth = n;
			err = alz_cache_init(cache, &g, NULL);
			if (!core_os.failed)
				break;
			core_os.failed = 0;
			check_eq(err, -ENOMEM);
			check_eq(core_os.live, 0);
		}
		core_os.fail_nth = 0;
		check_eq(err, 0);
		/* the table at least, and segments; visited bits; words and their waits */
		check(faults >= 2U + !(g.flags & ASYNCLAZY_CREATE_STABLE) + 2 * !!g.words);
		printf("# flags %x, %llu words: %u faults\n", g.flags,
		       (unsigned long long)g.words, faults);
		alz_cache_fini(cache);
		check_eq(core_os.live, 0);
	}
	free(cache);
}

/*
 * Steps
 */

static struct bench *b;
static u32 held[16];
static struct { unsigned long refused, absorbed; } sum;

/* Allocations, but for segments: those that it got meanwhile are the arena's. */
static long live(void)
{
	return core_os.live - (long)(b->cache.arena.allocated / SEGMENT);
}

/* @call, and again if memory ran out in it. Return: its last answer. */
#define STEP(call) ({						\
	long live_ = live();					\
	int err_;						\
								\
	core_os.failed = 0;					\
	err_ = (call);						\
	if (core_os.failed && err_) {				\
		check_eq(err_, -ENOMEM);			\
		check_eq(live(), live_);			\
		check_consistent(b);				\
		sum.refused++;					\
		err_ = (call);					\
	} else if (core_os.failed) {				\
		sum.absorbed++;					\
	}							\
	faults += core_os.failed;				\
	check_consistent(b);					\
	err_;							\
})

static unsigned long faults;

static struct alz_word_at word(u32 index)
{
	return (struct alz_word_at){ .offset = 4 * index };
}

static int wait_two(u64 cookie)
{
	struct alz_word_at at[] = { word(1), word(2) };
	struct alz_word_wait q = {
		.at = at, .count = 2, .kind = ALZ_WAIT_EVENT, .cookie = cookie,
	};
	u32 changed;

	return alz_word_wait(&b->client[1], &q, &changed);
}

static void words_are_awaited(void)
{
	struct alz_word_at at = word(2);
	struct asynclazy_event e;

	check_eq(STEP(wait_two(1)), 0);
	check_eq(STEP(wait_two(2)), 0);
	check_eq(alz_word_wake(&b->client[0], &at, 1), 1);
	check_eq(events(b, 1, &e, 1), 1);
	check_eq(e.cookie, 1);
	check_eq(alz_cancel(&b->client[1], 2), 0);
}

/* Reclaim takes memory for what it keeps; the cache goes on without. */
static void values_push_out_others(u32 *next)
{
	u32 end = *next + 60;

	for (; *next < end; (*next)++) {
		check_eq(STEP(put(b, *next, SIZE)), 0);
		check(has(b, *next));
		if (*next % 3 == 0)
			visit(b, *next);
		STEP((alz_reclaim(&b->cache), 0));
	}
	check(b->cache.count.evictions);
}

static void a_stale_value_is_made_anew(void)
{
	struct alz_answer a;

	check_eq(STEP(set(b, 0, "s", "old", 3, FRESH)), 0);
	core_os.now += FRESH + STALE / 2;
	/* who finds no memory for that reads on, and the next one does it */
	check_eq(STEP(claim(b, 1, "s", INIT, 0, &a)), 0);
	if (a.result == ASYNCLAZY_RESULT_HIT)
		check_eq(claim(b, 1, "s", INIT, 0, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
	check_eq(STEP(publish(b, 1, a.ticket, "new", 3, 0)), 0);
}

static void memfds_reach_who_waits(int files[2])
{
	struct alz_reservation r = { 0 };
	struct asynclazy_event e;
	struct alz_answer a;
	struct alz_blob *blob;
	int i;

	check_eq(STEP(claim(b, 0, "m", INIT, 0, &a)), 0);
	check_eq(STEP(claim(b, 1, "m", EVENT, 7, &(struct alz_answer){ 0 })), 0);
	for (i = 0; i < 2; i++) {
		core_os.failed = 0;
		blob = blob_new(&files[i], SIZE);
		if (!blob) {
			check_eq(core_os.failed, 1);
			check_eq(files[i], 0);
			faults++;
			sum.refused++;
			blob = blob_new(&files[i], SIZE);
		}
		check_eq(i ? STEP(set_blob(b, 0, "n", blob, 0, &r)) :
			 STEP(publish_blob(b, 0, a.ticket, blob, true, 0, &r)), 0);
		alz_blob_release(&b->cache, blob);
	}
	check_eq(events(b, 1, &e, 1), 1);
	check_eq(e.result, ASYNCLAZY_RESULT_HIT);
	alz_events_release(&b->client[1]);
	check_eq(b->cache.nr_blobs, 2);
	check_eq(invalidate(b, 2, "m"), 1);
	check_eq(invalidate(b, 2, "n"), 1);
	check_eq(files[0] + files[1], 0);
}

/* Return: whether the @nth allocation was there to fail. */
static bool play(long nth)
{
	const struct alz_geometry g = {
		.max_keys = 1000, .arena_size = 8 << 16, .segment_size = 1 << 16, .words = 64,
		.ttl = FRESH, .stale_ttl = STALE,
	};
	int files[2] = { 0 };
	u32 next = 0;

	core_os_reset();
	core_os.now = 1000000;
	b = bench_with(&g);
	b->client[1].held = held;
	b->client[1].nr_held = ARRAY_SIZE(held);
	faults = 0;
	core_os.fail_nth = nth;
	words_are_awaited();
	memfds_reach_who_waits(files);
	a_stale_value_is_made_anew();
	values_push_out_others(&next);
	words_are_awaited();
	memfds_reach_who_waits(files);
	check(faults <= 1);
	bench_free(b);
	return faults;
}

TEST(every_allocation_of_an_evicting_cache_fails_once)
{
	long n = 1;

	check(!play(0));
	while (play(n))
		n++;
	printf("# %lu allocations failed: %lu calls refused, %lu did without\n", n - 1,
	       sum.refused, sum.absorbed);
	printf("# figure: faults injected %ld\n", n - 1);
	check(sum.refused && sum.absorbed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(caches_of_every_kind_are_made_when_there_is_memory),
		cmocka_unit_test(every_allocation_of_an_evicting_cache_fails_once),
	};

	return RUN_TESTS(tests);
}
