/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * The local backend: the core in this process. A local core is one cache,
 * shared by those who open its name; each alazy_cache_open() is one client.
 */
#ifndef ALZ_LOCAL_H
#define ALZ_LOCAL_H

#include <core.h>
#include "lib.h"

struct alz_local_core {
	struct alz_cache core;
	struct alz_list link;		/* registry lock */
	char *name;			/* registry lock; NULL: anonymous or unlinked */
	u32 refs;			/* registry lock: clients, and its name */
	unsigned int epoch;		/* registry lock: of its clients */
	char *arena;			/* constant: address space for all segments */
	bool mourning;			/* core.lock, or nobody else is there */
	/* written under core.lock, read without it: see alz_local_sweep() */
	u32 lost;			/* FD waits whose descriptor was closed */
	u32 offers;			/* FD waits with a ticket that is not read */
	u64 deadline;			/* when alz_deadlines_run() is due, or 0 */
};

struct alz_local_wait;

struct alz_local_client {
	struct alz_client core;
	struct alz_local_core *shared;
	pthread_mutex_t read_lock;	/* one reads events; before core.lock */
	int fd;				/* eventfd, -1: nobody asked; core.lock */
	int timer;			/* timerfd, -1: the cache has no leases; core.lock */
	int both;			/* epoll fd of the two, or -1; core.lock */
	bool signalled;			/* it is readable; core.lock */
	struct alz_local_wait **waits;	/* FD waits by descriptor; core.lock */
	int nr_waits;			/* size of the array; core.lock */
	int collected;			/* index in it: see alz_local_waits_collect() */
	u64 *pins;			/* constant; NULL: STABLE */
	u32 *held;			/* constant; NULL: no words */
	bool readonly;
};

/* A blocked call. On the heap: in a forked child its thread's stack is gone. */
struct alz_local_sleeper {
	struct alz_waiter waiter;
	pthread_cond_t cond;
};

/* local_registry.c */
int alz_local_open(struct alz_local_core **shared, const char *name,
		   const struct alazy_cache_opts *opts);
void alz_local_close(struct alz_local_core *shared);
int alz_local_unlink(const char *name);
int alz_local_reattach(struct alz_local_core *shared);
void alz_local_attach(struct alz_local_client *client);
void alz_local_detach(struct alz_local_client *client);

/* os_local.c */
void *alz_local_arena_new(u64 size);
int alz_local_barrier_init(void);

/* local_wait.c */
struct alz_local_sleeper *alz_local_sleeper_new(void);
void alz_local_sleeper_free(struct alz_local_sleeper *s);
int alz_local_sleep(struct alz_local_client *client, struct alz_local_sleeper *s,
		    u64 deadline, u32 pin, struct alz_answer *answer);

/* local_words.c */
int alz_local_word_wait(struct alz_local_client *client, struct asynclazy_wait *w);
int alz_local_word_wake(struct alz_local_client *client, struct asynclazy_wake *w);

/* local_waitfd.c */
struct alz_local_wait *alz_local_wait_new(struct alz_waiter **waiter);
void alz_local_wait_discard(struct alz_local_client *client, struct alz_local_wait *w);
int alz_local_wait_fd(const struct alz_local_wait *w);
int alz_local_wait_add(struct alz_local_client *client, struct alz_local_wait *w);
void alz_local_wait_wake(struct alz_local_wait *w);
int alz_local_wait_read(struct alz_local_client *client, int fd, struct alz_answer *answer);
void alz_local_wait_close(struct alz_local_client *client, int fd);
void alz_local_waits_sweep(struct alz_local_core *shared);
void alz_local_waits_collect(struct alz_local_client *client);
void alz_local_waits_free(struct alz_local_client *client);

static inline bool alz_local_sweep_due(const struct alz_local_core *shared)
{
	return __atomic_load_n(&shared->lost, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&shared->offers, __ATOMIC_RELAXED);
}

/*
 * What nobody else does: hand on what was offered to descriptors that have been
 * closed since, and what has become due.
 */
static inline void alz_local_sweep(struct alz_local_core *shared)
{
	u64 deadline = __atomic_load_n(&shared->deadline, __ATOMIC_RELAXED);

	if (deadline && deadline <= alz_os_now())
		alz_deadlines_run(&shared->core);
	if (alz_local_sweep_due(shared))
		alz_local_waits_sweep(shared);
}

#endif
