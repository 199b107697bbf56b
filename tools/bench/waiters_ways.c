// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The ways: ours; a descriptor for each waiter in epoll; a thread for each; a thread for
 * each that passes it on to an event loop, as the ancestor did; io_uring's futex.
 */
#include <errno.h>
#include <liburing.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <asynclazy.h>

#include "waiters.h"

#define STACK	(16UL * 1024 + PTHREAD_STACK_MIN)

/* ---- ours ---------------------------------------------------------------- */

static int ours_open(struct bench_waiters *w)
{
	struct alazy_cache_opts opts = {
		.size = sizeof(opts), .max_keys = 64, .arena_size = 1 << 20,
	};
	struct alazy_cache *cache = alazy_cache_open(NULL, &opts);

	if (!cache)
		bench_die("alazy_cache_open", -errno);
	w->priv = cache;
	w->word = alazy_word(cache, 0);
	return 0;
}

static void ours_close(struct bench_waiters *w)
{
	alazy_cache_close(w->priv);
}

static void ours_told(int err, size_t index, void *ctx)
{
	(void)err;
	(void)index;
	bench_told(ctx);
}

static void ours_arm(struct bench_waiters *w)
{
	struct alazy_futex f = { .word = w->word, .expected = *w->word };
	unsigned int i;
	int err;

	for (i = 0; i < w->n; i++) {
		err = alazy_futex_wait_async(w->priv, &f, 1, ours_told, w, NULL, NULL);
		if (err)
			bench_die("alazy_futex_wait_async", err);
	}
}

static void ours_wake(struct bench_waiters *w)
{
	alazy_futex_wake(w->priv, w->word, UINT32_MAX);
}

static void ours_collect(struct bench_waiters *w)
{
	struct pollfd p = { .fd = alazy_fd(w->priv), .events = POLLIN };

	while (w->nr_told < w->n) {
		poll(&p, 1, -1);
		alazy_dispatch(w->priv);
	}
}

const struct bench_method bench_ours = {
	.name = "asynclazy", .open = ours_open, .close = ours_close, .arm = ours_arm,
	.wake = ours_wake, .collect = ours_collect,
};

/* ---- a descriptor each, in epoll ----------------------------------------- */

struct fds {
	uint32_t word;
	int epoll;
	unsigned int opened;
	int (*fd)[2];		/* to read, to write */
	pthread_t *thread;	/* helpers */
	unsigned int started;
	bool over;
};

static struct fds *fds_new(struct bench_waiters *w)
{
	struct fds *f = bench_calloc(1, sizeof(*f));

	f->fd = bench_calloc(w->n, sizeof(*f->fd));
	f->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->priv = f;
	w->word = &f->word;
	return f;
}

static int fds_add(struct bench_waiters *w, bool pipes)
{
	struct fds *f = w->priv;
	struct epoll_event ev = { .events = EPOLLIN };
	int *fd = f->fd[f->opened];

	if (pipes) {
		if (pipe(fd))
			return -errno;
	} else {
		fd[0] = eventfd(0, EFD_CLOEXEC);
		if (fd[0] < 0)
			return -errno;
		fd[1] = fd[0];
	}
	f->opened++;
	ev.data.fd = fd[0];
	return epoll_ctl(f->epoll, EPOLL_CTL_ADD, fd[0], &ev) ? -errno : 0;
}

static int fds_open(struct bench_waiters *w, bool pipes)
{
	struct fds *f = fds_new(w);

	while (f->opened < w->n) {
		if (fds_add(w, pipes)) {
			w->why = "so many descriptors are not to be had here";
			return -1;
		}
	}
	return 0;
}

static int eventfd_open(struct bench_waiters *w)
{
	return fds_open(w, false);
}

static int pipe_open(struct bench_waiters *w)
{
	return fds_open(w, true);
}

static void fds_close(struct bench_waiters *w)
{
	struct fds *f = w->priv;
	unsigned int i;

	for (i = 0; i < f->opened; i++) {
		close(f->fd[i][0]);
		if (f->fd[i][1] != f->fd[i][0])
			close(f->fd[i][1]);
	}
	close(f->epoll);
	free(f->thread);
	free(f->fd);
	free(f);
}

static void fds_arm(struct bench_waiters *w)
{
	(void)w;
}

static void fds_tell(const int *fd)
{
	uint64_t one = 1;

	/* of a pipe a byte would do, but the reader takes as much as of an eventfd */
	if (write(fd[1], &one, sizeof(one)) != sizeof(one))
		bench_die("write", -errno);
}

static void fds_wake(struct bench_waiters *w)
{
	struct fds *f = w->priv;
	unsigned int i;

	for (i = 0; i < w->n; i++)
		fds_tell(f->fd[i]);
}

static void fds_collect(struct bench_waiters *w)
{
	struct fds *f = w->priv;
	struct epoll_event ev[64];
	uint64_t value;
	int i, n;

	while (w->nr_told < w->n) {
		n = epoll_wait(f->epoll, ev, 64, -1);
		for (i = 0; i < n; i++) {
			if (read(ev[i].data.fd, &value, sizeof(value)) != sizeof(value))
				bench_die("read", -errno);
			bench_told(w);
		}
	}
}

const struct bench_method bench_eventfd = {
	.name = "an eventfd each, epoll", .open = eventfd_open, .close = fds_close,
	.arm = fds_arm, .wake = fds_wake, .collect = fds_collect,
};

const struct bench_method bench_pipe = {
	.name = "a pipe each, epoll", .open = pipe_open, .close = fds_close, .arm = fds_arm,
	.wake = fds_wake, .collect = fds_collect,
};

/* ---- a thread each, in futex(2) ------------------------------------------ */

static long futex(uint32_t *word, int op, uint32_t value)
{
	return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

struct helper {
	struct bench_waiters *w;
	const int *fd;		/* to pass it on, or NULL: it is the waiter */
};

static void *helper_run(void *arg)
{
	struct helper h = *(struct helper *)arg;
	struct fds *f = h.w->priv;
	uint32_t seen = 0;

	free(arg);
	for (;;) {
		while (__atomic_load_n(&f->word, __ATOMIC_SEQ_CST) == seen)
			futex(&f->word, FUTEX_WAIT, seen);
		seen = __atomic_load_n(&f->word, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&f->over, __ATOMIC_SEQ_CST))
			return NULL;
		if (h.fd)
			fds_tell(h.fd);
		else
			bench_told(h.w);
	}
}

static int helpers_start(struct bench_waiters *w, bool pass_on)
{
	struct fds *f = w->priv;
	pthread_attr_t attr;

	f->thread = bench_calloc(w->n, sizeof(*f->thread));
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	for (; f->started < w->n; f->started++) {
		struct helper *h = bench_calloc(1, sizeof(*h));

		*h = (struct helper){ w, pass_on ? f->fd[f->started] : NULL };
		if (pthread_create(&f->thread[f->started], &attr, helper_run, h)) {
			free(h);
			w->why = "so many threads are not to be had here";
			break;
		}
	}
	pthread_attr_destroy(&attr);
	return f->started < w->n;
}

static int threads_open(struct bench_waiters *w)
{
	fds_new(w);
	return helpers_start(w, false);
}

static int helpers_open(struct bench_waiters *w)
{
	return fds_open(w, false) || helpers_start(w, true);
}

static void threads_close(struct bench_waiters *w)
{
	struct fds *f = w->priv;
	unsigned int i;

	__atomic_store_n(&f->over, true, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&f->word, 1, __ATOMIC_SEQ_CST);
	futex(&f->word, FUTEX_WAKE, INT_MAX);
	for (i = 0; i < f->started; i++)
		pthread_join(f->thread[i], NULL);
	fds_close(w);
}

static void threads_wake(struct bench_waiters *w)
{
	futex(w->word, FUTEX_WAKE, INT_MAX);
}

static void threads_collect(struct bench_waiters *w)
{
	while (w->nr_told < w->n)
		usleep(200);
}

const struct bench_method bench_threads = {
	.name = "a thread each, futex", .asleep_us = 20000, .open = threads_open,
	.close = threads_close, .arm = fds_arm, .wake = threads_wake,
	.collect = threads_collect,
};

const struct bench_method bench_helpers = {
	.name = "ancestor: thread and eventfd", .asleep_us = 20000, .open = helpers_open,
	.close = threads_close, .arm = fds_arm, .wake = threads_wake,
	.collect = fds_collect,
};

/* ---- io_uring ------------------------------------------------------------ */

#define OP_FUTEX_WAIT	51	/* Linux 6.7; not in the headers of Debian 12 */
#define FUTEX2_U32	0x02
#define FUTEX2_PRIVATE_	128

struct uring {
	uint32_t word;
	bool open;
	struct io_uring ring;
};

static int uring_arm_one(struct uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (!sqe) {
		io_uring_submit(&u->ring);
		sqe = io_uring_get_sqe(&u->ring);
	}
	if (!sqe)
		return -EAGAIN;
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = OP_FUTEX_WAIT;
	sqe->fd = FUTEX2_U32 | FUTEX2_PRIVATE_;
	sqe->addr = (uintptr_t)&u->word;
	sqe->off = u->word;
	sqe->addr3 = UINT32_MAX;
	return 0;
}

static int uring_open(struct bench_waiters *w)
{
	struct io_uring_params params = { .flags = IORING_SETUP_CQSIZE };
	struct uring *u = bench_calloc(1, sizeof(*u));
	struct io_uring_cqe *cqe;
	int err;

	w->priv = u;
	w->word = &u->word;
	w->why = "this kernel has no futex in io_uring (Linux 6.7)";
	params.cq_entries = w->n > 64 ? 2 * w->n : 128;
	if (io_uring_queue_init_params(64, &u->ring, &params))
		return -1;
	u->open = true;
	/* does it wait? one that finds another value ends at once, with EAGAIN */
	uring_arm_one(u);
	u->word++;
	io_uring_submit_and_wait(&u->ring, 1);
	if (io_uring_peek_cqe(&u->ring, &cqe))
		return -1;
	err = cqe->res;
	io_uring_cqe_seen(&u->ring, cqe);
	return err != -EAGAIN;
}

static void uring_close(struct bench_waiters *w)
{
	struct uring *u = w->priv;

	if (u->open)
		io_uring_queue_exit(&u->ring);
	free(u);
}

static void uring_arm(struct bench_waiters *w)
{
	struct uring *u = w->priv;
	unsigned int i;

	for (i = 0; i < w->n; i++)
		if (uring_arm_one(u))
			bench_die("io_uring_get_sqe", -EAGAIN);
	io_uring_submit(&u->ring);
}

static void uring_collect(struct bench_waiters *w)
{
	struct uring *u = w->priv;
	struct io_uring_cqe *cqe;

	while (w->nr_told < w->n) {
		if (io_uring_wait_cqe(&u->ring, &cqe))
			continue;
		if (cqe->res)
			bench_die("io_uring futex", cqe->res);
		io_uring_cqe_seen(&u->ring, cqe);
		bench_told(w);
	}
}

const struct bench_method bench_uring = {
	.name = "io_uring futex", .open = uring_open, .close = uring_close, .arm = uring_arm,
	.wake = threads_wake, .collect = uring_collect,
};
