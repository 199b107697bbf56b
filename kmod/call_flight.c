// SPDX-License-Identifier: GPL-2.0-only
/* What its owner says of a running initialisation, and others ask: EXTEND, FLIGHT. */
#include <linux/uaccess.h>

#include "call.h"
#include "internal.h"
#include "key.h"

/** alz_call_extend() - EXTEND */
int alz_call_extend(struct alz_call *call)
{
	struct alz_process *process = call->file->private_data;
	struct asynclazy_extend *e = call->arg;

	if (e->flags || e->pad || ALZ_RESERVED_SET(e->reserved))
		return -EINVAL;
	return alz_extend(&process->core, e->ticket, e->done, e->total, &e->out_until,
			  &e->out_waiters);
}

/** alz_call_flight() - FLIGHT */
int alz_call_flight(struct alz_call *call)
{
	struct alz_process *process = call->file->private_data;
	struct asynclazy_flight *f = call->arg;
	u8 detail[ASYNCLAZY_DETAIL_MAX];
	struct alz_key key;
	u32 size;
	int err;

	if (f->flags || ALZ_RESERVED_SET(f->reserved))
		return -EINVAL;
	err = alz_key_get(&key, f->key, f->key_size);
	if (err)
		return err;
	err = alz_flight_look(&process->core, key.data, f->key_size, f->hash, f, detail);
	alz_key_put(&key);
	if (err)
		return err;
	size = min(f->out_detail_size, f->detail_size);
	if (size && copy_to_user(u64_to_user_ptr(f->detail), detail, size))
		return -EFAULT;
	return 0;
}
