/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A coverage-guided fuzzer of /dev/asynclazy.
 *
 * A program is a list of calls, each on one of four lanes. Lanes 0 and 1 are
 * threads of one process, 2 and 3 are processes of their own: so calls meet in
 * one client as well as in several. A call may use what an earlier one brought.
 *
 *   main.c -> corpus.c -> batch.c (the parent: starts, feeds, watches lanes)
 *                      -> cover.c (what a program reached)
 *   gen.c, text.c over desc.c: making programs, and their text
 *   lane.c -> call_ioctl.c, call_mem.c, call_fd.c, call_proc.c -> check.c
 */
#ifndef UAPI_FUZZ_H
#define UAPI_FUZZ_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/asynclazy.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;

#define LANES		4
#define PROCS		3
#define CALLS_MAX	32
#define ARGS_MAX	17
#define BATCH_MAX	32

/*
 * What an argument means; which also says where its value comes from, and what
 * an earlier call must have brought for it to be a reference.
 */
enum type {
	T_NONE,
	/* resources */
	T_DEV, T_CACHE, T_CLIENT, T_WAIT, T_ANYFD, T_MEMFD, T_EPOLL, T_MAP, T_TICKET, T_OFFSET,
	T_GENERATION, T_RESOURCES,
	/* how a struct is passed */
	T_AT = T_RESOURCES, T_SIZE, T_TAMPER,
	/* its fields */
	T_CREATE_FLAGS, T_OPEN_FLAGS, T_CLAIM_FLAGS, T_NO_FLAGS,
	T_NAME, T_NSIZE, T_NPTR, T_MODE, T_KEYS, T_ARENA, T_SEGMENT,
	T_KEY, T_KSIZE, T_KPTR, T_HASH, T_COOKIE, T_DEADLINE, T_DPTR, T_DLEN,
	T_VPTR, T_VLEN, T_TTL, T_STALE, T_DEAD, T_ERROR, T_CLASS, T_VFLAGS, T_PIN,
	T_LEASE, T_TROUBLE, T_DONE, T_WORD, T_WPTR, T_EXPECTED,
	/* of other calls */
	T_CMD, T_PROT, T_MFLAGS, T_MOFF, T_MLEN, T_EVENTS, T_MS, T_PROC, T_COUNT,
	T_WHICH, T_PVALUE, T_WHAT, T_SLOT, T_RLEN, T_RFLAGS, T_UID, T_SEALS,
	T_MAX
};

enum call_nr {
	C_INFO, C_CREATE, C_OPEN, C_UNLINK, C_ATTACH, C_GEOMETRY, C_STATS,
	C_CLAIM, C_PUBLISH, C_FAIL, C_ABANDON, C_CANCEL, C_FETCH, C_SET,
	C_INVALIDATE, C_CLEAR, C_MEMFD, C_EXTEND, C_FLIGHT, C_EXPIRE, C_WAIT, C_WAKE,
	C_BATCH,
	C_IOCTL, C_IOCTL32, C_CLAIMS, C_SETS, C_CACHE, C_NEWFD,
	C_MMAP, C_MPROTECT, C_MUNMAP, C_MREMAP, C_MADVISE, C_PEEK, C_POKE, C_SCAN, C_SCRIBBLE,
	C_READ, C_WRITE, C_POLL, C_EPOLL, C_EPOLL_ADD, C_EPOLL_DEL, C_EPOLL_WAIT,
	C_DUP, C_DUP2, C_CLOSE, C_FCNTL, C_FDINFO, C_SENDFD, C_RECVFD,
	C_FORK, C_EXEC, C_KILL, C_PARAM, C_UID, C_IPCNS, C_SIGNAL, C_SLEEP,
	C_MAX
};

struct arg {
	u64 v;			/* if @ref is 0 */
	u8 ref;			/* number of an earlier call, plus one */
};

struct call {
	u8 nr;			/* enum call_nr */
	u8 lane;
	u16 delay;		/* turns to wait before it */
	struct arg arg[ARGS_MAX];
};

struct program {
	u32 n;
	struct call call[CALLS_MAX];
};

/* desc.c */
struct type_info {
	const char *name;
	u8 usual;		/* per cent of the first value */
	u8 n;
	const u64 *values;	/* the first one is what a text leaves out */
};

struct desc {
	const char *name;
	u8 weight;
	u8 n;
	u8 arg[ARGS_MAX];	/* enum type */
	u32 makes;		/* 1 << enum type */
	s64 pos[T_MAX];		/* where an argument of this type is, or -1 */
};

extern struct type_info types[T_MAX];
extern struct desc descs[C_MAX];
void desc_init(void);
static inline u64 type_default(enum type t)
{
	return types[t].values[0];
}

/* Where a pointer points: T_AT, T_xPTR */
enum place {
	P_OWN,			/* to what the call put there */
	P_NULL, P_UNMAPPED, P_READONLY,
	P_EDGE,			/* ends where memory ends */
	P_OVER,			/* ends one byte later */
	P_MAP,			/* the module's own pages */
	P_KERNEL, P_NONCANON, P_WRAP, P_ODD,
	P_MAX
};

/* gen.c */
u64 rnd(void);
u32 rnd_below(u32 n);
void rnd_seed(u64 seed);
u32 proc_of(u32 lane);
void gen_program(struct program *p);
void gen_mutate(struct program *p, const struct program *other);
void gen_remove(struct program *p, u32 at);
bool gen_valid(const struct program *p);

/* text.c */
size_t text_write(const struct program *p, char *out, size_t size);
const char *text_read(const char *in, struct program *p, char *err, size_t size);

#endif
