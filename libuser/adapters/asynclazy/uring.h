/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * asynclazy beside an io_uring: <asynclazy/uring.h>. One poll request watches the cache,
 * for as many events as come; its completions are told by their user data. A complete
 * program: libuser/examples/loop_uring.c.
 */
#ifndef ASYNCLAZY_URING_H
#define ASYNCLAZY_URING_H

#include <asynclazy.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdbool.h>

/**
 * struct alazy_uring - a cache that a ring watches; the caller's memory
 * @cache: whose callbacks
 *
 * Its address is the user data of its completions: nobody else may use that.
 */
struct alazy_uring {
	struct alazy_cache *cache;
};

/**
 * alazy_uring_arm() - watch; to be submitted with what else there is
 * @a: filled; stays until the last completion of its own has been seen
 * @ring: with room for one request
 * @cache: stays open as long
 *
 * Return: 0; -EAGAIN: no room, submit first; another negative errno.
 */
static inline int alazy_uring_arm(struct alazy_uring *a, struct io_uring *ring,
				  struct alazy_cache *cache)
{
	int fd = alazy_fd(cache);
	struct io_uring_sqe *sqe;

	if (fd < 0)
		return fd;
	sqe = io_uring_get_sqe(ring);
	if (!sqe)
		return -EAGAIN;
	a->cache = cache;
	io_uring_prep_poll_multishot(sqe, fd, POLLIN);
	io_uring_sqe_set_data(sqe, a);
	return 0;
}

/** alazy_uring_is() - whether a completion is of @a */
static inline bool alazy_uring_is(const struct alazy_uring *a, const struct io_uring_cqe *cqe)
{
	return io_uring_cqe_get_data(cqe) == a;
}

/**
 * alazy_uring_complete() - call what is due, after a completion of @a
 * @cqe: not marked as seen by this
 *
 * Return: 0; -EAGAIN: the watch is over and could not be armed anew, as there is no
 * room: submit, and call alazy_uring_arm(); another negative errno.
 */
static inline int alazy_uring_complete(struct alazy_uring *a, struct io_uring *ring,
				       const struct io_uring_cqe *cqe)
{
	int n = 0;

	if (cqe->res < 0)
		return cqe->res;
	/* first: what comes while callbacks run has a completion of its own */
	if (!(cqe->flags & IORING_CQE_F_MORE))
		n = alazy_uring_arm(a, ring, a->cache);
	if (alazy_dispatch(a->cache) < 0 && !n)
		n = -EIO;
	return n;
}

/**
 * alazy_uring_cancel() - watch no longer
 *
 * A completion of @a with -ECANCELED is the last one; that of the request itself has no
 * user data. Return: 0; -EAGAIN: no room, submit first.
 */
static inline int alazy_uring_cancel(struct alazy_uring *a, struct io_uring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (!sqe)
		return -EAGAIN;
	io_uring_prep_cancel(sqe, a, 0);
	io_uring_sqe_set_data(sqe, NULL);
	return 0;
}

#endif /* ASYNCLAZY_URING_H */
