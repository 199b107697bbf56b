// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Random operations beside the model of core_model_util.h. */
#include "core_model_util.h"

/* ---- asking and waiting ------------------------------------------------ */

static void do_get(int who, u32 key)
{
	struct alz_claim c = {
		.key = key_name(key), .key_size = strlen(key_name(key)), .pin = pin_take(who),
		.hash = hash_of(key_name(key), strlen(key_name(key))),
	};
	struct alz_answer a;

	check_eq(alz_claim(&m.b->client[who], &c, &a), 0);
	switch (a.result) {
	case ASYNCLAZY_RESULT_HIT:
		told_value(key, a.offset, a.generation);
		if (c.pin)
			check_eq(m.b->pins[who][c.pin - 1], pin_of(a.offset));
		model_counts.hits++;
		break;
	case ASYNCLAZY_RESULT_FAILED:
		check(m.keys[key].current == ERROR);
		break;
	default:
		if (!m.keys[key].pending)
			vanished(key);
	}
	pin_done(who, c.pin, a.result == ASYNCLAZY_RESULT_HIT);
}

static void do_claim(int who, u32 key)
{
	const u32 choices[] = {
		ASYNCLAZY_CLAIM_INIT, ASYNCLAZY_CLAIM_EVENT,
		ASYNCLAZY_CLAIM_EVENT | ASYNCLAZY_CLAIM_INIT,
		ASYNCLAZY_CLAIM_EVENT | ASYNCLAZY_CLAIM_INIT | ASYNCLAZY_CLAIM_FOLLOW,
	};
	u32 flags = choices[random_u64() % ARRAY_SIZE(choices)];
	u64 cookie = random_u64() % WAITS;
	struct wait *w = &m.waits[cookie];
	struct alz_answer a;
	int err;

	if (w->used)
		flags &= ASYNCLAZY_CLAIM_INIT;
	err = claim(m.b, who, key_name(key), flags, cookie, &a);
	if (refused(err, true))
		return;
	if (a.result == ASYNCLAZY_RESULT_HIT) {
		told_value(key, a.offset, a.generation);
		return;
	}
	if (a.result == ASYNCLAZY_RESULT_FAILED) {
		check(m.keys[key].current == ERROR);
		return;
	}
	if (a.result == ASYNCLAZY_RESULT_TICKET)
		told_ticket(key, who, a.ticket);
	else
		vanished(key);
	if (a.result == ASYNCLAZY_RESULT_EMPTY)
		check(!m.keys[key].ticket);
	if (flags & ASYNCLAZY_CLAIM_FOLLOW ||
	    (flags & ASYNCLAZY_CLAIM_EVENT && a.result == ASYNCLAZY_RESULT_PENDING))
		*w = (struct wait){ .used = true, .who = who, .key = key, .flags = flags,
				    .serial = m.serial };
}

static void side_begin(struct wait *s, int who, u32 key)
{
	struct alz_answer a;

	*s = (struct wait){ .who = who, .key = key, .serial = m.serial,
			    .flags = chance(2) ? ASYNCLAZY_CLAIM_FD : ASYNCLAZY_CLAIM_BLOCK };
	check_eq(claim_wait(m.b, who, key_name(key), s->flags, &s->w, &a), 0);
	s->used = a.result == ASYNCLAZY_RESULT_PENDING;
}

static void side_end(struct wait *s)
{
	struct alz_answer a;
	int err = 0;

	if (s->flags & ASYNCLAZY_CLAIM_BLOCK) {
		u32 pin = pin_take(s->who);

		err = alz_wait_finish(&m.b->client[s->who], &s->w, -EINTR, pin, &a);
		if (pin && !err && a.offset != ASYNCLAZY_NO_RECORD)
			check_eq(m.b->pins[s->who][pin - 1], pin_of(a.offset));
		pin_done(s->who, pin, !err && a.result == ASYNCLAZY_RESULT_HIT &&
			 a.offset != ASYNCLAZY_NO_RECORD);
	} else {
		alz_wait_fd_answer(&m.b->cache, &s->w, chance(2), &a);
	}
	if (!err && a.result == ASYNCLAZY_RESULT_HIT) {
		struct asynclazy_record *r = NULL;

		model_counts.waits++;
		if (a.offset != ASYNCLAZY_NO_RECORD)
			r = alz_arena_record(&m.b->cache.arena, a.offset);
		/* a memfd that was kept may have gone when its call comes back */
		if (s->flags & ASYNCLAZY_CLAIM_FD || (r && r->kind == ASYNCLAZY_RECORD_VALUE))
			check(serial_of(s->key, a.offset, a.generation) > s->serial);
		else if (a.offset == ASYNCLAZY_NO_RECORD)
			check(((struct file *)a.blob->file)->serial > s->serial);
		if (s->flags & ASYNCLAZY_CLAIM_BLOCK && a.blob)
			alz_blob_release(&m.b->cache, a.blob);
	}
	if (s->flags & ASYNCLAZY_CLAIM_FD)
		alz_wait_fd_close(&m.b->cache, &s->w);
	s->used = false;
}

/* A wait in a form that its caller keeps, and its end. */
static void do_side(int who, u32 key)
{
	struct wait *s = &m.sides[random_u64() % SIDES];

	if (s->used)
		side_end(s);
	else
		side_begin(s, who, key);
}

/* ---- events ------------------------------------------------------------ */

static void do_event(int who, struct asynclazy_event *ev)
{
	struct wait *w;

	if (!check(ev->cookie < WAITS))
		return;
	w = &m.waits[ev->cookie];
	if (!check(w->used) || !check_eq(w->who, who))
		return;
	ev->pad = w->key;
	if (ev->result == ASYNCLAZY_RESULT_TICKET) {
		struct alz_flight *f;

		check(w->flags & ASYNCLAZY_CLAIM_INIT);
		m.b->cache.lock.held = 1;
		/* it may have been overtaken before it was read */
		if (!alz_flight_owned(&m.b->client[who], ev->ticket, &f))
			told_ticket(w->key, who, ev->ticket);
		m.b->cache.lock.held = 0;
		if (w->flags & ASYNCLAZY_CLAIM_FOLLOW)
			return;
	} else if (ev->result == ASYNCLAZY_RESULT_HIT) {
		/* of its own flight or a later one: never of an earlier */
		check(serial_of(w->key, ev->offset, ev->generation) > w->serial);
	} else if (ev->flags & ASYNCLAZY_EVENT_DETAIL) {
		char text[ASYNCLAZY_DETAIL_MAX];
		u32 size;

		check_eq(alz_fetch(&m.b->client[who], ev->cookie, text, sizeof(text), &size,
				   true), 0);
	}
	w->used = false;
}

static void do_events(int who)
{
	struct alz_client *c = &m.b->client[who];
	u32 max = 1 + random_u64() % WAITS, n, i;
	bool again = chance(8);		/* they could not be handed on */

	if (m.reading[who])
		return;
	m.reading[who] = true;
	/* who reads on has pinned what it still wants */
	for (i = 0; i < m.recents[who]; i++) {
		bool pinned = m.recent[who][i].result == ASYNCLAZY_RESULT_HIT &&
			      m.recent[who][i].offset != ASYNCLAZY_NO_RECORD;
		u32 pin = pin_take(who);

		if (pin && pinned)
			m.b->pins[who][pin - 1] = pin_of(m.recent[who][i].offset);
		pin_done(who, pin, pinned);
	}
	m.recents[who] = 0;
	alz_events_release(c);
	n = alz_events_copy(c, m.recent[who], max);
	alz_events_done(c, !again);
	for (i = 0; i < n && !again; i++)
		do_event(who, &m.recent[who][i]);
	m.recents[who] = again ? 0 : n;
	m.reading[who] = false;
}

static void do_cancel(void)
{
	u64 cookie = random_u64() % WAITS;
	struct wait *w = &m.waits[cookie];

	if (!w->used || m.reading[w->who])
		return;
	check_eq(alz_cancel(&m.b->client[w->who], cookie), 0);
	w->used = false;
}

/* ---- what stores ------------------------------------------------------- */

/* Room is taken now; @later: and used in another step. */
static void do_store(int who, u32 key, bool later)
{
	struct value v = { key, sizeof(v) + random_u64() % (chance(4) ? 20000 : 500), ++m.serial };
	struct key *k = &m.keys[key];
	u64 ticket = chance(2) ? k->ticket : 0, ttl = any_ttl();
	const struct alz_ttl t = { .ttl = ttl };
	const char *name = key_name(key);
	struct open *o = &m.opens[random_u64() % OPENS], one;
	int err;

	if (!later || o->used || core_os.inside)
		o = &one;
	if (ticket)
		who = k->owner;
	*o = (struct open){ .who = who, .key = key, .dead_until = until(ttl) };
	if (ticket)
		err = alz_publish_begin(&m.b->client[who], ticket, v.size, &t, &o->r);
	else
		err = alz_set_begin(&m.b->client[who], name, strlen(name),
				    hash_of(name, strlen(name)), v.size, &t, &o->r);
	if (refused(err, true))
		return;
	value_write(o->r.value, &v);
	if (o != &one) {
		o->used = true;
		m.b->open++;
		return;
	}
	store_begins(key, v.serial);
	o->r.pin = pin_take(who);
	err = alz_publish_commit(&m.b->client[who], &o->r);
	if (o->r.pin && !err)
		check_eq(m.b->pins[who][o->r.pin - 1], pin_of(o->r.offset));
	pin_done(who, o->r.pin, !err);
	store_ended(key, err, o->dead_until);
	refused(err, true);
}

static void do_open(void)
{
	struct open *o = &m.opens[random_u64() % OPENS];
	struct value v;
	int err;

	if (!o->used || m.keys[o->key].busy)
		return;
	o->used = false;
	m.b->open--;
	if (chance(4)) {
		alz_publish_abort(&o->r);
		return;
	}
	/* it comes after all that was stored since it began */
	memcpy(&v, o->r.value, sizeof(v));
	v.serial = ++m.serial;
	value_write(o->r.value, &v);
	m.keys[o->key].busy = true;
	store_begins(o->key, v.serial);
	err = alz_publish_commit(&m.b->client[o->who], &o->r);
	store_ended(o->key, err, o->dead_until);
	m.keys[o->key].busy = false;
	if (err == -ESTALE)
		model_counts.late++;
	else
		refused(err, true);
}

static void do_memfd(int who, u32 key)
{
	u64 max = 3 * SEGMENT, ttl = any_ttl();
	u64 size = random_u64() % (chance(8) ? 2 * max : max / 4);
	struct alz_reservation r = { 0 };
	struct key *k = &m.keys[key];
	struct file *f = &m.files[m.nr_files++ % FILES];
	struct alz_blob *blob;
	bool keep = !chance(4);
	int err;

	f->key = key;
	f->serial = ++m.serial;
	check_eq(f->count, 0);
	blob = blob_new(&f->count, size);
	if (!blob)
		return;
	store_begins(key, m.serial);
	if (k->ticket) {
		err = publish_blob(m.b, k->owner, k->ticket, blob, keep, ttl, &r);
		check(err != -ENOSPC);
	} else {
		keep = true;
		err = set_blob(m.b, who, key_name(key), blob, ttl, &r);
	}
	store_ended(key, err, until(ttl));
	refused(err, size <= max);
	if (!err && r.offset == ASYNCLAZY_NO_RECORD)
		k->current = 0;
	if (!err && !keep)
		check_eq(r.offset, ASYNCLAZY_NO_RECORD);
	alz_blob_release(&m.b->cache, blob);
}

static void do_fail(u32 key)
{
	u32 class = random_u64() % 3;
	struct key *k = &m.keys[key];
	bool kept;
	int err;

	if (!k->ticket)
		return;
	err = alz_fail(&m.b->client[k->owner], k->ticket, EIO, class, 0, "text", 4, &kept);
	if (refused(err, true))
		return;
	k->ticket = 0;
	k->current = kept ? ERROR : 0;
	if (class == ASYNCLAZY_FAIL_TRANSIENT)
		check(!kept);
}

static void do_abandon(u32 key)
{
	struct key *k = &m.keys[key];
	u64 ticket = k->ticket;

	if (!ticket)
		return;
	k->ticket = 0;
	check_eq(alz_abandon(&m.b->client[k->owner], ticket), 0);
}

static void do_invalidate(int who, u32 key)
{
	struct key *k = &m.keys[key];
	struct alz_answer a;
	u32 count;

	check_eq(claim(m.b, who, key_name(key), 0, 0, &a), 0);
	count = invalidate(m.b, who, key_name(key));
	if (a.result == ASYNCLAZY_RESULT_PENDING)
		check_eq(count, 1);
	check(count <= 1);
	k->ticket = 0;
	k->current = 0;
}

static void do_clear(int who)
{
	u64 count;
	u32 key;

	m.clearing = true;
	check_eq(alz_clear(&m.b->client[who], &count), 0);
	m.clearing = false;
	for (key = 0; key < KEYS; key++) {
		m.keys[key].ticket = 0;
		m.keys[key].current = 0;
	}
}

/* ---- the rest ---------------------------------------------------------- */

static void end_of(int who)
{
	int i;

	for (i = 0; i < SIDES; i++)
		if (m.sides[i].used && m.sides[i].who == who &&
		    m.sides[i].flags & ASYNCLAZY_CLAIM_BLOCK)
			side_end(&m.sides[i]);
	for (i = 0; i < OPENS; i++) {
		if (!m.opens[i].used || m.opens[i].who != who)
			continue;
		alz_publish_abort(&m.opens[i].r);
		m.opens[i].used = false;
		m.b->open--;
	}
	for (i = 0; i < WAITS; i++)
		if (m.waits[i].who == who)
			m.waits[i].used = false;
	for (i = 0; i < KEYS; i++)
		if (m.keys[i].owner == who)
			m.keys[i].ticket = 0;
	m.recents[who] = 0;
}

static void do_death(int who)
{
	end_of(who);
	alz_client_detach(&m.b->client[who]);
	bench_attach(m.b, who);
}

/* Where the lock is let go: what does not upset the model of what is interrupted. */
static void others_come_in(void)
{
	u32 key;
	int who;

	if (!chance(4))
		return;
	who = random_u64() % CLIENTS;
	if (m.b->client[who].dead)
		return;
	key = any_key();
	model_counts.came_in++;
	m.keys[key].busy = true;
	switch (random_u64() % 8) {
	case 0: alz_reclaim(&m.b->cache); break;
	case 1: do_unpin(who); break;
	case 2: do_read(who, key); break;
	case 3: do_get(who, key); break;
	case 4: do_invalidate(who, key); break;
	default:
		if (m.clearing)
			break;
		if (chance(3))
			do_memfd(who, key);
		else
			do_store(who, key, false);
	}
	m.keys[key].busy = false;
}

static void step(void)
{
	int who = random_u64() % CLIENTS;
	u32 key = any_key(), busy = key;

	core_os.failed = 0;
	core_os.fail_nth = chance(32) ? 1 + random_u64() % 3 : 0;
	m.keys[busy].busy = true;
	switch (random_u64() % 64) {
	case 0 ... 5: do_get(who, key); break;
	case 6 ... 9: do_read(who, key); break;
	case 10 ... 18: do_claim(who, key); break;
	case 19 ... 25: do_side(who, key); break;
	case 26 ... 31: do_events(who); break;
	case 32 ... 39: do_store(who, key, chance(4)); break;
	case 40 ... 41: do_open(); break;
	case 42 ... 44: do_memfd(who, key); break;
	case 45: do_fail(key); break;
	case 46: do_abandon(key); break;
	case 47 ... 52: do_invalidate(who, key); break;
	case 53: do_cancel(); break;
	case 54 ... 57: do_unpin(who); break;
	case 58 ... 59: alz_reclaim(&m.b->cache); break;
	case 60: core_os.now += chance(16) ? 6 * SEC : random_u64() % 20; break;
	case 61 ... 62:
		for (key = chance(4) ? KEYS : 8; key--; )
			visit(m.b, key);
		break;
	default:
		if (chance(4))
			do_death(who);
		else if (chance(4))
			do_clear(who);
	}
	core_os.fail_nth = 0;
	m.keys[busy].busy = false;
}

void model_run(unsigned long steps)
{
	unsigned long i;

	core_os_reset();
	memset(&m, 0, sizeof(m));
	/* 8 segments are the least: 1 is as many */
	m.b = bench_recycle(chance(4) ? 16 : 64, chance(4) ? 16 : chance(2) ? 8 : 1);
	check(alz_pin_valid(&m.b->client[0], PINS) && !alz_pin_valid(&m.b->client[0], PINS + 1));
	core_os.each_unlock = others_come_in;
	for (i = 0; i < steps && !check_failures() && !random_ended; i++) {
		step();
		check_consistent(m.b);
		check_pinned();
	}
	core_os.each_unlock = NULL;
	model_counts.copied += m.b->cache.count.reinsertions;
	for (i = 0; i < CLIENTS; i++)
		end_of(i);
	for (i = 0; i < CLIENTS; i++)
		alz_client_die(&m.b->client[i]);
	for (i = 0; i < SIDES; i++)
		if (m.sides[i].used)
			alz_wait_fd_close(&m.b->cache, &m.sides[i].w);
	bench_free(m.b);
	for (i = 0; i < FILES; i++)
		check_eq(m.files[i].count, 0);
}
