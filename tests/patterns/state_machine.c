// SPDX-License-Identifier: GPL-2.0-only
/* State machine: two sides, each of which does the steps that are its own, in turn. */
#include "pattern.h"

enum state { IDLE, CONNECTING, CONNECTED, CLOSING, CLOSED };

struct machine {
	struct alazy_cache *cache;
	uint32_t *state;
};

static void await(struct machine *m, enum state wanted)
{
	uint32_t state;

	while ((state = load(m->state)) != wanted) {
		int err = alazy_futex_wait(m->cache, m->state, state, after_ms(20000));

		must(!err || err == -EAGAIN);
		/* none is gone past unseen: the next step is ours */
		must(load(m->state) <= wanted);
	}
}

static void *server(void *arg)
{
	struct machine *m = arg;

	await(m, CONNECTING);
	change(m->cache, m->state, CONNECTED, UINT32_MAX);
	await(m, CLOSING);
	change(m->cache, m->state, CLOSED, UINT32_MAX);
	return NULL;
}

int main(void)
{
	struct machine m = { .cache = open_cache() };
	unsigned int i;

	m.state = alazy_word(m.cache, 0);
	for (i = 0; i < 100; i++) {
		pthread_t t;

		change(m.cache, m.state, IDLE, UINT32_MAX);
		t = thread(server, &m);
		change(m.cache, m.state, CONNECTING, UINT32_MAX);
		await(&m, CONNECTED);
		change(m.cache, m.state, CLOSING, UINT32_MAX);
		await(&m, CLOSED);
		pthread_join(t, NULL);
	}
	alazy_cache_close(m.cache);
	return 0;
}
