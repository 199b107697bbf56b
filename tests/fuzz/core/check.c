// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The shared memory beside the model: table, records, figures, and what the
 * library's reader finds. Written from the uAPI header, not from the core.
 */
#include "world.h"

static u64 bucket_of(const struct world_cache *c, u64 hash, int which)
{
	u64 mask = c->core.header->bucket_count - 1;
	u64 first = hash & mask;

	return which ? first ^ ((((hash >> 40) * ASYNCLAZY_TAG_SPREAD) | 1) & mask) : first;
}

static const u64 *slots_of(const struct world_cache *c)
{
	return (const u64 *)((const char *)c->core.header + c->core.header->header_size);
}

static u64 word_of(u64 state, u64 hash, u64 offset)
{
	return state | (hash >> 40) << 3 | (offset >> 6) << 27;
}

/* In how many slots of its candidate buckets a word is. */
static int count_word(const struct world_cache *c, u64 hash, u64 word)
{
	const u64 *slots = slots_of(c);
	int n = 0, which, i;

	for (which = 0; which < 2; which++) {
		u64 b = bucket_of(c, hash, which);

		if (which && b == bucket_of(c, hash, 0))
			break;
		for (i = 0; i < 8; i++)
			n += slots[b * 8 + i] == word;
	}
	return n;
}

static u64 entry_word(const struct m_entry *e)
{
	return word_of(e->is_error ? ASYNCLAZY_SLOT_FAILED : ASYNCLAZY_SLOT_FILLED,
		       e->hash, e->offset);
}

bool in_table(struct world_cache *c, const struct m_entry *e)
{
	return count_word(c, e->hash, entry_word(e));
}

/* The record at @offset is @e, in each byte (or, if long, at both ends). */
void check_record(struct world_cache *c, u64 offset, const struct m_entry *e, bool whole)
{
	u64 segment = 1ULL << c->core.header->segment_shift;
	const struct asynclazy_record *r = (const void *)(c->arena.bytes + offset);
	u64 ttl = e->timed ? 1 : 0;
	u32 key_size;
	const void *key = key_bytes(e->key, &key_size);
	u64 size = m_record_size(key_size, e->size, ttl);
	const u8 *value = c->arena.bytes + offset + m_value_at(key_size);

	fuzz_check(offset % 64 == 0 && offset + size <= c->core.header->arena_used &&
		   offset / segment == (offset + size - 1) / segment,
		   "record at %#llx lies badly", offset);
	fuzz_check(r->hash == e->hash && r->key_size == key_size &&
		   !memcmp(r + 1, key, key_size), "record at %#llx has another key", offset);
	fuzz_check(r->generation && r->generation <= c->core.header->generation &&
		   (!e->generation || r->generation == e->generation),
		   "record at %#llx has generation %llu, not %llu", offset, r->generation,
		   (u64)e->generation);
	fuzz_check(r->kind == (e->is_error ? ASYNCLAZY_RECORD_ERROR : ASYNCLAZY_RECORD_VALUE) &&
		   r->error == e->error && r->granules == size / 64 &&
		   r->flags == (e->timed ? ASYNCLAZY_RECORD_TIMES : 0) &&
		   r->took <= c->model.now,
		   "record at %#llx has a wrong head", offset);
	fuzz_check(r->value_size == e->size, "record at %#llx has %llu bytes of value, not %llu",
		   offset, r->value_size, (u64)e->size);
	if (whole || e->size <= 256)
		fuzz_check(!memcmp(value, e->bytes, e->size),
			   "record at %#llx has a wrong value", offset);
	else
		fuzz_check(!memcmp(value, e->bytes, 128) &&
			   !memcmp(value + e->size - 128, e->bytes + e->size - 128, 128),
			   "record at %#llx has a wrong value", offset);
	if (e->timed) {
		const struct asynclazy_times *t = (const void *)
			((const char *)value + (e->size + 7) / 8 * 8);

		fuzz_check(t->dead_until == e->dead_until && t->published == e->published &&
			   t->fresh_until <= t->stale_until &&
			   t->stale_until <= t->dead_until,
			   "record at %#llx dies at %llu, not at %llu", offset,
			   t->dead_until, (u64)e->dead_until);
	}
}

/* What was refused is nobody's to see. */
void check_given_back(struct world_cache *c, const struct m_reservation *r)
{
	u64 head = sizeof(struct asynclazy_record);
	const u8 *p = c->arena.bytes + r->offset + head;

	fuzz_check(!*p && !memcmp(p, p + 1, r->record_size - head - 1),
		   "a value that was given up can be read at %#llx", (u64)r->offset);
}

/* What the library's reader finds under a key is what the model has. */
void check_key(struct world_cache *c, int key, u64 hash)
{
	const struct model *m = &c->model;
	int i = m_entry_find(m, key, hash);
	const struct m_entry *e = i < 0 ? NULL : &m->entry[i];
	const struct asynclazy_record *r;
	struct alz_found found;
	u32 key_size;
	const void *bytes = key_bytes(key, &key_size);

	r = alz_reader_find(&c->view, bytes, key_size, hash);
	if (!e || !m_entry_alive(m, e)) {
		fuzz_check(!r, "the reader finds key %d, which is %s", key,
			   e ? "dead" : "not there");
	} else {
		fuzz_check(r, "the reader misses key %d", key);
		fuzz_check((const u8 *)r == c->arena.bytes + e->offset,
			   "the reader finds another record for key %d", key);
		check_record(c, e->offset, e, true);
	}
	found = alz_reader_get(&c->view, bytes, key_size);
	if (found.hash == hash)
		fuzz_check(found.record == r, "the reader's two ways differ for key %d", key);
}

/* Each entry and each flight has one slot, and there are no others. */
void check_table(struct world_cache *c)
{
	const struct model *m = &c->model;
	const u64 *slots = slots_of(c);
	u64 n = c->core.header->bucket_count * 8, used = 0, expected = 0, i;
	int k, l;

	if (c->checked == fuzz_os.stores)
		return;
	c->checked = fuzz_os.stores;
	for (i = 0; i < n; i++)
		used += slots[i] != 0;
	for (k = 0; k < m->entries; k++) {
		const struct m_entry *e = &m->entry[k];

		if (!e->used)
			continue;
		expected++;
		fuzz_check(count_word(c, e->hash, entry_word(e)) == 1,
			   "key %d (hash %#llx, record %#llx) is in %d slots", e->key,
			   (u64)e->hash, (u64)e->offset, count_word(c, e->hash, entry_word(e)));
		check_record(c, e->offset, e, false);
	}
	for (k = 0; k < m->flights; k++) {
		const struct m_flight *f = &m->flight[k];
		int same = 0;

		if (!f->running)
			continue;
		expected++;
		/* those of one tag and one pair of buckets are as good as one another */
		for (l = 0; l < m->flights; l++) {
			const struct m_flight *o = &m->flight[l];

			same += o->running && o->hash >> 40 == f->hash >> 40 &&
				(bucket_of(c, o->hash, 0) == bucket_of(c, f->hash, 0) ||
				 bucket_of(c, o->hash, 0) == bucket_of(c, f->hash, 1));
		}
		fuzz_check(count_word(c, f->hash, word_of(ASYNCLAZY_SLOT_INITIALIZING,
							  f->hash, 0)) == same,
			   "key %d is in the making and has no slot", f->key);
	}
	fuzz_check(used == expected, "%llu slots are used, not %llu", used, expected);
}

/*
 * ENOSPC for a new key: both its buckets are full, of what is not dead, and none
 * of their slots could move to its other bucket.
 */
void check_no_room(struct world_cache *c, u64 hash)
{
	const struct model *m = &c->model;
	const u64 *slots = slots_of(c);
	u64 mask = c->core.header->bucket_count - 1;
	int which, i, k;

	for (which = 0; which < 2; which++) {
		u64 b = bucket_of(c, hash, which);

		for (i = 0; i < 8; i++) {
			u64 word = slots[b * 8 + i];
			u64 spread = ((word >> 3 & 0xffffff) * ASYNCLAZY_TAG_SPREAD) | 1;
			u64 other = b ^ (spread & mask);

			fuzz_check(word, "ENOSPC, and bucket %llu has room", b);
			for (k = 0; k < 8; k++)
				fuzz_check(slots[other * 8 + k],
					   "ENOSPC, and bucket %llu, where one could move, has room",
					   other);
		}
	}
	for (k = 0; k < m->entries; k++) {
		const struct m_entry *e = &m->entry[k];

		if (!e->used || m_entry_alive(m, e))
			continue;
		for (which = 0; which < 2; which++)
			for (i = 0; i < 8; i++)
				fuzz_check(slots[bucket_of(c, hash, which) * 8 + i] !=
					   entry_word(e),
					   "ENOSPC, and a dead record is in the way");
	}
}

/*
 * A call that needed a slot may have taken one from a dead record, in one of
 * the new key's buckets; and while a CLEAR runs, records may go that it would
 * take anyway.
 */
void absorb_vanished(struct world_cache *c, int key, u64 hash)
{
	struct model *m = &c->model;
	int k, taken = 0;

	if (c->checked == fuzz_os.stores)
		return;
	for (k = 0; k < m->entries; k++) {
		const struct m_entry *e = &m->entry[k];
		bool dead, cleared;
		u64 b;

		if (!e->used || in_table(c, e) || (e->key == key && e->hash == hash))
			continue;
		b = bucket_of(c, e->hash, 0);
		dead = !m_entry_alive(m, e) && !taken &&
		       (b == bucket_of(c, hash, 0) || b == bucket_of(c, hash, 1) ||
			bucket_of(c, e->hash, 1) == bucket_of(c, hash, 0) ||
			bucket_of(c, e->hash, 1) == bucket_of(c, hash, 1));
		cleared = c->clear && e->generation <= c->clear->mark;
		fuzz_check(dead || cleared, "key %d is lost from the table", e->key);
		if (!dead)
			c->clear->count++;
		else if (cleared)
			c->clear->unsure++;
		taken += dead;
		m_entry_forget(m, k);
	}
}

void check_stats(struct world_cache *c)
{
	struct asynclazy_stats is, ought;
	const char *at = (const char *)&is;
	size_t i;

	memset(&is, 0, sizeof(is));
	alz_cache_stats(&c->core, &is);
	m_stats(&c->model, &ought);
	for (i = offsetof(struct asynclazy_stats, out_claims); i < sizeof(is); i += 8) {
		u64 a, b;

		memcpy(&a, at + i, 8);
		memcpy(&b, (const char *)&ought + i, 8);
		fuzz_check(a == b, "figure %zu of the stats is %llu, not %llu",
			   (i - offsetof(struct asynclazy_stats, out_claims)) / 8, a, b);
	}
	fuzz_check(c->core.header->generation == c->model.generation,
		   "the generation is %llu, not %llu", c->core.header->generation,
		   (u64)c->model.generation);
}

void check_header(const struct asynclazy_header *h, const struct alz_geometry *g)
{
	u64 slots = h->bucket_count * 8, segment = 1ULL << h->segment_shift;

	fuzz_check(h->magic == ASYNCLAZY_MAGIC && h->abi_version == ASYNCLAZY_ABI_VERSION &&
		   h->header_size == ASYNCLAZY_HEADER_SIZE && h->granule_shift == 6 &&
		   h->features == (ASYNCLAZY_FEATURE_STABLE | ASYNCLAZY_FEATURE_MEMFD |
				   ASYNCLAZY_FEATURE_REFRESH) &&
		   !h->visited_size && !h->pins_size && h->budget == h->arena_size && h->flags == g->flags &&
		   h->key_max == ASYNCLAZY_KEY_MAX && h->cache_id == g->cache_id &&
		   h->hash_seed == g->hash_seed, "the header's constants are wrong");
	fuzz_check(h->bucket_count && !(h->bucket_count & (h->bucket_count - 1)) &&
		   slots > g->max_keys && slots <= g->max_keys * 8 + 8,
		   "%llu buckets for %llu keys", h->bucket_count, g->max_keys);
	fuzz_check(h->table_size % 4096 == 0 && h->table_size >= 4096 + slots * 8 &&
		   h->table_size < 8192 + slots * 8, "a table of %llu bytes", h->table_size);
	fuzz_check(segment >= 65536 && segment <= 64 << 20 &&
		   (!g->segment_size || segment == g->segment_size),
		   "segments of %llu bytes", segment);
	fuzz_check(h->arena_size % segment == 0 && h->arena_size >= g->arena_size &&
		   h->arena_size < g->arena_size + segment, "an arena of %llu bytes",
		   h->arena_size);
	/* the largest value fits, with the longest key, and not much is lost */
	fuzz_check(m_record_size(ASYNCLAZY_KEY_MAX, h->value_max, 1) <= segment &&
		   m_record_size(ASYNCLAZY_KEY_MAX, h->value_max, 1) + 128 > segment,
		   "values of up to %llu bytes in segments of %llu", h->value_max, segment);
}
