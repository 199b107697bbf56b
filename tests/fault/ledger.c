// SPDX-License-Identifier: GPL-2.0-only
/*
 * What was injected: counts by call, place in the call, kind and mode, in a
 * file that all programs of a run share. So that a slice of a run can take each
 * place a few times, in different tests, and the end can say what got none.
 */
#include "alz.h"
#include "fault.h"

#define PLACES	65536	/* a power of two */
#define CALLS	1024

struct place {
	__u32 id;		/* 0: free */
	__u16 ordinal;
	__u8 kind, mode;
	__u32 runs;
};

struct result {
	__u32 id;
	__u16 kind;
	__u16 seen;
	__u32 points;	/* the most places that it had in one call */
	__u64 injected, failed;
};

static struct ledger {
	struct fault_sums sums;
	struct place place[PLACES];
	struct result result[CALLS];
} *ledger;

void fault_ledger_open(const char *path)
{
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;

	if (path && (fd < 0 || ftruncate(fd, sizeof(*ledger)))) {
		perror(path);
		exit(2);
	}
	ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE,
		      MAP_SHARED | (path ? 0 : MAP_ANONYMOUS), fd, 0);
	if (ledger == MAP_FAILED)
		abort();
	if (fd >= 0)
		close(fd);
}

struct fault_sums *fault_ledger_sums(void)
{
	return &ledger->sums;
}

static struct place *find_place(__u32 id, __u32 ordinal, enum fault_kind kind,
				enum fault_mode mode)
{
	__u64 h = ((__u64)id << 32 | ordinal << 8 | kind << 4 | mode);
	__u32 at = (h * 0x9e3779b97f4a7c15ULL) >> 40;
	__u32 i;

	for (i = 0; i < PLACES; i++) {
		struct place *p = &ledger->place[(at + i) % PLACES];

		if (!p->id || (p->id == id && p->ordinal == ordinal && p->kind == kind &&
			       p->mode == mode)) {
			p->id = id;
			p->ordinal = ordinal;
			p->kind = kind;
			p->mode = mode;
			return p;
		}
	}
	abort();
}

__u32 fault_ledger_runs(__u32 id, __u32 ordinal, enum fault_kind kind,
			   enum fault_mode mode)
{
	return find_place(id, ordinal, kind, mode)->runs;
}

void fault_ledger_add(__u32 id, __u32 ordinal, enum fault_kind kind,
		      enum fault_mode mode)
{
	find_place(id, ordinal, kind, mode)->runs++;
}

static struct result *find_result(__u32 id, enum fault_kind kind)
{
	struct result *r;

	for (r = ledger->result; r < ledger->result + CALLS; r++) {
		if (r->id && (r->id != id || r->kind != kind))
			continue;
		r->id = id;
		r->kind = kind;
		return r;
	}
	abort();
}

/* A fault was injected into this call; whether it made the call fail. */
void fault_ledger_result(__u32 id, enum fault_kind kind, bool failed)
{
	struct result *r = find_result(id, kind);

	r->injected++;
	r->failed += failed;
}

/* A call had so many places for a fault. */
void fault_ledger_points(__u32 id, enum fault_kind kind, __u32 points)
{
	struct result *r = find_result(id, kind);

	r->seen = true;
	if (points > r->points)
		r->points = points;
}

/* Whether the call has been seen, and made again this often after a fault at each place. */
bool fault_ledger_done(__u32 id, enum fault_kind kind, __u32 times)
{
	const struct result *r = find_result(id, kind);
	__u32 k;

	for (k = 1; k <= r->points; k++)
		if (fault_ledger_runs(id, k, kind, FAULT_AGAIN) < times)
			return false;
	return r->seen;
}

void fault_ledger_each(void (*fn)(__u32 id, enum fault_kind kind, __u64 injected,
				  __u64 failed))
{
	struct result *r;

	for (r = ledger->result; r->id; r++)
		fn(r->id, r->kind, r->injected, r->failed);
}

static const struct {
	__u32 nr;
	const char *name;
} names[] = {
#define NAME(call)	{ _IOC_NR(ASYNCLAZY_IOC_##call), #call }
	NAME(INFO), NAME(CREATE), NAME(OPEN), NAME(UNLINK), NAME(ATTACH), NAME(GEOMETRY),
	NAME(STATS), NAME(CLAIM), NAME(PUBLISH), NAME(FAIL), NAME(ABANDON), NAME(CANCEL),
	NAME(FETCH), NAME(SET), NAME(INVALIDATE), NAME(CLEAR), NAME(MEMFD),
	NAME(EXTEND), NAME(FLIGHT), NAME(EXPIRE), NAME(WAIT), NAME(WAKE), NAME(BATCH),
	{ FAULT_READ, "read" },
	{ FAULT_POLL, "poll" },
	{ FAULT_EPOLL, "epoll_ctl" },
	{ FAULT_MODULE, "finit_module" },
	{ FAULT_RING, "io_uring_enter" },
	{ FAULT_MMAP, "mmap" },
	{ FAULT_TOUCH, "write" },
};

/* "CLAIM+INIT+EVENT" */
const char *fault_call_name(__u32 id, char *text, size_t size)
{
	static const char *const claim[] = { "+INIT", "+BLOCK", "+EVENT", "+FD", "+FOLLOW" };
	static const char *const value[] = { "+FD", "+UNKEPT", "", "", "" };
	const char *const *flags = FAULT_NR(id) == _IOC_NR(ASYNCLAZY_IOC_CLAIM) ? claim : value;
	unsigned int i;

	snprintf(text, size, "call %#x", FAULT_NR(id));
	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].nr == FAULT_NR(id))
			snprintf(text, size, "%s", names[i].name);
	for (i = 0; i < ARRAY_SIZE(claim); i++)
		if (id & 1 << i)
			snprintf(text + strlen(text), size - strlen(text), "%s", flags[i]);
	return text;
}
