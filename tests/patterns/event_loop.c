// SPDX-License-Identifier: GPL-2.0-only
/* Event loop: many tasks in one thread, each of which waits for its own word. */
#include "pattern.h"

#define TASKS	500
#define STEPS	20

static struct alazy_cache *cache;
static unsigned int ended;

struct task {
	uint32_t *word;
	unsigned int steps;
};

static void wait_on(struct task *t);

static void on_step(int err, size_t index, void *ctx)
{
	struct task *t = ctx;

	must(!err && index == 0);
	wait_on(t);
}

/* What has been until now, and then a wait for more. */
static void wait_on(struct task *t)
{
	struct alazy_futex f = { .word = t->word };
	int err;

	do {
		t->steps = load(t->word);
		if (t->steps == STEPS) {
			ended++;
			return;
		}
		f.expected = t->steps;
		err = alazy_futex_wait_async(cache, &f, 1, on_step, t, NULL, NULL);
	} while (err == -EAGAIN);
	must(!err);
}

static void *driver(void *arg)
{
	unsigned int i, step;

	(void)arg;
	for (step = 1; step <= STEPS; step++)
		for (i = 0; i < TASKS; i++)
			change(cache, alazy_word(cache, i), step, UINT32_MAX);
	return NULL;
}

int main(void)
{
	static struct task tasks[TASKS];
	unsigned int i;
	pthread_t t;

	cache = open_cache();
	t = thread(driver, NULL);
	for (i = 0; i < TASKS; i++) {
		tasks[i].word = alazy_word(cache, i);
		wait_on(&tasks[i]);
	}
	while (ended < TASKS)
		turn(cache);
	pthread_join(t, NULL);
	alazy_cache_close(cache);
	return 0;
}
