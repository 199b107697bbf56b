// SPDX-License-Identifier: GPL-2.0-only
/*
 * K13: the module is not unloaded while somebody uses it, and leaves nothing
 * when it is. ALZ_KO names the file to load it from again.
 */
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "remote.h"

static int module_unload(void)
{
	return syscall(SYS_delete_module, "asynclazy", O_NONBLOCK) ? -errno : 0;
}

static int module_load(const char *parameters)
{
	int fd = open(getenv("ALZ_KO"), O_RDONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0 || syscall(SYS_finit_module, fd, parameters, 0))
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

/* Unload, as soon as those who are about to be gone are. */
static int module_unload_soon(void)
{
	__u64 until = alz_now() + 5 * ALZ_SEC;
	struct timespec t = { .tv_nsec = ALZ_MSEC };
	int err;

	while ((err = module_unload()) == -EWOULDBLOCK && alz_now() < until)
		nanosleep(&t, NULL);
	return err;
}

FIXTURE(module) {
	char name[64];
};

FIXTURE_SETUP(module)
{
	if (!getenv("ALZ_KO"))
		SKIP(return, "ALZ_KO does not name the module's file");
	ASSERT_EQ(0, access(getenv("ALZ_KO"), R_OK));
	snprintf(self->name, sizeof(self->name), "kselftest-module-%d", getpid());
	/* none of ours is in the way */
	ASSERT_EQ(0, module_unload_soon());
	ASSERT_EQ(0, module_load(""));
}

FIXTURE_TEARDOWN(module)
{
	if (access(ALZ_DEVICE, F_OK))
		module_load("");
}

#define EXPECT_IN_USE(what) do {					\
	int err_ = module_unload();					\
	EXPECT_TRUE(err_ == -EWOULDBLOCK || err_ == -EBUSY)		\
		TH_LOG("%s: %d", what, err_);				\
	ASSERT_EQ(0, access(ALZ_DEVICE, F_OK));				\
} while (0)

TEST_F(module, unloads_when_nobody_uses_it)		/* K13 */
{
	EXPECT_EQ(0, module_unload());
	EXPECT_EQ(-1, access(ALZ_DEVICE, F_OK));
	EXPECT_EQ(-ENOENT, alz_device(O_RDWR));
	EXPECT_EQ(-ENOENT, module_unload());
	EXPECT_EQ(0, module_load(""));
	EXPECT_EQ(-EEXIST, module_load(""));
}

TEST_F(module, stays_while_any_fd_is_open)		/* K13 */
{
	int device = alz_device(O_RDONLY), fd;
	struct alz a;

	EXPECT_IN_USE("device");
	close(device);
	ASSERT_EQ(0, alz_setup(&a, 100, 1 << 20));
	EXPECT_IN_USE("client and cache");
	close(a.client);
	a.client = -1;
	EXPECT_IN_USE("mapping and cache");
	alz_unmap(&a);
	EXPECT_IN_USE("cache");
	fd = a.cache;
	ASSERT_EQ(0, alz_join(&a, fd));
	close(fd);
	close(a.cache);
	alz_unmap(&a);
	EXPECT_IN_USE("client");
	close(a.client);
	/* nothing else was in the way */
	EXPECT_EQ(0, module_unload_soon());
	ASSERT_EQ(0, module_load(""));

	ASSERT_EQ(0, alz_setup(&a, 100, 1 << 20));
	ASSERT_LT(0, alz_ticket(&a, "k"));
	fd = alz_waitfd(&a, "k", 0, 0);
	ASSERT_LE(0, fd);
	alz_leave(&a);
	EXPECT_IN_USE("wait");
	close(fd);
	EXPECT_EQ(0, module_unload_soon());
}

TEST_F(module, stays_while_a_mapping_is_there)		/* K13 */
{
	struct alz a;

	ASSERT_EQ(0, alz_setup(&a, 100, 1 << 20));
	ASSERT_EQ(0, alz_set(&a, "k", "value"));
	close(a.client);
	close(a.cache);
	EXPECT_IN_USE("mapping");
	EXPECT_TRUE(alz_has(&a, "k", "value"));
	alz_unmap(&a);
	EXPECT_EQ(0, module_unload_soon());
}

TEST_F(module, stays_while_another_process_has_an_fd)	/* K13 */
{
	struct remote r;
	struct alz a;

	ASSERT_EQ(0, alz_setup(&a, 100, 1 << 20));
	ASSERT_EQ(0, remote_start(&r, a.cache));
	alz_leave(&a);
	EXPECT_IN_USE("other process");
	ASSERT_LT(0, remote_ticket(&r, "k"));
	EXPECT_IN_USE("ticket of another process");
	ASSERT_EQ(0, remote_kill(&r));
	EXPECT_EQ(128 + SIGKILL, remote_reap(&r));
	EXPECT_EQ(0, module_unload_soon());
}

TEST_F(module, takes_idle_named_caches_with_it)		/* K13 */
{
	struct asynclazy_create c;
	struct asynclazy_info info;
	struct alz a;
	int device = alz_device(O_RDWR);

	ASSERT_EQ(0, alz_create(device, &c, self->name, ASYNCLAZY_CREATE_STABLE, 1000, 4 << 20));
	ASSERT_EQ(0, alz_join(&a, c.out_fd));
	ASSERT_EQ(0, alz_set(&a, "k", "value"));
	ASSERT_LT(0, alz_ticket(&a, "running"));
	alz_leave(&a);
	close(c.out_fd);
	close(device);
	EXPECT_EQ(0, module_unload_soon());
	ASSERT_EQ(0, module_load(""));
	device = alz_device(O_RDWR);
	ASSERT_LE(0, device);
	EXPECT_EQ(-ENOENT, alz_open(device, self->name, ASYNCLAZY_OPEN_READ));
	ASSERT_EQ(0, alz_info(&info));
	EXPECT_EQ(0, info.out_caches_used);
	EXPECT_EQ(0, info.out_bytes_used);
	close(device);
}

TEST_F(module, takes_parameters)			/* K13 */
{
	struct asynclazy_info info;

	ASSERT_EQ(0, module_unload());
	ASSERT_EQ(0, module_load("max_caches=3 max_bytes=1048576 max_waits=5 max_tickets=7"));
	ASSERT_EQ(0, alz_info(&info));
	EXPECT_EQ(3, info.out_caches_max);
	EXPECT_EQ(1048576, info.out_bytes_max);
	EXPECT_EQ(5, info.out_waits_max);
	EXPECT_EQ(7, info.out_tickets_max);
	ASSERT_EQ(0, module_unload_soon());
	ASSERT_EQ(0, module_load(""));
	ASSERT_EQ(0, alz_info(&info));
	EXPECT_EQ(64, info.out_caches_max);
}

TEST_F_TIMEOUT(module, comes_and_goes_many_times, 120)	/* K13 */
{
	struct asynclazy_info info;
	struct asynclazy_claim c;
	struct remote r;
	struct alz a;
	char key[16];
	int i, n;

	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, alz_setup(&a, 1000, 1 << 20));
		ASSERT_EQ(0, remote_start(&r, a.cache));
		for (n = 0; n < 100; n++) {
			snprintf(key, sizeof(key), "k%d", n);
			ASSERT_EQ(0, remote_publish(&r, remote_ticket(&r, key), "value"));
		}
		ASSERT_LT(0, remote_ticket(&r, "dies"));
		ASSERT_EQ(0, alz_claim_event(&a, "dies", INIT | EVENT, 1, &c));
		ASSERT_LE(0, alz_waitfd(&a, "dies", INIT, 1));
		ASSERT_EQ(0, remote_kill(&r));
		remote_reap(&r);
		alz_leave(&a);
		closefrom(3);
		ASSERT_EQ(0, module_unload_soon());
		ASSERT_EQ(0, module_load(""));
		ASSERT_EQ(0, alz_info(&info));
		EXPECT_EQ(0, info.out_caches_used);
		EXPECT_EQ(0, info.out_bytes_used);
	}
}

TEST_HARNESS_MAIN
