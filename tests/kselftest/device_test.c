// SPDX-License-Identifier: GPL-2.0-only
/* K1: make, find and take away caches; who may; what they look like. */
#include <grp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "remote.h"

#define STABLE		ASYNCLAZY_CREATE_STABLE
#define EXCLUSIVE	ASYNCLAZY_CREATE_EXCLUSIVE
#define READ		ASYNCLAZY_OPEN_READ
#define WRITE		ASYNCLAZY_OPEN_WRITE
#define KEYS		100
#define ARENA		(1 << 20)
#define USER		1000

FIXTURE(device) {
	int fd;
	char name[64];
	mode_t mode;		/* of the device, to be restored */
	struct asynclazy_create c;
};

FIXTURE_SETUP(device)
{
	struct stat st;

	self->fd = alz_device(O_RDWR);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, stat(ALZ_DEVICE, &st));
	self->mode = st.st_mode & 07777;
	snprintf(self->name, sizeof(self->name), "kselftest-device-%d", getpid());
}

FIXTURE_TEARDOWN(device)
{
	alz_unlink(self->fd, self->name);
	chmod(ALZ_DEVICE, self->mode);
	close(self->fd);
}

/* Run as another user, with the device open to all; returns the exit status. */
#define AS_USER(body) ({						\
	int socket_;							\
	pid_t pid_;							\
	chmod(ALZ_DEVICE, 0666);					\
	pid_ = peer_fork(&socket_);					\
	if (!pid_) {							\
		int status_ = 0;					\
		if (setgroups(0, NULL) || setgid(USER) || setuid(USER))	\
			_exit(100);					\
		body;							\
		_exit(status_);						\
	}								\
	close(socket_);							\
	peer_reap(pid_);						\
})
/* In such a body: number the checks, exit with the number of the first that fails. */
#define CHECK(number, condition) do {					\
	if (!status_ && !(condition))					\
		status_ = number;					\
} while (0)

TEST_F(device, info_tells_the_version_and_the_quotas)	/* K1 */
{
	struct asynclazy_info i;

	ASSERT_EQ(0, alz_info(&i));
	EXPECT_EQ(ASYNCLAZY_ABI_VERSION, i.out_abi_version);
	EXPECT_EQ(ASYNCLAZY_KEY_MAX, i.out_key_max);
	EXPECT_EQ(ASYNCLAZY_FEATURE_STABLE | ASYNCLAZY_FEATURE_RECYCLE |
		  ASYNCLAZY_FEATURE_MEMFD | ASYNCLAZY_FEATURE_REFRESH, i.out_features);
	EXPECT_EQ(64, i.out_caches_max);
	EXPECT_EQ(1048576, i.out_waits_max);
	EXPECT_EQ(65536, i.out_tickets_max);
	EXPECT_LT(0, i.out_bytes_max);
	EXPECT_LE(i.out_bytes_used, i.out_bytes_max);
	EXPECT_LE(i.out_caches_used, i.out_caches_max);
}

TEST_F(device, an_anonymous_cache_is_made)		/* K1 */
{
	struct asynclazy_create *c = &self->c;
	struct asynclazy_geometry g;

	ASSERT_EQ(0, alz_create(self->fd, c, NULL, STABLE, KEYS, ARENA));
	EXPECT_EQ(FD_CLOEXEC, fcntl(c->out_fd, F_GETFD));
	/* an anonymous cache is always a new one */
	EXPECT_NE(ALZ_POISON64 >> 32, c->out_created);
	EXPECT_NE(ALZ_POISON64, c->out_cache_id);
	ASSERT_EQ(0, alz_geometry(c->out_fd, &g));
	EXPECT_EQ(ASYNCLAZY_ABI_VERSION, g.out_abi_version);
	EXPECT_EQ(STABLE, g.out_flags);
	EXPECT_EQ(c->out_cache_id, g.out_cache_id);
	EXPECT_EQ(KEYS, g.out_max_keys);
	EXPECT_LE(KEYS, g.out_slots);
	EXPECT_EQ(0, g.out_slots % ASYNCLAZY_BUCKET_SLOTS);
	EXPECT_LE(ASYNCLAZY_HEADER_SIZE + g.out_slots * 8, g.out_table_size);
	EXPECT_EQ(0, g.out_table_size % 4096);
	EXPECT_EQ(ARENA, g.out_arena_size);
	EXPECT_EQ(ARENA, g.out_budget);
	EXPECT_EQ(0, g.out_visited_size);
	EXPECT_EQ(0, g.out_pins_size);
	EXPECT_EQ(1 << 20, g.out_segment_size);
	EXPECT_LT(0, g.out_value_max);
	EXPECT_GT(g.out_segment_size, g.out_value_max);
	EXPECT_EQ(ASYNCLAZY_KEY_MAX, g.out_key_max);
	EXPECT_EQ(0600, g.out_mode);
	EXPECT_EQ(geteuid(), g.out_uid);
	EXPECT_EQ(READ | WRITE, g.out_access);
	close(c->out_fd);
}

TEST_F(device, the_arena_is_rounded_up_to_segments)	/* K1 */
{
	struct asynclazy_create c = {
		.size = sizeof(c), .flags = STABLE, .max_keys = 1,
		.arena_size = (64 << 10) + 1, .segment_size = 64 << 10,
	};
	struct asynclazy_geometry g;

	ASSERT_EQ(0, alz_call(self->fd, ASYNCLAZY_IOC_CREATE, &c));
	ASSERT_EQ(0, alz_geometry(c.out_fd, &g));
	EXPECT_EQ(128 << 10, g.out_arena_size);
	EXPECT_EQ(64 << 10, g.out_segment_size);
	close(c.out_fd);
}

TEST_F(device, a_named_cache_is_found_by_name)		/* K1 */
{
	struct asynclazy_create again;
	struct asynclazy_geometry g;
	int fd;

	ASSERT_EQ(0, alz_create(self->fd, &self->c, self->name, STABLE, KEYS, ARENA));
	EXPECT_EQ(1, self->c.out_created);
	fd = alz_open(self->fd, self->name, READ | WRITE);
	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	ASSERT_EQ(0, alz_geometry(fd, &g));
	EXPECT_EQ(self->c.out_cache_id, g.out_cache_id);
	close(fd);
	/* without EXCLUSIVE: as it is, whatever the geometry asked for */
	ASSERT_EQ(0, alz_create(self->fd, &again, self->name, STABLE, KEYS * 100, ARENA * 2));
	EXPECT_EQ(0, again.out_created);
	EXPECT_EQ(self->c.out_cache_id, again.out_cache_id);
	ASSERT_EQ(0, alz_geometry(again.out_fd, &g));
	EXPECT_EQ(KEYS, g.out_max_keys);
	EXPECT_EQ(ARENA, g.out_arena_size);
	close(again.out_fd);
	close(self->c.out_fd);
}

TEST_F(device, a_second_exclusive_create_changes_no_byte)	/* K1 */
{
	struct asynclazy_create again;
	struct alz_state before;
	char *copy;
	struct alz a;
	int fds;

	ASSERT_EQ(0, alz_create(self->fd, &self->c, self->name, STABLE | EXCLUSIVE,
				KEYS, ARENA));
	ASSERT_EQ(0, alz_join(&a, self->c.out_fd));
	ASSERT_EQ(0, alz_set(&a, "k", "value"));
	copy = malloc(a.table_size);
	ASSERT_NE(NULL, copy);
	memcpy(copy, a.header, a.table_size);
	alz_snapshot(&a, &before);
	fds = alz_open_fds();
	EXPECT_EQ(-EEXIST, alz_create(self->fd, &again, self->name, STABLE | EXCLUSIVE,
				      KEYS * 2, ARENA * 2));
	EXPECT_EQ(fds, alz_open_fds());
	EXPECT_TRUE(alz_unchanged(&a, &before));
	EXPECT_EQ(0, memcmp(copy, a.header, a.table_size));
	EXPECT_TRUE(alz_has(&a, "k", "value"));
	free(copy);
	alz_leave(&a);
	close(self->c.out_fd);
}

TEST_F(device, an_impossible_geometry_is_refused)	/* K1 */
{
	static const struct {
		__u64 max_keys, arena, segment;
	} bad[] = {
		{ 0, ARENA, 0 },
		{ ~0ULL, ARENA, 0 },
		{ 1ULL << 63, ARENA, 0 },
		{ KEYS, 0, 0 },
		{ KEYS, ~0ULL, 0 },
		{ KEYS, 1ULL << 60, 0 },
		{ KEYS, ARENA, 1 },
		{ KEYS, ARENA, 32 << 10 },
		{ KEYS, ARENA, 96 << 10 },
		{ KEYS, ARENA, 128 << 20 },
		{ KEYS, ARENA, ~0ULL },
	};
	struct asynclazy_info before, after;
	unsigned int i;

	ASSERT_EQ(0, alz_info(&before));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		struct asynclazy_create c = {
			.size = sizeof(c), .flags = STABLE, .max_keys = bad[i].max_keys,
			.arena_size = bad[i].arena, .segment_size = bad[i].segment,
		};

		EXPECT_EQ(-EINVAL, alz_call(self->fd, ASYNCLAZY_IOC_CREATE, &c))
			TH_LOG("geometry %u", i);
	}
	ASSERT_EQ(0, alz_info(&after));
	EXPECT_EQ(before.out_caches_used, after.out_caches_used);
	EXPECT_EQ(before.out_bytes_used, after.out_bytes_used);
}

TEST_F(device, a_cache_that_is_not_stable_has_8_segments)	/* K1, L13 */
{
	static const struct {
		__u64 arena, segment, budget, out_segment;
	} cases[] = {
		{ 1, 0, 512 << 10, 64 << 10 },
		{ 1 << 20, 0, 1 << 20, 64 << 10 },
		{ 4 << 20, 0, 4 << 20, 256 << 10 },
		{ 32 << 20, 0, 32 << 20, 1 << 20 },
		{ 1, 128 << 10, 1 << 20, 128 << 10 },
		{ (1 << 20) + 1, 64 << 10, (1 << 20) + (64 << 10), 64 << 10 },
	};
	struct asynclazy_geometry g;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct asynclazy_create c = {
			.size = sizeof(c), .max_keys = KEYS,
			.arena_size = cases[i].arena, .segment_size = cases[i].segment,
		};

		ASSERT_EQ(0, alz_call(self->fd, ASYNCLAZY_IOC_CREATE, &c));
		ASSERT_EQ(0, alz_geometry(c.out_fd, &g));
		EXPECT_EQ(0, g.out_flags);
		EXPECT_EQ(ASYNCLAZY_FEATURE_RECYCLE | ASYNCLAZY_FEATURE_MEMFD |
			  ASYNCLAZY_FEATURE_REFRESH, g.out_features);
		EXPECT_EQ(cases[i].budget, g.out_budget) TH_LOG("case %u", i);
		EXPECT_EQ(cases[i].out_segment, g.out_segment_size) TH_LOG("case %u", i);
		EXPECT_LT(g.out_budget, g.out_arena_size);
		EXPECT_EQ(ASYNCLAZY_PINS_SIZE, g.out_pins_size);
		EXPECT_LE(g.out_slots / ASYNCLAZY_BUCKET_SLOTS, g.out_visited_size);
		close(c.out_fd);
	}
}

TEST_F(device, a_time_to_live_has_no_part_without_the_first)	/* K1 */
{
	static const struct {
		__u64 ttl, stale, dead;
		int err;
	} cases[] = {
		{ 1, 1, 1, 0 },
		{ 1, 0, 1, 0 },
		{ ASYNCLAZY_NEVER, ASYNCLAZY_NEVER, ASYNCLAZY_NEVER, 0 },
		{ 0, 1, 0, -EINVAL },
		{ 0, 0, 1, -EINVAL },
		{ 0, ASYNCLAZY_NEVER, 0, -EINVAL },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct asynclazy_create c = {
			.size = sizeof(c), .max_keys = KEYS, .arena_size = ARENA,
			.ttl = cases[i].ttl, .stale_ttl = cases[i].stale,
			.dead_ttl = cases[i].dead,
		};

		EXPECT_EQ(cases[i].err, alz_call(self->fd, ASYNCLAZY_IOC_CREATE, &c))
			TH_LOG("case %u", i);
		if (!cases[i].err)
			close(c.out_fd);
	}
}

TEST_F(device, names_have_1_to_255_bytes)		/* K1 */
{
	struct asynclazy_open o = { .size = sizeof(o), .flags = READ };
	struct asynclazy_unlink u = { .size = sizeof(u) };
	char longest[ASYNCLAZY_NAME_MAX + 2], other[ASYNCLAZY_NAME_MAX + 2];

	memset(longest, 'n', sizeof(longest));
	longest[ASYNCLAZY_NAME_MAX + 1] = 0;
	EXPECT_EQ(-EINVAL, alz_create(self->fd, &self->c, longest, STABLE, KEYS, ARENA));
	EXPECT_EQ(-EINVAL, alz_open(self->fd, longest, READ));
	EXPECT_EQ(-EINVAL, alz_unlink(self->fd, longest));
	EXPECT_EQ(-EINVAL, alz_call(self->fd, ASYNCLAZY_IOC_OPEN, &o));
	EXPECT_EQ(-EINVAL, alz_call(self->fd, ASYNCLAZY_IOC_UNLINK, &u));

	longest[ASYNCLAZY_NAME_MAX] = 0;
	ASSERT_EQ(0, alz_create(self->fd, &self->c, longest, STABLE, KEYS, ARENA));
	close(self->c.out_fd);
	strcpy(other, longest);
	other[ASYNCLAZY_NAME_MAX - 1] = 'o';
	EXPECT_EQ(-ENOENT, alz_open(self->fd, other, READ));
	other[ASYNCLAZY_NAME_MAX - 1] = 0;
	EXPECT_EQ(-ENOENT, alz_open(self->fd, other, READ));
	EXPECT_EQ(0, alz_unlink(self->fd, longest));
	EXPECT_EQ(-ENOENT, alz_open(self->fd, longest, READ));
}

TEST_F(device, open_wants_a_right_and_a_known_mode)	/* K1 */
{
	struct asynclazy_create c;

	ASSERT_EQ(0, alz_create(self->fd, &self->c, self->name, STABLE, KEYS, ARENA));
	close(self->c.out_fd);
	EXPECT_EQ(-EINVAL, alz_open(self->fd, self->name, 0));
	memset(&c, 0, sizeof(c));
	c.size = sizeof(c);
	c.flags = STABLE;
	c.max_keys = KEYS;
	c.arena_size = ARENA;
	c.mode = 01000;
	EXPECT_EQ(-EINVAL, alz_call(self->fd, ASYNCLAZY_IOC_CREATE, &c));
	c.mode = 0100600;
	EXPECT_EQ(-EINVAL, alz_call(self->fd, ASYNCLAZY_IOC_CREATE, &c));
}

TEST_F(device, an_unlinked_cache_lives_on_for_those_who_have_it)	/* K1 */
{
	struct asynclazy_create other;
	struct alz a;

	EXPECT_EQ(-ENOENT, alz_unlink(self->fd, self->name));
	ASSERT_EQ(0, alz_create(self->fd, &self->c, self->name, STABLE, KEYS, ARENA));
	ASSERT_EQ(0, alz_join(&a, self->c.out_fd));
	ASSERT_EQ(0, alz_set(&a, "k", "old"));
	ASSERT_EQ(0, alz_unlink(self->fd, self->name));
	EXPECT_EQ(-ENOENT, alz_unlink(self->fd, self->name));
	EXPECT_EQ(-ENOENT, alz_open(self->fd, self->name, READ));
	EXPECT_TRUE(alz_has(&a, "k", "old"));
	EXPECT_EQ(0, alz_set(&a, "k", "new"));
	EXPECT_TRUE(alz_has(&a, "k", "new"));
	ASSERT_EQ(0, alz_create(self->fd, &other, self->name, STABLE | EXCLUSIVE, KEYS, ARENA));
	EXPECT_NE(self->c.out_cache_id, other.out_cache_id);
	close(other.out_fd);
	alz_leave(&a);
	close(self->c.out_fd);
}

TEST_F(device, a_named_cache_outlives_its_users)	/* K1 */
{
	struct alz a;
	int fd;

	ASSERT_EQ(0, alz_create(self->fd, &self->c, self->name, STABLE, KEYS, ARENA));
	ASSERT_EQ(0, alz_join(&a, self->c.out_fd));
	ASSERT_EQ(0, alz_set(&a, "k", "value"));
	alz_leave(&a);
	close(self->c.out_fd);
	fd = alz_open(self->fd, self->name, READ);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, alz_join(&a, fd));
	EXPECT_TRUE(alz_has(&a, "k", "value"));
	EXPECT_EQ(1, a.header->keys);
	alz_leave(&a);
	close(fd);
}

TEST_F(device, an_anonymous_cache_ends_with_its_users)	/* K1, K13 */
{
	struct asynclazy_info before, during, after;
	__u64 until = alz_now() + ALZ_SEC;
	struct alz a;

	ASSERT_EQ(0, alz_info(&before));
	ASSERT_EQ(0, alz_setup(&a, KEYS, ARENA));
	ASSERT_EQ(0, alz_info(&during));
	EXPECT_EQ(before.out_caches_used + 1, during.out_caches_used);
	EXPECT_LE(before.out_bytes_used + ARENA, during.out_bytes_used);
	alz_leave(&a);
	/* the kernel may take a moment to clean up */
	do {
		ASSERT_EQ(0, alz_info(&after));
	} while (after.out_caches_used > before.out_caches_used && alz_now() < until);
	EXPECT_EQ(before.out_caches_used, after.out_caches_used);
	EXPECT_EQ(before.out_bytes_used, after.out_bytes_used);
}

TEST_F(device, a_cache_fd_can_be_sent_to_another_process)	/* K1 */
{
	struct remote r;
	struct alz a;

	ASSERT_EQ(0, alz_setup(&a, KEYS, ARENA));
	ASSERT_EQ(0, remote_start(&r, a.cache));
	EXPECT_EQ(0, remote_publish(&r, remote_ticket(&r, "k"), "value"));
	EXPECT_TRUE(alz_has(&a, "k", "value"));
	remote_end(&r);
	alz_leave(&a);
}

TEST_F(device, a_device_fd_for_reading_makes_no_cache)	/* K1 */
{
	int fd = alz_device(O_RDONLY);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-EACCES, alz_create(fd, &self->c, self->name, STABLE, KEYS, ARENA));
	EXPECT_EQ(-EACCES, alz_create(fd, &self->c, NULL, STABLE, KEYS, ARENA));
	EXPECT_EQ(-ENOENT, alz_open(fd, self->name, READ));
	close(fd);
}

TEST_F(device, a_cache_fd_for_reading_only_reads)	/* K1 */
{
	__u32 flags[] = { INIT, INIT | BLOCK, INIT | EVENT, INIT | WAITFD,
			  INIT | EVENT | FOLLOW };
	struct asynclazy_geometry g;
	struct asynclazy_claim c;
	struct alz_state before;
	struct alz a, reader;
	unsigned int i;
	__u64 count;
	int fd;

	ASSERT_EQ(0, alz_create(self->fd, &self->c, self->name, STABLE, KEYS, ARENA));
	ASSERT_EQ(0, alz_join(&a, self->c.out_fd));
	ASSERT_EQ(0, alz_set(&a, "k", "value"));
	fd = alz_open(self->fd, self->name, READ);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, alz_join(&reader, fd));
	ASSERT_EQ(0, alz_geometry(fd, &g));
	EXPECT_EQ(READ, g.out_access);

	alz_snapshot(&a, &before);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		EXPECT_EQ(-EACCES, alz_claim(&reader, "new", flags[i], &c));
		EXPECT_EQ(-EACCES, alz_claim(&reader, "k", flags[i], &c));
	}
	EXPECT_EQ(-EACCES, alz_publish(&reader, 1, "value"));
	EXPECT_EQ(-EACCES, alz_set(&reader, "k", "other"));
	EXPECT_EQ(-EACCES, alz_invalidate(&reader, "k", NULL));
	EXPECT_EQ(-EACCES, alz_clear(&reader, &count));
	EXPECT_TRUE(alz_unchanged(&a, &before));
	EXPECT_TRUE(alz_has(&reader, "k", "value"));

	/* but it gets and waits */
	ASSERT_EQ(0, alz_claim(&reader, "k", 0, &c));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, c.out_result);
	ASSERT_LT(0, alz_ticket(&a, "new"));
	ASSERT_EQ(0, alz_claim_event(&reader, "new", EVENT, 7, &c));
	EXPECT_EQ(ASYNCLAZY_RESULT_PENDING, c.out_result);
	EXPECT_EQ(0, alz_cancel(&reader, 7));
	alz_leave(&reader);
	alz_leave(&a);
	close(fd);
	close(self->c.out_fd);
}

TEST_F(device, the_mode_of_a_cache_is_respected)	/* K1, K15 */
{
	static const struct {
		__u32 mode;
		int read, write;
	} modes[] = {
		{ 0600, -EACCES, -EACCES }, { 0640, -EACCES, -EACCES },
		{ 0644, 0, -EACCES }, { 0666, 0, 0 },
	};
	struct asynclazy_create c;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		memset(&c, 0, sizeof(c));
		c.size = sizeof(c);
		c.flags = STABLE | EXCLUSIVE;
		c.name = (uintptr_t)self->name;
		c.name_size = strlen(self->name);
		c.mode = modes[i].mode;
		c.max_keys = KEYS;
		c.arena_size = ARENA;
		ASSERT_EQ(0, alz_call(self->fd, ASYNCLAZY_IOC_CREATE, &c));
		EXPECT_EQ(0, AS_USER({
			struct asynclazy_create again;
			int dev = alz_device(O_RDWR);
			int fd = alz_open(dev, self->name, READ);

			CHECK(1, dev >= 0);
			CHECK(2, modes[i].read ? fd == modes[i].read : fd >= 0);
			fd = alz_open(dev, self->name, WRITE);
			CHECK(3, modes[i].write ? fd == modes[i].write : fd >= 0);
			fd = alz_create(dev, &again, self->name, STABLE, KEYS, ARENA);
			CHECK(4, modes[i].write ? fd == modes[i].write : fd >= 0);
			CHECK(5, alz_unlink(dev, self->name) == -EACCES);
		})) TH_LOG("mode %o", modes[i].mode);
		EXPECT_EQ(0, alz_unlink(self->fd, self->name));
		close(c.out_fd);
	}
}

TEST_F(device, owner_and_administrator_may_unlink)	/* K1 */
{
	char mine[80], root[80];

	snprintf(mine, sizeof(mine), "%s-mine", self->name);
	snprintf(root, sizeof(root), "%s-root", self->name);
	EXPECT_EQ(0, AS_USER({
		struct asynclazy_geometry g;
		struct asynclazy_create c;
		int dev = alz_device(O_RDWR);

		CHECK(1, !alz_create(dev, &c, mine, STABLE, KEYS, ARENA));
		CHECK(2, !alz_geometry(c.out_fd, &g) && g.out_uid == USER);
		CHECK(3, !alz_unlink(dev, mine));
		CHECK(4, alz_unlink(dev, mine) == -ENOENT);
		CHECK(5, !alz_create(dev, &c, root, STABLE, KEYS, ARENA));
	}));
	EXPECT_EQ(0, alz_unlink(self->fd, root));
	EXPECT_EQ(-ENOENT, alz_open(self->fd, root, READ));
}

TEST_F(device, each_ipc_namespace_has_its_own_names)	/* K1, K15 */
{
	struct asynclazy_create inner;
	int socket, status;
	pid_t pid;

	ASSERT_EQ(0, alz_create(self->fd, &self->c, self->name, STABLE, KEYS, ARENA));
	pid = peer_fork(&socket);
	if (!pid) {
		int dev;

		if (unshare(CLONE_NEWIPC))
			_exit(100);
		dev = alz_device(O_RDWR);
		if (alz_open(dev, self->name, READ) != -ENOENT)
			_exit(1);
		if (alz_create(dev, &inner, self->name, STABLE | EXCLUSIVE, KEYS, ARENA))
			_exit(2);
		if (inner.out_cache_id == self->c.out_cache_id)
			_exit(3);
		/* nobody could do it later, and it counts */
		if (alz_unlink(dev, self->name))
			_exit(4);
		_exit(0);
	}
	status = peer_reap(pid);
	close(socket);
	if (status == 100)
		SKIP(return, "no IPC namespaces here");
	EXPECT_EQ(0, status);
	close(self->c.out_fd);
}

/*
 * In a child with an IPC namespace of its own: run, and return the exit status.
 * As a user of whom no other test counts the caches.
 */
#define IN_NAMESPACE(body) ({						\
	int socket_;							\
	pid_t pid_;							\
	chmod(ALZ_DEVICE, 0666);					\
	pid_ = peer_fork(&socket_);					\
	if (!pid_) {							\
		int status_ = 0;					\
		if (unshare(CLONE_NEWIPC))				\
			_exit(100);					\
		if (setgroups(0, NULL) || setgid(USER + 1) || setuid(USER + 1))	\
			_exit(101);					\
		body;							\
		_exit(status_);						\
	}								\
	close(socket_);							\
	peer_reap(pid_);						\
})

TEST_F(device, a_name_is_not_in_later_namespaces)	/* K1, K15 */
{
	int n, status, rounds = alz_rounds(100, 40, 400);

	status = IN_NAMESPACE({
		int dev = alz_device(O_RDWR);
		struct asynclazy_create c;
		struct alz a;

		CHECK(1, !alz_create(dev, &c, self->name, STABLE, 64, 1));
		CHECK(2, !alz_join(&a, c.out_fd));
		CHECK(3, !alz_set(&a, "k", "secret"));
	});
	if (status == 100)
		SKIP(return, "no IPC namespaces here");
	ASSERT_EQ(0, status);
	EXPECT_EQ(-ENOENT, alz_open(self->fd, self->name, READ));
	for (n = 0; n < rounds; n++) {
		/* the kernel ends a namespace, and frees its number, a little later */
		usleep(20000);
		ASSERT_EQ(0, IN_NAMESPACE({
			int dev = alz_device(O_RDWR);
			struct asynclazy_create c;

			CHECK(1, alz_open(dev, self->name, READ) == -ENOENT);
			CHECK(2, alz_unlink(dev, self->name) == -ENOENT);
			CHECK(3, !alz_create(dev, &c, self->name, STABLE | EXCLUSIVE, 64, 1));
			CHECK(4, !alz_unlink(dev, self->name));
		})) TH_LOG("namespace %d", n);
	}
}

/* Containers that come and go must not use up their user's quota. */
TEST_F(device, ended_namespaces_leave_nothing_on_the_quota)	/* K1, K13, K15 */
{
	struct asynclazy_info info;
	int n, status;

	ASSERT_EQ(0, alz_info(&info));
	for (n = 0; n < (int)info.out_caches_max + 10; n++) {
		status = IN_NAMESPACE({
			int dev = alz_device(O_RDWR);
			struct asynclazy_create c;
			struct asynclazy_info now;

			CHECK(1, !alz_create(dev, &c, self->name, STABLE | EXCLUSIVE, 64, 1));
			CHECK(2, !alz_info(&now));
			/* at most those of the previous ones, which may be ending still */
			CHECK(3, now.out_caches_used <= 4);
		});
		if (status == 100)
			SKIP(return, "no IPC namespaces here");
		ASSERT_EQ(0, status) TH_LOG("namespace %d", n);
	}
}

TEST_HARNESS_MAIN
