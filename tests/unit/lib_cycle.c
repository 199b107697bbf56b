// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Initialisers that get other keys, and those that need one another. Row L5. The same
 * program on both backends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

/* What the initialiser of a key gets first. */
struct recipe {
	struct alazy_cache *cache;
	const char *needs[3];
	int tell, hear;			/* eventfds: it is here; so is the other one */
	int err;			/* of the last of them */
	char detail[300];
	unsigned int inits;
};

static struct recipe *recipe_of(void *ctx, const void *key)
{
	struct recipe *first = ctx;

	return &first[*(const char *)key - 'a'];
}

static int cook(const struct alazy_ticket *t, const void *key, size_t size, void *ctx)
{
	struct recipe *r = recipe_of(ctx, key);
	unsigned int i;
	eventfd_t one;

	r->inits++;
	if (r->tell) {
		check_eq(eventfd_write(r->tell, 1), 0);
		check_eq(eventfd_read(r->hear, &one), 0);
	}
	for (i = 0; i < 3 && r->needs[i]; i++) {
		struct alazy_ref ref;

		r->err = alazy_cache_get(r->cache, r->needs[i], 1, cook, ctx, &ref);
		if (r->err) {
			snprintf(r->detail, sizeof(r->detail), "%s", alazy_strerror_detail());
			break;
		}
		alazy_ref_put(&ref);
	}
	/* it does without what it could not have */
	return alazy_publish(t, key, size, 0);
}

static void eat(struct recipe *r, const char *key)
{
	struct alazy_ref ref;

	check_eq(alazy_cache_get(r->cache, key, 1, cook, r, &ref), 0);
	check_eq(ref.size, 1);
	check(!memcmp(ref.data, key, 1));
	alazy_ref_put(&ref);
}

TEST(l5_initialiser_that_gets_its_own_key)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct recipe r[1] = { { .cache = cache, .needs = { "a" } } };
	char text[64];

	eat(r, "a");
	check_eq(r[0].inits, 1);
	check_eq(r[0].err, -EDEADLK);
	snprintf(text, sizeof(text), "a -> a: pid %d", getpid());
	check(strstr(r[0].detail, text));
	alazy_cache_close(cache);
}

TEST(l5_initialiser_that_gets_its_own_key_over_two_others)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct recipe r[3] = {
		{ .cache = cache, .needs = { "b" } },
		{ .cache = cache, .needs = { "c" } },
		{ .cache = cache, .needs = { "a" } },
	};

	eat(r, "a");
	check_eq(r[0].err, 0);
	check_eq(r[1].err, 0);
	check_eq(r[2].err, -EDEADLK);
	check(strstr(r[2].detail, "c -> a -> b -> c"));
	eat(r, "b");
	eat(r, "c");
	check_eq(r[0].inits + r[1].inits + r[2].inits, 3);
	alazy_cache_close(cache);
}

TEST(l5_diamond_is_made_once_each)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct recipe r[4] = {
		{ .cache = cache, .needs = { "b", "c" } },
		{ .cache = cache, .needs = { "d" } },
		{ .cache = cache, .needs = { "d" } },
		{ .cache = cache },
	};
	unsigned int i;

	eat(r, "a");
	for (i = 0; i < 4; i++) {
		check_eq(r[i].inits, 1);
		check_eq(r[i].err, 0);
	}
	alazy_cache_close(cache);
}

struct eater {
	struct recipe *r;
	const char *key;
};

static void *eat_in_a_thread(void *arg)
{
	struct eater *e = arg;

	eat(e->r, e->key);
	return NULL;
}

/* Each has its ticket before either gets the other's key. */
static void meet(struct recipe *r)
{
	r[0].tell = eventfd(0, 0);
	r[1].tell = eventfd(0, 0);
	r[0].hear = r[1].tell;
	r[1].hear = r[0].tell;
	check(r[0].tell > 0 && r[1].tell > 0);
}

static void part(const struct recipe *r)
{
	close(r[0].tell);
	close(r[1].tell);
}

TEST(l5_asynchronous_initialisers_state_their_parent)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get a = { 0 }, b = { 0 }, needs_b = { 0 }, needs_a = { 0 };
	struct alazy_wait *wait = NULL;

	check_eq(get_int_async(cache, "a", make_later, &a, NULL), 0);
	check_eq(get_int_async(cache, "b", make_later, &b, NULL), 0);
	/* a needs b, and waits for it */
	alazy_parent(&a.ticket);
	check_eq(get_int_async(cache, "b", NULL, &needs_b, &wait), 0);
	/* and so b cannot have a */
	alazy_parent(&b.ticket);
	check_eq(get_int_async(cache, "a", NULL, &needs_a, NULL), 1);
	check_eq(needs_a.err, -EDEADLK);
	/* of whom nobody said so can */
	alazy_parent(NULL);
	check_eq(get_int_async(cache, "a", NULL, &needs_a, NULL), 0);
	publish_int(&b.ticket, 2);
	drive(cache, &needs_b.dones, 1);
	check_eq(needs_b.got, 2);
	publish_int(&a.ticket, 1);
	drive(cache, &needs_a.dones, 2);
	check_eq(needs_a.got, 1);
	alazy_cache_close(cache);
}

TEST(l5_two_threads_that_need_one_another)
{
	unsigned int rounds = scaled(1000, 50), i;

	for (i = 0; i < rounds; i++) {
		struct alazy_cache *cache = open_cache(0, 0);
		struct recipe r[2] = {
			{ .cache = cache, .needs = { "b" } },
			{ .cache = cache, .needs = { "a" } },
		};
		struct eater e[2] = { { r, "a" }, { r, "b" } };
		pthread_t thread;

		meet(r);
		thread = start_thread(eat_in_a_thread, &e[0]);
		eat_in_a_thread(&e[1]);
		join_thread(thread);
		check_eq(r[0].inits, 1);
		check_eq(r[1].inits, 1);
		/* one of the two was refused, and that was enough */
		check_eq(r[0].err + r[1].err, -EDEADLK);
		part(r);
		alazy_cache_close(cache);
	}
}

TEST(l5_two_processes_that_need_one_another)
{
	struct recipe r[2] = { { .needs = { "b" } }, { .needs = { "a" } } };
	struct alazy_cache *cache;
	int status = 0;
	pid_t pid;

	if (!on_kernel())
		skip();
	cache = open_named("lib-cycle", 0);
	r[0].cache = cache;
	r[1].cache = cache;
	meet(r);
	pid = fork();
	if (!pid) {
		eat(r, "a");
		_exit(-r[0].err);
	}
	eat(r, "b");
	check_eq(waitpid(pid, &status, 0), pid);
	check(WIFEXITED(status));
	check_eq(WEXITSTATUS(status) - r[1].err, EDEADLK);
	part(r);
	alazy_cache_close(cache);
	alazy_cache_unlink("lib-cycle", ALAZY_BACKEND_AUTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(l5_initialiser_that_gets_its_own_key),
		cmocka_unit_test(l5_initialiser_that_gets_its_own_key_over_two_others),
		cmocka_unit_test(l5_diamond_is_made_once_each),
		cmocka_unit_test(l5_asynchronous_initialisers_state_their_parent),
		cmocka_unit_test(l5_two_threads_that_need_one_another),
		cmocka_unit_test(l5_two_processes_that_need_one_another),
	};

	return RUN_TESTS(tests);
}
