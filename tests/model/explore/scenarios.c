// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What the threads do: a few calls each of the core and of the reader, as the
 * module and the library make them, and what must be true then.
 */
#include <stdio.h>

#include "explore.h"
#include "reader.h"

#undef memcpy
#undef memset
#undef memcmp

#define KEY	0	/* index of the key that most scenarios are about */
#define VALUE(who, generation)	(0x1000 * (1 + (who)) + (generation))

static struct alz_view view;

/* reader.c wants it, for headers that it cannot read */
int alz_error(int err, const char *format, ...);
int alz_error(int err, const char *format, ...)
{
	(void)format;
	return err;
}

/* ---- sleeping and waking, as kmod/call_claim.c and kmod/os.c do --------- */

static void queue_wake(struct x_queue *q)
{
#ifdef MUTANT_WAKE_PEEK
	/* a look without the queue's lock: the store of the state may be behind */
	x_stop(X_RUNS, "peeks at the wait queue");
	if (!q->on_queue)
		return;
#endif
	alz_os_lock(&q->lock);
	if (q->on_queue)
		q->runnable = true;
	alz_os_unlock(&q->lock);
}

void alz_os_wake(struct alz_waiter *w)
{
	queue_wake(w->os);
}

void alz_os_ready(struct alz_client *client, bool more)
{
	if (more)
		queue_wake(client->os);
}

/* prepare_to_wait() */
static void queue_join(struct x_queue *q)
{
	alz_os_lock(&q->lock);
	q->on_queue = true;
	q->runnable = false;
	alz_os_unlock(&q->lock);
	x_drain();
}

static void queue_sleep(struct x_queue *q, bool patient)
{
	x.thread[x_me].queue = q;
	x_stop(patient ? X_SLEEPS : X_RUNS, patient ? "wakes up" : "wakes up, perhaps too early");
}

static void queue_leave(struct x_queue *q)
{
	alz_os_lock(&q->lock);
	q->on_queue = false;
	q->runnable = false;
	alz_os_unlock(&q->lock);
}

/* alz_claim_sleep(); @patient: without a deadline */
int x_wait_block(int me, bool patient)
{
	struct alz_waiter *w = &x.waiter[me];
	struct x_queue *q = &x.queue[me];

	for (;;) {
#ifdef MUTANT_NO_LOOK
		if (x_load_state(&w->state) != ALZ_WAITING)
			break;
		queue_join(q);
#else
		queue_join(q);
		if (x_load_state(&w->state) != ALZ_WAITING)
			break;
#endif
		queue_sleep(q, patient);
		if (!patient)
			break;
	}
	queue_leave(q);
	return alz_wait_finish(&x.client[me], w, patient ? 0 : -ETIMEDOUT, 0,
			       &x.note.answer[me]);
}

/* alz_process_poll() and a read of one event */
static void wait_event(int me)
{
	struct x_queue *q = &x.queue[me];

	for (;;) {
		queue_join(q);
		if (alz_events_copy(&x.client[me], &x.note.event[me], 1))
			break;
		queue_sleep(q, true);
	}
	alz_events_done(&x.client[me], true);
	queue_leave(q);
}

/* ---- calls ------------------------------------------------------------- */

static u64 hash_of(u32 tag, u32 bucket)
{
	return (u64)tag << ASYNCLAZY_HASH_TAG_SHIFT | bucket;
}

static void key_add(int i, u32 tag, u32 bucket)
{
	x.note.keys[i] = 0x1111111111111111ULL * (i % 15 + 1) + i;
	x.note.hash[i] = hash_of(tag, bucket);
}

static u32 claim(int me, int key, u32 flags)
{
	struct alz_claim c = {
		.key = &x.note.keys[key],
		.key_size = 8,
		.flags = flags,
		.hash = x.note.hash[key],
		.cookie = 7,
		.waiter = &x.waiter[me],
	};

	x_check(!alz_claim(&x.client[me], &c, &x.note.answer[me]));
	if (x.note.answer[me].result == ASYNCLAZY_RESULT_TICKET)
		x.note.tickets++;
	return x.note.answer[me].result;
}

static int fill(int me, u64 value)
{
	u64 v[2] = { value, value };

	x_memcpy(x.note.r[me].value, v, sizeof(v));
	return alz_publish_commit(&x.client[me], &x.note.r[me]);
}

static int publish(int me, u64 ticket, u64 value)
{
	int err = alz_publish_begin(&x.client[me], ticket, 16, NULL, &x.note.r[me]);

	return err ? err : fill(me, value);
}

static void set(int me, int key, u64 value)
{
	x_check(!alz_set_begin(&x.client[me], &x.note.keys[key], 8, x.note.hash[key], 16, NULL,
			       &x.note.r[me]));
	x_check(!fill(me, value));
}

/* What a reader does with a record: all of its bytes are those that were meant. */
static u64 record_check(const struct asynclazy_record *r, int key)
{
	u64 sizes = x_load((const u64 *)&r->key_size);
	const u64 *v = (const u64 *)((const char *)r + alz_record_value_offset(8));
	u64 generation = x_load(&r->generation);
	u64 value;

	x_check((u32)sizes == 8 && (u16)(sizes >> 32) == ASYNCLAZY_RECORD_VALUE &&
		!(sizes >> 48));
	x_check(generation && generation < 100);
	x_check(x_load(&r->hash) == x.note.hash[key]);
	x_check(x_load(&r->value_size) == 16);
	x_check(x_load((const u64 *)(r + 1)) == x.note.keys[key]);
	value = x_load(v);
	x_check(value >= 0x1000 && value < 0x5000 && x_load(v + 1) == value);
	return generation;
}

/* The hit path. Return: the generation; 0: a miss */
static u64 look(int key)
{
	u64 k = x.note.keys[key];
	const struct asynclazy_record *r = alz_reader_find(&view, &k, 8, x.note.hash[key]);

	return r ? record_check(r, key) : 0;
}

/* What an answer or event says must be there. */
static void answer_check(u32 result, u64 offset, int key)
{
	x_check(result == ASYNCLAZY_RESULT_HIT);
	record_check((const void *)(x_segment + offset), key);
}

/* ---- before and after -------------------------------------------------- */

static void start_with(u32 flags)
{
	struct alz_geometry g = {
		.max_keys = 16,
		.arena_size = X_SEGMENT,
		.segment_size = X_SEGMENT,
		.hash_seed = 1,
		.secret = 2,
		.cache_id = 3,
		.flags = flags,
	};
	int i;

	x_check(!alz_geometry_check(&g));
	x_check(!alz_cache_init(&x.cache, &g, NULL));
	x_check(x.cache.bucket_mask == 3);
	for (i = 0; i < X_THREADS; i++) {
		x.client[i].max_waits = 10;
		x.client[i].max_tickets = 10;
		x.client[i].os = &x.queue[i];
		x.waiter[i].os = &x.queue[i];
		x.client[i].pins = flags ? NULL : &x_pins[i];
		x.client[i].nr_pins = !flags;
		alz_os_lock_init(&x.queue[i].lock);
		alz_client_attach(&x.client[i], &x.cache);
	}
	alz_view_init(&view, x.cache.header, x_segment);
	view.visited = x.cache.visited;
	key_add(KEY, 5, 1);
}

void x_start(void)
{
	start_with(ASYNCLAZY_CREATE_STABLE);
}

/* Client 0 has a ticket, and memory for the arena is there. */
static void start_owned(void)
{
	x_start();
	key_add(1, 9, 2);
	set(0, 1, VALUE(0, 0));
	x_check(claim(0, KEY, ASYNCLAZY_CLAIM_INIT) == ASYNCLAZY_RESULT_TICKET);
	x.note.ticket = x.note.answer[0].ticket;
	x.note.from = x.note.answer[0].generation;
}

static void start_owned_and_waited_for(void)
{
	start_owned();
	x_check(claim(1, KEY, ASYNCLAZY_CLAIM_INIT | ASYNCLAZY_CLAIM_EVENT) ==
		ASYNCLAZY_RESULT_PENDING);
}

/* All tickets and waits have ended; nothing is left. */
void x_finish(void)
{
	int i;

	x_check(!x.cache.lock.holder);
	x_check(!x.cache.count.tickets_now);
	x_check(!x.cache.count.waits_now);
	x_check(!x.cache.header->initializing);
	for (i = 0; i < X_THREADS; i++)
		alz_client_detach(&x.client[i]);
	alz_cache_fini(&x.cache);
	x_check(!x.heap_used);
}

static void finish_filled(void)
{
	x_check(look(KEY));
	x_finish();
}

/* ---- K5: a record is complete for whoever finds it --------------------- */

static void owner_publishes(void)
{
	x_check(!publish(0, x.note.ticket, VALUE(0, 1)));
}

static void looks_1(void)
{
	u64 seen = look(KEY);

	if (seen)
		x_check(look(KEY) == seen);
}

static void looks_2_then_asks(void)
{
	if (!look(KEY) && claim(2, KEY, 0) != ASYNCLAZY_RESULT_PENDING)
		answer_check(x.note.answer[2].result, x.note.answer[2].offset, KEY);
}

static void start_two_keys(void)
{
	x_start();
	key_add(1, 9, 2);
	set(0, 1, VALUE(0, 0));
}

static void sets_0(void)
{
	set(0, KEY, VALUE(0, 2));
}

static void sets_2(void)
{
	set(2, KEY, VALUE(2, 2));
}

static void looks_twice_1(void)
{
	u64 seen = look(KEY);

	if (seen)
		x_check(look(KEY) >= seen);
}

/* ---- a move to the other bucket ---------------------------------------- */

static void start_full(void)
{
	int i;

	x_start();
	/* buckets 0 and 1 are full; what is in 0 can go to 3 */
	for (i = 1; i <= 16; i++) {
		key_add(i, 2 + 4 * i, i > 8);
		set(0, i, VALUE(0, 0));
	}
	key_add(KEY, 4, 0);
}

static void claims_where_full_0(void)
{
	x_check(claim(0, KEY, ASYNCLAZY_CLAIM_INIT) == ASYNCLAZY_RESULT_TICKET);
	x_check(!publish(0, x.note.answer[0].ticket, VALUE(0, 1)));
}

static void looks_for_moved_1(void)
{
	if (!look(1)) {
		x_check(claim(1, 1, 0) == ASYNCLAZY_RESULT_HIT);
		answer_check(x.note.answer[1].result, x.note.answer[1].offset, 1);
	}
}

static void finish_full(void)
{
	int i;

	/* the move took place, and lost nobody */
	x_check(alz_slot_has_record(x.cache.slots[3 * ASYNCLAZY_BUCKET_SLOTS]));
	for (i = 0; i <= 16; i++)
		x_check(look(i));
	x_finish();
}

/* ---- claims against each other ----------------------------------------- */

static void claims(int me)
{
	switch (claim(me, KEY, ASYNCLAZY_CLAIM_INIT | ASYNCLAZY_CLAIM_EVENT)) {
	case ASYNCLAZY_RESULT_TICKET:
		x_check(x.note.tickets == 1);
		x_check(!publish(me, x.note.answer[me].ticket, VALUE(me, 1)));
		break;
	case ASYNCLAZY_RESULT_PENDING:
		wait_event(me);
		answer_check(x.note.event[me].result, x.note.event[me].offset, KEY);
		break;
	default:
		answer_check(x.note.answer[me].result, x.note.answer[me].offset, KEY);
	}
}

static void claims_0(void)
{
	claims(0);
}

static void claims_1(void)
{
	claims(1);
}

static void claims_2(void)
{
	claims(2);
}

/* ---- waiting ----------------------------------------------------------- */

/* A patient wait, with whatever follows from its answer. */
static void waits(int me, u32 init)
{
	u32 result = claim(me, KEY, ASYNCLAZY_CLAIM_BLOCK | init);

	if (result == ASYNCLAZY_RESULT_PENDING) {
		x_check(!x_wait_block(me, true));
		result = x.note.answer[me].result;
	}
	if (result == ASYNCLAZY_RESULT_TICKET)
		x_check(!publish(me, x.note.answer[me].ticket, VALUE(me, 1)));
	else
		answer_check(result, x.note.answer[me].offset, KEY);
}

static void waits_1(void)
{
	waits(1, ASYNCLAZY_CLAIM_INIT);
}

static void waits_2(void)
{
	waits(2, ASYNCLAZY_CLAIM_INIT);
}

static void waits_unable_2(void)
{
	waits(2, 0);
}

/* A wait with a deadline; a ticket that came in time is given back. */
static void waits_a_while_1(void)
{
	u32 result = claim(1, KEY, ASYNCLAZY_CLAIM_BLOCK | ASYNCLAZY_CLAIM_INIT);

	if (result == ASYNCLAZY_RESULT_PENDING) {
		int err = x_wait_block(1, false);

		x_check(!err || err == -ETIMEDOUT);
		if (err)
			return;
		result = x.note.answer[1].result;
	}
	if (result == ASYNCLAZY_RESULT_TICKET)
		x_check(!alz_abandon(&x.client[1], x.note.answer[1].ticket));
}

static void dies_0(void)
{
	alz_client_die(&x.client[0]);
}

static void cancels_1(void)
{
	x_check(!alz_cancel(&x.client[1], 7));
}

static void abandons_0(void)
{
	x_check(!alz_abandon(&x.client[0], x.note.ticket));
}

/* ---- invalidate -------------------------------------------------------- */

static void publishes_if_it_may_0(void)
{
	int err = publish(0, x.note.ticket, VALUE(0, 1));

	x_check(!err || err == -ESTALE);
}

static void invalidates_1(void)
{
	u32 count;

	x_check(!alz_invalidate(&x.client[1], &x.note.keys[KEY], 8, x.note.hash[KEY], &count));
	x_check(count == 1);
	/* what was made before is gone for whoever asks now */
	x_check(claim(1, KEY, 0) == ASYNCLAZY_RESULT_EMPTY);
	x_check(!look(KEY));
}

/* With a waiter that can take over: its flight starts again under a new generation. */
static void invalidates_waited_for_1(void)
{
	u64 generation;
	u32 count;

	x_check(!alz_invalidate(&x.client[1], &x.note.keys[KEY], 8, x.note.hash[KEY], &count));
	x_check(count == 1);
	generation = look(KEY);
	x_check(!generation || generation > x.note.from);
}

static void looks_only_2(void)
{
	look(KEY);
}

/* ---- reclaim against readers ------------------------------------------- */

static void visit(int key)
{
	u64 *slot;

	alz_os_lock(&x.cache.lock);
	slot = alz_table_find(&x.cache, &x.note.keys[key], 8, x.note.hash[key]);
	alz_visited_set(&x.cache, slot, true);
	alz_os_unlock(&x.cache.lock);
}

/* Two values in a segment each; if KEY was read, it will be kept. */
static void start_recycle(bool waited_for)
{
	start_with(0);
	key_add(1, 9, 2);
	key_add(2, 13, 3);
	x_check(claim(0, KEY, ASYNCLAZY_CLAIM_INIT) == ASYNCLAZY_RESULT_TICKET);
	if (waited_for)
		x_check(claim(1, KEY, ASYNCLAZY_CLAIM_EVENT) == ASYNCLAZY_RESULT_PENDING);
	x_check(!publish(0, x.note.answer[0].ticket, VALUE(0, 0)));
	x_check(alz_arena_close(&x.cache.arena));
	set(0, 1, VALUE(0, 1));
	x_check(alz_arena_close(&x.cache.arena));
}

static void start_kept(void)
{
	start_recycle(false);
	visit(KEY);
}

static void start_evicted(void)
{
	start_recycle(false);
}

static void start_evicted_and_waited_for(void)
{
	start_recycle(true);
}

/* The segment is emptied, and if nobody reads there, used again at once. */
static void reclaims_0(void)
{
	x_check(!alz_os_mutex_lock(&x.cache.arena.room_lock));
	alz_os_lock(&x.cache.lock);
	alz_reclaim_run(&x.cache, true);
	alz_os_unlock(&x.cache.lock);
	alz_os_mutex_unlock(&x.cache.arena.room_lock);
	set(0, 2, VALUE(0, 3));
}

/* Return: the generation; 0: a miss */
static u64 read_pinned(int me, int key)
{
	u64 k = x.note.keys[key], generation;
	const struct asynclazy_record *r;

	r = alz_reader_pin(&view, &k, 8, x.note.hash[key], &x_pins[me]);
	if (!r)
		return 0;
	generation = record_check(r, key);
	x_check(record_check(r, key) == generation);
	x_store(&x_pins[me], 0, true);
	return generation;
}

static void reads_kept_1(void)
{
	/* it is always found, at one place or the other */
	x_check(read_pinned(1, KEY));
}

static void reads_1(void)
{
	read_pinned(1, KEY);
}

static void asks_2(void)
{
	struct alz_claim c = {
		.key = &x.note.keys[KEY], .key_size = 8, .hash = x.note.hash[KEY], .pin = 1,
	};
	struct alz_answer *a = &x.note.answer[2];

	x_check(!alz_claim(&x.client[2], &c, a));
	if (a->result != ASYNCLAZY_RESULT_HIT)
		return;
	answer_check(a->result, a->offset, KEY);
	x_store(&x_pins[2], 0, true);
}

/* As the library does it: an event, its pin, the next read. */
static void hears_1(void)
{
	struct asynclazy_event *ev = &x.note.event[1];

	x_check(alz_events_copy(&x.client[1], ev, 1) == 1);
	alz_events_done(&x.client[1], true);
	x_store(&x_pins[1], ev->offset | ASYNCLAZY_PIN_SET, false);
	alz_events_release(&x.client[1]);
	answer_check(ev->result, ev->offset, KEY);
	x_store(&x_pins[1], 0, true);
}

static void finish_empty(void)
{
	x_check(!look(KEY));
	x_finish();
}

static const struct x_scenario scenarios[] = {
	{ "publish against two lookups", start_owned,
	  { owner_publishes, looks_1, looks_2_then_asks }, finish_filled, 0 },
	{ "a set against lookups", start_two_keys,
	  { sets_0, looks_twice_1 }, finish_filled, 0 },
	{ "two sets against lookups", start_two_keys,
	  { sets_0, looks_twice_1, sets_2 }, finish_filled, 2 },
	{ "a move of a slot against a lookup", start_full,
	  { claims_where_full_0, looks_for_moved_1 }, finish_full, 0 },
	{ "two claims", x_start, { claims_0, claims_1 }, finish_filled, 0 },
	{ "three claims", x_start, { claims_0, claims_1, claims_2 }, finish_filled, 2 },
	{ "publish against waits", start_owned,
	  { owner_publishes, waits_1, waits_unable_2 }, finish_filled, 0 },
	{ "publish against invalidate", start_owned,
	  { publishes_if_it_may_0, invalidates_1, looks_only_2 }, finish_empty, 1 },
	{ "publish against invalidate and a wait", start_owned,
	  { publishes_if_it_may_0, invalidates_waited_for_1, waits_2 }, x_finish, 1 },
	{ "owner's death against waits", start_owned,
	  { dies_0, waits_1, waits_2 }, finish_filled, 0 },
	{ "owner's death against cancel", start_owned_and_waited_for,
	  { dies_0, cancels_1, waits_2 }, finish_filled, 0 },
	{ "abandon against a deadline", start_owned,
	  { abandons_0, waits_a_while_1, waits_2 }, finish_filled, 0 },
	{ "reclaim that keeps a value against its reader", start_kept,
	  { reclaims_0, reads_kept_1 }, x_finish, 1 },
	{ "reclaim that evicts a value against its reader", start_evicted,
	  { reclaims_0, reads_1 }, x_finish, 1 },
	{ "reclaim against a reader and a claim", start_evicted,
	  { reclaims_0, reads_1, asks_2 }, x_finish, 2 },
	{ "reclaim against an event", start_evicted_and_waited_for,
	  { reclaims_0, hears_1 }, x_finish, 0 },
};

/* Those whose name has @part in it. Return: how many failed. */
static int explore_all(const struct x_scenario *s, unsigned int n, bool big, const char *part)
{
	int errors = 0;

	for (; n--; s++)
		if ((big || s->big < (x_pso ? 1 : 2)) && strstr(s->name, part))
			errors += x_explore(s);
	return errors;
}

int main(int argc, char **argv)
{
	const char *part = argc > 3 ? argv[3] : "";
	bool big = argc > 2 && !strcmp(argv[2], "all");
	int errors;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 3 || argc > 4 || (strcmp(argv[1], "tso") && strcmp(argv[1], "pso")) ||
	    (!big && strcmp(argv[2], "small"))) {
		fprintf(stderr, "usage: explore tso|pso small|all [part of a scenario's name]\n");
		return 2;
	}
	x_pso = !strcmp(argv[1], "pso");
	errors = explore_all(scenarios, sizeof(scenarios) / sizeof(*scenarios), big, part) +
		 explore_all(x_words_scenarios, x_words_nr, big, part);
	return !!errors;
}
