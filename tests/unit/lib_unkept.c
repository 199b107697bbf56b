// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Values that are larger than the arena takes: put into a memfd, or delivered to
 * those who wait and not kept. Row L16. The same program on both backends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

struct large {
	struct alazy_cache *cache;
	size_t size;
	uint64_t what;
	bool as_fd;
	atomic_uint inits, dones;
	int keep;		/* what on_large() is to keep of its refs */
	struct alazy_ref ref;
};

static int make_large(const struct alazy_ticket *ticket, const void *key, size_t key_size,
		      void *ctx)
{
	struct large *l = ctx;
	void *value;
	int err;

	(void)key;
	(void)key_size;
	atomic_fetch_add(&l->inits, 1);
	if (l->as_fd) {
		publish_memfd(ticket, l->size, l->what);
		return 0;
	}
	value = malloc(l->size);
	pattern_fill(value, l->size, l->what);
	err = alazy_publish(ticket, value, l->size, 0);
	free(value);
	return err;
}

static void on_large(int err, struct alazy_ref *ref, void *ctx)
{
	struct large *l = ctx;

	if (check_eq(err, 0)) {
		check(ref_is_pattern(ref, l->size, l->what));
		if (l->keep) {
			l->ref = *ref;
			memset(ref, 0, sizeof(*ref));
		}
	}
	atomic_fetch_add(&l->dones, 1);
}

TEST_EVICT(l16_value_larger_than_a_segment_goes_into_a_memfd,
	   "an append-only cache says EFBIG")
{
	struct large l = { .cache = open_for_large(NULL), .size = LARGE, .what = 5 };
	struct alazy_ref ref;
	char *value = malloc(LARGE);

	assert_non_null(value);
	check_eq(alazy_cache_get(l.cache, "k", 1, make_large, &l, &ref), 0);
	put_pattern(&ref, LARGE, 5);
	check_eq(alazy_cache_get(l.cache, "k", 1, make_large, &l, &ref), 0);
	put_pattern(&ref, LARGE, 5);
	check_eq(atomic_load(&l.inits), 1);
	pattern_fill(value, LARGE, 6);
	check_eq(alazy_cache_set(l.cache, "s", 1, value, LARGE, 0), 0);
	get_value(l.cache, "s", &ref);
	put_pattern(&ref, LARGE, 6);
	check_eq(stats_of(l.cache).memfds, 2);
	check_eq(stats_of(l.cache).unkept, 0);
	/* a TTL is for these too */
	check_eq(alazy_cache_set(l.cache, "t", 1, value, LARGE, 1), 0);
	check_eq(alazy_cache_peek(l.cache, "t", 1, NULL, NULL), ALAZY_EMPTY);
	free(value);
	alazy_cache_close(l.cache);
}

/* ---- one that is delivered and not kept ----------------------------------- */


static void *get_in_thread(void *arg)
{
	struct alazy_cache *cache = arg;
	struct alazy_ref ref;

	get_value(cache, "k", &ref);
	put_pattern(&ref, HUGE, 9);
	return NULL;
}

static int get_in_child(void *arg)
{
	struct alazy_cache *cache = open_named(arg, ALAZY_CACHE_EXISTING);

	get_in_thread(cache);
	alazy_cache_close(cache);
	return 0;
}

static void on_large_answer(struct alazy_answer *a, void *ctx)
{
	on_large(a->kind == ALAZY_ANSWER_HIT ? 0 : -EIO, &a->ref, ctx);
}

/* The value of the ticket in hand, to everyone who waits in whatever form. */
static void deliver(struct large *l, const char *name)
{
	struct alazy_ticket t = take(l->cache, "k");
	struct large heard[2] = {
		{ .size = HUGE, .what = 9, .keep = 1 }, { .size = HUGE, .what = 9 },
	};
	unsigned int waits = 3, i;
	struct alazy_answer a, fd;
	pthread_t threads[3];
	pid_t pids[2];

	check_eq(alazy_cache_get_async(l->cache, "k", 1, NULL, on_large, &heard[0], NULL),
		 0);
	check_eq(alazy_claim(l->cache, "k", 1, ALAZY_CLAIM_EVENT, 0, on_large_answer,
			     &heard[1], &a), 0);
	check_eq(claim(l->cache, "k", ALAZY_CLAIM_FD, NULL, &fd), ALAZY_ANSWER_PENDING);
	for (i = 0; i < 3; i++)
		threads[i] = start_thread(get_in_thread, l->cache);
	waits += 3;
	for (i = 0; on_kernel() && i < 2; i++, waits++)
		pids[i] = start_child(get_in_child, (void *)name);
	await_waits(l->cache, waits);
	make_large(&t, "k", 1, l);
	for (i = 0; i < 3; i++)
		join_thread(threads[i]);
	for (i = 0; on_kernel() && i < 2; i++)
		check_eq(reap(pids[i]), 0);
	drive(l->cache, &heard[0].dones, 1);
	drive(l->cache, &heard[1].dones, 1);
	check_eq(alazy_wait_read(l->cache, fd.fd, &a), 0);
	put_pattern(&a.ref, HUGE, 9);
	close(fd.fd);
	put_pattern(&heard[0].ref, HUGE, 9);
	check_eq(alazy_dispatch(l->cache), 0);
	check_eq(memfd_mappings(), 0);
}

TEST_EVICT(l16_value_that_does_not_fit_is_delivered_to_all_and_not_kept,
	   "an append-only cache says EFBIG")
{
	const char *name = unique_name("unkept");
	struct large l = { .cache = open_for_large(name), .size = HUGE, .what = 9 };
	struct alazy_ref ref;

	deliver(&l, name);
	l.as_fd = true;
	deliver(&l, name);
	check_eq(stats_of(l.cache).unkept, 2);
	check_eq(alazy_cache_peek(l.cache, "k", 1, NULL, NULL), ALAZY_EMPTY);
	check_eq(stats_of(l.cache).memfds, 0);
	check_eq(stats_of(l.cache).memfd_bytes, 0);
	/* who makes it has it too, and runs again for the next */
	check_eq(alazy_cache_get(l.cache, "k", 1, make_large, &l, &ref), 0);
	put_pattern(&ref, HUGE, 9);
	l.as_fd = false;
	check_eq(alazy_cache_get(l.cache, "k", 1, make_large, &l, &ref), 0);
	put_pattern(&ref, HUGE, 9);
	check_eq(atomic_load(&l.inits), 4);
	check_eq(memfd_mappings(), 0);
	alazy_cache_close(l.cache);
	check_eq(alazy_cache_unlink(name, ALAZY_BACKEND_AUTO), 0);
}

TEST(l16_asynchronous_init_leaves_no_mapping_behind)
{
	struct large l = { .cache = open_for_large(NULL), .size = LARGE, .what = 3 };

	l.as_fd = true;
	check(alazy_cache_get_async(l.cache, "k", 1, make_large, on_large, &l, NULL) >= 0);
	drive(l.cache, &l.dones, 1);
	check_eq(alazy_cache_invalidate(l.cache, "k", 1), 1);
	/* the next that is put takes those along which nobody has */
	l.dones = 0;
	check(alazy_cache_get_async(l.cache, "k", 1, make_large, on_large, &l, NULL) >= 0);
	drive(l.cache, &l.dones, 1);
	check_eq(memfd_mappings(), 1);
	if (!on_stable()) {
		check_eq(alazy_cache_invalidate(l.cache, "k", 1), 1);
		l.size = HUGE;
		l.dones = 0;
		check(alazy_cache_get_async(l.cache, "k", 1, make_large, on_large, &l,
					    NULL) >= 0);
		drive(l.cache, &l.dones, 1);
		check_eq(memfd_mappings(), 0);
	}
	alazy_cache_close(l.cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(l16_value_larger_than_a_segment_goes_into_a_memfd),
		cmocka_unit_test(l16_value_that_does_not_fit_is_delivered_to_all_and_not_kept),
		cmocka_unit_test(l16_asynchronous_init_leaves_no_mapping_behind),
	};

	return RUN_TESTS(tests);
}
