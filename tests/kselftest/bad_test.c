// SPDX-License-Identifier: GPL-2.0-only
/* Bad input: buffers that cannot be used, no room. Nothing lost, nothing leaked. */
#include "kselftest_harness.h"
#include "late_fault.h"

FIXTURE(bad) {
	struct alz a;
	struct asynclazy_claim c;
	struct asynclazy_event e;
	struct alz_state before;
	char *page;		/* one that can be written; the next cannot be touched */
	__u64 ticket;
};

FIXTURE_SETUP(bad)
{
	ASSERT_EQ(0, alz_setup(&self->a, 1000, 2 << 20));
	self->ticket = alz_ticket(&self->a, "k");
	ASSERT_LT(0, self->ticket);
	self->page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->page);
	ASSERT_EQ(0, mprotect(self->page + 4096, 4096, PROT_NONE));
}

FIXTURE_TEARDOWN(bad)
{
	alz_leave(&self->a);
}

#define REFUSED(error, call) do {					\
	int fds_ = alz_open_fds();					\
	alz_snapshot(&self->a, &self->before);				\
	EXPECT_EQ(error, call);						\
	EXPECT_TRUE(alz_unchanged(&self->a, &self->before));		\
	EXPECT_EQ(fds_, alz_open_fds());				\
} while (0)

TEST_F(bad, a_value_that_cannot_be_read_leaves_the_ticket)
{
	const char *unmapped = self->page + 4096, *cut = self->page + 4096 - 100;

	REFUSED(-EFAULT, alz_publish_bytes(&self->a, self->ticket, unmapped, 10, 0, NULL));
	REFUSED(-EFAULT, alz_publish_bytes(&self->a, self->ticket, NULL, 10, 0, NULL));
	REFUSED(-EFAULT, alz_publish_bytes(&self->a, self->ticket, cut, 101, 0, NULL));
	REFUSED(-EFAULT, alz_publish_bytes(&self->a, self->ticket,
					   (void *)0xffff800000000000, 10, 0, NULL));
	REFUSED(-EFAULT, alz_publish_bytes(&self->a, self->ticket,
					   (void *)~0ULL, 10, 0, NULL));
	EXPECT_EQ(0, alz_publish_bytes(&self->a, self->ticket, cut, 100, 0, NULL));
	EXPECT_EQ(ASYNCLAZY_SLOT_FILLED, alz_state_of(&self->a, "k"));
}

TEST_F(bad, a_set_value_that_cannot_be_read_changes_nothing)
{
	REFUSED(-EFAULT, alz_set_bytes(&self->a, "k", self->page + 4096, 10, 0, NULL));
	REFUSED(-EFAULT, alz_set_bytes(&self->a, "new", self->page + 4090, 10, 0, NULL));
	ASSERT_EQ(0, alz_set(&self->a, "filled", "value"));
	REFUSED(-EFAULT, alz_set_bytes(&self->a, "filled", self->page + 4096, 10, 0, NULL));
	EXPECT_TRUE(alz_has(&self->a, "filled", "value"));
	EXPECT_EQ(0, alz_publish(&self->a, self->ticket, "value"));
}

TEST_F(bad, a_key_that_cannot_be_read_is_a_fault)
{
	struct asynclazy_invalidate i = { .size = sizeof(i), .key_size = 4 };
	struct asynclazy_set s = { .size = sizeof(s), .key_size = 4 };
	char *bad[] = { NULL, self->page + 4096, self->page + 4096 - 3 };
	unsigned int n;

	for (n = 0; n < ARRAY_SIZE(bad); n++) {
		alz_claim_fill(&self->a, &self->c, "key!", 4, INIT);
		self->c.key = s.key = i.key = (uintptr_t)bad[n];
		REFUSED(-EFAULT, alz_claim_raw(&self->a, &self->c));
		REFUSED(-EFAULT, alz_call(self->a.client, ASYNCLAZY_IOC_SET, &s));
		REFUSED(-EFAULT, alz_call(self->a.client, ASYNCLAZY_IOC_INVALIDATE, &i));
	}
}

TEST_F(bad, a_name_that_cannot_be_read_is_a_fault)
{
	struct asynclazy_create c = {
		.size = sizeof(c), .flags = ASYNCLAZY_CREATE_STABLE, .max_keys = 8,
		.arena_size = 1, .name_size = 8,
	};
	struct asynclazy_open o = { .size = sizeof(o), .flags = 1, .name_size = 8 };
	struct asynclazy_unlink u = { .size = sizeof(u), .name_size = 8 };
	char *bad[] = { NULL, self->page + 4096, self->page + 4096 - 7 };
	int device = alz_device(O_RDWR);
	unsigned int n;

	for (n = 0; n < ARRAY_SIZE(bad); n++) {
		c.name = o.name = u.name = (uintptr_t)bad[n];
		REFUSED(-EFAULT, alz_call(device, ASYNCLAZY_IOC_CREATE, &c));
		REFUSED(-EFAULT, alz_call(device, ASYNCLAZY_IOC_OPEN, &o));
		REFUSED(-EFAULT, alz_call(device, ASYNCLAZY_IOC_UNLINK, &u));
	}
	close(device);
}

TEST_F(bad, a_text_that_cannot_be_read_leaves_the_ticket)
{
	struct asynclazy_fail f = {
		.ticket = self->ticket, .error = EIO, .error_class = TRANSIENT,
		.detail = (uintptr_t)self->page + 4096 - 3, .detail_size = 4,
	};

	REFUSED(-EFAULT, alz_fail_raw(&self->a, &f));
	f.error_class = PERMANENT;
	REFUSED(-EFAULT, alz_fail_raw(&self->a, &f));
	f.detail = 0;
	REFUSED(-EFAULT, alz_fail_raw(&self->a, &f));
	f.detail_size = 0;
	EXPECT_EQ(0, alz_fail_raw(&self->a, &f));
}

TEST_F(bad, a_ticket_that_cannot_be_told_is_given_back)
{
	struct asynclazy_claim *c = (void *)self->page;
	__u32 flags[] = { INIT, INIT | BLOCK, INIT | EVENT, INIT | WAITFD,
			  INIT | EVENT | FOLLOW };
	struct asynclazy_stats s;
	unsigned int i;

	ASSERT_EQ(0, alz_abandon(&self->a, self->ticket));
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		alz_claim_fill(&self->a, c, "k", 1, flags[i]);
		ASSERT_EQ(0, mprotect(self->page, 4096, PROT_READ));
		EXPECT_EQ(-EFAULT, alz_call(self->a.client, ASYNCLAZY_IOC_CLAIM, c));
		ASSERT_EQ(0, mprotect(self->page, 4096, PROT_READ | PROT_WRITE));
		EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "k"));
		ASSERT_EQ(0, alz_stats(self->a.client, &s));
		EXPECT_EQ(0, s.out_tickets_now) TH_LOG("flags %#x", flags[i]);
		EXPECT_EQ(0, s.out_initializing) TH_LOG("flags %#x", flags[i]);
		while (s.out_waits_now && !alz_event(&self->a, &self->e))
			s.out_waits_now--;
	}
	EXPECT_LT(0, alz_ticket(&self->a, "k"));
}

struct teller {
	int client, err;
	struct asynclazy_claim *c;
};

static void *claim_on_page(void *arg)
{
	struct teller *t = arg;

	t->err = alz_call(t->client, ASYNCLAZY_IOC_CLAIM, t->c);
	return NULL;
}

TEST_F(bad, a_ticket_that_cannot_be_told_goes_to_the_next)	/* I10 */
{
	struct teller t = { .client = self->a.client, .c = (void *)self->page };
	pthread_t thread;

	/* a blocked one, whose struct can no longer be written when it ends */
	alz_claim_fill(&self->a, t.c, "k", 1, INIT | BLOCK);
	ASSERT_EQ(0, pthread_create(&thread, NULL, claim_on_page, &t));
	ASSERT_TRUE(alz_await_waits(&self->a, 1));
	ASSERT_EQ(0, mprotect(self->page, 4096, PROT_READ));
	ASSERT_EQ(0, alz_claim_event(&self->a, "k", INIT | EVENT, 2, &self->c));
	ASSERT_EQ(0, alz_abandon(&self->a, self->ticket));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(-EFAULT, t.err);
	ASSERT_EQ(0, alz_event(&self->a, &self->e));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->e.result);
	EXPECT_EQ(0, alz_publish(&self->a, self->e.ticket, "value"));
}

TEST_F(bad, a_wait_fd_that_cannot_be_told_is_no_wait)
{
	struct asynclazy_claim *c = (void *)self->page;
	int fds = alz_open_fds();

	alz_claim_fill(&self->a, c, "k", 1, INIT | WAITFD);
	ASSERT_EQ(0, mprotect(self->page, 4096, PROT_READ));
	alz_snapshot(&self->a, &self->before);
	EXPECT_EQ(-EFAULT, alz_call(self->a.client, ASYNCLAZY_IOC_CLAIM, c));
	EXPECT_TRUE(alz_unchanged(&self->a, &self->before));
	EXPECT_EQ(fds, alz_open_fds());
}

TEST_F(bad, a_publish_that_cannot_be_told_loses_nothing)
{
	struct asynclazy_publish *p = (void *)self->page;

	p->size = sizeof(*p);
	p->ticket = self->ticket;
	p->value = (uintptr_t)"value";
	p->value_size = 5;
	ASSERT_EQ(0, mprotect(self->page, 4096, PROT_READ));
	EXPECT_EQ(-EFAULT, alz_call(self->a.client, ASYNCLAZY_IOC_PUBLISH, p));
	/* either done, or the ticket is still there */
	if (!alz_has(&self->a, "k", "value"))
		EXPECT_EQ(0, alz_publish(&self->a, self->ticket, "value"));
	EXPECT_TRUE(alz_has(&self->a, "k", "value"));
	EXPECT_EQ(0, self->a.header->initializing);
}

TEST_F(bad, a_text_without_room_for_it_is_a_fault)
{
	struct asynclazy_fetch f = {
		.size = sizeof(f), .cookie = 1, .detail_size = 16,
		.detail = (uintptr_t)self->page + 4096,
	};
	char text[16];
	__u32 size;

	ASSERT_EQ(0, alz_claim_event(&self->a, "k", EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_fail(&self->a, self->ticket, EIO, TRANSIENT, 0, "why"));
	ASSERT_EQ(0, alz_event(&self->a, &self->e));
	REFUSED(-EFAULT, alz_call(self->a.client, ASYNCLAZY_IOC_FETCH, &f));
	/* once, and this was none */
	EXPECT_EQ(0, alz_fetch(&self->a, 1, text, sizeof(text), &size));
	EXPECT_EQ(3, size);
	EXPECT_TRUE(alz_await_waits(&self->a, 0));
}

TEST_F(bad, a_value_too_large_leaves_the_ticket)
{
	__u64 max = self->a.header->value_max;
	char *value = mmap(NULL, max + 4096, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct alz_found f;

	ASSERT_NE(MAP_FAILED, value);
	REFUSED(-EFBIG, alz_publish_bytes(&self->a, self->ticket, value, max + 1, 0, NULL));
	REFUSED(-EFBIG, alz_publish_bytes(&self->a, self->ticket, value, 1ULL << 32, 0, NULL));
	REFUSED(-EFBIG, alz_publish_bytes(&self->a, self->ticket, value, 1ULL << 63, 0, NULL));
	REFUSED(-EFBIG, alz_publish_bytes(&self->a, self->ticket, value, ~0ULL, 0, NULL));
	REFUSED(-EFBIG, alz_set_bytes(&self->a, "k", value, max + 1, 0, NULL));
	REFUSED(-EFBIG, alz_set_bytes(&self->a, "k", value, ~0ULL, 0, NULL));
	memset(value, 'v', max);
	ASSERT_EQ(0, alz_publish_bytes(&self->a, self->ticket, value, max, 0, NULL));
	alz_find(&self->a, "k", 1, &f);
	ASSERT_EQ(ASYNCLAZY_SLOT_FILLED, f.state);
	EXPECT_EQ(max, f.value_size);
	EXPECT_EQ(0, memcmp(value, f.value, max));
	munmap(value, max + 4096);
}

TEST_F(bad, a_full_arena_leaves_the_ticket)
{
	static char value[60000];
	struct asynclazy_stats s;
	__u64 nospace;
	int n = 0;

	while (!alz_set_bytes(&self->a, "filler", value, sizeof(value), 0, NULL))
		ASSERT_GT(1000, n++);
	EXPECT_LT(20, n);
	ASSERT_EQ(0, alz_stats(self->a.client, &s));
	nospace = s.out_nospace;
	EXPECT_LT(0, nospace);
	REFUSED(-ENOSPC, alz_publish_bytes(&self->a, self->ticket, value, sizeof(value), 0, NULL));
	REFUSED(-ENOSPC, alz_set_bytes(&self->a, "k", value, sizeof(value), 0, NULL));
	REFUSED(-ENOSPC, alz_set_bytes(&self->a, "filler", value, sizeof(value), 0, NULL));
	ASSERT_EQ(0, alz_stats(self->a.client, &s));
	EXPECT_EQ(nospace + 3, s.out_nospace);
	EXPECT_EQ(ASYNCLAZY_SLOT_FILLED, alz_state_of(&self->a, "filler"));
	/* what waits can still be told */
	ASSERT_EQ(0, alz_claim_event(&self->a, "k", EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_fail(&self->a, self->ticket, ENOSPC, TRANSIENT, 0, "full"));
	ASSERT_EQ(0, alz_event(&self->a, &self->e));
	EXPECT_EQ(ENOSPC, self->e.error);
}

TEST_F(bad, a_full_table_refuses_and_keeps_what_it_has)
{
	struct asynclazy_claim *c = &self->c;
	struct asynclazy_set s = { .size = sizeof(s), .value = (uintptr_t)"v", .value_size = 1 };
	struct asynclazy_invalidate in = { .size = sizeof(in) };
	char key[16];
	int i;

	/* 16 slots is all that one hash can have */
	for (i = 0; i < 16; i++) {
		snprintf(key, sizeof(key), "same%02d", i);
		s.key = in.key = (uintptr_t)key;
		s.key_size = in.key_size = strlen(key);
		s.hash = in.hash = 0x77777777;
		ASSERT_EQ(0, alz_call(self->a.client, ASYNCLAZY_IOC_SET, &s));
	}
	strcpy(key, "one more");
	s.key_size = strlen(key);
	REFUSED(-ENOSPC, alz_call(self->a.client, ASYNCLAZY_IOC_SET, &s));
	alz_claim_fill(&self->a, c, key, strlen(key), INIT);
	c->hash = s.hash;
	REFUSED(-ENOSPC, alz_claim_raw(&self->a, c));
	c->flags = INIT | EVENT | FOLLOW;
	REFUSED(-ENOSPC, alz_claim_raw(&self->a, c));
	c->flags = INIT | WAITFD;
	REFUSED(-ENOSPC, alz_claim_raw(&self->a, c));
	c->flags = 0;
	REFUSED(0, alz_claim_raw(&self->a, c));
	EXPECT_EQ(ASYNCLAZY_RESULT_EMPTY, c->out_result);
	/* those that are there can be changed, and make room */
	strcpy(key, "same07");
	s.key_size = in.key_size = strlen(key);
	EXPECT_EQ(0, alz_call(self->a.client, ASYNCLAZY_IOC_SET, &s));
	ASSERT_EQ(0, alz_call(self->a.client, ASYNCLAZY_IOC_INVALIDATE, &in));
	EXPECT_EQ(1, in.out_count);
	strcpy(key, "one more");
	s.key_size = strlen(key);
	EXPECT_EQ(0, alz_call(self->a.client, ASYNCLAZY_IOC_SET, &s));
}

TEST_F(bad, a_table_takes_the_keys_that_it_was_made_for)
{
	struct asynclazy_stats s;
	char key[16];
	int i, n = 0;

	/* "k" is one of the 1000 */
	for (i = 0; i < 999; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ASSERT_EQ(0, alz_set(&self->a, key, key)) TH_LOG("key %d", i);
	}
	/* and more, up to its slots; then it is full, and all of them are there */
	while (n < 100000) {
		snprintf(key, sizeof(key), "k%d", i + n);
		if (alz_set(&self->a, key, key))
			break;
		n++;
	}
	EXPECT_GT(100000, n);
	ASSERT_EQ(0, alz_stats(self->a.client, &s));
	EXPECT_EQ(999 + n, s.out_keys);
	for (i = 0; i < 999 + n; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ASSERT_TRUE(alz_has(&self->a, key, key)) TH_LOG("key %s", key);
	}
	EXPECT_EQ(0, alz_publish(&self->a, self->ticket, "value"));
	EXPECT_TRUE(alz_has(&self->a, "k", "value"));
}

static int late_fault_claim(struct late_fault *l, const struct alz *a, const char *key,
			    __u32 flags, __u64 cookie)
{
	struct asynclazy_claim *c = (void *)l->page;

	alz_claim_fill(a, c, key, strlen(key), flags);
	c->cookie = cookie;
	c->key = (uintptr_t)l->missing;
	return late_fault_call(l, a->client, ASYNCLAZY_IOC_CLAIM, key, strlen(key));
}

TEST_F(bad, an_answer_that_cannot_be_told_cancels_no_older_wait)	/* K6, I5 */
{
	static const struct {
		const char *key;
		__u32 flags;
	} calls[] = {
		{ "filled", EVENT }, { "filled", INIT | EVENT },
		{ "filled", INIT | EVENT | FOLLOW },
		{ "failed", EVENT }, { "failed", INIT | EVENT },
		{ "failed", INIT | EVENT | FOLLOW },
		{ "new", 0 }, { "new", INIT }, { "new", EVENT }, { "new", INIT | EVENT },
		{ "k", 0 }, { "k", INIT },
	};
	struct late_fault late;
	unsigned int i;
	__u64 ticket;

	if (late_fault_open(&late, self->page))
		SKIP(return, "no userfaultfd here");
	ASSERT_EQ(0, alz_set(&self->a, "filled", "value"));
	ticket = alz_ticket(&self->a, "failed");
	ASSERT_EQ(0, alz_fail(&self->a, ticket, EIO, PERMANENT, 0, "text"));
	ASSERT_EQ(0, alz_claim_event(&self->a, "k", INIT | EVENT, 5, &self->c));
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		EXPECT_EQ(-EFAULT, late_fault_claim(&late, &self->a, calls[i].key,
						    calls[i].flags, 5));
		ASSERT_TRUE(alz_await_waits(&self->a, 1)) {
			TH_LOG("%s, flags %#x", calls[i].key, calls[i].flags);
		}
	}
	ASSERT_EQ(0, alz_publish(&self->a, self->ticket, "value"));
	ASSERT_EQ(0, alz_event(&self->a, &self->e));
	EXPECT_EQ(5, self->e.cookie);
	EXPECT_EQ(ASYNCLAZY_RESULT_HIT, self->e.result);
	EXPECT_EQ(0, self->a.header->initializing);
}

TEST_F(bad, a_claim_that_cannot_be_told_is_undone)	/* I10 */
{
	__u32 flags[] = { INIT, INIT | BLOCK, INIT | EVENT, INIT | WAITFD,
			  INIT | EVENT | FOLLOW };
	struct late_fault late;
	struct asynclazy_stats s;
	int fds, err;
	unsigned int i;

	err = late_fault_open(&late, self->page);
	if (err)
		SKIP(return, "no userfaultfd here");
	fds = alz_open_fds();
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		EXPECT_EQ(-EFAULT, late_fault_claim(&late, &self->a, "new", flags[i], 6));
		EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "new"));
		/* its own wait, or its ticket, and nothing else */
		if (!(flags[i] & BLOCK))
			EXPECT_EQ(-EFAULT, late_fault_claim(&late, &self->a, "k", flags[i], 6));
		ASSERT_EQ(0, alz_stats(self->a.client, &s));
		EXPECT_EQ(1, s.out_tickets_now) TH_LOG("flags %#x", flags[i]);
		EXPECT_EQ(0, s.out_waits_now) TH_LOG("flags %#x", flags[i]);
		EXPECT_EQ(0, alz_poll(self->a.client, 0)) TH_LOG("flags %#x", flags[i]);
	}
	EXPECT_EQ(fds, alz_open_fds());
	EXPECT_EQ(0, alz_publish(&self->a, self->ticket, "value"));
}

/*
 * How many bytes of the arena are this one, four of them or more in a row: a hash or
 * a time may have one by chance.
 */
static __u64 count_bytes(const struct alz *a, char byte)
{
	struct asynclazy_stats s;
	__u64 i, n = 0, run = 0;

	/* the rest has no memory yet: see map_test */
	if (alz_stats(a->cache, &s))
		return ~0ULL;
	for (i = 0; i < s.out_arena_allocated; i++) {
		run = a->arena[i] == byte ? run + 1 : 0;
		if (run >= 4)
			n += run == 4 ? 4 : 1;
	}
	return n;
}

TEST_F(bad, a_refused_value_leaves_no_byte)		/* I7 */
{
	__u64 size = 4096 + 3000;	/* half of it can be read */
	struct asynclazy_publish p;
	int i;

	memset(self->page, '\xd7', 4096);
	for (i = 0; i < 4; i++) {
		REFUSED(-EFAULT, alz_publish_bytes(&self->a, self->ticket, self->page,
						   size, i % 2 * ALZ_SEC, NULL));
		REFUSED(-EFAULT, alz_set_bytes(&self->a, "set", self->page, size,
					       i % 2 * ALZ_SEC, NULL));
		EXPECT_EQ(0, count_bytes(&self->a, '\xd7'));
	}
	/* what comes there next has none in its padding */
	ASSERT_EQ(0, alz_publish_bytes(&self->a, self->ticket, "x", 1, 0, &p));
	EXPECT_TRUE(alz_value_at(&self->a, p.out_offset, "x"));
	EXPECT_EQ(0, count_bytes(&self->a, '\xd7'));
	/* one that is taken is there, once */
	ASSERT_EQ(0, alz_set_bytes(&self->a, "set", self->page, 4096, 0, NULL));
	EXPECT_LE(4096, count_bytes(&self->a, '\xd7'));
	EXPECT_GT(4096 + 64, count_bytes(&self->a, '\xd7'));
}

TEST_HARNESS_MAIN
