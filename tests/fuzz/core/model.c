// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The reference model: entries, flights and what ends them. Waits: model_wait.c. */
#include <errno.h>
#include <string.h>

#include "model.h"

#define NEVER	ASYNCLAZY_NEVER

static uint64_t up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

/* The header of the uAPI: 48 bytes, the key, to 16; the value, to 8; 32 of times. */
uint64_t m_value_at(uint32_t key_size)
{
	return up(48 + key_size, 16);
}

bool m_ttl_ends(uint64_t ttl)
{
	return ttl != 0 && ttl != NEVER;
}

uint64_t m_record_size(uint32_t key_size, uint64_t size, uint64_t ttl)
{
	uint64_t end = up(m_value_at(key_size) + size, 8);

	return up(m_ttl_ends(ttl) ? end + 32 : end, 64);
}

/* Geometry, ->has_memory and ->now are the caller's. */
void m_init(struct model *m)
{
	m->generation = 0;
	m->order = 0;
	m->head = 0;
	m->open = 0;
	m->opened = false;
	m->room_busy = false;
	m->backed = 0;
	m->reach = 0;
	m->entries = 0;
	m->flights = 0;
	m->waits = 0;
	m->pasts = 0;
	memset(&m->count, 0, sizeof(m->count));
	memset(m->client, 0, sizeof(m->client));
}

void m_attach(struct model *m, int client, uint64_t max_waits, uint64_t max_tickets)
{
	m->client[client] = (struct m_client){
		.attached = true, .max_waits = max_waits, .max_tickets = max_tickets,
	};
}

/* ---- entries ------------------------------------------------------------ */

int m_entry_find(const struct model *m, int key, uint64_t hash)
{
	int i;

	for (i = 0; i < m->entries; i++)
		if (m->entry[i].used && m->entry[i].key == key && m->entry[i].hash == hash)
			return i;
	return -1;
}

bool m_entry_alive(const struct model *m, const struct m_entry *e)
{
	return !e->timed || m->now < e->dead_until;
}

void m_entry_forget(struct model *m, int entry)
{
	m->entry[entry].used = false;
}

/* A value or an error, in place of what the key had. */
static void m_entry_store(struct model *m, const struct m_reservation *r, int32_t error,
			  uint64_t generation)
{
	int i = m_entry_find(m, r->key, r->hash);
	struct m_entry *e;

	if (i < 0)
		for (i = 0; i < m->entries && m->entry[i].used; i++)
			;
	if (i == m->entries)
		m->entries++;
	e = &m->entry[i];
	*e = (struct m_entry){
		.used = true, .is_error = error, .error = error, .key = r->key,
		.hash = r->hash, .bytes = r->bytes, .size = r->size,
		.generation = generation, .offset = r->offset,
	};
	if (m_ttl_ends(r->ttl)) {
		e->timed = true;
		e->published = r->published;
		e->dead_until = r->ttl > NEVER - r->published ? NEVER :
			r->published + r->ttl;
	}
}

/* There is no room for more in the model's own arrays: end the run. */
bool m_full(const struct model *m)
{
	return m->entries > M_ENTRIES - 160 || m->flights > M_FLIGHTS - 160 ||
	       m->waits > M_WAITS - 160;
}

/* ---- flights ------------------------------------------------------------ */

int m_flight_find(const struct model *m, int key, uint64_t hash)
{
	int i;

	for (i = 0; i < m->flights; i++)
		if (m->flight[i].running && m->flight[i].key == key &&
		    m->flight[i].hash == hash)
			return i;
	return -1;
}

/* Of this owner, the one whose ticket was granted first. */
int m_flight_oldest(const struct model *m, int owner)
{
	int i, oldest = -1;

	for (i = 0; i < m->flights; i++)
		if (m->flight[i].running && m->flight[i].owner == owner &&
		    (oldest < 0 || m->flight[i].ticket < m->flight[oldest].ticket))
			oldest = i;
	return oldest;
}

uint64_t m_tickets_of(const struct model *m, int client)
{
	uint64_t n = 0;
	int i;

	for (i = 0; i < m->flights; i++)
		n += m->flight[i].running && m->flight[i].owner == client;
	return n;
}

int m_owned(const struct model *m, int client, uint64_t ticket, int *flight)
{
	int i;

	for (i = 0; i < m->flights; i++) {
		if (m->flight[i].running && m->flight[i].ticket == ticket &&
		    m->flight[i].owner == client) {
			*flight = i;
			return 0;
		}
	}
	return ticket && ticket <= m->generation ? -ESTALE : -ENOENT;
}

/* Numbers are drawn for other things too; only recent tickets are remembered. */
bool m_ticket_unclear(const struct model *m, uint64_t ticket)
{
	unsigned int i;

	for (i = 0; i < M_HISTORY && i < m->pasts; i++)
		if (m->past[i] == ticket)
			return false;
	return ticket && ticket <= m->generation;
}

static void m_grant(struct model *m, struct m_flight *f, int client)
{
	f->owner = client;
	f->ticket = ++m->generation;
	m->count.tickets++;
	m->past[m->pasts % M_HISTORY] = f->ticket;
	m->past_owner[m->pasts % M_HISTORY] = client;
	m->pasts++;
}

static int m_flight_new(struct model *m, int key, uint64_t hash)
{
	int i;

	for (i = 0; i < m->flights; i++)
		if (!m->flight[i].running && !m->flight[i].refs)
			break;
	if (i == m->flights)
		m->flights++;
	m->flight[i] = (struct m_flight){ .running = true, .key = key, .hash = hash };
	return i;
}

/* First in, first out, among those who can initialise or those who cannot. */
static int m_queue_first(const struct model *m, int flight, bool able)
{
	int i, first = -1;

	for (i = 0; i < m->waits; i++) {
		const struct m_wait *w = &m->wait[i];

		if (w->state == M_WAITING && w->queued && w->flight == flight &&
		    w->able == able && (first < 0 || w->order < m->wait[first].order))
			first = i;
	}
	return first;
}

static void m_make_due(struct model *m, int wait, enum m_state state)
{
	struct m_wait *w = &m->wait[wait];

	w->queued = false;
	w->due = true;
	w->due_state = state;
	w->due_order = ++m->order;
}

/* All waiters of a flight get the same outcome; those who cannot initialise first. */
static void m_end(struct model *m, int flight, uint32_t result, int32_t error,
		  uint64_t offset, uint64_t generation)
{
	struct m_flight *f = &m->flight[flight];
	int able, w;

	f->running = false;
	f->ended = true;
	f->owner = -1;
	f->result = result;
	f->error = error;
	f->offset = offset;
	f->outcome_generation = generation;
	for (able = 0; able <= 1; able++)
		while ((w = m_queue_first(m, flight, able)) >= 0)
			m_make_due(m, w, M_ENDED);
}

/* Who was first to say that it can initialise gets the ticket. */
static bool m_offer(struct model *m, int flight)
{
	struct m_flight *f = &m->flight[flight];
	int i;

	while ((i = m_queue_first(m, flight, true)) >= 0) {
		struct m_wait *w = &m->wait[i];

		if (m->client[w->client].dead) {
			w->queued = false;
			continue;
		}
		m_grant(m, f, w->client);
		m->count.handovers++;
		w->ticket = f->ticket;
		w->generation = f->generation;
		w->attempt = f->attempt;
		m_make_due(m, i, M_OFFERED);
		return true;
	}
	return false;
}

void m_hand_over(struct model *m, int flight, int32_t error)
{
	struct m_flight *f = &m->flight[flight];

	f->owner = -1;
	f->attempt++;
	if (!m_offer(m, flight))
		m_end(m, flight, ASYNCLAZY_RESULT_FAILED, error, ASYNCLAZY_NO_RECORD,
		      f->generation);
}

void m_invalidate_flight(struct model *m, int flight)
{
	struct m_flight *f = &m->flight[flight];

	f->owner = -1;
	f->generation = ++m->generation;
	f->attempt = 0;
	if (!m_offer(m, flight))
		m_end(m, flight, ASYNCLAZY_RESULT_FAILED, ESTALE, ASYNCLAZY_NO_RECORD,
		      f->generation);
}

bool m_invalidate_entry(struct model *m, int key, uint64_t hash)
{
	int e = m_entry_find(m, key, hash);

	if (e >= 0)
		m_entry_forget(m, e);
	return e >= 0;
}

/* ---- claim: see also "Calls" in asynclazy.rst ------------------------------ */

/* Whether a claim has to make anything at all, now. */
bool m_claim_needs_memory(const struct model *m, int client, int key, uint64_t hash,
			  uint32_t flags)
{
	int e = m_entry_find(m, key, hash);

	if (m->client[client].dead)
		return false;
	if (e >= 0 && m_entry_alive(m, &m->entry[e]))
		return false;
	if (m_flight_find(m, key, hash) < 0)
		return flags & ASYNCLAZY_CLAIM_INIT;
	return flags & ASYNCLAZY_CLAIM_EVENT;
}

static int m_wait_check(const struct model *m, int client, uint32_t flags, uint64_t cookie)
{
	if (m_waits_of(m, client) >= m->client[client].max_waits)
		return -EDQUOT;
	if (flags & ASYNCLAZY_CLAIM_EVENT && m_wait_find(m, client, cookie) >= 0)
		return -EEXIST;
	return 0;
}

static void m_enqueue(struct model *m, int client, int flight, uint32_t flags, bool able,
		      uint64_t cookie, void *side)
{
	int i;

	for (i = 0; i < m->waits && m->wait[i].state != M_FREE; i++)
		;
	if (i == m->waits)
		m->waits++;
	m->wait[i] = (struct m_wait){
		.state = M_WAITING,
		.kind = flags & ASYNCLAZY_CLAIM_EVENT ? M_EVENT :
			flags & ASYNCLAZY_CLAIM_FD ? M_FD : M_BLOCK,
		.client = client, .flight = flight, .cookie = cookie, .able = able,
		.follow = flags & ASYNCLAZY_CLAIM_FOLLOW,
		.queued = true, .order = ++m->order, .side = side,
	};
	m->flight[flight].refs++;
	m->count.waits++;
}

struct m_answer m_claim(struct model *m, int client, int key, uint64_t hash,
			uint32_t flags, uint64_t cookie, void *side, bool no_memory,
			bool no_room)
{
	struct m_answer a = { .offset = ASYNCLAZY_NO_RECORD };
	int e = m_entry_find(m, key, hash);
	int f = m_flight_find(m, key, hash);

	m->count.claims++;
	if (no_memory) {
		a.err = -ENOMEM;
	} else if (m->client[client].dead) {
		a.err = -EOWNERDEAD;
	} else if (e >= 0 && m_entry_alive(m, &m->entry[e])) {
		a.result = m->entry[e].is_error ? ASYNCLAZY_RESULT_FAILED :
			ASYNCLAZY_RESULT_HIT;
		a.error = m->entry[e].error;
		a.generation = m->entry[e].generation;
		a.offset = m->entry[e].offset;
		m->count.hits++;
	} else if (f < 0 && !(flags & ASYNCLAZY_CLAIM_INIT)) {
		a.result = ASYNCLAZY_RESULT_EMPTY;
	} else if (f >= 0) {
		a.result = ASYNCLAZY_RESULT_PENDING;
		a.generation = m->flight[f].generation;
		if (flags & (ASYNCLAZY_CLAIM_EVENT | ASYNCLAZY_CLAIM_FD |
			     ASYNCLAZY_CLAIM_BLOCK))
			a.err = m_wait_check(m, client, flags, cookie);
		else
			return a;
		if (!a.err)
			m_enqueue(m, client, f, flags, flags & ASYNCLAZY_CLAIM_INIT,
				  cookie, side);
	} else if (m_tickets_of(m, client) >= m->client[client].max_tickets) {
		a.err = -EDQUOT;
	} else if (e < 0 && no_room) {
		a.err = -ENOSPC;
		m->count.nospace++;
	} else {
		if (flags & ASYNCLAZY_CLAIM_FOLLOW)
			a.err = m_wait_check(m, client, flags, cookie);
		if (a.err)
			return a;
		if (e >= 0)
			m_entry_forget(m, e);
		f = m_flight_new(m, key, hash);
		m->flight[f].generation = ++m->generation;
		m_grant(m, &m->flight[f], client);
		if (flags & ASYNCLAZY_CLAIM_FOLLOW)
			m_enqueue(m, client, f, flags, false, cookie, NULL);
		a.result = ASYNCLAZY_RESULT_TICKET;
		a.ticket = m->flight[f].ticket;
		a.generation = m->flight[f].generation;
	}
	return a;
}

/* ---- records ------------------------------------------------------------ */

/* A segment has memory now, if it had none. */
void m_grown(struct model *m, uint64_t segment)
{
	for (; m->reach <= segment; m->reach++)
		m->has_memory[m->reach] = false;
	if (!m->has_memory[segment]) {
		m->has_memory[segment] = true;
		m->backed++;
	}
}

/* The next piece of the log that lies in one segment. */
int m_reserve(struct model *m, uint32_t key_size, struct m_reservation *r, bool no_memory)
{
	uint64_t at = m->head, segment;

	if (r->size > m->value_max)
		return -EFBIG;
	r->record_size = m_record_size(key_size, r->size, r->ttl);
	if (at % m->segment_size + r->record_size > m->segment_size)
		at = up(at, m->segment_size);
	segment = at / m->segment_size;
	if (no_memory)
		return -ENOMEM;
	if (m->room_busy && (segment >= m->reach || !m->has_memory[segment]))
		return -EINTR;
	if (segment >= m->segments) {
		m->count.nospace++;
		return -ENOSPC;
	}
	m_grown(m, segment);
	m->open = segment;
	m->opened = true;
	r->offset = at;
	r->published = m->now;
	m->head = at + r->record_size;
	return 0;
}

/* Only the last one can be used again. */
void m_give_back(struct model *m, const struct m_reservation *r)
{
	if (m->head == r->offset + r->record_size && m->open == r->offset / m->segment_size)
		m->head = r->offset;
}

void m_publish(struct model *m, int flight, const struct m_reservation *r)
{
	uint64_t generation = m->flight[flight].generation;

	m->count.publishes++;
	m_entry_store(m, r, 0, generation);
	m_end(m, flight, ASYNCLAZY_RESULT_HIT, 0, r->offset, generation);
}

int m_set(struct model *m, const struct m_reservation *r, bool no_room)
{
	int f = m_flight_find(m, r->key, r->hash);

	if (f < 0 && m_entry_find(m, r->key, r->hash) < 0 && no_room) {
		m->count.nospace++;
		return -ENOSPC;
	}
	m->count.sets++;
	m->generation++;
	m_entry_store(m, r, 0, m->generation);
	if (f >= 0)
		m_end(m, f, ASYNCLAZY_RESULT_HIT, 0, r->offset, m->generation);
	return 0;
}

void m_fail(struct model *m, int flight, int32_t error, const uint8_t *detail,
	    uint32_t detail_size, const struct m_reservation *r)
{
	struct m_flight *f = &m->flight[flight];

	m->count.fails++;
	if (r) {
		m_entry_store(m, r, error, f->generation);
	} else {
		f->detail = detail;
		f->detail_size = detail_size;
	}
	m_end(m, flight, ASYNCLAZY_RESULT_FAILED, error,
	      r ? r->offset : ASYNCLAZY_NO_RECORD, f->generation);
}
