// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a client can see: the mapped table, state before and after, and
 * waiting for something to happen or not to.
 */
#include "alz.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/*
 * The reader: no system calls
 */

static const __u64 *alz_slots(const struct alz *a)
{
	return (const void *)((const char *)a->header + a->header->header_size);
}

const struct asynclazy_record *alz_record(const struct alz *a, __u64 offset)
{
	return (const void *)(a->arena + offset);
}

const char *alz_record_value(const struct asynclazy_record *r)
{
	return (const char *)r + ((sizeof(*r) + r->key_size + 15) & ~15ULL);
}

const struct asynclazy_times *alz_record_times(const struct asynclazy_record *r)
{
	uintptr_t end = (uintptr_t)(alz_record_value(r) + r->value_size);

	return (const void *)((end + 7) & ~7ULL);
}

static bool alz_look(const struct alz *a, __u64 bucket, __u64 hash,
		     const void *key, size_t size, struct alz_found *found)
{
	const __u64 *slot = alz_slots(a) + bucket * ASYNCLAZY_BUCKET_SLOTS;
	__u64 tag = hash >> ASYNCLAZY_HASH_TAG_SHIFT;
	int i;

	for (i = 0; i < ASYNCLAZY_BUCKET_SLOTS; i++) {
		__u64 w = __atomic_load_n(&slot[i], __ATOMIC_RELAXED);
		__u64 state = w & ASYNCLAZY_SLOT_STATE_MASK;
		const struct asynclazy_record *r;

		if (state == ASYNCLAZY_SLOT_EMPTY ||
		    (w >> ASYNCLAZY_SLOT_TAG_SHIFT & ((1 << ASYNCLAZY_SLOT_TAG_BITS) - 1)) != tag)
			continue;
		if (state == ASYNCLAZY_SLOT_INITIALIZING) {
			if (found->state == ASYNCLAZY_SLOT_EMPTY) {
				found->state = state;
				found->word = w;
			}
			continue;
		}
		found->offset = (w >> ASYNCLAZY_SLOT_OFFSET_SHIFT) << a->header->granule_shift;
		r = alz_record(a, found->offset);
		/* under another hash it is the entry of somebody who was wrong */
		if (r->hash != hash || r->key_size != size || memcmp(r + 1, key, size))
			continue;
		found->state = state;
		found->word = w;
		found->record = r;
		found->value = alz_record_value(r);
		found->value_size = r->value_size;
		return true;
	}
	return false;
}

/* An INITIALIZING slot has no key: one of the same tag is taken for the key's. */
void alz_find(const struct alz *a, const void *key, size_t size,
	      struct alz_found *found)
{
	__u64 hash = alz_hash(a, key, size);
	__u64 tag = hash >> ASYNCLAZY_HASH_TAG_SHIFT;
	__u64 mask = a->header->bucket_count - 1;
	__u64 first = hash & mask;

	memset(found, 0, sizeof(*found));
	if (!alz_look(a, first, hash, key, size, found))
		alz_look(a, first ^ (((tag * ASYNCLAZY_TAG_SPREAD) | 1) & mask),
			 hash, key, size, found);
}

__u64 alz_state_of(const struct alz *a, const char *key)
{
	struct alz_found f;

	alz_find(a, key, strlen(key), &f);
	return f.state;
}

/* Whether a slot leads to a record of this tag. */
static bool alz_slot_may(__u64 w, __u64 tag)
{
	return (w & ASYNCLAZY_SLOT_STATE_MASK) >= ASYNCLAZY_SLOT_FILLED &&
	       (w >> ASYNCLAZY_SLOT_TAG_SHIFT & ((1 << ASYNCLAZY_SLOT_TAG_BITS) - 1)) == tag;
}

/*
 * The same as the uAPI header wants it of those who read what may go: with the
 * n-th pin, from 1, which stays set if there is a value.
 */
static bool alz_look_pinned(const struct alz *a, __u32 n, __u64 bucket, __u64 hash,
			    const void *key, size_t size, struct alz_found *found)
{
	const __u64 *slot = alz_slots(a) + bucket * ASYNCLAZY_BUCKET_SLOTS;
	__u64 tag = hash >> ASYNCLAZY_HASH_TAG_SHIFT;
	volatile __u64 *pin = a->pins + n - 1;
	const struct asynclazy_record *r;
	__u64 w, again;
	int i;

	for (i = 0; i < ASYNCLAZY_BUCKET_SLOTS; i++) {
		w = __atomic_load_n(&slot[i], __ATOMIC_RELAXED);
		while (alz_slot_may(w, tag)) {
			found->offset = (w >> ASYNCLAZY_SLOT_OFFSET_SHIFT) <<
				a->header->granule_shift;
			*pin = found->offset | ASYNCLAZY_PIN_SET;
			__asm__ __volatile__("" : : : "memory");
			again = __atomic_load_n(&slot[i], __ATOMIC_RELAXED);
			if (again == w)
				break;
			w = again;
		}
		if (!alz_slot_may(w, tag))
			continue;
		r = alz_record(a, found->offset);
		if (r->hash != hash || r->key_size != size || memcmp(r + 1, key, size))
			continue;
		if (!(a->visited[bucket] & 1 << i))
			__atomic_fetch_or(&a->visited[bucket], 1 << i, __ATOMIC_RELAXED);
		found->state = w & ASYNCLAZY_SLOT_STATE_MASK;
		found->word = w;
		found->record = r;
		found->value = alz_record_value(r);
		found->value_size = r->value_size;
		return true;
	}
	return false;
}

/* Whether there is a value, or an error, which is ours until alz_unpin(). */
bool alz_read(const struct alz *a, __u32 pin, const void *key, size_t size,
	      struct alz_found *found)
{
	__u64 hash = alz_hash(a, key, size);
	__u64 tag = hash >> ASYNCLAZY_HASH_TAG_SHIFT;
	__u64 mask = a->header->bucket_count - 1;
	__u64 first = hash & mask;

	memset(found, 0, sizeof(*found));
	if (alz_look_pinned(a, pin, first, hash, key, size, found) ||
	    alz_look_pinned(a, pin, first ^ (((tag * ASYNCLAZY_TAG_SPREAD) | 1) & mask),
			    hash, key, size, found))
		return true;
	alz_unpin(a, pin);
	return false;
}

void alz_unpin(const struct alz *a, __u32 pin)
{
	__atomic_store_n(a->pins + pin - 1, 0, __ATOMIC_RELEASE);
}

/*
 * Values that prove themselves: key, number, and bytes that follow from both
 */

#define ALZ_STAMP_MIN	16

void alz_stamp(void *value, size_t size, __u64 key, __u64 number)
{
	__u64 seed = key << 32 ^ number, word;
	size_t at = ALZ_STAMP_MIN;

	memcpy(value, &key, 8);
	memcpy((char *)value + 8, &number, 8);
	for (; at < size; at += 8) {
		word = alz_rand(&seed);
		memcpy((char *)value + at, &word, size - at < 8 ? size - at : 8);
	}
}

/* Whether it is one of this key's values, and if so its number. */
bool alz_stamped(const void *value, size_t size, __u64 key, __u64 *number)
{
	__u64 is, n, seed, word;
	size_t at;

	if (size < ALZ_STAMP_MIN)
		return false;
	memcpy(&is, value, 8);
	memcpy(&n, (const char *)value + 8, 8);
	if (is != key)
		return false;
	seed = key << 32 ^ n;
	for (at = ALZ_STAMP_MIN; at < size; at += 8) {
		word = alz_rand(&seed);
		if (memcmp((const char *)value + at, &word, size - at < 8 ? size - at : 8))
			return false;
	}
	if (number)
		*number = n;
	return true;
}

/* Whether a reader finds this value. */
bool alz_has(const struct alz *a, const char *key, const char *value)
{
	struct alz_found f;

	alz_find(a, key, strlen(key), &f);
	return f.state == ASYNCLAZY_SLOT_FILLED && f.value_size == strlen(value) &&
	       !memcmp(f.value, value, f.value_size);
}

/* Whether the record at an offset holds this value. */
bool alz_value_at(const struct alz *a, __u64 offset, const char *value)
{
	const struct asynclazy_record *r;

	if (offset >= a->arena_size)
		return false;
	r = alz_record(a, offset);
	return r->value_size == strlen(value) &&
	       !memcmp(alz_record_value(r), value, r->value_size);
}

/*
 * State before and after
 */

void alz_snapshot(const struct alz *a, struct alz_state *s)
{
	struct asynclazy_stats t;

	memset(s, 0, sizeof(*s));
	if (alz_stats(a->cache, &t))
		abort();
	s->keys = t.out_keys;
	s->errors = t.out_errors;
	s->initializing = t.out_initializing;
	s->arena_used = t.out_arena_used;
	s->tickets_now = t.out_tickets_now;
	s->waits_now = t.out_waits_now;
	s->clients = t.out_clients;
	s->publishes = t.out_publishes;
	s->fails = t.out_fails;
	s->abandons = t.out_abandons;
	s->deaths = t.out_deaths;
	s->handovers = t.out_handovers;
	s->sets = t.out_sets;
	s->invalidates = t.out_invalidates;
	s->table = XXH3_64bits(alz_slots(a), a->header->bucket_count *
			       ASYNCLAZY_BUCKET_SLOTS * sizeof(__u64));
}

/* Whether all is as it was; says what is not. */
bool alz_unchanged(const struct alz *a, const struct alz_state *before)
{
	static const char *const names[] = {
		"keys", "errors", "initializing", "arena_used", "tickets_now",
		"waits_now", "clients", "publishes", "fails", "abandons",
		"deaths", "handovers", "sets", "invalidates", "table",
	};
	const __u64 *was = (const void *)before, *is;
	struct alz_state after;
	bool same = true;
	unsigned int i;

	_Static_assert(sizeof(after) == sizeof(names) / sizeof(*names) * sizeof(__u64),
		       "a name for each");
	alz_snapshot(a, &after);
	is = (const void *)&after;
	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (was[i] == is[i])
			continue;
		fprintf(stderr, "# changed: %s was %llu, is %llu\n", names[i],
			was[i], is[i]);
		same = false;
	}
	return same;
}

static void alz_short_pause(void)
{
	struct timespec t = { .tv_nsec = 200 * 1000 };

	nanosleep(&t, NULL);
}

static bool alz_await_stat(const struct alz *a, size_t member, __u64 n)
{
	__u64 until = alz_now() + ALZ_SOON_MS * ALZ_MSEC;
	struct asynclazy_stats s;

	do {
		if (alz_stats(a->cache, &s))
			return false;
		if (*(__u64 *)((char *)&s + member) == n)
			return true;
		alz_short_pause();
	} while (alz_now() < until);
	fprintf(stderr, "# awaited %llu, is %llu\n", n, *(__u64 *)((char *)&s + member));
	return false;
}

/* Wait until the cache has this many waiters. */
bool alz_await_waits(const struct alz *a, __u64 n)
{
	return alz_await_stat(a, offsetof(struct asynclazy_stats, out_waits_now), n);
}

bool alz_await_clients(const struct alz *a, __u64 n)
{
	return alz_await_stat(a, offsetof(struct asynclazy_stats, out_clients), n);
}

bool alz_await_held(const struct alz *a, __u64 n)
{
	return alz_await_stat(a, offsetof(struct asynclazy_stats, out_segments_held), n);
}

bool alz_await_late(const struct alz *a, __u64 n)
{
	return alz_await_stat(a, offsetof(struct asynclazy_stats, out_late), n);
}

bool alz_await_tickets(const struct alz *a, __u64 n)
{
	return alz_await_stat(a, offsetof(struct asynclazy_stats, out_tickets_now), n);
}

/*
 * Waiting
 */

/* What poll() says of a fd within the time: 0, or its events. */
int alz_poll(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1 ? p.revents : 0;
}

/* Events that come within the time, of one read; -ETIMEDOUT if none comes. */
int alz_events(const struct alz *a, struct asynclazy_event *e, int max,
	       int timeout_ms)
{
	ssize_t n;

	if (!alz_poll(a->client, timeout_ms))
		return -ETIMEDOUT;
	memset(e, ALZ_POISON, max * sizeof(*e));
	n = read(a->client, e, max * sizeof(*e));
	if (n < 0)
		return -errno;
	return n % sizeof(*e) ? -EIO : n / (ssize_t)sizeof(*e);
}

/* The next event; 0 or -errno. */
int alz_event(const struct alz *a, struct asynclazy_event *e)
{
	int n = alz_events(a, e, 1, ALZ_SOON_MS);

	return n == 1 ? 0 : n < 0 ? n : -EIO;
}

int alz_read_waitfd(int fd, struct asynclazy_event *e, int timeout_ms)
{
	ssize_t n;

	if (!alz_poll(fd, timeout_ms))
		return -ETIMEDOUT;
	memset(e, ALZ_POISON, sizeof(*e));
	n = read(fd, e, sizeof(*e));
	if (n < 0)
		return -errno;
	return n == sizeof(*e) ? 0 : -EIO;
}

static void *alz_block_run(void *arg)
{
	struct alz_blocker *b = arg;

	alz_claim_fill(b->a, &b->claim, b->key, strlen(b->key), b->flags | BLOCK);
	b->claim.deadline = b->deadline;
	b->err = alz_claim_raw(b->a, &b->claim);
	memcpy(b->detail, alz_claim_detail(), sizeof(b->detail));
	return NULL;
}

void alz_block(struct alz_blocker *b, const struct alz *a, const char *key,
	       __u32 flags, __u64 deadline)
{
	memset(b, 0, sizeof(*b));
	b->a = a;
	b->key = key;
	b->flags = flags;
	b->deadline = deadline;
	if (pthread_create(&b->thread, NULL, alz_block_run, b))
		abort();
}

/* Whether the call has returned within the time. */
bool alz_block_ended(struct alz_blocker *b, int timeout_ms)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_nsec += timeout_ms % 1000 * 1000000;
	t.tv_sec += timeout_ms / 1000 + t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return !pthread_timedjoin_np(b->thread, NULL, &t);
}

/*
 * Module parameters
 */

long alz_parameter_get(const char *name)
{
	char path[256];
	long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), ALZ_PARAMETERS "%s", name);
	f = fopen(path, "r");
	if (!f)
		return -1;
	if (fscanf(f, "%ld", &value) != 1)
		value = -1;
	fclose(f);
	return value;
}

int alz_parameter_set(const char *name, long value)
{
	char path[256], text[32];
	int fd, n, err = 0;

	snprintf(path, sizeof(path), ALZ_PARAMETERS "%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = snprintf(text, sizeof(text), "%ld", value);
	if (write(fd, text, n) != n)
		err = -errno;
	close(fd);
	return err;
}
