/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* What kmod/core/os.h asks for, in user space. */
#ifndef ALZ_OS_H
#define ALZ_OS_H

#include <assert.h>
#include <errno.h>
#include <linux/types.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if !defined(__LP64__) && !defined(_LP64)
#error "asynclazy is for 64-bit programs only"
#endif

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;

#if defined(__SANITIZE_ADDRESS__)
#define ALZ_CHECKED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ALZ_CHECKED 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define ALZ_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ALZ_TSAN 1
#endif
#endif

typedef pthread_mutex_t alz_os_lock_t;
typedef pthread_mutex_t alz_os_mutex_t;

/* somebody holds it: as much as can be asked of a mutex */
#ifdef ALZ_CHECKED
#define ALZ_MUST_HOLD(lock)	assert(pthread_mutex_trylock(lock) == EBUSY)
#else
#define ALZ_MUST_HOLD(lock)	((void)(lock))
#endif

static inline void alz_os_lock_init(alz_os_lock_t *lock)
{
	pthread_mutex_init(lock, NULL);
}

static inline void alz_os_lock_fini(alz_os_lock_t *lock)
{
	pthread_mutex_destroy(lock);
}

static inline void alz_os_lock(alz_os_lock_t *lock)
{
	pthread_mutex_lock(lock);
}

static inline void alz_os_unlock(alz_os_lock_t *lock)
{
	pthread_mutex_unlock(lock);
}

static inline void alz_os_mutex_init(alz_os_mutex_t *mutex)
{
	pthread_mutex_init(mutex, NULL);
}

static inline void alz_os_mutex_fini(alz_os_mutex_t *mutex)
{
	pthread_mutex_destroy(mutex);
}

static inline int alz_os_mutex_lock(alz_os_mutex_t *mutex)
{
	return -pthread_mutex_lock(mutex);
}

static inline void alz_os_mutex_unlock(alz_os_mutex_t *mutex)
{
	pthread_mutex_unlock(mutex);
}

static inline void alz_os_relax(void)
{
	sched_yield();
}

static inline void *alz_os_alloc(size_t size)
{
	return calloc(1, size);
}

static inline void alz_os_free(void *p)
{
	free(p);
}

static inline u64 alz_os_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static inline void alz_os_store_release(u64 *p, u64 value)
{
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

static inline void alz_os_store(u64 *p, u64 value)
{
	__atomic_store_n(p, value, __ATOMIC_RELAXED);
}

static inline u64 alz_os_load(const u64 *p)
{
#ifdef ALZ_TSAN
	/* a pin that is cleared: what was read through it was read before */
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
#else
	return __atomic_load_n(p, __ATOMIC_RELAXED);
#endif
}

static inline u8 alz_os_load_byte(const u8 *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline void alz_os_store_byte(u8 *p, u8 value)
{
	__atomic_store_n(p, value, __ATOMIC_RELAXED);
}

static inline void alz_os_store_pointer(void **p, void *v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline void alz_os_store_state(u8 *p, u8 value)
{
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

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
#ifdef ALZ_TSAN
	/* it does not know fences */
	static u32 fence;

	__atomic_fetch_add(&fence, 0, __ATOMIC_SEQ_CST);
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* Of this process: it is there. */
static inline bool alz_os_load_word(const u32 *address, u32 *value)
{
	*value = alz_os_load_u32(address);
	return true;
}

/* os_local.c */
void *alz_os_pages_alloc(u64 size);
void alz_os_pages_free(void *p, u64 size);
void *alz_os_segment_alloc(void *arena, u32 index, u64 size);
void alz_os_segment_free(void *arena, u32 index, void *p, u64 size);
void alz_os_segment_release(void *arena, u32 index, void *p, u64 size, void **memory);
void alz_os_barrier(bool urgent);
void alz_os_deadline(struct alz_cache *cache, u64 at);
s32 alz_os_client_pid(struct alz_client *client);
void alz_os_file_put(void *file);

/* There is no thread of ours: who finds no room makes some. */
static inline void alz_os_reclaim_wanted(struct alz_cache *cache)
{
	(void)cache;
}

void alz_os_wake(struct alz_waiter *w);
void alz_os_ready(struct alz_client *client, bool more);

#endif
