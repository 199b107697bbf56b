// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <asynclazy.h>

#include "bench.h"

static const char usage[] =
	"usage: asynclazy-bench [--runs N] [hits|stores|recycle|wakes|stages|pingpong|death|\n"
	"                        waiters|fanout|ticker]...\n"
	"\n"
	"Prints nanoseconds of one operation, on the backend that ALAZY_BACKEND\n"
	"names (kernel or local), beside peers measured in the same run.\n"
	"  --runs N   runs of each, odd, at most 31 (7)\n";

static const struct {
	const char *name;
	void (*run)(int runs);
} groups[] = {
	{ "hits", bench_hits },
	{ "stores", bench_stores },
	{ "recycle", bench_recycle },
	{ "wakes", bench_wakes },
	{ "stages", bench_stages },
	{ "pingpong", bench_pingpong },
	{ "death", bench_death },
	{ "waiters", bench_waiters },
	{ "fanout", bench_fanout },
	{ "ticker", bench_ticker },
};

#define GROUPS	(sizeof(groups) / sizeof(groups[0]))

int main(int argc, char **argv)
{
	struct alazy_cache *cache;
	bool wanted[GROUPS] = { false };
	bool any = false;
	int runs = 7;
	size_t g;
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help")) {
			fputs(usage, stdout);
			return 0;
		}
		if (!strcmp(argv[i], "--runs") && i + 1 < argc) {
			long n = strtol(argv[++i], NULL, 10);

			if (n >= 1 && n <= BENCH_RUNS_MAX) {
				runs = (int)n;
				continue;
			}
		}
		for (g = 0; g < GROUPS && strcmp(argv[i], groups[g].name); g++)
			;
		if (g == GROUPS) {
			fprintf(stderr, "asynclazy-bench: %s?\n%s", argv[i], usage);
			return 64;
		}
		wanted[g] = true;
		any = true;
	}
	cache = alazy_cache_open(NULL, NULL);
	if (!cache)
		bench_die("alazy_cache_open", -19);
	bench_header(alazy_backend(cache), runs);
	alazy_cache_close(cache);
	for (g = 0; g < GROUPS; g++)
		if (wanted[g] || !any)
			groups[g].run(runs);
	return 0;
}
