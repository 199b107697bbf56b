// SPDX-License-Identifier: GPL-2.0-only
/* F9: words as locks that outlive their holders. */
#include <limits.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "remote.h"
#include "word.h"

#define LOCK	3	/* the word */
#define COUNT	4	/* what it guards */

FIXTURE(lock) {
	struct alz a;
	struct words w;
	__u32 id;
};

/* Attach: the client fd, and what it writes to its locks. */
static int attach(int cache, struct words *w, __u32 *id)
{
	struct asynclazy_attach t = { .size = sizeof(t) };
	int err = alz_call(cache, ASYNCLAZY_IOC_ATTACH, &t);

	*id = t.out_lock_id;
	if (!err)
		err = words_map(w, t.out_fd);
	return err ? err : t.out_fd;
}

FIXTURE_SETUP(lock)
{
	struct asynclazy_create c = {
		.max_keys = 100, .arena_size = 1 << 20, .segment_size = 1 << 16,
		.words = WORDS,
	};
	int fd;

	ASSERT_EQ(0, alz_setup_as(&self->a, &c));
	fd = attach(self->a.cache, &self->w, &self->id);
	ASSERT_LE(0, fd);
	close(self->a.client);
	self->a.client = fd;
}

FIXTURE_TEARDOWN(lock)
{
	words_unmap(&self->w);
	alz_leave(&self->a);
}

/* As the uAPI header has it. Return: 0, -EOWNERDEAD: it is ours as well. */
static int lock(int client, const struct words *w, __u32 id)
{
	__u32 *word = &w->words[LOCK];
	__u32 seen;

	__atomic_store_n(&w->held[0], LOCK + 1, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	for (;;) {
		seen = __atomic_load_n(word, __ATOMIC_RELAXED);
		if (seen & ASYNCLAZY_LOCK_OWNER)
			word_block(client, LOCK, seen, 0);
		else if (__atomic_compare_exchange_n(word, &seen, id, false, __ATOMIC_ACQUIRE,
						     __ATOMIC_RELAXED))
			return seen & ASYNCLAZY_LOCK_DIED ? -EOWNERDEAD : 0;
	}
}

static void unlock(int client, const struct words *w)
{
	__atomic_exchange_n(&w->words[LOCK], 0, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&w->waiting[LOCK], __ATOMIC_SEQ_CST))
		word_wake(client, LOCK, 1);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&w->held[0], 0, __ATOMIC_RELAXED);
}

TEST_F(lock, four_processes_count_to_the_exact_total)	/* F9 */
{
	int n = alz_rounds(20000, 1000, 1000000);
	int socket[4], i, j;
	pid_t pid[4];

	for (i = 0; i < 4; i++) {
		pid[i] = peer_fork(&socket[i]);
		ASSERT_LE(0, pid[i]);
		if (!pid[i]) {
			struct words w;
			__u32 id;
			int client = attach(self->a.cache, &w, &id);

			if (client < 0)
				_exit(1);
			for (j = 0; j < n; j++) {
				if (lock(client, &w, id))
					_exit(2);
				/* others may look meanwhile: they are not to write */
				((volatile __u32 *)w.words)[COUNT]++;
				unlock(client, &w);
			}
			_exit(0);
		}
	}
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(0, peer_reap(pid[i]));
		close(socket[i]);
	}
	EXPECT_EQ(4 * n, self->w.words[COUNT]);
	EXPECT_EQ(0, self->w.words[LOCK]);
}

/* A process that has the lock and does not let it go. */
static pid_t holder(int cache, int *socket)
{
	pid_t pid = peer_fork(socket);
	struct words w;
	int client;
	__u32 id;

	if (pid)
		return pid;
	client = attach(cache, &w, &id);
	if (client < 0 || lock(client, &w, id) || peer_say(*socket, id))
		_exit(1);
	for (;;)
		pause();
}

TEST_F(lock, next_one_is_told_that_the_holder_was_killed)	/* F9 */
{
	int socket, socket2;
	__u64 id, answer;
	pid_t pid, next;

	pid = holder(self->a.cache, &socket);
	ASSERT_LE(0, pid);
	ASSERT_EQ(0, peer_hear(socket, &id, ALZ_SOON_MS));
	EXPECT_NE(self->id, id);
	EXPECT_EQ(id, self->w.words[LOCK]);
	next = peer_fork(&socket2);
	ASSERT_LE(0, next);
	if (!next) {
		struct words w;
		__u32 mine;
		int client = attach(self->a.cache, &w, &mine);

		if (client < 0 || peer_say(socket2, -lock(client, &w, mine)))
			_exit(1);
		unlock(client, &w);
		_exit(0);
	}
	ASSERT_TRUE(words_await(&self->w, LOCK, 1));
	kill(pid, SIGKILL);
	ASSERT_EQ(0, peer_hear(socket2, &answer, ALZ_SOON_MS));
	EXPECT_EQ(EOWNERDEAD, answer);
	EXPECT_EQ(0, peer_reap(next));
	EXPECT_EQ(128 + SIGKILL, peer_reap(pid));
	/* it was told once, and that it was let go makes it whole again */
	EXPECT_EQ(0, lock(self->a.client, &self->w, self->id));
	unlock(self->a.client, &self->w);
	close(socket);
	close(socket2);
}

/* Woken to take it, and killed before it did: the next one is. */
TEST_F(lock, wake_dies_with_nobody)			/* F9, I10 */
{
	int socket[2], i;
	pid_t pid[2];
	__u64 word;

	ASSERT_EQ(0, lock(self->a.client, &self->w, self->id));
	for (i = 0; i < 2; i++) {
		pid[i] = peer_fork(&socket[i]);
		ASSERT_LE(0, pid[i]);
		if (!pid[i]) {
			struct words w;
			__u32 id;
			int client = attach(self->a.cache, &w, &id);

			/* the first one stops where lock() would go on after a wake */
			w.held[0] = LOCK + 1;
			if (!i && !word_block(client, LOCK, self->id, 0)) {
				peer_say(socket[i], 1);
				pause();
			}
			_exit(i ? lock(client, &w, id) : 1);
		}
		ASSERT_TRUE(words_await(&self->w, LOCK, i + 1));
	}
	unlock(self->a.client, &self->w);
	ASSERT_EQ(0, peer_hear(socket[0], &word, ALZ_SOON_MS));
	EXPECT_EQ(1, self->w.waiting[LOCK]);
	kill(pid[0], SIGKILL);
	EXPECT_EQ(0, peer_reap(pid[1]));
	EXPECT_EQ(128 + SIGKILL, peer_reap(pid[0]));
	for (i = 0; i < 2; i++)
		close(socket[i]);
}

/* What a client writes to its own page is for nobody but itself to suffer from. */
TEST_F(lock, nonsense_in_its_own_page)			/* K12 */
{
	int socket, i;
	pid_t pid;

	ASSERT_EQ(0, lock(self->a.client, &self->w, self->id));
	pid = peer_fork(&socket);
	ASSERT_LE(0, pid);
	if (!pid) {
		struct words w;
		__u32 id;

		if (attach(self->a.cache, &w, &id) < 0)
			_exit(1);
		for (i = 0; i < ASYNCLAZY_HELD_SIZE / 4; i++)
			w.held[i] = i % 3 ? (__u32)i : 0xfffffff0 + i;
		w.held[9] = LOCK + 1;
		_exit(0);
	}
	EXPECT_EQ(0, peer_reap(pid));
	EXPECT_EQ(self->id, self->w.words[LOCK]);
	unlock(self->a.client, &self->w);
	close(socket);
}

TEST_HARNESS_MAIN
