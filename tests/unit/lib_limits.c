// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Bad input and used-up room: each a documented errno and a text that says
 * what to do, with nothing lost. The same program on both backends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

#define SEGMENT	65536ULL

/* What fills up and says so is append-only. */
static struct alazy_cache *open_tiny(uint64_t max_keys, uint64_t segments)
{
	return open_with(NULL, (struct alazy_cache_opts){
		.flags = ALAZY_CACHE_STABLE,
		.max_keys = max_keys,
		.arena_size = segments * SEGMENT,
		.segment_size = SEGMENT,
	});
}

/* ---- opening ----------------------------------------------------------- */

static void check_open_fails(const char *name,
			     const struct alazy_cache_opts *opts, int err,
			     const char *words)
{
	struct alazy_cache *cache;

	errno = 0;
	cache = alazy_cache_open(name, opts);
	check(!cache);
	check_eq(errno, err);
	check_detail(words);
	alazy_cache_close(cache);
}

#define OPTS(...) \
	&(struct alazy_cache_opts){ .size = sizeof(struct alazy_cache_opts), \
				    __VA_ARGS__ }

TEST(open_refuses_malformed_options)
{
	char name[257];

	memset(name, 'n', 256);
	name[256] = 0;
	check_open_fails(name, NULL, EINVAL, "name|255");
	check_open_fails("", NULL, EINVAL, "name");
	check_open_fails(NULL, &(struct alazy_cache_opts){ 0 }, EINVAL, "size");
	check_open_fails(NULL, OPTS(.flags = 1U << 31), EINVAL, "flag");
	check_open_fails(NULL, OPTS(.backend = 7), EINVAL, "backend");
	check_open_fails(NULL, OPTS(.stale_ttl_ns = 1), EINVAL, "ttl_ns");
	check_open_fails(NULL, OPTS(.dead_ttl_ns = 1), EINVAL, "ttl_ns");
	check_open_fails(NULL, OPTS(.segment_size = 100000), EINVAL, "segment");
	check_open_fails(NULL, OPTS(.segment_size = 4096), EINVAL, "segment");
	check_open_fails(NULL, OPTS(.segment_size = 1ULL << 27), EINVAL,
			 "segment");
	check_open_fails(NULL, OPTS(.max_keys = UINT64_MAX), EINVAL,
			 "max_keys|keys");
	check_open_fails(NULL, OPTS(.arena_size = UINT64_MAX), EINVAL, "arena");
	check_open_fails("n", OPTS(.flags = ALAZY_CACHE_EXCLUSIVE |
					    ALAZY_CACHE_EXISTING),
			 EINVAL, "EXCLUSIVE|EXISTING");
	check_open_fails("n", OPTS(.flags = ALAZY_CACHE_READONLY), EINVAL,
			 "READONLY|EXISTING");
	alazy_cache_close(NULL);
}

static void with_backend_env(const char *value, void (*fn)(void))
{
	const char *env = getenv("ALAZY_BACKEND");
	char *saved = env ? strdup(env) : NULL;

	if (value)
		setenv("ALAZY_BACKEND", value, 1);
	else
		unsetenv("ALAZY_BACKEND");
	fn();
	if (saved)
		setenv("ALAZY_BACKEND", saved, 1);
	else
		unsetenv("ALAZY_BACKEND");
	free(saved);
}

static void open_with_bogus_backend(void)
{
	check_open_fails(NULL, NULL, EINVAL, "ALAZY_BACKEND");
	check_open_fails("name", NULL, EINVAL, "ALAZY_BACKEND");
}

TEST(bogus_backend_variable_is_a_clear_error)
{
	with_backend_env("bogus", open_with_bogus_backend);
}

static void open_by_variable(void)
{
	struct alazy_cache *cache = alazy_cache_open(NULL, NULL);

	if (check(cache))
		check_eq(strcmp(alazy_backend(cache), getenv("ALAZY_BACKEND")),
			 0);
	alazy_cache_close(cache);
}

TEST(backend_variable_decides)
{
	with_backend_env(on_kernel() ? "kernel" : "local", open_by_variable);
}

static void open_without_module(void)
{
	struct alazy_cache *cache;

	check_open_fails("name", NULL, ENODEV, "modprobe|insmod|load");
	check_open_fails("name", NULL, ENODEV, "/dev/asynclazy|asynclazy.ko|module");
	check_open_fails("name", OPTS(.backend = ALAZY_BACKEND_KERNEL), ENODEV,
			 "modprobe|insmod|load");
	check_open_fails(NULL, OPTS(.backend = ALAZY_BACKEND_KERNEL), ENODEV,
			 "modprobe|insmod|load");
	check_open_fails(NULL, OPTS(.flags = ALAZY_CACHE_SHARED), ENODEV,
			 "modprobe|insmod|load");
	check_eq(alazy_cache_unlink("name", ALAZY_BACKEND_AUTO), -ENODEV);
	check_detail("modprobe|insmod|load");

	cache = alazy_cache_open(NULL, NULL);
	if (check(cache))
		check_eq(strcmp(alazy_backend(cache), "local"), 0);
	alazy_cache_close(cache);
}

TEST(missing_module_is_told_and_never_a_private_cache)
{
	if (!access("/dev/asynclazy", F_OK)) {
		print_message("# the module is loaded here\n");
		skip();
	}
	with_backend_env(NULL, open_without_module);
}

/* ---- keys, tickets ----------------------------------------------------- */

TEST(keys_of_no_and_of_too_many_bytes)
{
	struct alazy_cache *cache = open_cache(0, 0);
	static char key[4097];
	struct get get = { 0 };
	struct alazy_answer a;
	struct alazy_ref ref;
	const size_t sizes[] = { 0, 4097, SIZE_MAX };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t n = sizes[i];

		check_eq(alazy_cache_get(cache, key, n, make_never, &get, &ref),
			 -EINVAL);
		check_detail("key");
		check_detail("4096");
		check_eq(alazy_cache_get_async(cache, key, n, make_never, on_done,
					       &get, NULL), -EINVAL);
		check_eq(alazy_cache_peek(cache, key, n, NULL, NULL), -EINVAL);
		check_eq(alazy_cache_set(cache, key, n, "v", 1, 0), -EINVAL);
		check_eq(alazy_cache_invalidate(cache, key, n), -EINVAL);
		check_eq(alazy_claim(cache, key, n, ALAZY_CLAIM_INIT, 0, NULL,
				     NULL, &a), -EINVAL);
		check_detail("key");
		errno = 0;
		check(!alazy_new(cache, key, n, make_never, &get));
		check_eq(errno, EINVAL);
		check_detail("key");
	}
	check_eq(atomic_load(&get.dones), 0);
	check_eq(stats_of(cache).tickets, 0);
	alazy_cache_close(cache);
}

TEST(claim_refuses_contradicting_flags)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_answer a;
	const uint32_t bad[] = {
		1U << 20,
		ALAZY_CLAIM_BLOCK | ALAZY_CLAIM_FD,
		ALAZY_CLAIM_INIT | ALAZY_CLAIM_BLOCK | ALAZY_CLAIM_FD,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		check_eq(alazy_claim(cache, "k", 1, bad[i], 0, NULL, NULL, &a),
			 -EINVAL);
		check_detail("flag|BLOCK|EVENT|FD");
	}
	/* EVENT without a callback; FOLLOW without EVENT */
	check_eq(alazy_claim(cache, "k", 1, ALAZY_CLAIM_EVENT, 0, NULL, NULL,
			     &a), -EINVAL);
	check_detail("EVENT|callback|fn");
	check_eq(alazy_claim(cache, "k", 1,
			     ALAZY_CLAIM_INIT | ALAZY_CLAIM_FOLLOW, 0, NULL,
			     NULL, &a), -EINVAL);
	check_detail("FOLLOW");
	check_eq(stats_of(cache).initializing, 0);
	alazy_cache_close(cache);
}

static void check_ended(const struct alazy_ticket *t)
{
	check_eq(alazy_publish(t, "late", 4, 0), -ESTALE);
	check_detail("ticket");
	check_eq(alazy_fail(t, -EIO, ALAZY_PERMANENT, 0, "late"), -ESTALE);
	check_detail("ticket");
	check_eq(alazy_abandon(t), -ESTALE);
	check_detail("ticket");
}

static void check_is(struct alazy_cache *cache, const char *key,
		     const char *want)
{
	struct alazy_ref ref;

	if (!check_eq(alazy_cache_peek(cache, key, strlen(key), &ref, NULL),
		      ALAZY_FILLED))
		return;
	check(ref_is(&ref, want, strlen(want)));
	alazy_ref_put(&ref);
}

TEST(an_ended_ticket_changes_nothing)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_ticket t;
	int err = 0;

	t = take(cache, "published");
	check_eq(alazy_publish(&t, "v", 1, 0), 0);
	check_ended(&t);
	check_is(cache, "published", "v");

	t = take(cache, "failed");
	check_eq(alazy_fail(&t, -EPERM, ALAZY_PERMANENT, 0, NULL), 0);
	check_ended(&t);
	check_eq(alazy_cache_peek(cache, "failed", 6, NULL, &err), ALAZY_FAILED);
	check_eq(err, -EPERM);

	t = take(cache, "abandoned");
	check_eq(alazy_abandon(&t), 0);
	check_ended(&t);
	check_eq(alazy_cache_peek(cache, "abandoned", 9, NULL, NULL),
		 ALAZY_EMPTY);

	t = take(cache, "set");
	check_eq(alazy_cache_set(cache, "set", 3, "s", 1, 0), 0);
	check_ended(&t);
	check_is(cache, "set", "s");

	/* two flights of one key: the first ticket is not the second */
	t = take(cache, "again");
	check_eq(alazy_cache_invalidate(cache, "again", 5), 1);
	(void)take(cache, "again");
	check_ended(&t);
	check_eq(alazy_cache_peek(cache, "again", 5, NULL, NULL),
		 ALAZY_INITIALIZING);
	check_eq(stats_of(cache).tickets_now, 1);
	alazy_cache_close(cache);
}

TEST(a_ticket_that_was_never_issued)
{
	struct alazy_cache *cache = open_cache(0, 0);
	const uint64_t ids[] = { 0, 1, 12345, UINT64_MAX };
	struct alazy_ticket real = take(cache, "k"), t = real;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		t.id = ids[i];
		if (t.id != real.id)
			check_ended(&t);
	}
	check_eq(alazy_publish(&real, "v", 1, 0), 0);
	check_is(cache, "k", "v");
	alazy_cache_close(cache);
}

TEST(a_ticket_of_another_cache_is_refused)
{
	struct alazy_cache *a = open_cache(0, 0), *b = open_cache(0, 0);
	struct alazy_ticket t, other;

	(void)take(a, "j");
	t = take(a, "k");
	(void)take(b, "k");
	other = t;
	other.cache = b;
	check_ended(&other);
	check_eq(alazy_cache_peek(b, "k", 1, NULL, NULL), ALAZY_INITIALIZING);
	check_eq(alazy_publish(&t, "v", 1, 0), 0);
	check_is(a, "k", "v");
	alazy_cache_close(a);
	alazy_cache_close(b);
}

TEST(fail_refuses_what_is_no_error)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_ticket t = take(cache, "k");

	check_eq(alazy_fail(&t, 0, ALAZY_TRANSIENT, 0, NULL), -EINVAL);
	check_detail("errno|error");
	check_eq(alazy_fail(&t, 5, ALAZY_TRANSIENT, 0, NULL), -EINVAL);
	check_eq(alazy_fail(&t, -5000, ALAZY_TRANSIENT, 0, NULL), -EINVAL);
	check_eq(alazy_fail(&t, -EIO, 17, 0, NULL), -EINVAL);
	check_detail("class");
	/* still held */
	check_eq(alazy_fail(&t, -EIO, ALAZY_PERMANENT, 0, NULL), 0);
	alazy_cache_close(cache);
}

/* ---- room -------------------------------------------------------------- */

TEST_STABLE(value_larger_than_the_cache_takes,
	    "an evicting cache puts large values into memfds")
{
	struct alazy_cache *cache = open_tiny(64, 4);
	char *big = calloc(1, 2 * SEGMENT);
	const size_t fits = SEGMENT - 8192;
	struct alazy_ticket t = take(cache, "k");
	struct alazy_ref ref;

	assert_non_null(big);
	memset(big, 7, 2 * SEGMENT);
	check_eq(alazy_publish(&t, big, SEGMENT, 0), -EFBIG);
	check_detail("segment_size|large");
	check_eq(alazy_publish(&t, big, 2 * SEGMENT, 0), -EFBIG);
	check_eq(alazy_publish(&t, big, SIZE_MAX / 2, 0), -EFBIG);
	check_eq(alazy_cache_set(cache, "s", 1, big, SEGMENT, 0), -EFBIG);
	check_detail("segment_size|large");
	check_eq(alazy_cache_peek(cache, "s", 1, NULL, NULL), ALAZY_EMPTY);
	/* still held; one that fits goes */
	check_eq(alazy_publish(&t, big, fits, 0), 0);
	check_eq(alazy_cache_peek(cache, "k", 1, &ref, NULL), ALAZY_FILLED);
	check(ref_is(&ref, big, fits));
	alazy_ref_put(&ref);
	alazy_cache_close(cache);
	free(big);
}

static int make_too_big(const struct alazy_ticket *ticket, const void *key,
			size_t key_size, void *ctx)
{
	make_nothing(ticket, key, key_size, ctx);
	return alazy_publish(ticket, ctx, SEGMENT * 4, 0);
}

TEST_STABLE(get_tells_that_its_init_made_too_large_a_value,
	    "an evicting cache puts large values into memfds")
{
	struct alazy_cache *cache = open_tiny(64, 4);
	struct get get = { 0 }, next = { .value = 1 };

	check_eq(get_int(cache, "k", make_too_big, &get), -EFBIG);
	check_eq(get_int(cache, "k", make_int, &next), 0);
	alazy_cache_close(cache);
}

/* Fill the table: the number of keys that went in. */
static unsigned int fill_table(struct alazy_cache *cache, unsigned int most)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < most; i++) {
		err = alazy_cache_set(cache, &i, sizeof(i), &i, sizeof(i), 0);
		if (err)
			break;
	}
	check_eq(err, -ENOSPC);
	check_detail("max_keys");
	return i;
}

static void check_values(struct alazy_cache *cache, unsigned int n)
{
	struct alazy_ref ref;
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (!check_eq(alazy_cache_peek(cache, &i, sizeof(i), &ref, NULL),
			      ALAZY_FILLED))
			continue;
		check_eq(ref_int(&ref), i);
		alazy_ref_put(&ref);
	}
}

static void check_full_table(unsigned int max_keys)
{
	struct alazy_cache *cache = open_stable(max_keys, 0);
	struct get get = { 0 };
	unsigned int n, i, gone;
	struct alazy_answer a;
	struct alazy_ref ref;

	n = fill_table(cache, 4 * max_keys + 100);
	check(n >= max_keys);
	check_eq(alazy_cache_len(cache), n);
	/* nothing runs, nothing is held, nobody else is affected */
	for (i = n; i < n + 10; i++) {
		if (alazy_claim(cache, &i, sizeof(i), ALAZY_CLAIM_INIT, 0, NULL,
				NULL, &a) == 0) {
			/* another pair of buckets, with a place left */
			check_eq(a.kind, ALAZY_ANSWER_TICKET);
			check_eq(alazy_abandon(&a.ticket), 0);
			continue;
		}
		check_detail("max_keys");
		check_eq(alazy_cache_get(cache, &i, sizeof(i), make_never, &get,
					 &ref), -ENOSPC);
		check_detail("max_keys");
		check_eq(alazy_cache_get_async(cache, &i, sizeof(i), make_never,
					       on_done, &get, NULL), -ENOSPC);
		check_detail("max_keys");
	}
	check_eq(atomic_load(&get.dones), 0);
	check_values(cache, n);
	/* a full table still takes new values of old keys */
	i = 0;
	check_eq(alazy_cache_set(cache, &i, sizeof(i), &i, sizeof(i), 0), 0);
	/* and what goes makes room */
	for (gone = 0; gone < n; gone++)
		check_eq(alazy_cache_invalidate(cache, &gone, sizeof(gone)), 1);
	check_eq(alazy_cache_len(cache), 0);
	for (i = 0; i < max_keys; i++)
		check_eq(alazy_cache_set(cache, &i, sizeof(i), &i, sizeof(i), 0),
			 0);
	check_values(cache, max_keys);
	alazy_cache_close(cache);
}

TEST_STABLE(full_table_takes_all_its_keys_and_then_says_so,
	    "an evicting cache lets an old key go")
{
	const unsigned int sizes[] = { 1, 7, 8, 56, 1000, 14336 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		check_full_table(sizes[i]);
}

/* Fill the arena with values of @size: how many went in. */
static unsigned int fill_arena(struct alazy_cache *cache, const char *value,
			       size_t size)
{
	unsigned int i;
	int err;

	for (i = 0;; i++) {
		err = alazy_cache_set(cache, &i, sizeof(i), value, size, 0);
		if (err)
			break;
	}
	check_eq(err, -ENOSPC);
	check_detail("arena_size");
	return i;
}

TEST_STABLE(full_arena_keeps_tickets_and_values,
	    "an evicting cache makes room")
{
	struct alazy_cache *cache = open_tiny(10000, 2);
	struct alazy_ticket t1 = take(cache, "t1"), t2 = take(cache, "t2");
	struct alazy_ticket t3 = take(cache, "t3");
	static char value[1000];
	struct get waiter = { 0 }, get = { 0 };
	struct alazy_ref ref;
	unsigned int n, i;

	memset(value, 'v', sizeof(value));
	check_eq(get_int_async(cache, "t2", make_never, &waiter, NULL), 0);
	n = fill_arena(cache, value, sizeof(value));
	check(n > 100 && n < 140);
	/* the rest, down to the smallest record */
	for (i = n; !alazy_cache_set(cache, &i, sizeof(i), "", 0, 0); i++)
		;

	check_eq(alazy_publish(&t1, value, sizeof(value), 0), -ENOSPC);
	check_detail("arena_size");
	check_eq(alazy_publish(&t1, "", 0, 0), -ENOSPC);
	check_eq(alazy_cache_peek(cache, "t1", 2, NULL, NULL),
		 ALAZY_INITIALIZING);
	check_eq(stats_of(cache).tickets_now, 3);
	/* still held: abandon it, or fail it */
	check_eq(alazy_abandon(&t1), 0);
	check_eq(alazy_fail(&t2, -EIO, ALAZY_TRANSIENT, 0, "no room"), 0);
	drive(cache, &waiter.dones, 1);
	check_eq(waiter.err, -EIO);
	/* an error that finds no room is told, but not kept */
	check_eq(alazy_fail(&t3, -EIO, ALAZY_PERMANENT, 0, "no room"), 0);
	check_eq(alazy_cache_peek(cache, "t3", 2, NULL, NULL), ALAZY_EMPTY);
	check_eq(stats_of(cache).tickets_now, 0);
	/* a get whose init finds no room */
	check_eq(get_int(cache, "new", make_int, &get), -ENOSPC);
	check_detail("arena_size");
	check_eq(atomic_load(&get.inits), 1);
	check_eq(alazy_cache_peek(cache, "new", 3, NULL, NULL), ALAZY_EMPTY);
	/* a set that finds no room leaves the old value */
	i = 0;
	check_eq(alazy_cache_set(cache, &i, sizeof(i), "other", 5, 0), -ENOSPC);
	for (i = 0; i < n; i++) {
		if (!check_eq(alazy_cache_peek(cache, &i, sizeof(i), &ref, NULL),
			      ALAZY_FILLED))
			continue;
		check(ref_is(&ref, value, sizeof(value)));
		alazy_ref_put(&ref);
	}
	check(stats_of(cache).nospace > 0);
	alazy_cache_close(cache);
}

/* ---- the text, the figures --------------------------------------------- */

TEST(detail_is_empty_after_a_call_that_did_not_fail)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get get = { .value = 1 };

	check_eq(get_int(cache, "k", NULL, &get), -ENOENT);
	check(*alazy_strerror_detail());
	check_eq(get_int(cache, "k", make_int, &get), 0);
	check_eq(*alazy_strerror_detail(), 0);
	check_eq(get_int(cache, "none", NULL, &get), -ENOENT);
	check(*alazy_strerror_detail());
	check_eq(get_int(cache, "k", NULL, &get), 0);	/* a hit */
	check_eq(*alazy_strerror_detail(), 0);
	/* the get failed, the call that started it did not */
	get = (struct get){ .fail = -EIO, .fail_class = ALAZY_PERMANENT,
			    .detail = "text" };
	check(get_int_async(cache, "e", make_error, &get, NULL) >= 0);
	check_eq(*alazy_strerror_detail(), 0);
	drive(cache, &get.dones, 1);
	check_eq(get.err, -EIO);
	alazy_cache_close(cache);
}

static void *other_thread(void *arg)
{
	check_eq(*alazy_strerror_detail(), 0);
	check_eq(alazy_cache_set(arg, "", 0, "", 0, 0), -EINVAL);
	check(*alazy_strerror_detail());
	return NULL;
}

TEST(detail_is_of_the_thread)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get get = { 0 };
	char text[512];

	check_eq(get_int(cache, "k", NULL, &get), -ENOENT);
	snprintf(text, sizeof(text), "%s", alazy_strerror_detail());
	join_thread(start_thread(other_thread, cache));
	check_eq(strcmp(text, alazy_strerror_detail()), 0);
	alazy_cache_close(cache);
}

TEST(stats_are_the_tally)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_stats s = { .size = 8 };
	struct get get = { .value = 1, .fail = -EIO,
			   .fail_class = ALAZY_PERMANENT };
	struct alazy_wait *wait;
	struct alazy_ticket t;
	char key[8];
	int i;

	check_eq(alazy_cache_stats(cache, &s), -EINVAL);
	check_detail("size");
	for (i = 0; i < 10; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		check_eq(get_int(cache, key, make_int, &get), 0);
	}
	check_eq(get_int(cache, "bad", make_error, &get), -EIO);
	t = take(cache, "f");
	check_eq(get_int_async(cache, "f", make_never, &get, &wait), 0);
	s = stats_of(cache);
	check_eq(s.publishes, 10);
	check_eq(s.tickets, 12);
	check_eq(s.fails, 1);
	check_eq(s.keys, 10);
	check_eq(s.errors, 1);
	check_eq(s.initializing, 1);
	check_eq(s.tickets_now, 1);
	check_eq(s.waits_now, 1);
	check_eq(s.clients, 1);
	check(s.arena_used > 0 && s.arena_used <= s.arena_allocated);
	check_eq(alazy_cancel(wait), 0);
	check_eq(alazy_abandon(&t), 0);
	check_eq(alazy_publish(&t, "", 0, 0), -ESTALE);
	check_eq(alazy_cache_set(cache, "k0", 2, "x", 1, 0), 0);
	check_eq(alazy_cache_invalidate(cache, "k1", 2), 1);
	s = stats_of(cache);
	check_eq(s.cancels, 1);
	check_eq(s.abandons, 1);
	check_eq(s.stale, 1);
	check_eq(s.sets, 1);
	check_eq(s.invalidates, 1);
	check_eq(s.keys, 9);
	check_eq(s.initializing, 0);
	check_eq(s.tickets_now, 0);
	check_eq(s.waits_now, 0);
	check_eq(s.handovers, 0);
	alazy_cache_close(cache);
}

TEST(owner_is_who_made_the_cache)
{
	struct alazy_cache_opts opts = { .size = sizeof(opts), .mode = 0640 };
	struct alazy_cache *cache = alazy_cache_open(NULL, &opts);
	uint32_t uid = 12345, mode = 12345;

	assert_non_null(cache);
	check_eq(alazy_cache_owner(cache, &uid, &mode), 0);
	check_eq(uid, geteuid());
	check_eq(mode, strcmp(alazy_backend(cache), "kernel") ? 0600 : 0640);
	check_eq(alazy_cache_owner(cache, NULL, NULL), 0);
	check_eq(alazy_cache_owner(NULL, &uid, &mode), -EINVAL);
	check_detail("cache");
	alazy_cache_close(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_refuses_malformed_options),
		cmocka_unit_test(bogus_backend_variable_is_a_clear_error),
		cmocka_unit_test(backend_variable_decides),
		cmocka_unit_test(missing_module_is_told_and_never_a_private_cache),
		cmocka_unit_test(keys_of_no_and_of_too_many_bytes),
		cmocka_unit_test(claim_refuses_contradicting_flags),
		cmocka_unit_test(an_ended_ticket_changes_nothing),
		cmocka_unit_test(a_ticket_that_was_never_issued),
		cmocka_unit_test(a_ticket_of_another_cache_is_refused),
		cmocka_unit_test(fail_refuses_what_is_no_error),
		cmocka_unit_test(value_larger_than_the_cache_takes),
		cmocka_unit_test(get_tells_that_its_init_made_too_large_a_value),
		cmocka_unit_test(full_table_takes_all_its_keys_and_then_says_so),
		cmocka_unit_test(full_arena_keeps_tickets_and_values),
		cmocka_unit_test(detail_is_empty_after_a_call_that_did_not_fail),
		cmocka_unit_test(detail_is_of_the_thread),
		cmocka_unit_test(stats_are_the_tally),
		cmocka_unit_test(owner_is_who_made_the_cache),
	};

	return RUN_TESTS(tests);
}
