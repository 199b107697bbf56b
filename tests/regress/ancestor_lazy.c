// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an ancestor does: an asynchronous lazy cell of Rust, an atomic state
 * (empty, initialising, set), the value, and whom to wake. This is its logic in
 * C; whatever it gets wrong is kept:
 *
 *  - get() compares and exchanges empty for initialising. Who wins runs the
 *    initialiser in the caller's own future; when that is dropped, nothing puts
 *    the state back: it says initialising for ever, and nobody is woken.
 *  - Who finds it initialising registers with the waker and sleeps. The state is
 *    not looked at again after that: a set that came in between has woken nobody.
 *  - The waker has room for one: the second to register takes the place of the
 *    first.
 *  - A failed initialisation puts the state back to empty and tells its caller
 *    alone; what the cell tells others is "no value", as if nothing had been.
 *
 * The state that a loser of the exchange finds is loaded relaxed there, and the
 * value then read with nothing in between that orders it: that is no bug which
 * this machine could show; see the row about it.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "subject.h"
#include "world.h"

#define EMPTY		0
#define INITIALISING	1
#define SET		2

struct sleeper {
	bool woken;
};

struct lazy {
	atomic_int state;
	int value;
	struct sleeper *waker;	/* under the world's lock, as is: */
	unsigned int asleep;
};

static void wake(struct lazy *lazy)
{
	world_lock();
	if (lazy->waker)
		lazy->waker->woken = true;
	lazy->waker = NULL;
	world_unlock();
}

static bool is_woken(void *arg)
{
	return ((struct sleeper *)arg)->woken;
}

/* Return: 0, HANGS. */
static int await_set(struct lazy *lazy)
{
	struct sleeper me = { false };
	int err = 0;

	point(POINT_SEEN);
	world_lock();
	lazy->waker = &me;
	lazy->asleep++;
	world_unlock();
	world_lock();
	if (!world_await(is_woken, &me))
		err = HANGS;
	if (lazy->waker == &me)
		lazy->waker = NULL;
	lazy->asleep--;
	world_unlock();
	return err;
}

static int lazy_init(struct lazy *lazy, struct make *make)
{
	int err = make_run(make, &lazy->value);

	if (make->lost) {
		point(POINT_LOST);
		return -ECANCELED;
	}
	atomic_store(&lazy->state, err ? EMPTY : SET);
	wake(lazy);
	point(POINT_TOLD);
	return err;
}

static int lazy_get(void *obj, struct make *make, int *value)
{
	struct lazy *lazy = obj;
	int state, err;

	do {
		state = EMPTY;
		if (atomic_compare_exchange_strong_explicit(&lazy->state, &state, INITIALISING,
							    memory_order_acquire,
							    memory_order_relaxed))
			err = lazy_init(lazy, make);
		else
			err = state == INITIALISING ? await_set(lazy) : 0;
		if (err)
			return err;
		/* EMPTY: it failed for another */
	} while (atomic_load_explicit(&lazy->state, memory_order_relaxed) == EMPTY);
	*value = lazy->value;
	return 0;
}

static int lazy_peek(void *obj, int *value)
{
	struct lazy *lazy = obj;

	if (atomic_load(&lazy->state) != SET)
		return PEEK_EMPTY;
	*value = lazy->value;
	return PEEK_VALUE;
}

struct crowd {
	struct lazy *lazy;
	unsigned int n;
};

static bool are_asleep(void *arg)
{
	const struct crowd *c = arg;

	return c->lazy->asleep == c->n;
}

static void lazy_asleep(void *obj, unsigned int n)
{
	struct crowd c = { obj, n };

	world_lock();
	world_await(are_asleep, &c);
	world_unlock();
}

static void *lazy_open(void)
{
	struct lazy *lazy = calloc(1, sizeof(*lazy));

	if (!lazy)
		abort();
	return lazy;
}

static void lazy_close(void *obj)
{
	free(obj);
}

const struct subject ancestor_lazy = {
	.name = "lazy",
	.open = lazy_open,
	.close = lazy_close,
	.get = lazy_get,
	.peek = lazy_peek,
	.asleep = lazy_asleep,
};
