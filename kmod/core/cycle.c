// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Initialisations that need one another. A claim says for which ticket it is made,
 * its parent: the parent's flight needs the one that is claimed. Who would wait for
 * a flight that, over any number of others, needs the parent, would wait for ever.
 *
 * What a flight needs is in its lists: waits that were made for it, and flights
 * that its owner makes itself meanwhile.
 */
#include "core.h"
#include "text.h"

#define ALZ_CYCLE_FLIGHTS	64	/* that are looked at */
#define ALZ_CYCLE_EDGES		512

struct alz_path {
	struct alz_flight *flight;
	u32 from;	/* which one needs it */
};

struct alz_search {
	struct alz_cache *cache;
	struct alz_path path[ALZ_CYCLE_FLIGHTS];
	u32 n;
	u32 edges;
};

/** alz_need_wait() - @w, which waits, does so for @parent; NULL: for nobody's */
void alz_need_wait(struct alz_waiter *w, struct alz_flight *parent)
{
	alz_list_init(&w->need_link);
	w->parent = parent;
	if (parent)
		alz_list_add_tail(&w->need_link, &parent->need_waits);
}

/** alz_need_made() - @f is made by the owner of @parent, for it; NULL: for nobody's */
void alz_need_made(struct alz_flight *f, struct alz_flight *parent)
{
	alz_list_del(&f->need_link);
	if (parent)
		alz_list_add_tail(&f->need_link, &parent->need_flights);
}

/** alz_need_over() - a wait has ended, or is taken back */
void alz_need_over(struct alz_waiter *w)
{
	if (!w->parent)
		return;
	alz_list_del(&w->need_link);
	w->parent = NULL;
}

/** alz_need_end() - nobody has the ticket of @f any more: it needs nothing */
void alz_need_end(struct alz_flight *f)
{
	alz_list_del(&f->need_link);
	while (!alz_list_empty(&f->need_waits))
		alz_need_over(alz_entry(f->need_waits.next, struct alz_waiter, need_link));
	while (!alz_list_empty(&f->need_flights))
		alz_list_del(f->need_flights.next);
}

static void alz_search_add(struct alz_search *s, struct alz_flight *f, u32 from)
{
	if (f->search == s->cache->searches || s->n == ALZ_CYCLE_FLIGHTS)
		return;
	f->search = s->cache->searches;
	s->path[s->n++] = (struct alz_path) { f, from };
}

static void alz_search_needs(struct alz_search *s, u32 at)
{
	const struct alz_flight *f = s->path[at].flight;
	const struct alz_list *link;

	for (link = f->need_waits.next;
	     link != &f->need_waits && s->edges < ALZ_CYCLE_EDGES; link = link->next) {
		const struct alz_waiter *w = alz_entry(link, struct alz_waiter, need_link);

		s->edges++;
		if (w->state == ALZ_WAITING && !w->flight->ended)
			alz_search_add(s, w->flight, at);
	}
	for (link = f->need_flights.next;
	     link != &f->need_flights && s->edges < ALZ_CYCLE_EDGES; link = link->next) {
		s->edges++;
		alz_search_add(s, alz_entry(link, struct alz_flight, need_link), at);
	}
}

static void alz_text_pid(struct alz_text *t, const struct alz_flight *f, const char *before)
{
	alz_text_put(t, before);
	alz_text_put(t, "pid ");
	alz_text_number(t, alz_os_client_pid(f->owner));
}

/* "a -> b -> a: pid 12, pid 34": what needs what, and who makes each. */
static void alz_cycle_tell(const struct alz_search *s, u32 last, struct alz_answer *answer)
{
	struct alz_text t = { answer->detail, answer->detail + sizeof(answer->detail) };
	u32 order[ALZ_CYCLE_FLIGHTS];
	u32 n = 0, at = last;

	/* the search went from what is claimed to its parent, which comes first here */
	for (;;) {
		order[n++] = at;
		if (!at)
			break;
		at = s->path[at].from;
	}
	alz_text_key(&t, s->path[last].flight);
	for (at = n; at--; ) {
		if (order[at] == last && n > 1)
			continue;
		alz_text_put(&t, " -> ");
		alz_text_key(&t, s->path[order[at]].flight);
	}
	if (n > 1) {
		alz_text_put(&t, " -> ");
		alz_text_key(&t, s->path[last].flight);
	}
	alz_text_pid(&t, s->path[last].flight, ": ");
	for (at = n; at-- && n > 1; )
		if (order[at] != last)
			alz_text_pid(&t, s->path[order[at]].flight, ", ");
	answer->detail_size = t.at - answer->detail;
}

/**
 * alz_cycle_find() - whether a flight needs another, over others or itself
 * @cache: locked
 * @f: that is to be waited for
 * @parent: for whose sake
 * @answer: if so, FAILED with EDEADLK, and a text that names the cycle
 *
 * The search is bounded: in a very wide one a cycle is not found, and each wait in
 * it has its deadline, if any.
 */
bool alz_cycle_find(struct alz_cache *cache, struct alz_flight *f,
		    const struct alz_flight *parent, struct alz_answer *answer)
{
	struct alz_search s = { .cache = cache };
	u32 at;

	ALZ_MUST_HOLD(&cache->lock);
	cache->searches++;
	alz_search_add(&s, f, 0);
	for (at = 0; at < s.n; at++) {
		if (s.path[at].flight == parent) {
			answer->result = ASYNCLAZY_RESULT_FAILED;
			answer->error = EDEADLK;
			answer->generation = f->generation;
			alz_cycle_tell(&s, at, answer);
			return true;
		}
		alz_search_needs(&s, at);
	}
	return false;
}
