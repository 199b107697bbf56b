// SPDX-License-Identifier: GPL-2.0-only
/* CLAIM in its forms, and taking waits back: CANCEL, FETCH. */
#include <linux/bitops.h>
#include <linux/file.h>
#include <linux/uaccess.h>

#include "call.h"
#include "internal.h"
#include "key.h"

static bool alz_waiter_ended(const struct alz_waiter *w)
{
	/* pairs with alz_os_store_state() */
	return smp_load_acquire(&w->state) != ALZ_WAITING;
}

/**
 * alz_waiter_sleep() - until a BLOCK wait has ended, a signal comes, or the deadline
 * @process: whose
 * @w: registered
 * @wait: what its ->os is
 * @deadline: absolute, 0: none
 * @pin: as for alz_wait_finish()
 * @answer: filled on 0
 *
 * Return: 0, -ETIMEDOUT, -ERESTARTSYS.
 */
int alz_waiter_sleep(struct alz_process *process, struct alz_waiter *w,
		     wait_queue_head_t *wait, u64 deadline, u32 pin,
		     struct alz_answer *answer)
{
	ktime_t timeout = KTIME_MAX;
	int err;

	do {
		if (deadline && deadline < KTIME_MAX)
			timeout = ktime_sub(deadline, ktime_get());
		if (timeout <= 0)
			err = -ETIME;
		else
			err = wait_event_interruptible_hrtimeout(*wait, alz_waiter_ended(w),
								 timeout);
		if (err == -ETIME)
			err = -ETIMEDOUT;
		/* it may have been offered, and the offer have gone on */
		err = alz_wait_finish(&process->core, w, err, pin, answer);
	} while (err == -EAGAIN);
	return err;
}

static void alz_claim_undo(struct alz_call *call)
{
	struct alz_process *process = call->file->private_data;
	struct asynclazy_claim *c = call->arg;

	/* a per-wait fd undoes itself when its file is dropped */
	if (c->out_result == ASYNCLAZY_RESULT_TICKET)
		alz_abandon(&process->core, c->out_ticket);
	if (c->flags & ASYNCLAZY_CLAIM_EVENT &&
	    (c->out_result == ASYNCLAZY_RESULT_PENDING ||
	     (c->out_result == ASYNCLAZY_RESULT_TICKET && c->flags & ASYNCLAZY_CLAIM_FOLLOW)))
		alz_cancel(&process->core, c->cookie);
}

static int alz_claim_answer(struct asynclazy_claim *c, const struct alz_answer *a)
{
	u32 size = min(a->detail_size, c->detail_size);

	c->out_result = a->result;
	c->out_error = a->error;
	c->out_ticket = a->ticket;
	c->out_generation = a->generation;
	c->out_offset = a->offset;
	c->out_attempt = a->attempt;
	c->out_detail_size = a->detail_size;
	if (size && copy_to_user(u64_to_user_ptr(c->detail), a->detail, size))
		return -EFAULT;
	return 0;
}

static int alz_claim_check(const struct alz_process *process,
			   const struct asynclazy_claim *c)
{
	u32 waits = c->flags & ALZ_WAIT_FLAGS;
	u32 follow = ASYNCLAZY_CLAIM_INIT | ASYNCLAZY_CLAIM_EVENT;

	if (c->flags & ~ASYNCLAZY_CLAIM_FLAGS || hweight32(waits) > 1 ||
	    !alz_pin_valid(&process->core, c->pin) || ALZ_RESERVED_SET(c->reserved))
		return -EINVAL;
	if (c->flags & ASYNCLAZY_CLAIM_FOLLOW && (c->flags & follow) != follow)
		return -EINVAL;
	if (c->flags & ASYNCLAZY_CLAIM_REFRESH && !(c->flags & ASYNCLAZY_CLAIM_INIT))
		return -EINVAL;
	if (c->flags & ASYNCLAZY_CLAIM_INIT && !(process->access & FMODE_WRITE))
		return -EACCES;
	return 0;
}

/* FD: the file is made first, so that nothing can fail after the claim. */
static int alz_claim_waitfd(struct alz_call *call, struct alz_claim *claim,
			    struct alz_answer *answer)
{
	struct alz_process *process = call->file->private_data;
	struct asynclazy_claim *c = call->arg;
	struct alz_waitfd *wf;
	struct file *file;
	int err;

	err = alz_call_new_fd(call);
	if (err)
		return err;
	file = alz_waitfd_file(process, &wf);
	if (IS_ERR(file))
		return PTR_ERR(file);
	claim->waiter = &wf->waiter;
	err = alz_claim(&process->core, claim, answer);
	if (err || answer->result != ASYNCLAZY_RESULT_PENDING) {
		fput(file);
		return err;
	}
	wf->registered = true;
	call->new_file = file;
	c->out_fd = call->new_fd;
	return 0;
}

static int alz_claim_block(struct alz_process *process, struct alz_claim *claim,
			   u64 deadline, struct alz_answer *answer)
{
	DECLARE_WAIT_QUEUE_HEAD_ONSTACK(wait);
	struct alz_waiter waiter = { .os = &wait };
	int err;

	claim->waiter = &waiter;
	err = alz_claim(&process->core, claim, answer);
	if (err || answer->result != ASYNCLAZY_RESULT_PENDING)
		return err;
	return alz_waiter_sleep(process, &waiter, &wait, deadline, claim->pin, answer);
}

/* A memfd that was waited for. One that was kept can also be asked for by MEMFD. */
static int alz_claim_memfd(struct alz_call *call, struct alz_blob *blob)
{
	struct asynclazy_claim *c = call->arg;
	int err = alz_memfd_open(call, blob);

	if (!err)
		c->out_fd = call->new_fd;
	return c->out_offset == ASYNCLAZY_NO_RECORD ? err : 0;
}

/** alz_call_claim() - CLAIM */
int alz_call_claim(struct alz_call *call)
{
	struct alz_process *process = call->file->private_data;
	struct asynclazy_claim *c = call->arg;
	struct alz_answer answer;
	struct alz_claim claim;
	struct alz_key key;
	int err;

	err = alz_claim_check(process, c);
	if (err)
		return err;
	err = alz_key_get(&key, c->key, c->key_size);
	if (err)
		return err;
	claim = (struct alz_claim) {
		.key = key.data,
		.key_size = c->key_size,
		.flags = c->flags,
		.hash = c->hash,
		.cookie = c->cookie,
		.parent = c->parent,
		.pin = c->pin,
	};
	c->out_fd = -1;
	if (c->flags & ASYNCLAZY_CLAIM_FD)
		err = alz_claim_waitfd(call, &claim, &answer);
	else if (c->flags & ASYNCLAZY_CLAIM_BLOCK)
		err = alz_claim_block(process, &claim, c->deadline, &answer);
	else
		err = alz_claim(&process->core, &claim, &answer);
	if (err)
		goto out;
	call->undo = alz_claim_undo;
	err = alz_claim_answer(c, &answer);
	if (err)
		alz_claim_undo(call);
	if (answer.blob) {
		if (!err)
			err = alz_claim_memfd(call, answer.blob);
		alz_blob_release(&process->shared->core, answer.blob);
	}
out:
	alz_key_put(&key);
	return err;
}

/** alz_call_cancel() - CANCEL */
int alz_call_cancel(struct alz_call *call)
{
	struct alz_process *process = call->file->private_data;
	struct asynclazy_cancel *c = call->arg;

	if (c->flags || ALZ_RESERVED_SET(c->reserved))
		return -EINVAL;
	return alz_cancel(&process->core, c->cookie);
}

/** alz_call_fetch() - FETCH */
int alz_call_fetch(struct alz_call *call)
{
	struct alz_process *process = call->file->private_data;
	struct asynclazy_fetch *f = call->arg;
	u8 detail[ASYNCLAZY_DETAIL_MAX];
	u32 size;
	int err;

	if (f->flags || ALZ_RESERVED_SET(f->reserved))
		return -EINVAL;
	err = alz_fetch(&process->core, f->cookie, detail, sizeof(detail), &size, false);
	if (err)
		return err;
	if (copy_to_user(u64_to_user_ptr(f->detail), detail, min(size, f->detail_size)))
		return -EFAULT;
	f->out_detail_size = size;
	/* only now: a caller that faults can fetch again */
	return alz_fetch(&process->core, f->cookie, detail, sizeof(detail), &size, true);
}
