// SPDX-License-Identifier: GPL-2.0-only
/* The fuzzer's command line, its loop and its report. */
#include "lane.h"
#include "pair.h"
#include "parent.h"

#include <fcntl.h>
#include <getopt.h>
#include <unistd.h>
#include <sys/syscall.h>

#define BLOCKS		1000	/* the corpus alone reaches twice as many */
#define NEIGHBOUR	4321	/* a user whom the fuzzer is not */

static struct {
	u64 executions;
	u32 seconds;
	u64 seed;
	const char *corpus;
	const char *replay;
	u32 repeat;
	u32 distill;
	u32 watchdog;
	bool blind;
	bool quiet;
	const char *module;
} opt = { .executions = 20000, .seed = 1, .repeat = 1, .watchdog = 120 };

static const char usage[] =
"usage: uapi_fuzz [option...]       in a guest, as root, with the module loaded\n"
"Fuzzes /dev/asynclazy with programs of calls on four lanes in three processes.\n"
"\n"
"  --executions N   programs to run (20000)\n"
"  --seconds S      or until S seconds are over\n"
"  --seed N         where random numbers begin (1)\n"
"  --corpus PATH    file or directory of programs to begin with\n"
"  --blind          without coverage, for kernels without kcov\n"
"  --replay WHAT    run the programs in this file, or of this text, and show\n"
"                   what each call returned\n"
"  --repeat N       of --replay and of the corpus: so many times (1)\n"
"  --quiet          --replay: show nothing unless it fails\n"
"  --distill N      afterwards print the corpus, N programs at most\n"
"  --watchdog S     seconds that a batch may take (120)\n"
"  --module FILE    at the end unload the module, and load it from FILE\n"
"  --calls          list the calls\n"
"\n"
"Exit status: 0, or 1 if something was wrong.\n";

static u32 tests, failures;

static void report(bool ok, const char *name)
{
	printf("%sok %u %s\n", ok ? "" : "not ", ++tests, name);
	fflush(stdout);
	failures += !ok;
}

static void progress(bool last)
{
	static u64 start, shown, before;
	u64 now = now_ns();

	if (!start) {
		start = now;
		shown = now;
	}
	if (!last && now - shown < 10000000000ULL)
		return;
	printf("# %llu/%llu executions, %llu/s, %llu calls, corpus %u, %u blocks, %u edges\n",
	       batch_executed(), opt.executions,
	       ((batch_executed() - before) * 1000000000ULL / (now - shown + 1)),
	       batch_calls(), corpus_size(), cover_blocks(), cover_edges());
	fflush(stdout);
	shown = now;
	before = batch_executed();
}

/* What the batch reached that is new goes to the corpus, as little as needed. */
static int triage(u32 n)
{
	static struct program found[BATCH_MAX];
	static struct edges fresh[BATCH_MAX];
	struct edges still;
	u32 k, m = 0;
	int err;

	for (k = 0; k < n; k++) {
		if (!cover_program(k, &fresh[m]))
			continue;
		cover_add(&fresh[m]);
		found[m++] = sh->prog[k];
	}
	for (k = 0; k < m; k++) {
		/* what came by chance of timing is not worth the work */
		err = batch_run(&found[k], 1);
		if (err)
			return err;
		still.n = 0;
		for (u32 i = 0; i < fresh[k].n; i++) {
			struct edges one = { 1, { fresh[k].edge[i] } };

			if (cover_has(0, &one))
				still.edge[still.n++] = fresh[k].edge[i];
		}
		if (!still.n)
			continue;
		err = corpus_minimise(&found[k], &still);
		if (err)
			return err;
		corpus_add(&found[k]);
		progress(false);
	}
	return 0;
}

static int run_corpus(void)
{
	struct program batch[BATCH_MAX];
	u32 i, n = 0, total = corpus_size();
	struct edges fresh;
	int err;

	for (i = 0; i < total * opt.repeat; i++) {
		batch[n++] = *corpus_at(i % total);
		if (n < BATCH_MAX && i + 1 < total * opt.repeat)
			continue;
		err = batch_run(batch, n);
		if (err)
			return err;
		for (u32 k = 0; !opt.blind && k < n; k++)
			if (cover_program(k, &fresh))
				cover_add(&fresh);
		n = 0;
		progress(false);
	}
	return 0;
}

static int fuzz(void)
{
	u64 until = opt.seconds ? now_ns() + opt.seconds * 1000000000ULL : ~0ULL;
	static struct program batch[BATCH_MAX];
	u32 n;
	int err;

	while (batch_executed() < opt.executions && now_ns() < until) {
		for (n = 0; n < BATCH_MAX; n++) {
			const struct program *some = corpus_pick();

			if (!some || !rnd_below(8)) {
				gen_program(&batch[n]);
			} else {
				batch[n] = *some;
				gen_mutate(&batch[n], corpus_pick());
			}
			if (!gen_valid(&batch[n]))
				violation("the fuzzer made a program that is none");
		}
		err = batch_run(batch, BATCH_MAX);
		if (!err && !opt.blind)
			err = triage(BATCH_MAX);
		if (err)
			return err;
		progress(false);
	}
	return 0;
}

static int replay(void)
{
	struct program p;
	char err[256];
	u32 i, n;

	if (access(opt.replay, R_OK)) {
		const char *at = opt.replay;

		while ((at = text_read(at, &p, err, sizeof(err))) && p.n)
			corpus_add(&p);
		if (!at)
			fprintf(stderr, "uapi_fuzz: %s\n", err);
	} else {
		corpus_load(opt.replay);
	}
	if (!corpus_size())
		return -EINVAL;
	/* a batch, as they were when they failed */
	for (n = 0; n < opt.repeat; n++)
		for (i = 0; i < corpus_size(); i += BATCH_MAX) {
			u32 left = corpus_size() - i;

			if (batch_run(corpus_at(i), left < BATCH_MAX ? left : BATCH_MAX))
				return -EIO;
			if (!opt.quiet)
				batch_show(stdout, true);
			progress(false);
		}
	return 0;
}

/* Scanned twice: what was on its way to be freed at first is not a leak. */
static bool kmemleak_clean(void)
{
	int fd = open("/sys/kernel/debug/kmemleak", O_RDWR | O_CLOEXEC), i;
	char text[4096];
	bool clean = true;
	ssize_t n;

	if (fd < 0 && opt.blind) {
		printf("ok %u kmemleak # SKIP this kernel has none\n", ++tests);
		return true;
	}
	if (fd < 0) {
		report(false, "kmemleak is there: the kernel is to have it, as it has KCOV");
		return false;
	}
	for (i = 0; i < 2; i++) {
		sleep(i ? 6 : 0);	/* younger objects are not looked at */
		if (write(fd, "scan", 4) < 0)
			clean = false;
	}
	while ((n = read(fd, text, sizeof(text) - 1)) > 0) {
		text[n] = 0;
		printf("%s", text);
		clean = false;
	}
	close(fd);
	report(clean, "kmemleak finds nothing, scanned twice");
	return clean;
}

static int module_again(void)
{
	u64 until = now_ns() + 10000000000ULL;
	int fd;

	while (syscall(SYS_delete_module, "asynclazy", O_NONBLOCK)) {
		if (now_ns() > until)
			return -errno;
		usleep(10000);
	}
	fd = open(opt.module, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
		return -errno;
	close(fd);
	return access("/dev/asynclazy", F_OK) ? -errno : 0;
}

static void figures(void)
{
	u32 i;

	for (i = 0; i < C_MAX; i++)
		printf("# call %-10s %8llu served, %8llu refused\n", descs[i].name,
		       sh->ok[i], sh->refused[i]);
	printf("# checked: %u polls, %u records, %u writes, %u idle caches\n", sh->checked_polls,
	       sh->checked_records, sh->checked_writes, sh->checked_stats);
	printf("# figure: fuzz executions %llu\n", batch_executed());
	printf("# figure: fuzz calls %llu\n", batch_calls());
}

/* Whether it came to what it is for: of each call some were served. */
static void reached(void)
{
	bool all = true;
	u32 i;

	for (i = 0; i < C_MAX; i++) {
		/* one of 32 bits that is served is a violation */
		if (sh->ok[i] || i == C_IOCTL32)
			continue;
		printf("# call %s was never served\n", descs[i].name);
		all = false;
	}
	report(all, "each call is served, by the corpus or the fuzzer's own programs");
	if (!opt.blind)
		report(cover_blocks() >= BLOCKS, "coverage guides it");
}

static void list_calls(void)
{
	u32 i, a;

	for (i = 0; i < C_MAX; i++) {
		printf("%s", descs[i].name);
		for (a = 0; a < descs[i].n; a++)
			printf(" %s", types[descs[i].arg[a]].name);
		printf("\n");
	}
}

static int options(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "executions", 1, NULL, 'e' }, { "seconds", 1, NULL, 's' },
		{ "seed", 1, NULL, 'S' }, { "corpus", 1, NULL, 'c' },
		{ "blind", 0, NULL, 'b' }, { "replay", 1, NULL, 'r' },
		{ "repeat", 1, NULL, 'n' }, { "distill", 1, NULL, 'd' },
		{ "watchdog", 1, NULL, 'w' }, { "module", 1, NULL, 'm' },
		{ "lanes", 1, NULL, 'L' }, { "nothing", 0, NULL, 'N' },
		{ "calls", 0, NULL, 'C' }, { "quiet", 0, NULL, 'q' },
		{ "help", 0, NULL, 'h' }, { 0 }
	};
	int o;

	while ((o = getopt_long(argc, argv, "h", longs, NULL)) != -1)
		switch (o) {
		case 'e': opt.executions = strtoull(optarg, NULL, 0); break;
		case 's': opt.seconds = strtoul(optarg, NULL, 0); break;
		case 'S': opt.seed = strtoull(optarg, NULL, 0); break;
		case 'c': opt.corpus = optarg; break;
		case 'b': opt.blind = true; break;
		case 'r': opt.replay = optarg; break;
		case 'n': opt.repeat = strtoul(optarg, NULL, 0); break;
		case 'd': opt.distill = strtoul(optarg, NULL, 0); break;
		case 'w': opt.watchdog = strtoul(optarg, NULL, 0); break;
		case 'm': opt.module = optarg; break;
		case 'q': opt.quiet = true; break;
		/* what the fuzzer calls itself with */
		case 'L': exit(lanes_main(strtoul(optarg, NULL, 0)));
		case 'N': exit(0);
		case 'C': list_calls(); exit(0);
		case 'h': fputs(usage, stdout); exit(0);
		default: fputs(usage, stderr); return 2;
		}
	return 0;
}

/* Other clients, whose quotas are another user's: what the fuzzer uses up is its own. */
static int neighbours(void)
{
	int err;

	if (setresuid(NEIGHBOUR, -1, -1))
		return -errno;
	err = alz_pair_start(NULL);
	return setresuid(0, -1, -1) ? -errno : err;
}

int main(int argc, char **argv)
{
	u64 rounds, began;
	int err;

	desc_init();
	err = options(argc, argv);
	if (err)
		return err;
	rnd_seed(opt.seed);
	printf("TAP version 13\n# seed %llu\n", opt.seed);
	err = neighbours();
	if (err) {
		printf("Bail out! other clients cannot start: %s\n",
		       alz_pair_complaint() ?: strerror(-err));
		return 1;
	}
	err = batch_setup(opt.blind, opt.watchdog);
	if (err) {
		printf("Bail out! cannot start: %s%s\n", strerror(-err),
		       opt.blind ? "" : " (no kcov? try --blind)");
		return 1;
	}
	began = alz_pair_rounds();
	progress(false);
	if (opt.replay) {
		err = replay();
		report(!err, "replay");
		return !!err;
	}
	if (opt.corpus) {
		err = corpus_load(opt.corpus);
		if (!err)
			err = run_corpus();
		printf("# corpus: %u programs, %u blocks, %u edges\n", corpus_size(),
		       cover_blocks(), cover_edges());
		report(!err, "the programs of the corpus run without a complaint");
	}
	if (!err) {
		err = fuzz();
		progress(true);
		report(!err, "nothing went wrong while fuzzing");
	}
	if (!err && opt.distill && !opt.blind)
		err = corpus_distill(stdout, opt.distill);
	rounds = alz_pair_rounds() - began;
	printf("# beside it: %llu rounds of a pair of other clients\n", rounds);
	report(rounds && alz_pair_goes_on(), "no other client is disturbed");
	figures();
	if (err)
		return 1;
	if (opt.corpus)
		reached();
	alz_pair_stop();
	batch_end();
	kmemleak_clean();
	if (opt.module) {
		report(!module_again(), "the module is unloaded and loaded again");
		kmemleak_clean();
	}
	printf("1..%u\n", tests);
	return failures != 0;
}
