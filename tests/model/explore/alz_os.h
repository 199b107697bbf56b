/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The core's surroundings in the explorer: see explore.h. The core and the
 * reader are compiled with -fsanitize=thread, for the sake of the calls that
 * the compiler then makes before each load and store; memory.c has them.
 */
#ifndef ALZ_OS_H
#define ALZ_OS_H

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;

typedef struct {
	int made;
	int holder;		/* 1 + the thread; 0: free */
} alz_os_lock_t;

typedef alz_os_lock_t alz_os_mutex_t;

#define ALZ_MUST_HOLD(lock)	x_must_hold(lock)

void x_must_hold(const alz_os_lock_t *lock);
void *x_memcpy(void *to, const void *from, size_t n);
void *x_memset(void *to, int c, size_t n);
int x_memcmp(const void *a, const void *b, size_t n);

/* byte by byte where others may look */
#define memcpy(to, from, n)	x_memcpy(to, from, n)
#define memset(to, c, n)	x_memset(to, c, n)
#define memcmp(a, b, n)		x_memcmp(a, b, n)

void alz_os_lock_init(alz_os_lock_t *lock);
void alz_os_lock_fini(alz_os_lock_t *lock);
void alz_os_lock(alz_os_lock_t *lock);
void alz_os_unlock(alz_os_lock_t *lock);
void alz_os_relax(void);
void alz_os_mutex_init(alz_os_mutex_t *mutex);
void alz_os_mutex_fini(alz_os_mutex_t *mutex);
int alz_os_mutex_lock(alz_os_mutex_t *mutex);
void alz_os_mutex_unlock(alz_os_mutex_t *mutex);
void alz_os_barrier(bool urgent);
void alz_os_reclaim_wanted(struct alz_cache *cache);
void *alz_os_alloc(size_t size);
void alz_os_free(void *p);
void *alz_os_pages_alloc(u64 size);
void alz_os_pages_free(void *p, u64 size);
void *alz_os_segment_alloc(void *arena, u32 index, u64 size);
void alz_os_segment_free(void *arena, u32 index, void *p, u64 size);
void alz_os_segment_release(void *arena, u32 index, void *p, u64 size, void **memory);
void alz_os_deadline(struct alz_cache *cache, u64 at);
s32 alz_os_client_pid(struct alz_client *client);
void alz_os_file_put(void *file);
u64 alz_os_now(void);
u64 alz_os_load(const u64 *p);
u8 alz_os_load_byte(const u8 *p);
void alz_os_store_byte(u8 *p, u8 value);
void alz_os_store_release(u64 *p, u64 value);
void alz_os_store(u64 *p, u64 value);
void alz_os_store_pointer(void **p, void *v);
void alz_os_store_state(u8 *p, u8 value);
u32 alz_os_load_u32(const u32 *p);
void alz_os_store_u32(u32 *p, u32 value);
u32 alz_os_cmpxchg_u32(u32 *p, u32 old, u32 value);
void alz_os_fence(void);
bool alz_os_load_word(const u32 *address, u32 *value);
void alz_os_wake(struct alz_waiter *w);
void alz_os_ready(struct alz_client *client, bool more);

#endif
