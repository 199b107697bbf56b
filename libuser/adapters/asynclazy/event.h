/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * asynclazy in a libevent loop: <asynclazy/event.h>. Callbacks of the cache run in the
 * loop's thread. A complete program: libuser/examples/loop_event.c.
 */
#ifndef ASYNCLAZY_EVENT_H
#define ASYNCLAZY_EVENT_H

#include <asynclazy.h>
#include <errno.h>
#include <event2/event.h>

static inline void alazy_event_ready(evutil_socket_t fd, short what, void *cache)
{
	(void)fd;
	(void)what;
	alazy_dispatch((struct alazy_cache *)cache);
}

/**
 * alazy_event_new() - have a loop call what is due
 * @base: the loop
 * @cache: stays open until the event is freed
 *
 * Return: the event, which is added; the caller's to end by event_free(). NULL with
 * errno.
 */
static inline struct event *alazy_event_new(struct event_base *base, struct alazy_cache *cache)
{
	int fd = alazy_fd(cache);
	struct event *ev;

	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	ev = event_new(base, fd, EV_READ | EV_PERSIST, alazy_event_ready, cache);
	if (ev && event_add(ev, NULL)) {
		event_free(ev);
		ev = NULL;
	}
	if (!ev)
		errno = ENOMEM;
	return ev;
}

#endif /* ASYNCLAZY_EVENT_H */
