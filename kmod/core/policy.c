// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What stays and what goes, in a cache that is not STABLE.
 *
 * The full segments are a log, oldest first, with a hand in it. The segment at
 * the hand is the next to be emptied; then the hand goes on to the one after it,
 * and from the youngest back to the oldest. What was read since the hand was
 * here last is kept: it is copied to a segment that stands behind the hand, in
 * the place of those that were emptied. So what is read stays among the old,
 * where the hand comes by rarely, and what is new but not read goes soon: a scan
 * does not push out what is asked for often. (This is SIEVE by segments.) The
 * figures are in Documentation/eviction.md.
 *
 * All that readers do for it is to set a bit: see VISITED in the uAPI header.
 */
#include "core.h"

/** alz_policy_add() - a segment is full */
void alz_policy_add(struct alz_arena *arena, struct alz_segment *s)
{
	/* before the hand, or as the youngest */
	alz_list_add_tail(&s->link, s->fill == ALZ_FILL_KEPT ? arena->hand : &arena->full);
	arena->nr_full++;
}

/** alz_policy_del() - it has been emptied */
void alz_policy_del(struct alz_arena *arena, struct alz_segment *s)
{
	if (arena->hand == &s->link)
		arena->hand = s->link.next;
	alz_list_del(&s->link);
	arena->nr_full--;
}

/**
 * alz_policy_victim() - the segment that is to be emptied next
 * @arena: the arena
 * @now: what is dead by then goes first, wherever it is
 *
 * Return: it stays in the log; NULL if there is none that nobody writes to.
 */
struct alz_segment *alz_policy_victim(struct alz_arena *arena, u64 now)
{
	struct alz_segment *best = NULL;
	struct alz_list *at;
	u32 n;

	if (arena->hand == &arena->full)
		arena->hand = arena->full.next;
	at = arena->hand;
	for (n = 0; n < ALZ_BATCH && n < arena->nr_full; n++, at = at->next) {
		struct alz_segment *s;

		if (at == &arena->full)
			at = at->next;
		s = alz_entry(at, struct alz_segment, link);
		if (s->writers)
			continue;
		if (s->dead_until <= now)
			return s;
		if (!best)
			best = s;
	}
	if (best)
		arena->hand = &best->link;
	return best;
}

static u8 *alz_visited_byte(struct alz_cache *cache, const u64 *slot, u8 *bit)
{
	u64 n = slot - cache->slots;

	*bit = 1 << (n % ASYNCLAZY_BUCKET_SLOTS);
	return &cache->visited[n / ASYNCLAZY_BUCKET_SLOTS];
}

/** alz_visited() - whether the record of a slot was read lately; clients may lie */
bool alz_visited(struct alz_cache *cache, const u64 *slot)
{
	u8 bit, *byte;

	if (!cache->visited)
		return false;
	byte = alz_visited_byte(cache, slot, &bit);
	return alz_os_load_byte(byte) & bit;
}

/** alz_visited_set() - it was, or begins anew */
void alz_visited_set(struct alz_cache *cache, const u64 *slot, bool visited)
{
	u8 bit, *byte;
	u8 old;

	if (!cache->visited)
		return;
	byte = alz_visited_byte(cache, slot, &bit);
	old = alz_os_load_byte(byte);
	/* others may change the byte meanwhile: a bit that is lost is a hint lost */
	if (!(old & bit) != !visited)
		alz_os_store_byte(byte, visited ? old | bit : old & ~bit);
}
