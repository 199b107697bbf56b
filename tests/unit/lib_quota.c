// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The library where the module's quotas are reached: what was there stays, and the text
 * says which parameter it is. Rows K13, L15. The local backend has no quotas.
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

/* Sets a parameter of the module; what it was, to set it again */
static long quota_set(const char *name, long value)
{
	char path[128], text[32] = "";
	int fd, n;

	snprintf(path, sizeof(path), "/sys/module/asynclazy/parameters/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	check(fd >= 0);
	check(read(fd, text, sizeof(text) - 1) > 0);
	n = dprintf(fd, "%ld", value);
	check(n > 0);
	close(fd);
	return atol(text);
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

TEST_KERNEL(many_are_made_by_and_by_with_few_tickets)
{
	long before = quota_set("max_tickets", 3);
	struct alazy_cache *cache = open_cache(0, 0);
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
	quota_set("max_tickets", before);
}

TEST_KERNEL(without_a_ticket_each_key_says_why)
{
	long before = quota_set("max_tickets", 1);
	struct alazy_cache *cache = open_cache(0, 0);
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
	quota_set("max_tickets", before);
}

TEST_KERNEL(any_of_many_with_one_ticket)
{
	long before = quota_set("max_tickets", 1);
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_item items[MANY];
	struct made made;
	int n, there = 0;

	n = get_some(cache, items, &made, ALAZY_MANY_ANY);
	check(n >= 1);
	check_eq(made.tickets, n);
	check_eq(made.most, 1);
	for (int i = 0; i < MANY; i++) {
		there += !items[i].err;
		check(!items[i].err || items[i].err == -EINPROGRESS);
		alazy_ref_put(&items[i].ref);
	}
	check_eq(there, n);
	check_eq(stats_of(cache).tickets_now, 0);
	check_eq(stats_of(cache).waits_now, 0);
	alazy_cache_close(cache);
	quota_set("max_tickets", before);
}

TEST_KERNEL(a_wait_too_many)
{
	long before = quota_set("max_waits", 1);
	struct alazy_cache *cache = open_cache(0, 0);
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
	quota_set("max_waits", before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_are_made_by_and_by_with_few_tickets),
		cmocka_unit_test(without_a_ticket_each_key_says_why),
		cmocka_unit_test(any_of_many_with_one_ticket),
		cmocka_unit_test(a_wait_too_many),
	};

	return RUN_TESTS(tests);
}
