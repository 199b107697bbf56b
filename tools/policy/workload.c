// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Traces, made from a seed. */
#include <math.h>
#include <stdlib.h>

#include "policy.h"

#define SHIFT_EVERY	100	/* requests between two newcomers, shifting */

struct rng {
	uint64_t state;
};

static uint64_t rng_next(struct rng *r)
{
	r->state += 0x9e3779b97f4a7c15ULL;
	return policy_mix(r->state);
}

/* In [0, 1). */
static double rng_unit(struct rng *r)
{
	return (double)(rng_next(r) >> 11) / (double)(1ULL << 53);
}

/*
 * A key's size depends on the key alone: lognormal around 256, rounded up to 64
 * as the arena does.
 */
void workload_sizes(uint16_t *size, uint32_t keys, uint64_t seed)
{
	uint32_t k;

	for (k = 0; k < keys; k++) {
		struct rng r = { policy_mix(seed ^ policy_mix(k + 1)) };
		double u = 1 - rng_unit(&r);
		double v = rng_unit(&r);
		double x = 256 * exp(sqrt(-2 * log(u)) * cos(2 * M_PI * v));

		x = x < 64 ? 64 : x > POLICY_SIZE_MAX ? POLICY_SIZE_MAX : x;
		size[k] = (uint16_t)(((uint32_t)x + 63) & ~63U);
	}
}

/* Draws ranks by Walker's aliases: rank k has weight 1 / (k + 1)^alpha. */
struct zipf {
	uint32_t n;
	double *keep;
	uint32_t *alias;
};

static void zipf_init(struct zipf *z, uint32_t n, double alpha)
{
	uint32_t *todo = policy_alloc(n, sizeof(*todo));
	uint32_t small = 0, large = n, k;
	double sum = 0;

	z->n = n;
	z->keep = policy_alloc(n, sizeof(*z->keep));
	z->alias = policy_alloc(n, sizeof(*z->alias));
	for (k = 0; k < n; k++)
		sum += z->keep[k] = pow(k + 1, -alpha);
	for (k = 0; k < n; k++) {
		z->keep[k] *= n / sum;
		if (z->keep[k] < 1)
			todo[small++] = k;
		else
			todo[--large] = k;
	}
	/* Light ones in front of the array, heavy ones behind. */
	while (small && large < n) {
		uint32_t s = todo[--small], l = todo[large];

		z->alias[s] = l;
		z->keep[l] -= 1 - z->keep[s];
		if (z->keep[l] < 1) {
			large++;
			todo[small++] = l;
		}
	}
	while (small)
		z->keep[todo[--small]] = 1;
	while (large < n)
		z->keep[todo[large++]] = 1;
	free(todo);
}

static uint32_t zipf_next(const struct zipf *z, struct rng *r)
{
	uint64_t x = rng_next(r);
	uint32_t k = (uint32_t)(((x >> 32) * z->n) >> 32);

	return (double)(uint32_t)x / (double)(1ULL << 32) < z->keep[k] ? k : z->alias[k];
}

static void zipf_free(struct zipf *z)
{
	free(z->keep);
	free(z->alias);
}

static void fill_loop(struct trace *t, uint64_t bytes, uint32_t keys, const uint16_t *size)
{
	uint64_t sum = 0;
	uint32_t n = 0;
	size_t i;

	do {
		sum += size[n++];
	} while (n < keys && sum < bytes);
	for (i = 0; i < t->len; i++)
		t->key[i] = (uint32_t)(i % n);
}

/**
 * workload_fill() - make a trace
 * @keys: of the working set; a scan's keys come after these
 * @cache: bytes; loops are as long as the cache makes them
 */
void workload_fill(struct trace *t, const struct workload *w, uint32_t keys,
		   const uint16_t *size, uint64_t cache, uint64_t seed)
{
	struct rng r = { policy_mix(seed) };
	uint32_t scan = keys;
	struct zipf z;
	size_t i;

	if (w->kind == WL_LOOP) {
		fill_loop(t, (uint64_t)((double)cache * w->arg), keys, size);
		return;
	}
	zipf_init(&z, keys, w->arg);
	for (i = 0; i < t->len; i++) {
		uint32_t k = zipf_next(&z, &r);

		/*
		 * Shifting, a newcomer is the most popular, and goes down from
		 * there. An echo is a second one who had waited for the value.
		 */
		if (w->kind == WL_SHIFT)
			k = (uint32_t)((k + (t->len - i) / SHIFT_EVERY) % keys);
		else if (w->kind == WL_SCAN && (rng_next(&r) & 1))
			k = scan++;
		else if (w->kind == WL_ECHO && (i & 1))
			k = t->key[i - 1];
		t->key[i] = k;
	}
	zipf_free(&z);
}
