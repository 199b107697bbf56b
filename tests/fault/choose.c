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
#define LARGE	24	/* a call with more places than this, mostly pages */
#define FEW	24	/* its first places */
#define MANY	24	/* in so many tests: each of the first places of a large call, and copies */
#define OFTEN	3	/* so often: the other places of a large call, visits, and what is slow */

struct fault_choice fault_choice = { .mode = -1 };
struct fault_call fault_counted[FAULT_CALLS];
__u32 fault_nr_counted;

/* Of a large allocation's hundreds of pages: the first ones, the last and a few between. */
static bool of_few(__u32 k, __u32 points)
{
	return k <= FEW || k == points || !(k & (k - 1));
}

/* In a full run what a large call had says nothing of a small one of the same kind. */
static __u32 place_noted(const struct fault_call *c, __u32 k)
{
	return !fault_choice.times && c->points > LARGE ? k | 1 << 15 : k;
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

/* What tests have in common is counted once for each of them. */
static bool full_takes_place(enum fault_kind kind, enum fault_mode mode, __u32 i, __u32 k)
{
	const struct fault_call *c = &fault_counted[i];
	bool first = fault_nth(i) == 1;
	__u32 before = fault_ledger_runs(c->id, place_noted(c, k), kind, mode);

	if (fault_choice.all)
		return true;
	if (mode == FAULT_VISIT || fault_choice.slow)
		return before < OFTEN && first;
	if (kind == FAULT_MEMORY && c->points <= LARGE)
		return true;
	return first && before < (of_few(k, c->points) ? MANY : OFTEN);
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

	if (fault_choice.mode >= 0 && fault_choice.mode != (int)mode)
		return false;
	if (fault_choice.target)
		return fault_choice.place == k;
	if (!fault_choice.times)
		return full_takes_place(kind, mode, i, k);
	if (fault_choice.mode < 0 && kind == FAULT_COPY && mode == FAULT_VISIT)
		return false;
	return of_few(k, c->points) &&
	       fault_ledger_runs(c->id, k, kind, mode) < fault_choice.times;
}

/* It is run. */
void fault_note(enum fault_kind kind, enum fault_mode mode, __u32 i, __u32 k)
{
	const struct fault_call *c = &fault_counted[i];

	fault_ledger_add(c->id, place_noted(c, k), kind, mode);
}

/* Calls do not always do the same: a full run also goes on until a run has no fault. */
bool fault_until_none(__u32 i)
{
	return !fault_choice.times && !fault_choice.target && fault_choice.mode != FAULT_VISIT &&
	       fault_counted[i].points && (fault_choice.all || fault_nth(i) == 1);
}

/* How many runs there will be, at most. @note: note them as if they had been. */
__u32 fault_plan(enum fault_kind kind, bool note)
{
	enum fault_mode mode;
	__u32 i, k, n = 0;

	for (i = 0; i < fault_nr_counted; i++) {
		if (!fault_takes_call(i))
			continue;
		n += fault_until_none(i);
		for (k = 1; k <= fault_counted[i].points; k++) {
			for (mode = 0; mode < FAULT_MODES; mode++) {
				if (!fault_takes_place(kind, mode, i, k))
					continue;
				if (note)
					fault_note(kind, mode, i, k);
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
