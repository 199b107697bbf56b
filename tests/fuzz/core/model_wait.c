// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The reference model: what becomes of waits, and the figures. */
#include <errno.h>
#include <string.h>

#include "model.h"

/* Waits that count against a client's quota, and as waits_now. */
uint64_t m_waits_of(const struct model *m, int client)
{
	uint64_t n = 0;
	int i;

	for (i = 0; i < m->waits; i++)
		n += m->wait[i].state != M_FREE && m->wait[i].state != M_ORPHAN &&
		     m->wait[i].client == client;
	return n;
}

int m_wait_find(const struct model *m, int client, uint64_t cookie)
{
	int i;

	for (i = 0; i < m->waits; i++)
		if (m->wait[i].state != M_FREE && m->wait[i].kind == M_EVENT &&
		    m->wait[i].client == client && m->wait[i].cookie == cookie)
			return i;
	return -1;
}

int m_wait_of(const struct model *m, const void *side)
{
	int i;

	for (i = 0; i < m->waits; i++)
		if (m->wait[i].state != M_FREE && m->wait[i].side == side)
			return i;
	return -1;
}

struct m_answer m_outcome(const struct model *m, const struct m_wait *w)
{
	const struct m_flight *f = &m->flight[w->flight];

	if (w->state == M_OFFERED)
		return (struct m_answer){
			.result = ASYNCLAZY_RESULT_TICKET, .ticket = w->ticket,
			.attempt = w->attempt, .generation = w->generation,
			.offset = ASYNCLAZY_NO_RECORD,
		};
	return (struct m_answer){
		.result = f->result, .error = f->error, .offset = f->offset,
		.generation = f->outcome_generation, .detail = f->detail,
		.detail_size = f->detail_size,
	};
}

void m_drop(struct model *m, int wait)
{
	m->flight[m->wait[wait].flight].refs--;
	m->wait[wait].state = M_FREE;
	m->wait[wait].due = false;
}

/* A wait goes; a ticket that is on its way to it goes to the next one. */
void m_take_back(struct model *m, int wait)
{
	const struct m_wait *w = &m->wait[wait];
	const struct m_flight *f = &m->flight[w->flight];
	bool stands = w->state == M_OFFERED && f->running && f->owner == w->client &&
		      f->ticket == w->ticket;

	m_drop(m, wait);
	if (stands)
		m_hand_over(m, w->flight, ECANCELED);
}

int m_cancel(struct model *m, int client, uint64_t cookie)
{
	int w = m_wait_find(m, client, cookie);

	if (w < 0 || m->wait[w].reported)
		return -ENOENT;
	m->count.cancels++;
	m_take_back(m, w);
	return 0;
}

int m_ready(const struct model *m, int client, int *list)
{
	int n = 0, i, at;

	for (i = 0; i < m->waits; i++) {
		const struct m_wait *w = &m->wait[i];

		if (w->kind != M_EVENT || w->client != client ||
		    (w->state != M_ENDED && w->state != M_OFFERED))
			continue;
		for (at = n++; at && m->wait[list[at - 1]].order > w->order; at--)
			list[at] = list[at - 1];
		list[at] = i;
	}
	return n;
}

/* Those that were reported have been read, or could not be handed on. */
void m_events_done(struct model *m, int client, bool taken)
{
	int list[M_WAITS];
	int n = m_ready(m, client, list), i;

	for (i = 0; i < n; i++) {
		struct m_wait *w = &m->wait[list[i]];

		if (!w->reported)
			continue;
		w->reported = false;
		if (!taken)
			continue;
		if (w->state == M_OFFERED && w->follow) {
			/* the ticket is with the client; the wait goes on */
			w->state = M_WAITING;
			w->able = false;
			w->order = ++m->order;
			w->queued = true;
			if (m->flight[w->flight].ended) {
				w->queued = false;
				w->due = true;
				w->due_state = M_ENDED;
				w->due_order = ++m->order;
			}
		} else if (w->state == M_ENDED && m->flight[w->flight].detail_size) {
			w->state = M_DETAIL;
		} else {
			m_drop(m, list[i]);
		}
	}
}

int m_due(const struct model *m)
{
	int i, first = -1;

	for (i = 0; i < m->waits; i++) {
		const struct m_wait *w = &m->wait[i];

		if (w->state == M_WAITING && w->due && !w->parked &&
		    (first < 0 || w->due_order < m->wait[first].due_order))
			first = i;
	}
	return first;
}

void m_told(struct model *m, int wait)
{
	struct m_wait *w = &m->wait[wait];

	w->due = false;
	w->state = w->due_state;
	w->order = ++m->order;
}

void m_stats(const struct model *m, struct asynclazy_stats *s)
{
	const struct m_counters *c = &m->count;
	int i;

	memset(s, 0, sizeof(*s));
	s->out_claims = c->claims;
	s->out_hits = c->hits;
	s->out_tickets = c->tickets;
	s->out_waits = c->waits;
	s->out_publishes = c->publishes;
	s->out_fails = c->fails;
	s->out_abandons = c->abandons;
	s->out_deaths = c->deaths;
	s->out_handovers = c->handovers;
	s->out_stale = c->stale;
	s->out_cancels = c->cancels;
	s->out_sets = c->sets;
	s->out_invalidates = c->invalidates;
	s->out_nospace = c->nospace;
	for (i = 0; i < m->entries; i++) {
		s->out_keys += m->entry[i].used && !m->entry[i].is_error;
		s->out_errors += m->entry[i].used && m->entry[i].is_error;
	}
	for (i = 0; i < m->flights; i++)
		s->out_initializing += m->flight[i].running;
	s->out_tickets_now = s->out_initializing;
	s->out_arena_used = m->head;
	s->out_segments = m->segments;
	s->out_segments_open = m->opened;
	s->out_segments_full = m->open;
	s->out_segments_free = m->backed - m->open - s->out_segments_open;
	s->out_arena_allocated = m->backed * m->segment_size;
	for (i = 0; i < M_CLIENTS; i++) {
		s->out_clients += m->client[i].attached && !m->client[i].dead;
		s->out_waits_now += m_waits_of(m, i);
	}
}
