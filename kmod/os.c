// SPDX-License-Identifier: GPL-2.0-only
/* The parts of core/os.h that are more than one line in the kernel. */
#include <linux/file.h>
#include <linux/memcontrol.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/poll.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/smp.h>
#include <linux/tick.h>
#include <linux/uaccess.h>

#include "internal.h"

/* Charged to who made the cache, whoever fills it; @arena is an alz_shared. */
void *alz_os_segment_alloc(void *arena, u32 index, u64 size)
{
	struct alz_shared *shared = arena;
	struct mem_cgroup *old = set_active_memcg(shared->memcg);
	void *p = alz_os_pages_alloc(size);

	set_active_memcg(old);
	return p;
}

void alz_os_segment_free(void *arena, u32 index, void *p, u64 size)
{
	alz_os_pages_free(p, size);
}

/*
 * With map_lock nobody is between looking a page up and mapping or locking it; from
 * then on the lookup finds nothing: see alz_arena_fault().
 */
void alz_os_segment_release(void *arena, u32 index, void *p, u64 size, void **memory)
{
	struct alz_shared *shared = arena;

	down_write(&shared->map_lock);
	WRITE_ONCE(*memory, NULL);
	if (alz_pages_joined(size))
		alz_pages_settle(p, size);
	unmap_mapping_range(&shared->mapping, ASYNCLAZY_OFF_ARENA + index * size, size, 1);
	up_write(&shared->map_lock);
	alz_os_pages_free(p, size);
}

static void alz_barrier_ipi(void *unused)
{
	/* pairs with a reader's pin, stored before its second look at the slot */
	smp_mb();
}

/*
 * A grace period is a barrier on every CPU: each has been through the scheduler,
 * a tick in user space, or idle. But for CPUs that run user space without a tick.
 */
void alz_os_barrier(bool urgent)
{
	if (tick_nohz_full_enabled())
		on_each_cpu(alz_barrier_ipi, NULL, 1);
	else if (urgent)
		synchronize_rcu_expedited();
	else
		synchronize_rcu();
}

void alz_os_reclaim_wanted(struct alz_cache *cache)
{
	struct alz_shared *shared = container_of(cache, struct alz_shared, core);

	queue_work(alz_reclaim_wq, &shared->reclaim_work);
}

void alz_os_deadline(struct alz_cache *cache, u64 at)
{
	struct alz_shared *shared = container_of(cache, struct alz_shared, core);
	u64 now = ktime_get_ns();

	if (at)
		mod_delayed_work(alz_reclaim_wq, &shared->deadline_work,
				 at > now ? nsecs_to_jiffies64(at - now) + 1 : 0);
}

s32 alz_os_client_pid(struct alz_client *client)
{
	struct alz_process *process = client->os;

	return pid_vnr(process->pid);
}

void alz_os_file_put(void *file)
{
	fput(file);
}

/*
 * The caller's own memory, under the lock, so without a fault; in one load, which
 * copy_from_user_nofault() does not promise.
 */
bool alz_os_load_word(const u32 *address, u32 *value)
{
	int err;

	pagefault_disable();
	err = __get_user(*value, (const u32 __user __force *)address);
	pagefault_enable();
	return !err;
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
