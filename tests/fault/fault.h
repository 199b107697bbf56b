/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fault injection into one task's calls of the module.
 *
 *   drive.c      runs each test with the n-th fault, n = 1, 2, 3, ...
 *   choose.c     which of them
 *   hook.c       sits between the test and its system calls: arms the fault,
 *                notes the call that got it and what that call returned
 *   knobs.c      which allocations and copies of the kernel count
 *   bystander.c  other clients, who must not notice anything
 *   ledger.c     what was injected, over all programs
 */
#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>
#include <sys/types.h>

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#endif

/* Descriptors that are out of the tests' way. */
#define FAULT_FD_NTH	900	/* /proc/thread-self/fail-nth */
#define FAULT_FD_VISIT	901	/* to the visitor */

enum fault_kind { FAULT_MEMORY, FAULT_COPY, FAULT_KINDS };

/*
 * What the hook does once the fault is in and its call has returned.
 * AGAIN: a call that failed is made again, and the test, which does not know,
 *   has to pass: a call that failed has changed nothing.
 * VISIT: another process becomes a client of the same cache and uses it; then
 *   the test is killed where it is.
 */
enum fault_mode { FAULT_AGAIN, FAULT_VISIT, FAULT_MODES };

enum fault_verdict { FAULT_PASSED, FAULT_FAILED, FAULT_SKIPPED, FAULT_HUNG };

#define FAULT_COUNT	1000000000u	/* as fail-nth: count, never fail */
#define FAULT_CALLS	4096

struct fault_call {
	__u32 id;			/* FAULT_ID() */
	__u32 points;		/* places in it where a fault could be */
	int err;		/* what it ended with, without a fault */
};

/* One run of a test; shared by all its processes. */
struct fault_run {
	bool on;
	bool taken;			/* some task is the test's own */
	enum fault_kind kind;
	enum fault_mode mode;
	__u32 target;		/* this call of the task gets it, from 1; 0: count */
	__u32 place;			/* at this place in it, from 1 */
	/* what came of it */
	bool injected;
	bool shows;			/* rightly: the test cannot go on as if nothing was */
	bool again;
	bool nothing;			/* what failed may have been a copy of no bytes */
	__u32 id;
	int err;			/* positive errno of that call, or 0 */
	int visit;			/* 0, -errno, or 1: nothing to visit */
	int visit_step;
	__u32 nr_calls;
	__u32 elsewhere;		/* places between the calls that are watched */
	__u32 nr_names;
	struct fault_call call[FAULT_CALLS];
	char name[64][256];		/* of caches that the test made */
};
extern struct fault_run *fault_run;

/* A watched call: an ioctl of ours by number and CLAIM flags, or one of these. */
#define FAULT_ID(nr, flags)	(1U << 31 | (__u32)(nr) << 8 | (flags))	/* never 0 */
#define FAULT_NR(id)		((id) >> 8 & 0xfff)

enum {
	FAULT_READ = 0x101, FAULT_POLL, FAULT_EPOLL, FAULT_MODULE, FAULT_RING,
	FAULT_MMAP,
	FAULT_TOUCH,		/* write(), which reads a page that may be one of ours */
};

/* hook.c */
void fault_hook_init(void);
void fault_hook_never(void);		/* this process is not tested */

/* knobs.c */
#define FAULT_SORTS	3		/* slab, page, copy */
bool fault_knobs_init(void);
void fault_knobs_kind(enum fault_kind kind);
void fault_knobs_injected(enum fault_kind kind, __u64 injected[FAULT_SORTS]);
void fault_parameters_save(void);
void fault_parameters_restore(void);
long fault_module_users(void);		/* -1: not loaded */

/* bystander.c */
void fault_bystander_start(void);
__u64 fault_bystander_rounds(void);
const char *fault_bystander_complaint(void);
void fault_bystander_stop(void);
int fault_visit(int cache, int *step);

/* ledger.c: counts by call, ordinal, kind and mode, kept in a file */
struct fault_sums {
	__u32 programs;		/* that came to their end */
	__u32 cases, passed, failed, skipped;
	__u32 flaky;		/* tests that failed with a fault once, and not again with the same */
	__u64 runs;
};

void fault_ledger_open(const char *path);
struct fault_sums *fault_ledger_sums(void);
__u32 fault_ledger_runs(__u32 id, __u32 ordinal, enum fault_kind kind,
			   enum fault_mode mode);
void fault_ledger_add(__u32 id, __u32 ordinal, enum fault_kind kind,
		      enum fault_mode mode);
void fault_ledger_result(__u32 id, enum fault_kind kind, bool failed);
void fault_ledger_points(__u32 id, enum fault_kind kind, __u32 points);
bool fault_ledger_done(__u32 id, enum fault_kind kind, __u32 times);
void fault_ledger_each(void (*fn)(__u32 id, enum fault_kind kind, __u64 injected,
				  __u64 failed));
const char *fault_call_name(__u32 id, char *text, size_t size);

/* choose.c */
struct fault_choice {
	__u32 target, place;	/* just this one, unless 0 */
	int mode;		/* -1: all */
	__u32 times;		/* a slice: runs of each place; 0: a full run */
	bool all;		/* a full run without any thinning */
	bool slow;		/* this test is */
};
extern struct fault_choice fault_choice;
/* The calls of the test that was run without a fault last. */
extern struct fault_call fault_counted[FAULT_CALLS];
extern __u32 fault_nr_counted;

bool fault_takes_call(__u32 i);
bool fault_takes_place(enum fault_kind kind, enum fault_mode mode, __u32 i, __u32 k);
__u32 fault_nth(__u32 i);		/* among the calls of its sort, from 1 */
void fault_note(enum fault_kind kind, enum fault_mode mode, __u32 i, __u32 k);
bool fault_until_none(__u32 i);
__u32 fault_plan(enum fault_kind kind, bool note);
bool fault_all_done(enum fault_kind kind);

/* drive.c */
void fault_begin(int argc, char **argv);
void fault_test(const char *name, enum fault_verdict (*run)(void *arg), void *arg);
int fault_end(void);

#endif
