// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Get or initialise many keys in one call. Row L15. The same program on both
 * backends; processes on the module only.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

#define KEYS	100

/* Some keys and what became of them; the value of key i is i, "key i". */
struct batch {
	struct alazy_cache *cache;
	struct alazy_item items[KEYS];
	char names[KEYS][16];
	size_t n;
	unsigned int calls;		/* of make_batch() */
	size_t made;			/* tickets in all of them */
	int fail;			/* what it returns */
	bool end_nothing;
	const char *nested;		/* a key that it gets first */
	int nested_err;
	char text[300];
};

static void batch_key(struct batch *b, unsigned int i)
{
	snprintf(b->names[b->n], sizeof(b->names[0]), "key %u", i);
	b->items[b->n].key = b->names[b->n];
	b->items[b->n].key_size = strlen(b->names[b->n]);
	b->n++;
}

/* Keys @from, @from + step, ...: @n of them */
static void batch_init(struct batch *b, struct alazy_cache *cache, int from, int step, int n)
{
	memset(b, 0, sizeof(*b));
	b->cache = cache;
	while (n--) {
		batch_key(b, from);
		from += step;
	}
}

static int number_of(const struct alazy_item *item)
{
	return atoi((const char *)item->key + 4);
}

static int make_batch(const struct alazy_ticket *tickets, const size_t *which, size_t n,
		      void *ctx)
{
	struct batch *b = ctx;
	size_t i;

	b->calls++;
	b->made += n;
	if (b->nested) {
		struct alazy_ref ref;

		b->nested_err = alazy_cache_get(b->cache, b->nested, strlen(b->nested), NULL,
						NULL, &ref);
		snprintf(b->text, sizeof(b->text), "%s", alazy_strerror_detail());
		if (!b->nested_err)
			alazy_ref_put(&ref);
	}
	if (b->fail || b->end_nothing)
		return b->fail;
	for (i = 0; i < n; i++) {
		int value = number_of(&b->items[which[i]]);

		check_eq(alazy_publish(&tickets[i], &value, sizeof(value), 0), 0);
	}
	return 0;
}

static int make_batch_never(const struct alazy_ticket *tickets, const size_t *which, size_t n,
			    void *ctx)
{
	(void)tickets;
	(void)which;
	(void)n;
	(void)ctx;
	check(false);
	return -EIO;
}

static int get_batch(struct batch *b, alazy_init_many_fn init, uint32_t flags,
		     uint64_t deadline)
{
	return alazy_cache_get_many(b->cache, b->items, b->n, init, b, flags, deadline);
}

/* Each has its value, and is put. */
static void put_batch(struct batch *b)
{
	size_t i;

	for (i = 0; i < b->n; i++) {
		check_eq(b->items[i].err, 0);
		check_eq(ref_int(&b->items[i].ref), number_of(&b->items[i]));
		alazy_ref_put(&b->items[i].ref);
	}
}

static void drop_batch(struct batch *b)
{
	size_t i;

	for (i = 0; i < b->n; i++)
		alazy_ref_put(&b->items[i].ref);
}

static void set_int(struct alazy_cache *cache, int i)
{
	char key[16];

	snprintf(key, sizeof(key), "key %d", i);
	check_eq(alazy_cache_set(cache, key, strlen(key), &i, sizeof(i), 0), 0);
}

TEST(l15_thirty_of_a_hundred_are_made_in_one_call)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct batch b;
	int i;

	for (i = 0; i < KEYS; i++)
		if (i % 10 >= 3)
			set_int(cache, i);
	batch_init(&b, cache, 0, 1, KEYS);
	check_eq(get_batch(&b, make_batch, 0, 0), KEYS);
	check_eq(b.calls, 1);
	check_eq(b.made, 30);
	put_batch(&b);
	check_eq(stats_of(cache).tickets, 30);
	check_eq(stats_of(cache).waits, 0);
	/* and then all are there */
	batch_init(&b, cache, KEYS - 1, -1, KEYS);
	check_eq(get_batch(&b, make_batch_never, 0, 0), KEYS);
	put_batch(&b);
	check_no_pins(cache);
	alazy_cache_close(cache);
}

/* ---- two callers ------------------------------------------------------------ */


static void *call_many(void *arg)
{
	struct batch *b = arg;

	check_eq(get_batch(b, make_batch, 0, 0), (int)b->n);
	put_batch(b);
	return NULL;
}

TEST(l15_two_threads_in_opposite_order)
{
	unsigned int rounds = scaled(2000, 100), i;

	for (i = 0; i < rounds; i++) {
		struct alazy_cache *cache = open_cache(0, 0);
		struct batch b[2];
		pthread_t thread;

		batch_init(&b[0], cache, 0, 1, 30);
		batch_init(&b[1], cache, 29, -1, 30);
		thread = start_thread(call_many, &b[0]);
		call_many(&b[1]);
		join_thread(thread);
		check_eq(b[0].made + b[1].made, 30);
		check_eq(stats_of(cache).tickets, 30);
		alazy_cache_close(cache);
	}
}

TEST(l15_two_processes_in_opposite_order)
{
	unsigned int rounds = scaled(2000, 100), i;
	const char *name = unique_name("many");
	struct alazy_cache *cache;
	struct batch b;
	int status;
	pid_t pid;

	if (!on_kernel())
		skip();
	cache = open_named(name, 0);
	for (i = 0; i < rounds; i++) {
		pid = fork();
		if (!pid) {
			batch_init(&b, cache, 0, 1, 30);
			call_many(&b);
			_exit(b.made);
		}
		batch_init(&b, cache, 29, -1, 30);
		call_many(&b);
		check_eq(waitpid(pid, &status, 0), pid);
		check(WIFEXITED(status));
		check_eq(WEXITSTATUS(status) + b.made, 30);
		check_eq(stats_of(cache).tickets, 30 * (i + 1));
		for (int k = 0; k < 30; k++)
			check_eq(alazy_cache_invalidate(cache, b.items[k].key,
							b.items[k].key_size), 1);
	}
	alazy_cache_close(cache);
	alazy_cache_unlink(name, ALAZY_BACKEND_AUTO);
}

/* ---- what others make, what fails --------------------------------------------- */

static void *publish_key_5(void *arg)
{
	struct alazy_ticket *t = arg;
	int five = 5;

	await_waits(t->cache, 1);
	check_eq(alazy_publish(t, &five, sizeof(five), 0), 0);
	return NULL;
}

TEST(l15_waits_for_what_others_make_after_it_made_its_own)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_ticket other = take(cache, "key 5");
	struct batch b;
	pthread_t thread;

	batch_init(&b, cache, 0, 1, 10);
	thread = start_thread(publish_key_5, &other);
	check_eq(get_batch(&b, make_batch, 0, 0), 10);
	join_thread(thread);
	check_eq(b.made, 9);
	put_batch(&b);
	alazy_cache_close(cache);
}

static void *abandon_key_5(void *arg)
{
	struct alazy_ticket *t = arg;

	await_waits(t->cache, 1);
	check_eq(alazy_abandon(t), 0);
	return NULL;
}

TEST(l15_makes_it_after_all_if_its_owner_is_lost)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_ticket other = take(cache, "key 5");
	struct batch b;
	pthread_t thread;

	batch_init(&b, cache, 0, 1, 10);
	thread = start_thread(abandon_key_5, &other);
	check_eq(get_batch(&b, make_batch, 0, 0), 10);
	join_thread(thread);
	check_eq(b.calls, 2);
	check_eq(b.made, 10);
	put_batch(&b);
	alazy_cache_close(cache);
}

TEST(each_key_has_its_own_outcome)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_ticket t = take(cache, "key 2"), other = take(cache, "key 3");
	struct batch b;

	set_int(cache, 1);
	check_eq(alazy_fail(&t, -ENOENT, ALAZY_PERMANENT, 0, "there is no 2"), 0);
	batch_init(&b, cache, 0, 1, 4);
	check_eq(get_batch(&b, make_batch, 0, now_ns() + 1), 2);
	check_eq(b.items[0].err, 0);
	check_eq(b.items[1].err, 0);
	check_eq(b.items[2].err, -ENOENT);
	check(ref_is(&b.items[2].ref, "there is no 2", 13));
	check_eq(b.items[3].err, -ETIMEDOUT);
	check(b.items[3].ref.size > 0);
	drop_batch(&b);
	publish_int(&other, 3);
	/* without an initialiser */
	batch_init(&b, cache, 3, 1, 2);
	check_eq(get_batch(&b, NULL, 0, 0), 1);
	check_eq(b.items[0].err, 0);
	check_eq(b.items[1].err, -ENOENT);
	drop_batch(&b);
	check_no_pins(cache);
	alazy_cache_close(cache);
}

TEST(what_an_initialiser_leaves_fails_or_is_given_up)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct batch b;
	int i;

	batch_init(&b, cache, 0, 1, 10);
	b.fail = -EIO;
	check_eq(get_batch(&b, make_batch, 0, 0), 0);
	for (i = 0; i < 10; i++)
		check_eq(b.items[i].err, -EIO);
	drop_batch(&b);
	batch_init(&b, cache, 10, 1, 10);
	b.end_nothing = true;
	check_eq(get_batch(&b, make_batch, 0, 0), 0);
	for (i = 0; i < 10; i++)
		check_eq(b.items[i].err, -ECANCELED);
	drop_batch(&b);
	check_eq(stats_of(cache).tickets_now, 0);
	alazy_cache_close(cache);
}

TEST(the_same_key_twice)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct batch b;

	batch_init(&b, cache, 7, 0, 5);
	check_eq(get_batch(&b, make_batch, 0, 0), 5);
	check_eq(b.made, 1);
	put_batch(&b);
	check_no_pins(cache);
	alazy_cache_close(cache);
}

TEST(more_keys_than_may_be_made_at_a_time)
{
	struct alazy_cache *cache = open_with(NULL, (struct alazy_cache_opts) { .max_inits = 1 });
	struct batch b;

	batch_init(&b, cache, 0, 1, 10);
	check_eq(get_batch(&b, make_batch, 0, 0), 10);
	check_eq(b.calls, 1);
	put_batch(&b);
	check_eq(stats_of(cache).queued, 0);
	alazy_cache_close(cache);
}

TEST(l5_cycle_through_any_of_them)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct batch b;
	int i;

	for (i = 0; i < 5; i++) {
		char needs[16];

		batch_init(&b, cache, 10 * i, 1, 5);
		snprintf(needs, sizeof(needs), "key %d", 10 * i + i);
		b.nested = needs;
		check_eq(get_batch(&b, make_batch, 0, 0), 5);
		check_eq(b.nested_err, -EDEADLK);
		check(strstr(b.text, needs));
		put_batch(&b);
	}
	alazy_cache_close(cache);
}

TEST(l14_what_is_stale_is_made_anew_and_stays_if_that_fails)
{
	struct alazy_publish_opts stale = {
		.size = sizeof(stale), .ttl_ns = 1, .stale_ttl_ns = 3600000000000ULL,
	};
	struct alazy_cache *cache = open_cache(0, 0);
	struct batch b;
	int i;

	for (i = 1; i <= 2; i++) {
		struct alazy_ticket t = take(cache, i == 1 ? "key 1" : "key 2");

		check_eq(alazy_publish_with(&t, &i, sizeof(i), &stale), 0);
	}
	batch_init(&b, cache, 1, 1, 1);
	b.fail = -EIO;
	check_eq(get_batch(&b, make_batch, 0, 0), 1);
	check_eq(b.calls, 1);
	put_batch(&b);
	batch_init(&b, cache, 2, 1, 1);
	check_eq(get_batch(&b, make_batch, 0, 0), 1);
	check_eq(b.made, 1);
	put_batch(&b);
	check_no_pins(cache);
	alazy_cache_close(cache);
}

/* ---- any ------------------------------------------------------------------------ */

static void *publish_key_7(void *arg)
{
	struct alazy_ticket *t = arg;
	int seven = 7;

	await_waits(t->cache, 10);
	check_eq(alazy_publish(t, &seven, sizeof(seven), 0), 0);
	return NULL;
}

TEST(l15_any_of_those_that_others_make)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_ticket tickets[10];
	struct batch b;
	pthread_t thread;
	int i;

	batch_init(&b, cache, 0, 1, 10);
	for (i = 0; i < 10; i++)
		tickets[i] = take(cache, b.names[i]);
	check_eq(get_batch(&b, make_batch_never, ALAZY_MANY_ANY, now_ns() + 1), -ETIMEDOUT);
	thread = start_thread(publish_key_7, &tickets[7]);
	check_eq(get_batch(&b, make_batch_never, ALAZY_MANY_ANY, 0), 1);
	join_thread(thread);
	for (i = 0; i < 10; i++)
		check_eq(b.items[i].err, i == 7 ? 0 : -EINPROGRESS);
	check_eq(ref_int(&b.items[7].ref), 7);
	drop_batch(&b);
	check_eq(stats_of(cache).waits_now, 0);
	/* it does not wait if there is something already */
	check_eq(get_batch(&b, make_batch_never, ALAZY_MANY_ANY, 0), 1);
	drop_batch(&b);
	for (i = 0; i < 10; i++)
		check_eq(alazy_abandon(&tickets[i]), i == 7 ? -ESTALE : 0);
	check_no_pins(cache);
	alazy_cache_close(cache);
}

TEST(l15_any_takes_over_from_an_owner_that_is_lost)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_ticket other = take(cache, "key 5");
	struct batch b;
	pthread_t thread;

	batch_init(&b, cache, 5, 1, 1);
	thread = start_thread(abandon_key_5, &other);
	check_eq(get_batch(&b, make_batch, ALAZY_MANY_ANY, 0), 1);
	join_thread(thread);
	check_eq(b.made, 1);
	put_batch(&b);
	check_eq(stats_of(cache).waits_now, 0);
	alazy_cache_close(cache);
}

TEST(nonsense_is_refused_and_names_what_is_wrong)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct batch b;

	batch_init(&b, cache, 0, 1, 2);
	check_eq(get_batch(&b, make_batch, 2, 0), -EINVAL);
	check_detail("flags");
	b.items[1].key_size = 0;
	check_eq(get_batch(&b, make_batch, 0, 0), -EINVAL);
	check_detail("key");
	check_eq(alazy_cache_get_many(cache, NULL, 1, make_batch, &b, 0, 0), -EINVAL);
	check_detail("items");
	check_eq(alazy_cache_get_many(NULL, b.items, 1, make_batch, &b, 0, 0), -EINVAL);
	check_detail("cache");
	check_eq(alazy_cache_get_many(cache, NULL, 0, make_batch, &b, 0, 0), 0);
	check_eq(stats_of(cache).claims, 0);
	alazy_cache_close(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(l15_thirty_of_a_hundred_are_made_in_one_call),
		cmocka_unit_test(l15_two_threads_in_opposite_order),
		cmocka_unit_test(l15_two_processes_in_opposite_order),
		cmocka_unit_test(l15_waits_for_what_others_make_after_it_made_its_own),
		cmocka_unit_test(l15_makes_it_after_all_if_its_owner_is_lost),
		cmocka_unit_test(each_key_has_its_own_outcome),
		cmocka_unit_test(what_an_initialiser_leaves_fails_or_is_given_up),
		cmocka_unit_test(the_same_key_twice),
		cmocka_unit_test(more_keys_than_may_be_made_at_a_time),
		cmocka_unit_test(l5_cycle_through_any_of_them),
		cmocka_unit_test(l14_what_is_stale_is_made_anew_and_stays_if_that_fails),
		cmocka_unit_test(l15_any_of_those_that_others_make),
		cmocka_unit_test(l15_any_takes_over_from_an_owner_that_is_lost),
		cmocka_unit_test(nonsense_is_refused_and_names_what_is_wrong),
	};

	return RUN_TESTS(tests);
}
