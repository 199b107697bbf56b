// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The cache that results are kept in: opened, and renewed when it is full. */
#include <asynclazy.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "alazy.h"
#include "store.h"

#define MIB		(1ULL << 20)
#define SEGMENT_SIZE	(4 * MIB)	/* so much output at most */
#define ARENA_SIZE	(64 * MIB)	/* of the quota; memory is taken as it fills */

void store_default(struct store *store)
{
	memset(store, 0, sizeof(*store));
	/* a user's cache is the user's: others cannot open it */
	snprintf(store->default_name, sizeof(store->default_name),
		 "alazy-run-%u", geteuid());
	store->name = store->default_name;
	store->own = true;
}

static struct alazy_cache *open_cache(const struct store *store, uint32_t flags)
{
	struct alazy_cache_opts opts = {
		.size = sizeof(opts),
		.flags = ALAZY_CACHE_SHARED | ALAZY_CACHE_STABLE | flags,
		.backend = ALAZY_BACKEND_KERNEL,
		.arena_size = ARENA_SIZE,
		.segment_size = SEGMENT_SIZE,
		/* what fails here is a command that cannot be run: to say so is cheap */
		.backoff_ns = ALAZY_NEVER,
	};

	return alazy_cache_open(store->name, &opts);
}

static int cannot_open(const struct store *store, int error)
{
	switch (error) {
	case ENODEV:
		say("the asynclazy module is not loaded: there is no /dev/asynclazy.\n"
		    "Load it as root: `insmod asynclazy.ko` in the folder where it was built, or `modprobe asynclazy` if it is installed.");
		return STATUS_UNAVAILABLE;
	case EPROTO:
		say("the asynclazy module is of another version than this program: %s",
		    alazy_strerror_detail());
		return STATUS_UNAVAILABLE;
	case EACCES:
		say("no permission for the cache '%s', or for /dev/asynclazy (group asynclazy): %s",
		    store->name, alazy_strerror_detail());
		return STATUS_PERMISSION;
	default:
		say("cannot open the cache '%s': %s: %s", store->name,
		    strerror(error), alazy_strerror_detail());
		return STATUS_SYSTEM;
	}
}

/* The default name could be taken by somebody who wants to be believed. */
static int check_owner(struct store *store)
{
	uint32_t uid, mode;
	int err;

	if (!store->own)
		return 0;
	err = alazy_cache_owner(store->cache, &uid, &mode);
	if (!err && uid == geteuid() && !(mode & 022))
		return 0;
	if (err)
		say("cannot tell whose the cache '%s' is: %s", store->name,
		    alazy_strerror_detail());
	else
		say("the cache '%s' was made by user %u with mode %o, not by this user for itself: "
		    "have it unlinked, or name another with --cache", store->name, uid, mode);
	store_close(store);
	return STATUS_PERMISSION;
}

int store_open(struct store *store)
{
	store->cache = open_cache(store, 0);
	return store->cache ? check_owner(store) : cannot_open(store, errno);
}

void store_close(struct store *store)
{
	alazy_cache_close(store->cache);
	store->cache = NULL;
}

void store_renew_name(const struct store *store)
{
	struct alazy_stats stats = { .size = sizeof(stats) };
	struct alazy_cache *named;

	if (!store->own)
		return;
	named = open_cache(store, ALAZY_CACHE_EXISTING);
	if (!named)
		return;
	/* the name may be a new cache's already */
	if (!alazy_cache_stats(named, &stats) && stats.nospace)
		alazy_cache_unlink(store->name, ALAZY_BACKEND_KERNEL);
	alazy_cache_close(named);
}

bool store_move(struct store *store)
{
	if (!store->own || store->renewed)
		return false;
	store->renewed = true;
	store_renew_name(store);
	/* first: two may be more than the quota */
	store_close(store);
	return !store_open(store);
}
