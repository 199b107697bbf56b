// SPDX-License-Identifier: GPL-2.0-only
/*
 * L13: a cache that is not STABLE gives the room of old values to new ones. It
 * never refuses, never grows over its budget, keeps what is read, and lets go of
 * what is dead.
 */
#include <sys/syscall.h>
#include <linux/userfaultfd.h>

#include "kselftest_harness.h"
#include "remote.h"

#define BUDGET		(2ULL << 20)
#define KEYS		20000
#define LARGEST		8000

FIXTURE(recycle) {
	struct alz a;
	struct alz_found f;
	struct asynclazy_stats s;
	struct asynclazy_claim c;
	char value[LARGEST];
	__u64 seed;
	int writer;		/* socket */
};

FIXTURE_SETUP(recycle)
{
	self->seed = 1;
	ASSERT_EQ(0, alz_setup_evicting(&self->a, KEYS, BUDGET));
}

FIXTURE_TEARDOWN(recycle)
{
	alz_leave(&self->a);
}

static void name_of(char *name, __u64 key)
{
	sprintf(name, "key %llu", key);
}

/* Claim and publish a value that proves itself. */
static int fill(struct alz *a, char *value, __u64 key, size_t size)
{
	struct asynclazy_claim c;
	char name[32];
	int err;

	name_of(name, key);
	err = alz_claim(a, name, INIT, &c);
	if (err || c.out_result != ASYNCLAZY_RESULT_TICKET)
		return err;
	alz_stamp(value, size, key, 1);
	return alz_publish_bytes(a, c.out_ticket, value, size, 0, NULL);
}

enum look { GONE, RIGHT, WRONG };

static enum look look(struct alz *a, __u64 key)
{
	struct alz_found f;
	char name[32];
	bool right;

	name_of(name, key);
	if (!alz_read(a, 1, name, strlen(name), &f))
		return GONE;
	right = alz_stamped(f.value, f.value_size, key, NULL);
	alz_unpin(a, 1);
	return right ? RIGHT : WRONG;
}

static __u64 record_size(const char *name, size_t value)
{
	__u64 size = sizeof(struct asynclazy_record) + strlen(name);

	size = ((size + 15) & ~15ULL) + value;
	return (size + 63) & ~63ULL;
}

/* What must be true of a cache's memory at any time. */
#define EXPECT_BOUNDED(a) do {						\
	struct asynclazy_stats s_;					\
	__u64 segment_ = 1ULL << (a)->header->segment_shift;		\
									\
	ASSERT_EQ(0, alz_stats((a)->cache, &s_));			\
	ASSERT_GE((a)->header->budget, s_.out_arena_allocated);		\
	ASSERT_LE(s_.out_arena_used, s_.out_arena_allocated);		\
	ASSERT_EQ((a)->header->budget / segment_, s_.out_segments);	\
	/* one may have been emptied, and wait for a grace period */	\
	ASSERT_GE(s_.out_arena_allocated, segment_ *			\
		  (s_.out_segments_free + s_.out_segments_open + s_.out_segments_full));	\
} while (0)

/* Once reclaim has nothing more to do, each segment is one of these. */
static bool segments_add_up(const struct alz *a, struct asynclazy_stats *s)
{
	__u64 until = alz_now() + ALZ_SOON_MS * ALZ_MSEC;
	struct timespec t = { .tv_nsec = ALZ_MSEC };

	do {
		if (alz_stats(a->cache, s))
			return false;
		if (s->out_arena_allocated >> a->header->segment_shift ==
		    s->out_segments_free + s->out_segments_open + s->out_segments_full +
		    s->out_segments_held)
			return true;
		nanosleep(&t, NULL);
	} while (alz_now() < until);
	return false;
}

TEST_F(recycle, filled_20_times_over_it_never_refuses)	/* L13, I2 */
{
	__u64 times = alz_debug_kernel() ? 5 : 20, want = times * BUDGET;
	__u64 bytes = 0, there, evicted, key, i;

	for (key = 0; bytes < want; key++) {
		size_t size = 16 + alz_rand(&self->seed) % (LARGEST - 16);

		ASSERT_EQ(0, fill(&self->a, self->value, key, size)) TH_LOG("key %llu", key);
		ASSERT_EQ(RIGHT, look(&self->a, key)) TH_LOG("key %llu", key);
		bytes += size;
		if (key % 64)
			continue;
		EXPECT_BOUNDED(&self->a);
		ASSERT_NE(WRONG, look(&self->a, alz_rand(&self->seed) % (key + 1)));
	}
	/* of one moment: reclaim may be at work ahead of need */
	do {
		ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
		evicted = self->s.out_evictions;
		bytes = 0;
		there = 0;
		for (i = 0; i < key; i++) {
			char name[32];
			enum look is = look(&self->a, i);

			ASSERT_NE(WRONG, is);
			there += is == RIGHT;
			name_of(name, i);
			alz_find(&self->a, name, strlen(name), &self->f);
			if (is == RIGHT && self->f.record)
				bytes += self->f.value_size;
		}
		ASSERT_TRUE(segments_add_up(&self->a, &self->s));
	} while (self->s.out_evictions != evicted);
	EXPECT_EQ(there, self->s.out_keys);
	EXPECT_EQ(key, self->s.out_publishes);
	/* each is there, or was counted when it went */
	EXPECT_EQ(key, there + self->s.out_evictions);
	EXPECT_EQ(0, self->s.out_expired + self->s.out_nospace + self->s.out_segments_held);
	EXPECT_LT((times - 2) * self->s.out_segments, self->s.out_reclaims);
	EXPECT_LT(BUDGET / 2, bytes);
	/* who had to wait found one segment the more for it */
	EXPECT_LE(self->s.out_waited, self->s.out_reclaims);
	EXPECT_GT(key / 10, self->s.out_waited);
	TH_LOG("%llu publishes, %llu waited for room, %llu segments emptied, %llu%% of the budget in use",
	       key, self->s.out_waited, self->s.out_reclaims, bytes * 100 / BUDGET);
}

TEST_F(recycle, what_is_read_survives_a_scan)		/* L13 */
{
	enum { HOT = 100, SIZE = 1000 };
	__u64 key, hot, lost = 0, scanned = 0, old = 0;
	int times = alz_debug_kernel() ? 4 : 10;

	/* a tenth of the cache is hot, and mixed with what is not */
	for (key = 0; key < HOT * 10; key++)
		ASSERT_EQ(0, fill(&self->a, self->value, key, SIZE));
	for (hot = 0; hot < HOT; hot++)
		ASSERT_EQ(RIGHT, look(&self->a, hot * 10));
	while (scanned < times * BUDGET) {
		ASSERT_EQ(0, fill(&self->a, self->value, key++, SIZE));
		scanned += SIZE;
		/* each once while a tenth of the cache goes by */
		if (key % 2)
			continue;
		switch (look(&self->a, hot++ % HOT * 10)) {
		case GONE:
			lost++;
			ASSERT_EQ(0, fill(&self->a, self->value, (hot - 1) % HOT * 10, SIZE));
			break;
		case WRONG:
			ASSERT_TRUE(false);
		case RIGHT:
			break;
		}
	}
	for (hot = 0; hot < HOT; hot++)
		EXPECT_EQ(RIGHT, look(&self->a, hot * 10)) TH_LOG("hot key %llu", hot);
	for (hot = 0; hot < HOT * 10; hot++)
		old += hot % 10 && look(&self->a, hot) != GONE;
	EXPECT_EQ(0, lost);
	EXPECT_EQ(0, old);
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_LT(0, self->s.out_reinsertions);
}

/* All bits, all the time. */
static void scribble_visited(int cache, int socket)
{
	struct alz a;

	if (alz_join(&a, cache) || peer_say(socket, 1))
		_exit(1);
	for (;;)
		memset(a.visited, 0xff, a.visited_size);
}

TEST_F(recycle, who_sets_all_visited_bits_stops_nobody)	/* L13, K12, I7 */
{
	__u64 key, per_segment, size = 2000, n, word;
	char name[32];
	int socket;
	pid_t pid = peer_fork(&socket);

	if (!pid)
		scribble_visited(self->a.cache, socket);
	ASSERT_EQ(0, peer_hear(socket, &word, ALZ_SOON_MS));
	n = (alz_debug_kernel() ? 3 : 10) * BUDGET / size;
	for (key = 0; key < n; key++) {
		memset(self->a.visited, 0xff, self->a.visited_size);
		ASSERT_EQ(0, fill(&self->a, self->value, key, size)) TH_LOG("key %llu", key);
		if (key % 64 == 0)
			EXPECT_BOUNDED(&self->a);
	}
	ASSERT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(128 + SIGKILL, peer_reap(pid));
	ASSERT_TRUE(segments_add_up(&self->a, &self->s));
	EXPECT_EQ(n, self->s.out_publishes);
	EXPECT_EQ(0, self->s.out_nospace);
	/* three quarters of a segment of each, and not more than was published */
	name_of(name, n);
	per_segment = (3ULL << self->a.header->segment_shift) / 4 / record_size(name, size);
	EXPECT_LT(0, self->s.out_reinsertions);
	EXPECT_GE(n, self->s.out_reinsertions);
	EXPECT_GE(self->s.out_reclaims * per_segment, self->s.out_reinsertions);
	TH_LOG("%llu publishes, %llu kept when their segment went, %llu segments emptied, %llu waited",
	       n, self->s.out_reinsertions, self->s.out_reclaims, self->s.out_waited);
}

TEST_F(recycle, values_as_large_as_can_be_come_and_go)	/* L13 */
{
	__u64 max = self->a.header->value_max, i;
	char *value = malloc(max), key[16];

	ASSERT_NE(NULL, value);
	for (i = 0; i < 100; i++) {
		alz_stamp(value, max, i, 1);
		sprintf(key, "k%llu", i % 40);
		ASSERT_EQ(0, alz_set_bytes(&self->a, key, value, max, 0, NULL));
		ASSERT_TRUE(alz_read(&self->a, 1, key, strlen(key), &self->f));
		EXPECT_TRUE(alz_stamped(self->f.value, self->f.value_size, i, NULL));
		alz_unpin(&self->a, 1);
		EXPECT_BOUNDED(&self->a);
	}
	EXPECT_EQ(-EFBIG, alz_set_bytes(&self->a, key, value, max + 1, 0, NULL));
	free(value);
}

TEST_F(recycle, more_keys_than_slots_push_out_old_ones)	/* L13 */
{
	__u64 keys = alz_debug_kernel() ? 2000 : 10000, key;
	struct alz small;

	ASSERT_EQ(0, alz_setup_evicting(&small, 64, BUDGET));
	for (key = 0; key < keys; key++) {
		ASSERT_EQ(0, fill(&small, self->value, key, 32)) TH_LOG("key %llu", key);
		ASSERT_EQ(RIGHT, look(&small, key));
	}
	ASSERT_EQ(0, alz_stats(small.cache, &self->s));
	EXPECT_EQ(keys, self->s.out_keys + self->s.out_evictions);
	EXPECT_LE(64, self->s.out_keys);
	EXPECT_EQ(0, self->s.out_nospace);
	alz_leave(&small);
}

TEST_F(recycle, a_running_flight_is_not_evicted)	/* L13, I4 */
{
	__u64 ticket = alz_ticket(&self->a, "slow"), key;

	ASSERT_LT(0, ticket);
	for (key = 0; key < 3 * BUDGET / 4000; key++)
		ASSERT_EQ(0, fill(&self->a, self->value, key, 4000));
	EXPECT_EQ(ASYNCLAZY_SLOT_INITIALIZING, alz_state_of(&self->a, "slow"));
	EXPECT_EQ(0, alz_publish(&self->a, ticket, "at last"));
	EXPECT_TRUE(alz_has(&self->a, "slow", "at last"));
}

/*
 * Time
 */

#define EXPECT_TIMES(record, ttl, stale, dead) do {			\
	const struct asynclazy_times *t_ = alz_record_times(record);	\
									\
	ASSERT_EQ(ASYNCLAZY_RECORD_TIMES, (record)->flags);		\
	EXPECT_LE(start, t_->published);				\
	EXPECT_GE(alz_now(), t_->published);				\
	EXPECT_EQ(t_->published + (ttl), t_->fresh_until);		\
	EXPECT_EQ(t_->fresh_until + (stale), t_->stale_until);		\
	EXPECT_EQ(t_->stale_until + (dead), t_->dead_until);		\
} while (0)

static int publish_for(struct alz *a, const char *key, __u64 ttl, __u64 stale, __u64 dead)
{
	struct asynclazy_publish p = {
		.size = sizeof(p), .ticket = alz_ticket(a, key), .value = (uintptr_t)"value",
		.value_size = 5, .ttl = ttl, .stale_ttl = stale, .dead_ttl = dead,
	};

	return alz_call(a->client, ASYNCLAZY_IOC_PUBLISH, &p);
}

static void sleep_until(__u64 until)
{
	struct timespec t = { .tv_sec = until / ALZ_SEC, .tv_nsec = until % ALZ_SEC };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

TEST_F(recycle, a_value_lives_as_long_as_its_three_times)	/* L13, L14 */
{
	__u64 start = alz_now(), ms = 50 * ALZ_MSEC;

	ASSERT_EQ(0, publish_for(&self->a, "k", ms, 2 * ms, 3 * ms));
	alz_find(&self->a, "k", 1, &self->f);
	ASSERT_NE(NULL, self->f.record);
	EXPECT_TIMES(self->f.record, ms, 2 * ms, 3 * ms);
	/* a set has the same, and a part may be missing */
	ASSERT_EQ(0, publish_for(&self->a, "short", ms, 0, 0));
	alz_find(&self->a, "short", 5, &self->f);
	EXPECT_TIMES(self->f.record, ms, 0, 0);
	/* never is never, whatever comes after it */
	ASSERT_EQ(0, publish_for(&self->a, "long", ASYNCLAZY_NEVER, 1, 1));
	ASSERT_EQ(0, publish_for(&self->a, "longer", ms, ASYNCLAZY_NEVER, 1));
	alz_find(&self->a, "longer", 6, &self->f);
	EXPECT_EQ(ASYNCLAZY_NEVER, alz_record_times(self->f.record)->dead_until);

	alz_find(&self->a, "k", 1, &self->f);
	sleep_until(alz_record_times(self->f.record)->dead_until);
	ASSERT_EQ(0, alz_claim(&self->a, "short", 0, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_EMPTY, self->c.out_result);
	ASSERT_EQ(0, alz_claim(&self->a, "k", INIT, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_TICKET, self->c.out_result);
	ASSERT_EQ(0, alz_claim(&self->a, "long", 0, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->c.out_result);
	ASSERT_EQ(0, alz_claim(&self->a, "longer", 0, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->c.out_result);
}

TEST_F(recycle, a_cache_has_times_for_those_that_say_none)	/* L13, L14 */
{
	struct asynclazy_create c = {
		.max_keys = 100, .arena_size = 1, .ttl = 40 * ALZ_MSEC,
		.stale_ttl = 2 * ALZ_MSEC, .dead_ttl = ALZ_MSEC,
	};
	__u64 start = alz_now();
	struct alz own;

	ASSERT_EQ(0, alz_setup_as(&own, &c));
	ASSERT_EQ(0, alz_set(&own, "k", "value"));
	alz_find(&own, "k", 1, &self->f);
	EXPECT_TIMES(self->f.record, 40 * ALZ_MSEC, 2 * ALZ_MSEC, ALZ_MSEC);
	ASSERT_EQ(0, publish_for(&own, "own", 7 * ALZ_SEC, 0, 0));
	alz_find(&own, "own", 3, &self->f);
	EXPECT_TIMES(self->f.record, 7 * ALZ_SEC, 0, 0);
	ASSERT_EQ(0, publish_for(&own, "never", ASYNCLAZY_NEVER, 0, 0));
	alz_find(&own, "never", 5, &self->f);
	EXPECT_EQ(0, self->f.record->flags);
	alz_leave(&own);
}

TEST_F(recycle, what_is_dead_goes_first)		/* L13 */
{
	struct asynclazy_set s;
	__u64 key, n = BUDGET / 4 / 1000, dead = 0;
	char name[32];

	/* the older half will be needed, the younger will be dead */
	for (key = 0; key < 2 * n; key++) {
		alz_stamp(self->value, 900, key, 1);
		name_of(name, key);
		ASSERT_EQ(0, alz_set_bytes(&self->a, name, self->value, 900,
					   key < n ? 0 : ALZ_MSEC, &s));
	}
	alz_find(&self->a, name, strlen(name), &self->f);
	ASSERT_NE(NULL, self->f.record);
	sleep_until(alz_record_times(self->f.record)->dead_until);
	for (; key < 4 * n; key++)
		ASSERT_EQ(0, fill(&self->a, self->value, key, 900));
	for (key = 0; key < n; key++)
		EXPECT_EQ(RIGHT, look(&self->a, key)) TH_LOG("key %llu", key);
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_LT(0, self->s.out_expired);
	EXPECT_EQ(0, self->s.out_evictions);
	/* their slots are free once their segments are */
	for (key = n; key < 2 * n; key++)
		dead += look(&self->a, key) == GONE;
	EXPECT_EQ(self->s.out_expired, dead);
}

/*
 * A publisher that waits for its own value's pages
 */

struct late {
	int client, err;
	struct asynclazy_publish p;
};

static void *publish_late(void *arg)
{
	struct late *l = arg;

	l->err = alz_call(l->client, ASYNCLAZY_IOC_PUBLISH, &l->p);
	return NULL;
}

TEST_F(recycle, a_value_that_does_not_come_stops_nobody)	/* L13, K12 */
{
	static char page[4096] __attribute__((aligned(4096)));
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register r = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_copy copy = { .src = (uintptr_t)page, .len = sizeof(page) };
	struct late late = {
		.client = self->a.client, .err = 1,
		.p = { .size = sizeof(late.p), .value_size = sizeof(page) },
	};
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffd_msg msg;
	pthread_t thread;
	__u64 key;
	void *p;

	if (uffd < 0)
		SKIP(return, "no userfaultfd here");
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, p);
	r.range.start = copy.dst = late.p.value = (uintptr_t)p;
	r.range.len = 4096;
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_API, &api));
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_REGISTER, &r));
	late.p.ticket = alz_ticket(&self->a, "late");
	ASSERT_EQ(0, pthread_create(&thread, NULL, publish_late, &late));
	ASSERT_EQ(sizeof(msg), read(uffd, &msg, sizeof(msg)));
	for (key = 0; key < 4 * BUDGET / 4000; key++)
		ASSERT_EQ(0, fill(&self->a, self->value, key, 4000)) TH_LOG("key %llu", key);
	EXPECT_EQ(ASYNCLAZY_SLOT_INITIALIZING, alz_state_of(&self->a, "late"));
	alz_stamp(page, sizeof(page), 77, 1);
	ASSERT_EQ(0, ioctl(uffd, UFFDIO_COPY, &copy));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, late.err);
	ASSERT_TRUE(alz_read(&self->a, 1, "late", 4, &self->f));
	EXPECT_TRUE(alz_stamped(self->f.value, self->f.value_size, 77, NULL));
}

TEST_HARNESS_MAIN
