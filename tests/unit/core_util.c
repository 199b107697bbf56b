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

static void come_in(void (*fn)(void))
{
	bool inside = core_os.inside;

	core_os.inside = true;
	fn();
	core_os.inside = inside;
}

void alz_os_unlock(alz_os_lock_t *lock)
{
	check_eq(lock->held, 1);
	lock->held = 0;
	if (core_os.each_unlock && !core_os.inside)
		come_in(core_os.each_unlock);
}

static void let_others_in(void)
{
	void (*fn)(void) = core_os.unlocked;

	core_os.unlocked = NULL;
	if (fn)
		come_in(fn);
}

void alz_os_relax(void)
{
	core_os.relaxes++;
	let_others_in();
}

void alz_os_mutex_init(alz_os_mutex_t *mutex)
{
	alz_os_lock_init(mutex);
}

void alz_os_mutex_fini(alz_os_mutex_t *mutex)
{
	alz_os_lock_fini(mutex);
}

int alz_os_mutex_lock(alz_os_mutex_t *mutex)
{
	let_others_in();
	/* whoever comes in while it is held cannot wait: let it die */
	if (core_os.dying || (core_os.inside && mutex->held))
		return -EINTR;
	alz_os_lock(mutex);
	return 0;
}

void alz_os_mutex_unlock(alz_os_mutex_t *mutex)
{
	check_eq(mutex->held, 1);
	mutex->held = 0;
}

void alz_os_barrier(bool urgent)
{
	core_os.barriers++;
	core_os.urgent += urgent;
	let_others_in();
	if (core_os.at_barrier)
		come_in(core_os.at_barrier);
}

void alz_os_reclaim_wanted(struct alz_cache *cache)
{
	core_os_must_hold(&cache->lock);
	core_os.wanted++;
}

void alz_os_segment_release(void *arena, u32 index, void *p, u64 size, void **memory)
{
	check(*memory == p);
	*memory = NULL;
	core_os.released++;
	alz_os_segment_free(arena, index, p, size);
}

void alz_os_deadline(struct alz_cache *cache, u64 at)
{
	core_os_must_hold(&cache->lock);
	core_os.deadline = at;
}

/* a client's number in its bench, from 1 */
s32 alz_os_client_pid(struct alz_client *client)
{
	const struct bench *b = alz_entry(client->cache, struct bench, cache);

	core_os_must_hold(&client->cache->lock);
	return client - b->client + 1;
}

/* a file is a count of the test's own */
void alz_os_file_put(void *file)
{
	--*(int *)file;
}

u64 alz_os_load(const u64 *p)
{
	return *p;
}

u8 alz_os_load_byte(const u8 *p)
{
	return *p;
}

void alz_os_store_byte(u8 *p, u8 value)
{
	*p = value;
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

/* A word that is paged out: core_os.absent calls see nothing. */
bool alz_os_load_word(const u32 *address, u32 *value)
{
	if (core_os.absent) {
		core_os.absent--;
		return false;
	}
	*value = *address;
	return true;
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

void bench_attach(struct bench *b, int who)
{
	struct alz_client *c = &b->client[who];

	memset(c, 0, sizeof(*c));
	memset(b->pins[who], 0, sizeof(b->pins[who]));
	b->readable[who] = false;
	c->max_waits = 1 << 20;
	c->max_tickets = 1 << 20;
	c->os = &b->readable[who];
	if (!b->cache.arena.stable) {
		c->pins = b->pins[who];
		c->nr_pins = PINS;
	}
	alz_client_attach(c, &b->cache);
}

struct bench *bench_with(const struct alz_geometry *geometry)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct alz_geometry g = *geometry;
	int i;

	g.hash_seed = 0x1234567;
	g.secret = 0x7654321;
	g.cache_id = 1;
	assert_non_null(b);
	assert_int_equal(alz_geometry_check(&g), 0);
	assert_int_equal(alz_cache_init(&b->cache, &g, NULL), 0);
	for (i = 0; i < CLIENTS; i++)
		bench_attach(b, i);
	return b;
}

struct bench *bench_new(u64 max_keys, u64 arena_size)
{
	const struct alz_geometry g = {
		.max_keys = max_keys ? max_keys : 1000,
		.arena_size = arena_size ? arena_size : 16 << 16,
		.segment_size = 1 << 16,
		.flags = ASYNCLAZY_CREATE_STABLE,
	};

	return bench_with(&g);
}

struct bench *bench_recycle(u64 max_keys, u64 segments)
{
	const struct alz_geometry g = {
		.max_keys = max_keys ? max_keys : 1000,
		.arena_size = segments << 16,
		.segment_size = 1 << 16,
	};

	return bench_with(&g);
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

u64 (*random_source)(void);
bool random_ended;

u64 random_u64(void)
{
	static u64 x = 42;

	if (random_source)
		return random_source();
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
	const struct alz_ttl t = { .ttl = ttl };
	struct alz_reservation r;
	int err = alz_publish_begin(&b->client[who], ticket, size, &t, &r);

	if (err)
		return err;
	memcpy(r.value, value, size);
	return alz_publish_commit(&b->client[who], &r);
}

int set(struct bench *b, int who, const char *key, const void *value, u64 size,
	u64 ttl)
{
	const struct alz_ttl t = { .ttl = ttl };
	struct alz_reservation r;
	u64 hash = hash_of(key, strlen(key));
	int err = alz_set_begin(&b->client[who], key, strlen(key), hash, size, &t, &r);

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

bool offset_is_given_out(struct bench *b, u64 offset)
{
	const struct alz_arena *arena = &b->cache.arena;
	u64 index = offset >> arena->segment_shift;

	return index < arena->nr_segments && arena->memory[index] &&
	       (offset & ((1ULL << arena->segment_shift) - 1)) < arena->segments[index].head;
}

bool value_is(struct bench *b, u64 offset, const void *value, u64 size)
{
	const struct asynclazy_record *r;

	if (!check(offset_is_given_out(b, offset)))
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

int look_at(struct bench *b, const char *key, struct asynclazy_flight *f)
{
	static char detail[ASYNCLAZY_DETAIL_MAX + 1];
	int err;

	memset(f, 0, sizeof(*f));
	err = alz_flight_look(&b->client[2], key, strlen(key), hash_of(key, strlen(key)), f,
			      detail);
	if (!err) {
		detail[f->out_detail_size] = 0;
		f->detail = (uintptr_t)detail;
	}
	return err;
}

struct asynclazy_flight look(struct bench *b, const char *key)
{
	struct asynclazy_flight f;

	assert_int_equal(look_at(b, key, &f), 0);
	return f;
}
