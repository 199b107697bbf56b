/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a row asks of an implementation: of the ports of two ancestors, and of
 * ours. The same driver runs on each; see rows.c.
 */
#ifndef REGRESS_SUBJECT_H
#define REGRESS_SUBJECT_H

#include <stdbool.h>

/* Results beside 0 and negative errno. */
#define HANGS	(-9001)	/* all wait, and nobody will wake anybody */
#define PANICS	(-9002)	/* ends the caller on a broken assumption */

const char *result_text(int result);

/* An initialisation: what it will do, and what is known of it. */
struct make {
	int value;			/* unless an error or lost */
	int err;			/* negative errno: it fails, and says so */
	bool lost;			/* it never ends: panics, is dropped, is killed */
	bool kept;			/* the error is to be kept, where one can */
	bool async;			/* get it without blocking, where one can choose */
	void (*during)(void *arg);	/* called in the middle, once */
	void *arg;
	unsigned int runs;		/* the first made ->value, the next one more */
};

/* The part that is common to all: run it once. Return: 0 with *value, ->err. */
int make_run(struct make *make, int *value);

#define PEEK_EMPTY		0
#define PEEK_VALUE		1
#define PEEK_ERROR		2
#define PEEK_INITIALIZING	3

struct subject {
	const char *name;
	void *(*open)(void);
	void (*close)(void *obj);
	/* Return: 0 with *value, negative errno, HANGS, PANICS. */
	int (*get)(void *obj, struct make *make, int *value);
	/* Return: PEEK_*, with *value the value or negative errno. No waiting. */
	int (*peek)(void *obj, int *value);
	void (*remove)(void *obj);
	/* until @n callers wait in get() */
	void (*asleep)(void *obj, unsigned int n);
};

extern const struct subject ancestor_map;
extern const struct subject ancestor_lazy;
extern const struct subject our_map;
extern const struct subject our_lazy;

bool ours_on_kernel(void);

#endif /* REGRESS_SUBJECT_H */
