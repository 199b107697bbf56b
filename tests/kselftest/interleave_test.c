// SPDX-License-Identifier: GPL-2.0-only
/*
 * K6: random claims, ends, registrations and cancellations of several threads
 * in several processes; then everybody ends what he owns, and every wait must
 * come to its end. I3, I4.
 */
#include "kselftest_harness.h"
#include "remote.h"

#define PROCESSES	2
#define ASYNC		2	/* threads of each that never block */
#define BLOCKING	1	/* and that do */
#define KEYS		12
#define WAITS		32	/* events that a thread awaits at most */
#define TICKETS		8
#define FDS		8
#define LOST_MS		30000

struct shared {
	_Atomic long left;		/* operations to do */
	_Atomic long published, handed, cancelled, lost, wrong;
};

struct actor {
	struct shared *all;
	struct alz a;
	__u64 random;
	__u64 ticket[TICKETS];
	int tickets;
	struct {
		__u64 cookie;
		bool follow;
	} wait[WAITS];
	int waits;
	int fd[FDS];
	int fds;
	__u64 cookie;
};

static const char *random_key(struct actor *me)
{
	static const char *const keys[KEYS] = {
		"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l",
	};

	return keys[alz_rand(&me->random) % KEYS];
}

static void wrong(struct actor *me, const char *what, int err)
{
	fprintf(stderr, "# %s: %d\n", what, err);
	me->all->wrong++;
}

/* End a flight in one of the ways. That it is overtaken is no error. */
static void end_ticket(struct actor *me, __u64 ticket)
{
	__u64 how = alz_rand(&me->random) % 10;
	int err;

	if (how < 6) {
		err = alz_publish(&me->a, ticket, "some value");
		me->all->published += !err;
		if (err == -ENOSPC)
			how = 6;
	}
	if (how >= 6 && how < 8)
		err = alz_fail(&me->a, ticket, EIO, TRANSIENT, 0, how == 6 ? "why" : NULL);
	else if (how >= 8)
		err = alz_abandon(&me->a, ticket);
	if (err && err != -ESTALE)
		wrong(me, "end", err);
}

static void own(struct actor *me, __u64 ticket)
{
	if (me->tickets == TICKETS)
		end_ticket(me, me->ticket[--me->tickets]);
	me->ticket[me->tickets++] = ticket;
}

static void claim(struct actor *me)
{
	static const __u32 ways[] = {
		0, INIT, INIT, INIT | EVENT, INIT | EVENT, EVENT, INIT | EVENT | FOLLOW,
		INIT | WAITFD, WAITFD,
	};
	__u32 flags = ways[alz_rand(&me->random) % ARRAY_SIZE(ways)];
	const char *key = random_key(me);
	struct asynclazy_claim c;
	int err;

	if ((flags & EVENT && me->waits == WAITS) || (flags & WAITFD && me->fds == FDS))
		flags &= INIT;
	err = alz_claim_event(&me->a, key, flags, ++me->cookie, &c);
	if (err) {
		wrong(me, "claim", err);
		return;
	}
	if (c.out_result == ASYNCLAZY_RESULT_TICKET)
		own(me, c.out_ticket);
	if (c.out_result == ASYNCLAZY_RESULT_HIT && alz_rand(&me->random) % 2)
		alz_invalidate(&me->a, key, NULL);	/* so that more is in flight */
	if ((c.out_result == ASYNCLAZY_RESULT_PENDING && flags & EVENT) ||
	    (c.out_result == ASYNCLAZY_RESULT_TICKET && flags & FOLLOW)) {
		me->wait[me->waits].cookie = me->cookie;
		me->wait[me->waits++].follow = flags & FOLLOW;
	}
	if (c.out_result == ASYNCLAZY_RESULT_PENDING && flags & WAITFD)
		me->fd[me->fds++] = c.out_fd;
}

static void take_event(struct actor *me, const struct asynclazy_event *e)
{
	char text[16];
	__u32 size;
	int i;

	for (i = 0; i < me->waits && me->wait[i].cookie != e->cookie; i++)
		;
	if (i == me->waits) {
		wrong(me, "an event that nobody awaits", e->result);
		return;
	}
	if (e->result != ASYNCLAZY_RESULT_TICKET || !me->wait[i].follow)
		me->wait[i] = me->wait[--me->waits];
	if (e->result == ASYNCLAZY_RESULT_TICKET) {
		me->all->handed++;
		own(me, e->ticket);
	}
	if (e->flags & ASYNCLAZY_EVENT_DETAIL &&
	    (alz_fetch(&me->a, e->cookie, text, sizeof(text), &size) || size != 3))
		wrong(me, "fetch", size);
}

static void take_events(struct actor *me, int timeout_ms)
{
	struct asynclazy_event e[4];
	int i, n = alz_events(&me->a, e, 1 + alz_rand(&me->random) % 4, timeout_ms);

	for (i = 0; i < n; i++)
		take_event(me, &e[i]);
	if (n < 0 && n != -ETIMEDOUT)
		wrong(me, "read", n);
}

static void cancel(struct actor *me)
{
	int i, err;

	if (!me->waits)
		return;
	i = alz_rand(&me->random) % me->waits;
	err = alz_cancel(&me->a, me->wait[i].cookie);
	if (err)
		wrong(me, "cancel", err);
	me->wait[i] = me->wait[--me->waits];
	me->all->cancelled++;
}

/* Read one of the per-wait fds if it is ready, or just close it. */
static void take_fd(struct actor *me, int i, bool anyway)
{
	struct asynclazy_event e;
	int err = alz_read_waitfd(me->fd[i], &e, 0);

	if (err == -ETIMEDOUT && !anyway)
		return;
	if (err && err != -ETIMEDOUT)
		wrong(me, "read of a wait fd", err);
	close(me->fd[i]);
	me->fd[i] = me->fd[--me->fds];
	if (!err && e.result == ASYNCLAZY_RESULT_TICKET) {
		me->all->handed++;
		own(me, e.ticket);
	}
}

static void act(struct actor *me)
{
	__u64 what = alz_rand(&me->random) % 100;
	int err = 0;

	if (what < 45)
		claim(me);
	else if (what < 65 && me->tickets)
		end_ticket(me, me->ticket[--me->tickets]);
	else if (what < 80)
		take_events(me, 0);
	else if (what < 86 && me->fds)
		take_fd(me, alz_rand(&me->random) % me->fds, what == 85);
	else if (what < 90)
		cancel(me);
	else if (what < 98)
		err = alz_invalidate(&me->a, random_key(me), NULL);
	else
		err = alz_set(&me->a, random_key(me), "set");
	if (err && err != -ENOSPC)
		wrong(me, "act", err);
}

/* Own nothing any more, and be told of all that is awaited. */
static void finish(struct actor *me)
{
	__u64 until = alz_now() + LOST_MS * ALZ_MSEC;
	struct pollfd p[1 + FDS];
	int i, n;

	for (;;) {
		while (me->tickets)
			end_ticket(me, me->ticket[--me->tickets]);
		if (!me->waits && !me->fds)
			return;
		if (alz_now() > until) {
			fprintf(stderr, "# lost: %d events, %d wait fds\n", me->waits, me->fds);
			me->all->lost++;
			return;
		}
		p[0] = (struct pollfd) { .fd = me->waits ? me->a.client : -1, .events = POLLIN };
		for (i = 0; i < me->fds; i++)
			p[1 + i] = (struct pollfd) { .fd = me->fd[i], .events = POLLIN };
		n = poll(p, 1 + me->fds, 1000);
		if (n <= 0)
			continue;
		until = alz_now() + LOST_MS * ALZ_MSEC;
		if (p[0].revents)
			take_events(me, 0);
		for (i = me->fds - 1; i >= 0; i--)
			take_fd(me, i, false);
	}
}

static void *act_async(void *arg)
{
	struct actor *me = arg;

	while (me->all->left-- > 0)
		act(me);
	finish(me);
	return NULL;
}

static void *act_blocking(void *arg)
{
	struct actor *me = arg;
	struct asynclazy_claim c;

	while (me->all->left-- > 0) {
		const char *key = random_key(me);
		int err;

		alz_claim_fill(&me->a, &c, key, 1, INIT | BLOCK);
		c.deadline = alz_now() + LOST_MS * ALZ_MSEC;
		err = alz_claim_raw(&me->a, &c);
		if (err == -ETIMEDOUT)
			me->all->lost++;
		if (err)
			wrong(me, "blocking claim", err);
		else if (c.out_result == ASYNCLAZY_RESULT_TICKET)
			end_ticket(me, c.out_ticket);
		else if (c.out_result == ASYNCLAZY_RESULT_HIT && alz_rand(&me->random) % 2)
			alz_invalidate(&me->a, key, NULL);
	}
	return NULL;
}

static int process(int cache, struct shared *all, int number)
{
	static struct actor actor[ASYNC + BLOCKING];
	pthread_t thread[ASYNC + BLOCKING];
	int i;

	for (i = 0; i < ASYNC + BLOCKING; i++) {
		actor[i].all = all;
		actor[i].random = number * 100 + i;
		if (alz_join(&actor[i].a, cache) ||
		    pthread_create(&thread[i], NULL, i < ASYNC ? act_async : act_blocking,
				   &actor[i]))
			return 1;
	}
	for (i = 0; i < ASYNC + BLOCKING; i++)
		pthread_join(thread[i], NULL);
	return 0;
}

FIXTURE(interleave) {
	struct alz a;
	struct shared *all;
};

FIXTURE_SETUP(interleave)
{
	self->all = mmap(NULL, sizeof(*self->all), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->all);
	ASSERT_EQ(0, alz_setup(&self->a, 100, 64 << 20));
}

FIXTURE_TEARDOWN(interleave)
{
	alz_leave(&self->a);
}

TEST_F_TIMEOUT(interleave, no_waiter_sleeps_on_an_ended_generation, 6000)	/* K6, I3, I4 */
{
	long operations = alz_rounds(100000, 30000, 10000000);
	struct asynclazy_stats s;
	int i, status, socket;
	pid_t pid[PROCESSES];
	__u64 start = alz_now();

	self->all->left = operations;
	for (i = 0; i < PROCESSES; i++) {
		pid[i] = peer_fork(&socket);
		if (!pid[i])
			_exit(process(self->a.cache, self->all, i));
		ASSERT_LT(0, pid[i]);
	}
	for (i = 0; i < PROCESSES; i++) {
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	TH_LOG("%ld operations in %llu ms: %ld published, %ld handed over, %ld cancelled",
	       operations, (alz_now() - start) / ALZ_MSEC, (long)self->all->published,
	       (long)self->all->handed, (long)self->all->cancelled);
	EXPECT_EQ(0, self->all->lost);
	EXPECT_EQ(0, self->all->wrong);
	EXPECT_LT(0, self->all->handed);
	EXPECT_TRUE(alz_await_clients(&self->a, 1));
	ASSERT_EQ(0, alz_stats(self->a.cache, &s));
	EXPECT_EQ(0, s.out_waits_now);
	EXPECT_EQ(0, s.out_tickets_now);
	EXPECT_EQ(0, s.out_initializing);
	EXPECT_EQ(0, s.out_deaths);
}

TEST_HARNESS_MAIN
