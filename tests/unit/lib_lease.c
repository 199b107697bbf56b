// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Initialisers that take too long: leases, EXTEND, and what others see of a flight.
 * Row K14. The same program on both backends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

#define MSEC	1000000ULL
#define LEASE	(400 * MSEC)	/* such that who does its part is in time */

static struct alazy_cache *open_leased(uint64_t soft, uint64_t hard)
{
	struct alazy_cache_opts opts = {
		.size = sizeof(opts), .soft_lease_ns = soft, .hard_lease_ns = hard,
	};
	struct alazy_cache *cache = alazy_cache_open(NULL, &opts);

	assert_non_null(cache);
	return cache;
}

static int make_42(const struct alazy_ticket *t, const void *key, size_t size, void *ctx)
{
	(void)key;
	(void)size;
	(void)ctx;
	return alazy_publish(t, "42", 2, 0);
}

static struct alazy_flight flight_of(struct alazy_cache *cache, const char *key)
{
	struct alazy_flight f = { .size = sizeof(f) };

	check_eq(alazy_cache_flight(cache, key, strlen(key), &f), 0);
	return f;
}

TEST(k14_blocked_get_takes_over_from_one_who_is_too_slow)
{
	struct alazy_cache *cache = open_leased(0, LEASE);
	struct alazy_ticket slow = take(cache, "k");
	uint64_t begin = now_ns();
	struct alazy_ref ref;

	check_eq(alazy_cache_get(cache, "k", 1, make_42, NULL, &ref), 0);
	check(now_ns() - begin >= LEASE / 2);
	check_eq(ref.size, 2);
	check(!memcmp(ref.data, "42", 2));
	alazy_ref_put(&ref);
	check_eq(alazy_publish(&slow, "late", 4, 0), -ESTALE);
	check_detail("held");
	check_eq(alazy_extend(&slow, 0, 0), -ESTALE);
	check_eq(stats_of(cache).revoked, 1);
	alazy_cache_close(cache);
}

TEST(k14_those_who_cannot_initialise_are_told)
{
	struct alazy_cache *cache = open_leased(0, LEASE);
	struct alazy_ref ref;

	take(cache, "k");
	check_eq(alazy_cache_get(cache, "k", 1, NULL, NULL, &ref), -ETIME);
	check_eq(alazy_cache_peek(cache, "k", 1, NULL, NULL), ALAZY_EMPTY);
	alazy_cache_close(cache);
}

struct told {
	int err;
	unsigned int calls;
	char value[8];
};

static void on_value(int err, struct alazy_ref *ref, void *ctx)
{
	struct told *t = ctx;

	t->err = err;
	t->calls++;
	if (!err && ref->size < sizeof(t->value))
		memcpy(t->value, ref->data, ref->size);
}

/* Nobody makes a call meanwhile: the descriptor alone says that it is time. */
TEST(k14_descriptor_is_readable_when_a_lease_is_over)
{
	struct alazy_cache *cache = open_leased(LEASE / 4, LEASE);
	struct told told = { 0 };
	struct pollfd p = { .fd = alazy_fd(cache), .events = POLLIN };
	unsigned int i;

	check(p.fd >= 0);
	take(cache, "k");
	check_eq(alazy_cache_get_async(cache, "k", 1, make_42, on_value, &told, NULL), 0);
	check_eq(poll(&p, 1, 0), 0);
	for (i = 0; i < 100 && !told.calls; i++) {
		check_eq(poll(&p, 1, 20000), 1);
		check(alazy_dispatch(cache) >= 0);
	}
	check_eq(told.calls, 1);
	check_eq(told.err, 0);
	check(!strcmp(told.value, "42"));
	/* and no longer when there is nothing: no busy loop */
	check(i <= 4);
	check_eq(poll(&p, 1, 0), 0);
	check_eq(stats_of(cache).late, 1);
	check_eq(stats_of(cache).revoked, 1);
	alazy_cache_close(cache);
}

TEST(k14_who_extends_keeps_it_and_says_how_far_it_is)
{
	struct alazy_cache *cache = open_leased(0, LEASE);
	struct alazy_ticket t = take(cache, "k");
	uint64_t begin = now_ns(), n = 0;

	while (now_ns() - begin < 3 * LEASE) {
		struct alazy_flight f;

		check_eq(alazy_extend(&t, ++n, 1000000), 0);
		f = flight_of(cache, "k");
		check_eq(f.done, n);
		check_eq(f.total, 1000000);
		check(f.until_ns >= f.granted_ns + LEASE);
		check(f.started_ns <= f.granted_ns);
		usleep(LEASE / 20000);
	}
	check_eq(stats_of(cache).extends, n);
	check_eq(stats_of(cache).revoked, 0);
	check_eq(alazy_extend(&t, 2, 1), -EINVAL);
	check_detail("2 of 1");
	check_eq(alazy_publish(&t, "v", 1, 0), 0);
	check_eq(alazy_extend(&t, 1, 1), -ESTALE);
	check_eq(alazy_extend(NULL, 1, 1), -EINVAL);
	alazy_cache_close(cache);
}

TEST(k14_flight_is_seen_while_it_runs)
{
	struct alazy_cache *cache = open_leased(0, 0);
	struct alazy_flight f = { .size = sizeof(f) };
	struct alazy_ticket t;

	check_eq(alazy_cache_flight(cache, "k", 1, &f), -ENOENT);
	check_detail("nobody makes");
	t = take(cache, "k");
	f = flight_of(cache, "k");
	check_eq(f.owner, getpid());
	check_eq(f.flags, 0);
	check_eq(f.attempt, 0);
	check_eq(f.waiters, 0);
	check_eq(f.until_ns, ALAZY_NEVER);
	check_eq(f.total, 0);
	check_eq(f.generation, t.generation);
	f.size = 8;
	check_eq(alazy_cache_flight(cache, "k", 1, &f), -EINVAL);
	check_eq(alazy_cache_flight(cache, "k", 1, NULL), -EINVAL);
	check_eq(alazy_cache_flight(cache, NULL, 1, &f), -EINVAL);
	check_eq(alazy_abandon(&t), 0);
	alazy_cache_close(cache);
}

TEST(options_of_older_programs_are_taken)
{
	struct alazy_cache_opts opts = {
		.size = offsetof(struct alazy_cache_opts, accept_ns),
		/* whatever lies behind an older struct */
		.soft_lease_ns = 2, .hard_lease_ns = 1,
	};
	struct alazy_stats s = { .size = offsetof(struct alazy_stats, late), .late = 77 };
	struct alazy_cache *cache = alazy_cache_open(NULL, &opts);

	assert_non_null(cache);
	check_eq(alazy_cache_stats(cache, &s), 0);
	check_eq(s.late, 77);
	alazy_cache_close(cache);
	opts.size = sizeof(opts);
	check(!alazy_cache_open(NULL, &opts));
	check_eq(errno, EINVAL);
	check_detail("hard_lease_ns 1 is less");
	opts.size = offsetof(struct alazy_cache_opts, accept_ns) - 1;
	check(!alazy_cache_open(NULL, &opts));
	check_detail("sizeof");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(k14_blocked_get_takes_over_from_one_who_is_too_slow),
		cmocka_unit_test(k14_those_who_cannot_initialise_are_told),
		cmocka_unit_test(k14_descriptor_is_readable_when_a_lease_is_over),
		cmocka_unit_test(k14_who_extends_keeps_it_and_says_how_far_it_is),
		cmocka_unit_test(k14_flight_is_seen_while_it_runs),
		cmocka_unit_test(options_of_older_programs_are_taken),
	};

	return RUN_TESTS(tests);
}
