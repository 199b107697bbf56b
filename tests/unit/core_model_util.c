// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* See core_model_util.h. */
#include "core_model_util.h"

struct model m;
struct model_counts model_counts;

bool chance(unsigned int in)
{
	return random_u64() % in == 0;
}

const char *key_name(u32 key)
{
	static char names[KEYS][16];

	if (!names[key][0])
		strcpy(names[key], name_of(key));
	return names[key];
}

u32 any_key(void)
{
	u32 key;

	/* some are asked for more often */
	do {
		key = chance(2) ? random_u64() % 8 : random_u64() % KEYS;
	} while (m.keys[key].busy);
	return key;
}

/* ---- values ------------------------------------------------------------ */

void value_write(void *p, const struct value *v)
{
	u8 *bytes = p;
	u32 i;

	memcpy(p, v, sizeof(*v));
	for (i = sizeof(*v); i < v->size; i++)
		bytes[i] = v->serial * 37 + i;
}

/* A whole value. Return: its serial; 0: it is not one. */
static u64 value_read(const struct asynclazy_record *r, u32 key)
{
	const u8 *bytes = alz_record_value(r);
	struct value v;
	u32 i;

	if (r->value_size < sizeof(v))
		return 0;
	memcpy(&v, bytes, sizeof(v));
	if (v.key != key || v.size != r->value_size)
		return 0;
	for (i = sizeof(v); i < v.size; i++)
		if (bytes[i] != (u8)(v.serial * 37 + i))
			return 0;
	return v.serial;
}

u64 serial_of(u32 key, u64 offset, u64 generation)
{
	const struct asynclazy_record *r = NULL;
	struct alz_blob *blob;
	u64 found = 0;

	if (offset != ASYNCLAZY_NO_RECORD) {
		if (!check(offset_is_given_out(m.b, offset)))
			return 0;
		r = alz_arena_record(&m.b->cache.arena, offset);
		check_eq(r->generation, generation);
	}
	if (r && r->kind == ASYNCLAZY_RECORD_VALUE)
		return value_read(r, key);
	blob = alz_blob_get(&m.b->client[0], generation);
	if (!check(blob))
		return 0;
	if (check_eq(((struct file *)blob->file)->key, key))
		found = ((struct file *)blob->file)->serial;
	alz_blob_release(&m.b->cache, blob);
	return found;
}

void check_pinned(void)
{
	int who, i;
	u32 n;

	for (who = 0; who < CLIENTS; who++) {
		for (i = 0; i < PINS; i++) {
			const struct asynclazy_record *r;
			u64 pin = m.b->pins[who][i];

			if (pin && check(offset_is_given_out(m.b, pin & ~63ULL))) {
				r = alz_arena_record(&m.b->cache.arena, pin & ~63ULL);
				if (r->kind == ASYNCLAZY_RECORD_VALUE)
					check(value_read(r, *(u32 *)alz_record_value(r)));
				if (m.seen[who][i].pin == pin)
					check_eq(r->generation, m.seen[who][i].generation);
				m.seen[who][i].generation = r->generation;
			}
			m.seen[who][i].pin = pin;
		}
		for (n = 0; n < m.recents[who]; n++) {
			const struct asynclazy_event *ev = &m.recent[who][n];

			if (ev->result == ASYNCLAZY_RESULT_HIT)
				check(serial_of(ev->pad, ev->offset, ev->generation));
		}
	}
}

/* ---- what the model is told -------------------------------------------- */

void vanished(u32 key)
{
	if (m.keys[key].current)
		model_counts.vanished++;
	m.keys[key].current = 0;
}

void told_ticket(u32 key, int who, u64 ticket)
{
	check(!m.keys[key].ticket);
	vanished(key);
	m.keys[key].ticket = ticket;
	m.keys[key].owner = who;
}

void told_value(u32 key, u64 offset, u64 generation)
{
	const struct asynclazy_record *r = alz_arena_record(&m.b->cache.arena, offset);
	void (*others)(void) = core_os.each_unlock;
	struct key *k = &m.keys[key];
	u64 got = 0;
	bool gone;

	core_os.each_unlock = NULL;
	/* a memfd may have gone before it was asked for */
	gone = r->kind == ASYNCLAZY_RECORD_MEMFD && where(m.b, key) != offset;
	if (!gone)
		got = serial_of(key, offset, generation);
	core_os.each_unlock = others;
	if (gone || (check(got) && got == k->pending))
		return;
	check_eq(got, k->current);
	check(core_os.now < k->dead_until);
}

void store_begins(u32 key, u64 s)
{
	m.keys[key].pending = s;
}

void store_ended(u32 key, int err, u64 dead_until)
{
	struct key *k = &m.keys[key];

	if (!err) {
		k->current = k->pending;
		k->dead_until = dead_until;
		k->ticket = 0;
	}
	k->pending = 0;
}

u64 any_ttl(void)
{
	return chance(4) ? 1 + random_u64() % 50 : 0;
}

u64 until(u64 ttl)
{
	return ttl ? core_os.now + ttl : UINT64_MAX;
}

bool refused(int err, bool fits)
{
	if (err == -ENOSPC) {
		check(!fits || m.b->cache.arena.nr_held || m.b->open || core_os.inside ||
		      m.b->cache.header->initializing);
		model_counts.refused++;
	} else if (err == -ENOMEM) {
		check(core_os.failed);
	} else if (err == -EINTR) {
		check(core_os.inside);
	} else {
		check_eq(err, 0);
	}
	return err;
}

u32 pin_take(int who)
{
	u32 pin = random_u64() % PINS;

	if (chance(2) || m.b->pins[who][pin] || m.taken[who][pin])
		return 0;
	m.taken[who][pin] = true;
	return pin + 1;
}

void pin_done(int who, u32 pin, bool pinned)
{
	if (!pin)
		return;
	m.taken[who][pin - 1] = false;
	if (!pinned)
		m.b->pins[who][pin - 1] = 0;
}

void do_read(int who, u32 key)
{
	u64 offset = where(m.b, key);
	const struct asynclazy_record *r;
	u32 pin;

	if (offset == ASYNCLAZY_NO_RECORD)
		return;
	r = alz_arena_record(&m.b->cache.arena, offset);
	pin = pin_take(who);
	if (!pin)
		return;
	m.b->pins[who][pin - 1] = pin_of(offset);
	if (where(m.b, key) != offset || r->kind == ASYNCLAZY_RECORD_ERROR) {
		pin_done(who, pin, false);
		return;
	}
	visit(m.b, key);
	if (!alz_record_dead(r, core_os.now))
		told_value(key, offset, r->generation);
	pin_done(who, pin, true);
}

void do_unpin(int who)
{
	int n = random_u64() % PINS;

	for (; n >= 0; n--) {
		int pin = random_u64() % PINS;

		if (!m.taken[who][pin])
			m.b->pins[who][pin] = 0;
	}
}
