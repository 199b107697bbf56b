/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * asynclazy in an sd-event loop: <asynclazy/sdevent.h>. Callbacks of the cache run in the
 * loop's thread. A complete program: libuser/examples/loop_sdevent.c.
 */
#ifndef ASYNCLAZY_SDEVENT_H
#define ASYNCLAZY_SDEVENT_H

#include <asynclazy.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>

static inline int alazy_sdevent_ready(sd_event_source *source, int fd, uint32_t revents,
				      void *cache)
{
	int n = alazy_dispatch((struct alazy_cache *)cache);

	(void)source;
	(void)fd;
	(void)revents;
	return n < 0 ? n : 0;
}

/**
 * alazy_sdevent_add() - have a loop call what is due
 * @event: the loop
 * @source: where the source goes, the caller's to end by sd_event_source_unref(); NULL:
 *	it lasts as long as the loop
 * @cache: stays open until then
 *
 * Return: 0 or more, or a negative errno, as sd_event_add_io().
 */
static inline int alazy_sdevent_add(sd_event *event, sd_event_source **source,
				    struct alazy_cache *cache)
{
	int fd = alazy_fd(cache);

	return fd < 0 ? fd : sd_event_add_io(event, source, fd, EPOLLIN, alazy_sdevent_ready,
					     cache);
}

#endif /* ASYNCLAZY_SDEVENT_H */
