// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Values that are evicted as soon as they are published: whoever waited for one has
 * it all the same (I5), whatever the form of the wait. Row L13. The same program on
 * both backends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

#define SIZE	500	/* bytes of most values here */
#define LINES	63	/* threads that have pins */

static void publish_key(const struct alazy_ticket *t, uint64_t what)
{
	char value[SIZE];

	pattern_fill(value, sizeof(value), what);
	check_eq(alazy_publish(t, value, sizeof(value), 0), 0);
}

struct heard {
	atomic_uint calls;
	struct alazy_ref ref;
};

static void on_value(int err, struct alazy_ref *ref, void *ctx)
{
	struct heard *h = ctx;

	if (check_eq(err, 0)) {
		check(ref_is_pattern(ref, SIZE, 1));
		h->ref = *ref;
		memset(ref, 0, sizeof(*ref));
	}
	atomic_fetch_add(&h->calls, 1);
}

static void on_claimed(struct alazy_answer *answer, void *ctx)
{
	if (check_eq(answer->kind, ALAZY_ANSWER_HIT))
		on_value(0, &answer->ref, ctx);
	else
		on_value(-EIO, NULL, ctx);
}

TEST(l13_events_bring_values_that_were_evicted_meanwhile)
{
	enum { WAITS = 20 };
	struct alazy_cache *cache = open_small(NULL, 8);
	struct heard h[WAITS] = { 0 };
	struct alazy_answer a, fd[3];
	struct alazy_ticket t = take(cache, "k");
	unsigned int i;

	for (i = 0; i < WAITS; i += 2) {
		check_eq(alazy_cache_get_async(cache, "k", 1, NULL, on_value, &h[i], NULL),
			 0);
		check_eq(alazy_claim(cache, "k", 1, ALAZY_CLAIM_EVENT, 0, on_claimed,
				     &h[i + 1], &a), 0);
	}
	for (i = 0; i < 3; i++)
		check_eq(claim(cache, "k", ALAZY_CLAIM_FD, NULL, &fd[i]),
			 ALAZY_ANSWER_PENDING);
	publish_key(&t, 1);
	flood_cache(cache);
	check_eq(alazy_cache_peek(cache, "k", 1, NULL, NULL), ALAZY_EMPTY);
	drive(cache, &h[WAITS - 1].calls, 1);
	flood_cache(cache);
	for (i = 0; i < WAITS; i++) {
		check_eq(atomic_load(&h[i].calls), 1);
		put_pattern(&h[i].ref, SIZE, 1);
	}
	/* a descriptor's stays until it is closed, however often it is read */
	for (i = 0; i < 9; i++) {
		flood_cache(cache);
		check_eq(alazy_wait_read(cache, fd[i % 3].fd, &a), 0);
		check_eq(a.kind, ALAZY_ANSWER_HIT);
		put_pattern(&a.ref, SIZE, 1);
	}
	for (i = 0; i < 3; i++)
		close(fd[i].fd);
	check_eq(alazy_dispatch(cache), 0);
	check_no_pins(cache);
	alazy_cache_close(cache);
}

struct blocked {
	struct alazy_cache *cache;
	size_t size;			/* of the value */
};

static void wait_for_value(unsigned int me, void *arg)
{
	struct blocked *b = arg;
	struct alazy_answer a = { 0 };
	struct alazy_ref ref = { 0 };

	if (me % 2) {
		check_eq(alazy_cache_get(b->cache, "k", 1, NULL, NULL, &ref), 0);
	} else {
		check_eq(alazy_claim(b->cache, "k", 1, ALAZY_CLAIM_BLOCK, 0, NULL, NULL,
				     &a), 0);
		check_eq(a.kind, ALAZY_ANSWER_HIT);
		ref = a.ref;
	}
	if (ref.data)
		put_pattern(&ref, b->size, 1);
}

struct flooder {
	struct alazy_cache *cache;
	struct alazy_ticket ticket;
	unsigned int waits;
};

static void *publish_and_flood(void *arg)
{
	struct flooder *f = arg;

	await_waits(f->cache, f->waits);
	publish_key(&f->ticket, 1);
	flood_cache(f->cache);
	return NULL;
}

static void wait_while_it_is_flooded(struct alazy_cache *cache)
{
	unsigned int rounds = scaled(200, 20), i;
	struct blocked b = { cache, SIZE };
	pthread_t thread;

	for (i = 0; i < rounds; i++) {
		struct flooder f = { cache, take(cache, "k"), 8 };

		thread = start_thread(publish_and_flood, &f);
		run_threads(8, wait_for_value, &b);
		join_thread(thread);
		alazy_cache_invalidate(cache, "k", 1);
	}
}

TEST(l13_blocked_threads_get_a_value_that_is_evicted_at_once)
{
	struct alazy_cache *cache = open_small(NULL, 8);

	wait_while_it_is_flooded(cache);
	check_no_pins(cache);
	alazy_cache_close(cache);
}

struct crowd {
	struct alazy_cache *cache;
	struct latch took, go;
};

static void *keep_a_line(void *arg)
{
	struct crowd *c = arg;
	struct alazy_ref ref;

	get_value(c->cache, "line", &ref);
	latch_add(&c->took);
	latch_wait(&c->go, 1);
	put_pattern(&ref, 4, 7);
	return NULL;
}

TEST(l13_blocked_threads_without_a_line_get_it_too)
{
	struct crowd c = {
		.cache = open_small(NULL, 8), .took = LATCH_INIT, .go = LATCH_INIT,
	};
	pthread_t threads[LINES];
	unsigned int i;
	char value[4];

	pattern_fill(value, sizeof(value), 7);
	check_eq(alazy_cache_set(c.cache, "line", 4, value, sizeof(value), 0), 0);
	for (i = 0; i < LINES; i++)
		threads[i] = start_thread(keep_a_line, &c);
	latch_wait(&c.took, LINES);
	wait_while_it_is_flooded(c.cache);
	latch_add(&c.go);
	for (i = 0; i < LINES; i++)
		join_thread(threads[i]);
	check_no_pins(c.cache);
	alazy_cache_close(c.cache);
}

/* ---- the same of memfds, which are found by their generation ------------- */

#define FILE_SIZE	(1200 * 1024)	/* two of them are more than 2 MiB */

static void *publish_file_and_evict_it(void *arg)
{
	struct flooder *f = arg;
	int fd = new_memfd(FILE_SIZE, 1);
	int other = new_memfd(FILE_SIZE, 2);
	unsigned int i;

	await_waits(f->cache, f->waits);
	check_eq(alazy_publish_fd(&f->ticket, fd, NULL), 0);
	for (i = 0; i < 4; i++)
		check_eq(alazy_cache_set_fd(f->cache, "other", 5, other, NULL), 0);
	check_eq(alazy_cache_peek(f->cache, "k", 1, NULL, NULL), ALAZY_EMPTY);
	close(fd);
	close(other);
	return NULL;
}

TEST(l16_blocked_threads_get_a_memfd_that_is_evicted_at_once)
{
	struct alazy_cache *cache = open_small(NULL, 32);
	unsigned int rounds = scaled(1000, 50), i;
	struct blocked b = { cache, FILE_SIZE };
	pthread_t thread;

	for (i = 0; i < rounds; i++) {
		struct flooder f = { cache, take(cache, "k"), 8 };

		thread = start_thread(publish_file_and_evict_it, &f);
		run_threads(8, wait_for_value, &b);
		join_thread(thread);
	}
	check_no_pins(cache);
	alazy_cache_close(cache);
	check_eq(memfd_mappings(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(l13_events_bring_values_that_were_evicted_meanwhile),
		cmocka_unit_test(l13_blocked_threads_get_a_value_that_is_evicted_at_once),
		cmocka_unit_test(l13_blocked_threads_without_a_line_get_it_too),
		cmocka_unit_test(l16_blocked_threads_get_a_memfd_that_is_evicted_at_once),
	};

	return RUN_TESTS(tests);
}
