// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Row L1: hits make no system call. A child warms up, then asks the kernel to
 * kill it at any system call but exit, and reads 1,000,000 hits by key and as
 * many of one ALazy value. The same program on both backends. And the same of words
 * and locks, where nobody waits.
 *
 * With the arguments KEY-HITS LAZY-HITS it only reads as many, so that somebody
 * outside can count.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util.h"

#define KEYS	1000
#define UNTOUCHED_WORD 5	/* by use_words() */

struct warm {
	struct alazy_cache *cache;
	struct alazy *lazy;
	struct get get;
};

static int value_of(unsigned int key)
{
	return key * 2654435761U;
}

/* The number of wrong answers. */
static unsigned long read_hits(struct warm *w, unsigned long by_key,
			       unsigned long by_lazy)
{
	unsigned long i, bad = 0;
	struct alazy_ref ref;
	unsigned int key;
	int want;

	for (i = 0; i < by_key; i++) {
		key = i % KEYS;
		want = value_of(key);
		if (alazy_cache_get(w->cache, &key, sizeof(key), NULL, NULL, &ref))
			return bad + 1;
		bad += !ref_is(&ref, &want, sizeof(want));
		alazy_ref_put(&ref);
	}
	for (i = 0; i < by_lazy; i++) {
		if (alazy_get(w->lazy, &ref))
			return bad + 1;
		bad += !ref_is(&ref, &w->get.value, sizeof(w->get.value));
		alazy_ref_put(&ref);
	}
	return bad;
}

/* Counts, wakes and locks. The number of wrong answers. */
static unsigned long use_words(struct warm *w, unsigned long n)
{
	uint32_t *word = alazy_word(w->cache, 0), *lock = alazy_word(w->cache, 1);
	uint64_t *counter = (uint64_t *)alazy_word(w->cache, 2);
	unsigned long i, bad = 0;
	uint64_t seen;

	for (i = 0; i < n; i++) {
		seen = alazy_counter_read(counter);
		__atomic_store_n(word, i + 1, __ATOMIC_RELEASE);
		bad += alazy_futex_wake(w->cache, word, 1) != 0;
		bad += alazy_futex_wait(w->cache, word, i, 0) != -EAGAIN;
		bad += alazy_counter_add(w->cache, counter, 1, NULL) != 0;
		bad += alazy_counter_wait(w->cache, counter, seen, 0, NULL) != 0;
		bad += alazy_lock(w->cache, lock, 0) != 0;
		bad += alazy_unlock(w->cache, lock) != 0;
		bad += alazy_trylock(w->cache, lock) != 0;
		bad += alazy_unlock(w->cache, lock) != 0;
	}
	return bad;
}

static void warm_up(struct warm *w)
{
	unsigned int key;
	int value;

	w->cache = open_cache(2 * KEYS, 0);
	w->get.value = 42;
	w->lazy = alazy_new(w->cache, "lazy", 4, make_int, &w->get);
	if (!check(w->lazy))
		_exit(1);
	for (key = 0; key < KEYS; key++) {
		value = value_of(key);
		check_eq(alazy_cache_set(w->cache, &key, sizeof(key), &value,
					 sizeof(value), 0), 0);
	}
	check_eq(read_hits(w, KEYS, 2), 0);
	check_eq(use_words(w, 2), 0);
}

static int forbid_system_calls(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog prog = { ARRAY_SIZE(filter), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		return -errno;
	return 0;
}

struct forbidden {
	unsigned long by_key;
	unsigned long by_lazy;
	unsigned long words;
	bool stray_wait;
	bool stray_call;
	bool stray_miss;
};

static int read_forbidden(void *arg)
{
	struct forbidden *f = arg;
	unsigned long bad = 0;
	struct warm w = { 0 };
	struct get get = { 0 };

	alarm(0);		/* a late one would be a system call */
	warm_up(&w);
	if (check_failures())
		return 1;
	if (!check_eq(forbid_system_calls(), 0))
		return 1;
	if (f->stray_call)
		syscall(SYS_getppid);
	if (f->stray_miss)
		bad += get_int(w.cache, "miss", make_int, &get) != 0;
	if (f->stray_wait)
		bad += alazy_futex_wait(w.cache, alazy_word(w.cache, UNTOUCHED_WORD),
					0, 1000) != -ETIMEDOUT;
	bad += read_hits(&w, f->by_key, f->by_lazy);
	bad += use_words(&w, f->words);
	syscall(SYS_exit_group, bad ? 2 : 0);
	return 2;
}

TEST(l1_the_detector_sees_a_system_call)
{
	struct forbidden f = { .stray_call = true };

	check_eq(reap(start_child(read_forbidden, &f)), 128 + SIGSYS);
}

TEST(l1_the_detector_sees_a_miss_on_the_kernel_backend)
{
	struct forbidden f = { .stray_miss = true };

	if (!on_kernel()) {
		print_message("# a miss of the local backend needs no system call\n");
		skip();
	}
	check_eq(reap(start_child(read_forbidden, &f)), 128 + SIGSYS);
}

TEST(l1_a_million_hits_by_key_make_no_system_call)
{
	struct forbidden f = { .by_key = 1000000 };

	check_eq(reap(start_child(read_forbidden, &f)), 0);
}

TEST(l1_a_million_hits_of_a_lazy_make_no_system_call)
{
	struct forbidden f = { .by_lazy = 1000000 };

	check_eq(reap(start_child(read_forbidden, &f)), 0);
}

TEST(the_detector_sees_a_wait_on_the_kernel_backend)
{
	struct forbidden f = { .stray_wait = true };

	if (!on_kernel()) {
		print_message("# a wait of the local backend that is over needs no system call\n");
		skip();
	}
	check_eq(reap(start_child(read_forbidden, &f)), 128 + SIGSYS);
}

TEST(words_and_locks_that_nobody_waits_for_make_no_system_call)
{
	struct forbidden f = { .words = 1000000 };

	check_eq(reap(start_child(read_forbidden, &f)), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(l1_the_detector_sees_a_system_call),
		cmocka_unit_test(l1_the_detector_sees_a_miss_on_the_kernel_backend),
		cmocka_unit_test(l1_a_million_hits_by_key_make_no_system_call),
		cmocka_unit_test(l1_a_million_hits_of_a_lazy_make_no_system_call),
		cmocka_unit_test(the_detector_sees_a_wait_on_the_kernel_backend),
		cmocka_unit_test(words_and_locks_that_nobody_waits_for_make_no_system_call),
	};
	struct warm w = { 0 };

	if (argc == 3) {
		warm_up(&w);
		return read_hits(&w, strtoul(argv[1], NULL, 0),
				 strtoul(argv[2], NULL, 0)) || check_failures();
	}
	return RUN_TESTS(tests);
}
