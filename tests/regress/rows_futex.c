// SPDX-License-Identifier: GPL-2.0-only
/* The rows about AsyncFutex: see rows.c, and ancestor_futex.c for what it did. */
#include <limits.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "futex.h"
#include "rows.h"
#include "world.h"

/* The loop waits; what would wake it is another thing that the loop has to do. */
void futex_does_not_block(const struct subject *s, void *obj, struct verdict *v)
{
	const struct futex_subject *f = futex_of(s);

	if (f->wait(obj, 0) == HANGS) {
		verdict(v, false, "the loop hangs in the wait, and never comes to what would wake it");
		return;
	}
	f->set(obj, 1);
	f->wake(obj, 0, 1);
	verdict(v, f->ended(obj) == 1, "the loop went on, and woke itself");
}

void futex_differs(const struct subject *s, void *obj, struct verdict *v)
{
	const struct futex_subject *f = futex_of(s);

	f->set(obj, 1);
	f->wait(obj, 0);
	if (f->ended(obj) == 1)
		verdict(v, true, "it returned at once");
	else
		verdict(v, false, "it waits for a wake, as if the value did not differ");
}

/* How many of @waiters end by this wake, with a signal before or without. */
static void counts(const struct futex_subject *f, void *obj, unsigned int waiters,
		   bool signals, int process, unsigned int n, unsigned int expected,
		   struct verdict *v)
{
	unsigned int ended;

	f->wait_others(obj, waiters, 0);
	if (signals)
		f->interrupt(obj);
	f->wake(obj, process, n);
	ended = f->ended(obj);
	verdict(v, ended == expected, "%u of %u ended", ended, waiters);
}

void futex_elsewhere(const struct subject *s, void *obj, struct verdict *v)
{
	counts(futex_of(s), obj, 1, false, 1, 1, 1, v);
}

void futex_wakes_all(const struct subject *s, void *obj, struct verdict *v)
{
	counts(futex_of(s), obj, 3, false, 0, UINT_MAX, 3, v);
}

void futex_wakes_none(const struct subject *s, void *obj, struct verdict *v)
{
	counts(futex_of(s), obj, 3, false, 0, 0, 0, v);
}

/* After a signal all of the ancestor's wait for the same eventfd. */
void futex_wakes_one(const struct subject *s, void *obj, struct verdict *v)
{
	counts(futex_of(s), obj, 3, true, 0, 1, 1, v);
}

struct reuse {
	int epoll;
	int other;
};

/* Another thread opens a descriptor, which gets the number, and watches it. */
static void opened_meanwhile(void *arg)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct reuse *r = arg;

	r->other = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ev.data.fd = r->other;
	epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->other, &ev);
}

void futex_closes(const struct subject *s, void *obj, struct verdict *v)
{
	struct reuse r = { epoll_create1(EPOLL_CLOEXEC), -1 };
	struct epoll_event ev;

	at_point(POINT_CLOSED, opened_meanwhile, &r);
	futex_of(s)->drop(obj, r.epoll);
	eventfd_write(r.other, 1);
	if (epoll_wait(r.epoll, &ev, 1, 0) == 1 && ev.data.fd == r.other)
		verdict(v, true, "the other's descriptor is watched on");
	else
		verdict(v, false, "the loop has forgotten another's descriptor of that number");
	close(r.other);
	close(r.epoll);
}
