// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* A cache in a libevent loop. */
#include <asynclazy/event.h>

#include "waits.h"

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	waits_tick(ctx);
}

int main(int argc, char **argv)
{
	struct timeval tick = { .tv_usec = TICK_MS * 1000 };
	struct event_base *base = event_base_new();
	struct event *cache, *timer;
	struct waits w;

	waits_begin(&w, argc, argv);
	cache = alazy_event_new(base, w.cache);
	timer = evtimer_new(base, on_tick, &w);
	if (!cache || !timer) {
		perror("alazy_event_new");
		return 1;
	}
	evtimer_add(timer, &tick);
	while (!waits_done(&w) && !event_base_loop(base, EVLOOP_ONCE))
		;
	event_free(timer);
	event_free(cache);
	event_base_free(base);
	return waits_end(&w, "libevent");
}
