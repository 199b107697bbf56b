// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Threads over a cache so small that its room is used again all the time: rows L6
 * and L13, I2. Each value tells by all its bytes whose it is, and is looked at when
 * it is got and again before it is put. The same program on both backends.
 *
 * ALZ_TORTURE=seconds makes it run for longer.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

#define THREADS		4
#define KEYS		8000
#define HELD		12	/* refs of a thread at a time: some are copies */
#define MOST	3000

/* A value: this, then a pattern of both. */
struct head {
	uint64_t key;
	uint64_t serial;	/* of its making, never 0 */
};

struct racer {
	struct alazy_cache *cache;
	uint64_t random;
	uint64_t end;
	struct alazy_ref held[HELD];
	uint64_t keys[HELD];
	struct head heads[HELD];
	unsigned long gets, inits;
};

static atomic_ulong serial;

static uint32_t roll(struct racer *r, uint32_t n)
{
	r->random = r->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (r->random >> 33) % n;
}

/* Some of no size to speak of, few as large as it goes. */
static size_t make_value(struct racer *r, uint64_t key, char *value)
{
	struct head h = { key, atomic_fetch_add(&serial, 1) + 1 };
	size_t size = sizeof(h) + roll(r, roll(r, 4) ? 300 : MOST);

	memcpy(value, &h, sizeof(h));
	pattern_fill(value + sizeof(h), size - sizeof(h), h.key ^ h.serial << 20);
	return size;
}

static bool value_is_whole(const struct alazy_ref *ref, uint64_t key, struct head *h)
{
	if (ref->size < sizeof(*h))
		return false;
	memcpy(h, ref->data, sizeof(*h));
	return h->key == key && h->serial && h->serial <= atomic_load(&serial) &&
	       pattern_is((const char *)ref->data + sizeof(*h), ref->size - sizeof(*h),
			  h->key ^ h->serial << 20);
}

static int race_init(const struct alazy_ticket *ticket, const void *key, size_t key_size,
		     void *ctx)
{
	char value[sizeof(struct head) + MOST];
	struct racer *r = ctx;
	uint64_t k;
	int err;

	(void)key_size;
	memcpy(&k, key, sizeof(k));
	r->inits++;
	err = alazy_publish(ticket, value, make_value(r, k, value), roll(r, 8) ? 0 : 100000);
	check(err == 0 || err == -ESTALE);
	return 0;
}

static void put_held(struct racer *r, unsigned int i)
{
	struct head h;

	if (!r->held[i].data)
		return;
	/* as it was, to the last byte, and not a newer one of the same key */
	check(value_is_whole(&r->held[i], r->keys[i], &h));
	check_eq(h.serial, r->heads[i].serial);
	alazy_ref_put(&r->held[i]);
}

static void hold(struct racer *r, uint64_t key, struct alazy_ref *ref)
{
	unsigned int i = roll(r, HELD);

	put_held(r, i);
	r->held[i] = *ref;
	r->keys[i] = key;
	check(value_is_whole(ref, key, &r->heads[i]));
}

static void get_one(struct racer *r, uint64_t key)
{
	struct alazy_ref ref;
	struct head h;

	r->gets++;
	if (!check_eq(alazy_cache_get(r->cache, &key, sizeof(key), race_init, r, &ref), 0))
		return;
	if (roll(r, 4)) {
		check(value_is_whole(&ref, key, &h));
		alazy_ref_put(&ref);
	} else {
		hold(r, key, &ref);
	}
}

static void peek_one(struct racer *r, uint64_t key)
{
	struct alazy_ref ref;
	int state = alazy_cache_peek(r->cache, &key, sizeof(key), &ref, NULL);

	check(state == ALAZY_EMPTY || state == ALAZY_FILLED || state == ALAZY_INITIALIZING);
	if (state == ALAZY_FILLED)
		hold(r, key, &ref);
}

static void set_one(struct racer *r, uint64_t key)
{
	char value[sizeof(struct head) + MOST];

	check_eq(alazy_cache_set(r->cache, &key, sizeof(key), value,
				 make_value(r, key, value), 0), 0);
}

static void race(unsigned int me, void *arg)
{
	struct racer *r = (struct racer *)arg + me;
	unsigned long n = 0, steps = scaled(2000000, 30000);
	unsigned int i;
	uint64_t key;

	while (!check_failures() && (r->end ? n % 64 || now_ns() < r->end : n < steps)) {
		/* a quarter of it is for a few */
		key = roll(r, 4) ? roll(r, KEYS) : roll(r, 16);
		switch (roll(r, 16)) {
		case 0 ... 8: get_one(r, key); break;
		case 9 ... 10: peek_one(r, key); break;
		case 11 ... 13: set_one(r, key); break;
		case 14:
			check(alazy_cache_invalidate(r->cache, &key, sizeof(key)) >= 0);
			break;
		default:
			if (!roll(r, 256))
				check(alazy_cache_clear(r->cache) >= 0);
		}
		n++;
	}
	for (i = 0; i < HELD; i++)
		put_held(r, i);
}

TEST(l13_no_value_changes_under_a_ref_while_segments_are_recycled)
{
	const char *seconds = getenv("ALZ_TORTURE");
	struct racer *racers = calloc(THREADS, sizeof(*racers));
	/* a third of the keys fit in, and all segments cannot be held at once */
	struct alazy_cache *cache = open_small(NULL, 32);
	struct alazy_stats s;
	unsigned int i;

	assert_non_null(racers);
	if (seconds)
		alarm(0);
	for (i = 0; i < THREADS; i++) {
		racers[i].cache = cache;
		racers[i].random = 77 + i;
		if (seconds)
			racers[i].end = now_ns() + strtoul(seconds, NULL, 10) * SEC;
	}
	run_threads(THREADS, race, racers);
	s = stats_of(cache);
	check_eq(s.tickets_now, 0);
	check_eq(s.waits_now, 0);
	check_eq(s.initializing, 0);
	check_eq(s.nospace, 0);
	check(s.reclaims > 100);
	check_no_pins(cache);
	s = stats_of(cache);
	check(s.arena_allocated <= s.segments * SMALL_SEGMENT);
	alazy_cache_close(cache);
	free(racers);
}

/* ---- readers that are stopped between any two instructions ---------------- */

#define READERS	2
#define LAST	3000	/* keys that are asked for: about as many as there are */
#define SIZE	200

struct stopped {
	struct alazy_cache *cache;
	atomic_ulong newest;	/* keys up to this one have been set */
	atomic_bool stop;
};

static _Thread_local volatile sig_atomic_t was_stopped;

/* Let the others go on for a while, wherever this one is just now. */
static void on_stop(int sig)
{
	static atomic_uint random;
	uint64_t until = now_ns() + (atomic_fetch_add(&random, 1) * 2654435761U >> 14);

	(void)sig;
	while (now_ns() < until)
		;
	was_stopped = 1;
}

static timer_t stop_often(void)
{
	struct itimerspec its = { { 0, 397000 }, { 0, 397000 } };
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	timer_t timer = NULL;

	ev._sigev_un._tid = syscall(SYS_gettid);
	check_eq(timer_create(CLOCK_MONOTONIC, &ev, &timer), 0);
	check_eq(timer_settime(timer, 0, &its, NULL), 0);
	return timer;
}

/* Until what has been let go by now has been written over. */
static void await_sets(struct stopped *t, unsigned int n)
{
	uint64_t until = atomic_load(&t->newest) + n;

	while (atomic_load(&t->newest) < until && !atomic_load(&t->stop))
		sched_yield();
}

static void read_stopped(struct stopped *t)
{
	struct alazy_ref ref;
	uint64_t key, n = 0;

	while (!atomic_load(&t->stop) && !check_failures()) {
		n = n * 5 + 3;
		key = atomic_load(&t->newest) - (n >> 16) % LAST;
		was_stopped = 0;
		if (alazy_cache_peek(t->cache, &key, sizeof(key), &ref, NULL) != ALAZY_FILLED)
			continue;
		/* in the midst of it: this one is worth a second look */
		if (was_stopped)
			await_sets(t, LAST / 2);
		put_pattern(&ref, SIZE, key);
	}
}

static void set_and_be_read(unsigned int me, void *arg)
{
	unsigned long sets = scaled(10000000, 100000), i;
	struct stopped *t = arg;
	timer_t timer;

	if (me) {
		timer = stop_often();
		read_stopped(t);
		timer_delete(timer);
		return;
	}
	for (i = LAST; i < sets && !check_failures(); i++) {
		check_eq(set_pattern(t->cache, i, SIZE, i), 0);
		atomic_store(&t->newest, i);
	}
	atomic_store(&t->stop, true);
}

TEST(l13_what_is_read_stays_wherever_the_reader_is_stopped)
{
	struct sigaction sa = { .sa_handler = on_stop, .sa_flags = SA_RESTART };
	struct stopped t = { .cache = open_small(NULL, 16), .newest = LAST };

	sigaction(SIGUSR1, &sa, NULL);
	run_threads(1 + READERS, set_and_be_read, &t);
	check_no_pins(t.cache);
	alazy_cache_close(t.cache);
}

/* ---- nobody is told that there is no room --------------------------------- */

struct setters {
	struct alazy_cache *cache;
	unsigned int refs;	/* that each has all the time */
};

static void set_segments(unsigned int me, void *arg)
{
	/* in the kernel each segment takes a grace period, of 20 ms or so */
	unsigned long n = on_kernel() ? scaled(5000, 200) : scaled(100000, 2000), i;
	struct setters *t = arg;
	struct alazy_ref refs[4] = { 0 };
	uint64_t key;

	for (i = 0; i < n && !check_failures(); i++) {
		key = i * 16 + me;
		/* one fills a segment */
		check_eq(set_pattern(t->cache, key, 60000, key), 0);
		if (i % 3 || !t->refs)
			continue;
		alazy_ref_put(&refs[i % t->refs]);
		alazy_cache_peek(t->cache, &key, sizeof(key), &refs[i % t->refs], NULL);
	}
	for (i = 0; i < t->refs; i++)
		alazy_ref_put(&refs[i]);
}

static void set_with_refs(unsigned int threads, unsigned int segments, unsigned int refs)
{
	struct setters t = { .cache = open_small(NULL, segments), .refs = refs };

	run_threads(threads, set_segments, &t);
	check_eq(stats_of(t.cache).nospace, 0);
	check_no_pins(t.cache);
	alazy_cache_close(t.cache);
}

TEST(l13_racing_setters_of_whole_segments_find_room)
{
	/* as many threads as fill all segments at once, less what reclaim works with */
	set_with_refs(4, 8, 0);
	set_with_refs(6, 16, 0);
	set_with_refs(4, 16, 2);
	set_with_refs(4, 32, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(l13_no_value_changes_under_a_ref_while_segments_are_recycled),
		cmocka_unit_test(l13_what_is_read_stays_wherever_the_reader_is_stopped),
		cmocka_unit_test(l13_racing_setters_of_whole_segments_find_room),
	};

	return RUN_TESTS(tests);
}
