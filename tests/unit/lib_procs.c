// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Several processes, one cache: row L12, and owners that die in the middle.
 * Kernel backend only.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

#define PROCESSES	8

static char name[128];			/* of the running test's cache */

/* Shared by the processes of a test. */
static struct shared {
	atomic_uint ready;
	atomic_bool go;
	atomic_uint inits;
	uint64_t sums[PROCESSES];
	atomic_uchar by_key[];
} *shared;
static size_t shared_size;

static struct alazy_cache *begin(unsigned int keys)
{
	if (!on_kernel()) {
		print_message("# ALAZY_BACKEND is not kernel: processes share nothing\n");
		skip();
	}
	snprintf(name, sizeof(name), "%s", unique_name("procs"));
	shared_size = sizeof(*shared) + keys;
	shared = share_alloc(shared_size);
	return open_with(name, (struct alazy_cache_opts){ .max_keys = 100000 });
}

static void end(struct alazy_cache *cache)
{
	alazy_cache_close(cache);
	check_eq(alazy_cache_unlink(name, ALAZY_BACKEND_AUTO), 0);
	share_free(shared, shared_size);
}

/* ---- L12 --------------------------------------------------------------- */

struct l12 {
	unsigned int me;
	unsigned int keys;
	struct alazy_cache *cache;
};

/* Bytes that another process, or another init, would not make. */
static int l12_make(const struct alazy_ticket *ticket, const void *key,
		    size_t key_size, void *ctx)
{
	struct l12 *t = ctx;
	uint32_t i, value[16];
	unsigned int j, n = atomic_fetch_add(&shared->inits, 1);

	if (!check_eq(key_size, sizeof(i)))
		return -EINVAL;
	memcpy(&i, key, sizeof(i));
	atomic_fetch_add(&shared->by_key[i], 1);
	for (j = 0; j < ARRAY_SIZE(value); j++)
		value[j] = t->me + 1000 * n + 31 * i + j;
	return alazy_publish(ticket, value, sizeof(value), 0);
}

static int l12_process(void *arg)
{
	struct l12 *t = arg;
	struct alazy_ref ref;
	uint64_t sum = 0;
	uint32_t i, n;
	size_t j;

	t->cache = open_named(name, ALAZY_CACHE_EXISTING);
	atomic_fetch_add(&shared->ready, 1);
	while (!atomic_load(&shared->go))
		sched_yield();
	for (n = 0; n < 2 * t->keys; n++) {
		i = n < t->keys ? n : n - t->keys;
		if (!check_eq(alazy_cache_get(t->cache, &i, sizeof(i), l12_make,
					      t, &ref), 0))
			continue;
		check_eq(ref.size, 64);
		for (j = 0; n < t->keys && j < ref.size; j++)
			sum = sum * 31 + ((const unsigned char *)ref.data)[j];
		alazy_ref_put(&ref);
	}
	shared->sums[t->me] = sum;
	alazy_cache_close(t->cache);
	return 0;
}

TEST(l12_eight_processes_run_one_init_a_key)
{
	unsigned int keys = scaled(10000, 1000), i;
	struct alazy_cache *cache = begin(keys);
	struct l12 t[PROCESSES];
	pid_t pids[PROCESSES];

	for (i = 0; i < PROCESSES; i++) {
		t[i] = (struct l12){ .me = i, .keys = keys };
		pids[i] = start_child(l12_process, &t[i]);
	}
	while (atomic_load(&shared->ready) < PROCESSES)
		sched_yield();
	atomic_store(&shared->go, true);
	for (i = 0; i < PROCESSES; i++)
		check_eq(reap(pids[i]), 0);
	check_eq(atomic_load(&shared->inits), keys);
	for (i = 0; i < keys; i++)
		check_eq(atomic_load(&shared->by_key[i]), 1);
	for (i = 1; i < PROCESSES; i++)
		check(shared->sums[i] == shared->sums[0]);
	check(shared->sums[0]);
	check_eq(alazy_cache_len(cache), keys);
	check_eq(stats_of(cache).clients, 1);
	end(cache);
}

static _Noreturn void sleep_for_ever(void)
{
	for (;;)
		pause();
}

/* ---- owners that die --------------------------------------------------- */

static int tell_and_pause(const struct alazy_ticket *ticket, const void *key,
			  size_t key_size, void *ctx)
{
	make_nothing(ticket, key, key_size, ctx);
	atomic_fetch_add(&shared->ready, 1);
	sleep_for_ever();
}

static int own_and_pause(void *arg)
{
	struct alazy_cache *cache = open_named(name, ALAZY_CACHE_EXISTING);
	struct get get = { 0 };

	get_int(cache, arg, tell_and_pause, &get);
	return 1;
}

static char the_key[] = "k";

static pid_t start_owner(int (*fn)(void *arg), char *key)
{
	unsigned int ready = atomic_load(&shared->ready);
	pid_t pid = start_child(fn, key);

	while (atomic_load(&shared->ready) == ready)
		sched_yield();
	return pid;
}

/* Waits for the key that the owner is making, and makes it if it must. */
static int wait_and_make(void *arg)
{
	struct alazy_cache *cache = open_named(name, ALAZY_CACHE_EXISTING);
	struct get get = { .value = 50 };

	check_eq(get_int(cache, arg, make_int, &get), 0);
	check_eq(get.got, 50);
	if (atomic_load(&get.inits)) {
		atomic_fetch_add(&shared->inits, 1);
		check_eq(get.attempt, 1);
	}
	alazy_cache_close(cache);
	return 0;
}

TEST(killed_owner_is_succeeded_by_one_waiting_process)
{
	struct alazy_cache *cache = begin(0);
	pid_t owner = start_owner(own_and_pause, the_key), waiters[4];
	unsigned int i;

	for (i = 0; i < 4; i++)
		waiters[i] = start_child(wait_and_make, the_key);
	await_waits(cache, 4);
	check_eq(atomic_load(&shared->inits), 0);
	kill(owner, SIGKILL);
	check_eq(reap(owner), 128 + SIGKILL);
	for (i = 0; i < 4; i++)
		check_eq(reap(waiters[i]), 0);
	check_eq(atomic_load(&shared->inits), 1);
	check_eq(stats_of(cache).deaths, 1);
	check_eq(stats_of(cache).handovers, 1);
	end(cache);
}

TEST(killed_owner_without_waiters_leaves_the_key_empty)
{
	struct alazy_cache *cache = begin(0);
	struct get get = { .value = 3 };
	pid_t owner = start_owner(own_and_pause, the_key);

	check_eq(alazy_cache_peek(cache, "k", 1, NULL, NULL),
		 ALAZY_INITIALIZING);
	kill(owner, SIGKILL);
	check_eq(reap(owner), 128 + SIGKILL);
	check_eq(alazy_cache_peek(cache, "k", 1, NULL, NULL), ALAZY_EMPTY);
	check_eq(get_int(cache, "k", make_int, &get), 0);
	check_eq(get.got, 3);
	end(cache);
}

TEST(waiter_that_cannot_init_is_told_that_the_owner_died)
{
	struct alazy_cache *cache = begin(0);
	struct get call = { 0 };
	pid_t owner = start_owner(own_and_pause, the_key);

	check_eq(get_int_async(cache, "k", NULL, &call, NULL), 0);
	kill(owner, SIGKILL);
	check_eq(reap(owner), 128 + SIGKILL);
	drive(cache, &call.dones, 1);
	check(call.err == -EOWNERDEAD || call.err == -ECANCELED);
	end(cache);
}

/* An asynchronous waiter that never dispatches: it sleeps on its offer. */
static int wait_and_pause(void *arg)
{
	struct alazy_cache *cache = open_named(name, ALAZY_CACHE_EXISTING);
	struct get get = { 0 };

	check_eq(get_int_async(cache, arg, make_never, &get, NULL), 0);
	atomic_fetch_add(&shared->ready, 1);
	sleep_for_ever();
}

TEST(offer_to_a_process_that_dies_goes_on)
{
	struct alazy_cache *cache = begin(0);
	struct get last = { .value = 6 };
	pid_t owner = start_owner(own_and_pause, the_key);
	pid_t sleeper = start_owner(wait_and_pause, the_key);

	check_eq(get_int_async(cache, "k", make_int, &last, NULL), 0);
	kill(owner, SIGKILL);
	check_eq(reap(owner), 128 + SIGKILL);
	check_eq(stats_of(cache).handovers, 1);	/* to the sleeper */
	check_eq(readable(alazy_fd(cache)), 0);
	kill(sleeper, SIGKILL);
	check_eq(reap(sleeper), 128 + SIGKILL);
	drive(cache, &last.dones, 1);
	check_eq(last.err, 0);
	check_eq(last.got, 6);
	check_eq(last.attempt, 2);
	end(cache);
}

/* The owner has a child, which has its descriptors and lives on. */
static int own_with_a_child(void *arg)
{
	struct alazy_cache *cache = open_named(name, ALAZY_CACHE_EXISTING);
	struct get get = { 0 };
	pid_t pid;

	check_eq(get_int_async(cache, arg, make_later, &get, NULL), 0);
	pid = fork();
	if (!pid) {
		alarm(60);	/* should the test fail */
		atomic_store(&shared->by_key[0], 1);
		while (!atomic_load(&shared->go))
			sched_yield();
		atomic_store(&shared->by_key[0], 2);
		_exit(0);
	}
	while (!atomic_load(&shared->by_key[0]))
		sched_yield();
	atomic_fetch_add(&shared->ready, 1);
	sleep_for_ever();
}

TEST(living_child_of_a_killed_owner_keeps_nothing_alive)
{
	struct alazy_cache *cache = begin(1);
	struct get get = { .value = 4 };
	pid_t owner = start_owner(own_with_a_child, the_key);

	check_eq(get_int_async(cache, "k", make_int, &get, NULL), 0);
	kill(owner, SIGKILL);
	drive(cache, &get.dones, 1);
	check_eq(get.got, 4);
	check_eq(get.attempt, 1);
	check_eq(atomic_load(&shared->by_key[0]), 1);	/* it lives */
	atomic_store(&shared->go, true);
	check_eq(reap(owner), 128 + SIGKILL);
	while (atomic_load(&shared->by_key[0]) != 2)
		sched_yield();
	end(cache);
}

static int own_and_exec(void *arg)
{
	struct alazy_cache *cache = open_named(name, ALAZY_CACHE_EXISTING);
	struct get get = { 0 };

	check_eq(get_int_async(cache, arg, make_later, &get, NULL), 0);
	atomic_fetch_add(&shared->ready, 1);
	while (!atomic_load(&shared->go))
		sched_yield();
	execl("/proc/self/exe", "lib_procs", "--pause", (char *)NULL);
	perror("# exec");
	return 1;
}

TEST(exec_of_the_owner_is_the_end_of_its_tickets)
{
	struct alazy_cache *cache = begin(0);
	struct get get = { .value = 5 };
	pid_t owner = start_owner(own_and_exec, the_key);

	check_eq(get_int_async(cache, "k", make_int, &get, NULL), 0);
	atomic_store(&shared->go, true);
	drive(cache, &get.dones, 1);
	check_eq(get.got, 5);
	check_eq(get.attempt, 1);
	check_eq(waitpid(owner, NULL, WNOHANG), 0);	/* it lives */
	kill(owner, SIGKILL);
	check_eq(reap(owner), 128 + SIGKILL);
	end(cache);
}

static void *take_in_thread(void *arg)
{
	struct get *get = arg;

	check_eq(get_int_async(get->cache, get->key, make_later, get, NULL), 0);
	return NULL;
}

TEST(end_of_a_thread_is_not_the_end_of_its_ticket)
{
	struct alazy_cache *cache = begin(0), *other = open_named(name, 0);
	struct get owner = { .value = 7, .cache = cache, .key = "k" };
	struct get waiter = { 0 };

	join_thread(start_thread(take_in_thread, &owner));
	check_eq(get_int_async(other, "k", make_never, &waiter, NULL), 0);
	check_eq(alazy_publish(&owner.ticket, &owner.value, sizeof(int), 0), 0);
	drive(other, &waiter.dones, 1);
	check_eq(waiter.got, 7);
	alazy_cache_close(other);
	end(cache);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(l12_eight_processes_run_one_init_a_key),
		cmocka_unit_test(killed_owner_is_succeeded_by_one_waiting_process),
		cmocka_unit_test(killed_owner_without_waiters_leaves_the_key_empty),
		cmocka_unit_test(waiter_that_cannot_init_is_told_that_the_owner_died),
		cmocka_unit_test(offer_to_a_process_that_dies_goes_on),
		cmocka_unit_test(living_child_of_a_killed_owner_keeps_nothing_alive),
		cmocka_unit_test(exec_of_the_owner_is_the_end_of_its_tickets),
		cmocka_unit_test(end_of_a_thread_is_not_the_end_of_its_ticket),
	};

	if (argc > 1 && !strcmp(argv[1], "--pause"))
		sleep_for_ever();
	return RUN_TESTS(tests);
}
