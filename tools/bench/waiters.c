// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * One wake and many who wait for it: from the wake to each waiter's being told, by
 * ours and by what else there is. Each method has N waiters, and a waker in another
 * thread; between two wakes all of them wait again.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "waiters.h"

static const struct bench_method *const methods[] = {
	&bench_ours, &bench_eventfd, &bench_pipe, &bench_threads, &bench_helpers, &bench_uring,
};

void *bench_calloc(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		bench_die("calloc", -ENOMEM);
	return p;
}

void bench_told(struct bench_waiters *w)
{
	unsigned int at = atomic_fetch_add(&w->nr_told, 1);

	w->told[at] = bench_now() - w->woken;
}

static void *waker(void *arg)
{
	struct bench_waiters *w = arg;

	for (;;) {
		pthread_barrier_wait(&w->armed);
		if (w->over)
			return NULL;
		/* those in threads of their own are asleep by then */
		usleep(w->method->asleep_us);
		w->woken = bench_now();
		__atomic_fetch_add(w->word, 1, __ATOMIC_SEQ_CST);
		w->method->wake(w);
	}
}

static double cpu_seconds(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return r.ru_utime.tv_sec + r.ru_stime.tv_sec +
	       (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

/* KiB of kernel memory, on the whole machine. */
static long kernel_kib(void)
{
	static const char *const names[] = { "Slab:", "KernelStack:", "PageTables:", "Percpu:" };
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];
	long sum = 0;
	size_t i;

	while (f && fgets(line, sizeof(line), f))
		for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (!strncmp(line, names[i], strlen(names[i])))
				sum += strtol(line + strlen(names[i]), NULL, 10);
	if (f)
		fclose(f);
	return sum;
}

/* KiB that this process has in memory. */
static long user_kib(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long resident = 0;
	char line[128], *at;

	if (f && fgets(line, sizeof(line), f)) {
		/* after all of its addresses */
		at = strchr(line, ' ');
		resident = at ? strtol(at, NULL, 10) : 0;
	}
	if (f)
		fclose(f);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void rounds_run(struct bench_waiters *w, unsigned int rounds, uint64_t *all)
{
	unsigned int i;

	for (i = 0; i < rounds; i++) {
		w->told = all + (size_t)i * w->n;
		atomic_store(&w->nr_told, 0);
		w->method->arm(w);
		pthread_barrier_wait(&w->armed);
		w->method->collect(w);
	}
}

/* All of one method for so many waiters. */
static void method_run(const struct bench_method *m, unsigned int n, unsigned int rounds)
{
	struct bench_waiters w = { .method = m, .n = n };
	size_t nr_all = (size_t)n * rounds;
	uint64_t *all = bench_calloc(nr_all + n, sizeof(*all));
	long kernel, user;
	pthread_t thread;
	double cpu;

	memset(all, 1, (nr_all + n) * sizeof(*all));	/* it is not to count as theirs */
	pthread_barrier_init(&w.armed, NULL, 2);
	if (pthread_create(&thread, NULL, waker, &w))
		bench_die("pthread_create", -EAGAIN);
	kernel = kernel_kib();
	user = user_kib();
	if (m->open(&w)) {
		printf("| %-28s | %6u | %s |\n", m->name, n, w.why);
	} else {
		/* once for the memory; what comes after is in place by then */
		w.told = all + nr_all;
		m->arm(&w);
		kernel = kernel_kib() - kernel;
		user = user_kib() - user;
		pthread_barrier_wait(&w.armed);
		m->collect(&w);
		cpu = cpu_seconds();
		rounds_run(&w, rounds, all);
		cpu = cpu_seconds() - cpu;
		bench_sort(all, nr_all);
		printf("| %-28s | %6u | %8.1f | %8.1f | %8.2f |", m->name, n,
		       bench_us(all, nr_all, 50), bench_us(all, nr_all, 99),
		       1e6 * cpu / nr_all);
		/* fewer are lost in what else there is */
		if (n >= 1000)
			printf(" %8ld | %8ld |\n", kernel * 1024 / (long)n, user * 1024 / (long)n);
		else
			printf("          |          |\n");
	}
	w.over = true;
	pthread_barrier_wait(&w.armed);
	pthread_join(thread, NULL);
	m->close(&w);
	pthread_barrier_destroy(&w.armed);
	free(all);
	fflush(stdout);
}

void bench_waiters(int runs)
{
	static const struct { unsigned int n, rounds; } counts[] = {
		{ 1, 300 }, { 100, 30 }, { 10000, 1 },
	};
	struct rlimit limit;
	size_t i, j;

	/* pipes are two descriptors each */
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	printf("\nfrom a wake to each waiter's being told, in microseconds; processor time of all\n"
	       "threads for each that was told; bytes for each waiter, of the kernel's memory and of\n"
	       "this process's\n\n");
	printf("| %-28s | %6s | %8s | %8s | %8s | %8s | %8s |\n|---|---|---|---|---|---|---|\n",
	       "", "waiters", "p50 us", "p99 us", "cpu us", "kernel B", "user B");
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		for (j = 0; j < sizeof(methods) / sizeof(methods[0]); j++)
			method_run(methods[j], counts[i].n, counts[i].rounds * runs);
}
