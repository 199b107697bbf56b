/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * asynclazy in a libuv loop: <asynclazy/uv.h>. Callbacks of the cache run in the loop's
 * thread. A complete program: libuser/examples/loop_uv.c.
 */
#ifndef ASYNCLAZY_UV_H
#define ASYNCLAZY_UV_H

#include <asynclazy.h>
#include <uv.h>

/**
 * struct alazy_uv - a cache in a loop; the caller's memory, until it is closed
 * @poll: libuv's handle; uv_unref() it if waits are not to keep the loop alive
 * @cache: whose callbacks
 */
struct alazy_uv {
	uv_poll_t poll;
	struct alazy_cache *cache;
};

static inline void alazy_uv_ready(uv_poll_t *poll, int status, int events)
{
	struct alazy_uv *a = (struct alazy_uv *)poll->data;

	(void)status;
	(void)events;
	alazy_dispatch(a->cache);
}

/**
 * alazy_uv_start() - have a loop call what is due
 * @a: filled
 * @loop: the loop, which is not started by this
 * @cache: stays open until @a is closed
 *
 * Return: 0, or a negative errno, as libuv's errors are too. Then nothing is to be
 * closed.
 */
static inline int alazy_uv_start(struct alazy_uv *a, uv_loop_t *loop, struct alazy_cache *cache)
{
	int fd = alazy_fd(cache);
	int err;

	if (fd < 0)
		return fd;
	a->cache = cache;
	a->poll.data = a;
	err = uv_poll_init(loop, &a->poll, fd);
	if (err)
		return err;
	a->poll.data = a;
	return uv_poll_start(&a->poll, UV_READABLE, alazy_uv_ready);
}

/**
 * alazy_uv_stop() - no more, from the loop's thread
 * @closed: NULL, or what libuv calls once @a may be freed
 */
static inline void alazy_uv_stop(struct alazy_uv *a, uv_close_cb closed)
{
	uv_close((uv_handle_t *)&a->poll, closed);
}

#endif /* ASYNCLAZY_UV_H */
