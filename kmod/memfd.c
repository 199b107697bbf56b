// SPDX-License-Identifier: GPL-2.0-only
/*
 * Values in sealed memfds. A file is taken if nothing can change its bytes or
 * its size any more: its seals say so. Each reader gets a descriptor of its own,
 * for reading, on the same pages.
 */
#include <linux/cred.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/magic.h>
#include <linux/shmem_fs.h>

#include "call.h"
#include "internal.h"

#define ALZ_SEALS	(F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK)

/* The seals of a file, 0 where it has none. */
static unsigned int alz_memfd_seals(const struct inode *inode)
{
	if (!S_ISREG(inode->i_mode))
		return 0;
#ifdef CONFIG_SHMEM
	if (inode->i_sb->s_magic == TMPFS_MAGIC)
		return READ_ONCE(SHMEM_I((struct inode *)inode)->seals);
#endif
#ifdef CONFIG_HUGETLBFS
	if (inode->i_sb->s_magic == HUGETLBFS_MAGIC)
		return READ_ONCE(HUGETLBFS_I((struct inode *)inode)->seals);
#endif
	return 0;
}

/**
 * alz_memfd_blob() - a value that is in a file
 * @fd: of the caller
 * @size: bytes that it says are in it
 *
 * Return: the blob, which counts the file; ERR_PTR: -EBADF, -EINVAL (another
 * size), -EPERM (it can still be changed), -ENOMEM.
 */
struct alz_blob *alz_memfd_blob(int fd, u64 size)
{
	struct file *file = fget(fd);
	struct alz_blob *blob;
	struct inode *inode;
	int err = -EPERM;

	if (!file)
		return ERR_PTR(-EBADF);
	inode = file_inode(file);
	if ((alz_memfd_seals(inode) & ALZ_SEALS) != ALZ_SEALS || !(file->f_mode & FMODE_READ))
		goto put;
	err = -EINVAL;
	/* from here on it does not change */
	if (i_size_read(inode) != size)
		goto put;
	err = -ENOMEM;
	blob = alz_blob_new(file, size, i_blocksize(inode));
	if (!blob)
		goto put;
	return blob;
put:
	fput(file);
	return ERR_PTR(err);
}

/**
 * alz_memfd_open() - hand a value out as call->new_file
 * @call: the call
 * @blob: counted by the caller, who still puts it
 *
 * Return: 0, -EMFILE, -ENOMEM.
 */
int alz_memfd_open(struct alz_call *call, struct alz_blob *blob)
{
	const struct file *value = blob->file;
	struct file *file;
	int err;

	err = alz_call_new_fd(call);
	if (err)
		return err;
	file = dentry_open(&value->f_path, O_RDONLY | O_LARGEFILE, current_cred());
	if (IS_ERR(file))
		return PTR_ERR(file);
	call->new_file = file;
	return 0;
}

/** alz_call_memfd() - MEMFD */
int alz_call_memfd(struct alz_call *call)
{
	struct alz_process *process = call->file->private_data;
	struct asynclazy_value *v = call->arg;
	struct alz_blob *blob;
	int err;

	if (v->flags || v->pad || ALZ_RESERVED_SET(v->reserved))
		return -EINVAL;
	blob = alz_blob_get(&process->core, v->generation);
	if (!blob)
		return -ENOENT;
	err = alz_memfd_open(call, blob);
	v->out_fd = call->new_fd;
	v->out_value_size = blob->size;
	alz_blob_release(&process->shared->core, blob);
	return err;
}
