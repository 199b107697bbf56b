// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rows. Each runs the same steps on an ancestor's logic and on ours, and
 * says whether the property held; the table is at the end. A port's task may
 * outlive the call that started it: before a row judges, it has all settled.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "futex.h"
#include "rows.h"
#include "world.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* ---- callers -------------------------------------------------------------- */

struct caller {
	const struct subject *s;
	void *obj;
	struct make make;
	struct actor actor;
	int result;
	int value;
};

static void call(void *arg)
{
	struct caller *c = arg;

	c->result = c->s->get(c->obj, &c->make, &c->value);
}

static void call_start(struct caller *c)
{
	actor_start(&c->actor, call, c);
}

static struct caller caller(const struct subject *s, void *obj, int value)
{
	return (struct caller){ .s = s, .obj = obj, .make.value = value };
}

void verdict(struct verdict *v, bool held, const char *format, ...)
{
	va_list args;

	v->held = held;
	va_start(args, format);
	vsnprintf(v->did, sizeof(v->did), format, args);
	va_end(args);
}

/* @c was to get @value. @who: the caller, in the report */
static bool got(const struct caller *c, int value, const char *who, struct verdict *v)
{
	if (c->result)
		verdict(v, false, "%s %s", who, result_text(c->result));
	else if (c->value != value)
		verdict(v, false, "%s got value %d for %d", who, c->value, value);
	else
		return true;
	return false;
}

static void await(void *event)
{
	event_await(event);
}

static void set(void *event)
{
	event_set(event);
}

struct two_events {
	struct event *set, *await;
};

static void set_await(void *arg)
{
	struct two_events *e = arg;

	event_set(e->set);
	event_await(e->await);
}

/* ---- ends before somebody has registered ---------------------------------- */

/* The initialiser ends before the caller whose call started it has subscribed. */
static void ended_before_its_caller(const struct subject *s, void *obj, struct verdict *v)
{
	struct caller a = caller(s, obj, 1);
	struct event told = { false };

	a.make.async = true;
	at_point(POINT_TOLD, set, &told);
	at_point(POINT_STARTED, await, &told);
	call(&a);
	actors_settle(0);
	if (got(&a, 1, "the caller", v))
		verdict(v, true, "the caller got the value");
	else if (a.make.runs == 1 && !a.make.err)
		strncat(v->did, " although the init succeeded",
			sizeof(v->did) - strlen(v->did) - 1);
}

/* Another caller has seen it run; it ends; that caller subscribes. */
static void ended_before_another(const struct subject *s, void *obj, struct verdict *v)
{
	struct caller a = caller(s, obj, 1), b = caller(s, obj, 2);
	struct event running = { false }, seen = { false }, told = { false };
	struct two_events in_init = { &running, &seen }, in_b = { &seen, &told };

	a.make.during = set_await;
	a.make.arg = &in_init;
	at_point(POINT_SEEN, set_await, &in_b);
	at_point(POINT_TOLD, set, &told);
	call_start(&a);
	event_await(&running);
	call_start(&b);
	actor_join(&a.actor);
	actor_join(&b.actor);
	actors_settle(0);
	if (!got(&a, 1, "the first caller", v) || !got(&b, 1, "the second caller", v))
		return;
	if (b.make.runs)
		verdict(v, false, "a second init ran");
	else
		verdict(v, true, "both callers got the value");
}

static void call_to_the_end(void *arg)
{
	call(arg);
	actors_settle(0);
}

/* Nothing is there; before the caller goes on, another has made the value. */
static void made_meanwhile(const struct subject *s, void *obj, struct verdict *v)
{
	struct caller a = caller(s, obj, 1), b = caller(s, obj, 2);

	at_point(POINT_ABSENT, call_to_the_end, &a);
	call(&b);
	actors_settle(0);
	if (got(&a, 1, "the first caller", v) && got(&b, 1, "the second caller", v))
		verdict(v, true, "both callers got the value");
}

/* ---- the initialiser is lost ---------------------------------------------- */

/* The next caller comes when the init runs, or later. */
static void lost_then_another(const struct subject *s, void *obj, struct verdict *v)
{
	struct caller a = caller(s, obj, 1), b = caller(s, obj, 2);
	struct event running = { false };

	a.make.lost = true;
	at_point(POINT_LOST, set, &running);
	call_start(&a);
	event_await(&running);
	call_start(&b);
	actor_join(&a.actor);
	actor_join(&b.actor);
	actors_settle(0);
	if (got(&b, 2, "the next caller", v))
		verdict(v, true, "the next caller made the value");
	else if (a.result == HANGS)
		strncat(v->did, ", as does the first", sizeof(v->did) - strlen(v->did) - 1);
}

static void start_waiter(void *arg)
{
	struct caller *b = arg;

	call_start(b);
	b->s->asleep(b->obj, 1);
}

/* One waits while the initialising caller is cancelled. */
static void cancelled_with_a_waiter(const struct subject *s, void *obj, struct verdict *v)
{
	struct caller a = caller(s, obj, 1), b = caller(s, obj, 2);

	a.make.lost = true;
	a.make.during = start_waiter;
	a.make.arg = &b;
	call(&a);
	actor_join(&b.actor);
	actors_settle(0);
	if (a.result != -ECANCELED)
		verdict(v, false, "the cancelled caller %s", result_text(a.result));
	else if (got(&b, 2, "the waiter", v))
		verdict(v, true, "the waiter made the value");
}

/* Two wait when the value comes. */
static void two_waiters(const struct subject *s, void *obj, struct verdict *v)
{
	struct caller a = caller(s, obj, 1), b = caller(s, obj, 2), c = caller(s, obj, 3);
	struct event running = { false }, go = { false };
	struct two_events in_init = { &running, &go };

	a.make.during = set_await;
	a.make.arg = &in_init;
	call_start(&a);
	event_await(&running);
	call_start(&b);
	s->asleep(obj, 1);
	call_start(&c);
	s->asleep(obj, 2);
	event_set(&go);
	actor_join(&a.actor);
	actor_join(&b.actor);
	actor_join(&c.actor);
	actors_settle(0);
	if (got(&a, 1, "the initialiser", v) && got(&c, 1, "the second waiter", v) &&
	    got(&b, 1, "the first waiter", v))
		verdict(v, true, "both waiters got the value");
}

/* ---- removal -------------------------------------------------------------- */

struct removal {
	const struct subject *s;
	void *obj;
	struct caller *next;	/* calls after the removal, or NULL */
};

static void remove_during(void *arg)
{
	struct removal *r = arg;

	r->s->remove(r->obj);
	if (r->next) {
		call(r->next);
		actors_settle(1);	/* this may be a task itself */
	}
}

/* A value that was begun before the key was removed is not there after. */
static void removed_during_init(const struct subject *s, void *obj, struct verdict *v)
{
	struct caller a = caller(s, obj, 1);
	struct removal r = { s, obj, NULL };
	int value = 0, state;

	a.make.during = remove_during;
	a.make.arg = &r;
	call(&a);
	actors_settle(0);	/* the task, too */
	state = s->peek(obj, &value);
	if (state == PEEK_VALUE && value == 1)
		verdict(v, false, "the removed key came back with the old value");
	else if (state == PEEK_VALUE)
		verdict(v, true, "the key has what an init after the removal made");
	else
		verdict(v, true, "the key stayed removed");
}

/* An initialisation of before the removal fails after the next one succeeded. */
static void stale_failure(const struct subject *s, void *obj, struct verdict *v)
{
	struct caller a = caller(s, obj, 1), b = caller(s, obj, 10);
	struct removal r = { s, obj, &b };
	int value = 0, state;

	a.make.err = -EIO;
	a.make.during = remove_during;
	a.make.arg = &r;
	call(&a);
	actors_settle(0);
	state = s->peek(obj, &value);
	if (!got(&b, 10, "the caller after the removal", v))
		return;
	if (state == PEEK_VALUE && value == 10)
		verdict(v, true, "the next generation's value stayed");
	else
		verdict(v, false, "the old failure took the next generation's value away");
}

/* ---- others --------------------------------------------------------------- */

static void call_now(void *arg)
{
	call(arg);
}

/* The initialiser asks for the key that it initialises. */
static void self_recursion(const struct subject *s, void *obj, struct verdict *v)
{
	struct caller a = caller(s, obj, 1), inner = caller(s, obj, 2);

	a.make.during = call_now;
	a.make.arg = &inner;
	call_start(&a);
	actor_join(&a.actor);
	actors_settle(0);
	if (inner.result == -EDEADLK)
		verdict(v, true, "the inner call was refused with EDEADLK");
	else
		verdict(v, false, "the inner call %s", result_text(inner.result));
}

/* Before anything, and after an initialisation that failed: not the same. */
static void failed_is_not_empty(const struct subject *s, void *obj, struct verdict *v)
{
	struct caller a = caller(s, obj, 1);
	int before, after, value = 0;

	a.make.err = -EIO;
	a.make.kept = true;
	before = s->peek(obj, &value);
	call(&a);
	actors_settle(0);
	after = s->peek(obj, &value);
	if (a.result != -EIO)
		verdict(v, false, "the failing caller %s", result_text(a.result));
	else if (before != PEEK_EMPTY)
		verdict(v, false, "it was not empty to begin with");
	else if (after == PEEK_ERROR && value == -EIO)
		verdict(v, true, "it says failed, and with which error");
	else
		verdict(v, false, "both look empty");
}

#define MAP(text, fn)	\
	{ .name = "map: " text, .ancestor = &ancestor_map, .ours = &our_map, .run = (fn) }
#define LAZY(text, fn)	\
	{ .name = "lazy: " text, .ancestor = &ancestor_lazy, .ours = &our_lazy, .run = (fn) }

#define FUTEX(text, fn)	\
	{ .name = "AsyncFutex: " text, .ancestor = &ancestor_futex.base, .ours = &our_futex.base, .run = (fn) }

const struct row rows[] = {
	MAP("success is not reported as failure when the init ends first",
	    ended_before_its_caller),
	MAP("nor to another caller, who saw it running",
	    ended_before_another),
	MAP("a value made between the look and the insertion is found",
	    made_meanwhile),
	MAP("an initialiser that panics or is killed leaves no stuck key",
	    lost_then_another),
	MAP("removal during an init does not resurrect the key",
	    removed_during_init),
	MAP("a stale failure leaves the next generation alone",
	    stale_failure),
	MAP("self-recursion is refused", self_recursion),
	LAZY("no wake-up is lost between the state check and the registration",
	     ended_before_another),
	LAZY("every waiter is woken, not the last one alone",
	     two_waiters),
	LAZY("a cancelled init poisons nothing for who comes after",
	     lost_then_another),
	LAZY("nor for who waits",
	     cancelled_with_a_waiter),
	LAZY("failed and empty can be told apart",
	     failed_is_not_empty),
	FUTEX("waiting does not block the executor", futex_does_not_block),
	FUTEX("a wait on a value that differs already returns at once", futex_differs),
	FUTEX("a wake reaches other processes", futex_elsewhere),
	FUTEX("wake(u32::MAX) wakes all", futex_wakes_all),
	FUTEX("wake(0) wakes none", futex_wakes_none),
	FUTEX("wake(1) releases one", futex_wakes_one),
	FUTEX("closing under reuse leaves another's descriptor alone", futex_closes),
};

const unsigned int nr_rows = ARRAY_SIZE(rows);
