// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy.h"

static const char usage[] =
	"usage: policy [OPTION]... [main|segments|sieve|young|ghost|copy|hostile]...\n"
	"\n"
	"Simulates eviction and prints a table: the hit ratio by workload, size of the\n"
	"cache and policy; for logs also the bytes copied per byte inserted, and for one\n"
	"insertion at most the segments that were copied and that were walked.\n"
	"Without the name of a study: main.\n"
	"  main          all policies\n"
	"  segments      some logs, by their number of segments\n"
	"  sieve         log-SIEVE, by how much it may copy, and other ways\n"
	"  young, ghost  log-S3, by its young part, by the size of its ghost\n"
	"  copy          log-S3, by how much it may copy\n"
	"  hostile       the logs, while someone marks every record visited all the time\n"
	"\n"
	"  --keys N      keys of the working set, 20000 at least (300000)\n"
	"  --requests N  length of a trace; the first third is not counted (6000000)\n"
	"  --segments N  segments of the cache, 8 at least (64)\n"
	"  --seed N      of sizes and traces (1)\n"
	"  --workload W  this one only: zipf-0.7, zipf-0.9, zipf-0.99, zipf-1.2, scan,\n"
	"                loop-1.2, loop-2, shift, echo\n"
	"  --json        an array of objects instead of tab-separated values\n"
	"  --help        this text\n";

static const struct workload workloads[] = {
	{ "zipf-0.7", WL_ZIPF, 0.7 },
	{ "zipf-0.9", WL_ZIPF, 0.9 },
	{ "zipf-0.99", WL_ZIPF, 0.99 },
	{ "zipf-1.2", WL_ZIPF, 1.2 },
	{ "scan", WL_SCAN, 0.9 },
	{ "loop-1.2", WL_LOOP, 1.2 },
	{ "loop-2", WL_LOOP, 2 },
	{ "shift", WL_SHIFT, 0.99 },
	{ "echo", WL_ECHO, 0.9 },
};

static const double cache_percents[] = { 1, 10, 50 };

/* What the studies are made of. */
#define LOG_FIFO(n, ...)	{ .name = (n), .kind = POLICY_LOG_CLOCK, ##__VA_ARGS__ }
#define LOG_CLOCK(n, ...)	LOG_FIFO(n, .keep = 0.5, ##__VA_ARGS__)
/* What kmod/core does. */
#define LOG_SIEVE(n, k, c, s, ...) \
	{ .name = (n), .kind = POLICY_LOG_SIEVE, .keep = (k), .credit = (c), .saved = (s), \
	  ##__VA_ARGS__ }
#define BUILT(n, ...) LOG_SIEVE(n, 0.75, 1, 2, .ahead = true, .lasting = true, ##__VA_ARGS__)
#define LOG_S3(n, y, g, c, s, ...) \
	{ .name = (n), .kind = POLICY_LOG_S3, .young = (y), .ghost = (g), .credit = (c), \
	  .saved = (s), .keep = 1, ##__VA_ARGS__ }
/* No credit, but a cap on each victim. */
#define LOG_S3_CAP(n, y, g, k) \
	{ .name = (n), .kind = POLICY_LOG_S3, .young = (y), .ghost = (g), .keep = (k) }

static const struct policy study_main[] = {
	{ .name = "LRU", .kind = POLICY_LRU },
	{ .name = "FIFO", .kind = POLICY_FIFO },
	{ .name = "CLOCK", .kind = POLICY_CLOCK },
	{ .name = "SIEVE", .kind = POLICY_SIEVE },
	{ .name = "S3-FIFO", .kind = POLICY_S3, .young = 0.1 },
	LOG_FIFO("log-FIFO"),
	LOG_CLOCK("log-CLOCK"),
	LOG_FIFO("log-CLOCK-uncapped", .keep = 1),
	BUILT("log-SIEVE"),
	LOG_SIEVE("log-SIEVE-clearing", 0.75, 1, 2, .ahead = true),
	BUILT("log-SIEVE-staying", .stay = 8),
	LOG_SIEVE("log-SIEVE-at-need", 0.75, 1, 2, .lasting = true),
	LOG_S3_CAP("log-S3-capped", 0.05, 0.5, 0.5),
	LOG_S3("log-S3", 0.05, 0.5, 1, 2),
	LOG_S3("log-S3-ahead", 0.05, 0.5, 1, 2, .ahead = true),
	LOG_S3("log-S3-no-ghost", 0.05, 0, 1, 2),
	LOG_S3("log-S3-lasting", 0.05, 0.5, 1, 2, .lasting = true),
	{ 0 }
};

static const struct policy study_segments[] = {
	LOG_CLOCK("log-CLOCK/16", .segments = 16),
	BUILT("log-SIEVE/16", .segments = 16),
	LOG_S3("log-S3/16", 0.05, 0.5, 1, 2, .segments = 16),
	LOG_CLOCK("log-CLOCK/32", .segments = 32),
	BUILT("log-SIEVE/32", .segments = 32),
	LOG_S3("log-S3/32", 0.05, 0.5, 1, 2, .segments = 32),
	LOG_CLOCK("log-CLOCK/64", .segments = 64),
	BUILT("log-SIEVE/64", .segments = 64),
	LOG_S3("log-S3/64", 0.05, 0.5, 1, 2, .segments = 64),
	LOG_CLOCK("log-CLOCK/128", .segments = 128),
	BUILT("log-SIEVE/128", .segments = 128),
	LOG_S3("log-S3/128", 0.05, 0.5, 1, 2, .segments = 128),
	LOG_CLOCK("log-CLOCK/256", .segments = 256),
	BUILT("log-SIEVE/256", .segments = 256),
	LOG_S3("log-S3/256", 0.05, 0.5, 1, 2, .segments = 256),
	{ 0 }
};

static const struct policy study_sieve[] = {
	BUILT("as built"),
	LOG_SIEVE("cap 1/4", 0.25, 1, 2, .ahead = true, .lasting = true),
	LOG_SIEVE("cap 1/2", 0.5, 1, 2, .ahead = true, .lasting = true),
	LOG_SIEVE("no cap", 1, 1, 2, .ahead = true, .lasting = true),
	LOG_SIEVE("cap 1/2, no credit", 0.5, 0, 0, .ahead = true, .lasting = true),
	LOG_SIEVE("cap 3/4, no credit", 0.75, 0, 0, .ahead = true, .lasting = true),
	LOG_SIEVE("saved 1", 0.75, 1, 1, .ahead = true, .lasting = true),
	LOG_SIEVE("saved 8", 0.75, 1, 8, .ahead = true, .lasting = true),
	LOG_SIEVE("clearing and staying", 0.75, 1, 2, .ahead = true, .stay = 8),
	LOG_SIEVE("all three", 0.75, 1, 2, .stay = 8),
	{ 0 }
};

static const struct policy study_young[] = {
	LOG_S3("young 2%", 0.02, 0.5, 1, 2),
	LOG_S3("young 5%", 0.05, 0.5, 1, 2),
	LOG_S3("young 10%", 0.1, 0.5, 1, 2),
	LOG_S3("young 20%", 0.2, 0.5, 1, 2),
	LOG_S3("young 50%", 0.5, 0.5, 1, 2),
	{ 0 }
};

static const struct policy study_ghost[] = {
	LOG_S3("ghost 0", 0.05, 0, 1, 2),
	LOG_S3("ghost 1/4", 0.05, 0.25, 1, 2),
	LOG_S3("ghost 1/2", 0.05, 0.5, 1, 2),
	LOG_S3("ghost 1", 0.05, 1, 1, 2),
	LOG_S3("ghost 2", 0.05, 2, 1, 2),
	LOG_S3("ghost 4", 0.05, 4, 1, 2),
	{ 0 }
};

static const struct policy study_copy[] = {
	LOG_S3_CAP("cap 1/4", 0.05, 0.5, 0.25),
	LOG_S3_CAP("cap 1/2", 0.05, 0.5, 0.5),
	LOG_S3_CAP("cap 3/4", 0.05, 0.5, 0.75),
	LOG_S3_CAP("no cap", 0.05, 0.5, 1),
	LOG_S3("credit 1/2 saved 2", 0.05, 0.5, 0.5, 2),
	LOG_S3("credit 1 saved 1", 0.05, 0.5, 1, 1),
	LOG_S3("credit 1 saved 2", 0.05, 0.5, 1, 2),
	LOG_S3("credit 1 saved 4", 0.05, 0.5, 1, 4),
	LOG_S3("credit 1 saved 8", 0.05, 0.5, 1, 8),
	LOG_S3("credit 2 saved 4", 0.05, 0.5, 2, 4),
	{ 0 }
};

static const struct study {
	const char *name;
	const struct policy *policy;
	bool hostile;
} studies[] = {
	{ "main", study_main, false },
	{ "segments", study_segments, false },
	{ "sieve", study_sieve, false },
	{ "young", study_young, false },
	{ "ghost", study_ghost, false },
	{ "copy", study_copy, false },
	{ "hostile", study_main, true },
};

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

struct options {
	uint32_t keys;
	size_t requests;
	unsigned int segments;
	uint64_t seed;
	const char *workload;
	bool json;
	bool wanted[COUNT(studies)];
};

void *policy_alloc(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p) {
		fputs("policy: no memory\n", stderr);
		exit(1);
	}
	return p;
}

static const char columns[] =
	"study\tworkload\tcache_percent\tpolicy\thit_ratio\t"
	"segments\tcopied\tcopied_max\twalked_max";

static void print_row(bool json, const char *study, const char *workload, double percent,
		      const struct policy *p, const struct result *r)
{
	static bool begun;
	double hit = (double)r->hits / (double)r->requests;
	double copied = r->inserted ? (double)r->copied / (double)r->inserted : 0;
	double worst = r->segments ? (double)r->copied_max / r->segment : 0;

	if (json) {
		printf("%s\n{\"study\":\"%s\",\"workload\":\"%s\",\"cache_percent\":%g,",
		       begun ? "," : "[", study, workload, percent);
		printf("\"policy\":\"%s\",\"hit_ratio\":%.4f", p->name, hit);
		if (r->segments) {
			printf(",\"segments\":%u,\"copied\":%.3f", r->segments, copied);
			printf(",\"copied_max\":%.2f,\"walked_max\":%u", worst, r->walked_max);
		}
		printf("}");
	} else {
		if (!begun)
			puts(columns);
		printf("%s\t%s\t%g\t%s\t%.4f", study, workload, percent, p->name, hit);
		if (r->segments)
			printf("\t%u\t%.3f\t%.2f\t%u\n", r->segments, copied, worst,
			       r->walked_max);
		else
			puts("\t-\t-\t-\t-");
	}
	begun = true;
	fflush(stdout);
}

static void run_study(const struct options *o, const struct study *study,
		      const struct workload *w, double percent, struct setup *s,
		      const struct trace *t)
{
	const struct policy *p;

	s->hostile = study->hostile;
	for (p = study->policy; p->name; p++) {
		bool log = p->kind >= POLICY_LOG_CLOCK;
		struct result r = { 0 };

		if (study->hostile && !log)
			continue;
		fprintf(stderr, "\r\033[K%s %g%%: %s, %s", w->name, percent, study->name, p->name);
		if (log)
			log_run(p, s, t, &r);
		else
			object_run(p, s, t, &r);
		print_row(o->json, study->name, w->name, percent, p, &r);
	}
}

static void run(const struct options *o)
{
	struct trace t = { .len = o->requests, .warm = o->requests / 3 };
	/* A scan's keys come on top of the working set. */
	struct setup s = { .keys = o->keys + (uint32_t)o->requests, .segments = o->segments };
	uint16_t *size = policy_alloc(s.keys, sizeof(*size));
	uint64_t working_set = 0;
	size_t w, c, i;

	workload_sizes(size, s.keys, o->seed);
	for (i = 0; i < o->keys; i++)
		working_set += size[i];
	s.size = size;
	s.mean = (double)working_set / o->keys;
	t.key = policy_alloc(t.len, sizeof(*t.key));
	for (w = 0; w < COUNT(workloads); w++) {
		if (o->workload && strcmp(o->workload, workloads[w].name))
			continue;
		for (c = 0; c < COUNT(cache_percents); c++) {
			s.bytes = (uint64_t)((double)working_set * cache_percents[c] / 100);
			if (!c || workloads[w].kind == WL_LOOP)
				workload_fill(&t, &workloads[w], o->keys, size, s.bytes, o->seed);
			for (i = 0; i < COUNT(studies); i++) {
				if (o->wanted[i])
					run_study(o, &studies[i], &workloads[w],
						  cache_percents[c], &s, &t);
			}
		}
	}
	fputs("\r\033[K", stderr);
	free(t.key);
	free(size);
}

static _Noreturn void die_usage(const char *arg)
{
	fprintf(stderr, "policy: %s?\n%s", arg, usage);
	exit(64);
}

static uint64_t number(const char *arg, const char *text, uint64_t min, uint64_t max)
{
	char *end;
	uint64_t n = strtoull(text ? text : "", &end, 10);

	if (!text || end == text || *end || n < min || n > max)
		die_usage(arg);
	return n;
}

int main(int argc, char **argv)
{
	struct options o = { .keys = 300000, .requests = 6000000, .segments = 64, .seed = 1 };
	bool any = false;
	size_t k;
	int i;

	for (i = 1; i < argc; i++) {
		const char *arg = argv[i];

		if (!strcmp(arg, "--help")) {
			fputs(usage, stdout);
			return 0;
		} else if (!strcmp(arg, "--json")) {
			o.json = true;
		} else if (!strcmp(arg, "--keys")) {
			o.keys = (uint32_t)number(arg, argv[++i], 20000, 100000000);
		} else if (!strcmp(arg, "--requests")) {
			o.requests = number(arg, argv[++i], 1000, 1000000000);
		} else if (!strcmp(arg, "--segments")) {
			o.segments = (unsigned int)number(arg, argv[++i], 8, 1 << 20);
		} else if (!strcmp(arg, "--seed")) {
			o.seed = number(arg, argv[++i], 0, UINT64_MAX);
		} else if (!strcmp(arg, "--workload")) {
			o.workload = argv[++i];
			for (k = 0; k < COUNT(workloads); k++) {
				if (o.workload && !strcmp(o.workload, workloads[k].name))
					break;
			}
			if (k == COUNT(workloads))
				die_usage(arg);
		} else {
			for (k = 0; k < COUNT(studies) && strcmp(arg, studies[k].name); k++)
				;
			if (k == COUNT(studies))
				die_usage(arg);
			o.wanted[k] = true;
			any = true;
		}
	}
	if (!any)
		o.wanted[0] = true;
	run(&o);
	if (o.json)
		puts("\n]");
	return 0;
}
