// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* A cache beside an io_uring, whose completions are the program's loop. */
#include <asynclazy/uring.h>

#include "waits.h"

int main(int argc, char **argv)
{
	struct __kernel_timespec tick = { .tv_nsec = TICK_MS * 1000000 };
	struct alazy_uring cache;
	struct io_uring_cqe *cqe = NULL;
	struct io_uring_sqe *timer;
	struct io_uring ring;
	struct waits w;
	int err;

	waits_begin(&w, argc, argv);
	err = io_uring_queue_init(16, &ring, 0);
	if (err) {
		fprintf(stderr, "io_uring_queue_init: %s\n", strerror(-err));
		return 77;	/* this system does not let us */
	}
	err = alazy_uring_arm(&cache, &ring, w.cache);
	timer = io_uring_get_sqe(&ring);
	if (!timer)
		return 1;	/* there is room for sixteen */
	io_uring_prep_timeout(timer, &tick, 0, 0);
	while (!err && !waits_done(&w)) {
		err = io_uring_submit_and_wait(&ring, 1);
		if (err >= 0)
			err = io_uring_peek_cqe(&ring, &cqe);
		if (err)
			break;
		if (alazy_uring_is(&cache, cqe))
			err = alazy_uring_complete(&cache, &ring, cqe);
		else
			waits_tick(&w);
		io_uring_cqe_seen(&ring, cqe);
	}
	if (err)
		fprintf(stderr, "io_uring: %s\n", strerror(-err));
	io_uring_queue_exit(&ring);
	return waits_end(&w, "io_uring");
}
