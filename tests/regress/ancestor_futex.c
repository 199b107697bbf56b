// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ancestor's AsyncFutex: a u32 in shared memory, and an eventfd of the process
 * that its event loop watches. To wait: if the word has the expected value, futex(WAIT)
 * in the calling thread; then, in any case, until the eventfd is readable, which nobody
 * ever reads. To wake n: futex(WAKE) with n as an int, for which the kernel takes 0 and
 * negative numbers as 1; then a write to the caller's own eventfd. To drop it: the
 * number is closed, and only then does the loop forget it.
 */
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "futex.h"
#include "world.h"

#define MOST	8

/* A thread in futex(WAIT), or past it. */
struct sleeper {
	struct ancestor *of;
	unsigned int expected;
	bool in_futex, woken;
	bool ended;
	struct actor actor;
	bool started;
};

struct ancestor {
	unsigned int word;
	bool readable[2];	/* the eventfd of each process */
	struct sleeper sleeper[MOST];
	unsigned int n;
};

static void *open_futex(void)
{
	return calloc(1, sizeof(struct ancestor));
}

static void close_futex(void *obj)
{
	free(obj);
}

static void set_word(void *obj, unsigned int value)
{
	struct ancestor *a = obj;

	world_lock();
	a->word = value;
	world_unlock();
}

static bool is_out(void *arg)
{
	return ((struct sleeper *)arg)->woken;
}

/* futex(WAIT). Return: false: for ever. */
static bool futex_wait(struct sleeper *s)
{
	bool out = true;

	world_lock();
	if (s->of->word == s->expected) {
		s->in_futex = true;
		/* who waits for that is told */
		world_unlock();
		world_lock();
		out = world_await(is_out, s);
		s->in_futex = false;
	}
	world_unlock();
	return out;
}

static bool is_readable(void *arg)
{
	return ((struct ancestor *)arg)->readable[0];
}

/* The loop polls the eventfd. */
static void loop(struct sleeper *s)
{
	world_lock();
	s->ended = world_await(is_readable, s->of);
	world_unlock();
}

static struct sleeper *sleeper_new(struct ancestor *a, unsigned int expected)
{
	struct sleeper *s = &a->sleeper[a->n++];

	s->of = a;
	s->expected = expected;
	return s;
}

static int wait_here(void *obj, unsigned int expected)
{
	return futex_wait(sleeper_new(obj, expected)) ? 0 : HANGS;
}

static void executor(void *arg)
{
	struct sleeper *s = arg;

	if (futex_wait(s))
		loop(s);
}

static bool all_asleep(void *arg)
{
	struct ancestor *a = arg;
	unsigned int i;

	for (i = 0; i < a->n; i++)
		if (a->sleeper[i].started && !a->sleeper[i].in_futex)
			return false;
	return true;
}

static void wait_others(void *obj, unsigned int n, unsigned int expected)
{
	struct ancestor *a = obj;

	while (n--) {
		struct sleeper *s = sleeper_new(a, expected);

		s->started = true;
		actor_start(&s->actor, executor, s);
	}
	world_lock();
	world_await(all_asleep, a);
	world_unlock();
}

/* They leave the futex; nobody goes back. */
static void interrupt(void *obj)
{
	struct ancestor *a = obj;
	unsigned int i;

	world_lock();
	for (i = 0; i < a->n; i++)
		a->sleeper[i].woken = true;
	world_unlock();
}

static void wake(void *obj, int process, unsigned int n)
{
	struct ancestor *a = obj;
	int left = (int)n, i = 0;

	world_lock();
	do {
		while (i < (int)a->n && (!a->sleeper[i].in_futex || a->sleeper[i].woken))
			i++;
		if (i < (int)a->n)
			a->sleeper[i].woken = true;
	} while (--left > 0);
	a->readable[process] = true;
	world_unlock();
}

static unsigned int ended(void *obj)
{
	struct ancestor *a = obj;
	unsigned int i, n = 0;

	for (i = 0; i < a->n; i++) {
		if (a->sleeper[i].started)
			actor_join(&a->sleeper[i].actor);
		else
			loop(&a->sleeper[i]);
		n += a->sleeper[i].ended;
	}
	return n;
}

static void drop(void *obj, int epoll)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	(void)obj;
	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev);
	close(fd);
	point(POINT_CLOSED);
	epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
}

const struct futex_subject ancestor_futex = {
	.base = { .name = "AsyncFutex", .open = open_futex, .close = close_futex },
	.set = set_word,
	.wait = wait_here,
	.wait_others = wait_others,
	.interrupt = interrupt,
	.wake = wake,
	.ended = ended,
	.drop = drop,
};
