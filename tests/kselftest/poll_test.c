// SPDX-License-Identifier: GPL-2.0-only
/* K6: every way to poll, on both kinds of fd, level-triggered. */
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <linux/io_uring.h>

#include "kselftest_harness.h"
#include "remote.h"

/*
 * A way to poll: 0 if nothing happens within the time, or EPOLL* bits. What
 * select() says is in, is EPOLLIN here.
 */
struct poller {
	int fd;			/* of the poller itself */
	int (*open)(struct poller *p, int fd);
	int (*poll)(struct poller *p, int fd, int timeout_ms);
	bool armed;
	struct io_uring_params params;
	void *ring;
	struct io_uring_sqe *sqes;
};

static int epoll_open(struct poller *p, int fd)
{
	struct epoll_event e = { .events = EPOLLIN };

	p->fd = epoll_create1(EPOLL_CLOEXEC);
	return epoll_ctl(p->fd, EPOLL_CTL_ADD, fd, &e);
}

static int epoll_poll(struct poller *p, int fd, int timeout_ms)
{
	struct epoll_event e;

	(void)fd;
	return epoll_wait(p->fd, &e, 1, timeout_ms) == 1 ? (int)e.events : 0;
}

static int plain_open(struct poller *p, int fd)
{
	(void)fd;
	p->fd = -1;
	return 0;
}

static int poll_poll(struct poller *p, int fd, int timeout_ms)
{
	(void)p;
	return alz_poll(fd, timeout_ms);
}

static int select_poll(struct poller *p, int fd, int timeout_ms)
{
	struct timeval t = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };
	fd_set in;

	(void)p;
	FD_ZERO(&in);
	FD_SET(fd, &in);
	return select(fd + 1, &in, NULL, NULL, &t) == 1 ? EPOLLIN : 0;
}

static int uring_open(struct poller *p, int fd)
{
	struct io_uring_params *params = &p->params;
	size_t size;

	(void)fd;
	p->fd = syscall(__NR_io_uring_setup, 4, params);
	if (p->fd < 0)
		return -errno;
	if (!(params->features & IORING_FEAT_SINGLE_MMAP))
		return -ENOSYS;
	size = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
	if (size < params->sq_off.array + params->sq_entries * sizeof(__u32))
		size = params->sq_off.array + params->sq_entries * sizeof(__u32);
	p->ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd,
		       IORING_OFF_SQ_RING);
	p->sqes = mmap(NULL, params->sq_entries * sizeof(*p->sqes),
		       PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, IORING_OFF_SQES);
	return p->ring == MAP_FAILED || p->sqes == MAP_FAILED ? -errno : 0;
}

/* One POLL_ADD at a time, which stays armed when the time runs out. */
static int uring_poll(struct poller *p, int fd, int timeout_ms)
{
	struct io_uring_params *params = &p->params;
	char *ring = p->ring;
	__u32 *sq_tail = (void *)(ring + params->sq_off.tail);
	__u32 *sq_array = (void *)(ring + params->sq_off.array);
	__u32 *cq_head = (void *)(ring + params->cq_off.head);
	__u32 *cq_tail = (void *)(ring + params->cq_off.tail);
	struct io_uring_cqe *cqes = (void *)(ring + params->cq_off.cqes), *cqe;
	__u32 index = *sq_tail & (params->sq_entries - 1);

	if (!p->armed) {
		p->sqes[index] = (struct io_uring_sqe) {
			.opcode = IORING_OP_POLL_ADD, .fd = fd, .poll32_events = EPOLLIN,
		};
		sq_array[index] = index;
		__atomic_store_n(sq_tail, *sq_tail + 1, __ATOMIC_RELEASE);
		if (syscall(__NR_io_uring_enter, p->fd, 1, 0, 0, NULL, 0) != 1)
			return -errno;
		p->armed = true;
	}
	if (!alz_poll(p->fd, timeout_ms))
		return 0;
	/* completions may wait for this task to enter the kernel */
	syscall(__NR_io_uring_enter, p->fd, 0, 0, IORING_ENTER_GETEVENTS, NULL, 0);
	if (*cq_head == __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE))
		return 0;
	cqe = &cqes[*cq_head & (params->cq_entries - 1)];
	__atomic_store_n(cq_head, *cq_head + 1, __ATOMIC_RELEASE);
	p->armed = false;
	return cqe->res;
}

FIXTURE(poll) {
	struct alz a;		/* makes the value */
	struct alz b;		/* waits */
	struct poller p;
	int fd;			/* client's or a wait's */
	struct asynclazy_claim c;
	struct asynclazy_event e[4];
	__u64 ticket;
};

FIXTURE_VARIANT(poll) {
	bool per_wait;
	int (*open)(struct poller *p, int fd);
	int (*poll)(struct poller *p, int fd, int timeout_ms);
};

#define WAY(name, of_wait, open_fn, poll_fn)				\
	FIXTURE_VARIANT_ADD(poll, name) {				\
		.per_wait = of_wait, .open = open_fn, .poll = poll_fn,	\
	}

WAY(epoll_client, false, epoll_open, epoll_poll);
WAY(epoll_wait, true, epoll_open, epoll_poll);
WAY(poll_client, false, plain_open, poll_poll);
WAY(poll_wait, true, plain_open, poll_poll);
WAY(select_client, false, plain_open, select_poll);
WAY(select_wait, true, plain_open, select_poll);
WAY(uring_client, false, uring_open, uring_poll);
WAY(uring_wait, true, uring_open, uring_poll);

#define POLL(timeout) variant->poll(&self->p, self->fd, timeout)

FIXTURE_SETUP(poll)
{
	int err;

	ASSERT_EQ(0, alz_setup(&self->a, 1000, 1 << 20));
	ASSERT_EQ(0, alz_join(&self->b, self->a.cache));
	self->ticket = alz_ticket(&self->a, "k");
	if (variant->per_wait) {
		self->fd = alz_waitfd(&self->b, "k", INIT, 1);
	} else {
		ASSERT_EQ(0, alz_claim_event(&self->b, "k", INIT | EVENT, 1, &self->c));
		self->fd = self->b.client;
	}
	ASSERT_LE(0, self->fd);
	err = variant->open(&self->p, self->fd);
	if (err == -ENOSYS || err == -EPERM)
		SKIP(return, "io_uring is not to be had here");
	ASSERT_EQ(0, err);
}

FIXTURE_TEARDOWN(poll)
{
	alz_leave(&self->b);
	alz_leave(&self->a);
}

/* The bits that this way to poll can show. */
static int seen(const FIXTURE_VARIANT(poll) *variant, int bits)
{
	return variant->poll == select_poll ? bits & EPOLLIN : bits;
}

TEST_F(poll, sleeps_until_the_value_is_there)		/* K6 */
{
	EXPECT_EQ(0, POLL(0));
	EXPECT_EQ(0, POLL(ALZ_QUIET_MS));
	/* other keys do not matter */
	EXPECT_EQ(0, alz_set(&self->a, "other", "value"));
	EXPECT_EQ(0, POLL(0));
	ASSERT_EQ(0, alz_publish(&self->a, self->ticket, "value"));
	EXPECT_EQ(EPOLLIN, POLL(ALZ_SOON_MS));
}

TEST_F(poll, stays_ready_while_the_event_is_unread)	/* K6: a level, no edge */
{
	int i;

	ASSERT_EQ(0, alz_publish(&self->a, self->ticket, "value"));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(EPOLLIN, POLL(ALZ_SOON_MS));
	ASSERT_EQ(64, read(self->fd, self->e, 64));
	if (variant->per_wait) {
		EXPECT_EQ(EPOLLIN, POLL(ALZ_SOON_MS));
	} else {
		EXPECT_EQ(0, POLL(0));
	}
}

TEST_F(poll, is_ready_at_once_when_it_starts_late)	/* K6 */
{
	struct poller late = { 0 };

	ASSERT_EQ(0, alz_publish(&self->a, self->ticket, "value"));
	ASSERT_EQ(0, variant->open(&late, self->fd));
	EXPECT_EQ(EPOLLIN, variant->poll(&late, self->fd, ALZ_SOON_MS));
}

/* Wait until a process with one thread sleeps. Return: whether it did in time. */
static bool asleep(pid_t pid)
{
	__u64 until = alz_now() + ALZ_SOON_MS * ALZ_MSEC;
	char path[32], state;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	do {
		state = 0;
		f = fopen(path, "r");
		if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
			state = 0;
		if (f)
			fclose(f);
		sched_yield();
	} while (state != 'S' && alz_now() < until);
	return state == 'S';
}

TEST_F(poll, wakes_up_from_sleep)			/* K6 */
{
	int socket;
	pid_t pid = peer_fork(&socket);

	if (!pid) {
		struct asynclazy_claim c;
		struct alz peer;
		__u64 word;

		if (alz_join(&peer, self->a.cache) || peer_hear(socket, &word, ALZ_SOON_MS) ||
		    !asleep(getppid()) ||
		    alz_claim(&peer, "k", 0, &c) || alz_set(&peer, "k", "value"))
			_exit(1);
		_exit(0);
	}
	ASSERT_EQ(0, peer_say(socket, 1));
	EXPECT_EQ(EPOLLIN, POLL(ALZ_SOON_MS));
	EXPECT_EQ(0, peer_reap(pid));
}

TEST_F(poll, an_error_is_readable_too)			/* K6, K9 */
{
	int bits = variant->per_wait ? EPOLLIN | EPOLLERR : EPOLLIN;

	ASSERT_EQ(0, alz_fail(&self->a, self->ticket, EIO, TRANSIENT, 0, "why"));
	EXPECT_EQ(seen(variant, bits), POLL(ALZ_SOON_MS));
	ASSERT_EQ(64, read(self->fd, self->e, 64));
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->e[0].result);
	EXPECT_EQ(EIO, self->e[0].error);
}

TEST_F(poll, a_ticket_makes_it_ready)			/* K6 */
{
	ASSERT_EQ(0, alz_abandon(&self->a, self->ticket));
	EXPECT_EQ(EPOLLIN, POLL(ALZ_SOON_MS));
	ASSERT_EQ(64, read(self->fd, self->e, 64));
	EXPECT_EQ(ASYNCLAZY_RESULT_TICKET, self->e[0].result);
}

TEST_F(poll, the_next_event_makes_it_ready_again)	/* K6 */
{
	__u64 ticket;
	int i;

	if (variant->per_wait)
		SKIP(return, "one event is all that a wait has");
	ASSERT_EQ(0, alz_publish(&self->a, self->ticket, "value"));
	EXPECT_EQ(EPOLLIN, POLL(ALZ_SOON_MS));
	ASSERT_EQ(64, read(self->fd, self->e, 64));
	for (i = 0; i < 10; i++) {
		char key[16];

		snprintf(key, sizeof(key), "k%d", i);
		ticket = alz_ticket(&self->a, key);
		ASSERT_EQ(0, alz_claim_event(&self->b, key, EVENT, i, &self->c));
		EXPECT_EQ(0, POLL(0));
		ASSERT_EQ(0, alz_publish(&self->a, ticket, "value"));
		EXPECT_EQ(EPOLLIN, POLL(ALZ_SOON_MS));
		ASSERT_EQ(64, read(self->fd, self->e, 64));
		EXPECT_EQ(i, self->e[0].cookie);
	}
}

TEST_HARNESS_MAIN
