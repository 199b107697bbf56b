/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Run a command and keep what it writes. */
#ifndef ALAZY_EXEC_H
#define ALAZY_EXEC_H

#include <stdint.h>

#include "buf.h"

enum {
	EXEC_ENDED,		/* by itself: status or signal, out, err */
	EXEC_NOT_STARTED,	/* error: why, a positive errno of execvp() */
	EXEC_CAUGHT,		/* caught: the signal that told us to end */
	EXEC_TIMED_OUT,
};

struct exec {
	struct buf out;
	struct buf err;
	int status;
	int signal;
	int error;
	int caught;
};

/**
 * exec_capture() - run a command, its output into buffers
 * @exec: zeroed; exec_free() it
 * @argv: as for execvp()
 * @deadline_ns: CLOCK_MONOTONIC; UINT64_MAX: none
 *
 * The command reads /dev/null. It and what it started dies with this process,
 * however this process ends. HUP, INT, QUIT and TERM, and the deadline, end
 * the command, and the call returns when it has ended.
 *
 * Return: EXEC_*; negative errno if there was no process or memory to be had.
 */
int exec_capture(struct exec *exec, char *const *argv, uint64_t deadline_ns);

void exec_free(struct exec *exec);

#endif /* ALAZY_EXEC_H */
