// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Memory with store buffers, locks, a heap that knows what is freed, and what
 * the compiler calls before each load and store of the core and the reader.
 *
 * A thread runs on memory that is patched with its own buffer, so that its
 * plain loads see its plain stores. A store is announced before it is made; its
 * value is taken from memory at the next call.
 */
#include "explore.h"

#undef memcpy
#undef memset
#undef memcmp

char x_segment[X_SEGMENTS * X_SEGMENT] __attribute__((aligned(64)));
u64 x_pins[X_THREADS];
u32 x_words[X_WORDS];
u32 x_waiting[X_WORDS];

static struct {
	char *at;
	size_t size;
} announced;

/* ---- which memory others look at without the lock ---------------------- */

/* Where the truth about a word or a waiter's state is; NULL: not shared so. */
static void *shared(const void *p)
{
	size_t at;
	int i;

	at = (const char *)p - (x.table + 4096);
	if (at < sizeof(x.slots))
		return (char *)x.slots + at;
	at = (const char *)p - x_segment;
	if (at < X_ARENA)
		return (char *)x.arena + at;
	if (at < sizeof(x_segment)) {
		if (at < X_SEGMENT || at % X_SEGMENT >= X_LATER)
			x_fail("the scenario uses more of the arena than is looked at");
		return (char *)x.arena + X_ARENA + (at / X_SEGMENT - 1) * X_LATER +
		       at % X_SEGMENT;
	}
	at = (const char *)p - (const char *)x_pins;
	if (at < sizeof(x_pins))
		return (char *)x.pins + at;
	at = (const char *)p - (const char *)x_words;
	if (at < sizeof(x_words))
		return (char *)x.words + at;
	at = (const char *)p - (const char *)x_waiting;
	if (at < sizeof(x_waiting))
		return (char *)x.waiting + at;
	for (i = 0; i < X_THREADS; i++)
		if (p == &x.waiter[i].state)
			return &x.state[i];
	return NULL;
}

static void show_truth(void)
{
	int i;

	memcpy(x.table + 4096, x.slots, sizeof(x.slots));
	memcpy(x_segment, x.arena, X_ARENA);
	for (i = 1; i < X_SEGMENTS; i++)
		memcpy(x_segment + i * X_SEGMENT, shared(x_segment + i * X_SEGMENT), X_LATER);
	memcpy(x_pins, x.pins, sizeof(x.pins));
	memcpy(x_words, x.words, sizeof(x.words));
	memcpy(x_waiting, x.waiting, sizeof(x.waiting));
	for (i = 0; i < X_THREADS; i++)
		x.waiter[i].state = x.state[i];
}

void x_memory_show(int thread)
{
	const struct x_thread *t;
	int i;

	show_truth();
	if (thread < 0)
		return;
	t = &x.thread[thread];
	for (i = 0; i < t->stores; i++)
		memcpy(t->store[i].at, &t->store[i].value, t->store[i].size);
}

void x_memory_settle(void)
{
	int i;

	memcpy(x.slots, x.table + 4096, sizeof(x.slots));
	memcpy(x.arena, x_segment, X_ARENA);
	for (i = 1; i < X_SEGMENTS; i++)
		memcpy(shared(x_segment + i * X_SEGMENT), x_segment + i * X_SEGMENT, X_LATER);
	memcpy(x.pins, x_pins, sizeof(x.pins));
	memcpy(x.words, x_words, sizeof(x.words));
	memcpy(x.waiting, x_waiting, sizeof(x.waiting));
	for (i = 0; i < X_THREADS; i++)
		x.state[i] = x.waiter[i].state;
}

void x_memory_reset(void)
{
	memset(&x, 0, sizeof(x));
	memset(x_segment, 0, sizeof(x_segment));
	memset(x_pins, 0, sizeof(x_pins));
	memset(x_words, 0, sizeof(x_words));
	memset(x_waiting, 0, sizeof(x_waiting));
	announced.at = NULL;
}

/* ---- store buffers ----------------------------------------------------- */

/* The newest store to @at in the buffer; -1: none. */
static int newest(const struct x_thread *t, const void *at)
{
	int i = t->stores - 1;

	while (i >= 0 && t->store[i].at != at)
		i--;
	return i;
}

/* Whether a store may as well be one with the earlier one @i of the same word. */
static bool may_join(const struct x_thread *t, int i)
{
	if (!x_pso)
		return i == t->stores - 1 && !t->store[i].release;
	for (; i < t->stores; i++)
		if (t->store[i].release)
			return false;
	return true;
}

static void buffer(void *at, int size, u64 value, bool release)
{
	struct x_thread *t = &x.thread[x_me];
	int i = newest(t, at);

	if (size && !release) {
		/* one that changes nothing */
		if (!memcmp(i < 0 ? shared(at) : &t->store[i].value, &value, size))
			return;
		if (i >= 0 && may_join(t, i)) {
			t->store[i].value = value;
			return;
		}
	}
	if (t->stores == X_BUFFER)
		x_fail("X_BUFFER is too small");
	t->store[t->stores++] = (struct x_store){ at, value, size, release };
}

/* The store that was announced has been made by now. */
void x_capture(void)
{
	uintptr_t at = (uintptr_t)announced.at & ~7UL;
	uintptr_t end = (uintptr_t)announced.at + announced.size;

	if (!announced.at)
		return;
	announced.at = NULL;
	for (; at < end; at += 8)
		buffer((void *)at, 8, *(u64 *)at, false);
}

bool x_may_land(const struct x_thread *t, int store)
{
	const struct x_store *s = &t->store[store];
	int i;

	if (!x_pso || s->release)
		return !store;
	for (i = 0; i < store; i++)
		if (t->store[i].at == s->at)
			return false;
	return true;
}

void x_land(struct x_thread *t, int store)
{
	struct x_store *s = &t->store[store];

	if (s->size)
		memcpy(shared(s->at), &s->value, s->size);
	else
		((alz_os_lock_t *)s->at)->holder = 0;
	t->stores--;
	t->fence -= store < t->fence;
	memmove(s, s + 1, (t->stores - store) * sizeof(*s));
	memset(&t->store[t->stores], 0, sizeof(*s));
}

/* A full barrier. */
void x_drain(void)
{
	x_stop(X_DRAINS, "passes a full barrier");
}

/* ---- locks ------------------------------------------------------------- */

void x_must_hold(const alz_os_lock_t *lock)
{
	if (lock->holder != x_me + 2)
		x_fail("the lock is not held where it must be");
}

void alz_os_lock_init(alz_os_lock_t *lock)
{
	lock->made = 1;
}

void alz_os_lock_fini(alz_os_lock_t *lock)
{
	lock->made = 0;
}

bool x_lock_free(const struct x_thread *t, const alz_os_lock_t *lock)
{
	return !lock->holder && (x_pso || !t->stores);
}

void alz_os_lock(alz_os_lock_t *lock)
{
	x_capture();
	if (x_me >= 0) {
		x.thread[x_me].lock = lock;
		x_stop(X_LOCKS, lock == &x.cache.lock ? "takes the lock" :
		       "takes a wait queue's lock");
		x.thread[x_me].locks++;
	}
	x_check(lock->made && !lock->holder);
	lock->holder = x_me + 2;
}

void alz_os_unlock(alz_os_lock_t *lock)
{
	x_capture();
	x_check(lock->holder == x_me + 2);
	if (x_me < 0) {
		lock->holder = 0;
		return;
	}
	x.thread[x_me].locks--;
	buffer(lock, 0, 0, true);
}

void alz_os_relax(void)
{
}

/* Without a lock's count: who holds it alone is not alone with the records. */
void alz_os_mutex_init(alz_os_mutex_t *mutex)
{
	alz_os_lock_init(mutex);
}

void alz_os_mutex_fini(alz_os_mutex_t *mutex)
{
	alz_os_lock_fini(mutex);
}

int alz_os_mutex_lock(alz_os_mutex_t *mutex)
{
	x_capture();
	if (x_me >= 0) {
		x.thread[x_me].lock = mutex;
		x_stop(X_LOCKS, "takes the room's lock");
	}
	x_check(mutex->made && !mutex->holder);
	mutex->holder = x_me + 2;
	return 0;
}

void alz_os_mutex_unlock(alz_os_mutex_t *mutex)
{
	x_capture();
	x_check(mutex->holder == x_me + 2);
	if (x_me < 0)
		mutex->holder = 0;
	else
		buffer(mutex, 0, 0, true);
}

/* ---- stores and loads by name ------------------------------------------ */

static void store(void *p, int size, u64 value, bool release)
{
	x_capture();
	if (x_me >= 0 && shared(p))
		buffer(p, size, value, release);
	memcpy(p, &value, size);
}

void x_store(u64 *p, u64 value, bool release)
{
	store(p, 8, value, release);
}

void alz_os_store_release(u64 *p, u64 value)
{
#ifdef MUTANT_PLAIN_STORE
	store(p, 8, value, false);
#else
	store(p, 8, value, true);
#endif
}

void alz_os_store(u64 *p, u64 value)
{
	store(p, 8, value, false);
}

void alz_os_store_pointer(void **p, void *v)
{
	store(p, 8, (uintptr_t)v, true);
}

/* Also with the lock held: clients write to words without it. */
u32 alz_os_load_u32(const u32 *p)
{
	x_capture();
	if (x_me >= 0)
		x_stop(X_RUNS, "looks at a word, or at who waits for it");
	return *p;
}

void alz_os_store_u32(u32 *p, u32 value)
{
	store(p, 4, value, false);
}

/* No scenario has locks, or words of others: these are here to link. */
u32 alz_os_cmpxchg_u32(u32 *p, u32 old, u32 value)
{
	u32 was = *p;

	if (was == old)
		*p = value;
	return was;
}

void alz_os_fence(void)
{
	x_drain();
}

bool alz_os_load_word(const u32 *address, u32 *value)
{
	*value = *address;
	return true;
}

void alz_os_store_state(u8 *p, u8 value)
{
	store(p, 1, value, true);
}

u8 x_load_state(const u8 *p)
{
	x_stop(X_RUNS, "looks whether its wait has ended");
	return *p;
}

/* ---- what the compiler calls ------------------------------------------- */

static void check_heap(const void *p, size_t n)
{
	size_t at = (const char *)p - x.heap;

	if (at < X_HEAP && (!x.heap_live[at / 16] || !x.heap_live[(at + n - 1) / 16]))
		x_fail("memory that was freed is used");
}

static void load_hook(const void *p, size_t n)
{
	x_capture();
	check_heap(p, n);
	if (x_me >= 0 && !x.thread[x_me].locks && shared(p))
		x_stop(X_RUNS, (const char *)p - x.table < X_TABLE &&
		       (const char *)p >= x.table ? "loads a slot" : "loads from a record");
}

static void store_hook(void *p, size_t n)
{
	x_capture();
	check_heap(p, n);
	if (x_me < 0 || !shared(p))
		return;
	if ((char *)p >= x_segment && (char *)p < x_segment + sizeof(x_segment)) {
		announced.at = p;
		announced.size = n;
		return;
	}
	/* set under the lock by the waiter itself, before anybody knows of it */
	if (shared(p) >= (void *)x.state && shared(p) < (void *)(x.state + X_THREADS)) {
		*(u8 *)shared(p) = ALZ_WAITING;
		return;
	}
	x_fail("a slot is stored to in passing");
}

u64 x_load(const u64 *p)
{
	load_hook(p, 8);
	return *p;
}

void *x_memcpy(void *to, const void *from, size_t n)
{
	size_t i, step;

	for (i = 0; i < n; i += step) {
		step = n - i >= 8 ? 8 : 1;
		load_hook((const char *)from + i, step);
		store_hook((char *)to + i, step);
		memcpy((char *)to + i, (const char *)from + i, step);
	}
	x_capture();
	return to;
}

void *x_memset(void *to, int c, size_t n)
{
	size_t i, step;

	for (i = 0; i < n; i += step) {
		step = n - i >= 8 ? 8 : 1;
		store_hook((char *)to + i, step);
		memset((char *)to + i, c, step);
	}
	x_capture();
	return to;
}

int x_memcmp(const void *a, const void *b, size_t n)
{
	size_t i, step;
	int diff = 0;

	for (i = 0; i < n && !diff; i += step) {
		step = n - i >= 8 ? 8 : 1;
		load_hook((const char *)a + i, step);
		load_hook((const char *)b + i, step);
		diff = memcmp((const char *)a + i, (const char *)b + i, step);
	}
	return diff;
}

#define HOOKS(n)							\
	void __tsan_read##n(void *p);					\
	void __tsan_write##n(void *p);					\
	void __tsan_unaligned_read##n(void *p);				\
	void __tsan_unaligned_write##n(void *p);			\
	void __tsan_read##n(void *p) { load_hook(p, n); }		\
	void __tsan_write##n(void *p) { store_hook(p, n); }		\
	void __tsan_unaligned_read##n(void *p) { load_hook(p, n); }	\
	void __tsan_unaligned_write##n(void *p) { store_hook(p, n); }

HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)

void __tsan_init(void);
void __tsan_func_entry(void *pc);
void __tsan_func_exit(void);
void __tsan_read_range(void *p, size_t n);
void __tsan_write_range(void *p, size_t n);
u32 __tsan_atomic32_load(const u32 *p, int order);
u64 __tsan_atomic64_load(const u64 *p, int order);
u8 __tsan_atomic8_load(const u8 *p, int order);
void __tsan_atomic64_store(u64 *p, u64 value, int order);
void __tsan_atomic8_store(u8 *p, u8 value, int order);

void __tsan_init(void)
{
}

void __tsan_func_entry(void *pc)
{
	(void)pc;
}

void __tsan_func_exit(void)
{
}

void __tsan_read_range(void *p, size_t n)
{
	load_hook(p, n);
}

void __tsan_write_range(void *p, size_t n)
{
	store_hook(p, n);
}

u32 __tsan_atomic32_load(const u32 *p, int order)
{
	(void)order;
	load_hook(p, 4);
	return *p;
}

u64 __tsan_atomic64_load(const u64 *p, int order)
{
	(void)order;
	return x_load(p);
}

u8 __tsan_atomic8_load(const u8 *p, int order)
{
	(void)order;
	load_hook(p, 1);
	return *p;
}

void __tsan_atomic64_store(u64 *p, u64 value, int order)
{
	store(p, 8, value, order >= __ATOMIC_RELEASE);
}

void __tsan_atomic8_store(u8 *p, u8 value, int order)
{
	store(p, 1, value, order >= __ATOMIC_RELEASE);
}

/* ---- memory ------------------------------------------------------------ */

/* First fit, and zero where nothing is, so that equal states look equal. */
void *alz_os_alloc(size_t size)
{
	size_t n = (size + 15) / 16, at, i;

	for (at = 0; at + n <= X_HEAP / 16; at = i + 1) {
		for (i = at; i < at + n && !x.heap_live[i]; i++)
			;
		if (i < at + n)
			continue;
		memset(x.heap_live + at, 1, n);
		x.heap_live[at] = 2;
		x.heap_used++;
		return x.heap + at * 16;
	}
	x_fail("X_HEAP is too small");
}

void alz_os_free(void *p)
{
	size_t at = ((char *)p - x.heap) / 16;

	if (!p)
		return;
	x_capture();
	if (x.heap_live[at] != 2)
		x_fail("freed twice");
	x.heap_used--;
	do {
		x.heap_live[at] = 0;
		memset(x.heap + at * 16, 0, 16);
	} while (++at < X_HEAP / 16 && x.heap_live[at] == 1);
}

void *alz_os_pages_alloc(u64 size)
{
	if (size <= 4096)
		return alz_os_alloc(size);
	x_check(size <= X_TABLE);
	return x.table;
}

void alz_os_pages_free(void *p, u64 size)
{
	if (size <= 4096)
		alz_os_free(p);
}

void *alz_os_segment_alloc(void *arena, u32 index, u64 size)
{
	(void)arena;
	x_check(index < X_SEGMENTS && size == X_SEGMENT);
	return x_segment + index * X_SEGMENT;
}

void alz_os_segment_free(void *arena, u32 index, void *p, u64 size)
{
	(void)arena;
	(void)index;
	(void)p;
	(void)size;
}

/* Our own stores land; then what is in any buffer by then does, before it returns. */
void alz_os_barrier(bool urgent)
{
	int i;

	(void)urgent;
	x_capture();
	x_stop(X_DRAINS, "passes a full barrier");
	for (i = 0; i < X_THREADS && x_me >= 0; i++)
		x.thread[i].fence = x.thread[i].stores;
#ifndef MUTANT_NO_BARRIER
	x_stop(X_FENCES, "has waited for all CPUs");
#endif
}

void alz_os_reclaim_wanted(struct alz_cache *cache)
{
	x_must_hold(&cache->lock);
}

/* who cares for deadlines calls alz_deadlines_run() */
void alz_os_deadline(struct alz_cache *cache, u64 at)
{
	(void)at;
	x_must_hold(&cache->lock);
}

s32 alz_os_client_pid(struct alz_client *client)
{
	(void)client;
	return 0;
}

void alz_os_segment_release(void *arena, u32 index, void *p, u64 size, void **memory)
{
	(void)arena;
	(void)p;
	(void)size;
	x_fail("segment %u of %p is given back", index, (void *)memory);
}

void alz_os_file_put(void *file)
{
	x_fail("file %p of nobody is put", file);
}

u64 alz_os_load(const u64 *p)
{
	x_stop(X_RUNS, "looks at a pin");
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

u64 alz_os_now(void)
{
	return 1000;
}
