/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * libasynclazy: get a key, or initialise it exactly once on this host, while
 * everybody else waits without a thread.
 *
 * Words: a cache holds records by key. An initialisation of one key is a
 * flight; who runs it holds its ticket; the others are its waiters.
 *
 * Every function that returns an int returns 0 (or a count) or a negative
 * errno. After an error alazy_strerror_detail() has a sentence that says what
 * was wrong and what to do, or the initialiser's own text.
 *
 * Pointers are not NULL unless the comment of the function allows it. Blocking
 * calls go on after a signal; give them a deadline to end them.
 *
 * Threads: every function may be called from any thread, except that one
 * struct alazy_ref or struct alazy_ticket is used by one thread at a time.
 * The library starts no thread, installs no signal handler and owns no event
 * loop. User code (initialisers, callbacks) never runs under a lock.
 *
 * Fork: a child goes on reading what it inherited and attaches anew at its
 * first miss. Tickets, waits and callbacks of the parent stay the parent's.
 *
 * Caveats, things that a caller must not do:
 *  - write to, or free, the memory behind a ref;
 *  - use a ref after alazy_ref_put(), or any object after its close or free;
 *  - close the descriptor that alazy_fd() returns;
 *  - call alazy_cache_close() while another thread is in a call on that cache,
 *    or from a callback of that cache;
 *  - block in a callback or initialiser on a key that this very thread is to
 *    initialise: its ticket may be among the events that wait behind it.
 */
#ifndef ASYNCLAZY_H
#define ASYNCLAZY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct alazy_cache;	/* one process's view of a cache */
struct alazy_wait;	/* an asynchronous wait that has not ended */
struct alazy;		/* one value, see alazy_new() */

/* ---- caches ------------------------------------------------------------ */

#define ALAZY_BACKEND_AUTO	0
#define ALAZY_BACKEND_KERNEL	1	/* shared by the processes of the host */
#define ALAZY_BACKEND_LOCAL	2	/* shared by the threads of this process */

#define ALAZY_CACHE_STABLE	(1U << 0)	/* refs stay valid until close */
#define ALAZY_CACHE_EXCLUSIVE	(1U << 1)	/* create it; -EEXIST if it is there */
#define ALAZY_CACHE_EXISTING	(1U << 2)	/* open only; -ENOENT if it is not */
#define ALAZY_CACHE_READONLY	(1U << 3)	/* get and wait only; with EXISTING */
#define ALAZY_CACHE_SHARED	(1U << 4)	/* never the local backend */

/**
 * struct alazy_cache_opts - how to open a cache; zero-initialise, then set
 * @size: sizeof(struct alazy_cache_opts)
 * @flags: ALAZY_CACHE_*; all caches of this version are append-only, so
 *	STABLE changes nothing yet: state it where you depend on it
 * @backend: ALAZY_BACKEND_*
 * @mode: permission bits of a new named cache, 0 means 0600
 * @max_keys: keys that a new cache has room for, 0 means 65536
 * @arena_size: bytes of records in a new cache, 0 means 64 MiB; memory is
 *	taken as it fills
 * @segment_size: 0, or a power of two from 64 KiB to 64 MiB: how the arena
 *	grows; a value is at most a segment less some 4 KiB; 0 means 1 MiB
 * @reserved: 0
 */
struct alazy_cache_opts {
	uint32_t size;
	uint32_t flags;
	uint32_t backend;
	uint32_t mode;
	uint64_t max_keys;
	uint64_t arena_size;
	uint64_t segment_size;
	uint64_t reserved[3];
};

/**
 * alazy_cache_open() - open a cache, making it if it is not there
 * @name: 1 to 255 bytes, or NULL for an anonymous cache of this process
 * @opts: NULL for the defaults; read before the call returns, not kept
 *
 * AUTO takes the kernel backend where /dev/asynclazy opens. Where it does not,
 * an anonymous cache is local, but a named one is -ENODEV: a cache that
 * others were to share is never silently private. The environment variable
 * ALAZY_BACKEND=kernel|local decides in place of AUTO.
 *
 * Return: the cache, owned by the caller until alazy_cache_close(); NULL with
 * errno set: ENODEV (no module), EACCES, EEXIST, ENOENT, EINVAL, E2BIG (newer
 * options), EDQUOT, EPROTO (a module of another ABI), ENOMEM, EMFILE.
 */
struct alazy_cache *alazy_cache_open(const char *name,
				     const struct alazy_cache_opts *opts);

/**
 * alazy_cache_close() - detach and free
 * @cache: NULL is allowed
 *
 * Waits end without their callbacks, tickets are handed over, and refs into a
 * cache are invalid from here on. A named cache itself stays until
 * alazy_cache_unlink().
 */
void alazy_cache_close(struct alazy_cache *cache);

/**
 * alazy_cache_unlink() - take the name of a cache away
 * @name: the name
 * @backend: ALAZY_BACKEND_*, as for alazy_cache_open()
 *
 * Those who have the cache open keep it; the next open makes a new one.
 *
 * Return: 0, -ENOENT, -EACCES (not the owner), -ENODEV.
 */
int alazy_cache_unlink(const char *name, uint32_t backend);

/** alazy_backend() - Return: "kernel" or "local"; a constant string. */
const char *alazy_backend(const struct alazy_cache *cache);

/**
 * alazy_cache_owner() - who made a cache, and who may use it
 * @uid: NULL, or where its maker's user id goes, as this process sees it
 * @mode: NULL, or where its permission bits go
 *
 * Names are first come, first served: a program that trusts the values of a
 * named cache checks that the right user made it and that others cannot write.
 *
 * Return: 0, or a negative errno.
 */
int alazy_cache_owner(struct alazy_cache *cache, uint32_t *uid, uint32_t *mode);

/**
 * alazy_cache_len() - how many keys have a value
 *
 * Return: the number of FILLED slots at this moment; values whose TTL has run
 * out count until somebody asks for them. No system call.
 */
uint64_t alazy_cache_len(const struct alazy_cache *cache);

/* ---- refs -------------------------------------------------------------- */

/**
 * struct alazy_ref - a value, in place, read-only
 * @data: the bytes; at least 16-byte aligned
 * @size: how many
 * @generation: of the key when it was published
 * @priv: the library's
 *
 * From a successful get until alazy_ref_put() the bytes stay where and what
 * they are, whatever is set or invalidated meanwhile. On the kernel backend the
 * memory is mapped read-only; on the local backend it is this process's own.
 */
struct alazy_ref {
	const void *data;
	size_t size;
	uint64_t generation;
	uintptr_t priv[3];
};

/** alazy_ref_put() - give a ref back; a zeroed or already put one is allowed */
void alazy_ref_put(struct alazy_ref *ref);

/* ---- tickets ----------------------------------------------------------- */

/**
 * struct alazy_ticket - the right to end one flight
 * @cache: where
 * @id: unique in the cache
 * @generation: of the key
 * @attempt: owners that died or gave up before
 * @reserved: the library's
 *
 * A plain value: copy it to keep it. It ends by publish, fail or abandon, by
 * the process's death, or when the key is set or invalidated; from then on
 * every call with it returns -ESTALE and changes nothing. A ticket is of the
 * process, so any thread may end it.
 */
struct alazy_ticket {
	struct alazy_cache *cache;
	uint64_t id;
	uint64_t generation;
	uint32_t attempt;
	uint32_t reserved;
};

#define ALAZY_NEVER	UINT64_MAX

/**
 * alazy_publish() - end the flight with a value
 * @ticket: the ticket
 * @data: @size bytes, copied; may be NULL if @size is 0
 * @size: bytes
 * @ttl_ns: nanoseconds until the value counts as absent; 0 or ALAZY_NEVER: never.
 *	Its room in the cache is not given back in this version.
 *
 * Return: 0; -ESTALE; -EFBIG (larger than the cache takes) or -ENOSPC (the
 * cache is full): the ticket is then still held, fail or abandon it.
 */
int alazy_publish(const struct alazy_ticket *ticket, const void *data,
		  size_t size, uint64_t ttl_ns);

#define ALAZY_TRANSIENT	0	/* told to the waiters, not kept */
#define ALAZY_NEGATIVE	1	/* kept for ttl_ns, 0 means 5 s */
#define ALAZY_PERMANENT	2	/* kept until set or invalidated */

/**
 * alazy_fail() - end the flight with an error, the same for all its waiters
 * @ticket: the ticket
 * @err: a negative errno
 * @error_class: ALAZY_TRANSIENT, ALAZY_NEGATIVE or ALAZY_PERMANENT
 * @ttl_ns: for ALAZY_NEGATIVE, else 0
 * @detail: text for alazy_strerror_detail() of everybody, at most 256 bytes
 *	(longer is cut); NULL for none
 *
 * Return: 0, -ESTALE, -EINVAL.
 */
int alazy_fail(const struct alazy_ticket *ticket, int err, int error_class,
	       uint64_t ttl_ns, const char *detail);

/**
 * alazy_abandon() - give the ticket back, for the oldest waiter that can
 * initialise; with none the key is empty again and the waits end with
 * -ECANCELED
 *
 * Return: 0, -ESTALE.
 */
int alazy_abandon(const struct alazy_ticket *ticket);

/* ---- get or initialise ------------------------------------------------- */

/**
 * typedef alazy_init_fn - make the value of a key
 * @ticket: end it with alazy_publish(), alazy_fail() or alazy_abandon(). In a
 *	blocking get that must have happened on return, else it is abandoned
 *	and the get is -ECANCELED. In an asynchronous get a copy of it may be
 *	kept and ended later, by any thread.
 * @key: valid during the call
 * @key_size: bytes
 * @ctx: as given to the get
 *
 * Return: 0, or a negative errno, which fails the flight as ALAZY_TRANSIENT if
 * the ticket is still held.
 */
typedef int (*alazy_init_fn)(const struct alazy_ticket *ticket,
			     const void *key, size_t key_size, void *ctx);

/**
 * alazy_cache_get() - get the value, or initialise it, or wait for who does
 * @cache: the cache
 * @key: @key_size bytes, any
 * @key_size: 1 to 4096
 * @init: run in this call if nobody has made the value and nobody is making
 *	it, at most once on the host; NULL: only wait, -ENOENT if nobody makes it
 * @ctx: for @init
 * @ref: where the value goes on 0; put it with alazy_ref_put(); undefined on
 *	an error
 *
 * A hit costs no system call, no lock, no atomic read-modify-write and no
 * fence. If the initialiser dies or abandons, the oldest waiter's @init runs.
 *
 * Return: 0; the error that the flight ended with, as a negative errno;
 * -ECANCELED (given up, nobody took over); -EOWNERDEAD (the initialiser died
 * and no waiter could take over; without @init only); -ENOSPC, -EFBIG, -EACCES (read-only
 * cache, no value), -EDQUOT, -ENOMEM, -EINVAL.
 */
int alazy_cache_get(struct alazy_cache *cache, const void *key, size_t key_size,
		    alazy_init_fn init, void *ctx, struct alazy_ref *ref);

/**
 * alazy_cache_get_until() - alazy_cache_get() with a deadline
 * @deadline_ns: absolute CLOCK_MONOTONIC nanoseconds; 0 or ALAZY_NEVER: none.
 *	It bounds the waiting, not @init itself.
 *
 * Return: also -ETIMEDOUT.
 */
int alazy_cache_get_until(struct alazy_cache *cache, const void *key,
			  size_t key_size, alazy_init_fn init, void *ctx,
			  uint64_t deadline_ns, struct alazy_ref *ref);

/**
 * typedef alazy_done_fn - an asynchronous get has ended
 * @err: 0 or a negative errno, as alazy_cache_get() returns
 * @ref: the value, NULL on an error. The callee's: move it out by assignment
 *	to keep it, or leave it and the library puts it on return.
 * @ctx: as given to the get
 */
typedef void (*alazy_done_fn)(int err, struct alazy_ref *ref, void *ctx);

/**
 * alazy_cache_get_async() - alazy_cache_get() without blocking
 * @init: called at once if this caller is to initialise, or later from
 *	alazy_dispatch() if the initialiser before it is lost; may be NULL
 * @done: called exactly once unless cancelled; never before @init returned
 * @wait: NULL, or where a handle for alazy_cancel() goes on 0; valid until
 *	@done is called or the wait is cancelled
 *
 * Return: 1 if it ended at once: @done has been called; 0 if @done will be
 * called from alazy_dispatch(); a negative errno if @done will not be called.
 */
int alazy_cache_get_async(struct alazy_cache *cache, const void *key,
			  size_t key_size, alazy_init_fn init,
			  alazy_done_fn done, void *ctx,
			  struct alazy_wait **wait);

/**
 * alazy_cancel() - end an asynchronous wait without its callback
 *
 * Nobody else's wait is touched. A ticket that was on its way to this wait
 * goes to the next. An initialisation that this caller started goes on: its
 * ticket is ended by whoever holds it.
 *
 * Return: 0; @wait is freed. -EALREADY: its last callback is running just now,
 * in another thread or as the caller of this; @wait is freed when it returns.
 */
int alazy_cancel(struct alazy_wait *wait);

/**
 * alazy_fd() - the descriptor to watch for reading
 *
 * Return: the library's own descriptor, level-triggered: readable when
 * alazy_dispatch() has something to do. The same one until
 * alazy_cache_close(), except that a forked child asks again. Negative errno.
 */
int alazy_fd(struct alazy_cache *cache);

/**
 * alazy_dispatch() - call the callbacks that are due; never blocks
 *
 * May be called from several threads; each callback runs once.
 *
 * Return: how many waits were served, 0 if none was due, negative errno.
 */
int alazy_dispatch(struct alazy_cache *cache);

#define ALAZY_EMPTY		0
#define ALAZY_FILLED		1
#define ALAZY_FAILED		2
#define ALAZY_INITIALIZING	3

/**
 * alazy_cache_peek() - what is known of a key, without waiting
 * @ref: NULL, or where the value goes on ALAZY_FILLED
 * @err: NULL, or where the kept error goes on ALAZY_FAILED, a negative errno;
 *	its text is then in alazy_strerror_detail()
 *
 * Return: ALAZY_EMPTY, ALAZY_FILLED, ALAZY_FAILED or ALAZY_INITIALIZING;
 * negative errno.
 */
int alazy_cache_peek(struct alazy_cache *cache, const void *key,
		     size_t key_size, struct alazy_ref *ref, int *err);

/**
 * alazy_cache_set() - store a value whatever the state
 *
 * Waiters get it at once; the ticket of a running flight becomes -ESTALE.
 * @data, @size, @ttl_ns: as for alazy_publish().
 *
 * Return: 0, -EFBIG, -ENOSPC, -EACCES, -EINVAL.
 */
int alazy_cache_set(struct alazy_cache *cache, const void *key, size_t key_size,
		    const void *data, size_t size, uint64_t ttl_ns);

/**
 * alazy_cache_invalidate() - make a key empty
 *
 * The ticket of a running flight becomes -ESTALE, and its oldest waiter that
 * can initialise gets a new one. A get whose own initialiser was overtaken so
 * asks again.
 *
 * Return: 1 if there was a value, an error or a flight, 0 if not; -EACCES.
 */
int alazy_cache_invalidate(struct alazy_cache *cache, const void *key,
			   size_t key_size);

/** alazy_cache_clear() - invalidate every key. Return: how many; -EACCES. */
int64_t alazy_cache_clear(struct alazy_cache *cache);

/* ---- ticket level ------------------------------------------------------ */

#define ALAZY_CLAIM_INIT	(1U << 0)	/* able to initialise */
#define ALAZY_CLAIM_BLOCK	(1U << 1)	/* wait in the call */
#define ALAZY_CLAIM_EVENT	(1U << 2)	/* wait; answered by alazy_dispatch() */
#define ALAZY_CLAIM_FD		(1U << 3)	/* wait; a descriptor of its own */
#define ALAZY_CLAIM_FOLLOW	(1U << 4)	/* with INIT | EVENT: see alazy_claim() */

#define ALAZY_ANSWER_EMPTY	0	/* no value, nobody makes one */
#define ALAZY_ANSWER_HIT	1	/* ref has the value: put it */
#define ALAZY_ANSWER_FAILED	2	/* err has the error */
#define ALAZY_ANSWER_TICKET	3	/* ticket: end it */
#define ALAZY_ANSWER_PENDING	4	/* in the making */

/**
 * struct alazy_answer - what a claim or a wait brought
 * @kind: ALAZY_ANSWER_*
 * @err: FAILED: negative errno
 * @ref: HIT: the value, the caller's to put
 * @ticket: TICKET: the caller's to end
 * @wait: handle for alazy_cancel(): PENDING with EVENT, TICKET with FOLLOW
 * @fd: PENDING with FD: the caller's to close, which ends the wait (the local
 *	backend notices at the next call into the library)
 */
struct alazy_answer {
	int kind;
	int err;
	struct alazy_ref ref;
	struct alazy_ticket ticket;
	struct alazy_wait *wait;
	int fd;
};

/**
 * typedef alazy_answer_fn - an EVENT wait has ended, or has become the ticket
 * @answer: HIT, FAILED or TICKET. The callee's, as in alazy_done_fn; a ticket
 *	must be ended.
 */
typedef void (*alazy_answer_fn)(struct alazy_answer *answer, void *ctx);

/**
 * alazy_claim() - get the value, or the ticket to make it, or wait
 * @flags: ALAZY_CLAIM_*; of BLOCK, EVENT and FD at most one; with none the
 *	call only looks, and PENDING means that somebody makes the value.
 *	FOLLOW: if the answer is TICKET, @fn is also called with the value or
 *	error once that flight has ended, whoever ends it.
 * @deadline_ns: BLOCK: as for alazy_cache_get_until()
 * @fn, @ctx: EVENT: called once from alazy_dispatch() unless cancelled
 * @answer: filled on 0
 *
 * Return: 0; -ETIMEDOUT; -ENOSPC (no room for another key), -EDQUOT, -EACCES
 * (INIT on a read-only cache), -EINVAL, -ENOMEM, -EMFILE.
 */
int alazy_claim(struct alazy_cache *cache, const void *key, size_t key_size,
		uint32_t flags, uint64_t deadline_ns, alazy_answer_fn fn,
		void *ctx, struct alazy_answer *answer);

/**
 * alazy_wait_read() - the answer of a per-wait descriptor
 * @cache: where it was made
 * @fd: from alazy_claim() with ALAZY_CLAIM_FD; readable once the wait has
 *	ended (also EPOLLERR if it failed), and from then on
 *
 * Return: 0 with @answer filled; -EAGAIN while the wait goes on; -EOWNERDEAD
 * (of another process, or of a cache that was closed); -EBADF (no such wait).
 */
int alazy_wait_read(struct alazy_cache *cache, int fd,
		    struct alazy_answer *answer);

/* ---- ALazy: one value -------------------------------------------------- */

/**
 * alazy_new() - a value that is initialised once, on first use
 * @cache: outlives the object
 * @key, @key_size: copied
 * @init, @ctx: as for alazy_cache_get(); @ctx stays the caller's
 *
 * Return: the object, owned by the caller until alazy_free(); NULL with errno
 * ENOMEM or EINVAL.
 */
struct alazy *alazy_new(struct alazy_cache *cache, const void *key,
			size_t key_size, alazy_init_fn init, void *ctx);

/** alazy_free() - free the object; the value stays in the cache */
void alazy_free(struct alazy *lazy);

/**
 * alazy_get() - the value, initialising it or waiting for it
 * @ref: as for alazy_cache_get()
 *
 * Once resolved to a value without TTL it stays resolved for this object: one
 * load and one branch, and later sets or invalidations are not seen.
 *
 * Return: as alazy_cache_get().
 */
int alazy_get(struct alazy *lazy, struct alazy_ref *ref);

/** alazy_get_async() - as alazy_cache_get_async(), for this value */
int alazy_get_async(struct alazy *lazy, alazy_done_fn done, void *ctx,
		    struct alazy_wait **wait);

/** alazy_peek() - as alazy_cache_peek(), for this value */
int alazy_peek(struct alazy *lazy, struct alazy_ref *ref, int *err);

/* ---- errors, figures --------------------------------------------------- */

/**
 * alazy_strerror_detail() - the text beside this thread's last error
 *
 * Return: a string of this thread's, valid until its next call into the
 * library; "" if the last call did not fail.
 */
const char *alazy_strerror_detail(void);

/**
 * struct alazy_stats - counters since the cache was made, then gauges
 * @size: set to sizeof(struct alazy_stats) before the call
 *
 * @hits are those that the backend answered; hits that were read straight
 * from the shared pages are nobody's to count.
 */
struct alazy_stats {
	uint64_t size;
	uint64_t claims;
	uint64_t hits;
	uint64_t tickets;
	uint64_t waits;
	uint64_t publishes;
	uint64_t fails;
	uint64_t abandons;
	uint64_t deaths;
	uint64_t handovers;
	uint64_t stale;
	uint64_t cancels;
	uint64_t sets;
	uint64_t invalidates;
	uint64_t nospace;
	uint64_t keys;
	uint64_t errors;
	uint64_t initializing;
	uint64_t arena_used;
	uint64_t arena_allocated;
	uint64_t clients;
	uint64_t tickets_now;
	uint64_t waits_now;
};

/** alazy_cache_stats() - Return: 0, -EINVAL (size) */
int alazy_cache_stats(struct alazy_cache *cache, struct alazy_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* ASYNCLAZY_H */
