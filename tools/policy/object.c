// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Policies that place and evict every record on its own: what to compare with. */
#include <stdlib.h>

#include "policy.h"

#define NONE	UINT32_MAX

/* Lists of keys, newest first; one pair of links a key will do for all. */
struct list {
	uint32_t newest;
	uint32_t oldest;
	uint64_t bytes;
};

struct object {
	const struct setup *s;
	uint32_t *newer;
	uint32_t *older;
	uint8_t *in;		/* enum place */
	uint8_t *freq;
	struct list list[4];	/* by enum place */
	uint32_t hand;		/* SIEVE */
	uint64_t small;		/* S3: bytes of the small list */
};

enum place { OUT, MAIN, SMALL, GHOST };

static void list_push(struct object *o, enum place to, uint32_t key)
{
	struct list *l = &o->list[to];

	o->newer[key] = NONE;
	o->older[key] = l->newest;
	if (l->newest != NONE)
		o->newer[l->newest] = key;
	else
		l->oldest = key;
	l->newest = key;
	l->bytes += o->s->size[key];
	o->in[key] = (uint8_t)to;
}

static void list_del(struct object *o, uint32_t key)
{
	struct list *l = &o->list[o->in[key]];
	uint32_t newer = o->newer[key], older = o->older[key];

	if (newer != NONE)
		o->older[newer] = older;
	else
		l->newest = older;
	if (older != NONE)
		o->newer[older] = newer;
	else
		l->oldest = newer;
	l->bytes -= o->s->size[key];
	o->in[key] = OUT;
}

static void list_move(struct object *o, enum place to, uint32_t key)
{
	list_del(o, key);
	list_push(o, to, key);
}

static void evict_clock(struct object *o)
{
	uint32_t key = o->list[MAIN].oldest;

	while (o->freq[key]) {
		o->freq[key]--;
		list_move(o, MAIN, key);
		key = o->list[MAIN].oldest;
	}
	list_del(o, key);
}

static void evict_sieve(struct object *o)
{
	uint32_t key = o->hand != NONE ? o->hand : o->list[MAIN].oldest;

	while (o->freq[key]) {
		o->freq[key] = 0;
		key = o->newer[key];
		if (key == NONE)
			key = o->list[MAIN].oldest;
	}
	o->hand = o->newer[key];
	list_del(o, key);
}

/* As in the paper: the small list passes on what was hit twice. */
static void evict_s3(struct object *o)
{
	while (o->list[SMALL].bytes > o->small || !o->list[MAIN].bytes) {
		uint32_t key = o->list[SMALL].oldest;

		if (o->freq[key] > 1) {
			o->freq[key] = 0;
			list_move(o, MAIN, key);
			continue;
		}
		list_move(o, GHOST, key);
		while (o->list[GHOST].bytes > o->s->bytes - o->small)
			list_del(o, o->list[GHOST].oldest);
		return;
	}
	evict_clock(o);
}

static void insert(struct object *o, const struct policy *p, uint32_t key)
{
	enum place to = MAIN;

	if (p->kind == POLICY_S3) {
		to = o->in[key] == GHOST ? MAIN : SMALL;
		if (o->in[key] == GHOST)
			list_del(o, key);
	}
	while (o->list[MAIN].bytes + o->list[SMALL].bytes + o->s->size[key] > o->s->bytes) {
		switch (p->kind) {
		case POLICY_CLOCK:
			evict_clock(o);
			break;
		case POLICY_SIEVE:
			evict_sieve(o);
			break;
		case POLICY_S3:
			evict_s3(o);
			break;
		default:
			list_del(o, o->list[MAIN].oldest);
		}
	}
	o->freq[key] = 0;
	list_push(o, to, key);
}

void object_run(const struct policy *p, const struct setup *s,
		const struct trace *t, struct result *r)
{
	uint8_t freq_max = p->kind == POLICY_S3 ? 3 : 1;
	struct object o = { .s = s, .hand = NONE };
	size_t i;

	o.newer = policy_alloc(s->keys, sizeof(*o.newer));
	o.older = policy_alloc(s->keys, sizeof(*o.older));
	o.in = policy_alloc(s->keys, sizeof(*o.in));
	o.freq = policy_alloc(s->keys, sizeof(*o.freq));
	for (i = 0; i < 4; i++)
		o.list[i] = (struct list){ NONE, NONE, 0 };
	o.small = (uint64_t)((double)s->bytes * p->young);

	for (i = 0; i < t->len; i++) {
		uint32_t key = t->key[i];
		bool hit = o.in[key] == MAIN || o.in[key] == SMALL;

		if (!hit)
			insert(&o, p, key);
		else if (p->kind == POLICY_LRU)
			list_move(&o, MAIN, key);
		else if (o.freq[key] < freq_max)
			o.freq[key]++;
		if (i >= t->warm) {
			r->requests++;
			r->hits += hit;
			r->inserted += hit ? 0 : s->size[key];
		}
	}
	free(o.newer);
	free(o.older);
	free(o.in);
	free(o.freq);
}
