// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Without libFuzzer, for any compiler: runs the files that are named, and N
 * random inputs from a seed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "limit.h"
#include "replay.h"
#include "world.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

static u64 state;

static u64 random_next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1dULL;
}

static void random_run(u64 seed, u64 run)
{
	u8 input[INPUT_MAX];
	size_t size = 8;
	struct op op;
	int calls;

	state = (seed + 1) * 0x9e3779b97f4a7c15ULL ^ run * 0xd1342543de82ef95ULL;
	state += !state;
	random_next();
	head_random(input, random_next);
	for (calls = 1 + random_next() % 400; calls; calls--, size += sizeof(op)) {
		op_random(&op, random_next);
		memcpy(input + size, &op, sizeof(op));
	}
	world_run(input, size);
}

/* Of what a sanitizer has found. */
static void say_which(void)
{
	fprintf(stderr, "core_fuzz: in %s\n", world.name);
}

static int usage(FILE *to)
{
	fprintf(to, "usage: core_replay [--seed S] [--first I] [--random N] [--show] [FILE...]\n"
		"Runs the inputs in FILEs, then random inputs I to I + N - 1 of seed S (0).\n"
		"--show prints the calls. A mismatch is printed with its calls and aborts.\n");
	return to == stderr ? 2 : 0;
}

int main(int argc, char **argv)
{
	u64 seed = 0, runs = 0, first = 0, i;
	unsigned long files = 0;
	int at;

#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_set_death_callback(say_which);
#else
	(void)say_which;
#endif
	for (at = 1; at < argc && argv[at][0] == '-'; at++) {
		bool more = at + 1 < argc;

		if (!strcmp(argv[at], "--show"))
			world.trace = true;
		else if (!strcmp(argv[at], "--seed") && more)
			seed = strtoull(argv[++at], NULL, 0);
		else if (!strcmp(argv[at], "--first") && more)
			first = strtoull(argv[++at], NULL, 0);
		else if (!strcmp(argv[at], "--random") && more)
			runs = strtoull(argv[++at], NULL, 0);
		else
			return usage(strcmp(argv[at], "--help") ? stderr : stdout);
	}
	for (; at < argc; at++, files++) {
		limit_input();
		if (replay_file(argv[at]))
			return 2;
	}
	for (i = first; i < first + runs; i++) {
		if (i % 20000 == 19999)
			printf("# %llu/%llu random inputs\n", i + 1 - first, runs);
		fflush(stdout);
		snprintf(world.name, sizeof(world.name),
			 "random input %llu of seed %llu (--seed %llu --first %llu --random 1 "
			 "--show)", i, seed, seed, i);
		limit_input();
		random_run(seed, i);
	}
	printf("# %lu files and %llu random inputs of seed %llu\n", files, runs, seed);
	return 0;
}
