/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the parent and the processes that run the lanes share, and what the
 * files of the lanes share.
 */
#ifndef UAPI_FUZZ_LANE_H
#define UAPI_FUZZ_LANE_H

#include "fuzz.h"

#include <sys/types.h>

/* Descriptors that every process has; those of programs come after them. */
#define SHM_FD		3
#define KCOV_FD		4		/* one a lane */
#define INBOX_FD	8		/* one a process: to read from, */
#define OUTBOX_FD	11		/* and to write to */
#define DEV_RW_FD	14
#define DEV_RO_FD	15
#define IPCNS_FD	16
#define FD_BASE		17
#define FD_N		44

#define KCOV_WORDS	(1U << 16)
#define MAPS_MAX	32
#define MAP_WINDOW	0x80000000UL	/* where programs map, by slots of 16 MiB */
#define MAP_SLOT	(16UL << 20)
#define GRANTS_MAX	1024
#define CHILDREN_MAX	4
#define NAMES		6
#define NAMES_MAX	128
#define BATCH_CACHE	"of all the batch"

/*
 * Stages of a program, with a barrier before each. Numbers only rise, so that
 * a lane which was killed goes on where it was.
 */
enum stage { S_CALLS, S_CHECK, S_CLOSE, S_END, STAGES = 8 };

enum kind { K_NONE, K_CACHE, K_CLIENT, K_WAIT, K_OTHER };

/* What a call brought. */
struct result {
	u32 done;
	s32 err;
	s32 fd;
	s32 out;		/* whatever tells most, for --replay */
	u64 ticket;
	u64 generation;
	u64 offset;
	u64 cache;
	u64 addr;
	u64 len;
};

struct map {
	u64 addr, len, off, cache;
	u32 stable;		/* of its cache: what is there stays */
};

struct process_state {
	pid_t pid;
	u32 started;		/* how often */
	u32 nr_maps;		/* ever made in this program */
	struct map map[MAPS_MAX];
	u8 kind[FD_N];
	u64 cache[FD_N];
	pid_t child[2][CHILDREN_MAX];	/* that go on, of each lane */
	u32 restart;		/* signals restart calls */
};

struct lane_state {
	u64 arrived;		/* at which barrier */
	u32 seq_done;
	u32 pos;		/* of the call that comes next */
	u64 calls;
	u32 mark[BATCH_MAX][CALLS_MAX + 1];	/* where its coverage begins */
};

struct grant {
	u64 cache, ticket, generation;
	u32 ended;
	u32 ready;
};

struct shared {
	u32 seq;		/* futex: a batch is there */
	u32 done;		/* futex: a lane is done with it */
	u32 moved;		/* futex: all have come to a barrier */
	u32 sleepers;		/* there */
	u32 n;
	u32 mask[BATCH_MAX];	/* lanes that take part in a program */
	u32 kcov;		/* coverage is to be had */
	u64 serial;		/* number of the first program of the batch */
	u32 failed;
	u32 failed_at;		/* program */
	char failure[512];
	u32 params_used;
	u32 nr_names;		/* that CREATE made */
	u32 name_size[NAMES_MAX];
	char name[NAMES_MAX][ASYNCLAZY_NAME_MAX];
	u32 nr_grants;
	u32 checked_polls, checked_records, checked_writes, checked_stats;
	u64 ok[C_MAX], refused[C_MAX];
	struct grant grant[GRANTS_MAX];
	struct lane_state lane[LANES];
	struct process_state proc[PROCS];
	struct program prog[BATCH_MAX];
	struct result result[BATCH_MAX][CALLS_MAX];
};

/* A call that is being made. */
struct run {
	u32 lane, at, k;
	const struct call *call;
	const struct desc *desc;
	struct result *r;
	struct process_state *proc;
	char *mem;		/* of the lane: see place() */
};

/* above where the heap can begin, and within reach of 32-bit calls */
#define LANE_MEM(lane)	(0x60000000UL + (lane) * 0x2000000UL)
#define LANE_RW		0x200000UL	/* bytes; nothing comes after them */
#define LANE_RO		0x210000UL
#define LANE_NOTHING	0x300000UL
#define MEM_KEY		0x2000
#define MEM_NAME	0x5000
#define MEM_DETAIL	0x6000
#define MEM_CALLS	0x7000
#define MEM_VALUE	0x10000
#define VALUE_ROOM	0x100000UL

extern struct shared *sh;
extern __thread u32 this_lane;

/* lane.c */
int lanes_main(u32 proc);
u64 val(const struct run *x, enum type t);
void guard_block(u32 lane, bool on);
u64 now_ns(void);
long sys_(long nr, ...);

/* call_*.c: return 0 or -errno */
s64 call_ioctl(struct run *x);
s64 call_mem(struct run *x);
s64 call_fd(struct run *x);
s64 call_proc(struct run *x);
void *place(struct run *x, enum place p, u64 own, const void *data, size_t size);
void fd_note(struct process_state *proc, int fd, enum kind kind, u64 cache);
void fd_keep(struct run *x, int fd, enum kind kind, u64 cache);
enum kind fd_kind(const struct process_state *proc, int fd);
u64 fd_cache(const struct process_state *proc, int fd);
const char *cache_name(u32 i, u32 *size);
void inbox_drain(u32 proc);
void children_end(struct process_state *proc, u32 lane);
void params_restore(void);
void params_save(void);
void params_give_back(void);

/* check.c */
bool may_fault(int (*touch)(void *), void *arg, int *result);
void check_setup(void);
void violation(const char *format, ...) __attribute__((format(printf, 1, 2)));
void check_grant(u64 cache, u64 ticket, u64 generation);
void check_end(u64 cache, u64 ticket);
bool map_writable(u64 off);
const struct map *map_find(const struct process_state *proc, u64 cache, u64 off);
int check_record(const char *arena, u64 arena_len, u64 offset, u64 generation, u32 kind);
int check_table(const struct map *table, const struct map *arena);
void check_polls(struct process_state *proc);
void check_idle(struct process_state *proc);
void check_errno(const struct run *x, s64 err);
u64 value_word(void);

#endif
