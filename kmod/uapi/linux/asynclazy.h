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
 *  EOPNOTSUPP  a known field with a value that this version does not serve
 *  ENOTTY      no such call on this kind of file descriptor
 *  ENOENT      no such name, ticket or wait
 *  EEXIST      the name, or the cookie, is in use
 *  ESTALE      the ticket is no longer yours: ended, revoked or overtaken
 *  EFBIG       the value is larger than the cache takes
 *  ENOSPC      no room left in the table or the arena of the cache
 *  ENOMEM      the kernel has no memory
 *  EDQUOT      a quota of the user or of the client is used up
 *  EACCES      the file descriptor, or the mode of the cache, lacks the right
 *  EFAULT      an address that cannot be read or written
 *  EOWNERDEAD  the client belongs to another process, or its process is gone
 *  ETIMEDOUT   the deadline has passed
 *  EINTR       a signal came whose handler restarts no calls; call again with
 *              the same deadline
 *  EAGAIN      nothing to read now
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
#define ASYNCLAZY_OFF_VISITED	(2ULL << 44)		/* reserved */
#define ASYNCLAZY_OFF_PINS	(3ULL << 44)		/* reserved */
#define ASYNCLAZY_OFF_WORDS	(4ULL << 44)		/* reserved */

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
	__u64 arena_size;	/* bytes */

	__u64 keys;		/* FILLED slots now */
	__u64 errors;		/* FAILED slots now */
	__u64 initializing;	/* INITIALIZING slots now */
	__u64 arena_used;	/* bytes given out */
	__u64 generation;	/* the last one drawn */
	__u64 coarse_clock;	/* reserved, 0 */
	__u64 reserved[2];

	__u64 value_max;	/* bytes in one value */
	__u32 key_max;
	__u32 flags;		/* ASYNCLAZY_CREATE_STABLE */
	__u64 table_size;	/* bytes to map at ASYNCLAZY_OFF_TABLE */
	__u64 visited_size;	/* reserved, 0 */
	__u64 pins_size;	/* reserved, 0 */
	__u64 words_size;	/* reserved, 0 */
	__u64 reserved2[2];
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

/* What a record holds. */
#define ASYNCLAZY_RECORD_VALUE		1
#define ASYNCLAZY_RECORD_ERROR		2	/* the value is the detail text */
#define ASYNCLAZY_RECORD_MEMFD		3	/* reserved */
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
	__u64 reserved;
};

/* CLOCK_MONOTONIC nanoseconds, ASYNCLAZY_NEVER for never. */
struct asynclazy_times {
	__u64 fresh_until;
	__u64 stale_until;
	__u64 dead_until;	/* from here on the record counts as absent */
	__u64 published;
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

#define ASYNCLAZY_CREATE_STABLE		(1U << 0)	/* append-only */
#define ASYNCLAZY_CREATE_EXCLUSIVE	(1U << 1)	/* EEXIST if it is there */
#define ASYNCLAZY_CREATE_FLAGS		3U

/*
 * CREATE: make a cache and return a cache fd open for reading and writing.
 * name_size 0 makes an anonymous cache. Without EXCLUSIVE a cache of that name
 * that is there already is opened as it is (out_created 0). The device must be
 * open for writing. Needs ASYNCLAZY_CREATE_STABLE: other kinds are EOPNOTSUPP.
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
	__u64 reserved[3];
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
	__u32 pad;
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
	__u64 reserved[4];
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
	__u64 reserved[8];
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
#define ASYNCLAZY_CLAIM_FLAGS		31U

#define ASYNCLAZY_RESULT_EMPTY		0	/* no value, nobody makes one */
#define ASYNCLAZY_RESULT_HIT		1	/* out_offset has the value */
#define ASYNCLAZY_RESULT_FAILED		2	/* out_error; see out_offset */
#define ASYNCLAZY_RESULT_TICKET		3	/* out_ticket: it is yours to make */
#define ASYNCLAZY_RESULT_PENDING	4	/* in the making */

/*
 * CLAIM: get the value, or the ticket to make it, or wait. Of BLOCK, EVENT and
 * FD at most one; with none of them the call only looks (PENDING then means
 * that somebody is making the value). A kept error comes with its record in
 * out_offset; one that is not kept has NO_RECORD there, and its text is copied
 * to detail. Without INIT a key that nobody makes is RESULT_EMPTY.
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
	__u64 parent;			/* reserved, 0 */
	__u32 out_result;
	__s32 out_fd;			/* FD */
	__s32 out_error;		/* positive errno of RESULT_FAILED */
	__u32 out_detail_size;
	__u64 out_ticket;
	__u64 out_generation;
	__u64 out_offset;		/* bytes from the start of the arena */
	__u32 out_attempt;		/* owners that were lost before this one */
	__u32 pad;
	__u64 reserved[2];
};

/* PUBLISH: end the flight with a value. */
struct asynclazy_publish {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 ticket;
	__u64 value;
	__u64 value_size;
	__u64 ttl;			/* 0: never ends */
	__u64 stale_ttl;		/* reserved, 0 */
	__u64 dead_ttl;			/* reserved, 0 */
	__s32 value_fd;			/* reserved, 0 */
	__u32 pad;
	__u64 out_generation;
	__u64 out_offset;
	__u64 reserved[2];
};

#define ASYNCLAZY_FAIL_TRANSIENT	0	/* told to the waiters, not kept */
#define ASYNCLAZY_FAIL_NEGATIVE		1	/* kept for ttl, default 5 s */
#define ASYNCLAZY_FAIL_PERMANENT	2	/* kept until invalidated */

/*
 * FAIL: end the flight with an error, the same one for all its waiters. An
 * error that is to be kept but finds no room in the arena is told and not kept
 * (out_kept 0).
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

/* SET: store a value whatever the state. A running flight is overtaken. */
struct asynclazy_set {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 key;
	__u32 key_size;
	__s32 value_fd;			/* reserved, 0 */
	__u64 hash;
	__u64 value;
	__u64 value_size;
	__u64 ttl;
	__u64 stale_ttl;		/* reserved, 0 */
	__u64 dead_ttl;			/* reserved, 0 */
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

/* CLEAR: INVALIDATE every key. */
struct asynclazy_clear {
	__u32 size;
	__u32 flags;			/* 0 */
	__u64 out_count;
	__u64 reserved[2];
};

#define ASYNCLAZY_EVENT_DETAIL		(1U << 0)	/* FETCH has a text */

/*
 * What read() of a client fd or of a per-wait fd returns: as many whole events
 * as fit. A per-wait fd returns one, followed by the detail text where the
 * buffer has room for it, and does so for ever.
 */
struct asynclazy_event {
	__u64 cookie;
	__u32 result;			/* HIT, FAILED or TICKET */
	__s32 error;			/* positive errno of FAILED */
	__u64 generation;
	__u64 offset;			/* record, or NO_RECORD */
	__u64 ticket;			/* TICKET */
	__u32 attempt;			/* TICKET */
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

#endif /* _UAPI_LINUX_ASYNCLAZY_H */
