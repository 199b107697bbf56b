// SPDX-License-Identifier: GPL-2.0-only
/* What is left of it all when nobody uses the module any more. */
#include "storm.h"

#include <sys/syscall.h>

#define KMEMLEAK	"/sys/kernel/debug/kmemleak"
#define KMEMLEAK_AGE_S	6	/* younger objects are no suspects */

static int kmemleak_write(const char *what)
{
	int fd = open(KMEMLEAK, O_WRONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, what, strlen(what)) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* What was leaked before is not ours. Return: 0, or -errno: kmemleak is not there or off. */
int leaks_begin(void)
{
	return kmemleak_write("clear");
}

/* Show what kmemleak suspects. Return: whether there is anything. */
static bool kmemleak_show(void)
{
	FILE *f = fopen(KMEMLEAK, "r");
	char line[256];
	int lines = 0;

	while (f && fgets(line, sizeof(line), f) && lines++ < 60)
		printf("# %s", line);
	if (f)
		fclose(f);
	return lines;
}

/*
 * 1: nothing found; 0: found; -errno: it is not there, or off, which it is once it has run out
 * of memory. An object is reported if it has not changed between two scans.
 */
int leaks_kmemleak(int scans)
{
	struct timespec t = { .tv_sec = KMEMLEAK_AGE_S };
	int err = access(KMEMLEAK, R_OK | W_OK) ? -errno : 0;

	if (err)
		return err;

	while (scans--) {
		nanosleep(&t, NULL);
		err = kmemleak_write("scan");
		if (err)
			return err;
	}
	return !kmemleak_show();
}

/* Bytes of kernel memory that a leak would be in. */
__u64 leaks_memory(void)
{
	static const char *const what[] = { "SUnreclaim:", "VmallocUsed:", "Percpu:" };
	FILE *f = fopen("/proc/meminfo", "r");
	__u64 kib, sum = 0;
	char line[128], name[64];
	unsigned int i;

	while (f && fgets(line, sizeof(line), f))
		for (i = 0; i < sizeof(what) / sizeof(*what); i++)
			if (sscanf(line, "%63s %llu", name, &kib) == 2 && !strcmp(name, what[i]))
				sum += kib << 10;
	if (f)
		fclose(f);
	return sum;
}

/* Unload the module, as soon as what was let go is freed. Return: 0, -errno. */
int leaks_unload(void)
{
	__u64 until = alz_now() + ALZ_SOON_MS * ALZ_MSEC;
	struct timespec t = { .tv_nsec = 10 * ALZ_MSEC };

	while (syscall(SYS_delete_module, "asynclazy", O_NONBLOCK)) {
		if (errno != EWOULDBLOCK && errno != EBUSY)
			return -errno;
		if (alz_now() > until)
			return -EBUSY;
		nanosleep(&t, NULL);
	}
	return 0;
}
