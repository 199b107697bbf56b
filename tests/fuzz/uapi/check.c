// SPDX-License-Identifier: GPL-2.0-only
/* What must hold whatever a program does: seen from its own lanes. */
#include "lane.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <ucontext.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define VALUE_MAGIC	0xfa57ULL

static __thread sigjmp_buf fault_jump;
static __thread volatile int fault_ok;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *u = context;

	if (fault_ok)
		siglongjmp(fault_jump, sig);
	violation("a mistake of the fuzzer: lane %u, before call %u, at %#llx: signal %d for %p",
		  this_lane, sh->lane[this_lane].pos, (u64)u->uc_mcontext.gregs[REG_RIP], sig,
		  info->si_addr);
	signal(sig, SIG_DFL);
}

/** check_setup() - before may_fault() is used */
void check_setup(void)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}

/**
 * may_fault() - touch memory that may not be there
 * @touch: does it
 * @arg: of @touch
 * @result: what @touch returned, or the signal that ended it
 *
 * Return: whether it ended without a fault.
 */
bool may_fault(int (*touch)(void *), void *arg, int *result)
{
	int sig = sigsetjmp(fault_jump, 1);

	*result = sig;
	if (!sig) {
		fault_ok = 1;
		*result = touch(arg);
	}
	fault_ok = 0;
	return !sig;
}

/** violation() - something that must not be; the first one is kept */
void violation(const char *format, ...)
{
	va_list ap;

	if (__atomic_exchange_n(&sh->failed, 1, __ATOMIC_ACQ_REL))
		return;
	/* which program: where this lane is, or the last one if it is the parent */
	sh->failed_at = sh->lane[this_lane].arrived / STAGES - sh->serial;
	va_start(ap, format);
	vsnprintf(sh->failure, sizeof(sh->failure), format, ap);
	va_end(ap);
}

/*
 * I1: of the tickets of one generation, one at most can end it. A ticket is
 * known here once its caller has it, which is before anyone can use it.
 */
void check_grant(u64 cache, u64 ticket, u64 generation)
{
	u32 n, i;

	if (!cache)
		return;
	n = __atomic_fetch_add(&sh->nr_grants, 1, __ATOMIC_ACQ_REL);
	if (n >= GRANTS_MAX)
		return;
	sh->grant[n] = (struct grant) {
		.cache = cache, .ticket = ticket, .generation = generation,
	};
	__atomic_store_n(&sh->grant[n].ready, 1, __ATOMIC_RELEASE);
	for (i = 0; i < n; i++)
		if (__atomic_load_n(&sh->grant[i].ready, __ATOMIC_ACQUIRE) &&
		    sh->grant[i].cache == cache && sh->grant[i].ticket == ticket)
			violation("I1: ticket %llu of cache %llu was granted twice",
				  ticket, cache);
}

/** check_end() - a publish or fail with this ticket succeeded */
void check_end(u64 cache, u64 ticket)
{
	u32 n = __atomic_load_n(&sh->nr_grants, __ATOMIC_ACQUIRE);
	struct grant *mine = NULL;
	u32 i;

	for (i = 0; i < n && i < GRANTS_MAX; i++) {
		struct grant *g = &sh->grant[i];

		if (__atomic_load_n(&g->ready, __ATOMIC_ACQUIRE) && g->cache == cache &&
		    g->ticket == ticket)
			mine = g;
	}
	/* a thread may guess what its neighbour has just been granted */
	if (!mine)
		return;
	/* the first of its generation counts for all of it */
	for (i = 0; i < n && i < GRANTS_MAX; i++) {
		struct grant *g = &sh->grant[i];

		if (!g->ready || g->cache != cache || g->generation != mine->generation)
			continue;
		if (__atomic_fetch_add(&g->ended, 1, __ATOMIC_ACQ_REL))
			violation("I1: generation %llu of cache %llu was ended twice, last by %llu",
				  mine->generation,
				  cache, ticket);
		break;
	}
}

/** value_word() - values are one such word, again and again */
u64 value_word(void)
{
	static u64 n;

	return VALUE_MAGIC << 48 | (__atomic_add_fetch(&n, 1, __ATOMIC_RELAXED) & 0xffffffff) << 8 |
	       (getpid() & 0xff);
}

struct record_check {
	const char *arena;
	u64 len, offset, generation;
	u32 kind;
	const char *wrong;
};

static int touch_record(void *arg)
{
	struct record_check *c = arg;
	const volatile struct asynclazy_record *r = (const void *)(c->arena + c->offset);
	u64 value_at, size, i, word;

	if (!r->key_size || r->key_size > ASYNCLAZY_KEY_MAX)
		c->wrong = "key_size";
	else if (r->kind != ASYNCLAZY_RECORD_VALUE && r->kind != ASYNCLAZY_RECORD_ERROR &&
		 r->kind != ASYNCLAZY_RECORD_MEMFD)
		c->wrong = "kind";
	else if (c->kind && r->kind != c->kind)
		c->wrong = "other kind";
	else if (c->generation && r->generation != c->generation)
		c->wrong = "generation";
	else if (r->kind == ASYNCLAZY_RECORD_ERROR && (r->error < 1 || r->error > 4095))
		c->wrong = "error";
	if (c->wrong)
		return 0;
	value_at = (sizeof(*r) + r->key_size + 15) & ~15ULL;
	size = r->value_size;
	if (r->kind == ASYNCLAZY_RECORD_MEMFD && size != sizeof(struct asynclazy_memfd))
		c->wrong = "size of a memfd's record";
	if (size > c->len || (u64)r->granules << ASYNCLAZY_GRANULE_SHIFT < value_at + size) {
		c->wrong = "value_size";
		return 0;
	}
	word = size < 8 ? 0 : *(const volatile u64 *)(c->arena + c->offset + value_at);
	if (r->kind != ASYNCLAZY_RECORD_VALUE || word >> 48 != VALUE_MAGIC)
		return 0;
	for (i = 0; i + 8 <= size; i += 8)
		if (*(const volatile u64 *)(c->arena + c->offset + value_at + i) != word) {
			c->wrong = "torn value";
			break;
		}
	return 0;
}

/**
 * check_record() - I2: a record that a slot or an answer leads to is whole
 * @arena: mapping of the arena
 * @arena_len: bytes of it
 * @offset: of the record
 * @generation: that it must have, or 0
 * @kind: ASYNCLAZY_RECORD_*, or 0
 *
 * Return: 0; the signal of a fault.
 */
int check_record(const char *arena, u64 arena_len, u64 offset, u64 generation, u32 kind)
{
	struct record_check c = { arena, arena_len, offset, generation, kind, NULL };
	int sig;

	if (offset >= arena_len || offset + sizeof(struct asynclazy_record) > arena_len)
		return 0;
	may_fault(touch_record, &c, &sig);
	if (c.wrong)
		violation("I2: record at %#llx: %s", offset, c.wrong);
	__atomic_add_fetch(&sh->checked_records, 1, __ATOMIC_RELAXED);
	return sig;
}

struct table_check {
	const struct map *table, *arena;
};

static int touch_table(void *arg)
{
	const struct table_check *c = arg;
	const struct asynclazy_header *h = (const void *)c->table->addr;
	const volatile u64 *slots = (const void *)(c->table->addr + ASYNCLAZY_HEADER_SIZE);
	u64 n = (c->table->len - ASYNCLAZY_HEADER_SIZE) / sizeof(u64);
	u64 i;

	if (h->magic != ASYNCLAZY_MAGIC || h->abi_version != ASYNCLAZY_ABI_VERSION ||
	    h->cache_id != c->table->cache)
		violation("the table's header is not its cache's");
	if (n > h->bucket_count * ASYNCLAZY_BUCKET_SLOTS)
		n = h->bucket_count * ASYNCLAZY_BUCKET_SLOTS;
	for (i = 0; i < n && i < 512; i++) {
		u64 word = slots[i];
		u64 state = word & ASYNCLAZY_SLOT_STATE_MASK;
		u64 offset = word >> ASYNCLAZY_SLOT_OFFSET_SHIFT << ASYNCLAZY_GRANULE_SHIFT;
		const volatile struct asynclazy_record *r;

		if (!(state & ASYNCLAZY_SLOT_FILLED) || !c->arena ||
		    offset + sizeof(*r) > c->arena->len)
			continue;
		r = (const void *)(c->arena->addr + offset);
		if ((r->kind == ASYNCLAZY_RECORD_ERROR) != (state == ASYNCLAZY_SLOT_FAILED))
			violation("I2: a slot in state %llu leads to a record of kind %u",
				  state, r->kind);
		if (((r->hash >> ASYNCLAZY_HASH_TAG_SHIFT) ^
		     (word >> ASYNCLAZY_SLOT_TAG_SHIFT)) & 0xffffff)
			violation("a slot has another tag than its record");
	}
	return 0;
}

/** check_table() - what a reader finds, while others write. Return: a signal or 0 */
int check_table(const struct map *table, const struct map *arena)
{
	struct table_check c = { table, arena };
	int sig;

	if (table->len <= ASYNCLAZY_HEADER_SIZE)
		return 0;
	may_fault(touch_table, &c, &sig);
	__atomic_add_fetch(&sh->checked_records, 1, __ATOMIC_RELAXED);
	return sig;
}

static ssize_t read_now(int fd, void *buf, size_t size)
{
	struct iovec iov = { buf, size };
	ssize_t n = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

	return n < 0 ? -errno : n;
}

static short poll_now(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	poll(&p, 1, 0);
	return p.revents;
}

/*
 * Between a poll and the read after it a deadline can pass, a back-off end, or an
 * offer go on to the next: so many times in a row they do not.
 */
#define POLL_RACES	3

/**
 * check_polls() - readable if, and only if, read returns something
 * @proc: of this process; nobody but the clock does anything else meanwhile
 */
void check_polls(struct process_state *proc)
{
	struct asynclazy_event e[4];
	int i, n, fd;

	for (i = 0; i < FD_N; i++) {
		ssize_t got = 0;
		int raced = 0;
		short said;

		fd = FD_BASE + i;
		if (proc->kind[i] != K_CLIENT && proc->kind[i] != K_WAIT)
			continue;
		for (n = 0; n < 400; n++) {
			said = poll_now(fd);
			/* one at a time, if it said that there is none: to see it say so again */
			got = read_now(fd, e, said & POLLIN ? sizeof(e) : sizeof(e[0]));
			if (got == -EOWNERDEAD || got == -EBADF)
				break;
			if (!!(said & POLLIN) != (got > 0)) {
				if (++raced < POLL_RACES)
					continue;
				violation("poll of fd %d said %#x, read returned %zd, %d times",
					  fd, said, got, raced);
				return;
			}
			raced = 0;
			if (got < 0 || proc->kind[i] == K_WAIT)
				break;
		}
		if (got == -EBADF)
			continue;
		if (got != -EAGAIN && got != -EOWNERDEAD && got < (ssize_t)sizeof(e[0]) && n < 400)
			violation("read of fd %d returned %zd", fd, got);
		/* a per-wait fd stays readable */
		if (proc->kind[i] == K_WAIT && got > 0 && !(poll_now(fd) & POLLIN))
			violation("fd %d was readable and is not", fd);
		__atomic_add_fetch(&sh->checked_polls, 1, __ATOMIC_RELAXED);
	}
}

/**
 * check_idle() - caches that have no client any more have nothing of one
 * @proc: of this process
 */
void check_idle(struct process_state *proc)
{
	int i;

	for (i = 0; i < FD_N; i++) {
		struct asynclazy_stats s = { .size = sizeof(s) };
		struct asynclazy_geometry g = { .size = sizeof(g) };

		if (proc->kind[i] != K_CACHE || ioctl(FD_BASE + i, ASYNCLAZY_IOC_STATS, &s) ||
		    ioctl(FD_BASE + i, ASYNCLAZY_IOC_GEOMETRY, &g))
			continue;
		if (s.out_arena_allocated + s.out_memfd_bytes > 2 * g.out_budget ||
		    s.out_memfd_bytes > g.out_budget)
			violation("%llu bytes of records and %llu of memfds in a budget of %llu",
				  s.out_arena_allocated, s.out_memfd_bytes, g.out_budget);
		if (s.out_clients || s.out_tickets_now || s.out_waits_now || s.out_initializing ||
		    s.out_queued || s.out_held)
			violation("I8: left behind: %llu clients, %llu tickets, %llu waits, %llu initialisations, %llu queued, %llu held",
				  s.out_clients, s.out_tickets_now, s.out_waits_now,
				  s.out_initializing, s.out_queued, s.out_held);
		__atomic_add_fetch(&sh->checked_stats, 1, __ATOMIC_RELAXED);
	}
}

/** check_errno() - only the errors that the documentation names */
void check_errno(const struct run *x, s64 err)
{
	static const int known[] = {
		EINVAL, E2BIG, ENOTTY, ENOENT, ESTALE, ENOSPC, ENOMEM, EDQUOT, EPERM,
		EACCES, EFAULT, EOWNERDEAD, ETIMEDOUT, EINTR, EEXIST, EFBIG, EMFILE, EBADF,
		EAGAIN,
	};
	u32 i;

	if (err >= 0 || x->call->nr > C_BATCH)
		return;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (-err == known[i])
			return;
	violation("%s returned %lld (%s), which is no documented error", x->desc->name,
		  err, strerror(-err));
}
