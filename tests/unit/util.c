// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* What the library's tests share; see util.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "util.h"

#define POLL_MS		60000	/* a callback that is this late is lost */

bool check_detail_at(const char *words, const char *file, int line)
{
	const char *detail = alazy_strerror_detail();
	char list[256], text[512];
	char *word, *save;

	snprintf(list, sizeof(list), "%s", words);
	for (word = strtok_r(list, "|", &save); word && strchr(detail, ' ');
	     word = strtok_r(NULL, "|", &save))
		if (strcasestr(detail, word))
			return true;
	snprintf(text, sizeof(text), "detail \"%.250s\" is a sentence with %.100s",
		 detail, words);
	return check_at(false, file, line, text);
}

bool on_kernel(void)
{
	const char *s = getenv("ALAZY_BACKEND");

	return s && !strcmp(s, "kernel");
}

const char *unique_name(const char *stem)
{
	static _Thread_local char name[128];
	static atomic_uint serial;

	snprintf(name, sizeof(name), "test-%s-%d-%u", stem, (int)getpid(),
		 atomic_fetch_add(&serial, 1));
	return name;
}

bool on_stable(void)
{
	const char *s = getenv("ALZ_TEST_KIND");

	return s && !strcmp(s, "stable");
}

void skip_because(const char *why)
{
	print_message("# %s\n", why);
	skip();
}

static struct alazy_cache *open_or_fail(const char *name,
					const struct alazy_cache_opts *opts)
{
	struct alazy_cache *cache = alazy_cache_open(name, opts);

	if (!cache) {
		fprintf(stderr, "# open: %s: %s (%s)\n", strerror(errno),
			alazy_strerror_detail(), test_name());
		check(!"a cache opens");
		fail();
		abort();	/* in a child or thread, where fail() returns */
	}
	return cache;
}

struct alazy_cache *open_with(const char *name, struct alazy_cache_opts opts)
{
	opts.size = sizeof(opts);
	if (on_stable())
		opts.flags |= ALAZY_CACHE_STABLE;
	return open_or_fail(name, &opts);
}

struct alazy_cache *open_cache(uint64_t max_keys, uint64_t arena_size)
{
	return open_with(NULL, (struct alazy_cache_opts){
		.max_keys = max_keys,
		.arena_size = arena_size,
	});
}

struct alazy_cache *open_named(const char *name, uint32_t flags)
{
	return open_with(name, (struct alazy_cache_opts){ .flags = flags });
}

struct alazy_cache *open_stable(uint64_t max_keys, uint64_t arena_size)
{
	return open_with(NULL, (struct alazy_cache_opts){
		.flags = ALAZY_CACHE_STABLE,
		.max_keys = max_keys,
		.arena_size = arena_size,
	});
}

struct alazy_cache *open_small(const char *name, unsigned int segments)
{
	struct alazy_cache_opts opts = {
		.size = sizeof(opts),
		.arena_size = segments * SMALL_SEGMENT,
		.segment_size = SMALL_SEGMENT,
	};

	return open_or_fail(name, &opts);
}

struct alazy_stats stats_of(struct alazy_cache *cache)
{
	struct alazy_stats stats = { .size = sizeof(stats) };

	check_eq(alazy_cache_stats(cache, &stats), 0);
	return stats;
}

void await_waits(struct alazy_cache *cache, uint64_t n)
{
	while (stats_of(cache).waits_now < n)
		sched_yield();
}

/* ---- words ------------------------------------------------------------- */

int pong_side(struct pong *p, uint32_t mine)
{
	unsigned long i;

	for (i = 0; i < p->rounds; i++) {
		uint32_t value;

		while ((value = word_load(p->word)) % 2 != mine) {
			int err = alazy_futex_wait(p->cache, p->word, value, now_ns() + 60 * SEC);

			if (!check(!err || err == -EAGAIN))
				return 1;
		}
		word_store(p->word, value + 1);
		if (!check(alazy_futex_wake(p->cache, p->word, 1) >= 0))
			return 1;
	}
	return 0;
}

/* ---- gets -------------------------------------------------------------- */

static void note_init(struct get *get, const struct alazy_ticket *ticket)
{
	get->attempt = ticket->attempt;
	atomic_fetch_add(&get->inits, 1);
}

static int publish_value(struct get *get, const struct alazy_ticket *ticket)
{
	return alazy_publish(ticket, &get->value, sizeof(get->value), get->ttl);
}

int make_int(const struct alazy_ticket *ticket, const void *key, size_t key_size,
	     void *ctx)
{
	(void)key;
	(void)key_size;
	note_init(ctx, ticket);
	return publish_value(ctx, ticket);
}

int make_slow(const struct alazy_ticket *ticket, const void *key,
	      size_t key_size, void *ctx)
{
	const struct timespec ten_ms = { .tv_nsec = 10 * MSEC };

	(void)key;
	(void)key_size;
	note_init(ctx, ticket);
	nanosleep(&ten_ms, NULL);
	return publish_value(ctx, ticket);
}

int make_gated(const struct alazy_ticket *ticket, const void *key,
	       size_t key_size, void *ctx)
{
	struct get *get = ctx;

	(void)key;
	(void)key_size;
	note_init(get, ticket);
	get->ticket = *ticket;
	latch_add(get->started);
	latch_wait(get->go, 1);
	return publish_value(get, ticket);
}

int make_later(const struct alazy_ticket *ticket, const void *key,
	       size_t key_size, void *ctx)
{
	struct get *get = ctx;

	(void)key;
	(void)key_size;
	note_init(get, ticket);
	get->ticket = *ticket;
	return 0;
}

int make_error(const struct alazy_ticket *ticket, const void *key,
	       size_t key_size, void *ctx)
{
	struct get *get = ctx;

	(void)key;
	(void)key_size;
	note_init(get, ticket);
	return alazy_fail(ticket, get->fail, get->fail_class, get->ttl,
			  get->detail);
}

int make_nothing(const struct alazy_ticket *ticket, const void *key,
		 size_t key_size, void *ctx)
{
	(void)key;
	(void)key_size;
	note_init(ctx, ticket);
	return 0;
}

int make_never(const struct alazy_ticket *ticket, const void *key,
	       size_t key_size, void *ctx)
{
	(void)key;
	(void)key_size;
	note_init(ctx, ticket);
	check(!"this initialiser runs");
	return -EPROTO;
}

static void note_done(struct get *get, int err, const struct alazy_ref *ref)
{
	get->err = err;
	get->got = err ? 0 : ref_int(ref);
}

int get_int_until(struct alazy_cache *cache, const char *key, alazy_init_fn init,
		  struct get *get, uint64_t deadline)
{
	struct alazy_ref ref;
	int err;

	memset(&ref, 0xa5, sizeof(ref));
	err = alazy_cache_get_until(cache, key, strlen(key), init, get, deadline,
				    &ref);
	note_done(get, err, &ref);
	if (!err)
		alazy_ref_put(&ref);
	return err;
}

int get_int(struct alazy_cache *cache, const char *key, alazy_init_fn init,
	    struct get *get)
{
	struct alazy_ref ref;
	int err;

	memset(&ref, 0xa5, sizeof(ref));
	err = alazy_cache_get(cache, key, strlen(key), init, get, &ref);
	note_done(get, err, &ref);
	if (!err)
		alazy_ref_put(&ref);
	return err;
}

void on_done(int err, struct alazy_ref *ref, void *ctx)
{
	struct get *get = ctx;

	check(err <= 0);
	check(err ? !ref : !!ref);
	note_done(get, err, ref);
	atomic_fetch_add(&get->dones, 1);
}

int get_int_async(struct alazy_cache *cache, const char *key, alazy_init_fn init,
		  struct get *get, struct alazy_wait **wait)
{
	unsigned int before = atomic_load(&get->dones);
	int ret = alazy_cache_get_async(cache, key, strlen(key), init, on_done,
					get, wait);

	check(ret <= 1);
	check_eq(atomic_load(&get->dones), before + (ret == 1));
	return ret;
}

void *get_thread(void *arg)
{
	struct get *get = arg;

	get_int(get->cache, get->key, make_int, get);
	return NULL;
}

void *get_gated_thread(void *arg)
{
	struct get *get = arg;

	get_int(get->cache, get->key, make_gated, get);
	return NULL;
}

/* ---- claims ------------------------------------------------------------ */

static void note_answer(struct answered *a, struct alazy_answer *answer)
{
	a->kind = answer->kind;
	a->err = answer->err;
	a->value = answer->kind == ALAZY_ANSWER_HIT ? ref_int(&answer->ref) : 0;
	a->ticket = answer->ticket;
	if (answer->kind == ALAZY_ANSWER_FAILED)
		snprintf(a->detail, sizeof(a->detail), "%s",
			 alazy_strerror_detail());
}

void on_answer(struct alazy_answer *answer, void *ctx)
{
	struct answered *a = ctx;

	note_answer(a, answer);
	atomic_fetch_add(&a->calls, 1);
}

int claim(struct alazy_cache *cache, const char *key, uint32_t flags,
	  struct answered *ctx, struct alazy_answer *answer)
{
	memset(answer, 0xa5, sizeof(*answer));
	check_eq(alazy_claim(cache, key, strlen(key), flags, 0,
			     flags & ALAZY_CLAIM_EVENT ? on_answer : NULL, ctx,
			     answer), 0);
	return answer->kind;
}

struct alazy_ticket take(struct alazy_cache *cache, const char *key)
{
	struct alazy_answer a;

	check_eq(claim(cache, key, ALAZY_CLAIM_INIT, NULL, &a),
		 ALAZY_ANSWER_TICKET);
	check(a.ticket.cache == cache);
	return a.ticket;
}

void publish_int(const struct alazy_ticket *ticket, int value)
{
	check_eq(alazy_publish(ticket, &value, sizeof(value), 0), 0);
}

/* ---- refs, descriptors ------------------------------------------------- */

bool ref_is(const struct alazy_ref *ref, const void *data, size_t size)
{
	return ref->size == size &&
	       (!size || (ref->data && !memcmp(ref->data, data, size)));
}

int ref_int(const struct alazy_ref *ref)
{
	int v = INT32_MIN;

	if (check_eq(ref->size, sizeof(v)))
		memcpy(&v, ref->data, sizeof(v));
	return v;
}

int readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (!check(poll(&p, 1, 0) >= 0))
		return -1;
	return p.revents & POLLIN ? 1 : 0;
}

void drive(struct alazy_cache *cache, const atomic_uint *count,
	   unsigned int target)
{
	struct pollfd p = { .fd = alazy_fd(cache), .events = POLLIN };
	int n;

	if (!check(p.fd >= 0))
		return;
	while (atomic_load(count) < target) {
		n = poll(&p, 1, POLL_MS);
		if (n < 0 && errno == EINTR)
			continue;
		if (!check_eq(n, 1))
			return;
		if (!check(alazy_dispatch(cache) >= 0))
			return;
	}
}
