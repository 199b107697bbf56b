// SPDX-License-Identifier: GPL-2.0-only
/* Options, rounds of storm and calm, and the report in KTAP. */
#include "storm.h"

#include <getopt.h>
#include <linux/futex.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define PHASES_KILLS	8000	/* with as many, each phase is to be hit */
#define MEMORY_SLACK	(8 << 20)
#define WORK_MAX_S	2	/* if the workers do not work: all may wait for each other */

struct storm *storm;

static struct {
	__u64 kills, round, seconds, work, burst, watchdog_s;
	bool unload, kmemleak;
} options = { .kills = 10000, .round = 1000, .work = 4, .burst = 8, .watchdog_s = 300 };

static __u64 calms, kernel_memory, kernel_memory_first;
static __u64 started;
static bool out_of_time;
static __u64 idle_instants;	/* the workers did less than they were to do */

static void usage(void)
{
	fputs("usage: storm [options]\n"
	      "Kills processes that use caches, at random instants, and checks that nothing\n"
	      "comes of it. As root, with the module loaded and /dev/asynclazy there.\n"
	      "  --kills N      kills until it ends (10000; ALZ_FULL=1: 1000000)\n"
	      "  --round N      kills between two calms (1000)\n"
	      "  --seconds N    end early, and fail unless the kills were reached\n"
	      "  --procs N      workers (32, at most 62)\n"
	      "  --keys N       keys in each cache (300, at most 1024)\n"
	      "  --library N    per cent of the workers that use the library (33)\n"
	      "  --exec N       per cent of the workers that are started by exec (5)\n"
	      "  --work N       operations of all workers for each kill, on average (4)\n"
	      "  --burst N      kill up to so many at one instant (8)\n"
	      "  --watchdog N   seconds that a calm may take (300)\n"
	      "  --unload       unload the module at the end\n"
	      "  --kmemleak     look for leaks, on a kernel that can\n"
	      "  --seed N       of all choices; which of them meet is up to the scheduler\n",
	      stdout);
}

static __u64 number(const char *text, __u64 max)
{
	char *end;
	__u64 n = strtoull(text, &end, 0);

	if (*end || !*text || n > max) {
		fprintf(stderr, "storm: not a number up to %llu: %s\n", max, text);
		exit(2);
	}
	return n;
}

static void shared_map(int fd)
{
	storm = mmap(NULL, sizeof(*storm), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (storm == MAP_FAILED) {
		perror("storm: mmap");
		exit(1);
	}
}

static __u64 wrongs(void)
{
	__u64 n = 0;
	int i;

	for (i = 0; i < WRONG_END; i++)
		n += storm->wrongs[i];
	return n;
}

static void progress(bool force)
{
	static __u64 last;
	__u64 now = alz_now();

	if (!force && now - last < 10 * ALZ_SEC)
		return;
	last = now;
	printf("# %llu/%llu kills, %llu calms, %llu caches, %llu tickets, %llu handed over, %llu s\n",
	       kills.done, options.kills, calms, cache_made(), storm->totals.tickets,
	       storm->totals.handovers, (now - started) / ALZ_SEC);
	fflush(stdout);
}

static __u64 operations(void)
{
	__u64 n = 0;
	__u32 i;

	for (i = 0; i < storm->procs; i++)
		n += storm->slots[i].operations;
	return n;
}

/*
 * Let the workers work between two instants of killing, be the machine fast or
 * slow: from storm_quota() on they are to begin @n operations. That some time
 * passes as well keeps kills from coming at the begin of an operation only.
 */
static void storm_quota(int n)
{
	storm->worked = 0;
	storm->work = n;
}

static void storm_work(void)
{
	struct timespec limit = { .tv_sec = WORK_MAX_S };
	struct timespec t = { .tv_nsec = rnd(200 * 1000) };

	if (storm->work > 0)
		idle_instants += syscall(SYS_futex, &storm->worked, FUTEX_WAIT, 0, &limit, NULL,
					 0) && errno == ETIMEDOUT;
	if (rnd(2))
		nanosleep(&t, NULL);
}

/* Kill until @until kills are done. */
static void storm_rage(__u64 until)
{
	__u64 ticked = kills.done;
	unsigned int n;

	while (kills.done < until && !wrongs()) {
		n = killer_kill(options.burst);
		storm_quota(rnd(2 * options.work * n + 1));
		/* the dead need the processors too */
		killer_reap(killer_dying() > storm->procs / 2);
		killer_fill();
		storm_work();
		if (kills.done - ticked < 32)
			continue;
		ticked = kills.done;
		cache_tick();
		progress(false);
		if (options.seconds && alz_now() - started > options.seconds * ALZ_SEC) {
			out_of_time = true;
			return;
		}
	}
}

/* A storm, and a calm after it. All are dead at its end. */
static void storm_round(__u64 until)
{
	storm_rage(until);
	if (!wrongs() && killer_calm(options.watchdog_s * ALZ_SEC)) {
		cache_calm(true);
		cache_check_keys();
	}
	killer_all();
	storm->calm += storm->calm & 1;
	cache_calm(false);
	cache_replace_all();
	calms++;
	kernel_memory = leaks_memory();
	if (!kernel_memory_first)
		kernel_memory_first = kernel_memory;
}

/*
 * Report
 */

static unsigned int tests, failed, skipped;

static void result(bool ok, const char *name, const char *skip)
{
	tests++;
	failed += !ok;
	skipped += ok && skip;
	printf("%sok %u %s%s%s\n", ok ? "" : "not ", tests, name, skip ? " # SKIP " : "",
	       skip ? skip : "");
}

static void report_kills(void)
{
	const struct totals *t = &storm->totals;
	bool all = true, flights;
	int i;

	for (i = 0; i < PHASE_END; i++) {
		printf("# %8llu killed %s\n", kills.by_phase[i], phase_names[i]);
		if (!kills.by_phase[i] && phase_expected(i))
			all = false;
	}
	printf("# %8llu held a ticket\n# %8llu had waits\n# %8llu kept something pinned\n# %8llu were in a cache that had been replaced\n",
	       kills.holding, kills.waiting, kills.pinning, kills.retired);
	printf("# %8llu had begun %u operations or more\n# %8llu instants of killing, %llu of them early since nobody did anything\n",
	       kills.worked, WORKED, kills.instants, idle_instants);
	all &= kills.holding && kills.waiting && kills.pinning && kills.retired;
	result(kills.done >= options.kills && !out_of_time, "as many kills as asked for", NULL);
	result(storm->totals.evictions && storm->totals.memfds_read && storm->totals.pins_kept,
	       "values are evicted, pinned and in memfds meanwhile", NULL);
	flights = t->refreshes && t->revoked && t->unaccepted && t->broken && t->extends;
	result(flights || kills.done < PHASES_KILLS,
	       "tickets are for refreshes, revoked, extended and not taken, and keys are broken",
	       flights || kills.done >= PHASES_KILLS ? NULL : "too few kills to ask for it");
	result((t->locks && t->heirs) || kills.done < PHASES_KILLS || !storm->library,
	       "locks are taken, and left by the dead",
	       kills.done >= PHASES_KILLS && storm->library ? NULL :
	       "too few kills to ask for it");
	result(all || kills.done < PHASES_KILLS, "a kill in every phase",
	       all || kills.done >= PHASES_KILLS ? NULL : "too few kills to ask for it");
}

static void report_processor(const char *name, int who)
{
	struct rusage r;

	getrusage(who, &r);
	printf("# processor time of %s: %ld ms user, %ld ms system; %ld page faults, %ld switches\n",
	       name, r.ru_utime.tv_sec * 1000 + r.ru_utime.tv_usec / 1000,
	       r.ru_stime.tv_sec * 1000 + r.ru_stime.tv_usec / 1000, r.ru_minflt,
	       r.ru_nvcsw + r.ru_nivcsw);
}

static void report_totals(void)
{
	const struct totals *t = &storm->totals;

	printf("# tickets %llu, handed over %llu; published %llu, failed %llu, abandoned %llu, stale %llu, no room %llu\n",
	       t->tickets, t->handovers, t->published, t->failed, t->abandoned, t->stale,
	       t->nospace);
	printf("# read %llu values, %llu MiB, %llu errors; %llu generations given up\n",
	       t->values_read, t->bytes_read >> 20, t->errors_read, t->lost);
	printf("# operations %llu, events %llu, waits ended %llu, sets %llu, copies that could be cut %llu\n",
	       operations(), t->events, t->waits_ended, t->sets, t->cuts);
	printf("# locks %llu, of them left by the dead %llu\n", t->locks, t->heirs);
	printf("# refreshes %llu, revoked %llu, not taken in time %llu, extended %llu, broken %llu\n",
	       t->refreshes, t->revoked, t->unaccepted, t->extends, t->broken);
	printf("# evicted %llu, reinserted %llu, pins kept %llu; memfds published %llu, mapped %llu; not kept %llu\n",
	       t->evictions, t->reinsertions, t->pins_kept, t->memfds, t->memfds_read, t->unkept);
	printf("# %llu caches, %llu calms, %llu s; kernel memory %llu KiB after the first round, %llu KiB after the last\n",
	       cache_made(), calms, (alz_now() - started) / ALZ_SEC, kernel_memory_first >> 10,
	       kernel_memory >> 10);
	report_processor("the killer", RUSAGE_SELF);
	report_processor("the workers", RUSAGE_CHILDREN);
}

static void report_wrongs(void)
{
	static const char *const names[] = {
		[WRONG_TICKET] = "one initialisation of a generation at a time, and one outcome",
		[WRONG_VALUE] = "no torn, foreign or never published value",
		[WRONG_ANSWER] = "every call answers as it may",
		[WRONG_STUCK] = "no waiter stuck",
		[WRONG_GET] = "every key can be got",
		[WRONG_LEFT] = "the dead leave no client, ticket, wait, pin, memfd or cache",
		[WRONG_WORKER] = "workers end by being killed only",
	};
	int i;

	for (i = 0; i < WRONGS && i < (int)storm->texts; i++)
		printf("# wrong: %s\n", storm->text[i]);
	for (i = 0; i < WRONG_END; i++)
		result(!storm->wrongs[i], names[i], NULL);
}

/* A leak of a few bytes a kill shows in a long storm only. */
static void report_memory(void)
{
	const char *skip = NULL;

	if (options.kmemleak)
		skip = "a debug kernel keeps what was freed; kmemleak tells";
	else if (calms < 2)
		skip = "there was one round only";
	result(skip || kernel_memory <= kernel_memory_first + MEMORY_SLACK,
	       "kernel memory does not grow", skip);
}

static void report_unload(void)
{
	const char *skip = options.kmemleak ? NULL : "not asked for: --kmemleak";
	int found = 1, err;

	if (!options.unload)
		return;
	if (options.kmemleak)
		found = leaks_kmemleak(2);
	err = leaks_unload();
	if (err)
		printf("# delete_module: %s\n", strerror(-err));
	result(!err, "the module can be unloaded", NULL);
	/* what only the module pointed to */
	if (options.kmemleak && found == 1 && !err)
		found = leaks_kmemleak(1);
	if (found < 0)
		printf("# kmemleak: %s: it is not in this kernel, or has switched itself off\n",
		       strerror(-found));
	result(found == 1, "kmemleak finds nothing", skip);
}

static int storm_run(int fd)
{
	int err, device = alz_device(O_RDWR);
	char self_path[256];
	ssize_t n;
	size_t i;

	if (device < 0) {
		fprintf(stderr, "storm: " ALZ_DEVICE ": %s; load the module\n", strerror(-device));
		return 1;
	}
	n = readlink("/proc/self/exe", self_path, sizeof(self_path) - 1);
	self_path[n < 0 ? 0 : n] = 0;
	self.rng = storm->seed;
	for (i = 0; i < sizeof(storm->pool); i += 8)
		*(__u64 *)(storm->pool + i) = alz_rand(&self.rng);
	storm->can_cut = copy_can_cut();
	printf("KTAP version 1\n# seed %llu, %u processes, %u keys, %llu kills%s\n", storm->seed,
	       storm->procs, storm->keys, options.kills,
	       storm->can_cut ? "" : "; no userfaultfd: copies cannot be cut");
	err = options.kmemleak ? leaks_begin() : 0;
	if (err) {
		fprintf(stderr, "storm: kmemleak: %s; --kmemleak wants a kernel that has it on\n",
			strerror(-err));
		return 1;
	}
	started = alz_now();
	cache_start(device);
	killer_program(self_path, fd);
	killer_start();
	while (kills.done < options.kills && !out_of_time && !wrongs()) {
		__u64 until = kills.done + options.round;

		storm_round(until < options.kills ? until : options.kills);
	}
	cache_stop();
	progress(true);
	report_kills();
	report_totals();
	report_wrongs();
	report_memory();
	report_unload();
	printf("1..%u\n# totals: pass:%u fail:%u skip:%u\n", tests, tests - failed - skipped, failed,
	       skipped);
	printf("# figure: kills survived %llu\n", failed ? 0 : kills.done);
	return failed != 0;
}

/*
 * Options: of the storm, and of a worker that was started by exec
 */

static __u64 procs = 32, keys = 300, library = 33, exec = 5, seed;
static __u64 worker = SLOTS_MAX, shared;

static const struct {
	const char *name;
	__u64 *value;
	__u64 max;
} numbers[] = {
	{ "kills", &options.kills, ~0ULL },
	{ "round", &options.round, ~0ULL },
	{ "seconds", &options.seconds, 1 << 30 },
	{ "procs", &procs, SLOTS_MAX - 2 },
	{ "keys", &keys, KEYS_MAX },
	{ "library", &library, 100 },
	{ "exec", &exec, 100 },
	{ "work", &options.work, 1 << 16 },
	{ "burst", &options.burst, SLOTS_MAX },
	{ "watchdog", &options.watchdog_s, 1 << 20 },
	{ "seed", &seed, ~0ULL },
	{ "worker", &worker, SLOTS_MAX - 1 },
	{ "shared", &shared, 1 << 20 },
};

#define NUMBERS_MAX	(sizeof(numbers) / sizeof(*numbers))

static void options_read(int argc, char **argv)
{
	struct option longs[NUMBERS_MAX + 4] = { };
	unsigned int i;
	int option;

	for (i = 0; i < NUMBERS_MAX; i++)
		longs[i] = (struct option) { numbers[i].name, 1, NULL, i };
	longs[i++] = (struct option) { "unload", 0, NULL, 'u' };
	longs[i++] = (struct option) { "kmemleak", 0, NULL, 'k' };
	longs[i] = (struct option) { "help", 0, NULL, 'h' };
	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'u') {
			options.unload = true;
		} else if (option == 'k') {
			options.kmemleak = true;
		} else if (option == 'h' || option == '?') {
			usage();
			exit(option == 'h' ? 0 : 2);
		} else {
			*numbers[option].value = number(optarg, numbers[option].max);
		}
	}
}

int main(int argc, char **argv)
{
	int fd;

	if (alz_full())
		options.kills = 1000000;
	seed = alz_now();
	options_read(argc, argv);
	if (worker < SLOTS_MAX) {
		shared_map(shared);
		killer_program("/proc/self/exe", shared);
		worker_run(worker);
	}
	fd = memfd_create("storm", 0);
	if (fd < 0 || ftruncate(fd, sizeof(*storm))) {
		perror("storm: memfd");
		return 1;
	}
	shared_map(fd);
	storm->procs = procs ? procs : 1;
	storm->keys = keys ? keys : 1;
	storm->library = library;
	storm->exec = exec;
	storm->seed = seed;
	return storm_run(fd);
}
