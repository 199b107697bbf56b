// SPDX-License-Identifier: GPL-2.0-only
/* BATCH: many calls in one, each as if it came alone. */
#include <signal.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "remote.h"
#include "word.h"

#define N	40
#define CALL(name, at)	((struct asynclazy_call) {				\
	(uintptr_t)(at), ASYNCLAZY_IOC_##name, -1 })

FIXTURE(batch) {
	struct alz a;
	struct asynclazy_call call[N];
};

FIXTURE_SETUP(batch)
{
	struct asynclazy_create c = {
		.max_keys = 100, .arena_size = 1 << 20, .segment_size = 1 << 16,
		.words = WORDS,
	};

	ASSERT_EQ(0, alz_setup_as(&self->a, &c));
}

FIXTURE_TEARDOWN(batch)
{
	alz_leave(&self->a);
}

/* Return: calls that were made, or a negative errno. */
static int batch(int client, struct asynclazy_call *calls, __u32 count)
{
	struct asynclazy_batch b = {
		.size = sizeof(b), .calls = (uintptr_t)calls, .count = count,
		.out_done = 0xa5a5a5a5,
	};
	int err = alz_call(client, ASYNCLAZY_IOC_BATCH, &b);

	return err ? err : (int)b.out_done;
}

TEST_F(batch, many_waits_begin_and_are_cancelled)
{
	struct asynclazy_event events[N];
	struct asynclazy_cancel cancel[N / 2];
	struct asynclazy_claim claim[N];
	__u64 ticket = alz_ticket(&self->a, "key");
	int told[N] = { 0 };
	int i;

	ASSERT_NE(0, ticket);
	for (i = 0; i < N; i++) {
		alz_claim_fill(&self->a, &claim[i], "key", 3, EVENT);
		claim[i].cookie = i;
		self->call[i] = CALL(CLAIM, &claim[i]);
	}
	ASSERT_EQ(N, batch(self->a.client, self->call, N));
	for (i = 0; i < N; i++) {
		EXPECT_EQ(0, self->call[i].out_error);
		EXPECT_EQ(ASYNCLAZY_RESULT_PENDING, claim[i].out_result);
	}
	for (i = 0; i < N / 2; i++) {
		cancel[i] = (struct asynclazy_cancel) { .size = sizeof(cancel[i]),
							.cookie = 2 * i };
		self->call[i] = CALL(CANCEL, &cancel[i]);
	}
	ASSERT_EQ(N / 2, batch(self->a.client, self->call, N / 2));
	EXPECT_EQ(0, alz_publish(&self->a, ticket, "value"));
	ASSERT_EQ(N / 2, alz_events(&self->a, events, N, 0));
	/* in whatever order they began */
	for (i = 0; i < N / 2; i++)
		told[events[i].cookie % N]++;
	for (i = 0; i < N; i++)
		EXPECT_EQ(i % 2, told[i]);
}

TEST_F(batch, one_that_fails_ends_nothing)
{
	struct asynclazy_cancel none = { .size = sizeof(none), .cookie = 99 };
	struct asynclazy_cancel bad = { .size = sizeof(bad), .flags = 1 };
	struct asynclazy_wake wake = { .size = sizeof(wake), .word = WORDS };
	struct asynclazy_stats stats = { .size = sizeof(stats), .out_clients = 77 };
	struct asynclazy_batch nested = { .size = sizeof(nested), .count = 1 };

	self->call[0] = CALL(CANCEL, &none);
	self->call[1] = CALL(CANCEL, &bad);
	self->call[2] = CALL(WAKE, &wake);
	self->call[3] = CALL(CANCEL, NULL);
	nested.calls = (uintptr_t)&self->call[5];
	self->call[4] = CALL(BATCH, &nested);
	self->call[5] = CALL(STATS, &stats);
	self->call[6] = (struct asynclazy_call) { (uintptr_t)&stats, 12345, -1 };
	self->call[7] = CALL(CREATE, &stats);
	ASSERT_EQ(8, batch(self->a.client, self->call, 8));
	EXPECT_EQ(ENOENT, self->call[0].out_error);
	EXPECT_EQ(EINVAL, self->call[1].out_error);
	EXPECT_EQ(EINVAL, self->call[2].out_error);
	EXPECT_EQ(EFAULT, self->call[3].out_error);
	EXPECT_EQ(ENOTTY, self->call[4].out_error);
	EXPECT_EQ(0, self->call[5].out_error);
	EXPECT_EQ(1, stats.out_clients);
	EXPECT_EQ(ENOTTY, self->call[6].out_error);
	EXPECT_EQ(ENOTTY, self->call[7].out_error);
}

TEST_F(batch, what_is_refused)
{
	struct asynclazy_stats stats = { .size = sizeof(stats) };
	struct asynclazy_call *edge;
	char *page;

	self->call[0] = CALL(STATS, &stats);
	EXPECT_EQ(-EINVAL, batch(self->a.client, self->call, 0));
	EXPECT_EQ(-EINVAL, batch(self->a.client, self->call, ASYNCLAZY_CALLS_PER_BATCH + 1));
	EXPECT_EQ(-EFAULT, batch(self->a.client, NULL, 1));
	EXPECT_EQ(-ENOTTY, batch(self->a.cache, self->call, 1));

	/* the last one that can be read is made, and no more */
	page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, munmap(page + 4096, 4096));
	edge = (struct asynclazy_call *)(page + 4096) - 2;
	edge[0] = self->call[0];
	edge[1] = self->call[0];
	EXPECT_EQ(2, batch(self->a.client, edge, 3));
	EXPECT_EQ(0, edge[1].out_error);
	/* what could not be told of is not made */
	ASSERT_EQ(0, mprotect(page, 4096, PROT_READ));
	stats.out_clients = 77;
	EXPECT_EQ(-EFAULT, batch(self->a.client, edge, 2));
	EXPECT_EQ(77, stats.out_clients);
	munmap(page, 4096);
}

static void on_signal(int signal)
{
	(void)signal;
}

/* In a call that waits, the second of three: it is told, and the third is left. */
TEST_F(batch, a_signal_ends_it_between_two)
{
	struct words w;
	int socket;
	pid_t pid = peer_fork(&socket);

	ASSERT_LE(0, pid);
	if (!pid) {
		struct sigaction sa = { .sa_handler = on_signal };
		struct asynclazy_stats stats = { .size = sizeof(stats) };
		struct asynclazy_word word = { 1, 0, 0 };
		struct asynclazy_wait wait = {
			.size = sizeof(wait), .flags = BLOCK, .words = (uintptr_t)&word, .count = 1,
		};
		struct asynclazy_call call[3] = {
			CALL(STATS, &stats), CALL(WAIT, &wait), CALL(STATS, &stats),
		};
		int client = alz_attach(self->a.cache);

		sigaction(SIGUSR1, &sa, NULL);
		if (client < 0 || batch(client, call, 3) != 2)
			_exit(1);
		_exit(call[0].out_error || call[1].out_error != EINTR ||
		      call[2].out_error != -1);
	}
	ASSERT_EQ(0, words_map(&w, self->a.client));
	ASSERT_TRUE(words_await(&w, 1, 1));
	kill(pid, SIGUSR1);
	EXPECT_EQ(0, peer_reap(pid));
	words_unmap(&w);
	close(socket);
}

TEST_HARNESS_MAIN
