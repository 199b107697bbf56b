// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The library where the module's quotas are reached: what was there stays, and the text
 * names the parameters. Rows K13, L15. The local backend has no quotas.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

#define TEST_KERNEL(name) TEST_IF(name, on_kernel(), "the local backend has no quotas")

enum quota { MAX_TICKETS, MAX_WAITS, QUOTAS };

static long quota_before[QUOTAS];	/* 0: it was not set */

/* Sets a parameter of the module: of caches that are opened then, until quotas_reset(). */
static void quota_set(enum quota quota, long value)
{
	static const char *const names[] = { "max_tickets", "max_waits" };
	char path[128], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), "/sys/module/asynclazy/parameters/%s", names[quota]);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (!check(fd >= 0) || !check(read(fd, text, sizeof(text) - 1) > 0))
		return;
	if (!quota_before[quota])
		quota_before[quota] = atol(text);
	check(dprintf(fd, "%ld", value) > 0);
	close(fd);
}

/* However a test ends: programs that follow use the same module. */
static int quotas_reset(void **state)
{
	(void)state;
	for (int i = 0; i < QUOTAS; i++) {
		if (quota_before[i])
			quota_set(i, quota_before[i]);
		quota_before[i] = 0;
	}
	return 0;
}

static struct alazy_cache *open_quota(enum quota quota, long value)
{
	quota_set(quota, value);
	return open_cache(0, 0);
}

/* The calls of make_all() */
struct made {
	size_t calls, tickets, most;
};

static int make_all(const struct alazy_ticket *tickets, const size_t *which, size_t n, void *ctx)
{
	struct made *made = ctx;

	made->calls++;
	made->tickets += n;
	if (n > made->most)
		made->most = n;
	for (size_t i = 0; i < n; i++)
		publish_int(&tickets[i], which[i]);
	return 0;
}

#define MANY	7

static int get_some(struct alazy_cache *cache, struct alazy_item *items, struct made *made,
		    uint32_t flags)
{
	static const char *const keys[MANY] = { "a", "b", "c", "d", "e", "f", "g" };

	memset(made, 0, sizeof(*made));
	memset(items, 0, MANY * sizeof(*items));
	for (size_t i = 0; i < MANY; i++) {
		items[i].key = keys[i];
		items[i].key_size = 1;
	}
	return alazy_cache_get_many(cache, items, MANY, make_all, made, flags, 0);
}

static void check_all(struct alazy_item *items)
{
	for (int i = 0; i < MANY; i++) {
		check_eq(items[i].err, 0);
		check_eq(ref_int(&items[i].ref), i);
		alazy_ref_put(&items[i].ref);
	}
}

/* Those that are there, and are put; the others are not waited for any more. */
static int check_any(struct alazy_item *items)
{
	int i, there = 0;

	for (i = 0; i < MANY; i++) {
		if (items[i].err)
			check_eq(items[i].err, -EINPROGRESS);
		else
			there++;
		alazy_ref_put(&items[i].ref);
	}
	return there;
}

TEST_KERNEL(many_are_made_by_and_by_with_few_tickets)
{
	struct alazy_cache *cache = open_quota(MAX_TICKETS, 3);
	struct alazy_item items[MANY];
	struct made made;

	check_eq(get_some(cache, items, &made, 0), MANY);
	check_all(items);
	check_eq(made.tickets, MANY);
	check_eq(made.most, 3);
	check_eq(stats_of(cache).tickets, MANY);
	check_eq(stats_of(cache).tickets_now, 0);
	check_eq(stats_of(cache).waits_now, 0);
	alazy_cache_close(cache);
}

TEST_KERNEL(without_a_ticket_each_key_says_why)
{
	struct alazy_cache *cache = open_quota(MAX_TICKETS, 1);
	struct alazy_ticket held = take(cache, "held");
	struct alazy_item items[MANY];
	struct alazy_answer answer;
	struct made made;

	check_eq(alazy_claim(cache, "new", 3, ALAZY_CLAIM_INIT, 0, NULL, NULL, &answer), -EDQUOT);
	check_detail("max_tickets");
	check_eq(get_some(cache, items, &made, 0), 0);
	check_eq(made.calls, 0);
	for (int i = 0; i < MANY; i++) {
		check_eq(items[i].err, -EDQUOT);
		check(items[i].ref.size &&
		      memmem(items[i].ref.data, items[i].ref.size, "max_tickets", 11));
		alazy_ref_put(&items[i].ref);
	}
	check_eq(stats_of(cache).tickets_now, 1);
	check_eq(stats_of(cache).waits_now, 0);
	publish_int(&held, 1);
	check_eq(get_some(cache, items, &made, 0), MANY);
	check_all(items);
	check_eq(made.calls, MANY);
	alazy_cache_close(cache);
}

TEST_KERNEL(any_of_many_with_one_ticket)
{
	struct alazy_cache *cache = open_quota(MAX_TICKETS, 1);
	struct alazy_item items[MANY];
	struct made made;

	check_eq(get_some(cache, items, &made, ALAZY_MANY_ANY), 1);
	check_eq(made.tickets, 1);
	check_eq(check_any(items), 1);
	check_eq(stats_of(cache).tickets_now, 0);
	check_eq(stats_of(cache).waits_now, 0);
	alazy_cache_close(cache);
}

static void *publish_all(void *arg)
{
	struct alazy_ticket *tickets = arg;

	await_waits(tickets->cache, 3);
	for (int i = 0; i < MANY; i++)
		publish_int(&tickets[i], i);
	return NULL;
}

TEST_KERNEL(any_of_many_waits_for_as_many_as_it_may)
{
	struct alazy_cache *cache = open_quota(MAX_WAITS, 3);
	struct alazy_ticket tickets[MANY];
	struct alazy_item items[MANY];
	struct made made;
	pthread_t thread;
	char key[2] = "a";
	int n;

	for (int i = 0; i < MANY; i++, key[0]++)
		tickets[i] = take(cache, key);
	thread = start_thread(publish_all, tickets);
	n = get_some(cache, items, &made, ALAZY_MANY_ANY);
	join_thread(thread);
	check(n >= 1);
	check_eq(made.calls, 0);
	check_eq(check_any(items), n);
	check_eq(stats_of(cache).waits_now, 0);
	alazy_cache_close(cache);
}

TEST_KERNEL(a_wait_too_many)
{
	struct alazy_cache *cache = open_quota(MAX_WAITS, 1);
	struct alazy_ticket held = take(cache, "slow");
	struct get first = { 0 }, second = { 0 };
	struct alazy_wait *wait, *none = NULL;

	check_eq(get_int_async(cache, "slow", make_never, &first, &wait), 0);
	check_eq(get_int_async(cache, "slow", make_never, &second, &none), -EDQUOT);
	check_detail("max_waits");
	check(!none);
	check_eq(atomic_load(&second.dones), 0);
	publish_int(&held, 5);
	drive(cache, &first.dones, 1);
	check_eq(first.got, 5);
	/* and there is room again, for one that has to wait */
	check_eq(alazy_cache_invalidate(cache, "slow", 4), 1);
	held = take(cache, "slow");
	check_eq(get_int_async(cache, "slow", make_never, &second, &wait), 0);
	publish_int(&held, 6);
	drive(cache, &second.dones, 1);
	check_eq(second.got, 6);
	alazy_cache_close(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(many_are_made_by_and_by_with_few_tickets, quotas_reset),
		cmocka_unit_test_teardown(without_a_ticket_each_key_says_why, quotas_reset),
		cmocka_unit_test_teardown(any_of_many_with_one_ticket, quotas_reset),
		cmocka_unit_test_teardown(any_of_many_waits_for_as_many_as_it_may,
					  quotas_reset),
		cmocka_unit_test_teardown(a_wait_too_many, quotas_reset),
	};

	return RUN_TESTS(tests);
}
