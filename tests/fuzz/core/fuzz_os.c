// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What kmod/core/os.h asks for; see fuzz_os.h. */
#include <stdlib.h>
#include <sys/mman.h>

#include "core.h"
#include "fuzz_os.h"

#if defined(__SANITIZE_ADDRESS__)
#define POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POISON 1
#endif
#endif
#ifdef POISON
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)		((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n)	((void)(p), (void)(n))
#endif

struct fuzz_os fuzz_os;
static unsigned int locks;	/* held now, of all caches */

void fuzz_os_reset(void)
{
	memset(&fuzz_os, 0, sizeof(fuzz_os));
	locks = 0;
}

void core_os_must_hold(const alz_os_lock_t *lock)
{
	fuzz_check(lock->held, "the core works without its lock");
}

void alz_os_lock_init(alz_os_lock_t *lock)
{
	*lock = (alz_os_lock_t){ .made = 1 };
}

void alz_os_lock_fini(alz_os_lock_t *lock)
{
	fuzz_check(lock->made && !lock->held, "bad end of a lock");
	lock->made = 0;
}

void alz_os_lock(alz_os_lock_t *lock)
{
	fuzz_check(lock->made && !lock->held, "the lock is taken twice");
	lock->held = 1;
	locks++;
}

void alz_os_unlock(alz_os_lock_t *lock)
{
	fuzz_check(lock->held, "the lock is let go twice");
	lock->held = 0;
	locks--;
}

/* What may sleep must not be called under the lock. */
static void may_sleep(enum gap gap)
{
	fuzz_check(!locks, "sleeps under the lock");
	fuzz_gap(gap);
}

void alz_os_relax(void)
{
	may_sleep(GAP_BREATH);
}

void alz_os_mutex_init(alz_os_mutex_t *mutex)
{
	alz_os_lock_init(mutex);
}

void alz_os_mutex_fini(alz_os_mutex_t *mutex)
{
	alz_os_lock_fini(mutex);
}

/* One that comes in while another holds it cannot wait: it is told to die. */
int alz_os_mutex_lock(alz_os_mutex_t *mutex)
{
	may_sleep(GAP_MEMORY);
	if (mutex->held)
		return -EINTR;
	mutex->held = 1;
	return 0;
}

void alz_os_mutex_unlock(alz_os_mutex_t *mutex)
{
	fuzz_check(mutex->held && !locks, "bad end of a mutex's hold");
	mutex->held = 0;
}

void alz_os_barrier(bool urgent)
{
	(void)urgent;
	may_sleep(GAP_BREATH);
}

void alz_os_reclaim_wanted(struct alz_cache *cache)
{
	core_os_must_hold(&cache->lock);
}

/* its caches have no leases, and an offer stays */
void alz_os_deadline(struct alz_cache *cache, u64 at)
{
	(void)cache;
	fuzz_fail("a deadline %llu is set", at);
}

s32 alz_os_client_pid(struct alz_client *client)
{
	(void)client;
	return 0;
}

void alz_os_file_put(void *file)
{
	fuzz_fail("file %p of nobody is put", file);
}

/* Whether this request is to be refused. */
static bool refuse(bool too_large)
{
	fuzz_os.requests++;
	if (!too_large && fuzz_os.requests != fuzz_os.fail_at)
		return false;
	fuzz_os.failed++;
	return true;
}

void *alz_os_alloc(size_t size)
{
	may_sleep(GAP_MEMORY);
	if (refuse(false))
		return NULL;
	fuzz_os.live++;
	return calloc(1, size);
}

void alz_os_free(void *p)
{
	if (!p)
		return;
	fuzz_os.live--;
	free(p);
}

void *alz_os_pages_alloc(u64 size)
{
	void *p;

	may_sleep(GAP_MEMORY);
	if (refuse(size > PAGES_MAX))
		return NULL;
	fuzz_os.live++;
	/* exactly so many bytes are there: what lies beyond is poisoned */
	p = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
	fuzz_check(p, "out of memory");
	memset(p, 0, size);
	ASAN_POISON_MEMORY_REGION((char *)p + size, (4096 - size % 4096) % 4096);
	return p;
}

void alz_os_pages_free(void *p, u64 size)
{
	ASAN_UNPOISON_MEMORY_REGION((char *)p + size, (4096 - size % 4096) % 4096);
	alz_os_free(p);
}

void fuzz_arena_init(struct fuzz_arena *arena)
{
	if (!arena->bytes) {
		arena->bytes = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		fuzz_check(arena->bytes != MAP_FAILED, "no memory for an arena");
	}
	arena->segments = 0;
	ASAN_POISON_MEMORY_REGION(arena->bytes, ARENA_BYTES);
}

void fuzz_arena_fini(struct fuzz_arena *arena)
{
	fuzz_check(!arena->segments, "%llu segments of an arena are not given back",
		   (unsigned long long)arena->segments);
}

void *alz_os_segment_alloc(void *arena, u32 index, u64 size)
{
	struct fuzz_arena *a = arena;
	u8 *at;

	may_sleep(GAP_MEMORY);
	if (refuse((index + 1) * size > ARENA_BYTES))
		return NULL;
	at = a->bytes + index * size;
	fuzz_grown(a, index);
	fuzz_os.live++;
	a->segments++;
	fuzz_check(!a->used[index], "segment %u is asked for twice", index);
	a->used[index] = true;
	ASAN_UNPOISON_MEMORY_REGION(at, size);
	memset(at, 0, size);
	return at;
}

void alz_os_segment_free(void *arena, u32 index, void *p, u64 size)
{
	struct fuzz_arena *a = arena;

	fuzz_check(!locks, "frees a segment under the lock");
	fuzz_os.live--;
	a->segments--;
	fuzz_check(p == a->bytes + index * size, "segment %u is another", index);
	fuzz_check(a->used[index], "segment %u is given back twice", index);
	a->used[index] = false;
	ASAN_POISON_MEMORY_REGION(p, size);
}

void alz_os_segment_release(void *arena, u32 index, void *p, u64 size, void **memory)
{
	fuzz_check(*memory == p, "segment %u is another", index);
	*memory = NULL;
	alz_os_segment_free(arena, index, p, size);
}

u64 alz_os_now(void)
{
	return fuzz_os.now;
}

void alz_os_store_release(u64 *p, u64 value)
{
	*p = value;
	fuzz_os.stores++;
	fuzz_stored(p, value);
}

void alz_os_store(u64 *p, u64 value)
{
	*p = value;
}

u64 alz_os_load(const u64 *p)
{
	return *p;
}

u8 alz_os_load_byte(const u8 *p)
{
	return *p;
}

void alz_os_store_byte(u8 *p, u8 value)
{
	*p = value;
}

void alz_os_store_pointer(void **p, void *v)
{
	*p = v;
}

bool alz_os_load_word(const u32 *address, u32 *value)
{
	*value = *address;
	return true;
}

void alz_os_store_state(u8 *p, u8 value)
{
	*p = value;
}

static void told(struct alz_client *client, struct alz_waiter *waiter)
{
	fuzz_check(fuzz_os.tolds < TOLD_MAX, "wakes without end");
	fuzz_os.told[fuzz_os.tolds++] = (struct told){ client, waiter };
}

void alz_os_wake(struct alz_waiter *w)
{
	fuzz_check(w->state != ALZ_WAITING, "a waiter is woken for nothing");
	told(NULL, w);
}

void alz_os_ready(struct alz_client *client, bool more)
{
	core_os_must_hold(&client->cache->lock);
	fuzz_readable(client, more);
	if (more)
		told(client, NULL);
}
