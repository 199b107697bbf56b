// SPDX-License-Identifier: GPL-2.0-only
/*
 * L13: what a reader says that it reads, in its own page of pins, stays as it is
 * for as long as it says so, and stops nobody.
 */
#include "kselftest_harness.h"
#include "remote.h"

#define BUDGET		(1ULL << 20)
#define SIZE		12000
#define NR_PINS		(ASYNCLAZY_PINS_SIZE / 8)
#define SEGMENT(a)	(1ULL << (a)->header->segment_shift)

FIXTURE(pins) {
	struct alz a, b;
	struct asynclazy_claim c;
	struct asynclazy_publish p;
	struct asynclazy_stats s;
	struct alz_found f;
	char value[SIZE];
	__u64 filled;
};

FIXTURE_SETUP(pins)
{
	ASSERT_EQ(0, alz_setup_evicting(&self->a, 2000, BUDGET));
	ASSERT_EQ(0, alz_join(&self->b, self->a.cache));
	alz_stamp(self->value, SIZE, 7, 1);
	ASSERT_EQ(0, alz_set_bytes(&self->a, "k", self->value, SIZE, 0, NULL));
}

FIXTURE_TEARDOWN(pins)
{
	alz_leave(&self->b);
	alz_leave(&self->a);
}

static int set_stamped(struct alz *a, const char *name, __u64 key)
{
	char value[SIZE];

	alz_stamp(value, SIZE, key, 1);
	return alz_set_bytes(a, name, value, SIZE, 0, NULL);
}

/* Publish new values, this many times what there is room for. */
static int push_out(FIXTURE_DATA(pins) *self, int times)
{
	char name[32];
	__u64 i;
	int err = 0;

	for (i = 0; i < times * BUDGET / SIZE && !err; i++) {
		sprintf(name, "filler %llu", self->filled++);
		err = set_stamped(&self->b, name, self->filled);
	}
	return err;
}

static bool stamped_at(const struct alz *a, __u64 offset, __u64 key)
{
	const struct asynclazy_record *r = alz_record(a, offset);

	return alz_stamped(alz_record_value(r), r->value_size, key, NULL);
}

/*
 * Pins that calls set
 */

struct blocked {
	struct alz *a;
	struct asynclazy_claim c;
	int err;
};

static void *claim_blocked(void *arg)
{
	struct blocked *b = arg;

	b->err = alz_claim_raw(b->a, &b->c);
	return NULL;
}

TEST_F(pins, calls_set_the_pin_that_they_name)		/* L13 */
{
	struct blocked blocked = { .a = &self->a };
	pthread_t thread;
	__u64 ticket;

	alz_claim_fill(&self->a, &self->c, "k", 1, INIT);
	self->c.pin = 1;
	ASSERT_EQ(0, alz_claim_raw(&self->a, &self->c));
	ASSERT_EQ(ASYNCLAZY_RESULT_HIT, self->c.out_result);
	EXPECT_EQ(self->c.out_offset | ASYNCLAZY_PIN_SET, self->a.pins[0]);
	EXPECT_EQ(0, self->a.pins[1] | self->b.pins[0]);

	memset(&self->p, 0, sizeof(self->p));
	self->p.size = sizeof(self->p);
	self->p.ticket = ticket = alz_ticket(&self->a, "new");
	self->p.value = (uintptr_t)"value";
	self->p.value_size = 5;
	self->p.pin = NR_PINS;
	alz_claim_fill(&self->a, &blocked.c, "new", 3, BLOCK);
	blocked.c.pin = 5;
	ASSERT_EQ(0, pthread_create(&thread, NULL, claim_blocked, &blocked));
	ASSERT_TRUE(alz_await_waits(&self->a, 1));
	EXPECT_EQ(0, self->a.pins[4]);
	ASSERT_EQ(0, alz_call(self->a.client, ASYNCLAZY_IOC_PUBLISH, &self->p));
	EXPECT_EQ(self->p.out_offset | ASYNCLAZY_PIN_SET, self->a.pins[NR_PINS - 1]);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_EQ(0, blocked.err);
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, blocked.c.out_result);
	EXPECT_EQ(self->p.out_offset | ASYNCLAZY_PIN_SET, self->a.pins[4]);

	/* also for an error that is kept */
	ticket = alz_ticket(&self->a, "bad");
	ASSERT_EQ(0, alz_fail(&self->a, ticket, EIO, PERMANENT, 0, "text"));
	alz_claim_fill(&self->a, &self->c, "bad", 3, 0);
	self->c.pin = 2;
	ASSERT_EQ(0, alz_claim_raw(&self->a, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_FAILED, self->c.out_result);
	EXPECT_EQ(self->c.out_offset | ASYNCLAZY_PIN_SET, self->a.pins[1]);
}

TEST_F(pins, where_there_is_no_record_the_pin_is_left)	/* L13 */
{
	__u32 flags[] = { 0, INIT, 0, INIT | EVENT };
	unsigned int i;

	self->a.pins[8] = 12345;
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		/* EMPTY, TICKET, PENDING, and PENDING with a wait */
		alz_claim_fill(&self->a, &self->c, "none", 4, flags[i]);
		self->c.pin = 9;
		ASSERT_EQ(0, alz_claim_raw(&self->a, &self->c));
		EXPECT_EQ(12345, self->a.pins[8]);
	}
	EXPECT_EQ(ASYNCLAZY_RESULT_PENDING, self->c.out_result);
}

TEST_F(pins, a_number_that_is_no_pin_is_refused)	/* L13 */
{
	__u32 bad[] = { NR_PINS + 1, 1000, 1U << 31, ~0U }, i;
	__u64 ticket = alz_ticket(&self->a, "new");
	struct alz_state before;
	struct alz stable;

	memset(&self->p, 0, sizeof(self->p));
	self->p.size = sizeof(self->p);
	self->p.ticket = ticket;
	self->p.value = (uintptr_t)"value";
	self->p.value_size = 5;
	alz_snapshot(&self->a, &before);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		alz_claim_fill(&self->a, &self->c, "k", 1, INIT);
		self->c.pin = self->p.pin = bad[i];
		EXPECT_EQ(-EINVAL, alz_claim_raw(&self->a, &self->c));
		EXPECT_EQ(-EINVAL, alz_call(self->a.client, ASYNCLAZY_IOC_PUBLISH, &self->p));
	}
	EXPECT_TRUE(alz_unchanged(&self->a, &before));
	EXPECT_EQ(0, alz_publish(&self->a, ticket, "value"));
	/* a STABLE cache has none, and none is needed */
	ASSERT_EQ(0, alz_setup(&stable, 100, BUDGET));
	ASSERT_EQ(0, alz_set(&stable, "k", "value"));
	alz_claim_fill(&stable, &self->c, "k", 1, INIT);
	self->c.pin = 1;
	EXPECT_EQ(-EINVAL, alz_claim_raw(&stable, &self->c));
	self->p.ticket = alz_ticket(&stable, "new");
	self->p.pin = 1;
	EXPECT_EQ(-EINVAL, alz_call(stable.client, ASYNCLAZY_IOC_PUBLISH, &self->p));
	alz_leave(&stable);
}

/*
 * What they do
 */

TEST_F(pins, what_is_pinned_stays_and_what_is_not_goes)	/* L13, I2 */
{
	__u64 offset, other;

	ASSERT_EQ(0, set_stamped(&self->a, "other", 8));
	alz_find(&self->a, "other", 5, &self->f);
	other = self->f.offset;
	ASSERT_TRUE(alz_read(&self->a, 100, "k", 1, &self->f));
	offset = self->f.offset;
	/* not because it was read lately */
	memset(self->a.visited, 0, self->a.visited_size);
	/* in one segment: what is pinned keeps the others there in place, too */
	ASSERT_EQ(0, push_out(self, 10));
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->b, "k"));
	EXPECT_TRUE(stamped_at(&self->a, offset, 7));
	EXPECT_TRUE(stamped_at(&self->a, other, 8));
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(1, self->s.out_segments_held);
	EXPECT_EQ(1, self->s.out_pins_now);
	EXPECT_GE(BUDGET + SEGMENT(&self->a), self->s.out_arena_allocated);
	alz_unpin(&self->a, 100);
	ASSERT_EQ(0, push_out(self, 3));
	ASSERT_TRUE(alz_await_held(&self->a, 0));
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_GE(BUDGET, self->s.out_arena_allocated);
	EXPECT_EQ(0, self->s.out_pins_now);
}

TEST_F(pins, a_reader_that_does_not_pin_would_notice)	/* the test itself */
{
	alz_find(&self->a, "k", 1, &self->f);
	ASSERT_EQ(0, push_out(self, 3));
	/* somebody else's bytes, or gone from the mapping: ask the kernel how much */
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	if (self->s.out_segments_free <= 1)
		EXPECT_FALSE(stamped_at(&self->a, self->f.offset, 7));
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "k"));
}

struct reader {
	pid_t pid;
	int socket;
};

/* A process that pins one record of each segment, and then stands still. */
static void reader_run(FIXTURE_DATA(pins) *self, int socket)
{
	__u64 offset[NR_PINS], last = ~0ULL, word;
	struct alz_found f;
	unsigned int i, n = 0;
	char name[32];
	struct alz a;

	if (alz_join(&a, self->a.cache))
		_exit(1);
	for (i = 0; i < self->filled && n < NR_PINS; i++) {
		sprintf(name, "filler %u", i);
		if (!alz_read(&a, n + 1, name, strlen(name), &f))
			continue;
		offset[n] = f.offset;
		if (f.offset >> a.header->segment_shift == last)
			continue;
		last = f.offset >> a.header->segment_shift;
		n++;
	}
	a.pins[n] = 0;
	peer_say(socket, n);
	raise(SIGSTOP);
	for (i = 0; i < n; i++) {
		const struct asynclazy_record *r = alz_record(&a, offset[i]);
		unsigned int number;

		memcpy(name, r + 1, r->key_size);
		name[r->key_size] = 0;
		if (sscanf(name, "filler %u", &number) != 1 ||
		    !stamped_at(&a, offset[i], number + 1))
			_exit(2);
	}
	for (i = 0; i < n; i++)
		alz_unpin(&a, i + 1);
	peer_say(socket, n);
	peer_hear(socket, &word, -1);
	_exit(0);
}

static __u64 reader_start(FIXTURE_DATA(pins) *self, struct reader *r)
{
	__u64 n = 0;
	int status;

	r->pid = peer_fork(&r->socket);
	if (!r->pid)
		reader_run(self, r->socket);
	if (r->pid < 0 || peer_hear(r->socket, &n, ALZ_SOON_MS) ||
	    waitpid(r->pid, &status, WUNTRACED) != r->pid || !WIFSTOPPED(status))
		return 0;
	return n;
}

TEST_F(pins, a_reader_that_stands_still_stops_nobody)	/* L13, I2, K12 */
{
	struct reader r;
	__u64 n;

	ASSERT_EQ(0, push_out(self, 2));
	n = reader_start(self, &r);
	ASSERT_LT(4, n);
	ASSERT_EQ(0, push_out(self, 10));
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(n, self->s.out_segments_held);
	EXPECT_EQ(n, self->s.out_pins_now);
	EXPECT_LT(BUDGET, self->s.out_arena_allocated);
	EXPECT_GE(2 * BUDGET, self->s.out_arena_allocated);
	/* it goes on, and finds its bytes as they were */
	ASSERT_EQ(0, kill(r.pid, SIGCONT));
	ASSERT_EQ(0, peer_hear(r.socket, &n, ALZ_SOON_MS));
	ASSERT_EQ(0, push_out(self, 2));
	ASSERT_TRUE(alz_await_held(&self->a, 0));
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_GE(BUDGET, self->s.out_arena_allocated);
	close(r.socket);
	EXPECT_EQ(0, peer_reap(r.pid));
}

TEST_F(pins, the_pins_of_the_dead_are_gone_at_once)	/* L13, I8, K8 */
{
	struct reader r;
	__u64 reclaims;

	ASSERT_EQ(0, push_out(self, 2));
	ASSERT_LT(4, reader_start(self, &r));
	ASSERT_EQ(0, push_out(self, 3));
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_LT(4, self->s.out_segments_held);
	ASSERT_EQ(0, kill(r.pid, SIGKILL));
	ASSERT_TRUE(alz_await_clients(&self->a, 2));
	reclaims = self->s.out_reclaims;
	/* the next one that reclaims finds none */
	while (self->s.out_reclaims == reclaims) {
		ASSERT_EQ(0, set_stamped(&self->b, "more", 1));
		ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	}
	ASSERT_TRUE(alz_await_held(&self->a, 0));
	EXPECT_EQ(128 + SIGKILL, peer_reap(r.pid));
}

TEST_F(pins, garbage_in_the_page_does_no_harm)		/* K12, I7 */
{
	__u64 seed = 1, arena = self->a.arena_size, where[] = {
		~0ULL, 1ULL << 63, arena, arena + 1, arena - 1, 1, 2, 64, SEGMENT(&self->a),
		ASYNCLAZY_OFF_ARENA, 0x5a5a5a5a5a5a5a5aULL,
	};
	unsigned int i, n, full = 0;
	int memfd;

	ASSERT_TRUE(alz_read(&self->b, 1, "k", 1, &self->f));
	/* anything at all, but not in every segment */
	for (n = 0; n < 4 * BUDGET / SIZE; n++) {
		for (i = 0; i < NR_PINS; i++)
			self->a.pins[i] = i < ARRAY_SIZE(where) ? where[i] :
				alz_rand(&seed) | arena;
		ASSERT_EQ(0, set_stamped(&self->b, "other", n));
		ASSERT_TRUE(stamped_at(&self->b, self->f.offset, 7));
	}
	/* in every segment: memory is bounded, and who wants room is told so */
	for (n = 0; n < 8 * BUDGET / SIZE; n++) {
		int err;

		for (i = 0; i < NR_PINS; i++)
			self->a.pins[i] = i * SEGMENT(&self->a) % arena | 1;
		err = set_stamped(&self->b, "other", n);
		ASSERT_TRUE(err == 0 || err == -ENOSPC) TH_LOG("set: %d", err);
		full += !!err;
		ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
		ASSERT_GE(2 * BUDGET, self->s.out_arena_allocated);
		ASSERT_TRUE(stamped_at(&self->b, self->f.offset, 7));
	}
	EXPECT_LT(0, full);
	memfd = alz_memfd(self->value, sizeof(self->value), ALZ_SEALS);
	EXPECT_EQ(-ENOSPC, alz_set_memfd(&self->b, "memfd", memfd, sizeof(self->value), NULL));
	close(memfd);
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_EQ(0, self->s.out_memfd_bytes);
	/* and nothing is left of it */
	memset((void *)self->a.pins, 0, ASYNCLAZY_PINS_SIZE);
	ASSERT_EQ(0, push_out(self, 3));
	EXPECT_TRUE(stamped_at(&self->b, self->f.offset, 7));
	ASSERT_TRUE(alz_await_held(&self->a, 1));
	ASSERT_EQ(0, alz_stats(self->a.cache, &self->s));
	EXPECT_GE(BUDGET + SEGMENT(&self->a), self->s.out_arena_allocated);
}

TEST_HARNESS_MAIN
