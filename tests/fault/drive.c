// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs each test of a program again and again, each time with another fault.
 *
 * A first run without one counts where faults could be, call by call. choose.c tells
 * which of them are taken: in a full run n = 1, 2, 3, ... until a run passes without
 * a fault; in a slice a few, and of each test one that is drawn.
 */
#include <getopt.h>
#include <sys/wait.h>

#include "alz.h"
#include "fault.h"

#define LOG_LINES	15
#define BATCH_OWN	3	/* its struct, the probe of it, and its first call */

static struct {
	const char *only;		/* -t */
	int kind;			/* -k; -1: all */
	__u64 seed;			/* -s */
	__u32 slow_ms;		/* tests that take longer get few runs */
	__u32 too_slow_ms;	/* and these none */
	bool plan_only, verbose, bystanders;
} option = { .kind = -1, .slow_ms = 1000, .too_slow_ms = 3500, .bystanders = true };

static struct {
	unsigned int failed;
	__u64 runs, planned, injected[FAULT_SORTS], absorbed, elsewhere, shows, flaky, visits, slow;
	long users, caches;
	__u64 start, said;
} total;

/* Of this test, and kind. */
static struct {
	__u32 runs, done;
	bool slow;			/* has what others have not, see choose.c */
} plan;

static FILE *log_file;
static int out;				/* the real stdout */
static char problem[256];

#define PROBLEM(...) do {						\
	if (!problem[0])						\
		snprintf(problem, sizeof(problem), __VA_ARGS__);	\
} while (0)

static void usage(void)
{
	puts("usage: PROGRAM [-t TEST] [-n CALL.PLACE] [-k memory|copy] [-m again|visit] [-c TIMES]\n"
	     "               [-s SEED] [-l FILE] [-a] [-p] [-B] [-v]\n"
	     "Runs each test with one fault at a time.\n"
	     "  -t  only tests whose name has this in it\n"
	     "  -n  only this fault, as `12.3`: in the twelfth call, at its third place\n"
	     "  -k  only allocations, or only user copies\n"
	     "  -m  only: make the call again, the test has to pass; or: visit the cache,\n"
	     "      then kill the test\n"
	     "  -c  how often each place of each call is taken (default 1 over all programs\n"
	     "      that share FILE); 0, or with ALZ_FULL=1: a full run, of all tests\n"
	     "  -s  seed of the one fault of each test that is drawn besides (default 1)\n"
	     "  -l  the ledger that the programs of a run share\n"
	     "  -a  in a full run also what is like many others: in loops (up to the 4096th call),\n"
	     "      each page of a cache in each test, and tests of more than ten seconds: days\n"
	     "  -p  only say how many runs there would be\n"
	     "  -B  no bystanders: for tests that unload the module\n"
	     "  -v  show each fault");
	exit(2);
}

static void options(int argc, char **argv)
{
	const char *ledger = NULL;
	int c;

	fault_choice.times = alz_full() ? 0 : 1;
	option.seed = 1;
	while ((c = getopt(argc, argv, "t:n:k:m:c:s:l:apBv")) != -1) {
		switch (c) {
		case 't':
			option.only = optarg;
			break;
		case 'n':
			if (sscanf(optarg, "%u.%u", &fault_choice.target, &fault_choice.place) != 2)
				usage();
			break;
		case 'k':
			option.kind = !strcmp(optarg, "copy");
			break;
		case 'm':
			fault_choice.mode = !strcmp(optarg, "visit");
			break;
		case 'c':
			fault_choice.times = atoi(optarg);
			break;
		case 's':
			option.seed = strtoull(optarg, NULL, 0);
			break;
		case 'l':
			ledger = optarg;
			break;
		case 'a':
			fault_choice.all = true;
			break;
		case 'p':
			option.plan_only = true;
			break;
		case 'B':
			option.bystanders = false;
			break;
		case 'v':
			option.verbose = true;
			break;
		default:
			usage();
		}
	}
	/* what is run again for each fault is short */
	unsetenv("ALZ_FULL");
	fault_ledger_open(ledger);
}

/*
 * One run
 */

static long caches_now(void)
{
	struct asynclazy_info i;

	return alz_info(&i) ? 0 : (long)i.out_caches_used;
}

/* What a test that was killed left, it has left by name. */
static void unlink_names(void)
{
	struct fault_run *r = fault_run;
	int device = alz_device(O_RDWR);
	__u32 i;

	for (i = 0; device >= 0 && i < r->nr_names && i < ARRAY_SIZE(r->name); i++)
		alz_unlink(device, r->name[i]);
	if (device >= 0)
		close(device);
}

/* The bystanders open and close wait fds meanwhile, so look until it is right. */
static void await_nobody(void)
{
	__u64 until = alz_now() + ALZ_SOON_MS * ALZ_MSEC;
	struct timespec t = { .tv_nsec = ALZ_MSEC };
	long users, caches;

	for (;;) {
		users = fault_module_users();
		caches = caches_now();
		if (users == total.users && caches == total.caches)
			return;
		if (alz_now() > until)
			break;
		nanosleep(&t, NULL);
	}
	if (users != total.users)
		PROBLEM("%ld use the module, not %ld", users, total.users);
	else
		PROBLEM("%ld caches are there, not %ld", caches, total.caches);
	/* once is enough */
	total.users = users;
	total.caches = caches;
}

/* The module, if a test that was killed has unloaded it. */
static void load_module(void)
{
	const char *ko = getenv("ALZ_KO");
	char command[300];

	if (fault_module_users() >= 0 || !ko)
		return;
	snprintf(command, sizeof(command), "insmod %s", ko);
	if (system(command))
		PROBLEM("cannot load %s", ko);
}

static enum fault_verdict run_test(enum fault_verdict (*run)(void *arg), void *arg,
				   enum fault_kind kind, enum fault_mode mode,
				   __u32 target, __u32 place)
{
	struct fault_run *r = fault_run;
	enum fault_verdict verdict;

	memset(r, 0, offsetof(struct fault_run, call));
	memset(r->name, 0, sizeof(r->name));
	r->kind = kind;
	r->mode = mode;
	r->target = target;
	r->place = place;
	fault_knobs_kind(kind);
	fflush(NULL);
	if (ftruncate(fileno(log_file), 0) || lseek(fileno(log_file), 0, SEEK_SET))
		abort();
	dup2(fileno(log_file), 1);
	dup2(fileno(log_file), 2);
	r->on = true;
	verdict = run(arg);
	r->on = false;
	fflush(NULL);
	dup2(out, 1);
	dup2(out, 2);

	total.runs++;
	load_module();
	if (verdict == FAULT_FAILED || verdict == FAULT_HUNG) {
		fault_parameters_restore();
		unlink_names();
	}
	await_nobody();
	if (fault_bystander_complaint())
		PROBLEM("a bystander: %s", fault_bystander_complaint());
	return verdict;
}

static void show_log(void)
{
	char line[512];
	int lines = 0;

	rewind(log_file);
	while (fgets(line, sizeof(line), log_file) && lines < LOG_LINES)
		if (strstr(line, "test.c:") || strstr(line, "hanged:") || strstr(line, "# ")) {
			printf("#   %s", line);
			lines++;
		}
}

/*
 * As documented: a call says ENOMEM or EFAULT, or what it had to say anyway, or has done
 * without the memory. (What is missing on the way of a copy is EFAULT, be it the caller's
 * page, one of a cache, or the kernel's own for either, which may be no page: the lock of
 * a page table. That each call says ENOMEM in some place is what finish asks for.)
 */
static bool documented(const struct fault_run *r)
{
	const struct fault_call *c = &fault_counted[r->target - 1];
	__u32 nr = FAULT_NR(r->id);
	int err = r->err;

	/* it was another call then: the clock has a say in what the test does */
	if (c->id != r->id || (err == c->err && err) || err == EFAULT)
		return true;
	if (r->kind == FAULT_MEMORY)
		return !err || err == ENOMEM;
	/* of copies nothing does without; but what comes later these tell in their answer */
	return !err && (r->nothing || nr == FAULT_READ ||
			(nr == _IOC_NR(ASYNCLAZY_IOC_BATCH) && r->place > BATCH_OWN));
}

static void count_faults(const struct fault_run *r)
{
	__u64 now[FAULT_SORTS], sum = 0;
	unsigned int i;

	fault_knobs_injected(r->kind, now);
	for (i = 0; i < FAULT_SORTS; i++) {
		total.injected[i] += now[i];
		sum += now[i];
	}
	if (sum != 1)
		PROBLEM("%llu faults instead of one", sum);
	if (!documented(r))
		PROBLEM("error %d is not what such a fault is said to be", r->err);
	total.shows += r->shows;
	total.absorbed += !r->err;
	total.visits += (r->mode == FAULT_VISIT || r->shows) && r->visit == 0;
}

static __u64 faults_so_far(void)
{
	return total.injected[0] + total.injected[1] + total.injected[2];
}

static const char *const mode_names[] = { "again", "visit" };
static const char *const kind_names[] = { "memory", "copy" };

/* Returns whether a fault came. */
static bool run_fault(const char *name, enum fault_verdict (*run)(void *arg), void *arg,
		      enum fault_kind kind, enum fault_mode mode, __u32 target,
		      __u32 place, bool second)
{
	struct fault_run *r = fault_run;
	enum fault_verdict verdict = run_test(run, arg, kind, mode, target, place);
	bool killed = r->injected && (mode == FAULT_VISIT || r->shows);
	char call[64];

	if (r->injected) {
		count_faults(r);
		fault_ledger_result(r->id, kind,
				    r->err == (kind == FAULT_MEMORY &&
					       FAULT_NR(r->id) != FAULT_TOUCH ? ENOMEM : EFAULT));
	}
	if (option.verbose && r->injected)
		printf("# %s -k %s -m %s -n %u.%u: %s, error %d, visit %d\n", name,
		       kind_names[kind], mode_names[mode], target, place,
		       fault_call_name(r->id, call, sizeof(call)), r->err, r->visit);
	/* a claim that failed is counted as one */
	if (verdict == FAULT_FAILED && !strcmp(name, "quota.counters_equal_the_tally") &&
	    r->injected && FAULT_NR(r->id) == _IOC_NR(ASYNCLAZY_IOC_CLAIM))
		verdict = FAULT_PASSED;
	if (verdict == FAULT_HUNG)
		PROBLEM("it hung");
	else if (killed && r->visit && r->visit != 1)
		PROBLEM("another client of the cache: error %d in step %d", r->visit,
			r->visit_step);
	else if (verdict == FAULT_FAILED && !killed)
		PROBLEM("the test failed");
	if (!problem[0])
		return r->injected;

	if (!second && !strcmp(problem, "the test failed")) {
		/* of the tests' own races with the clock: not twice in a row */
		problem[0] = 0;
		total.flaky++;
		printf("# %s -k %s -m %s -n %u.%u failed once\n", name,
		       kind_names[kind], mode_names[mode], target, place);
		show_log();
		return run_fault(name, run, arg, kind, mode, target, place, true);
	}
	total.flaky -= second;
	printf("# %s -k %s -m %s -n %u.%u: %s\n", name, kind_names[kind],
	       mode_names[mode], target, place, problem);
	printf("#   the fault: %s, error %d%s%s\n", fault_call_name(r->id, call, sizeof(call)),
	       r->err, r->again ? ", made again" : "", r->injected ? "" : ", none came");
	show_log();
	return r->injected;
}

/*
 * All runs of a test
 */

static void progress(const char *name)
{
	__u64 now = alz_now();

	if (now - total.said < 10 * ALZ_SEC)
		return;
	total.said = now;
	printf("# %s: %u of %u runs; in all %llu runs, %llu faults injected\n", name, plan.done,
	       plan.runs, total.runs, faults_so_far());
	fflush(stdout);
}

/* The runs for one call, or @most of them. */
static __u32 run_call(const char *name, enum fault_verdict (*run)(void *arg), void *arg,
		      enum fault_kind kind, __u32 i, __u32 most)
{
	const struct fault_call *c = &fault_counted[i];
	enum fault_mode mode;
	__u32 k, runs = 0;

	for (k = 1; k <= c->points; k++) {
		for (mode = 0; mode < FAULT_MODES; mode++) {
			if (!fault_takes_place(kind, mode, i, k))
				continue;
			if (runs >= most)
				return runs;
			run_fault(name, run, arg, kind, mode, i + 1, k, false);
			fault_note(kind, mode, i, k);
			runs++;
			plan.done++;
			progress(name);
			if (problem[0])
				return runs;
		}
	}
	return runs;
}

/* One allocation of the test, drawn. */
static void run_drawn(const char *name, enum fault_verdict (*run)(void *arg), void *arg,
		      __u32 sum)
{
	__u32 n = alz_rand(&option.seed) % sum, i;

	for (i = 0; n >= fault_counted[i].points; i++)
		n -= fault_counted[i].points;
	run_fault(name, run, arg, FAULT_MEMORY, FAULT_AGAIN, i + 1, n + 1, false);
}

static void run_kind(const char *name, enum fault_verdict (*run)(void *arg), void *arg,
		     enum fault_kind kind, __u32 ms)
{
	bool slice = fault_choice.times && !fault_choice.target;
	__u32 i, k, sum = 0, done = 0;
	__u32 most = slice && ms > option.slow_ms ? 3 : -1U;

	fault_choice.slow = !fault_choice.times && !fault_choice.all && ms > option.slow_ms;
	plan.slow |= fault_choice.slow;
	plan.runs = fault_plan(kind, option.plan_only);
	plan.done = 0;
	total.planned += plan.runs;
	if (option.plan_only) {
		printf("# %s -k %s: %u runs of %u ms\n", name, kind_names[kind], plan.runs, ms);
		return;
	}
	for (i = 0; i < fault_nr_counted && !problem[0]; sum += fault_counted[i++].points) {
		if (!fault_takes_call(i))
			continue;
		done += run_call(name, run, arg, kind, i, most - done);
		for (k = fault_counted[i].points + 1; fault_until_none(i) && !problem[0]; k++) {
			plan.done++;
			if (!run_fault(name, run, arg, kind, FAULT_AGAIN, i + 1, k, false))
				break;
		}
	}
	if (slice && kind == FAULT_MEMORY && fault_choice.mode != FAULT_VISIT && sum && !problem[0])
		run_drawn(name, run, arg, sum);
}

static enum fault_verdict run_counting(const char *name, enum fault_verdict (*run)(void *arg),
				       void *arg, enum fault_kind kind)
{
	enum fault_verdict verdict = run_test(run, arg, kind, FAULT_AGAIN, 0, 0);
	__u32 i;

	if (verdict == FAULT_FAILED)
		verdict = run_test(run, arg, kind, FAULT_AGAIN, 0, 0);
	if (verdict == FAULT_FAILED || verdict == FAULT_HUNG)
		PROBLEM("fails without a fault");
	if (problem[0]) {
		printf("# %s: %s\n", name, problem);
		show_log();
	}
	fault_nr_counted = fault_run->nr_calls;
	total.elsewhere += fault_run->elsewhere;
	memcpy(fault_counted, fault_run->call, fault_nr_counted * sizeof(fault_counted[0]));
	for (i = 0; i < fault_nr_counted; i++)
		fault_ledger_points(fault_counted[i].id, kind, fault_counted[i].points);
	return verdict;
}

static void report(const char *name, enum fault_verdict verdict, __u64 faults, __u64 ms)
{
	struct fault_sums *sums = fault_ledger_sums();
	const char *program = program_invocation_short_name;

	sums->cases++;
	if (problem[0]) {
		total.failed++;
		sums->failed++;
		printf("not ok %u %s: %s # %s\n", sums->cases, program, name, problem);
	} else if (verdict == FAULT_SKIPPED) {
		sums->skipped++;
		printf("ok %u %s: %s # SKIP %s\n", sums->cases, program, name,
		       ms > option.too_slow_ms ? fault_choice.times ?
		       "too slow for a slice (ALZ_FULL=1)" : "a run takes more than 10 s (-a)" :
		       "the test skips itself");
	} else {
		sums->passed++;
		printf("ok %u %s: %s # %llu faults, %llu ms%s\n", sums->cases, program, name,
		       faults, ms, plan.slow ? ", slow: what others had not" : "");
		total.slow += plan.slow;
	}
	fflush(stdout);
}

void fault_test(const char *name, enum fault_verdict (*run)(void *arg), void *arg)
{
	__u64 faults = faults_so_far();
	enum fault_verdict verdict = FAULT_PASSED;
	__u64 start = alz_now();
	enum fault_kind kind;

	if (option.only && !strstr(name, option.only))
		return;
	problem[0] = 0;
	plan.slow = false;
	for (kind = 0; kind < FAULT_KINDS && !problem[0]; kind++) {
		__u64 t = alz_now();

		if (option.kind >= 0 && option.kind != (int)kind)
			continue;
		/* the calls of the run before tell that there is nothing new */
		if (kind && option.kind < 0 && !option.plan_only && fault_choice.times &&
		    !fault_choice.target && fault_all_done(kind))
			continue;
		verdict = run_counting(name, run, arg, kind);
		if (verdict == FAULT_PASSED && !fault_choice.all && !fault_choice.target &&
		    alz_now() - t > option.too_slow_ms * ALZ_MSEC)
			verdict = FAULT_SKIPPED;
		if (verdict != FAULT_PASSED || problem[0])
			break;
		run_kind(name, run, arg, kind, (alz_now() - t) / ALZ_MSEC);
	}
	report(name, verdict, faults_so_far() - faults, (alz_now() - start) / ALZ_MSEC);
}

void fault_begin(int argc, char **argv)
{
	options(argc, argv);
	if (!fault_choice.times)
		option.too_slow_ms = 10000;
	setvbuf(stdout, NULL, _IOLBF, 0);
	out = fcntl(1, F_DUPFD_CLOEXEC, 902);
	log_file = tmpfile();
	if (out < 0 || !log_file || !fault_knobs_init()) {
		puts("not ok 1 fault injection # this kernel does not have it");
		exit(1);
	}
	fault_hook_init();
	fault_parameters_save();
	if (option.bystanders)
		fault_bystander_start();
	/* a pair of bystanders holds the cache and its two clients */
	total.users = option.bystanders ? 3 : 0;
	total.caches = caches_now();
	total.start = alz_now();
	total.said = total.start;
	if (fault_choice.times)
		printf("# a slice: each place %u times; seed %llu\n", fault_choice.times, option.seed);
}

int fault_end(void)
{
	__u64 ms = (alz_now() - total.start) / ALZ_MSEC;
	__u64 rounds = fault_bystander_rounds();
	const char *complaint = fault_bystander_complaint();

	if (option.bystanders) {
		problem[0] = 0;
		if (complaint)
			PROBLEM("%s", complaint);
		else if (!rounds)
			PROBLEM("they did nothing");
		printf("# %llu rounds of the bystanders\n", rounds);
		report("bystanders are not disturbed", FAULT_PASSED, 0, ms);
		fault_bystander_stop();
	}
	if (option.plan_only)
		printf("# %s: %llu runs planned\n", program_invocation_short_name, total.planned);
	printf("# %s: %llu runs in %llu s; ", program_invocation_short_name, total.runs, ms / 1000);
	printf("injected: %llu slab, %llu page, %llu copy; ", total.injected[0],
	       total.injected[1], total.injected[2]);
	printf("absorbed %llu, shown %llu, elsewhere %llu; visits %llu, failed once %llu; "
	       "slow tests %llu\n", total.absorbed, total.shows, total.elsewhere, total.visits,
	       total.flaky, total.slow);
	fault_ledger_sums()->programs++;
	fault_ledger_sums()->runs += total.runs;
	fault_ledger_sums()->flaky += total.flaky;
	return total.failed != 0;
}
