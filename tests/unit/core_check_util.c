// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* check_consistent(): every structure of a cache agrees with every other. */
#include <stdlib.h>

#include "core_util.h"

static u64 count_list(const struct alz_list *head)
{
	const struct alz_list *at;
	u64 n = 0;

	for (at = head->next; at != head; at = at->next) {
		if (!check(at->next->prev == at) || !check(at->prev->next == at))
			break;
		n++;
	}
	return n;
}

static const struct alz_waiter *wait_of(const struct alz_node *node)
{
	return alz_entry(node, struct alz_waiter, node);
}

/* A wait for several words counts as many. */
static u64 cost_of(const struct alz_waiter *w)
{
	return w->words ? w->words : 1;
}

static u64 count_fd_waits(const struct alz_list *head)
{
	const struct alz_list *at;
	u64 n = 0;

	for (at = head->next; at != head; at = at->next)
		n += cost_of(alz_entry(at, struct alz_waiter, fd_link));
	return n;
}

static u64 count_tree(const struct alz_client *c, const struct alz_node *node,
		      u64 low, u64 high)
{
	if (!node)
		return 0;
	check(node->key >= low && node->key <= high);
	check_eq(node->key, wait_of(node)->cookie);
	check(wait_of(node)->client == c);
	check_eq(wait_of(node)->kind, ALZ_WAIT_EVENT);
	return cost_of(wait_of(node)) + count_tree(c, node->child[0], low, node->key) +
	       count_tree(c, node->child[1], node->key, high);
}

static u64 check_queue(const struct alz_flight *f, const struct alz_list *head,
		       bool able)
{
	const struct alz_list *at;

	for (at = head->next; at != head; at = at->next) {
		const struct alz_waiter *w = alz_entry(at, struct alz_waiter, link);

		check_eq(w->state, ALZ_WAITING);
		check_eq(w->can_init, able);
		check(w->flight == f);
		check(!w->client->dead);
	}
	return count_list(head);
}

static void check_flight(struct alz_cache *cache, const struct alz_flight *f,
			 u64 *owned)
{
	u64 waiters = check_queue(f, &f->able, true) +
		      check_queue(f, &f->waiters, false);

	check(!f->ended);
	check(f->refs >= 1 + waiters);
	if (alz_flight_idle(f)) {
		/* somebody is there to have it when its turn comes, and nobody before */
		check(!f->owner);
		check_eq(!!f->deadline.key, f->held);
		check(!alz_list_empty(&f->able));
		check(f->held || cache->max_inits);
		return;
	}
	if (!check(f->owner))
		return;
	check(!f->owner->dead);
	check(f->ticket && f->ticket <= cache->generation);
	++*owned;
}

static void check_record(struct bench *b, u64 slot, u64 word)
{
	struct alz_cache *cache = &b->cache;
	const struct asynclazy_record *r;
	const struct alz_segment *s;
	u64 offset = alz_slot_offset(word), first, dead = ASYNCLAZY_NEVER;

	if (!check(offset_is_given_out(b, offset)))
		return;
	r = alz_arena_record(&cache->arena, offset);
	s = alz_arena_segment(&cache->arena, offset);
	check(s->state == ALZ_SEGMENT_OPEN || s->state == ALZ_SEGMENT_FULL);
	check(alz_slot_tag(r->hash) == (word & ALZ_SLOT_TAG_MASK));
	check(r->generation && r->generation <= cache->generation);
	if (alz_slot_state(word) == ASYNCLAZY_SLOT_FAILED)
		check_eq(r->kind, ASYNCLAZY_RECORD_ERROR);
	else
		check(r->kind == ASYNCLAZY_RECORD_VALUE || r->kind == ASYNCLAZY_RECORD_MEMFD);
	if (r->flags & ASYNCLAZY_RECORD_TIMES)
		dead = alz_record_times(r)->dead_until;
	check(s->dead_until >= dead);
	/* it lies in one of its two buckets */
	first = alz_bucket_first(r->hash, cache->bucket_mask);
	check(slot / ASYNCLAZY_BUCKET_SLOTS == first ||
	      slot / ASYNCLAZY_BUCKET_SLOTS ==
	      alz_bucket_other(first, alz_slot_tag(r->hash), cache->bucket_mask));
}

static void check_table(struct bench *b, u64 states[4], u64 *refreshing)
{
	struct alz_cache *cache = &b->cache;
	u64 slots = (cache->bucket_mask + 1) * ASYNCLAZY_BUCKET_SLOTS, i;

	for (i = 0; i < slots; i++) {
		u64 word = cache->slots[i];

		states[alz_slot_state(word)]++;
		*refreshing += !!(word & ASYNCLAZY_SLOT_REFRESHING);
		if (word & ASYNCLAZY_SLOT_REFRESHING)
			check_eq(alz_slot_state(word), ASYNCLAZY_SLOT_FILLED);
		if (alz_slot_has_record(word))
			check_record(b, i, word);
		else
			check_eq(alz_slot_offset(word), 0);
	}
	check_eq(states[ASYNCLAZY_SLOT_FILLED], cache->header->keys);
	check_eq(states[ASYNCLAZY_SLOT_FAILED], cache->header->errors);
	check_eq(states[ASYNCLAZY_SLOT_INITIALIZING], cache->header->initializing);
}

static void check_flights(struct bench *b, u64 slots)
{
	struct alz_cache *cache = &b->cache;
	u64 flights = 0, owned = 0, tickets = 0, held = 0, i;
	const struct alz_list *at, *head;
	const u64 *slot;

	for (i = 0; i <= cache->flight_mask; i++) {
		head = &cache->by_key[i];
		for (at = head->next; at != head; at = at->next, flights++) {
			struct alz_flight *f = alz_entry(at, struct alz_flight, key_link);

			check_flight(cache, f, &owned);
			cache->lock.held = 1;
			slot = alz_flight_slot(cache, f);
			check(slot && (alz_slot_state(*slot) == ASYNCLAZY_SLOT_INITIALIZING ||
				       *slot & ASYNCLAZY_SLOT_REFRESHING));
			cache->lock.held = 0;
			held += f->held;
			check(!(f->held && f->queued));
		}
		tickets += count_list(&cache->by_ticket[i]);
	}
	check_eq(flights, slots);
	check_eq(cache->nr_held, held);
	check_eq(cache->nr_queued, count_list(&cache->queue));
	/* nobody waits for a turn while there is room */
	if (cache->nr_queued)
		check(cache->count.tickets_now >= cache->max_inits);
	flights -= cache->nr_queued + cache->nr_held;
	check_eq(tickets, flights);
	check_eq(owned, flights);
	check_eq(cache->count.tickets_now, flights);
	for (i = 0, tickets = 0; i < CLIENTS; i++)
		tickets += b->client[i].nr_tickets;
	check_eq(tickets, flights);
}

/* ---- flights that have ended, and what they hold ----------------------- */

struct ended {
	const struct alz_flight **flight;
	size_t n, room;
	u64 blocked;		/* waits that only their callers know */
};

static void ended_add(struct ended *e, const struct alz_waiter *w)
{
	if (!w->flight || !w->flight->ended || w->words)
		return;
	if (e->n == e->room) {
		void *more;

		e->room = e->room ? 2 * e->room : 64;
		more = realloc(e->flight, e->room * sizeof(*e->flight));
		assert_non_null(more);
		e->flight = more;
	}
	e->flight[e->n++] = w->flight;
}

static void ended_add_tree(struct ended *e, const struct alz_node *node)
{
	if (!node)
		return;
	ended_add(e, wait_of(node));
	ended_add_tree(e, node->child[0]);
	ended_add_tree(e, node->child[1]);
}

static int compare_pointers(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return (x > y) - (x < y);
}

static void check_clients(struct bench *b, struct ended *e)
{
	const struct alz_list *at;
	u64 waits = 0;
	int i;

	for (i = 0; i < CLIENTS; i++) {
		const struct alz_client *c = &b->client[i];
		u64 n;

		if (!c->cache)
			continue;
		n = count_tree(c, c->waits, 0, UINT64_MAX) + count_fd_waits(&c->fd_waits);
		check(n <= c->nr_waits);
		e->blocked += c->nr_waits - n;
		check_eq(count_list(&c->tickets), c->nr_tickets);
		if (!c->dead)
			check_eq(b->readable[i], !alz_list_empty(&c->ready));
		waits += c->nr_waits;
		ended_add_tree(e, c->waits);
		for (at = c->fd_waits.next; at != &c->fd_waits; at = at->next)
			ended_add(e, alz_entry(at, struct alz_waiter, fd_link));
		for (at = c->recent.next; at != &c->recent; at = at->next) {
			const struct alz_waiter *w = alz_entry(at, struct alz_waiter, link);

			check(!c->dead && w->client == c && w->reported);
			check_eq(w->kind, ALZ_WAIT_EVENT);
			ended_add(e, w);
		}
	}
	check_eq(waits, b->cache.count.waits_now);
}

/* Each word is here for somebody, who is on its queue, or was woken by way of it. */
static void check_words(struct bench *b)
{
	const struct alz_cache *cache = &b->cache;
	u64 waiting = 0, said = 0, i;

	for (i = 0; i <= cache->flight_mask; i++) {
		const struct alz_list *head = &cache->words_by_place[i], *at, *q;

		for (at = head->next; at != head; at = at->next) {
			const struct alz_word *word = alz_entry(at, struct alz_word, chain);
			u64 n = count_list(&word->waiters);

			check(word->refs >= 1 && word->refs >= n);
			for (q = word->waiters.next; q != &word->waiters; q = q->next) {
				const struct alz_word_entry *e =
					alz_entry(q, struct alz_word_entry, link);

				check(e->word == word);
				check_eq(e->waiter->state, ALZ_WAITING);
				check(e->waiter->flight == cache->woken);
			}
			if (word->object)
				continue;
			check_eq(cache->waiting[word->offset / sizeof(u32)], n);
			waiting += n;
		}
	}
	for (i = 0; i < cache->nr_words; i++)
		said += cache->waiting[i];
	check_eq(said, waiting);
}

/* Each flight that ended with a record is one hold of its segment. */
static void check_holds(struct bench *b, struct ended *e)
{
	struct alz_arena *arena = &b->cache.arena;
	u32 *holds = calloc(arena->nr_segments, sizeof(*holds));
	u64 missing = 0;
	size_t i, refs;

	assert_non_null(holds);
	if (e->n)
		qsort(e->flight, e->n, sizeof(*e->flight), compare_pointers);
	for (i = 0; i < e->n; i += refs) {
		const struct alz_flight *f = e->flight[i];
		u64 segment = f->offset >> arena->segment_shift;

		for (refs = 1; i + refs < e->n && e->flight[i + refs] == f; refs++)
			;
		check(f->refs >= refs && f->refs <= refs + e->blocked);
		if (f->offset == ASYNCLAZY_NO_RECORD || arena->stable) {
			check(!f->hold);
			continue;
		}
		if (!check(segment < arena->nr_segments))
			continue;
		check(f->hold == &arena->segments[segment].holds);
		check(arena->segments[segment].state >= ALZ_SEGMENT_OPEN);
		holds[segment]++;
	}
	for (i = 0; i < arena->nr_segments; i++) {
		if (check(arena->segments[i].holds >= holds[i]))
			missing += arena->segments[i].holds - holds[i];
	}
	check(missing <= e->blocked);
	free(holds);
}

/* ---- the arena --------------------------------------------------------- */

static u64 check_segment_list(const struct alz_list *head, u8 state)
{
	const struct alz_list *at;

	for (at = head->next; at != head; at = at->next)
		check_eq(alz_entry(at, struct alz_segment, link)->state, state);
	return count_list(head);
}

/* Its records and holes fill it to its head. */
static void check_walk(struct alz_arena *arena, u32 index)
{
	const struct alz_segment *s = &arena->segments[index];
	u64 offset = (u64)index << arena->segment_shift, end = offset + s->head;

	while (offset < end) {
		const struct asynclazy_record *r = alz_arena_record(arena, offset);

		if (!check(r->granules) || !check(r->kind >= ASYNCLAZY_RECORD_VALUE) ||
		    !check(r->kind <= ASYNCLAZY_RECORD_HOLE))
			return;
		offset += (u64)r->granules << ASYNCLAZY_GRANULE_SHIFT;
	}
	check_eq(offset, end);
}

static void check_segment(struct bench *b, u32 index, u64 *writers, u64 *used)
{
	struct alz_arena *arena = &b->cache.arena;
	const struct alz_segment *s = &arena->segments[index];
	bool filled = s->state == ALZ_SEGMENT_OPEN || s->state == ALZ_SEGMENT_FULL;
	int i;

	check_eq(!arena->memory[index], s->state == ALZ_SEGMENT_EMPTY);
	check(s->head <= 1ULL << arena->segment_shift);
	for (i = 0; i < ALZ_FILLS; i++)
		check_eq(arena->open[i] == index,
			 s->state == ALZ_SEGMENT_OPEN && s->fill == i);
	if (s->state == ALZ_SEGMENT_OPEN)
		check(alz_list_empty((struct alz_list *)&s->link));
	if (filled) {
		*used += s->head;
		if (!s->writers)
			check_walk(arena, index);
	} else {
		check_eq(s->writers, 0);
	}
	if (s->state <= ALZ_SEGMENT_FREE)
		check_eq(s->holds, 0);
	if (s->state == ALZ_SEGMENT_RETIRED && s->holds)
		check(s->pinned);
	*writers += s->writers;
}

static void check_arena(struct bench *b)
{
	struct alz_arena *arena = &b->cache.arena;
	u64 states[ALZ_SEGMENT_RETIRED + 1] = { 0 }, writers = 0, used = 0, memory = 0;
	const struct alz_list *at;
	bool hand = arena->hand == &arena->full;
	u32 i, open = arena->open[ALZ_FILL_NEW];

	check_eq(arena->room_lock.held, 0);
	for (i = 0; i < arena->nr_segments; i++) {
		states[arena->segments[i].state]++;
		memory += !!arena->memory[i];
		check_segment(b, i, &writers, &used);
	}
	check_eq(check_segment_list(&arena->empty, ALZ_SEGMENT_EMPTY),
		 states[ALZ_SEGMENT_EMPTY]);
	check_eq(check_segment_list(&arena->free, ALZ_SEGMENT_FREE),
		 states[ALZ_SEGMENT_FREE]);
	check_eq(check_segment_list(&arena->full, ALZ_SEGMENT_FULL),
		 states[ALZ_SEGMENT_FULL]);
	check_eq(check_segment_list(&arena->retired, ALZ_SEGMENT_RETIRED),
		 states[ALZ_SEGMENT_RETIRED]);
	for (at = arena->full.next; at != &arena->full; at = at->next)
		hand |= at == arena->hand;
	check(hand);
	check_eq(arena->nr_free, states[ALZ_SEGMENT_FREE]);
	check_eq(arena->nr_full, states[ALZ_SEGMENT_FULL]);
	check_eq(arena->nr_held, states[ALZ_SEGMENT_RETIRED]);
	check_eq(arena->allocated, memory << arena->segment_shift);
	check(arena->allocated <= alz_arena_limit(arena));
	check_eq(writers, b->open);
	if (arena->stable)
		used = open == ALZ_NO_SEGMENT ? 0 :
			((u64)open << arena->segment_shift) + arena->segments[open].head;
	check_eq(arena->used, used);
	check_eq(b->cache.header->arena_used, used);
}

/* ---- blobs ------------------------------------------------------------- */

static void check_blobs(struct bench *b, const struct ended *e)
{
	struct alz_cache *cache = &b->cache;
	u64 kept = 0, bytes = 0, memfds = 0, i;
	const struct alz_list *at;

	for (i = 0; i <= cache->flight_mask; i++) {
		const struct alz_list *head = &cache->blobs_by_generation[i];

		count_list(head);
		for (at = head->next; at != head; at = at->next) {
			struct alz_blob *blob = alz_entry(at, struct alz_blob, chain);
			u64 refs = blob->kept, j;

			check_eq(blob->generation & cache->flight_mask, i);
			check_eq(blob->kept, !alz_list_empty(&blob->link));
			for (j = 0; j < e->n; j++)
				refs += e->flight[j]->blob == blob &&
					(!j || e->flight[j - 1] != e->flight[j]);
			check(blob->refs >= refs);
			kept += blob->kept;
		}
	}
	for (at = cache->blobs.next; at != &cache->blobs; at = at->next) {
		const struct alz_blob *blob = alz_entry(at, struct alz_blob, link);
		const struct asynclazy_record *r;
		u64 *slot;

		check(blob->kept);
		bytes += blob->size;
		cache->lock.held = 1;
		slot = alz_table_find_offset(cache, blob->hash, blob->offset);
		cache->lock.held = 0;
		if (!check(slot))
			continue;
		r = alz_arena_record(&cache->arena, blob->offset);
		check_eq(r->kind, ASYNCLAZY_RECORD_MEMFD);
		check_eq(r->generation, blob->generation);
	}
	check_eq(count_list(&cache->blobs), cache->nr_blobs);
	check_eq(kept, cache->nr_blobs);
	check_eq(bytes, cache->arena.blob_bytes);
	for (i = 0; i < (cache->bucket_mask + 1) * ASYNCLAZY_BUCKET_SLOTS; i++) {
		u64 word = cache->slots[i];

		memfds += alz_slot_has_record(word) &&
			alz_arena_record(&cache->arena, alz_slot_offset(word))->kind ==
			ASYNCLAZY_RECORD_MEMFD;
	}
	check_eq(memfds, cache->nr_blobs);
}

void check_consistent(struct bench *b)
{
	struct ended e = { 0 };
	u64 states[4] = { 0 }, refreshing = 0;

	check_eq(b->cache.lock.held, 0);
	check_table(b, states, &refreshing);
	check_flights(b, states[ASYNCLAZY_SLOT_INITIALIZING] + refreshing);
	check_clients(b, &e);
	check_holds(b, &e);
	check_words(b);
	check_arena(b);
	check_blobs(b, &e);
	free(e.flight);
}
