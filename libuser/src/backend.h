/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Backends: who answers when the reader cannot. Both take the uAPI's own
 * structs, so that what is above them is written once.
 */
#ifndef ALZ_BACKEND_H
#define ALZ_BACKEND_H

#include <linux/asynclazy.h>
#include "asynclazy.h"

/* What the read of a per-wait descriptor brings. */
struct alz_wait_event {
	struct asynclazy_event event;
	char detail[ASYNCLAZY_DETAIL_MAX];
};

/* Each returns 0 (or a count) or a negative errno; open and unlink set the text. */
struct alz_backend {
	const char *name;

	/* make or open the cache of this name (NULL: anonymous): fill ->view, ->priv */
	int (*open)(struct alazy_cache *cache, const char *name,
		    const struct alazy_cache_opts *opts);
	/* end every wait and ticket of this attachment, unmap, free ->priv */
	void (*close)(struct alazy_cache *cache);
	int (*unlink)(const char *name);

	/* a client call: @nr is its ASYNCLAZY_IOC_, @arg its struct, size set */
	int (*call)(struct alazy_cache *cache, unsigned long nr, void *arg);
	/* the events that are due, at most @max; never blocks */
	int (*read_events)(struct alazy_cache *cache, struct asynclazy_event *events,
			   int max);
	/* -EAGAIN while the wait goes on, -EBADF if @fd is no wait of this cache */
	int (*read_wait)(struct alazy_cache *cache, int fd, struct alz_wait_event *w);
	/* close @fd, which is one */
	void (*end_wait)(struct alazy_cache *cache, int fd);
	int (*fd)(struct alazy_cache *cache);

	/* in a forked child, at once, under all locks: what is not inherited; or NULL */
	void (*forked)(struct alazy_cache *cache);
	/* in a forked child, once, before any other call: a new attachment */
	int (*reattach)(struct alazy_cache *cache);
};

extern const struct alz_backend alz_backend_kernel;
extern const struct alz_backend alz_backend_local;

#endif
