/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The core: table, arena, flights and waits of one cache, with no kernel or
 * libc call but those of os.h. Both the module and the library's in-process
 * backend embed it.
 *
 * Locking: one lock a cache. Every field below is protected by it unless its
 * comment says otherwise. The functions declared here take it themselves and
 * must be called without it; they may sleep before they take it, never under
 * it, and call nothing of user code. Slots are written under the lock by one
 * store-release and read by readers in other address spaces without it: the
 * partner of the store is the reader's address dependency from the slot's word
 * to the record.
 *
 * Publish order: the record is complete, the slot is stored, and under the same
 * hold of the lock the ticket goes and the waiters are told. Where they are
 * many, the rest of them are told after the lock was let go in between.
 */
#ifndef ALZ_CORE_H
#define ALZ_CORE_H

#include "os.h"
#include "list.h"
#include "slot.h"

#define ALZ_WAIT_FLAGS \
	(ASYNCLAZY_CLAIM_BLOCK | ASYNCLAZY_CLAIM_EVENT | ASYNCLAZY_CLAIM_FD)
#define ALZ_BATCH			64	/* steps before the lock is let go */
#define ALZ_NSEC_PER_SEC		1000000000ULL
#define ALZ_DEFAULT_NEGATIVE_TTL	(5 * ALZ_NSEC_PER_SEC)
#define ALZ_SEGMENT_SHIFT_MIN		16
#define ALZ_SEGMENT_SHIFT_MAX		26
#define ALZ_SEGMENT_SHIFT_DEFAULT	20

/* What CREATE asks for. */
struct alz_geometry {
	u64 max_keys;
	u64 arena_size;
	u64 segment_size;	/* 0 means the default */
	u64 hash_seed;
	u64 secret;		/* random, never shown to users */
	u64 cache_id;
	u32 flags;		/* ASYNCLAZY_CREATE_STABLE */
};

struct alz_arena {
	void **segments;	/* set once, read without the lock */
	u32 nr_segments;
	u32 segment_shift;
	u64 head;		/* first byte never given out */
	u64 allocated;		/* bytes of segments that have memory */
	void *os;		/* for alz_os_segment_alloc() */
};

struct alz_counters {
	u64 claims, hits, tickets, waits, publishes, fails, abandons, deaths;
	u64 handovers, stale, cancels, sets, invalidates, nospace;
	u64 clients, tickets_now, waits_now;
};

struct alz_cache {
	alz_os_lock_t lock;
	struct asynclazy_header *header;	/* TABLE, never moves */
	u64 *slots;
	u64 bucket_mask;			/* constant */
	u64 table_size;				/* constant, bytes */
	u64 value_max;				/* constant, bytes */
	u64 max_keys;				/* constant */
	u64 secret;				/* constant: see alz_mix() */
	struct alz_arena arena;
	u64 generation;				/* the last one drawn */
	u64 clearing;				/* records up to here are being cleared */
	u64 cleared;				/* by being in the way of a move */
	struct alz_list *by_key;		/* running flights, by hash */
	struct alz_list *by_ticket;		/* the same, by ticket */
	u32 flight_mask;			/* constant */
	struct alz_list clients;
	struct alz_counters count;
};

/* One process's attachment. Embedded in the side's own object. */
struct alz_client {
	struct alz_cache *cache;	/* constant */
	struct alz_list link;		/* in cache->clients */
	struct alz_list ready;		/* EVENT waiters that have ended */
	struct alz_list tickets;	/* flights that it owns */
	struct alz_list fd_waits;	/* FD waiters */
	struct alz_waiter *waits;	/* EVENT waiters, by cookie: see wait.c */
	u64 nr_waits;
	u64 nr_tickets;
	u64 max_waits;			/* set by the side, any time */
	u64 max_tickets;
	bool dead;
	void *os;			/* the side's */
};

enum alz_waiter_kind { ALZ_WAIT_EVENT, ALZ_WAIT_BLOCK, ALZ_WAIT_FD };

enum alz_waiter_state {
	ALZ_WAITING,	/* on its flight's list */
	ALZ_ENDED,	/* outcome in its flight */
	ALZ_OFFERED,	/* has the ticket in ->ticket */
	ALZ_DETAIL,	/* EVENT read, text not fetched yet */
	ALZ_ORPHAN,	/* FD: its client is dead */
};

/* An entry on a flight. At most 128 bytes: invariant I12. */
struct alz_waiter {
	struct alz_list link;		/* flight->able, ->waiters, or client->ready */
	union {
		struct alz_waiter *child[2];	/* EVENT: client->waits */
		struct alz_list fd_link;	/* FD: client->fd_waits */
	};
	struct alz_flight *flight;	/* counted */
	struct alz_client *client;
	u64 cookie;
	u64 ticket;
	u64 generation;			/* that @ticket was granted for */
	u32 attempt;
	u8 kind;
	u8 state;			/* read by sleepers without the lock */
	bool can_init;
	bool follow;			/* EVENT: stays on after an offer */
	bool reported;			/* copied out, not yet taken */
	void *os;			/* the side's: who to wake */
};

/*
 * A running initialisation. Once ended it is off the tables, and lives until
 * the last waiter has taken its outcome from it.
 */
struct alz_flight {
	struct alz_list key_link;
	struct alz_list ticket_link;
	struct alz_list owner_link;
	struct alz_list able;		/* waiters with can_init, oldest first */
	struct alz_list waiters;	/* the others */
	struct alz_client *owner;	/* NULL once ended */
	u64 ticket;
	u64 generation;
	u64 hash;
	u32 refs;
	u32 attempt;
	bool ended;
	/* the outcome */
	u32 result;			/* ASYNCLAZY_RESULT_HIT or FAILED */
	s32 error;			/* positive errno */
	u32 detail_size;
	u64 offset;			/* of the record, or NO_RECORD */
	u64 record_generation;
	void *detail;			/* text of an error that is not kept */
	u32 key_size;
	void *key;			/* NULL once ended */
};

/* What a claim or a wait brought. */
struct alz_answer {
	u32 result;			/* ASYNCLAZY_RESULT_* */
	s32 error;
	u64 ticket;
	u64 generation;
	u64 offset;
	u32 attempt;
	u32 detail_size;
	u8 detail[ASYNCLAZY_DETAIL_MAX];
};

struct alz_claim {
	const void *key;
	u32 key_size;
	u32 flags;			/* ASYNCLAZY_CLAIM_* */
	u64 hash;
	u64 cookie;
	struct alz_waiter *waiter;	/* BLOCK, FD: the caller's, zeroed, ->os set */
};

/* Room for a record that is being written; not visible to anybody yet. */
struct alz_reservation {
	struct alz_cache *cache;
	struct asynclazy_record *record;
	u64 offset;
	u64 size;
	void *value;			/* where value_size bytes go */
	u64 value_size;
	u64 ticket;			/* 0: a set */
};

/* cache.c */
int alz_cache_init(struct alz_cache *cache, const struct alz_geometry *geometry,
		   void *arena_os);
void alz_cache_fini(struct alz_cache *cache);
int alz_geometry_check(const struct alz_geometry *geometry);
u64 alz_geometry_bytes(const struct alz_geometry *geometry);
void alz_cache_stats(struct alz_cache *cache, struct asynclazy_stats *stats);

/* client.c */
void alz_client_attach(struct alz_client *client, struct alz_cache *cache);
void alz_client_die(struct alz_client *client);
void alz_client_detach(struct alz_client *client);

/* claim.c */
int alz_claim(struct alz_client *client, const struct alz_claim *claim,
	      struct alz_answer *answer);

/* event.c */
int alz_wait_finish(struct alz_client *client, struct alz_waiter *w, int reason,
		    struct alz_answer *answer);
void alz_wait_fd_answer(struct alz_cache *cache, struct alz_waiter *w, bool report,
			struct alz_answer *answer);
void alz_wait_fd_close(struct alz_cache *cache, struct alz_waiter *w);
int alz_cancel(struct alz_client *client, u64 cookie);
int alz_fetch(struct alz_client *client, u64 cookie, void *detail, u32 size,
	      u32 *out_size, bool take);
u32 alz_events_copy(struct alz_client *client, struct asynclazy_event *events, u32 max);
void alz_events_done(struct alz_client *client, bool taken);

/* publish.c */
int alz_publish_begin(struct alz_client *client, u64 ticket, u64 value_size,
		      u64 ttl, struct alz_reservation *r);
int alz_set_begin(struct alz_client *client, const void *key, u32 key_size,
		  u64 hash, u64 value_size, u64 ttl, struct alz_reservation *r);
int alz_publish_commit(struct alz_client *client, struct alz_reservation *r);
void alz_publish_abort(struct alz_reservation *r);
int alz_fail(struct alz_client *client, u64 ticket, s32 error, u32 error_class,
	     u64 ttl, const void *detail, u32 detail_size, bool *kept);
int alz_abandon(struct alz_client *client, u64 ticket);

/* invalidate.c */
int alz_invalidate(struct alz_client *client, const void *key, u32 key_size,
		   u64 hash, u32 *count);
int alz_clear(struct alz_client *client, u64 *count);

/*
 * Between the core's own files; under the lock.
 */

/*
 * Scatter what a client chooses (hashes, cookies), so that it cannot make long
 * chains or deep trees: the finaliser of splitmix64, keyed twice.
 */
static inline u64 alz_mix(const struct alz_cache *cache, u64 x)
{
	x ^= cache->secret;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27) ^ cache->secret) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/* table.c */
u64 *alz_table_find(struct alz_cache *cache, const void *key, u32 key_size, u64 hash);
u64 *alz_table_find_initializing(struct alz_cache *cache, u64 hash);
u64 *alz_table_room(struct alz_cache *cache, u64 hash);
void alz_table_store(struct alz_cache *cache, u64 *slot, u64 word);
bool alz_slot_cleared(struct alz_cache *cache, u64 word);

/* arena.c */
int alz_arena_init(struct alz_arena *arena, u64 size, u32 segment_shift, void *os);
void alz_arena_fini(struct alz_arena *arena);
int alz_arena_reserve(struct alz_cache *cache, u64 size, u64 *offset);
void alz_arena_give_back(struct alz_cache *cache, u64 offset, u64 size);
struct asynclazy_record *alz_arena_record(struct alz_arena *arena, u64 offset);
bool alz_record_dead(const struct asynclazy_record *record, u64 now);

/* flight.c */
struct alz_flight *alz_flight_new(const void *key, u32 key_size, u64 hash);
void alz_flight_put(struct alz_flight *flight);
struct alz_flight *alz_flight_find(struct alz_cache *cache, const void *key,
				   u32 key_size, u64 hash);
int alz_flight_owned(struct alz_client *client, u64 ticket,
		     struct alz_flight **flight);
void alz_flight_start(struct alz_cache *cache, struct alz_flight *flight,
		      struct alz_client *owner);
void alz_flight_hand_over(struct alz_cache *cache, struct alz_flight *flight,
			  int error);
void alz_flight_end(struct alz_cache *cache, struct alz_flight *flight,
		    u32 result, s32 error, u64 offset, u64 generation);
void alz_flight_invalidate(struct alz_cache *cache, struct alz_flight *flight);
u64 alz_generation_next(struct alz_cache *cache);

/* wait.c */
void alz_wait_enqueue(struct alz_client *client, struct alz_waiter *w,
		      struct alz_flight *flight);
struct alz_waiter *alz_waits_find(struct alz_client *client, u64 cookie);
bool alz_waits_add(struct alz_client *client, struct alz_waiter *w);
void alz_waits_del(struct alz_client *client, struct alz_waiter *w);
void alz_wait_deliver(struct alz_waiter *w, u8 state);
void alz_wait_answer(const struct alz_waiter *w, struct alz_answer *answer);
void alz_wait_drop(struct alz_cache *cache, struct alz_waiter *w);

#endif
