// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* libFuzzer's side: the entry points, and mutations that keep calls whole. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "replay.h"
#include "world.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
size_t LLVMFuzzerMutate(u8 *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(u8 *data, size_t size, size_t max_size, unsigned int seed);

/* --show FILE: what an input does */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	snprintf(world.name, sizeof(world.name), "an input of libFuzzer's");
	if (*argc == 3 && !strcmp((*argv)[1], "--show"))
		exit(replay_show((*argv)[2]));
	return 0;
}

/* How far it is, every ten seconds, if CORE_FUZZ_RUNS says how many there will be. */
static void progress(void)
{
	static unsigned long runs;
	static time_t last;
	const char *total = getenv("CORE_FUZZ_RUNS");
	time_t now;

	if (++runs % 512 || !total)
		return;
	now = time(NULL);
	if (!last)
		last = now;
	if (now - last < 10)
		return;
	last = now;
	printf("# %lu/%s executions\n", runs, total);
	fflush(stdout);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	progress();
	world_run(data, size);
	return 0;
}

static u64 state;

static u64 random_next(void)
{
	state += 0x9e3779b97f4a7c15ULL;
	u64 x = state;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

size_t LLVMFuzzerCustomMutator(u8 *data, size_t size, size_t max_size, unsigned int seed)
{
	const size_t call = sizeof(struct op);
	size_t n, at, from;
	struct op op;

	state = seed;
	if (max_size < 2 * call)
		return LLVMFuzzerMutate(data, size, max_size);
	if (size < call) {
		head_random(data, random_next);
		size = call;
	}
	n = (size - call) / call;
	size = call + n * call;
	at = call + (n ? random_next() % n : 0) * call;
	from = call + (n ? random_next() % n : 0) * call;
	switch (random_next() % 8) {
	case 0:		/* a call more */
	case 1:
		if (size + call > max_size)
			break;
		memmove(data + at + call, data + at, size - at);
		op_random(&op, random_next);
		memcpy(data + at, &op, call);
		return size + call;
	case 2:		/* one less */
		if (!n)
			break;
		memmove(data + at, data + at + call, size - at - call);
		return size - call;
	case 3:		/* one again */
		if (!n || size + call > max_size)
			break;
		memcpy(&op, data + from, call);
		memmove(data + at + call, data + at, size - at);
		memcpy(data + at, &op, call);
		return size + call;
	case 4:		/* two in the other order */
		if (!n)
			break;
		memcpy(&op, data + from, call);
		memmove(data + from, data + at, call);
		memcpy(data + at, &op, call);
		return size;
	case 5:		/* one byte of one call */
		if (!n)
			break;
		data[at + random_next() % call] = random_next();
		return size;
	default:
		break;
	}
	return LLVMFuzzerMutate(data, size, max_size);
}
