// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Words between processes, and what signals, forks and other descriptors have to do with it. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util.h"

#define ONE_PROCESS	"a local cache is of one process"

static void on_woken(int err, size_t index, void *ctx)
{
	atomic_uint *calls = ctx;

	check_eq(err, 0);
	check_eq(index, 0);
	atomic_fetch_add(calls, 1);
}

static int wait_async(struct alazy_cache *cache, const uint32_t *word, atomic_uint *calls)
{
	struct alazy_futex f = { .word = word, .expected = word_load(word) };

	return alazy_futex_wait_async(cache, &f, 1, on_woken, calls, NULL, NULL);
}

static int pong_child(void *arg)
{
	return pong_side(arg, 1);
}

TEST_IF(no_change_is_missed_between_processes, on_kernel(), ONE_PROCESS)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct pong p = { cache, alazy_word(cache, 0), scaled(100000, 3000) };
	pid_t pid = start_child(pong_child, &p);

	pong_side(&p, 0);
	check_eq(reap(pid), 0);
	check_eq(word_load(p.word), 2 * p.rounds);
	alazy_cache_close(cache);
}

/* Where a memfd is mapped elsewhere. */
static int pong_elsewhere(void *arg)
{
	struct pong p = *(struct pong *)arg;
	long page = sysconf(_SC_PAGESIZE);
	char *at = mremap((char *)p.word - page, 2 * page, 2 * page, MREMAP_MAYMOVE | MREMAP_FIXED,
			  mmap(NULL, 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	if (!check(at != MAP_FAILED && (uint32_t *)(at + page) != p.word))
		return 1;
	p.word = (uint32_t *)(at + page);
	return pong_side(&p, 1);
}

TEST_IF(a_word_is_where_it_is_in_a_memfd_not_where_that_is_mapped, on_kernel(), ONE_PROCESS)
{
	struct alazy_cache *cache = open_cache(0, 0);
	long page = sysconf(_SC_PAGESIZE);
	int fd = memfd_create("words", MFD_CLOEXEC);
	struct pong p = { .cache = cache, .rounds = scaled(100000, 1000) };
	char *at;
	pid_t pid;

	check_eq(ftruncate(fd, 2 * page), 0);
	at = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(at != MAP_FAILED);
	p.word = (uint32_t *)(at + page);
	pid = start_child(pong_elsewhere, &p);
	pong_side(&p, 0);
	check_eq(reap(pid), 0);
	check_eq(word_load(p.word), 2 * p.rounds);
	munmap(at, 2 * page);
	close(fd);
	alazy_cache_close(cache);
}

static int wait_in_child(void *arg)
{
	struct pong *p = arg;

	return check_eq(alazy_futex_wait(p->cache, p->word, 0, 0), 0) ? 0 : 1;
}

TEST_IF(a_wake_ends_so_many_processes_waits, on_kernel(), ONE_PROCESS)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct pong p = { .cache = cache, .word = alazy_word(cache, 0) };
	static const int wakes[] = { 0, 1, 3, INT_MAX }, woken[] = { 0, 1, 3, 4 };
	unsigned int i, from = 0, to = 0;
	pid_t pid[8];

	for (i = 0; i < 8; i++) {
		pid[i] = start_child(wait_in_child, &p);
		await_waits(cache, i + 1);
	}
	for (i = 0; i < 4; i++) {
		check_eq(alazy_futex_wake(cache, p.word, wakes[i]), woken[i]);
		for (to += woken[i]; from < to; from++)
			check_eq(reap(pid[from]), 0);
		check_eq(stats_of(cache).waits_now, 8 - from);
	}
	alazy_cache_close(cache);
}

TEST_IF(a_killed_waiter_is_out_of_the_way, on_kernel(), ONE_PROCESS)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct pong p = { .cache = cache, .word = alazy_word(cache, 0) };
	atomic_uint calls = 0;
	pid_t pid = start_child(wait_in_child, &p);

	await_waits(cache, 1);
	check_eq(wait_async(cache, p.word, &calls), 0);
	kill(pid, SIGKILL);
	check_eq(reap(pid), 128 + SIGKILL);
	await_waits(cache, 1);
	check_eq(alazy_futex_wake(cache, p.word, 1), 1);
	check_eq(alazy_dispatch(cache), 1);
	check_eq(atomic_load(&calls), 1);
	alazy_cache_close(cache);
}

/* A child's own waits; its parent's are none of its. */
static int wait_for_oneself(void *arg)
{
	struct alazy_cache *cache = arg;
	uint32_t *words = alazy_word(cache, 0);
	atomic_uint calls = 0;

	check_eq(alazy_dispatch(cache), 0);
	check_eq(wait_async(cache, &words[1], &calls), 0);
	check_eq(alazy_futex_wake(cache, &words[1], INT_MAX), 1);
	drive(cache, &calls, 1);
	/* the parent's wait is in the cache that they share */
	check_eq(alazy_futex_wake(cache, &words[0], INT_MAX), on_kernel());
	check_eq(alazy_dispatch(cache), 0);
	return 0;
}

TEST(a_forked_child_waits_for_itself)
{
	struct alazy_cache *cache = open_cache(0, 0);
	uint32_t *words = alazy_word(cache, 0);
	atomic_uint calls = 0;

	check_eq(wait_async(cache, &words[0], &calls), 0);
	check_eq(reap(start_child(wait_for_oneself, cache)), 0);
	if (!on_kernel())
		check_eq(alazy_futex_wake(cache, &words[0], INT_MAX), 1);
	drive(cache, &calls, 1);
	alazy_cache_close(cache);
}

static atomic_uint signals;

static void on_signal(int sig)
{
	(void)sig;
	atomic_fetch_add(&signals, 1);
}

struct stormed {
	struct alazy_cache *cache;
	atomic_uint seen;	/* values of the word */
	unsigned int woken;	/* how often a wait said that it was */
	unsigned int rounds;
	pthread_t thread;
	atomic_bool over;
};

static void *wait_in_a_storm(void *arg)
{
	struct stormed *s = arg;
	uint32_t *word = alazy_word(s->cache, 0);
	unsigned int i;

	for (i = 0; i < s->rounds; i++) {
		while (word_load(word) == i) {
			int err = alazy_futex_wait(s->cache, word, i, 0);

			if (!check(!err || err == -EAGAIN))
				return NULL;
			s->woken += !err;
		}
		atomic_fetch_add(&s->seen, 1);
	}
	return NULL;
}

/* Each as soon as the one before has been dealt with. */
static void *storm(void *arg)
{
	struct stormed *s = arg;
	unsigned int before;

	while (!atomic_load(&s->over)) {
		before = atomic_load(&signals);
		pthread_kill(s->thread, SIGUSR1);
		while (atomic_load(&signals) == before && !atomic_load(&s->over))
			usleep(100);
	}
	return NULL;
}

TEST(a_signal_is_no_wake)
{
	struct sigaction sa = { .sa_handler = on_signal }, old;
	struct alazy_cache *cache = open_cache(0, 0);
	struct stormed s = { .cache = cache, .rounds = scaled(1000, 30) };
	unsigned int i, before, woken = 0;
	pthread_t thread;

	sigaction(SIGUSR1, &sa, &old);
	s.thread = start_thread(wait_in_a_storm, &s);
	thread = start_thread(storm, &s);
	for (i = 0; i < s.rounds; i++) {
		for (before = atomic_load(&signals); atomic_load(&signals) < before + 5;)
			sched_yield();
		check_eq(atomic_load(&s.seen), i);
		word_store(alazy_word(cache, 0), i + 1);
		woken += alazy_futex_wake(cache, alazy_word(cache, 0), 1);
		while (atomic_load(&s.seen) == i)
			sched_yield();
	}
	/* the last one is after the last wait: the thread is there until it is joined */
	atomic_store(&s.over, true);
	join_thread(thread);
	join_thread(s.thread);
	/* each that a wake has counted, and no other */
	check_eq(s.woken, woken);
	sigaction(SIGUSR1, &old, NULL);
	alazy_cache_close(cache);
}

/* The ancestor took another's descriptor out of the loop when a number came again. */
TEST(waits_that_come_and_go_disturb_nobody_elses_descriptor)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_futex f = { .word = alazy_word(cache, 0) };
	unsigned long i, n = scaled(100000, 2000);
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC);
	uint64_t one = 1;

	for (i = 0; i < n; i++) {
		int fd = alazy_futex_wait_fd(cache, &f, 1, NULL);
		int other;

		if (!check(fd >= 0))
			break;
		check_eq(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), 0);
		close(fd);
		/* it has the number now */
		other = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		ev.data.fd = other;
		check_eq(epoll_ctl(ep, EPOLL_CTL_ADD, other, &ev), 0);
		alazy_futex_wake(cache, f.word, INT_MAX);
		alazy_dispatch(cache);
		check_eq(epoll_wait(ep, &ev, 1, 0), 0);
		check_eq(write(other, &one, sizeof(one)), sizeof(one));
		check_eq(epoll_wait(ep, &ev, 1, 0), 1);
		if (!check_eq(ev.data.fd, other))
			break;
		close(other);
	}
	close(ep);
	alazy_cache_close(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_change_is_missed_between_processes),
		cmocka_unit_test(a_word_is_where_it_is_in_a_memfd_not_where_that_is_mapped),
		cmocka_unit_test(a_wake_ends_so_many_processes_waits),
		cmocka_unit_test(a_killed_waiter_is_out_of_the_way),
		cmocka_unit_test(a_forked_child_waits_for_itself),
		cmocka_unit_test(a_signal_is_no_wake),
		cmocka_unit_test(waits_that_come_and_go_disturb_nobody_elses_descriptor),
	};

	return RUN_TESTS(tests);
}
