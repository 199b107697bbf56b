/* SPDX-License-Identifier: GPL-2.0-only */
/* What core/os.h asks for, in the kernel. */
#ifndef ALZ_OS_H
#define ALZ_OS_H

#include <linux/errno.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/types.h>

typedef spinlock_t alz_os_lock_t;
typedef struct mutex alz_os_mutex_t;

#define ALZ_MUST_HOLD(lock)	lockdep_assert_held(lock)

#define alz_os_lock_init(lock)	spin_lock_init(lock)

static inline void alz_os_lock_fini(alz_os_lock_t *lock)
{
}

static inline void alz_os_lock(alz_os_lock_t *lock)
	__acquires(lock)
{
	spin_lock(lock);
}

static inline void alz_os_unlock(alz_os_lock_t *lock)
	__releases(lock)
{
	spin_unlock(lock);
}

#define alz_os_mutex_init(mutex)	mutex_init(mutex)

static inline void alz_os_mutex_fini(alz_os_mutex_t *mutex)
{
	mutex_destroy(mutex);
}

static inline int alz_os_mutex_lock(alz_os_mutex_t *mutex)
{
	return mutex_lock_killable(mutex);
}

static inline void alz_os_mutex_unlock(alz_os_mutex_t *mutex)
{
	mutex_unlock(mutex);
}

static inline void alz_os_relax(void)
{
	cond_resched();
}

static inline void *alz_os_alloc(size_t size)
{
	return kzalloc(size, GFP_KERNEL_ACCOUNT);
}

static inline void alz_os_free(const void *p)
{
	kfree(p);
}

static inline u64 alz_os_now(void)
{
	return ktime_get_ns();
}

static inline void alz_os_store_release(u64 *p, u64 value)
{
	/* pairs with a reader's address dependency: see core.h */
	smp_store_release(p, value);
}

static inline void alz_os_store(u64 *p, u64 value)
{
	WRITE_ONCE(*p, value);
}

static inline u64 alz_os_load(const u64 *p)
{
	return READ_ONCE(*p);
}

static inline u8 alz_os_load_byte(const u8 *p)
{
	return READ_ONCE(*p);
}

static inline void alz_os_store_byte(u8 *p, u8 value)
{
	WRITE_ONCE(*p, value);
}

static inline void alz_os_store_pointer(void **p, void *v)
{
	/* pairs with alz_arena_fault() */
	smp_store_release(p, v);
}

static inline void alz_os_store_state(u8 *p, u8 value)
{
	/* pairs with alz_waiter_ended() and alz_waitfd_state() */
	smp_store_release(p, value);
}

static inline u32 alz_os_load_u32(const u32 *p)
{
	return READ_ONCE(*p);
}

static inline void alz_os_store_u32(u32 *p, u32 value)
{
	WRITE_ONCE(*p, value);
}

static inline u32 alz_os_cmpxchg_u32(u32 *p, u32 old, u32 new)
{
	return cmpxchg(p, old, new);
}

static inline void alz_os_fence(void)
{
	/* pairs with the barrier of who has changed a word, before it looks at waiting */
	smp_mb();
}

bool alz_os_load_word(const u32 *address, u32 *value);
void *alz_os_pages_alloc(u64 size);
void alz_os_pages_free(void *p, u64 size);
void *alz_os_segment_alloc(void *arena, u32 index, u64 size);
void alz_os_segment_free(void *arena, u32 index, void *p, u64 size);
void alz_os_segment_release(void *arena, u32 index, void *p, u64 size, void **memory);
void alz_os_barrier(bool urgent);
void alz_os_reclaim_wanted(struct alz_cache *cache);
void alz_os_deadline(struct alz_cache *cache, u64 at);
s32 alz_os_client_pid(struct alz_client *client);
void alz_os_file_put(void *file);
void alz_os_wake(struct alz_waiter *w);
void alz_os_ready(struct alz_client *client, bool more);

#endif
