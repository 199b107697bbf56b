// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Fork: what a child has of its parent's caches, and what it leaves alone. The
 * same program on both backends; where they differ by design, the test says so.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

static struct alazy_cache *cache;	/* of the running test */
static struct alazy_ticket ticket;
static struct alazy_ref ref;
static struct alazy *lazy;
static struct get parents;
static int up[2], down[2];		/* pipes: child to parent, parent to child */

static void open_pipes(void)
{
	check_eq(pipe(up), 0);
	check_eq(pipe(down), 0);
}

static void close_pipes(void)
{
	close(up[0]);
	close(up[1]);
	close(down[0]);
	close(down[1]);
}

static void tell(int fd)
{
	check_eq(write(fd, "", 1), 1);
}

static void await(int fd)
{
	char c;

	check_eq(read(fd, &c, 1), 1);
}

static void set_int(const char *key, int value)
{
	check_eq(alazy_cache_set(cache, key, strlen(key), &value, sizeof(value),
				 0), 0);
}

static int peek_state(const char *key)
{
	return alazy_cache_peek(cache, key, strlen(key), NULL, NULL);
}

/* ---- reading ----------------------------------------------------------- */

static int read_inherited(void *arg)
{
	struct get get = { 0 };
	struct alazy_ref again;

	(void)arg;
	check_eq(get_int(cache, "k", make_never, &get), 0);
	check_eq(get.got, 1);
	check_eq(ref_int(&ref), 1);
	check_eq(alazy_get(lazy, &again), 0);
	check_eq(ref_int(&again), 1);
	alazy_ref_put(&again);
	alazy_ref_put(&ref);
	check_eq(alazy_cache_len(cache), 1);
	check_eq(strcmp(alazy_backend(cache), on_kernel() ? "kernel" : "local"),
		 0);
	alazy_cache_close(cache);
	return 0;
}

TEST(child_reads_hits_refs_and_resolved_values)
{
	struct get get = { 0 };

	cache = open_cache(0, 0);
	set_int("k", 1);
	check_eq(alazy_cache_peek(cache, "k", 1, &ref, NULL), ALAZY_FILLED);
	lazy = alazy_new(cache, "k", 1, make_never, &get);
	assert_non_null(lazy);
	check_eq(get_int(cache, "k", make_never, &get), 0);
	check_eq(reap(start_child(read_inherited, NULL)), 0);
	check_eq(reap(start_child(read_inherited, NULL)), 0);
	/* the parent's own are as they were */
	check_eq(ref_int(&ref), 1);
	alazy_ref_put(&ref);
	check_eq(get_int(cache, "k", make_never, &get), 0);
	alazy_free(lazy);
	alazy_cache_close(cache);
}

static int miss_in_child(void *arg)
{
	struct get get = { .value = 2 }, again = { 0 };

	(void)arg;
	check_eq(get_int(cache, "new", make_int, &get), 0);
	check_eq(get.got, 2);
	check_eq(atomic_load(&get.inits), 1);
	check_eq(get_int(cache, "new", make_never, &again), 0);
	set_int("set", 3);
	check_eq(alazy_cache_invalidate(cache, "k", 1), 1);
	check_eq(alazy_cache_len(cache), 2);
	return 0;
}

TEST(child_attaches_anew_at_its_first_miss)
{
	struct get get = { 0 };

	cache = open_cache(0, 0);
	set_int("k", 1);
	check_eq(reap(start_child(miss_in_child, NULL)), 0);
	if (on_kernel()) {
		/* one cache: what the child did is there */
		check_eq(get_int(cache, "new", make_never, &get), 0);
		check_eq(get.got, 2);
		check_eq(peek_state("set"), ALAZY_FILLED);
		check_eq(peek_state("k"), ALAZY_EMPTY);
		check_eq(stats_of(cache).clients, 1);
	} else {
		/* shared by the threads of one process: the child had a copy */
		check_eq(peek_state("new"), ALAZY_EMPTY);
		check_eq(peek_state("set"), ALAZY_EMPTY);
		check_eq(peek_state("k"), ALAZY_FILLED);
	}
	alazy_cache_close(cache);
}

/* ---- the parent's tickets ---------------------------------------------- */

static int misuse_ticket(void *arg)
{
	struct get get = { .value = 7 };

	(void)arg;
	check_eq(alazy_publish(&ticket, "child", 5, 0), -ESTALE);
	check_detail("ticket|fork|process");
	check_eq(alazy_fail(&ticket, -EIO, ALAZY_PERMANENT, 0, NULL), -ESTALE);
	check_eq(alazy_abandon(&ticket), -ESTALE);
	/* also once attached itself */
	check_eq(get_int(cache, "own", make_int, &get), 0);
	check_eq(alazy_publish(&ticket, "child", 5, 0), -ESTALE);
	check_eq(alazy_abandon(&ticket), -ESTALE);
	alazy_cache_close(cache);
	return 0;
}

TEST(parents_ticket_is_not_the_childs_and_outlives_it)
{
	struct get waiter = { 0 };
	int value = 9;

	cache = open_cache(0, 0);
	ticket = take(cache, "k");
	check_eq(get_int_async(cache, "k", make_never, &waiter, NULL), 0);
	check_eq(reap(start_child(misuse_ticket, NULL)), 0);
	check_eq(reap(start_child(misuse_ticket, NULL)), 0);
	check_eq(peek_state("k"), ALAZY_INITIALIZING);
	check_eq(alazy_publish(&ticket, &value, sizeof(value), 0), 0);
	drive(cache, &waiter.dones, 1);
	check_eq(waiter.got, 9);
	check_eq(atomic_load(&waiter.dones), 1);
	alazy_cache_close(cache);
}

static int get_what_parent_makes(void *arg)
{
	struct get get = { .value = 20 };

	(void)arg;
	tell(up[1]);
	check_eq(get_int(cache, "k", make_int, &get), 0);
	/*
	 * On the kernel backend the parent makes it, and the child waited. A
	 * local copy has no owner for it: the child makes its own.
	 */
	check_eq(get.got, on_kernel() ? 10 : 20);
	check_eq(atomic_load(&get.inits), on_kernel() ? 0 : 1);
	return 0;
}

TEST(child_gets_a_key_that_its_parent_initialises)
{
	struct get get = { 0 };
	int value = 10;
	pid_t pid;

	cache = open_cache(0, 0);
	open_pipes();
	ticket = take(cache, "k");
	pid = start_child(get_what_parent_makes, NULL);
	await(up[0]);
	if (on_kernel())
		await_waits(cache, 1);
	else
		check_eq(reap(pid), 0);
	check_eq(alazy_publish(&ticket, &value, sizeof(value), 0), 0);
	if (on_kernel())
		check_eq(reap(pid), 0);
	check_eq(get_int(cache, "k", make_never, &get), 0);
	check_eq(get.got, 10);
	close_pipes();
	alazy_cache_close(cache);
}

static int take_over_and_exit(void *arg)
{
	(void)arg;
	(void)take(cache, "childs");
	return 0;
}

TEST(childs_ticket_ends_with_the_child)
{
	struct get get = { .value = 3 };

	cache = open_cache(0, 0);
	ticket = take(cache, "parents");
	check_eq(reap(start_child(take_over_and_exit, NULL)), 0);
	check_eq(get_int(cache, "childs", make_int, &get), 0);
	check_eq(get.got, 3);
	check_eq(peek_state("parents"), ALAZY_INITIALIZING);
	check_eq(alazy_publish(&ticket, "v", 1, 0), 0);
	alazy_cache_close(cache);
}

/* ---- waits ------------------------------------------------------------- */

static int wait_on_its_own(void *arg)
{
	struct get own = { .value = 30 };
	int fd;

	(void)arg;
	/* the parent's waits are not served here, though one is due */
	check_eq(alazy_dispatch(cache), 0);
	check_eq(atomic_load(&parents.dones), 0);
	/* the child's own are, on a descriptor of its own */
	fd = alazy_fd(cache);
	check(fd >= 0);
	check_eq(readable(fd), 0);
	check_eq(get_int_async(cache, "own", make_later, &own, NULL), 0);
	check_eq(alazy_publish(&own.ticket, &own.value, sizeof(int), 0), 0);
	drive(cache, &own.dones, 1);
	check_eq(own.got, 30);
	check_eq(atomic_load(&parents.dones), 0);
	return 0;
}

TEST(callbacks_of_the_parent_stay_the_parents)
{
	int value = 5;

	cache = open_cache(0, 0);
	parents = (struct get){ 0 };
	ticket = take(cache, "k");
	check_eq(get_int_async(cache, "k", make_never, &parents, NULL), 0);
	check_eq(alazy_publish(&ticket, &value, sizeof(value), 0), 0);
	check_eq(reap(start_child(wait_on_its_own, NULL)), 0);
	check_eq(readable(alazy_fd(cache)), 1);
	drive(cache, &parents.dones, 1);
	check_eq(parents.got, 5);
	check_eq(atomic_load(&parents.dones), 1);
	alazy_cache_close(cache);
}

static int read_wait_fd(void *arg)
{
	struct alazy_answer *a = arg, r;

	check(alazy_wait_read(cache, a->fd, &r) < 0);
	close(a->fd);
	return 0;
}

TEST(wait_fd_of_the_parent_stays_the_parents)
{
	struct alazy_answer a, r;
	int value = 6;

	cache = open_cache(0, 0);
	ticket = take(cache, "k");
	check_eq(alazy_claim(cache, "k", 1, ALAZY_CLAIM_FD, 0, NULL, NULL, &a),
		 0);
	check_eq(a.kind, ALAZY_ANSWER_PENDING);
	check_eq(reap(start_child(read_wait_fd, &a)), 0);
	check_eq(alazy_wait_read(cache, a.fd, &r), -EAGAIN);
	check_eq(alazy_publish(&ticket, &value, sizeof(value), 0), 0);
	check_eq(readable(a.fd), 1);
	check_eq(alazy_wait_read(cache, a.fd, &r), 0);
	check_eq(ref_int(&r.ref), 6);
	alazy_ref_put(&r.ref);
	close(a.fd);
	alazy_cache_close(cache);
}

static int close_and_exit(void *arg)
{
	(void)arg;
	alazy_cache_close(cache);
	return 0;
}

TEST(close_in_the_child_is_the_childs)
{
	struct get waiter = { 0 };
	int value = 8;

	cache = open_cache(0, 0);
	ticket = take(cache, "k");
	check_eq(get_int_async(cache, "k", make_never, &waiter, NULL), 0);
	check_eq(reap(start_child(close_and_exit, NULL)), 0);
	check_eq(atomic_load(&waiter.dones), 0);
	check_eq(alazy_publish(&ticket, &value, sizeof(value), 0), 0);
	drive(cache, &waiter.dones, 1);
	check_eq(waiter.got, 8);
	alazy_cache_close(cache);
}

TEST(close_in_the_child_tells_the_parents_waiters_nothing)
{
	const char *name = unique_name("fork");
	struct alazy_cache *other;
	struct get waiter = { .value = 3 };

	cache = open_named(name, 0);
	other = open_named(name, 0);
	ticket = take(cache, "k");
	check_eq(get_int_async(other, "k", make_int, &waiter, NULL), 0);
	check_eq(readable(alazy_fd(other)), 0);
	/* the child closes the one that has the ticket */
	check_eq(reap(start_child(close_and_exit, NULL)), 0);
	check_eq(readable(alazy_fd(other)), 0);
	check_eq(alazy_dispatch(other), 0);
	check_eq(atomic_load(&waiter.inits), 0);
	check_eq(alazy_abandon(&ticket), 0);
	drive(other, &waiter.dones, 1);
	check_eq(waiter.got, 3);
	alazy_cache_close(other);
	alazy_cache_close(cache);
	check_eq(alazy_cache_unlink(name, ALAZY_BACKEND_AUTO), 0);
}

static int grandchild(void *arg)
{
	struct get get = { .value = 4 };

	(void)arg;
	check_eq(get_int(cache, "k", make_never, &get), 0);
	check_eq(get.got, 1);
	check_eq(get_int(cache, "mine", make_never, &get), 0);
	check_eq(get.got, 2);
	check_eq(get_int(cache, "grand", make_int, &get), 0);
	check_eq(get.got, 4);
	return 0;
}

static int child_with_grandchild(void *arg)
{
	struct get get = { .value = 2 };

	(void)arg;
	check_eq(get_int(cache, "mine", make_int, &get), 0);
	check_eq(reap(start_child(grandchild, NULL)), 0);
	check_eq(peek_state("grand"), on_kernel() ? ALAZY_FILLED : ALAZY_EMPTY);
	return 0;
}

TEST(grandchild_does_the_same_again)
{
	cache = open_cache(0, 0);
	set_int("k", 1);
	check_eq(reap(start_child(child_with_grandchild, NULL)), 0);
	check_eq(peek_state("mine"), on_kernel() ? ALAZY_FILLED : ALAZY_EMPTY);
	alazy_cache_close(cache);
}

/* ---- forks while other threads are in calls ---------------------------- */

static atomic_bool stop;

static void *keep_calling(void *arg)
{
	unsigned int me = (uintptr_t)arg, i = 0;
	struct get get = { 0 };
	struct alazy_wait *wait;
	char key[16];

	while (!atomic_load(&stop)) {
		snprintf(key, sizeof(key), "%u", i++ % 64);
		get.value = i;
		switch ((i + me) % 6) {
		case 0:
		case 1:
			/* an append-only one has no room for more */
			if (on_stable() && i > 200000)
				alazy_cache_peek(cache, key, strlen(key), NULL,
						 NULL);
			else if ((i + me) % 6)
				check_eq(get_int(cache, key, make_int, &get), 0);
			else
				check_eq(alazy_cache_set(cache, key, strlen(key),
							 &i, sizeof(i), 0), 0);
			break;
		case 2:
			check(alazy_cache_invalidate(cache, key, strlen(key)) >= 0);
			break;
		case 3:
			/* its own keys, so that nobody has to wait for it */
			snprintf(key, sizeof(key), "a%u-%u", me, i % 8);
			if (get_int_async(cache, key, make_later, &get, &wait))
				break;
			check_eq(alazy_cancel(wait), 0);
			check_eq(alazy_abandon(&get.ticket), 0);
			break;
		case 4:
			check(alazy_dispatch(cache) >= 0);
			break;
		default:
			alazy_cache_peek(cache, key, strlen(key), NULL, NULL);
		}
	}
	return NULL;
}

static int call_in_child(void *arg)
{
	struct get steady = { .value = 1 }, get = { .value = 77 };
	struct get async = { .value = 78 };

	(void)arg;
	/* an evicting one may have let it go */
	check_eq(get_int(cache, "steady", on_stable() ? make_never : make_int,
			 &steady), 0);
	check_eq(steady.got, 1);
	check_eq(get_int(cache, "storm", make_int, &get), 0);
	check_eq(get.got, 77);
	check(alazy_dispatch(cache) >= 0);
	check(get_int_async(cache, "astorm", make_int, &async, NULL) >= 0);
	drive(cache, &async.dones, 1);
	check_eq(async.got, 78);
	check(alazy_cache_invalidate(cache, "steady", 6) >= on_stable());
	set_int("steady", 1);
	alazy_cache_close(cache);
	return 0;
}

TEST(fork_storm_while_threads_are_in_calls)
{
	unsigned int n = scaled(1000, 100), i;
	pthread_t threads[3];

	/* an evicting one is so small that it recycles all the time */
	cache = open_cache(0, on_stable() ? 128ULL << 20 : 1 << 20);
	set_int("steady", 1);
	atomic_store(&stop, false);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		threads[i] = start_thread(keep_calling, (void *)(uintptr_t)i);
	for (i = 0; i < n; i++)
		if (!check_eq(reap(start_child(call_in_child, NULL)), 0))
			break;
	atomic_store(&stop, true);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		join_thread(threads[i]);
	if (on_stable())
		check_eq(peek_state("steady"), ALAZY_FILLED);
	check_eq(stats_of(cache).tickets_now, 0);
	check_eq(stats_of(cache).clients, 1);
	alazy_cache_close(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(child_reads_hits_refs_and_resolved_values),
		cmocka_unit_test(child_attaches_anew_at_its_first_miss),
		cmocka_unit_test(parents_ticket_is_not_the_childs_and_outlives_it),
		cmocka_unit_test(child_gets_a_key_that_its_parent_initialises),
		cmocka_unit_test(childs_ticket_ends_with_the_child),
		cmocka_unit_test(callbacks_of_the_parent_stay_the_parents),
		cmocka_unit_test(wait_fd_of_the_parent_stays_the_parents),
		cmocka_unit_test(close_in_the_child_is_the_childs),
		cmocka_unit_test(close_in_the_child_tells_the_parents_waiters_nothing),
		cmocka_unit_test(grandchild_does_the_same_again),
		cmocka_unit_test(fork_storm_while_threads_are_in_calls),
	};

	return RUN_TESTS(tests);
}
