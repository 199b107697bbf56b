// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Hits, beside a plain acquire load and pthread_once. And making the values. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <asynclazy.h>

#include "bench.h"

#define KEY_SIZE	16
#define VALUE_SIZE	64

struct keys {
	char (*key)[KEY_SIZE];
	uint32_t n;
};

static uint64_t random_state = 88172645463325252ULL;

static uint32_t random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 32) * n >> 32;
}

/* In random order, so that the next key's place cannot be guessed. */
static struct keys keys_new(uint32_t n, const char *prefix)
{
	struct keys k = { malloc((size_t)n * KEY_SIZE), n };
	char text[KEY_SIZE + 16];
	uint32_t i;

	if (!k.key)
		bench_die("keys", -12);
	for (i = 0; i < n; i++) {
		uint32_t j = random_below(i + 1);

		memcpy(k.key[i], k.key[j], KEY_SIZE);
		snprintf(text, sizeof(text), "%s%012u", prefix, i);
		memcpy(k.key[j], text, KEY_SIZE);
	}
	return k;
}

static int fill(const struct alazy_ticket *t, const void *key, size_t size, void *ctx)
{
	char value[VALUE_SIZE] = { 0 };

	(void)ctx;
	memcpy(value, key, size);
	return alazy_publish(t, value, sizeof(value), 0);
}

static struct alazy_cache *cache_new(uint64_t keys)
{
	struct alazy_cache_opts opts = {
		.size = sizeof(opts),
		.flags = ALAZY_CACHE_STABLE,
		.max_keys = keys,
		.arena_size = keys * 256 + (1 << 20),
	};
	struct alazy_cache *cache = alazy_cache_open(NULL, &opts);

	if (!cache)
		bench_die("alazy_cache_open", -19);
	return cache;
}

static void get_all(struct alazy_cache *cache, const struct keys *k)
{
	struct alazy_ref ref;
	uint32_t i;
	int err;

	for (i = 0; i < k->n; i++) {
		err = alazy_cache_get(cache, k->key[i], KEY_SIZE, fill, NULL, &ref);
		if (err)
			bench_die("alazy_cache_get", err);
		bench_use(*(const char *)ref.data);
		alazy_ref_put(&ref);
	}
}

static bool have_memory(uint64_t bytes)
{
	return sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) > bytes;
}

/* @small: without huge pages, to see what they are good for */
static double bench_by_key(uint32_t n, const char *name, uint32_t rounds, int runs,
			   bool small, const char *peer, double peer_ns)
{
	struct bench_result r = { .name = name };
	struct alazy_cache *cache;
	struct keys k;
	uint32_t i;

	if (!have_memory(n * 400ULL)) {
		printf("# %s: left out, it takes %llu MiB of free memory\n", name,
		       n * 400ULL >> 20);
		return 0;
	}
	k = keys_new(n, "key-");
	prctl(PR_SET_THP_DISABLE, small, 0, 0, 0);
	cache = cache_new(n);
	get_all(cache, &k);
	while (r.runs < runs) {
		uint64_t start = bench_now();

		for (i = 0; i < rounds; i++)
			get_all(cache, &k);
		bench_add(&r, start, (uint64_t)rounds * n);
	}
	peer_ns = bench_report(&r, peer, peer_ns);
	alazy_cache_close(cache);
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
	free(k.key);
	return peer_ns;
}

static void bench_pages(uint32_t n, const char *name, const char *small, int runs,
			double load_ns)
{
	double ns = bench_by_key(n, name, 1, runs, false, "acquire load", load_ns);

	if (ns)
		bench_by_key(n, small, 1, runs, true, "with huge pages", ns);
}

static void once_fn(void)
{
}

void bench_hits(int runs)
{
	struct bench_result load = { .name = "peer: acquire load" };
	struct bench_result once = { .name = "peer: pthread_once, done" };
	struct bench_result hit = { .name = "hit of one ALazy value" };
	const uint32_t n = 2000000;
	static pthread_once_t control = PTHREAD_ONCE_INIT;
	struct alazy_cache *cache = cache_new(100);
	struct alazy *lazy = alazy_new(cache, "one", 3, fill, NULL);
	void *volatile slot = &load;
	struct alazy_ref ref;
	double load_ns;
	uint32_t i;

	if (!lazy || alazy_get(lazy, &ref))
		bench_die("alazy_get", -12);
	pthread_once(&control, once_fn);
	while (load.runs < runs) {
		uint64_t start = bench_now();

		for (i = 0; i < n; i++)
			bench_use(__atomic_load_n(&slot, __ATOMIC_ACQUIRE));
		bench_add(&load, start, n);

		start = bench_now();
		for (i = 0; i < n; i++) {
			pthread_once(&control, once_fn);
			bench_barrier();
		}
		bench_add(&once, start, n);

		start = bench_now();
		for (i = 0; i < n; i++) {
			if (alazy_get(lazy, &ref))
				bench_die("alazy_get", -5);
			bench_use(ref.data);
			alazy_ref_put(&ref);
		}
		bench_add(&hit, start, n);
	}
	load_ns = bench_report(&load, NULL, 0);
	bench_report(&once, "acquire load", load_ns);
	bench_report(&hit, "acquire load", load_ns);
	alazy_free(lazy);
	alazy_cache_close(cache);

	bench_by_key(1000, "hit by key, 1,000 keys", 500, runs, false, "acquire load", load_ns);
	bench_pages(1000000, "hit by key, 1,000,000 keys",
		    "the same, huge pages forbidden", runs, load_ns);
	bench_pages(10000000, "hit by key, 10,000,000 keys",
		    "the same, huge pages forbidden", runs, load_ns);
}

void bench_stores(int runs)
{
	struct bench_result r = { .name = "claim + publish, 16-byte key, 64-byte value" };
	const uint32_t n = 20000;

	while (r.runs < runs) {
		struct alazy_cache *cache = cache_new(n);
		struct keys k = keys_new(n, "new-");
		uint64_t start = bench_now();

		get_all(cache, &k);
		bench_add(&r, start, n);
		alazy_cache_close(cache);
		free(k.key);
	}
	bench_report(&r, NULL, 0);
}
