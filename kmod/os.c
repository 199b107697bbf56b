// SPDX-License-Identifier: GPL-2.0-only
/* The parts of core/os.h that are more than one line in the kernel. */
#include <linux/poll.h>
#include <linux/vmalloc.h>

#include "internal.h"

/*
 * Charged to the cgroup of the caller, like all memory of a cache. Users choose
 * the size: rather fail than have the OOM killer make room.
 */
void *alz_os_pages_alloc(u64 size)
{
	return __vmalloc(size, GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN |
			 __GFP_RETRY_MAYFAIL);
}

void alz_os_pages_free(void *p, u64 size)
{
	vfree(p);
}

void *alz_os_segment_alloc(void *arena, u32 index, u64 size)
{
	return alz_os_pages_alloc(size);
}

void alz_os_segment_free(void *arena, u32 index, void *p, u64 size)
{
	alz_os_pages_free(p, size);
}

/* What poll says of a wait that is over: io_uring takes it from the wake. */
static __poll_t alz_wait_events(const struct alz_waiter *w)
{
	__poll_t events = EPOLLIN | EPOLLRDNORM;

	if (w->state == ALZ_ORPHAN)
		events |= EPOLLERR | EPOLLHUP;
	else if (w->state == ALZ_ENDED && w->flight->result == ASYNCLAZY_RESULT_FAILED)
		events |= EPOLLERR;
	return events;
}

/* w->os is a wait queue: of a blocked call, or of a per-wait fd. */
void alz_os_wake(struct alz_waiter *w)
{
	wake_up_poll(w->os, alz_wait_events(w));
}

void alz_os_ready(struct alz_client *client, bool more)
{
	struct alz_process *process = client->os;
	__poll_t events = EPOLLIN | EPOLLRDNORM;

	if (client->dead)
		events |= EPOLLERR | EPOLLHUP;
	if (more)
		wake_up_poll(&process->wait, events);
}
