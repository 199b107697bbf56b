/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the core needs of its surroundings. The side that embeds the core has
 * <alz_os.h> on its include path, which defines:
 *
 *   types      u8 u16 u32 u64 s32 bool size_t uintptr_t, NULL
 *   memory     memcpy() memcmp() memset()
 *   errno      EINVAL and its kin, CLOCK_MONOTONIC deadlines in nanoseconds
 *   alz_os_lock_t       a mutual exclusion lock, not recursive
 *   ALZ_MUST_HOLD(lock) a check in debug builds that the caller holds it
 *
 * and these functions, each marked with whether it may sleep:
 *
 *   void  alz_os_lock_init(alz_os_lock_t *lock)      no
 *   void  alz_os_lock_fini(alz_os_lock_t *lock)      no
 *   void  alz_os_lock(alz_os_lock_t *lock)           may
 *   void  alz_os_unlock(alz_os_lock_t *lock)         no
 *   void  alz_os_relax(void)                         may; without the lock
 *   void *alz_os_alloc(size_t size)                  may; zeroed, or NULL
 *   void  alz_os_free(void *p)                       no; what alloc gave, or NULL
 *   void *alz_os_pages_alloc(u64 size)               may; zeroed, page aligned
 *   void  alz_os_pages_free(void *p, u64 size)       may
 *   void *alz_os_segment_alloc(void *arena, u32 index, u64 size)  may; zeroed
 *   void  alz_os_segment_free(void *arena, u32 index, void *p, u64 size)  may
 *   u64   alz_os_now(void)                           no; CLOCK_MONOTONIC ns
 *   void  alz_os_store_release(u64 *p, u64 value)    no
 *   void  alz_os_store(u64 *p, u64 value)            no; one plain store
 *   void  alz_os_store_pointer(void **p, void *v)    no; release
 *   void  alz_os_store_state(u8 *p, u8 value)        no; release
 *   void  alz_os_wake(struct alz_waiter *w)          no; under the lock
 *   void  alz_os_ready(struct alz_client *client, bool more)  no; under the lock
 *
 * alz_os_wake() tells the one who sleeps on a BLOCK or FD waiter that
 * w->state is no longer ALZ_WAITING. alz_os_ready() tells whether the client
 * has events to read.
 */
#ifndef ALZ_CORE_OS_H
#define ALZ_CORE_OS_H

struct alz_waiter;
struct alz_client;

#include <alz_os.h>

#endif
