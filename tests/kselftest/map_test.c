// SPDX-License-Identifier: GPL-2.0-only
/* K2: the table and the arena, as other processes see them: to be read only. */
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <linux/seccomp.h>

#include "kselftest_harness.h"
#include "remote.h"

FIXTURE(map) {
	struct alz a;
	struct asynclazy_geometry g;
	struct remote r;
};

FIXTURE_SETUP(map)
{
	ASSERT_EQ(0, alz_setup(&self->a, 100, 4 << 20));
	ASSERT_EQ(0, alz_geometry(self->a.client, &self->g));
	ASSERT_EQ(0, alz_set(&self->a, "k", "value"));
}

FIXTURE_TEARDOWN(map)
{
	remote_end(&self->r);
	alz_leave(&self->a);
}

static int try_map(int fd, size_t size, int protection, int flags, __u64 offset)
{
	void *p = mmap(NULL, size, protection, flags, fd, offset);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, size);
	return 0;
}

TEST_F(map, the_header_says_what_geometry_says)		/* K1, K2 */
{
	const struct asynclazy_header *h = self->a.header;

	EXPECT_EQ(ASYNCLAZY_MAGIC, h->magic);
	EXPECT_EQ(ASYNCLAZY_ABI_VERSION, h->abi_version);
	EXPECT_EQ(ASYNCLAZY_HEADER_SIZE, h->header_size);
	EXPECT_EQ(self->g.out_features, h->features);
	EXPECT_EQ(ASYNCLAZY_FEATURE_STABLE, h->features & ASYNCLAZY_FEATURE_STABLE);
	EXPECT_EQ(self->g.out_cache_id, h->cache_id);
	EXPECT_EQ(self->g.out_slots, h->bucket_count * ASYNCLAZY_BUCKET_SLOTS);
	EXPECT_EQ(0, h->bucket_count & (h->bucket_count - 1));
	EXPECT_EQ(ASYNCLAZY_GRANULE_SHIFT, h->granule_shift);
	EXPECT_EQ(self->g.out_segment_size, 1ULL << h->segment_shift);
	EXPECT_EQ(self->g.out_arena_size, h->arena_size);
	EXPECT_EQ(self->g.out_value_max, h->value_max);
	EXPECT_EQ(self->g.out_key_max, h->key_max);
	EXPECT_EQ(self->g.out_flags, h->flags);
	EXPECT_EQ(self->g.out_table_size, h->table_size);
	EXPECT_EQ(0, h->coarse_clock | h->reserved[0] | h->reserved[1]);
	EXPECT_EQ(self->g.out_visited_size, h->visited_size);
	EXPECT_EQ(self->g.out_pins_size, h->pins_size);
	EXPECT_EQ(self->g.out_budget, h->budget);
	EXPECT_EQ(0, h->words_size | h->reserved2);
	/* nothing to pin, and nothing that goes */
	EXPECT_EQ(0, h->visited_size | h->pins_size);
	EXPECT_EQ(h->arena_size, h->budget);
}

TEST_F(map, caches_have_seeds_of_their_own)		/* K2 */
{
	struct alz other;

	ASSERT_EQ(0, alz_setup(&other, 100, 1 << 20));
	EXPECT_NE(self->a.header->hash_seed, other.header->hash_seed);
	EXPECT_NE(self->a.header->cache_id, other.header->cache_id);
	alz_leave(&other);
}

TEST_F(map, a_record_is_laid_out_as_documented)		/* K2 */
{
	struct asynclazy_publish p;
	struct alz_found f;
	__u64 start = alz_now();
	const struct asynclazy_times *times;

	ASSERT_EQ(0, alz_publish_bytes(&self->a, alz_ticket(&self->a, "some key"),
				       "the value", 9, 0, &p));
	alz_find(&self->a, "some key", 8, &f);
	ASSERT_EQ(ASYNCLAZY_SLOT_FILLED, f.state);
	EXPECT_EQ(0, f.word & ASYNCLAZY_SLOT_REFRESHING);
	EXPECT_EQ(0, f.offset % (1 << ASYNCLAZY_GRANULE_SHIFT));
	EXPECT_EQ(p.out_offset, f.offset);
	EXPECT_EQ(p.out_generation, f.record->generation);
	EXPECT_EQ(alz_hash(&self->a, "some key", 8), f.record->hash);
	EXPECT_EQ(9, f.record->value_size);
	EXPECT_EQ(8, f.record->key_size);
	EXPECT_EQ(ASYNCLAZY_RECORD_VALUE, f.record->kind);
	EXPECT_EQ(0, f.record->error);
	EXPECT_LT(0, f.record->took);
	EXPECT_GE(alz_now() - start, f.record->took);
	EXPECT_LE(48 + 16 + 9, f.record->granules << ASYNCLAZY_GRANULE_SHIFT);
	EXPECT_EQ(0, (uintptr_t)f.value % 16);

	/* with an end */
	ASSERT_EQ(0, alz_publish_bytes(&self->a, alz_ticket(&self->a, "ends"), "v", 1,
				       ALZ_SEC, &p));
	alz_find(&self->a, "ends", 4, &f);
	ASSERT_EQ(ASYNCLAZY_SLOT_FILLED, f.state);
	ASSERT_EQ(ASYNCLAZY_RECORD_TIMES, f.record->flags);
	times = alz_record_times(f.record);
	EXPECT_LE(start, times->published);
	EXPECT_GE(alz_now(), times->published);
	EXPECT_EQ(times->published + ALZ_SEC, times->dead_until);
	EXPECT_GE(times->dead_until, times->stale_until);
	EXPECT_GE(times->stale_until, times->fresh_until);
}

TEST_F(map, a_value_ends_with_its_time)			/* K3 */
{
	struct asynclazy_claim c;
	struct alz_found f;
	struct timespec t;
	__u64 until;

	ASSERT_EQ(0, alz_set_bytes(&self->a, "k", "short", 5, 200 * ALZ_MSEC, NULL));
	ASSERT_EQ(0, alz_claim(&self->a, "k", INIT, &c));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, c.out_result);
	alz_find(&self->a, "k", 1, &f);
	ASSERT_EQ(ASYNCLAZY_RECORD_TIMES, f.record->flags);
	until = alz_record_times(f.record)->dead_until;
	t.tv_sec = until / ALZ_SEC;
	t.tv_nsec = until % ALZ_SEC;
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
	ASSERT_EQ(0, alz_claim(&self->a, "k", 0, &c));
	EXPECT_EQ(ASYNCLAZY_RESULT_EMPTY, c.out_result);
	ASSERT_EQ(0, alz_claim(&self->a, "k", INIT, &c));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, c.out_result);
	ASSERT_EQ(0, alz_publish(&self->a, c.out_ticket, "next"));
	EXPECT_TRUE(alz_has(&self->a, "k", "next"));
	EXPECT_EQ(1, self->a.header->keys);
	/* never is never */
	ASSERT_EQ(0, alz_set_bytes(&self->a, "k", "long", 4, ASYNCLAZY_NEVER, NULL));
	ASSERT_EQ(0, alz_claim(&self->a, "k", 0, &c));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, c.out_result);
}

TEST_F(map, a_published_value_is_read_without_a_system_call)	/* K2 */
{
	volatile int *go = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct alz reader;
	int socket;
	__u64 word;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, (void *)go);
	pid = peer_fork(&socket);
	if (!pid) {
		bool ok;

		if (alz_join(&reader, self->a.cache) || peer_say(socket, 1))
			_exit(2);
		/* from here on a system call but exit, read or write is death */
		if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
			syscall(SYS_exit, 3);
		while (!*go)
			__builtin_ia32_pause();
		ok = alz_has(&reader, "late", "published by another process");
		syscall(SYS_exit, ok ? 0 : 1);
	}
	ASSERT_EQ(0, peer_hear(socket, &word, ALZ_SOON_MS));
	ASSERT_EQ(0, remote_start(&self->r, self->a.cache));
	ASSERT_EQ(0, remote_publish(&self->r, remote_ticket(&self->r, "late"),
				    "published by another process"));
	*go = 1;
	EXPECT_EQ(0, peer_reap(pid));
}

TEST_F(map, nobody_may_write)				/* K2, I7 */
{
	static const __u64 offsets[] = { ASYNCLAZY_OFF_TABLE, ASYNCLAZY_OFF_ARENA };
	size_t sizes[] = { self->a.table_size, self->a.arena_size };
	int fd = self->a.client;
	int i;

	for (i = 0; i < 2; i++) {
		EXPECT_EQ(-EACCES, try_map(fd, sizes[i], PROT_READ | PROT_WRITE,
					   MAP_SHARED, offsets[i]));
		EXPECT_EQ(-EACCES, try_map(fd, sizes[i], PROT_WRITE, MAP_SHARED, offsets[i]));
		EXPECT_EQ(-EACCES, try_map(fd, 4096, PROT_READ | PROT_WRITE,
					   MAP_SHARED, offsets[i]));
		EXPECT_EQ(-EACCES, try_map(fd, sizes[i], PROT_READ | PROT_WRITE,
					   MAP_PRIVATE, offsets[i]));
		EXPECT_EQ(-EACCES, try_map(fd, sizes[i], PROT_READ, MAP_PRIVATE, offsets[i]));
		EXPECT_EQ(-EACCES, try_map(fd, sizes[i], PROT_READ | PROT_EXEC,
					   MAP_SHARED, offsets[i]));
	}
	EXPECT_EQ(-1, mprotect((void *)self->a.header, 4096, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect((void *)self->a.header, self->a.table_size, PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect((void *)self->a.arena, 4096, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_TRUE(alz_has(&self->a, "k", "value"));
}

TEST_F(map, not_even_through_proc_mem)			/* K2, I7 */
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	struct alz_found f;

	ASSERT_LE(0, fd);
	alz_find(&self->a, "k", 1, &f);
	EXPECT_NE(5, pwrite(fd, "wrong", 5, (off_t)(uintptr_t)f.value));
	EXPECT_NE(8, pwrite(fd, "wrong!!!", 8, (off_t)(uintptr_t)self->a.header));
	close(fd);
	EXPECT_EQ(ASYNCLAZY_MAGIC, self->a.header->magic);
	EXPECT_TRUE(alz_has(&self->a, "k", "value"));
	ASSERT_EQ(0, remote_start(&self->r, self->a.cache));
	EXPECT_TRUE(alz_has(&self->a, "k", "value"));
}

TEST_F(map, a_store_is_a_fault)				/* K2, I7 */
{
	int socket;
	pid_t pid = peer_fork(&socket);

	if (!pid) {
		struct alz own;

		if (alz_join(&own, self->a.cache))
			_exit(1);
		*(volatile __u64 *)own.header = 0;
		_exit(0);
	}
	EXPECT_EQ(128 + SIGSEGV, peer_reap(pid));
	EXPECT_EQ(ASYNCLAZY_MAGIC, self->a.header->magic);
}

TEST_F(map, only_what_is_there_can_be_mapped)		/* K2 */
{
	size_t table = self->a.table_size, arena = self->a.arena_size;
	static const __u64 reserved[] = {
		ASYNCLAZY_OFF_VISITED, ASYNCLAZY_OFF_PINS, ASYNCLAZY_OFF_WORDS,
		5ULL << 44, 1ULL << 62,
	};
	int fd = self->a.client, err;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(reserved); i++) {
		err = try_map(fd, 4096, PROT_READ, MAP_SHARED, reserved[i]);
		EXPECT_TRUE(err == -EINVAL || err == -ENODEV)
			TH_LOG("offset %#llx: %d", reserved[i], err);
		err = try_map(fd, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, reserved[i]);
		EXPECT_NE(0, err);
	}
	EXPECT_EQ(-EINVAL, try_map(fd, table + 4096, PROT_READ, MAP_SHARED, ASYNCLAZY_OFF_TABLE));
	EXPECT_EQ(-EINVAL, try_map(fd, arena + 4096, PROT_READ, MAP_SHARED, ASYNCLAZY_OFF_ARENA));
	EXPECT_NE(0, try_map(fd, table, PROT_READ, MAP_SHARED, ASYNCLAZY_OFF_TABLE + 4096));
	EXPECT_NE(0, try_map(fd, arena, PROT_READ, MAP_SHARED, ASYNCLAZY_OFF_ARENA + 4096));
	EXPECT_NE(0, try_map(fd, 4096, PROT_READ, MAP_SHARED, ASYNCLAZY_OFF_TABLE + table));
	EXPECT_NE(0, try_map(fd, 4096, PROT_READ, MAP_SHARED, ASYNCLAZY_OFF_ARENA + arena));
	EXPECT_NE(0, try_map(fd, 4096, PROT_READ, MAP_SHARED, ASYNCLAZY_OFF_ARENA - 4096));
	/* the other kinds of fd have nothing to map */
	EXPECT_NE(0, try_map(self->a.cache, 4096, PROT_READ, MAP_SHARED, 0));
	/* nor does a mapping grow */
	EXPECT_EQ(MAP_FAILED, mremap((void *)self->a.header, table, table + 4096,
				     MREMAP_MAYMOVE));
	EXPECT_EQ(ASYNCLAZY_MAGIC, self->a.header->magic);
}

TEST_F(map, a_part_can_be_mapped)			/* K2 */
{
	const struct asynclazy_header *h;

	h = mmap(NULL, 4096, PROT_READ, MAP_SHARED, self->a.client, ASYNCLAZY_OFF_TABLE);
	ASSERT_NE(MAP_FAILED, (void *)h);
	EXPECT_EQ(self->a.table_size, h->table_size);
	munmap((void *)h, 4096);
}

TEST_F(map, what_is_not_filled_reads_as_nothing_or_faults)	/* K2, I2 */
{
	int socket;
	pid_t pid = peer_fork(&socket);
	int status;

	if (!pid) {
		struct alz own;
		size_t i;

		if (alz_join(&own, self->a.cache))
			_exit(1);
		for (i = own.arena_size - 4096; i < own.arena_size; i++)
			if (((volatile const char *)own.arena)[i])
				_exit(2);
		_exit(0);
	}
	status = peer_reap(pid);
	EXPECT_TRUE(status == 0 || status == 128 + SIGBUS) TH_LOG("status %d", status);
}

TEST_F(map, the_arena_is_not_taken_before_it_is_filled)	/* I12 */
{
	struct asynclazy_stats s;

	ASSERT_EQ(0, alz_stats(self->a.client, &s));
	EXPECT_EQ(self->a.header->arena_used, s.out_arena_used);
	EXPECT_LE(s.out_arena_used, s.out_arena_allocated);
	EXPECT_EQ(1 << 20, s.out_arena_allocated);
}

TEST_F(map, a_record_stays_as_it_is)			/* L7, I2 */
{
	char value[64], key[16];
	struct alz_found f;
	int i;

	alz_find(&self->a, "k", 1, &f);
	for (i = 0; i < 2000; i++) {
		snprintf(key, sizeof(key), "k%d", i % 50);
		snprintf(value, sizeof(value), "value %d of some length", i);
		ASSERT_EQ(0, alz_set(&self->a, key, value));
	}
	ASSERT_EQ(0, alz_invalidate(&self->a, "k", NULL));
	ASSERT_EQ(0, alz_set(&self->a, "k", "other"));
	EXPECT_EQ(5, f.record->value_size);
	EXPECT_EQ(0, memcmp("value", f.value, 5));
}

TEST_F(map, a_mapping_outlives_its_fds)			/* K2 */
{
	struct alz own;

	ASSERT_EQ(0, alz_setup(&own, 100, 1 << 20));
	ASSERT_EQ(0, alz_set(&own, "k", "still here"));
	close(own.client);
	close(own.cache);
	EXPECT_TRUE(alz_has(&own, "k", "still here"));
	alz_unmap(&own);
}

TEST_HARNESS_MAIN
