/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The reference model of one cache: what each call must answer, written to be
 * obviously right and not to be fast: arrays and linear search. It shares
 * nothing with the core but the numbers of the uAPI header. It does not know
 * where in the table a key lies; whether there was room for a new key is told
 * to it, by whoever has looked at the table (see check.c).
 *
 * Invariants that follow from its arrays: I1 a key has one flight and a flight
 * one ticket; I4, I5 what ends a flight makes each of its waiters due, with the
 * same outcome; I6 a ticket that is not the flight's own changes nothing; I8 a
 * dead client has no wait and no ticket; I10 a wait that is taken back changes
 * no other.
 *
 * Waiters are told one at a time, also by the core, and it may let others in
 * between two of them. So a waiter whose wait is over becomes "due" first; the
 * model's order of due waiters is held against the core's wake-ups, one by one.
 */
#ifndef FUZZ_MODEL_H
#define FUZZ_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/asynclazy.h>

#define M_ENTRIES	1536
#define M_FLIGHTS	1024
#define M_WAITS		768
#define M_CLIENTS	6
#define M_SEGMENTS	(1 << 20)
#define M_HISTORY	64

enum m_kind { M_EVENT, M_BLOCK, M_FD };

enum m_state {
	M_FREE,		/* no such wait */
	M_WAITING,
	M_ENDED,	/* told the outcome of its flight */
	M_OFFERED,	/* told that it has the ticket */
	M_DETAIL,	/* event read, the error's text can be fetched */
	M_ORPHAN,	/* FD: its client is dead */
};

/* A value or a kept error, dead or alive. */
struct m_entry {
	bool used, is_error, timed;
	int key;
	uint64_t hash;
	int32_t error;
	const uint8_t *bytes;
	uint64_t size, generation, offset, published, dead_until;
};

struct m_flight {
	bool running, ended;
	int refs;		/* waits that refer to it */
	int key;
	uint64_t hash;
	int owner;		/* client */
	uint64_t ticket, generation;
	uint32_t attempt;
	/* the outcome */
	uint32_t result;
	int32_t error;
	uint64_t offset, outcome_generation;
	const uint8_t *detail;
	uint32_t detail_size;
};

struct m_wait {
	enum m_state state;
	enum m_kind kind;
	int client, flight;
	uint64_t cookie;
	uint64_t ticket, generation;	/* as offered */
	uint32_t attempt;
	bool able;		/* can initialise, and has not been asked */
	bool follow;
	bool reported;
	bool queued;		/* stands in its flight's queue */
	uint64_t order;		/* of queueing; once told, of telling */
	bool due;		/* its wait is over, the core has yet to say so */
	bool parked;		/* due, by a call that is interrupted */
	enum m_state due_state;
	uint64_t due_order;
	void *side;		/* BLOCK, FD: the caller's waiter */
};

struct m_client {
	bool attached, dead;
	uint64_t max_waits, max_tickets;
};

struct m_counters {
	uint64_t claims, hits, tickets, waits, publishes, fails, abandons, deaths;
	uint64_t handovers, stale, cancels, sets, invalidates, nospace;
};

struct model {
	uint64_t now;
	uint64_t generation;
	uint64_t order;
	uint64_t segment_size, value_max, cache_id;
	uint64_t segments;
	uint64_t head;			/* of the arena */
	uint64_t open;			/* the segment that it lies in */
	bool opened;			/* there is one */
	bool room_busy;			/* somebody else takes memory for a segment */
	uint64_t backed;		/* segments that have memory */
	bool *has_memory;		/* by segment */
	uint64_t reach;			/* segments looked at so far */
	struct m_counters count;
	struct m_client client[M_CLIENTS];
	struct m_entry entry[M_ENTRIES];
	struct m_flight flight[M_FLIGHTS];
	struct m_wait wait[M_WAITS];
	int entries, flights, waits;	/* used so far */
	/* tickets that were granted and by whom they were held, newest last */
	uint64_t past[M_HISTORY];
	int past_owner[M_HISTORY];
	unsigned int pasts;
};

/* What a claim, a wait or an event brings. */
struct m_answer {
	int err;
	uint32_t result;
	int32_t error;
	uint64_t ticket, generation, offset;
	uint32_t attempt;
	const uint8_t *detail;
	uint32_t detail_size;
};

/* A record to be, from begin to commit. */
struct m_reservation {
	int key;
	uint64_t hash, ticket, ttl;
	const uint8_t *bytes;
	uint64_t size, offset, record_size, generation, published;
};

uint64_t m_value_at(uint32_t key_size);
uint64_t m_record_size(uint32_t key_size, uint64_t size, uint64_t ttl);
bool m_ttl_ends(uint64_t ttl);

void m_init(struct model *m);
void m_attach(struct model *m, int client, uint64_t max_waits, uint64_t max_tickets);

int m_entry_find(const struct model *m, int key, uint64_t hash);
bool m_entry_alive(const struct model *m, const struct m_entry *e);
void m_entry_forget(struct model *m, int entry);
int m_flight_find(const struct model *m, int key, uint64_t hash);
int m_flight_oldest(const struct model *m, int owner);
bool m_full(const struct model *m);

/* 0, -ESTALE or -ENOENT; a number that was drawn for no ticket may be either */
int m_owned(const struct model *m, int client, uint64_t ticket, int *flight);
bool m_ticket_unclear(const struct model *m, uint64_t ticket);
uint64_t m_tickets_of(const struct model *m, int client);
uint64_t m_waits_of(const struct model *m, int client);

bool m_claim_needs_memory(const struct model *m, int client, int key, uint64_t hash,
			  uint32_t flags);
struct m_answer m_claim(struct model *m, int client, int key, uint64_t hash,
			uint32_t flags, uint64_t cookie, void *side, bool no_memory,
			bool no_room);

int m_reserve(struct model *m, uint32_t key_size, struct m_reservation *r,
	      bool no_memory);
void m_grown(struct model *m, uint64_t segment);
void m_give_back(struct model *m, const struct m_reservation *r);
void m_publish(struct model *m, int flight, const struct m_reservation *r);
int m_set(struct model *m, const struct m_reservation *r, bool no_room);
/* @r: the record of a kept error, or NULL */
void m_fail(struct model *m, int flight, int32_t error, const uint8_t *detail,
	    uint32_t detail_size, const struct m_reservation *r);
void m_hand_over(struct model *m, int flight, int32_t error);
bool m_invalidate_entry(struct model *m, int key, uint64_t hash);
void m_invalidate_flight(struct model *m, int flight);

int m_wait_find(const struct model *m, int client, uint64_t cookie);
int m_wait_of(const struct model *m, const void *side);
struct m_answer m_outcome(const struct model *m, const struct m_wait *w);
int m_cancel(struct model *m, int client, uint64_t cookie);
void m_drop(struct model *m, int wait);
void m_take_back(struct model *m, int wait);
/* the events that are ready for a client, oldest first; returns how many */
int m_ready(const struct model *m, int client, int *list);
void m_events_done(struct model *m, int client, bool taken);

/* the core told a waiter: the next one that is due, or -1 */
int m_due(const struct model *m);
void m_told(struct model *m, int wait);

void m_stats(const struct model *m, struct asynclazy_stats *s);

#endif
