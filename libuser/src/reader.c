// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The hit path. No system call, no lock, no read-modify-write, no fence, no
 * allocation: a hash, one or two lines of the table, one record.
 *
 * Ordering. A record is complete before its slot is stored, by store-release,
 * under the cache's lock: alz_table_store() in the core. The reader gets from
 * the slot's word to the record by an address that is computed from that word,
 * so that the loads cannot be reordered: no barrier is needed on any CPU, as
 * with rcu_dereference(). Whoever misses an entry that is just being moved, or
 * looks at a slot too early, asks the backend, which answers under the lock.
 *
 * Where records make room for others, a reader also pins: see the uAPI header.
 * Who takes a record away has all CPUs pass a barrier between taking its slot
 * away and looking at the pins, so that here two plain stores and loads in this
 * order are enough, on any CPU.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "lib.h"

#if defined(__SSE2__) && !defined(ALZ_TSAN)
#include <emmintrin.h>
#endif

#define ALZ_CLOCK_SLACK	1000000000ULL	/* more than the coarse clock is ever late */

/* What a slot's low half must be: a tag, and a record. */
#define ALZ_MATCH_MASK	((u32)ALZ_SLOT_TAG_MASK | (u32)ASYNCLAZY_SLOT_FILLED)

static inline u64 alz_reader_load(const u64 *slot)
{
#ifdef ALZ_TSAN
	/* the sanitizer knows nothing of address dependencies */
	return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
#else
	return __atomic_load_n(slot, __ATOMIC_RELAXED);
#endif
}

/*
 * Bit i is set if slot i of the bucket matches. Only a hint where to look: the
 * word is loaded and compared again.
 */
static inline unsigned int alz_bucket_match(const u64 *slot, u32 want)
{
#if defined(__SSE2__) && !defined(ALZ_TSAN)
	const __m128 *p = (const __m128 *)slot;
	const __m128i mask = _mm_set1_epi32(ALZ_MATCH_MASK);
	const __m128i w = _mm_set1_epi32(want);
	/* the low halves of slots 0 to 3 and 4 to 7 */
	__m128i a = _mm_castps_si128(_mm_shuffle_ps(p[0], p[1], 0x88));
	__m128i b = _mm_castps_si128(_mm_shuffle_ps(p[2], p[3], 0x88));

	a = _mm_cmpeq_epi32(_mm_and_si128(a, mask), w);
	b = _mm_cmpeq_epi32(_mm_and_si128(b, mask), w);
	a = _mm_packs_epi32(a, b);
	return _mm_movemask_epi8(_mm_packs_epi16(a, _mm_setzero_si128()));
#else
	unsigned int match = 0;
	int i;

	for (i = 0; i < ASYNCLAZY_BUCKET_SLOTS; i++)
		match |= (unsigned int)(((u32)alz_reader_load(slot + i) &
					 ALZ_MATCH_MASK) == want) << i;
	return match;
#endif
}

/* Whether @n bytes are equal, by two loads that may overlap: n / 2 <= sizeof(T) <= n */
#define ALZ_SAME(T, a, b, n) ({						\
	T alz_a0, alz_a1, alz_b0, alz_b1;				\
									\
	memcpy(&alz_a0, (a), sizeof(T));				\
	memcpy(&alz_b0, (b), sizeof(T));				\
	memcpy(&alz_a1, (a) + (n) - sizeof(T), sizeof(T));		\
	memcpy(&alz_b1, (b) + (n) - sizeof(T), sizeof(T));		\
	!((alz_a0 ^ alz_b0) | (alz_a1 ^ alz_b1));			\
})

/* memcmp() without a call, for the keys that most have. */
static inline bool alz_key_is(const char *a, const char *b, size_t n)
{
	if (n > 64)
		return !memcmp(a, b, n);
	for (; n > 16; n -= 16, a += 16, b += 16)
		if (!ALZ_SAME(u64, a, b, 16))
			return false;
	if (n >= 8)
		return ALZ_SAME(u64, a, b, n);
	if (n >= 4)
		return ALZ_SAME(u32, a, b, n);
	return a[0] == b[0] && a[n / 2] == b[n / 2] && a[n - 1] == b[n - 1];
}

static u64 alz_clock(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (u64)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/**
 * alz_clock_before() - whether it is well before a time
 *
 * The coarse clock is the cheaper one, but late by a tick, and on a busy virtual
 * machine by many: it decides only while there is a while to go.
 */
bool alz_clock_before(u64 time)
{
	return alz_clock(CLOCK_MONOTONIC_COARSE) + ALZ_CLOCK_SLACK < time;
}

/* Whether a record with times may not be read any more. */
static bool __attribute__((noinline)) alz_reader_past(const struct asynclazy_record *r)
{
	u64 stale_until = alz_record_times(r)->stale_until;

	return !alz_clock_before(stale_until) && alz_clock(CLOCK_MONOTONIC) >= stale_until;
}

static inline const struct asynclazy_record *
alz_bucket_get(const struct alz_view *view, u64 bucket, const void *key,
	       size_t key_size, u64 hash)
{
	const u64 *slot = view->slots + bucket * ASYNCLAZY_BUCKET_SLOTS;
	u32 want = (u32)alz_slot_tag(hash) | (u32)ASYNCLAZY_SLOT_FILLED;
	unsigned int match = alz_bucket_match(slot, want);

	for (; match; match &= match - 1) {
		const struct asynclazy_record *r;
		u64 word = alz_reader_load(slot + __builtin_ctz(match));

		if (((u32)word & ALZ_MATCH_MASK) != want)
			continue;
		r = alz_view_record(view, alz_slot_offset(word));
		/* under another hash it is another entry, a liar's own */
		if (alz_likely(r->hash == hash && r->key_size == key_size &&
			       alz_key_is(alz_record_key(r), key, key_size)))
			return r;
	}
	return NULL;
}

/* The second candidate; records that are past their time count as absent. */
static __attribute__((noinline)) const struct asynclazy_record *
alz_view_get_other(const struct alz_view *view, const void *key, size_t key_size,
		   u64 hash)
{
	u64 tag = alz_slot_tag(hash);
	u64 first = alz_bucket_first(hash, view->bucket_mask);
	const struct asynclazy_record *r;

	r = alz_bucket_get(view, alz_bucket_other(first, tag, view->bucket_mask),
			   key, key_size, hash);
	if (r && r->flags & ASYNCLAZY_RECORD_TIMES && alz_reader_past(r))
		return NULL;
	return r;
}

static inline const struct asynclazy_record *
alz_view_get(const struct alz_view *view, const void *key, size_t key_size, u64 hash)
{
	const struct asynclazy_record *r;

	r = alz_bucket_get(view, alz_bucket_first(hash, view->bucket_mask), key,
			   key_size, hash);
	if (alz_unlikely(!r))
		return alz_view_get_other(view, key, key_size, hash);
	if (alz_unlikely(r->flags & ASYNCLAZY_RECORD_TIMES) && alz_reader_past(r))
		return NULL;
	return r;
}

/* As alz_bucket_get(), with what is found pinned. */
static inline const struct asynclazy_record *
alz_bucket_pin(const struct alz_view *view, u64 bucket, const void *key,
	       size_t key_size, u64 hash, u64 *pin)
{
	const u64 *slot = view->slots + bucket * ASYNCLAZY_BUCKET_SLOTS;
	u32 want = (u32)alz_slot_tag(hash) | (u32)ASYNCLAZY_SLOT_FILLED;
	unsigned int match = alz_bucket_match(slot, want);

	while (match) {
		unsigned int i = __builtin_ctz(match);
		const struct asynclazy_record *r;
		u64 word = alz_reader_load(slot + i);
		u64 again;

		match &= match - 1;
		if (((u32)word & ALZ_MATCH_MASK) != want)
			continue;
		__atomic_store_n(pin, alz_slot_offset(word) | ASYNCLAZY_PIN_SET,
				 __ATOMIC_RELAXED);
		/* the compiler's order, as with membarrier(2); the CPU's: reclaim.c */
		__asm__ volatile("" : : : "memory");
		again = alz_reader_load(slot + i);
		if (alz_unlikely(again != word)) {
			match |= 1U << i;
			continue;
		}
		/* the record's address comes from this load, whatever the compiler knows */
		__asm__ volatile("" : "+r"(again));
		r = alz_view_record(view, alz_slot_offset(again));
		if (alz_likely(r->hash == hash && r->key_size == key_size &&
			       alz_key_is(alz_record_key(r), key, key_size))) {
			u8 *visited = view->visited + bucket;
			u8 seen = __atomic_load_n(visited, __ATOMIC_RELAXED);

			/* a hint, which others may overwrite; a store only if it is news */
			if (!(seen & 1U << i))
				__atomic_store_n(visited, seen | 1U << i, __ATOMIC_RELAXED);
			return r;
		}
	}
	return NULL;
}

/**
 * alz_reader_pin() - the hit path where records make room for others
 * @pin: free; set if a record is returned, else cleared
 *
 * Return: the record, in its time; NULL if the backend has to be asked.
 */
__attribute__((noinline, flatten))
const struct asynclazy_record *alz_reader_pin(const struct alz_view *view,
					      const void *key, size_t key_size,
					      u64 hash, u64 *pin)
{
	u64 first = alz_bucket_first(hash, view->bucket_mask);
	const struct asynclazy_record *r;

	r = alz_bucket_pin(view, first, key, key_size, hash, pin);
	if (alz_unlikely(!r))
		r = alz_bucket_pin(view, alz_bucket_other(first, alz_slot_tag(hash),
							  view->bucket_mask),
				   key, key_size, hash, pin);
	if (r && !(alz_unlikely(r->flags & ASYNCLAZY_RECORD_TIMES) && alz_reader_past(r)))
		return r;
	alz_pin_clear(pin);
	return NULL;
}

/** alz_reader_slot() - the slot that links to a record. Return: NULL: none does */
const u64 *alz_reader_slot(const struct alz_view *view, const struct asynclazy_record *r)
{
	u64 tag = alz_slot_tag(r->hash);
	u64 bucket = alz_bucket_first(r->hash, view->bucket_mask);
	u64 word = alz_slot_pack(ASYNCLAZY_SLOT_FILLED, tag, (const char *)r - view->arena);
	int i;

	for (i = 0; i < 2 * ASYNCLAZY_BUCKET_SLOTS; i++) {
		const u64 *slot;

		if (i == ASYNCLAZY_BUCKET_SLOTS)
			bucket = alz_bucket_other(bucket, tag, view->bucket_mask);
		slot = view->slots + bucket * ASYNCLAZY_BUCKET_SLOTS +
			i % ASYNCLAZY_BUCKET_SLOTS;
		if ((alz_reader_load(slot) & ~ASYNCLAZY_SLOT_REFRESHING) == word)
			return slot;
	}
	return NULL;
}

static __attribute__((noinline)) u64 alz_hash_long(const void *key, size_t key_size, u64 seed)
{
	return XXH3_64bits_withSeed(key, key_size, seed);
}

/* XXH3 inlined, of which the compiler keeps what is for short keys. */
static inline __attribute__((flatten)) u64 alz_hash(const void *key, size_t key_size, u64 seed)
{
	if (key_size > 16)
		return alz_hash_long(key, key_size, seed);
	return XXH3_64bits_withSeed(key, key_size, seed);
}

/** alz_reader_hash() - the hash of a key in this cache */
u64 alz_reader_hash(const struct alz_view *view, const void *key, size_t key_size)
{
	return alz_hash(key, key_size, view->seed);
}

/**
 * alz_reader_get() - the hit path
 *
 * Return: the key's hash, and its record, value or kept error; no record if
 * the backend has to be asked.
 */
__attribute__((noinline, flatten))
struct alz_found alz_reader_get(const struct alz_view *view, const void *key,
				size_t key_size)
{
	u64 hash = alz_hash(key, key_size, view->seed);

	return (struct alz_found){ alz_view_get(view, key, key_size, hash), hash };
}

/** alz_reader_find() - alz_reader_get() with a hash that is known */
const struct asynclazy_record *alz_reader_find(const struct alz_view *view,
					       const void *key, size_t key_size,
					       u64 hash)
{
	return alz_view_get(view, key, key_size, hash);
}

/**
 * alz_view_check() - whether this library can read a cache of this header
 *
 * Return: 0, or -EPROTO with the text set.
 */
int alz_view_check(const struct asynclazy_header *h)
{
	if (h->magic != ASYNCLAZY_MAGIC)
		return alz_error(-EPROTO, "what the module maps is no asynclazy table (magic "
				 "%llx): load the asynclazy.ko that belongs to this library",
				 (unsigned long long)h->magic);
	if (h->abi_version != ASYNCLAZY_ABI_VERSION)
		return alz_error(-EPROTO, "the asynclazy module has ABI %u, this library has "
				 "ABI %u: install a module and a library of the same release",
				 h->abi_version, ASYNCLAZY_ABI_VERSION);
	if (h->granule_shift != ASYNCLAZY_GRANULE_SHIFT ||
	    h->header_size < sizeof(*h) || h->header_size % 64 ||
	    !h->bucket_count || h->bucket_count & (h->bucket_count - 1))
		return alz_error(-EPROTO, "the asynclazy module lays its table out in a way "
				 "that this library cannot read (granule %u, header %u): "
				 "install a module and a library of the same release",
				 h->granule_shift, h->header_size);
	return 0;
}

/** alz_view_init() - @header has passed alz_view_check() */
void alz_view_init(struct alz_view *view, const struct asynclazy_header *h,
		   const void *arena)
{
	*view = (struct alz_view){
		.slots = (const void *)((const char *)h + h->header_size),
		.bucket_mask = h->bucket_count - 1,
		.arena = arena,
		.seed = h->hash_seed,
		.header = h,
		.table_size = h->table_size,
		.arena_size = h->arena_size,
	};
}
