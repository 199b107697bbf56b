// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Policies for a log of segments. A record is appended to the open segment of
 * a log, and never moves but by being copied. A hit sets one bit. To reclaim is
 * to take a whole segment: some of its visited records are copied forward,
 * with the bit cleared, and the others are dropped.
 */
#include <stdlib.h>

#include "policy.h"

#define NONE	UINT32_MAX

struct segment {
	uint32_t *key;		/* its records */
	uint32_t records;
	uint32_t used;		/* bytes */
	uint32_t older;
	uint32_t newer;
};

/* Segments by age; the newest may be open for appending. */
struct seglist {
	uint32_t oldest;
	uint32_t newest;
	uint32_t n;
};

enum { MAIN, YOUNG, LISTS };

struct log {
	const struct policy *p;
	const struct setup *s;
	struct segment *seg;
	uint32_t segments;
	uint32_t seg_bytes;
	struct seglist list[LISTS];
	uint32_t free;		/* list through ->newer */
	uint32_t free_n;
	uint32_t young_max;
	uint32_t reserve;	/* so many stay free */
	/* Of SIEVE, as in kmod/core; what is open is in no list. */
	uint32_t hand;		/* next victim; NONE: the oldest */
	uint32_t fresh;		/* where new records go */
	uint32_t kept;		/* where survivors go */
	uint16_t *ghost;
	uint32_t ghost_n;
	uint8_t *in;		/* key is cached */
	uint8_t *visited;
	double credit;		/* bytes that may be copied */
	uint64_t copied;	/* bytes, for this insertion */
	uint32_t walked;	/* segments, for this insertion */
};

/* Links @i before @newer, or as the newest. */
static void seg_link(struct log *g, struct seglist *l, uint32_t i, uint32_t newer)
{
	struct segment *s = &g->seg[i];

	s->newer = newer;
	s->older = newer != NONE ? g->seg[newer].older : l->newest;
	if (newer != NONE)
		g->seg[newer].older = i;
	else
		l->newest = i;
	if (s->older != NONE)
		g->seg[s->older].newer = i;
	else
		l->oldest = i;
	l->n++;
}

static void seg_unlink(struct log *g, struct seglist *l, uint32_t i)
{
	struct segment *s = &g->seg[i];

	if (s->newer != NONE)
		g->seg[s->newer].older = s->older;
	else
		l->newest = s->older;
	if (s->older != NONE)
		g->seg[s->older].newer = s->newer;
	else
		l->oldest = s->newer;
	l->n--;
}

static void seg_put(struct log *g, uint32_t i)
{
	g->seg[i].newer = g->free;
	g->free = i;
	g->free_n++;
}

static uint32_t seg_get(struct log *g)
{
	uint32_t i = g->free;

	if (i == NONE)
		abort();	/* the segment in reserve is enough */
	g->free = g->seg[i].newer;
	g->free_n--;
	g->seg[i].records = 0;
	g->seg[i].used = 0;
	return i;
}

static bool seg_fits(const struct log *g, uint32_t i, uint32_t key)
{
	return i != NONE && g->seg[i].used + g->s->size[key] <= g->seg_bytes;
}

static void seg_append(struct log *g, uint32_t i, uint32_t key)
{
	struct segment *s = &g->seg[i];

	s->key[s->records++] = key;
	s->used += g->s->size[key];
	g->in[key] = 1;
	g->visited[key] = 0;
}

static uint16_t *ghost_at(struct log *g, uint32_t key, uint16_t *print)
{
	uint64_t h = policy_mix(key + 0x9e3779b97f4a7c15ULL);

	*print = (uint16_t)(h | 1);
	return &g->ghost[((h >> 32) * g->ghost_n) >> 32];
}

static void ghost_add(struct log *g, uint32_t key)
{
	uint16_t *at, print;

	if (!g->ghost_n)
		return;
	at = ghost_at(g, key, &print);
	*at = print;
}

static bool ghost_take(struct log *g, uint32_t key)
{
	uint16_t *at, print;

	if (!g->ghost_n)
		return false;
	at = ghost_at(g, key, &print);
	if (*at != print)
		return false;
	*at = 0;
	return true;
}

static void copy_forward(struct log *g, uint32_t key)
{
	struct seglist *l = &g->list[MAIN];

	if (g->p->kind == POLICY_LOG_SIEVE) {
		if (!seg_fits(g, g->kept, key)) {
			if (g->kept != NONE)
				seg_link(g, l, g->kept, g->hand);
			g->kept = seg_get(g);
		}
		seg_append(g, g->kept, key);
		return;
	}
	if (!seg_fits(g, l->newest, key))
		seg_link(g, l, seg_get(g), NONE);
	seg_append(g, l->newest, key);
}

static bool visited(const struct log *g, uint32_t key)
{
	return g->visited[key] || g->s->hostile;
}

static uint64_t visited_bytes(const struct log *g, const struct segment *s)
{
	uint64_t sum = 0;
	uint32_t n;

	for (n = 0; n < s->records; n++)
		sum += visited(g, s->key[n]) ? g->s->size[s->key[n]] : 0;
	return sum;
}

/* Copies what may stay out of @i, at most @max bytes, and frees @i. */
static void empty(struct log *g, uint32_t i, bool young, uint64_t max)
{
	const struct segment *s = &g->seg[i];
	uint64_t copied = 0;
	uint32_t n;

	for (n = 0; n < s->records; n++) {
		uint32_t key = s->key[n];
		uint32_t size = g->s->size[key];

		g->in[key] = 0;
		if (visited(g, key) && copied + size <= max) {
			copied += size;
			copy_forward(g, key);
		} else if (young) {
			ghost_add(g, key);
		}
	}
	seg_put(g, i);
	g->copied += copied;
	g->credit -= (double)copied;
}

static void clear_visited(struct log *g, uint32_t i)
{
	const struct segment *s = &g->seg[i];
	uint32_t n;

	for (n = 0; n < s->records; n++)
		g->visited[s->key[n]] = 0;
}

/* Lets @i, taken out of its list, stay as it is: no longer young, not visited. */
static void stay(struct log *g, uint32_t i)
{
	clear_visited(g, i);
	if (g->p->kind == POLICY_LOG_SIEVE)
		seg_link(g, &g->list[MAIN], i, g->hand);
	else	/* the newest is open, and remains the newest */
		seg_link(g, &g->list[MAIN], i, g->list[MAIN].newest);
}

/* Takes the next victim out of its list. */
static uint32_t victim(struct log *g, bool *young)
{
	struct seglist *l = &g->list[MAIN];
	uint32_t i;

	*young = g->list[YOUNG].n > g->young_max || (g->list[YOUNG].n && l->n < 2);
	if (*young)
		l = &g->list[YOUNG];
	i = l->oldest;
	if (g->p->kind == POLICY_LOG_SIEVE) {
		/* From old to young, and again. */
		i = g->hand != NONE ? g->hand : l->oldest;
		g->hand = g->seg[i].newer;
	}
	seg_unlink(g, l, i);
	return i;
}

/* How many bytes may be copied out of one victim. */
static uint64_t copy_max(const struct log *g)
{
	double max = g->p->keep * g->seg_bytes;

	if (g->p->credit > 0 && g->credit < max)
		max = g->credit;
	/* Without credit it may be that every segment is copied in vain. */
	return max > 0 && g->walked < 2 * g->segments ? (uint64_t)max : 0;
}

/* Before a segment is opened; at least one stays in reserve, to copy into. */
static void make_room(struct log *g)
{
	uint32_t stayed = 0;

	for (; g->free_n <= g->reserve; g->walked++) {
		uint64_t max = copy_max(g);
		bool young;
		uint32_t i = victim(g, &young);

		if (stayed < g->p->stay && visited_bytes(g, &g->seg[i]) > max) {
			stay(g, i);
			stayed++;
		} else {
			empty(g, i, young, max);
		}
	}
}

static void insert_sieve(struct log *g, uint32_t key)
{
	if (!seg_fits(g, g->fresh, key)) {
		if (g->fresh != NONE) {
			if (!g->p->lasting)
				clear_visited(g, g->fresh);
			seg_link(g, &g->list[MAIN], g->fresh, NONE);
		}
		make_room(g);
		g->fresh = seg_get(g);
	}
	seg_append(g, g->fresh, key);
}

static void insert(struct log *g, uint32_t key)
{
	struct seglist *l = &g->list[MAIN];

	if (g->credit < g->p->saved * g->seg_bytes)
		g->credit += g->p->credit * g->s->size[key];
	if (g->p->kind == POLICY_LOG_SIEVE) {
		insert_sieve(g, key);
		return;
	}
	if (g->p->kind == POLICY_LOG_S3 && !ghost_take(g, key))
		l = &g->list[YOUNG];
	if (!seg_fits(g, l->newest, key)) {
		if (!g->p->lasting && l->newest != NONE)
			clear_visited(g, l->newest);
		make_room(g);
		/* What was copied may have opened one. */
		if (!seg_fits(g, l->newest, key))
			seg_link(g, l, seg_get(g), NONE);
	}
	seg_append(g, l->newest, key);
}

static void log_init(struct log *g)
{
	double young;
	uint32_t i;

	if (g->segments > g->s->bytes / POLICY_SIZE_MAX)
		g->segments = (uint32_t)(g->s->bytes / POLICY_SIZE_MAX);
	g->seg_bytes = (uint32_t)(g->s->bytes / g->segments);
	g->seg = policy_alloc(g->segments, sizeof(*g->seg));
	g->free = NONE;
	g->hand = NONE;
	g->fresh = NONE;
	g->kept = NONE;
	g->reserve = 1;
	if (g->p->ahead) {
		g->reserve = g->segments / 16;
		g->reserve = g->reserve < 2 ? 2 : g->reserve > 64 ? 64 : g->reserve;
	}
	for (i = 0; i < g->segments; i++) {
		g->seg[i].key = policy_alloc(g->seg_bytes / 64 + 1, sizeof(uint32_t));
		seg_put(g, i);
	}
	for (i = 0; i < LISTS; i++)
		g->list[i] = (struct seglist){ NONE, NONE, 0 };
	young = g->p->young * g->segments;
	g->young_max = young < 1 ? 1 : (uint32_t)(young + 0.5);
	g->ghost_n = (uint32_t)(g->p->ghost * (double)g->s->bytes / g->s->mean);
	g->ghost = policy_alloc(g->ghost_n + 1UL, sizeof(*g->ghost));
	g->in = policy_alloc(g->s->keys, sizeof(*g->in));
	g->visited = policy_alloc(g->s->keys, sizeof(*g->visited));
}

static void log_free(struct log *g)
{
	uint32_t i;

	for (i = 0; i < g->segments; i++)
		free(g->seg[i].key);
	free(g->seg);
	free(g->ghost);
	free(g->in);
	free(g->visited);
}

void log_run(const struct policy *p, const struct setup *s,
	     const struct trace *t, struct result *r)
{
	struct log g = { .p = p, .s = s };
	size_t i;

	g.segments = p->segments ? p->segments : s->segments;
	log_init(&g);
	r->segments = g.segments;
	r->segment = g.seg_bytes;
	for (i = 0; i < t->len; i++) {
		uint32_t key = t->key[i];
		bool hit = g.in[key];

		g.copied = 0;
		g.walked = 0;
		if (hit)
			g.visited[key] = 1;
		else
			insert(&g, key);
		if (i < t->warm)
			continue;
		r->requests++;
		r->hits += hit;
		r->inserted += hit ? 0 : s->size[key];
		r->copied += g.copied;
		if (g.copied > r->copied_max)
			r->copied_max = g.copied;
		if (g.walked > r->walked_max)
			r->walked_max = g.walked;
	}
	log_free(&g);
}
