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
 * room_lock of the arena is taken before it: by who makes room in the arena,
 * which takes memory, evicts, or waits for readers.
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
#define ALZ_SEGMENT_SHIFT_HUGE		21	/* such that they are huge pages */
#define ALZ_ARENA_HUGE			(256ULL << 20)	/* from here on by default */
#define ALZ_SEGMENTS_MIN		8	/* of a cache that is not STABLE */
#define ALZ_NO_SEGMENT			(~0U)
#define ALZ_COUNT_MAX			1000	/* waiters that are counted one by one */
#define ALZ_ACCEPT_DEFAULT		(2 * ALZ_NSEC_PER_SEC)
#define ALZ_BACKOFF_DEFAULT		(ALZ_NSEC_PER_SEC / 20)
#define ALZ_BACKOFF_MAX_DEFAULT		(5 * ALZ_NSEC_PER_SEC)
#define ALZ_BREAKER_DEFAULT		(5 * ALZ_NSEC_PER_SEC)
#define ALZ_DEATHS_DEFAULT		3

/* In a tree by a number that is unique there: see tree.c. */
struct alz_node {
	struct alz_node *child[2];
	u64 key;
};

/* What CREATE asks for. */
struct alz_geometry {
	u64 max_keys;
	u64 arena_size;
	u64 segment_size;	/* 0 means the default */
	u64 words;		/* how many; 0: none */
	u64 hash_seed;
	u64 secret;		/* random, never shown to users */
	u64 cache_id;
	u64 ttl, stale_ttl, dead_ttl;	/* for publishes that say 0 */
	u64 accept, soft_lease, hard_lease;	/* ns, 0: for ever; see lease.c */
	u64 backoff, backoff_max, breaker;	/* ns, 0: none; see trouble.c */
	u32 max_deaths;		/* until the breaker opens; 0: never */
	u32 max_inits;		/* that run at a time; 0: any number */
	u32 flags;		/* ASYNCLAZY_CREATE_STABLE */
};

enum alz_segment_state {
	ALZ_SEGMENT_EMPTY,	/* no memory */
	ALZ_SEGMENT_FREE,	/* memory, and nothing in it */
	ALZ_SEGMENT_OPEN,	/* records go here */
	ALZ_SEGMENT_FULL,	/* in the log */
	ALZ_SEGMENT_RETIRED,	/* no slot links here; somebody may still read */
};

struct alz_segment {
	struct alz_list link;
	u64 head;		/* bytes given out */
	u64 dead_until;		/* when the last of its records is dead */
	u32 writers;		/* reservations that are open */
	u32 holds;		/* ended flights whose record a waiter has yet to take */
	u8 state;
	u8 fill;
	bool pinned;		/* RETIRED: when last looked at */
};

/* What a segment is filled with. */
enum { ALZ_FILL_NEW, ALZ_FILL_KEPT, ALZ_FILLS };

struct alz_arena {
	alz_os_mutex_t room_lock;	/* see the head of this file */
	void **memory;		/* of each segment, or NULL; read without the lock */
	struct alz_segment *segments;
	u32 nr_segments;	/* constant */
	u32 segment_shift;	/* constant */
	bool stable;		/* constant */
	u32 ahead;		/* constant: free segments that reclaim sees to */
	u32 spare;		/* constant: of these, for its own copies */
	u64 budget;		/* constant: bytes of memory */
	struct alz_list empty, free, retired;
	struct alz_list full;		/* the log, oldest first */
	struct alz_list *hand;		/* in the log: see policy.c */
	u32 open[ALZ_FILLS];		/* segments that are being filled, or NO_SEGMENT */
	u32 nr_full;
	u32 nr_free;
	u32 nr_held;		/* retired, and somebody reads there */
	u64 used;		/* bytes given out */
	u64 allocated;		/* bytes of segments that have memory */
	u64 credit;		/* bytes that reclaim may copy: see alz_record_evict() */
	u64 blob_bytes;		/* in memfds that are kept, or about to be */
	void *os;		/* for alz_os_segment_alloc() */
};

struct alz_counters {
	u64 claims, hits, tickets, waits, publishes, fails, abandons, deaths;
	u64 handovers, stale, cancels, sets, invalidates, nospace;
	u64 clients, tickets_now, waits_now;
	u64 evictions, reinsertions, expired, unkept, reclaims, waited;
	u64 late, revoked, unaccepted, extends;
	u64 refreshes, broken, wakes;
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
	u8 *visited;				/* a bit a slot, written by clients; or NULL */
	u64 visited_size;			/* constant, bytes */
	u64 ttl, stale_ttl, dead_ttl;		/* constant */
	u64 accept, soft_lease, hard_lease;	/* constant */
	struct alz_node *deadlines;		/* of flights: see lease.c */
	u64 backoff, backoff_max, breaker;	/* constant */
	u32 max_deaths;				/* constant */
	u32 trouble_mask;			/* constant: sets of ALZ_TROUBLE_WAYS */
	struct alz_trouble *troubles;		/* see trouble.c; NULL: neither is on */
	u64 nr_held;				/* flights that may not begin yet */
	u64 searches;				/* for cycles, so far */
	u32 max_inits;				/* constant: see admit.c */
	bool admitting;				/* alz_admit() is at work */
	struct alz_list queue;			/* flights that are not admitted yet */
	u64 nr_queued;
	u64 pin_epoch;				/* rounds of looking at pins */
	u64 pins_now;				/* that hold a segment, in the last one */
	struct alz_list blobs;			/* kept, oldest first */
	struct alz_list *blobs_by_generation;
	u64 nr_blobs;
	u64 generation;				/* the last one drawn */
	u64 clearing;				/* records up to here are being cleared */
	u64 cleared;				/* by being in the way of a move */
	struct alz_list *by_key;		/* running flights, by hash */
	struct alz_list *by_ticket;		/* the same, by ticket */
	u32 flight_mask;			/* constant: chains of each, and of blobs */
	u32 *words;				/* the clients' to write; or NULL */
	u32 *waiting;				/* how many wait for each of them */
	u64 nr_words;				/* constant */
	struct alz_list *words_by_place;	/* those that are waited for */
	u64 word_turn;				/* waits for words so far */
	struct alz_flight *woken;		/* what a wait for words comes to */
	u64 lock_ids;				/* given to clients so far */
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
	struct alz_node *waits;		/* EVENT waiters, by cookie */
	u64 nr_waits;
	u64 nr_tickets;
	u64 max_waits;			/* set by the side, any time */
	u64 max_tickets;
	u64 *pins;			/* constant; the client writes there what it likes */
	u32 nr_pins;			/* constant; 0: STABLE */
	u32 lock_id;			/* constant: what it writes to the locks that it has */
	u32 *held;			/* constant: as pins; which ones these are: lock.c */
	u32 nr_held;			/* constant; 0: the cache has no words */
	u64 pin_epoch;			/* see alz_pins_look() */
	struct alz_list recent;		/* EVENT waiters whose event the last read took */
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

/* A word that somebody waits for: see word.c. */
struct alz_word {
	struct alz_list chain;		/* cache->words_by_place */
	const void *object;		/* NULL: the cache's own words */
	u64 offset;			/* in it, bytes */
	void *file;			/* the side's: keeps @object; or NULL */
	struct alz_list waiters;	/* oldest first */
	u32 refs;			/* entries that lead here */
};

/* What a wait has on a word. */
struct alz_word_entry {
	struct alz_list link;		/* word->waiters */
	struct alz_waiter *waiter;
	struct alz_word *word;		/* counted, or NULL */
	u64 turn;			/* cache->word_turn when it came */
};

/* An entry on a flight, or on words. At most 128 bytes: invariant I12. */
struct alz_waiter {
	struct alz_list link;		/* flight->able, ->waiters, or client->ready */
	union {
		struct alz_node node;			/* EVENT: client->waits */
		struct {
			struct alz_list fd_link;	/* FD: client->fd_waits */
			u64 cookie;			/* the node's key, also of an FD */
		};
	};
	struct alz_flight *flight;	/* counted; of words: cache->woken */
	struct alz_client *client;
	union {
		struct {
			u64 ticket;
			u64 generation;			/* that @ticket was granted for */
			struct alz_list need_link;	/* in parent->need_waits */
			struct alz_flight *parent;	/* it waits for its sake, or NULL */
		};
		struct alz_word_entry one;		/* of one word */
		struct alz_word_entry *many;		/* of more: ->words of them */
	};
	u32 attempt;			/* of words: which one it was */
	u8 words;			/* 0: it is on a flight */
	bool woken;			/* of words: by a wake that is to go on if it goes */
	u8 kind;
	u8 state;			/* read by sleepers without the lock */
	bool can_init;
	bool follow;			/* EVENT: stays on after an offer */
	bool reported;			/* copied out, not yet taken */
	void *os;			/* the side's: who to wake */
};

/* A value in a memfd: see blob.c. */
struct alz_blob {
	struct alz_list link;		/* cache->blobs, while kept */
	struct alz_list chain;		/* cache->blobs_by_generation */
	u64 generation;			/* 0: not published yet */
	u64 size;			/* constant, bytes */
	u64 page_size;			/* constant */
	u64 hash;			/* of its record */
	u64 offset;			/* of its record */
	u32 refs;
	bool kept;			/* a slot links to its record */
	void *file;			/* constant; the side's */
};

/*
 * What went wrong with a key lately: see trouble.c. By hash, as one that another
 * shares is a matter of waiting a little longer.
 */
struct alz_trouble {
	u64 hash;
	u64 seen;		/* when it last was in trouble; 0: nobody is in here */
	u64 until;		/* nobody begins before */
	u64 since;		/* the first death that counts */
	s32 error;		/* positive errno of the last failure */
	u8 failures;		/* in a row */
	u8 deaths;
	u8 trips;		/* of the breaker, in a row */
	bool open;		/* until @until claims fail */
	u32 detail_size;
	void *detail;		/* text of the last failure, or NULL */
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
	struct alz_node deadline;	/* in cache->deadlines if ->key */
	struct alz_waiter *offered;	/* has the ticket, and was not told yet */
	bool untold;			/* and died before it was */
	u64 started;			/* absolute ns */
	u64 begun;			/* when this owner got the ticket */
	u64 granted;			/* when the ticket was, or was extended */
	u64 done, total;		/* what its owner said, in units of its own */
	struct alz_list need_waits;	/* waits for its sake: see cycle.c */
	struct alz_list need_flights;	/* that its owner makes for its sake */
	struct alz_list need_link;	/* in need_flights of another */
	u64 search;			/* cache->searches when it was last found */
	struct alz_list queue_link;	/* in cache->queue */
	bool queued;			/* nobody has its ticket yet: see admit.c */
	bool held;			/* nobody may have it yet: see trouble.c */
	bool child;			/* somebody waits for it for the sake of a ticket */
	bool late;			/* longer than the soft lease */
	bool ended;
	/* the outcome */
	u32 result;			/* ASYNCLAZY_RESULT_HIT or FAILED */
	s32 error;			/* positive errno */
	u32 detail_size;
	u64 offset;			/* of the record, or NO_RECORD */
	u64 record_generation;
	u32 *hold;			/* counts us: the holds of the record's segment */
	struct alz_blob *blob;		/* counted: the value, if it is a memfd */
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
	u64 offset;			/* TICKET: of what is stale, if anything is */
	struct alz_blob *blob;		/* BLOCK: a memfd that was waited for; counted */
	u32 attempt;
	u32 detail_size;
	u8 detail[ASYNCLAZY_DETAIL_MAX];
};

struct alz_claim {
	const void *key;
	u32 key_size;
	u32 flags;			/* ASYNCLAZY_CLAIM_* */
	u32 pin;			/* 0, or which one to set at a record */
	u64 hash;
	u64 cookie;
	u64 parent;			/* 0, or the ticket for whose sake it is */
	struct alz_waiter *waiter;	/* BLOCK, FD: the caller's, zeroed, ->os set */
};

/* A word that somebody waits for, or wakes. */
struct alz_word_at {
	const void *object;		/* NULL: the cache's own words */
	u64 offset;			/* bytes */
	void *file;			/* keeps @object, or NULL; the core may take it */
	const u32 *address;		/* of an object: where the caller has it */
	u32 expected;
};

struct alz_word_wait {
	struct alz_word_at *at;
	u32 count;			/* of them, 1 to ASYNCLAZY_WORDS_PER_WAIT */
	u8 kind;
	u64 cookie;
	struct alz_waiter *waiter;	/* BLOCK, FD: the caller's, zeroed, ->os set */
};

/* Relative nanoseconds, one after the other; all 0: the cache's own. */
struct alz_ttl {
	u64 ttl, stale_ttl, dead_ttl;
};

/* A later part without the first is nonsense. */
static inline bool alz_ttl_bad(const struct alz_ttl *t)
{
	return !t->ttl && (t->stale_ttl || t->dead_ttl);
}

/* Room for a record that is being written; not visible to anybody yet. */
struct alz_reservation {
	struct alz_cache *cache;
	struct asynclazy_record *record;
	u64 offset;
	u64 size;
	void *value;			/* where value_size bytes go */
	u64 value_size;
	u64 ticket;			/* 0: a set */
	u64 generation;			/* set by a commit */
	struct alz_blob *blob;		/* what @value stands for; its bytes are reserved */
	u32 pin;			/* 0, or which one a commit sets */
};

/* cache.c */
int alz_cache_init(struct alz_cache *cache, const struct alz_geometry *geometry,
		   void *arena_os);
void alz_cache_fini(struct alz_cache *cache);
void alz_geometry_troubles(struct alz_geometry *geometry, u64 backoff, u64 backoff_max,
			   u64 breaker, u32 max_deaths);
int alz_geometry_check(const struct alz_geometry *geometry);
u64 alz_geometry_bytes(const struct alz_geometry *geometry);
u64 alz_geometry_budget(const struct alz_geometry *geometry);
u64 alz_geometry_arena(const struct alz_geometry *geometry);
void alz_cache_stats(struct alz_cache *cache, struct asynclazy_stats *stats);

/* client.c */
void alz_client_attach(struct alz_client *client, struct alz_cache *cache);
void alz_client_die(struct alz_client *client);
void alz_client_detach(struct alz_client *client);
bool alz_pin_valid(const struct alz_client *client, u32 pin);

/* claim.c */
int alz_claim(struct alz_client *client, const struct alz_claim *claim,
	      struct alz_answer *answer);

/* event.c */
int alz_wait_finish(struct alz_client *client, struct alz_waiter *w, int reason,
		    u32 pin, struct alz_answer *answer);
bool alz_wait_fd_answer(struct alz_cache *cache, struct alz_waiter *w, bool report,
			struct alz_answer *answer);
void alz_wait_fd_untold(struct alz_cache *cache, struct alz_waiter *w);
void alz_wait_fd_close(struct alz_cache *cache, struct alz_waiter *w);
int alz_cancel(struct alz_client *client, u64 cookie);
int alz_fetch(struct alz_client *client, u64 cookie, void *detail, u32 size,
	      u32 *out_size, bool take);
u32 alz_events_copy(struct alz_client *client, struct asynclazy_event *events, u32 max);
void alz_events_done(struct alz_client *client, bool taken);
void alz_events_release(struct alz_client *client);

/* publish.c */
int alz_publish_begin(struct alz_client *client, u64 ticket, u64 value_size,
		      const struct alz_ttl *ttl, struct alz_reservation *r);
int alz_set_begin(struct alz_client *client, const void *key, u32 key_size,
		  u64 hash, u64 value_size, const struct alz_ttl *ttl,
		  struct alz_reservation *r);
int alz_publish_commit(struct alz_client *client, struct alz_reservation *r);
void alz_publish_abort(struct alz_reservation *r);
int alz_publish_blob(struct alz_client *client, u64 ticket, struct alz_blob *blob,
		     bool keep, const struct alz_ttl *ttl, struct alz_reservation *r);
int alz_set_blob(struct alz_client *client, const void *key, u32 key_size, u64 hash,
		 struct alz_blob *blob, const struct alz_ttl *ttl,
		 struct alz_reservation *r);
int alz_fail(struct alz_client *client, u64 ticket, s32 error, u32 error_class,
	     u64 ttl, const void *detail, u32 detail_size, bool *kept);
int alz_abandon(struct alz_client *client, u64 ticket);

/* lease.c */
void alz_deadlines_run(struct alz_cache *cache);
int alz_extend(struct alz_client *client, u64 ticket, u64 done, u64 total, u64 *until,
	       u32 *waiters);

/* look.c */
int alz_flight_look(struct alz_client *client, const void *key, u32 key_size, u64 hash,
		    struct asynclazy_flight *info, void *detail);

/* invalidate.c */
int alz_invalidate(struct alz_client *client, const void *key, u32 key_size,
		   u64 hash, u32 *count);
int alz_clear(struct alz_client *client, u64 *count);

/* expire.c */
int alz_expire(struct alz_client *client, const void *key, u32 key_size, u64 hash,
	       u32 *count);

/* word.c */
bool alz_word_valid(const struct alz_cache *cache, u64 index);
int alz_word_wait(struct alz_client *client, const struct alz_word_wait *q, u32 *changed);
u32 alz_word_wake(struct alz_client *client, const struct alz_word_at *at, u32 n);

/* reclaim.c */
void alz_reclaim(struct alz_cache *cache);

/* blob.c */
struct alz_blob *alz_blob_new(void *file, u64 size, u64 page_size);
struct alz_blob *alz_blob_get(struct alz_client *client, u64 generation);
void alz_blob_release(struct alz_cache *cache, struct alz_blob *blob);

/*
 * Between the core's own files; under the lock.
 */

/* Let others in now and then, also where a client made the work long. */
static inline void alz_breathe(struct alz_cache *cache, u32 *n)
{
	ALZ_MUST_HOLD(&cache->lock);
	if (++*n % ALZ_BATCH)
		return;
	alz_os_unlock(&cache->lock);
	alz_os_relax();
	alz_os_lock(&cache->lock);
}

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

/* The end of a time, which may be longer than time itself. */
static inline u64 alz_until(u64 from, u64 time)
{
	return time < ASYNCLAZY_NEVER - from ? from + time : ASYNCLAZY_NEVER;
}

/* table.c */
u64 *alz_table_find(struct alz_cache *cache, const void *key, u32 key_size, u64 hash);
u64 *alz_table_find_initializing(struct alz_cache *cache, u64 hash);
u64 *alz_table_room(struct alz_cache *cache, u64 hash);
u64 *alz_table_find_offset(struct alz_cache *cache, u64 hash, u64 offset);
void alz_table_store(struct alz_cache *cache, u64 *slot, u64 word);
void alz_table_relink(struct alz_cache *cache, u64 *slot, u64 offset);
void alz_table_mark(struct alz_cache *cache, u64 *slot, bool refreshing);
void alz_table_drop(struct alz_cache *cache, u64 *slot);
bool alz_slot_cleared(struct alz_cache *cache, u64 word);

/* arena.c */
int alz_arena_init(struct alz_arena *arena, const struct alz_geometry *geometry,
		   u32 segment_shift, void *os);
void alz_arena_fini(struct alz_arena *arena);
int alz_arena_reserve(struct alz_cache *cache, u64 size, u64 *offset);
int alz_arena_reserve_copy(struct alz_cache *cache, u64 size, u64 *offset);
void alz_arena_written(struct alz_cache *cache, u64 offset);
void alz_arena_give_back(struct alz_cache *cache, u64 offset, u64 size);
struct asynclazy_record *alz_arena_record(struct alz_arena *arena, u64 offset);
bool alz_record_dead(const struct asynclazy_record *record, u64 now);
bool alz_record_readable(const struct asynclazy_record *record, u64 now);
u64 alz_arena_limit(const struct alz_arena *arena);
u64 alz_arena_ready(const struct alz_arena *arena);
u32 alz_arena_low(const struct alz_arena *arena);
int alz_arena_grow(struct alz_cache *cache);
void alz_arena_trim(struct alz_cache *cache, u32 keep);
bool alz_arena_close(struct alz_arena *arena);
void alz_segment_retire(struct alz_cache *cache, struct alz_segment *segment);
void alz_segment_free(struct alz_cache *cache, struct alz_segment *segment);

static inline struct alz_segment *alz_arena_segment(struct alz_arena *arena, u64 offset)
{
	return &arena->segments[offset >> arena->segment_shift];
}

/* reclaim.c */
bool alz_reclaim_run(struct alz_cache *cache, bool urgent);

/* policy.c */
void alz_policy_add(struct alz_arena *arena, struct alz_segment *segment);
void alz_policy_del(struct alz_arena *arena, struct alz_segment *segment);
struct alz_segment *alz_policy_victim(struct alz_arena *arena, u64 now);
bool alz_visited(struct alz_cache *cache, const u64 *slot);
void alz_visited_set(struct alz_cache *cache, const u64 *slot, bool visited);

/* blob.c */
void alz_blob_put(struct alz_blob *blob);
void alz_blob_born(struct alz_cache *cache, struct alz_blob *blob, u64 generation);
void alz_blob_keep(struct alz_cache *cache, struct alz_blob *blob, u64 hash, u64 offset);
void alz_blob_moved(struct alz_cache *cache, u64 generation, u64 offset);
void alz_blob_unkeep(struct alz_cache *cache, u64 generation);
int alz_blob_reserve(struct alz_cache *cache, u64 size);
void alz_blob_unreserve(struct alz_cache *cache, u64 size);

/* client.c */
void alz_pin_set(struct alz_client *client, u32 pin, u64 offset);

/* flight.c */
struct alz_flight *alz_flight_new(const void *key, u32 key_size, u64 hash);
void alz_flight_put(struct alz_flight *flight);
struct alz_flight *alz_flight_find(struct alz_cache *cache, const void *key,
				   u32 key_size, u64 hash);
int alz_flight_owned(struct alz_client *client, u64 ticket,
		     struct alz_flight **flight);
u64 *alz_flight_slot(struct alz_cache *cache, const struct alz_flight *f);
void alz_flight_vacate(struct alz_cache *cache, const struct alz_flight *f);
bool alz_flight_offer(struct alz_cache *cache, struct alz_flight *f);
void alz_flight_enter(struct alz_cache *cache, struct alz_flight *f);
void alz_flight_empty(struct alz_cache *cache, struct alz_flight *f, s32 error);
void alz_flight_offer_next(struct alz_cache *cache, struct alz_flight *f);
void alz_flight_start(struct alz_cache *cache, struct alz_flight *flight,
		      struct alz_client *owner);
void alz_flight_hand_over(struct alz_cache *cache, struct alz_flight *flight,
			  int error);
void alz_flight_owner_died(struct alz_cache *cache, struct alz_flight *f);
void alz_flight_end(struct alz_cache *cache, struct alz_flight *flight,
		    u32 result, s32 error, u64 offset, u64 generation);
void alz_flight_invalidate(struct alz_cache *cache, struct alz_flight *flight);
u64 alz_generation_next(struct alz_cache *cache);

/* admit.c */
bool alz_admits(const struct alz_cache *cache);
void alz_admit(struct alz_cache *cache);
void alz_admit_later(struct alz_cache *cache, struct alz_flight *f, u64 until);
void alz_admit_held(struct alz_cache *cache, struct alz_flight *f);
void alz_admit_child(struct alz_cache *cache, struct alz_flight *f);
void alz_admit_never(struct alz_cache *cache, struct alz_flight *f);

/* It has waiters, and nobody has begun to make it. */
static inline bool alz_flight_idle(const struct alz_flight *f)
{
	return f->queued || f->held;
}

/* trouble.c */
int alz_troubles_init(struct alz_cache *cache);
void alz_troubles_fini(struct alz_cache *cache);
void alz_troubles_forget(struct alz_cache *cache);
struct alz_trouble *alz_trouble_find(const struct alz_cache *cache, u64 hash);
void alz_trouble_failed(struct alz_cache *cache, u64 hash, s32 error, void *detail,
			u32 detail_size);
bool alz_trouble_died(struct alz_cache *cache, u64 hash);
void alz_trouble_over(struct alz_cache *cache, u64 hash);
u64 alz_trouble_until(struct alz_cache *cache, u64 hash);
u32 alz_trouble_refuse(struct alz_cache *cache, u64 hash, void *detail);

/* cycle.c */
void alz_need_wait(struct alz_waiter *w, struct alz_flight *parent);
void alz_need_made(struct alz_flight *f, struct alz_flight *parent);
void alz_need_over(struct alz_waiter *w);
void alz_need_end(struct alz_flight *f);
bool alz_cycle_find(struct alz_cache *cache, struct alz_flight *f,
		    const struct alz_flight *parent, struct alz_answer *answer);

/* lease.c */
void alz_lease_begin(struct alz_cache *cache, struct alz_flight *f);
void alz_lease_end(struct alz_cache *cache, struct alz_flight *f);
u32 alz_flight_waiters(const struct alz_flight *f);
u64 alz_hard_until(const struct alz_cache *cache, const struct alz_flight *f);
void alz_lease_hold(struct alz_cache *cache, struct alz_flight *f, u64 until);
void alz_offer_taken(struct alz_cache *cache, struct alz_waiter *w);

/* word.c */
int alz_words_init(struct alz_cache *cache, u64 words);
void alz_words_fini(struct alz_cache *cache);
u64 alz_words_size(u64 words);
void alz_word_leave(struct alz_cache *cache, struct alz_waiter *w);
void alz_word_wake_own(struct alz_cache *cache, u64 index);

/* lock.c */
void alz_lock_id(struct alz_client *client);
void alz_locks_die(struct alz_client *client);

/* tree.c */
struct alz_node *alz_tree_find(struct alz_node *root, u64 key);
struct alz_node *alz_tree_first(struct alz_node *root);
void alz_tree_add(const struct alz_cache *cache, struct alz_node **root,
		  struct alz_node *node);
void alz_tree_del(const struct alz_cache *cache, struct alz_node **root,
		  struct alz_node *node);

/* wait.c */
void alz_wait_begin(struct alz_client *client, struct alz_waiter *w,
		    struct alz_flight *flight);
void alz_wait_enqueue(struct alz_client *client, struct alz_waiter *w,
		      struct alz_flight *flight, struct alz_flight *parent);
struct alz_waiter *alz_waits_find(struct alz_client *client, u64 cookie);
bool alz_waits_add(struct alz_client *client, struct alz_waiter *w);
void alz_waits_del(struct alz_client *client, struct alz_waiter *w);
void alz_wait_requeue(struct alz_waiter *w, struct alz_list *queue);
void alz_wait_deliver(struct alz_waiter *w, u8 state);
void alz_wait_answer(const struct alz_waiter *w, struct alz_answer *answer);
void alz_wait_drop(struct alz_cache *cache, struct alz_waiter *w);
void alz_wait_forget(struct alz_client *client);

#endif
