// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ledger: every ticket that a worker was given, and what every generation
 * came to, kept where the next one to learn of it compares.
 *
 * A grant is one word by generation: state (2 bits), ticket (22), slot (8) and
 * epoch (32) of the owner. A ticket counts as alive from the moment its owner
 * notes it until the owner is about to end it, or was marked as doomed, which
 * the killer does before it kills. Both come before what lets the kernel hand
 * it over, so a second ticket of the generation that meets one alive is wrong.
 */
#include "storm.h"

#include <stdarg.h>

enum { GRANT_ALIVE, GRANT_ENDING, GRANT_ENDED };

static __u64 grant_pack(__u64 ticket)
{
	return (__u64)self.me->epoch << 32 | (__u64)self.slot << 24 | ticket << 2;
}

static __u64 grant_ticket(__u64 word)
{
	return word >> 2 & ((1 << 22) - 1);
}

static bool grant_alive(__u64 word)
{
	const struct slot *s = &storm->slots[word >> 24 & 0xff];
	bool doomed = s->doomed;

	/* in this order: a new process has a new epoch before it is not doomed */
	return (word & 3) == GRANT_ALIVE && !doomed && s->epoch == word >> 32;
}

/* Something is wrong; the parent shows the first of them and ends the storm. */
void wrong(enum wrong kind, const char *format, ...)
{
	__u32 n = atomic_fetch_add(&storm->texts, 1);
	va_list ap;

	if (n < WRONGS) {
		va_start(ap, format);
		vsnprintf(storm->text[n], sizeof(storm->text[n]), format, ap);
		va_end(ap);
	}
	atomic_fetch_add(&storm->wrongs[kind], 1);
}

static bool ledger_has(const struct view *v, __u64 number)
{
	if (number && number < NUMBERS)
		return true;
	wrong(WRONG_ANSWER, "cache %llu: impossible number %llu", v->serial, number);
	return false;
}

/* Whether a ticket was taken away: what comes of its generation is not ours. */
static bool ledger_lost(struct view *v, __u32 key, __u64 generation, __u64 ticket)
{
	struct held h = { .view = v, .key = key, .generation = generation, .ticket = ticket };

	return LEASED(v) && ticket_renew(&h) == -ESTALE;
}

/* This worker was given a ticket. */
void ledger_grant(struct view *v, __u32 key, __u64 generation, __u64 ticket,
		  __u32 attempt)
{
	_Atomic __u64 *at;
	__u64 old;

	if (!ledger_has(v, generation) || !ledger_has(v, ticket))
		return;
	at = &v->ledger->grant[generation];
	old = atomic_load(at);
	/* who comes late must not even for a moment be in the place of a later one */
	do {
		/* taken away before we came to note it */
		if (grant_ticket(old) > ticket && LEASED(v))
			return;
	} while (!atomic_compare_exchange_weak(at, &old, grant_pack(ticket)));
	if (old) {
		__u64 before = grant_ticket(old);

		if (before >= ticket)
			wrong(WRONG_TICKET, "cache %llu key %u generation %llu: ticket %llu granted after ticket %llu",
			      v->serial, key, generation, ticket, before);
		else if ((old & 3) == GRANT_ENDED)
			wrong(WRONG_TICKET, "cache %llu key %u generation %llu: ticket %llu granted, ticket %llu had ended it",
			      v->serial, key, generation, ticket, before);
		/* a lease may be over as soon as its ticket is noted */
		else if (grant_alive(old) && !LEASED(v))
			wrong(WRONG_TICKET, "cache %llu key %u generation %llu: ticket %llu granted while ticket %llu is alive",
			      v->serial, key, generation, ticket, before);
		else if (!attempt)
			wrong(WRONG_TICKET, "cache %llu key %u generation %llu: ticket %llu is a hand-over with attempt 0",
			      v->serial, key, generation, ticket);
	}
	if (v->ledger->outcome[generation] && !ledger_lost(v, key, generation, ticket))
		wrong(WRONG_TICKET, "cache %llu%s key %u generation %llu: ticket %llu, attempt %u, granted after ticket %llu and its end %#llx",
		      v->serial, LEASED(v) ? ", with leases," : "", key, generation, ticket,
		      attempt, grant_ticket(old), v->ledger->outcome[generation]);
	count(&storm->totals.tickets);
	if (attempt)
		count(&storm->totals.handovers);
}

/* Change the state of our own grant; false if it is no longer the last one. */
static bool ledger_mark(const struct held *h, __u64 state)
{
	_Atomic __u64 *at;
	__u64 word;

	if (h->generation >= NUMBERS)
		return true;
	at = &h->view->ledger->grant[h->generation];
	word = atomic_load(at);
	while (grant_ticket(word) == h->ticket)
		if (atomic_compare_exchange_weak(at, &word, (word & ~3ULL) | state))
			return true;
	return false;
}

/* About to end it: from here on another may be given its generation. */
void ledger_ending(const struct held *h)
{
	ledger_mark(h, GRANT_ENDING);
}

/* The call that was to end it was refused: we still have it. */
void ledger_alive(const struct held *h)
{
	if (!ledger_mark(h, GRANT_ALIVE) && !LEASED(h->view))
		wrong(WRONG_TICKET, "cache %llu key %u generation %llu: ticket %llu is held, and another one was granted",
		      h->view->serial, h->key, h->generation, h->ticket);
}

/*
 * It has ended its generation, or is stale: nobody gets that one again, unless it was
 * taken away.
 */
void ledger_ended(const struct held *h, int err)
{
	if (err == -ESTALE && LEASED(h->view))
		return;
	if (!ledger_mark(h, GRANT_ENDED))
		wrong(WRONG_TICKET, "cache %llu key %u generation %llu: ticket %llu ended it, and another one was granted",
		      h->view->serial, h->key, h->generation, h->ticket);
}

/* A generation came to this. */
void ledger_outcome(struct view *v, __u64 generation, enum outcome kind, __u64 number)
{
	static const char *const names[] = { "nothing", "value", "error of ticket", "loss" };
	__u64 word = (__u64)kind << 60 | number;
	__u64 old = 0;

	if (!ledger_has(v, generation) ||
	    atomic_compare_exchange_strong(&v->ledger->outcome[generation], &old, word) ||
	    old == word)
		return;
	wrong(kind == OUTCOME_VALUE && old >> 60 == OUTCOME_VALUE ? WRONG_TICKET : WRONG_VALUE,
	      "cache %llu generation %llu ended twice: with %s %llu, then with %s %llu",
	      v->serial, generation, names[old >> 60], old & ((1ULL << 60) - 1),
	      names[kind], number);
}
