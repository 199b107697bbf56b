/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Stage two: the command that the shells run, and what it tells the parent. */
#ifndef DEMO_COUNTED_H
#define DEMO_COUNTED_H

#include <stdint.h>
#include <sys/types.h>

#define COUNTED_OPTION	"--count-and-hash"

/* Through a fifo, in one write each. */
struct counted {
	uint32_t run;		/* the how many-th run of the command this is */
	uint32_t done;		/* 0: it has started, 1: it has its result */
	pid_t pid;
	pid_t parent;		/* alazy */
	uint64_t at;
	uint64_t cpu;		/* done: ns that it took */
};

/* asynclazy-demo --count-and-hash COUNTER FIFO FILE */
int counted_main(int argc, char **argv);

#endif /* DEMO_COUNTED_H */
