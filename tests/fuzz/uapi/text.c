// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs as text, one call a line:
 *
 *	# comment
 *	0 create name=1 keys=16
 *	0 attach cache=r0
 *	2+30 claim client=r1 flags=0x5
 *
 * The first number is the lane, with the delay after a plus; rN is what line N
 * brought, counted from 0. Arguments that are not named have their usual value.
 * An empty line, or one of dashes, ends a program.
 */
#include "fuzz.h"

#include <ctype.h>

/** text_write() - Return: bytes that the text has, without the zero */
size_t text_write(const struct program *p, char *out, size_t size)
{
	size_t n = 0;
	u32 i, a;

#define PUT(...) (n += snprintf(n < size ? out + n : NULL, n < size ? size - n : 0, __VA_ARGS__))
	for (i = 0; i < p->n; i++) {
		const struct call *c = &p->call[i];
		const struct desc *d = &descs[c->nr];

		PUT("%u", c->lane);
		if (c->delay)
			PUT("+%u", c->delay);
		PUT(" %s", d->name);
		for (a = 0; a < d->n; a++) {
			if (c->arg[a].ref)
				PUT(" %s=r%u", types[d->arg[a]].name, c->arg[a].ref - 1);
			else if (c->arg[a].v != type_default(d->arg[a]))
				PUT(c->arg[a].v < 10 ? " %s=%llu" : " %s=%#llx",
				    types[d->arg[a]].name, c->arg[a].v);
		}
		PUT("\n");
	}
#undef PUT
	return n;
}

static bool read_arg(struct call *c, const char *name, size_t len, const char *value,
		     u32 line)
{
	const struct desc *d = &descs[c->nr];
	unsigned long ref;
	char *end;
	u32 a;

	for (a = 0; a < d->n; a++) {
		const char *have = types[d->arg[a]].name;

		if (strlen(have) != len || memcmp(have, name, len))
			continue;
		if (*value != 'r') {
			c->arg[a].v = strtoull(value, &end, 0);
			return end != value && (!*end || isspace((unsigned char)*end));
		}
		ref = strtoul(value + 1, &end, 10);
		c->arg[a].ref = ref + 1;
		return end != value + 1 && ref < line && d->arg[a] < T_RESOURCES;
	}
	return false;
}

static bool read_call(const char *at, const char *end, struct call *c, u32 line)
{
	char *next;
	size_t len;
	u32 a, nr;

	memset(c, 0, sizeof(*c));
	c->lane = strtoul(at, &next, 10);
	if (next == at || c->lane >= LANES)
		return false;
	if (*next == '+')
		c->delay = strtoul(next + 1, &next, 10);
	at = next + strspn(next, " ");
	len = strcspn(at, " \n");
	for (nr = 0; nr < C_MAX; nr++)
		if (strlen(descs[nr].name) == len && !memcmp(descs[nr].name, at, len))
			break;
	if (nr == C_MAX)
		return false;
	c->nr = nr;
	for (a = 0; a < descs[c->nr].n; a++)
		c->arg[a].v = type_default(descs[c->nr].arg[a]);
	for (at += len; at < end; at += strcspn(at, " \n")) {
		const char *value;

		at += strspn(at, " ");
		if (at >= end)
			break;
		value = memchr(at, '=', end - at);
		if (!value || !read_arg(c, at, value - at, value + 1, line))
			return false;
	}
	return true;
}

/**
 * text_read() - one program of a text
 * @in: the text
 * @p: the program; none is left if its n is 0
 * @err: what is wrong, on NULL
 * @size: of @err
 *
 * Return: what comes after it; NULL if a line is wrong.
 */
const char *text_read(const char *in, struct program *p, char *err, size_t size)
{
	p->n = 0;
	while (*in) {
		const char *end = in + strcspn(in, "\n");
		bool stop = end == in || *in == '-';

		if (!stop && *in != '#') {
			if (p->n == CALLS_MAX || !read_call(in, end, &p->call[p->n], p->n)) {
				snprintf(err, size, "cannot read: %.*s", (int)(end - in), in);
				return NULL;
			}
			p->n++;
		}
		in = *end ? end + 1 : end;
		if (stop && p->n)
			break;
	}
	return in;
}
