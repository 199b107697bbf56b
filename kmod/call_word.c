// SPDX-License-Identifier: GPL-2.0-only
/*
 * WAIT and WAKE: words of the cache, and u32s at an address of the caller's.
 *
 * What is at an address is found as futex(2) finds it: in a shared mapping the inode
 * and the offset, else the address space and the address. The file stays open while
 * somebody waits, so that no other inode gets its place; no page is pinned.
 */
#include <linux/bitops.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/uaccess.h>

#include "call.h"
#include "internal.h"

/* The words of a call, of which the core may take some files. */
struct alz_words_arg {
	struct alz_word_at *at;
	u32 count;
	struct alz_word_at one;
};

/* What is at an address of current's. */
static int alz_word_locate(const struct alz_process *process, u64 address,
			   struct alz_word_at *at)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	int err = 0;

	if (address % sizeof(u32))
		return -EINVAL;
	if (!access_ok((void __user *)address, sizeof(u32)))
		return -EFAULT;
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	vma = vma_lookup(mm, address);
	if (!vma) {
		err = -EFAULT;
	} else if (!vma->vm_file || !(vma->vm_flags & VM_MAYSHARE)) {
		at->object = mm;
		at->offset = address;
	} else {
		at->offset = address - vma->vm_start + ((u64)vma->vm_pgoff << PAGE_SHIFT);
		if (alz_map_is_words(vma, process->shared)) {
			at->offset -= ASYNCLAZY_OFF_WORDS;
			at->object = NULL;
			if (!alz_word_valid(&process->shared->core, at->offset / sizeof(u32)))
				err = -EINVAL;
		} else if (alz_map_is_ours(vma)) {
			/* an attachment that waits on itself would never end */
			err = -EINVAL;
		} else {
			at->object = vma->vm_file->f_mapping->host;
			at->file = get_file(vma->vm_file);
		}
	}
	mmap_read_unlock(mm);
	at->address = (const u32 *)address;
	return err;
}

static int alz_word_place(const struct alz_process *process, u64 word, u32 flags,
			  struct alz_word_at *at)
{
	if (flags & ~ASYNCLAZY_WORD_ADDRESS)
		return -EINVAL;
	if (flags & ASYNCLAZY_WORD_ADDRESS)
		return alz_word_locate(process, word, at);
	if (!alz_word_valid(&process->shared->core, word))
		return -EINVAL;
	at->offset = word * sizeof(u32);
	return 0;
}

static void alz_words_put(struct alz_words_arg *words)
{
	u32 i;

	for (i = 0; i < words->count; i++)
		if (words->at[i].file)
			fput(words->at[i].file);
	if (words->at != &words->one)
		kfree(words->at);
}

static int alz_words_get(struct alz_words_arg *words, const struct alz_process *process,
			 const struct asynclazy_wait *w)
{
	const struct asynclazy_word __user *from = u64_to_user_ptr(w->words);
	struct asynclazy_word word;
	int err = 0;
	u32 i;

	words->at = &words->one;
	if (w->count > 1) {
		words->at = kcalloc(w->count, sizeof(*words->at), GFP_KERNEL_ACCOUNT);
		if (!words->at)
			return -ENOMEM;
	}
	for (i = 0; i < w->count && !err; i++) {
		if (copy_from_user(&word, &from[i], sizeof(word)))
			err = -EFAULT;
		else
			err = alz_word_place(process, word.word, word.flags, &words->at[i]);
		words->at[i].expected = word.expected;
	}
	words->count = i;
	if (err)
		alz_words_put(words);
	return err;
}

/* Have in what the core could not see. Return: 0: now it can, for a moment. */
static int alz_words_fault_in(const struct alz_words_arg *words)
{
	u32 i;

	if (signal_pending(current))
		return -ERESTARTSYS;
	for (i = 0; i < words->count; i++)
		if (words->at[i].object &&
		    fault_in_readable((const char __user __force *)words->at[i].address,
				      sizeof(u32)))
			return -EFAULT;
	return 0;
}

/* Return: as alz_word_wait(), but that it is -EFAULT for good. */
static int alz_words_wait(struct alz_process *process, const struct alz_words_arg *words,
			  const struct alz_word_wait *q, u32 *changed)
{
	int err, in;

	for (;;) {
		err = alz_word_wait(&process->core, q, changed);
		if (err != -EFAULT)
			return err;
		in = alz_words_fault_in(words);
		if (in)
			return in;
		cond_resched();
	}
}

static void alz_wait_undo(struct alz_call *call)
{
	struct alz_process *process = call->file->private_data;
	struct asynclazy_wait *w = call->arg;

	/* a per-wait fd undoes itself when its file is dropped */
	if (w->flags & ASYNCLAZY_CLAIM_EVENT && w->out_result == ASYNCLAZY_RESULT_PENDING)
		alz_cancel(&process->core, w->cookie);
}

static int alz_wait_block(struct alz_process *process, const struct alz_words_arg *words,
			  struct alz_word_wait *q, struct asynclazy_wait *w)
{
	DECLARE_WAIT_QUEUE_HEAD_ONSTACK(wait);
	struct alz_waiter waiter = { .os = &wait };
	struct alz_answer answer;
	int err;

	q->waiter = &waiter;
	err = alz_words_wait(process, words, q, &w->out_index);
	if (err)
		return err;
	err = alz_waiter_sleep(process, &waiter, &wait, w->deadline, 0, &answer);
	if (err)
		return err;
	w->out_result = ASYNCLAZY_RESULT_WOKEN;
	w->out_index = answer.attempt;
	return 0;
}

/* The file is made first, so that nothing can fail after the wait has begun. */
static int alz_wait_fd(struct alz_call *call, const struct alz_words_arg *words,
		       struct alz_word_wait *q, struct asynclazy_wait *w)
{
	struct alz_process *process = call->file->private_data;
	struct alz_waitfd *wf;
	struct file *file;
	int err;

	err = alz_call_new_fd(call);
	if (err)
		return err;
	file = alz_waitfd_file(process, &wf);
	if (IS_ERR(file))
		return PTR_ERR(file);
	q->waiter = &wf->waiter;
	err = alz_words_wait(process, words, q, &w->out_index);
	if (err) {
		fput(file);
		return err;
	}
	wf->registered = true;
	call->new_file = file;
	w->out_fd = call->new_fd;
	return 0;
}

static int alz_wait_check(const struct asynclazy_wait *w)
{
	if (w->flags & ~ALZ_WAIT_FLAGS || hweight32(w->flags) != 1 || w->pad || w->pad2 ||
	    !w->count || w->count > ASYNCLAZY_WORDS_PER_WAIT || ALZ_RESERVED_SET(w->reserved))
		return -EINVAL;
	return 0;
}

/** alz_call_wait() - WAIT */
int alz_call_wait(struct alz_call *call)
{
	struct alz_process *process = call->file->private_data;
	struct asynclazy_wait *w = call->arg;
	struct alz_words_arg words = { };
	struct alz_word_wait q = { };
	int err;

	err = alz_wait_check(w);
	if (err)
		return err;
	err = alz_words_get(&words, process, w);
	if (err)
		return err;
	q.at = words.at;
	q.count = words.count;
	q.cookie = w->cookie;
	w->out_fd = -1;
	w->out_index = 0;
	w->out_result = ASYNCLAZY_RESULT_PENDING;
	if (w->flags & ASYNCLAZY_CLAIM_BLOCK) {
		q.kind = ALZ_WAIT_BLOCK;
		err = alz_wait_block(process, &words, &q, w);
	} else if (w->flags & ASYNCLAZY_CLAIM_FD) {
		q.kind = ALZ_WAIT_FD;
		err = alz_wait_fd(call, &words, &q, w);
	} else {
		q.kind = ALZ_WAIT_EVENT;
		err = alz_words_wait(process, &words, &q, &w->out_index);
	}
	alz_words_put(&words);
	call->undo = alz_wait_undo;
	if (err == 1) {
		w->out_result = ASYNCLAZY_RESULT_CHANGED;
		err = 0;
	}
	return err;
}

/** alz_call_wake() - WAKE */
int alz_call_wake(struct alz_call *call)
{
	struct alz_process *process = call->file->private_data;
	struct asynclazy_wake *w = call->arg;
	struct alz_word_at at = { };
	int err;

	if (ALZ_RESERVED_SET(w->reserved))
		return -EINVAL;
	if (!(process->access & FMODE_WRITE))
		return -EACCES;
	err = alz_word_place(process, w->word, w->flags, &at);
	if (!err)
		w->out_count = alz_word_wake(&process->core, &at, w->count);
	if (at.file)
		fput(at.file);
	return err;
}
