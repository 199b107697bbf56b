// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clients: one attachment of one process to one cache.
 *
 * A client lives as long as the mm that attached: it dies when that mm goes
 * (exit of the last thread, a kill, exec), whoever still holds the descriptor,
 * and when the last descriptor and mapping go. An mmu notifier's release is
 * called first thing when an mm is torn down, before its pages are unmapped,
 * so that the hand-over does not wait for a large owner to be taken apart.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/poll.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>
#include <linux/uio.h>
#include <linux/vmalloc.h>
#include <linux/wait_bit.h>

#include "call.h"
#include "internal.h"

#define ALZ_READ_BATCH	16

/**
 * alz_process_check() - whether the caller is the client
 * @process: the client
 *
 * The notifier counts process->mm, so that no other mm can have its address.
 *
 * Return: 0; -EOWNERDEAD: attach again.
 */
int alz_process_check(const struct alz_process *process)
{
	return process->mm == current->mm ? 0 : -EOWNERDEAD;
}

static void alz_notifier_release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	struct alz_process *process = container_of(notifier, struct alz_process, notifier);

	alz_client_die(&process->core);
}

/* Attachments that were let go but not freed yet: the module may not go. */
static atomic_t alz_leaving;

/** alz_process_flush() - wait until all that was let go is freed */
void alz_process_flush(void)
{
	wait_var_event(&alz_leaving, !atomic_read(&alz_leaving));
}

/* The only way out for an attachment whose notifier was registered. */
static void alz_process_leave(struct alz_process *process)
{
	alz_client_detach(&process->core);
	alz_shared_put(process->shared);
	atomic_inc(&alz_leaving);
	mmu_notifier_put(&process->notifier);
}

static void alz_process_free(struct alz_process *process)
{
	put_pid(process->pid);
	vfree(process->pins);
	vfree(process->held);
	kfree(process);
}

static void alz_process_free_work(struct work_struct *work)
{
	struct alz_process *process = container_of(work, struct alz_process, free_work);

	kref_put(&process->shared->refs, alz_shared_release);
	alz_process_free(process);
	if (atomic_dec_and_test(&alz_leaving))
		wake_up_var(&alz_leaving);
}

/* After a grace period: no release callback can be running any more. */
static void alz_notifier_free(struct mmu_notifier *notifier)
{
	struct alz_process *process = container_of(notifier, struct alz_process, notifier);

	queue_work(alz_free_wq, &process->free_work);
}

static const struct mmu_notifier_ops alz_notifier_ops = {
	.release = alz_notifier_release,
	.free_notifier = alz_notifier_free,
};

static int alz_process_release(struct inode *inode, struct file *file)
{
	alz_process_leave(file->private_data);
	return 0;
}

static bool alz_process_ready(struct alz_process *process)
{
	return READ_ONCE(process->core.ready.next) != &process->core.ready ||
	       READ_ONCE(process->core.dead);
}

/*
 * The race that this has to win:
 *
 *	poll                            an initialisation ends
 *	poll_wait(): on process->wait   event on core.ready (cache lock)
 *	look at core.ready              wake process->wait
 *
 * Both sides write before they look or wake, and the wait queue's lock orders
 * them, so either the look sees the event or the wake sees the poller. The
 * state is a level: it stays readable until the events are read.
 */
static __poll_t alz_process_poll(struct file *file, poll_table *pt)
{
	struct alz_process *process = file->private_data;

	poll_wait(file, &process->wait, pt);
	if (READ_ONCE(process->core.dead))
		return EPOLLIN | EPOLLRDNORM | EPOLLERR | EPOLLHUP;
	return alz_process_ready(process) ? EPOLLIN | EPOLLRDNORM : 0;
}

/* Copy out events until the buffer is full or none is left. */
static ssize_t alz_process_read_events(struct alz_process *process, struct iov_iter *to)
{
	struct asynclazy_event events[ALZ_READ_BATCH];
	size_t total = 0;

	for (;;) {
		size_t room = iov_iter_count(to) / sizeof(events[0]);
		size_t bytes;
		u32 n;

		if (!room)
			return total;
		n = alz_events_copy(&process->core, events, min_t(size_t, room, ALZ_READ_BATCH));
		if (!n)
			return total;
		bytes = n * sizeof(events[0]);
		if (copy_to_iter(events, bytes, to) != bytes) {
			alz_events_done(&process->core, false);
			return total ? total : -EFAULT;
		}
		alz_events_done(&process->core, true);
		total += bytes;
	}
}

static ssize_t alz_process_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct alz_process *process = iocb->ki_filp->private_data;
	bool nowait = iocb->ki_flags & IOCB_NOWAIT || iocb->ki_filp->f_flags & O_NONBLOCK;
	ssize_t ret;

	ret = alz_process_check(process);
	if (ret)
		return ret;
	if (iov_iter_count(to) < sizeof(struct asynclazy_event))
		return -EINVAL;
	for (;;) {
		if (nowait && !mutex_trylock(&process->read_lock))
			return -EAGAIN;
		if (!nowait && mutex_lock_interruptible(&process->read_lock))
			return -ERESTARTSYS;
		alz_events_release(&process->core);
		ret = alz_process_read_events(process, to);
		mutex_unlock(&process->read_lock);
		if (ret)
			return ret;
		if (nowait)
			return -EAGAIN;
		/* not while its own thread is here: would be a bug of ours */
		if (WARN_ON_ONCE(READ_ONCE(process->core.dead)))
			return -EOWNERDEAD;
		ret = wait_event_interruptible(process->wait, alz_process_ready(process));
		if (ret)
			return ret;
	}
}

static int alz_call_geometry(struct alz_call *call)
{
	struct alz_process *process = call->file->private_data;

	return alz_geometry_fill(process->shared, process->access, call->arg);
}

static int alz_call_stats(struct alz_call *call)
{
	struct alz_process *process = call->file->private_data;

	return alz_stats_fill(process->shared, call->arg);
}

static const struct alz_call_entry alz_process_calls[] = {
	ALZ_CALL(ASYNCLAZY_IOC_GEOMETRY, asynclazy_geometry, reserved, alz_call_geometry),
	ALZ_CALL(ASYNCLAZY_IOC_STATS, asynclazy_stats, reserved, alz_call_stats),
	ALZ_CALL(ASYNCLAZY_IOC_CLAIM, asynclazy_claim, reserved, alz_call_claim),
	ALZ_CALL(ASYNCLAZY_IOC_PUBLISH, asynclazy_publish, reserved, alz_call_publish),
	ALZ_CALL(ASYNCLAZY_IOC_FAIL, asynclazy_fail, reserved, alz_call_fail),
	ALZ_CALL(ASYNCLAZY_IOC_ABANDON, asynclazy_abandon, reserved, alz_call_abandon),
	ALZ_CALL(ASYNCLAZY_IOC_CANCEL, asynclazy_cancel, reserved, alz_call_cancel),
	ALZ_CALL(ASYNCLAZY_IOC_FETCH, asynclazy_fetch, reserved, alz_call_fetch),
	ALZ_CALL(ASYNCLAZY_IOC_SET, asynclazy_set, reserved, alz_call_set),
	ALZ_CALL(ASYNCLAZY_IOC_INVALIDATE, asynclazy_invalidate, reserved, alz_call_invalidate),
	ALZ_CALL(ASYNCLAZY_IOC_CLEAR, asynclazy_clear, reserved, alz_call_clear),
	ALZ_CALL(ASYNCLAZY_IOC_MEMFD, asynclazy_value, reserved, alz_call_memfd),
	ALZ_CALL(ASYNCLAZY_IOC_EXTEND, asynclazy_extend, reserved, alz_call_extend),
	ALZ_CALL(ASYNCLAZY_IOC_FLIGHT, asynclazy_flight, reserved, alz_call_flight),
	ALZ_CALL(ASYNCLAZY_IOC_EXPIRE, asynclazy_expire, reserved, alz_call_expire),
	ALZ_CALL(ASYNCLAZY_IOC_WAIT, asynclazy_wait, reserved, alz_call_wait),
	ALZ_CALL(ASYNCLAZY_IOC_WAKE, asynclazy_wake, reserved, alz_call_wake),
	ALZ_CALL(ASYNCLAZY_IOC_BATCH, asynclazy_batch, reserved, alz_call_batch),
};

/** alz_process_ioctl() - a call of a client; also those that BATCH makes */
long alz_process_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	int err = alz_process_check(file->private_data);

	if (err)
		return err;
	return alz_call_dispatch(file, cmd, arg, alz_process_calls,
				 ARRAY_SIZE(alz_process_calls));
}

static void alz_process_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct alz_process *process = file->private_data;

	seq_printf(m, "asynclazy-cache:\t%llu\n", process->shared->id);
	seq_printf(m, "asynclazy-dead:\t%d\n", READ_ONCE(process->core.dead));
	seq_printf(m, "asynclazy-tickets:\t%llu\n", READ_ONCE(process->core.nr_tickets));
	seq_printf(m, "asynclazy-waits:\t%llu\n", READ_ONCE(process->core.nr_waits));
}

static const struct file_operations alz_process_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = alz_process_ioctl,
	.mmap = alz_process_mmap,
	.get_unmapped_area = thp_get_unmapped_area,
	.poll = alz_process_poll,
	.read_iter = alz_process_read_iter,
	.release = alz_process_release,
	.show_fdinfo = alz_process_show_fdinfo,
	.llseek = noop_llseek,
};

/** alz_process_lock_id() - what the client writes to its locks; @file is an attachment's */
u32 alz_process_lock_id(const struct file *file)
{
	const struct alz_process *process = file->private_data;

	return process->core.lock_id;
}

/* The pages that the client writes to, and the kernel reads when it dies. */
static bool alz_process_pages(struct alz_process *process)
{
	struct alz_cache *cache = &process->shared->core;

	if (!cache->arena.stable) {
		process->pins = alz_os_pages_alloc(ASYNCLAZY_PINS_SIZE);
		if (!process->pins)
			return false;
		process->core.pins = process->pins;
		process->core.nr_pins = ASYNCLAZY_PINS_SIZE / sizeof(u64);
	}
	if (cache->nr_words) {
		process->held = alz_os_pages_alloc(ASYNCLAZY_HELD_SIZE);
		if (!process->held)
			return false;
		process->core.held = process->held;
		process->core.nr_held = ASYNCLAZY_HELD_SIZE / sizeof(u32);
	}
	return true;
}

/**
 * alz_process_attach() - make current's process a client of a cache
 * @shared: counted for the file on success
 * @access: FMODE_READ, with FMODE_WRITE or without
 *
 * Return: the client fd's file; ERR_PTR.
 */
struct file *alz_process_attach(struct alz_shared *shared, fmode_t access)
{
	struct alz_process *process;
	struct file *file;
	int err;

	process = kzalloc(sizeof(*process), GFP_KERNEL_ACCOUNT);
	if (!process)
		return ERR_PTR(-ENOMEM);
	process->shared = shared;
	process->access = access & (FMODE_READ | FMODE_WRITE);
	process->mm = current->mm;
	process->pid = get_pid(task_tgid(current));
	process->core.os = process;
	process->core.max_waits = READ_ONCE(alz_max_waits);
	process->core.max_tickets = READ_ONCE(alz_max_tickets);
	process->notifier.ops = &alz_notifier_ops;
	init_waitqueue_head(&process->wait);
	mutex_init(&process->read_lock);
	INIT_WORK(&process->free_work, alz_process_free_work);
	if (!alz_process_pages(process)) {
		alz_process_free(process);
		return ERR_PTR(-ENOMEM);
	}
	alz_shared_get(shared);
	kref_get(&shared->refs);
	alz_client_attach(&process->core, &shared->core);

	/* from here on alz_notifier_free() frees it */
	err = mmu_notifier_register(&process->notifier, current->mm);
	if (err) {
		alz_client_detach(&process->core);
		alz_shared_put(shared);
		kref_put(&shared->refs, alz_shared_release);
		alz_process_free(process);
		return ERR_PTR(err);
	}
	/* also who only reads has pins to write: what it may do is in ->access */
	file = anon_inode_getfile("[asynclazy-client]", &alz_process_fops, process, O_RDWR);
	if (IS_ERR(file)) {
		alz_process_leave(process);
		return file;
	}
	err = alz_map_attach(shared, file);
	if (err) {
		fput(file);
		return ERR_PTR(err);
	}
	file->f_mode |= FMODE_NOWAIT;
	return file;
}
