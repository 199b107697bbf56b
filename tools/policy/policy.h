/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A simulator of eviction: a trace of keys is replayed against a cache of so
 * many bytes; a key that misses is inserted at once. Nothing is stored, only
 * sizes are counted.
 */
#ifndef POLICY_H
#define POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICY_SIZE_MAX	4096	/* bytes of the largest record */

enum policy_kind {
	/* Every record on its own, in lists. */
	POLICY_LRU,
	POLICY_FIFO,
	POLICY_CLOCK,
	POLICY_SIEVE,
	POLICY_S3,
	/* Logs of segments: only whole segments become free. */
	POLICY_LOG_CLOCK,	/* with a keep of 0: FIFO */
	POLICY_LOG_SIEVE,
	POLICY_LOG_S3,
};

/**
 * struct policy - one policy and its parameters
 * @name: in the table
 * @keep: of a victim's bytes, the part that may be copied
 * @credit: bytes that may be copied for each byte inserted; 0: not counted
 * @saved: how much credit may pile up, in segments
 * @young: of the cache, the part that is young (of the objects' S3: small)
 * @ghost: fingerprints of what was dropped, in records that fit the cache
 * @kind: the rule
 * @stay: of the segments with more visited than may be copied, how many stay as
 *	they are for one insertion; in further ones, what is too much is dropped
 * @ahead: as many segments stay free as the core sees to: a sixteenth of all, 2 to
 *	64; else one
 * @lasting: hits count from the first on; else from when the segment is full
 * @segments: of the cache; 0: what the command line says
 */
struct policy {
	const char *name;
	double keep;
	double credit;
	double saved;
	double young;
	double ghost;
	enum policy_kind kind;
	unsigned int stay;
	bool ahead;
	bool lasting;
	unsigned int segments;
};

enum workload_kind { WL_ZIPF, WL_SCAN, WL_LOOP, WL_SHIFT, WL_ECHO };

struct workload {
	const char *name;
	enum workload_kind kind;
	double arg;		/* alpha; of a loop: its bytes, in caches */
};

struct trace {
	uint32_t *key;
	size_t len;
	size_t warm;		/* requests before counting starts */
};

/**
 * struct setup - the cache that a policy gets
 * @bytes: its size
 * @size: bytes of each key's record
 * @keys: how many keys there may be
 * @mean: bytes of a record, on average
 * @segments: how many, unless the policy says
 * @hostile: someone marks every record visited, all the time
 */
struct setup {
	uint64_t bytes;
	const uint16_t *size;
	uint32_t keys;
	double mean;
	unsigned int segments;
	bool hostile;
};

/**
 * struct result - what came of it, after warming up
 * @requests: how many were counted
 * @hits: of these
 * @inserted: bytes
 * @copied: bytes
 * @copied_max: bytes copied for one insertion, at most
 * @walked_max: segments walked for one insertion, at most
 * @segments: how many, 0 where there are none; fewer than asked for if one could
 *	not hold the largest record
 * @segment: bytes of one
 */
struct result {
	uint64_t requests;
	uint64_t hits;
	uint64_t inserted;
	uint64_t copied;
	uint64_t copied_max;
	uint32_t walked_max;
	uint32_t segments;
	uint32_t segment;
};

static inline uint64_t policy_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

void *policy_alloc(size_t n, size_t size);

void workload_sizes(uint16_t *size, uint32_t keys, uint64_t seed);
void workload_fill(struct trace *t, const struct workload *w, uint32_t keys,
		   const uint16_t *size, uint64_t cache, uint64_t seed);

void object_run(const struct policy *p, const struct setup *s,
		const struct trace *t, struct result *r);
void log_run(const struct policy *p, const struct setup *s,
	     const struct trace *t, struct result *r);

#endif
