// SPDX-License-Identifier: GPL-2.0-only
/* L13, L16: everything that changes a key, from several processes, during reclaim. */
#include "kselftest_harness.h"
#include "remote.h"

#define BUDGET		(1ULL << 20)
#define KEYS		400
#define PROCESSES	4
#define LARGEST		6000
#define LONG_S		3000

FIXTURE(recycle_race) {
	struct alz a;
	pid_t pid[PROCESSES];
	int socket[PROCESSES];
};

FIXTURE_SETUP(recycle_race)
{
	ASSERT_EQ(0, alz_setup_evicting(&self->a, KEYS * 2, BUDGET));
}

FIXTURE_TEARDOWN(recycle_race)
{
	alz_leave(&self->a);
}

struct tally {
	__u64 published, set, invalidated, cleared, read, gone, memfds;
	char why[80];
};

#define WRONG(t, ...) do {						\
	snprintf((t)->why, sizeof((t)->why), __VA_ARGS__);		\
	return -1;							\
} while (0)

static int change_memfd(struct alz *a, const char *name, __u64 key, char *value, size_t size,
			struct tally *t)
{
	int fd, err;

	fd = alz_memfd(value, size, ALZ_SEALS);
	if (fd < 0)
		WRONG(t, "memfd: %d", fd);
	err = alz_set_memfd(a, name, fd, size, NULL);
	close(fd);
	if (err)
		WRONG(t, "set of memfd %llu: %d", key, err);
	t->memfds++;
	return 0;
}

static int read_memfd(struct alz *a, const struct alz_found *f, __u64 key, struct tally *t)
{
	const struct asynclazy_memfd *m = (const void *)f->value;
	static char value[LARGEST];
	__u64 size;
	int fd;

	if (f->value_size != sizeof(*m) || m->size > sizeof(value))
		WRONG(t, "memfd record of %llu", key);
	fd = alz_memfd_of(a, f->record->generation, &size);
	if (fd == -ENOENT)
		return 0;	/* evicted meanwhile */
	if (fd < 0)
		WRONG(t, "MEMFD: %d", fd);
	if (size != m->size || pread(fd, value, size, 0) != (ssize_t)size ||
	    !alz_stamped(value, size, key, NULL))
		WRONG(t, "bytes of memfd %llu", key);
	close(fd);
	return 0;
}

static int read_one(struct alz *a, const char *name, __u64 key, struct tally *t)
{
	struct alz_found f;
	int err = 0;

	if (!alz_read(a, 1, name, strlen(name), &f)) {
		t->gone++;
		return 0;
	}
	t->read++;
	if (f.record->kind == ASYNCLAZY_RECORD_MEMFD)
		err = read_memfd(a, &f, key, t);
	else if (!alz_stamped(f.value, f.value_size, key, NULL))
		WRONG(t, "bytes of %llu", key);
	alz_unpin(a, 1);
	return err;
}

static int make_one(struct alz *a, const char *name, char *value, size_t size,
		    struct tally *t)
{
	struct asynclazy_claim c;
	int err = alz_claim(a, name, INIT, &c);

	if (err)
		WRONG(t, "claim: %d", err);
	if (c.out_result != ASYNCLAZY_RESULT_TICKET)
		return 0;
	err = alz_publish_bytes(a, c.out_ticket, value, size, 0, NULL);
	/* another process may have set or invalidated it meanwhile */
	if (err && err != -ESTALE)
		WRONG(t, "publish: %d", err);
	t->published += !err;
	return 0;
}

static int change_one(struct alz *a, __u64 *seed, struct tally *t)
{
	static char value[LARGEST];
	__u64 key = alz_rand(seed) % KEYS, dice = alz_rand(seed) % 1000, count;
	size_t size = 16 + alz_rand(seed) % (sizeof(value) - 16);
	char name[16];
	int err;

	sprintf(name, "%llu", key);
	alz_stamp(value, size, key, alz_rand(seed));
	if (dice == 0) {
		err = alz_clear(a, &count);
		if (err)
			WRONG(t, "clear: %d", err);
		t->cleared++;
	} else if (dice < 50) {
		err = alz_invalidate(a, name, NULL);
		if (err)
			WRONG(t, "invalidate: %d", err);
		t->invalidated++;
	} else if (dice < 80) {
		return change_memfd(a, name, key, value, size, t);
	} else if (dice < 300) {
		err = alz_set_bytes(a, name, value, size, dice % 3 * ALZ_MSEC, NULL);
		if (err)
			WRONG(t, "set: %d", err);
		t->set++;
	} else if (dice < 600) {
		return make_one(a, name, value, size, t);
	}
	return read_one(a, name, key, t);
}

static int change_process(int cache, int me, long rounds, struct tally *t)
{
	__u64 seed = me;
	struct alz a;
	long i;

	if (alz_join(&a, cache))
		WRONG(t, "join");
	for (i = 0; i < rounds; i++)
		if (change_one(&a, &seed, t))
			return 1;
	return 0;
}

struct count {
	__u64 keys, memfds, bytes;
};

static int count_all(struct alz *a, struct count *n, struct tally *t)
{
	struct alz_found f;
	char name[16];
	__u64 key;

	memset(n, 0, sizeof(*n));
	for (key = 0; key < KEYS; key++) {
		sprintf(name, "%llu", key);
		if (read_one(a, name, key, t))
			return -1;
		if (!alz_read(a, 1, name, strlen(name), &f))
			continue;
		n->keys++;
		if (f.record->kind == ASYNCLAZY_RECORD_MEMFD) {
			n->memfds++;
			n->bytes += ((const struct asynclazy_memfd *)f.value)->size;
		}
		alz_unpin(a, 1);
	}
	return 0;
}

TEST_F_TIMEOUT(recycle_race, keys_change_while_their_segments_go, LONG_S)	/* L13, K10, I2 */
{
	long rounds = alz_rounds(10000, 3000, 1000000);
	struct tally *t = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct asynclazy_stats s, later;
	struct count n;
	int p, status;
	__u64 count;

	ASSERT_NE(MAP_FAILED, (void *)t);
	for (p = 0; p < PROCESSES; p++) {
		self->pid[p] = peer_fork(&self->socket[p]);
		if (!self->pid[p])
			_exit(change_process(self->a.cache, p, rounds, &t[p]));
		ASSERT_LT(0, self->pid[p]);
	}
	for (p = 0; p < PROCESSES; p++) {
		ASSERT_EQ(self->pid[p], waitpid(self->pid[p], &status, 0));
		EXPECT_EQ(0, status) TH_LOG("process %d: %s", p, t[p].why);
	}
	ASSERT_TRUE(alz_await_clients(&self->a, 1));
	ASSERT_EQ(0, alz_stats(self->a.cache, &s));
	EXPECT_EQ(0, s.out_initializing + s.out_tickets_now + s.out_waits_now + s.out_errors);
	EXPECT_GE(self->a.header->budget, s.out_arena_allocated + s.out_memfd_bytes);
	EXPECT_LT(0, s.out_reclaims);
	for (p = 1; p < PROCESSES; p++) {
		t[0].published += t[p].published;
		t[0].set += t[p].set;
		t[0].memfds += t[p].memfds;
		t[0].read += t[p].read;
	}
	EXPECT_EQ(t[0].published, s.out_publishes);
	EXPECT_EQ(t[0].set + t[0].memfds, s.out_sets);
	TH_LOG("%llu published, %llu set, %llu memfds, %llu read; %llu evictions, %llu reinsertions, %llu segments emptied, %llu waited",
	       t[0].published, t[0].set, t[0].memfds, t[0].read, s.out_evictions,
	       s.out_reinsertions, s.out_reclaims, s.out_waited);
	/* what is there is counted, and right; reclaim may be at work still */
	do {
		ASSERT_EQ(0, alz_stats(self->a.cache, &s));
		ASSERT_EQ(0, count_all(&self->a, &n, &t[1])) TH_LOG("%s", t[1].why);
		ASSERT_EQ(0, alz_stats(self->a.cache, &later));
	} while (s.out_evictions + s.out_expired != later.out_evictions + later.out_expired);
	EXPECT_EQ(n.keys, s.out_keys);
	EXPECT_EQ(n.memfds, s.out_memfds);
	EXPECT_EQ(n.bytes, s.out_memfd_bytes);
	ASSERT_EQ(0, alz_clear(&self->a, &count));
	EXPECT_GE(n.keys, count);
	ASSERT_EQ(0, alz_stats(self->a.cache, &s));
	EXPECT_EQ(0, s.out_memfds + s.out_memfd_bytes + s.out_keys);
}

TEST_HARNESS_MAIN
