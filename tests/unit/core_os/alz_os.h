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
void alz_os_wake(struct alz_waiter *w);
void alz_os_ready(struct alz_client *client, bool more);

#endif
