// SPDX-License-Identifier: GPL-2.0-only
/* /dev/asynclazy: what is served here, and caches by name. */
#include <linux/cred.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "call.h"
#include "device.h"
#include "internal.h"

static int alz_call_info(struct alz_call *call)
{
	struct asynclazy_info *info = call->arg;

	if (info->flags || ALZ_RESERVED_SET(info->reserved))
		return -EINVAL;
	info->out_abi_version = ASYNCLAZY_ABI_VERSION;
	info->out_key_max = ASYNCLAZY_KEY_MAX;
	info->out_features = ASYNCLAZY_FEATURE_STABLE | ASYNCLAZY_FEATURE_RECYCLE |
		ASYNCLAZY_FEATURE_MEMFD | ASYNCLAZY_FEATURE_REFRESH;
	alz_shared_reap();
	alz_user_info(current_uid(), info);
	return 0;
}

/* @name has room for ASYNCLAZY_NAME_MAX bytes. */
static int alz_name_get(char *name, u64 address, u32 size)
{
	if (!size || size > ASYNCLAZY_NAME_MAX)
		return -EINVAL;
	if (copy_from_user(name, u64_to_user_ptr(address), size))
		return -EFAULT;
	return memchr(name, 0, size) ? -EINVAL : 0;
}

/* A call that failed has made no name. */
static void alz_create_undo(struct alz_call *call)
{
	alz_shared_forget(call->new_file->private_data);
}

/* Consumes the count of @shared; @created: by this call. */
static int alz_call_cache_fd(struct alz_call *call, struct alz_shared *shared,
			     fmode_t access, bool created)
{
	struct file *file = alz_shared_file(shared, access);

	if (IS_ERR(file)) {
		if (created)
			alz_shared_forget(shared);
		alz_shared_put(shared);
		return PTR_ERR(file);
	}
	call->new_file = file;
	if (created)
		call->undo = alz_create_undo;
	return 0;
}

static int alz_call_create(struct alz_call *call)
{
	struct asynclazy_create *create = call->arg;
	char name[ASYNCLAZY_NAME_MAX];
	struct alz_shared *shared;
	bool created;
	int err;

	if (create->flags & ~ASYNCLAZY_CREATE_FLAGS || create->mode & ~0777 ||
	    ALZ_RESERVED_SET(create->reserved))
		return -EINVAL;
	if (!(call->file->f_mode & FMODE_WRITE))
		return -EACCES;
	if (create->name_size) {
		err = alz_name_get(name, create->name, create->name_size);
		if (err)
			return err;
	}
	err = alz_call_new_fd(call);
	if (err)
		return err;
	/* what ended namespaces left behind is not to count */
	alz_shared_reap();
	shared = alz_shared_create(create, name, &created);
	if (IS_ERR(shared))
		return PTR_ERR(shared);
	create->out_fd = call->new_fd;
	create->out_created = created;
	create->out_cache_id = shared->id;
	return alz_call_cache_fd(call, shared, FMODE_READ | FMODE_WRITE, created);
}

static int alz_call_open(struct alz_call *call)
{
	struct asynclazy_open *open = call->arg;
	fmode_t access = FMODE_READ;
	char name[ASYNCLAZY_NAME_MAX];
	struct alz_shared *shared;
	int err;

	if (!open->flags || open->flags & ~ASYNCLAZY_OPEN_FLAGS ||
	    ALZ_RESERVED_SET(open->reserved))
		return -EINVAL;
	if (open->flags & ASYNCLAZY_OPEN_WRITE)
		access |= FMODE_WRITE;
	err = alz_name_get(name, open->name, open->name_size);
	if (err)
		return err;
	err = alz_call_new_fd(call);
	if (err)
		return err;
	shared = alz_shared_open(name, open->name_size, access);
	if (IS_ERR(shared))
		return PTR_ERR(shared);
	open->out_fd = call->new_fd;
	open->out_cache_id = shared->id;
	return alz_call_cache_fd(call, shared, access, false);
}

static int alz_call_unlink(struct alz_call *call)
{
	struct asynclazy_unlink *u = call->arg;
	char name[ASYNCLAZY_NAME_MAX];
	int err;

	if (u->flags || u->pad || ALZ_RESERVED_SET(u->reserved))
		return -EINVAL;
	err = alz_name_get(name, u->name, u->name_size);
	return err ? err : alz_shared_unlink(name, u->name_size);
}

static const struct alz_call_entry alz_device_calls[] = {
	ALZ_CALL(ASYNCLAZY_IOC_INFO, asynclazy_info, reserved, alz_call_info),
	ALZ_CALL(ASYNCLAZY_IOC_CREATE, asynclazy_create, reserved, alz_call_create),
	ALZ_CALL(ASYNCLAZY_IOC_OPEN, asynclazy_open, reserved, alz_call_open),
	ALZ_CALL(ASYNCLAZY_IOC_UNLINK, asynclazy_unlink, reserved, alz_call_unlink),
};

static long alz_device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return alz_call_dispatch(file, cmd, arg, alz_device_calls,
				 ARRAY_SIZE(alz_device_calls));
}

const struct file_operations alz_device_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = alz_device_ioctl,
	.llseek = noop_llseek,
};
