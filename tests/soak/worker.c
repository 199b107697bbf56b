// SPDX-License-Identifier: GPL-2.0-only
/* One process: gets, mostly; sets and invalidates now and then; holds some refs. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "soak.h"

#define HELD	6	/* refs that are kept for a while */
#define BATCH	64

struct held {
	struct alazy_ref ref;
	uint64_t key;
};

static unsigned int place;
static uint64_t rng;
static struct held held[HELD];
static char *buffer;

static uint64_t rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

/* Some keys far more often than others: the density falls as 1 / key ^ (7/8). */
static uint64_t pick_key(void)
{
	double u = (double)(rnd() >> 11) / (1ULL << 53);

	u *= u;
	u *= u;
	u *= u;
	return (uint64_t)(u * (double)soak->keys);
}

void wrong(unsigned int who, const char *format, ...)
{
	bool first = false;
	va_list args;

	soak->worker[who].errors++;
	if (!atomic_compare_exchange_strong(&soak->wrong_set, &first, true))
		return;
	va_start(args, format);
	vsnprintf(soak->wrong, sizeof(soak->wrong), format, args);
	va_end(args);
}

static int init(const struct alazy_ticket *ticket, const void *key_bytes, size_t key_size,
		void *ctx)
{
	uint64_t key;
	size_t size;

	(void)ctx;
	memcpy(&key, key_bytes, key_size);
	size = value_size(key);
	value_make(buffer, size, key, rnd());
	soak->worker[place].inits++;
	/* now and then another has to take over */
	if (!(rnd() % 4096))
		return alazy_abandon(ticket);
	return alazy_publish(ticket, buffer, size, rnd() % 64 ? 0 : 50000000);
}

static void look(const struct alazy_ref *ref, uint64_t key, bool whole, const char *how)
{
	const char *why = value_wrong(ref->data, ref->size, key, whole);

	if (why)
		wrong(place, "%s: the value of key %llu, generation %llu, is %s", how,
		      (unsigned long long)key, (unsigned long long)ref->generation, why);
	if (ref->size > VALUE_INLINE)
		soak->worker[place].memfds++;
}

static void let_go(struct held *h, const char *how)
{
	if (!h->ref.data)
		return;
	look(&h->ref, h->key, true, how);
	alazy_ref_put(&h->ref);
}

static void get(struct alazy_cache *cache, uint64_t key)
{
	struct held *h = &held[rnd() % HELD];
	struct alazy_ref ref;
	int err;

	err = alazy_cache_get(cache, &key, sizeof(key), init, NULL, &ref);
	if (err == -ECANCELED)
		return;		/* this one or another gave up, see init() */
	if (err) {
		wrong(place, "get: %s: %s", strerror(-err), alazy_strerror_detail());
		return;
	}
	look(&ref, key, !(rnd() % 16), "get");
	if (rnd() % 128) {
		alazy_ref_put(&ref);
		return;
	}
	let_go(h, "held");
	h->ref = ref;
	h->key = key;
}

static void set(struct alazy_cache *cache)
{
	uint64_t key = pick_key();
	size_t size = value_size(key);
	int err;

	value_make(buffer, size, key, rnd());
	err = alazy_cache_set(cache, &key, sizeof(key), buffer, size, 0);
	if (err)
		wrong(place, "set: %s: %s", strerror(-err), alazy_strerror_detail());
}

static void invalidate(struct alazy_cache *cache)
{
	uint64_t key = pick_key();
	int err = alazy_cache_invalidate(cache, &key, sizeof(key));

	if (err < 0)
		wrong(place, "invalidate: %s: %s", strerror(-err), alazy_strerror_detail());
}

/* A get of many at once, by the descriptor. */
struct ask {
	uint64_t key;
	bool done;
};

static void done(int err, struct alazy_ref *ref, void *ctx)
{
	struct ask *ask = ctx;

	ask->done = true;
	if (!err) {
		look(ref, ask->key, true, "event");
		soak->worker[place].events++;
	} else if (err != -ECANCELED) {
		wrong(place, "get_async: %s: %s", strerror(-err), alazy_strerror_detail());
	}
}

static void get_many(struct alazy_cache *cache)
{
	struct pollfd p = { .fd = alazy_fd(cache), .events = POLLIN };
	struct ask asks[16];
	unsigned int i, left = 0;

	for (i = 0; i < 16; i++) {
		asks[i] = (struct ask){ .key = pick_key() };
		if (alazy_cache_get_async(cache, &asks[i].key, sizeof(asks[i].key), init, done,
					  &asks[i], NULL) < 0) {
			wrong(place, "get_async: %s", alazy_strerror_detail());
			asks[i].done = true;
		}
	}
	do {
		for (left = 0, i = 0; i < 16; i++)
			left += !asks[i].done;
		if (left && poll(&p, 1, -1) == 1 && alazy_dispatch(cache) < 0)
			wrong(place, "dispatch: %s", alazy_strerror_detail());
	} while (left);
}

_Noreturn void worker_run(unsigned int me)
{
	struct alazy_cache_opts opts = {
		.size = sizeof(opts),
		.flags = ALAZY_CACHE_EXISTING,
		.backend = ALAZY_BACKEND_KERNEL,
	};
	struct alazy_cache *cache;
	unsigned int i, batch;

	place = me;
	rng = atomic_fetch_add(&soak->seed, 1) * 0x9e3779b97f4a7c15ULL | 1;
	buffer = malloc(VALUE_MAX);
	cache = alazy_cache_open("soak", &opts);
	if (!cache || !buffer) {
		wrong(place, "open: %s", alazy_strerror_detail());
		_exit(1);
	}
	while (!atomic_load_explicit(&soak->stop, memory_order_relaxed)) {
		for (batch = 0; batch < BATCH; batch++) {
			uint64_t what = rnd() % 1024;

			/* by chance alone one would hardly come */
			if (soak->nr_large && !(rnd() % 4096))
				get(cache, soak->large[rnd() % soak->nr_large]);
			else if (what < 20)
				set(cache);
			else if (what < 24)
				invalidate(cache);
			else if (what < 25)
				get_many(cache);
			else
				get(cache, pick_key());
		}
		soak->worker[place].ops += BATCH;
	}
	for (i = 0; i < HELD; i++)
		let_go(&held[i], "held to the end");
	alazy_cache_close(cache);
	_exit(0);
}
