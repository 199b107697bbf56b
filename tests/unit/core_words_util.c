// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Random waits and wakes of three clients on a few words, beside a model that says
 * exactly who is woken, by which word, and in which order it is told.
 */
#include <limits.h>
#include <stdio.h>

#include "core_words_util.h"

#define OWN	8		/* the cache's words, the last LOCKS of them locks */
#define LOCKS	2
#define PLACES	(OWN + 2)	/* and two of an object */
#define MOST	4		/* words of a wait */
#define WAITS	40
#define QUOTA	24		/* words that a client may wait for */
#define HELD	4

struct wwait {
	bool used, woken, told, orphan;
	int who;
	u8 kind;
	u64 cookie;
	u32 n, index;
	u32 place[MOST];
	struct alz_waiter w;	/* of a BLOCK or an FD */
};

struct entry {
	struct wwait *wait;
	u32 index;
};

static struct bench *b;
static struct wwait waits[WAITS];
static struct entry queue[PLACES][WAITS * MOST];
static u32 queued[PLACES];
static struct wwait *ready[CLIENTS][WAITS];
static u32 readies[CLIENTS];
static u32 held[CLIENTS][HELD];
static u32 object[PLACES - OWN];
static int files;
static struct words_seen seen;

static bool chance(u32 in)
{
	return random_u64() % in == 0;
}

static u32 *value_at(u32 place)
{
	return place < OWN ? &b->cache.words[place] : &object[place - OWN];
}

static struct alz_word_at at_place(u32 place)
{
	if (place < OWN)
		return (struct alz_word_at){ .offset = 4 * place };
	return (struct alz_word_at){ .object = object, .offset = 4 * (place - OWN),
				     .address = value_at(place) };
}

/* ---- the model ---------------------------------------------------------- */

static void model_unqueue(const struct wwait *w)
{
	u32 p, i, to;

	for (p = 0; p < PLACES; p++) {
		for (i = to = 0; i < queued[p]; i++)
			if (queue[p][i].wait != w)
				queue[p][to++] = queue[p][i];
		queued[p] = to;
	}
}

static bool model_wake_one(u32 place)
{
	struct entry first = queue[place][0];

	if (!queued[place])
		return false;
	model_unqueue(first.wait);
	first.wait->woken = true;
	first.wait->index = first.index;
	if (first.wait->kind == ALZ_WAIT_EVENT)
		ready[first.wait->who][readies[first.wait->who]++] = first.wait;
	seen.woken++;
	return true;
}

static void model_unready(const struct wwait *w)
{
	u32 i, to;

	for (i = to = 0; i < readies[w->who]; i++)
		if (ready[w->who][i] != w)
			ready[w->who][to++] = ready[w->who][i];
	readies[w->who] = to;
}

/* It is gone; a wake that nobody was told of goes on. */
static void model_drop(struct wwait *w)
{
	model_unqueue(w);
	if (w->kind == ALZ_WAIT_EVENT)
		model_unready(w);
	w->used = w->orphan;
	if (w->woken && !w->told && w->kind != ALZ_WAIT_BLOCK)
		seen.passed += model_wake_one(w->place[w->index]);
}

static u32 model_cost(int who)
{
	u32 i, n = 0;

	for (i = 0; i < WAITS; i++)
		if (waits[i].used && !waits[i].orphan && waits[i].who == who)
			n += waits[i].n;
	return n;
}

static struct wwait *any_wait(u8 kind)
{
	u32 i, from = random_u64() % WAITS;

	for (i = 0; i < WAITS; i++) {
		struct wwait *w = &waits[(from + i) % WAITS];

		if (w->used && w->kind == kind)
			return w;
	}
	return NULL;
}

/* ---- operations --------------------------------------------------------- */

/* What a wait comes to: 0, 1 with @changed, or a negative errno. */
static int model_wait(const struct wwait *w, const struct alz_word_at *at, u32 *changed)
{
	u32 i;

	for (i = 0; i < w->n; i++) {
		*changed = i;
		if (*value_at(w->place[i]) != at[i].expected)
			return 1;
	}
	if (model_cost(w->who) + w->n > QUOTA)
		return -EDQUOT;
	for (i = 0; w->kind == ALZ_WAIT_EVENT && i < WAITS; i++)
		if (waits[i].used && waits[i].kind == w->kind && waits[i].who == w->who &&
		    waits[i].cookie == w->cookie)
			return -EEXIST;
	return 0;
}

/* A word changes where the lock is let go, unless the wait is there by then. */
static struct wwait *registers;
static u32 cost_before, changes, changed_to;

static void change_a_word(void)
{
	core_os.each_unlock = NULL;
	if (b->client[registers->who].nr_waits != cost_before)
		return;
	*value_at(registers->place[changes]) = changed_to;
	seen.raced++;
}

static void do_wait(void)
{
	struct alz_word_at at[MOST];
	struct alz_word_wait q = { .at = at };
	struct wwait *w = NULL;
	u32 i, changed = 99, told = 99;
	int err, expected;
	u64 raced;

	for (i = 0; i < WAITS && !w; i++)
		w = waits[i].used ? NULL : &waits[i];
	if (!w)
		return;
	*w = (struct wwait){ .who = random_u64() % CLIENTS, .n = 1 + random_u64() % MOST };
	w->kind = (u8[]){ ALZ_WAIT_EVENT, ALZ_WAIT_BLOCK, ALZ_WAIT_FD }[random_u64() % 3];
	w->cookie = random_u64() % 64;
	for (i = 0; i < w->n; i++) {
		w->place[i] = random_u64() % PLACES;
		at[i] = at_place(w->place[i]);
		at[i].expected = *value_at(w->place[i]) + chance(16);
		if (at[i].object) {
			at[i].file = &files;
			files++;
		}
	}
	q.count = w->n;
	q.kind = w->kind;
	q.cookie = w->cookie;
	q.waiter = &w->w;
	core_os.fail_nth = chance(8) ? 1 + random_u64() % 6 : 0;
	core_os.absent = chance(16);
	registers = w;
	cost_before = model_cost(w->who);
	changes = random_u64() % w->n;
	changed_to = random_u64() % 4;
	core_os.each_unlock = chance(4) ? change_a_word : NULL;
	expected = model_wait(w, at, &changed);
	raced = seen.raced;
	err = alz_word_wait(&b->client[w->who], &q, &told);
	core_os.each_unlock = NULL;
	/* it would have been there, had it not had to get memory */
	if (seen.raced != raced && !expected)
		expected = model_wait(w, at, &changed);
	for (i = 0; i < w->n; i++)
		files -= at[i].file != NULL;
	if (err == -ENOMEM && core_os.fail_nth <= 0)
		expected = err;
	if (err == -EFAULT && !core_os.absent)
		expected = err;
	core_os.fail_nth = 0;
	core_os.absent = 0;
	check_eq(err, expected);
	if (err == 1)
		check_eq(told, changed);
	seen.changed += err == 1;
	seen.refused += err < 0;
	if (err)
		return;
	seen.waits++;
	w->used = true;
	for (i = 0; i < w->n; i++)
		queue[w->place[i]][queued[w->place[i]]++] = (struct entry){ w, i };
}

static void do_wake(void)
{
	static const u32 counts[] = { 0, 1, 1, 1, 2, 3, INT_MAX, UINT_MAX };
	u32 place = random_u64() % PLACES, n = counts[random_u64() % ARRAY_SIZE(counts)];
	struct alz_word_at at = at_place(place);
	u32 woken = 0;

	if (chance(2))
		*value_at(place) = random_u64() % 4;
	while (woken < n && model_wake_one(place))
		woken++;
	check_eq(alz_word_wake(&b->client[random_u64() % CLIENTS], &at, n), woken);
}

static void do_cancel(void)
{
	struct wwait *w = any_wait(ALZ_WAIT_EVENT);

	if (!w) {
		check_eq(alz_cancel(&b->client[0], 1), -ENOENT);
		return;
	}
	check_eq(alz_cancel(&b->client[w->who], w->cookie), 0);
	seen.cancels++;
	model_drop(w);
}

static void do_events(int who)
{
	struct asynclazy_event ev[WAITS];
	u32 i, max = 1 + random_u64() % WAITS;
	u32 n = events(b, who, ev, max);

	check_eq(n, readies[who] < max ? readies[who] : max);
	for (i = 0; i < n; i++) {
		struct wwait *w = ready[who][0];

		check_eq(ev[i].result, ASYNCLAZY_RESULT_WOKEN);
		check_eq(ev[i].cookie, w->cookie);
		check_eq(ev[i].attempt, w->index);
		w->told = true;
		model_drop(w);
		seen.events++;
	}
}

static void finish(struct wwait *w, int reason)
{
	struct alz_answer a;
	int err = alz_wait_finish(&b->client[w->who], &w->w, reason, 0, &a);

	check_eq(err, w->woken ? 0 : reason ? reason : -EAGAIN);
	if (!err) {
		check_eq(a.result, ASYNCLAZY_RESULT_WOKEN);
		check_eq(a.attempt, w->index);
	}
	if (err != -EAGAIN)
		model_drop(w);
	seen.finished++;
}

static void do_finish(void)
{
	struct wwait *w = any_wait(ALZ_WAIT_BLOCK);

	if (w)
		finish(w, chance(2) ? -ETIMEDOUT : 0);
}

static void do_fd(void)
{
	struct wwait *w = any_wait(ALZ_WAIT_FD);
	struct alz_answer a;

	if (!w)
		return;
	if (chance(2)) {
		bool report = chance(2);

		check_eq(alz_wait_fd_answer(&b->cache, &w->w, report, &a), w->told);
		check_eq(a.result, w->woken && !w->orphan ? ASYNCLAZY_RESULT_WOKEN :
			 ASYNCLAZY_RESULT_PENDING);
		w->told |= report && w->woken && !w->orphan;
		return;
	}
	alz_wait_fd_close(&b->cache, &w->w);
	seen.closed++;
	if (w->orphan)
		w->used = false;
	else
		model_drop(w);
}

/* What the locks of a dead client come to. */
static void model_locks(int who, u32 id)
{
	u32 i, *word;

	for (i = 0; i < HELD; i++) {
		if (!held[who][i] || held[who][i] > OWN)
			continue;
		word = value_at(held[who][i] - 1);
		if ((*word & ASYNCLAZY_LOCK_OWNER) == id) {
			*word = ASYNCLAZY_LOCK_DIED;
			seen.locks++;
		}
		if (!(*word & ASYNCLAZY_LOCK_OWNER))
			model_wake_one(held[who][i] - 1);
	}
}

/*
 * A client dies, and another comes. Of several wakes that nobody was told of the
 * order in which they go on is not said: all but one are told of before.
 */
static void do_die(void)
{
	int who = random_u64() % CLIENTS;
	struct alz_client *c = &b->client[who];
	u32 words[OWN], i, untold = 0, n = 0;
	struct wwait *dying[WAITS];
	struct alz_answer a;

	for (i = 0; i < WAITS; i++) {
		struct wwait *w = &waits[i];

		if (!w->used || w->who != who || w->orphan)
			continue;
		if (w->kind == ALZ_WAIT_BLOCK) {
			finish(w, -EINTR);
		} else if (w->woken && !w->told && untold++) {
			if (w->kind == ALZ_WAIT_FD) {
				alz_wait_fd_answer(&b->cache, &w->w, true, &a);
				w->told = true;
			}
		}
	}
	while (untold > 1 && readies[who])
		do_events(who);
	for (i = 0; i < HELD; i++) {
		held[who][i] = chance(2) ? 1 + OWN - LOCKS + random_u64() % LOCKS :
			chance(4) ? random_u64() % 100 : 0;
		if (held[who][i] && held[who][i] <= OWN && chance(2))
			*value_at(held[who][i] - 1) = c->lock_id;
	}
	memcpy(words, b->cache.words, sizeof(words));
	alz_client_die(c);
	/* the model's turn: it writes the same words again */
	for (i = 0; i < OWN; i++) {
		u32 after = b->cache.words[i];

		b->cache.words[i] = words[i];
		words[i] = after;
	}
	for (i = 0; i < WAITS; i++) {
		struct wwait *w = &waits[i];

		if (!w->used || w->who != who || w->orphan)
			continue;
		w->orphan = w->kind == ALZ_WAIT_FD;
		model_unqueue(w);
		dying[n++] = w;
	}
	for (i = 0; i < n; i++)
		model_drop(dying[i]);
	model_locks(who, c->lock_id);
	for (i = 0; i < OWN; i++)
		check_eq(b->cache.words[i], words[i]);
	readies[who] = 0;
	alz_client_detach(c);
	bench_attach(b, who);
	memset(held[who], 0, sizeof(held[who]));
	c->held = held[who];
	c->nr_held = HELD;
	c->max_waits = QUOTA;
	seen.deaths++;
}

static void check_words(void)
{
	u32 p, who;

	check_consistent(b);
	for (p = 0; p < OWN; p++)
		check_eq(b->cache.waiting[p], queued[p]);
	for (who = 0; who < CLIENTS; who++)
		check_eq(b->client[who].nr_waits, model_cost(who));
}

static void step(void)
{
	switch (random_u64() % 16) {
	case 0 ... 5:
		do_wait();
		break;
	case 6 ... 8:
		do_wake();
		break;
	case 9:
		do_cancel();
		break;
	case 10 ... 11:
		do_events(random_u64() % CLIENTS);
		break;
	case 12 ... 13:
		do_finish();
		break;
	case 14:
		do_fd();
		break;
	default:
		if (chance(8))
			do_die();
		else
			*value_at(random_u64() % PLACES) = random_u64() % 4;
	}
	check_words();
}

struct words_seen words_run(unsigned long steps)
{
	const struct alz_geometry g = {
		.max_keys = 100, .arena_size = 8 << 16, .segment_size = 1 << 16, .words = OWN,
	};
	unsigned int before = check_failures();
	u32 i;

	core_os_reset();
	memset(waits, 0, sizeof(waits));
	memset(queued, 0, sizeof(queued));
	memset(readies, 0, sizeof(readies));
	memset(held, 0, sizeof(held));
	memset(object, 0, sizeof(object));
	memset(&seen, 0, sizeof(seen));
	files = 0;
	b = bench_with(&g);
	for (i = 0; i < CLIENTS; i++) {
		b->client[i].held = held[i];
		b->client[i].nr_held = HELD;
		b->client[i].max_waits = QUOTA;
	}
	while (steps-- && !random_ended && check_failures() == before)
		step();
	/* what is left is the test's own: nobody is inside */
	for (i = 0; i < WAITS; i++)
		if (waits[i].used && waits[i].kind == ALZ_WAIT_BLOCK)
			finish(&waits[i], -EINTR);
	for (i = 0; i < WAITS; i++)
		if (waits[i].used && waits[i].kind == ALZ_WAIT_FD)
			alz_wait_fd_close(&b->cache, &waits[i].w);
	bench_free(b);
	check_eq(files, 0);
	return seen;
}
