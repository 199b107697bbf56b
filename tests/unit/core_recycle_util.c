// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* See core_recycle_util.h. */
#include <stdio.h>
#include <stdlib.h>

#include "core_recycle_util.h"

const char *name_of(u32 i)
{
	static char names[4][16];
	static unsigned int n;
	char *name = names[n++ % 4];

	snprintf(name, sizeof(names[0]), "key %u", i);
	return name;
}

static void bytes_write(u8 *p, u64 size, u32 i)
{
	u64 at;

	for (at = 0; at < size; at++)
		p[at] = (i * 2654435761U >> 11) + at * 31;
}

int put_for(struct bench *b, u32 i, u64 size, u64 ttl)
{
	static u8 bytes[SEGMENT];

	bytes_write(bytes, size, i);
	return set(b, 0, name_of(i), bytes, size, ttl);
}

int put(struct bench *b, u32 i, u64 size)
{
	return put_for(b, i, size, 0);
}

static u64 *slot_of(struct bench *b, u32 i)
{
	const char *key = name_of(i);
	u64 *slot;

	alz_os_lock(&b->cache.lock);
	slot = alz_table_find(&b->cache, key, strlen(key), hash_of(key, strlen(key)));
	alz_os_unlock(&b->cache.lock);
	return slot;
}

u64 where(struct bench *b, u32 i)
{
	u64 *slot = slot_of(b, i);

	return slot ? alz_slot_offset(*slot) : ASYNCLAZY_NO_RECORD;
}

bool bytes_are(struct bench *b, u64 offset, u32 i)
{
	const struct asynclazy_record *r = alz_arena_record(&b->cache.arena, offset);
	const char *key = name_of(i);
	static u8 bytes[SEGMENT];

	if (r->kind != ASYNCLAZY_RECORD_VALUE || r->value_size > SEGMENT ||
	    r->key_size != strlen(key) || memcmp(r + 1, key, strlen(key)))
		return false;
	bytes_write(bytes, r->value_size, i);
	return !memcmp(alz_record_value(r), bytes, r->value_size);
}

bool has(struct bench *b, u32 i)
{
	u64 offset = where(b, i);

	return offset != ASYNCLAZY_NO_RECORD && bytes_are(b, offset, i);
}

u32 count_keys(struct bench *b, u32 from, u32 to)
{
	u32 n = 0;

	for (; from < to; from++) {
		if (where(b, from) == ASYNCLAZY_NO_RECORD)
			continue;
		check(has(b, from));
		n++;
	}
	return n;
}

bool visit(struct bench *b, u32 i)
{
	u64 *slot = slot_of(b, i);
	u64 n = slot - b->cache.slots;

	if (slot)
		b->cache.visited[n / ASYNCLAZY_BUCKET_SLOTS] |= 1 << n % ASYNCLAZY_BUCKET_SLOTS;
	return slot;
}

void fill_up(struct bench *b, u32 *next, u64 size)
{
	const struct alz_arena *arena = &b->cache.arena;
	u64 record = alz_record_size(strlen(name_of(10000)), size, false);

	/* one segment is being filled, and one is for reclaim */
	while (arena->nr_full + 2 < arena->budget >> arena->segment_shift ||
	       arena->segments[arena->open[ALZ_FILL_NEW]].head + record <= SEGMENT)
		check_eq(put(b, (*next)++, size), 0);
	check_eq(b->cache.count.reclaims, 0);
}

void churn(struct bench *b, u32 *next, u64 size, u64 reclaims)
{
	while (b->cache.count.reclaims < reclaims && !check_failures())
		check_eq(put(b, (*next)++, size), 0);
}

struct alz_segment *segment_of(struct bench *b, u64 offset)
{
	return alz_arena_segment(&b->cache.arena, offset);
}

/* ---- files ------------------------------------------------------------- */

struct alz_blob *blob_new(int *file, u64 size)
{
	struct alz_blob *blob = alz_blob_new(file, size, 4096);

	if (blob)
		++*file;
	return blob;
}

int publish_blob(struct bench *b, int who, u64 ticket, struct alz_blob *blob, bool keep,
		 u64 ttl, struct alz_reservation *r)
{
	const struct alz_ttl t = { .ttl = ttl };

	return alz_publish_blob(&b->client[who], ticket, blob, keep, &t, r);
}

int set_blob(struct bench *b, int who, const char *key, struct alz_blob *blob, u64 ttl,
	     struct alz_reservation *r)
{
	const struct alz_ttl t = { .ttl = ttl };

	return alz_set_blob(&b->client[who], key, strlen(key), hash_of(key, strlen(key)),
			    blob, &t, r);
}

int put_blob(struct bench *b, const char *key, u64 size, int *file)
{
	struct alz_blob *blob = blob_new(file, size);
	struct alz_reservation r = { 0 };
	int err;

	if (!blob)
		return -ENOMEM;
	err = set_blob(b, 0, key, blob, 0, &r);
	alz_blob_release(&b->cache, blob);
	return err;
}

bool blob_is_found(struct bench *b, u64 generation)
{
	struct alz_blob *blob = alz_blob_get(&b->client[0], generation);

	if (!blob)
		return false;
	check_eq(blob->generation, generation);
	alz_blob_release(&b->cache, blob);
	return true;
}
