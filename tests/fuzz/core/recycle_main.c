// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Without libFuzzer: runs the files that are named, and N random inputs from a seed. */
#include <stdio.h>
#include <stdlib.h>

#include "limit.h"
#include "recycle.h"

static u8 bytes[RECYCLE_INPUT_MAX];

static void file_run(const char *path)
{
	FILE *f = fopen(path, "rb");
	size_t size;

	if (!f) {
		perror(path);
		exit(2);
	}
	size = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	printf("# %s\n", path);
	fflush(stdout);
	limit_input();
	recycle_run(bytes, size);
}

static void random_run(u64 seed, u64 run)
{
	u64 state = (seed + 1) * 0x9e3779b97f4a7c15ULL ^ run * 0xd1342543de82ef95ULL;
	size_t size, i;

	state += !state;
	for (i = 0; i < sizeof(bytes); i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		bytes[i] = state * 0x2545f4914f6cdd1dULL >> 56;
	}
	size = 256 + state % (sizeof(bytes) - 256);
	limit_input();
	recycle_run(bytes, size);
}

int main(int argc, char **argv)
{
	u64 seed = 0, first = 0, runs = 0, i;
	unsigned long files = 0;
	int at;

	for (at = 1; at + 1 < argc && argv[at][0] == '-'; at += 2) {
		u64 n = strtoull(argv[at + 1], NULL, 0);

		if (!strcmp(argv[at], "--seed")) {
			seed = n;
		} else if (!strcmp(argv[at], "--first")) {
			first = n;
		} else if (!strcmp(argv[at], "--random")) {
			runs = n;
		} else {
			fprintf(stderr, "usage: recycle_replay [--seed S] [--first I] [--random N] "
				"[FILE...]\n");
			return 2;
		}
	}
	for (; at < argc; at++, files++)
		file_run(argv[at]);
	for (i = first; i < first + runs; i++)
		random_run(seed, i);
	printf("# recycle: %lu files and %llu random inputs of seed %llu\n", files, runs, seed);
	return 0;
}
