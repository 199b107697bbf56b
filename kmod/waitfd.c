// SPDX-License-Identifier: GPL-2.0-only
/*
 * Per-wait descriptors: readable once the wait has ended, with EPOLLERR if it
 * failed, and from then on for ever. Closing one early is cancelling.
 */
#include <linux/anon_inodes.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/mm.h>
#include <linux/uio.h>

#include "internal.h"

static u8 alz_waitfd_state(struct alz_waitfd *wf)
{
	/* pairs with alz_os_store_state() */
	return smp_load_acquire(&wf->waiter.state);
}

static __poll_t alz_waitfd_poll(struct file *file, poll_table *pt)
{
	struct alz_waitfd *wf = file->private_data;
	struct alz_answer answer;

	/* as in alz_process_poll(): on the queue first, then look */
	poll_wait(file, &wf->wait, pt);
	switch (alz_waitfd_state(wf)) {
	case ALZ_WAITING:
		return 0;
	case ALZ_ORPHAN:
		return EPOLLIN | EPOLLRDNORM | EPOLLERR | EPOLLHUP;
	default:
		alz_wait_fd_answer(&wf->shared->core, &wf->waiter, false, &answer);
		if (answer.result == ASYNCLAZY_RESULT_FAILED)
			return EPOLLIN | EPOLLRDNORM | EPOLLERR;
		return EPOLLIN | EPOLLRDNORM;
	}
}

static ssize_t alz_waitfd_copy(struct alz_waitfd *wf, struct iov_iter *to)
{
	struct asynclazy_event event = {
		.cookie = wf->waiter.cookie,
		.cache_id = wf->shared->id,
	};
	struct alz_answer answer;
	size_t detail;
	bool before;

	/* from here on the reader knows of the ticket, and has to end it */
	before = alz_wait_fd_answer(&wf->shared->core, &wf->waiter, true, &answer);
	if (answer.result == ASYNCLAZY_RESULT_PENDING)
		return alz_waitfd_state(wf) == ALZ_ORPHAN ? -EOWNERDEAD : -EAGAIN;
	event.result = answer.result;
	event.error = answer.error;
	event.generation = answer.generation;
	event.offset = answer.offset;
	event.ticket = answer.ticket;
	event.attempt = answer.attempt;
	event.detail_size = answer.detail_size;
	if (copy_to_iter(&event, sizeof(event), to) != sizeof(event)) {
		if (!before)
			alz_wait_fd_untold(&wf->shared->core, &wf->waiter);
		return -EFAULT;
	}
	detail = min_t(size_t, event.detail_size, iov_iter_count(to));
	return sizeof(event) + copy_to_iter(answer.detail, detail, to);
}

static ssize_t alz_waitfd_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct alz_waitfd *wf = iocb->ki_filp->private_data;
	bool nowait = iocb->ki_flags & IOCB_NOWAIT || iocb->ki_filp->f_flags & O_NONBLOCK;
	ssize_t ret;

	if (wf->mm != current->mm)
		return -EOWNERDEAD;
	if (iov_iter_count(to) < sizeof(struct asynclazy_event))
		return -EINVAL;
	for (;;) {
		/* -EAGAIN: not yet, or an offer came and went */
		ret = alz_waitfd_copy(wf, to);
		if (ret != -EAGAIN || nowait)
			return ret;
		ret = wait_event_interruptible(wf->wait, alz_waitfd_state(wf) != ALZ_WAITING);
		if (ret)
			return ret;
	}
}

static int alz_waitfd_release(struct inode *inode, struct file *file)
{
	struct alz_waitfd *wf = file->private_data;

	if (wf->registered)
		alz_wait_fd_close(&wf->shared->core, &wf->waiter);
	alz_shared_put(wf->shared);
	mmdrop(wf->mm);
	kfree(wf);
	return 0;
}

static const struct file_operations alz_waitfd_fops = {
	.owner = THIS_MODULE,
	.poll = alz_waitfd_poll,
	.read_iter = alz_waitfd_read_iter,
	.release = alz_waitfd_release,
	.llseek = noop_llseek,
};

/**
 * alz_waitfd_file() - a descriptor for a wait that is yet to be registered
 * @process: whose wait
 * @waitfd: its object, owned by the file
 *
 * Return: the file; ERR_PTR.
 */
struct file *alz_waitfd_file(struct alz_process *process, struct alz_waitfd **waitfd)
{
	struct alz_waitfd *wf = kzalloc(sizeof(*wf), GFP_KERNEL_ACCOUNT);
	struct file *file;

	if (!wf)
		return ERR_PTR(-ENOMEM);
	init_waitqueue_head(&wf->wait);
	wf->waiter.os = &wf->wait;
	wf->shared = process->shared;
	wf->mm = process->mm;
	file = anon_inode_getfile("[asynclazy-wait]", &alz_waitfd_fops, wf, O_RDONLY);
	if (IS_ERR(file)) {
		kfree(wf);
		return file;
	}
	alz_shared_get(wf->shared);
	mmgrab(wf->mm);
	file->f_mode |= FMODE_NOWAIT;
	*waitfd = wf;
	return file;
}
