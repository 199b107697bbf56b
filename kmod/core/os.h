/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the core needs of its surroundings. The side that embeds the core has
 * <alz_os.h> on its include path, which defines:
 *
 *   types      u8 u16 u32 u64 s32 bool size_t uintptr_t, NULL
 *   memory     memcpy() memcmp() memset()
 *   errno      EINVAL and its kin, CLOCK_MONOTONIC deadlines in nanoseconds
 *   alz_os_lock_t       a mutual exclusion lock, not recursive
 *   alz_os_mutex_t      another, which is held while one sleeps
 *   ALZ_MUST_HOLD(lock) a check in debug builds that the caller holds it
 *
 * and these functions, each marked with whether it may sleep:
 *
 *   void  alz_os_lock_init(alz_os_lock_t *lock)      no
 *   void  alz_os_lock_fini(alz_os_lock_t *lock)      no
 *   void  alz_os_lock(alz_os_lock_t *lock)           may
 *   void  alz_os_unlock(alz_os_lock_t *lock)         no
 *   void  alz_os_relax(void)                         may; without the lock
 *   void  alz_os_mutex_init(alz_os_mutex_t *mutex)   no
 *   void  alz_os_mutex_fini(alz_os_mutex_t *mutex)   no
 *   int   alz_os_mutex_lock(alz_os_mutex_t *mutex)   may; 0, -EINTR: the caller dies
 *   void  alz_os_mutex_unlock(alz_os_mutex_t *mutex) may
 *   void  alz_os_barrier(bool urgent)                may; see below
 *   void  alz_os_reclaim_wanted(struct alz_cache *cache)  no; under the lock
 *   void *alz_os_alloc(size_t size)                  may; zeroed, or NULL
 *   void  alz_os_free(void *p)                       no; what alloc gave, or NULL
 *   void *alz_os_pages_alloc(u64 size)               may; zeroed, page aligned
 *   void  alz_os_pages_free(void *p, u64 size)       may
 *   void *alz_os_segment_alloc(void *arena, u32 index, u64 size)  may; zeroed
 *   void  alz_os_segment_free(void *arena, u32 index, void *p, u64 size)  may
 *   void  alz_os_segment_release(void *arena, u32 index, void *p, u64 size,
 *                                void **memory)      may; see below
 *   void  alz_os_file_put(void *file)                no; under the lock
 *   u64   alz_os_now(void)                           no; CLOCK_MONOTONIC ns
 *   void  alz_os_store_release(u64 *p, u64 value)    no
 *   void  alz_os_store(u64 *p, u64 value)            no; one plain store
 *   u64   alz_os_load(const u64 *p)                  no; one plain load
 *   u8    alz_os_load_byte(const u8 *p)              no; one plain load
 *   void  alz_os_store_byte(u8 *p, u8 value)         no; one plain store
 *   void  alz_os_store_pointer(void **p, void *v)    no; release
 *   void  alz_os_store_state(u8 *p, u8 value)        no; release
 *   u32   alz_os_load_u32(const u32 *p)              no; one plain load
 *   void  alz_os_store_u32(u32 *p, u32 value)        no; one plain store
 *   u32   alz_os_cmpxchg_u32(u32 *p, u32 old, u32 new)  no; what was there; full barrier
 *   void  alz_os_fence(void)                         no; a full barrier
 *   bool  alz_os_load_word(const u32 *address, u32 *value)  no; see below
 *   void  alz_os_deadline(struct alz_cache *cache, u64 at)  no; under the lock
 *   s32   alz_os_client_pid(struct alz_client *client)  no; under the lock
 *   void  alz_os_wake(struct alz_waiter *w)          no; under the lock
 *   void  alz_os_ready(struct alz_client *client, bool more)  no; under the lock
 *
 * alz_os_wake() tells the one who sleeps on a BLOCK or FD waiter that
 * w->state is no longer ALZ_WAITING. alz_os_ready() tells whether the client
 * has events to read.
 *
 * alz_os_barrier() returns when each CPU that may run a reader has passed a full
 * memory barrier since the call. alz_os_segment_release() takes a segment out of
 * the readers' mappings, sets *memory to NULL such that nobody maps it anew, and
 * frees it; alz_os_segment_free() is for when there are no readers any more.
 * alz_os_reclaim_wanted(): call alz_reclaim() soon, or leave it to those who
 * find no room. alz_os_load_word(): from where the caller says; false: it is not
 * there now. alz_os_deadline(): call alz_deadlines_run() at that time, soon
 * if it is past; 0: not needed. alz_os_client_pid(): the client's process, as the
 * caller's own numbers its processes; 0: it has none.
 */
#ifndef ALZ_CORE_OS_H
#define ALZ_CORE_OS_H

struct alz_cache;
struct alz_waiter;
struct alz_client;

#include <alz_os.h>

#endif
