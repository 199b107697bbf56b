/* SPDX-License-Identifier: GPL-2.0-only */
/* One ioctl: copy in, check, execute, copy out. */
#ifndef ALZ_CALL_H
#define ALZ_CALL_H

#include <linux/fs.h>
#include <linux/types.h>

#define ALZ_CALL_SIZE_MAX	512	/* bytes in the largest struct */

/**
 * struct alz_call - a call in progress
 * @file: what it was made on
 * @arg: the struct, copied in; out_ fields are copied out if execute returns 0
 * @new_file: if set by execute, gets the descriptor @new_fd after the copy-out
 * @new_fd: reserved by alz_call_new_fd()
 * @undo: if set by execute, called when the answer cannot be copied out
 */
struct alz_call {
	struct file *file;
	void *arg;
	struct file *new_file;
	int new_fd;
	void (*undo)(struct alz_call *call);
};

/**
 * struct alz_call_entry - how to serve one ioctl number
 * @cmd: the number
 * @size: of the struct in this kernel
 * @min_size: of the struct in its first version
 * @execute: returns 0 or a negative errno; on an error nothing has changed
 */
struct alz_call_entry {
	unsigned int cmd;
	u32 size;
	u32 min_size;
	int (*execute)(struct alz_call *call);
};

#define ALZ_CALL(_cmd, _struct, _last, _execute) {			\
	.cmd = (_cmd),							\
	.size = sizeof(struct _struct),					\
	.min_size = offsetofend(struct _struct, _last),			\
	.execute = (_execute),						\
}

long alz_call_dispatch(struct file *file, unsigned int cmd, unsigned long arg,
		       const struct alz_call_entry *table, size_t n);
int alz_call_new_fd(struct alz_call *call);

/* True if any byte is set: for reserved fields. */
#define ALZ_RESERVED_SET(field)	(!!memchr_inv(&(field), 0, sizeof(field)))

#endif
