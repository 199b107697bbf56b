// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Forks of a process that has refs into an evicting cache: the parent's stay, and
 * the child's are its own. Row L13. The same program on both backends; where they
 * differ by design, the test says so.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

#define SIZE	500	/* bytes of most values here */
#define REFS	12	/* more than a thread has pins for: the rest are copies */
#define PINS	7

static struct alazy_cache *cache;	/* of the running test */
static const char *name;
static struct alazy_ref refs[REFS], large;
static struct shared {
	atomic_uint step;
} *shared;

static void take_ref(uint64_t key, struct alazy_ref *ref)
{
	memset(ref, 0, sizeof(*ref));
	check_eq(alazy_cache_get(cache, &key, sizeof(key), NULL, NULL, ref), 0);
	check(ref_is_pattern(ref, SIZE, key));
}

static void begin(void)
{
	uint64_t i;

	name = unique_name("evictfork");
	cache = open_small(name, 16);
	shared = share_alloc(sizeof(*shared));
	set_memfd(cache, "large", LARGE, 99);
	get_value(cache, "large", &large);
	for (i = 0; i < REFS; i++) {
		check_eq(set_pattern(cache, i, SIZE, i), 0);
		take_ref(i, &refs[i]);
	}
}

static void check_refs(void)
{
	uint64_t i;

	for (i = 0; i < REFS; i++)
		check(ref_is_pattern(&refs[i], SIZE, i));
	check(ref_is_pattern(&large, LARGE, 99));
}

static void put_refs(void)
{
	unsigned int i;

	check_refs();
	for (i = 0; i < REFS; i++)
		alazy_ref_put(&refs[i]);
	alazy_ref_put(&large);
}

/* The parent's refs are as they were, and still hold what they held. */
static void end(void)
{
	flood_cache(cache);
	check_eq(stats_of(cache).pins_now, PINS);
	check_eq(stats_of(cache).clients, 1);
	put_refs();
	check_no_pins(cache);
	alazy_cache_close(cache);
	check_eq(alazy_cache_unlink(name, ALAZY_BACKEND_AUTO), 0);
	share_free(shared, sizeof(*shared));
}

static void step_to(unsigned int n)
{
	atomic_store(&shared->step, n);
}

static void await_step(unsigned int n)
{
	while (atomic_load(&shared->step) < n)
		sched_yield();
}

/* Hits, misses, refs and evictions of this process's own. */
static void use_cache(uint64_t base)
{
	uint64_t reclaims = stats_of(cache).reclaims, i;
	struct alazy_ref own[REFS];

	for (i = 0; i < REFS; i++) {
		check_eq(set_pattern(cache, base + i, SIZE, base + i), 0);
		take_ref(base + i, &own[i]);
	}
	flood_cache(cache);
	for (i = 0; i < REFS; i++)
		put_pattern(&own[i], SIZE, base + i);
	set_memfd(cache, "own", LARGE, base);
	get_value(cache, "own", &own[0]);
	put_pattern(&own[0], LARGE, base);
	check(stats_of(cache).reclaims >= reclaims + 16);
}

static int put_before_any_call(void *arg)
{
	(void)arg;
	put_refs();
	use_cache(1000);
	alazy_cache_close(cache);
	return 0;
}

TEST(l13_child_puts_inherited_refs_before_its_first_call)
{
	begin();
	check_eq(reap(start_child(put_before_any_call, NULL)), 0);
	check_eq(reap(start_child(put_before_any_call, NULL)), 0);
	check_refs();
	end();
}

static int put_after_calls(void *arg)
{
	(void)arg;
	use_cache(1000);
	put_refs();
	use_cache(2000);
	/* all that is held here now is what other processes hold */
	flood_cache(cache);
	check_eq(stats_of(cache).pins_now, on_kernel() ? PINS : 0);
	alazy_cache_close(cache);
	return 0;
}

TEST(l13_child_puts_inherited_refs_after_calls_of_its_own)
{
	begin();
	check_eq(reap(start_child(put_after_calls, NULL)), 0);
	check_refs();
	end();
}

static int hit_first(void *arg)
{
	struct alazy_ref own[2];
	uint64_t i;

	(void)arg;
	/* a hit is the first thing that it does; then it lets go of what it inherited */
	for (i = 0; i < 2; i++)
		take_ref(i, &own[i]);
	put_refs();
	flood_cache(cache);
	for (i = 0; i < 2; i++)
		put_pattern(&own[i], SIZE, i);
	return 0;
}

TEST(l13_childs_first_hit_is_pinned_for_itself)
{
	begin();
	check_eq(reap(start_child(hit_first, NULL)), 0);
	check_refs();
	end();
}

static int exit_at_once(void *arg)
{
	(void)arg;
	return 0;
}

static int grandparent(void *arg)
{
	(void)arg;
	check_eq(reap(start_child(put_before_any_call, NULL)), 0);
	use_cache(3000);
	check_eq(reap(start_child(put_after_calls, NULL)), 0);
	put_refs();
	return 0;
}

TEST(l13_children_that_do_nothing_and_grandchildren)
{
	begin();
	check_eq(reap(start_child(exit_at_once, NULL)), 0);
	check_eq(reap(start_child(grandparent, NULL)), 0);
	check_refs();
	end();
}

static int hold_while_parent_floods(void *arg)
{
	struct alazy_ref own[REFS];
	uint64_t i;

	(void)arg;
	put_refs();
	for (i = 0; i < REFS; i++) {
		check_eq(set_pattern(cache, 500 + i, SIZE, 500 + i), 0);
		take_ref(500 + i, &own[i]);
	}
	step_to(1);
	await_step(2);
	for (i = 0; i < REFS; i++)
		check(ref_is_pattern(&own[i], SIZE, 500 + i));
	step_to(3);
	/* until it is killed */
	pause();
	return 1;
}

TEST(l13_childs_refs_hold_against_the_parent_until_it_is_killed)
{
	pid_t pid;

	begin();
	pid = start_child(hold_while_parent_floods, NULL);
	await_step(1);
	flood_cache(cache);
	/* of one cache, or of a copy of its own */
	check_eq(stats_of(cache).pins_now, on_kernel() ? 2 * PINS : PINS);
	step_to(2);
	await_step(3);
	kill(pid, SIGKILL);
	check_eq(reap(pid), 128 + SIGKILL);
	check_refs();
	end();
}

/* ---- while other threads read -------------------------------------------- */

static atomic_bool stop;

static void *read_on(void *arg)
{
	struct alazy_ref ref;
	uint64_t key = 0, n;

	(void)arg;
	while (!atomic_load(&stop)) {
		key = key * 5 + 1;
		n = 100 + key % 1000;
		if (alazy_cache_peek(cache, &n, sizeof(n), &ref, NULL) == ALAZY_FILLED)
			put_pattern(&ref, SIZE, n);
		else
			check_eq(set_pattern(cache, n, SIZE, n), 0);
	}
	return NULL;
}

static int use_and_put(void *arg)
{
	(void)arg;
	use_cache(5000);
	put_refs();
	alazy_cache_close(cache);
	return 0;
}

TEST(l13_forks_while_other_threads_read)
{
	unsigned int n = scaled(300, 20), i;
	pthread_t threads[3];

	begin();
	atomic_store(&stop, false);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		threads[i] = start_thread(read_on, NULL);
	for (i = 0; i < n; i++)
		if (!check_eq(reap(start_child(use_and_put, NULL)), 0))
			break;
	atomic_store(&stop, true);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		join_thread(threads[i]);
	check_refs();
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(l13_child_puts_inherited_refs_before_its_first_call),
		cmocka_unit_test(l13_child_puts_inherited_refs_after_calls_of_its_own),
		cmocka_unit_test(l13_childs_first_hit_is_pinned_for_itself),
		cmocka_unit_test(l13_children_that_do_nothing_and_grandchildren),
		cmocka_unit_test(l13_childs_refs_hold_against_the_parent_until_it_is_killed),
		cmocka_unit_test(l13_forks_while_other_threads_read),
	};

	return RUN_TESTS(tests);
}
