// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The kernel backend: the module, by ioctl, read and mmap. */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib.h"

#define ALZ_DEVICE	"/dev/asynclazy"

struct alz_kernel {
	int cache_fd;
	int fd;			/* the client's; its number never changes */
	struct alz_old_pins *old;	/* of forebears */
};

/*
 * The page of pins that was a forebear's, at its address: refs that were
 * inherited are put there, where it does no harm.
 */
struct alz_old_pins {
	struct alz_old_pins *next;
	void *pins;
};

static struct alz_kernel *alz_kernel(const struct alazy_cache *cache)
{
	return cache->priv;
}

static int alz_ioctl(int fd, unsigned long nr, void *arg)
{
	return ioctl(fd, nr, arg) < 0 ? -errno : 0;
}

static int alz_device_error(int err)
{
	switch (err) {
	case -ENOENT:
	case -ENXIO:
	case -ENODEV:
		return alz_error(-ENODEV, "the asynclazy module is not loaded, " ALZ_DEVICE " "
				 "is not there: load it with \"insmod asynclazy.ko\", or use a cache of this process "
				 "alone with ALAZY_BACKEND_LOCAL");
	case -EACCES:
	case -EPERM:
		return alz_error(-EACCES, ALZ_DEVICE " may not be opened by this user: "
				 "add the user to the group asynclazy");
	default:
		errno = -err;
		return alz_error(err, ALZ_DEVICE " cannot be opened: %m");
	}
}

/* Open the device, and see that it speaks our ABI. */
static int alz_device_open(int mode)
{
	struct asynclazy_info info = { .size = sizeof(info) };
	int fd = open(ALZ_DEVICE, mode | O_CLOEXEC);
	int err;

	if (fd < 0)
		return alz_device_error(-errno);
	err = alz_ioctl(fd, ASYNCLAZY_IOC_INFO, &info);
	if (!err && info.out_abi_version == ASYNCLAZY_ABI_VERSION)
		return fd;
	close(fd);
	if (err)
		return alz_error(-EPROTO, ALZ_DEVICE " does not answer as the asynclazy module "
				 "does: install a module and a library of the same release");
	return alz_error(-EPROTO, "the asynclazy module has ABI %u, this library has ABI %u: "
			 "install a module and a library of the same release",
			 info.out_abi_version, ASYNCLAZY_ABI_VERSION);
}

static int alz_open_error(int err, const char *name, const struct alazy_cache_opts *o)
{
	switch (err) {
	case -EEXIST:
		return alz_error(err, "a cache named \"%s\" exists already: open it without "
				 "ALAZY_CACHE_EXCLUSIVE, or unlink it", name);
	case -ENOENT:
		return alz_error(err, "no cache named \"%s\" exists: it is made by an open without "
				 "ALAZY_CACHE_EXISTING", name);
	case -EACCES:
	case -EPERM:
		return alz_error(-EACCES, "the mode of the cache \"%s\" does not let this user "
				 "open it: try ALAZY_CACHE_EXISTING with ALAZY_CACHE_READONLY, "
				 "or have its owner make it with another mode", name ? name : "");
	case -EDQUOT:
		return alz_error(err, "this user has as many caches, or bytes in them, as the "
				 "quota allows: unlink some, ask for a smaller arena_size, or "
				 "raise the module's quota");
	case -EINVAL:
		return alz_error(err, "no cache can have max_keys %llu, arena_size %llu and "
				 "segment_size %llu", (unsigned long long)o->max_keys,
				 (unsigned long long)o->arena_size,
				 (unsigned long long)o->segment_size);
	default:
		return alz_error_backend(err);
	}
}

static int alz_kernel_create(int dev, const char *name, const struct alazy_cache_opts *o)
{
	struct asynclazy_create c = {
		.size = sizeof(c),
		.flags = o->flags & ALAZY_CACHE_STABLE ? ASYNCLAZY_CREATE_STABLE : 0,
		.name = (uintptr_t)name,
		.name_size = name ? strlen(name) : 0,
		.mode = o->mode,
		.max_keys = o->max_keys,
		.arena_size = o->arena_size,
		.segment_size = o->segment_size,
		.ttl = o->ttl_ns,
		.stale_ttl = o->stale_ttl_ns,
		.dead_ttl = o->dead_ttl_ns,
		.accept = o->accept_ns,
		.soft_lease = o->soft_lease_ns,
		.hard_lease = o->hard_lease_ns,
		.max_inits = o->max_inits,
		.max_deaths = o->max_deaths,
		.backoff = o->backoff_ns,
		.backoff_max = o->backoff_max_ns,
		.breaker = o->breaker_ns,
		.words = o->words,
	};
	int err;

	if (o->flags & ALAZY_CACHE_EXCLUSIVE && name)
		c.flags |= ASYNCLAZY_CREATE_EXCLUSIVE;
	err = alz_ioctl(dev, ASYNCLAZY_IOC_CREATE, &c);
	return err ? alz_open_error(err, name, o) : c.out_fd;
}

static int alz_kernel_find(int dev, const char *name, const struct alazy_cache_opts *o)
{
	struct asynclazy_open op = {
		.size = sizeof(op),
		.flags = ASYNCLAZY_OPEN_READ,
		.name = (uintptr_t)name,
		.name_size = strlen(name),
	};
	int err;

	if (!(o->flags & ALAZY_CACHE_READONLY))
		op.flags |= ASYNCLAZY_OPEN_WRITE;
	err = alz_ioctl(dev, ASYNCLAZY_IOC_OPEN, &op);
	return err ? alz_open_error(err, name, o) : op.out_fd;
}

/* Return: the cache fd. */
static int alz_kernel_get(const char *name, const struct alazy_cache_opts *o)
{
	int dev = alz_device_open(o->flags & ALAZY_CACHE_READONLY ? O_RDONLY : O_RDWR);
	int fd;

	if (dev < 0)
		return dev;
	if (o->flags & ALAZY_CACHE_EXISTING)
		fd = alz_kernel_find(dev, name, o);
	else
		fd = alz_kernel_create(dev, name, o);
	close(dev);
	return fd;
}

/* Map a region, at @at if that is not NULL, in place of what is there. */
static void *alz_kernel_map_as(int fd, const void *at, u64 size, u64 offset, int prot)
{
	void *p = mmap((void *)at, size, prot, MAP_SHARED | (at ? MAP_FIXED : 0), fd,
		       offset);

	return p == MAP_FAILED ? NULL : p;
}

/* Those up to the arena are to read, the others up to the words are to write. */
static void *alz_kernel_map(int fd, const void *at, u64 size, u64 offset)
{
	int prot = offset >= ASYNCLAZY_OFF_VISITED ? PROT_READ | PROT_WRITE : PROT_READ;

	return alz_kernel_map_as(fd, at, size, offset, prot);
}

static int alz_kernel_attach_fd(struct alazy_cache *cache, int cache_fd)
{
	struct asynclazy_attach a = { .size = sizeof(a) };
	int err = alz_ioctl(cache_fd, ASYNCLAZY_IOC_ATTACH, &a);

	if (err)
		return err;
	cache->words.lock_id = a.out_lock_id;
	return a.out_fd;
}

/* Words, who waits for them, and what this attachment has of them. */
static int alz_kernel_map_words(struct alazy_cache *cache, int fd, u64 size)
{
	bool readonly = cache->flags & ALAZY_CACHE_READONLY;
	struct alz_words *w = &cache->words;
	int err;

	if (!size)
		return 0;
	w->words = alz_kernel_map_as(fd, NULL, size, ASYNCLAZY_OFF_WORDS,
				     readonly ? PROT_READ : PROT_READ | PROT_WRITE);
	w->waiting = alz_kernel_map_as(fd, NULL, size, ASYNCLAZY_OFF_WAITING, PROT_READ);
	if (!readonly)
		w->held = alz_kernel_map(fd, NULL, ASYNCLAZY_HELD_SIZE, ASYNCLAZY_OFF_HELD);
	w->nr = size / sizeof(u32);
	if (w->words && w->waiting && (w->held || readonly))
		return 0;
	err = -errno;
	return alz_error(err, "the words of the cache cannot be mapped: %m");
}

static void alz_kernel_unmap_words(const struct alazy_cache *cache)
{
	const struct alz_words *w = &cache->words;
	u64 size = w->nr * sizeof(u32);

	if (w->words)
		munmap(w->words, size);
	if (w->waiting)
		munmap((void *)w->waiting, size);
	if (w->held)
		munmap(w->held, ASYNCLAZY_HELD_SIZE);
}

static int alz_kernel_map_new(struct alazy_cache *cache, int fd)
{
	struct asynclazy_geometry g = { .size = sizeof(g) };
	int err = alz_ioctl(fd, ASYNCLAZY_IOC_GEOMETRY, &g);
	struct asynclazy_header *header;
	void *arena;

	if (err)
		return alz_error_backend(err);
	header = alz_kernel_map(fd, NULL, g.out_table_size, ASYNCLAZY_OFF_TABLE);
	if (!header)
		return alz_error(-errno, "the table of the cache cannot be mapped: %m");
	err = alz_view_check(header);
	if (err)
		goto unmap;
	arena = alz_kernel_map(fd, NULL, g.out_arena_size, ASYNCLAZY_OFF_ARENA);
	if (!arena) {
		err = alz_error(-errno, "the arena of the cache (%llu bytes) cannot be mapped: %m",
				(unsigned long long)g.out_arena_size);
		goto unmap;
	}
	alz_view_init(&cache->view, header, arena);
	cache->view.table_size = g.out_table_size;
	cache->view.arena_size = g.out_arena_size;
	cache->view.visited_size = g.out_visited_size;
	err = alz_kernel_map_words(cache, fd, g.out_words_size);
	if (err)
		goto unmap_words;
	if (!g.out_pins_size)
		return 0;
	cache->view.visited = alz_kernel_map(fd, NULL, g.out_visited_size,
					     ASYNCLAZY_OFF_VISITED);
	cache->view.pins = alz_kernel_map(fd, NULL, ASYNCLAZY_PINS_SIZE, ASYNCLAZY_OFF_PINS);
	if (cache->view.visited && cache->view.pins)
		return 0;
	err = alz_error(-errno, "the pins of the cache cannot be mapped: %m");
	if (cache->view.visited)
		munmap(cache->view.visited, g.out_visited_size);
unmap_words:
	alz_kernel_unmap_words(cache);
	munmap(arena, g.out_arena_size);
unmap:
	munmap(header, g.out_table_size);
	return err;
}

static int alz_kernel_open(struct alazy_cache *cache, const char *name,
			   const struct alazy_cache_opts *opts)
{
	struct alz_kernel *k = calloc(1, sizeof(*k));
	int err = 0;

	if (!k)
		return alz_error_backend(-ENOMEM);
	k->cache_fd = alz_kernel_get(name, opts);
	if (k->cache_fd < 0) {
		err = k->cache_fd;
		goto free;
	}
	k->fd = alz_kernel_attach_fd(cache, k->cache_fd);
	if (k->fd < 0) {
		err = alz_error_backend(k->fd);
		goto close_cache;
	}
	err = alz_kernel_map_new(cache, k->fd);
	if (err)
		goto close_client;
	cache->priv = k;
	return 0;
close_client:
	close(k->fd);
close_cache:
	close(k->cache_fd);
free:
	free(k);
	return err;
}

static void alz_kernel_close(struct alazy_cache *cache)
{
	struct alz_kernel *k = alz_kernel(cache);

	munmap((void *)cache->view.header, cache->view.table_size);
	munmap((void *)cache->view.arena, cache->view.arena_size);
	if (cache->view.pins) {
		munmap(cache->view.visited, cache->view.visited_size);
		munmap(cache->view.pins, ASYNCLAZY_PINS_SIZE);
	}
	alz_kernel_unmap_words(cache);
	while (k->old) {
		struct alz_old_pins *old = k->old;

		k->old = old->next;
		munmap(old->pins, ASYNCLAZY_PINS_SIZE);
		free(old);
	}
	close(k->fd);
	close(k->cache_fd);
	free(k);
}

static int alz_kernel_unlink(const char *name)
{
	struct asynclazy_unlink u = {
		.size = sizeof(u),
		.name = (uintptr_t)name,
		.name_size = strlen(name),
	};
	int dev = alz_device_open(O_RDWR);
	int err;

	if (dev < 0)
		return dev;
	err = alz_ioctl(dev, ASYNCLAZY_IOC_UNLINK, &u);
	close(dev);
	if (err == -ENOENT)
		return alz_error(err, "no cache named \"%s\" exists", name);
	if (err == -EACCES || err == -EPERM)
		return alz_error(-EACCES, "the cache \"%s\" is another user's: its owner or root "
				 "may unlink it", name);
	return err ? alz_error_backend(err) : 0;
}

static int alz_kernel_call(struct alazy_cache *cache, unsigned long nr, void *arg)
{
	return alz_ioctl(alz_kernel(cache)->fd, nr, arg);
}

/*
 * Read without waiting, whatever the file's flags say. Return: bytes, -EAGAIN.
 */
static ssize_t alz_read_now(int fd, struct iovec *iov, int n)
{
	ssize_t ret = preadv2(fd, iov, n, -1, RWF_NOWAIT);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (ret < 0 && errno == EOPNOTSUPP) {
		if (poll(&p, 1, 0) <= 0)
			return -EAGAIN;
		ret = readv(fd, iov, n);
	}
	return ret < 0 ? -errno : ret;
}

static int alz_kernel_read_events(struct alazy_cache *cache, struct asynclazy_event *events,
				  int max)
{
	struct iovec iov = { events, max * sizeof(*events) };
	ssize_t n = alz_read_now(alz_kernel(cache)->fd, &iov, 1);

	if (n < 0)
		return n == -EINTR ? -EAGAIN : n;
	return n / sizeof(*events);
}

/* Whether @fd is one of the module's per-wait descriptors. */
static bool alz_is_wait(int fd)
{
	static const char want[] = "anon_inode:[asynclazy-wait]";
	char path[32], link[sizeof(want)];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, link, sizeof(link));
	/* without /proc it has to be believed */
	if (n < 0)
		return access("/proc/self/fd", F_OK) != 0;
	return n == sizeof(want) - 1 && !memcmp(link, want, n);
}

static int alz_kernel_read_wait(struct alazy_cache *cache, int fd, struct alz_wait_event *w)
{
	struct iovec iov[2] = {
		{ &w->event, sizeof(w->event) },
		{ w->detail, sizeof(w->detail) },
	};
	ssize_t n;

	if (fd < 0 || !alz_is_wait(fd))
		return -EBADF;
	do {
		n = alz_read_now(fd, iov, 2);
	} while (n == -EINTR);
	if (n < 0)
		return n;
	/* of another cache: its offset means nothing here, and it can be read there */
	if ((size_t)n < sizeof(w->event) ||
	    w->event.cache_id != cache->view.header->cache_id)
		return -EBADF;
	w->event.detail_size = n - sizeof(w->event);
	return 0;
}

static void alz_kernel_end_wait(struct alazy_cache *cache, int fd)
{
	(void)cache;
	close(fd);
}

static int alz_kernel_fd(struct alazy_cache *cache)
{
	return alz_kernel(cache)->fd;
}

/* Something to write to, where a page was that is not inherited. */
static void alz_kernel_placeholder(void *at, u64 size)
{
	void *p = mmap(at, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	/* without memory a write is a fault */
	(void)p;
}

/*
 * The pages of pins and of what is held are not inherited. What is put at the one
 * meanwhile is to land somewhere, as it is where the refs say, and nothing else is to
 * come where the other was.
 */
static void alz_kernel_forked(struct alazy_cache *cache)
{
	if (cache->view.pins)
		alz_kernel_placeholder(cache->view.pins, ASYNCLAZY_PINS_SIZE);
	if (cache->words.held)
		alz_kernel_placeholder(cache->words.held, ASYNCLAZY_HELD_SIZE);
}

/* Pins of our own, at another address. */
static int alz_kernel_renew_pins(struct alz_kernel *k, struct alz_view *v, int fd)
{
	struct alz_old_pins *old = malloc(sizeof(*old));
	u64 *pins = alz_kernel_map(fd, NULL, ASYNCLAZY_PINS_SIZE, ASYNCLAZY_OFF_PINS);
	int err = pins ? -ENOMEM : -errno;

	if (!old || !pins) {
		if (pins)
			munmap(pins, ASYNCLAZY_PINS_SIZE);
		free(old);
		return err;
	}
	*old = (struct alz_old_pins){ k->old, v->pins };
	k->old = old;
	v->pins = pins;
	return 0;
}

/*
 * In a forked child: a client of its own, on the cache fd that it inherited,
 * in place of its parent's: the same descriptor number, the same addresses, so
 * that refs stay valid. Each mmap() replaces the old pages in one step for
 * other threads that read.
 */
static int alz_kernel_reattach(struct alazy_cache *cache)
{
	struct alz_kernel *k = alz_kernel(cache);
	struct alz_view *v = &cache->view;
	const struct alz_words *w = &cache->words;
	int fd = alz_kernel_attach_fd(cache, k->cache_fd);
	u64 size = w->nr * sizeof(u32);
	int err = 0;

	if (fd < 0)
		return fd;
	if (!alz_kernel_map(fd, v->header, v->table_size, ASYNCLAZY_OFF_TABLE) ||
	    !alz_kernel_map(fd, v->arena, v->arena_size, ASYNCLAZY_OFF_ARENA) ||
	    (v->pins && !alz_kernel_map(fd, v->visited, v->visited_size,
					ASYNCLAZY_OFF_VISITED)) ||
	    (w->words && !alz_kernel_map_as(fd, w->words, size, ASYNCLAZY_OFF_WORDS,
					    w->held ? PROT_READ | PROT_WRITE : PROT_READ)) ||
	    (w->waiting && !alz_kernel_map_as(fd, w->waiting, size, ASYNCLAZY_OFF_WAITING,
					      PROT_READ)) ||
	    (w->held && !alz_kernel_map(fd, w->held, ASYNCLAZY_HELD_SIZE, ASYNCLAZY_OFF_HELD)))
		err = -errno;
	if (!err && v->pins)
		err = alz_kernel_renew_pins(k, v, fd);
	if (!err && dup3(fd, k->fd, O_CLOEXEC) < 0)
		err = -errno;
	close(fd);
	return err;
}

const struct alz_backend alz_backend_kernel = {
	.name = "kernel",
	.open = alz_kernel_open,
	.close = alz_kernel_close,
	.unlink = alz_kernel_unlink,
	.call = alz_kernel_call,
	.read_events = alz_kernel_read_events,
	.read_wait = alz_kernel_read_wait,
	.end_wait = alz_kernel_end_wait,
	.fd = alz_kernel_fd,
	.forked = alz_kernel_forked,
	.reattach = alz_kernel_reattach,
};
