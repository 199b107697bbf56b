// SPDX-License-Identifier: GPL-2.0-only
/* Calls that change a key: PUBLISH, FAIL, ABANDON, SET, INVALIDATE, CLEAR. */
#include <linux/uaccess.h>

#include "call.h"
#include "internal.h"
#include "key.h"

static int alz_store_check(const struct alz_call *call)
{
	const struct alz_process *process = call->file->private_data;

	return process->access & FMODE_WRITE ? 0 : -EACCES;
}

/* Copy the value in, without any lock, and link the record. */
static int alz_store_value(struct alz_process *process, struct alz_reservation *r,
			   u64 value, u64 *generation, u64 *offset)
{
	int err;

	if (copy_from_user(r->value, u64_to_user_ptr(value), r->value_size)) {
		alz_publish_abort(r);
		return -EFAULT;
	}
	err = alz_publish_commit(&process->core, r);
	if (err)
		return err;
	*generation = r->record->generation;
	*offset = r->offset;
	return 0;
}

/** alz_call_publish() - PUBLISH */
int alz_call_publish(struct alz_call *call)
{
	struct alz_process *process = call->file->private_data;
	struct asynclazy_publish *p = call->arg;
	struct alz_reservation r;
	int err;

	if (p->flags || p->pad || ALZ_RESERVED_SET(p->reserved))
		return -EINVAL;
	if (p->stale_ttl || p->dead_ttl || p->value_fd)
		return -EOPNOTSUPP;
	err = alz_store_check(call);
	if (err)
		return err;
	err = alz_publish_begin(&process->core, p->ticket, p->value_size, p->ttl, &r);
	if (err)
		return err;
	return alz_store_value(process, &r, p->value, &p->out_generation, &p->out_offset);
}

/** alz_call_set() - SET */
int alz_call_set(struct alz_call *call)
{
	struct alz_process *process = call->file->private_data;
	struct asynclazy_set *s = call->arg;
	struct alz_reservation r;
	struct alz_key key;
	int err;

	if (s->flags || ALZ_RESERVED_SET(s->reserved))
		return -EINVAL;
	if (s->stale_ttl || s->dead_ttl || s->value_fd)
		return -EOPNOTSUPP;
	err = alz_store_check(call);
	if (err)
		return err;
	err = alz_key_get(&key, s->key, s->key_size);
	if (err)
		return err;
	err = alz_set_begin(&process->core, key.data, s->key_size, s->hash, s->value_size,
			    s->ttl, &r);
	alz_key_put(&key);
	if (err)
		return err;
	return alz_store_value(process, &r, s->value, &s->out_generation, &s->out_offset);
}

/** alz_call_fail() - FAIL */
int alz_call_fail(struct alz_call *call)
{
	struct alz_process *process = call->file->private_data;
	struct asynclazy_fail *f = call->arg;
	u8 detail[ASYNCLAZY_DETAIL_MAX];
	bool kept;
	int err;

	if (f->flags || f->detail_size > sizeof(detail) || ALZ_RESERVED_SET(f->reserved))
		return -EINVAL;
	err = alz_store_check(call);
	if (err)
		return err;
	if (copy_from_user(detail, u64_to_user_ptr(f->detail), f->detail_size))
		return -EFAULT;
	err = alz_fail(&process->core, f->ticket, f->error, f->error_class, f->ttl,
		       detail, f->detail_size, &kept);
	f->out_kept = kept;
	return err;
}

/** alz_call_abandon() - ABANDON */
int alz_call_abandon(struct alz_call *call)
{
	struct alz_process *process = call->file->private_data;
	struct asynclazy_abandon *a = call->arg;

	if (a->flags || ALZ_RESERVED_SET(a->reserved))
		return -EINVAL;
	return alz_abandon(&process->core, a->ticket);
}

/** alz_call_invalidate() - INVALIDATE */
int alz_call_invalidate(struct alz_call *call)
{
	struct alz_process *process = call->file->private_data;
	struct asynclazy_invalidate *i = call->arg;
	struct alz_key key;
	int err;

	if (i->flags || ALZ_RESERVED_SET(i->reserved))
		return -EINVAL;
	err = alz_store_check(call);
	if (err)
		return err;
	err = alz_key_get(&key, i->key, i->key_size);
	if (err)
		return err;
	err = alz_invalidate(&process->core, key.data, i->key_size, i->hash, &i->out_count);
	alz_key_put(&key);
	return err;
}

/** alz_call_clear() - CLEAR */
int alz_call_clear(struct alz_call *call)
{
	struct alz_process *process = call->file->private_data;
	struct asynclazy_clear *c = call->arg;
	int err;

	if (c->flags || ALZ_RESERVED_SET(c->reserved))
		return -EINVAL;
	err = alz_store_check(call);
	return err ? err : alz_clear(&process->core, &c->out_count);
}
