// SPDX-License-Identifier: GPL-2.0-only
/* The calls, each as a function, and small things that all tests need. */
#include "alz.h"

#include <dirent.h>
#include <sys/utsname.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/*
 * Small things
 */

__u64 alz_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * ALZ_SEC + t.tv_nsec;
}

/* Whether to run the full counts: make test-full. */
bool alz_full(void)
{
	const char *full = getenv("ALZ_FULL");

	return full && !strcmp(full, "1");
}

/* One of tools/vm/kernel: slow, and its allocator is not the usual one. */
bool alz_debug_kernel(void)
{
	struct utsname u;

	return !uname(&u) && strstr(u.release, "-alz-");
}

/* How often, or how much: in a slice, in a slice on a debug kernel, and in a full run. */
long alz_rounds(long slice, long debug, long full)
{
	/* the full counts would take one of those, emulated, some days */
	if (alz_debug_kernel())
		return alz_full() ? 4 * debug : debug;
	return alz_full() ? full : slice;
}

__u64 alz_rand(__u64 *state)
{
	__u64 x = *state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

int alz_device(int flags)
{
	int fd = open(ALZ_DEVICE, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int alz_call(int fd, unsigned long nr, void *arg)
{
	return ioctl(fd, nr, arg) < 0 ? -errno : 0;
}

/* How many file descriptors this process has open. */
int alz_open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	if (!d)
		return -errno;
	while (readdir(d))
		n++;
	closedir(d);
	return n - 3;	/* ".", ".." and the directory itself */
}

/*
 * Device and cache calls
 */

/*
 * What fails may be tried again at once, and who dies may be followed by any number,
 * unless the test says otherwise: holding off is what trouble_test is for.
 */
static void alz_untroubled(struct asynclazy_create *c)
{
	if (!c->backoff)
		c->backoff = ASYNCLAZY_NEVER;
	if (!c->max_deaths)
		c->max_deaths = UINT32_MAX;
}

int alz_create(int device, struct asynclazy_create *c, const char *name,
	       __u32 flags, __u64 max_keys, __u64 arena_size)
{
	memset(c, 0, sizeof(*c));
	c->size = sizeof(*c);
	c->flags = flags;
	c->name = (uintptr_t)name;
	c->name_size = name ? strlen(name) : 0;
	c->max_keys = max_keys;
	c->arena_size = arena_size;
	alz_untroubled(c);
	ALZ_POISON_RANGE(c, out_fd, out_cache_id);
	return alz_call(device, ASYNCLAZY_IOC_CREATE, c);
}

int alz_open(int device, const char *name, __u32 flags)
{
	struct asynclazy_open o = {
		.size = sizeof(o),
		.flags = flags,
		.name = (uintptr_t)name,
		.name_size = strlen(name),
	};
	int err;

	ALZ_POISON_RANGE(&o, out_fd, out_cache_id);
	err = alz_call(device, ASYNCLAZY_IOC_OPEN, &o);
	return err ? err : o.out_fd;
}

int alz_unlink(int device, const char *name)
{
	struct asynclazy_unlink u = {
		.size = sizeof(u),
		.name = (uintptr_t)name,
		.name_size = strlen(name),
	};

	return alz_call(device, ASYNCLAZY_IOC_UNLINK, &u);
}

int alz_info(struct asynclazy_info *i)
{
	int fd = alz_device(O_RDONLY);
	int err;

	if (fd < 0)
		return fd;
	memset(i, 0, sizeof(*i));
	i->size = sizeof(*i);
	ALZ_POISON_RANGE(i, out_abi_version, out_tickets_max);
	err = alz_call(fd, ASYNCLAZY_IOC_INFO, i);
	close(fd);
	return err;
}

int alz_attach(int cache)
{
	struct asynclazy_attach t = { .size = sizeof(t) };
	int err;

	ALZ_POISON_RANGE(&t, out_fd, out_fd);
	err = alz_call(cache, ASYNCLAZY_IOC_ATTACH, &t);
	return err ? err : t.out_fd;
}

int alz_geometry(int fd, struct asynclazy_geometry *g)
{
	memset(g, 0, sizeof(*g));
	g->size = sizeof(*g);
	ALZ_POISON_RANGE(g, out_abi_version, out_budget);
	return alz_call(fd, ASYNCLAZY_IOC_GEOMETRY, g);
}

int alz_stats(int fd, struct asynclazy_stats *s)
{
	memset(s, 0, sizeof(*s));
	s->size = sizeof(*s);
	ALZ_POISON_RANGE(s, out_claims, out_queued);
	return alz_call(fd, ASYNCLAZY_IOC_STATS, s);
}

/*
 * A client with its mappings
 */

/* A part of the client's mappings, or NULL. */
static void *alz_map(const struct alz *a, size_t size, int protection, __u64 offset)
{
	void *p = mmap(NULL, size, protection, MAP_SHARED, a->client, offset);

	return p == MAP_FAILED ? NULL : p;
}

/* Map all that there is of the cache that a->client is of. */
int alz_map_all(struct alz *a)
{
	struct asynclazy_geometry g;
	int err = alz_geometry(a->client, &g);

	if (err)
		return err;
	a->table_size = g.out_table_size;
	a->arena_size = g.out_arena_size;
	a->visited_size = g.out_visited_size;
	a->header = alz_map(a, a->table_size, PROT_READ, ASYNCLAZY_OFF_TABLE);
	a->arena = alz_map(a, a->arena_size, PROT_READ, ASYNCLAZY_OFF_ARENA);
	if (!a->header || !a->arena)
		return -ENOMEM;
	if (!g.out_pins_size)
		return 0;
	a->visited = alz_map(a, a->visited_size, PROT_READ | PROT_WRITE,
			     ASYNCLAZY_OFF_VISITED);
	a->pins = alz_map(a, ASYNCLAZY_PINS_SIZE, PROT_READ | PROT_WRITE, ASYNCLAZY_OFF_PINS);
	return a->visited && a->pins ? 0 : -ENOMEM;
}

/* Attach this process to a cache and map it. @a gets a dup of the cache fd. */
int alz_join(struct alz *a, int cache)
{
	memset(a, 0, sizeof(*a));
	a->client = -1;
	a->cache = fcntl(cache, F_DUPFD_CLOEXEC, 0);
	if (a->cache < 0)
		return -errno;
	a->client = alz_attach(a->cache);
	if (a->client < 0)
		return a->client;
	return alz_map_all(a);
}

/* Join a new cache of this kind; @c is filled but for its size. */
int alz_setup_as(struct alz *a, struct asynclazy_create *c)
{
	int device = alz_device(O_RDWR);
	int err;

	memset(a, 0, sizeof(*a));
	a->client = -1;
	a->cache = -1;
	if (device < 0)
		return device;
	c->size = sizeof(*c);
	alz_untroubled(c);
	ALZ_POISON_RANGE(c, out_fd, out_cache_id);
	err = alz_call(device, ASYNCLAZY_IOC_CREATE, c);
	close(device);
	if (err)
		return err;
	err = alz_join(a, c->out_fd);
	close(c->out_fd);
	return err;
}

/* A new anonymous STABLE cache with this process as its client. */
int alz_setup(struct alz *a, __u64 max_keys, __u64 arena_size)
{
	struct asynclazy_create c = {
		.flags = ASYNCLAZY_CREATE_STABLE,
		.max_keys = max_keys,
		.arena_size = arena_size,
	};

	return alz_setup_as(a, &c);
}

/* The same of one that recycles its arena. */
int alz_setup_evicting(struct alz *a, __u64 max_keys, __u64 arena_size)
{
	struct asynclazy_create c = { .max_keys = max_keys, .arena_size = arena_size };

	return alz_setup_as(a, &c);
}

void alz_unmap(struct alz *a)
{
	if (a->header)
		munmap((void *)a->header, a->table_size);
	if (a->arena)
		munmap((void *)a->arena, a->arena_size);
	if (a->visited)
		munmap(a->visited, a->visited_size);
	if (a->pins)
		munmap((void *)a->pins, ASYNCLAZY_PINS_SIZE);
	a->header = NULL;
	a->arena = NULL;
	a->visited = NULL;
	a->pins = NULL;
}

void alz_leave(struct alz *a)
{
	alz_unmap(a);
	if (a->client >= 0)
		close(a->client);
	if (a->cache >= 0)
		close(a->cache);
	a->client = -1;
	a->cache = -1;
}

/*
 * Client calls
 */

__u64 alz_hash(const struct alz *a, const void *key, size_t size)
{
	return XXH3_64bits_withSeed(key, size, a->header->hash_seed);
}

static __thread char alz_detail[ASYNCLAZY_DETAIL_MAX];

/* The text that the last claim of this thread brought. */
const char *alz_claim_detail(void)
{
	return alz_detail;
}

void alz_claim_fill(const struct alz *a, struct asynclazy_claim *c,
		    const void *key, __u32 key_size, __u32 flags)
{
	memset(c, 0, sizeof(*c));
	c->size = sizeof(*c);
	c->flags = flags;
	c->key = (uintptr_t)key;
	c->key_size = key_size;
	c->hash = alz_hash(a, key, key_size);
	c->detail = (uintptr_t)alz_detail;
	c->detail_size = sizeof(alz_detail);
}

int alz_claim_raw(const struct alz *a, struct asynclazy_claim *c)
{
	memset(alz_detail, ALZ_POISON, sizeof(alz_detail));
	ALZ_POISON_RANGE(c, out_result, out_attempt);
	return alz_call(a->client, ASYNCLAZY_IOC_CLAIM, c);
}

int alz_claim_event(const struct alz *a, const char *key, __u32 flags,
		    __u64 cookie, struct asynclazy_claim *c)
{
	alz_claim_fill(a, c, key, strlen(key), flags);
	c->cookie = cookie;
	return alz_claim_raw(a, c);
}

int alz_claim(const struct alz *a, const char *key, __u32 flags,
	      struct asynclazy_claim *c)
{
	return alz_claim_event(a, key, flags, 0, c);
}

/* The ticket of a key that is EMPTY; 0 if there was none to get. */
__u64 alz_ticket(const struct alz *a, const char *key)
{
	struct asynclazy_claim c;

	if (alz_claim(a, key, INIT, &c) || c.out_result != ASYNCLAZY_RESULT_TICKET)
		return 0;
	return c.out_ticket;
}

/* The fd of a wait on a running flight, or -errno. */
int alz_waitfd(const struct alz *a, const char *key, __u32 flags, __u64 cookie)
{
	struct asynclazy_claim c;
	int err = alz_claim_event(a, key, flags | WAITFD, cookie, &c);

	if (err)
		return err;
	return c.out_result == ASYNCLAZY_RESULT_PENDING ? c.out_fd : -EINVAL;
}

int alz_publish_bytes(const struct alz *a, __u64 ticket, const void *value,
		      __u64 size, __u64 ttl, struct asynclazy_publish *p)
{
	struct asynclazy_publish own;

	if (!p)
		p = &own;
	memset(p, 0, sizeof(*p));
	p->size = sizeof(*p);
	p->ticket = ticket;
	p->value = (uintptr_t)value;
	p->value_size = size;
	p->ttl = ttl;
	ALZ_POISON_RANGE(p, out_generation, out_offset);
	return alz_call(a->client, ASYNCLAZY_IOC_PUBLISH, p);
}

int alz_publish(const struct alz *a, __u64 ticket, const char *value)
{
	return alz_publish_bytes(a, ticket, value, strlen(value), 0, NULL);
}

int alz_fail_raw(const struct alz *a, struct asynclazy_fail *f)
{
	f->size = sizeof(*f);
	ALZ_POISON_RANGE(f, out_kept, out_kept);
	return alz_call(a->client, ASYNCLAZY_IOC_FAIL, f);
}

int alz_fail(const struct alz *a, __u64 ticket, int error, __u32 error_class,
	     __u64 ttl, const char *detail)
{
	struct asynclazy_fail f = {
		.ticket = ticket,
		.error = error,
		.error_class = error_class,
		.ttl = ttl,
		.detail = (uintptr_t)detail,
		.detail_size = detail ? strlen(detail) : 0,
	};

	return alz_fail_raw(a, &f);
}

int alz_abandon(const struct alz *a, __u64 ticket)
{
	struct asynclazy_abandon b = { .size = sizeof(b), .ticket = ticket };

	return alz_call(a->client, ASYNCLAZY_IOC_ABANDON, &b);
}

int alz_cancel(const struct alz *a, __u64 cookie)
{
	struct asynclazy_cancel c = { .size = sizeof(c), .cookie = cookie };

	return alz_call(a->client, ASYNCLAZY_IOC_CANCEL, &c);
}

int alz_fetch(const struct alz *a, __u64 cookie, char *detail, __u32 size,
	      __u32 *out_size)
{
	struct asynclazy_fetch f = {
		.size = sizeof(f),
		.cookie = cookie,
		.detail = (uintptr_t)detail,
		.detail_size = size,
	};
	int err;

	ALZ_POISON_RANGE(&f, out_detail_size, out_detail_size);
	err = alz_call(a->client, ASYNCLAZY_IOC_FETCH, &f);
	*out_size = f.out_detail_size;
	return err;
}

int alz_set_bytes(const struct alz *a, const char *key, const void *value,
		  __u64 size, __u64 ttl, struct asynclazy_set *s)
{
	struct asynclazy_set own;

	if (!s)
		s = &own;
	memset(s, 0, sizeof(*s));
	s->size = sizeof(*s);
	s->key = (uintptr_t)key;
	s->key_size = strlen(key);
	s->hash = alz_hash(a, key, strlen(key));
	s->value = (uintptr_t)value;
	s->value_size = size;
	s->ttl = ttl;
	ALZ_POISON_RANGE(s, out_generation, out_offset);
	return alz_call(a->client, ASYNCLAZY_IOC_SET, s);
}

int alz_set(const struct alz *a, const char *key, const char *value)
{
	return alz_set_bytes(a, key, value, strlen(value), 0, NULL);
}

int alz_invalidate(const struct alz *a, const char *key, __u32 *count)
{
	struct asynclazy_invalidate i = {
		.size = sizeof(i),
		.key = (uintptr_t)key,
		.key_size = strlen(key),
		.hash = alz_hash(a, key, strlen(key)),
	};
	int err;

	ALZ_POISON_RANGE(&i, out_count, out_count);
	err = alz_call(a->client, ASYNCLAZY_IOC_INVALIDATE, &i);
	if (count)
		*count = i.out_count;
	return err;
}

int alz_clear(const struct alz *a, __u64 *count)
{
	struct asynclazy_clear c = { .size = sizeof(c) };
	int err;

	ALZ_POISON_RANGE(&c, out_count, out_count);
	err = alz_call(a->client, ASYNCLAZY_IOC_CLEAR, &c);
	*count = c.out_count;
	return err;
}

/*
 * Values in memfds
 */

/* A memfd with these bytes and seals; @value NULL: zeros, not touched. */
int alz_flight(const struct alz *a, const char *key, struct asynclazy_flight *f)
{
	memset(f, 0, sizeof(*f));
	f->size = sizeof(*f);
	f->key = (uintptr_t)key;
	f->key_size = strlen(key);
	f->hash = alz_hash(a, key, f->key_size);
	ALZ_POISON_RANGE(f, out_owner, out_total);
	return alz_call(a->client, ASYNCLAZY_IOC_FLIGHT, f);
}

int alz_memfd(const void *value, __u64 size, int seals)
{
	int fd = memfd_create("kselftest", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, size) ||
	    (value && size && pwrite(fd, value, size, 0) != (ssize_t)size) ||
	    (seals && fcntl(fd, F_ADD_SEALS, seals))) {
		close(fd);
		return -errno;
	}
	return fd;
}

int alz_publish_memfd(const struct alz *a, __u64 ticket, int fd, __u64 size,
		      __u32 flags, struct asynclazy_publish *p)
{
	struct asynclazy_publish own;

	if (!p)
		p = &own;
	memset(p, 0, sizeof(*p));
	p->size = sizeof(*p);
	p->flags = ASYNCLAZY_VALUE_FD | flags;
	p->ticket = ticket;
	p->value_fd = fd;
	p->value_size = size;
	ALZ_POISON_RANGE(p, out_generation, out_offset);
	return alz_call(a->client, ASYNCLAZY_IOC_PUBLISH, p);
}

int alz_set_memfd(const struct alz *a, const char *key, int fd, __u64 size,
		  struct asynclazy_set *s)
{
	struct asynclazy_set own;

	if (!s)
		s = &own;
	memset(s, 0, sizeof(*s));
	s->size = sizeof(*s);
	s->flags = ASYNCLAZY_VALUE_FD;
	s->key = (uintptr_t)key;
	s->key_size = strlen(key);
	s->hash = alz_hash(a, key, strlen(key));
	s->value_fd = fd;
	s->value_size = size;
	ALZ_POISON_RANGE(s, out_generation, out_offset);
	return alz_call(a->client, ASYNCLAZY_IOC_SET, s);
}

/* A descriptor of the memfd of a generation, or -errno. */
int alz_memfd_of(const struct alz *a, __u64 generation, __u64 *size)
{
	struct asynclazy_value v = { .size = sizeof(v), .generation = generation };
	int err;

	ALZ_POISON_RANGE(&v, out_fd, out_fd);
	ALZ_POISON_RANGE(&v, out_value_size, out_value_size);
	err = alz_call(a->client, ASYNCLAZY_IOC_MEMFD, &v);
	if (size)
		*size = v.out_value_size;
	return err ? err : v.out_fd;
}
