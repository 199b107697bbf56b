// SPDX-License-Identifier: GPL-2.0-only
/*
 * L13, I2: readers that do what the uAPI header says, and no more, while others
 * publish all the time into a cache that is always full. Each value proves itself.
 */
#include "kselftest_harness.h"
#include "remote.h"

#define BUDGET		(512ULL << 10)
#define KEYS		300
#define HOT		40		/* keys that are read */
#define PUBLISHERS	4
#define READERS		2
#define LARGEST		5000
#define LONG_S		3000

struct shared {
	_Atomic bool stop;
	_Atomic __u64 read, gone, kept, wrong;
	_Atomic __u64 floor[KEYS];	/* number of the last value, by one publisher each */
	char why[READERS + PUBLISHERS][80];
};

FIXTURE(pin_reader) {
	struct alz a;
	struct shared *shared;
	pid_t pid[READERS + PUBLISHERS];
	int socket[READERS + PUBLISHERS];
};

FIXTURE_SETUP(pin_reader)
{
	self->shared = mmap(NULL, sizeof(*self->shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->shared);
	ASSERT_EQ(0, alz_setup_evicting(&self->a, KEYS * 2, BUDGET));
}

FIXTURE_TEARDOWN(pin_reader)
{
	alz_leave(&self->a);
}

static void name_of(char *name, __u64 key)
{
	sprintf(name, "key %llu", key);
}

#define FAIL(...) do {							\
	snprintf(why, 80, __VA_ARGS__);					\
	return 1;							\
} while (0)

static int publisher(int cache, struct shared *all, int me, long rounds, char *why)
{
	static char value[LARGEST];
	__u64 seed = me, number = 0;
	struct alz a;
	char name[16];
	long i;

	if (alz_join(&a, cache))
		FAIL("join");
	for (i = 0; i < rounds; i++) {
		__u64 key = alz_rand(&seed) % (KEYS / PUBLISHERS) * PUBLISHERS + me;
		size_t size = 16 + alz_rand(&seed) % (LARGEST - 16);
		int err;

		name_of(name, key);
		alz_stamp(value, size, key, ++number);
		err = alz_set_bytes(&a, name, value, size, 0, NULL);
		if (err)
			FAIL("set: %d", err);
		all->floor[key] = number;
	}
	return 0;
}

/* What is pinned is looked at twice, with time to go wrong in between. */
static int read_key(const struct alz *a, struct shared *all, __u64 key, __u64 pin, bool wait,
		    char *why)
{
	struct timespec pause = { .tv_nsec = 20 * ALZ_MSEC };
	__u64 floor = all->floor[key], number, again;
	struct alz_found f;
	char name[16];

	name_of(name, key);
	if (!alz_read(a, pin, name, strlen(name), &f)) {
		all->gone++;
		return 0;
	}
	all->read++;
	if (!alz_stamped(f.value, f.value_size, key, &number))
		FAIL("wrong bytes of key %llu at %#llx", key, f.offset);
	if (number < floor)
		FAIL("key %llu has value %llu, after %llu", key, number, floor);
	if (wait) {
		nanosleep(&pause, NULL);
		all->kept++;
		if (!alz_stamped(f.value, f.value_size, key, &again) || again != number)
			FAIL("key %llu at %#llx changed under its pin", key, f.offset);
	}
	alz_unpin(a, pin);
	return 0;
}

static int reader(int cache, struct shared *all, int me, char *why)
{
	__u64 seed = 100 + me, n;
	struct alz a;

	if (alz_join(&a, cache))
		FAIL("join");
	for (n = 0; !all->stop; n++)
		if (read_key(&a, all, alz_rand(&seed) % HOT, 1 + n % 512, n % 1000 == 0, why))
			return 1;
	return 0;
}

TEST_F_TIMEOUT(pin_reader, no_reader_sees_wrong_bytes, LONG_S)	/* L13, I2 */
{
	long rounds = alz_rounds(8000, 2000, 500000);
	struct shared *all = self->shared;
	struct asynclazy_stats s;
	int p, status;

	for (p = 0; p < PUBLISHERS + READERS; p++) {
		self->pid[p] = peer_fork(&self->socket[p]);
		if (!self->pid[p])
			_exit(p < PUBLISHERS ?
			      publisher(self->a.cache, all, p, rounds, all->why[p]) :
			      reader(self->a.cache, all, p, all->why[p]));
		ASSERT_LT(0, self->pid[p]);
	}
	for (p = 0; p < PUBLISHERS + READERS; p++) {
		if (p == PUBLISHERS)
			all->stop = true;
		ASSERT_EQ(self->pid[p], waitpid(self->pid[p], &status, 0));
		EXPECT_EQ(0, status) TH_LOG("process %d: %s", p, all->why[p]);
	}
	ASSERT_EQ(0, alz_stats(self->a.cache, &s));
	EXPECT_EQ(PUBLISHERS * rounds, s.out_sets);
	EXPECT_EQ(0, s.out_nospace);
	EXPECT_LT(0, all->read);
	EXPECT_LT(0, all->kept);
	EXPECT_LT(0, all->gone);
	TH_LOG("%llu published, %llu read (%llu of them twice), %llu not there; %llu segments emptied, %llu kept, %llu evicted",
	       s.out_sets, all->read, all->kept, all->gone, s.out_reclaims,
	       s.out_reinsertions, s.out_evictions);
}

/*
 * The same with records found by events and by claims that name a pin
 */

static int claimer(int cache, struct shared *all, int me, char *why)
{
	__u64 seed = 200 + me, key, number;
	const struct asynclazy_record *r;
	struct asynclazy_claim c;
	struct alz a;
	char name[16];

	if (alz_join(&a, cache))
		FAIL("join");
	while (!all->stop) {
		int err;

		key = alz_rand(&seed) % HOT;
		name_of(name, key);
		alz_claim_fill(&a, &c, name, strlen(name), 0);
		c.pin = 1;
		err = alz_claim_raw(&a, &c);
		if (err)
			FAIL("claim: %d", err);
		if (c.out_result != ASYNCLAZY_RESULT_HIT) {
			all->gone++;
			continue;
		}
		r = alz_record(&a, c.out_offset);
		all->read++;
		if (r->generation != c.out_generation ||
		    !alz_stamped(alz_record_value(r), r->value_size, key, &number))
			FAIL("wrong bytes of key %llu at %#llx", key, c.out_offset);
		alz_unpin(&a, 1);
	}
	return 0;
}

TEST_F_TIMEOUT(pin_reader, nor_does_who_asks_the_kernel, LONG_S)	/* L13, I2 */
{
	long rounds = alz_rounds(4000, 1000, 200000);
	struct shared *all = self->shared;
	int p, status;

	for (p = 0; p < PUBLISHERS + READERS; p++) {
		self->pid[p] = peer_fork(&self->socket[p]);
		if (!self->pid[p])
			_exit(p < PUBLISHERS ?
			      publisher(self->a.cache, all, p, rounds, all->why[p]) :
			      claimer(self->a.cache, all, p, all->why[p]));
		ASSERT_LT(0, self->pid[p]);
	}
	for (p = 0; p < PUBLISHERS + READERS; p++) {
		if (p == PUBLISHERS)
			all->stop = true;
		ASSERT_EQ(self->pid[p], waitpid(self->pid[p], &status, 0));
		EXPECT_EQ(0, status) TH_LOG("process %d: %s", p, all->why[p]);
	}
	EXPECT_LT(0, all->read);
	TH_LOG("%llu read, %llu not there", all->read, all->gone);
}

TEST_HARNESS_MAIN
