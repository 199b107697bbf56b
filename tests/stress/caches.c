// SPDX-License-Identifier: GPL-2.0-only
/*
 * One cache is STABLE and fills; the other one evicts. They are replaced when it is
 * full, or has evicted enough, or when the ledger is full, with workers still inside
 * the old ones. Some of those the parent keeps open, to see that nothing is left in
 * them once the last worker is out; the others are destroyed when the last worker
 * leaves, which is mostly by being killed.
 */
#include "storm.h"

#include <sys/wait.h>

#define EVICTIONS_ENOUGH	200	/* until an evicting cache is replaced */

static struct {
	int fd;
	__u64 serial;
	__u32 ledger;
	__u64 arena_size;
} live[CACHES];

static struct {
	bool used;
	bool retired;
	int fd;			/* of a retired one that is kept, or -1 */
	__u64 serial;
} books[LEDGERS];

static int device;
static __u64 last_serial;

__u64 cache_made(void)
{
	return last_serial;
}

static void cache_name(char *name, __u64 serial)
{
	sprintf(name, "storm-%llu", serial);
}

static bool cache_make(unsigned int i)
{
	struct asynclazy_create c = {
		.size = sizeof(c),
		.flags = (i ? 0 : ASYNCLAZY_CREATE_STABLE) | ASYNCLAZY_CREATE_EXCLUSIVE,
		.max_keys = storm->keys + 16,
		/* large values in the one; the other is full all the time */
		.arena_size = i ? 256 << 10 : 2 << 20,
		.segment_size = i ? 64 << 10 : 1 << 20,
		.accept = 20 * ALZ_MSEC,
		.max_inits = i ? 0 : 24,
		.backoff = ALZ_MSEC,
		.backoff_max = 10 * ALZ_MSEC,
		/* the other one hands over, however many have died */
		.max_deaths = i ? 3 : UINT32_MAX,
		.breaker = ALZ_MSEC,
		/* values of the one are made anew all the time */
		.ttl = i ? 20 * ALZ_MSEC : 0,
		.stale_ttl = i ? 10 * ALZ_SEC : 0,
		.soft_lease = i ? 30 * ALZ_MSEC : 0,
		.hard_lease = i ? 60 * ALZ_MSEC : 0,
		.words = 64,
	};
	char name[64];
	__u32 book = 0;
	int err;

	while (book < LEDGERS && books[book].used)
		book++;
	if (book == LEDGERS)
		return false;
	/* forget what was in the ledger */
	if (madvise(&storm->ledgers[book], sizeof(struct ledger), MADV_REMOVE))
		abort();
	cache_name(name, ++last_serial);
	c.name = (uintptr_t)name;
	c.name_size = strlen(name);
	err = alz_call(device, ASYNCLAZY_IOC_CREATE, &c);
	if (err) {
		wrong(WRONG_ANSWER, "creating a cache: %s", strerror(-err));
		return false;
	}
	books[book].used = true;
	books[book].retired = false;
	live[i].fd = c.out_fd;
	live[i].serial = last_serial;
	live[i].ledger = book;
	live[i].arena_size = c.arena_size;
	storm->caches[i].full = false;
	storm->caches[i].now = last_serial << 8 | book;
	return true;
}

/* What went to make room in a cache that is about to go. */
static void cache_count(int fd)
{
	struct asynclazy_stats s;

	if (alz_stats(fd, &s))
		abort();
	storm->totals.evictions += s.out_evictions;
	storm->totals.refreshes += s.out_refreshes;
	storm->totals.revoked += s.out_revoked;
	storm->totals.unaccepted += s.out_unaccepted;
	storm->totals.broken += s.out_broken;
	storm->totals.extends += s.out_extends;
	storm->totals.reinsertions += s.out_reinsertions;
}

static bool cache_replace(unsigned int i)
{
	__u32 book = live[i].ledger;
	__u64 serial = live[i].serial;
	int fd = live[i].fd;
	char name[64];

	if (!cache_make(i))
		return false;
	cache_name(name, serial);
	if (alz_unlink(device, name))
		wrong(WRONG_ANSWER, "cache %llu: its name is gone", serial);
	cache_count(fd);
	books[book].retired = true;
	books[book].serial = serial;
	books[book].fd = fd;
	if (rnd(2)) {
		close(fd);
		books[book].fd = -1;
	}
	return true;
}

void cache_start(int fd)
{
	unsigned int i;

	device = fd;
	for (i = 0; i < CACHES; i++)
		if (!cache_make(i))
			abort();
}

/* Nobody is in it, or the dead only: what they leave. */
static void cache_empty(int fd, __u64 serial, __u64 clients, const char *when)
{
	struct asynclazy_stats s;

	if (alz_stats(fd, &s))
		abort();
	if (s.out_clients > clients || s.out_tickets_now || s.out_waits_now ||
	    s.out_initializing || s.out_queued || s.out_held)
		wrong(WRONG_LEFT, "cache %llu, %s: %llu clients (of %llu), %llu tickets, %llu waits, %llu keys in the making, %llu queued, %llu held are left",
		      serial, when, s.out_clients, clients, s.out_tickets_now, s.out_waits_now,
		      s.out_initializing, s.out_queued, s.out_held);
}

/*
 * With all of them dead: fill it, so that it looks for pins, of which none may hold anything;
 * then take all keys away, and no memfd may be there.
 */
static void cache_drain(unsigned int i)
{
	static const char value[4000];
	struct asynclazy_stats was, s;
	struct alz a;
	__u64 n;
	int err;

	if (alz_stats(live[i].fd, &was))
		abort();
	err = alz_join(&a, live[i].fd);
	for (n = 0; !err && i && n < 2 * live[i].arena_size / sizeof(value); n++)
		err = alz_set_bytes(&a, "drain", value, sizeof(value), 0, NULL);
	err = err ?: alz_clear(&a, &n);
	if (err)
		wrong(WRONG_ANSWER, "cache %llu: cannot be drained: %s", live[i].serial,
		      strerror(-err));
	if (alz_stats(live[i].fd, &s))
		abort();
	if (i && s.out_reclaims == was.out_reclaims)
		wrong(WRONG_ANSWER, "cache %llu has not looked for pins", live[i].serial);
	if (s.out_pins_now || s.out_segments_held || s.out_keys || s.out_memfds ||
	    s.out_memfd_bytes)
		wrong(WRONG_LEFT, "cache %llu, drained: %llu pins, %llu segments held, %llu keys, %llu memfds of %llu bytes are left",
		      live[i].serial, s.out_pins_now, s.out_segments_held, s.out_keys,
		      s.out_memfds, s.out_memfd_bytes);
	alz_leave(&a);
}

static __u64 cache_members(__u32 book, unsigned int *cache)
{
	__u64 n = 0;
	__u32 i, c;

	for (i = 0; i < SLOTS_MAX; i++)
		for (c = 0; c < CACHES; c++)
			if (storm->slots[i].in[c] == book + 1) {
				*cache = c;
				n++;
			}
	return n;
}

/* Let go of retired caches that nobody is in any more. Return: still there. */
static unsigned int cache_settle(void)
{
	unsigned int left = 0, c;
	__u32 book;

	for (book = 0; book < LEDGERS; book++) {
		if (!books[book].used || !books[book].retired)
			continue;
		if (cache_members(book, &c)) {
			left++;
			continue;
		}
		if (books[book].fd >= 0) {
			cache_empty(books[book].fd, books[book].serial, 0, "retired and left");
			close(books[book].fd);
		}
		books[book].used = false;
	}
	return left;
}

static bool cache_worn(unsigned int i)
{
	const struct ledger *l = &storm->ledgers[live[i].ledger];
	struct asynclazy_stats s;

	if (alz_stats(live[i].fd, &s))
		abort();
	return (i ? s.out_evictions > EVICTIONS_ENOUGH :
		s.out_arena_used > live[i].arena_size / 5 * 4) || l->values > VALUES / 2 ||
		3 * s.out_tickets + s.out_sets + s.out_invalidates > NUMBERS / 2;
}

/* Now and then: replace what is worn out. */
void cache_tick(void)
{
	unsigned int i;

	cache_settle();
	for (i = 0; i < CACHES; i++)
		if (cache_worn(i) && !cache_replace(i))
			storm->caches[i].full = true;
}

/* Between rounds, with all workers dead. */
void cache_replace_all(void)
{
	__u64 until = alz_now() + ALZ_SOON_MS * ALZ_MSEC;
	struct timespec t = { .tv_nsec = ALZ_MSEC };
	struct asynclazy_info info;
	unsigned int i;
	int err;

	for (i = 0; i < CACHES; i++)
		if (!cache_replace(i))
			wrong(WRONG_LEFT, "no room for another cache");
	if (cache_settle())
		wrong(WRONG_LEFT, "a retired cache still has members, and all are dead");
	/* orphans of a fork may be on their way out */
	while (!(err = alz_info(&info)) && info.out_caches_used != CACHES && alz_now() < until)
		nanosleep(&t, NULL);
	if (err)
		wrong(WRONG_ANSWER, "INFO: %s", strerror(-err));
	else if (info.out_caches_used != CACHES)
		wrong(WRONG_LEFT, "%llu caches are charged, %u are there", info.out_caches_used,
		      CACHES);
}

/* All is quiet: @attached: the workers live, and have nothing left to do. */
void cache_calm(bool attached)
{
	unsigned int i, c;

	for (i = 0; i < CACHES; i++)
		cache_empty(live[i].fd, live[i].serial,
			    attached ? cache_members(live[i].ledger, &c) : 0,
			    attached ? "calm" : "all killed");
	for (i = 0; i < CACHES && !attached; i++)
		cache_drain(i);
	cache_settle();
}

void cache_stop(void)
{
	__u64 until = alz_now() + ALZ_SOON_MS * ALZ_MSEC;
	struct timespec t = { .tv_nsec = ALZ_MSEC };
	struct asynclazy_info info;
	char name[64];
	unsigned int i;
	int err;

	for (i = 0; i < CACHES; i++) {
		cache_name(name, live[i].serial);
		alz_unlink(device, name);
		cache_count(live[i].fd);
		close(live[i].fd);
	}
	for (i = 0; i < LEDGERS; i++)
		if (books[i].used && books[i].retired && books[i].fd >= 0)
			close(books[i].fd);
	while (!(err = alz_info(&info)) && info.out_caches_used && alz_now() < until)
		nanosleep(&t, NULL);
	if (err)
		wrong(WRONG_ANSWER, "INFO: %s", strerror(-err));
	else if (info.out_caches_used || info.out_bytes_used)
		wrong(WRONG_LEFT, "%llu caches with %llu bytes are charged at the end",
		      info.out_caches_used, info.out_bytes_used);
	close(device);
}

/*
 * For workers
 */

/* Whether a worker is in a cache that was replaced. */
bool cache_retired(const struct slot *s, unsigned int index)
{
	__u32 in = s->in[index];

	return in && in - 1 != (storm->caches[index].now & 0xff);
}

/* Sign into the cache of today. The ledger is kept for as long as we are in. */
bool cache_enter(struct view *v, char *name)
{
	__u64 now = storm->caches[v->index].now;

	self.me->in[v->index] = (now & 0xff) + 1;
	/* the parent looks at who is in after it has replaced it */
	if (storm->caches[v->index].now != now)
		return false;
	v->serial = now >> 8;
	v->ledger = &storm->ledgers[now & 0xff];
	memset(v->last, 0, sizeof(v->last));
	cache_name(name, v->serial);
	return true;
}

bool cache_moved(const struct view *v)
{
	return storm->caches[v->index].now >> 8 != v->serial;
}

void cache_leave(struct view *v)
{
	self.me->in[v->index] = 0;
	v->ledger = NULL;
}
