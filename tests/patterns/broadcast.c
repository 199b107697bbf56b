// SPDX-License-Identifier: GPL-2.0-only
/*
 * Event broadcast: each of M that listen sees each event of each of N that tell, in
 * order, at its own pace; the counters go past what a word holds meanwhile.
 */
#include "pattern.h"

#define MOST	4
#define EVENTS	2000ULL
#define START	(UINT32_MAX - EVENTS / 2)

struct group {
	struct alazy_cache *cache;
	unsigned int tellers, listeners;
};

struct member {
	struct group *group;
	unsigned int number;
};

static uint64_t *counter(const struct group *g, unsigned int teller)
{
	return (uint64_t *)alazy_word(g->cache, 2 * teller);
}

static void *tell(void *arg)
{
	struct member *m = arg;
	uint64_t i, now;

	for (i = 1; i <= EVENTS; i++) {
		must(!alazy_counter_add(m->group->cache, counter(m->group, m->number), 1, &now));
		must(now == START + i);
	}
	return NULL;
}

/* One after the other, all events of all tellers. */
static void *listen_to_all(void *arg)
{
	struct group *g = ((struct member *)arg)->group;
	uint64_t seen[MOST], next;
	unsigned int i, left = g->tellers;

	for (i = 0; i < g->tellers; i++)
		seen[i] = START;
	while (left) {
		for (i = 0; i < g->tellers; i++) {
			if (seen[i] == START + EVENTS)
				continue;
			must(!alazy_counter_wait(g->cache, counter(g, i), seen[i],
						 after_ms(20000), &next));
			must(next > seen[i] && next <= START + EVENTS);
			seen[i] = next;
			left -= next == START + EVENTS;
		}
	}
	return NULL;
}

static void run(struct group *g)
{
	struct member m[2 * MOST];
	pthread_t t[2 * MOST];
	unsigned int i, n = g->tellers + g->listeners;

	for (i = 0; i < g->tellers; i++)
		must(!alazy_counter_add(g->cache, counter(g, i),
					START - alazy_counter_read(counter(g, i)), NULL));
	for (i = 0; i < n; i++) {
		m[i] = (struct member){ g, i };
		t[i] = thread(i < g->tellers ? tell : listen_to_all, &m[i]);
	}
	for (i = 0; i < n; i++)
		pthread_join(t[i], NULL);
}

int main(void)
{
	struct group one = { .tellers = 1, .listeners = 1 };
	struct group many = { .tellers = 1, .listeners = MOST };
	struct group all = { .tellers = MOST, .listeners = MOST };

	one.cache = many.cache = all.cache = open_cache();
	run(&one);	/* 1:1 */
	run(&many);	/* 1:N */
	run(&all);	/* N:M */
	alazy_cache_close(one.cache);
	return 0;
}
