// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What the tests of the tools need to know of, and do to, a cache:
 *   cachectl await CACHE N	until N waits are registered; there is no event
 *				for that, so it looks again and again; 1 after
 *				a minute
 *   cachectl unlink CACHE	take its name away; 0 if it had none, too
 *   cachectl set CACHE KEY	store a text of its own under a key
 *   cachectl squat CACHE	make it as nobody, for everybody to write
 */
#include <asynclazy.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct alazy_cache *open_cache(const char *name)
{
	struct alazy_cache_opts opts = {
		.size = sizeof(opts),
		.flags = ALAZY_CACHE_SHARED | ALAZY_CACHE_EXISTING,
		.backend = ALAZY_BACKEND_KERNEL,
	};
	struct alazy_cache *cache = alazy_cache_open(name, &opts);

	if (!cache) {
		perror(name);
		exit(1);
	}
	return cache;
}

static int await(const char *name, unsigned long long n)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	struct alazy_stats stats = { .size = sizeof(stats) };
	struct alazy_cache *cache = open_cache(name);
	time_t end = time(NULL) + 60;

	while (!alazy_cache_stats(cache, &stats) && time(NULL) < end) {
		if (stats.waits_now >= n)
			return 0;
		nanosleep(&pause, NULL);
	}
	fprintf(stderr, "cachectl: %llu waits, not %llu\n",
		(unsigned long long)stats.waits_now, n);
	return 1;
}

static int squat(const char *name)
{
	struct alazy_cache_opts opts = {
		.size = sizeof(opts),
		.flags = ALAZY_CACHE_SHARED | ALAZY_CACHE_EXCLUSIVE | ALAZY_CACHE_STABLE,
		.backend = ALAZY_BACKEND_KERNEL,
		.mode = 0666,
	};

	if (chmod("/dev/asynclazy", 0666) || setegid(65534) || seteuid(65534) ||
	    !alazy_cache_open(name, &opts)) {
		perror(name);
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	int err;

	if (argc == 4 && !strcmp(argv[1], "await"))
		return await(argv[2], strtoull(argv[3], NULL, 10));
	if (argc == 4 && !strcmp(argv[1], "set"))
		return alazy_cache_set(open_cache(argv[2]), argv[3], strlen(argv[3]),
				       "not a result", 12, ALAZY_NEVER) ? 1 : 0;
	if (argc == 3 && !strcmp(argv[1], "squat"))
		return squat(argv[2]);
	if (argc != 3 || strcmp(argv[1], "unlink"))
		return 64;
	err = alazy_cache_unlink(argv[2], ALAZY_BACKEND_KERNEL);
	if (err && err != -ENOENT)
		fprintf(stderr, "cachectl: %s\n", alazy_strerror_detail());
	return err && err != -ENOENT;
}
