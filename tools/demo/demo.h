/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the parts of the demonstration share. */
#ifndef DEMO_H
#define DEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_FILES	8
#define MAX_KEYS	(2 * MAX_FILES)
#define MAX_WORKERS	256
#define STUCK_MS	120000	/* without any event: something is lost */

struct demo {
	const char *self;	/* our own program */
	const char *alazy;
	char *const *files;
	unsigned int nr_files;
	unsigned int workers;
	unsigned int cpus;
	bool live;		/* a picture that is redrawn, not lines */
};

/* Each returns how many of its checks failed. */
unsigned int crowd_run(const struct demo *demo);
unsigned int shells_run(const struct demo *demo);

/* on stderr, and ends the program */
void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* One line of a summary. @held false: marked, and counted by the caller. */
bool report(bool held, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

uint64_t now_ns(void);		/* CLOCK_MONOTONIC */
uint64_t cpu_ns(void);		/* used by this process */
double seconds(uint64_t ns);
const char *base_name(const char *path);

#endif /* DEMO_H */
