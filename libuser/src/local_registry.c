// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The caches of this process: those with a name are shared by whoever opens
 * it, and stay until it is unlinked. And what a fork means for them.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "local.h"

static pthread_mutex_t alz_registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct alz_list alz_registry = { &alz_registry, &alz_registry };
static u64 alz_registry_id;

static struct alz_local_core *alz_registry_find(const char *name)
{
	struct alz_list *at;

	for (at = alz_registry.next; at != &alz_registry; at = at->next) {
		struct alz_local_core *shared = alz_entry(at, struct alz_local_core, link);

		if (shared->name && !strcmp(shared->name, name))
			return shared;
	}
	return NULL;
}

static u64 alz_local_seed(void)
{
	u64 seed;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = alz_os_now() ^ (uintptr_t)&seed;
	return seed;
}

static int alz_local_core_init(struct alz_local_core *shared,
			       const struct alazy_cache_opts *opts)
{
	struct alz_geometry g = {
		.max_keys = opts->max_keys,
		.arena_size = opts->arena_size,
		.segment_size = opts->segment_size,
		.hash_seed = alz_local_seed(),
		.cache_id = ++alz_registry_id,
		.ttl = opts->ttl_ns,
		.stale_ttl = opts->stale_ttl_ns,
		.dead_ttl = opts->dead_ttl_ns,
		/* no accept: who is offered a ticket is a thread of this process */
		.soft_lease = opts->soft_lease_ns,
		.hard_lease = opts->hard_lease_ns,
		.max_inits = opts->max_inits,
		.words = opts->words,
		.flags = opts->flags & ALAZY_CACHE_STABLE ? ASYNCLAZY_CREATE_STABLE : 0,
	};
	int err;

	alz_geometry_troubles(&g, opts->backoff_ns, opts->backoff_max_ns, opts->breaker_ns,
			      opts->max_deaths);
	err = alz_geometry_check(&g);
	if (!err && !g.flags && alz_local_barrier_init())
		return alz_error(-ENOSYS, "this system does not let a process use membarrier(2), "
				 "which evicting caches need: open it with ALAZY_CACHE_STABLE");
	if (err)
		return alz_error(err, "no cache can have max_keys %llu, arena_size %llu and "
				 "segment_size %llu", (unsigned long long)g.max_keys,
				 (unsigned long long)g.arena_size,
				 (unsigned long long)g.segment_size);
	err = alz_cache_init(&shared->core, &g, shared);
	if (err)
		return alz_error_backend(err);
	shared->arena = alz_local_arena_new(shared->core.header->arena_size);
	if (!shared->arena) {
		alz_cache_fini(&shared->core);
		return alz_error(-ENOMEM, "no address space for an arena of %llu bytes",
				 (unsigned long long)g.arena_size);
	}
	return 0;
}

/* Under the registry's lock. */
static void alz_local_put(struct alz_local_core *shared)
{
	if (--shared->refs)
		return;
	alz_list_del(&shared->link);
	munmap(shared->arena, shared->core.header->arena_size);
	alz_cache_fini(&shared->core);
	free(shared);
}

static int alz_local_new(struct alz_local_core **shared, const char *name,
			 const struct alazy_cache_opts *opts)
{
	struct alz_local_core *s = calloc(1, sizeof(*s));
	char *copy = name ? strdup(name) : NULL;
	int err;

	if (!s || (name && !copy))
		err = alz_error_backend(-ENOMEM);
	else
		err = alz_local_core_init(s, opts);
	if (err) {
		free(copy);
		free(s);
		return err;
	}
	s->name = copy;
	s->refs = copy ? 2 : 1;
	s->epoch = alz_fork_epoch;
	alz_list_add_tail(&s->link, &alz_registry);
	*shared = s;
	return 0;
}

/** alz_local_attach() - @client is zeroed but for ->shared and ->readonly */
void alz_local_attach(struct alz_local_client *client)
{
	client->core.os = client;
	client->core.max_waits = ~0ULL;
	client->core.max_tickets = ~0ULL;
	client->fd = -1;
	client->timer = -1;
	client->both = -1;
	if (client->pins) {
		client->core.pins = client->pins;
		client->core.nr_pins = ASYNCLAZY_PINS_SIZE / sizeof(u64);
	}
	if (client->held) {
		client->core.held = client->held;
		client->core.nr_held = ASYNCLAZY_HELD_SIZE / sizeof(u32);
	}
	pthread_mutex_init(&client->read_lock, NULL);
	alz_client_attach(&client->core, &client->shared->core);
}

/** alz_local_detach() - its tickets and waits go, as at a process's death */
void alz_local_detach(struct alz_local_client *client)
{
	alz_client_detach(&client->core);
	alz_local_waits_free(client);
	if (client->both >= 0)
		close(client->both);
	if (client->timer >= 0)
		close(client->timer);
	if (client->fd >= 0)
		close(client->fd);
	pthread_mutex_destroy(&client->read_lock);
}

static void alz_local_renew(struct alz_local_client *client)
{
	struct alz_local_client fresh = {
		.shared = client->shared,
		.readonly = client->readonly,
		/* refs that were inherited are good, and go on being */
		.pins = client->pins,
		.held = client->held,
	};

	/* a thread that is gone may have held it */
	pthread_mutex_init(&client->read_lock, NULL);
	alz_local_detach(client);
	if (client->held)
		memset(client->held, 0, ASYNCLAZY_HELD_SIZE);
	*client = fresh;
	alz_local_attach(client);
}

/*
 * The first call to a core in a forked child. What its clients were doing was
 * done by threads that are not here: all die, then all attach anew, so that
 * what was INITIALIZING is EMPTY. Nobody is told: the descriptors are the
 * parent's too. Under the registry's lock, which every other thread's first
 * call to the core waits for.
 */
static void alz_local_mourn(struct alz_local_core *shared)
{
	struct alz_list *head = &shared->core.clients;
	struct alz_list *at;
	u64 n = 0;

	shared->mourning = true;
	for (at = head->next; at != head; at = at->next, n++)
		alz_client_die(alz_entry(at, struct alz_client, link));
	/* each goes to the end of the list */
	while (n--)
		alz_local_renew(alz_entry(head->next, struct alz_local_client, core.link));
	shared->lost = 0;
	shared->offers = 0;
	shared->epoch = alz_fork_epoch;
	shared->mourning = false;
}

static int alz_local_find_or_new(struct alz_local_core **shared, const char *name,
				 const struct alazy_cache_opts *opts)
{
	struct alz_local_core *s = name ? alz_registry_find(name) : NULL;

	if (s && opts->flags & ALAZY_CACHE_EXCLUSIVE)
		return alz_error(-EEXIST, "a cache named \"%s\" exists already in this process: "
				 "open it without ALAZY_CACHE_EXCLUSIVE, or unlink it", name);
	if (!s && opts->flags & ALAZY_CACHE_EXISTING)
		return alz_error(-ENOENT, "no cache named \"%s\" exists in this process", name);
	if (!s)
		return alz_local_new(shared, name, opts);
	if (s->epoch != alz_fork_epoch)
		alz_local_mourn(s);
	s->refs++;
	*shared = s;
	return 0;
}

/**
 * alz_local_open() - the core of this name, or a new one
 * @name: NULL: anonymous
 *
 * Return: 0 with one count on @shared, or a negative errno with its text.
 */
int alz_local_open(struct alz_local_core **shared, const char *name,
		   const struct alazy_cache_opts *opts)
{
	int err;

	pthread_mutex_lock(&alz_registry_lock);
	err = alz_local_find_or_new(shared, name, opts);
	pthread_mutex_unlock(&alz_registry_lock);
	return err;
}

/** alz_local_close() - drop a count */
void alz_local_close(struct alz_local_core *shared)
{
	pthread_mutex_lock(&alz_registry_lock);
	alz_local_put(shared);
	pthread_mutex_unlock(&alz_registry_lock);
}

/** alz_local_unlink() - Return: 0, or -ENOENT with its text */
int alz_local_unlink(const char *name)
{
	struct alz_local_core *shared;
	int err = 0;

	pthread_mutex_lock(&alz_registry_lock);
	shared = alz_registry_find(name);
	if (shared) {
		free(shared->name);
		shared->name = NULL;
		alz_local_put(shared);
	} else {
		err = alz_error(-ENOENT, "no cache named \"%s\" exists in this process", name);
	}
	pthread_mutex_unlock(&alz_registry_lock);
	return err;
}

/** alz_local_reattach() - see alz_local_mourn(). Return: 0 */
int alz_local_reattach(struct alz_local_core *shared)
{
	pthread_mutex_lock(&alz_registry_lock);
	if (shared->epoch != alz_fork_epoch)
		alz_local_mourn(shared);
	pthread_mutex_unlock(&alz_registry_lock);
	return 0;
}

/** alz_local_fork_prepare() - no core is in the midst of a change at a fork */
void alz_local_fork_prepare(void)
{
	struct alz_list *at;

	pthread_mutex_lock(&alz_registry_lock);
	for (at = alz_registry.next; at != &alz_registry; at = at->next) {
		struct alz_cache *core = &alz_entry(at, struct alz_local_core, link)->core;

		alz_os_mutex_lock(&core->arena.room_lock);
		alz_os_lock(&core->lock);
	}
}

void alz_local_fork_done(void)
{
	struct alz_list *at;

	for (at = alz_registry.next; at != &alz_registry; at = at->next) {
		struct alz_cache *core = &alz_entry(at, struct alz_local_core, link)->core;

		alz_os_unlock(&core->lock);
		alz_os_mutex_unlock(&core->arena.room_lock);
	}
	pthread_mutex_unlock(&alz_registry_lock);
}
