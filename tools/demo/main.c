// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * asynclazy-demo: what asynclazy is, to look at. Many processes ask for the
 * same expensive results at once, first through the library, then as shell
 * commands through `alazy run`; in each one initialiser is killed. It ends with
 * status 0 only if every count and every byte is right.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "counted.h"
#include "demo.h"

void die(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("asynclazy-demo: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

bool report(bool held, const char *name, const char *format, ...)
{
	va_list args;

	printf("  %-6s %-16s ", held ? "" : "WRONG", name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	return held;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t cpu_ns(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

double seconds(uint64_t ns)
{
	return ns / 1e9;
}

const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static unsigned int count_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 1;
	return CPU_COUNT(&set);
}

static void help(void)
{
	fputs(
"Usage: asynclazy-demo [option...] FILE...\n"
"Shows asynclazy at work: processes that want the same expensive results of the\n"
"files at the same moment, first through the library, then through `alazy run`.\n"
"It needs the module. It ends with status 0 if every count is right.\n"
"\n"
"  --workers N    processes (default 64)\n"
"  --alazy PATH   the alazy program (default: beside this one)\n"
"  --live         redraw a table even if the output is no terminal\n"
"  --plain        print lines even if it is one\n"
"  --help         this text\n", stdout);
}

/* 0 if it is none */
static unsigned int number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	return *end || n > UINT_MAX ? 0 : n;
}

static void parse(struct demo *demo, int argc, char **argv)
{
	enum { WORKERS, ALAZY, LIVE, PLAIN, HELP };
	static const struct option options[] = {
		{ "workers", required_argument, NULL, WORKERS },
		{ "alazy", required_argument, NULL, ALAZY },
		{ "live", no_argument, NULL, LIVE },
		{ "plain", no_argument, NULL, PLAIN },
		{ "help", no_argument, NULL, HELP },
		{ NULL, 0, NULL, 0 },
	};
	unsigned int i;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case WORKERS:
			demo->workers = number(optarg);
			break;
		case ALAZY:
			demo->alazy = optarg;
			break;
		case LIVE:
			demo->live = true;
			break;
		case PLAIN:
			demo->live = false;
			break;
		case HELP:
			help();
			exit(0);
		default:
			exit(64);
		}
	}
	demo->files = argv + optind;
	demo->nr_files = argc - optind;
	if (demo->workers < 4 || demo->workers > MAX_WORKERS)
		die("--workers wants 4 to %d", MAX_WORKERS);
	if (!demo->nr_files || demo->nr_files > MAX_FILES)
		die("name 1 to %d files", MAX_FILES);
	for (i = 0; i < demo->nr_files; i++)
		if (access(demo->files[i], R_OK))
			die("cannot read %s: %s", demo->files[i], strerror(errno));
}

int main(int argc, char **argv)
{
	static char self[PATH_MAX], beside[PATH_MAX + 8];
	struct demo demo = {
		.self = self,
		.alazy = beside,
		.workers = 64,
		.cpus = count_cpus(),
		.live = isatty(STDOUT_FILENO),
	};
	unsigned int bad;

	if (argc > 1 && !strcmp(argv[1], COUNTED_OPTION))
		return counted_main(argc - 1, argv + 1);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		die("/proc/self/exe: %s", strerror(errno));
	snprintf(beside, sizeof(beside), "%.*salazy",
		 (int)(base_name(self) - self), self);
	parse(&demo, argc, argv);
	if (access("/dev/asynclazy", F_OK)) {
		fputs("asynclazy-demo: the asynclazy module is not loaded; load it: `modprobe asynclazy`, or `insmod asynclazy.ko`\n",
		      stderr);
		return 69;
	}
	bad = crowd_run(&demo);
	bad += shells_run(&demo);
	printf("\n%s\n", bad ? "Something is WRONG, see above." :
	       "All counts are right.");
	return bad ? 1 : 0;
}
