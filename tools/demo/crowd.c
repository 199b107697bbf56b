// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Stage one: many processes ask for the same results at the same moment, and
 * one is killed while it initialises. This is their parent: it opens the
 * barrier, follows what they tell, kills the one, and checks what came of it.
 *
 * Nothing here depends on time: the first initialiser of the chosen key says so
 * and then waits to be killed, which happens once somebody waits for it.
 */
#define _GNU_SOURCE
#include <asynclazy.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "view.h"

struct parent {
	struct crowd crowd;
	struct view view;
	struct alazy_cache *cache;
	pid_t pids[MAX_WORKERS];
	unsigned int ready;
	unsigned int errors;
	int victim_worker;	/* -1: not known yet */
	uint64_t killed_at;	/* 0: not yet */
	uint64_t handover_ns;	/* kill -> the next has started */
	struct answer expected[MAX_KEYS];
};

static void make_keys(struct crowd *crowd)
{
	const struct demo *demo = crowd->demo;
	unsigned int i;

	for (i = 0; i < 2 * demo->nr_files; i++) {
		struct key *key = &crowd->keys[i];

		key->kind = i % 2 ? WORK_SHA256 : WORK_DEFLATE;
		key->path = demo->files[i / 2];
		if (snprintf(key->name, sizeof(key->name), "%s:%s",
			     work_names[key->kind], key->path) >= (int)sizeof(key->name))
			die("the path %s is too long", key->path);
	}
	crowd->nr_keys = i;
	crowd->victim = 0;
}

/* The parent's own results, from the files and without any cache. */
static void make_expected(struct parent *p)
{
	char value[VALUE_MAX];
	uint64_t start = now_ns();
	unsigned int i;
	size_t size;

	for (i = 0; i < p->crowd.nr_keys; i++) {
		size = work_do(p->crowd.keys[i].kind, p->crowd.keys[i].path, value);
		p->expected[i].size = size;
		work_hash(value, size, p->expected[i].hash);
	}
	printf("One process alone computes the %u results in %.2f s.\n", i,
	       seconds(now_ns() - start));
}

static struct alazy_cache *open_cache(const char *name)
{
	struct alazy_cache_opts opts = {
		.size = sizeof(opts),
		.flags = ALAZY_CACHE_SHARED,
		.backend = ALAZY_BACKEND_KERNEL,
	};
	struct alazy_cache *cache = alazy_cache_open(name, &opts);

	if (!cache)
		die("cannot open a shared cache: %s: %s", strerror(errno),
		    alazy_strerror_detail());
	return cache;
}

static void start_workers(struct parent *p)
{
	struct crowd *crowd = &p->crowd;
	pid_t parent = getpid();
	unsigned int i;

	if (pipe2(crowd->events, O_CLOEXEC) || pipe2(crowd->barrier, O_CLOEXEC))
		die("pipe: %s", strerror(errno));
	fflush(stdout);
	for (i = 0; i < crowd->demo->workers; i++) {
		p->pids[i] = fork();
		if (p->pids[i] < 0)
			die("fork: %s", strerror(errno));
		if (!p->pids[i]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() != parent)
				_exit(1);
			_exit(worker_main(crowd, i));
		}
	}
	close(crowd->events[1]);
	close(crowd->barrier[0]);
}

static void open_barrier(struct parent *p)
{
	printf("%u processes are ready. Now all ask at once.\n",
	       p->crowd.demo->workers);
	fflush(stdout);
	/* all have it open: it needs its name no longer, whatever happens now */
	alazy_cache_unlink(p->crowd.cache_name, ALAZY_BACKEND_KERNEL);
	p->view.start = now_ns();
	close(p->crowd.barrier[1]);
}

/* Somebody initialises the chosen key, and somebody waits for it: now. */
static void maybe_kill(struct parent *p)
{
	struct key_view *k = &p->view.keys[p->crowd.victim];

	if (p->victim_worker < 0 || p->killed_at || !k->waiting)
		return;
	p->killed_at = now_ns();
	kill(k->pid, SIGKILL);
	k->state = KEY_LOST;
	view_line(&p->view, p->crowd.victim, p->killed_at,
		  "SIGKILL to %d, which initialises it", k->pid);
}

static void take_init(struct parent *p, const struct event *e)
{
	struct key_view *k = &p->view.keys[e->key];

	k->state = KEY_INITIALISING;
	k->pid = e->pid;
	k->inits++;
	if (e->amount) {
		p->view.handovers++;
		p->handover_ns = e->at - p->killed_at;
		view_line(&p->view, e->key, e->at, "handed over to %d", e->pid);
	} else {
		view_line(&p->view, e->key, e->at, "initialising by %d", e->pid);
	}
}

static void take_event(struct parent *p, const struct event *e)
{
	struct key_view *k = &p->view.keys[e->key];

	switch ((enum event_kind)e->kind) {
	case EVENT_READY:
		if (++p->ready == p->crowd.demo->workers)
			open_barrier(p);
		return;
	case EVENT_HELD:
		p->victim_worker = e->worker;
		take_init(p, e);
		break;
	case EVENT_INIT:
		take_init(p, e);
		break;
	case EVENT_FILLED:
		k->state = KEY_FILLED;
		k->cpu = e->amount;
		view_line(&p->view, e->key, e->at, "filled, %.2f s of CPU time",
			  seconds(k->cpu));
		break;
	case EVENT_WAITING:
		k->waiting++;
		break;
	case EVENT_GOT:
		k->waiting -= e->amount;
		p->view.answers++;
		break;
	case EVENT_DONE:
		p->view.done++;
		break;
	case EVENT_ERROR:
		p->errors++;
		fprintf(stderr, "worker %d: %s\n", e->pid, strerror(e->amount));
		break;
	}
	maybe_kill(p);
	view_changed(&p->view);
}

/* Until every worker has closed its end of the pipe. False: they are stuck. */
static bool follow(struct parent *p)
{
	struct pollfd fd = { .fd = p->crowd.events[0], .events = POLLIN };
	uint64_t last = now_ns();
	struct event event;
	int n;

	for (;;) {
		n = poll(&fd, 1, view_due(&p->view));
		if (n < 0 && errno != EINTR)
			die("poll: %s", strerror(errno));
		if (n <= 0) {
			if (now_ns() - last >= STUCK_MS * 1000000ULL)
				return false;
			view_draw(&p->view);
			continue;
		}
		if (read(fd.fd, &event, sizeof(event)) != sizeof(event))
			return true;
		last = now_ns();
		take_event(p, &event);
	}
}

/* Return: how many workers ended otherwise than they should. */
static unsigned int reap(struct parent *p)
{
	unsigned int i, wrong = 0;
	int status;

	for (i = 0; i < p->crowd.demo->workers; i++) {
		while (waitpid(p->pids[i], &status, 0) < 0)
			if (errno != EINTR)
				die("waitpid: %s", strerror(errno));
		if ((int)i == p->victim_worker && p->killed_at)
			wrong += !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL;
		else
			wrong += !!status;
	}
	return wrong;
}

/* Return: how many answers are right; -1 if one is not. */
static int compare(const struct parent *p)
{
	unsigned int w, k;
	int right = 0;

	for (w = 0; w < p->crowd.demo->workers; w++) {
		for (k = 0; k < p->crowd.nr_keys; k++) {
			const struct answer *got = &p->crowd.board->answers[w][k];

			if ((int)w == p->victim_worker && !got->size)
				continue;
			if (memcmp(got, &p->expected[k], sizeof(*got)))
				return -1;
			right++;
		}
	}
	return right;
}

/* Every request at the price that its key was measured to have. */
static double without(const struct parent *p, unsigned int *requests)
{
	double cpu = 0;
	unsigned int i;

	*requests = 0;
	for (i = 0; i < p->crowd.nr_keys; i++) {
		unsigned int n = atomic_load(&p->crowd.board->requests[i]);

		*requests += n;
		cpu += n * seconds(p->view.keys[i].cpu);
	}
	return cpu / p->crowd.demo->cpus;
}

static unsigned int check(struct parent *p, uint64_t took)
{
	struct alazy_stats stats = { .size = sizeof(stats) };
	unsigned int keys = p->crowd.nr_keys, workers = p->crowd.demo->workers;
	unsigned int inits = atomic_load(&p->crowd.board->inits);
	unsigned int ended_wrong = reap(p), requests, bad = 0;
	double price = without(p, &requests);
	int right = compare(p);

	alazy_cache_stats(p->cache, &stats);
	printf("\n");
	bad += !report(!p->errors && !ended_wrong && p->view.done == workers - 1,
		       "processes", "%u asked, %u have everything, 1 was killed while it initialised",
		       workers, p->view.done);
	bad += !report(requests > keys * (workers - 1), "requests",
		       "%u: %u by each of %u, and %d by the one that was killed",
		       requests, keys, workers - 1, (int)(requests - keys * (workers - 1)));
	bad += !report(inits == keys + 1 && stats.tickets == inits,
		       "initialisations", "%u: one for each of %u results, and that of the killed one; the kernel counts %llu",
		       inits, keys, (unsigned long long)stats.tickets);
	bad += !report(p->view.handovers == 1 && stats.handovers == 1 && stats.deaths == 1,
		       "hand-overs", "%u, %.1f ms from SIGKILL to the next initialiser's first line; the kernel counts %llu after %llu death%s",
		       p->view.handovers, seconds(p->handover_ns) * 1000,
		       (unsigned long long)stats.handovers,
		       (unsigned long long)stats.deaths, stats.deaths == 1 ? "" : "s");
	bad += !report(right >= 0 && (unsigned int)right >= keys * (workers - 1),
		       "results", right < 0 ? "not all as computed without asynclazy" :
		       "%d answers, byte for byte as computed without asynclazy", right);
	bad += !report(true, "time", "%.2f s", seconds(took));
	bad += !report(true, "without", "%.1f s: each request at the CPU time that was measured for its result, on %u CPUs: %.0f times as long",
		       price, p->crowd.demo->cpus, price / seconds(took));
	return bad;
}

unsigned int crowd_run(const struct demo *demo)
{
	struct parent p = { .victim_worker = -1 };
	unsigned int i, bad;

	p.crowd.demo = demo;
	p.view.crowd = &p.crowd;
	make_keys(&p.crowd);
	snprintf(p.crowd.cache_name, sizeof(p.crowd.cache_name),
		 "asynclazy-demo-%d", getpid());
	p.crowd.board = mmap(NULL, sizeof(*p.crowd.board), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p.crowd.board == MAP_FAILED)
		die("no shared memory: %s", strerror(errno));
	printf("\n1. %u processes want the same %u results: the SHA-256 and the\n"
	       "   compressed size of %u file%s. One of them is killed while it computes.\n\n",
	       demo->workers, p.crowd.nr_keys, demo->nr_files,
	       demo->nr_files == 1 ? "" : "s");
	p.cache = open_cache(p.crowd.cache_name);
	make_expected(&p);
	start_workers(&p);
	if (!follow(&p)) {
		fprintf(stderr, "nothing has happened for %d s: killing all\n",
			STUCK_MS / 1000);
		for (i = 0; i < demo->workers; i++)
			kill(p.pids[i], SIGKILL);
	}
	view_draw(&p.view);
	bad = check(&p, now_ns() - p.view.start);
	close(p.crowd.events[0]);
	alazy_cache_close(p.cache);
	munmap(p.crowd.board, sizeof(*p.crowd.board));
	return bad;
}
