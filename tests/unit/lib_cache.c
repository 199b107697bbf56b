// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The cache: rows L6 and L7, and set, invalidate, clear, names and TTL. The
 * same program on both backends.
 *
 * Linked with --wrap for every allocation call, so that those of the library
 * (its static archive) are counted.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "util.h"

/* ---- counted allocations ----------------------------------------------- */

static atomic_ulong allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
int __real_posix_memalign(void **p, size_t align, size_t size);
char *__real_strdup(const char *s);
void *__real_mmap(void *p, size_t size, int prot, int flags, int fd, off_t off);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
int __wrap_posix_memalign(void **p, size_t align, size_t size);
char *__wrap_strdup(const char *s);
void *__wrap_mmap(void *p, size_t size, int prot, int flags, int fd, off_t off);

void *__wrap_malloc(size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __real_realloc(p, size);
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __real_aligned_alloc(align, size);
}

int __wrap_posix_memalign(void **p, size_t align, size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __real_posix_memalign(p, align, size);
}

char *__wrap_strdup(const char *s)
{
	atomic_fetch_add(&allocations, 1);
	return __real_strdup(s);
}

void *__wrap_mmap(void *p, size_t size, int prot, int flags, int fd, off_t off)
{
	atomic_fetch_add(&allocations, 1);
	return __real_mmap(p, size, prot, flags, fd, off);
}

/* ---- L6 ---------------------------------------------------------------- */

#define L6_THREADS	8

struct l6 {
	struct alazy_cache *cache;
	uint64_t keys;
	atomic_ulong inits;
	atomic_ulong errors;
};

/* The value of key i: i repeated, 8 to 64 bytes. */
static size_t l6_value(uint64_t i, uint64_t *value)
{
	size_t n = i % 8 + 1, j;

	for (j = 0; j < n; j++)
		value[j] = i * 0x9e3779b97f4a7c15ULL + j;
	return n * sizeof(*value);
}

static int l6_make(const struct alazy_ticket *ticket, const void *key,
		   size_t key_size, void *ctx)
{
	struct l6 *t = ctx;
	uint64_t i, value[8];

	if (!check_eq(key_size, sizeof(i)))
		return -EINVAL;
	memcpy(&i, key, sizeof(i));
	atomic_fetch_add(&t->inits, 1);
	return alazy_publish(ticket, value, l6_value(i, value), 0);
}

static void l6_get_all(unsigned int me, void *arg)
{
	struct l6 *t = arg;
	uint64_t n, i, value[8];
	struct alazy_ref ref;

	/* each from another place, so that they race and also meet hits */
	for (n = 0; n < t->keys; n++) {
		i = (n + me * (t->keys / L6_THREADS / 2)) % t->keys;
		if (alazy_cache_get(t->cache, &i, sizeof(i), l6_make, t, &ref)) {
			atomic_fetch_add(&t->errors, 1);
			continue;
		}
		if (!ref_is(&ref, value, l6_value(i, value)))
			atomic_fetch_add(&t->errors, 1);
		alazy_ref_put(&ref);
	}
}

TEST_VOLUME(l6_as_many_inits_as_keys_with_eight_threads)
{
	uint64_t keys = scaled(1000000, 20000);
	struct l6 t = { .cache = open_cache(keys, keys * 256), .keys = keys };

	run_threads(L6_THREADS, l6_get_all, &t);
	check_eq(atomic_load(&t.errors), 0);
	check_eq(atomic_load(&t.inits), keys);
	check_eq(alazy_cache_len(t.cache), keys);
	alazy_cache_close(t.cache);
}

TEST(l6_hits_allocate_nothing)
{
	uint64_t keys = 1000, i, value[8];
	unsigned long before = atomic_load(&allocations);
	struct alazy_ref ref;
	struct l6 t = { .keys = keys };
	struct alazy *lazy;
	void *volatile probe;
	unsigned int round;

	/* the counter counts: a call from here, and the library's own */
	probe = malloc(1);
	check_eq(atomic_load(&allocations), before + 1);
	free(probe);
	before = atomic_load(&allocations);
	t.cache = open_cache(keys, 0);
	check(atomic_load(&allocations) > before);

	l6_get_all(0, &t);
	i = 7;
	lazy = alazy_new(t.cache, &i, sizeof(i), l6_make, &t);
	assert_non_null(lazy);
	check_eq(alazy_get(lazy, &ref), 0);
	alazy_ref_put(&ref);

	before = atomic_load(&allocations);
	for (round = 0; round < 100; round++)
		l6_get_all(round, &t);
	for (round = 0; round < 1000; round++) {
		check_eq(alazy_get(lazy, &ref), 0);
		check(ref_is(&ref, value, l6_value(7, value)));
		alazy_ref_put(&ref);
		check_eq(alazy_cache_peek(t.cache, &i, sizeof(i), NULL, NULL),
			 ALAZY_FILLED);
	}
	check_eq(atomic_load(&allocations), before);
	check_eq(atomic_load(&t.errors), 0);
	check_eq(atomic_load(&t.inits), keys);
	alazy_free(lazy);
	alazy_cache_close(t.cache);
}

struct bytes {
	const void *key;
	size_t key_size;
	const void *value;
	size_t size;
	unsigned int inits;
};

static int make_bytes(const struct alazy_ticket *ticket, const void *key,
		      size_t key_size, void *ctx)
{
	struct bytes *b = ctx;

	check(key_size == b->key_size && !memcmp(key, b->key, key_size));
	b->inits++;
	return alazy_publish(ticket, b->value, b->size, 0);
}

static void check_bytes(struct alazy_cache *cache, struct bytes *b)
{
	struct alazy_ref ref;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		if (!check_eq(alazy_cache_get(cache, b->key, b->key_size,
					      make_bytes, b, &ref), 0))
			return;
		check(ref_is(&ref, b->value, b->size));
		check_eq((uintptr_t)ref.data % 16, 0);
		alazy_ref_put(&ref);
	}
	check_eq(b->inits, 1);
}

TEST(l6_any_byte_string_is_a_key_of_its_own)
{
	struct alazy_cache *cache = open_cache(0, 0);
	static char longest[4096], other[4096], big[100000];
	struct bytes b[] = {
		{ "\0", 1, "one NUL", 8, 0 },
		{ "\0\0", 2, "two NULs", 9, 0 },
		{ "\0\0\0", 3, "three NULs", 11, 0 },
		{ "a\0b", 3, "a NUL b", 8, 0 },
		{ "a\0c", 3, "a NUL c", 8, 0 },
		{ "a", 1, "a", 2, 0 },
		{ "\xff\xfe", 2, "not text", 9, 0 },
		{ longest, 4096, "longest", 8, 0 },
		{ other, 4096, "other", 6, 0 },
		{ longest, 4095, "shorter", 8, 0 },
		{ "no bytes", 8, NULL, 0, 0 },
		{ "big", 3, big, sizeof(big), 0 },
	};
	unsigned int i;

	memset(longest, 'k', sizeof(longest));
	memset(other, 'k', sizeof(other));
	other[4095] = 'l';
	for (i = 0; i < sizeof(big); i++)
		big[i] = i * 31;
	for (i = 0; i < ARRAY_SIZE(b); i++)
		check_bytes(cache, &b[i]);
	for (i = 0; i < ARRAY_SIZE(b); i++)
		check_bytes(cache, &b[i]);
	check_eq(alazy_cache_len(cache), ARRAY_SIZE(b));
	alazy_cache_close(cache);
}

TEST(l6_every_value_size_comes_back_whole)
{
	struct alazy_cache *cache = open_cache(0, 0);
	char value[700];
	struct alazy_ref ref;
	unsigned int i;

	for (i = 0; i < sizeof(value); i++)
		value[i] = i * 7 + 1;
	for (i = 0; i <= sizeof(value); i++)
		check_eq(alazy_cache_set(cache, &i, sizeof(i), value, i, 0), 0);
	for (i = 0; i <= sizeof(value); i++) {
		if (!check_eq(alazy_cache_get(cache, &i, sizeof(i), NULL, NULL,
					      &ref), 0))
			continue;
		check(ref_is(&ref, value, i));
		alazy_ref_put(&ref);
	}
	alazy_cache_close(cache);
}

/* ---- L7 ---------------------------------------------------------------- */

TEST_STABLE(l7_pointers_stay_where_and_what_they_were,
	    "an evicting cache keeps no addresses")
{
	enum { HELD = 1000 };
	uint64_t inserts = scaled(1000000, 100000), i, value[8];
	struct alazy_cache *cache = open_stable(inserts + HELD,
						(inserts + 2 * HELD) * 256);
	struct alazy_ref *refs = calloc(HELD, sizeof(*refs));
	struct l6 t = { .cache = cache };
	struct alazy_ref again;

	assert_non_null(refs);
	for (i = 0; i < HELD; i++)
		check_eq(alazy_cache_get(cache, &i, sizeof(i), l6_make, &t,
					 &refs[i]), 0);
	/* half of the keys change or go meanwhile */
	for (i = 0; i < HELD; i += 4) {
		check_eq(alazy_cache_set(cache, &i, sizeof(i), "new", 3, 0), 0);
		i++;
		check_eq(alazy_cache_invalidate(cache, &i, sizeof(i)), 1);
		i--;
	}
	for (i = HELD; i < HELD + inserts; i++)
		check_eq(alazy_cache_set(cache, &i, sizeof(i), value,
					 l6_value(i, value), 0), 0);
	for (i = 0; i < HELD; i++) {
		check(ref_is(&refs[i], value, l6_value(i, value)));
		if (i % 4 > 1) {
			check_eq(alazy_cache_get(cache, &i, sizeof(i), NULL, NULL,
						 &again), 0);
			check_eq(again.data == refs[i].data, 1);
			check_eq(again.generation, refs[i].generation);
			alazy_ref_put(&again);
		}
		alazy_ref_put(&refs[i]);
		alazy_ref_put(&refs[i]);	/* allowed */
	}
	check_eq(alazy_cache_len(cache), inserts + HELD - HELD / 4);
	alazy_cache_close(cache);
	free(refs);
}

/* ---- set, invalidate, clear -------------------------------------------- */

static void check_value(struct alazy_cache *cache, const char *key,
			const char *want)
{
	struct alazy_ref ref;
	int err = alazy_cache_get(cache, key, strlen(key), NULL, NULL, &ref);

	if (!want) {
		check_eq(err, -ENOENT);
		return;
	}
	if (!check_eq(err, 0))
		return;
	check(ref_is(&ref, want, strlen(want)));
	alazy_ref_put(&ref);
}

TEST(set_replaces_a_value_and_a_kept_error)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get bad = { .fail = -EIO, .fail_class = ALAZY_PERMANENT };
	struct alazy_ref a, b;

	check_eq(alazy_cache_set(cache, "k", 1, "one", 3, 0), 0);
	check_eq(alazy_cache_peek(cache, "k", 1, &a, NULL), ALAZY_FILLED);
	check_eq(alazy_cache_set(cache, "k", 1, "two", 3, 0), 0);
	check_eq(alazy_cache_peek(cache, "k", 1, &b, NULL), ALAZY_FILLED);
	check(ref_is(&a, "one", 3));
	check(ref_is(&b, "two", 3));
	check(b.generation > a.generation);
	alazy_ref_put(&a);
	alazy_ref_put(&b);
	check_eq(alazy_cache_len(cache), 1);

	check_eq(get_int(cache, "e", make_error, &bad), -EIO);
	check_eq(alazy_cache_len(cache), 1);
	check_eq(alazy_cache_set(cache, "e", 1, "fine", 4, 0), 0);
	check_value(cache, "e", "fine");
	check_eq(alazy_cache_len(cache), 2);
	alazy_cache_close(cache);
}

TEST(set_during_a_flight_serves_its_waiters_at_once)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get owner = { .value = 1 }, waiter = { 0 };
	int two = 2;

	check_eq(get_int_async(cache, "k", make_later, &owner, NULL), 0);
	check_eq(get_int_async(cache, "k", make_never, &waiter, NULL), 0);
	check_eq(alazy_cache_set(cache, "k", 1, &two, sizeof(two), 0), 0);
	drive(cache, &waiter.dones, 1);
	drive(cache, &owner.dones, 1);
	check_eq(waiter.err, 0);
	check_eq(waiter.got, 2);
	check_eq(owner.err, 0);
	check_eq(owner.got, 2);
	check_eq(alazy_publish(&owner.ticket, &owner.value, sizeof(int), 0),
		 -ESTALE);
	check_eq(get_int(cache, "k", make_never, &waiter), 0);
	check_eq(waiter.got, 2);
	alazy_cache_close(cache);
}

TEST(invalidate_during_a_flight_gives_the_waiter_a_new_ticket)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get owner = { .value = 1 }, waiter = { .value = 2 };
	struct get after = { 0 };
	struct alazy_wait *wait;

	check_eq(get_int_async(cache, "k", make_later, &owner, &wait), 0);
	check_eq(alazy_cancel(wait), 0);
	check_eq(get_int_async(cache, "k", make_int, &waiter, NULL), 0);
	check_eq(alazy_cache_invalidate(cache, "k", 1), 1);
	check_eq(alazy_publish(&owner.ticket, &owner.value, sizeof(int), 0),
		 -ESTALE);
	drive(cache, &waiter.dones, 1);
	check_eq(waiter.err, 0);
	check_eq(waiter.got, 2);
	check_eq(atomic_load(&waiter.inits), 1);
	check_eq(alazy_fail(&owner.ticket, -EIO, ALAZY_PERMANENT, 0, NULL),
		 -ESTALE);
	check_eq(alazy_abandon(&owner.ticket), -ESTALE);
	check_eq(get_int(cache, "k", make_never, &after), 0);
	check_eq(after.got, 2);
	alazy_cache_close(cache);
}

TEST(invalidate_of_a_lone_flight_leaves_the_key_empty)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_answer a;

	check_eq(alazy_claim(cache, "k", 1, ALAZY_CLAIM_INIT, 0, NULL, NULL, &a),
		 0);
	check_eq(a.kind, ALAZY_ANSWER_TICKET);
	check_eq(alazy_cache_invalidate(cache, "k", 1), 1);
	check_eq(alazy_cache_peek(cache, "k", 1, NULL, NULL), ALAZY_EMPTY);
	check_eq(alazy_publish(&a.ticket, "late", 4, 0), -ESTALE);
	check_detail("ticket|overtaken|stale");
	check_eq(alazy_cache_peek(cache, "k", 1, NULL, NULL), ALAZY_EMPTY);
	check_eq(alazy_cache_len(cache), 0);
	alazy_cache_close(cache);
}

static void *wait_only(void *arg)
{
	struct get *get = arg;

	get_int(get->cache, get->key, NULL, get);
	return NULL;
}

static void *claim_only(void *arg)
{
	struct get *get = arg;
	struct alazy_answer a;

	check_eq(claim(get->cache, get->key, ALAZY_CLAIM_BLOCK, NULL, &a),
		 ALAZY_ANSWER_EMPTY);
	return NULL;
}

TEST(waiters_that_cannot_init_find_an_invalidated_key_empty)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get get = { .cache = cache, .key = "k" }, async = { 0 };
	struct alazy_ticket t = take(cache, "k");
	pthread_t threads[2];

	threads[0] = start_thread(wait_only, &get);
	threads[1] = start_thread(claim_only, &get);
	check_eq(get_int_async(cache, "k", NULL, &async, NULL), 0);
	await_waits(cache, 3);
	check_eq(alazy_cache_invalidate(cache, "k", 1), 1);
	join_thread(threads[0]);
	join_thread(threads[1]);
	drive(cache, &async.dones, 1);
	check_eq(get.err, -ENOENT);
	check_eq(async.err, -ENOENT);
	check_eq(alazy_abandon(&t), -ESTALE);
	alazy_cache_close(cache);
}

static int make_after_overtaken(const struct alazy_ticket *ticket,
				const void *key, size_t key_size, void *ctx)
{
	struct get *get = ctx;

	if (atomic_fetch_add(&get->inits, 1))
		return alazy_publish(ticket, &get->value, sizeof(int), 0);
	check_eq(alazy_cache_invalidate(ticket->cache, key, key_size), 1);
	return alazy_publish(ticket, "stale", 5, 0);
}

static int make_overtaken_by_set(const struct alazy_ticket *ticket,
				 const void *key, size_t key_size, void *ctx)
{
	struct get *get = ctx;
	int set = 77;

	atomic_fetch_add(&get->inits, 1);
	check_eq(alazy_cache_set(ticket->cache, key, key_size, &set, sizeof(set),
				 0), 0);
	return alazy_publish(ticket, "stale", 5, 0);
}

TEST(get_whose_init_was_overtaken_asks_again)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get get = { .value = 5 };

	check_eq(get_int(cache, "k", make_after_overtaken, &get), 0);
	check_eq(get.got, 5);
	check_eq(atomic_load(&get.inits), 2);

	get = (struct get){ 0 };
	check_eq(get_int(cache, "l", make_overtaken_by_set, &get), 0);
	check_eq(get.got, 77);
	check_eq(atomic_load(&get.inits), 1);

	get = (struct get){ .value = 6 };
	check(get_int_async(cache, "m", make_after_overtaken, &get, NULL) >= 0);
	drive(cache, &get.dones, 1);
	check_eq(get.err, 0);
	check_eq(get.got, 6);
	check_eq(atomic_load(&get.inits), 2);
	alazy_cache_close(cache);
}

TEST(invalidate_and_clear_tell_what_they_ended)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get bad = { .fail = -EIO, .fail_class = ALAZY_PERMANENT };
	struct get again = { .value = 3 };
	struct alazy_answer a;
	int i;

	check_eq(alazy_cache_invalidate(cache, "none", 4), 0);
	check_eq(alazy_cache_clear(cache), 0);
	for (i = 0; i < 100; i++)
		check_eq(alazy_cache_set(cache, &i, sizeof(i), &i, sizeof(i), 0),
			 0);
	i = 50;
	check_eq(alazy_cache_invalidate(cache, &i, sizeof(i)), 1);
	check_eq(alazy_cache_invalidate(cache, &i, sizeof(i)), 0);
	check_eq(alazy_cache_len(cache), 99);
	check_eq(get_int(cache, "bad", make_error, &bad), -EIO);
	check_eq(alazy_claim(cache, "f", 1, ALAZY_CLAIM_INIT, 0, NULL, NULL, &a),
		 0);
	check_eq(alazy_cache_clear(cache), 101);
	check_eq(alazy_cache_len(cache), 0);
	check_eq(alazy_publish(&a.ticket, "x", 1, 0), -ESTALE);
	check_eq(get_int(cache, "bad", make_int, &again), 0);
	check_eq(again.got, 3);
	check_eq(alazy_cache_len(cache), 1);
	alazy_cache_close(cache);
}

TEST(peek_and_get_never_meet_a_wrong_value_while_it_is_set)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get get = { 0 };
	int i;

	for (i = 0; i < 10000; i++) {
		check_eq(alazy_cache_set(cache, "k", 1, &i, sizeof(i), 0), 0);
		check_eq(get_int(cache, "k", make_never, &get), 0);
		check_eq(get.got, i);
	}
	alazy_cache_close(cache);
}

/* ---- TTL --------------------------------------------------------------- */

TEST(value_counts_as_absent_after_its_ttl)
{
	struct alazy_cache *cache = open_cache(0, 0);
	const uint64_t ttl = 100 * MSEC;
	struct get get = { .value = 1, .ttl = ttl }, next = { .value = 2 };
	uint64_t before, after, start;
	int err;

	before = now_ns();
	check_eq(get_int(cache, "k", make_int, &get), 0);
	after = now_ns();
	do {
		start = now_ns();
		err = get_int(cache, "k", NULL, &next);
		if (err)
			check_eq(err, -ENOENT);
		else
			check_eq(next.got, 1);
		sched_yield();
	} while (!err && start < after + ttl);
	check_eq(err, -ENOENT);
	check(now_ns() >= before + ttl);
	check_eq(alazy_cache_peek(cache, "k", 1, NULL, NULL), ALAZY_EMPTY);
	check_eq(get_int(cache, "k", make_int, &next), 0);
	check_eq(next.got, 2);
	check_eq(alazy_cache_len(cache), 1);

	/* 0 and NEVER: no end */
	check_eq(alazy_cache_set(cache, "z", 1, "z", 1, ALAZY_NEVER), 0);
	check_value(cache, "z", "z");
	/* so short that it has passed when the call returns */
	check_eq(alazy_cache_set(cache, "y", 1, "y", 1, 1), 0);
	check_value(cache, "y", NULL);
	alazy_cache_close(cache);
}

TEST(waiters_get_a_value_whose_ttl_has_passed_meanwhile)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get owner = { .value = 4 }, waiter = { 0 };

	check_eq(get_int_async(cache, "k", make_later, &owner, NULL), 0);
	check_eq(get_int_async(cache, "k", NULL, &waiter, NULL), 0);
	check_eq(alazy_publish(&owner.ticket, &owner.value, sizeof(int), 1), 0);
	check_value(cache, "k", NULL);
	drive(cache, &owner.dones, 1);
	drive(cache, &waiter.dones, 1);
	check_eq(owner.err, 0);
	check_eq(owner.got, 4);
	check_eq(waiter.err, 0);
	check_eq(waiter.got, 4);
	alazy_cache_close(cache);
}

/* ---- names ------------------------------------------------------------- */

static struct alazy_cache *try_open(const char *name, uint32_t flags)
{
	struct alazy_cache_opts opts = { .size = sizeof(opts), .flags = flags };

	if (on_stable())
		opts.flags |= ALAZY_CACHE_STABLE;

	errno = 0;
	return alazy_cache_open(name, &opts);
}

TEST(two_opens_of_a_name_share_one_cache)
{
	const char *name = unique_name("share");
	struct alazy_cache *a = open_named(name, 0), *b = open_named(name, 0);
	struct get get = { .value = 9 }, waiter = { 0 };

	check_eq(alazy_cache_set(a, "k", 1, "v", 1, 0), 0);
	check_value(b, "k", "v");
	check_eq(alazy_cache_len(b), 1);
	check_eq(get_int_async(a, "w", make_later, &get, NULL), 0);
	check_eq(get_int_async(b, "w", make_never, &waiter, NULL), 0);
	check_eq(alazy_publish(&get.ticket, &get.value, sizeof(int), 0), 0);
	drive(b, &waiter.dones, 1);
	check_eq(waiter.got, 9);
	alazy_cache_close(a);
	check_value(b, "k", "v");
	alazy_cache_close(b);
	/* the name stays */
	a = open_named(name, ALAZY_CACHE_EXISTING);
	check_value(a, "k", "v");
	alazy_cache_close(a);
	check_eq(alazy_cache_unlink(name, ALAZY_BACKEND_AUTO), 0);
}

TEST(exclusive_existing_and_unlink)
{
	const char *name = unique_name("unlink");
	struct alazy_cache *a, *b;

	check(!try_open(name, ALAZY_CACHE_EXISTING));
	check_eq(errno, ENOENT);
	check_detail("no cache|does not exist|exist");
	a = open_named(name, ALAZY_CACHE_EXCLUSIVE);
	check_eq(alazy_cache_set(a, "k", 1, "old", 3, 0), 0);
	check(!try_open(name, ALAZY_CACHE_EXCLUSIVE));
	check_eq(errno, EEXIST);
	check_detail("exist|already");
	check_value(a, "k", "old");
	b = open_named(name, ALAZY_CACHE_EXISTING);
	check_value(b, "k", "old");
	alazy_cache_close(b);

	check_eq(alazy_cache_unlink(name, ALAZY_BACKEND_AUTO), 0);
	check_eq(alazy_cache_unlink(name, ALAZY_BACKEND_AUTO), -ENOENT);
	check_detail("no cache|name|exist");
	b = open_named(name, ALAZY_CACHE_EXCLUSIVE);
	check_value(b, "k", NULL);
	check_eq(alazy_cache_set(b, "k", 1, "new", 3, 0), 0);
	check_value(a, "k", "old");
	alazy_cache_close(a);
	check_value(b, "k", "new");
	check_eq(alazy_cache_unlink(name, ALAZY_BACKEND_AUTO), 0);
	alazy_cache_close(b);
}

TEST(readonly_gets_and_waits_only)
{
	const char *name = unique_name("readonly");
	struct alazy_cache *a = open_named(name, 0), *r;
	struct get get = { .value = 1 }, waiter = { 0 };
	struct alazy_answer answer;

	check_eq(alazy_cache_set(a, "k", 1, "v", 1, 0), 0);
	r = open_named(name, ALAZY_CACHE_EXISTING | ALAZY_CACHE_READONLY);
	check_value(r, "k", "v");
	check_value(r, "absent", NULL);
	check_eq(alazy_cache_len(r), 1);
	check_eq(get_int(r, "absent", make_never, &get), -EACCES);
	check_detail("read-only|read only|readonly|writ");
	check_eq(alazy_claim(r, "absent", 6, ALAZY_CLAIM_INIT, 0, NULL, NULL,
			     &answer), -EACCES);
	check_eq(alazy_cache_set(r, "k", 1, "x", 1, 0), -EACCES);
	check_eq(alazy_cache_invalidate(r, "k", 1), -EACCES);
	check_eq(alazy_cache_clear(r), -EACCES);
	check_value(a, "k", "v");

	check_eq(get_int_async(a, "w", make_later, &get, NULL), 0);
	check_eq(get_int_async(r, "w", NULL, &waiter, NULL), 0);
	check_eq(alazy_publish(&get.ticket, &get.value, sizeof(int), 0), 0);
	drive(r, &waiter.dones, 1);
	check_eq(waiter.got, 1);
	alazy_cache_close(r);
	alazy_cache_close(a);
	check_eq(alazy_cache_unlink(name, ALAZY_BACKEND_AUTO), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(l6_as_many_inits_as_keys_with_eight_threads),
		cmocka_unit_test(l6_hits_allocate_nothing),
		cmocka_unit_test(l6_any_byte_string_is_a_key_of_its_own),
		cmocka_unit_test(l6_every_value_size_comes_back_whole),
		cmocka_unit_test(l7_pointers_stay_where_and_what_they_were),
		cmocka_unit_test(set_replaces_a_value_and_a_kept_error),
		cmocka_unit_test(set_during_a_flight_serves_its_waiters_at_once),
		cmocka_unit_test(invalidate_during_a_flight_gives_the_waiter_a_new_ticket),
		cmocka_unit_test(invalidate_of_a_lone_flight_leaves_the_key_empty),
		cmocka_unit_test(waiters_that_cannot_init_find_an_invalidated_key_empty),
		cmocka_unit_test(get_whose_init_was_overtaken_asks_again),
		cmocka_unit_test(invalidate_and_clear_tell_what_they_ended),
		cmocka_unit_test(peek_and_get_never_meet_a_wrong_value_while_it_is_set),
		cmocka_unit_test(value_counts_as_absent_after_its_ttl),
		cmocka_unit_test(waiters_get_a_value_whose_ttl_has_passed_meanwhile),
		cmocka_unit_test(two_opens_of_a_name_share_one_cache),
		cmocka_unit_test(exclusive_existing_and_unlink),
		cmocka_unit_test(readonly_gets_and_waits_only),
	};

	return RUN_TESTS(tests);
}
