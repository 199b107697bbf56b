// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an ancestor does: an asynchronous map of Rust, a DashMap whose entries
 * are "ready, with the value" or "initialising, with the sending end of a
 * broadcast channel of capacity one". This is its logic in C, with one key (its
 * shard is the map); whatever it gets wrong is kept:
 *
 *  - get_or_init() looks under the shard's read lock: a value is returned, an
 *    initialising entry is subscribed to and the lock let go. Nothing there: the
 *    entry is made under the write lock, which also starts the initialiser as a
 *    task of its own, and then subscribed to. If the entry that is found there
 *    by now is a value, the caller panics: it takes for granted that what it has
 *    just inserted is still initialising.
 *  - The value is delivered by message only: who subscribes after it was sent,
 *    and before the entry is replaced, gets nothing but the channel's end, which
 *    is reported as a failure.
 *  - The task sends first and then replaces the entry, whatever that is by now.
 *    If it fails it removes the entry, whatever that is by now.
 *  - If the task panics, only its own sender is dropped; the entry's stays, so
 *    the channel never ends.
 *
 * The channel: a message goes to those who have subscribed before; with none it
 * is lost. It ends when the last sender is gone.
 */
#include <errno.h>
#include <stdlib.h>

#include "subject.h"
#include "world.h"

struct channel {
	int senders;
	int receivers;
	int sent;		/* messages so far */
	int message;		/* the last one */
};

/* A state of the entry; READY if it has no channel. */
struct entry {
	struct channel *initialising;
	int value;
};

struct map {
	struct entry *entry;	/* NULL: the key is absent */
	int readers;		/* the shard's lock */
	bool writer;
};

/* ---- the channel: all under the world's lock ----------------------------- */

static struct channel *channel_new(void)
{
	struct channel *c = calloc(1, sizeof(*c));

	if (!c)
		abort();
	c->senders = 1;
	return c;
}

static void channel_unref(struct channel *c)
{
	if (!c->senders && !c->receivers)
		free(c);
}

static void sender_drop(struct channel *c)
{
	c->senders--;
	channel_unref(c);
}

static void channel_send(struct channel *c, int message)
{
	if (!c->receivers)
		return;
	c->message = message;
	c->sent++;
}

struct receiver {
	struct channel *channel;
	int next;		/* the first message that is for this one */
};

static struct receiver channel_subscribe(struct channel *c)
{
	c->receivers++;
	return (struct receiver){ c, c->sent };
}

static bool has_message_or_end(void *arg)
{
	const struct receiver *r = arg;

	return r->channel->sent > r->next || !r->channel->senders;
}

/* Return: 0 with *value; -EPIPE at the channel's end; HANGS. */
static int receiver_await(struct receiver *r, int *value)
{
	int err = 0;

	world_lock();
	if (!world_await(has_message_or_end, r))
		err = HANGS;
	else if (r->channel->sent > r->next)
		*value = r->channel->message;
	else
		err = -EPIPE;
	r->channel->receivers--;
	channel_unref(r->channel);
	world_unlock();
	return err;
}

/* ---- the shard ----------------------------------------------------------- */

static bool may_read(void *arg)
{
	return !((struct map *)arg)->writer;
}

static bool may_write(void *arg)
{
	return may_read(arg) && !((struct map *)arg)->readers;
}

static bool shard_read(struct map *map)
{
	bool held;

	world_lock();
	held = world_await(may_read, map);
	map->readers++;
	world_unlock();
	return held;
}

static void shard_read_end(struct map *map)
{
	world_lock();
	map->readers--;
	world_unlock();
}

static bool shard_write(struct map *map)
{
	bool held;

	world_lock();
	held = world_await(may_write, map);
	map->writer = true;
	world_unlock();
	return held;
}

static void shard_write_end(struct map *map)
{
	world_lock();
	map->writer = false;
	world_unlock();
}

/* The shard is locked for writing. Return: the former one, dropped. */
static void entry_replace(struct map *map, struct entry *by)
{
	struct entry *old = map->entry;

	world_lock();
	map->entry = by;
	if (old && old->initialising)
		sender_drop(old->initialising);
	world_unlock();
	free(old);
}

static struct entry *entry_new(struct channel *initialising, int value)
{
	struct entry *e = malloc(sizeof(*e));

	if (!e)
		abort();
	*e = (struct entry){ initialising, value };
	return e;
}

/* ---- the map ------------------------------------------------------------- */

struct task {
	struct map *map;
	struct make *make;
	struct channel *sender;
	struct event go;
};

static void task_run(void *arg)
{
	struct task *t = arg;
	int value = 0;
	int err;

	event_await(&t->go);
	err = make_run(t->make, &value);
	if (t->make->lost)
		goto unwind;
	if (!err) {
		world_lock();
		channel_send(t->sender, value);
		world_unlock();
		point(POINT_TOLD);
	}
	if (shard_write(t->map)) {
		entry_replace(t->map, err ? NULL : entry_new(NULL, value));
		shard_write_end(t->map);
	}
	if (err)
		point(POINT_TOLD);
unwind:
	world_lock();
	sender_drop(t->sender);
	world_unlock();
	if (t->make->lost)
		point(POINT_LOST);
	free(t);
}

/*
 * Whether it runs before its caller has subscribed is chance there. Here it does
 * if a row wants it, so that each row shows one bug. Return: what event_set()
 * lets it go, NULL if it has gone.
 */
static struct event *task_start(struct map *map, struct make *make, struct channel *sender)
{
	bool at_once = point_taken(POINT_STARTED);
	struct task *t = malloc(sizeof(*t));

	if (!t)
		abort();
	*t = (struct task){ map, make, sender, { at_once } };
	actor_spawn(task_run, t);
	return at_once ? NULL : &t->go;
}

/* The first look. Return: 1 if it settles the matter with *result. */
static int look(struct map *map, int *value, int *result)
{
	struct receiver r = { NULL, 0 };
	bool found = false;

	if (!shard_read(map)) {
		*result = HANGS;
		return 1;
	}
	if (map->entry) {
		found = true;
		*result = 0;
		if (map->entry->initialising) {
			point(POINT_SEEN);
			world_lock();
			r = channel_subscribe(map->entry->initialising);
			world_unlock();
		} else {
			*value = map->entry->value;
		}
	}
	shard_read_end(map);
	if (r.channel)
		*result = receiver_await(&r, value);
	return found;
}

static int map_get(void *obj, struct make *make, int *value)
{
	struct map *map = obj;
	struct event *go = NULL;
	struct receiver r;
	int result;

	if (look(map, value, &result))
		return result;
	point(POINT_ABSENT);
	if (!shard_write(map))
		return HANGS;
	if (!map->entry) {
		struct channel *c = channel_new();

		c->senders++;
		map->entry = entry_new(c, 0);
		go = task_start(map, make, c);
		point(POINT_STARTED);
	}
	if (!map->entry->initialising) {
		shard_write_end(map);
		return PANICS;
	}
	world_lock();
	r = channel_subscribe(map->entry->initialising);
	world_unlock();
	if (go)
		event_set(go);
	shard_write_end(map);
	return receiver_await(&r, value);
}

static int map_peek(void *obj, int *value)
{
	struct map *map = obj;
	int state = PEEK_EMPTY;

	if (!shard_read(map))
		return state;
	if (map->entry && !map->entry->initialising) {
		state = PEEK_VALUE;
		*value = map->entry->value;
	}
	shard_read_end(map);
	return state;
}

static void map_remove(void *obj)
{
	struct map *map = obj;

	if (!shard_write(map))
		return;
	entry_replace(map, NULL);
	shard_write_end(map);
}

static void *map_open(void)
{
	struct map *map = calloc(1, sizeof(*map));

	if (!map)
		abort();
	return map;
}

static void map_close(void *obj)
{
	entry_replace(obj, NULL);
	free(obj);
}

const struct subject ancestor_map = {
	.name = "map",
	.open = map_open,
	.close = map_close,
	.get = map_get,
	.peek = map_peek,
	.remove = map_remove,
};
