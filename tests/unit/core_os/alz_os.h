/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * The core's surroundings for its own unit tests: one thread, a clock that the
 * test sets, a lock that checks its use, memory that can run out at the n-th
 * request, and a hook that runs wherever the core lets go of its lock, where
 * other threads would come in.
 */
#ifndef ALZ_OS_H
#define ALZ_OS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;

typedef struct {
	int made;
	int held;
} alz_os_lock_t;

#define ALZ_MUST_HOLD(lock)	core_os_must_hold(lock)

void core_os_must_hold(const alz_os_lock_t *lock);
void alz_os_lock_init(alz_os_lock_t *lock);
void alz_os_lock_fini(alz_os_lock_t *lock);
void alz_os_lock(alz_os_lock_t *lock);
void alz_os_unlock(alz_os_lock_t *lock);
void alz_os_relax(void);
typedef alz_os_lock_t alz_os_mutex_t;
void alz_os_mutex_init(alz_os_mutex_t *mutex);
void alz_os_mutex_fini(alz_os_mutex_t *mutex);
int alz_os_mutex_lock(alz_os_mutex_t *mutex);
void alz_os_mutex_unlock(alz_os_mutex_t *mutex);
void alz_os_barrier(bool urgent);
void alz_os_reclaim_wanted(struct alz_cache *cache);
void alz_os_segment_release(void *arena, u32 index, void *p, u64 size, void **memory);
void alz_os_deadline(struct alz_cache *cache, u64 at);
s32 alz_os_client_pid(struct alz_client *client);
void alz_os_file_put(void *file);
u64 alz_os_load(const u64 *p);
u8 alz_os_load_byte(const u8 *p);
void alz_os_store_byte(u8 *p, u8 value);
void *alz_os_alloc(size_t size);
void alz_os_free(void *p);
void *alz_os_pages_alloc(u64 size);
void alz_os_pages_free(void *p, u64 size);
void *alz_os_segment_alloc(void *arena, u32 index, u64 size);
void alz_os_segment_free(void *arena, u32 index, void *p, u64 size);
u64 alz_os_now(void);
void alz_os_store_release(u64 *p, u64 value);
void alz_os_store(u64 *p, u64 value);
void alz_os_store_pointer(void **p, void *v);
void alz_os_store_state(u8 *p, u8 value);
static inline u32 alz_os_load_u32(const u32 *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline void alz_os_store_u32(u32 *p, u32 value)
{
	__atomic_store_n(p, value, __ATOMIC_RELAXED);
}

static inline u32 alz_os_cmpxchg_u32(u32 *p, u32 old, u32 value)
{
	__atomic_compare_exchange_n(p, &old, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return old;
}

static inline void alz_os_fence(void)
{
	/* one thread */
}

bool alz_os_load_word(const u32 *address, u32 *value);
void alz_os_wake(struct alz_waiter *w);
void alz_os_ready(struct alz_client *client, bool more);

#endif
