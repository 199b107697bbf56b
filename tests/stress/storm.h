/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A crash storm: workers do everything that a client can do to a few caches
 * and are killed at random instants; what they saw is compared in a ledger.
 *
 *   storm.c    options, rounds, the report     raw.c      a worker on the uAPI
 *   killer.c   start, kill, reap, calm         waits.c    its waits and events
 *   caches.c   caches come and go              library.c  a worker on the library
 *   ledger.c   who held which ticket, and what each generation came to
 *   value.c    values that can be recognised   tickets.c  ending a flight
 *   copy.c     a publish that can be cut       leaks.c    what is left at the end
 *   records.c  what a record, a pin or a memfd leads to
 *   library_many.c   gets of many keys        library_words.c  words and locks
 *
 * Everything that outlives a worker is in one shared mapping, struct storm.
 */
#ifndef STRESS_STORM_H
#define STRESS_STORM_H

#include "alz.h"

#include <sched.h>
#include <stdatomic.h>
#include "asynclazy.h"

#define SLOTS_MAX	64
#define CACHES		2
#define LEDGERS		8
#define KEYS_MAX	1024
#define NUMBERS		(1U << 18)	/* generations and tickets of one cache */
#define VALUES		(1U << 17)	/* values made for one cache */
#define VALUE_MAX	(512 << 10)
#define WRONGS		24
#define HOT_KEYS	4		/* wanted by everybody */
/* the evicting cache takes tickets away; in the other one they are for ever */
#define LEASED(view)	((view)->index != 0)

/* What a worker is doing: set before, so that it tells where a kill hit. */
#define PHASES(X)							\
	X(START, "starting")						\
	X(OPEN, "opening")						\
	X(ATTACH, "attaching")						\
	X(MAP, "mapping")						\
	X(UNMAP, "unmapping")						\
	X(DETACH, "detaching")						\
	X(READ, "reading in place")					\
	X(MEMFD, "mapping a memfd")					\
	X(CLAIM, "claiming")						\
	X(WAIT, "waiting in the call")					\
	X(POLL, "waiting in poll")					\
	X(EVENTS, "reading events")					\
	X(WAITFD, "reading a wait fd")					\
	X(CANCEL, "cancelling")						\
	X(FETCH, "fetching a text")					\
	X(MAKE, "initialising")						\
	X(PUBLISH, "publishing")					\
	X(COPY, "in the middle of a copy")				\
	X(PUBLISH_MEMFD, "publishing a memfd")				\
	X(FAIL, "failing")						\
	X(ABANDON, "abandoning")					\
	X(SET, "setting")						\
	X(INVALIDATE, "invalidating")					\
	X(CLEAR, "clearing")						\
	X(EXPIRE, "expiring")						\
	X(EXTEND, "extending")						\
	X(THINK, "idle")						\
	X(EXEC, "in exec")						\
	X(LIB_OPEN, "library: opening")					\
	X(LIB_GET, "library: get")					\
	X(LIB_MAKE, "library: initialising")				\
	X(LIB_MANY, "library: get of many")				\
	X(LIB_ASYNC, "library: asynchronous get or claim")		\
	X(LIB_DISPATCH, "library: poll and dispatch")			\
	X(LIB_CANCEL, "library: cancel")				\
	X(LIB_STORE, "library: set, invalidate or clear")		\
	X(LIB_LOCK, "library: locking")					\
	X(LIB_LOCKED, "library: with a lock")				\
	X(LIB_WORD, "library: waiting for words")			\
	X(LIB_WAKE, "library: waking")					\
	X(LIB_CLOSE, "library: closing")				\
	X(LIB_FORK, "library: forking")

enum phase {
#define X(name, text) PHASE_##name,
	PHASES(X)
#undef X
	PHASE_END
};

/* What can be wrong, each a test of its own in the report. */
enum wrong {
	WRONG_TICKET,	/* two initialisations of one generation */
	WRONG_VALUE,	/* torn, foreign, never published, or two of a generation */
	WRONG_ANSWER,	/* a call that did what it must not */
	WRONG_STUCK,	/* a wait that does not end though all flights have */
	WRONG_GET,	/* a key that cannot be got */
	WRONG_LEFT,	/* objects of the dead */
	WRONG_WORKER,	/* a worker that ended otherwise than by us */
	WRONG_END
};

/* What became of a generation: the first to see it says so, others compare. */
enum outcome { OUTCOME_NONE, OUTCOME_VALUE, OUTCOME_ERROR, OUTCOME_LOST };

enum value_state { VALUE_MADE = 1, VALUE_STORED, VALUE_REFUSED };

struct value_note {
	__u64 ticket;			/* 0: set */
	_Atomic __u64 generation;	/* of a set: known once it was seen */
	__u64 writer;
	__u32 key;
	__u32 size;
	_Atomic __u32 state;
	__u32 pad;
};

/* All that was seen of one cache. */
struct ledger {
	_Atomic __u32 values;
	_Atomic __u64 grant[NUMBERS];	/* by generation: see ledger.c */
	_Atomic __u64 outcome[NUMBERS];	/* by generation: kind, number */
	struct value_note value[VALUES];
} __attribute__((aligned(4096)));	/* so that it can be thrown away */

/* A worker that is missing: asked for, being made, or there. */
enum birth { BIRTH_NONE, BIRTH_FORK, BIRTH_EXEC, BIRTH_BEGUN };

/* One worker's place. Written by the worker, but for pid and doomed. */
struct slot {
	_Atomic int pid;
	_Atomic __u32 birth;		/* enum birth: until it has one */
	_Atomic __u32 epoch;		/* rises with each process, and each exec */
	_Atomic bool doomed;		/* about to be killed, or killed */
	_Atomic __u32 phase;
	_Atomic __u32 key;
	_Atomic __u32 held;		/* tickets */
	_Atomic __u32 waits;		/* outstanding */
	_Atomic __u32 pins;		/* that it keeps set */
	_Atomic __u32 idle;		/* the calm in which it has nothing left to do */
	_Atomic __u32 in[CACHES];	/* ledger + 1 of the cache it is in */
	_Atomic __u64 operations;
} __attribute__((aligned(128)));

struct cache_state {
	_Atomic __u64 now;		/* serial << 8 | ledger */
	_Atomic bool full;		/* no more new work until it is replaced */
};

struct totals {
	_Atomic __u64 tickets, handovers, published, failed, abandoned, stale;
	_Atomic __u64 nospace, values_read, errors_read, lost, events, waits_ended;
	_Atomic __u64 sets, cuts, bytes_read;
	_Atomic __u64 memfds, memfds_read, unkept, pins_kept;
	_Atomic __u64 locks, heirs;
	/* of caches that are gone */
	_Atomic __u64 evictions, reinsertions;
	_Atomic __u64 refreshes, revoked, unaccepted, broken, extends;
};

struct storm {
	/* constant */
	__u32 procs, keys, library, exec;
	__u64 seed;
	bool can_cut;			/* userfaultfd works */
	char pool[2 * VALUE_MAX];	/* random bytes to make values of */

	_Atomic __u32 calm;		/* rises at its begin and end: odd is calm */
	_Atomic int work;		/* operations until the killer goes on */
	_Atomic __u32 worked;		/* they were done: a futex */
	_Atomic __u32 births;		/* rises with each one asked for: a futex */
	_Atomic bool barren;		/* no births any more */
	_Atomic __u32 wrongs[WRONG_END];
	_Atomic __u32 texts;
	char text[WRONGS][400];
	struct totals totals;
	struct cache_state caches[CACHES];
	struct slot slots[SLOTS_MAX];
	struct ledger ledgers[LEDGERS];
};

/* A cache as a worker sees it. */
struct view {
	unsigned int index;
	__u64 serial;
	struct ledger *ledger;
	struct alz a;			/* on the uAPI */
	struct alazy_cache *library;	/* through the library */
	__u32 last[KEYS_MAX];		/* generation last read in place */
};

struct held {
	struct view *view;
	__u32 key;
	__u64 generation;
	__u64 ticket;
};

#define HELD_MAX	8

/* This process, if it is a worker. */
struct worker {
	struct slot *me;
	__u32 slot;
	__u64 rng;
	struct view views[CACHES];
	struct held held[HELD_MAX];
	__u32 nr_held;
};

extern struct storm *storm;
extern struct worker self;

static inline __u64 rnd(__u64 n)
{
	return alz_rand(&self.rng) % n;
}

static inline bool percent(unsigned int n)
{
	return rnd(100) < n;
}

static inline enum phase phase(enum phase p)
{
	return atomic_exchange_explicit(&self.me->phase, p, memory_order_relaxed);
}

/*
 * The same for a short one: now and then let others run first, so that kills
 * also fall between the decision and the call.
 */
static inline enum phase phase_short(enum phase p)
{
	enum phase before = phase(p);

	if (percent(25))
		sched_yield();
	return before;
}

static inline bool calm(void)
{
	return atomic_load(&storm->calm) & 1;
}

static inline void count(_Atomic __u64 *what)
{
	atomic_fetch_add_explicit(what, 1, memory_order_relaxed);
}

/* ledger.c */
void wrong(enum wrong kind, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void ledger_grant(struct view *v, __u32 key, __u64 generation, __u64 ticket,
		  __u32 attempt);
void ledger_ending(const struct held *h);
void ledger_alive(const struct held *h);
void ledger_ended(const struct held *h, int err);
void ledger_outcome(struct view *v, __u64 generation, enum outcome kind, __u64 number);

/* value.c */
size_t key_name(__u32 key, char *name);
const void *value_make(struct view *v, __u32 key, const struct held *h, __u32 size,
		       struct value_note **note);
void value_check(struct view *v, __u32 key, __u64 generation, const void *data,
		 size_t size, const char *how);
int error_make(const struct held *h, char *text);
void error_check(struct view *v, __u32 key, __u64 generation, int error,
		 const void *text, size_t size, const char *how);
__u32 value_size(const struct view *v);
__u32 value_size_least(void);

/* tickets.c */
void ticket_hold(struct view *v, __u32 key, __u64 generation, __u64 ticket,
		 __u32 attempt);
__u32 ticket_find(const struct view *v, __u64 ticket);
void ticket_end(__u32 n, bool must);
int ticket_keep(__u32 n);
int ticket_renew(const struct held *h);
void ticket_extend(__u32 n);
void ticket_drop_view(const struct view *v);
int ticket_publish(const struct held *h, const void *data, size_t size);
int ticket_set(struct view *v, __u32 key, const void *data, size_t size, __u64 *generation);

/* records.c */
#define PIN_CALL	1	/* the pin that a call sets, or that a look needs */

#define RECORD_ERROR	(1U << 0)
#define RECORD_HELD	(1U << 1)	/* its memfd too: that cannot be gone */

void record_read(struct view *v, __u32 key, struct alz_found *f);
void record_check(struct view *v, __u32 key, __u64 generation, __u64 offset, __u32 flags,
		  const char *how);
void record_failed(struct view *v, __u32 key, __u64 generation, int error, __u64 offset,
		   const void *text, size_t size, const char *how);
void record_memfd(struct view *v, __u32 key, __u64 generation, int fd, const char *how);
void record_answer(struct view *v, __u32 key, const struct asynclazy_claim *c,
		   const char *how);
void record_unpin_some(void);
void record_drop_view(const struct view *v);

/* copy.c */
bool copy_can_cut(void);
int copy_publish(const struct held *h, const void *data, size_t size);
int copy_bad(const struct held *h, const void *data, size_t size);

/* caches.c */
void cache_start(int device);
void cache_stop(void);
void cache_tick(void);
void cache_replace_all(void);
void cache_calm(bool attached);
bool cache_check_keys(void);
bool cache_retired(const struct slot *s, unsigned int index);
__u64 cache_made(void);
bool cache_enter(struct view *v, char *name);
bool cache_moved(const struct view *v);
void cache_leave(struct view *v);

/* raw.c, waits.c, library.c */
void worker_run(unsigned int slot) __attribute__((noreturn));
void worker_exec(void);
void worker_operation(void);
void worker_idle(void);
__u32 some_key(const struct view *v);
bool worker_hurry(__u32 key);
void raw_run(void) __attribute__((noreturn));
void set_nonblock(int fd);
void waits_add(struct view *v, __u32 key, __u64 cookie, int fd, bool able, bool follow);
void waits_serve(int timeout_ms);
void waits_cancel(void);
void waits_drop_view(const struct view *v);
bool waits_room(void);
bool waits_any_able(void);
__u32 waits_left(void);
void library_value(struct view *v, __u32 key, struct alazy_ref *ref, const char *how);
void library_error(struct view *v, __u32 key, int err, const char *text, size_t size,
		   const char *how);
void library_many(struct view *v, bool patient);
void library_words(struct view *v);
void library_words_calm(void);
void library_words_forget(const struct view *v);
void library_run(void) __attribute__((noreturn));

/* killer.c */
struct kills {
	__u64 done;
	__u64 by_phase[PHASE_END];
	__u64 holding, waiting, pinning, retired, both_caches;
	__u64 instants;			/* at which one or several were killed */
	__u64 worked;			/* after WORKED operations at least */
};

#define WORKED		4

extern struct kills kills;
extern const char *const phase_names[PHASE_END];
bool phase_expected(enum phase p);
void killer_program(const char *program, int shared_fd);
void killer_start(void);
void killer_fill(void);
unsigned int killer_kill(unsigned int most);
void killer_reap(bool wait);
bool killer_calm(__u64 watchdog_ns);
void killer_all(void);
__u64 killer_dying(void);

/* leaks.c */
int leaks_begin(void);
__u64 leaks_memory(void);
int leaks_unload(void);
int leaks_kmemleak(int scans);

#endif
