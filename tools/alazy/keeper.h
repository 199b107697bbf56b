/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The process group of a command, which ends when this process does. */
#ifndef ALAZY_KEEPER_H
#define ALAZY_KEEPER_H

#include <sys/types.h>

struct keeper {
	pid_t pid;		/* also the process group's number */
	int life;		/* closed by our death */
};

int keeper_start(struct keeper *keeper);	/* 0, -errno */
/* Let go: what is left of the group lives on. */
void keeper_stop(struct keeper *keeper);

#endif /* ALAZY_KEEPER_H */
