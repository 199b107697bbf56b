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
 * Fork: a child attaches anew by itself, in a STABLE cache at its first miss, in
 * another at its first get. Tickets, waits, locks and callbacks of the parent stay the
 * parent's. A child made by _Fork() or clone() must not use an evicting cache, nor
 * locks.
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

#define ALAZY_CACHE_STABLE	(1U << 0)	/* append-only: only memfds are evicted */
#define ALAZY_CACHE_EXCLUSIVE	(1U << 1)	/* create it; -EEXIST if it is there */
#define ALAZY_CACHE_EXISTING	(1U << 2)	/* open only; -ENOENT if it is not */
#define ALAZY_CACHE_READONLY	(1U << 3)	/* get and wait only; with EXISTING */
#define ALAZY_CACHE_SHARED	(1U << 4)	/* never the local backend */
#define ALAZY_CACHE_RESTARTABLE	(1U << 5)	/* see alazy_cancel() */

/**
 * struct alazy_cache_opts - how to open a cache; zero-initialise, then set
 * @size: sizeof(struct alazy_cache_opts)
 * @flags: ALAZY_CACHE_*
 * @backend: ALAZY_BACKEND_*
 * @mode: permission bits of a new named cache, 0 means 0600
 * @max_keys: keys that a new cache has room for, 0 means 65536
 * @arena_size: bytes of values in a new cache, 0 means 64 MiB; memory is taken as
 *	it fills
 * @segment_size: 0, or a power of two from 64 KiB to 64 MiB: how the arena grows
 *	and what is evicted at once; a value in the arena is at most a segment less
 *	some 4 KiB (larger ones are put into memfds, but in a STABLE cache are
 *	-EFBIG); 0 means 1 MiB, a sixteenth of a small arena, 2 MiB (huge pages) in one
 *	of 256 MiB or more
 * @ttl_ns: for values whose publish says 0; 0: they never end
 * @stale_ttl_ns: as in struct alazy_publish_opts
 * @dead_ttl_ns: as in struct alazy_publish_opts
 * @accept_ns: how long a waiter may leave a ticket that it is offered unread, until
 *	the next one gets it; 0: two seconds; ALAZY_NEVER. The local backend never
 *	takes one away
 * @soft_lease_ns: how long an initialisation may take until it counts as late in
 *	the statistics; 0: for ever
 * @hard_lease_ns: how long until its ticket is taken away and the next waiter gets
 *	it, or those who cannot initialise -ETIME; not less than @soft_lease_ns; 0:
 *	for ever. alazy_extend() begins both anew
 * @max_inits: initialisations that run at a time, on the whole host; the others wait
 *	for their turn, first come, first served; 0: any number. What an initialiser
 *	gets itself is not counted out
 * @max_deaths: owners of one key that may die within a minute until its gets are
 *	-EOWNERDEAD for a while; 0: three; UINT32_MAX: any number
 * @backoff_ns: how long nobody initialises a key anew after an error that is not
 *	kept (ALAZY_TRANSIENT), on the whole host; it doubles with each one in a row,
 *	less up to a quarter at random. Gets wait meanwhile. 0: 50 ms; ALAZY_NEVER:
 *	not at all
 * @backoff_max_ns: the most that it comes to; 0: five seconds
 * @breaker_ns: the while of @max_deaths, which doubles as often as the next owner
 *	dies as well; 0: five seconds
 * @words: how many words a new cache has, see alazy_word(); at most 2^24; 0: 1024.
 *	Each takes eight bytes
 *
 * What a cache does when it is full: by default it evicts, by segments of the
 * arena, oldest first, but keeps what was read since its turn came last; a ref
 * keeps what it refers to. With STABLE nothing goes: full is -ENOSPC, refs stay
 * valid until close even when they are put (but for values in memfds), and a hit
 * is somewhat faster. Asking for STABLE of a cache that is there and is not is
 * -EINVAL.
 */
struct alazy_cache_opts {
	uint32_t size;
	uint32_t flags;
	uint32_t backend;
	uint32_t mode;
	uint64_t max_keys;
	uint64_t arena_size;
	uint64_t segment_size;
	uint64_t ttl_ns;
	uint64_t stale_ttl_ns;
	uint64_t dead_ttl_ns;
	uint64_t accept_ns;
	uint64_t soft_lease_ns;
	uint64_t hard_lease_ns;
	uint32_t max_inits;
	uint32_t max_deaths;
	uint64_t backoff_ns;
	uint64_t backoff_max_ns;
	uint64_t breaker_ns;
	uint64_t words;
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
 * options), EDQUOT, EPROTO (a module of another ABI), ENOSYS (local, evicting: no
 * membarrier(2)), ENOMEM, EMFILE.
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
 * they are, whatever is set, invalidated or evicted meanwhile. On the kernel
 * backend the memory is mapped read-only; on the local backend it is this
 * process's own. A ref keeps the arena's segment that it is in, so put it when it
 * is done with. A thread that has more than seven at once, or comes after 63
 * others, gets copies.
 *
 * A ref is of the process that got it: a forked child gets its own. (One that is
 * inherited stays what it is as long as the parent has it.)
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
 * @ttl_ns: nanoseconds until the value counts as absent; 0: the cache's;
 *	ALAZY_NEVER: never
 *
 * A value that is larger than the cache keeps, or finds no room, is still
 * delivered to all who wait for it, and not kept: see unkept in the statistics.
 *
 * Return: 0; -ESTALE; of a STABLE cache also -EFBIG (larger than it takes) or
 * -ENOSPC (it is full): the ticket is then still held, fail or abandon it.
 */
int alazy_publish(const struct alazy_ticket *ticket, const void *data,
		  size_t size, uint64_t ttl_ns);

/**
 * struct alazy_publish_opts - more about a value; zero-initialise, then set
 * @size: sizeof(struct alazy_publish_opts)
 * @flags: 0
 * @ttl_ns: how long it is fresh; 0: the cache's three; ALAZY_NEVER: for ever
 * @stale_ttl_ns: how long after that it is stale
 * @dead_ttl_ns: how long after that it counts as absent
 * @reserved: 0
 *
 * A stale value is got like a fresh one; but one get at a time, on the whole host,
 * that has an initialiser runs it to make the value anew, and nobody waits for that
 * but itself. (An asynchronous get waits only for the initialiser to return.) If it
 * fails, the stale value is still got, and the next get tries after the back-off.
 * Shortly before it is stale, the more likely the longer it takes to make, a get does
 * so too. After that time gets wait for the new value; until it is dead the record
 * is kept for whoever makes it.
 */
struct alazy_publish_opts {
	uint32_t size;
	uint32_t flags;
	uint64_t ttl_ns;
	uint64_t stale_ttl_ns;
	uint64_t dead_ttl_ns;
	uint64_t reserved[2];
};

/** alazy_publish_with() - alazy_publish() with more options; @opts may be NULL */
int alazy_publish_with(const struct alazy_ticket *ticket, const void *data, size_t size,
		       const struct alazy_publish_opts *opts);

/**
 * alazy_publish_fd() - end the flight with a value that is in a memfd
 * @ticket: the ticket
 * @fd: from memfd_create(2) with MFD_ALLOW_SEALING; stays the caller's. The
 *	whole file is the value. The seals that are missing are added: nothing can
 *	change it afterwards. No process may have it mapped for writing.
 * @opts: NULL for the defaults
 *
 * For large values: readers map the file, nothing is copied, and its pages may be
 * huge ones (MFD_HUGETLB). It counts against arena_size; one that does not fit is
 * delivered and not kept.
 *
 * Return: 0; -ESTALE; -EPERM (not a memfd, or without sealing); -EBUSY (mapped for
 * writing: unmap it first); -EBADF. After an error the ticket is still held.
 */
int alazy_publish_fd(const struct alazy_ticket *ticket, int fd,
		     const struct alazy_publish_opts *opts);

#define ALAZY_TRANSIENT	0	/* told to the waiters, not kept */
#define ALAZY_NEGATIVE	1	/* kept for ttl_ns, 0 means 5 s */
#define ALAZY_PERMANENT	2	/* kept until set, invalidated or evicted */

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
 * alazy_extend() - an initialisation goes on: its leases begin anew
 * @ticket: the ticket
 * @done: how far it is, in units of the caller's own
 * @total: of how much, at least @done; 0: not known
 *
 * For initialisers that take longer than the cache's leases, and to tell others
 * how far they are: alazy_cache_flight(). Any thread may call it.
 *
 * Return: how many wait for it now (each kind counted up to 1000), 0: nobody does any
 * longer; -ESTALE: the ticket was taken away, or has ended: stop; -EINVAL.
 */
int alazy_extend(const struct alazy_ticket *ticket, uint64_t done, uint64_t total);

/**
 * alazy_abandon() - give the ticket back, for the oldest waiter that can
 * initialise; with none the key is empty again and the waits end with
 * -ECANCELED
 *
 * Return: 0, -ESTALE.
 */
int alazy_abandon(const struct alazy_ticket *ticket);

/**
 * alazy_parent() - what this thread asks for is for the sake of a ticket
 * @ticket: of this process; copied. NULL: no longer
 *
 * For initialisers that go on after their callback has returned: around the gets and
 * claims that the value depends on. If one of them would wait for what in turn needs
 * this key, it is -EDEADLK. While an init function runs, what it asks for is for the
 * sake of its own ticket in any case. It is the thread's, so callbacks of
 * alazy_dispatch() have it too: take it away before. Of other caches' gets it means
 * nothing.
 */
void alazy_parent(const struct alazy_ticket *ticket);

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
 * It may get other keys of the cache. A get that would wait for what in turn needs
 * this key, over any number of initialisers and processes, is -EDEADLK at once, and
 * alazy_strerror_detail() names the cycle.
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
 * and no waiter could take over; without @init only); -ETIME (it took longer than
 * hard_lease_ns, likewise); -EDEADLK (see alazy_init_fn); -ENOSPC, -EFBIG, -EACCES
 * (read-only cache, no value), -EDQUOT, -ENOMEM, -EINVAL.
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
 * struct alazy_item - one of many keys
 * @key: @key_size bytes
 * @key_size: 1 to 4096
 * @err: out: 0; -EINPROGRESS: not waited for, see ALAZY_MANY_ANY; a negative errno
 * @reserved: 0
 * @ref: out: the value, or with another @err its text (as alazy_strerror_detail()
 *	tells it, perhaps empty); put it in any case
 */
struct alazy_item {
	const void *key;
	size_t key_size;
	int err;
	uint32_t reserved;
	struct alazy_ref ref;
};

#define ALAZY_MANY_ANY	(1U << 0)	/* return once one of them is there */

/**
 * typedef alazy_init_many_fn - make the values of many keys
 * @tickets: @n tickets: end each one as an alazy_init_fn does
 * @which: the items that they are for, by index
 * @n: how many, at least 1
 * @ctx: as given to alazy_cache_get_many()
 *
 * If it gets other keys itself, it does so before it ends the first of these:
 * otherwise a cycle through it may not be found.
 *
 * Return: 0, or a negative errno, which fails those that are still held as
 * ALAZY_TRANSIENT.
 */
typedef int (*alazy_init_many_fn)(const struct alazy_ticket *tickets, const size_t *which,
				  size_t n, void *ctx);

/**
 * alazy_cache_get_many() - get or initialise many keys in one call
 * @cache: the cache
 * @items: @n of them; the same key may be there twice
 * @n: how many
 * @init: called at once with the tickets of all that nobody makes, before anything is
 *	waited for; again if a ticket comes later, as an owner was lost; NULL: only wait
 * @ctx: for @init
 * @flags: 0, or ALAZY_MANY_ANY: wait only if there is nothing yet, until there is
 *	something
 * @deadline_ns: CLOCK_MONOTONIC, absolute, for the waiting; 0: none
 *
 * Who waits here holds no ticket, so callers with the same keys in any order never
 * wait for one another. With max_inits the tickets of one call count as one turn.
 *
 * Return: how many items have a value (0 to @n): see the err of each; or a negative
 * errno: -EINVAL, -E2BIG, -ENOMEM, for which no item is to be put; with
 * ALAZY_MANY_ANY also -ETIMEDOUT, and if it can wait for none of them -EMFILE, -EDQUOT.
 */
int alazy_cache_get_many(struct alazy_cache *cache, struct alazy_item *items, size_t n,
			 alazy_init_many_fn init, void *ctx, uint32_t flags,
			 uint64_t deadline_ns);

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
 * goes to the next. An initialisation that a get started goes on: its ticket is
 * ended by whoever holds it, and the value is kept. But with
 * ALAZY_CACHE_RESTARTABLE its ticket is given up as by alazy_abandon(): the oldest
 * waiter that can initialise starts it anew, and to end it is -ESTALE.
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
 * Return: 0, -EFBIG, -ENOSPC (there is no room, or it does not fit), -EACCES,
 * -EINVAL.
 */
int alazy_cache_set(struct alazy_cache *cache, const void *key, size_t key_size,
		    const void *data, size_t size, uint64_t ttl_ns);

/** alazy_cache_set_fd() - the same with a memfd: see alazy_publish_fd() */
int alazy_cache_set_fd(struct alazy_cache *cache, const void *key, size_t key_size,
		       int fd, const struct alazy_publish_opts *opts);

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

/**
 * alazy_cache_expire() - make a value stale, now
 *
 * Gets return it on, for as long as it would have been stale (for ever if it had no
 * time to live), while the first one that can makes it anew. Without a stale_ttl_ns
 * it is as alazy_cache_invalidate(). A running initialisation is left alone.
 *
 * Return: 1 if there was a value, 0 if not; -ENOSPC (no room for a copy with other
 * times), -EACCES.
 */
int alazy_cache_expire(struct alazy_cache *cache, const void *key, size_t key_size);

/** alazy_cache_clear() - invalidate every key. Return: how many; -EACCES. */
int64_t alazy_cache_clear(struct alazy_cache *cache);

/* ---- ticket level ------------------------------------------------------ */

#define ALAZY_CLAIM_INIT	(1U << 0)	/* able to initialise */
#define ALAZY_CLAIM_BLOCK	(1U << 1)	/* wait in the call */
#define ALAZY_CLAIM_EVENT	(1U << 2)	/* wait; answered by alazy_dispatch() */
#define ALAZY_CLAIM_FD		(1U << 3)	/* wait; a descriptor of its own */
#define ALAZY_CLAIM_FOLLOW	(1U << 4)	/* with INIT | EVENT: see alazy_claim() */
#define ALAZY_CLAIM_REFRESH	(1U << 5)	/* with INIT: also if it is stale soon */

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
 *	error once that flight has ended, whoever ends it. With INIT a value that is
 *	stale, and that nobody makes anew, is a TICKET, while others still get it;
 *	with REFRESH also one that will be soon, within eight times as long as it
 *	took to make.
 * @deadline_ns: BLOCK: as for alazy_cache_get_until()
 * @fn, @ctx: EVENT: called once from alazy_dispatch() unless cancelled
 * @answer: filled on 0
 *
 * Return: 0; -ETIMEDOUT; -ENOSPC (no room for another key); -EAGAIN (INIT without a
 * wait: as many run as max_inits says); -EDQUOT, -EACCES (INIT on a read-only
 * cache), -EINVAL, -ENOMEM, -EMFILE.
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
 * Return: 0 with @answer filled; -EAGAIN while the wait goes on, also when it was
 * readable and the offer was not read in time (`accept` of the cache); -EOWNERDEAD
 * (of another process, or of a cache that was closed); -EBADF (no such wait).
 */
int alazy_wait_read(struct alazy_cache *cache, int fd,
		    struct alazy_answer *answer);

/* ---- words: AsyncFutex ------------------------------------------------- */

/**
 * alazy_words() - Return: how many words the cache has; those that were made by the
 * uAPI may have none.
 */
uint64_t alazy_words(const struct alazy_cache *cache);

/**
 * alazy_word() - one of the words of a cache
 * @index: from 0 on; which word is what is up to those who use the cache
 *
 * A word is a u32 that all who have the cache open share, at first 0, and that they
 * read and write by atomic operations. It can be waited for as with futex(2), without
 * a thread, and be a lock (alazy_lock()); two words from an even index on can be a
 * counter (alazy_counter_add()). Words stay as they are when all have closed the cache,
 * for as long as it has its name. In a cache that is open read-only they are read-only.
 *
 * Return: its address, valid until alazy_cache_close(); NULL with errno EINVAL.
 */
uint32_t *alazy_word(struct alazy_cache *cache, uint64_t index);

#define ALAZY_FUTEX_MAX	128	/* words of one wait */

/**
 * struct alazy_futex - a word to wait for
 * @word: one of alazy_word(), or any aligned uint32_t. In a shared mapping of a file or
 *	a memfd it is the same word for all who map that place, at whatever address, on
 *	the kernel backend; other memory is this process's alone. They have to wait and
 *	wake in the same cache.
 * @expected: what it is as far as the caller knows
 * @reserved: 0
 */
struct alazy_futex {
	const uint32_t *word;
	uint32_t expected;
	uint32_t reserved;
};

/**
 * alazy_futex_wait() - wait until a word is woken, as long as it is as expected
 * @deadline_ns: CLOCK_MONOTONIC, absolute; 0: none
 *
 * No change is missed that was followed by alazy_futex_wake(): either this sees it, or
 * that finds this waiting. One that is only written is. After a return look at the
 * word: what woke it may be over.
 *
 * Return: 0: woken; -EAGAIN: it is not as expected, as in futex(2); -ETIMEDOUT;
 * -EDQUOT, -EFAULT, -EINVAL, -ENOMEM.
 */
int alazy_futex_wait(struct alazy_cache *cache, const uint32_t *word, uint32_t expected,
		     uint64_t deadline_ns);

/**
 * alazy_futex_wait_any() - the same for any of several words
 * @words: @n of them, as long as all are as expected; the same one may be there twice
 * @n: 1 to ALAZY_FUTEX_MAX
 * @deadline_ns: as above
 * @index: NULL, or where it is said on 0 and -EAGAIN which one it was
 *
 * A wake ends one wait by one word: of the others of that wait it uses up nothing.
 *
 * Return: as alazy_futex_wait().
 */
int alazy_futex_wait_any(struct alazy_cache *cache, const struct alazy_futex *words, size_t n,
			 uint64_t deadline_ns, size_t *index);

/**
 * typedef alazy_futex_fn - an asynchronous wait for words, or for a lock, has ended
 * @err: 0: woken, or the lock is yours; -EOWNERDEAD: so it is, see alazy_lock();
 *	another negative errno: of a lock
 * @index: which word it was
 * @ctx: as given to the wait
 */
typedef void (*alazy_futex_fn)(int err, size_t index, void *ctx);

/**
 * alazy_futex_wait_async() - the same without blocking
 * @fn: called once from alazy_dispatch() unless cancelled
 * @wait: NULL, or where a handle for alazy_cancel() goes on 0
 * @index: NULL, or where it is said on -EAGAIN which word it was
 *
 * Timeouts are the loop's: its timer cancels the wait. A wake that was on its way to a
 * wait that is cancelled goes to the next.
 *
 * Return: 0: @fn will be called; -EAGAIN: a word is not as expected, and @fn will not
 * be called; other errors as above.
 */
int alazy_futex_wait_async(struct alazy_cache *cache, const struct alazy_futex *words,
			   size_t n, alazy_futex_fn fn, void *ctx, struct alazy_wait **wait,
			   size_t *index);

/**
 * alazy_futex_wait_fd() - the same with a descriptor of its own
 * @index: as above
 *
 * Return: a descriptor that is readable once the wait has ended, and from then on; the
 * caller's to close, which ends the wait (the local backend notices at the next call
 * into the library). Errors as above, and -EMFILE.
 */
int alazy_futex_wait_fd(struct alazy_cache *cache, const struct alazy_futex *words, size_t n,
			size_t *index);

/**
 * alazy_futex_wait_read() - what has become of such a wait
 * @fd: from alazy_futex_wait_fd() of the same cache
 * @index: NULL, or where it is said on 0 which word it was
 *
 * A wake that nobody has read of when the descriptor is closed goes to the next.
 *
 * Return: 0: woken; -EAGAIN: the wait goes on; -EOWNERDEAD (of another process, or of
 * a cache that was closed); -EBADF (no such wait).
 */
int alazy_futex_wait_read(struct alazy_cache *cache, int fd, size_t *index);

/**
 * alazy_futex_wake() - wake those who have waited longest for a word
 * @word: the caller has changed it before
 * @n: at most so many: 0 wakes none, INT_MAX and more all that wait now
 *
 * Without a system call where nobody waits for a word of the cache.
 *
 * Return: how many it has woken, in whatever form they wait; -EACCES, -EFAULT, -EINVAL.
 */
int alazy_futex_wake(struct alazy_cache *cache, const uint32_t *word, uint32_t n);

/**
 * alazy_lock() - take a lock, waiting for it
 * @word: one of alazy_word(), 0 at first, and from then on only for this
 * @deadline_ns: CLOCK_MONOTONIC, absolute; 0: none
 *
 * It is of this process: any of its threads may unlock it. Where nobody has it, no
 * system call is made. When its holder dies, or closes the cache, the next one gets it
 * with -EOWNERDEAD, at once. Not recursive. Who comes just when it is left may be
 * faster than who waits for it.
 *
 * Return: 0: it is yours; -EOWNERDEAD: so it is, and what it guards may be half done;
 * -ETIMEDOUT; -EDEADLK: this thread has it; -ENOLCK: this process has, or waits for,
 * 1024 locks of the cache; -EACCES, -EDQUOT, -EINVAL, -ENOMEM.
 */
int alazy_lock(struct alazy_cache *cache, uint32_t *word, uint64_t deadline_ns);

/** alazy_trylock() - the same without waiting: -EBUSY if somebody has it */
int alazy_trylock(struct alazy_cache *cache, uint32_t *word);

/**
 * alazy_lock_async() - the same without blocking
 * @fn: called when the lock is yours: at once, or from alazy_dispatch()
 * @wait: NULL, or where a handle for alazy_cancel() goes on 0
 *
 * Return: 1: it was free, @fn has been called; 0: @fn will be called; a negative errno
 * if it will not.
 */
int alazy_lock_async(struct alazy_cache *cache, uint32_t *word, alazy_futex_fn fn, void *ctx,
		     struct alazy_wait **wait);

/** alazy_unlock() - leave a lock. Return: 0; -EPERM: this process does not have it */
int alazy_unlock(struct alazy_cache *cache, uint32_t *word);

/**
 * alazy_counter_read() - Return: the value of a counter, and what was written before it
 * got that is seen.
 */
uint64_t alazy_counter_read(const uint64_t *counter);

/**
 * alazy_counter_add() - count events, and wake all who wait for them
 * @counter: two words of the cache from an even one on, or any aligned uint64_t, as in
 *	struct alazy_futex
 * @n: how many
 * @now: NULL, or where the new value goes
 *
 * Each who waits for events remembers the value that it has seen: what is more has
 * happened since, also before its first wait, and whatever a u32 would have made of it.
 *
 * Return: 0; -EACCES, -EFAULT, -EINVAL.
 */
int alazy_counter_add(struct alazy_cache *cache, uint64_t *counter, uint64_t n,
		      uint64_t *now);

/**
 * alazy_counter_wait() - wait until a counter is other than seen
 * @now: NULL, or where its value goes on 0
 *
 * Return: 0; -ETIMEDOUT; others as alazy_futex_wait().
 */
int alazy_counter_wait(struct alazy_cache *cache, const uint64_t *counter, uint64_t seen,
		       uint64_t deadline_ns, uint64_t *now);

/**
 * alazy_counter_wait_async() - the same without blocking
 *
 * Return: as alazy_futex_wait_async(); -EAGAIN: it is other than seen by now.
 */
int alazy_counter_wait_async(struct alazy_cache *cache, const uint64_t *counter,
			     uint64_t seen, alazy_futex_fn fn, void *ctx,
			     struct alazy_wait **wait);

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
 * In a STABLE cache, once resolved to a value without TTL it stays resolved for
 * this object: one load and one branch, and later sets or invalidations are not
 * seen. In another cache it is a get, and the value may be made anew.
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
	uint64_t evictions;		/* values that went to make room */
	uint64_t reinsertions;		/* values that were kept when others went */
	uint64_t expired;		/* values whose room was taken when dead */
	uint64_t unkept;		/* values delivered and not kept */
	uint64_t reclaims;		/* segments emptied */
	uint64_t waited;		/* publishes that had to wait for room */
	uint64_t memfds;
	uint64_t memfd_bytes;
	uint64_t segments;		/* that the budget is for */
	uint64_t segments_free;
	uint64_t segments_open;
	uint64_t segments_full;
	uint64_t segments_held;		/* emptied, but somebody reads in them */
	uint64_t pins_now;		/* that hold those, when last looked */
	uint64_t late;			/* tickets held longer than soft_lease_ns */
	uint64_t revoked;		/* taken away after hard_lease_ns */
	uint64_t unaccepted;		/* offers that nobody read in accept_ns */
	uint64_t extends;
	uint64_t queued;		/* initialisations that wait for their turn */
	uint64_t held;			/* that wait since their key failed */
	uint64_t refreshes;		/* tickets for a value that was there */
	uint64_t broken;		/* times that a key had killed too many owners */
	uint64_t wakes;			/* waits for words that a wake ended */
};

#define ALAZY_FLIGHT_OFFERED	1	/* its owner has not read of it yet */
#define ALAZY_FLIGHT_LATE	2	/* for longer than soft_lease_ns */
#define ALAZY_FLIGHT_QUEUED	4	/* it has not begun: see max_inits */
#define ALAZY_FLIGHT_HELD	8	/* it has not begun: see backoff_ns */
#define ALAZY_FLIGHT_REFRESH	16	/* there is a value meanwhile */
#define ALAZY_FLIGHT_NONE	32	/* none runs: what failed is all there is */
#define ALAZY_FLIGHT_BROKEN	64	/* its owners died: see max_deaths */

/**
 * struct alazy_flight - an initialisation that runs, or one that failed
 * @size: set to sizeof(struct alazy_flight) before the call
 * @flags: ALAZY_FLIGHT_*
 * @owner: its process, as this one sees it; 0: it does not
 * @attempt: owners that were lost before
 * @waiters: processes and threads that wait for it (each kind counted up to 1000)
 * @queue: its place among those that wait for their turn, from 1; or 0
 * @generation: of the key
 * @started_ns: CLOCK_MONOTONIC, when its first owner got the ticket
 * @granted_ns: when this one did, or called alazy_extend() last
 * @until_ns: when the ticket is taken away, or ALAZY_NEVER
 * @done: how far it is, as alazy_extend() said
 * @total: of how much; 0: not known
 * @err: negative errno of the key's last failure that was not kept, until there is a
 *	value; or 0
 * @failures: of that kind, in a row
 * @retry_ns: before that nobody initialises; or 0
 * @detail: the text of @err, ends with a 0
 */
struct alazy_flight {
	uint32_t size;
	uint32_t flags;
	int32_t owner;
	uint32_t attempt;
	uint32_t waiters;
	uint32_t queue;
	uint64_t generation;
	uint64_t started_ns;
	uint64_t granted_ns;
	uint64_t until_ns;
	uint64_t done;
	uint64_t total;
	int32_t err;
	uint32_t failures;
	uint64_t retry_ns;
	char detail[264];
};

/**
 * alazy_cache_flight() - who makes a value, since when, and how far that is
 * @cache: the cache
 * @key: @key_size bytes
 * @key_size: 1 to 4096
 * @flight: filled on 0
 *
 * Return: 0; -ENOENT: nobody does, and nothing failed; -EINVAL.
 */
int alazy_cache_flight(struct alazy_cache *cache, const void *key, size_t key_size,
		       struct alazy_flight *flight);

/** alazy_cache_stats() - Return: 0, -EINVAL (size) */
int alazy_cache_stats(struct alazy_cache *cache, struct alazy_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* ASYNCLAZY_H */
