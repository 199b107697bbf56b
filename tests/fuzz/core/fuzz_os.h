/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The core's surroundings when it is fuzzed: the types and prototypes of the
 * unit tests' alz_os.h, on memory that fails when told to, a clock that is set,
 * an arena in one piece (so that the library's reader can look into it), and
 * the gaps: wherever the core lets go of its lock, fuzz_gap() is called, which
 * may make other calls of other clients.
 */
#ifndef FUZZ_OS_H
#define FUZZ_OS_H

#include "core.h"

#define ARENA_BYTES	(4u << 20)	/* memory for an arena; more is "no memory" */
#define PAGES_MAX	(4u << 20)	/* likewise, for one request */
#define TOLD_MAX	2048

enum gap { GAP_MEMORY, GAP_BREATH };

/* A call of alz_os_wake() or alz_os_ready(…, true), to be compared. */
struct told {
	struct alz_client *client;
	struct alz_waiter *waiter;
};

struct fuzz_os {
	u64 now;
	long live;			/* allocations not freed */
	unsigned long stores;		/* to slots */
	/* of the running call; saved while another runs in its gap */
	unsigned int fail_at;		/* the n-th request fails; 0: none */
	unsigned int requests, failed;
	/* wake-ups not yet compared */
	struct told told[TOLD_MAX];
	unsigned int tolds;
};

extern struct fuzz_os fuzz_os;

void fuzz_os_reset(void);

/* memory of an arena: @arena_os of alz_cache_init() */
struct fuzz_arena {
	u8 *bytes;			/* ARENA_BYTES, page aligned */
	u64 segments;			/* that have memory now */
	bool used[ARENA_BYTES >> 16];
};

void fuzz_arena_init(struct fuzz_arena *arena);
void fuzz_arena_fini(struct fuzz_arena *arena);

/* what the user of this layer defines */
void fuzz_gap(enum gap gap);
void fuzz_stored(const u64 *slot, u64 word);
void fuzz_grown(struct fuzz_arena *arena, u32 index);
void fuzz_readable(struct alz_client *client, bool more);

/* a mismatch: say so, show what led to it, end */
void fuzz_fail(const char *format, ...)
	__attribute__((format(printf, 1, 2), noreturn));

#define fuzz_check(what, ...)				\
	do {						\
		if (!(what))				\
			fuzz_fail(__VA_ARGS__);		\
	} while (0)

#endif
