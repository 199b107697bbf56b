// SPDX-License-Identifier: GPL-2.0-only
/*
 * BATCH: many calls in one, for those who begin or cancel many waits at a time. Each is
 * made as if it came alone, so nothing else has to know.
 */
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "call.h"
#include "internal.h"

/* One of them. Return: 0; -EFAULT: it could not be read or told, and was not made. */
static int alz_batch_one(struct file *file, struct asynclazy_call __user *at)
{
	struct asynclazy_call one;
	int err;

	/* what could not be told of is not done */
	if (copy_from_user(&one, at, sizeof(one)) || put_user(0, &at->out_error))
		return -EFAULT;
	err = -ENOTTY;
	if (one.cmd != ASYNCLAZY_IOC_BATCH)
		err = alz_process_ioctl(file, one.cmd, one.arg);
	/* nobody restarts it */
	if (err == -ERESTARTSYS)
		err = -EINTR;
	/* it was made: if this fails now, its own struct tells */
	if (err)
		err = put_user(-err, &at->out_error);
	return 0;
}

/** alz_call_batch() - BATCH */
int alz_call_batch(struct alz_call *call)
{
	struct asynclazy_batch *b = call->arg;
	struct asynclazy_call __user *at = u64_to_user_ptr(b->calls);
	u32 i;

	if (b->flags || !b->count || b->count > ASYNCLAZY_CALLS_PER_BATCH ||
	    ALZ_RESERVED_SET(b->reserved))
		return -EINVAL;
	for (i = 0; i < b->count; i++) {
		if (i && signal_pending(current))
			break;
		if (alz_batch_one(call->file, &at[i])) {
			if (!i)
				return -EFAULT;
			break;
		}
		cond_resched();
	}
	b->out_done = i;
	return 0;
}
