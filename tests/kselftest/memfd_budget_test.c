// SPDX-License-Identifier: GPL-2.0-only
/*
 * L16: what memfd values cost: they count against the budget, push out and are
 * pushed out, are delivered where they cannot be kept, and are never copied.
 */
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "remote.h"

#define BUDGET	(16ULL << 20)
#define SIZE	(1 << 20)
#define READERS	8

FIXTURE(memfd_budget) {
	struct alz a;
	struct asynclazy_claim c;
	struct asynclazy_event e;
	struct asynclazy_set s;
	struct asynclazy_stats stats;
	pid_t pid[READERS];
	int socket[READERS];
};

FIXTURE_SETUP(memfd_budget)
{
	ASSERT_EQ(0, alz_setup_evicting(&self->a, 1000, BUDGET));
}

FIXTURE_TEARDOWN(memfd_budget)
{
	alz_leave(&self->a);
}

/* Some bytes of each page say whose it is: there may be many pages. */
static __u64 mark_of(__u64 key, __u64 at)
{
	return (key << 40 | at) + 1;
}

/* A sealed memfd with the value of a key, or -errno. */
static int make(__u64 key, __u64 size)
{
	int fd = alz_memfd(NULL, size, 0), err = 0;
	__u64 at;
	char *p;

	if (fd < 0)
		return fd;
	p = mmap(NULL, size + 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	for (at = 0; at + 8 <= size; at += 4096)
		*(__u64 *)(p + at) = mark_of(key, at);
	munmap(p, size + 1);
	if (fcntl(fd, F_ADD_SEALS, ALZ_SEALS))
		err = -errno;
	return err ? err : fd;
}

static int set_memfd(struct alz *a, __u64 key, __u64 size, struct asynclazy_set *s)
{
	int fd = make(key, size), err;
	char name[32];

	if (fd < 0)
		return fd;
	sprintf(name, "memfd %llu", key);
	err = alz_set_memfd(a, name, fd, size, s);
	close(fd);
	return err;
}

static bool fd_is(int fd, __u64 size, __u64 key)
{
	char *p = fd < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	bool is = true;
	__u64 at;

	if (p == MAP_FAILED)
		return false;
	for (at = 0; at + 8 <= size; at += 4096)
		is &= *(__u64 *)(p + at) == mark_of(key, at);
	munmap(p, size);
	return is;
}

static __u64 meminfo(const char *name)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];
	__u64 n = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ':')
			sscanf(line + strlen(name) + 1, "%llu", &n);
	if (f)
		fclose(f);
	return n << 10;
}

/* Whether the kernel has given shared memory back, down to about this much. */
static bool shmem_falls_to(__u64 bytes)
{
	__u64 until = alz_now() + ALZ_SOON_MS * ALZ_MSEC;
	struct timespec t = { .tv_nsec = ALZ_MSEC };

	while (meminfo("Shmem") > bytes) {
		if (alz_now() > until)
			return false;
		nanosleep(&t, NULL);
	}
	return true;
}

TEST_F(memfd_budget, memfds_push_out_one_another)	/* L16, L13 */
{
	__u64 before = meminfo("Shmem"), key, there = 0;
	char name[32];

	for (key = 0; key < 60; key++) {
		ASSERT_EQ(0, set_memfd(&self->a, key, SIZE, &self->s));
		ASSERT_EQ(0, alz_stats(self->a.cache, &self->stats));
		ASSERT_GE(BUDGET, self->stats.out_arena_allocated + self->stats.out_memfd_bytes);
		ASSERT_EQ(SIZE * self->stats.out_memfds, self->stats.out_memfd_bytes);
		/* the first one is read all the time */
		sprintf(name, "memfd %d", 0);
		ASSERT_TRUE(alz_read(&self->a, 1, name, strlen(name),
				     &(struct alz_found) { 0 })) TH_LOG("after %llu", key);
		alz_unpin(&self->a, 1);
	}
	for (key = 0; key < 60; key++) {
		sprintf(name, "memfd %llu", key);
		there += alz_state_of(&self->a, name) == ASYNCLAZY_SLOT_FILLED;
	}
	EXPECT_EQ(there, self->stats.out_memfds);
	EXPECT_EQ(60 - there, self->stats.out_evictions);
	EXPECT_LT(4, there);
	/* what went is no longer anywhere */
	EXPECT_TRUE(shmem_falls_to(before + BUDGET + SIZE));
	ASSERT_EQ(0, alz_clear(&self->a, &key));
	EXPECT_EQ(there, key);
	EXPECT_TRUE(shmem_falls_to(before + SIZE));
}

TEST_F(memfd_budget, memfds_push_out_values_and_values_memfds)	/* L16, L13 */
{
	static char value[8000];
	__u64 key, allocated;
	char name[32];

	for (key = 0; key < 2 * BUDGET / sizeof(value); key++) {
		sprintf(name, "value %llu", key % 900);
		ASSERT_EQ(0, alz_set_bytes(&self->a, name, value, sizeof(value), 0, NULL));
	}
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->stats));
	allocated = self->stats.out_arena_allocated;
	EXPECT_LT(BUDGET / 2, allocated);
	for (key = 0; key < 10; key++)
		ASSERT_EQ(0, set_memfd(&self->a, key, SIZE, &self->s)) TH_LOG("%llu", key);
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->stats));
	EXPECT_GE(BUDGET, self->stats.out_arena_allocated + self->stats.out_memfd_bytes);
	EXPECT_GT(allocated, self->stats.out_arena_allocated);
	EXPECT_EQ(10 * SIZE, self->stats.out_memfd_bytes);
	/* the arena goes on in what is left to it, and the memfds stay */
	for (key = 0; key < 2 * BUDGET / sizeof(value); key++) {
		sprintf(name, "value %llu", key % 900);
		ASSERT_EQ(0, alz_set_bytes(&self->a, name, value, sizeof(value), 0, NULL));
	}
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->stats));
	EXPECT_GE(BUDGET, self->stats.out_arena_allocated + self->stats.out_memfd_bytes);
	EXPECT_LT(0, self->stats.out_reclaims);
	/* and has it all again when they are gone */
	ASSERT_EQ(0, alz_clear(&self->a, &key));
	for (key = 0; key < 2 * BUDGET / sizeof(value); key++) {
		sprintf(name, "value %llu", key % 900);
		ASSERT_EQ(0, alz_set_bytes(&self->a, name, value, sizeof(value), 0, NULL));
	}
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->stats));
	EXPECT_LT(BUDGET * 3 / 4, self->stats.out_arena_allocated);
}

TEST_F(memfd_budget, what_does_not_fit_is_not_set)	/* L16 */
{
	struct alz_state before;
	struct alz stable;
	__u64 ticket;
	int fd;

	ASSERT_EQ(0, set_memfd(&self->a, 1, SIZE, &self->s));
	fd = make(1, BUDGET + 1);
	ASSERT_LE(0, fd);
	alz_snapshot(&self->a, &before);
	EXPECT_EQ(-ENOSPC, alz_set_memfd(&self->a, "memfd 1", fd, BUDGET + 1, NULL));
	EXPECT_TRUE(alz_unchanged(&self->a, &before));
	close(fd);
	/* a STABLE cache keeps what fits, for good */
	ASSERT_EQ(0, alz_setup(&stable, 100, BUDGET));
	ASSERT_EQ(0, set_memfd(&stable, 1, BUDGET / 2, NULL));
	EXPECT_EQ(-ENOSPC, set_memfd(&stable, 2, BUDGET / 2, NULL));
	ticket = alz_ticket(&stable, "k");
	fd = make(3, BUDGET / 2);
	ASSERT_EQ(0, alz_publish_memfd(&stable, ticket, fd, BUDGET / 2, 0, NULL));
	close(fd);
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&stable, "k"));
	ASSERT_EQ(0, alz_stats(stable.cache, &self->stats));
	EXPECT_EQ(1, self->stats.out_unkept);
	EXPECT_EQ(1, self->stats.out_memfds);
	alz_leave(&stable);
}

TEST_F(memfd_budget, without_room_for_its_record_it_is_not_kept)	/* L16 */
{
	static char value[60000];
	struct alz_state before;
	struct alz stable;
	__u64 ticket;
	int fd, n = 0;

	ASSERT_EQ(0, alz_setup(&stable, 100, 1 << 20));
	ticket = alz_ticket(&stable, "k");
	while (!alz_set_bytes(&stable, "filler", value, n ? 10 : sizeof(value), 0, NULL) ||
	       !n++)
		;
	/* it takes nothing of the budget, but for that */
	fd = make(1, 0);
	ASSERT_LE(0, fd);
	alz_snapshot(&stable, &before);
	EXPECT_EQ(-ENOSPC, alz_set_memfd(&stable, "set", fd, 0, NULL));
	EXPECT_TRUE(alz_unchanged(&stable, &before));
	ASSERT_EQ(0, alz_publish_memfd(&stable, ticket, fd, 0, 0, NULL));
	close(fd);
	ASSERT_EQ(0, alz_stats(stable.cache, &self->stats));
	EXPECT_EQ(1, self->stats.out_unkept);
	EXPECT_EQ(0, self->stats.out_memfds + self->stats.out_memfd_bytes);
	alz_leave(&stable);
}

/*
 * Delivery
 */

TEST_F(memfd_budget, an_unkept_value_reaches_each_sort_of_waiter)	/* L16, I5 */
{
	__u64 ticket = alz_ticket(&self->a, "k"), size;
	struct asynclazy_publish p;
	struct alz_blocker blocker;
	int wait, fd, i;

	alz_block(&blocker, &self->a, "k", 0, 0);
	wait = alz_waitfd(&self->a, "k", 0, 2);
	ASSERT_LE(0, wait);
	ASSERT_EQ(0, alz_claim_event(&self->a, "k", EVENT, 1, &self->c));
	ASSERT_TRUE(alz_await_waits(&self->a, 3));
	fd = make(5, SIZE);
	ASSERT_EQ(0, alz_publish_memfd(&self->a, ticket, fd, SIZE, ASYNCLAZY_VALUE_UNKEPT, &p));
	close(fd);
	EXPECT_EQ(ASYNCLAZY_NO_RECORD, p.out_offset);
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "k"));
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->stats));
	EXPECT_EQ(1, self->stats.out_unkept);
	EXPECT_EQ(1, self->stats.out_publishes);
	EXPECT_EQ(0, self->stats.out_memfds + self->stats.out_memfd_bytes);

	ASSERT_TRUE(alz_block_ended(&blocker, ALZ_SOON_MS));
	ASSERT_EQ(0, blocker.err);
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, blocker.claim.out_result);
	EXPECT_EQ(ASYNCLAZY_NO_RECORD, blocker.claim.out_offset);
	EXPECT_EQ(p.out_generation, blocker.claim.out_generation);
	EXPECT_EQ(FD_CLOEXEC, fcntl(blocker.claim.out_fd, F_GETFD));
	EXPECT_EQ(O_RDONLY, fcntl(blocker.claim.out_fd, F_GETFL) & O_ACCMODE);
	EXPECT_TRUE(fd_is(blocker.claim.out_fd, SIZE, 5));
	close(blocker.claim.out_fd);

	ASSERT_EQ(0, alz_event(&self->a, &self->e));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->e.result);
	EXPECT_EQ(ASYNCLAZY_NO_RECORD, self->e.offset);
	EXPECT_EQ(p.out_generation, self->e.generation);
	for (i = 0; i < 2; i++) {
		fd = alz_memfd_of(&self->a, self->e.generation, &size);
		EXPECT_EQ(SIZE, size);
		EXPECT_TRUE(fd_is(fd, SIZE, 5));
		close(fd);
	}
	ASSERT_EQ(0, fcntl(self->a.client, F_SETFL, O_NONBLOCK));
	EXPECT_EQ(-1, read(self->a.client, &self->e, sizeof(self->e)));
	/* the wait fd has it still */
	ASSERT_EQ(0, alz_read_waitfd(wait, &self->e, ALZ_SOON_MS));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->e.result);
	fd = alz_memfd_of(&self->a, self->e.generation, &size);
	EXPECT_TRUE(fd_is(fd, SIZE, 5));
	close(fd);
	close(wait);
	EXPECT_EQ(-ENOENT, alz_memfd_of(&self->a, p.out_generation, &size));
	/* who comes later makes it again */
	EXPECT_LT(0, alz_ticket(&self->a, "k"));
}

TEST_F(memfd_budget, an_unkept_value_that_nobody_awaits_is_freed)	/* L16 */
{
	__u64 before = meminfo("Shmem"), ticket = alz_ticket(&self->a, "k");
	struct asynclazy_publish p;
	int fd = make(1, 16 * SIZE);

	ASSERT_EQ(0, alz_publish_memfd(&self->a, ticket, fd, 16 * SIZE,
				       ASYNCLAZY_VALUE_UNKEPT, &p));
	EXPECT_EQ(-ENOENT, alz_memfd_of(&self->a, p.out_generation, NULL));
	EXPECT_LE(before + 16 * SIZE, meminfo("Shmem") + SIZE);
	close(fd);
	EXPECT_TRUE(shmem_falls_to(before + SIZE));
}

/* Wait for "large", say inode and device of what came, and whether it is right. */
static void large_reader(int cache, int socket, __u64 size)
{
	struct asynclazy_claim c;
	__u64 word = 0;
	struct stat st;
	struct alz a;

	if (alz_join(&a, cache))
		_exit(1);
	if (alz_claim(&a, "large", BLOCK, &c) || c.out_result != ASYNCLAZY_RESULT_HIT)
		_exit(2);
	if (c.out_offset != ASYNCLAZY_NO_RECORD)
		c.out_fd = alz_memfd_of(&a, c.out_generation, NULL);
	if (fstat(c.out_fd, &st) || !fd_is(c.out_fd, size, 3))
		_exit(3);
	if (peer_say(socket, st.st_ino) || peer_hear(socket, &word, 100 * ALZ_SOON_MS))
		_exit(4);
	_exit(0);
}

/* 8 processes wait for one value and read it all; it is there once. */
static void deliver(struct __test_metadata *_metadata, FIXTURE_DATA(memfd_budget) *self,
		    __u64 size)
{
	__u64 ticket = alz_ticket(&self->a, "large"), shmem = meminfo("Shmem"), inode;
	__u64 start = alz_now();
	struct stat st;
	int p, fd;

	fd = make(3, size);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fstat(fd, &st));
	for (p = 0; p < READERS; p++) {
		self->pid[p] = peer_fork(&self->socket[p]);
		if (!self->pid[p])
			large_reader(self->a.cache, self->socket[p], size);
		ASSERT_LT(0, self->pid[p]);
	}
	ASSERT_TRUE(alz_await_waits(&self->a, READERS));
	ASSERT_EQ(0, alz_publish_memfd(&self->a, ticket, fd, size, 0, NULL));
	for (p = 0; p < READERS; p++) {
		ASSERT_EQ(0, peer_hear(self->socket[p], &inode, 100 * ALZ_SOON_MS));
		EXPECT_EQ(st.st_ino, inode);
	}
	/* all have it mapped, and nobody has a copy */
	EXPECT_GE(shmem + size + size / 16, meminfo("Shmem"));
	TH_LOG("%llu MiB read by %d processes in %llu ms", size >> 20, READERS,
	       (alz_now() - start) / ALZ_MSEC);
	close(fd);
	for (p = 0; p < READERS; p++) {
		ASSERT_EQ(0, peer_say(self->socket[p], 1));
		EXPECT_EQ(0, peer_reap(self->pid[p]));
	}
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->stats));
}

TEST_F_TIMEOUT(memfd_budget, one_value_is_read_by_8_without_a_copy, 3000)	/* L16 */
{
	__u64 size = (__u64)alz_rounds(64, 16, 1024) << 20;

	alz_leave(&self->a);
	ASSERT_EQ(0, alz_setup_evicting(&self->a, 100, size + (256 << 20)));
	deliver(_metadata, self, size);
	EXPECT_EQ(0, self->stats.out_unkept);
	EXPECT_EQ(size, self->stats.out_memfd_bytes);
}

TEST_F(memfd_budget, one_larger_than_the_budget_reaches_all_who_wait)	/* L16, I5 */
{
	__u64 before = meminfo("Shmem");

	deliver(_metadata, self, 2 * BUDGET);
	EXPECT_EQ(1, self->stats.out_unkept);
	EXPECT_EQ(0, self->stats.out_memfds);
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "large"));
	EXPECT_TRUE(shmem_falls_to(before + SIZE));
}

TEST_HARNESS_MAIN
