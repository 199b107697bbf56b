// SPDX-License-Identifier: GPL-2.0-only
/* Lock: threads and callbacks take turns, none of them loses an increment. */
#include "pattern.h"

#define THREADS	3
#define ROUNDS	2000

static struct alazy_cache *cache;
static uint32_t *lock;
static unsigned long total, callbacks;

static void *blocking(void *arg)
{
	unsigned int i;

	(void)arg;
	for (i = 0; i < ROUNDS; i++) {
		must(!alazy_lock(cache, lock, after_ms(20000)));
		total++;
		must(!alazy_unlock(cache, lock));
	}
	return NULL;
}

static void on_lock(int err, size_t index, void *ctx)
{
	(void)index;
	(void)ctx;
	must(!err);
	total++;
	must(!alazy_unlock(cache, lock));
	callbacks++;
}

int main(void)
{
	pthread_t t[THREADS];
	unsigned int i;
	int got;

	cache = open_cache();
	lock = alazy_word(cache, 0);
	for (i = 0; i < THREADS; i++)
		t[i] = thread(blocking, NULL);
	for (i = 0; i < ROUNDS; i++) {
		got = alazy_lock_async(cache, lock, on_lock, NULL, NULL);
		must(got >= 0);
		while (callbacks <= i)
			turn(cache);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	must(total == (THREADS + 1) * ROUNDS);
	alazy_cache_close(cache);
	return 0;
}
