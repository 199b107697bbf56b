/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Objects of the module and what its files share.
 *
 *   /dev/asynclazy (device.c) -> struct alz_shared, one a cache (shared.c)
 *     -> struct alz_process, one an attachment (process.c)
 *       -> struct alz_waitfd, one a per-wait fd (waitfd.c)
 *
 * struct file is the reference count of attachments and per-wait fds. A cache
 * is in use by its fds, its attachments, its per-wait fds, and its name; its
 * user is charged for that long. Its memory stays a grace period longer, for
 * attachments that were let go.
 *
 * Lock order: alz_names_lock (mutex) -> alz_users_lock (mutex);
 * alz_process.read_lock (mutex) -> alz_cache.lock (spinlock) -> wait queues.
 * alz_arena.room_lock (mutex) -> map_lock (rwsem), alz_cache.lock; mmap_lock ->
 * map_lock -> a folio's lock -> page tables. Nothing touches user memory, or
 * sleeps, under the spinlock, and nothing touches user memory under room_lock or
 * map_lock. But for a word that is waited for, which is looked at under the spinlock
 * with faults disabled.
 */
#ifndef ALZ_INTERNAL_H
#define ALZ_INTERNAL_H

#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/refcount.h>
#include <linux/uidgid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "core/core.h"

/* user.c: what one user has, over all its caches */
struct alz_user {
	struct list_head link;		/* alz_users, under alz_users_lock */
	kuid_t uid;			/* constant */
	u64 caches;			/* alz_users_lock */
	u64 bytes;			/* alz_users_lock */
};

struct alz_user *alz_user_charge(kuid_t uid, u64 bytes);
void alz_user_uncharge(struct alz_user *user, u64 bytes);
void alz_user_info(kuid_t uid, struct asynclazy_info *info);

/* Module parameters, in main.c; read at each use. */
extern unsigned long alz_max_caches;
extern unsigned long alz_max_bytes;
extern unsigned long alz_max_waits;
extern unsigned long alz_max_tickets;
extern struct workqueue_struct *alz_free_wq;
extern struct workqueue_struct *alz_reclaim_wq;

/* shared.c: a cache, as the module sees it */
struct alz_shared {
	struct alz_cache core;
	refcount_t uses;		/* the user is charged while there are any */
	struct kref refs;		/* all uses together, and each attachment */
	struct list_head link;		/* alz_names, under alz_names_lock */
	struct work_struct reclaim_work;	/* makes segments free ahead of need */
	struct delayed_work deadline_work;	/* does what is due to flights */
	struct address_space mapping;	/* of all client fds: to unmap a segment */
	struct rw_semaphore map_lock;	/* read: a page of the arena is being mapped */
	struct mem_cgroup *memcg;	/* constant, counted: pays for the arena */
	struct alz_user *user;		/* constant */
	u64 bytes;			/* constant: charged to @user */
	u64 id;				/* constant */
	kuid_t uid;			/* constant */
	kgid_t gid;			/* constant */
	umode_t mode;			/* constant */
	struct ipc_namespace *ipc_ns;	/* alz_names_lock; counted while it has a name */
	u32 name_size;			/* constant; 0: anonymous */
	char name[ASYNCLAZY_NAME_MAX];	/* constant */
};

struct alz_shared *alz_shared_create(const struct asynclazy_create *create,
				     const char *name, bool *created);
struct alz_shared *alz_shared_open(const char *name, u32 name_size, fmode_t access);
int alz_shared_unlink(const char *name, u32 name_size);
void alz_shared_forget(struct alz_shared *shared);
void alz_shared_get(struct alz_shared *shared);
void alz_shared_put(struct alz_shared *shared);
void alz_shared_release(struct kref *refs);
void alz_shared_reap(void);
void alz_shared_unlink_all(void);
struct file *alz_shared_file(struct alz_shared *shared, fmode_t access);

/* process.c: a client, bound to the mm that attached */
struct alz_process {
	struct alz_client core;
	struct alz_shared *shared;	/* in use until let go, then counted */
	struct mmu_notifier notifier;
	struct mm_struct *mm;		/* counted by the notifier; compared only */
	struct pid *pid;		/* constant, counted: of the process */
	fmode_t access;			/* constant */
	wait_queue_head_t wait;		/* woken when events come, or at death */
	struct mutex read_lock;		/* one reader of events at a time */
	void *pins;			/* constant: a page that it may write to, or NULL */
	void *held;			/* constant: another, or NULL */
	struct work_struct free_work;
};

struct file *alz_process_attach(struct alz_shared *shared, fmode_t access);
u32 alz_process_lock_id(const struct file *file);
void alz_process_flush(void);
int alz_process_check(const struct alz_process *process);
long alz_process_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* pages.c: memory, of huge pages if it is large enough */
static inline bool alz_pages_joined(u64 size)
{
	return IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE) && size >= PMD_SIZE;
}

void alz_pages_settle(void *p, u64 size);

/* map.c */
int alz_map_attach(struct alz_shared *shared, struct file *file);
int alz_process_mmap(struct file *file, struct vm_area_struct *vma);
bool alz_map_is_words(const struct vm_area_struct *vma, const struct alz_shared *shared);
bool alz_map_is_ours(const struct vm_area_struct *vma);

/* waitfd.c: the descriptor of one wait */
struct alz_waitfd {
	struct alz_waiter waiter;
	struct alz_shared *shared;	/* in use */
	struct mm_struct *mm;		/* counted; compared only */
	wait_queue_head_t wait;
	bool registered;		/* set before the fd is installed */
};

struct file *alz_waitfd_file(struct alz_process *process, struct alz_waitfd **waitfd);

/* call_claim.c, call_store.c, call_flight.c, call_word.c: the calls of a client */
struct alz_call;
int alz_waiter_sleep(struct alz_process *process, struct alz_waiter *w,
		     wait_queue_head_t *wait, u64 deadline, u32 pin,
		     struct alz_answer *answer);
int alz_call_claim(struct alz_call *call);
int alz_call_publish(struct alz_call *call);
int alz_call_fail(struct alz_call *call);
int alz_call_abandon(struct alz_call *call);
int alz_call_cancel(struct alz_call *call);
int alz_call_fetch(struct alz_call *call);
int alz_call_set(struct alz_call *call);
int alz_call_invalidate(struct alz_call *call);
int alz_call_expire(struct alz_call *call);
int alz_call_clear(struct alz_call *call);
int alz_call_extend(struct alz_call *call);
int alz_call_flight(struct alz_call *call);
int alz_call_wait(struct alz_call *call);
int alz_call_wake(struct alz_call *call);

/* call_batch.c */
int alz_call_batch(struct alz_call *call);

/* memfd.c: values in sealed memfds */
struct alz_blob *alz_memfd_blob(int fd, u64 size);
int alz_memfd_open(struct alz_call *call, struct alz_blob *blob);
int alz_call_memfd(struct alz_call *call);

/* shared.c: calls of both cache fds and client fds */
int alz_geometry_fill(struct alz_shared *shared, fmode_t access,
		      struct asynclazy_geometry *g);
int alz_stats_fill(struct alz_shared *shared, struct asynclazy_stats *s);

#endif
