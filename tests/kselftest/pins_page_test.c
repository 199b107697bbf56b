// SPDX-License-Identifier: GPL-2.0-only
/* L13: the pages that a client may write: its own pins, and the visited bits of all. */
#include "kselftest_harness.h"
#include "remote.h"

#define NR_PINS		(ASYNCLAZY_PINS_SIZE / 8)

FIXTURE(pins_page) {
	struct alz a, b;
	struct asynclazy_claim c;
	struct alz_found f;
};

FIXTURE_SETUP(pins_page)
{
	ASSERT_EQ(0, alz_setup_evicting(&self->a, 2000, 1 << 20));
	ASSERT_EQ(0, alz_join(&self->b, self->a.cache));
	ASSERT_EQ(0, alz_set(&self->a, "k", "value"));
}

FIXTURE_TEARDOWN(pins_page)
{
	alz_leave(&self->b);
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

TEST_F(pins_page, each_client_has_a_page_of_its_own)		/* L13, I7 */
{
	unsigned int i;

	for (i = 0; i < NR_PINS; i++)
		EXPECT_EQ(0, self->a.pins[i] | self->b.pins[i]);
	for (i = 0; i < NR_PINS; i++)
		self->a.pins[i] = ASYNCLAZY_PIN_SET;
	for (i = 0; i < NR_PINS; i++)
		EXPECT_EQ(0, self->b.pins[i]);
	EXPECT_EQ(ASYNCLAZY_PIN_SET, self->a.pins[NR_PINS - 1]);
}

TEST_F(pins_page, who_may_only_read_has_pins_too)		/* L13 */
{
	int device = alz_device(O_RDWR), fd;
	struct asynclazy_create c;
	struct alz reader;
	char name[32];

	sprintf(name, "kselftest-pins-%d", getpid());
	ASSERT_EQ(0, alz_create(device, &c, name, 0, 100, 1));
	close(c.out_fd);
	fd = alz_open(device, name, ASYNCLAZY_OPEN_READ);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, alz_join(&reader, fd));
	close(fd);
	reader.pins[3] = 4096 | ASYNCLAZY_PIN_SET;
	reader.visited[0] = 0xff;
	EXPECT_EQ(-EACCES, alz_set(&reader, "k", "value"));
	EXPECT_EQ(-EACCES, try_map(reader.client, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
				   ASYNCLAZY_OFF_TABLE));
	EXPECT_EQ(-EACCES, try_map(reader.client, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
				   ASYNCLAZY_OFF_ARENA));
	alz_leave(&reader);
	EXPECT_EQ(0, alz_unlink(device, name));
	close(device);
}

TEST_F(pins_page, a_child_does_not_inherit_them)		/* L13, I8 */
{
	int socket;
	pid_t pid = peer_fork(&socket);

	if (!pid) {
		/* the others it does, for what they are worth */
		if (self->a.header->magic != ASYNCLAZY_MAGIC)
			_exit(1);
		self->a.visited[0] |= 1;
		self->a.pins[0] = ASYNCLAZY_PIN_SET;
		_exit(2);
	}
	EXPECT_EQ(128 + SIGSEGV, peer_reap(pid));
	EXPECT_EQ(0, self->a.pins[0]);
	EXPECT_EQ(1, self->a.visited[0] & 1);
}

TEST_F(pins_page, nor_may_a_child_map_them)			/* L13, K8 */
{
	int socket;
	pid_t pid = peer_fork(&socket);

	if (!pid)
		_exit(try_map(self->a.client, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
			      ASYNCLAZY_OFF_PINS) == -EOWNERDEAD ? 0 : 1);
	EXPECT_EQ(0, peer_reap(pid));
}

TEST_F(pins_page, the_pages_are_protected_like_others)	/* L13 */
{
	void *pages[] = { (void *)self->a.pins, self->a.visited };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pages); i++) {
		EXPECT_EQ(0, mprotect(pages[i], 4096, PROT_READ));
		EXPECT_EQ(0, mprotect(pages[i], 4096, PROT_NONE));
		EXPECT_EQ(0, mprotect(pages[i], 4096, PROT_READ | PROT_WRITE));
		EXPECT_EQ(-1, mprotect(pages[i], 4096, PROT_READ | PROT_EXEC));
		EXPECT_EQ(EACCES, errno);
		*(volatile char *)pages[i] = 1;
	}
}

TEST_F(pins_page, only_what_is_there_can_be_mapped)		/* L13 */
{
	static const int prot[] = { PROT_READ, PROT_WRITE, PROT_READ | PROT_WRITE };
	const struct { __u64 offset, size; } r[] = {
		{ ASYNCLAZY_OFF_PINS, ASYNCLAZY_PINS_SIZE },
		{ ASYNCLAZY_OFF_VISITED, self->a.visited_size },
	};
	int fd = self->a.client;
	unsigned int i, p;

	for (i = 0; i < ARRAY_SIZE(r); i++) {
		for (p = 0; p < ARRAY_SIZE(prot); p++) {
			EXPECT_EQ(0, try_map(fd, r[i].size, prot[p], MAP_SHARED, r[i].offset));
			EXPECT_EQ(-EINVAL, try_map(fd, r[i].size + 1, prot[p], MAP_SHARED,
						   r[i].offset));
			EXPECT_EQ(-EINVAL, try_map(fd, r[i].size, prot[p], MAP_SHARED,
						   r[i].offset + 4096));
			EXPECT_EQ(-EINVAL, try_map(fd, 4096, prot[p], MAP_SHARED,
						   r[i].offset + r[i].size));
			EXPECT_NE(0, try_map(fd, 4096, prot[p], MAP_SHARED,
					     r[i].offset - 4096));
			EXPECT_EQ(-EACCES, try_map(fd, r[i].size, prot[p], MAP_PRIVATE,
						   r[i].offset));
		}
		EXPECT_EQ(-EACCES, try_map(fd, r[i].size, PROT_READ | PROT_EXEC, MAP_SHARED,
					   r[i].offset));
	}
	EXPECT_EQ(-EINVAL, try_map(fd, 4096, PROT_READ, MAP_SHARED, ASYNCLAZY_OFF_WORDS));
	EXPECT_EQ(MAP_FAILED, mremap((void *)self->a.pins, 4096, 8192, MREMAP_MAYMOVE));
}

static unsigned int bits_set(const struct alz *a)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < a->visited_size; i++)
		n += __builtin_popcount(a->visited[i]);
	return n;
}

TEST_F(pins_page, visited_bits_are_hints_that_all_share)	/* L13, I7 */
{
	memset(self->a.visited, 0, self->a.visited_size);
	EXPECT_EQ(0, bits_set(&self->b));
	/* a hit of the kernel is one of them, and so is a reader's */
	ASSERT_EQ(0, alz_claim(&self->a, "k", 0, &self->c));
	EXPECT_EQ(1, bits_set(&self->b));
	memset(self->b.visited, 0, self->b.visited_size);
	ASSERT_TRUE(alz_read(&self->b, 1, "k", 1, &self->f));
	EXPECT_EQ(1, bits_set(&self->a));
	/* a new value begins anew */
	ASSERT_EQ(0, alz_set(&self->a, "k", "new"));
	EXPECT_EQ(0, bits_set(&self->a));
	/* whatever is there changes no answer */
	memset(self->a.visited, 0xff, self->a.visited_size);
	ASSERT_EQ(0, alz_claim(&self->a, "none", 0, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_EMPTY, self->c.out_result);
	memset(self->a.visited, 0, self->a.visited_size);
	ASSERT_EQ(0, alz_claim(&self->a, "k", 0, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->c.out_result);
	EXPECT_TRUE(alz_value_at(&self->a, self->c.out_offset, "new"));
}

TEST_HARNESS_MAIN
