// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which faults are taken of those that there could be.
 *
 * A slice: each place of each call (the third allocation of CREATE, the second copy of CLAIM
 * with EVENT, ...) once or a few times, in whichever tests come to it first.
 *
 * A full run: all allocations of all calls of each test. But of a loop of thousands of claims the
 * first ones and a few more; of a cache's hundreds of pages, and of copies, each one in some two
 * dozen tests, as all tests make caches, and copies are at the begin and end of calls; and of a
 * test that takes seconds what the tests before have not. The others are hundreds of thousands of
 * runs that find nothing new: -a takes them too.
 */
#include "alz.h"
#include "fault.h"

#define REPEATS	8	/* of calls alike, all of the first so many */
#define LARGE	24	/* a call with more places; so often, over all tests, each of its first, or a copy */
#define OFTEN	3	/* and so often what is like its neighbours, and visits */

struct fault_choice fault_choice = { .mode = -1 };
struct fault_call fault_counted[FAULT_CALLS];
__u32 fault_nr_counted;

/* Of a large allocation's hundreds of pages: the first ones, the last and a few between. */
static bool of_few(__u32 k, __u32 points)
{
	return k <= LARGE || k == points || !(k & (k - 1));
}

static bool full_takes_place(enum fault_kind kind, enum fault_mode mode, __u32 k, __u32 points,
			     __u32 before)
{
	if (mode == FAULT_VISIT)
		return before < OFTEN;
	if (fault_choice.all)
		return true;
	if (fault_choice.slow)
		return before < OFTEN;
	if (kind == FAULT_MEMORY && points <= LARGE)
		return true;
	return before < (of_few(k, points) ? LARGE : OFTEN);
}

static bool same(__u32 i, __u32 j)
{
	return fault_counted[i].id == fault_counted[j].id &&
	       fault_counted[i].points == fault_counted[j].points;
}

/* The how manyth of its sort in the test a call is, from 1. */
__u32 fault_nth(__u32 i)
{
	__u32 j, nth = 1;

	for (j = 0; j < i; j++)
		nth += same(i, j);
	return nth;
}

static bool last_alike(__u32 i)
{
	__u32 j;

	for (j = i + 1; j < fault_nr_counted; j++)
		if (same(i, j))
			return false;
	return true;
}

/* Of thousands in a loop the first ones, the last, and more and more seldom between. */
static bool full_takes_call(__u32 i)
{
	__u32 nth = fault_nth(i);

	return fault_choice.all || nth <= REPEATS || !(nth & (nth - 1)) || last_alike(i);
}

/* A call of a slice is one that no earlier one of the test has all places of. */
static bool slice_takes_call(__u32 i)
{
	__u32 j;

	for (j = 0; j < i; j++)
		if (fault_counted[j].id == fault_counted[i].id &&
		    fault_counted[j].points >= fault_counted[i].points)
			return false;
	return true;
}

bool fault_takes_call(__u32 i)
{
	if (fault_choice.target)
		return fault_choice.target == i + 1;
	return fault_choice.times ? slice_takes_call(i) : full_takes_call(i);
}

/*
 * In a slice, no visits after a fault in a copy, since one that comes too late is visited anyway.
 */
bool fault_takes_place(enum fault_kind kind, enum fault_mode mode, __u32 i, __u32 k)
{
	const struct fault_call *c = &fault_counted[i];
	__u32 before = fault_ledger_runs(c->id, k, kind, mode);

	if (fault_choice.mode >= 0 && fault_choice.mode != (int)mode)
		return false;
	if (fault_choice.target)
		return fault_choice.place == k;
	if (!fault_choice.times)
		return full_takes_place(kind, mode, k, c->points, before);
	if (fault_choice.mode < 0 && kind == FAULT_COPY && mode == FAULT_VISIT)
		return false;
	return of_few(k, c->points) && before < fault_choice.times;
}

/*
 * How many runs there will be. @note: note them in the ledger as if they had been; else the
 * test's own make it fewer meanwhile.
 */
__u32 fault_plan(enum fault_kind kind, bool note)
{
	enum fault_mode mode;
	__u32 i, k, n = 0;

	for (i = 0; i < fault_nr_counted; i++) {
		for (k = 1; fault_takes_call(i) && k <= fault_counted[i].points; k++) {
			for (mode = 0; mode < FAULT_MODES; mode++) {
				if (!fault_takes_place(kind, mode, i, k))
					continue;
				if (note)
					fault_ledger_add(fault_counted[i].id, k, kind, mode);
				n++;
			}
		}
	}
	return n;
}

/* Whether a slice has had enough of all calls of the test. */
bool fault_all_done(enum fault_kind kind)
{
	__u32 i;

	for (i = 0; i < fault_nr_counted; i++)
		if (!fault_ledger_done(fault_counted[i].id, kind, fault_choice.times))
			return false;
	return true;
}
