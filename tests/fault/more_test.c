// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls that the kselftests leave to another process, or make with nothing to
 * allocate: each of them here, by the test's own task, so that it gets faults.
 */
#include <sys/epoll.h>

#include <kselftest_harness.h>
#include "alz.h"

FIXTURE(more) {
	struct alz a;
	struct alz b;		/* a second client of this process */
	struct asynclazy_claim c;
	struct asynclazy_event e;
	struct asynclazy_stats s;
	char key[1001];		/* too long for the kernel's stack */
	char name[64];
};

FIXTURE_VARIANT(more) {
	__u32 flags;
};

FIXTURE_VARIANT_ADD(more, stable) {
	.flags = ASYNCLAZY_CREATE_STABLE,
};

FIXTURE_VARIANT_ADD(more, evicting) {
	.flags = 0,
};

FIXTURE_SETUP(more)
{
	struct asynclazy_create c = {
		.flags = variant->flags, .max_keys = 1000, .arena_size = 1 << 20,
		.segment_size = 64 << 10,
	};

	ASSERT_EQ(0, alz_setup_as(&self->a, &c));
	ASSERT_EQ(0, alz_join(&self->b, self->a.cache));
	memset(self->key, 'k', sizeof(self->key) - 1);
	snprintf(self->name, sizeof(self->name), "fault-more-%d", getpid());
}

FIXTURE_TEARDOWN(more)
{
	alz_leave(&self->b);
	alz_leave(&self->a);
}

/* A page of its own that nobody has touched: the kernel comes to it first. */
static void *untouched(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* First: what others do with values has fewer copies, and a slice would be content with it. */
TEST_F(more, a_value_whose_pages_are_not_there_yet)
{
	__u64 ticket = alz_ticket(&self->a, "k");
	void *value = untouched(8192);
	struct alz_found f;

	ASSERT_NE(NULL, value);
	ASSERT_EQ(0, alz_publish_bytes(&self->a, ticket, value, 8000, 0, NULL));
	munmap(value, 8192);
	value = untouched(8192);
	ASSERT_NE(NULL, value);
	ASSERT_EQ(0, alz_set_bytes(&self->a, "set", value, 8000, 0, NULL));
	munmap(value, 8192);
	alz_find(&self->b, "k", 1, &f);
	EXPECT_EQ(8000, f.value_size);
	alz_find(&self->b, "set", 3, &f);
	EXPECT_EQ(8000, f.value_size);
}

TEST_F(more, large_caches_are_made_filled_and_read)
{
	struct asynclazy_create c = {
		.flags = variant->flags, .max_keys = 200000, .arena_size = 4 << 20,
		.segment_size = 2 << 20,
	};

	alz_leave(&self->b);
	ASSERT_EQ(0, alz_setup_as(&self->b, &c));
	ASSERT_EQ(0, alz_set(&self->b, "k", "value"));
	EXPECT_TRUE(alz_has(&self->b, "k", "value"));
}

TEST_F(more, long_keys_are_set_claimed_and_invalidated)
{
	__u32 count;
	__u64 ticket;

	ASSERT_EQ(0, alz_set(&self->a, self->key, "value"));
	EXPECT_TRUE(alz_has(&self->b, self->key, "value"));
	ASSERT_EQ(0, alz_invalidate(&self->a, self->key, &count));
	EXPECT_EQ(1, count);
	ticket = alz_ticket(&self->a, self->key);
	ASSERT_NE(0, ticket);
	ASSERT_EQ(0, alz_publish(&self->a, ticket, "new"));
	EXPECT_TRUE(alz_has(&self->b, self->key, "new"));
}

TEST_F(more, all_sorts_of_waits_on_one_flight)
{
	__u32 flags[] = { EVENT, INIT | EVENT, INIT | EVENT | FOLLOW, WAITFD, INIT | WAITFD };
	__u64 ticket = alz_ticket(&self->a, "k");
	int fd[ARRAY_SIZE(flags)];
	unsigned int i, events = 0;

	ASSERT_NE(0, ticket);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		ASSERT_EQ(0, alz_claim_event(&self->b, "k", flags[i], i, &self->c));
		ASSERT_EQ(ASYNCLAZY_RESULT_PENDING, self->c.out_result);
		fd[i] = flags[i] & WAITFD ? self->c.out_fd : -1;
	}
	/* a blocked call that does not wait long */
	alz_claim_fill(&self->b, &self->c, "k", 1, BLOCK);
	self->c.deadline = 1;
	ASSERT_EQ(-ETIMEDOUT, alz_claim_raw(&self->b, &self->c));
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	ASSERT_EQ(ARRAY_SIZE(flags), self->s.out_waits_now);
	ASSERT_EQ(0, alz_cancel(&self->b, 1));
	ASSERT_EQ(0, alz_fail(&self->a, ticket, EIO, TRANSIENT, 0, "a text"));
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		char text[ASYNCLAZY_DETAIL_MAX];
		__u32 size;

		if (i == 1)
			continue;
		if (fd[i] >= 0) {
			ASSERT_EQ(0, alz_read_waitfd(fd[i], &self->e, ALZ_SOON_MS));
			close(fd[i]);
			continue;
		}
		ASSERT_EQ(0, alz_event(&self->b, &self->e));
		EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->e.result);
		ASSERT_EQ(0, alz_fetch(&self->b, self->e.cookie, text, sizeof(text), &size));
		EXPECT_EQ(6, size);
		events++;
	}
	EXPECT_EQ(2, events);
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(0, self->s.out_waits_now);
}

TEST_F(more, descriptors_are_watched_with_epoll)
{
	struct epoll_event e = { .events = EPOLLIN };
	__u64 ticket = alz_ticket(&self->a, "k");
	int epfd = epoll_create1(EPOLL_CLOEXEC);
	int fd = alz_waitfd(&self->b, "k", 0, 1);

	ASSERT_NE(0, ticket);
	ASSERT_LE(0, fd);
	ASSERT_LE(0, epfd);
	ASSERT_EQ(0, epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &e));
	ASSERT_EQ(0, epoll_ctl(epfd, EPOLL_CTL_ADD, self->b.client, &e));
	EXPECT_EQ(0, epoll_wait(epfd, &e, 1, 0));
	ASSERT_EQ(0, alz_publish(&self->a, ticket, "value"));
	EXPECT_EQ(1, epoll_wait(epfd, &e, 1, ALZ_SOON_MS));
	close(fd);
	close(epfd);
}

TEST_F(more, a_name_is_made_opened_and_taken_away)
{
	int device = alz_device(O_RDWR);
	struct asynclazy_create c;
	struct asynclazy_info i;
	__u64 count;
	int fd;

	ASSERT_LE(0, device);
	/* one that failed is not there: the next one is the first */
	ASSERT_EQ(0, alz_create(device, &c, self->name,
				variant->flags | ASYNCLAZY_CREATE_EXCLUSIVE, 100, 1 << 16));
	EXPECT_EQ(1, c.out_created);
	close(c.out_fd);
	fd = alz_open(device, self->name, ASYNCLAZY_OPEN_WRITE);
	ASSERT_LE(0, fd);
	close(fd);
	ASSERT_EQ(0, alz_unlink(device, self->name));
	EXPECT_EQ(-ENOENT, alz_unlink(device, self->name));
	ASSERT_EQ(0, alz_info(&i));
	ASSERT_EQ(0, alz_clear(&self->a, &count));
	EXPECT_EQ(0, count);
	close(device);
}

/* An error that finds no memory to be kept in is told, and not kept. */
TEST_F(more, errors_of_each_class_are_told)
{
	__u32 classes[] = { TRANSIENT, NEGATIVE, PERMANENT };
	struct asynclazy_extend extend = { .size = sizeof(extend) };
	__u64 ticket;
	unsigned int i;
	char key[8];

	for (i = 0; i < ARRAY_SIZE(classes); i++) {
		snprintf(key, sizeof(key), "k%u", i);
		ticket = alz_ticket(&self->a, key);
		ASSERT_NE(0, ticket);
		ASSERT_EQ(0, alz_claim_event(&self->b, key, EVENT, i, &self->c));
		extend.ticket = ticket;
		ASSERT_EQ(0, alz_call(self->a.client, ASYNCLAZY_IOC_EXTEND, &extend));
		ASSERT_EQ(0, alz_fail(&self->a, ticket, EIO, classes[i], 0, "a text"));
		ASSERT_EQ(0, alz_event(&self->b, &self->e));
		EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->e.result);
		EXPECT_EQ(EIO, self->e.error);
	}
}

TEST_F(more, memfds_are_published_set_and_opened)
{
	__u64 ticket = alz_ticket(&self->a, "k"), size;
	int memfd = alz_memfd("value", 5, ALZ_SEALS), fd;
	struct asynclazy_publish p;
	struct asynclazy_set s;
	char text[8];

	ASSERT_LE(0, memfd);
	ASSERT_EQ(0, alz_publish_memfd(&self->a, ticket, memfd, 5, 0, &p));
	ASSERT_EQ(0, alz_set_memfd(&self->a, "set", memfd, 5, &s));
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(2, self->s.out_memfds);
	EXPECT_EQ(10, self->s.out_memfd_bytes);
	fd = alz_memfd_of(&self->b, p.out_generation, &size);
	ASSERT_LE(0, fd);
	EXPECT_EQ(5, pread(fd, text, sizeof(text), 0));
	EXPECT_EQ(0, memcmp(text, "value", 5));
	close(fd);
	fd = alz_memfd_of(&self->b, s.out_generation, &size);
	ASSERT_LE(0, fd);
	close(fd);
	ASSERT_EQ(0, alz_invalidate(&self->a, "k", NULL));
	ASSERT_EQ(0, alz_invalidate(&self->a, "set", NULL));
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(0, self->s.out_memfds + self->s.out_memfd_bytes);
	close(memfd);
}

TEST_F(more, a_memfd_that_is_not_kept_reaches_who_waits)
{
	__u64 ticket = alz_ticket(&self->a, "k"), size;
	int memfd = alz_memfd("value", 5, ALZ_SEALS), fd, wait;
	struct asynclazy_publish p;

	ASSERT_LE(0, memfd);
	ASSERT_EQ(0, alz_claim_event(&self->b, "k", EVENT, 1, &self->c));
	wait = alz_waitfd(&self->b, "k", 0, 2);
	ASSERT_LE(0, wait);
	ASSERT_EQ(0, alz_publish_memfd(&self->a, ticket, memfd, 5, ASYNCLAZY_VALUE_UNKEPT, &p));
	close(memfd);
	ASSERT_EQ(0, alz_event(&self->b, &self->e));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->e.result);
	fd = alz_memfd_of(&self->b, self->e.generation, &size);
	ASSERT_LE(0, fd);
	close(fd);
	ASSERT_EQ(0, alz_read_waitfd(wait, &self->e, ALZ_SOON_MS));
	EXPECT_EQ(ASYNCLAZY_NO_RECORD, self->e.offset);
	close(wait);
}

TEST_F(more, values_that_push_out_others)
{
	static char value[30000];
	char key[16];
	int i;

	if (variant->flags & ASYNCLAZY_CREATE_STABLE)
		SKIP(return, "a STABLE cache keeps them");
	for (i = 0; i < 50; i++) {
		int memfd = alz_memfd(value, sizeof(value), ALZ_SEALS);

		snprintf(key, sizeof(key), "k%d", i);
		ASSERT_EQ(0, alz_set_bytes(&self->a, key, value, sizeof(value), 0, NULL));
		/* read, so that some of them are kept */
		ASSERT_EQ(0, alz_claim(&self->b, key, INIT, &self->c));
		EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->c.out_result);
		snprintf(key, sizeof(key), "m%d", i);
		ASSERT_EQ(0, alz_set_memfd(&self->a, key, memfd, sizeof(value), NULL));
		close(memfd);
	}
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_LT(0, self->s.out_evictions);
	EXPECT_GE(1 << 20, self->s.out_arena_allocated + self->s.out_memfd_bytes);
}

TEST_F(more, claims_and_publishes_set_pins)
{
	struct asynclazy_publish p = {
		.size = sizeof(p), .ticket = alz_ticket(&self->a, "k"),
		.value = (uintptr_t)"value", .value_size = 5, .pin = 1,
	};

	if (variant->flags & ASYNCLAZY_CREATE_STABLE)
		SKIP(return, "a STABLE cache has none");
	ASSERT_EQ(0, alz_call(self->a.client, ASYNCLAZY_IOC_PUBLISH, &p));
	EXPECT_EQ(p.out_offset | ASYNCLAZY_PIN_SET, self->a.pins[0]);
	alz_claim_fill(&self->b, &self->c, "k", 1, INIT);
	self->c.pin = 2;
	ASSERT_EQ(0, alz_claim_raw(&self->b, &self->c));
	EXPECT_EQ(p.out_offset | ASYNCLAZY_PIN_SET, self->b.pins[1]);
}

/* A page of the client's, at a place where there is no page table yet; never unmapped. */
static const char *map_apart(int client, __u64 offset)
{
	const size_t table = 2 << 20;
	char *room = mmap(NULL, 2 * table, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (room == MAP_FAILED)
		return room;
	room += table - (uintptr_t)room % table;
	return mmap(room, 1, PROT_READ, MAP_SHARED | MAP_FIXED, client, offset);
}

/* By the kernel: it says EFAULT when a page cannot be put in, where a program would try on. */
TEST_F(more, pages_are_put_in_when_they_are_touched)
{
	struct asynclazy_create c = {
		.flags = variant->flags, .max_keys = 1000, .arena_size = 1 << 20,
		.segment_size = 64 << 10, .words = 1024,
	};
	__u64 offsets[] = {
		ASYNCLAZY_OFF_TABLE, ASYNCLAZY_OFF_ARENA, ASYNCLAZY_OFF_WORDS,
		ASYNCLAZY_OFF_WAITING, ASYNCLAZY_OFF_HELD, ASYNCLAZY_OFF_PINS,
		ASYNCLAZY_OFF_VISITED,
	};
	unsigned int i, n = ARRAY_SIZE(offsets);
	const char *page;
	char byte;
	int fd[2];

	if (variant->flags & ASYNCLAZY_CREATE_STABLE)
		n -= 2;
	alz_leave(&self->b);
	ASSERT_EQ(0, alz_setup_as(&self->b, &c));
	ASSERT_EQ(0, alz_set(&self->b, "k", "value"));
	ASSERT_EQ(0, pipe(fd));
	for (i = 0; i < n; i++) {
		page = map_apart(self->b.client, offsets[i]);
		ASSERT_NE(MAP_FAILED, page);
		ASSERT_EQ(1, write(fd[1], page, 1));
		ASSERT_EQ(1, read(fd[0], &byte, 1));
		EXPECT_EQ(*page, byte);
	}
	close(fd[0]);
	close(fd[1]);
}

TEST_HARNESS_MAIN
