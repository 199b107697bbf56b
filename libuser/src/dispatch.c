// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The descriptor, dispatch and cancel: what an event loop uses. */
#include "lib.h"

#define ALZ_DISPATCH_BATCH	64

ALZ_PUBLIC int alazy_fd(struct alazy_cache *cache)
{
	struct asynclazy_stats s = { .size = sizeof(s) };
	int fd = 0;

	/* any call: it attaches a forked child */
	if (!alz_attached(cache))
		fd = alz_call(cache, ASYNCLAZY_IOC_STATS, &s);
	if (!fd)
		fd = cache->backend->fd(cache);
	if (fd < 0)
		return alz_error_backend(fd);
	alz_ok();
	return fd;
}

/* What an event brings, text included: ours from here on. */
static void alz_event_take(struct alazy_cache *cache, struct asynclazy_event *event,
			   struct alz_got *got)
{
	char detail[ASYNCLAZY_DETAIL_MAX];
	struct asynclazy_fetch f = {
		.size = sizeof(f),
		.cookie = event->cookie,
		.detail = (uintptr_t)detail,
		.detail_size = sizeof(detail),
	};
	int err;

	event->detail_size = 0;
	if (event->flags & ASYNCLAZY_EVENT_DETAIL &&
	    !alz_call(cache, ASYNCLAZY_IOC_FETCH, &f))
		event->detail_size = f.out_detail_size;
	err = alz_event_got(cache, event, detail, got);
	if (err)
		*got = (struct alz_got){ .err = err == ALZ_MISS ? -ESTALE : err };
}

/*
 * Read events, and take what they bring before anybody reads more: until then
 * the backend holds it for us.
 */
static int alz_events_read(struct alazy_cache *cache, struct asynclazy_event *events,
			   struct alz_got *got, bool *more)
{
	bool held = false;
	int i, n;

	pthread_mutex_lock(&cache->events_lock);
	n = cache->backend->read_events(cache, events, ALZ_DISPATCH_BATCH);
	for (i = 0; i < n; i++) {
		held |= events[i].result == ASYNCLAZY_RESULT_HIT ||
			events[i].offset != ASYNCLAZY_NO_RECORD;
		alz_event_take(cache, &events[i], &got[i]);
	}
	pthread_mutex_unlock(&cache->events_lock);
	/* the next read lets go of what is held */
	*more = n == ALZ_DISPATCH_BATCH || (held && cache->view.pins);
	return n;
}

/* One batch: how many waits were served; whether there may be more in *@more. */
static int alz_dispatch_batch(struct alazy_cache *cache, bool *more)
{
	struct asynclazy_event events[ALZ_DISPATCH_BATCH];
	struct alz_got got[ALZ_DISPATCH_BATCH];
	unsigned int epoch = alz_fork_epoch;
	struct alazy_wait *wait;
	int served = 0;
	int i, n;

	n = alz_events_read(cache, events, got, more);
	if (n < 0)
		return n == -EAGAIN ? 0 : n;
	for (i = 0; i < n; i++) {
		wait = alz_async_for_event(cache, &events[i], &got[i]);
		if (!wait)
			continue;
		alz_async_serve(wait, &events[i], &got[i]);
		served++;
		/* a callback forked, and this is the child: the rest is not ours */
		if (epoch != alz_fork_epoch) {
			*more = false;
			break;
		}
	}
	return served;
}

ALZ_PUBLIC int alazy_dispatch(struct alazy_cache *cache)
{
	bool more = alz_attached(cache);
	int total = 0;
	int n;

	while (more) {
		n = alz_dispatch_batch(cache, &more);
		if (n < 0 && !total)
			return alz_error_backend(n);
		if (n > 0)
			total += n;
	}
	alz_ok();
	return total;
}

ALZ_PUBLIC int alazy_cancel(struct alazy_wait *wait)
{
	if (!wait)
		return alz_error(-EINVAL, "the wait is NULL");
	if (alz_async_cancel(wait))
		return alz_error(-EALREADY, "the wait has ended: its callback is running just now");
	return alz_ok();
}
