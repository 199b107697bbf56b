/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the benchmarks share: timing, medians, the table of results. */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_RUNS_MAX	31

/**
 * struct bench_result - the runs of one benchmark
 * @name: what was measured
 * @ns: nanoseconds of one operation, one entry a run; sorted by bench_report()
 * @runs: how many
 */
struct bench_result {
	const char *name;
	double ns[BENCH_RUNS_MAX];
	int runs;
};

uint64_t bench_now(void);
void bench_add(struct bench_result *r, uint64_t start, uint64_t ops);
/* Latencies: sort them, then ask for the @percent-th, in microseconds; 100: the largest. */
void bench_sort(uint64_t *ns, size_t n);
double bench_us(const uint64_t *sorted, size_t n, unsigned int percent);
double bench_report(struct bench_result *r, const char *peer, double peer_ns);
void bench_header(const char *backend, int runs);
_Noreturn void bench_die(const char *what, int err);

/* Keeps the compiler from moving or removing what is measured. */
#define bench_barrier()	__asm__ volatile("" ::: "memory")
#define bench_use(x)	__asm__ volatile("" :: "r"(x) : "memory")

void bench_hits(int runs);
void bench_stores(int runs);
void bench_recycle(int runs);
void bench_wakes(int runs);
void bench_stages(int runs);
void bench_pingpong(int runs);
void bench_death(int runs);
void bench_waiters(int runs);
void bench_fanout(int runs);
void bench_ticker(int runs);

#endif
