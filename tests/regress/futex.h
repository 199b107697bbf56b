/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a row about AsyncFutex asks of an implementation: of a port of the ancestor,
 * and of ours. A word that two processes share, waits for it, and loops that have
 * them; see rows_futex.c.
 */
#ifndef REGRESS_FUTEX_H
#define REGRESS_FUTEX_H

#include "subject.h"

struct verdict;

struct futex_subject {
	struct subject base;		/* only name, open and close */
	void (*set)(void *obj, unsigned int value);
	/*
	 * This thread, whose loop has other things to do too, begins to wait in process
	 * 0 for a change from @expected. Return: 0: it goes on meanwhile; HANGS: it does
	 * not, and never will.
	 */
	int (*wait)(void *obj, unsigned int expected);
	/* @n others begin, each with a loop of its own; once they are asleep */
	void (*wait_others)(void *obj, unsigned int n, unsigned int expected);
	/* a signal comes to each that waits */
	void (*interrupt)(void *obj);
	/* process @process wakes @n */
	void (*wake)(void *obj, int process, unsigned int n);
	/* how many waits have ended when all that is due has been done */
	unsigned int (*ended)(void *obj);
	/* drop a wait by descriptor, watched by @epoll; at POINT_CLOSED its number is free */
	void (*drop)(void *obj, int epoll);
};

extern const struct futex_subject ancestor_futex;
extern const struct futex_subject our_futex;

static inline const struct futex_subject *futex_of(const struct subject *s)
{
	return (const struct futex_subject *)s;
}

/* rows_futex.c */
void futex_does_not_block(const struct subject *s, void *obj, struct verdict *v);
void futex_differs(const struct subject *s, void *obj, struct verdict *v);
void futex_elsewhere(const struct subject *s, void *obj, struct verdict *v);
void futex_wakes_all(const struct subject *s, void *obj, struct verdict *v);
void futex_wakes_none(const struct subject *s, void *obj, struct verdict *v);
void futex_wakes_one(const struct subject *s, void *obj, struct verdict *v);
void futex_closes(const struct subject *s, void *obj, struct verdict *v);

#endif /* REGRESS_FUTEX_H */
