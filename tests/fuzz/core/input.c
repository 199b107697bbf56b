// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What the bytes of an input stand for: keys, hashes, sizes, times, tickets. */
#include <stdlib.h>

#include "world.h"

#define NEVER	ASYNCLAZY_NEVER
#define SEC	1000000000ULL

static u64 scatter(u64 x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/* Keys of all sizes, at the edges of what compares and copies them. */
const void *key_bytes(int key, u32 *size)
{
	static const u16 sizes[32] = {
		1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63,
		64, 65, 80, 81, 127, 128, 255, 1024, 4096, 4095,
		16, 16, 16, 16, 16, 16,
	};
	static u8 keys[KEYS][ASYNCLAZY_KEY_MAX];
	static bool made;
	int k;

	for (k = 0; !made && k < KEYS; k++) {
		/* the last of sizes[] differ in their last byte only */
		memset(keys[k], k >= 26 && k < 32 ? '=' : k, sizeof(keys[k]));
		keys[k][k < 32 ? sizes[k] - 1 : 3] = k;
	}
	made = true;
	*size = key < 32 ? sizes[key] : 4;
	return keys[key];
}

/* The honest hash, or one that collides with others in one way or another. */
u64 key_hash(struct world_cache *c, int key, int lie)
{
	u64 mask = c->core.header->bucket_count - 1;
	u32 size;
	const void *bytes = key_bytes(lie == 3 ? key ^ 1 : key, &size);
	u64 honest = alz_reader_hash(&c->view, bytes, size);
	u64 tag = honest >> 40;

	switch (lie) {
	case 1:
		return 0;	/* all in one slot's place */
	case 2:
		return (u64)key << 40;	/* all in one bucket */
	case 4:
		return honest ^ 1ULL << 40;	/* the tag is off by one bit */
	case 5:
		return honest ^ (((tag * ASYNCLAZY_TAG_SPREAD) | 1) & mask);
	case 6:
		return (u64)(key & 7) << 40 | 0xffffffffffULL;	/* the last bucket */
	case 7:
		return (u64)(key & 3) << 40 | (key >> 2 & 1);
	default:	/* 3: another key's */
		return honest;
	}
}

/* What a value, or an error's text, is made of: looks random, and is constant. */
const u8 *value_bytes(u64 serial)
{
	static u64 *bytes;
	u64 words = (ARENA_BYTES + 65536) / 8, i;

	if (!bytes) {
		bytes = malloc(words * 8);
		fuzz_check(bytes, "out of memory");
		for (i = 0; i < words; i++)
			bytes[i] = scatter(i + 1);
	}
	return (const u8 *)bytes + serial * 37 % 65536;
}

u64 op_ttl(const struct world_cache *c, u8 x)
{
	u64 now = c->model.now;

	switch (x % 16) {
	case 0: return 1;
	case 1: return 1000;
	case 2: case 3: return SEC;
	case 4: return 2 * SEC;
	case 5: return NEVER;
	case 6: return NEVER - 1;
	case 7: return NEVER - now;
	case 8: return NEVER - now - 1;
	default: return 0;
	}
}

u64 op_value_size(const struct world_cache *c, u32 key_size, u8 x, u8 y, u64 ttl)
{
	u64 segment = c->model.segment_size, max = c->model.value_max;
	u64 head = m_value_at(key_size) + (m_ttl_ends(ttl) ? 32 : 0);
	u64 left = segment - c->model.head % segment;

	switch (x % 32) {
	case 0: case 1: return 0;
	case 2: case 3: return 1;
	case 4: return max;
	case 5: return max + 1;
	case 6: return max - y;
	case 7: return 1ULL << 40;
	case 8: return NEVER;
	/* to the edge of a granule, and one more or less */
	case 9: case 10: return (64 - head % 64) % 64 + 64ULL * (y % 4);
	case 11: return (64 - head % 64) % 64 + 64ULL * (y % 4) + 1;
	case 12: return (64 - head % 64) % 64 + 64ULL * (y % 4) + 63;
	/* to the end of the segment, and one more or less */
	case 13: case 14: return left > head ? left - head : 0;
	case 15: return left > head ? left - head + 1 : 1;
	case 16: return left > head ? left - head - 1 : 0;
	case 17: return left > head + 64 ? left - head - 64 : 0;
	case 18: case 19: return y * 256ULL;
	default: return y % 64;
	}
}

void op_cache_geometry(u8 keys, u8 arena, struct alz_geometry *g)
{
	/* so that there are 1, 2, 4, … buckets, and 64 and more: CLEAR breathes */
	static const u16 max_keys[] = {
		1, 4, 5, 8, 7, 15, 16, 2, 32, 33, 112, 113, 225, 448, 1000, 2049,
	};
	static const struct { u64 size, segment; } arenas[] = {
		{ 1 << 16, 1 << 16 }, { 2 << 16, 1 << 16 }, { 1, 1 << 16 }, { 65537, 0 },
		{ 4 << 16, 1 << 16 }, { 3 << 16, 1 << 17 }, { 16 << 16, 1 << 16 },
		{ 1000, 0 }, { 3 << 16, 1 << 16 }, { 128 << 16, 1 << 16 },
		{ 8 << 16, 1 << 18 }, { 1 << 20, 0 }, { 3 << 20, 0 }, { 8 << 20, 0 },
		{ 64 << 20, 64 << 20 }, { 1ULL << 36, 0 },
	};

	g->max_keys = max_keys[keys % ARRAY_SIZE(max_keys)];
	/* mostly the small ones, which fill */
	arena = arena & 128 ? arena % ARRAY_SIZE(arenas) : arena % 8;
	g->arena_size = arenas[arena].size;
	g->segment_size = arenas[arena].segment;
}

void op_odd_geometry(const struct op *op, struct alz_geometry *g)
{
	static const u64 sizes[] = {
		0, 1, 2, 3, 4, 7, 8, 56, 57, 1000, 4096, 65535, 65536, 65537, 98304, 131072,
		1 << 20, (1 << 20) + 1, 5 << 20, 64 << 20, (64 << 20) + 1, 128 << 20,
		1ULL << 32, (1ULL << 32) + 1, 1ULL << 36, (1ULL << 36) + 1, 1ULL << 37,
		1ULL << 40, (1ULL << 43) - 1, 1ULL << 43, (1ULL << 43) + 1, ~0ULL,
	};

	g->max_keys = sizes[op->a % ARRAY_SIZE(sizes)];
	g->arena_size = sizes[op->b % ARRAY_SIZE(sizes)];
	g->segment_size = op->c & 1 ? 0 : sizes[op->c / 2 % ARRAY_SIZE(sizes)];
}

/* A ticket of a running flight, or an old one, or none at all; and whose. */
u64 op_ticket(const struct op *op, struct world_cache *c, int *client)
{
	const struct model *m = &c->model;
	int running[M_FLIGHTS];
	unsigned int how = op->b % 8, nth = op->b / 8;
	int n = 0, i, f;

	if (how == 7) {
		const u64 odd[] = { 0, 1, m->generation, m->generation + 1, NEVER };

		return odd[nth % ARRAY_SIZE(odd)];
	}
	if (how == 5 && m->pasts) {
		i = nth % (m->pasts < M_HISTORY ? m->pasts : M_HISTORY);
		f = m->past_owner[i];
		if (world.client[f].core && !world.client[f].dying && cache_of(f) == c)
			*client = f;
		return m->past[i];
	}
	f = m_flight_find(m, op->key & world.key_mask, key_hash(c, op->key & world.key_mask,
								op->who >> 3 & 7));
	for (i = 0; f < 0 && i < m->flights; i++)
		if (m->flight[i].running)
			running[n++] = i;
	if (n)
		f = running[nth % n];
	if (f < 0)
		return m->generation;
	if (how != 6 && !world.client[m->flight[f].owner].dying)
		*client = m->flight[f].owner;
	return m->flight[f].ticket;
}

void op_random(struct op *op, u64 (*random)(void))
{
	u64 x = random(), y = random();

	*op = (struct op){
		.code = x, .who = x >> 8, .key = x >> 16, .a = x >> 24,
		.b = x >> 32, .c = x >> 40, .d = x >> 48,
	};
	/* most are honest, and most are not disturbed */
	if (y % 8)
		op->who &= ~(7 << 3);
	if (y >> 3 & 1)
		op->key &= 7;
	if (!(y >> 4 & 7))
		op->fault = 1 + (y >> 8 & 3);
	if (!(y >> 16 & 3))
		op->fault |= y >> 20 & 0x30;
}

void head_random(u8 head[8], u64 (*random)(void))
{
	u64 x = random();
	int i;

	for (i = 0; i < 8; i++)
		head[i] = x >> 8 * i;
}
