// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The search: threads, choices, states that were seen. See explore.h. */
#include <stdarg.h>
#include <stdio.h>
#include <ucontext.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "explore.h"

#undef memcpy
#undef memset
#undef memcmp

#define DEPTH	2000

struct x_world x __attribute__((aligned(4096)));
bool x_pso;
int x_me = -1;

static const struct x_scenario *scenario;
static jmp_buf scheduler, failure;
static ucontext_t starter;

/* the way to where the search is */
static struct {
	struct x_world *before;
	char what[64];
} path[DEPTH];
static int depth;
static char why[256];

static unsigned long states, runs, steps;

/* ---- states that were seen --------------------------------------------- */

static XXH128_hash_t *seen;
static size_t seen_size, seen_n;

static bool seen_add(XXH128_hash_t h)
{
	size_t i = h.low64 & (seen_size - 1);

	for (; seen[i].low64 | seen[i].high64; i = (i + 1) & (seen_size - 1))
		if (XXH128_isEqual(seen[i], h))
			return false;
	seen[i] = h;
	seen_n++;
	return true;
}

static void seen_grow(void)
{
	XXH128_hash_t *old = seen;
	size_t n = seen_size, i;

	if (seen && seen_n < seen_size / 2)
		return;
	seen_size = seen ? seen_size * 2 : 1 << 16;
	seen_n = 0;
	seen = calloc(seen_size, sizeof(*seen));
	if (!seen)
		abort();
	for (i = 0; i < n; i++)
		if (old[i].low64 | old[i].high64)
			seen_add(old[i]);
	free(old);
}

/* ---- threads ----------------------------------------------------------- */

/* Let others run before what comes next. */
void x_stop(enum x_status status, const char *what)
{
	char *top = __builtin_frame_address(0);
	struct x_thread *t;
	char *bottom;

	if (x_me < 0)
		return;
	x_capture();
	t = &x.thread[x_me];
	bottom = x.stack[x_me];
	t->status = status;
	t->what = what;
	/* what is below is dead: equal states are to look equal */
	if (top - 1024 > bottom)
		memset(bottom, 0, top - 1024 - bottom);
	else
		x_fail("X_STACK is too small");
	if (!_setjmp(t->at))
		_longjmp(scheduler, 1);
}

void x_fail(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(why, sizeof(why), format, ap);
	va_end(ap);
	_longjmp(failure, 1);
}

static void thread_main(int i)
{
	x_me = i;
	x_stop(X_RUNS, "begins");
	scenario->thread[i]();
	x_stop(X_DONE, "ends");
}

static void thread_run(int i)
{
	x_memory_show(i);
	x_me = i;
	if (!_setjmp(scheduler))
		_longjmp(x.thread[i].at, 1);
	x_me = -1;
	x_memory_show(-1);
}

static void thread_start(int i)
{
	ucontext_t c;

	getcontext(&c);
	c.uc_stack.ss_sp = x.stack[i];
	c.uc_stack.ss_size = X_STACK;
	c.uc_link = NULL;
	makecontext(&c, (void (*)(void))thread_main, 1, i);
	if (!_setjmp(scheduler))
		swapcontext(&starter, &c);
	x_me = -1;
}

static void threads_start(void)
{
	int i;

	for (i = 0; i < X_THREADS; i++) {
		x.thread[i].status = X_DONE;
		if (scenario->thread[i])
			thread_start(i);
	}
}

static bool thread_can_run(const struct x_thread *t)
{
	int i;

	switch (t->status) {
	case X_RUNS:
		return true;
	case X_LOCKS:
		return x_lock_free(t, t->lock);
	case X_DRAINS:
		return !t->stores;
	case X_SLEEPS:
		return t->queue->runnable;
	case X_FENCES:
		for (i = 0; i < X_THREADS; i++)
			if (x.thread[i].fence)
				return false;
		return true;
	default:
		return false;
	}
}

/* ---- the search -------------------------------------------------------- */

static void step_name(int i, int store)
{
	const struct x_store *s = &x.thread[i].store[store];

	if (store < 0)
		snprintf(path[depth].what, sizeof(path->what), "%d %s", i, x.thread[i].what);
	else if (!s->size)
		snprintf(path[depth].what, sizeof(path->what), "%d's lock is free", i);
	else
		snprintf(path[depth].what, sizeof(path->what), "%d's store of %llx lands%s", i,
			 (unsigned long long)s->value, s->release ? ", a release" : "");
}

/* The @n-th thing that can happen: a step of a thread, or a store that lands. */
static bool choice(int n, int *thread, int *store)
{
	int i, s;

	for (i = 0; i < X_THREADS; i++) {
		if (thread_can_run(&x.thread[i]) && !n--) {
			*thread = i;
			*store = -1;
			return true;
		}
		for (s = 0; s < x.thread[i].stores; s++) {
			if (x_may_land(&x.thread[i], s) && !n--) {
				*thread = i;
				*store = s;
				return true;
			}
		}
	}
	return false;
}

static void at_end(void)
{
	int i;

	for (i = 0; i < X_THREADS; i++)
		if (x.thread[i].status != X_DONE)
			x_fail("nobody can go on: thread %d %s for ever", i,
			       x.thread[i].status == X_SLEEPS ? "sleeps" : "waits for a lock");
	runs++;
	if (scenario->end)
		scenario->end();
}

static bool state_is_new(void)
{
	states++;
	seen_grow();
	if (seen_add(XXH3_128bits(&x, sizeof(x))))
		return true;
	states--;
	runs++;
	return false;
}

static void search(void)
{
	int thread, store, n;

	if (!state_is_new())
		return;
	if (!choice(0, &thread, &store)) {
		at_end();
		return;
	}
	x_check(depth < DEPTH);
	if (!path[depth].before)
		path[depth].before = malloc(sizeof(x));
	if (!path[depth].before)
		abort();
	memcpy(path[depth].before, &x, sizeof(x));
	for (n = 0; choice(n, &thread, &store); n++) {
		step_name(thread, store);
		steps++;
		if (store < 0)
			thread_run(thread);
		else
			x_land(&x.thread[thread], store);
		if (store >= 0)
			x_memory_show(-1);
		depth++;
		search();
		depth--;
		memcpy(&x, path[depth].before, sizeof(x));
		x_memory_show(-1);
	}
}

/* Return: 0; 1: it found an error, which is printed */
int x_explore(const struct x_scenario *s)
{
	int i;

	scenario = s;
	states = runs = steps = 0;
	depth = 0;
	free(seen);
	seen = NULL;
	seen_size = 0;
	if (_setjmp(failure)) {
		printf("# %s: %s, after\n", s->name, why);
		for (i = 0; i <= depth && i < DEPTH; i++)
			printf("#   %s\n", path[i].what);
		x_me = -1;
		return 1;
	}
	x_memory_reset();
	s->setup();
	x_memory_settle();
	threads_start();
	x_memory_show(-1);
	search();
	printf("# %s under %s: states %lu, steps %lu, interleavings %lu\n", s->name,
	       x_pso ? "pso" : "tso", states, steps, runs);
	return 0;
}
