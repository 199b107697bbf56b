// SPDX-License-Identifier: GPL-2.0-only
/* K11, F1, F3-F7, F10, F11: WAIT and WAKE, on words of a cache and at addresses. */
#include <limits.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "remote.h"
#include "late_fault.h"
#include "word.h"

FIXTURE(word) {
	struct alz a, b;
	struct words w;
	struct asynclazy_wait q;
	struct asynclazy_event e[16];
	struct asynclazy_stats s;
};

FIXTURE_SETUP(word)
{
	struct asynclazy_create c = {
		.max_keys = 100, .arena_size = 1 << 20, .segment_size = 1 << 16,
		.words = WORDS,
	};

	ASSERT_EQ(0, alz_setup_as(&self->a, &c));
	ASSERT_EQ(0, alz_join(&self->b, self->a.cache));
	ASSERT_EQ(0, words_map(&self->w, self->a.client));
}

FIXTURE_TEARDOWN(word)
{
	words_unmap(&self->w);
	alz_leave(&self->b);
	alz_leave(&self->a);
}

/* Each of eight waits once, half of them in threads and half in processes. */
struct sleeper {
	struct alz a;
	pthread_t thread;
	pid_t pid;
	int socket;
};

static int *ended;	/* shared with the processes */
static const char zeroes[8192];

static void *sleep_once(void *arg)
{
	struct sleeper *s = arg;

	if (!word_block(s->a.client, 5, 0, 0))
		__atomic_add_fetch(ended, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void sleeper_start(struct sleeper *s, const struct alz *a, int i)
{
	s->a = *a;
	s->pid = 0;
	if (i % 2) {
		pthread_create(&s->thread, NULL, sleep_once, s);
		return;
	}
	s->pid = peer_fork(&s->socket);
	if (s->pid)
		return;
	s->a.client = alz_attach(a->cache);
	sleep_once(s);
	_exit(0);
}

static bool await_ended(int n)
{
	__u64 until = alz_now() + ALZ_SOON_MS * ALZ_MSEC;

	while (__atomic_load_n(ended, __ATOMIC_SEQ_CST) < n && alz_now() < until)
		sched_yield();
	return __atomic_load_n(ended, __ATOMIC_SEQ_CST) == n;
}

TEST_F(word, so_many_are_woken)			/* K11, F4 */
{
	static const __u32 ask[] = { 0, 1, 3, INT_MAX }, get[] = { 0, 1, 3, 4 };
	struct sleeper s[8];
	int i, sum = 0;

	ended = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)ended);
	for (i = 0; i < 8; i++) {
		sleeper_start(&s[i], &self->a, i);
		ASSERT_TRUE(words_await(&self->w, 5, i + 1));
	}
	EXPECT_EQ(0, word_wake(self->b.client, 6, INT_MAX));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(get[i], word_wake(self->b.client, 5, ask[i]));
		sum += get[i];
		EXPECT_TRUE(await_ended(sum));
		EXPECT_EQ(8 - sum, self->w.waiting[5]);
	}
	for (i = 0; i < 8; i++) {
		if (!s[i].pid) {
			pthread_join(s[i].thread, NULL);
			continue;
		}
		EXPECT_EQ(0, peer_reap(s[i].pid));
		close(s[i].socket);
	}
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(8, self->s.out_wakes);
	EXPECT_EQ(0, self->s.out_waits_now);
	munmap(ended, 4096);
}

TEST_F(word, oldest_first)				/* K11 */
{
	__u64 i;

	for (i = 1; i <= 8; i++)
		ASSERT_EQ(0, word_event(i % 2 ? self->a.client : self->b.client, 5, 0, i));
	for (i = 1; i <= 8; i++) {
		const struct alz *a = i % 2 ? &self->a : &self->b;

		EXPECT_EQ(1, word_wake(self->a.client, 5, 1));
		ASSERT_EQ(0, alz_event(a, self->e));
		EXPECT_EQ(i, self->e[0].cookie);
		EXPECT_EQ(ASYNCLAZY_RESULT_WOKEN, self->e[0].result);
		EXPECT_EQ(0, self->e[0].attempt);
	}
}

TEST_F(word, another_value_is_told_at_once)		/* F1 */
{
	struct asynclazy_word words[2] = { { 1, 0, 0 }, { 2, 9, 0 } };
	int i, n = alz_rounds(20000, 10000, 1000000);

	for (i = 0; i < n; i++) {
		ASSERT_EQ(0, word_wait(self->a.client, words, 2, i % 2 ? EVENT : BLOCK, i, 0,
				       &self->q));
		ASSERT_EQ(ASYNCLAZY_RESULT_CHANGED, self->q.out_result);
		ASSERT_EQ(1, self->q.out_index);
	}
	ASSERT_EQ(0, word_wait(self->a.client, words, 2, WAITFD, 0, 0, &self->q));
	EXPECT_EQ(ASYNCLAZY_RESULT_CHANGED, self->q.out_result);
	EXPECT_EQ(-1, self->q.out_fd);
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(0, self->s.out_waits_now);
	EXPECT_EQ(0, self->w.waiting[1]);
	EXPECT_EQ(0, self->w.waiting[2]);
}

/* A ping is words 1 counted up, a pong word 2; who finds nobody waiting does not call. */
static int ping_pong(const struct alz *a, const struct words *w, int mine, int n)
{
	__u32 *hear = &w->words[mine], *say = &w->words[3 - mine];
	__u32 i;

	for (i = 1; i <= (__u32)n; i++) {
		if (mine == 2)
			__atomic_store_n(say, i, __ATOMIC_SEQ_CST);
		if (mine == 2 && __atomic_load_n(&w->waiting[3 - mine], __ATOMIC_SEQ_CST))
			word_wake(a->client, 3 - mine, 1);
		while (__atomic_load_n(hear, __ATOMIC_SEQ_CST) != i)
			if (word_block(a->client, mine, i - 1, alz_now() + 20 * ALZ_SEC) < 0)
				return -ETIMEDOUT;
		if (mine == 1)
			__atomic_store_n(say, i, __ATOMIC_SEQ_CST);
		if (mine == 1 && __atomic_load_n(&w->waiting[3 - mine], __ATOMIC_SEQ_CST))
			word_wake(a->client, 3 - mine, 1);
	}
	return 0;
}

TEST_F(word, no_ping_is_lost_between_processes)		/* F1, F3 */
{
	int n = alz_rounds(3000, 500, 100000);
	struct words w;
	struct alz a;
	int socket;
	pid_t pid = peer_fork(&socket);

	ASSERT_LE(0, pid);
	if (!pid) {
		if (alz_join(&a, self->a.cache) || words_map(&w, a.client))
			_exit(1);
		_exit(ping_pong(&a, &w, 1, n) ? 2 : 0);
	}
	EXPECT_EQ(0, ping_pong(&self->a, &self->w, 2, n));
	EXPECT_EQ(0, peer_reap(pid));
	EXPECT_EQ(n, self->w.words[1]);
	EXPECT_EQ(n, self->w.words[2]);
	close(socket);
}

TEST_F(word, deadline_leaves_nobody_behind)		/* F5 */
{
	__u64 deadline = alz_now() + 5 * ALZ_MSEC;

	EXPECT_EQ(-ETIMEDOUT, word_block(self->a.client, 1, 0, deadline));
	EXPECT_LE(deadline, alz_now());
	EXPECT_EQ(0, self->w.waiting[1]);
	ASSERT_EQ(0, word_event(self->b.client, 1, 0, 7));
	EXPECT_EQ(1, word_wake(self->a.client, 1, 1));
	ASSERT_EQ(0, alz_event(&self->b, self->e));
	EXPECT_EQ(7, self->e[0].cookie);
}

TEST_F(word, any_of_several)				/* F6, F7 */
{
	struct asynclazy_word words[64];
	int i;

	for (i = 0; i < 64; i++)
		words[i] = (struct asynclazy_word){ 100 + i, 0, 0 };
	ASSERT_EQ(0, word_wait(self->a.client, words, 2, WAITFD, 3, 0, &self->q));
	ASSERT_EQ(ASYNCLAZY_RESULT_PENDING, self->q.out_result);
	EXPECT_EQ(0, alz_poll(self->q.out_fd, 0));
	ASSERT_EQ(0, word_event(self->b.client, 100, 0, 4));
	EXPECT_EQ(1, word_wake(self->b.client, 101, INT_MAX));
	ASSERT_EQ(0, alz_read_waitfd(self->q.out_fd, self->e, ALZ_SOON_MS));
	EXPECT_EQ(3, self->e[0].cookie);
	EXPECT_EQ(1, self->e[0].attempt);
	EXPECT_EQ(ASYNCLAZY_RESULT_WOKEN, self->e[0].result);
	/* it takes no wake of the other word */
	EXPECT_EQ(1, word_wake(self->b.client, 100, INT_MAX));
	ASSERT_EQ(0, alz_event(&self->b, self->e));
	EXPECT_EQ(4, self->e[0].cookie);
	close(self->q.out_fd);

	/* one up, one down: a sum would not show it */
	ASSERT_EQ(0, word_wait(self->a.client, words, 64, EVENT, 5, 0, &self->q));
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(64, self->s.out_waits_now);
	self->w.words[120]++;
	self->w.words[140]--;
	EXPECT_EQ(1, word_wake(self->b.client, 140, 1));
	EXPECT_EQ(0, word_wake(self->b.client, 120, 1));
	ASSERT_EQ(0, alz_event(&self->a, self->e));
	EXPECT_EQ(40, self->e[0].attempt);
	ASSERT_EQ(0, word_wait(self->a.client, words, 64, EVENT, 5, 0, &self->q));
	EXPECT_EQ(ASYNCLAZY_RESULT_CHANGED, self->q.out_result);
	EXPECT_EQ(20, self->q.out_index);
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
}

TEST_F(word, wake_of_who_leaves_goes_on)		/* I10 */
{
	struct alz a;
	int socket;
	__u64 word;
	pid_t pid;

	ASSERT_EQ(0, word_event(self->a.client, 1, 0, 1));
	pid = peer_fork(&socket);
	ASSERT_LE(0, pid);
	if (!pid) {
		a.client = alz_attach(self->a.cache);
		if (a.client < 0 || word_event(a.client, 1, 0, 2) || peer_say(socket, 1))
			_exit(1);
		for (;;)
			pause();
	}
	ASSERT_EQ(0, peer_hear(socket, &word, ALZ_SOON_MS));
	ASSERT_EQ(0, word_event(self->b.client, 1, 0, 3));
	EXPECT_EQ(1, word_wake(self->b.client, 1, 1));
	EXPECT_EQ(0, alz_poll(self->b.client, 0));
	EXPECT_EQ(0, alz_cancel(&self->a, 1));
	/* the other process has it now, and is killed before it has read of it */
	kill(pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, peer_reap(pid));
	ASSERT_EQ(0, alz_event(&self->b, self->e));
	EXPECT_EQ(3, self->e[0].cookie);
	EXPECT_EQ(0, self->w.waiting[1]);
	close(socket);
}

static void *map_at(int fd, size_t hole)
{
	char *p = mmap(NULL, hole + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mmap(p + hole, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
}

TEST_F(word, any_address_in_shared_memory)		/* F11 */
{
	int fd = alz_memfd(zeroes, 4096, 0), socket;
	__u32 *p = map_at(fd, 0);
	__u64 word;
	pid_t pid;

	ASSERT_LE(0, fd);
	pid = peer_fork(&socket);
	ASSERT_LE(0, pid);
	if (!pid) {
		__u32 *mine = map_at(fd, 1 << 20);
		int client = alz_attach(self->a.cache);
		struct asynclazy_word at = { (uintptr_t)&mine[100], 0, ASYNCLAZY_WORD_ADDRESS };

		munmap(p, 4096);
		if (word_wait(client, &at, 1, EVENT, 9, 0, &self->q) || peer_say(socket, 1))
			_exit(1);
		_exit(alz_poll(client, ALZ_SOON_MS) == POLLIN && mine[100] == 1 ? 0 : 2);
	}
	ASSERT_EQ(0, peer_hear(socket, &word, ALZ_SOON_MS));
	/* the next word is another one, and private memory is nobody else's */
	EXPECT_EQ(0, word_wake_at(self->a.client, &p[101], 1));
	EXPECT_EQ(0, word_wake_at(self->a.client, (__u32 *)&word, 1));
	p[100] = 1;
	/* also by way of another open file of the same inode */
	EXPECT_EQ(1, word_wake_at(self->a.client, &p[100], INT_MAX));
	EXPECT_EQ(0, peer_reap(pid));
	close(socket);
	munmap(p, 4096);
	close(fd);
}

TEST_F(word, own_words_have_an_address_too)		/* F11 */
{
	struct asynclazy_word at = {
		(uintptr_t)&self->w.words[7], 0, ASYNCLAZY_WORD_ADDRESS,
	};
	__u32 mine = 3;

	ASSERT_EQ(0, word_event(self->a.client, 7, 0, 1));
	EXPECT_EQ(1, word_wake_at(self->b.client, &self->w.words[7], 1));
	ASSERT_EQ(0, alz_event(&self->a, self->e));
	ASSERT_EQ(0, word_wait(self->a.client, &at, 1, EVENT, 2, 0, &self->q));
	EXPECT_EQ(1, self->w.waiting[7]);
	EXPECT_EQ(1, word_wake(self->b.client, 7, 1));
	ASSERT_EQ(0, alz_event(&self->a, self->e));
	EXPECT_EQ(2, self->e[0].cookie);
	/* of this process alone */
	at = (struct asynclazy_word){ (uintptr_t)&mine, 3, ASYNCLAZY_WORD_ADDRESS };
	ASSERT_EQ(0, word_wait(self->a.client, &at, 1, EVENT, 3, 0, &self->q));
	EXPECT_EQ(1, word_wake_at(self->b.client, &mine, 1));
	ASSERT_EQ(0, alz_event(&self->a, self->e));
	EXPECT_EQ(3, self->e[0].cookie);
}

/* The first touch is the kernel's: it is not there yet, and has to come. */
TEST_F(word, address_that_is_not_there_yet)		/* F11 */
{
	int fd = alz_memfd(zeroes, sizeof(zeroes), 0);
	__u32 *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct asynclazy_word at = { (uintptr_t)&p[1500], 0, ASYNCLAZY_WORD_ADDRESS };

	ASSERT_NE(MAP_FAILED, (void *)p);
	ASSERT_EQ(0, word_wait(self->a.client, &at, 1, EVENT, 1, 0, &self->q));
	EXPECT_EQ(ASYNCLAZY_RESULT_PENDING, self->q.out_result);
	/* nor is its end: the wait stays, and the place is known by the file */
	EXPECT_EQ(1, word_wake_at(self->b.client, &p[1500], 1));
	ASSERT_EQ(0, ftruncate(fd, 4096));
	EXPECT_EQ(-EFAULT, word_wait(self->a.client, &at, 1, EVENT, 2, 0, &self->q));
	munmap(p, 8192);
	EXPECT_EQ(-EFAULT, word_wait(self->a.client, &at, 1, EVENT, 2, 0, &self->q));
	EXPECT_EQ(-EFAULT, word_wake_at(self->a.client, &p[1500], 1));
	close(fd);
}

#define REFUSED(want, ...) do {						\
	EXPECT_EQ(want, (__VA_ARGS__));					\
	EXPECT_TRUE(alz_unchanged(&self->a, &before));			\
} while (0)

TEST_F(word, what_is_refused)				/* K13 */
{
	struct asynclazy_word ok = { 1, 0, 0 }, many[ASYNCLAZY_WORDS_PER_WAIT + 1] = { 0 };
	struct asynclazy_word bad[] = {
		{ WORDS, 0, 0 }, { ~0ULL, 0, 0 }, { 1, 0, 2 },
		{ (uintptr_t)&self->w.words[1] + 2, 0, ASYNCLAZY_WORD_ADDRESS },
		{ (uintptr_t)self->a.header, 0, ASYNCLAZY_WORD_ADDRESS },
		{ (uintptr_t)self->a.pins, 0, ASYNCLAZY_WORD_ADDRESS },
		{ (uintptr_t)self->w.waiting, 0, ASYNCLAZY_WORD_ADDRESS },
	};
	struct asynclazy_create c = {
		.size = sizeof(c), .name = (uintptr_t)"word_test.reader", .name_size = 16,
		.max_keys = 100, .arena_size = 1 << 20, .words = WORDS,
	};
	int fd, dev, cache, reader;
	struct alz_state before;
	struct alz plain;
	size_t i;

	alz_snapshot(&self->a, &before);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		REFUSED(-EINVAL, word_wait(self->a.client, &bad[i], 1, EVENT, 1, 0, &self->q));
	REFUSED(-EINVAL, word_wait(self->a.client, &ok, 1, 0, 1, 0, &self->q));
	REFUSED(-EINVAL, word_wait(self->a.client, &ok, 1, EVENT | BLOCK, 1, 0, &self->q));
	REFUSED(-EINVAL, word_wait(self->a.client, &ok, 1, EVENT | INIT, 1, 0, &self->q));
	REFUSED(-EINVAL, word_wait(self->a.client, &ok, 0, EVENT, 1, 0, &self->q));
	REFUSED(-EINVAL, word_wait(self->a.client, many, ASYNCLAZY_WORDS_PER_WAIT + 1, EVENT,
				   1, 0, &self->q));
	REFUSED(-EFAULT, word_wait(self->a.client, (void *)8, 1, EVENT, 1, 0, &self->q));
	REFUSED(-EINVAL, word_wake(self->a.client, WORDS, 1));
	ASSERT_EQ(0, word_event(self->a.client, 1, 0, 1));
	EXPECT_EQ(-EEXIST, word_event(self->a.client, 1, 0, 1));
	EXPECT_EQ(0, alz_cancel(&self->a, 1));
	/* as many as are allowed, of the same word */
	ASSERT_EQ(0, word_wait(self->a.client, many, ASYNCLAZY_WORDS_PER_WAIT, EVENT, 1, 0,
			       &self->q));
	EXPECT_EQ(ASYNCLAZY_WORDS_PER_WAIT, self->w.waiting[0]);
	EXPECT_EQ(1, word_wake(self->a.client, 0, INT_MAX));

	/* who may only read waits, and neither writes nor wakes */
	dev = alz_device(O_RDWR);
	ASSERT_EQ(0, alz_call(dev, ASYNCLAZY_IOC_CREATE, &c));
	cache = c.out_fd;
	reader = alz_open(dev, "word_test.reader", ASYNCLAZY_OPEN_READ);
	ASSERT_LE(0, reader);
	EXPECT_EQ(0, alz_unlink(dev, "word_test.reader"));
	fd = alz_attach(reader);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, word_event(fd, 1, 0, 1));
	EXPECT_EQ(-EACCES, word_wake(fd, 1, 1));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
				   ASYNCLAZY_OFF_WORDS));
	close(fd);
	close(reader);
	close(cache);
	close(dev);

	/* a cache without any */
	ASSERT_EQ(0, alz_setup(&plain, 100, 1 << 20));
	EXPECT_EQ(0, plain.header->words_size);
	EXPECT_EQ(-EINVAL, word_event(plain.client, 0, 0, 1));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_SHARED, plain.client,
				   ASYNCLAZY_OFF_WORDS));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_SHARED, plain.client,
				   ASYNCLAZY_OFF_HELD));
	alz_leave(&plain);
}

TEST_F(word, a_wait_that_cannot_be_told_is_undone)	/* I10 */
{
	struct asynclazy_word word = { 3, 0, 0 };
	__u32 flags[] = { EVENT, WAITFD };
	struct asynclazy_wait *q;
	struct late_fault late;
	struct asynclazy_stats s;
	unsigned int i;
	int fds;

	q = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, q);
	if (late_fault_open(&late, (char *)q))
		SKIP(return, "no userfaultfd here");
	fds = alz_open_fds();
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		*q = (struct asynclazy_wait) {
			.size = sizeof(*q), .flags = flags[i], .cookie = 7,
			.words = (uintptr_t)late.missing, .count = 1,
		};
		EXPECT_EQ(-EFAULT, late_fault_call(&late, self->a.client, ASYNCLAZY_IOC_WAIT,
						   &word, sizeof(word)));
		/* a file is dropped when the call returns, or soon after */
		EXPECT_TRUE(words_await(&self->w, 3, 0));
		ASSERT_EQ(0, alz_stats(self->a.client, &s));
		EXPECT_EQ(0, s.out_waits_now) TH_LOG("flags %#x", flags[i]);
	}
	EXPECT_EQ(fds, alz_open_fds());
	EXPECT_EQ(0, word_wake(self->a.client, 3, 1));
	/* one that has changed has nothing to undo, least of all an older wait */
	ASSERT_EQ(0, word_event(self->a.client, 3, 0, 7));
	word.expected = 1;
	q->flags = EVENT;
	EXPECT_EQ(-EFAULT, late_fault_call(&late, self->a.client, ASYNCLAZY_IOC_WAIT, &word,
					   sizeof(word)));
	EXPECT_EQ(1, word_wake(self->a.client, 3, 1));
}

TEST_F(word, the_first_of_some_words_is_let_go_if_another_is_bad)	/* K13 */
{
	struct asynclazy_word words[3] = { 0 };
	int fd = memfd_create("words", MFD_CLOEXEC);
	struct alz_state before;
	__u32 *at;
	int i;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, 4096));
	at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, at);
	alz_snapshot(&self->a, &before);
	for (i = 0; i < 3; i++) {
		words[i].word = (uintptr_t)&at[i];
		words[i].flags = ASYNCLAZY_WORD_ADDRESS;
	}
	words[2].word++;
	REFUSED(-EINVAL, word_wait(self->a.client, words, 3, EVENT, 1, 0, &self->q));
	words[2].word = 8;
	REFUSED(-EFAULT, word_wait(self->a.client, words, 3, EVENT, 1, 0, &self->q));
	/* nor does the last one's change leave the others waited for */
	words[2].word = (uintptr_t)&at[2];
	words[2].expected = 5;
	ASSERT_EQ(0, word_wait(self->a.client, words, 3, EVENT, 1, 0, &self->q));
	EXPECT_EQ(ASYNCLAZY_RESULT_CHANGED, self->q.out_result);
	EXPECT_EQ(2, self->q.out_index);
	munmap(at, 4096);
	close(fd);
}

TEST_F(word, a_wait_fd_whose_reader_faults_was_not_told)	/* I10 */
{
	struct asynclazy_word word = { 4, 0, 0 };
	struct asynclazy_event event;
	char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd;

	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, word_wait(self->a.client, &word, 1, WAITFD, 0, 0, &self->q));
	fd = self->q.out_fd;
	ASSERT_EQ(0, word_event(self->a.client, 4, 0, 8));
	EXPECT_EQ(1, word_wake(self->a.client, 4, 1));
	EXPECT_EQ(-1, read(fd, page, sizeof(event)));
	EXPECT_EQ(EFAULT, errno);
	/* so its wake goes to the next when it is closed */
	close(fd);
	ASSERT_EQ(1, alz_events(&self->a, &event, 1, ALZ_SOON_MS));
	EXPECT_EQ(8, event.cookie);
	munmap(page, 4096);
}

static void on_signal(int signal)
{
	(void)signal;
}

TEST_F(word, signals_are_no_wakes)			/* F10 */
{
	int socket, i, n = alz_rounds(200, 100, 10000);
	pid_t pid = peer_fork(&socket);
	siginfo_t gone = { 0 };
	struct words w;
	struct alz a;

	ASSERT_LE(0, pid);
	if (!pid) {
		struct sigaction sa = { .sa_handler = on_signal };
		int err;

		sigaction(SIGUSR1, &sa, NULL);
		a.client = alz_attach(self->a.cache);
		if (a.client < 0 || words_map(&w, a.client))
			_exit(1);
		do
			err = word_block(a.client, 1, 0, 0);
		while (err == -EINTR);
		if (err)
			_exit(2);
		_exit(w.words[2] ? 0 : 3);
	}
	for (i = 0; i < n; i++) {
		ASSERT_TRUE(words_await(&self->w, 1, 1));
		kill(pid, SIGUSR1);
	}
	ASSERT_TRUE(words_await(&self->w, 1, 1));
	self->w.words[2] = 1;
	/* it may just be between two waits, for the last signal */
	while (!word_wake(self->a.client, 1, 1) &&
	       !waitid(P_PID, pid, &gone, WEXITED | WNOHANG | WNOWAIT) && !gone.si_pid)
		;
	EXPECT_EQ(0, gone.si_pid);
	EXPECT_EQ(0, peer_reap(pid));
	close(socket);
}

TEST_HARNESS_MAIN
