// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Every allocation of the core fails once. A scene is a list of steps; it is
 * played without a fault, and its record kept: what each step brought, and the
 * state at the end. Then it is played with the first allocation failing, the
 * second, and so on. The step that was hit says ENOMEM, leaves everything
 * consistent, and is taken again; the record must be the same to the last
 * generation and offset: a step that failed has changed nothing.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core_util.h"

#define INIT	ASYNCLAZY_CLAIM_INIT
#define EVENT	ASYNCLAZY_CLAIM_EVENT
#define BLOCK	ASYNCLAZY_CLAIM_BLOCK
#define WAITFD	ASYNCLAZY_CLAIM_FD
#define FOLLOW	ASYNCLAZY_CLAIM_FOLLOW

enum { A, B, C };

enum op { CREATE, CLAIM, CLAIM_EVENT, CLAIM_FOLLOW, PUBLISH, SET, FAIL, OPS };

struct scene {
	struct bench *b;
	u64 ticket;			/* of the last step that got one */
	u64 held[4];			/* tickets that a scene puts aside */
	struct alz_waiter w[4];		/* BLOCK, FD */
	char record[32768];
	size_t size;
	bool told_only;			/* an error found no memory to be kept in */
	unsigned long hit[OPS];		/* over all plays */
};

static struct scene s;
static char big[65536];

__attribute__((format(printf, 1, 2)))
static void say(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	s.size += vsnprintf(s.record + s.size, sizeof(s.record) - s.size, format, ap);
	va_end(ap);
	check(s.size < sizeof(s.record));
}

/* What a failed call must leave as it is: all counters but that of claims. */
static void snapshot(struct asynclazy_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	alz_cache_stats(&s.b->cache, stats);
	stats->out_claims = 0;
}

/*
 * One step: @call, and again if memory ran out in it. Returns its last answer.
 */
#define STEP(op, call) ({						\
	unsigned long failed_ = core_os.failed;				\
	struct asynclazy_stats was_, is_;				\
	long live_ = core_os.live;					\
	u64 generation_ = s.b->cache.generation;			\
	int err_;							\
									\
	snapshot(&was_);						\
	err_ = (call);							\
	if (core_os.failed != failed_) {				\
		s.hit[op]++;						\
		if (err_ || (op) != FAIL) {				\
			check_eq(err_, -ENOMEM);			\
			snapshot(&is_);					\
			check(!memcmp(&was_, &is_, sizeof(was_)));	\
			check_eq(core_os.live, live_);			\
			check_eq(s.b->cache.generation, generation_);	\
			check_consistent(s.b);				\
			err_ = (call);					\
		} else {						\
			s.told_only = true;				\
		}							\
	}								\
	check_consistent(s.b);						\
	err_;								\
})

/* ---- steps ------------------------------------------------------------- */

static void say_answer(int err, const struct alz_answer *a)
{
	if (err) {
		say("  err %d\n", err);
		return;
	}
	say("  result %u error %d ticket %llu generation %llu offset %llx attempt %u text %.*s\n",
	    a->result, a->error, (unsigned long long)a->ticket,
	    (unsigned long long)a->generation, (unsigned long long)a->offset, a->attempt,
	    (int)a->detail_size, (const char *)a->detail);
	if (a->result == ASYNCLAZY_RESULT_TICKET)
		s.ticket = a->ticket;
}

static void get(int who, const char *key, u32 flags, u64 cookie)
{
	enum op op = flags & FOLLOW ? CLAIM_FOLLOW : flags & EVENT ? CLAIM_EVENT : CLAIM;
	struct alz_answer a;
	int err = STEP(op, claim(s.b, who, key, flags, cookie, &a));

	say("%c claim %s %x\n", 'A' + who, key, flags);
	a.detail_size = err ? 0 : a.detail_size;
	say_answer(err, &a);
}

static void wait_on(int who, const char *key, u32 flags, int w)
{
	struct alz_answer a;
	int err = STEP(CLAIM, claim_wait(s.b, who, key, flags, &s.w[w], &a));

	say("%c wait %s %x\n", 'A' + who, key, flags);
	say_answer(err, &a);
}

static void finish(int who, int w)
{
	struct alz_answer a;
	int err = alz_wait_finish(&s.b->client[who], &s.w[w], -EINTR, 0, &a);

	say("%c finish\n", 'A' + who);
	say_answer(err, &a);
}

static void look_at_fd(int w, bool report)
{
	struct alz_answer a;

	alz_wait_fd_answer(&s.b->cache, &s.w[w], report, &a);
	a.detail_size = a.result == ASYNCLAZY_RESULT_FAILED ? a.detail_size : 0;
	say("wait fd\n");
	say_answer(0, &a);
}

static void publish_it(int who, u64 ticket, const char *value, u64 size, u64 ttl)
{
	int err = STEP(PUBLISH, publish(s.b, who, ticket, value, size, ttl));

	say("%c publish %llu: %d\n", 'A' + who, (unsigned long long)ticket, err);
}

static void set_it(int who, const char *key, const char *value, u64 size)
{
	int err = STEP(SET, set(s.b, who, key, value, size, 0));

	say("%c set %s: %d\n", 'A' + who, key, err);
}

static void fail_it(int who, u64 ticket, u32 error_class, u64 ttl, const char *text)
{
	bool kept;
	int err = STEP(FAIL, alz_fail(&s.b->client[who], ticket, EIO, error_class, ttl, text,
				      strlen(text), &kept));

	say("%c fail %llu: %d kept %d\n", 'A' + who, (unsigned long long)ticket, err, kept);
}

static void abandon(int who, u64 ticket)
{
	say("%c abandon: %d\n", 'A' + who, alz_abandon(&s.b->client[who], ticket));
	check_consistent(s.b);
}

static void cancel(int who, u64 cookie)
{
	say("%c cancel: %d\n", 'A' + who, alz_cancel(&s.b->client[who], cookie));
	check_consistent(s.b);
}

static void fetch(int who, u64 cookie)
{
	char text[ASYNCLAZY_DETAIL_MAX] = "";
	u32 size = 0;
	int err = alz_fetch(&s.b->client[who], cookie, text, sizeof(text), &size, true);

	say("%c fetch: %d %.*s\n", 'A' + who, err, (int)size, text);
}

static void hear(int who)
{
	struct asynclazy_event ev[200];
	u32 n = events(s.b, who, ev, ARRAY_SIZE(ev)), i;

	say("%c hears %u\n", 'A' + who, n);
	for (i = 0; i < n; i++) {
		say("  cookie %llu result %u error %d ticket %llu generation %llu offset %llx attempt %u text %u\n",
		    (unsigned long long)ev[i].cookie, ev[i].result, ev[i].error,
		    (unsigned long long)ev[i].ticket, (unsigned long long)ev[i].generation,
		    (unsigned long long)ev[i].offset, ev[i].attempt, ev[i].detail_size);
		if (ev[i].result == ASYNCLAZY_RESULT_TICKET)
			s.ticket = ev[i].ticket;
	}
	check_consistent(s.b);
}

/* ---- scenes ------------------------------------------------------------ */

static void a_value_is_made_and_got(void)
{
	get(A, "k", 0, 0);
	get(A, "k", INIT, 0);
	get(B, "k", INIT, 0);
	publish_it(A, s.ticket, "value", 5, 0);
	get(B, "k", INIT, 0);
	get(C, "k", EVENT, 1);
	publish_it(A, s.ticket, "again", 5, 0);
}

static void waiters_of_all_forms(void)
{
	get(A, "k", INIT, 0);
	get(B, "k", INIT | EVENT, 1);
	get(B, "k", EVENT, 2);
	get(B, "k", EVENT, 2);
	wait_on(C, "k", INIT | BLOCK, 0);
	wait_on(C, "k", WAITFD, 1);
	wait_on(C, "k", INIT | WAITFD, 2);
	publish_it(A, s.ticket, "value", 5, 0);
	hear(B);
	finish(C, 0);
	look_at_fd(1, true);
	alz_wait_fd_close(&s.b->cache, &s.w[1]);
	look_at_fd(2, true);
	alz_wait_fd_close(&s.b->cache, &s.w[2]);
}

static void followers_hear_of_an_error_and_its_text(void)
{
	get(A, "k", INIT | EVENT | FOLLOW, 1);
	get(B, "k", INIT | EVENT | FOLLOW, 2);
	wait_on(C, "k", WAITFD, 0);
	wait_on(C, "k", BLOCK, 1);
	fail_it(A, s.ticket, ASYNCLAZY_FAIL_TRANSIENT, 0, "the disk is on fire");
	hear(A);
	hear(B);
	fetch(A, 1);
	fetch(A, 1);
	fetch(B, 2);
	look_at_fd(0, true);
	alz_wait_fd_close(&s.b->cache, &s.w[0]);
	finish(C, 1);
	get(A, "k", INIT | EVENT | FOLLOW, 1);
	publish_it(A, s.ticket, "put out", 7, 0);
	hear(A);
}

static void errors_are_kept_for_a_time(void)
{
	get(A, "soon", INIT, 0);
	get(B, "soon", EVENT, 1);
	fail_it(A, s.ticket, ASYNCLAZY_FAIL_NEGATIVE, 7 * SEC, "not now");
	hear(B);
	get(B, "soon", INIT, 0);
	get(A, "never", INIT, 0);
	fail_it(A, s.ticket, ASYNCLAZY_FAIL_PERMANENT, 0, "not ever");
	core_os.now += 8 * SEC;
	get(B, "never", INIT, 0);
	get(B, "soon", INIT, 0);
	publish_it(B, s.ticket, "now", 3, SEC);
	get(A, "soon", INIT, 0);
	core_os.now += 2 * SEC;
	get(A, "soon", INIT, 0);
	publish_it(A, s.ticket, "then", 4, 0);
}

static void tickets_are_handed_on(void)
{
	get(A, "k", INIT, 0);
	get(B, "k", INIT | EVENT, 1);
	get(C, "k", INIT | EVENT | FOLLOW, 2);
	get(B, "k", INIT | EVENT, 3);
	wait_on(C, "k", INIT | WAITFD, 0);
	abandon(A, s.ticket);
	hear(B);
	abandon(B, s.ticket);
	cancel(C, 2);
	cancel(B, 3);
	look_at_fd(0, false);
	alz_wait_fd_close(&s.b->cache, &s.w[0]);
	get(A, "k", INIT | EVENT | FOLLOW, 4);
	abandon(A, s.ticket);
	hear(A);
}

static void owners_die(void)
{
	get(A, "k", INIT, 0);
	get(A, "l", INIT | EVENT | FOLLOW, 1);
	get(B, "k", INIT | EVENT, 1);
	get(B, "k", EVENT, 2);
	wait_on(B, "l", WAITFD, 0);
	get(C, "k", INIT | EVENT, 1);
	alz_client_die(&s.b->client[A]);
	check_consistent(s.b);
	get(A, "k", INIT, 0);
	hear(B);
	look_at_fd(0, true);
	alz_wait_fd_close(&s.b->cache, &s.w[0]);
	get(B, "l", INIT, 0);
	alz_client_die(&s.b->client[B]);
	check_consistent(s.b);
	hear(C);
	publish_it(C, s.ticket, "by the last", 11, 0);
	get(C, "l", INIT | EVENT | FOLLOW, 1);
	alz_client_die(&s.b->client[C]);
	check_consistent(s.b);
}

static void keys_are_invalidated_in_the_making(void)
{
	u64 count;

	get(A, "k", INIT, 0);
	s.held[0] = s.ticket;
	get(B, "k", INIT | EVENT, 1);
	say("%u\n", invalidate(s.b, C, "k"));
	publish_it(A, s.held[0], "late", 4, 0);
	hear(B);
	publish_it(B, s.ticket, "new", 3, 0);
	say("%u\n", invalidate(s.b, C, "k"));
	get(A, "k", INIT | EVENT | FOLLOW, 1);
	get(A, "l", INIT, 0);
	set_it(B, "m", "set", 3);
	say("%d\n", alz_clear(&s.b->client[C], &count));
	say("%llu\n", (unsigned long long)count);
	check_consistent(s.b);
	hear(A);
	get(A, "m", INIT, 0);
	publish_it(A, s.ticket, "m", 1, 0);
}

static void values_are_set_over_flights(void)
{
	set_it(A, "k", "first", 5);
	get(B, "k", INIT, 0);
	set_it(A, "k", "second", 6);
	get(B, "l", INIT, 0);
	get(C, "l", INIT | EVENT, 1);
	wait_on(A, "l", BLOCK, 0);
	set_it(A, "l", "set", 3);
	publish_it(B, s.ticket, "late", 4, 0);
	hear(C);
	finish(A, 0);
	get(B, "l", INIT, 0);
}

static void segments_are_taken_until_the_arena_is_full(void)
{
	char key[8];
	int i;

	for (i = 0; i < 6; i++) {
		snprintf(key, sizeof(key), "p%d", i);
		get(A, key, INIT, 0);
		publish_it(A, s.ticket, big, 40000, 0);
		snprintf(key, sizeof(key), "s%d", i);
		set_it(B, key, big, 40000);
		snprintf(key, sizeof(key), "e%d", i);
		get(A, key, INIT, 0);
		publish_it(A, s.ticket, big, 60000, 0);
	}
	/* 16 segments: the last tickets are still held */
	get(B, "small", INIT, 0);
	publish_it(B, s.ticket, "fits", 4, 0);
	get(B, "big", INIT, 0);
	fail_it(B, s.ticket, ASYNCLAZY_FAIL_PERMANENT, 0, "a text that fits too");
	get(C, "big", INIT, 0);
}

static void many_wait_for_one(void)
{
	u64 i;

	get(A, "k", INIT, 0);
	s.held[0] = s.ticket;
	for (i = 0; i < 150; i++)
		get(B + i % 2, "k", i % 3 ? EVENT : INIT | EVENT, i);
	for (i = 0; i < 150; i += 5)
		cancel(B + i % 2, i);
	publish_it(A, s.held[0], "value", 5, 0);
	hear(B);
	hear(C);
}

static void quotas_and_a_full_table(void)
{
	char key[8];
	int i;

	s.b->client[B].max_waits = 2;
	s.b->client[B].max_tickets = 2;
	get(A, "k", INIT, 0);
	for (i = 0; i < 3; i++)
		get(B, "k", INIT | EVENT, i);
	for (i = 0; i < 3; i++) {
		snprintf(key, sizeof(key), "t%d", i);
		get(B, key, INIT, 0);
	}
	abandon(A, s.held[0]);
	for (i = 0; i < 20; i++) {
		snprintf(key, sizeof(key), "f%d", i);
		get(C, key, INIT | EVENT | FOLLOW, i);
	}
	set_it(A, "no room", "v", 1);
	hear(C);
}

static void caches_are_made(void)
{
	const struct alz_geometry g = { .max_keys = 100000, .arena_size = 1 << 20 };
	struct alz_cache *cache = calloc(2, sizeof(*cache));

	assert_non_null(cache);
	/* a cache that failed is not used again: it must be zeroed first */
	say("%d\n", STEP(CREATE, (memset(cache, 0, sizeof(*cache)),
				  alz_cache_init(cache, &g, NULL))));
	say("%d\n", STEP(CREATE, (memset(cache + 1, 0, sizeof(*cache)),
				  alz_cache_init(cache + 1, &g, NULL))));
	alz_cache_fini(cache);
	alz_cache_fini(cache + 1);
	free(cache);
}

/* ---- plays ------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*play)(void);
	u64 max_keys;
	bool keeps_errors;		/* or tells them only, if there is no memory */
} scenes[] = {
	{ "a value is made and got", a_value_is_made_and_got, 0, false },
	{ "waiters of all forms", waiters_of_all_forms, 0, false },
	{ "followers hear of an error and its text", followers_hear_of_an_error_and_its_text,
	  0, false },
	{ "errors are kept for a time", errors_are_kept_for_a_time, 0, true },
	{ "tickets are handed on", tickets_are_handed_on, 0, false },
	{ "owners die", owners_die, 0, false },
	{ "keys are invalidated in the making", keys_are_invalidated_in_the_making, 0, false },
	{ "values are set over flights", values_are_set_over_flights, 0, false },
	{ "segments are taken until the arena is full",
	  segments_are_taken_until_the_arena_is_full, 0, false },
	{ "many wait for one", many_wait_for_one, 0, false },
	{ "quotas and a full table", quotas_and_a_full_table, 4, false },
	{ "caches are made", caches_are_made, 0, false },
};

static void say_state(void)
{
	const struct alz_cache *cache = &s.b->cache;
	struct asynclazy_stats t;
	const u64 *n = &t.out_hits;
	u64 slots = (cache->bucket_mask + 1) * ASYNCLAZY_BUCKET_SLOTS, i;

	snapshot(&t);
	say("stats");
	for (; n <= &t.out_waits_now; n++)
		say(" %llu", (unsigned long long)*n);
	say("\nslots");
	for (i = 0; i < slots; i++)
		if (cache->slots[i])
			say(" %llu:%llx", (unsigned long long)i,
			    (unsigned long long)cache->slots[i]);
	say("\ngeneration %llu\n", (unsigned long long)cache->generation);
}

/* Returns whether an allocation failed. */
static bool play(unsigned int i, long nth)
{
	bool failed;

	core_os_reset();
	s.size = 0;
	s.ticket = 0;
	s.told_only = false;
	memset(s.held, 0, sizeof(s.held));
	s.b = bench_new(scenes[i].max_keys, 0);
	core_os.fail_nth = nth;
	scenes[i].play();
	failed = core_os.failed;
	check(core_os.failed <= 1);
	say_state();
	bench_free(s.b);
	return failed;
}

static void show_difference(const char *want, const char *have)
{
	size_t at = 0;

	while (want[at] && want[at] == have[at])
		at++;
	while (at && want[at - 1] != '\n')
		at--;
	fprintf(stderr, "# was: %.*s\n# is:  %.*s\n", (int)strcspn(want + at, "\n"), want + at,
		(int)strcspn(have + at, "\n"), have + at);
}

static unsigned long every_allocation(unsigned int i)
{
	unsigned long told_only = 0;
	char *want;
	long n;

	check(!play(i, 0));
	want = strdup(s.record);
	assert_non_null(want);
	for (n = 1; play(i, n); n++) {
		/* documented: an error that finds no room is told and not kept */
		if (s.told_only) {
			check(scenes[i].keeps_errors);
			told_only++;
			continue;
		}
		if (!check(!strcmp(want, s.record))) {
			fprintf(stderr, "# %s, allocation %ld:\n", scenes[i].name, n);
			show_difference(want, s.record);
		}
	}
	check(!strcmp(want, s.record));
	check(!scenes[i].keeps_errors || told_only);
	free(want);
	return n - 1;
}

TEST(every_allocation_fails_once_and_nothing_is_changed_by_it)
{
	static const char *const ops[] = {
		"create", "claim", "claim with event", "claim with follow", "publish", "set",
		"fail",
	};
	unsigned long faults = 0, n;
	unsigned int i;

	memset(big, 'v', sizeof(big));
	memset(s.hit, 0, sizeof(s.hit));
	for (i = 0; i < ARRAY_SIZE(scenes); i++) {
		n = every_allocation(i);
		printf("# %s: %lu faults\n", scenes[i].name, n);
		check(n > 0);
		faults += n;
	}
	for (i = 0; i < OPS; i++) {
		if (!check(s.hit[i] > 0))
			fprintf(stderr, "# no fault in %s\n", ops[i]);
		printf("# %s: %lu faults\n", ops[i], s.hit[i]);
	}
	printf("# figure: faults injected %lu\n", faults);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_allocation_fails_once_and_nothing_is_changed_by_it),
	};

	return RUN_TESTS(tests);
}
