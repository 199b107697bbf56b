/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * An explorer of all interleavings of a few threads that run the core's real
 * code, and the library's real reader, under a memory model with store buffers.
 *
 * Threads are coroutines. They are let run one at a time, and stop before each
 * thing that others can see or that depends on others: taking a lock, a load
 * without the lock from memory that others write (slots, records, the state of
 * a waiter), going to sleep. Their stores to such memory go to the thread's
 * store buffer. From there they reach memory as a choice of its own:
 *
 *   tso	oldest first; taking a lock waits until the buffer is empty: x86
 *   pso	in any order, but for stores to the same word, and that a release
 *		waits for all before it; taking a lock waits for nothing: as
 *		weak as stores get on Arm or POWER. Loads are in order, as those
 *		of a reader are that follow an address dependency.
 *
 * Letting a lock go is a release store like any other. What is only accessed
 * under the lock needs no buffer: who gets the lock next sees it.
 *
 * All that there is, the threads' stacks included, is in one struct, so that a
 * state can be put back and told from others. The search is depth first over
 * all choices, exhaustive, without a bound on preemptions; a state that was
 * seen before (by a 128-bit hash) is not searched again.
 */
#ifndef EXPLORE_H
#define EXPLORE_H

#include <setjmp.h>

#include "core.h"

#define X_THREADS	3
#define X_STACK		12288
#define X_HEAP		16384
#define X_TABLE		8192		/* header page, and buckets */
#define X_ARENA		4096		/* of the first segment, what is used */
#define X_LATER		512		/* of each of the others */
#define X_SEGMENT	65536
#define X_SEGMENTS	3
#define X_BUFFER	48
#define X_WORDS		2

enum x_status { X_RUNS, X_LOCKS, X_SLEEPS, X_DRAINS, X_FENCES, X_DONE };

/* A store that has not reached memory. */
struct x_store {
	void *at;		/* word, byte, or lock */
	u64 value;
	u8 size;		/* 8, 4, 1; 0: a lock is let go */
	bool release;
};

/* A wait queue with its lock, as the kernel has: for one sleeper. */
struct x_queue {
	alz_os_lock_t lock;
	bool on_queue;
	bool runnable;
};

struct x_thread {
	jmp_buf at;
	enum x_status status;
	alz_os_lock_t *lock;	/* X_LOCKS */
	struct x_queue *queue;	/* X_SLEEPS */
	const char *what;	/* it is about to do, for the trace */
	int locks;		/* held */
	int fence;		/* stores that a barrier on all CPUs waits for */
	int stores;
	struct x_store store[X_BUFFER];
};

/* What a scenario keeps; see scenarios.c. */
struct x_notes {
	struct alz_answer answer[X_THREADS];
	struct alz_reservation r[X_THREADS];
	struct asynclazy_event event[X_THREADS];
	int tickets;
	u64 ticket, from;	/* of client 0: its number, its generation */
	u64 hash[20];
	u64 keys[20];
};

struct x_world {
	struct alz_cache cache;
	struct alz_client client[X_THREADS];
	struct alz_waiter waiter[X_THREADS];	/* BLOCK */
	struct x_queue queue[X_THREADS];	/* the thread's own */
	struct x_thread thread[X_THREADS];
	struct x_notes note;
	u64 heap_used;
	u8 heap_live[X_HEAP / 16];
	/* memory as it is, without what is still in buffers */
	u64 slots[(X_TABLE - 4096) / 8 / 8];
	u64 arena[(X_ARENA + (X_SEGMENTS - 1) * X_LATER) / 8];
	u64 pins[X_THREADS];	/* one a client */
	u32 words[X_WORDS];
	u32 waiting[X_WORDS];
	u8 state[X_THREADS];
	char heap[X_HEAP] __attribute__((aligned(16)));
	char table[X_TABLE] __attribute__((aligned(4096)));
	char stack[X_THREADS][X_STACK] __attribute__((aligned(64)));
};

struct x_scenario {
	const char *name;
	void (*setup)(void);
	void (*thread[X_THREADS])(void);
	void (*end)(void);	/* when all threads have ended; may be NULL */
	int big;		/* only where there is time: 1 under pso, 2 always */
};

extern struct x_world x;
extern bool x_pso;
extern int x_me;		/* the thread that runs; -1: none, set-up or end */
extern char x_segment[X_SEGMENTS * X_SEGMENT];
extern u64 x_pins[X_THREADS];
extern u32 x_words[X_WORDS];	/* the cache's, where a scenario wants them */
extern u32 x_waiting[X_WORDS];

/* explore.c */
int x_explore(const struct x_scenario *s);
void x_stop(enum x_status status, const char *what);
void x_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
#define x_check(cond) \
	do { if (!(cond)) x_fail("%s:%d: %s", __FILE__, __LINE__, #cond); } while (0)

/* scenarios.c */
void x_start(void);
void x_finish(void);
int x_wait_block(int me, bool patient);

/* scenarios_words.c */
extern const struct x_scenario x_words_scenarios[];
extern const unsigned int x_words_nr;

/* memory.c */
void x_memory_reset(void);
void x_memory_show(int thread);	/* the segment and the table as @thread sees them */
void x_memory_settle(void);	/* set-up is done: this is what all see */
void x_capture(void);
bool x_may_land(const struct x_thread *t, int store);
void x_land(struct x_thread *t, int store);
bool x_lock_free(const struct x_thread *t, const alz_os_lock_t *lock);
u8 x_load_state(const u8 *state);
u64 x_load(const u64 *p);
void x_store(u64 *p, u64 value, bool release);
void x_drain(void);

#endif
