// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* What kmod/core/os.h asks for, in user space: memory, and waking. */
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "local.h"

void *alz_os_pages_alloc(u64 size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void alz_os_pages_free(void *p, u64 size)
{
	munmap(p, size);
}

/** alz_local_arena_new() - address space for all segments, without memory */
void *alz_local_arena_new(u64 size)
{
	void *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/*
 * Segments lie one behind the other in address space that was reserved for all
 * of them, so that readers find a record at arena + offset. Two may ask for
 * the same segment at once: both get it.
 */
void *alz_os_segment_alloc(void *arena, u32 index, u64 size)
{
	struct alz_local_core *shared = arena;
	char *p = shared->arena + index * size;

	return mprotect(p, size, PROT_READ | PROT_WRITE) ? NULL : p;
}

/* The address space goes as a whole; a segment may be another's too, see above. */
void alz_os_segment_free(void *arena, u32 index, void *p, u64 size)
{
	(void)arena;
	(void)index;
	(void)p;
	(void)size;
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
