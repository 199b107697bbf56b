/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A soak: processes use one evicting cache that is always full, are killed now
 * and then and replaced, and look at every value that they get.
 *
 *   soak.c     options, the parent: starts, kills, looks at the figures
 *   worker.c   one process
 *   value.c    values that tell whether they are right
 */
#ifndef SOAK_H
#define SOAK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "asynclazy.h"

#define WORKERS_MAX	64
#define VALUE_MAX	(300u << 10)	/* more than a segment of the cache: a memfd */
#define VALUE_INLINE	65536		/* no other is larger than this */
#define LARGE_MAX	64

struct worker {
	_Atomic uint64_t ops;		/* done by all processes of this place */
	_Atomic uint64_t inits;
	_Atomic uint64_t memfds;	/* large values looked at */
	_Atomic uint64_t events;	/* values that came by dispatch */
	_Atomic uint64_t errors;
	_Atomic int pid;
	char pad[64];
};

/* Shared by all processes. */
struct soak {
	uint64_t ops;			/* in all, constant */
	uint64_t keys;			/* constant */
	unsigned int workers;		/* constant */
	unsigned int nr_large;		/* constant */
	uint64_t large[LARGE_MAX];	/* keys whose values are memfds; constant */
	_Atomic bool stop;
	_Atomic uint64_t seed;
	char wrong[256];		/* what the first error was */
	_Atomic bool wrong_set;
	struct worker worker[WORKERS_MAX];
};
extern struct soak *soak;

/* value.c */
size_t value_size(uint64_t key);
void value_make(void *to, size_t size, uint64_t key, uint64_t serial);
/* NULL, or what is wrong; @whole: every byte */
const char *value_wrong(const void *data, size_t size, uint64_t key, bool whole);

/* worker.c */
_Noreturn void worker_run(unsigned int place);
void wrong(unsigned int place, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
