// SPDX-License-Identifier: GPL-2.0-only
/*
 * K15: the memory of a cache is its maker's, whoever fills it; where the maker's
 * cgroup has no more of it, a cache that recycles goes on with what it has.
 */
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "alz.h"

#define ROOT	"/sys/fs/cgroup"
#define BUDGET	(16ULL << 20)
#define SIZE	4000

FIXTURE(cgroup) {
	struct alz a;
	char maker[64], filler[64];
	struct asynclazy_stats s;
};

static int enter(const char *group)
{
	char path[128];
	int fd, err = 0;

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, "0", 1) != 1)
		err = -errno;
	close(fd);
	return err;
}

static int limit(const char *group, __u64 bytes)
{
	char path[128], text[32];
	int fd, n, err = 0;

	snprintf(path, sizeof(path), "%s/memory.max", group);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = snprintf(text, sizeof(text), "%llu", bytes);
	if (write(fd, text, n) != n)
		err = -errno;
	close(fd);
	return err;
}

static __u64 current(const char *group)
{
	char path[128];
	__u64 n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/memory.current", group);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%llu", &n) != 1)
		n = 0;
	if (f)
		fclose(f);
	return n;
}

FIXTURE_SETUP(cgroup)
{
	int fd = open(ROOT "/cgroup.subtree_control", O_WRONLY | O_CLOEXEC);

	self->a.client = self->a.cache = -1;
	if (fd < 0 || write(fd, "+memory", 7) != 7)
		SKIP(return, "no memory controller of cgroup2 at " ROOT);
	close(fd);
	snprintf(self->maker, sizeof(self->maker), ROOT "/alz-maker-%d", getpid());
	snprintf(self->filler, sizeof(self->filler), ROOT "/alz-filler-%d", getpid());
	ASSERT_EQ(0, mkdir(self->maker, 0755));
	ASSERT_EQ(0, mkdir(self->filler, 0755));
}

FIXTURE_TEARDOWN(cgroup)
{
	enter(ROOT);
	alz_leave(&self->a);
	rmdir(self->maker);
	rmdir(self->filler);
}

/* A cache that is made in one cgroup, with this process in the other. */
static int setup(FIXTURE_DATA(cgroup) *self, __u32 flags)
{
	struct asynclazy_create c = {
		.flags = flags, .max_keys = 20000, .arena_size = BUDGET,
	};
	int err = enter(self->maker);

	if (!err)
		err = alz_setup_as(&self->a, &c);
	if (!err)
		err = enter(self->filler);
	return err;
}

static int fill(FIXTURE_DATA(cgroup) *self, __u64 bytes)
{
	static char value[SIZE];
	char name[32];
	__u64 n;
	int err = 0;

	for (n = 0; n < bytes / SIZE && !err; n++) {
		sprintf(name, "key %llu", n);
		err = alz_set_bytes(&self->a, name, value, sizeof(value), 0, NULL);
	}
	return err;
}

static void charged(struct __test_metadata *_metadata, FIXTURE_DATA(cgroup) *self,
		    __u32 flags)
{
	__u64 maker, filler;

	ASSERT_EQ(0, setup(self, flags));
	maker = current(self->maker);
	filler = current(self->filler);
	ASSERT_EQ(0, fill(self, BUDGET * 3 / 4));
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_LE(BUDGET * 3 / 4, self->s.out_arena_allocated);
	/* the statistics of a cgroup lag behind by some pages */
	EXPECT_LE(maker + BUDGET / 2, current(self->maker));
	EXPECT_GE(filler + BUDGET / 8, current(self->filler));
}

TEST_F(cgroup, memory_is_charged_to_who_made_the_cache)	/* K15 */
{
	charged(_metadata, self, 0);
}

TEST_F(cgroup, and_that_of_a_stable_cache)		/* K15 */
{
	charged(_metadata, self, ASYNCLAZY_CREATE_STABLE);
}

TEST_F(cgroup, huge_pages_are_charged_and_uncharged_as_small_ones)	/* K15 */
{
	struct asynclazy_create c = {
		.flags = ASYNCLAZY_CREATE_STABLE, .max_keys = 800000,
		.arena_size = BUDGET, .segment_size = 2 << 20,
	};
	__u64 before, filler, size, until = alz_now() + ALZ_SOON_MS * ALZ_MSEC;

	ASSERT_EQ(0, enter(self->maker));
	before = current(self->maker);
	ASSERT_EQ(0, alz_setup_as(&self->a, &c));
	ASSERT_EQ(0, enter(self->filler));
	filler = current(self->filler);
	ASSERT_EQ(0, fill(self, BUDGET * 3 / 4));
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	size = self->a.table_size + self->s.out_arena_allocated;
	EXPECT_LE(before + size - BUDGET / 8, current(self->maker));
	EXPECT_GE(before + size + BUDGET / 8, current(self->maker));
	EXPECT_GE(filler + BUDGET / 8, current(self->filler));
	alz_leave(&self->a);
	/* it goes a grace period later */
	while (current(self->maker) > before + BUDGET / 8 && alz_now() < until)
		usleep(1000);
	EXPECT_GE(before + BUDGET / 8, current(self->maker));
}

TEST_F(cgroup, at_its_limit_a_cache_recycles_what_it_has)	/* K15, L13 */
{
	ASSERT_EQ(0, setup(self, 0));
	ASSERT_EQ(0, limit(self->maker, current(self->maker) + BUDGET / 2));
	ASSERT_EQ(0, fill(self, 3 * BUDGET));
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_GT(BUDGET * 3 / 4, self->s.out_arena_allocated);
	EXPECT_LT(0, self->s.out_evictions);
	EXPECT_EQ(0, self->s.out_nospace);
	/* nobody was killed for it, and with more memory there is more room */
	ASSERT_EQ(0, limit(self->maker, 4 * BUDGET));
	ASSERT_EQ(0, fill(self, 2 * BUDGET));
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_LT(BUDGET * 3 / 4, self->s.out_arena_allocated);
}

TEST_F(cgroup, at_its_limit_a_stable_cache_has_no_memory)	/* K15 */
{
	ASSERT_EQ(0, setup(self, ASYNCLAZY_CREATE_STABLE));
	ASSERT_EQ(0, limit(self->maker, current(self->maker) + BUDGET / 4));
	EXPECT_EQ(-ENOMEM, fill(self, BUDGET * 3 / 4));
	EXPECT_TRUE(alz_state_of(&self->a, "key 0") == ASYNCLAZY_SLOT_FILLED);
	ASSERT_EQ(0, limit(self->maker, 4 * BUDGET));
	EXPECT_EQ(0, fill(self, BUDGET / 4));
}

TEST_HARNESS_MAIN
