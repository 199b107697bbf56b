/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * A model of a cache that recycles, for random operations: a value may vanish at
 * any time, but does not come back, is not another's, and does not change while
 * it is pinned.
 */
#ifndef ALZ_TEST_CORE_MODEL_UTIL_H
#define ALZ_TEST_CORE_MODEL_UTIL_H

#include "core_recycle_util.h"

#define KEYS	48
#define WAITS	64
#define SIDES	8
#define OPENS	3
#define FILES	4096
#define ERROR	UINT64_MAX

/* What is written as a value: whose it is, when it was written, and how long. */
struct value {
	u32 key;
	u32 size;
	u64 serial;
};

/* A memfd: its count of who has it is what the core knows of it. */
struct file {
	int count;
	u32 key;
	u64 serial;
};

struct key {
	u64 current;		/* serial of its value; 0: none; ERROR */
	u64 pending;		/* that is being stored */
	u64 dead_until;
	u64 ticket;		/* as told to its owner, until it is ended */
	int owner;
	bool busy;		/* an operation on it is interrupted */
};

struct wait {
	bool used;
	int who;
	u32 key;
	u32 flags;
	u64 serial;		/* when it began */
	struct alz_waiter w;	/* of a side */
};

struct open {
	bool used;
	int who;
	u32 key;
	u64 dead_until;
	struct alz_reservation r;
};

struct model {
	struct bench *b;
	u64 serial;		/* values written so far */
	struct key keys[KEYS];
	struct wait waits[WAITS], sides[SIDES];
	struct open opens[OPENS];
	struct file files[FILES];
	struct asynclazy_event recent[CLIENTS][WAITS];	/* of the last read */
	u32 recents[CLIENTS];
	struct { u64 pin, generation; } seen[CLIENTS][PINS];
	bool taken[CLIENTS][PINS];
	bool reading[CLIENTS], clearing;
	unsigned int nr_files;
};

/* What happened so far, in all runs. */
struct model_counts {
	unsigned int vanished, hits, waits, refused, late, came_in, copied;
};

extern struct model m;
extern struct model_counts model_counts;

bool chance(unsigned int in);
/* good for as long as an operation may be interrupted */
const char *key_name(u32 key);
/* one that no operation is at; some more often than others */
u32 any_key(void);
u64 any_ttl(void);
u64 until(u64 ttl);

void value_write(void *p, const struct value *v);
/* the serial of what a claim or an event led to; 0: it is not a whole value */
u64 serial_of(u32 key, u64 offset, u64 generation);

/* what the core said: a key has no value, a ticket, a value */
void vanished(u32 key);
void told_ticket(u32 key, int who, u64 ticket);
void told_value(u32 key, u64 offset, u64 generation);
/* a store of a key is about to be made; and how it ended */
void store_begins(u32 key, u64 s);
void store_ended(u32 key, int err, u64 dead_until);
/* @err is an error, one that there may be: others hold what there is, or memory runs out */
bool refused(int err, bool fits);

/* a pin of which the client's other threads know that it is taken; or 0 */
u32 pin_take(int who);
void pin_done(int who, u32 pin, bool pinned);
/* a reader, as the library does it: a pin, and another look */
void do_read(int who, u32 key);
void do_unpin(int who);
/* what is pinned, and what the last read told of, is as it was */
void check_pinned(void);

/* so many random operations on a new cache, unless random_ended comes true */
void model_run(unsigned long steps);

#endif /* ALZ_TEST_CORE_MODEL_UTIL_H */
