// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The core: initialisations that need one another. Row L5. */
#include <stdio.h>

#include "core_util.h"

#define EVENT	ASYNCLAZY_CLAIM_EVENT
#define INIT	ASYNCLAZY_CLAIM_INIT

static struct bench *begin(void)
{
	core_os_reset();
	return bench_new(20000, 0);
}

/* A claim of an event for the sake of @parent. Return: the result. */
static u32 need(struct bench *b, int who, u64 parent, const char *key, u32 flags, u64 cookie,
		struct alz_answer *a)
{
	const struct alz_claim c = {
		.key = key,
		.key_size = strlen(key),
		.flags = flags,
		.hash = hash_of(key, strlen(key)),
		.cookie = cookie,
		.parent = parent,
	};

	check_eq(alz_claim(&b->client[who], &c, a), 0);
	check_consistent(b);
	return a->result;
}

static void check_cycle(const struct alz_answer *a, const char *text)
{
	check_eq(a->result, ASYNCLAZY_RESULT_FAILED);
	check_eq(a->error, EDEADLK);
	check_eq(a->offset, ASYNCLAZY_NO_RECORD);
	check_eq(a->detail_size, strlen(text));
	if (a->detail_size != strlen(text) || memcmp(a->detail, text, a->detail_size)) {
		check(!"the text is as expected");
		fprintf(stderr, "# is \"%.*s\"\n", (int)a->detail_size, a->detail);
	}
}

TEST(l5_key_that_needs_itself)
{
	struct alz_answer a;
	struct bench *b;
	u64 t;

	b = begin();
	t = take(b, 0, "a");
	need(b, 0, t, "a", INIT | EVENT, 1, &a);
	check_cycle(&a, "a -> a: pid 1");
	check_eq(b->cache.count.waits, 0);
	/* nothing has changed: it can be made */
	check_eq(publish(b, 0, t, "v", 1, 0), 0);
	bench_free(b);
}

TEST(l5_long_key_is_cut_in_the_text)
{
	char key[60], text[200];
	struct alz_answer a;
	struct bench *b;
	u64 t;

	memset(key, 'k', sizeof(key) - 1);
	key[3] = '\n';
	key[sizeof(key) - 1] = 0;
	b = begin();
	t = take(b, 0, key);
	need(b, 0, t, key, INIT | EVENT, 1, &a);
	snprintf(text, sizeof(text), "kkk?%.44s... -> kkk?%.44s...: pid 1", key + 4, key + 4);
	check_cycle(&a, text);
	bench_free(b);
}

TEST(l5_cycle_of_two_processes_is_found_by_who_would_close_it)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	struct bench *b;
	u64 ta, tb;

	b = begin();
	ta = take(b, 0, "a");
	tb = take(b, 1, "b");
	check_eq(need(b, 0, ta, "b", INIT | EVENT, 1, &a), ASYNCLAZY_RESULT_PENDING);
	need(b, 1, tb, "a", INIT | EVENT, 1, &a);
	check_cycle(&a, "b -> a -> b: pid 2, pid 1");
	/* the other one's wait is as it was */
	check_eq(publish(b, 1, tb, "v", 1, 0), 0);
	check_eq(events(b, 0, &ev, 1), 1);
	check_eq(ev.result, ASYNCLAZY_RESULT_HIT);
	check_eq(publish(b, 0, ta, "v", 1, 0), 0);
	bench_free(b);
}

TEST(l5_cycle_of_three)
{
	struct alz_answer a;
	struct bench *b;
	u64 ta, tb, tc;

	b = begin();
	ta = take(b, 0, "a");
	tb = take(b, 1, "b");
	tc = take(b, 2, "c\x01" "d");
	check_eq(need(b, 0, ta, "b", EVENT, 1, &a), ASYNCLAZY_RESULT_PENDING);
	check_eq(need(b, 1, tb, "c\x01" "d", EVENT, 1, &a), ASYNCLAZY_RESULT_PENDING);
	need(b, 2, tc, "a", INIT | EVENT, 1, &a);
	check_cycle(&a, "c?d -> a -> b -> c?d: pid 3, pid 1, pid 2");
	bench_free(b);
}

/* The owner of a makes b itself, for it, and b needs a. */
TEST(l5_cycle_over_what_an_owner_makes_itself)
{
	struct alz_answer a;
	struct bench *b;
	u64 ta, tb;

	b = begin();
	ta = take(b, 0, "a");
	check_eq(need(b, 0, ta, "b", INIT, 0, &a), ASYNCLAZY_RESULT_TICKET);
	tb = a.ticket;
	need(b, 0, tb, "a", INIT | EVENT, 1, &a);
	check_cycle(&a, "b -> a -> b: pid 1, pid 1");
	/* also for another process that b would need */
	check_eq(alz_abandon(&b->client[0], tb), 0);
	tb = take(b, 1, "b");
	check_eq(need(b, 1, tb, "a", INIT | EVENT, 1, &a), ASYNCLAZY_RESULT_PENDING);
	need(b, 0, ta, "b", INIT | EVENT, 1, &a);
	check_cycle(&a, "a -> b -> a: pid 1, pid 2");
	bench_free(b);
}

TEST(l5_diamond_is_no_cycle)
{
	struct alz_answer a;
	struct bench *b;
	u64 ta, tb, tc, td;

	b = begin();
	ta = take(b, 0, "a");
	tb = take(b, 1, "b");
	tc = take(b, 2, "c");
	check_eq(need(b, 0, ta, "b", EVENT, 1, &a), ASYNCLAZY_RESULT_PENDING);
	check_eq(need(b, 0, ta, "c", EVENT, 2, &a), ASYNCLAZY_RESULT_PENDING);
	check_eq(need(b, 1, tb, "d", INIT, 0, &a), ASYNCLAZY_RESULT_TICKET);
	td = a.ticket;
	check_eq(need(b, 2, tc, "d", EVENT, 1, &a), ASYNCLAZY_RESULT_PENDING);
	check_eq(publish(b, 1, td, "v", 1, 0), 0);
	check_eq(publish(b, 1, tb, "v", 1, 0), 0);
	check_eq(publish(b, 2, tc, "v", 1, 0), 0);
	check_eq(publish(b, 0, ta, "v", 1, 0), 0);
	bench_free(b);
}

TEST(l5_what_is_over_is_no_longer_needed)
{
	struct asynclazy_event ev;
	struct alz_answer a;
	struct bench *b;
	u64 ta, tb;

	b = begin();
	ta = take(b, 0, "a");
	tb = take(b, 1, "b");
	/* taken back */
	check_eq(need(b, 0, ta, "b", EVENT, 1, &a), ASYNCLAZY_RESULT_PENDING);
	check_eq(alz_cancel(&b->client[0], 1), 0);
	check_eq(need(b, 1, tb, "a", EVENT, 1, &a), ASYNCLAZY_RESULT_PENDING);
	/* its initialisation is over, though the wait goes on */
	check_eq(publish(b, 1, tb, "v", 1, 0), 0);
	tb = 0;
	check_eq(invalidate(b, 1, "b"), 1);
	tb = take(b, 1, "b");
	check_eq(need(b, 0, ta, "b", EVENT, 2, &a), ASYNCLAZY_RESULT_PENDING);
	/* it came to an end, and nobody has read of it yet */
	check_eq(publish(b, 1, tb, "v", 1, 0), 0);
	check_eq(invalidate(b, 1, "b"), 1);
	tb = take(b, 1, "b");
	check_eq(need(b, 1, tb, "a", EVENT, 3, &a), ASYNCLAZY_RESULT_PENDING);
	check_eq(events(b, 0, &ev, 1), 1);
	/* its owner is dead: the next one begins anew */
	alz_client_die(&b->client[1]);
	tb = take(b, 2, "b");
	check_eq(need(b, 0, ta, "b", EVENT, 4, &a), ASYNCLAZY_RESULT_PENDING);
	check_eq(publish(b, 2, tb, "v", 1, 0), 0);
	bench_free(b);
}

TEST(l5_wait_that_was_offered_the_ticket_is_still_needed)
{
	struct alz_answer a;
	struct bench *b;
	u64 ta, tb;

	b = begin();
	ta = take(b, 0, "a");
	tb = take(b, 1, "b");
	check_eq(need(b, 0, ta, "b", INIT | EVENT, 1, &a), ASYNCLAZY_RESULT_PENDING);
	check_eq(alz_abandon(&b->client[1], tb), 0);
	tb = b->cache.generation;	/* the last that was drawn */
	need(b, 0, tb, "a", EVENT, 2, &a);
	check_cycle(&a, "b -> a -> b: pid 1, pid 1");
	bench_free(b);
}

TEST(l5_parent_is_a_ticket_of_the_caller)
{
	struct alz_claim c = { .key = "k", .key_size = 1, .flags = INIT };
	struct alz_answer a;
	struct bench *b;
	u64 t;

	b = begin();
	t = take(b, 0, "a");
	c.hash = hash_of("k", 1);
	c.parent = t;
	check_eq(alz_claim(&b->client[1], &c, &a), -ESTALE);
	c.parent = 12345;
	check_eq(alz_claim(&b->client[0], &c, &a), -ENOENT);
	check_eq(b->cache.header->initializing, 1);
	check_eq(publish(b, 0, t, "v", 1, 0), 0);
	c.parent = t;
	check_eq(alz_claim(&b->client[0], &c, &a), -ESTALE);
	bench_free(b);
}

/* key0 needs key1 needs ... */
static u64 chain(struct bench *b, int n)
{
	u64 ticket = take(b, 0, "key0"), first = ticket;
	struct alz_answer a;
	char name[32];
	int i;

	for (i = 1; i < n; i++) {
		sprintf(name, "key%d", i);
		check_eq(need(b, i % CLIENTS, 0, name, INIT, 0, &a), ASYNCLAZY_RESULT_TICKET);
		check_eq(need(b, (i - 1) % CLIENTS, ticket, name, EVENT, i, &a),
			 ASYNCLAZY_RESULT_PENDING);
		ticket = b->cache.generation;
	}
	(void)first;
	return ticket;
}

TEST(l5_search_is_bounded)
{
	struct alz_answer a;
	struct bench *b;
	u64 last, t;
	char name[32];
	int i;

	b = begin();
	last = chain(b, 60);
	need(b, 59 % CLIENTS, last, "key0", EVENT, 1000, &a);
	check_eq(a.error, EDEADLK);
	check_eq(a.detail_size, ASYNCLAZY_DETAIL_MAX);
	check(!memcmp(a.detail, "key59 -> key0 -> key1 -> ", 25));
	bench_free(b);
	/* too long a way */
	b = begin();
	last = chain(b, 200);
	check_eq(need(b, 199 % CLIENTS, last, "key0", EVENT, 1000, &a),
		 ASYNCLAZY_RESULT_PENDING);
	bench_free(b);
	/* one that needs very many others */
	b = begin();
	t = take(b, 0, "wide");
	for (i = 0; i < 5000; i++) {
		sprintf(name, "w%d", i);
		check_eq(alz_claim(&b->client[0], &(struct alz_claim){
			.key = name, .key_size = strlen(name), .flags = INIT, .parent = t,
			.hash = hash_of(name, strlen(name)) }, &a), 0);
	}
	last = take(b, 1, "last");
	check_eq(need(b, 1, last, "wide", EVENT, 1, &a), ASYNCLAZY_RESULT_PENDING);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(l5_key_that_needs_itself),
		cmocka_unit_test(l5_long_key_is_cut_in_the_text),
		cmocka_unit_test(l5_cycle_of_two_processes_is_found_by_who_would_close_it),
		cmocka_unit_test(l5_cycle_of_three),
		cmocka_unit_test(l5_cycle_over_what_an_owner_makes_itself),
		cmocka_unit_test(l5_diamond_is_no_cycle),
		cmocka_unit_test(l5_what_is_over_is_no_longer_needed),
		cmocka_unit_test(l5_wait_that_was_offered_the_ticket_is_still_needed),
		cmocka_unit_test(l5_parent_is_a_ticket_of_the_caller),
		cmocka_unit_test(l5_search_is_bounded),
	};

	return RUN_TESTS(tests);
}
