// SPDX-License-Identifier: GPL-2.0-only
/*
 * The calls, and the values that their arguments are tried with. Of each list
 * the first one is what a sane caller passes.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>

#define NEVER	ASYNCLAZY_NEVER
#define IN	ASYNCLAZY_CLAIM_INIT
#define BL	ASYNCLAZY_CLAIM_BLOCK
#define EV	ASYNCLAZY_CLAIM_EVENT
#define FD	ASYNCLAZY_CLAIM_FD
#define FO	ASYNCLAZY_CLAIM_FOLLOW
#define RE	ASYNCLAZY_CLAIM_REFRESH

#define VALUES(...) \
	.n = sizeof((u64[]){ __VA_ARGS__ }) / sizeof(u64), \
	.values = (const u64[]){ __VA_ARGS__ }
#define PLACES \
	VALUES(P_OWN, P_NULL, P_UNMAPPED, P_READONLY, P_EDGE, P_OVER, P_MAP, \
	       P_KERNEL, P_NONCANON, P_WRAP, P_ODD)

struct type_info types[T_MAX] = {
	[T_NONE] = { "none", 100, VALUES(0) },
	/* the device: 0 read and write, 1 read-only */
	[T_DEV] = { "dev", 93, VALUES(0, 1, 2) },
	[T_CACHE] = { "cache", 100, VALUES(~0ULL) },
	[T_CLIENT] = { "client", 100, VALUES(~0ULL) },
	[T_WAIT] = { "wait", 100, VALUES(~0ULL) },
	[T_ANYFD] = { "fd", 100, VALUES(~0ULL) },
	[T_MEMFD] = { "memfd", 100, VALUES(0) },
	[T_EPOLL] = { "ep", 100, VALUES(~0ULL) },
	[T_MAP] = { "map", 100, VALUES(0) },
	[T_TICKET] = { "ticket", 40, VALUES(0, 1, 2, 3, 4, 5, 6, 64, 66, 1ULL << 32, NEVER) },
	[T_OFFSET] = { "record", 60, VALUES(0, 64, 4096, 65536, NEVER) },
	[T_GENERATION] = { "generation", 60, VALUES(0, 1, 2, 3, 4, 5, 6, 7, 8, NEVER) },

	[T_AT] = { "at", 96, PLACES },
	/* 0: as it should be; else one more than the size */
	[T_SIZE] = { "size", 95, VALUES(0, 1, 5, 9, 17, 25, 41, 49, 65, 81, 97, 113, 137, 257,
			4097, 4098, 1ULL << 32) },
	/* 0: none; else 1 + offset + (bytes << 12) + (value << 16): see struct tamper */
	[T_TAMPER] = { "tamper", 94, VALUES(0) },

	[T_CREATE_FLAGS] = { "flags", 45, VALUES(1, 0, 0, 0, 3, 2, 2, 4, 1U << 31, 0xffffffff) },
	[T_OPEN_FLAGS] = { "flags", 75, VALUES(3, 1, 2, 0, 4, 0xffffffff) },
	[T_CLAIM_FLAGS] = { "flags", 25, VALUES(IN, IN | EV, IN | FD, IN | BL, EV, FD, BL, 0,
			IN | EV | FO, IN | EV, IN | FD, IN | BL, IN | EV | FO,
			FO, IN | FO, EV | FO, EV | FD, BL | FD, BL | EV, IN | RE,
			IN | BL | RE, RE, 64, 1U << 31) },
	[T_NO_FLAGS] = { "flags", 97, VALUES(0, 1, 2, 1U << 31, 0xffffffff) },
	[T_NAME] = { "name", 40, VALUES(0, 1, 2, 3, 4, 5) },
	[T_NSIZE] = { "name_size", 92, VALUES(0, 1, 2, 256, 257, 4097, 1ULL << 32) },
	[T_NPTR] = { "name_at", 96, PLACES },
	[T_MODE] = { "mode", 75, VALUES(0, 0600, 0644, 0666, 0400, 0200, 0060, 0006, 0777, 01777,
			1U << 31) },
	[T_KEYS] = { "keys", 35, VALUES(8, 1, 2, 4, 16, 56, 57, 64, 200, 0, 2000, 1ULL << 20,
			1ULL << 32, (1ULL << 32) + 1, 1ULL << 63, NEVER) },
	[T_ARENA] = { "arena", 50, VALUES(65536, 131072, 1, 65535, 65537, 1ULL << 20, 3ULL << 20,
			0, 1ULL << 30, 1ULL << 40, 1ULL << 43, (1ULL << 43) + 1, 1ULL << 63, NEVER) },
	[T_SEGMENT] = { "segment", 65, VALUES(0, 65536, 131072, 1ULL << 20, 1ULL << 26, 1ULL << 27,
			1, 32768, 65537, 3, 1ULL << 63, NEVER) },

	[T_KEY] = { "key", 30, VALUES(0, 1, 2, 3, 4, 5, 6, 7) },
	[T_KSIZE] = { "key_size", 95, VALUES(0, 1, 2, 129, 130, 4097, 4098, 1ULL << 32) },
	[T_KPTR] = { "key_at", 97, PLACES },
	/* 0: a good one; 1: of key 0; 2: good, same tag; 3: good, same bucket; else itself */
	[T_HASH] = { "hash", 80, VALUES(0, 1, 2, 3, NEVER, 1ULL << 40, 1ULL << 63) },
	[T_COOKIE] = { "cookie", 30, VALUES(1, 2, 3, 4, 5, 0, 1000, NEVER) },
	/* relative to now if less than a second; 0: none */
	[T_DEADLINE] = { "deadline", 50, VALUES(300000, 0, 1, 1000000, 50000, 1ULL << 32,
			1ULL << 62, (1ULL << 63) - 1, 1ULL << 63, NEVER) },
	[T_DPTR] = { "text_at", 95, PLACES },
	[T_DLEN] = { "text", 50, VALUES(0, 1, 10, 255, 256, 257, 4096, 0xffffffff) },
	[T_VPTR] = { "value_at", 95, PLACES },
	[T_VLEN] = { "len", 40, VALUES(64, 0, 1, 8, 100, 1000, 4096, 20000, 61000, 61312, 61313,
			65536, 30000, 1ULL << 20, 1ULL << 32, 1ULL << 63, NEVER) },
	[T_TTL] = { "ttl", 55, VALUES(0, 1, 100000, 2000000, 1000000000, NEVER, NEVER - 1,
			1ULL << 63) },
	[T_STALE] = { "stale", 90, VALUES(0, 1, 100000, NEVER) },
	[T_DEAD] = { "dead", 90, VALUES(0, 1, 100000, NEVER) },
	/* the soft one, and if it is odd the hard one too */
	[T_LEASE] = { "lease", 70, VALUES(0, 1000001, 1, 100000, 100001, NEVER) },
	/* of back-off and breaker, with as few deaths as that */
	[T_TROUBLE] = { "trouble", 70, VALUES(0, 1, NEVER, 100000, 2000000) },
	[T_DONE] = { "done", 30, VALUES(0, 1, 5, NEVER) },
	[T_WORD] = { "word", 30, VALUES(0, 1, 2, 3, 100, 1023, 1024, 1ULL << 32, NEVER) },
	/* 0: by its number; else the address of such a place */
	[T_WPTR] = { "word_at", 70, PLACES },
	[T_EXPECTED] = { "expected", 85, VALUES(0, 1, NEVER) },
	/* of values: 1 a memfd, 2 not kept */
	[T_VFLAGS] = { "flags", 70, VALUES(0, 1, 1, 3, 1, 3, 2, 4, 1U << 31) },
	[T_PIN] = { "pin", 50, VALUES(0, 1, 2, 3, 512, 513, 0xffffffff) },
	[T_ERROR] = { "error", 80, VALUES(5, 1, 4095, 0, 4096, 0xffffffff, 1U << 31) },
	[T_CLASS] = { "class", 40, VALUES(0, 1, 2, 3, 0xffffffff) },

	[T_CMD] = { "cmd", 10, VALUES(ASYNCLAZY_IOC_CLAIM, ASYNCLAZY_IOC_INFO, ASYNCLAZY_IOC_CREATE,
			ASYNCLAZY_IOC_OPEN, ASYNCLAZY_IOC_UNLINK, ASYNCLAZY_IOC_ATTACH,
			ASYNCLAZY_IOC_GEOMETRY, ASYNCLAZY_IOC_STATS, ASYNCLAZY_IOC_PUBLISH,
			ASYNCLAZY_IOC_FAIL, ASYNCLAZY_IOC_ABANDON, ASYNCLAZY_IOC_CANCEL,
			ASYNCLAZY_IOC_FETCH, ASYNCLAZY_IOC_SET, ASYNCLAZY_IOC_INVALIDATE,
			ASYNCLAZY_IOC_CLEAR, ASYNCLAZY_IOC_MEMFD,
			ASYNCLAZY_IOC_EXTEND, ASYNCLAZY_IOC_FLIGHT, ASYNCLAZY_IOC_EXPIRE,
			ASYNCLAZY_IOC_WAIT, ASYNCLAZY_IOC_WAKE,
			ASYNCLAZY_IOC_BATCH, ASYNCLAZY_IOC_BATCH + 1, 0xa7ff, 0xa723, 0xa704, 0) },
	[T_PROT] = { "prot", 55, VALUES(PROT_READ, PROT_READ | PROT_WRITE, PROT_WRITE, PROT_NONE,
			PROT_EXEC, PROT_READ | PROT_EXEC, 7) },
	[T_MFLAGS] = { "flags", 70, VALUES(MAP_SHARED, MAP_PRIVATE, MAP_SHARED | MAP_POPULATE,
			MAP_PRIVATE | MAP_LOCKED, MAP_SHARED_VALIDATE) },
	[T_MOFF] = { "off", 30, VALUES(ASYNCLAZY_OFF_TABLE, ASYNCLAZY_OFF_ARENA,
			ASYNCLAZY_OFF_VISITED, ASYNCLAZY_OFF_PINS, ASYNCLAZY_OFF_WORDS,
			ASYNCLAZY_OFF_WAITING, ASYNCLAZY_OFF_HELD,
			4096, ASYNCLAZY_OFF_ARENA + 65536, ASYNCLAZY_OFF_ARENA + 4096,
			ASYNCLAZY_OFF_ARENA - 4096, ASYNCLAZY_OFF_VISITED - 4096, 1ULL << 30,
			1ULL << 62, 1ULL << 63, 0xfffffffffffff000ULL) },
	/* 0: all of it */
	[T_MLEN] = { "len", 75, VALUES(0, 1, 4096, 8192, 65536, 131072, 1ULL << 20, 1ULL << 24,
			1ULL << 44, 1ULL << 46) },
	[T_EVENTS] = { "events", 70, VALUES(POLLIN, POLLIN | POLLOUT, 0, 0xffff) },
	[T_MS] = { "ms", 70, VALUES(0, 1, 2) },
	[T_PROC] = { "proc", 30, VALUES(0, 1, 2) },
	[T_COUNT] = { "count", 20, VALUES(1, 2, 9, 17, 65, 80, 130) },
	[T_WHICH] = { "which", 25, VALUES(0, 1, 2, 3) },
	[T_PVALUE] = { "value", 40, VALUES(1, 0, 2, 70000, 1ULL << 20) },
	[T_WHAT] = { "what", 20, VALUES(1, 3, 7, 15, 16, 31, 32, 8, 12) },
	[T_SLOT] = { "slot", 25, VALUES(0, 1, 2, 7, 40) },
	[T_RLEN] = { "len", 35, VALUES(64, 128, 1024, 1088, 2048, 320, 63, 0, 1, 65, 4096) },
	/* 1: without waiting, by O_NONBLOCK; 2: RWF_NOWAIT; 3: in two pieces */
	[T_RFLAGS] = { "flags", 65, VALUES(1, 0, 2, 3) },
	[T_UID] = { "uid", 60, VALUES(65534, 0, 1000) },
	/* those that a value needs; 0x100 and 0x200: a file and a pipe instead */
	[T_SEALS] = { "seals", 70, VALUES(0xe, 0, 2, 4, 6, 8, 0xa, 0xc, 0xf, 0x16, 0x100, 0x200) },
};

#define M(t) (1U << (t))
#define FDS (M(T_ANYFD))
#define STRUCT T_AT, T_SIZE, T_TAMPER
#define CALL(_name, _weight, _makes, ...) { \
	.name = _name, .weight = _weight, .makes = _makes, \
	.n = sizeof((u8[]){ __VA_ARGS__ }), .arg = { __VA_ARGS__ } }

struct desc descs[C_MAX] = {
	[C_INFO] = CALL("info", 2, 0, T_DEV, STRUCT, T_NO_FLAGS),
	[C_CREATE] = CALL("create", 2, FDS | M(T_CACHE), T_DEV, STRUCT, T_CREATE_FLAGS,
		T_NAME, T_NSIZE, T_NPTR, T_MODE, T_KEYS, T_ARENA, T_SEGMENT, T_TTL, T_STALE, T_DEAD,
		T_LEASE, T_TROUBLE),
	[C_OPEN] = CALL("open", 5, FDS | M(T_CACHE), T_DEV, STRUCT, T_OPEN_FLAGS,
		T_NAME, T_NSIZE, T_NPTR),
	[C_UNLINK] = CALL("unlink", 3, 0, T_DEV, STRUCT, T_NO_FLAGS, T_NAME, T_NSIZE, T_NPTR),
	[C_ATTACH] = CALL("attach", 8, FDS | M(T_CLIENT), T_CACHE, STRUCT, T_NO_FLAGS),
	[C_GEOMETRY] = CALL("geometry", 2, 0, T_ANYFD, STRUCT, T_NO_FLAGS),
	[C_STATS] = CALL("stats", 2, 0, T_ANYFD, STRUCT, T_NO_FLAGS),
	[C_CLAIM] = CALL("claim", 60,
		FDS | M(T_WAIT) | M(T_TICKET) | M(T_OFFSET) | M(T_GENERATION),
		T_CLIENT, STRUCT, T_CLAIM_FLAGS, T_KEY, T_KSIZE, T_KPTR, T_HASH,
		T_COOKIE, T_DEADLINE, T_DPTR, T_DLEN, T_PIN, T_TICKET),
	[C_PUBLISH] = CALL("publish", 22, M(T_OFFSET) | M(T_GENERATION), T_CLIENT, STRUCT,
		T_VFLAGS, T_TICKET, T_VPTR, T_VLEN, T_TTL, T_STALE, T_DEAD, T_MEMFD, T_PIN),
	[C_FAIL] = CALL("fail", 18, 0, T_CLIENT, STRUCT, T_NO_FLAGS, T_TICKET, T_ERROR,
		T_CLASS, T_TTL, T_DPTR, T_DLEN),
	[C_ABANDON] = CALL("abandon", 12, 0, T_CLIENT, STRUCT, T_NO_FLAGS, T_TICKET),
	[C_CANCEL] = CALL("cancel", 10, 0, T_CLIENT, STRUCT, T_NO_FLAGS, T_COOKIE),
	[C_FETCH] = CALL("fetch", 6, 0, T_CLIENT, STRUCT, T_NO_FLAGS, T_COOKIE, T_DPTR, T_DLEN),
	[C_SET] = CALL("set", 16, M(T_OFFSET) | M(T_GENERATION), T_CLIENT, STRUCT, T_VFLAGS,
		T_KEY, T_KSIZE, T_KPTR, T_HASH, T_VPTR, T_VLEN, T_TTL, T_STALE, T_DEAD, T_MEMFD),
	[C_INVALIDATE] = CALL("invalidate", 10, 0, T_CLIENT, STRUCT, T_NO_FLAGS, T_KEY, T_KSIZE,
		T_KPTR, T_HASH),
	[C_CLEAR] = CALL("clear", 5, 0, T_CLIENT, STRUCT, T_NO_FLAGS),
	[C_MEMFD] = CALL("memfd", 6, FDS, T_CLIENT, STRUCT, T_NO_FLAGS, T_GENERATION),
	[C_EXTEND] = CALL("extend", 6, 0, T_CLIENT, STRUCT, T_NO_FLAGS, T_TICKET, T_DONE),
	[C_FLIGHT] = CALL("flight", 5, 0, T_CLIENT, STRUCT, T_NO_FLAGS, T_KEY, T_KSIZE, T_KPTR,
		T_HASH, T_DPTR, T_DLEN),
	[C_EXPIRE] = CALL("expire", 6, 0, T_CLIENT, STRUCT, T_NO_FLAGS, T_KEY, T_KSIZE, T_KPTR,
		T_HASH),
	[C_WAIT] = CALL("wait", 16, FDS | M(T_WAIT), T_CLIENT, STRUCT, T_CLAIM_FLAGS, T_WORD,
		T_WPTR, T_EXPECTED, T_COUNT, T_VPTR, T_COOKIE, T_DEADLINE),
	[C_WAKE] = CALL("wake", 10, 0, T_CLIENT, STRUCT, T_NO_FLAGS, T_WORD, T_WPTR, T_PVALUE),
	[C_BATCH] = CALL("batch", 8, 0, T_CLIENT, STRUCT, T_NO_FLAGS, T_CMD, T_COUNT, T_VPTR,
		T_KEY, T_KSIZE, T_KPTR, T_HASH, T_COOKIE, T_WORD, T_WPTR),
	[C_IOCTL] = CALL("ioctl", 3, 0, T_ANYFD, T_CMD, T_AT, T_SIZE, T_TAMPER),
	[C_IOCTL32] = CALL("ioctl32", 2, 0, T_ANYFD, T_CMD, T_AT, T_SIZE, T_TAMPER),
	/* many at once: what lets go of the lock in between */
	[C_CLAIMS] = CALL("claims", 4, M(T_TICKET), T_CLIENT, T_CLAIM_FLAGS, T_KEY, T_HASH,
		T_COOKIE, T_COUNT),
	[C_SETS] = CALL("sets", 4, M(T_OFFSET), T_CLIENT, T_HASH, T_VLEN, T_TTL, T_COUNT),

	/* the cache that is there for all programs of a batch: making one takes long */
	[C_CACHE] = CALL("cache", 4, FDS | M(T_CACHE), T_OPEN_FLAGS),
	[C_NEWFD] = CALL("newfd", 4, FDS | M(T_MEMFD), T_VLEN, T_SEALS),

	[C_MMAP] = CALL("mmap", 10, M(T_MAP), T_CLIENT, T_MOFF, T_MLEN, T_PROT, T_MFLAGS),
	[C_MPROTECT] = CALL("mprotect", 3, 0, T_MAP, T_PROT),
	[C_MUNMAP] = CALL("munmap", 2, 0, T_MAP, T_MLEN),
	[C_MREMAP] = CALL("mremap", 2, M(T_MAP), T_MAP, T_MLEN, T_WHAT),
	[C_MADVISE] = CALL("madvise", 2, 0, T_MAP, T_WHAT),
	[C_PEEK] = CALL("peek", 5, 0, T_MAP, T_OFFSET),
	[C_POKE] = CALL("poke", 3, 0, T_MAP, T_WHAT),
	[C_SCAN] = CALL("scan", 5, 0, T_CLIENT),
	[C_SCRIBBLE] = CALL("scribble", 6, 0, T_CLIENT, T_MOFF, T_WHAT),

	[C_READ] = CALL("read", 28, M(T_TICKET) | M(T_OFFSET) | M(T_GENERATION), T_ANYFD, T_VPTR, T_RLEN, T_RFLAGS),
	[C_WRITE] = CALL("write", 1, 0, T_ANYFD, T_WHAT),
	[C_POLL] = CALL("poll", 6, 0, T_ANYFD, T_EVENTS, T_MS),
	[C_EPOLL] = CALL("epoll", 2, M(T_EPOLL), T_NO_FLAGS),
	[C_EPOLL_ADD] = CALL("epoll_add", 4, 0, T_EPOLL, T_ANYFD, T_EVENTS),
	[C_EPOLL_DEL] = CALL("epoll_del", 1, 0, T_EPOLL, T_ANYFD),
	[C_EPOLL_WAIT] = CALL("epoll_wait", 3, 0, T_EPOLL, T_MS),
	[C_DUP] = CALL("dup", 2, FDS, T_ANYFD),
	[C_DUP2] = CALL("dup2", 2, FDS, T_ANYFD, T_SLOT),
	[C_CLOSE] = CALL("close", 10, 0, T_ANYFD),
	[C_FCNTL] = CALL("fcntl", 2, 0, T_ANYFD, T_RFLAGS),
	[C_FDINFO] = CALL("fdinfo", 1, 0, T_ANYFD),
	[C_SENDFD] = CALL("sendfd", 4, 0, T_ANYFD, T_PROC),
	[C_RECVFD] = CALL("recvfd", 4, FDS | M(T_CACHE) | M(T_CLIENT) | M(T_WAIT), T_NO_FLAGS),
	[C_FORK] = CALL("fork", 1, 0, T_WHAT),
	[C_EXEC] = CALL("exec", 1, 0, T_NO_FLAGS),
	[C_KILL] = CALL("kill", 1, 0, T_PROC),
	[C_PARAM] = CALL("param", 1, 0, T_WHICH, T_PVALUE),
	[C_UID] = CALL("uid", 1, 0, T_UID),
	[C_IPCNS] = CALL("ipcns", 1, 0, T_NO_FLAGS),
	[C_SIGNAL] = CALL("signal", 1, 0, T_RFLAGS),
	[C_SLEEP] = CALL("sleep", 1, 0, T_COUNT),
};

/** desc_init() - where each call has which argument */
void desc_init(void)
{
	u32 nr, i;

	for (nr = 0; nr < C_MAX; nr++) {
		memset(descs[nr].pos, 0xff, sizeof(descs[nr].pos));
		for (i = 0; i < descs[nr].n; i++)
			descs[nr].pos[descs[nr].arg[i]] = i;
	}
}
