// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* A cache in an sd-event loop. */
#include <asynclazy/sdevent.h>

#include "waits.h"

static int on_tick(sd_event_source *source, uint64_t usec, void *ctx)
{
	(void)source;
	(void)usec;
	waits_tick(ctx);
	return 0;
}

int main(int argc, char **argv)
{
	sd_event_source *cache = NULL;
	sd_event *event = NULL;
	struct waits w;
	int err;

	waits_begin(&w, argc, argv);
	err = sd_event_new(&event);
	if (err >= 0)
		err = alazy_sdevent_add(event, &cache, w.cache);
	if (err >= 0)
		err = sd_event_add_time_relative(event, NULL, CLOCK_MONOTONIC, TICK_MS * 1000, 0,
						 on_tick, &w);
	while (err >= 0 && !waits_done(&w))
		err = sd_event_run(event, UINT64_MAX);
	if (err < 0)
		fprintf(stderr, "sd-event: %s\n", strerror(-err));
	sd_event_source_unref(cache);
	sd_event_unref(event);
	return waits_end(&w, "sd-event");
}
