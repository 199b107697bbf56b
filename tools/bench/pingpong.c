// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A word there and back (F3): two processes on the module, two threads on the local
 * backend. Each turn one counts a word up, wakes the other, and waits for its word. By
 * ours, in the call and in an event loop, and by futex(2) and eventfds.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <asynclazy.h>

#include "bench.h"

#define TURNS	100000
#define WARM	100

struct game {
	struct alazy_cache *cache;
	uint32_t *word[2];	/* that the first, the second waits for */
	int fd[2];
	void (*wait)(struct game *g, int me, uint32_t until);
	void (*wake)(struct game *g, int other);
	uint64_t took[TURNS];	/* ns */
};

static void ours_wait(struct game *g, int me, uint32_t until)
{
	int err;

	while (__atomic_load_n(g->word[me], __ATOMIC_ACQUIRE) != until) {
		err = alazy_futex_wait(g->cache, g->word[me], until - 1, 0);
		if (err && err != -EAGAIN)
			bench_die("alazy_futex_wait", err);
	}
}

static void ours_wake(struct game *g, int other)
{
	if (alazy_futex_wake(g->cache, g->word[other], 1) < 0)
		bench_die("alazy_futex_wake", -EPROTO);
}

static void told(int err, size_t index, void *ctx)
{
	(void)index;
	if (err)
		bench_die("alazy_futex_wait_async", err);
	*(bool *)ctx = true;
}

static void loop_wait(struct game *g, int me, uint32_t until)
{
	struct alazy_futex f = { .word = g->word[me], .expected = until - 1 };
	struct pollfd p = { .fd = alazy_fd(g->cache), .events = POLLIN };
	bool over = false;
	int err;

	err = alazy_futex_wait_async(g->cache, &f, 1, told, &over, NULL, NULL);
	if (err == -EAGAIN)
		return;
	if (err)
		bench_die("alazy_futex_wait_async", err);
	while (!over) {
		poll(&p, 1, -1);
		alazy_dispatch(g->cache);
	}
}

static void futex_wait(struct game *g, int me, uint32_t until)
{
	while (__atomic_load_n(g->word[me], __ATOMIC_ACQUIRE) != until)
		syscall(SYS_futex, g->word[me], FUTEX_WAIT, until - 1, NULL, NULL, 0);
}

static void futex_wake(struct game *g, int other)
{
	syscall(SYS_futex, g->word[other], FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void eventfd_wait(struct game *g, int me, uint32_t until)
{
	uint64_t n;

	(void)until;
	if (read(g->fd[me], &n, sizeof(n)) != sizeof(n))
		bench_die("eventfd", -errno);
}

static void eventfd_wake(struct game *g, int other)
{
	uint64_t one = 1;

	if (write(g->fd[other], &one, sizeof(one)) != sizeof(one))
		bench_die("eventfd", -errno);
}

static void hit(struct game *g, int other)
{
	__atomic_fetch_add(g->word[other], 1, __ATOMIC_SEQ_CST);
	g->wake(g, other);
}

static void play_second(struct game *g)
{
	uint32_t i;

	for (i = 1; i <= TURNS + WARM; i++) {
		g->wait(g, 1, i);
		hit(g, 0);
	}
}

static void *second_thread(void *arg)
{
	play_second(arg);
	return NULL;
}

static void play_first(struct game *g)
{
	uint64_t start;
	uint32_t i;

	for (i = 1; i <= TURNS + WARM; i++) {
		start = bench_now();
		hit(g, 1);
		g->wait(g, 0, i);
		if (i > WARM)
			g->took[i - WARM - 1] = bench_now() - start;
	}
}

static void play(struct game *g, const char *name, bool processes)
{
	pthread_t thread = 0;
	pid_t pid = 0;

	*g->word[0] = 0;
	*g->word[1] = 0;
	fflush(stdout);
	if (processes) {
		pid = fork();
		if (!pid) {
			play_second(g);
			_exit(0);
		}
	} else if (pthread_create(&thread, NULL, second_thread, g)) {
		bench_die("pthread_create", -EAGAIN);
	}
	play_first(g);
	if (processes)
		waitpid(pid, NULL, 0);
	else
		pthread_join(thread, NULL);
	bench_sort(g->took, TURNS);
	printf("| %-34s | %8.1f | %8.1f | %8.1f |\n", name, bench_us(g->took, TURNS, 50),
	       bench_us(g->took, TURNS, 99), bench_us(g->took, TURNS, 100));
	fflush(stdout);
}

void bench_pingpong(int runs)
{
	static const struct {
		const char *name;
		void (*wait)(struct game *g, int me, uint32_t until);
		void (*wake)(struct game *g, int other);
	} ways[] = {
		{ "asynclazy, waiting in the call", ours_wait, ours_wake },
		{ "asynclazy, poll and dispatch", loop_wait, ours_wake },
		{ "futex(2)", futex_wait, futex_wake },
		{ "eventfd", eventfd_wait, eventfd_wake },
	};
	static struct game g;
	uint32_t *shared;
	bool processes;
	size_t i;

	(void)runs;
	g.cache = alazy_cache_open(NULL, NULL);
	if (!g.cache)
		bench_die("alazy_cache_open", -errno);
	processes = !strcmp(alazy_backend(g.cache), "kernel");
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		bench_die("mmap", -errno);
	for (i = 0; i < 2; i++)
		g.fd[i] = eventfd(0, EFD_CLOEXEC);
	printf("\na word there and back between two %s, %d times: microseconds\n\n",
	       processes ? "processes" : "threads", TURNS);
	printf("| %-34s | %8s | %8s | %8s |\n|---|---|---|---|\n", "", "p50", "p99", "longest");
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		bool ours = ways[i].wake == ours_wake;

		/* one loop for both would serve either's waits */
		if (ways[i].wait == loop_wait && !processes)
			continue;
		g.word[0] = ours ? alazy_word(g.cache, 0) : &shared[0];
		g.word[1] = ours ? alazy_word(g.cache, 64) : &shared[64];
		g.wait = ways[i].wait;
		g.wake = ways[i].wake;
		play(&g, ways[i].name, processes);
	}
	for (i = 0; i < 2; i++)
		close(g.fd[i]);
	munmap(shared, 4096);
	alazy_cache_close(g.cache);
}
