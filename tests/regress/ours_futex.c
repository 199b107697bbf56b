// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ours, over libasynclazy: a word of a cache that is open twice, as in two processes. On
 * the kernel backend the other one is one; the local backend has one process only.
 */
#include <asynclazy.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "futex.h"
#include "world.h"

struct ours {
	char name[64];
	struct alazy_cache *process[2];
	unsigned int ended;
};

static struct alazy_cache *open_one(const char *name)
{
	struct alazy_cache *cache = alazy_cache_open(name, NULL);

	if (!cache) {
		perror("alazy_cache_open");
		exit(2);
	}
	return cache;
}

static void *open_ours(void)
{
	struct ours *o = calloc(1, sizeof(*o));

	if (!o)
		exit(2);
	snprintf(o->name, sizeof(o->name), "regress-%d", getpid());
	o->process[0] = open_one(o->name);
	o->process[1] = open_one(o->name);
	return o;
}

static void close_ours(void *obj)
{
	struct ours *o = obj;

	alazy_cache_close(o->process[0]);
	alazy_cache_close(o->process[1]);
	alazy_cache_unlink(o->name, ALAZY_BACKEND_AUTO);
	free(o);
}

static uint32_t *word(struct ours *o, int process)
{
	return alazy_word(o->process[process], 0);
}

static void set_word(void *obj, unsigned int value)
{
	__atomic_store_n(word(obj, 0), value, __ATOMIC_SEQ_CST);
}

static void on_woken(int err, size_t index, void *ctx)
{
	struct ours *o = ctx;

	(void)index;
	o->ended += !err;
}

static int wait_here(void *obj, unsigned int expected)
{
	struct ours *o = obj;
	struct alazy_futex f = { .word = word(o, 0), .expected = expected };
	int err = alazy_futex_wait_async(o->process[0], &f, 1, on_woken, o, NULL, NULL);

	/* it differs: known at once */
	if (err == -EAGAIN)
		o->ended++;
	return err == -EAGAIN ? 0 : err;
}

static void wait_others(void *obj, unsigned int n, unsigned int expected)
{
	while (n--)
		if (wait_here(obj, expected))
			abort();
}

static void on_signal(int sig)
{
	(void)sig;
}

static void interrupt(void *obj)
{
	struct sigaction sa = { .sa_handler = on_signal };

	(void)obj;
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
}

/* In a process of its own. */
static void wake_from_another(const struct ours *o, unsigned int n)
{
	struct alazy_cache *cache;
	pid_t pid = fork();
	int status;

	if (!pid) {
		cache = alazy_cache_open(o->name, NULL);
		if (!cache)
			_exit(1);
		_exit(alazy_futex_wake(cache, alazy_word(cache, 0), n) < 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		abort();
}

static void wake(void *obj, int process, unsigned int n)
{
	struct ours *o = obj;

	if (process && ours_on_kernel())
		wake_from_another(o, n);
	else if (alazy_futex_wake(o->process[process], word(o, process), n) < 0)
		abort();
}

static unsigned int ended(void *obj)
{
	struct ours *o = obj;

	if (alazy_dispatch(o->process[0]) < 0)
		abort();
	return o->ended;
}

static void drop(void *obj, int epoll)
{
	struct ours *o = obj;
	struct alazy_futex f = { .word = word(o, 0) };
	struct epoll_event ev = { .events = EPOLLIN };
	int fd = alazy_futex_wait_fd(o->process[0], &f, 1, NULL);

	if (fd < 0)
		abort();
	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev);
	close(fd);
	point(POINT_CLOSED);
	alazy_dispatch(o->process[0]);
}

const struct futex_subject our_futex = {
	.base = { .name = "libasynclazy", .open = open_ours, .close = close_ours },
	.set = set_word,
	.wait = wait_here,
	.wait_others = wait_others,
	.interrupt = interrupt,
	.wake = wake,
	.ended = ended,
	.drop = drop,
};
