// SPDX-License-Identifier: GPL-2.0-only
/* Producer and consumer: a ring, and two counters that say how much is in it. */
#include "pattern.h"

#define ROOM	16
#define ITEMS	20000ULL

struct ring {
	struct alazy_cache *cache;
	uint64_t *put, *taken;
	unsigned int items[ROOM];
};

static void *producer(void *arg)
{
	struct ring *r = arg;
	uint64_t i, taken = 0;

	for (i = 0; i < ITEMS; i++) {
		/* full: until one more has been taken than is known of */
		while (i - taken == ROOM)
			must(!alazy_counter_wait(r->cache, r->taken, taken, after_ms(20000),
						 &taken));
		r->items[i % ROOM] = i * 3;
		must(!alazy_counter_add(r->cache, r->put, 1, NULL));
	}
	return NULL;
}

int main(void)
{
	struct ring r = { .cache = open_cache() };
	uint64_t i, put = 0;
	pthread_t t;

	r.put = (uint64_t *)alazy_word(r.cache, 0);
	r.taken = (uint64_t *)alazy_word(r.cache, 2);
	t = thread(producer, &r);
	for (i = 0; i < ITEMS; i++) {
		while (put == i)
			must(!alazy_counter_wait(r.cache, r.put, put, after_ms(20000), &put));
		must(put - i <= ROOM);
		must(r.items[i % ROOM] == i * 3);
		must(!alazy_counter_add(r.cache, r.taken, 1, NULL));
	}
	pthread_join(t, NULL);
	alazy_cache_close(r.cache);
	return 0;
}
