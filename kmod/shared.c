// SPDX-License-Identifier: GPL-2.0-only
/* Caches as the module keeps them: names, owners and modes; cache fds. */
#include <linux/anon_inodes.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/ipc_namespace.h>
#include <linux/memcontrol.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/proc_ns.h>
#include <linux/random.h>
#include <linux/seq_file.h>

#include "call.h"
#include "internal.h"

static LIST_HEAD(alz_names);
static DEFINE_MUTEX(alz_names_lock);
static atomic64_t alz_last_id;

static struct ipc_namespace *alz_ipc_ns(void)
{
	return current->nsproxy->ipc_ns;
}

/** alz_shared_release() - the last count is gone: free the memory */
void alz_shared_release(struct kref *refs)
{
	struct alz_shared *shared = container_of(refs, struct alz_shared, refs);

	cancel_work_sync(&shared->reclaim_work);
	cancel_delayed_work_sync(&shared->deadline_work);
	alz_cache_fini(&shared->core);
	mem_cgroup_put(shared->memcg);
	iput(shared->mapping.host);
	kvfree(shared);
}

/** alz_shared_get() - one more use */
void alz_shared_get(struct alz_shared *shared)
{
	refcount_inc(&shared->uses);
}

/** alz_shared_put() - one use less; may sleep */
void alz_shared_put(struct alz_shared *shared)
{
	if (!refcount_dec_and_test(&shared->uses))
		return;
	alz_user_uncharge(shared->user, shared->bytes);
	kref_put(&shared->refs, alz_shared_release);
}

static struct alz_shared *alz_name_find(const char *name, u32 name_size)
{
	struct ipc_namespace *ipc_ns = alz_ipc_ns();
	struct alz_shared *shared;

	lockdep_assert_held(&alz_names_lock);
	list_for_each_entry(shared, &alz_names, link)
		if (shared->ipc_ns == ipc_ns && shared->name_size == name_size &&
		    !memcmp(shared->name, name, name_size))
			return shared;
	return NULL;
}

/* Take the name of a cache away; @to holds it until its use is put. */
static void alz_name_drop(struct alz_shared *shared, struct list_head *to)
{
	lockdep_assert_held(&alz_names_lock);
	list_move(&shared->link, to);
	/* put_ipc_ns() itself is not exported everywhere */
	shared->ipc_ns->ns.ops->put(&shared->ipc_ns->ns);
	shared->ipc_ns = NULL;
}

static void alz_names_put(struct list_head *dropped)
{
	struct alz_shared *shared, *next;

	list_for_each_entry_safe(shared, next, dropped, link) {
		list_del_init(&shared->link);
		alz_shared_put(shared);
	}
}

/* Nobody is in the namespace, or can get into it: only names count it. */
static bool alz_ipc_ns_ended(struct ipc_namespace *ipc_ns)
{
	struct alz_shared *shared;
	unsigned int names = 0;

	lockdep_assert_held(&alz_names_lock);
	list_for_each_entry(shared, &alz_names, link)
		names += shared->ipc_ns == ipc_ns;
	return refcount_read(&ipc_ns->ns.count) == names;
}

/** alz_shared_reap() - unlink the caches whose IPC namespace has ended */
void alz_shared_reap(void)
{
	struct alz_shared *shared, *next;
	LIST_HEAD(dropped);

	mutex_lock(&alz_names_lock);
	list_for_each_entry_safe(shared, next, &alz_names, link)
		if (alz_ipc_ns_ended(shared->ipc_ns))
			alz_name_drop(shared, &dropped);
	mutex_unlock(&alz_names_lock);
	alz_names_put(&dropped);
}

static bool alz_shared_may(const struct alz_shared *shared, fmode_t access)
{
	unsigned int want = (access & FMODE_READ ? 4 : 0) | (access & FMODE_WRITE ? 2 : 0);
	unsigned int have = shared->mode;

	if (uid_eq(current_fsuid(), shared->uid))
		have >>= 6;
	else if (in_group_p(shared->gid))
		have >>= 3;
	return !(want & ~have) || capable(CAP_DAC_OVERRIDE);
}

/* Cancelled before the cache goes. */
static void alz_shared_reclaim(struct work_struct *work)
{
	struct alz_shared *shared = container_of(work, struct alz_shared, reclaim_work);

	alz_reclaim(&shared->core);
}

/* As above. */
static void alz_shared_deadline(struct work_struct *work)
{
	struct alz_shared *shared = container_of(to_delayed_work(work), struct alz_shared,
						 deadline_work);

	alz_deadlines_run(&shared->core);
}

static struct alz_shared *alz_shared_new(const struct asynclazy_create *create,
					 const char *name)
{
	struct alz_geometry geometry = {
		.max_keys = create->max_keys,
		.arena_size = create->arena_size,
		.segment_size = create->segment_size,
		.words = create->words,
		.flags = create->flags & ASYNCLAZY_CREATE_STABLE,
		.ttl = create->ttl,
		.stale_ttl = create->stale_ttl,
		.dead_ttl = create->dead_ttl,
		.accept = create->accept ? create->accept : ALZ_ACCEPT_DEFAULT,
		.soft_lease = create->soft_lease,
		.hard_lease = create->hard_lease,
		.max_inits = create->max_inits,
		.hash_seed = get_random_u64(),
		.secret = get_random_u64(),
		.cache_id = atomic64_inc_return(&alz_last_id),
	};
	struct alz_shared *shared;
	int err;

	alz_geometry_troubles(&geometry, create->backoff, create->backoff_max,
			      create->breaker, create->max_deaths);
	err = alz_geometry_check(&geometry);
	if (err)
		return ERR_PTR(err);
	shared = kvzalloc(sizeof(*shared), GFP_KERNEL_ACCOUNT);
	if (!shared)
		return ERR_PTR(-ENOMEM);
	shared->bytes = alz_geometry_bytes(&geometry);
	shared->user = alz_user_charge(current_uid(), shared->bytes);
	if (IS_ERR(shared->user)) {
		err = PTR_ERR(shared->user);
		goto free;
	}
	shared->memcg = get_mem_cgroup_from_mm(current->mm);
	err = alz_cache_init(&shared->core, &geometry, shared);
	if (err)
		goto uncharge;
	address_space_init_once(&shared->mapping);
	shared->mapping.a_ops = &empty_aops;
	init_rwsem(&shared->map_lock);
	INIT_WORK(&shared->reclaim_work, alz_shared_reclaim);
	INIT_DELAYED_WORK(&shared->deadline_work, alz_shared_deadline);
	refcount_set(&shared->uses, 1);
	kref_init(&shared->refs);
	INIT_LIST_HEAD(&shared->link);
	shared->id = geometry.cache_id;
	shared->uid = current_fsuid();
	shared->gid = current_fsgid();
	shared->mode = create->mode ? create->mode : 0600;
	shared->name_size = create->name_size;
	memcpy(shared->name, name, create->name_size);
	return shared;

uncharge:
	mem_cgroup_put(shared->memcg);
	alz_user_uncharge(shared->user, shared->bytes);
free:
	kvfree(shared);
	return ERR_PTR(err);
}

/* The cache of this name, counted for the caller; ERR_PTR: ENOENT, EACCES. */
static struct alz_shared *alz_name_get(const char *name, u32 name_size, fmode_t access)
{
	struct alz_shared *shared = alz_name_find(name, name_size);

	if (!shared)
		return ERR_PTR(-ENOENT);
	if (!alz_shared_may(shared, access))
		return ERR_PTR(-EACCES);
	alz_shared_get(shared);
	return shared;
}

/*
 * The cache of this name. If there is none, @fresh gets the name, if that is
 * not NULL; else -ENOENT.
 */
static struct alz_shared *alz_shared_named(const struct asynclazy_create *create,
					   const char *name, struct alz_shared *fresh)
{
	struct alz_shared *shared;

	mutex_lock(&alz_names_lock);
	shared = alz_name_get(name, create->name_size, FMODE_READ | FMODE_WRITE);
	if (shared == ERR_PTR(-ENOENT)) {
		if (fresh) {
			/* the name is a use too: a cache outlives its users */
			alz_shared_get(fresh);
			fresh->ipc_ns = get_ipc_ns(alz_ipc_ns());
			list_add(&fresh->link, &alz_names);
			shared = fresh;
		}
	} else if (create->flags & ASYNCLAZY_CREATE_EXCLUSIVE) {
		if (!IS_ERR(shared))
			alz_shared_put(shared);
		shared = ERR_PTR(-EEXIST);
	}
	mutex_unlock(&alz_names_lock);
	return shared;
}

/**
 * alz_shared_create() - a new cache, or the one of that name
 * @create: checked for flags and reserved fields
 * @name: create->name_size bytes
 * @created: whether it is new
 *
 * Return: counted for the caller; ERR_PTR.
 */
struct alz_shared *alz_shared_create(const struct asynclazy_create *create,
				     const char *name, bool *created)
{
	struct alz_shared *shared, *fresh;

	*created = true;
	if (!create->name_size)
		return alz_shared_new(create, name);

	shared = alz_shared_named(create, name, NULL);
	if (shared != ERR_PTR(-ENOENT)) {
		*created = false;
		return shared;
	}
	/* made without the lock, since it may take a while */
	fresh = alz_shared_new(create, name);
	if (IS_ERR(fresh))
		return fresh;
	shared = alz_shared_named(create, name, fresh);
	*created = shared == fresh;
	if (shared != fresh)
		alz_shared_put(fresh);
	return shared;
}

/** alz_shared_open() - Return: counted for the caller; ERR_PTR: ENOENT, EACCES */
struct alz_shared *alz_shared_open(const char *name, u32 name_size, fmode_t access)
{
	struct alz_shared *shared;

	mutex_lock(&alz_names_lock);
	shared = alz_name_get(name, name_size, access);
	mutex_unlock(&alz_names_lock);
	return shared;
}

/** alz_shared_unlink() - Return: 0, -ENOENT, -EACCES (not the owner's) */
int alz_shared_unlink(const char *name, u32 name_size)
{
	struct alz_shared *shared;
	LIST_HEAD(dropped);
	int err = 0;

	mutex_lock(&alz_names_lock);
	shared = alz_name_find(name, name_size);
	if (!shared)
		err = -ENOENT;
	else if (!uid_eq(current_fsuid(), shared->uid) && !capable(CAP_SYS_ADMIN))
		err = -EACCES;
	else
		alz_name_drop(shared, &dropped);
	mutex_unlock(&alz_names_lock);
	alz_names_put(&dropped);
	return err;
}

/** alz_shared_forget() - take the name away again, if there is one; who opened it keeps it */
void alz_shared_forget(struct alz_shared *shared)
{
	LIST_HEAD(dropped);

	mutex_lock(&alz_names_lock);
	if (shared->ipc_ns)
		alz_name_drop(shared, &dropped);
	mutex_unlock(&alz_names_lock);
	alz_names_put(&dropped);
}

/** alz_shared_unlink_all() - the module goes; no fd is left */
void alz_shared_unlink_all(void)
{
	struct alz_shared *shared, *next;
	LIST_HEAD(dropped);

	mutex_lock(&alz_names_lock);
	list_for_each_entry_safe(shared, next, &alz_names, link)
		alz_name_drop(shared, &dropped);
	mutex_unlock(&alz_names_lock);
	alz_names_put(&dropped);
}

/** alz_geometry_fill() - serve GEOMETRY */
int alz_geometry_fill(struct alz_shared *shared, fmode_t access,
		      struct asynclazy_geometry *g)
{
	const struct alz_cache *core = &shared->core;

	if (g->flags || ALZ_RESERVED_SET(g->reserved))
		return -EINVAL;
	g->out_abi_version = ASYNCLAZY_ABI_VERSION;
	g->out_flags = core->header->flags;
	g->out_features = core->header->features;
	g->out_cache_id = shared->id;
	g->out_max_keys = core->max_keys;
	g->out_slots = (core->bucket_mask + 1) * ASYNCLAZY_BUCKET_SLOTS;
	g->out_table_size = core->table_size;
	g->out_arena_size = core->header->arena_size;
	g->out_segment_size = 1ULL << core->arena.segment_shift;
	g->out_value_max = core->value_max;
	g->out_key_max = ASYNCLAZY_KEY_MAX;
	g->out_mode = shared->mode;
	g->out_uid = from_kuid_munged(current_user_ns(), shared->uid);
	g->out_access = ASYNCLAZY_OPEN_READ |
		(access & FMODE_WRITE ? ASYNCLAZY_OPEN_WRITE : 0);
	g->out_visited_size = core->header->visited_size;
	g->out_pins_size = core->header->pins_size;
	g->out_budget = core->header->budget;
	g->out_words_size = core->header->words_size;
	return 0;
}

/** alz_stats_fill() - serve STATS */
int alz_stats_fill(struct alz_shared *shared, struct asynclazy_stats *s)
{
	if (s->flags || ALZ_RESERVED_SET(s->reserved))
		return -EINVAL;
	alz_cache_stats(&shared->core, s);
	return 0;
}

static int alz_call_attach(struct alz_call *call)
{
	struct asynclazy_attach *attach = call->arg;
	struct file *file;
	int err;

	if (attach->flags || ALZ_RESERVED_SET(attach->reserved))
		return -EINVAL;
	err = alz_call_new_fd(call);
	if (err)
		return err;
	file = alz_process_attach(call->file->private_data, call->file->f_mode);
	if (IS_ERR(file))
		return PTR_ERR(file);
	call->new_file = file;
	attach->out_fd = call->new_fd;
	attach->out_lock_id = alz_process_lock_id(file);
	return 0;
}

static int alz_call_geometry(struct alz_call *call)
{
	return alz_geometry_fill(call->file->private_data, call->file->f_mode, call->arg);
}

static int alz_call_stats(struct alz_call *call)
{
	return alz_stats_fill(call->file->private_data, call->arg);
}

static const struct alz_call_entry alz_shared_calls[] = {
	ALZ_CALL(ASYNCLAZY_IOC_ATTACH, asynclazy_attach, reserved, alz_call_attach),
	ALZ_CALL(ASYNCLAZY_IOC_GEOMETRY, asynclazy_geometry, reserved, alz_call_geometry),
	ALZ_CALL(ASYNCLAZY_IOC_STATS, asynclazy_stats, reserved, alz_call_stats),
};

static long alz_shared_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return alz_call_dispatch(file, cmd, arg, alz_shared_calls,
				 ARRAY_SIZE(alz_shared_calls));
}

static int alz_shared_close(struct inode *inode, struct file *file)
{
	alz_shared_put(file->private_data);
	return 0;
}

static void alz_shared_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct alz_shared *shared = file->private_data;

	seq_printf(m, "asynclazy-cache:\t%llu\n", shared->id);
}

static const struct file_operations alz_shared_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = alz_shared_ioctl,
	.release = alz_shared_close,
	.show_fdinfo = alz_shared_show_fdinfo,
	.llseek = noop_llseek,
};

/** alz_shared_file() - a cache fd's file; it takes over the caller's count */
struct file *alz_shared_file(struct alz_shared *shared, fmode_t access)
{
	return anon_inode_getfile("[asynclazy-cache]", &alz_shared_fops, shared,
				  access & FMODE_WRITE ? O_RDWR : O_RDONLY);
}
