// SPDX-License-Identifier: GPL-2.0-only
/* The threads of one row; see world.h. */
#include <stdio.h>
#include <stdlib.h>

#include "world.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned int actors, waiting, spawned;
static unsigned int changes;	/* so that who is woken looks once per change */
static bool hung;
static struct {
	void (*fn)(void *arg);
	void *arg;
} points[POINTS];

void world_lock(void)
{
	pthread_mutex_lock(&lock);
}

static void tell(void)
{
	changes++;
	/* who waits looks again, and may go on: it is not waiting until it has */
	waiting = 0;
	pthread_cond_broadcast(&changed);
}

void world_unlock(void)
{
	tell();
	pthread_mutex_unlock(&lock);
}

bool world_await(bool (*held)(void *arg), void *arg)
{
	unsigned int seen;

	while (!hung && !held(arg)) {
		if (++waiting == actors) {
			hung = true;
			tell();
			break;
		}
		seen = changes;
		while (seen == changes)
			pthread_cond_wait(&changed, &lock);
	}
	return !hung;
}

void world_begin(void)
{
	int i;

	world_lock();
	actors = 1;
	waiting = 0;
	spawned = 0;
	hung = false;
	for (i = 0; i < POINTS; i++)
		points[i].fn = NULL;
	world_unlock();
}

void at_point(int p, void (*fn)(void *arg), void *arg)
{
	world_lock();
	points[p].fn = fn;
	points[p].arg = arg;
	world_unlock();
}

bool point_taken(int p)
{
	bool taken;

	world_lock();
	taken = points[p].fn;
	world_unlock();
	return taken;
}

void point(int p)
{
	void (*fn)(void *arg);
	void *arg;

	world_lock();
	fn = points[p].fn;
	arg = points[p].arg;
	points[p].fn = NULL;
	world_unlock();
	if (fn)
		fn(arg);
}

/* ---- threads ------------------------------------------------------------ */

static void start(pthread_t *thread, void *(*fn)(void *arg), void *arg)
{
	world_lock();
	actors++;
	world_unlock();
	if (pthread_create(thread, NULL, fn, arg)) {
		perror("pthread_create");
		exit(2);
	}
}

static void *actor_run(void *arg)
{
	struct actor *actor = arg;

	actor->fn(actor->arg);
	world_lock();
	actors--;
	actor->ended = true;
	world_unlock();
	return NULL;
}

void actor_start(struct actor *actor, void (*fn)(void *arg), void *arg)
{
	*actor = (struct actor){ .fn = fn, .arg = arg };
	start(&actor->thread, actor_run, actor);
}

static bool has_ended(void *arg)
{
	return ((struct actor *)arg)->ended;
}

void actor_join(struct actor *actor)
{
	pthread_mutex_lock(&lock);
	world_await(has_ended, actor);
	pthread_mutex_unlock(&lock);
	pthread_join(actor->thread, NULL);
}

static void *spawn_run(void *arg)
{
	struct actor actor = *(struct actor *)arg;

	free(arg);
	actor.fn(actor.arg);
	world_lock();
	actors--;
	spawned--;
	world_unlock();
	return NULL;
}

void actor_spawn(void (*fn)(void *arg), void *arg)
{
	struct actor *actor = malloc(sizeof(*actor));
	pthread_t thread;

	if (!actor) {
		perror("malloc");
		exit(2);
	}
	*actor = (struct actor){ .fn = fn, .arg = arg };
	world_lock();
	spawned++;
	world_unlock();
	start(&thread, spawn_run, actor);	/* which frees it */
	pthread_detach(thread);
}

static bool have_settled(void *arg)
{
	return spawned <= *(unsigned int *)arg;
}

void actors_settle(unsigned int left)
{
	pthread_mutex_lock(&lock);
	world_await(have_settled, &left);
	/* after a hang they give up, each in its time */
	while (!have_settled(&left))
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

/* ---- events ------------------------------------------------------------- */

static bool is_set(void *arg)
{
	return ((struct event *)arg)->set;
}

void event_set(struct event *event)
{
	world_lock();
	event->set = true;
	world_unlock();
}

bool event_await(struct event *event)
{
	bool held;

	pthread_mutex_lock(&lock);
	held = world_await(is_set, event);
	pthread_mutex_unlock(&lock);
	return held;
}
