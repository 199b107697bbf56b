// SPDX-License-Identifier: GPL-2.0-only
/* The parent: starts the workers, kills some, and looks at the cache's figures. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "soak.h"

#define SEGMENT		(256ULL << 10)

struct soak *soak;

static const char usage[] =
	"usage: soak [options]\n"
	"Processes use an evicting cache that is always full, and are killed now and then;\n"
	"every value is looked at. Needs the asynclazy module.\n"
	"  --ops N       operations in all (1000000)\n"
	"  --workers N   processes (8)\n"
	"  --arena MIB   bytes of the cache (32)\n"
	"  --slack MIB   by how much the kernel's own memory may grow (8)\n"
	"  --keys N      keys that are asked for (some 3 times what the arena holds)\n"
	"  --kill MS     kill one every so many milliseconds, 0: none (200)\n"
	"  --help\n"
	"Output: TAP. Exit status: 0 if all was right.\n";

struct figures {
	struct alazy_stats s;
	uint64_t kernel;	/* kB of the kernel's own: slab, page tables, stacks */
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

static uint64_t meminfo_kernel(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	uint64_t sum = 0, kb;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Slab: %lu", &kb) == 1 ||
		    sscanf(line, "VmallocUsed: %lu", &kb) == 1)
			sum += kb;
	if (f)
		fclose(f);
	return sum;
}

static void look(struct alazy_cache *cache, struct figures *f)
{
	memset(f, 0, sizeof(*f));
	f->s.size = sizeof(f->s);
	if (alazy_cache_stats(cache, &f->s))
		wrong(0, "stats: %s", alazy_strerror_detail());
	f->kernel = meminfo_kernel();
}

static void start(unsigned int place)
{
	int pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		worker_run(place);
	}
	if (pid < 0)
		wrong(place, "fork: %s", strerror(errno));
	soak->worker[place].pid = pid;
}

static uint64_t ops_done(void)
{
	uint64_t n = 0;
	unsigned int i;

	for (i = 0; i < soak->workers; i++)
		n += soak->worker[i].ops;
	return n;
}

#define SUM(field) ({							\
	uint64_t sum_ = 0;						\
	for (unsigned int i_ = 0; i_ < soak->workers; i_++)		\
		sum_ += soak->worker[i_].field;				\
	sum_;								\
})

static void large_find(void)
{
	uint64_t key;

	for (key = 0; key < soak->keys && soak->nr_large < LARGE_MAX; key++)
		if (value_size(key) > VALUE_INLINE)
			soak->large[soak->nr_large++] = key;
}

/* One that ended by itself, or was killed: replace it. */
static void reap(bool restart)
{
	int status, pid;
	unsigned int i;

	while ((pid = waitpid(-1, &status, restart ? WNOHANG : 0)) > 0) {
		for (i = 0; i < soak->workers && soak->worker[i].pid != pid; i++)
			;
		if (i == soak->workers)
			continue;
		if (!(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) && status)
			wrong(i, "a worker ended with status 0x%x", status);
		soak->worker[i].pid = 0;
		if (restart)
			start(i);
	}
}

static int test_no, failed;

static void verdict(bool good, const char *name)
{
	printf("%sok %d %s\n", good ? "" : "not ", ++test_no, name);
	failed += !good;
}

static uint64_t number(const char *text, const char *option)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	if (!*text || *end) {
		fprintf(stderr, "soak: --%s wants a whole number, not '%s'\n", option, text);
		exit(2);
	}
	return n;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "ops", 1, NULL, 'o' }, { "workers", 1, NULL, 'w' }, { "arena", 1, NULL, 'a' },
		{ "keys", 1, NULL, 'k' }, { "slack", 1, NULL, 's' }, { "kill", 1, NULL, 'x' },
		{ "help", 0, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct alazy_cache_opts opts = {
		.size = sizeof(opts),
		.flags = ALAZY_CACHE_EXCLUSIVE,
		.backend = ALAZY_BACKEND_KERNEL,
		.segment_size = SEGMENT,
		/* some keys are asked for all the time: any number may die of one */
		.max_deaths = UINT32_MAX,
	};
	uint64_t ops = 1000000, workers = 8, arena = 32, keys = 0, kill_ms = 200, slack_kb = 8 << 10;
	uint64_t kills = 0, lowest_used = UINT64_MAX, most = 0, most_kernel = 0, last = 0, began;
	struct figures first = { 0 }, f;
	struct alazy_cache *cache;
	bool warm = false;
	unsigned int i;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'o': ops = number(optarg, "ops"); break;
		case 'w': workers = number(optarg, "workers"); break;
		case 'a': arena = number(optarg, "arena"); break;
		case 'k': keys = number(optarg, "keys"); break;
		/* of a leak, some hundred thousand objects */
		case 's': slack_kb = number(optarg, "slack") << 10; break;
		case 'x': kill_ms = number(optarg, "kill"); break;
		case 'h': fputs(usage, stdout); return 0;
		default: fputs(usage, stderr); return 2;
		}
	}
	if (!workers || workers > WORKERS_MAX || arena < 4) {
		fprintf(stderr, "soak: 1 to %d workers, 4 MiB or more\n", WORKERS_MAX);
		return 2;
	}
	soak = mmap(NULL, sizeof(*soak), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		    -1, 0);
	if (soak == MAP_FAILED)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	opts.arena_size = arena << 20;
	/* a value has some 650 bytes, with its share of large ones, and a head */
	soak->keys = keys ? keys : opts.arena_size / 900 * 4;
	opts.max_keys = soak->keys;
	large_find();
	soak->ops = ops;
	soak->workers = workers;
	soak->seed = 1;
	alazy_cache_unlink("soak", ALAZY_BACKEND_KERNEL);
	cache = alazy_cache_open("soak", &opts);
	if (!cache) {
		fprintf(stderr, "soak: %s\n", alazy_strerror_detail());
		return 2;
	}
	printf("TAP version 13\n1..6\n");
	began = now_ms();
	/* its signal is all that interrupts the pause below: a tenth of a second */
	for (i = 0; i < workers; i++)
		start(i);

	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct itimerspec tick = { { 0, 100000000 }, { 0, 100000000 } };
	uint64_t expired, next_kill = began + kill_ms;

	timerfd_settime(timer, 0, &tick, NULL);
	while (ops_done() < ops && !soak->wrong_set) {
		if (read(timer, &expired, sizeof(expired)) < 0 && errno != EINTR)
			break;
		reap(true);
		if (kill_ms && now_ms() >= next_kill) {
			i = (kills * 7 + now_ms()) % workers;
			if (soak->worker[i].pid > 0 && !kill(soak->worker[i].pid, SIGKILL))
				kills++;
			next_kill = now_ms() + kill_ms;
		}
		look(cache, &f);
		if (!warm && ops_done() > ops / 10 && f.s.reclaims) {
			first = f;
			warm = true;
		}
		if (warm) {
			uint64_t used = f.s.arena_used + f.s.memfd_bytes;

			lowest_used = used < lowest_used ? used : lowest_used;
			most = f.s.arena_allocated + f.s.memfd_bytes > most ?
				f.s.arena_allocated + f.s.memfd_bytes : most;
			most_kernel = f.kernel > most_kernel ? f.kernel : most_kernel;
		}
		if (now_ms() - last > 10000) {
			last = now_ms();
			printf("# %lu of %lu operations, %lu kills, %lu evictions, %lu s\n",
			       ops_done(), ops, kills, f.s.evictions, (last - began) / 1000);
		}
	}
	soak->stop = true;
	reap(false);
	look(cache, &f);
	printf("# %lu operations in %lu ms: %lu initialisations, %lu evictions, %lu reinsertions, "
	       "%lu segments emptied, %lu publishes waited, %lu not kept, %lu deaths\n",
	       ops_done(), now_ms() - began, SUM(inits), f.s.evictions, f.s.reinsertions,
	       f.s.reclaims, f.s.waited, f.s.unkept, f.s.deaths);
	printf("# looked at: %lu values of more than 64 KiB, %lu that came by dispatch\n",
	       SUM(memfds), SUM(events));
	printf("# memory for values: %lu KiB at most of %lu, used %lu %% at least; the kernel's "
	       "own: %lu kB, at most %lu later\n", most >> 10, opts.arena_size >> 10,
	       warm ? lowest_used * 100 / opts.arena_size : 0, first.kernel, most_kernel);
	if (soak->wrong_set)
		printf("# %s\n", soak->wrong);
	verdict(!SUM(errors) && ops_done() >= ops, "every value is right and no call fails");
	verdict(SUM(memfds) && SUM(events) && (!kill_ms || kills),
		"large values, events and kills were among it");
	verdict(warm && f.s.evictions && f.s.reinsertions, "the cache evicts all the time");
	/* but for the segments that reclaim keeps free, and what is being filled */
	verdict(warm && lowest_used * 10 >= opts.arena_size * 8, "it is always full");
	/* caches of the kernel's own, and pages that readers hold, come and go */
	verdict(warm && most <= opts.arena_size + opts.arena_size / 4 &&
		most_kernel <= first.kernel + slack_kb, "memory is constant");
	/* what is left of the dead: a grace period may be needed to see it off */
	verdict(!f.s.tickets_now && !f.s.waits_now && f.s.clients == 1, "the dead leave nothing");
	printf("# figure: soak operations %lu\n# figure: soak kills %lu\n", ops_done(), kills);
	printf("# totals: pass:%d fail:%d skip:0\n", test_no - failed, failed);
	alazy_cache_close(cache);
	alazy_cache_unlink("soak", ALAZY_BACKEND_KERNEL);
	return failed != 0;
}
