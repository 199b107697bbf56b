// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * How many initialisations run at a time. Row K14. The same program on both backends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

#define KEYS		24
#define THREADS		8

/* In memory that processes share. */
struct counts {
	atomic_uint now, most, inits;
};

struct work {
	struct alazy_cache *cache;
	struct counts *counts;
	const char *inner;		/* got by each initialiser first, or NULL */
};

static struct alazy_cache *open_limited(const char *name, uint32_t max_inits)
{
	struct alazy_cache_opts opts = { .max_inits = max_inits };

	return open_with(name, opts);
}

static struct counts *counts_new(void)
{
	struct counts *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(c != MAP_FAILED);
	return c;
}

static int make_counted(const struct alazy_ticket *t, const void *key, size_t size, void *ctx)
{
	struct work *w = ctx;
	unsigned int now = atomic_fetch_add(&w->counts->now, 1) + 1;
	unsigned int most = atomic_load(&w->counts->most);

	while (now > most && !atomic_compare_exchange_weak(&w->counts->most, &most, now))
		;
	atomic_fetch_add(&w->counts->inits, 1);
	if (w->inner) {
		struct work inner = { w->cache, counts_new(), NULL };
		struct alazy_ref ref;

		check_eq(alazy_cache_get(w->cache, w->inner, strlen(w->inner), make_counted,
					 &inner, &ref), 0);
		alazy_ref_put(&ref);
		munmap(inner.counts, sizeof(*inner.counts));
	}
	usleep(2000);
	atomic_fetch_sub(&w->counts->now, 1);
	return alazy_publish(t, key, size, 0);
}

static void get_all(unsigned int me, void *arg)
{
	struct work *w = arg;
	unsigned int i;

	for (i = 0; i < KEYS; i++) {
		struct alazy_ref ref;
		char key[16];
		int n = snprintf(key, sizeof(key), "key%u", (i + me * 3) % KEYS);

		check_eq(alazy_cache_get(w->cache, key, n, make_counted, w, &ref), 0);
		check_eq(ref.size, n);
		alazy_ref_put(&ref);
	}
}

static void check_counts(const struct work *w, unsigned int limit)
{
	check_eq(atomic_load(&w->counts->inits), KEYS);
	check(atomic_load(&w->counts->most) <= limit);
	/* or it was no test */
	check_eq(atomic_load(&w->counts->most), limit);
	check_eq(stats_of(w->cache).queued, 0);
}

TEST(k14_threads_make_as_many_as_are_admitted)
{
	struct work w = { open_limited(NULL, 3), counts_new(), NULL };

	run_threads(THREADS, get_all, &w);
	check_counts(&w, 3);
	munmap(w.counts, sizeof(*w.counts));
	alazy_cache_close(w.cache);
}

TEST(k14_what_initialisers_get_is_admitted_too)
{
	struct work w = { open_limited(NULL, 1), counts_new(), "inner" };

	run_threads(THREADS, get_all, &w);
	check_counts(&w, 1);
	munmap(w.counts, sizeof(*w.counts));
	alazy_cache_close(w.cache);
}

TEST(k14_processes_make_as_many_as_are_admitted)
{
	struct work w = { NULL, counts_new(), NULL };
	int status, i;
	pid_t pid[4];

	if (!on_kernel())
		skip();
	w.cache = open_limited("lib-admit", 2);
	for (i = 0; i < 4; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			get_all(i, &w);
			_exit(0);
		}
	}
	for (i = 0; i < 4; i++) {
		check_eq(waitpid(pid[i], &status, 0), pid[i]);
		check_eq(status, 0);
	}
	check_counts(&w, 2);
	munmap(w.counts, sizeof(*w.counts));
	alazy_cache_close(w.cache);
	alazy_cache_unlink("lib-admit", ALAZY_BACKEND_AUTO);
}

TEST(k14_who_does_not_wait_is_told_so)
{
	struct alazy_cache *cache = open_limited(NULL, 1);
	struct alazy_flight f = { .size = sizeof(f) };
	struct alazy_ticket t = take(cache, "a");
	struct answered told = { 0 };
	struct alazy_answer a;

	check_eq(alazy_claim(cache, "b", 1, ALAZY_CLAIM_INIT, 0, NULL, NULL, &a), -EAGAIN);
	check_detail("max_inits");
	check_eq(claim(cache, "b", ALAZY_CLAIM_INIT | ALAZY_CLAIM_EVENT, &told, &a),
		 ALAZY_ANSWER_PENDING);
	check_eq(alazy_cache_flight(cache, "b", 1, &f), 0);
	check_eq(f.flags, ALAZY_FLIGHT_QUEUED);
	check_eq(f.queue, 1);
	check_eq(f.owner, 0);
	check_eq(stats_of(cache).queued, 1);
	publish_int(&t, 1);
	drive(cache, &told.calls, 1);
	check_eq(told.kind, ALAZY_ANSWER_TICKET);
	check_eq(alazy_abandon(&told.ticket), 0);
	alazy_cache_close(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(k14_threads_make_as_many_as_are_admitted),
		cmocka_unit_test(k14_what_initialisers_get_is_admitted_too),
		cmocka_unit_test(k14_processes_make_as_many_as_are_admitted),
		cmocka_unit_test(k14_who_does_not_wait_is_told_so),
	};

	return RUN_TESTS(tests);
}
