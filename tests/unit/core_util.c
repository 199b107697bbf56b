// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* What the core's unit tests share; see core_util.h. */
#include <stdlib.h>

#include "core_util.h"

struct core_os core_os = { .fail_after = -1 };

void core_os_reset(void)
{
	core_os = (struct core_os){ .fail_after = -1, .now = 1000 * SEC };
}

/* ---- what os.h asks for ------------------------------------------------ */

void core_os_must_hold(const alz_os_lock_t *lock)
{
	check_eq(lock->held, 1);
}

void alz_os_lock_init(alz_os_lock_t *lock)
{
	*lock = (alz_os_lock_t){ .made = 1 };
}

void alz_os_lock_fini(alz_os_lock_t *lock)
{
	check_eq(lock->made, 1);
	check_eq(lock->held, 0);
	lock->made = 0;
}

void alz_os_lock(alz_os_lock_t *lock)
{
	check_eq(lock->made, 1);
	check_eq(lock->held, 0);
	lock->held = 1;
}

void alz_os_unlock(alz_os_lock_t *lock)
{
	check_eq(lock->held, 1);
	lock->held = 0;
}

static void let_others_in(void)
{
	void (*fn)(void) = core_os.unlocked;

	core_os.unlocked = NULL;
	if (fn)
		fn();
}

void alz_os_relax(void)
{
	core_os.relaxes++;
	let_others_in();
}

static bool memory_runs_out(void)
{
	bool out = !core_os.fail_after;

	if (core_os.fail_after > 0)
		core_os.fail_after--;
	if (core_os.fail_nth > 0 && !--core_os.fail_nth)
		out = true;
	core_os.failed += out;
	return out;
}

void *alz_os_alloc(size_t size)
{
	void *p;

	if (memory_runs_out())
		return NULL;
	p = calloc(1, size);
	if (!p)
		abort();
	core_os.live++;
	return p;
}

void alz_os_free(void *p)
{
	if (!p)
		return;
	core_os.live--;
	free(p);
}

void *alz_os_pages_alloc(u64 size)
{
	void *p;

	if (memory_runs_out())
		return NULL;
	p = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
	if (!p)
		abort();
	memset(p, 0, size);
	core_os.live++;
	return p;
}

void alz_os_pages_free(void *p, u64 size)
{
	(void)size;
	alz_os_free(p);
}

void *alz_os_segment_alloc(void *arena, u32 index, u64 size)
{
	(void)arena;
	(void)index;
	let_others_in();
	return alz_os_pages_alloc(size);
}

void alz_os_segment_free(void *arena, u32 index, void *p, u64 size)
{
	(void)arena;
	(void)index;
	alz_os_pages_free(p, size);
}

u64 alz_os_now(void)
{
	return core_os.now;
}

void alz_os_store_release(u64 *p, u64 value)
{
	core_os.releases++;
	*p = value;
}

void alz_os_store(u64 *p, u64 value)
{
	*p = value;
}

void alz_os_store_pointer(void **p, void *v)
{
	*p = v;
}

void alz_os_store_state(u8 *p, u8 value)
{
	*p = value;
}

void alz_os_wake(struct alz_waiter *w)
{
	check(w->state != ALZ_WAITING);
	core_os.wakes++;
}

void alz_os_ready(struct alz_client *client, bool more)
{
	core_os_must_hold(&client->cache->lock);
	core_os.readies += more;
	*(bool *)client->os = more;
}

/* ---- a bench ----------------------------------------------------------- */

struct bench *bench_new(u64 max_keys, u64 arena_size)
{
	struct alz_geometry g = {
		.max_keys = max_keys ? max_keys : 1000,
		.arena_size = arena_size ? arena_size : 16 << 16,
		.segment_size = 1 << 16,
		.hash_seed = 0x1234567,
		.secret = 0x7654321,
		.cache_id = 1,
		.flags = ASYNCLAZY_CREATE_STABLE,
	};
	struct bench *b = calloc(1, sizeof(*b));
	int i;

	assert_non_null(b);
	assert_int_equal(alz_geometry_check(&g), 0);
	assert_int_equal(alz_cache_init(&b->cache, &g, NULL), 0);
	for (i = 0; i < CLIENTS; i++) {
		b->client[i].max_waits = 1 << 20;
		b->client[i].max_tickets = 1 << 20;
		b->client[i].os = &b->readable[i];
		alz_client_attach(&b->client[i], &b->cache);
	}
	return b;
}

void bench_free(struct bench *b)
{
	struct asynclazy_stats s = { 0 };
	int i;

	core_os.fail_after = -1;
	core_os.fail_nth = 0;
	check_consistent(b);
	for (i = 0; i < CLIENTS; i++) {
		alz_client_detach(&b->client[i]);
		check_consistent(b);
	}
	alz_cache_stats(&b->cache, &s);
	check_eq(s.out_clients, 0);
	check_eq(s.out_tickets_now, 0);
	check_eq(s.out_waits_now, 0);
	check_eq(s.out_initializing, 0);
	alz_cache_fini(&b->cache);
	free(b);
	check_eq(core_os.live, 0);
}

u64 hash_of(const void *key, u32 key_size)
{
	const unsigned char *p = key;
	u64 h = 0x9e3779b97f4a7c15ULL + key_size;
	u32 i;

	for (i = 0; i < key_size; i++)
		h = (h ^ p[i]) * 0x100000001b3ULL;
	h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ULL;
	h = (h ^ (h >> 27)) * 0x94d049bb133111ebULL;
	return h ^ (h >> 31);
}

u64 random_u64(void)
{
	static u64 x = 42;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x * 0x2545f4914f6cdd1dULL;
}

/* ---- operations by string keys ----------------------------------------- */

static int claim_any(struct bench *b, int who, const char *key, u32 flags,
		     u64 cookie, struct alz_waiter *w, struct alz_answer *answer)
{
	struct alz_claim c = {
		.key = key,
		.key_size = strlen(key),
		.flags = flags,
		.hash = hash_of(key, strlen(key)),
		.cookie = cookie,
		.waiter = w,
	};

	memset(answer, 0xa5, sizeof(*answer));
	return alz_claim(&b->client[who], &c, answer);
}

int claim(struct bench *b, int who, const char *key, u32 flags, u64 cookie,
	  struct alz_answer *answer)
{
	return claim_any(b, who, key, flags, cookie, NULL, answer);
}

int claim_wait(struct bench *b, int who, const char *key, u32 flags,
	       struct alz_waiter *w, struct alz_answer *answer)
{
	memset(w, 0, sizeof(*w));
	return claim_any(b, who, key, flags, 0, w, answer);
}

u64 take(struct bench *b, int who, const char *key)
{
	struct alz_answer a;

	check_eq(claim(b, who, key, ASYNCLAZY_CLAIM_INIT, 0, &a), 0);
	check_eq(a.result, ASYNCLAZY_RESULT_TICKET);
	return a.ticket;
}

int publish(struct bench *b, int who, u64 ticket, const void *value, u64 size,
	    u64 ttl)
{
	struct alz_reservation r;
	int err = alz_publish_begin(&b->client[who], ticket, size, ttl, &r);

	if (err)
		return err;
	memcpy(r.value, value, size);
	return alz_publish_commit(&b->client[who], &r);
}

int set(struct bench *b, int who, const char *key, const void *value, u64 size,
	u64 ttl)
{
	struct alz_reservation r;
	u64 hash = hash_of(key, strlen(key));
	int err = alz_set_begin(&b->client[who], key, strlen(key), hash, size,
				ttl, &r);

	if (err)
		return err;
	memcpy(r.value, value, size);
	return alz_publish_commit(&b->client[who], &r);
}

u32 invalidate(struct bench *b, int who, const char *key)
{
	u32 count = 1000;

	check_eq(alz_invalidate(&b->client[who], key, strlen(key),
				hash_of(key, strlen(key)), &count), 0);
	return count;
}

bool value_is(struct bench *b, u64 offset, const void *value, u64 size)
{
	const struct asynclazy_record *r;

	if (!check(offset < b->cache.arena.head))
		return false;
	r = alz_arena_record(&b->cache.arena, offset);
	return r->kind == ASYNCLAZY_RECORD_VALUE && r->value_size == size &&
	       !memcmp(alz_record_value(r), value, size);
}

u32 events(struct bench *b, int who, struct asynclazy_event *ev, u32 max)
{
	struct alz_client *c = &b->client[who];
	u32 n = alz_events_copy(c, ev, max);

	check_eq(b->readable[who], n > 0);
	alz_events_done(c, true);
	return n;
}

/* ---- consistency ------------------------------------------------------- */

static u64 count_list(const struct alz_list *head)
{
	const struct alz_list *at;
	u64 n = 0;

	for (at = head->next; at != head; at = at->next) {
		if (!check(at->next->prev == at) || !check(at->prev->next == at))
			break;
		n++;
	}
	return n;
}

static u64 count_tree(const struct alz_client *c, const struct alz_waiter *w,
		      u64 low, u64 high)
{
	if (!w)
		return 0;
	check(w->cookie >= low && w->cookie <= high);
	check(w->client == c);
	check_eq(w->kind, ALZ_WAIT_EVENT);
	return 1 + count_tree(c, w->child[0], low, w->cookie) +
	       count_tree(c, w->child[1], w->cookie, high);
}

static u64 check_queue(const struct alz_flight *f, const struct alz_list *head,
		       bool able)
{
	const struct alz_list *at;

	for (at = head->next; at != head; at = at->next) {
		const struct alz_waiter *w = alz_entry(at, struct alz_waiter, link);

		check_eq(w->state, ALZ_WAITING);
		check_eq(w->can_init, able);
		check(w->flight == f);
		check(!w->client->dead);
	}
	return count_list(head);
}

static void check_flight(struct alz_cache *cache, const struct alz_flight *f,
			 u64 *owned)
{
	u64 waiters = check_queue(f, &f->able, true) +
		      check_queue(f, &f->waiters, false);

	check(!f->ended);
	check(f->refs >= 1 + waiters);
	if (!check(f->owner))
		return;
	check(!f->owner->dead);
	check(f->ticket && f->ticket <= cache->generation);
	++*owned;
}

void check_consistent(struct bench *b)
{
	struct alz_cache *cache = &b->cache;
	u64 slots = (cache->bucket_mask + 1) * ASYNCLAZY_BUCKET_SLOTS;
	u64 states[4] = { 0 }, flights = 0, owned = 0, waits = 0, tickets = 0, i;
	const struct alz_list *at, *head;

	check_eq(cache->lock.held, 0);
	for (i = 0; i < slots; i++) {
		u64 word = cache->slots[i];
		u64 tag = word & ALZ_SLOT_TAG_MASK;
		const struct asynclazy_record *r;

		states[alz_slot_state(word)]++;
		if (!alz_slot_has_record(word))
			continue;
		r = alz_arena_record(&cache->arena, alz_slot_offset(word));
		check(alz_slot_tag(r->hash) == tag);
		check(r->generation && r->generation <= cache->generation);
		check_eq(r->kind, alz_slot_state(word) == ASYNCLAZY_SLOT_FILLED ?
			 ASYNCLAZY_RECORD_VALUE : ASYNCLAZY_RECORD_ERROR);
		/* it lies in one of its two buckets */
		tag = alz_bucket_first(r->hash, cache->bucket_mask);
		check(i / ASYNCLAZY_BUCKET_SLOTS == tag ||
		      i / ASYNCLAZY_BUCKET_SLOTS ==
		      alz_bucket_other(tag, alz_slot_tag(r->hash),
				       cache->bucket_mask));
	}
	check_eq(states[ASYNCLAZY_SLOT_FILLED], cache->header->keys);
	check_eq(states[ASYNCLAZY_SLOT_FAILED], cache->header->errors);
	check_eq(states[ASYNCLAZY_SLOT_INITIALIZING], cache->header->initializing);

	for (i = 0; i <= cache->flight_mask; i++) {
		head = &cache->by_key[i];
		for (at = head->next; at != head; at = at->next, flights++) {
			struct alz_flight *f = alz_entry(at, struct alz_flight,
							 key_link);

			check_flight(cache, f, &owned);
			cache->lock.held = 1;
			check(alz_table_find_initializing(cache, f->hash));
			check(!alz_table_find(cache, f->key, f->key_size, f->hash));
			cache->lock.held = 0;
		}
		tickets += count_list(&cache->by_ticket[i]);
	}
	check_eq(flights, states[ASYNCLAZY_SLOT_INITIALIZING]);
	check_eq(tickets, flights);
	check_eq(cache->count.tickets_now, flights);

	tickets = 0;
	for (i = 0; i < CLIENTS; i++) {
		const struct alz_client *c = &b->client[i];
		u64 n;

		if (!c->cache)
			continue;
		n = count_tree(c, c->waits, 0, UINT64_MAX);
		check_eq(n + count_list(&c->fd_waits) <= c->nr_waits, 1);
		check_eq(count_list(&c->tickets), c->nr_tickets);
		if (!c->dead)
			check_eq(b->readable[i], !alz_list_empty(&c->ready));
		waits += c->nr_waits;
		tickets += c->nr_tickets;
	}
	check_eq(waits, cache->count.waits_now);
	check_eq(tickets, flights);
	check_eq(owned, flights);
	check_eq(cache->header->arena_used, cache->arena.head);
}
