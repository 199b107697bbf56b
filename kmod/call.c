// SPDX-License-Identifier: GPL-2.0-only
#include <linux/file.h>
#include <linux/uaccess.h>

#include "call.h"

/**
 * alz_call_new_fd() - reserve a descriptor number for call->new_file
 * @call: the call
 *
 * Done before anything changes, so that running out of numbers loses nothing.
 */
int alz_call_new_fd(struct alz_call *call)
{
	call->new_fd = get_unused_fd_flags(O_CLOEXEC);
	return call->new_fd < 0 ? call->new_fd : 0;
}

static void alz_call_drop_fd(struct alz_call *call)
{
	if (call->new_file)
		fput(call->new_file);
	if (call->new_fd >= 0)
		put_unused_fd(call->new_fd);
}

static int alz_call_run(struct alz_call *call, const struct alz_call_entry *entry,
			void __user *uarg, u32 usize)
{
	size_t size = min(usize, entry->size);
	int err;

	/* an answer that could not be written would be a lost ticket or fd */
	if (copy_to_user(uarg, call->arg, size))
		return -EFAULT;
	err = entry->execute(call);
	if (err)
		goto drop;
	if (copy_to_user(uarg, call->arg, size)) {
		if (call->undo)
			call->undo(call);
		err = -EFAULT;
		goto drop;
	}
	if (call->new_file)
		fd_install(call->new_fd, call->new_file);
	else
		alz_call_drop_fd(call);
	return 0;
drop:
	alz_call_drop_fd(call);
	return err;
}

/**
 * alz_call_dispatch() - serve an ioctl from a table
 * @file: what it was made on
 * @cmd: ioctl number
 * @arg: address of the struct
 * @table: the calls of this kind of file
 * @n: how many
 *
 * The struct's own size says which version the caller knows. It is read once.
 */
long alz_call_dispatch(struct file *file, unsigned int cmd, unsigned long arg,
		       const struct alz_call_entry *table, size_t n)
{
	const struct alz_call_entry *entry;
	void __user *uarg = (void __user *)arg;
	u64 buf[ALZ_CALL_SIZE_MAX / sizeof(u64)];
	struct alz_call call = { .file = file, .arg = buf, .new_fd = -1 };
	u32 usize;
	int err;

	for (entry = table; entry < table + n; entry++)
		if (entry->cmd == cmd)
			break;
	if (entry == table + n)
		return -ENOTTY;
	if (WARN_ON_ONCE(entry->size > sizeof(buf)))
		return -EINVAL;
	if (get_user(usize, (u32 __user *)uarg))
		return -EFAULT;
	if (usize < entry->min_size)
		return -EINVAL;
	if (usize > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(buf, entry->size, uarg, usize);
	if (err)
		return err;
	*(u32 *)buf = usize;
	return alz_call_run(&call, entry, uarg, usize);
}
