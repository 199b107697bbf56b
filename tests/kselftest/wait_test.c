// SPDX-License-Identifier: GPL-2.0-only
/* K6: events of the client fd, and the fd of one wait. */
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "alz.h"

FIXTURE(wait) {
	struct alz a;		/* who makes the value, and waits on the side */
	struct alz b;		/* who waits */
	struct asynclazy_claim c;
	struct asynclazy_event e[16];
	struct alz_state before;
	__u64 ticket;
	char *page;		/* followed by one that cannot be touched */
};

FIXTURE_SETUP(wait)
{
	ASSERT_EQ(0, alz_setup(&self->a, 2000, 1 << 20));
	ASSERT_EQ(0, alz_join(&self->b, self->a.cache));
	self->ticket = alz_ticket(&self->a, "k");
	ASSERT_LT(0, self->ticket);
	self->page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->page);
	ASSERT_EQ(0, mprotect(self->page + 4096, 4096, PROT_NONE));
}

FIXTURE_TEARDOWN(wait)
{
	alz_leave(&self->b);
	alz_leave(&self->a);
}

static void set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

/*
 * The client fd
 */

TEST_F(wait, an_event_tells_the_outcome)		/* K6 */
{
	struct asynclazy_event *e = self->e;
	struct alz_found f;

	ASSERT_EQ(0, alz_claim_event(&self->b, "k", EVENT, 0x1122334455667788, &self->c));
	ASSERT_EQ(ASYNCLAZY_RESULT_PENDING, self->c.out_result);
	EXPECT_NE(0, self->c.out_generation);
	EXPECT_EQ(0, alz_poll(self->b.client, 0));
	ASSERT_EQ(0, alz_publish(&self->a, self->ticket, "value"));
	ASSERT_EQ(0, alz_event(&self->b, e));
	alz_find(&self->b, "k", 1, &f);
	EXPECT_EQ(0x1122334455667788, e->cookie);
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, e->result);
	EXPECT_EQ(0, e->error);
	EXPECT_EQ(f.record->generation, e->generation);
	EXPECT_EQ(self->c.out_generation, e->generation);
	EXPECT_EQ(f.offset, e->offset);
	EXPECT_EQ(0, e->ticket);
	EXPECT_EQ(0, e->attempt);
	EXPECT_EQ(0, e->flags);
	EXPECT_EQ(0, e->detail_size);
	EXPECT_EQ(0, e->pad);
	EXPECT_EQ(self->b.header->cache_id, e->cache_id);
	EXPECT_EQ(0, alz_poll(self->b.client, 0));
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
}

TEST_F(wait, reading_without_events_is_eagain_when_nonblocking)	/* K6 */
{
	set_nonblock(self->b.client, true);
	EXPECT_EQ(-1, read(self->b.client, self->e, sizeof(self->e)));
	EXPECT_EQ(EAGAIN, errno);
}

struct reader {
	int fd;
	ssize_t n;
	struct asynclazy_event e;
};

static void *read_one(void *arg)
{
	struct reader *r = arg;

	r->n = read(r->fd, &r->e, sizeof(r->e));
	return NULL;
}

TEST_F(wait, reading_blocks_until_an_event_comes)	/* K6 */
{
	struct reader r = { .fd = self->b.client };
	struct timespec soon;
	pthread_t thread;

	ASSERT_EQ(0, alz_claim_event(&self->b, "k", EVENT, 9, &self->c));
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_one, &r));
	clock_gettime(CLOCK_REALTIME, &soon);
	soon.tv_nsec += ALZ_QUIET_MS * ALZ_MSEC;
	soon.tv_sec += soon.tv_nsec / ALZ_SEC;
	soon.tv_nsec %= ALZ_SEC;
	EXPECT_EQ(ETIMEDOUT, pthread_timedjoin_np(thread, NULL, &soon));
	ASSERT_EQ(0, alz_publish(&self->a, self->ticket, "value"));
	soon.tv_sec += ALZ_SOON_MS / 1000;
	ASSERT_EQ(0, pthread_timedjoin_np(thread, NULL, &soon));
	EXPECT_EQ(sizeof(r.e), r.n);
	EXPECT_EQ(9, r.e.cookie);
}

static void nothing(int signal)
{
	(void)signal;
}

TEST_F(wait, a_signal_interrupts_a_blocked_read)	/* K6 */
{
	struct itimerspec at = { .it_value.tv_nsec = 20 * ALZ_MSEC,
				 .it_interval.tv_nsec = 20 * ALZ_MSEC };
	struct sigevent sig = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct sigaction act = { .sa_handler = nothing };
	timer_t timer;

	ASSERT_EQ(0, sigaction(SIGUSR1, &act, NULL));
	ASSERT_EQ(0, timer_create(CLOCK_MONOTONIC, &sig, &timer));
	ASSERT_EQ(0, timer_settime(timer, 0, &at, NULL));
	EXPECT_EQ(-1, read(self->b.client, self->e, sizeof(self->e)));
	EXPECT_EQ(EINTR, errno);
	timer_delete(timer);
}

TEST_F(wait, events_come_whole_and_in_order)		/* K6 */
{
	char key[16], *at = (char *)self->e;
	struct iovec parts[3] = {
		{ at, 10 }, { at + 10, 100 }, { at + 110, 82 + 63 },
	};
	int i;

	for (i = 0; i < 10; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ASSERT_LT(0, alz_ticket(&self->a, key));
		ASSERT_EQ(0, alz_claim_event(&self->b, key, EVENT, i, &self->c));
	}
	for (i = 9; i >= 0; i--) {
		snprintf(key, sizeof(key), "k%d", i);
		ASSERT_EQ(0, alz_set(&self->a, key, "value"));
	}
	/* too small a buffer takes nothing */
	alz_snapshot(&self->a, &self->before);
	for (i = 0; i < 64; i += 21) {
		EXPECT_EQ(-1, read(self->b.client, self->e, i)) TH_LOG("%d bytes", i);
		EXPECT_EQ(EINVAL, errno);
	}
	EXPECT_TRUE(alz_unchanged(&self->a, &self->before));
	EXPECT_EQ(64, read(self->b.client, self->e, 64));
	EXPECT_EQ(9, self->e[0].cookie);
	EXPECT_EQ(128, read(self->b.client, self->e, 191));
	EXPECT_EQ(8, self->e[0].cookie);
	EXPECT_EQ(7, self->e[1].cookie);
	EXPECT_EQ(192, readv(self->b.client, parts, 3));
	EXPECT_EQ(6, self->e[0].cookie);
	EXPECT_EQ(4, self->e[2].cookie);
	EXPECT_EQ(256, read(self->b.client, self->e, sizeof(self->e)));
	EXPECT_EQ(0, self->e[3].cookie);
	EXPECT_EQ(0, alz_poll(self->b.client, 0));
}

TEST_F(wait, one_fd_for_many_waits)			/* K7 */
{
	static struct asynclazy_event events[1000];
	char key[16];
	int i;

	for (i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ASSERT_LT(0, alz_ticket(&self->a, key));
		ASSERT_EQ(0, alz_claim_event(&self->b, key, EVENT, i, &self->c));
	}
	EXPECT_EQ(0, alz_poll(self->b.client, ALZ_QUIET_MS));
	for (i = 0; i < 10; i++) {
		snprintf(key, sizeof(key), "k%d", i * 97);
		ASSERT_EQ(0, alz_set(&self->a, key, "value"));
	}
	ASSERT_EQ(10, alz_events(&self->b, events, 1000, ALZ_SOON_MS));
	for (i = 0; i < 10; i++)
		EXPECT_EQ(i * 97, events[i].cookie);
	EXPECT_EQ(0, alz_poll(self->b.client, 0));
	EXPECT_TRUE(alz_await_waits(&self->a, 990));
}

TEST_F(wait, a_cookie_is_used_once_at_a_time)		/* K6 */
{
	ASSERT_LT(0, alz_ticket(&self->a, "other"));
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", EVENT, 5, &self->c));
	alz_snapshot(&self->a, &self->before);
	EXPECT_EQ(-EEXIST, alz_claim_event(&self->b, "k", EVENT, 5, &self->c));
	EXPECT_EQ(-EEXIST, alz_claim_event(&self->b, "other", INIT | EVENT, 5, &self->c));
	EXPECT_TRUE(alz_unchanged(&self->a, &self->before));
	/* another client's cookies, and those of FD waits, are its own business */
	EXPECT_EQ(0, alz_claim_event(&self->a, "k", EVENT, 5, &self->c));
	EXPECT_LE(0, alz_waitfd(&self->b, "k", 0, 5));
	ASSERT_EQ(0, alz_publish(&self->a, self->ticket, "value"));
	/* an unread event still has it */
	EXPECT_EQ(-EEXIST, alz_claim_event(&self->b, "other", EVENT, 5, &self->c));
	ASSERT_EQ(0, alz_event(&self->b, self->e));
	EXPECT_EQ(0, alz_claim_event(&self->b, "other", EVENT, 5, &self->c));
}

TEST_F(wait, a_cookie_in_use_costs_no_ticket)		/* K6 */
{
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", EVENT, 5, &self->c));
	alz_snapshot(&self->a, &self->before);
	EXPECT_EQ(-EEXIST, alz_claim_event(&self->b, "new", INIT | EVENT | FOLLOW, 5, &self->c));
	EXPECT_TRUE(alz_unchanged(&self->a, &self->before));
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "new"));
}

TEST_F(wait, cancel_takes_a_wait_back)			/* K6, I10 */
{
	int i;

	EXPECT_EQ(-ENOENT, alz_cancel(&self->b, 1));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, alz_claim_event(&self->b, "k", EVENT, i, &self->c));
	EXPECT_EQ(-ENOENT, alz_cancel(&self->a, 1));
	EXPECT_EQ(0, alz_cancel(&self->b, 1));
	EXPECT_EQ(-ENOENT, alz_cancel(&self->b, 1));
	EXPECT_TRUE(alz_await_waits(&self->a, 2));
	ASSERT_EQ(0, alz_publish(&self->a, self->ticket, "value"));
	/* one whose event is there, unread */
	EXPECT_EQ(0, alz_cancel(&self->b, 0));
	ASSERT_EQ(1, alz_events(&self->b, self->e, 16, ALZ_SOON_MS));
	EXPECT_EQ(2, self->e[0].cookie);
	EXPECT_EQ(-ENOENT, alz_cancel(&self->b, 2));
	EXPECT_EQ(0, alz_poll(self->b.client, 0));
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
}

TEST_F(wait, cancelling_the_last_event_makes_the_fd_quiet)	/* K6 */
{
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_publish(&self->a, self->ticket, "value"));
	EXPECT_EQ(POLLIN, alz_poll(self->b.client, ALZ_SOON_MS));
	EXPECT_EQ(0, alz_cancel(&self->b, 1));
	EXPECT_EQ(0, alz_poll(self->b.client, 0));
	set_nonblock(self->b.client, true);
	EXPECT_EQ(-1, read(self->b.client, self->e, sizeof(self->e)));
	EXPECT_EQ(EAGAIN, errno);
}

TEST_F(wait, an_event_that_cannot_be_copied_is_not_lost)	/* K6 */
{
	char *cut = self->page + 4096 - 32;

	ASSERT_EQ(0, alz_claim_event(&self->b, "k", EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_publish(&self->a, self->ticket, "value"));
	EXPECT_EQ(-1, read(self->b.client, cut, 64));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, read(self->b.client, self->page + 4096, 64));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(POLLIN, alz_poll(self->b.client, 0));
	ASSERT_EQ(0, alz_event(&self->b, self->e));
	EXPECT_EQ(1, self->e[0].cookie);
}

TEST_F(wait, a_ticket_that_cannot_be_copied_is_not_lost)	/* K6 */
{
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", INIT | EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_abandon(&self->a, self->ticket));
	EXPECT_EQ(-1, read(self->b.client, self->page + 4096, 64));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(0, alz_event(&self->b, self->e));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->e[0].result);
	EXPECT_EQ(0, alz_publish(&self->b, self->e[0].ticket, "value"));
}

TEST_F(wait, the_fds_are_not_files_to_seek_or_write)	/* K6 */
{
	int fd = alz_waitfd(&self->b, "k", 0, 1);
	int fds[] = { self->b.client, fd };
	char path[64], text[4096];
	int i, info;

	ASSERT_LE(0, fd);
	for (i = 0; i < 2; i++) {
		off_t at = lseek(fds[i], 1, SEEK_SET);

		/* refused, or without effect */
		EXPECT_TRUE(at == 0 || (at == -1 && errno == ESPIPE)) TH_LOG("%ld", (long)at);
		EXPECT_EQ(-1, pread(fds[i], text, 64, 0));
		EXPECT_EQ(ESPIPE, errno);
		EXPECT_EQ(-1, write(fds[i], text, 64));
		EXPECT_TRUE(errno == EINVAL || errno == EBADF);
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fds[i]);
		info = open(path, O_RDONLY | O_CLOEXEC);
		EXPECT_LT(0, read(info, text, sizeof(text)));
		close(info);
	}
}

/*
 * FOLLOW: the owner asks to be told, too
 */

TEST_F(wait, the_owner_follows_its_own_flight)		/* K6 */
{
	ASSERT_EQ(0, alz_claim_event(&self->b, "new", INIT | EVENT | FOLLOW, 1, &self->c));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
	EXPECT_TRUE(alz_await_waits(&self->a, 1));
	EXPECT_EQ(0, alz_poll(self->b.client, 0));
	ASSERT_EQ(0, alz_publish(&self->b, self->c.out_ticket, "value"));
	ASSERT_EQ(0, alz_event(&self->b, self->e));
	EXPECT_EQ(1, self->e[0].cookie);
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->e[0].result);
	EXPECT_TRUE(alz_value_at(&self->b, self->e[0].offset, "value"));
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
}

TEST_F(wait, the_owner_follows_its_own_failure)		/* K6 */
{
	ASSERT_EQ(0, alz_claim_event(&self->b, "new", INIT | EVENT | FOLLOW, 1, &self->c));
	ASSERT_EQ(0, alz_fail(&self->b, self->c.out_ticket, EIO, TRANSIENT, 0, NULL));
	ASSERT_EQ(0, alz_event(&self->b, self->e));
	EXPECT_EQ(1, self->e[0].cookie);
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->e[0].result);
	EXPECT_EQ(EIO, self->e[0].error);
}

TEST_F(wait, following_goes_on_after_an_offer)		/* K6 */
{
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", INIT | EVENT | FOLLOW, 1, &self->c));
	ASSERT_EQ(ASYNCLAZY_RESULT_PENDING, self->c.out_result);
	ASSERT_EQ(0, alz_abandon(&self->a, self->ticket));
	ASSERT_EQ(0, alz_event(&self->b, self->e));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->e[0].result);
	EXPECT_EQ(0, alz_poll(self->b.client, 0));
	ASSERT_EQ(0, alz_publish(&self->b, self->e[0].ticket, "value"));
	ASSERT_EQ(0, alz_event(&self->b, self->e));
	EXPECT_EQ(1, self->e[0].cookie);
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->e[0].result);
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
}

TEST_F(wait, following_an_abandoned_flight_is_cancelled)	/* K6 */
{
	ASSERT_EQ(0, alz_claim_event(&self->b, "new", INIT | EVENT | FOLLOW, 1, &self->c));
	ASSERT_EQ(0, alz_abandon(&self->b, self->c.out_ticket));
	ASSERT_EQ(0, alz_event(&self->b, self->e));
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->e[0].result);
	EXPECT_EQ(ECANCELED, self->e[0].error);
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "new"));
}

/* What the kernel's allocator holds, in KiB. */
static long slab(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[200];
	long kib = -1;

	while (f && kib < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "Slab: %ld", &kib);
	if (f)
		fclose(f);
	return kib;
}

TEST_F(wait, an_unread_event_keeps_no_key)		/* K6, K13 */
{
	int i, n = alz_full() ? 50000 : 5000;
	static char key[ASYNCLAZY_KEY_MAX];
	struct asynclazy_stats s;
	struct alz small;
	long before;

	if (alz_debug_kernel())
		SKIP(return, "a debug kernel keeps freed memory back");
	memset(key, 'k', sizeof(key));
	ASSERT_EQ(0, alz_setup(&small, 14, 1 << 20));
	before = slab();
	ASSERT_LT(0, before);
	for (i = 0; i < n; i++) {
		memcpy(key, &i, sizeof(i));
		alz_claim_fill(&small, &self->c, key, sizeof(key), INIT | EVENT | FOLLOW);
		self->c.cookie = i;
		ASSERT_EQ(0, alz_claim_raw(&small, &self->c));
		ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
		ASSERT_EQ(0, alz_abandon(&small, self->c.out_ticket));
	}
	ASSERT_EQ(0, alz_stats(small.cache, &s));
	EXPECT_EQ(n, s.out_waits_now);
	EXPECT_GT(n, slab() - before) TH_LOG("%ld KiB before, now %ld", before, slab());
	for (i = 0; i < n; ) {
		int got = alz_events(&small, self->e, 16, ALZ_SOON_MS);

		ASSERT_LT(0, got);
		EXPECT_EQ(i, self->e[0].cookie);
		EXPECT_EQ(ECANCELED, self->e[0].error);
		i += got;
	}
	EXPECT_TRUE(alz_await_waits(&small, 0));
	alz_leave(&small);
}

/*
 * The fd of one wait
 */

TEST_F(wait, a_wait_fd_is_readable_for_ever)		/* K6 */
{
	int fd = alz_waitfd(&self->b, "k", 0, 42);
	int i;

	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(0, alz_poll(fd, ALZ_QUIET_MS));
	set_nonblock(fd, true);
	EXPECT_EQ(-1, read(fd, self->e, sizeof(self->e)));
	EXPECT_EQ(EAGAIN, errno);
	set_nonblock(fd, false);
	ASSERT_EQ(0, alz_publish(&self->a, self->ticket, "value"));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(POLLIN, alz_poll(fd, ALZ_SOON_MS));
		ASSERT_EQ(64, read(fd, self->e, sizeof(self->e)));
		EXPECT_EQ(42, self->e[0].cookie);
		EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->e[0].result);
		EXPECT_TRUE(alz_value_at(&self->b, self->e[0].offset, "value"));
		EXPECT_EQ(-1, read(fd, self->e, 63));
		EXPECT_EQ(EINVAL, errno);
		EXPECT_EQ(-1, read(fd, self->page + 4096, 64));
		EXPECT_EQ(EFAULT, errno);
	}
	EXPECT_EQ(0, alz_poll(self->b.client, 0));
	close(fd);
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
}

TEST_F(wait, reading_a_wait_fd_blocks)			/* K6 */
{
	struct reader r = { .fd = alz_waitfd(&self->b, "k", 0, 43) };
	struct timespec soon;
	pthread_t thread;

	ASSERT_LE(0, r.fd);
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_one, &r));
	clock_gettime(CLOCK_REALTIME, &soon);
	soon.tv_nsec += ALZ_QUIET_MS * ALZ_MSEC;
	soon.tv_sec += soon.tv_nsec / ALZ_SEC;
	soon.tv_nsec %= ALZ_SEC;
	EXPECT_EQ(ETIMEDOUT, pthread_timedjoin_np(thread, NULL, &soon));
	ASSERT_EQ(0, alz_publish(&self->a, self->ticket, "value"));
	soon.tv_sec += ALZ_SOON_MS / 1000;
	ASSERT_EQ(0, pthread_timedjoin_np(thread, NULL, &soon));
	EXPECT_EQ(sizeof(r.e), r.n);
	EXPECT_EQ(43, r.e.cookie);
}

TEST_F(wait, a_failed_wait_fd_has_the_text)		/* K6, K9 */
{
	int fd = alz_waitfd(&self->b, "k", 0, 1);
	char text[64 + 32];
	int i;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, alz_fail(&self->a, self->ticket, ENOMEDIUM, TRANSIENT, 0, "no disk"));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(POLLIN | POLLERR, alz_poll(fd, ALZ_SOON_MS));
		memset(text, ALZ_POISON, sizeof(text));
		ASSERT_EQ(64 + 7, read(fd, text, sizeof(text)));
		memcpy(self->e, text, 64);
		EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->e[0].result);
		EXPECT_EQ(ENOMEDIUM, self->e[0].error);
		EXPECT_EQ(7, self->e[0].detail_size);
		EXPECT_EQ(0, memcmp(text + 64, "no disk", 7));
		/* the event alone, or part of the text */
		EXPECT_EQ(64, read(fd, text, 64));
	}
	close(fd);
}

TEST_F(wait, closing_a_wait_fd_cancels)			/* K6, I10 */
{
	int fd = alz_waitfd(&self->b, "k", INIT, 1);
	int other = alz_waitfd(&self->b, "k", INIT, 2);

	ASSERT_LE(0, fd);
	ASSERT_LE(0, other);
	EXPECT_TRUE(alz_await_waits(&self->a, 2));
	close(fd);
	EXPECT_TRUE(alz_await_waits(&self->a, 1));
	ASSERT_EQ(0, alz_publish(&self->a, self->ticket, "value"));
	EXPECT_EQ(0, alz_read_waitfd(other, self->e, ALZ_SOON_MS));
	close(other);
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
}

TEST_F(wait, a_wait_fd_outlives_the_client_fd)		/* K6, I4 */
{
	int fd = alz_waitfd(&self->b, "k", INIT, 1);

	ASSERT_LE(0, fd);
	alz_leave(&self->b);
	/* the client may be gone, or be kept by it: either way the wait ends */
	ASSERT_EQ(0, alz_publish(&self->a, self->ticket, "value"));
	EXPECT_LT(0, alz_poll(fd, ALZ_SOON_MS));
	close(fd);
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
}

TEST_HARNESS_MAIN
