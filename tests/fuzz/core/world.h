/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What is fuzzed: one or two caches of the core, their clients, each beside its
 * model. An input is a head of 8 bytes and then calls of 8 bytes each.
 */
#ifndef FUZZ_WORLD_H
#define FUZZ_WORLD_H

#include "core.h"
#include "fuzz_os.h"
#include "model.h"
#include "reader.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define INPUT_MAX	4096
#define KEYS		256
#define SIDES		96
#define HELDS		4

/* One call of the input. */
struct op {
	u8 code;	/* which: see ops.c */
	u8 who;		/* bits 0-2 client, 3-5 how the hash lies, 6 cache */
	u8 key;
	u8 a, b, c, d;	/* the call's own */
	u8 fault;	/* bits 0-3: this request for memory fails; 4-5: others come in */
};

struct world_cache {
	struct alz_cache core;
	struct fuzz_arena arena;
	struct alz_view view;
	struct model model;
	unsigned long checked;		/* fuzz_os.stores when the table was compared */
	struct run *clear;		/* a CLEAR that is interrupted */
};

struct world_client {
	struct alz_client *core;	/* NULL: not attached */
	int cache;
	bool readable;
	bool dying;			/* its death is interrupted */
	bool reading;			/* between copying events and taking them */
	int busy;			/* calls of it that are interrupted */
};

/* A BLOCK or FD waiter: the caller's own. */
struct side {
	struct alz_waiter w;
	int cache;			/* -1: it is being closed */
};

/* A reservation that is open. */
struct held {
	enum { HELD_FREE, HELD_BUSY, HELD_OPEN } state;
	bool is_set;
	int client;
	struct alz_reservation r;
	struct m_reservation m;
};

/*
 * A call that runs. ->apply() makes the model do the same: at the latest when
 * the core has returned; earlier if others come in while the core tells its
 * waiters, after everything was decided.
 */
struct run {
	struct run *outer;
	const struct op *op;
	struct world_cache *c;
	int client;
	int key;
	u64 hash;
	u64 ticket;
	u64 cookie;
	void (*apply)(struct run *r, bool last);
	void (*came_in)(struct run *r);	/* others were in, at a request for memory */
	bool applied;
	bool nested;			/* others came in */
	int nests;			/* how many may */
	int err;			/* the core's answer */
	int expect;			/* the model's */
	int owned;			/* m_owned() before */
	bool no_room;
	/* what a stored slot may link to, beside what the model knows */
	const struct m_reservation *linking;
	struct held *held;
	int error;
	u32 class;
	struct side *side;
	u64 count, mark;
	u64 unsure;			/* may be in the core's count, or not */
	int *order;			/* CLEAR: flights in the core's order */
	int orders;
	struct m_reservation made;
	bool kept;
	struct m_answer answer;
	unsigned int fail_at, requests, failed;	/* the outer call's */
};

struct world {
	struct world_cache cache[2];
	int caches;
	u64 hash_seed;
	struct world_client client[M_CLIENTS];
	struct held held[HELDS];
	struct side *side[SIDES];
	const u8 *input;
	size_t size, at;
	u8 key_mask;
	u8 quota;
	struct run *run;
	int depth;
	bool trace;
	char name[256];			/* of the input */
};

extern struct world world;

/* world.c */
void world_run(const u8 *input, size_t size);
bool world_full(void);
void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
struct world_cache *cache_of(int client);
int client_for(const struct op *op);
void run_begin(struct run *r, const struct op *op, int client);
void run_end(struct run *r);
void run_tell(struct world_cache *c, bool all);
bool next_op(struct op *op);
void client_free(int client);

/* input.c: what the bytes stand for */
const void *key_bytes(int key, u32 *size);
u64 key_hash(struct world_cache *c, int key, int lie);
const u8 *value_bytes(u64 serial);
u64 op_ttl(const struct world_cache *c, u8 x);
u64 op_value_size(const struct world_cache *c, u32 key_size, u8 x, u8 y, u64 ttl);
void op_cache_geometry(u8 keys, u8 arena, struct alz_geometry *g);
void op_odd_geometry(const struct op *op, struct alz_geometry *g);
u64 op_ticket(const struct op *op, struct world_cache *c, int *client);
void op_random(struct op *op, u64 (*random)(void));
void head_random(u8 head[8], u64 (*random)(void));

/* ops.c */
void op_do(const struct op *op);
const char *result_name(u32 result);
void expect_answer(const char *call, int err, const struct alz_answer *a,
		   const struct m_answer *m);

/* ops_claim.c, ops_store.c, ops_wait.c, ops_cache.c */
void op_claim(const struct op *op);
void op_claim_many(const struct op *op);
void op_claim_keys(const struct op *op);
void op_publish(const struct op *op);
void op_set(const struct op *op);
void op_set_many(const struct op *op);
void op_begin(const struct op *op);
void op_commit(const struct op *op);
void op_fail(const struct op *op);
void op_abandon(const struct op *op);
void held_abort(int client);
void op_cancel(const struct op *op);
void op_events(const struct op *op);
void op_fetch(const struct op *op);
void op_finish(const struct op *op);
void op_fd_answer(const struct op *op);
void op_fd_close(const struct op *op);
void side_end(struct side *s);
void op_invalidate(const struct op *op);
void op_clear(const struct op *op);
void op_die(const struct op *op);
void op_time(const struct op *op);
void op_geometry(const struct op *op);
void op_read(const struct op *op);
void client_die(int client);

/* check.c */
void check_record(struct world_cache *c, u64 offset, const struct m_entry *e, bool whole);
void check_given_back(struct world_cache *c, const struct m_reservation *r);
void check_table(struct world_cache *c);
void check_key(struct world_cache *c, int key, u64 hash);
void check_no_room(struct world_cache *c, u64 hash);
void check_stats(struct world_cache *c);
void check_header(const struct asynclazy_header *h, const struct alz_geometry *g);
bool in_table(struct world_cache *c, const struct m_entry *e);
void absorb_vanished(struct world_cache *c, int key, u64 hash);

#endif
