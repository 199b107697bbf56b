/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The threads of one row, and the moments at which they meet.
 *
 * Every thread is an actor. Whatever an actor of a port may wait for is a
 * condition under the one lock here, so that "it hangs" is a fact and needs no
 * time to pass: all actors wait, and no condition holds. (Ours blocks in real
 * calls, with a deadline; an actor in one of them is not waiting here.)
 *
 * A point is a place in an implementation at which a row can have something
 * happen, in the thread that is there: that is how a race is run with its worst
 * outcome, each time.
 */
#ifndef REGRESS_WORLD_H
#define REGRESS_WORLD_H

#include <pthread.h>
#include <stdbool.h>

#define POINT_ABSENT	0	/* seen: nothing there; nothing done about it yet */
#define POINT_SEEN	1	/* seen: somebody initialises; not registered yet */
#define POINT_STARTED	2	/* the initialiser is on its way; not registered yet */
#define POINT_TOLD	3	/* the initialiser has told its result to who waits */
#define POINT_LOST	4	/* the initialiser has ended nothing, and is gone */
#define POINT_CLOSED	5	/* a descriptor is closed, and its number free */
#define POINTS		6

/* A row begins: no points, no actor but the caller. It ends with actors_settle(0). */
void world_begin(void);

/* Run @fn in the thread that next comes to @point; once. */
void at_point(int point, void (*fn)(void *arg), void *arg);
bool point_taken(int point);	/* a row wants something to happen there */
void point(int point);

/*
 * With the lock held: wait until held(arg), which is called with it. Return:
 * false if all actors wait, now or since; the caller gives up what it does.
 */
bool world_await(bool (*held)(void *arg), void *arg);
void world_lock(void);
void world_unlock(void);	/* what changed is told to all */

struct actor {
	pthread_t thread;
	void (*fn)(void *arg);
	void *arg;
	bool ended;
};

void actor_start(struct actor *actor, void (*fn)(void *arg), void *arg);
void actor_join(struct actor *actor);

/* A thread that nobody joins; until at most @left of these are left. */
void actor_spawn(void (*fn)(void *arg), void *arg);
void actors_settle(unsigned int left);

struct event {
	bool set;
};

void event_set(struct event *event);
bool event_await(struct event *event);	/* false: see world_await() */

#endif /* REGRESS_WORLD_H */
