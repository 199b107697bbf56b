// SPDX-License-Identifier: GPL-2.0-only
/*
 * K2, K15, L13: what is large is mapped by huge pages, where the kernel has them,
 * and is for the rest as everything that is mapped: to be read only, gone from all
 * processes when its segment goes, still there for who has pinned it for I/O.
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "kselftest_harness.h"
#include "remote.h"

#define HUGE		(2UL << 20)
#define KEYS		800000		/* a table of 8 MiB and a page */
#define TABLE_HUGE	(8UL << 20)
#define SEGMENT		HUGE
#define ARENA		(8 * SEGMENT)
#define VALUE		(SEGMENT / 4 - 4096)
#define VALUES		16		/* four segments */
#define SMALL		(64UL << 10)
#define MANY		300		/* more than the arena has room for */
#define THP		"/sys/kernel/mm/transparent_hugepage"
#define INJECT		"/sys/kernel/debug/fail_page_alloc/"

FIXTURE(huge) {
	struct alz a;
	struct asynclazy_stats s;
	char *value;
	char *copy;		/* of the table */
	int pipe[2];
};

/* A figure of a line "NAME: N", of smaps where that is about @at; -1: no such line. */
static long figure(const char *file, const void *at, const char *name)
{
	unsigned long start, end;
	bool here = !at;
	char line[512];
	long n = -1;
	FILE *f = fopen(file, "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (at && sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start <= (uintptr_t)at && (uintptr_t)at < end;
		if (here && !strncmp(line, name, strlen(name)) && line[strlen(name)] == ':')
			n = atol(line + strlen(name) + 1);
	}
	if (f)
		fclose(f);
	return n;
}

/* Bytes at @p's mapping that huge page table entries map. */
static size_t huge_at(const void *p)
{
	return figure("/proc/self/smaps", p, "FilePmdMapped") * 1024;
}

/* How many huge pages there are to be had. */
static long huge_free(void)
{
	long free = 0, n;
	int order, used;
	char line[512], *at;
	FILE *f = fopen("/proc/buddyinfo", "r");

	while (f && fgets(line, sizeof(line), f)) {
		at = strstr(line, "zone");
		if (!at || sscanf(at, "zone %*s%n", &used) < 0)
			continue;
		at += used;
		for (order = 0; sscanf(at, "%ld%n", &n, &used) == 1; order++, at += used)
			free += order >= 9 ? n << (order - 9) : 0;
	}
	if (f)
		fclose(f);
	return free;
}

static int setup(struct alz *a, __u32 flags)
{
	struct asynclazy_create c = {
		.flags = flags, .max_keys = KEYS, .arena_size = ARENA, .segment_size = SEGMENT,
	};

	return alz_setup_as(a, &c);
}

/* Set a key to a value of @size bytes, of which the first @stamped prove themselves. */
static int put_partly(struct alz *a, char *value, size_t size, size_t stamped, __u64 key,
		      __u64 number)
{
	char name[32];

	sprintf(name, "key %llu", key);
	alz_stamp(value, stamped, key, number);
	return alz_set_bytes(a, name, value, size, 0, NULL);
}

static int put(struct alz *a, char *value, size_t size, __u64 key, __u64 number)
{
	return put_partly(a, value, size, size, key, number);
}

static const char *get(const struct alz *a, __u64 key)
{
	struct alz_found f;
	char name[32];

	sprintf(name, "key %llu", key);
	alz_find(a, name, strlen(name), &f);
	return f.state == ASYNCLAZY_SLOT_FILLED ? f.value : NULL;
}

static bool right(const struct alz *a, size_t size, __u64 key, __u64 number)
{
	const char *value = get(a, key);
	__u64 is;

	return value && alz_stamped(value, size, key, &is) && is == number;
}

/* Whether a byte can be read, asked of the kernel so that nobody dies. */
static bool readable(const int pipe[2], const void *p)
{
	char c;

	return write(pipe[1], p, 1) == 1 && read(pipe[0], &c, 1) == 1;
}

/* How many bytes of the arena are there, by segments. */
static size_t there(const int pipe[2], const struct alz *a)
{
	size_t at, n = 0;

	for (at = 0; at < a->arena_size; at += SEGMENT)
		n += readable(pipe, a->arena + at + 5000) ? SEGMENT : 0;
	return n;
}

FIXTURE_SETUP(huge)
{
	__u64 key;

	self->a.client = self->a.cache = -1;
	self->pipe[0] = self->pipe[1] = -1;
	if (access(THP, F_OK))
		SKIP(return, "this kernel has no transparent huge pages");
	if (huge_free() < 64)
		SKIP(return, "memory is in pieces: %ld huge pages left", huge_free());
	ASSERT_EQ(0, pipe(self->pipe));
	ASSERT_EQ(0, setup(&self->a, ASYNCLAZY_CREATE_STABLE));
	ASSERT_EQ(TABLE_HUGE + 4096, self->a.table_size);
	self->value = malloc(VALUE);
	self->copy = malloc(self->a.table_size);
	ASSERT_TRUE(self->value && self->copy);
	for (key = 0; key < VALUES; key++)
		ASSERT_EQ(0, put(&self->a, self->value, VALUE, key, 1));
	memcpy(self->copy, self->a.header, self->a.table_size);
}

FIXTURE_TEARDOWN(huge)
{
	alz_leave(&self->a);
	close(self->pipe[0]);
	close(self->pipe[1]);
	free(self->value);
	free(self->copy);
}

#define EXPECT_TABLE(p) EXPECT_EQ(0, memcmp(self->copy, p, self->a.table_size))

static long faults(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_minflt;
}

/* Faults that it takes to read all of it. */
static long touch(const void *p, size_t size)
{
	long before = faults();
	size_t at;

	for (at = 0; at < size; at += 4096)
		((volatile const char *)p)[at];
	return faults() - before;
}

TEST_F(huge, table_and_arena_are_mapped_by_huge_pages)	/* K2 */
{
	struct alz own;
	long n;
	__u64 key;

	EXPECT_EQ(TABLE_HUGE, huge_at(self->a.header));
	ASSERT_EQ(0, alz_join(&own, self->a.cache));
	EXPECT_EQ(0, (uintptr_t)own.header % HUGE);
	EXPECT_EQ(0, (uintptr_t)own.arena % HUGE);
	EXPECT_EQ(0, huge_at(own.header));
	n = touch(own.header, own.table_size);
	EXPECT_GE(12, n);
	TH_LOG("%ld faults for a table of %zu pages", n, own.table_size / 4096);
	EXPECT_EQ(TABLE_HUGE, huge_at(own.header));
	EXPECT_EQ((long)own.table_size / 1024, figure("/proc/self/smaps", own.header, "Rss"));
	ASSERT_EQ(0, alz_stats(own.cache, &self->s));
	EXPECT_EQ(4 * SEGMENT, self->s.out_arena_allocated);
	for (key = 0; key < VALUES; key++)
		EXPECT_TRUE(right(&own, VALUE, key, 1));
	EXPECT_EQ(4 * SEGMENT, huge_at(own.arena));
	EXPECT_EQ(4 * SEGMENT, there(self->pipe, &own));
	alz_leave(&own);
}

TEST_F(huge, a_part_of_a_huge_page_is_mapped_by_small_ones)	/* K2 */
{
	size_t page = 4096, size = 2 * HUGE;
	char *room = mmap(NULL, size + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const char *odd;

	ASSERT_NE(MAP_FAILED, (void *)room);
	/* not aligned to the table */
	odd = mmap(room + (page - (uintptr_t)room) % HUGE, size, PROT_READ,
		   MAP_SHARED | MAP_FIXED, self->a.client, ASYNCLAZY_OFF_TABLE);
	ASSERT_NE(MAP_FAILED, (void *)odd);
	EXPECT_EQ(0, memcmp(self->copy, odd, size));
	EXPECT_EQ(0, huge_at(odd));
	/* with ends that are not */
	odd = mmap(NULL, size, PROT_READ, MAP_SHARED, self->a.client,
		   ASYNCLAZY_OFF_TABLE + page);
	ASSERT_NE(MAP_FAILED, (void *)odd);
	EXPECT_EQ(0, memcmp(self->copy + page, odd, size));
	EXPECT_EQ(HUGE, huge_at(odd));
	munmap((void *)odd, size);
	munmap(room, size + HUGE);
}

TEST_F(huge, nobody_may_write)				/* K2, I7 */
{
	void *table = (void *)self->a.header, *arena = (void *)self->a.arena;
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	int socket;
	pid_t pid;

	EXPECT_EQ(-1, mprotect(table, HUGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(arena, HUGE, PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_SHARED,
				   self->a.client, ASYNCLAZY_OFF_ARENA));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, HUGE, PROT_READ, MAP_PRIVATE,
				   self->a.client, ASYNCLAZY_OFF_ARENA));
	ASSERT_LE(0, fd);
	EXPECT_NE(8, pwrite(fd, "wrong!!!", 8, (off_t)(uintptr_t)table));
	EXPECT_NE(8, pwrite(fd, "wrong!!!", 8, (off_t)(uintptr_t)get(&self->a, 0)));
	close(fd);
	/* the kernel, for a read that goes there */
	ASSERT_EQ(1, write(self->pipe[1], "x", 1));
	EXPECT_EQ(-1, read(self->pipe[0], table, 1));
	EXPECT_EQ(EFAULT, errno);
	pid = peer_fork(&socket);
	if (!pid) {
		((volatile char *)table)[HUGE] = 1;
		_exit(0);
	}
	EXPECT_EQ(128 + SIGSEGV, peer_reap(pid));
	EXPECT_TABLE(self->a.header);
	EXPECT_TRUE(right(&self->a, VALUE, 0, 1));
}

TEST_F(huge, mprotect)					/* K2 */
{
	char *table = (char *)self->a.header;

	/* of all, of a huge page, of a part of one */
	ASSERT_EQ(0, mprotect(table, TABLE_HUGE, PROT_NONE));
	EXPECT_FALSE(readable(self->pipe, table + HUGE));
	ASSERT_EQ(0, mprotect(table, TABLE_HUGE, PROT_READ));
	EXPECT_TABLE(table);
	EXPECT_EQ(TABLE_HUGE, huge_at(table));
	ASSERT_EQ(0, mprotect(table + HUGE, HUGE, PROT_NONE));
	EXPECT_FALSE(readable(self->pipe, table + HUGE + 5000));
	EXPECT_TRUE(readable(self->pipe, table + 2 * HUGE));
	ASSERT_EQ(0, mprotect(table + HUGE, HUGE, PROT_READ));
	ASSERT_EQ(0, mprotect(table + 8192, 4096, PROT_NONE));
	EXPECT_TRUE(readable(self->pipe, table + 8191));
	EXPECT_FALSE(readable(self->pipe, table + 8192));
	EXPECT_TRUE(readable(self->pipe, table + 8192 + 4096));
	ASSERT_EQ(0, mprotect(table + 8192, 4096, PROT_READ));
	EXPECT_TABLE(table);
}

TEST_F(huge, mremap)					/* K2 */
{
	size_t size = self->a.table_size;
	char *table = (char *)self->a.header, *room, *other, *part;

	/* room of our own: what is beside the table may be anybody's */
	room = mmap(NULL, 2 * size + 4 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)room);
	room += -(uintptr_t)room % HUGE;
	part = room + size + -size % HUGE + HUGE;
	other = part + 4096;
	/* to where it is aligned, to where it is not, back, and a part */
	ASSERT_EQ(room, mremap(table, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, room));
	EXPECT_EQ(TABLE_HUGE, huge_at(room));
	EXPECT_TABLE(room);
	ASSERT_EQ(other, mremap(room, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, other));
	EXPECT_TABLE(other);
	EXPECT_EQ(0, huge_at(other));
	ASSERT_EQ(room, mremap(other, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, room));
	EXPECT_TABLE(room);
	ASSERT_EQ(part, mremap(room + HUGE + 4096, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			       part));
	EXPECT_EQ(0, memcmp(self->copy + HUGE + 4096, part, HUGE));
	EXPECT_EQ(0, memcmp(self->copy, room, HUGE + 4096));
	EXPECT_FALSE(readable(self->pipe, room + HUGE + 4096));
	EXPECT_TRUE(readable(self->pipe, room + 2 * HUGE + 4096));
	/* nor does it grow */
	EXPECT_EQ(MAP_FAILED, mremap(part, HUGE, 2 * HUGE, MREMAP_MAYMOVE));
	munmap(room, size);
	munmap(part, HUGE);
	self->a.header = NULL;
}

TEST_F(huge, munmap_of_a_part)				/* K2 */
{
	char *table = (char *)self->a.header;
	struct alz other;

	ASSERT_EQ(0, alz_join(&other, self->a.cache));
	EXPECT_TABLE(other.header);
	ASSERT_EQ(0, munmap(table + HUGE + 8192, 4096));
	EXPECT_FALSE(readable(self->pipe, table + HUGE + 8192));
	EXPECT_EQ(0, memcmp(self->copy, table, HUGE + 8192));
	EXPECT_EQ(0, memcmp(self->copy + HUGE + 12288, table + HUGE + 12288,
			    self->a.table_size - HUGE - 12288));
	/* one whole, with what was left of the other */
	ASSERT_EQ(0, munmap(table + HUGE, 2 * HUGE));
	EXPECT_EQ(HUGE, huge_at(table));
	EXPECT_EQ(0, memcmp(self->copy, table, HUGE));
	EXPECT_TABLE(other.header);
	EXPECT_EQ(TABLE_HUGE, huge_at(other.header));
	alz_leave(&other);
}

TEST_F(huge, madvise_and_its_kin)			/* K2 */
{
	static const int advice[] = {
		MADV_DONTNEED, MADV_COLD, MADV_PAGEOUT, MADV_FREE, MADV_POPULATE_READ,
		MADV_HUGEPAGE, MADV_MERGEABLE, MADV_NOHUGEPAGE, 25 /* MADV_COLLAPSE */,
	};
	char *table = (char *)self->a.header;
	unsigned char *in = malloc(self->a.table_size / 4096);
	unsigned int i;

	ASSERT_NE(NULL, in);
	/* whatever they answer; of all, and of a part */
	for (i = 0; i < ARRAY_SIZE(advice); i++) {
		madvise(table, self->a.table_size, advice[i]);
		EXPECT_TABLE(table);
		madvise(table + HUGE / 2, HUGE, advice[i]);
		EXPECT_TABLE(table);
	}
	EXPECT_EQ(0, mlock(table, HUGE + 4096));
	EXPECT_EQ(0, munlock(table, HUGE + 4096));
	EXPECT_EQ(0, mincore(table, self->a.table_size, in));
	EXPECT_TABLE(table);
	/* and thereafter */
	ASSERT_EQ(0, put(&self->a, self->value, VALUE, 1, 2));
	EXPECT_TRUE(right(&self->a, VALUE, 1, 2));
	free(in);
}

TEST_F(huge, a_forked_child_reads_on)			/* K2 */
{
	char *table = (char *)self->a.header;
	int socket;
	__u64 word;
	pid_t pid = peer_fork(&socket);

	if (!pid) {
		/* once the parent has let go of everything */
		if (peer_hear(socket, &word, ALZ_SOON_MS))
			_exit(2);
		_exit(!memcmp(self->copy, table, self->a.table_size) &&
		      right(&self->a, VALUE, 3, 1) ? 0 : 1);
	}
	alz_leave(&self->a);
	ASSERT_EQ(0, peer_say(socket, 1));
	EXPECT_EQ(0, peer_reap(pid));
}

static void core_dump(const char *table)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0x1ff", 5) != 5 || setrlimit(RLIMIT_CORE, &all) ||
	    !*(volatile const char *)table)
		_exit(1);
	signal(SIGABRT, SIG_DFL);
	abort();
}

TEST_F(huge, a_core_dump_is_without_them)		/* K2 */
{
	const char *pattern = "/proc/sys/kernel/core_pattern", *core = "/tmp/alz-core";
	int fd = open(pattern, O_RDWR | O_CLOEXEC), socket;
	char before[128];
	struct stat st;
	ssize_t n = read(fd, before, sizeof(before));
	pid_t pid;

	if (n <= 0 || pwrite(fd, core, strlen(core), 0) < 0)
		SKIP(return, "cannot set %s", pattern);
	free(self->copy);
	self->copy = NULL;
	pid = peer_fork(&socket);
	if (!pid)
		core_dump((const char *)self->a.header);
	EXPECT_EQ(128 + SIGABRT, peer_reap(pid));
	EXPECT_EQ(n, pwrite(fd, before, n, 0));
	close(fd);
	EXPECT_EQ(0, stat(core, &st));
	EXPECT_LT(0, st.st_size);
	EXPECT_GT((off_t)TABLE_HUGE, st.st_size);
	unlink(core);
}

/*
 * Pages that are pinned by somebody else
 */

TEST_F(huge, other_processes_read_it_by_our_address)	/* K2 */
{
	struct iovec from = { (char *)get(&self->a, 5), VALUE };
	struct iovec to = { self->value, VALUE };
	int socket, mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	pid_t pid = peer_fork(&socket);
	pid_t parent = getppid();

	if (!pid) {
		/* what the child has not touched, and then the parent has not */
		_exit(process_vm_readv(getppid(), &to, 1, &from, 1, 0) == (ssize_t)VALUE &&
		      alz_stamped(self->value, VALUE, 5, NULL) ? 0 : 1);
	}
	ASSERT_LT(0, parent);
	EXPECT_EQ(0, peer_reap(pid));
	memset(self->value, 0, VALUE);
	EXPECT_EQ((ssize_t)VALUE, process_vm_readv(getpid(), &to, 1, &from, 1, 0));
	EXPECT_TRUE(alz_stamped(self->value, VALUE, 5, NULL));
	memset(self->value, 0, VALUE);
	ASSERT_LE(0, mem);
	EXPECT_EQ((ssize_t)VALUE, pread(mem, self->value, VALUE,
					(off_t)(uintptr_t)from.iov_base));
	EXPECT_TRUE(alz_stamped(self->value, VALUE, 5, NULL));
	close(mem);
}

/* Put a value's pages into a pipe, not their bytes. Return: bytes, in whole pages. */
static size_t splice_out(struct alz *a, int fd, __u64 key)
{
	struct iovec from = { (char *)get(a, key), VALUE };
	ssize_t n = vmsplice(fd, &from, 1, SPLICE_F_NONBLOCK);

	return n < 0 ? 0 : n;
}

/* Whether the next bytes of a pipe are those of a value. */
static bool spliced(int fd, char *value, size_t size, __u64 key)
{
	char *is = malloc(size);
	size_t n = 0;
	ssize_t got = 1;
	bool same;

	alz_stamp(value, VALUE, key, 1);
	while (is && n < size && got > 0) {
		got = read(fd, is + n, size - n);
		n += got > 0 ? got : 0;
	}
	same = is && n == size && !memcmp(is, value, size);
	free(is);
	return same;
}

static void refill(char *at, size_t size)
{
	memset(at, 0xee, size);
	__asm__ volatile("" : : "r"(at) : "memory");
}

TEST_F(huge, pinned_pages_outlive_the_cache)		/* K2, I2 */
{
	size_t size, all = 96UL << 20;
	char *other;

	size = splice_out(&self->a, self->pipe[1], 7);
	ASSERT_LE(8 * 4096, size);
	alz_leave(&self->a);
	/* whose memory was freed, and is now somebody's */
	other = mmap(NULL, all, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)other);
	refill(other, all / 8);
	EXPECT_TRUE(spliced(self->pipe[0], self->value, size, 7));
	munmap(other, all);
}

TEST_F(huge, no_page_is_lost)				/* I12 */
{
	int i, rounds = alz_debug_kernel() ? 4 : 6;
	long before, after;
	__u64 key;

	alz_leave(&self->a);
	before = figure("/proc/meminfo", NULL, "MemFree");
	for (i = 0; i < rounds; i++) {
		struct alz a;
		size_t size;
		pid_t pid;
		int socket;

		ASSERT_EQ(0, setup(&a, ASYNCLAZY_CREATE_STABLE));
		for (key = 0; key < VALUES; key++)
			ASSERT_EQ(0, alz_set_bytes(&a, "k", self->value, VALUE, 0, NULL));
		touch(a.arena, 4 * SEGMENT);
		touch(a.header, a.table_size);
		pid = peer_fork(&socket);
		if (!pid)
			_exit(touch(a.header, a.table_size) < 0);
		ASSERT_EQ(0, peer_reap(pid));
		ASSERT_EQ(0, munmap((char *)a.header + HUGE, 4096));
		self->a = a;
		ASSERT_EQ(0, put(&self->a, self->value, VALUE, 0, 1));
		size = splice_out(&self->a, self->pipe[1], 0);
		alz_leave(&self->a);
		ASSERT_LT(0, size);
		EXPECT_TRUE(spliced(self->pipe[0], self->value, size, 0));
	}
	/* caches go a grace period after their fds */
	for (i = 0; i < 50; i++) {
		after = figure("/proc/meminfo", NULL, "MemFree");
		if (before - after < 10 << 10)
			break;
		usleep(100000);
	}
	EXPECT_GT(10 << 10, before - after) TH_LOG("%ld kB are gone", before - after);
}

/*
 * Segments that come and go
 */

/* A memfd takes the room of segments. */
static int push_out(struct alz *a, const char *name, size_t size)
{
	int fd = alz_memfd(NULL, size, ALZ_SEALS);
	int err = fd < 0 ? fd : alz_set_memfd(a, name, fd, size, NULL);

	if (fd >= 0)
		close(fd);
	return err;
}

static bool await_allocated(const struct alz *a, size_t below)
{
	__u64 until = alz_now() + ALZ_SOON_MS * ALZ_MSEC;
	struct asynclazy_stats s;

	do {
		if (alz_stats(a->cache, &s))
			return false;
		if (s.out_arena_allocated < below)
			return true;
		usleep(1000);
	} while (alz_now() < until);
	return false;
}

TEST_F(huge, a_segment_that_goes_is_gone_everywhere)	/* L13, I2 */
{
	__u64 key, all, left, seen;
	int socket;
	pid_t pid;

	alz_leave(&self->a);
	ASSERT_EQ(0, setup(&self->a, 0));
	for (key = 0; key < MANY; key++)
		ASSERT_EQ(0, put(&self->a, self->value, SMALL, key, 1));
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	all = self->s.out_arena_allocated;
	EXPECT_EQ(all, there(self->pipe, &self->a));
	EXPECT_EQ(all, huge_at(self->a.arena));
	pid = peer_fork(&socket);
	if (!pid) {
		/* inherits the mapping, and looks when it is told to */
		while (!peer_hear(socket, &key, ALZ_SOON_MS))
			if (peer_say(socket, there(self->pipe, &self->a)))
				break;
		_exit(0);
	}
	ASSERT_EQ(0, peer_say(socket, 0));
	ASSERT_EQ(0, peer_hear(socket, &seen, ALZ_SOON_MS));
	EXPECT_EQ(all, seen);
	ASSERT_EQ(0, push_out(&self->a, "large", 3 * SEGMENT));
	ASSERT_TRUE(await_allocated(&self->a, all - SEGMENT));
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	left = self->s.out_arena_allocated;
	EXPECT_EQ(left, there(self->pipe, &self->a));
	ASSERT_EQ(0, peer_say(socket, 0));
	ASSERT_EQ(0, peer_hear(socket, &seen, ALZ_SOON_MS));
	EXPECT_EQ(left, seen);
	/* and come again: with memory of their own, which all see */
	ASSERT_EQ(0, alz_invalidate(&self->a, "large", NULL));
	for (key = 0; key < MANY; key++) {
		ASSERT_EQ(0, put(&self->a, self->value, SMALL, key, 2));
		EXPECT_TRUE(right(&self->a, SMALL, key, 2));
	}
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_LT(left, self->s.out_arena_allocated);
	ASSERT_EQ(0, peer_say(socket, 0));
	ASSERT_EQ(0, peer_hear(socket, &seen, ALZ_SOON_MS));
	EXPECT_LE(self->s.out_arena_allocated, seen);
	close(socket);
	kill(pid, SIGKILL);
	peer_reap(pid);
}

struct storm {
	volatile bool stop;
	__u64 allocated;	/* in the end */
};

/* Reads with a pin, and forgets what it has mapped all the time. */
static int reader(int cache, const struct storm *storm, int seed, const int pipe[2])
{
	__u64 rand = seed, reads = 0;
	struct alz_found f;
	struct alz a;
	char name[32];

	if (alz_join(&a, cache))
		return 2;
	while (!storm->stop) {
		__u64 key = alz_rand(&rand) % 64;

		if (key % 16 == 0)
			madvise((void *)a.arena, a.arena_size, MADV_DONTNEED);
		sprintf(name, "key %llu", key);
		if (!alz_read(&a, 1, name, strlen(name), &f))
			continue;
		if (!alz_stamped(f.value, 4096, key, NULL))
			return 3;
		reads++;
		alz_unpin(&a, 1);
	}
	if (there(pipe, &a) != storm->allocated)
		return 5;
	return reads ? 0 : 4;
}

/*
 * Whether more is mapped than there is memory for. Segments may come and go while
 * one looks: what should have gone stays, and is there at the next look, too.
 */
static bool stale(const int pipe[2], const struct alz *a)
{
	struct asynclazy_stats before, after;
	size_t n;
	int i;

	for (i = 0; i < 4; i++) {
		if (alz_stats(a->cache, &before))
			return true;
		n = there(pipe, a);
		if (alz_stats(a->cache, &after))
			return true;
		if (before.out_arena_allocated != after.out_arena_allocated ||
		    n <= after.out_arena_allocated)
			return false;
	}
	return true;
}

/* Forks with all of the arena mapped; its children read what they inherited. */
static int forker(int cache, const struct storm *storm, const int pipe[2])
{
	struct alz a;
	int status;

	if (alz_join(&a, cache))
		return 2;
	while (!storm->stop) {
		pid_t pid;

		madvise((void *)a.arena, a.arena_size, MADV_DONTNEED);
		there(pipe, &a);
		if (stale(pipe, &a))
			return 6;
		pid = fork();
		if (!pid)
			_exit(there(pipe, &a) <= a.arena_size ? 0 : 1);
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
			return 3;
	}
	/* nothing that went is still mapped */
	return there(pipe, &a) == storm->allocated ? 0 : 5;
}

TEST_F(huge, faults_and_forks_while_segments_go)	/* L13, I2 */
{
	struct storm *storm = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	__u64 until, number, shrunk = 0, before = 0;
	int p, socket[3];
	pid_t pid[3];

	ASSERT_NE(MAP_FAILED, (void *)storm);
	alz_leave(&self->a);
	ASSERT_EQ(0, setup(&self->a, 0));
	for (number = 0; number < 64; number++)
		ASSERT_EQ(0, put_partly(&self->a, self->value, VALUE, 4096, number, 0));
	for (p = 0; p < 3; p++) {
		pid[p] = peer_fork(&socket[p]);
		if (!pid[p])
			_exit(p ? reader(self->a.cache, storm, p, self->pipe) :
			      forker(self->a.cache, storm, self->pipe));
	}
	until = alz_now() + 2 * ALZ_SEC;
	while (alz_now() < until) {
		__u64 key = number++ % 64;

		if (key % 16 == 15)
			ASSERT_EQ(0, push_out(&self->a, "large", 3 * SEGMENT));
		if (key % 16 == 7)
			ASSERT_EQ(0, alz_invalidate(&self->a, "large", NULL));
		ASSERT_EQ(0, put_partly(&self->a, self->value, VALUE, 4096, key, number));
		ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
		if (self->s.out_arena_allocated < before)
			shrunk += (before - self->s.out_arena_allocated) / SEGMENT;
		before = self->s.out_arena_allocated;
	}
	/* what is given back in the background */
	do {
		before = self->s.out_arena_allocated;
		usleep(100000);
		ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	} while (self->s.out_arena_allocated != before);
	storm->allocated = before;
	storm->stop = true;
	for (p = 0; p < 3; p++) {
		EXPECT_EQ(0, peer_reap(pid[p])) TH_LOG("process %d", p);
	}
	EXPECT_LT(0, shrunk);
	TH_LOG("%llu values, %llu segments given back", number, shrunk);
}

/*
 * Where there is none
 */

static int inject(const char *name, const char *value)
{
	char path[128];
	int fd, n = strlen(value);

	snprintf(path, sizeof(path), "%s%s", name[0] == '/' ? "" : INJECT, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, value, n) != n)
		n = -errno;
	close(fd);
	return n < 0 ? n : 0;
}

/* Let @percent of the allocations of huge pages by this process fail. */
static int huge_fails(const char *percent)
{
	if (inject("min-order", "9") || inject("ignore-gfp-wait", "N") ||
	    inject("times", "-1") || inject("verbose", "0") || inject("task-filter", "Y") ||
	    inject("/proc/self/make-it-fail", "1"))
		return -1;
	return inject("probability", percent);
}

static void without(struct __test_metadata *_metadata, FIXTURE_DATA(huge) *self,
		    const char *percent)
{
	struct alz a;
	__u64 key;
	int err;

	if (huge_fails(percent))
		SKIP(return, "this kernel cannot make allocations fail");
	err = setup(&self->a, ASYNCLAZY_CREATE_STABLE);
	for (key = 0; key < VALUES && !err; key++)
		err = put(&self->a, self->value, VALUE, key, 1);
	huge_fails("0");
	inject("/proc/self/make-it-fail", "0");
	ASSERT_EQ(0, err);
	ASSERT_EQ(0, alz_join(&a, self->a.cache));
	for (key = 0; key < VALUES; key++)
		EXPECT_TRUE(right(&a, VALUE, key, 1));
	touch(a.header, a.table_size);
	EXPECT_EQ(0, memcmp(self->a.header, a.header, a.table_size));
	EXPECT_GT(TABLE_HUGE + 4 * SEGMENT, huge_at(a.header) + huge_at(a.arena));
	if (!strcmp(percent, "100"))
		EXPECT_EQ(0, huge_at(a.header) + huge_at(a.arena));
	ASSERT_EQ(0, alz_stats(a.cache, &self->s));
	EXPECT_EQ(4 * SEGMENT, self->s.out_arena_allocated);
	EXPECT_EQ(4 * SEGMENT, there(self->pipe, &a));
	alz_leave(&a);
}

TEST_F(huge, without_any_it_works_with_small_ones)	/* K2 */
{
	alz_leave(&self->a);
	without(_metadata, self, "100");
}

TEST_F(huge, with_some_it_works_with_both)		/* K2 */
{
	alz_leave(&self->a);
	without(_metadata, self, "50");
}

TEST_HARNESS_MAIN
