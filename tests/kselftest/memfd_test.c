// SPDX-License-Identifier: GPL-2.0-only
/* L16: values in sealed memfds: what is taken, what readers get, what they can't do. */
#include <sys/resource.h>
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "remote.h"

#define SIZE	(1 << 20)

FIXTURE(memfd) {
	struct alz a;
	struct asynclazy_claim c;
	struct asynclazy_publish p;
	struct asynclazy_set s;
	struct alz_found f;
	struct alz_state before;
	__u64 ticket;
	char *value;
	int fd;			/* SIZE bytes, sealed, of key 7 */
};

FIXTURE_SETUP(memfd)
{
	self->value = malloc(SIZE);
	ASSERT_NE(NULL, self->value);
	alz_stamp(self->value, SIZE, 7, 1);
	self->fd = alz_memfd(self->value, SIZE, ALZ_SEALS);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, alz_setup_evicting(&self->a, 1000, 16 << 20));
	self->ticket = alz_ticket(&self->a, "k");
	ASSERT_LT(0, self->ticket);
}

FIXTURE_TEARDOWN(memfd)
{
	alz_leave(&self->a);
	close(self->fd);
	free(self->value);
}

#define REFUSED(error, call) do {					\
	int fds_ = alz_open_fds();					\
	alz_snapshot(&self->a, &self->before);				\
	EXPECT_EQ(error, call);						\
	EXPECT_TRUE(alz_unchanged(&self->a, &self->before));		\
	EXPECT_EQ(fds_, alz_open_fds());				\
} while (0)

/* By both calls that take a descriptor. */
#define FD_REFUSED(error, fd, size) do {				\
	REFUSED(error, alz_publish_memfd(&self->a, self->ticket, fd, size, 0, NULL));	\
	REFUSED(error, alz_publish_memfd(&self->a, self->ticket, fd, size,	\
					 ASYNCLAZY_VALUE_UNKEPT, NULL));	\
	REFUSED(error, alz_set_memfd(&self->a, "set", fd, size, NULL));	\
} while (0)

/* Whether a descriptor has the value of a key; it is closed. */
static bool fd_is(int fd, __u64 size, __u64 key)
{
	void *p;
	bool is;

	if (fd < 0)
		return false;
	p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return false;
	is = alz_stamped(p, size, key, NULL);
	munmap(p, size);
	return is;
}

TEST_F(memfd, a_sealed_memfd_is_a_value)		/* L16 */
{
	const struct asynclazy_memfd *m;
	struct asynclazy_stats s;
	__u64 size;

	ASSERT_EQ(0, alz_publish_memfd(&self->a, self->ticket, self->fd, SIZE, 0, &self->p));
	alz_find(&self->a, "k", 1, &self->f);
	ASSERT_EQ(ASYNCLAZY_SLOT_FILLED, self->f.state);
	EXPECT_EQ(self->p.out_offset, self->f.offset);
	EXPECT_EQ(self->p.out_generation, self->f.record->generation);
	EXPECT_EQ(ASYNCLAZY_RECORD_MEMFD, self->f.record->kind);
	ASSERT_EQ(sizeof(*m), self->f.value_size);
	m = (const void *)self->f.value;
	EXPECT_EQ(SIZE, m->size);
	EXPECT_EQ(4096, m->page_size);
	/* a hit looks as always */
	ASSERT_EQ(0, alz_claim(&self->a, "k", INIT | BLOCK, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->c.out_result);
	EXPECT_EQ(self->f.offset, self->c.out_offset);
	EXPECT_EQ(-1, self->c.out_fd);
	EXPECT_TRUE(fd_is(alz_memfd_of(&self->a, self->c.out_generation, &size), SIZE, 7));
	EXPECT_EQ(SIZE, size);
	ASSERT_EQ(0, alz_stats(self->a.cache, &s));
	EXPECT_EQ(1, s.out_memfds);
	EXPECT_EQ(SIZE, s.out_memfd_bytes);
	EXPECT_EQ(0, s.out_unkept);
	/* and so does one that is set, of no bytes too */
	ASSERT_EQ(0, alz_set_memfd(&self->a, "set", self->fd, SIZE, &self->s));
	EXPECT_TRUE(fd_is(alz_memfd_of(&self->a, self->s.out_generation, NULL), SIZE, 7));
	close(self->fd);
	self->fd = alz_memfd(NULL, 0, ALZ_SEALS);
	ASSERT_EQ(0, alz_set_memfd(&self->a, "none", self->fd, 0, &self->s));
	ASSERT_EQ(0, alz_stats(self->a.cache, &s));
	EXPECT_EQ(3, s.out_memfds);
	EXPECT_EQ(2 * SIZE, s.out_memfd_bytes);
}

TEST_F(memfd, each_seal_is_needed)			/* L16 */
{
	static const int seals[] = { F_SEAL_WRITE, F_SEAL_GROW, F_SEAL_SHRINK };
	int set, fd;

	for (set = 0; set < 7; set++) {
		fd = alz_memfd(self->value, SIZE, (set & 1 ? seals[0] : 0) |
			       (set & 2 ? seals[1] : 0) | (set & 4 ? seals[2] : 0));
		ASSERT_LE(0, fd);
		FD_REFUSED(-EPERM, fd, SIZE);
		close(fd);
	}
#ifdef F_SEAL_FUTURE_WRITE
	/* who mapped it before may still write */
	fd = alz_memfd(self->value, SIZE, F_SEAL_FUTURE_WRITE | F_SEAL_GROW | F_SEAL_SHRINK);
	ASSERT_LE(0, fd);
	FD_REFUSED(-EPERM, fd, SIZE);
	close(fd);
#endif
	/* one more does no harm */
	fd = alz_memfd(self->value, SIZE, ALZ_SEALS | F_SEAL_SEAL);
	EXPECT_EQ(0, alz_publish_memfd(&self->a, self->ticket, fd, SIZE, 0, NULL));
	close(fd);
}

TEST_F(memfd, what_is_no_memfd_is_refused)		/* L16 */
{
	char path[64];
	int pair[2], fd;

	fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0) {
		ASSERT_EQ(5, write(fd, "value", 5));
		FD_REFUSED(-EPERM, fd, 5);
		close(fd);
	}
	fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	FD_REFUSED(-EPERM, fd, 5);
	close(fd);
	ASSERT_EQ(0, pipe2(pair, O_CLOEXEC));
	FD_REFUSED(-EPERM, pair[0], 0);
	close(pair[0]);
	close(pair[1]);
	fd = open("/dev/shm", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	FD_REFUSED(-EPERM, fd, 0);
	close(fd);
	fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	FD_REFUSED(-EPERM, fd, 4096);
	close(fd);
	FD_REFUSED(-EPERM, self->a.client, 0);
	/* the right file, but not to be read through this descriptor */
	sprintf(path, "/proc/self/fd/%d", self->fd);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	FD_REFUSED(-EPERM, fd, SIZE);
	close(fd);
	fd = open(path, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, fd);
	FD_REFUSED(-EBADF, fd, SIZE);
	close(fd);
	FD_REFUSED(-EBADF, -1, SIZE);
	FD_REFUSED(-EBADF, 1 << 20, SIZE);
	EXPECT_EQ(0, alz_publish_memfd(&self->a, self->ticket, self->fd, SIZE, 0, NULL));
}

TEST_F(memfd, its_size_and_flags_must_be_right)		/* L16 */
{
	struct asynclazy_publish *p = &self->p;
	struct asynclazy_set *s = &self->s;

	FD_REFUSED(-EINVAL, self->fd, SIZE - 1);
	FD_REFUSED(-EINVAL, self->fd, SIZE + 1);
	FD_REFUSED(-EINVAL, self->fd, 0);
	FD_REFUSED(-EINVAL, self->fd, ~0ULL);
	*p = (struct asynclazy_publish) {
		.size = sizeof(*p), .flags = ASYNCLAZY_VALUE_FD, .ticket = self->ticket,
		.value = (uintptr_t)self->value, .value_size = SIZE, .value_fd = self->fd,
	};
	/* bytes or a descriptor, not both */
	REFUSED(-EINVAL, alz_call(self->a.client, ASYNCLAZY_IOC_PUBLISH, p));
	p->value = 0;
	p->flags = ASYNCLAZY_VALUE_UNKEPT;
	REFUSED(-EINVAL, alz_call(self->a.client, ASYNCLAZY_IOC_PUBLISH, p));
	p->flags = 0;
	REFUSED(-EINVAL, alz_call(self->a.client, ASYNCLAZY_IOC_PUBLISH, p));
	p->flags = ASYNCLAZY_VALUE_FD | 4;
	REFUSED(-EINVAL, alz_call(self->a.client, ASYNCLAZY_IOC_PUBLISH, p));
	p->flags = ASYNCLAZY_VALUE_FD;
	p->pin = ASYNCLAZY_PINS_SIZE / 8 + 1;
	REFUSED(-EINVAL, alz_call(self->a.client, ASYNCLAZY_IOC_PUBLISH, p));
	p->pin = 0;
	p->stale_ttl = 1;
	REFUSED(-EINVAL, alz_call(self->a.client, ASYNCLAZY_IOC_PUBLISH, p));
	*s = (struct asynclazy_set) {
		.size = sizeof(*s), .flags = ASYNCLAZY_VALUE_FD | ASYNCLAZY_VALUE_UNKEPT,
		.key = (uintptr_t)"k", .key_size = 1, .hash = alz_hash(&self->a, "k", 1),
		.value_size = SIZE, .value_fd = self->fd,
	};
	REFUSED(-EINVAL, alz_call(self->a.client, ASYNCLAZY_IOC_SET, s));
	/* a ticket that is none is found out as always */
	REFUSED(-ENOENT, alz_publish_memfd(&self->a, 1ULL << 60, self->fd, SIZE, 0, NULL));
	p->stale_ttl = 0;
	p->ttl = ALZ_SEC;
	p->pin = 3;
	ASSERT_EQ(0, alz_call(self->a.client, ASYNCLAZY_IOC_PUBLISH, p));
	EXPECT_EQ(p->out_offset | ASYNCLAZY_PIN_SET, self->a.pins[2]);
	EXPECT_EQ(ASYNCLAZY_RECORD_TIMES, alz_record(&self->a, p->out_offset)->flags);
	EXPECT_EQ(-ESTALE, alz_publish_memfd(&self->a, self->ticket, self->fd, SIZE, 0, NULL));
}

TEST_F(memfd, readers_can_only_read)			/* L16, I7 */
{
	char path[64], byte = 0;
	void *p;
	int fd, again;

	ASSERT_EQ(0, alz_publish_memfd(&self->a, self->ticket, self->fd, SIZE, 0, &self->p));
	fd = alz_memfd_of(&self->a, self->p.out_generation, NULL);
	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(O_RDONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(SIZE, lseek(fd, 0, SEEK_END));
	EXPECT_EQ(-1, write(fd, "wrong", 5));
	EXPECT_EQ(EBADF, errno);
	EXPECT_EQ(-1, ftruncate(fd, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	EXPECT_EQ(-1, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
	p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-1, mprotect(p, SIZE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	/* nor by another descriptor, whoever gets it */
	sprintf(path, "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	if (again >= 0) {
		EXPECT_EQ(-1, pwrite(again, "wrong", 5, 0));
		EXPECT_EQ(EPERM, errno);
		EXPECT_EQ(-1, ftruncate(again, 0));
		EXPECT_EQ(MAP_FAILED, mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
					   again, 0));
		close(again);
	}
	EXPECT_EQ(-1, pwrite(self->fd, &byte, 1, 0));
	EXPECT_TRUE(alz_stamped(p, SIZE, 7, NULL));
	munmap(p, SIZE);
	/* where each one reads is its own */
	again = alz_memfd_of(&self->a, self->p.out_generation, NULL);
	EXPECT_EQ(0, lseek(again, 0, SEEK_CUR));
	close(again);
	close(fd);
}

TEST_F(memfd, what_is_gone_has_no_descriptor)		/* L16, L13 */
{
	int fd;

	ASSERT_EQ(0, alz_publish_memfd(&self->a, self->ticket, self->fd, SIZE, 0, &self->p));
	fd = alz_memfd_of(&self->a, self->p.out_generation, NULL);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-ENOENT, alz_memfd_of(&self->a, 0, NULL));
	EXPECT_EQ(-ENOENT, alz_memfd_of(&self->a, self->p.out_generation + 1, NULL));
	EXPECT_EQ(-ENOENT, alz_memfd_of(&self->a, ~0ULL, NULL));
	/* another value, then none */
	ASSERT_EQ(0, alz_set_memfd(&self->a, "k", self->fd, SIZE, &self->s));
	EXPECT_EQ(-ENOENT, alz_memfd_of(&self->a, self->p.out_generation, NULL));
	ASSERT_EQ(0, alz_invalidate(&self->a, "k", NULL));
	EXPECT_EQ(-ENOENT, alz_memfd_of(&self->a, self->s.out_generation, NULL));
	/* bytes have none */
	ASSERT_EQ(0, alz_set_bytes(&self->a, "k", "value", 5, 0, &self->s));
	EXPECT_EQ(-ENOENT, alz_memfd_of(&self->a, self->s.out_generation, NULL));
	/* who has one keeps it */
	EXPECT_TRUE(fd_is(fd, SIZE, 7));
}

TEST_F(memfd, without_a_free_descriptor_nothing_is_lost)	/* L16, I10 */
{
	struct rlimit was, none = { 0 };
	struct alz_blocker blocker;
	int err;

	alz_block(&blocker, &self->a, "k", INIT, 0);
	ASSERT_TRUE(alz_await_waits(&self->a, 1));
	ASSERT_EQ(0, alz_set_memfd(&self->a, "set", self->fd, SIZE, &self->s));
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &was));
	none.rlim_max = was.rlim_max;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	err = alz_memfd_of(&self->a, self->s.out_generation, NULL);
	ASSERT_EQ(0, alz_publish_memfd(&self->a, self->ticket, self->fd, SIZE,
				       ASYNCLAZY_VALUE_UNKEPT, NULL));
	ASSERT_TRUE(alz_block_ended(&blocker, ALZ_SOON_MS));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &was));
	EXPECT_EQ(-EMFILE, err);
	EXPECT_EQ(-EMFILE, blocker.err);
	EXPECT_TRUE(fd_is(alz_memfd_of(&self->a, self->s.out_generation, NULL), SIZE, 7));
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
	EXPECT_LT(0, alz_ticket(&self->a, "k"));
}

TEST_F(memfd, of_huge_pages)				/* L16 */
{
	FILE *f = fopen("/proc/sys/vm/nr_hugepages", "w");
	const struct asynclazy_memfd *m;
	__u64 size = 4 << 20;
	void *p;
	int fd;

	if (!f || fprintf(f, "8\n") < 0 || fclose(f))
		SKIP(return, "this kernel has no huge pages");
	fd = memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
	if (fd < 0 || ftruncate(fd, size))
		SKIP(return, "no memfd of huge pages");
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		SKIP(return, "no huge pages to be had");
	alz_stamp(p, size, 9, 1);
	munmap(p, size);
	EXPECT_EQ(-EPERM, alz_publish_memfd(&self->a, self->ticket, fd, size, 0, NULL));
	ASSERT_EQ(0, fcntl(fd, F_ADD_SEALS, ALZ_SEALS));
	ASSERT_EQ(0, alz_publish_memfd(&self->a, self->ticket, fd, size, 0, &self->p));
	close(fd);
	m = (const void *)alz_record_value(alz_record(&self->a, self->p.out_offset));
	EXPECT_EQ(size, m->size);
	EXPECT_EQ(2 << 20, m->page_size);
	EXPECT_TRUE(fd_is(alz_memfd_of(&self->a, self->p.out_generation, NULL), size, 9));
	ASSERT_EQ(0, alz_invalidate(&self->a, "k", NULL));
	f = fopen("/proc/sys/vm/nr_hugepages", "w");
	fprintf(f, "0\n");
	fclose(f);
}

TEST_HARNESS_MAIN
