// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Wakes: two that take turns. Each holds the ticket that the other waits for;
 * a turn is claim (of the next), publish, wake, wait. Two processes on the
 * module, two threads on the local backend. The peer is an eventfd round trip
 * between the same two.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <asynclazy.h>

#include "bench.h"

#define ROUNDS	2000

struct pair {
	struct alazy_cache *cache;
	int run;
	int fd[2];
	bool processes;
};

static void turn_claim(struct pair *p, int turn, struct alazy_ticket *ticket)
{
	struct alazy_answer a;
	char key[32];
	int n = snprintf(key, sizeof(key), "run %d turn %d", p->run, turn);
	int err = alazy_claim(p->cache, key, n, ALAZY_CLAIM_INIT, 0, NULL, NULL, &a);

	if (err || a.kind != ALAZY_ANSWER_TICKET)
		bench_die("claim", err ? err : -114);
	*ticket = a.ticket;
}

static void turn_wait(struct pair *p, int turn)
{
	struct alazy_ref ref;
	char key[32];
	int n = snprintf(key, sizeof(key), "run %d turn %d", p->run, turn);
	int err;

	/* the other has claimed it before it let us run */
	err = alazy_cache_get(p->cache, key, n, NULL, NULL, &ref);
	if (err)
		bench_die("wait", err);
	alazy_ref_put(&ref);
}

/* Turns 0, 2, 4 … are published by the first, 1, 3, 5 … by the second. */
static void play(struct pair *p, int first)
{
	struct alazy_ticket mine, next;
	int turn = first ? 0 : 1;
	uint64_t one = 1;
	int err;

	turn_claim(p, turn, &mine);
	/* both have claimed their first before either waits */
	if (write(p->fd[first], &one, 8) != 8 || read(p->fd[!first], &one, 8) != 8)
		bench_die("eventfd", -5);
	for (; turn < 2 * ROUNDS; turn += 2) {
		if (!first)
			turn_wait(p, turn - 1);
		turn_claim(p, turn + 2, &next);
		err = alazy_publish(&mine, "x", 1, 0);
		if (err)
			bench_die("publish", err);
		mine = next;
		if (first)
			turn_wait(p, turn + 1);
	}
	alazy_abandon(&mine);
}

static void eventfd_play(struct pair *p, int first)
{
	uint64_t one = 1;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		if (first && write(p->fd[1], &one, 8) != 8)
			bench_die("eventfd", -5);
		if (read(p->fd[!first], &one, 8) != 8)
			bench_die("eventfd", -5);
		if (!first && write(p->fd[0], &one, 8) != 8)
			bench_die("eventfd", -5);
	}
}

typedef void (*play_fn)(struct pair *p, int first);

struct second {
	struct pair *pair;
	play_fn play;
};

static void *second_thread(void *arg)
{
	struct second *s = arg;

	s->play(s->pair, 0);
	return NULL;
}

static void pair_run(struct pair *p, play_fn fn, struct bench_result *r)
{
	struct second s = { p, fn };
	bool processes = p->processes;
	pthread_t thread = 0;
	uint64_t start;
	pid_t pid = 0;

	if (processes) {
		fflush(stdout);
		pid = fork();
		if (!pid) {
			fn(p, 0);
			_exit(0);
		}
	} else if (pthread_create(&thread, NULL, second_thread, &s)) {
		bench_die("pthread_create", -11);
	}
	start = bench_now();
	fn(p, 1);
	bench_add(r, start, ROUNDS);
	if (processes)
		waitpid(pid, NULL, 0);
	else
		pthread_join(thread, NULL);
}

void bench_wakes(int runs)
{
	struct bench_result ours = { .name = "wake of a waiter and back (two of each)" };
	struct bench_result peer = { .name = "peer: eventfd round trip" };
	struct alazy_cache_opts opts = {
		.size = sizeof(opts),
		.max_keys = (uint64_t)runs * (2 * ROUNDS + 2),
		.arena_size = (uint64_t)runs * (2 * ROUNDS + 2) * 128 + (1 << 20),
	};
	struct pair p = { .cache = alazy_cache_open(NULL, &opts) };
	double peer_ns;

	if (!p.cache)
		bench_die("alazy_cache_open", -19);
	p.processes = !strcmp(alazy_backend(p.cache), "kernel");
	p.fd[0] = eventfd(0, 0);
	p.fd[1] = eventfd(0, 0);
	for (p.run = 0; p.run < runs; p.run++) {
		pair_run(&p, eventfd_play, &peer);
		pair_run(&p, play, &ours);
	}
	peer_ns = bench_report(&peer, NULL, 0);
	bench_report(&ours, "eventfd round trip", peer_ns);
	close(p.fd[0]);
	close(p.fd[1]);
	alazy_cache_close(p.cache);
}

static void *touch(size_t bytes)
{
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		bench_die("mmap", -12);
	memset(p, 1, bytes);
	return p;
}

static void on_answer(struct alazy_answer *a, void *ctx)
{
	if (a->kind == ALAZY_ANSWER_TICKET)
		*(struct alazy_ticket *)ctx = a->ticket;
}

static void death_run(struct alazy_cache *cache, int i, size_t bytes,
		      struct bench_result *r)
{
	struct alazy_ticket ticket = { .id = 0 };
	struct alazy_answer a;
	struct pollfd pfd;
	int ready[2];
	uint64_t start;
	char key[32], c;
	int n = snprintf(key, sizeof(key), "death %zu %d", bytes, i);
	pid_t pid;

	if (pipe(ready))
		bench_die("pipe", -24);
	pid = fork();
	if (!pid) {
		touch(bytes);
		alazy_claim(cache, key, n, ALAZY_CLAIM_INIT, 0, NULL, NULL, &a);
		if (a.kind == ALAZY_ANSWER_TICKET && write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	if (read(ready[0], &c, 1) != 1)
		bench_die("owner", -10);
	if (alazy_claim(cache, key, n, ALAZY_CLAIM_INIT | ALAZY_CLAIM_EVENT, 0, on_answer,
			&ticket, &a) || a.kind != ALAZY_ANSWER_PENDING)
		bench_die("wait", -5);
	pfd = (struct pollfd) { .fd = alazy_fd(cache), .events = POLLIN };
	start = bench_now();
	kill(pid, SIGKILL);
	if (poll(&pfd, 1, -1) != 1 || alazy_dispatch(cache) != 1 || !ticket.id)
		bench_die("hand-over", -5);
	bench_add(r, start, 1);
	alazy_abandon(&ticket);
	waitpid(pid, NULL, 0);
	close(ready[0]);
	close(ready[1]);
}

/* From kill() to the next owner holding the ticket in its callback. */
void bench_death(int runs)
{
	struct bench_result small = { .name = "kill -> next has the ticket, small owner" };
	struct bench_result large = { .name = "kill -> next has the ticket, 256 MiB owner" };
	struct alazy_cache *cache = alazy_cache_open(NULL, NULL);
	int i;

	if (!cache)
		bench_die("alazy_cache_open", -19);
	if (!strcmp(alazy_backend(cache), "kernel")) {
		for (i = 0; i < runs; i++) {
			death_run(cache, i, 4096, &small);
			death_run(cache, i, 256 << 20, &large);
		}
		bench_report(&small, NULL, 0);
		bench_report(&large, NULL, 0);
	} else {
		printf("%-44s (needs the module: threads do not die alone)\n", small.name);
	}
	alazy_cache_close(cache);
}
