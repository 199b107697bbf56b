// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* What kmod/core/os.h asks for, in user space: memory, and waking. */
#include <linux/membarrier.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "local.h"

#define ALZ_HUGE	(2ULL << 20)

/*
 * Address space, aligned such that huge pages fit. In a large table nearly each
 * hit would miss the TLB otherwise.
 */
static void *alz_map_huge(u64 size, int prot, int flags)
{
	u64 slack = size >= ALZ_HUGE ? ALZ_HUGE : 0;
	u64 pages = alz_round_up(size, 4096);
	char *at, *p;

	p = mmap(NULL, pages + slack, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (!slack)
		return p;
	at = p + (-(uintptr_t)p & (ALZ_HUGE - 1));
	/* where the system has no huge pages, or keeps them for others, it is as well */
	madvise(at, pages, MADV_HUGEPAGE);
	if (at + pages != p + pages + slack)
		munmap(at + pages, p + slack - at);
	if (at != p)
		munmap(p, at - p);
	return at;
}

void *alz_os_pages_alloc(u64 size)
{
	return alz_map_huge(size, PROT_READ | PROT_WRITE, 0);
}

void alz_os_pages_free(void *p, u64 size)
{
	munmap(p, size);
}

/** alz_local_arena_new() - address space for all segments, without memory */
void *alz_local_arena_new(u64 size)
{
	return alz_map_huge(size, PROT_NONE, MAP_NORESERVE);
}

/*
 * Segments lie one behind the other in address space that was reserved for all
 * of them, so that readers find a record at arena + offset. Of small ones several
 * share a huge page: each makes all of its pages accessible.
 */
void *alz_os_segment_alloc(void *arena, u32 index, u64 size)
{
	struct alz_local_core *shared = arena;
	u64 all = shared->core.header->arena_size;
	u64 from = index * size;
	u64 to = alz_round_up(from + size, ALZ_HUGE);
	char *p = shared->arena + from;

	from -= from % ALZ_HUGE;
	to = to < all ? to : all;
	return mprotect(shared->arena + from, to - from, PROT_READ | PROT_WRITE) ? NULL : p;
}

/* The address space goes as a whole. */
void alz_os_segment_free(void *arena, u32 index, void *p, u64 size)
{
	(void)arena;
	(void)index;
	(void)p;
	(void)size;
}

void alz_os_segment_release(void *arena, u32 index, void *p, u64 size, void **memory)
{
	(void)arena;
	(void)index;
	*memory = NULL;
	madvise(p, size, MADV_DONTNEED);
}

static int alz_membarrier(int command)
{
	return syscall(__NR_membarrier, command, 0, 0) ? -errno : 0;
}

/** alz_local_barrier_init() - Return: 0, or a negative errno: there are no barriers here */
int alz_local_barrier_init(void)
{
	return alz_membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

/* All threads of this process that run; the others had theirs when they stopped. */
void alz_os_barrier(bool urgent)
{
	(void)urgent;
	/* in a process that has not registered yet, like a forked one */
	if (alz_membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == -EPERM &&
	    !alz_local_barrier_init())
		alz_membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

/*
 * There is no thread of ours: who sleeps in a call, or looks for events, wakes for
 * it. Under the core's lock.
 */
void alz_os_deadline(struct alz_cache *cache, u64 at)
{
	struct alz_local_core *shared = alz_entry(cache, struct alz_local_core, core);
	struct itimerspec time = {
		.it_value = { at / ALZ_NSEC_PER_SEC, at % ALZ_NSEC_PER_SEC },
	};
	struct alz_list *at_client;

	__atomic_store_n(&shared->deadline, at, __ATOMIC_RELAXED);
	/* in a forked child they are the parent's too */
	if (shared->mourning)
		return;
	for (at_client = cache->clients.next; at_client != &cache->clients;
	     at_client = at_client->next) {
		const struct alz_local_client *c = alz_entry(at_client, struct alz_local_client,
							     core.link);

		if (c->timer >= 0)
			timerfd_settime(c->timer, TFD_TIMER_ABSTIME, &time, NULL);
	}
}

s32 alz_os_client_pid(struct alz_client *client)
{
	(void)client;
	return getpid();
}

/* A file is its descriptor, plus one. */
void alz_os_file_put(void *file)
{
	close((int)(intptr_t)file - 1);
}

/* Clearing up in a forked child: who would be told is not here. */
static bool alz_os_mourning(const struct alz_client *client)
{
	const struct alz_local_client *c = client->os;

	return c->shared->mourning;
}

void alz_os_wake(struct alz_waiter *w)
{
	struct alz_local_sleeper *s = w->os;

	if (alz_os_mourning(w->client))
		return;
	if (w->kind == ALZ_WAIT_FD)
		alz_local_wait_wake(w->os);
	else
		pthread_cond_signal(&s->cond);
}

/* The eventfd is a level: readable while there are events. */
void alz_os_ready(struct alz_client *client, bool more)
{
	struct alz_local_client *c = client->os;
	u64 one = 1;
	ssize_t n;

	if (c->fd < 0 || c->signalled == more || alz_os_mourning(client))
		return;
	n = more ? write(c->fd, &one, sizeof(one)) : read(c->fd, &one, sizeof(one));
	if (n == sizeof(one))
		c->signalled = more;
}
