// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include <asynclazy.h>

#include "bench.h"

uint64_t bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

void bench_add(struct bench_result *r, uint64_t start, uint64_t ops)
{
	uint64_t ns = bench_now() - start;

	if (r->runs < BENCH_RUNS_MAX)
		r->ns[r->runs++] = (double)ns / ops;
}

static int bench_less(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void bench_sort(uint64_t *ns, size_t n)
{
	qsort(ns, n, sizeof(*ns), bench_less);
}

double bench_us(const uint64_t *sorted, size_t n, unsigned int percent)
{
	size_t at = percent >= 100 ? n - 1 : n * percent / 100;

	return (double)sorted[at] / 1e3;
}

static int bench_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Prints the median, the spread, and the ratio to a peer; returns the median. */
double bench_report(struct bench_result *r, const char *peer, double peer_ns)
{
	double median;

	qsort(r->ns, r->runs, sizeof(r->ns[0]), bench_compare);
	median = r->ns[r->runs / 2];
	printf("%-44s %11.1f  %9.1f - %-10.1f", r->name, median, r->ns[0],
	       r->ns[r->runs - 1]);
	if (peer)
		printf("  %6.2f x %s", median / peer_ns, peer);
	putchar('\n');
	fflush(stdout);
	return median;
}

static void bench_cpu(char *name, size_t size)
{
	FILE *f = fopen("/proc/cpuinfo", "r");
	char line[256];

	snprintf(name, size, "unknown CPU");
	while (f && fgets(line, sizeof(line), f)) {
		char *colon = strstr(line, ": ");

		if (strncmp(line, "model name", 10) || !colon)
			continue;
		snprintf(name, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
		break;
	}
	if (f)
		fclose(f);
}

void bench_header(const char *backend, int runs)
{
	struct utsname u;
	char cpu[128];

	uname(&u);
	bench_cpu(cpu, sizeof(cpu));
	printf("# backend %s, Linux %s %s, %s, compiler " __VERSION__ "\n", backend,
	       u.release, u.machine, cpu);
	printf("# nanoseconds of one operation: median of %d runs, smallest - largest\n", runs);
}

void bench_die(const char *what, int err)
{
	fprintf(stderr, "asynclazy-bench: %s: %s%s%s\n", what, strerror(-err),
		*alazy_strerror_detail() ? ": " : "", alazy_strerror_detail());
	exit(1);
}
