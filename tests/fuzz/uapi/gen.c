// SPDX-License-Identifier: GPL-2.0-only
/* Making programs, and changing them. */
#include "fuzz.h"

static u64 rnd_state;

void rnd_seed(u64 seed)
{
	rnd_state = seed;
}

u64 rnd(void)
{
	u64 x = rnd_state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

u32 rnd_below(u32 n)
{
	return (rnd() >> 32) * n >> 32;
}

/** proc_of() - which process a lane is in */
u32 proc_of(u32 lane)
{
	return lane < 2 ? 0 : lane - 1;
}

static bool is_fd(enum type t)
{
	return t >= T_CACHE && t <= T_EPOLL;
}

/* Whether call @at brings something that an argument of this type may be. */
static bool makes(const struct program *p, u32 at, enum type t)
{
	const struct call *c = &p->call[at];

	if (descs[c->nr].makes & (1U << t))
		return true;
	/* a copy is what its original is */
	if ((c->nr == C_DUP || c->nr == C_DUP2) && c->arg[0].ref && is_fd(t))
		return makes(p, c->arg[0].ref - 1, t);
	return false;
}

static bool reachable(const struct program *p, u32 at, u32 lane, enum type t)
{
	if (is_fd(t) || t == T_MAP)
		return proc_of(p->call[at].lane) == proc_of(lane);
	return true;
}

/** gen_valid() - whether references lead to earlier calls that can serve them */
bool gen_valid(const struct program *p)
{
	u32 i, a;

	if (!p->n || p->n > CALLS_MAX)
		return false;
	for (i = 0; i < p->n; i++) {
		const struct call *c = &p->call[i];

		if (c->nr >= C_MAX || c->lane >= LANES)
			return false;
		for (a = 0; a < descs[c->nr].n; a++) {
			enum type t = descs[c->nr].arg[a];

			if (c->arg[a].ref > i || (c->arg[a].ref && t >= T_RESOURCES))
				return false;
		}
	}
	return true;
}

/* An earlier call that brings such a thing to this lane, plus one; or 0. */
static u8 producer(const struct program *p, u32 lane, enum type t)
{
	u8 found[CALLS_MAX];
	u32 n = 0, i;

	for (i = 0; i < p->n; i++)
		if (makes(p, i, t) && (reachable(p, i, lane, t) || !rnd_below(50)))
			found[n++] = i + 1;
	if (!n)
		return 0;
	return rnd_below(3) ? found[n - 1] : found[rnd_below(n)];
}

static u64 gen_value(enum type t)
{
	const struct type_info *info = &types[t];

	if (t == T_TAMPER && rnd_below(100) >= info->usual) {
		static const u64 bits[] = { 0, 1, 0x80, 0xff, 0xffffffff };
		u64 offset = rnd_below(40) * 8 % 264 + (rnd_below(2) ? 0 : rnd_below(8));
		u64 bytes = 1 << rnd_below(4);

		return (1 + offset) | bytes << 12 | (rnd_below(4) ? bits[rnd_below(5)] :
						      rnd()) << 16;
	}
	if (rnd_below(100) < info->usual || info->n == 1)
		return info->values[0];
	if (rnd_below(12))
		return info->values[1 + rnd_below(info->n - 1)];
	if (t == T_KEYS || t == T_ARENA || t == T_COUNT || t == T_MLEN)
		return rnd_below(256);
	switch (rnd_below(3)) {
	case 0: return info->values[rnd_below(info->n)] ^ 1ULL << rnd_below(64);
	case 1: return info->values[rnd_below(info->n)] + rnd_below(17) - 8;
	default: return rnd() >> rnd_below(64);
	}
}

static void gen_call(struct program *p, u32 lane, u32 nr);

/* Append what brings a thing of this type to this lane. */
static void gen_producer(struct program *p, u32 lane, enum type t)
{
	u32 i;

	switch (t) {
	case T_CACHE:
		/* the same one in several processes, mostly */
		for (i = 0; i < p->n; i++)
			if (p->call[i].nr == C_CREATE && p->call[i].lane != lane &&
			    rnd_below(4)) {
				u64 name = p->call[i].arg[descs[C_CREATE].pos[T_NAME]].v;

				gen_call(p, lane, C_OPEN);
				if (p->n)
					p->call[p->n - 1].arg[descs[C_OPEN].pos[T_NAME]].v = name;
				return;
			}
		gen_call(p, lane, rnd_below(4) ? C_CACHE : C_CREATE);
		break;
	case T_CLIENT:
		gen_call(p, lane, C_ATTACH);
		break;
	case T_ANYFD:
		gen_call(p, lane, rnd_below(3) ? C_ATTACH : C_CACHE);
		break;
	case T_WAIT:
	case T_TICKET:
		gen_call(p, lane, C_CLAIM);
		break;
	case T_OFFSET:
		gen_call(p, lane, C_SET);
		break;
	case T_MEMFD:
		gen_call(p, lane, C_NEWFD);
		break;
	case T_GENERATION:
		gen_call(p, lane, C_SET);
		break;
	case T_EPOLL:
		gen_call(p, lane, C_EPOLL);
		break;
	case T_MAP:
		gen_call(p, lane, C_MMAP);
		break;
	default:
		break;
	}
}

static void gen_arg(struct program *p, u32 lane, enum type t, struct arg *arg, bool grow)
{
	arg->ref = 0;
	arg->v = 0;
	if (t > T_DEV && t < T_RESOURCES && rnd_below(40)) {
		/* a number is a good guess for a ticket; a per-wait fd for any fd */
		if (t == T_ANYFD && rnd_below(3))
			t = rnd_below(2) ? T_WAIT : T_CLIENT;
		arg->ref = producer(p, lane, t);
		if (!arg->ref && grow && p->n < CALLS_MAX - 4) {
			gen_producer(p, lane, t);
			arg->ref = producer(p, lane, t);
		}
		if (arg->ref)
			return;
	}
	arg->v = gen_value(t);
}

static void gen_call(struct program *p, u32 lane, u32 nr)
{
	const struct desc *d = &descs[nr];
	struct call c = { .nr = nr, .lane = lane };
	u32 i;

	for (i = 0; i < d->n; i++) {
		/* a value in bytes has no memfd, mostly */
		if (d->arg[i] == T_MEMFD && !(c.arg[d->pos[T_VFLAGS]].v & 1) && rnd_below(20))
			continue;
		gen_arg(p, lane, d->arg[i], &c.arg[i], true);
	}
	/* an anonymous cache */
	if (nr == C_CREATE && !rnd_below(5))
		c.arg[d->pos[T_NSIZE]].v = 1;
	if (!rnd_below(6))
		c.delay = rnd_below(rnd_below(4) ? 20 : 300);
	if (p->n < CALLS_MAX)
		p->call[p->n++] = c;
}

static void gen_any(struct program *p, u32 lane)
{
	static u32 sum;
	u32 i, at;

	for (i = 0; !sum || i < C_MAX; i++) {
		if (i == C_MAX)
			break;
		if (!i)
			sum = 0;
		sum += descs[i].weight;
	}
	at = rnd_below(sum);
	for (i = 0; at >= descs[i].weight; i++)
		at -= descs[i].weight;
	/* what takes long */
	if ((i == C_FORK || i == C_EXEC || i == C_KILL || i == C_IPCNS) && rnd_below(3))
		i = C_CLAIM;
	gen_call(p, lane, i);
}

/* Most calls are of few lanes, so that they have to do with each other. */
static u32 gen_lane(u32 mask)
{
	u32 lane;

	do
		lane = rnd_below(LANES);
	while (!(mask & 1U << lane));
	return lane;
}

/* As a sane caller does it, so that most programs get somewhere. */
static void gen_client(struct program *p, u32 lane)
{
	u32 from = p->n, i, a;

	gen_call(p, lane, C_ATTACH);
	for (i = from; i < p->n; i++) {
		struct call *c = &p->call[i];

		for (a = 0; a < descs[c->nr].n; a++) {
			enum type t = descs[c->nr].arg[a];

			if (!c->arg[a].ref && t != T_NAME &&
			    (t != T_NSIZE || c->arg[a].v != 1))
				c->arg[a].v = type_default(t);
			/* every other one recycles its arena */
			if (t == T_CREATE_FLAGS)
				c->arg[a].v = rnd_below(2);
			if (t == T_KEYS)
				c->arg[a].v = 1 << rnd_below(7);
			if (t == T_ARENA && !rnd_below(3))
				c->arg[a].v = 65536 * (1 + rnd_below(8));
		}
	}
}

/** gen_program() - a new one: who takes part, then anything */
void gen_program(struct program *p)
{
	u32 mask = 1U << rnd_below(LANES) | 1U << rnd_below(LANES) | 1U << rnd_below(LANES);
	u32 want = 6 + rnd_below(CALLS_MAX - 8);
	u32 lane;

	p->n = 0;
	for (lane = 0; lane < LANES; lane++)
		if (mask & 1U << lane && producer(p, lane, T_CLIENT) == 0)
			gen_client(p, lane);
	while (p->n < want)
		gen_any(p, gen_lane(mask));
}

/** gen_remove() - take a call out; what referred to it has nothing */
void gen_remove(struct program *p, u32 at)
{
	u32 i, a;

	memmove(&p->call[at], &p->call[at + 1], (p->n - at - 1) * sizeof(p->call[0]));
	p->n--;
	for (i = at; i < p->n; i++) {
		for (a = 0; a < descs[p->call[i].nr].n; a++) {
			struct arg *arg = &p->call[i].arg[a];

			if (arg->ref == at + 1) {
				arg->ref = 0;
				arg->v = type_default(descs[p->call[i].nr].arg[a]);
			} else if (arg->ref > at + 1) {
				arg->ref--;
			}
		}
	}
}

/* Put the calls of @tail from @from on after those of @p; refs move along. */
static void gen_append(struct program *p, const struct program *tail, u32 from)
{
	int by = (int)p->n - (int)from;
	u32 i, a;

	for (i = from; i < tail->n && p->n < CALLS_MAX; i++) {
		struct call c = tail->call[i];

		for (a = 0; a < descs[c.nr].n; a++)
			if (c.arg[a].ref > from)
				c.arg[a].ref += by;
		p->call[p->n++] = c;
	}
}

static void mutate_insert(struct program *p, u32 mask)
{
	struct program old = *p;
	u32 at = 1 + rnd_below(p->n);

	p->n = at;
	gen_any(p, rnd_below(8) ? gen_lane(mask) : rnd_below(LANES));
	gen_append(p, &old, at);
}

/* The same call, elsewhere in time, on another lane or again. */
static void mutate_move(struct program *p)
{
	struct call *c = &p->call[rnd_below(p->n)];
	u32 i, a;

	switch (rnd_below(4)) {
	case 0:
		c->delay = rnd_below(3) ? rnd_below(30) : rnd_below(400);
		break;
	case 1:
		c->lane ^= 1;	/* often the other thread */
		break;
	case 2:
		if (p->n < CALLS_MAX) {
			p->call[p->n] = *c;
			p->call[p->n++].lane = rnd_below(LANES);
		}
		break;
	case 3:
		i = rnd_below(p->n);
		if (!i)
			break;
		for (a = 0; a < descs[p->call[i].nr].n; a++)
			if (p->call[i].arg[a].ref == i)
				return;
		struct call first = p->call[i - 1];

		p->call[i - 1] = p->call[i];
		p->call[i] = first;
		for (u32 j = i + 1; j < p->n; j++)
			for (a = 0; a < descs[p->call[j].nr].n; a++) {
				u8 *ref = &p->call[j].arg[a].ref;

				*ref = *ref == i ? i + 1 : *ref == i + 1 ? i : *ref;
			}
		break;
	}
}

static void mutate_arg(struct program *p)
{
	u32 at = rnd_below(p->n);
	struct call *c = &p->call[at];
	struct program before = { .n = 0 };
	u32 a;

	if (!descs[c->nr].n)
		return;
	a = rnd_below(descs[c->nr].n);
	memcpy(before.call, p->call, at * sizeof(before.call[0]));
	before.n = at;
	gen_arg(&before, c->lane, descs[c->nr].arg[a], &c->arg[a], false);
}

static void mutate_splice(struct program *p, const struct program *other)
{
	struct program old = *p;

	p->n = rnd_below(2) ? rnd_below(p->n) + 1 : p->n;
	(void)old;
	gen_append(p, other, 0);
}

/** gen_mutate() - change a program a little */
void gen_mutate(struct program *p, const struct program *other)
{
	u32 mask = 0, i;

	for (i = 0; i < p->n; i++)
		mask |= 1U << p->call[i].lane;
	do {
		switch (rnd_below(12)) {
		case 0 ... 3:
			mutate_insert(p, mask);
			break;
		case 4 ... 6:
			mutate_arg(p);
			break;
		case 7 ... 8:
			mutate_move(p);
			break;
		case 9 ... 10:
			if (p->n > 1)
				gen_remove(p, rnd_below(p->n));
			break;
		case 11:
			if (other && !rnd_below(2))
				mutate_splice(p, other);
			break;
		}
	} while (rnd_below(3));
}
