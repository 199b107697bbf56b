/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * asynclazy: get a key, or initialise it exactly once on this host.
 *
 * /dev/asynclazy --CREATE / OPEN--> cache fd --ATTACH--> client fd
 *
 * Rules that hold for every call:
 *  - Each ioctl argument is a struct that starts with its own size in bytes
 *    and a flags word. A larger struct than the kernel knows is accepted as
 *    long as the part that the kernel does not know is zero.
 *  - Unknown flags and non-zero reserved fields are refused.
 *  - A call returns 0 or a negative errno; everything else comes back in
 *    fields named out_*. File descriptors are close-on-exec.
 *  - Deadlines are absolute CLOCK_MONOTONIC nanoseconds, 0 or U64_MAX is
 *    "never". TTLs are relative nanoseconds, 0 is the default, U64_MAX is
 *    "never".
 *
 * Errors, with the same meaning in every call:
 *  EINVAL      malformed argument, unknown flag, or reserved field not zero
 *  E2BIG       the struct is newer than this kernel and uses what it adds
 *  ENOTTY      no such call on this kind of file descriptor
 *  ENOENT      no such name, ticket or wait
 *  EEXIST      the name, or the cookie, is in use
 *  ESTALE      the ticket is no longer yours: ended, revoked or overtaken
 *  EFBIG       the value is larger than the cache takes
 *  EPERM       the fd of a value is not what was asked for: see VALUE_FD
 *  ENOSPC      no room left in the table or the arena of the cache
 *  ENOMEM      the kernel has no memory
 *  EDQUOT      a quota of the user or of the client is used up
 *  EACCES      the file descriptor, or the mode of the cache, lacks the right
 *  EFAULT      an address that cannot be read or written
 *  EBADF       the fd of a value is not open
 *  EMFILE      the process has no descriptor left for the answer
 *  EOWNERDEAD  the client belongs to another process, or its process is gone
 *  ETIMEDOUT   the deadline has passed
 *  EINTR       a signal came whose handler restarts no calls; call again with
 *              the same deadline
 *  EAGAIN      nothing to read now; or not yet: see CREATE, max_inits and backoff
 *  ECANCELED   the initialisation was given up and nobody took it over
 */
#ifndef _UAPI_LINUX_ASYNCLAZY_H
#define _UAPI_LINUX_ASYNCLAZY_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define ASYNCLAZY_ABI_VERSION	1	/* of the calls and of the mapped pages */
#define ASYNCLAZY_MAGIC		0x797a616c636e7361ULL	/* "asnclazy" */

#define ASYNCLAZY_KEY_MAX	4096	/* bytes in a key, at least 1 */
#define ASYNCLAZY_NAME_MAX	255	/* bytes in a cache name, at least 1 */
#define ASYNCLAZY_DETAIL_MAX	256	/* bytes of text beside an error */
#define ASYNCLAZY_NEVER		(~0ULL)
#define ASYNCLAZY_NO_RECORD	(~0ULL)

/* Offsets for mmap() of a client fd. */
#define ASYNCLAZY_OFF_TABLE	0x0ULL			/* read-only */
#define ASYNCLAZY_OFF_ARENA	(1ULL << 44)		/* read-only */
#define ASYNCLAZY_OFF_VISITED	(2ULL << 44)		/* writable, of all clients */
#define ASYNCLAZY_OFF_PINS	(3ULL << 44)		/* writable, this client's */
#define ASYNCLAZY_OFF_WORDS	(4ULL << 44)		/* writable, of all clients */
#define ASYNCLAZY_OFF_WAITING	(5ULL << 44)		/* read-only */
#define ASYNCLAZY_OFF_HELD	(6ULL << 44)		/* writable, this client's */

/* Feature bits: INFO and the header page show which ones are served. */
#define ASYNCLAZY_FEATURE_STABLE	(1ULL << 0)	/* append-only caches */
#define ASYNCLAZY_FEATURE_RECYCLE	(1ULL << 1)	/* evicting caches */
#define ASYNCLAZY_FEATURE_WORDS		(1ULL << 2)	/* AsyncFutex words */
#define ASYNCLAZY_FEATURE_REFRESH	(1ULL << 3)	/* fresh, stale, dead */
#define ASYNCLAZY_FEATURE_MEMFD		(1ULL << 4)	/* sealed memfd values */

/*
 * TABLE: one header page, then the buckets. Read-only for user space; the
 * first 64 bytes never change after the cache was made.
 */
struct asynclazy_header {
	__u64 magic;
	__u32 abi_version;
	__u32 header_size;	/* bytes from here to the first bucket */
	__u64 features;		/* ASYNCLAZY_FEATURE_* of this cache */
	__u64 cache_id;
	__u64 hash_seed;	/* for XXH3_64bits_withSeed() over the key */
	__u64 bucket_count;	/* a power of two */
	__u32 granule_shift;	/* record offsets count in 1 << granule_shift */
	__u32 segment_shift;
	__u64 arena_size;	/* bytes to map at ASYNCLAZY_OFF_ARENA */

	__u64 keys;		/* FILLED slots now */
	__u64 errors;		/* FAILED slots now */
	__u64 initializing;	/* INITIALIZING slots now */
	__u64 arena_used;	/* bytes given out */
	__u64 generation;	/* the last one drawn */
	__u64 coarse_clock;	/* reserved, 0 */
	__u64 reserved[2];

	__u64 value_max;	/* bytes in one value in the arena */
	__u32 key_max;
	__u32 flags;		/* ASYNCLAZY_CREATE_STABLE */
	__u64 table_size;	/* bytes to map at ASYNCLAZY_OFF_TABLE */
	__u64 visited_size;	/* bytes to map at ASYNCLAZY_OFF_VISITED; 0: STABLE */
	__u64 pins_size;	/* bytes to map at ASYNCLAZY_OFF_PINS; 0: STABLE */
	__u64 words_size;	/* bytes to map at ASYNCLAZY_OFF_WORDS and _WAITING; 0: none */
	__u64 budget;		/* bytes of memory for records and memfd values */
	__u64 reserved2;
};

#define ASYNCLAZY_HEADER_SIZE	4096	/* bytes of TABLE before its buckets */
#define ASYNCLAZY_BUCKET_SLOTS	8	/* 64 bytes: one cache line */
#define ASYNCLAZY_GRANULE_SHIFT	6	/* a record begins at a multiple of 64 */

/*
 * A slot is one 64-bit word:
 *   bits 0-1 state, bit 2 REFRESHING, bits 3-26 tag, bits 27-63 record offset
 *   in granules. It is written by one store-release and read by one load.
 *
 * With hash = XXH3_64bits_withSeed(key): tag = hash >> 40, and the two
 * candidate buckets are first = hash & (bucket_count - 1) and
 * second = first ^ (((tag * ASYNCLAZY_TAG_SPREAD) | 1) & (bucket_count - 1)).
 */
#define ASYNCLAZY_SLOT_EMPTY		0ULL
#define ASYNCLAZY_SLOT_INITIALIZING	1ULL
#define ASYNCLAZY_SLOT_FILLED		2ULL
#define ASYNCLAZY_SLOT_FAILED		3ULL
#define ASYNCLAZY_SLOT_STATE_MASK	3ULL
#define ASYNCLAZY_SLOT_REFRESHING	4ULL
#define ASYNCLAZY_SLOT_TAG_SHIFT	3
#define ASYNCLAZY_SLOT_TAG_BITS		24
#define ASYNCLAZY_SLOT_OFFSET_SHIFT	27
#define ASYNCLAZY_HASH_TAG_SHIFT	40
#define ASYNCLAZY_TAG_SPREAD		0x5bd1e995ULL

/*
 * How to read a cache that is not STABLE, where the room of a record is used
 * again: a pin is a u64 of the client's own PINS page, 0 or a record's offset
 * (bytes) | ASYNCLAZY_PIN_SET.
 *
 *	w = slot;
 *	pin = offset of w | ASYNCLAZY_PIN_SET;	(one plain store)
 *	(the compiler must not reorder the two)
 *	v = slot;				(one plain load)
 *	if v is not w: from the start
 *	the record is at the offset of v; from here on it stays as it is
 *	pin = 0;				(a store-release)
 *
 * The address of the record must depend on the second load. The kernel takes the
 * links to a record away, makes every CPU pass a barrier, and then looks at the
 * pins: it sees this one, or the second load sees that the link is gone.
 *
 * VISITED has one byte a bucket, with one bit a slot: who reads a record sets
 * it, best only if it is not set, and the record will be kept for longer.
 */
#define ASYNCLAZY_PIN_SET		1ULL
#define ASYNCLAZY_PINS_SIZE		4096	/* bytes: 512 pins a client */

/*
 * WORDS is what clients make of it, at first all 0: a u32 for each, to wait for by
 * WAIT. WAITING has a u32 for each word, which says how many entries of waits it has:
 * who has changed a word, and passed a full barrier since, needs no WAKE if it is 0.
 *
 * A word can be a lock that outlives its holder. HELD has a u32 for each lock that
 * the client has or is about to take: 0, or the number of its word, from 1 on.
 *
 *	held = number of the word;		(one plain store)
 *	w = the word;
 *	if w & LOCK_OWNER: WAIT for the word to be other than w; and again
 *	compare and swap the word: out_lock_id of ATTACH in place of w; or again
 *	if w was LOCK_DIED: the holder died, and what it was doing is half done
 *	...
 *	the word = 0;				(a full barrier, and a release)
 *	if there are any WAITING: WAKE one
 *	held = 0;
 *
 * When a client dies, what it has by its HELD becomes LOCK_DIED, and one of those
 * who wait is woken; also if nobody has it, as it may have been woken to take it.
 */
#define ASYNCLAZY_LOCK_OWNER		0x3fffffffU	/* an out_lock_id, or 0 */
#define ASYNCLAZY_LOCK_DIED		0x40000000U
#define ASYNCLAZY_HELD_SIZE		4096	/* bytes: 1024 locks a client */

/* What a record holds. */
#define ASYNCLAZY_RECORD_VALUE		1
#define ASYNCLAZY_RECORD_ERROR		2	/* the value is the detail text */
#define ASYNCLAZY_RECORD_MEMFD		3	/* the value is an asynclazy_memfd */
#define ASYNCLAZY_RECORD_HOLE		4	/* space that was given up */

#define ASYNCLAZY_RECORD_TIMES		(1U << 0)	/* asynclazy_times follows */

/*
 * A record: this header, the key, padding to 16 bytes, the value, and, where
 * RECORD_TIMES is set, padding to 8 bytes and a struct asynclazy_times. It
 * does not change once a slot links to it.
 */
struct asynclazy_record {
	__u64 generation;
	__u64 hash;
	__u64 value_size;
	__u32 key_size;
	__u16 kind;		/* ASYNCLAZY_RECORD_* */
	__u16 flags;
	__s32 error;		/* positive errno of a RECORD_ERROR */
	__u32 granules;		/* whole size, in granules */
	__u64 took;		/* ns that it took to make; 0: it was set */
};

/* CLOCK_MONOTONIC nanoseconds, ASYNCLAZY_NEVER for never. */
struct asynclazy_times {
	__u64 fresh_until;	/* from here on somebody should make it anew */
	__u64 stale_until;	/* from here on readers do not use it */
	__u64 dead_until;	/* from here on the record counts as absent */
	__u64 published;
};

/* The value of a RECORD_MEMFD: the bytes are in a sealed memfd, see MEMFD. */
struct asynclazy_memfd {
	__u64 size;		/* bytes in it */
	__u64 page_size;	/* bytes: larger than usual for hugetlbfs */
};

/*
 * Device calls: on /dev/asynclazy
 */

/* INFO: what this kernel serves, and the caller's quotas. */
struct asynclazy_info {
	__u32 size;
	__u32 flags;			/* 0 */
	__u32 out_abi_version;
	__u32 out_key_max;
	__u64 out_features;
	__u64 out_caches_max;		/* per user */
	__u64 out_caches_used;
	__u64 out_bytes_max;		/* per user, table and arena */
	__u64 out_bytes_used;
	__u64 out_waits_max;		/* per client */
	__u64 out_tickets_max;		/* per client */
	__u64 reserved[2];
};

#define ASYNCLAZY_CREATE_STABLE		(1U << 0)	/* append-only, see below */
#define ASYNCLAZY_CREATE_EXCLUSIVE	(1U << 1)	/* EEXIST if it is there */
#define ASYNCLAZY_CREATE_FLAGS		3U

/*
 * CREATE: make a cache and return a cache fd open for reading and writing.
 * name_size 0 makes an anonymous cache. Without EXCLUSIVE a cache of that name
 * that is there already is opened as it is (out_created 0). The device must be
 * open for writing.
 *
 * A cache that is not STABLE gives the room of old records to new ones: what was
 * not read for longest goes first. Its arena has 8 segments at least, and more
 * address space than memory: arena_size is the memory. In a STABLE one records
 * stay where they are for as long as the cache lives, and full is ENOSPC.
 *
 * ttl, stale_ttl and dead_ttl are for publishes that say 0: see PUBLISH.
 *
 * accept is how long (ns) a waiter may take to read the event, or call, or fd that
 * brings it a ticket; then the next waiter that can initialise gets it. A ticket
 * that was taken is late after soft_lease, which STATS and FLIGHT tell, and is taken
 * away after hard_lease: its holder's PUBLISH is ESTALE, as if it had died. EXTEND
 * begins both anew. hard_lease is not less than soft_lease, or EINVAL.
 *
 * Of max_inits initialisations that run, a claim that would begin another one is
 * PENDING, in a queue over all keys and processes, and gets the ticket in its turn;
 * one that does not wait is EAGAIN. A claim with a parent is admitted always.
 *
 * After a FAIL that is not kept, nobody begins to make the key's value for backoff,
 * which doubles with each such failure in a row up to backoff_max, less up to a
 * quarter at random. Who would is PENDING until then, or EAGAIN if it does not wait.
 * After max_deaths owners of a key that died within a minute, claims are
 * RESULT_FAILED with EOWNERDEAD and NO_RECORD for breaker, which doubles each time
 * (ten times at most) that the next one dies as well. PUBLISH, SET, INVALIDATE and
 * CLEAR end both. They are remembered of one key in 32, and 64 at least.
 */
struct asynclazy_create {
	__u32 size;
	__u32 flags;
	__u64 name;			/* address of the name */
	__u32 name_size;
	__u32 mode;			/* permission bits, 0 means 0600 */
	__u64 max_keys;			/* 1 or more */
	__u64 arena_size;		/* bytes, rounded up to segments */
	__u64 segment_size;		/* 0, or a power of two, 64 KiB to 64 MiB */
	__s32 out_fd;
	__u32 out_created;
	__u64 out_cache_id;
	__u64 ttl;			/* 0: never ends */
	__u64 stale_ttl;
	__u64 dead_ttl;
	__u64 accept;			/* 0: two seconds; NEVER */
	__u64 soft_lease;		/* 0: never late */
	__u64 hard_lease;		/* 0: nothing is taken away */
	__u32 max_inits;		/* that run at a time; 0: any number */
	__u32 max_deaths;		/* 0: three; U32_MAX: any number */
	__u64 backoff;			/* 0: 50 ms; NEVER: none */
	__u64 backoff_max;		/* 0: five seconds, or backoff if that is more */
	__u64 breaker;			/* 0: five seconds */
	__u64 words;			/* how many; at most 1 << 24 */
	__u64 reserved[2];
};

#define ASYNCLAZY_OPEN_READ		(1U << 0)	/* get and wait */
#define ASYNCLAZY_OPEN_WRITE		(1U << 1)	/* also claim, publish, ... */
#define ASYNCLAZY_OPEN_FLAGS		3U

/* OPEN: a cache fd for the cache of this name. WRITE implies READ. */
struct asynclazy_open {
	__u32 size;
	__u32 flags;			/* ASYNCLAZY_OPEN_*, one at least */
	__u64 name;
	__u32 name_size;
	__s32 out_fd;
	__u64 out_cache_id;
	__u64 reserved[2];
};

/* UNLINK: take the name away. The cache lives on for those who have it. */
struct asynclazy_unlink {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 name;
	__u32 name_size;
	__u32 pad;
	__u64 reserved[2];
};

/*
 * Cache calls: on a cache fd (GEOMETRY and STATS also on a client fd)
 */

/* ATTACH: make the calling process a client. */
struct asynclazy_attach {
	__u32 size;
	__u32 flags;			/* 0 */
	__s32 out_fd;
	__u32 out_lock_id;		/* what the client writes to its locks: see HELD */
	__u64 reserved[3];
};

/* What the cache of this fd is: its sizes, its maker, and the caller's rights. */
struct asynclazy_geometry {
	__u32 size;
	__u32 flags;			/* 0 */
	__u32 out_abi_version;
	__u32 out_flags;		/* ASYNCLAZY_CREATE_STABLE */
	__u64 out_features;
	__u64 out_cache_id;
	__u64 out_max_keys;		/* as asked for */
	__u64 out_slots;		/* in the table */
	__u64 out_table_size;		/* bytes to map */
	__u64 out_arena_size;		/* bytes to map */
	__u64 out_segment_size;
	__u64 out_value_max;
	__u32 out_key_max;
	__u32 out_mode;
	__u32 out_uid;			/* in the caller's user namespace */
	__u32 out_access;		/* ASYNCLAZY_OPEN_* of this fd */
	__u64 out_visited_size;		/* bytes to map; 0: STABLE */
	__u64 out_pins_size;		/* bytes to map; 0: STABLE */
	__u64 out_budget;		/* bytes of memory for values */
	__u64 out_words_size;		/* bytes to map; 0: no words */
	__u64 reserved[3];
};

/* STATS: counters since the cache was made, then what is there now. */
struct asynclazy_stats {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 out_claims;
	__u64 out_hits;			/* answered by the kernel; readers' own are not seen */
	__u64 out_tickets;		/* granted, hand-overs included */
	__u64 out_waits;
	__u64 out_publishes;
	__u64 out_fails;
	__u64 out_abandons;
	__u64 out_deaths;		/* tickets whose owner died */
	__u64 out_handovers;		/* tickets given to a waiter */
	__u64 out_stale;		/* calls that got ESTALE */
	__u64 out_cancels;
	__u64 out_sets;
	__u64 out_invalidates;
	__u64 out_nospace;		/* calls that got ENOSPC */
	__u64 out_keys;
	__u64 out_errors;
	__u64 out_initializing;
	__u64 out_arena_used;		/* bytes */
	__u64 out_arena_allocated;	/* bytes backed by memory */
	__u64 out_clients;
	__u64 out_tickets_now;
	__u64 out_waits_now;
	__u64 out_evictions;		/* values that went to make room */
	__u64 out_reinsertions;		/* values that were kept when their segment went */
	__u64 out_expired;		/* values whose room was taken when they were dead */
	__u64 out_unkept;		/* values delivered to who waited, and not kept */
	__u64 out_reclaims;		/* segments that were emptied */
	__u64 out_waited;		/* publishes that had to wait for room */
	__u64 out_memfds;		/* memfd values now */
	__u64 out_memfd_bytes;		/* in them, now */
	__u64 out_segments;		/* that the budget is for */
	__u64 out_segments_free;	/* with memory, nothing in them */
	__u64 out_segments_open;	/* being filled */
	__u64 out_segments_full;
	__u64 out_segments_held;	/* emptied, but somebody reads in them */
	__u64 out_pins_now;		/* pins that hold such a segment, when last looked */
	__u64 out_late;			/* tickets that were held longer than the soft lease */
	__u64 out_revoked;		/* taken away after the hard lease */
	__u64 out_unaccepted;		/* offers that were not taken in time, and went on */
	__u64 out_extends;
	__u64 out_queued;		/* initialisations that wait for their turn, now */
	__u64 out_held;			/* that wait since their key failed, now */
	__u64 out_refreshes;		/* tickets for a value that was there */
	__u64 out_broken;		/* times that a key had killed too many */
	__u64 out_wakes;		/* waits for words that a WAKE ended */
	__u64 reserved[3];
};

/*
 * Client calls: on a client fd, by the process that attached
 */

#define ASYNCLAZY_CLAIM_INIT		(1U << 0)	/* able to initialise */
#define ASYNCLAZY_CLAIM_BLOCK		(1U << 1)	/* wait here */
#define ASYNCLAZY_CLAIM_EVENT		(1U << 2)	/* an event on the client fd */
#define ASYNCLAZY_CLAIM_FD		(1U << 3)	/* an fd for this wait */
#define ASYNCLAZY_CLAIM_FOLLOW		(1U << 4)	/* with INIT and EVENT: if this
							 * call gets the ticket, also
							 * send an event when it ended
							 */
#define ASYNCLAZY_CLAIM_REFRESH		(1U << 5)	/* with INIT: also if what is there
							 * is stale soon: within eight times
							 * as long as it took
							 */
#define ASYNCLAZY_CLAIM_FLAGS		63U

#define ASYNCLAZY_RESULT_EMPTY		0	/* no value, nobody makes one */
#define ASYNCLAZY_RESULT_HIT		1	/* out_offset has the value */
#define ASYNCLAZY_RESULT_FAILED		2	/* out_error; see out_offset */
#define ASYNCLAZY_RESULT_TICKET		3	/* out_ticket: it is yours to make */
#define ASYNCLAZY_RESULT_PENDING	4	/* in the making; of a word: not yet */
#define ASYNCLAZY_RESULT_WOKEN		5	/* a word was woken: see WAIT */
#define ASYNCLAZY_RESULT_CHANGED	6	/* a word has another value: see WAIT */

/*
 * CLAIM: get the value, or the ticket to make it, or wait. Of BLOCK, EVENT and
 * FD at most one; with none of them the call only looks (PENDING then means
 * that somebody is making the value). A kept error comes with its record in
 * out_offset; one that is not kept has NO_RECORD there, and its text is copied
 * to detail. Without INIT a key that nobody makes is RESULT_EMPTY.
 *
 * A value that is stale, and not yet absent, is RESULT_HIT; but one caller with INIT
 * at a time is RESULT_TICKET, with the value in out_offset: it makes it anew, while
 * the slot is marked REFRESHING and all others read on. If that fails, the value
 * stays for as long as it may be read, and the next one tries after backoff. Past
 * stale_until claims wait for the new one; what is there until dead_until is for
 * the owner alone, in out_offset.
 *
 * parent is a ticket of the caller's whose initialisation needs this value. If that
 * value in turn needs the parent's, over any number of keys and processes, a claim
 * that would wait is RESULT_FAILED with EDEADLK at once, and detail names the cycle.
 *
 * In a cache that is not STABLE the record may go at any moment, unless the call
 * names a pin: then that one is set when out_offset has a record, and the caller
 * clears it. A value that was not kept is RESULT_HIT with NO_RECORD. A claim with
 * BLOCK that waited for a memfd, kept or not, has it in out_fd, which the caller
 * closes (-1: there is none, or the process had no descriptor free for one that
 * was kept); after an EVENT or for an FD ask for it by MEMFD.
 */
struct asynclazy_claim {
	__u32 size;
	__u32 flags;
	__u64 key;
	__u32 key_size;
	__u32 detail_size;		/* bytes at detail */
	__u64 hash;
	__u64 cookie;			/* EVENT: comes back in the event */
	__u64 deadline;			/* BLOCK */
	__u64 detail;
	__u64 parent;			/* 0, or the ticket for whose sake this is */
	__u32 out_result;
	__s32 out_fd;			/* FD; BLOCK: a memfd; or -1 */
	__s32 out_error;		/* positive errno of RESULT_FAILED */
	__u32 out_detail_size;
	__u64 out_ticket;
	__u64 out_generation;
	__u64 out_offset;		/* bytes from the start of the arena */
	__u32 out_attempt;		/* owners that were lost before this one */
	__u32 pin;			/* 0: none; n: the n-th of PINS, from 1 */
	__u64 reserved[2];
};

#define ASYNCLAZY_VALUE_FD		(1U << 0)	/* the value is a memfd */
#define ASYNCLAZY_VALUE_UNKEPT		(1U << 1)	/* with FD: for the waiters only */
#define ASYNCLAZY_VALUE_FLAGS		3U

/*
 * PUBLISH: end the flight with a value.
 *
 * The value is fresh for ttl, then stale for stale_ttl, in which it is read on while
 * somebody makes it anew, then for dead_ttl only there for whoever does: see CLAIM.
 * It is absent from then on.
 *
 * VALUE_FD: the value is value_size bytes of value_fd, which must be a memfd (of
 * tmpfs or hugetlbfs) of that size with the seals WRITE, GROW and SHRINK, or
 * EPERM; value is 0. It counts against the cache's budget. If it does not fit,
 * or VALUE_UNKEPT is given, those who wait get it and it is not kept: out_offset
 * is NO_RECORD.
 */
struct asynclazy_publish {
	__u32 size;
	__u32 flags;			/* ASYNCLAZY_VALUE_* */
	__u64 ticket;
	__u64 value;
	__u64 value_size;
	__u64 ttl;			/* 0: the cache's */
	__u64 stale_ttl;
	__u64 dead_ttl;
	__s32 value_fd;			/* 0 without VALUE_FD */
	__u32 pin;			/* as for CLAIM */
	__u64 out_generation;
	__u64 out_offset;
	__u64 reserved[2];
};

#define ASYNCLAZY_FAIL_TRANSIENT	0	/* told to the waiters, not kept: backoff */
#define ASYNCLAZY_FAIL_NEGATIVE		1	/* kept for ttl, default 5 s */
#define ASYNCLAZY_FAIL_PERMANENT	2	/* kept until invalidated or evicted */

/*
 * FAIL: end the flight with an error, the same one for all its waiters. An
 * error that is to be kept but finds no room in the arena is told and not kept
 * (out_kept 0). What is not kept leaves a value that was being made anew as it is;
 * what is kept takes its place.
 */
struct asynclazy_fail {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 ticket;
	__s32 error;			/* positive errno, 1 to 4095 */
	__u32 error_class;		/* ASYNCLAZY_FAIL_* */
	__u64 ttl;			/* NEGATIVE only */
	__u64 detail;
	__u32 detail_size;		/* at most ASYNCLAZY_DETAIL_MAX */
	__u32 out_kept;
	__u64 reserved[2];
};

/*
 * EXTEND: the initialisation goes on: its leases begin anew. done and total, in
 * units of the caller's own, are for those who look: see FLIGHT. out_waiters 0 tells
 * that nobody waits for it any more.
 */
struct asynclazy_extend {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 ticket;
	__u64 done;			/* at most total, or total is 0: not known */
	__u64 total;
	__u64 out_until;		/* absolute ns: when it is taken away, or NEVER */
	__u32 out_waiters;		/* that are there now, of each kind up to 1000 */
	__u32 pad;
	__u64 reserved[2];
};

#define ASYNCLAZY_FLIGHT_OFFERED	(1U << 0)	/* the owner has not taken it yet */
#define ASYNCLAZY_FLIGHT_LATE		(1U << 1)	/* for longer than the soft lease */
#define ASYNCLAZY_FLIGHT_QUEUED		(1U << 2)	/* it has not begun: see max_inits */
#define ASYNCLAZY_FLIGHT_HELD		(1U << 3)	/* it has not begun: see backoff */
#define ASYNCLAZY_FLIGHT_REFRESH	(1U << 4)	/* there is a value meanwhile */
#define ASYNCLAZY_FLIGHT_NONE		(1U << 5)	/* none runs: only the error is known */
#define ASYNCLAZY_FLIGHT_BROKEN		(1U << 6)	/* it killed too many: see breaker */

/*
 * FLIGHT: what is known of the initialisation of a key, and of the last error that
 * was not kept, until a value is there. ENOENT: nothing.
 */
struct asynclazy_flight {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 key;
	__u32 key_size;
	__u32 out_flags;		/* ASYNCLAZY_FLIGHT_* */
	__u64 hash;
	__s32 out_owner;		/* pid, as the caller sees it; 0: it does not */
	__u32 out_attempt;
	__u32 out_waiters;		/* of each kind counted up to 1000 */
	__u32 out_queue;		/* its place in the queue, from 1, up to 1000; or 0 */
	__u64 out_generation;
	__u64 out_started;		/* absolute ns: the first ticket */
	__u64 out_granted;		/* this one, or its last EXTEND */
	__u64 out_until;		/* when it is taken away, or NEVER */
	__u64 out_done;
	__u64 out_total;
	__u64 detail;			/* where the error's text goes */
	__u32 detail_size;		/* bytes there */
	__u32 out_detail_size;
	__s32 out_error;		/* positive errno of the last failure, or 0 */
	__u32 out_failures;		/* in a row */
	__u64 out_retry;		/* absolute ns: nobody begins before; or 0 */
	__u64 reserved[2];
};

/* ABANDON: give the ticket back; the oldest waiter that can gets it. */
struct asynclazy_abandon {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 ticket;
	__u64 reserved[2];
};

/*
 * CANCEL: take an EVENT wait back, or the text that waits to be fetched. A
 * ticket that was on its way to it goes to the next waiter. ENOENT: its event
 * has been read, or is being read, or there never was such a wait.
 */
struct asynclazy_cancel {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 cookie;
	__u64 reserved[2];
};

/* FETCH: the text of an error whose event had EVENT_DETAIL; once. */
struct asynclazy_fetch {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 cookie;
	__u64 detail;
	__u32 detail_size;
	__u32 out_detail_size;
	__u64 reserved[2];
};

/*
 * MEMFD: a descriptor of the memfd that holds a value, for reading. ENOENT: it
 * was evicted meanwhile: claim again.
 */
struct asynclazy_value {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 generation;		/* of its record, its event or its answer */
	__s32 out_fd;
	__u32 pad;
	__u64 out_value_size;
	__u64 reserved[2];
};

/*
 * SET: store a value whatever the state. A running flight is overtaken. As for
 * PUBLISH, without VALUE_UNKEPT; a memfd that does not fit is ENOSPC.
 */
struct asynclazy_set {
	__u32 size;
	__u32 flags;			/* ASYNCLAZY_VALUE_FD */
	__u64 key;
	__u32 key_size;
	__s32 value_fd;			/* 0 without VALUE_FD */
	__u64 hash;
	__u64 value;
	__u64 value_size;
	__u64 ttl;
	__u64 stale_ttl;
	__u64 dead_ttl;
	__u64 out_generation;
	__u64 out_offset;
	__u64 reserved[2];
};

/*
 * INVALIDATE: make the key EMPTY. The owner of a running flight finds its
 * ticket ESTALE; the oldest waiter that can initialise gets a new one.
 */
struct asynclazy_invalidate {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 key;
	__u32 key_size;
	__u32 out_count;		/* values, errors and flights it ended */
	__u64 hash;
	__u64 reserved[2];
};

/*
 * EXPIRE: make a value stale, now: for as long as it would have been, or for ever if
 * it has no times, readers read on, while somebody makes it anew. ENOSPC: there is no
 * room for the record with its new times. Errors, and what has no time to be stale,
 * are INVALIDATEd. A running flight is left alone.
 */
struct asynclazy_expire {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 key;
	__u32 key_size;
	__u32 out_count;		/* 1, or 0: there was no value */
	__u64 hash;
	__u64 reserved[2];
};

/* CLEAR: INVALIDATE every key. */
struct asynclazy_clear {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 out_count;
	__u64 reserved[2];
};

#define ASYNCLAZY_WORD_ADDRESS		(1U << 0)	/* it is not the cache's own */
#define ASYNCLAZY_WORDS_PER_WAIT	128

/*
 * A word to wait for: one of the cache, by its number from 0 on, or any u32 at an
 * address of the caller's. In a shared mapping it is the same word for all who map
 * that place, wherever they do; else it is this process's alone.
 */
struct asynclazy_word {
	__u64 word;			/* its number, or its address */
	__u32 expected;
	__u32 flags;			/* ASYNCLAZY_WORD_* */
};

/*
 * WAIT: until one of some words is woken, by those who wait in the same cache; as
 * long as each has the value that is expected of it, which is looked at such that no
 * change with a WAKE after it is missed. If one has not, that is RESULT_CHANGED at
 * once, and no wait. BLOCK, EVENT or FD, as for CLAIM, and CANCEL likewise; one of
 * them. A wait for several words counts as many in the quota.
 */
struct asynclazy_wait {
	__u32 size;
	__u32 flags;			/* ASYNCLAZY_CLAIM_BLOCK, _EVENT or _FD */
	__u64 words;			/* address of so many asynclazy_word: */
	__u32 count;			/* 1 to ASYNCLAZY_WORDS_PER_WAIT */
	__u32 pad;
	__u64 cookie;			/* EVENT, FD */
	__u64 deadline;			/* BLOCK */
	__u32 out_result;		/* WOKEN, CHANGED or PENDING */
	__u32 out_index;		/* WOKEN, CHANGED: which one, from 0 on */
	__s32 out_fd;			/* FD, or -1 */
	__u32 pad2;
	__u64 reserved[2];
};

/*
 * WAKE: end the waits of those who have waited longest for a word; of those that wait
 * now, so many at most. A wait that is cancelled, or dies, before its event was
 * read passes its wake on to the next one.
 */
struct asynclazy_wake {
	__u32 size;
	__u32 flags;			/* ASYNCLAZY_WORD_* */
	__u64 word;			/* as in asynclazy_word */
	__u32 count;			/* 0: none; INT_MAX and more: all */
	__u32 out_count;		/* waits that it ended */
	__u64 reserved[2];
};

#define ASYNCLAZY_CALLS_PER_BATCH	4096	/* at most */

/* One call of a BATCH. */
struct asynclazy_call {
	__u64 arg;			/* address of its struct */
	__u32 cmd;			/* its number; not BATCH */
	__s32 out_error;		/* 0 or a positive errno */
};

/*
 * BATCH: make many calls of a client fd, one after the other, each as if it came
 * alone; one that fails ends nothing. It ends early, between two of them, for a signal,
 * or at one that cannot be read.
 */
struct asynclazy_batch {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 calls;			/* address of so many asynclazy_call: */
	__u32 count;			/* 1 to ASYNCLAZY_CALLS_PER_BATCH */
	__u32 out_done;			/* calls that were made */
	__u64 reserved[2];
};

#define ASYNCLAZY_EVENT_DETAIL		(1U << 0)	/* FETCH has a text */

/*
 * What read() of a client fd or of a per-wait fd returns: as many whole events
 * as fit. The records and memfds of the events that one read() of a client fd
 * returned stay until its next read(), those of a per-wait fd until its close. A
 * per-wait fd returns one, followed by the detail text where the buffer has room
 * for it, and does so for ever.
 */
struct asynclazy_event {
	__u64 cookie;
	__u32 result;			/* HIT, FAILED or TICKET; WOKEN */
	__s32 error;			/* positive errno of FAILED */
	__u64 generation;
	__u64 offset;			/* record, or NO_RECORD */
	__u64 ticket;			/* TICKET */
	__u32 attempt;			/* TICKET; WOKEN: which word of the wait, from 0 on */
	__u32 flags;			/* ASYNCLAZY_EVENT_* */
	__u32 detail_size;		/* bytes of text */
	__u32 pad;
	__u64 cache_id;			/* that @offset is in */
};

/* The numbers never change, also when a struct grows. */
#define ASYNCLAZY_IOC_TYPE		0xA7
#define ASYNCLAZY_IOC_INFO		_IO(ASYNCLAZY_IOC_TYPE, 0x00)
#define ASYNCLAZY_IOC_CREATE		_IO(ASYNCLAZY_IOC_TYPE, 0x01)
#define ASYNCLAZY_IOC_OPEN		_IO(ASYNCLAZY_IOC_TYPE, 0x02)
#define ASYNCLAZY_IOC_UNLINK		_IO(ASYNCLAZY_IOC_TYPE, 0x03)

#define ASYNCLAZY_IOC_ATTACH		_IO(ASYNCLAZY_IOC_TYPE, 0x20)
#define ASYNCLAZY_IOC_GEOMETRY		_IO(ASYNCLAZY_IOC_TYPE, 0x21)
#define ASYNCLAZY_IOC_STATS		_IO(ASYNCLAZY_IOC_TYPE, 0x22)

#define ASYNCLAZY_IOC_CLAIM		_IO(ASYNCLAZY_IOC_TYPE, 0x40)
#define ASYNCLAZY_IOC_PUBLISH		_IO(ASYNCLAZY_IOC_TYPE, 0x41)
#define ASYNCLAZY_IOC_FAIL		_IO(ASYNCLAZY_IOC_TYPE, 0x42)
#define ASYNCLAZY_IOC_ABANDON		_IO(ASYNCLAZY_IOC_TYPE, 0x43)
#define ASYNCLAZY_IOC_CANCEL		_IO(ASYNCLAZY_IOC_TYPE, 0x44)
#define ASYNCLAZY_IOC_FETCH		_IO(ASYNCLAZY_IOC_TYPE, 0x45)
#define ASYNCLAZY_IOC_SET		_IO(ASYNCLAZY_IOC_TYPE, 0x46)
#define ASYNCLAZY_IOC_INVALIDATE	_IO(ASYNCLAZY_IOC_TYPE, 0x47)
#define ASYNCLAZY_IOC_CLEAR		_IO(ASYNCLAZY_IOC_TYPE, 0x48)
#define ASYNCLAZY_IOC_MEMFD		_IO(ASYNCLAZY_IOC_TYPE, 0x49)
#define ASYNCLAZY_IOC_EXTEND		_IO(ASYNCLAZY_IOC_TYPE, 0x4a)
#define ASYNCLAZY_IOC_FLIGHT		_IO(ASYNCLAZY_IOC_TYPE, 0x4b)
#define ASYNCLAZY_IOC_EXPIRE		_IO(ASYNCLAZY_IOC_TYPE, 0x4c)
#define ASYNCLAZY_IOC_WAIT		_IO(ASYNCLAZY_IOC_TYPE, 0x4d)
#define ASYNCLAZY_IOC_WAKE		_IO(ASYNCLAZY_IOC_TYPE, 0x4e)
#define ASYNCLAZY_IOC_BATCH		_IO(ASYNCLAZY_IOC_TYPE, 0x4f)

#endif /* _UAPI_LINUX_ASYNCLAZY_H */
