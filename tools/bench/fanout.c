// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * One publish and 10,000 who wait for it in eight processes; and what that is to somebody
 * who sets another key meanwhile.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <asynclazy.h>

#include "bench.h"

#define PROCESSES	8
#define WAITERS		10000
#define SAMPLES		200000
#define QUIET_US	200000

enum phase { PHASE_QUIET, PHASE_FANOUT, PHASE_OVER, PHASES };

struct shared {
	atomic_uint ready, done;
	_Atomic enum phase phase;
	uint64_t published;		/* when, ns */
	uint64_t last[PROCESSES];	/* until all of it had been told */
	unsigned int n[PHASES];
	uint64_t took[PHASES][SAMPLES];	/* sets of another key, ns */
};

struct fanout {
	struct alazy_cache *cache;
	struct shared *s;
	unsigned int left;
};

static void on_value(int err, struct alazy_ref *ref, void *ctx)
{
	struct fanout *f = ctx;

	(void)ref;
	if (err)
		bench_die("get", err);
	f->left--;
}

static void waiter(struct fanout *f, int me)
{
	struct pollfd p = { .events = POLLIN };
	unsigned int i;
	int err;

	f->left = WAITERS / PROCESSES;
	for (i = f->left; i; i--) {
		err = alazy_cache_get_async(f->cache, "key", 3, NULL, on_value, f, NULL);
		if (err)
			bench_die("alazy_cache_get_async", err);
	}
	p.fd = alazy_fd(f->cache);
	atomic_fetch_add(&f->s->ready, 1);
	while (f->left) {
		poll(&p, 1, -1);
		alazy_dispatch(f->cache);
	}
	f->s->last[me] = bench_now() - f->s->published;
	atomic_fetch_add(&f->s->done, 1);
	_exit(0);
}

static void other_key(struct fanout *f)
{
	enum phase phase;

	atomic_fetch_add(&f->s->ready, 1);
	while ((phase = atomic_load(&f->s->phase)) != PHASE_OVER) {
		uint64_t start = bench_now();
		int err = alazy_cache_set(f->cache, "other", 5, "x", 1, 0);

		if (err)
			bench_die("alazy_cache_set", err);
		if (f->s->n[phase] < SAMPLES)
			f->s->took[phase][f->s->n[phase]++] = bench_now() - start;
	}
	_exit(0);
}

static pid_t start(struct fanout *f, int me)
{
	pid_t pid = fork();

	if (pid < 0)
		bench_die("fork", -errno);
	if (pid)
		return pid;
	if (me < PROCESSES)
		waiter(f, me);
	else
		other_key(f);
	return 0;
}

static void show(const char *when, uint64_t *took, unsigned int n)
{
	bench_sort(took, n);
	if (n)
		printf("# a set of another key, %s: p50 %.1f us, p99 %.1f us, most %.1f us (%u of them)\n",
		       when, bench_us(took, n, 50), bench_us(took, n, 99),
		       bench_us(took, n, 100), n);
}

static void await(const atomic_uint *count, unsigned int n)
{
	while (atomic_load(count) < n)
		usleep(100);
}

static void fanout(struct fanout *f, double *call_us, double *last_ms)
{
	struct alazy_answer a;
	uint64_t last = 0;
	pid_t pid[PROCESSES + 1];
	int err, i;

	memset(f->s, 0, sizeof(*f->s));
	err = alazy_claim(f->cache, "key", 3, ALAZY_CLAIM_INIT, 0, NULL, NULL, &a);
	if (err || a.kind != ALAZY_ANSWER_TICKET)
		bench_die("claim", err ? err : -EEXIST);
	for (i = 0; i <= PROCESSES; i++)
		pid[i] = start(f, i);
	await(&f->s->ready, PROCESSES + 1);
	usleep(QUIET_US);
	f->s->published = bench_now();
	atomic_store(&f->s->phase, PHASE_FANOUT);
	err = alazy_publish(&a.ticket, "value", 5, 0);
	*call_us = (double)(bench_now() - f->s->published) / 1e3;
	if (err)
		bench_die("publish", err);
	await(&f->s->done, PROCESSES);
	atomic_store(&f->s->phase, PHASE_OVER);
	for (i = 0; i <= PROCESSES; i++)
		waitpid(pid[i], NULL, 0);
	for (i = 0; i < PROCESSES; i++)
		if (f->s->last[i] > last)
			last = f->s->last[i];
	*last_ms = (double)last / 1e6;
	if (alazy_cache_invalidate(f->cache, "key", 3) < 0)
		bench_die("invalidate", -EIO);
}

void bench_fanout(int runs)
{
	struct fanout f = { .cache = alazy_cache_open(NULL, NULL) };
	double call_us, last_ms;
	int i;

	if (!f.cache)
		bench_die("alazy_cache_open", -errno);
	if (strcmp(alazy_backend(f.cache), "kernel")) {
		printf("# fan-out to processes: only on the module\n");
		alazy_cache_close(f.cache);
		return;
	}
	f.s = mmap(NULL, sizeof(*f.s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (f.s == MAP_FAILED)
		bench_die("mmap", -errno);
	printf("\n");
	for (i = 0; i < runs; i++) {
		fanout(&f, &call_us, &last_ms);
		printf("# fan-out to %d waiters in %d processes: publish returned after %.0f us, the last was told after %.1f ms\n",
		       WAITERS, PROCESSES, call_us, last_ms);
		show("with nothing else going on", f.s->took[PHASE_QUIET], f.s->n[PHASE_QUIET]);
		show("meanwhile", f.s->took[PHASE_FANOUT], f.s->n[PHASE_FANOUT]);
	}
	munmap(f.s, sizeof(*f.s));
	alazy_cache_close(f.cache);
}
