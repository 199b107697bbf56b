/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of the module share: each call as a function that poisons
 * every out_* field first and returns 0 or -errno, a reader of the mapped
 * table by the layout in the uAPI header, and clients in other processes.
 */
#ifndef KSELFTEST_ALZ_H
#define KSELFTEST_ALZ_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/types.h>

#include <linux/asynclazy.h>

/*
 * The harness gives a test 30 s. An emulated debug kernel may need more, and
 * a test that hangs is found out all the same.
 */
#ifdef TEST_TIMEOUT_DEFAULT
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 300
#endif

#define ALZ_DEVICE	"/dev/asynclazy"
#define ALZ_PARAMETERS	"/sys/module/asynclazy/parameters/"
#define ALZ_POISON	0xa5
#define ALZ_POISON64	0xa5a5a5a5a5a5a5a5ULL
#define ALZ_SOON_MS	20000	/* it must happen: a bound for what hangs */
#define ALZ_QUIET_MS	60	/* it must not happen */
#define ALZ_MSEC	1000000ULL
#define ALZ_SEC		1000000000ULL

#define INIT		ASYNCLAZY_CLAIM_INIT
#define BLOCK		ASYNCLAZY_CLAIM_BLOCK
#define EVENT		ASYNCLAZY_CLAIM_EVENT
#define WAITFD		ASYNCLAZY_CLAIM_FD
#define FOLLOW		ASYNCLAZY_CLAIM_FOLLOW

#define ALZ_SEALS	(F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK)

#define TRANSIENT	ASYNCLAZY_FAIL_TRANSIENT
#define NEGATIVE	ASYNCLAZY_FAIL_NEGATIVE
#define PERMANENT	ASYNCLAZY_FAIL_PERMANENT

/* Poison the members of *p from the first to the last one named. */
#define ALZ_POISON_RANGE(p, first, last)				\
	memset((char *)(p) + offsetof(__typeof__(*(p)), first), ALZ_POISON,	\
	       offsetof(__typeof__(*(p)), last) + sizeof((p)->last) -	\
	       offsetof(__typeof__(*(p)), first))

/* A client of this process, and what it sees. */
struct alz {
	int cache;
	int client;
	const struct asynclazy_header *header;
	const char *arena;
	unsigned char *visited;	/* NULL in a STABLE cache */
	volatile __u64 *pins;	/* ours: ASYNCLAZY_PINS_SIZE bytes; NULL as well */
	size_t table_size;
	size_t arena_size;
	size_t visited_size;
};

/* What a reader of the table finds. */
struct alz_found {
	__u64 state;		/* ASYNCLAZY_SLOT_* */
	__u64 word;
	__u64 offset;
	const struct asynclazy_record *record;
	const char *value;
	__u64 value_size;
};

/* All that a refused call must leave as it is. */
struct alz_state {
	__u64 keys, errors, initializing, arena_used;
	__u64 tickets_now, waits_now, clients;
	__u64 publishes, fails, abandons, deaths, handovers, sets, invalidates;
	__u64 table;		/* hash over all slots */
};

/* A CLAIM with BLOCK in a thread of its own. */
struct alz_blocker {
	const struct alz *a;
	const char *key;
	__u32 flags;
	__u64 deadline;
	pthread_t thread;
	int err;
	struct asynclazy_claim claim;
	char detail[ASYNCLAZY_DETAIL_MAX];
};

__u64 alz_now(void);
bool alz_full(void);
bool alz_debug_kernel(void);
long alz_rounds(long slice, long debug, long full);
__u64 alz_rand(__u64 *state);
int alz_device(int flags);
int alz_call(int fd, unsigned long nr, void *arg);
int alz_open_fds(void);

int alz_create(int device, struct asynclazy_create *c, const char *name,
	       __u32 flags, __u64 max_keys, __u64 arena_size);
int alz_open(int device, const char *name, __u32 flags);
int alz_unlink(int device, const char *name);
int alz_info(struct asynclazy_info *i);
int alz_attach(int cache);
int alz_geometry(int fd, struct asynclazy_geometry *g);
int alz_stats(int fd, struct asynclazy_stats *s);

int alz_setup_as(struct alz *a, struct asynclazy_create *c);
int alz_setup(struct alz *a, __u64 max_keys, __u64 arena_size);
int alz_setup_evicting(struct alz *a, __u64 max_keys, __u64 arena_size);
int alz_map_all(struct alz *a);
int alz_join(struct alz *a, int cache);
void alz_unmap(struct alz *a);
void alz_leave(struct alz *a);

__u64 alz_hash(const struct alz *a, const void *key, size_t size);
int alz_claim_raw(const struct alz *a, struct asynclazy_claim *c);
void alz_claim_fill(const struct alz *a, struct asynclazy_claim *c,
		    const void *key, __u32 key_size, __u32 flags);
int alz_claim(const struct alz *a, const char *key, __u32 flags,
	      struct asynclazy_claim *c);
int alz_claim_event(const struct alz *a, const char *key, __u32 flags,
		    __u64 cookie, struct asynclazy_claim *c);
__u64 alz_ticket(const struct alz *a, const char *key);
int alz_waitfd(const struct alz *a, const char *key, __u32 flags, __u64 cookie);
const char *alz_claim_detail(void);

int alz_publish(const struct alz *a, __u64 ticket, const char *value);
int alz_publish_bytes(const struct alz *a, __u64 ticket, const void *value,
		      __u64 size, __u64 ttl, struct asynclazy_publish *p);
int alz_fail(const struct alz *a, __u64 ticket, int error, __u32 error_class,
	     __u64 ttl, const char *detail);
int alz_fail_raw(const struct alz *a, struct asynclazy_fail *f);
int alz_abandon(const struct alz *a, __u64 ticket);
int alz_cancel(const struct alz *a, __u64 cookie);
int alz_fetch(const struct alz *a, __u64 cookie, char *detail, __u32 size,
	      __u32 *out_size);
int alz_set(const struct alz *a, const char *key, const char *value);
int alz_set_bytes(const struct alz *a, const char *key, const void *value,
		  __u64 size, __u64 ttl, struct asynclazy_set *s);
int alz_invalidate(const struct alz *a, const char *key, __u32 *count);
int alz_clear(const struct alz *a, __u64 *count);
int alz_flight(const struct alz *a, const char *key, struct asynclazy_flight *f);
int alz_memfd(const void *value, __u64 size, int seals);
int alz_publish_memfd(const struct alz *a, __u64 ticket, int fd, __u64 size,
		      __u32 flags, struct asynclazy_publish *p);
int alz_set_memfd(const struct alz *a, const char *key, int fd, __u64 size,
		  struct asynclazy_set *s);
int alz_memfd_of(const struct alz *a, __u64 generation, __u64 *size);

void alz_find(const struct alz *a, const void *key, size_t size,
	      struct alz_found *found);
bool alz_read(const struct alz *a, __u32 pin, const void *key, size_t size,
	      struct alz_found *found);
void alz_unpin(const struct alz *a, __u32 pin);
void alz_stamp(void *value, size_t size, __u64 key, __u64 number);
bool alz_stamped(const void *value, size_t size, __u64 key, __u64 *number);
__u64 alz_state_of(const struct alz *a, const char *key);
bool alz_has(const struct alz *a, const char *key, const char *value);
const struct asynclazy_record *alz_record(const struct alz *a, __u64 offset);
const char *alz_record_value(const struct asynclazy_record *r);
const struct asynclazy_times *alz_record_times(const struct asynclazy_record *r);
bool alz_value_at(const struct alz *a, __u64 offset, const char *value);

void alz_snapshot(const struct alz *a, struct alz_state *s);
bool alz_unchanged(const struct alz *a, const struct alz_state *before);
bool alz_await_waits(const struct alz *a, __u64 n);
bool alz_await_clients(const struct alz *a, __u64 n);
bool alz_await_held(const struct alz *a, __u64 n);
bool alz_await_late(const struct alz *a, __u64 n);
bool alz_await_tickets(const struct alz *a, __u64 n);

int alz_poll(int fd, int timeout_ms);
int alz_events(const struct alz *a, struct asynclazy_event *e, int max,
	       int timeout_ms);
int alz_event(const struct alz *a, struct asynclazy_event *e);
int alz_read_waitfd(int fd, struct asynclazy_event *e, int timeout_ms);

void alz_block(struct alz_blocker *b, const struct alz *a, const char *key,
	       __u32 flags, __u64 deadline);
bool alz_block_ended(struct alz_blocker *b, int timeout_ms);

long alz_parameter_get(const char *name);
int alz_parameter_set(const char *name, long value);

#endif
