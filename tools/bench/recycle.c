// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Caches that evict: what a hit costs with its pin, and while others are evicted;
 * what an insertion costs when there is no room, and how long one may take that
 * has to wait for a segment to be emptied.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <asynclazy.h>

#include "bench.h"

#define HOT_KEYS	1000
#define ARENA		(16ULL << 20)
#define VALUE_SIZE	200
#define INSERTS		60000	/* of a run: more than there is room for */
#define PART		1000

static struct alazy_cache *full_cache(uint64_t keys)
{
	struct alazy_cache_opts opts = {
		.size = sizeof(opts), .max_keys = keys, .arena_size = ARENA,
	};
	struct alazy_cache *cache = alazy_cache_open(NULL, &opts);

	if (!cache)
		bench_die("alazy_cache_open", -19);
	return cache;
}

static int fill(const struct alazy_ticket *t, const void *key, size_t size, void *ctx)
{
	char value[VALUE_SIZE] = { 0 };

	(void)ctx;
	memcpy(value, key, size);
	return alazy_publish(t, value, sizeof(value), 0);
}

static void get(struct alazy_cache *cache, uint64_t key, alazy_init_fn init)
{
	struct alazy_ref ref;
	int err = alazy_cache_get(cache, &key, sizeof(key), init, NULL, &ref);

	if (err)
		bench_die("alazy_cache_get", err);
	bench_use(*(const char *)ref.data);
	alazy_ref_put(&ref);
}

static void insert(struct alazy_cache *cache, uint64_t n)
{
	static uint64_t next = 1ULL << 32;

	while (n--)
		get(cache, next++, fill);
}

static struct alazy_stats stats_of(struct alazy_cache *cache)
{
	struct alazy_stats s = { .size = sizeof(s) };
	int err = alazy_cache_stats(cache, &s);

	if (err)
		bench_die("alazy_cache_stats", err);
	return s;
}

/* The same keys, in a cache with nothing else, and in one where all others go. */
static void bench_hot(int runs)
{
	struct bench_result still = { .name = "hit by key, evicting cache, 1,000 keys" };
	struct bench_result moving = { .name = "the same between insertions at full" };
	const unsigned int rounds = 20, turns = 50;
	struct alazy_cache *cache = full_cache(1000000);
	uint64_t ns = 0, hits = 0, before;
	double still_ns;
	unsigned int i, k;

	for (k = 0; k < HOT_KEYS; k++)
		get(cache, k, fill);
	while (still.runs < runs) {
		uint64_t start = bench_now();

		for (i = 0; i < rounds * turns; i++)
			for (k = 0; k < HOT_KEYS; k++)
				get(cache, k, NULL);
		bench_add(&still, start, (uint64_t)rounds * turns * HOT_KEYS);
	}
	insert(cache, ARENA / VALUE_SIZE);
	before = stats_of(cache).evictions;
	while (moving.runs < runs) {
		ns = 0;
		hits = 0;
		for (i = 0; i < turns; i++) {
			uint64_t start;

			insert(cache, PART);
			/* first find what was evicted after all, and what lies elsewhere now */
			for (k = 0; k < HOT_KEYS; k++)
				get(cache, k, fill);
			start = bench_now();
			for (k = 0; k < rounds * HOT_KEYS; k++)
				get(cache, k % HOT_KEYS, NULL);
			ns += bench_now() - start;
			hits += (uint64_t)rounds * HOT_KEYS;
		}
		moving.ns[moving.runs++] = (double)ns / hits;
	}
	still_ns = bench_report(&still, NULL, 0);
	bench_report(&moving, "that", still_ns);
	printf("# %lu values were evicted meanwhile\n",
	       (unsigned long)(stats_of(cache).evictions - before));
	alazy_cache_close(cache);
}

static int longer(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void bench_insert(int runs)
{
	struct bench_result room = { .name = "claim + publish, evicting, there is room" };
	struct bench_result full = { .name = "claim + publish, evicting, full" };
	struct bench_result p99 = { .name = "one such insertion at full, 99th percentile" };
	struct bench_result most = { .name = "one such insertion at full, the longest" };
	uint32_t *each = malloc(INSERTS * sizeof(*each));
	struct alazy_stats before, after;
	struct alazy_cache *cache;
	const size_t rank = (size_t)INSERTS * 99 / 100;
	double room_ns;
	unsigned int i;

	if (!each)
		bench_die("latencies", -12);
	while (room.runs < runs) {
		uint64_t start;

		cache = full_cache(1000000);
		start = bench_now();
		insert(cache, INSERTS / 2);
		bench_add(&room, start, INSERTS / 2);
		alazy_cache_close(cache);
	}
	cache = full_cache(1000000);
	insert(cache, 2 * ARENA / VALUE_SIZE);
	before = stats_of(cache);
	while (full.runs < runs) {
		uint64_t start = bench_now();

		insert(cache, INSERTS);
		bench_add(&full, start, INSERTS);
		for (i = 0; i < INSERTS; i++) {
			start = bench_now();
			insert(cache, 1);
			each[i] = bench_now() - start;
		}
		qsort(each, INSERTS, sizeof(*each), longer);
		p99.ns[p99.runs++] = each[rank];
		most.ns[most.runs++] = each[INSERTS - 1];
	}
	after = stats_of(cache);
	room_ns = bench_report(&room, NULL, 0);
	bench_report(&full, "with room", room_ns);
	bench_report(&p99, "with room", room_ns);
	bench_report(&most, "with room", room_ns);
	printf("# %lu segments of %lu KiB emptied meanwhile, %lu values evicted, %lu insertions waited for one\n",
	       (unsigned long)(after.reclaims - before.reclaims),
	       (unsigned long)(ARENA / after.segments >> 10),
	       (unsigned long)(after.evictions - before.evictions),
	       (unsigned long)(after.waited - before.waited));
	free(each);
	alazy_cache_close(cache);
}

void bench_recycle(int runs)
{
	bench_hot(runs);
	bench_insert(runs);
}
