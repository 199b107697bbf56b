// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Stage one: a worker. It asks for every result, each worker in its own turn. */
#include <asynclazy.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "board.h"

struct worker {
	const struct crowd *crowd;
	struct alazy_cache *cache;
	unsigned int me;
	unsigned int key;
	bool initialised;	/* this key, itself */
	bool waited;
	bool got;
	int err;
};

static void tell(const struct worker *w, enum event_kind kind, uint64_t amount)
{
	struct event event = {
		.kind = kind,
		.worker = w->me,
		.key = w->key,
		.pid = getpid(),
		.at = now_ns(),
		.amount = amount,
	};

	if (write(w->crowd->events[1], &event, sizeof(event)) != sizeof(event))
		_exit(1);
}

static int init(const struct alazy_ticket *ticket, const void *name,
		size_t name_size, void *ctx)
{
	struct worker *w = ctx;
	const struct key *key = &w->crowd->keys[w->key];
	struct board *board = w->crowd->board;
	char value[VALUE_MAX];
	uint64_t start;
	size_t size;
	int err;

	(void)name;
	(void)name_size;
	atomic_fetch_add(&board->inits, 1);
	w->initialised = true;
	if (w->key == w->crowd->victim && !atomic_exchange(&board->victim_taken, true)) {
		tell(w, EVENT_HELD, 0);
		for (;;)
			pause();
	}
	tell(w, EVENT_INIT, ticket->attempt);
	start = cpu_ns();
	size = work_do(key->kind, key->path, value);
	start = cpu_ns() - start;
	err = alazy_publish(ticket, value, size, ALAZY_NEVER);
	if (!err)
		tell(w, EVENT_FILLED, start);
	return err;
}

static void done(int err, struct alazy_ref *ref, void *ctx)
{
	struct worker *w = ctx;
	struct answer *answer = &w->crowd->board->answers[w->me][w->key];

	w->got = true;
	w->err = err;
	if (err)
		return;
	work_hash(ref->data, ref->size, answer->hash);
	answer->size = ref->size;
	tell(w, EVENT_GOT, w->waited);
}

/* An ordinary poll loop, with one descriptor in it. */
static int wait_for_it(struct worker *w)
{
	struct pollfd pollfd = { .fd = alazy_fd(w->cache), .events = POLLIN };
	int err = pollfd.fd < 0 ? pollfd.fd : 0;

	while (err >= 0 && !w->got) {
		if (poll(&pollfd, 1, -1) < 0 && errno != EINTR)
			return -errno;
		err = alazy_dispatch(w->cache);
	}
	return err < 0 ? err : w->err;
}

static int ask(struct worker *w)
{
	const char *name = w->crowd->keys[w->key].name;
	int err;

	w->initialised = false;
	w->waited = false;
	w->got = false;
	w->err = 0;
	atomic_fetch_add(&w->crowd->board->requests[w->key], 1);
	err = alazy_cache_get_async(w->cache, name, strlen(name), init, done, w, NULL);
	if (err)
		return err < 0 ? err : w->err;
	if (!w->initialised) {
		w->waited = true;
		tell(w, EVENT_WAITING, 0);
	}
	return wait_for_it(w);
}

int worker_main(const struct crowd *crowd, unsigned int me)
{
	struct alazy_cache_opts opts = {
		.size = sizeof(opts),
		.flags = ALAZY_CACHE_SHARED,
		.backend = ALAZY_BACKEND_KERNEL,
	};
	struct worker w = { .crowd = crowd, .me = me };
	unsigned int i;
	int err = 0;
	char c;

	close(crowd->events[0]);
	close(crowd->barrier[1]);
	w.cache = alazy_cache_open(crowd->cache_name, &opts);
	if (!w.cache) {
		tell(&w, EVENT_ERROR, errno);
		return 1;
	}
	tell(&w, EVENT_READY, 0);
	while (read(crowd->barrier[0], &c, 1) < 0 && errno == EINTR)
		;
	for (i = 0; i < crowd->nr_keys && !err; i++) {
		w.key = (me + i) % crowd->nr_keys;
		err = ask(&w);
	}
	tell(&w, err ? EVENT_ERROR : EVENT_DONE, -err);
	alazy_cache_close(w.cache);
	return err ? 1 : 0;
}
