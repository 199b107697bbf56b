/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* What the core's unit tests share; see core_os/alz_os.h. */
#ifndef ALZ_TEST_CORE_UTIL_H
#define ALZ_TEST_CORE_UTIL_H

#include "check.h"
#include "core.h"

/* The surroundings, as the test sets and sees them. */
struct core_os {
	long fail_after;		/* allocations that still succeed; -1: all */
	long fail_nth;			/* this one from now fails, no other; 0: none */
	unsigned long failed;		/* allocations that did */
	long live;			/* allocations not freed */
	u64 now;
	void (*unlocked)(void);		/* called once where the lock is let go */
	void (*each_unlock)(void);	/* called after each unlock, but for its own */
	void (*at_barrier)(void);	/* called while a barrier lasts */
	bool inside;			/* one of the three runs */
	unsigned int relaxes;
	unsigned long releases;		/* alz_os_store_release() calls: slots */
	unsigned int wakes;		/* alz_os_wake() calls */
	bool dying;			/* alz_os_mutex_lock() is -EINTR */
	unsigned int barriers;		/* alz_os_barrier() calls */
	unsigned int urgent;		/* of these, urgent ones */
	unsigned int wanted;		/* alz_os_reclaim_wanted() calls */
	unsigned int released;		/* alz_os_segment_release() calls */
	u64 deadline;			/* the last that alz_os_deadline() told */
	unsigned int absent;		/* alz_os_load_word() calls that see nothing */
	unsigned int readies;		/* alz_os_ready(…, true) calls */
};
extern struct core_os core_os;

#define CLIENTS	3
#define PINS	64			/* a client */

struct bench {
	struct alz_cache cache;
	struct alz_client client[CLIENTS];
	u64 pins[CLIENTS][PINS];	/* not of a STABLE cache */
	bool readable[CLIENTS];		/* what alz_os_ready() told */
	u64 open;			/* reservations that the test has not ended */
};

void core_os_reset(void);

/* a cache with CLIENTS clients */
struct bench *bench_with(const struct alz_geometry *geometry);
/* a STABLE one; 0 keys, bytes: 1000 keys, 16 segments of 64 KiB */
struct bench *bench_new(u64 max_keys, u64 arena_size);
/* one that recycles segments of 64 KiB, 8 at least */
struct bench *bench_recycle(u64 max_keys, u64 segments);
/* again, after alz_client_detach() */
void bench_attach(struct bench *b, int who);
/* detach, check the figures are back to nothing, check nothing leaked */
void bench_free(struct bench *b);

u64 hash_of(const void *key, u32 key_size);	/* any good one will do */
u64 random_u64(void);				/* the same in each run */
extern u64 (*random_source)(void);		/* or what this says */
extern bool random_ended;			/* it has no more */

/* by string keys, of client @who */
int claim(struct bench *b, int who, const char *key, u32 flags, u64 cookie,
	  struct alz_answer *answer);
/* the same with a waiter of the test's own: BLOCK, FD */
int claim_wait(struct bench *b, int who, const char *key, u32 flags,
	       struct alz_waiter *w, struct alz_answer *answer);
u64 take(struct bench *b, int who, const char *key);
int publish(struct bench *b, int who, u64 ticket, const void *value, u64 size,
	    u64 ttl);
int set(struct bench *b, int who, const char *key, const void *value, u64 size,
	u64 ttl);
u32 invalidate(struct bench *b, int who, const char *key);
bool offset_is_given_out(struct bench *b, u64 offset);
/* the value at an offset is these bytes */
bool value_is(struct bench *b, u64 offset, const void *value, u64 size);
/* all due events, taken; returns how many */
u32 events(struct bench *b, int who, struct asynclazy_event *ev, u32 max);

/* every structure agrees with every other; to be called between operations */
void check_consistent(struct bench *b);

/* What is known of a key's flight; its text is at f->detail, until the next call. */
int look_at(struct bench *b, const char *key, struct asynclazy_flight *f);
struct asynclazy_flight look(struct bench *b, const char *key);

#endif /* ALZ_TEST_CORE_UTIL_H */
