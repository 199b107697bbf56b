/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the subcommands of alazy share. */
#ifndef ALAZY_TOOL_H
#define ALAZY_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef ALAZY_VERSION
#define ALAZY_VERSION "0.1.0"
#endif

/* Exit statuses, from sysexits.h, timeout(1) and the shell. */
enum {
	STATUS_USAGE = 64,
	STATUS_DATA = 65,	/* what the cache holds is not ours to read */
	STATUS_UNAVAILABLE = 69,/* no module */
	STATUS_SYSTEM = 71,	/* the system refused memory, a process, ... */
	STATUS_IO = 74,		/* our own output could not be written */
	STATUS_PERMISSION = 77,
	STATUS_TIMEOUT = 124,
	STATUS_NOT_EXECUTABLE = 126,
	STATUS_NOT_FOUND = 127,
};

struct command {
	const char *name;
	const char *summary;
	int (*main)(int argc, char **argv);	/* argv[0] is the name */
};

int cmd_run(int argc, char **argv);

/* "alazy: ", the text and a newline on stderr */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* the same, and how to get help; returns STATUS_USAGE */
int usage_error(const char *help, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define DURATION_NEVER	UINT64_MAX

/* 500ms, 30s, 5m, 2h, 1d, 0, never: nanoseconds. False: not a duration. */
bool duration_parse(const char *text, uint64_t *ns);

uint64_t now_ns(void);		/* CLOCK_MONOTONIC */

#endif /* ALAZY_TOOL_H */
