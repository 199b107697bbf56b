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

/* A value on its way in. */
struct alz_value {
	struct alz_ttl ttl;
	u64 address;
	u64 size;
	void *copy;	/* of it, where it could not be read at once; or NULL */
};

/*
 * Between begin and commit its segment cannot be reclaimed, so the copy may not
 * wait for a page that the caller may never let come.
 */
static bool alz_value_read(const struct alz_value *v, struct alz_reservation *r)
{
	if (!v->copy)
		return !copy_from_user_nofault(r->value, u64_to_user_ptr(v->address), v->size);
	memcpy(r->value, v->copy, v->size);
	return true;
}

/* Take all the time to copy it. */
static int alz_value_fetch(struct alz_value *v)
{
	v->copy = kvmalloc(v->size, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!v->copy)
		return -ENOMEM;
	return copy_from_user(v->copy, u64_to_user_ptr(v->address), v->size) ? -EFAULT : 0;
}

static struct alz_blob *alz_value_blob(u32 flags, u64 value, int fd, u64 size)
{
	if (!(flags & ASYNCLAZY_VALUE_FD) || value)
		return ERR_PTR(-EINVAL);
	return alz_memfd_blob(fd, size);
}

static int alz_publish_memfd(struct alz_process *process, struct asynclazy_publish *p,
			     const struct alz_ttl *ttl, struct alz_reservation *r)
{
	struct alz_blob *blob;
	int err;

	blob = alz_value_blob(p->flags, p->value, p->value_fd, p->value_size);
	if (IS_ERR(blob))
		return PTR_ERR(blob);
	err = alz_publish_blob(&process->core, p->ticket, blob,
			       !(p->flags & ASYNCLAZY_VALUE_UNKEPT), ttl, r);
	alz_blob_release(&process->shared->core, blob);
	return err;
}

static int alz_publish_value(struct alz_process *process, const struct asynclazy_publish *p,
			     struct alz_value *v, struct alz_reservation *r)
{
	int err;

	for (;;) {
		err = alz_publish_begin(&process->core, p->ticket, v->size, &v->ttl, r);
		if (err)
			return err;
		if (alz_value_read(v, r))
			break;
		alz_publish_abort(r);
		err = alz_value_fetch(v);
		if (err)
			return err;
	}
	r->pin = p->pin;
	return alz_publish_commit(&process->core, r);
}

/** alz_call_publish() - PUBLISH */
int alz_call_publish(struct alz_call *call)
{
	struct alz_process *process = call->file->private_data;
	struct asynclazy_publish *p = call->arg;
	struct alz_value v = {
		.ttl = { p->ttl, p->stale_ttl, p->dead_ttl },
		.address = p->value,
		.size = p->value_size,
	};
	struct alz_reservation r = { .pin = p->pin };
	int err;

	if (p->flags & ~ASYNCLAZY_VALUE_FLAGS || !alz_pin_valid(&process->core, p->pin) ||
	    alz_ttl_bad(&v.ttl) || (!p->flags && p->value_fd) ||
	    ALZ_RESERVED_SET(p->reserved))
		return -EINVAL;
	err = alz_store_check(call);
	if (err)
		return err;
	if (p->flags)
		err = alz_publish_memfd(process, p, &v.ttl, &r);
	else
		err = alz_publish_value(process, p, &v, &r);
	kvfree(v.copy);
	p->out_generation = r.generation;
	p->out_offset = r.offset;
	return err;
}

static int alz_set_memfd(struct alz_process *process, const struct asynclazy_set *s,
			 const struct alz_key *key, const struct alz_ttl *ttl,
			 struct alz_reservation *r)
{
	struct alz_blob *blob;
	int err;

	blob = alz_value_blob(s->flags, s->value, s->value_fd, s->value_size);
	if (IS_ERR(blob))
		return PTR_ERR(blob);
	err = alz_set_blob(&process->core, key->data, s->key_size, s->hash, blob, ttl, r);
	alz_blob_release(&process->shared->core, blob);
	return err;
}

static int alz_set_value(struct alz_process *process, const struct asynclazy_set *s,
			 const struct alz_key *key, struct alz_value *v,
			 struct alz_reservation *r)
{
	int err;

	for (;;) {
		err = alz_set_begin(&process->core, key->data, s->key_size, s->hash, v->size,
				    &v->ttl, r);
		if (err)
			return err;
		if (alz_value_read(v, r))
			return alz_publish_commit(&process->core, r);
		alz_publish_abort(r);
		err = alz_value_fetch(v);
		if (err)
			return err;
	}
}

/** alz_call_set() - SET */
int alz_call_set(struct alz_call *call)
{
	struct alz_process *process = call->file->private_data;
	struct asynclazy_set *s = call->arg;
	struct alz_value v = {
		.ttl = { s->ttl, s->stale_ttl, s->dead_ttl },
		.address = s->value,
		.size = s->value_size,
	};
	struct alz_reservation r = { };
	struct alz_key key;
	int err;

	if (s->flags & ~ASYNCLAZY_VALUE_FD || alz_ttl_bad(&v.ttl) ||
	    (!s->flags && s->value_fd) || ALZ_RESERVED_SET(s->reserved))
		return -EINVAL;
	err = alz_store_check(call);
	if (err)
		return err;
	err = alz_key_get(&key, s->key, s->key_size);
	if (err)
		return err;
	if (s->flags)
		err = alz_set_memfd(process, s, &key, &v.ttl, &r);
	else
		err = alz_set_value(process, s, &key, &v, &r);
	alz_key_put(&key);
	kvfree(v.copy);
	s->out_generation = r.generation;
	s->out_offset = r.offset;
	return err;
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

/** alz_call_expire() - EXPIRE */
int alz_call_expire(struct alz_call *call)
{
	struct alz_process *process = call->file->private_data;
	struct asynclazy_expire *e = call->arg;
	struct alz_key key;
	int err;

	if (e->flags || ALZ_RESERVED_SET(e->reserved))
		return -EINVAL;
	err = alz_store_check(call);
	if (err)
		return err;
	err = alz_key_get(&key, e->key, e->key_size);
	if (err)
		return err;
	err = alz_expire(&process->core, key.data, e->key_size, e->hash, &e->out_count);
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
