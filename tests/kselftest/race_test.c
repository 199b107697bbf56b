// SPDX-License-Identifier: GPL-2.0-only
/* K4: one ticket a key, whoever races. K5: no reader sees what is not published. */
#include "kselftest_harness.h"
#include "remote.h"

#define PROCESSES	4
#define THREADS		16
#define LONG_S		3000

FIXTURE(race) {
	struct alz a;
	pid_t pid[8];
	int socket[8];
};

FIXTURE_SETUP(race)
{
	/* each test makes a cache of its own size */
	self->a.client = -1;
	self->a.cache = -1;
}

FIXTURE_TEARDOWN(race)
{
	alz_leave(&self->a);
}

static void *shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/*
 * K4
 */

struct racers {
	_Atomic int ready, go;
	_Atomic long wrong, waited;
	long keys;
	_Atomic unsigned char tickets[];	/* how many were granted for each key */
};

struct racer {
	struct alz *a;
	struct racers *all;
	int number;
};

static __u64 value_of(__u64 key)
{
	return key * 0x9e3779b97f4a7c15ULL + 1;
}

static int race_for_one(struct racer *r, __u64 key)
{
	struct asynclazy_claim c;
	__u64 value;
	int err;

	/* one half sleeps until the value is there, the other goes on */
	alz_claim_fill(r->a, &c, &key, sizeof(key), r->number % 2 ? INIT : INIT | BLOCK);
	err = alz_claim_raw(r->a, &c);
	if (err)
		return err;
	switch (c.out_result) {
	case ASYNCLAZY_RESULT_TICKET:
		r->all->tickets[key]++;
		if (key % 4 == 0)
			sched_yield();	/* let the others come to it */
		value = value_of(key);
		return alz_publish_bytes(r->a, c.out_ticket, &value, sizeof(value), 0, NULL);
	case ASYNCLAZY_RESULT_HIT:
		memcpy(&value, alz_record_value(alz_record(r->a, c.out_offset)), sizeof(value));
		return value == value_of(key) ? 0 : -EIO;
	case ASYNCLAZY_RESULT_PENDING:
		r->all->waited++;
		return r->number % 2 ? 0 : -EIO;
	}
	return -EIO;
}

static void *race(void *arg)
{
	struct racer *r = arg;
	long i;

	r->all->ready++;
	while (!r->all->go)
		sched_yield();
	for (i = 0; i < r->all->keys; i++) {
		int err = race_for_one(r, i);

		if (err) {
			fprintf(stderr, "# key %ld: %d\n", i, err);
			r->all->wrong++;
			break;
		}
	}
	return NULL;
}

static int race_process(int cache, struct racers *all, int process)
{
	struct racer r[THREADS];
	pthread_t thread[THREADS];
	struct alz a;
	int i;

	if (alz_join(&a, cache))
		return 1;
	for (i = 0; i < THREADS; i++) {
		r[i] = (struct racer) { &a, all, process + i };
		if (pthread_create(&thread[i], NULL, race, &r[i]))
			return 2;
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	return 0;
}

TEST_F_TIMEOUT(race, exactly_one_ticket_each, LONG_S)	/* K4, I1 */
{
	long keys = alz_rounds(20000, 4000, 1000000), i;
	struct racers *all = shared(sizeof(*all) + keys);
	struct timespec t = { .tv_nsec = 1000000 };
	struct asynclazy_stats s;
	__u64 start;
	int p;

	ASSERT_NE(NULL, all);
	ASSERT_EQ(0, alz_setup(&self->a, keys, keys * 128 + (1 << 20)));
	all->keys = keys;
	for (p = 0; p < PROCESSES; p++) {
		self->pid[p] = peer_fork(&self->socket[p]);
		if (!self->pid[p])
			_exit(race_process(self->a.cache, all, p));
		ASSERT_LT(0, self->pid[p]);
	}
	while (all->ready < PROCESSES * THREADS)
		nanosleep(&t, NULL);
	start = alz_now();
	all->go = 1;
	for (p = 0; p < PROCESSES; p++) {
		int status;

		ASSERT_EQ(self->pid[p], waitpid(self->pid[p], &status, 0));
		EXPECT_EQ(0, status);
	}
	TH_LOG("%ld keys, %d threads: %llu ms, %ld claims met a running flight", keys,
	       PROCESSES * THREADS, (alz_now() - start) / ALZ_MSEC, (long)all->waited);
	EXPECT_EQ(0, all->wrong);
	for (i = 0; i < keys; i++)
		ASSERT_EQ(1, all->tickets[i]) TH_LOG("key %ld", i);
	for (i = 0; i < keys; i++) {
		__u64 key = i, value = value_of(i);
		struct alz_found f;

		alz_find(&self->a, &key, sizeof(key), &f);
		ASSERT_EQ(ASYNCLAZY_SLOT_FILLED, f.state);
		ASSERT_EQ(0, memcmp(&value, f.value, sizeof(value)));
	}
	ASSERT_EQ(0, alz_stats(self->a.cache, &s));
	EXPECT_EQ(keys, s.out_tickets);
	EXPECT_EQ(keys, s.out_publishes);
	EXPECT_EQ(keys, s.out_keys);
	EXPECT_EQ(0, s.out_tickets_now);
	EXPECT_EQ(0, s.out_waits_now);
	EXPECT_EQ(keys * PROCESSES * THREADS, s.out_claims);
}

/*
 * K5: each key has one publisher, which numbers its values; a value proves
 * itself. What a reader saw as published before it looked, it must find, or
 * something newer.
 */

#define KEYS		32
#define PUBLISHERS	2
#define READERS		2
#define WORDS		24

struct proof {
	__u64 key, number, words;
	__u64 word[WORDS];	/* `words` of them, then their sum */
};

struct published {
	_Atomic int stop;
	_Atomic __u64 floor[KEYS];	/* number of the last value published */
	_Atomic __u64 seen, wrong;
};

static size_t proof_make(struct proof *p, __u64 key, __u64 number)
{
	__u64 seed = key << 32 ^ number, sum = 0, i;

	p->key = key;
	p->number = number;
	p->words = 1 + number % (WORDS - 1);
	for (i = 0; i < p->words; i++) {
		p->word[i] = alz_rand(&seed);
		sum += p->word[i];
	}
	p->word[i] = sum;
	return offsetof(struct proof, word) + (p->words + 1) * 8;
}

static bool proof_holds(const struct alz_found *f, __u64 key, __u64 floor)
{
	struct proof is, should;
	size_t size = f->value_size;

	if (size > sizeof(is))
		return false;
	memcpy(&is, f->value, size);
	if (is.key != key || is.number < floor || is.words >= WORDS)
		return false;
	return size == proof_make(&should, key, is.number) && !memcmp(&is, &should, size);
}

static int publish_one(struct alz *a, const char *name, __u64 key, __u64 number)
{
	struct asynclazy_claim c;
	struct proof p;
	size_t size = proof_make(&p, key, number);

	if (number % 3 == 0)
		return alz_set_bytes(a, name, &p, size, 0, NULL);
	if (alz_invalidate(a, name, NULL) || alz_claim(a, name, INIT, &c) ||
	    c.out_result != ASYNCLAZY_RESULT_TICKET)
		return -EIO;
	if (number % 3 == 1) {
		struct asynclazy_fail f = {
			.ticket = c.out_ticket, .error = 1 + number % 100,
			.error_class = PERMANENT, .detail = (uintptr_t)&p, .detail_size = size,
		};

		return alz_fail_raw(a, &f);
	}
	return alz_publish_bytes(a, c.out_ticket, &p, size, 0, NULL);
}

static int publisher(int cache, struct published *all, int me, long count)
{
	__u64 number = 0;
	char name[16];
	struct alz a;
	long i;

	if (alz_join(&a, cache))
		return 1;
	for (i = 0; i < count; i++) {
		__u64 key = i * PUBLISHERS % KEYS + me;

		if (key < (__u64)PUBLISHERS)
			number++;
		snprintf(name, sizeof(name), "key%llu", key);
		if (publish_one(&a, name, key, number))
			return 2;
		all->floor[key] = number;
	}
	return 0;
}

static int reader(int cache, struct published *all)
{
	__u64 generation[KEYS] = { 0 }, seen = 0, key = 0;
	char name[KEYS][16];
	struct alz_found f;
	struct alz a;

	if (alz_join(&a, cache))
		return 1;
	for (key = 0; key < KEYS; key++)
		snprintf(name[key], sizeof(name[key]), "key%llu", key);
	while (!all->stop) {
		__u64 floor;

		key = (key + 1) % KEYS;
		floor = all->floor[key];
		alz_find(&a, name[key], strlen(name[key]), &f);
		if (f.state != ASYNCLAZY_SLOT_FILLED && f.state != ASYNCLAZY_SLOT_FAILED)
			continue;
		seen++;
		if (!proof_holds(&f, key, floor) ||
		    f.record->generation < generation[key] ||
		    f.record->hash != alz_hash(&a, name[key], strlen(name[key])) ||
		    f.record->kind != (f.state == ASYNCLAZY_SLOT_FILLED ?
				       ASYNCLAZY_RECORD_VALUE : ASYNCLAZY_RECORD_ERROR))
			all->wrong++;
		generation[key] = f.record->generation;
	}
	all->seen += seen;
	return 0;
}

TEST_F_TIMEOUT(race, no_reader_sees_a_stale_or_torn_record, LONG_S)	/* K5, I2 */
{
	long count = alz_rounds(30000, 10000, 1000000);
	struct published *all = shared(sizeof(*all));
	int p, status;

	ASSERT_NE(NULL, all);
	ASSERT_EQ(0, alz_setup(&self->a, KEYS * 4, PUBLISHERS * count * 320));
	for (p = 0; p < PUBLISHERS + READERS; p++) {
		self->pid[p] = peer_fork(&self->socket[p]);
		if (!self->pid[p])
			_exit(p < PUBLISHERS ? publisher(self->a.cache, all, p, count) :
			      reader(self->a.cache, all));
		ASSERT_LT(0, self->pid[p]);
	}
	for (p = 0; p < PUBLISHERS + READERS; p++) {
		if (p == PUBLISHERS)
			all->stop = 1;
		ASSERT_EQ(self->pid[p], waitpid(self->pid[p], &status, 0));
		EXPECT_EQ(0, status);
	}
	TH_LOG("%ld publishes, %llu records seen", count * PUBLISHERS, all->seen);
	EXPECT_LT(0, all->seen);
	EXPECT_EQ(0, all->wrong);
}

/*
 * Several threads read from one client fd, while another cancels
 */

#define EVENTS 2000

struct taker {
	struct alz *a;
	_Atomic unsigned char *taken;
	_Atomic long *left;
	long wrong;
};

static void *take(void *arg)
{
	struct taker *t = arg;
	struct asynclazy_event e[7];
	int i, n;

	while (*t->left > 0) {
		n = alz_events(t->a, e, 7, 10);
		for (i = 0; i < n; i++) {
			t->taken[e[i].cookie]++;
			--*t->left;
		}
		t->wrong += n < 0 && n != -ETIMEDOUT && n != -EAGAIN;
	}
	return NULL;
}

TEST_F(race, each_event_is_read_or_cancelled_once)	/* K6, I10 */
{
	static _Atomic unsigned char taken[EVENTS];
	static _Atomic long left = EVENTS;
	struct asynclazy_claim c;
	struct taker t[4];
	pthread_t thread[4];
	char key[16];
	int i;

	ASSERT_EQ(0, alz_setup(&self->a, EVENTS, 1 << 20));
	ASSERT_EQ(0, fcntl(self->a.client, F_SETFL, O_NONBLOCK));
	for (i = 0; i < EVENTS; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ASSERT_LT(0, alz_ticket(&self->a, key));
		ASSERT_EQ(0, alz_claim_event(&self->a, key, EVENT, i, &c));
	}
	for (i = 0; i < 4; i++) {
		t[i] = (struct taker) { &self->a, taken, &left, 0 };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, take, &t[i]));
	}
	for (i = 0; i < EVENTS; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ASSERT_EQ(0, alz_set(&self->a, key, "value"));
		if (i % 3 == 0 && !alz_cancel(&self->a, i)) {
			taken[i]++;
			left--;
		}
	}
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, pthread_join(thread[i], NULL));
		EXPECT_EQ(0, t[i].wrong);
	}
	for (i = 0; i < EVENTS; i++)
		EXPECT_EQ(1, taken[i]) TH_LOG("event %d", i);
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
}

TEST_HARNESS_MAIN
