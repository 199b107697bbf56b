// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every call, by one table: the sizes, flags and reserved fields of its
 * struct, what it leaves of the out fields, where the struct may lie, and
 * which kind of file descriptor takes it.
 */
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "alz.h"

enum kind { DEVICE, CACHE, CLIENT, WAIT, FOREIGN, KINDS };

struct member {
	size_t offset, size;
	int error;		/* of a reserved one that is not zero */
	int error2;		/* as good */
};

FIXTURE(abi) {
	struct alz a;
	int fd[KINDS];
	char name[64];
	int serial;
	char key[32];
	char text[ASYNCLAZY_DETAIL_MAX];
	struct asynclazy_word word;
	struct asynclazy_call call;
	int out_fd;		/* that the last call made, to be closed */
};

struct call {
	const char *name;
	unsigned long nr;
	size_t size;
	__u32 flags;		/* known ones */
	unsigned int kinds;	/* of fds that take it */
	int (*prepare)(FIXTURE_DATA(abi) *self, void *arg);
	size_t fd_offset;	/* of out_fd, or 0 */
	struct member reserved[6];
	struct member out[48];
};

#define M(type, member) \
	offsetof(struct asynclazy_##type, member), sizeof(((struct asynclazy_##type *)0)->member)
#define RESERVED(type, member)		{ M(type, member), -EINVAL, -EINVAL }
#define OUT(type, member)		{ M(type, member), 0, 0 }
#define ON(kind)			(1U << (kind))

/* A key that nobody has used. */
static const char *fresh(FIXTURE_DATA(abi) *self)
{
	snprintf(self->key, sizeof(self->key), "key-%d", self->serial++);
	return self->key;
}

static int prepare_nothing(FIXTURE_DATA(abi) *self, void *arg)
{
	(void)self;
	(void)arg;
	return 0;
}

static int prepare_create(FIXTURE_DATA(abi) *self, void *arg)
{
	struct asynclazy_create *c = arg;

	(void)self;
	c->flags = ASYNCLAZY_CREATE_STABLE;
	c->max_keys = 8;
	c->arena_size = 1 << 16;
	c->segment_size = 1 << 16;
	return 0;
}

static int prepare_open(FIXTURE_DATA(abi) *self, void *arg)
{
	struct asynclazy_open *o = arg;

	o->flags = ASYNCLAZY_OPEN_READ;
	o->name = (uintptr_t)self->name;
	o->name_size = strlen(self->name);
	return 0;
}

static int prepare_unlink(FIXTURE_DATA(abi) *self, void *arg)
{
	struct asynclazy_unlink *u = arg;
	struct asynclazy_create c;
	int err;

	snprintf(self->text, sizeof(self->text), "%s-unlink", self->name);
	err = alz_create(self->fd[DEVICE], &c, self->text, ASYNCLAZY_CREATE_STABLE, 8, 1);
	if (err)
		return err;
	close(c.out_fd);
	u->name = (uintptr_t)self->text;
	u->name_size = strlen(self->text);
	return 0;
}

static int prepare_claim(FIXTURE_DATA(abi) *self, void *arg)
{
	struct asynclazy_claim *c = arg;

	alz_claim_fill(&self->a, c, self->key, strlen(fresh(self)), INIT);
	return 0;
}

static int prepare_publish(FIXTURE_DATA(abi) *self, void *arg)
{
	struct asynclazy_publish *p = arg;

	p->ticket = alz_ticket(&self->a, fresh(self));
	p->value = (uintptr_t)"value";
	p->value_size = 5;
	return p->ticket ? 0 : -EIO;
}

static int prepare_fail(FIXTURE_DATA(abi) *self, void *arg)
{
	struct asynclazy_fail *f = arg;

	f->ticket = alz_ticket(&self->a, fresh(self));
	f->error = EIO;
	f->error_class = NEGATIVE;
	return f->ticket ? 0 : -EIO;
}

static int prepare_abandon(FIXTURE_DATA(abi) *self, void *arg)
{
	struct asynclazy_abandon *b = arg;

	b->ticket = alz_ticket(&self->a, fresh(self));
	return b->ticket ? 0 : -EIO;
}

static int prepare_cancel(FIXTURE_DATA(abi) *self, void *arg)
{
	struct asynclazy_cancel *cancel = arg;
	struct asynclazy_claim c;

	cancel->cookie = self->serial + 1000;
	if (!alz_ticket(&self->a, fresh(self)))
		return -EIO;
	return alz_claim_event(&self->a, self->key, EVENT, cancel->cookie, &c);
}

static int prepare_fetch(FIXTURE_DATA(abi) *self, void *arg)
{
	struct asynclazy_fetch *f = arg;
	struct asynclazy_event e;
	struct asynclazy_claim c;
	__u64 ticket;
	int err;

	f->cookie = self->serial + 1000;
	f->detail = (uintptr_t)self->text;
	f->detail_size = sizeof(self->text);
	ticket = alz_ticket(&self->a, fresh(self));
	err = alz_claim_event(&self->a, self->key, EVENT, f->cookie, &c);
	if (!err)
		err = alz_fail(&self->a, ticket, EIO, TRANSIENT, 0, "why");
	return err ? err : alz_event(&self->a, &e);
}

static int prepare_set(FIXTURE_DATA(abi) *self, void *arg)
{
	struct asynclazy_set *s = arg;

	s->key = (uintptr_t)fresh(self);
	s->key_size = strlen(self->key);
	s->hash = alz_hash(&self->a, self->key, s->key_size);
	s->value = (uintptr_t)"value";
	s->value_size = 5;
	return 0;
}

static int prepare_invalidate(FIXTURE_DATA(abi) *self, void *arg)
{
	struct asynclazy_invalidate *i = arg;

	i->key = (uintptr_t)fresh(self);
	i->key_size = strlen(self->key);
	i->hash = alz_hash(&self->a, self->key, i->key_size);
	return alz_set(&self->a, self->key, "value");
}

static int prepare_expire(FIXTURE_DATA(abi) *self, void *arg)
{
	struct asynclazy_expire *e = arg;

	e->key = (uintptr_t)fresh(self);
	e->key_size = strlen(self->key);
	e->hash = alz_hash(&self->a, self->key, e->key_size);
	return alz_set(&self->a, self->key, "value");
}

/* It has another value, so that it never waits. */
static int prepare_wait(FIXTURE_DATA(abi) *self, void *arg)
{
	struct asynclazy_wait *w = arg;

	self->word = (struct asynclazy_word){
		(uintptr_t)&self->serial, self->serial + 1, ASYNCLAZY_WORD_ADDRESS,
	};
	w->flags = BLOCK;
	w->words = (uintptr_t)&self->word;
	w->count = 1;
	return 0;
}

static int prepare_wake(FIXTURE_DATA(abi) *self, void *arg)
{
	struct asynclazy_wake *w = arg;

	w->flags = ASYNCLAZY_WORD_ADDRESS;
	w->word = (uintptr_t)&self->serial;
	return 0;
}

static int prepare_batch(FIXTURE_DATA(abi) *self, void *arg)
{
	struct asynclazy_batch *b = arg;

	self->call = (struct asynclazy_call){ 0, 0, 0 };
	b->calls = (uintptr_t)&self->call;
	b->count = 1;
	return 0;
}

static int prepare_memfd(FIXTURE_DATA(abi) *self, void *arg)
{
	struct asynclazy_value *v = arg;
	struct asynclazy_set s;
	int fd = alz_memfd("value", 5, ALZ_SEALS), err;

	if (fd < 0)
		return fd;
	err = alz_set_memfd(&self->a, fresh(self), fd, 5, &s);
	close(fd);
	v->generation = s.out_generation;
	return err;
}

static int prepare_extend(FIXTURE_DATA(abi) *self, void *arg)
{
	struct asynclazy_extend *e = arg;

	e->ticket = alz_ticket(&self->a, fresh(self));
	return e->ticket ? 0 : -EIO;
}

static int prepare_flight(FIXTURE_DATA(abi) *self, void *arg)
{
	struct asynclazy_flight *f = arg;

	f->key = (uintptr_t)fresh(self);
	f->key_size = strlen(self->key);
	f->hash = alz_hash(&self->a, self->key, f->key_size);
	return alz_ticket(&self->a, self->key) ? 0 : -EIO;
}

#define CALL(NAME, type, known, on, prepare_fn)				\
	.name = #NAME, .nr = ASYNCLAZY_IOC_##NAME,			\
	.size = sizeof(struct asynclazy_##type), .flags = known,	\
	.kinds = on, .prepare = prepare_fn

static const struct call calls[] = {
	{ CALL(INFO, info, 0, ON(DEVICE), prepare_nothing),
	  .reserved = { RESERVED(info, reserved) },
	  .out = { OUT(info, out_abi_version), OUT(info, out_key_max),
		   OUT(info, out_features), OUT(info, out_caches_max),
		   OUT(info, out_caches_used), OUT(info, out_bytes_max),
		   OUT(info, out_bytes_used), OUT(info, out_waits_max),
		   OUT(info, out_tickets_max) } },
	{ CALL(CREATE, create, ASYNCLAZY_CREATE_FLAGS, ON(DEVICE), prepare_create),
	  .fd_offset = offsetof(struct asynclazy_create, out_fd),
	  .reserved = { RESERVED(create, reserved), RESERVED(create, stale_ttl),
			RESERVED(create, dead_ttl) },
	  .out = { OUT(create, out_fd), OUT(create, out_created),
		   OUT(create, out_cache_id) } },
	{ CALL(OPEN, open, ASYNCLAZY_OPEN_FLAGS, ON(DEVICE), prepare_open),
	  .fd_offset = offsetof(struct asynclazy_open, out_fd),
	  .reserved = { RESERVED(open, reserved) },
	  .out = { OUT(open, out_fd), OUT(open, out_cache_id) } },
	{ CALL(UNLINK, unlink, 0, ON(DEVICE), prepare_unlink),
	  .reserved = { RESERVED(unlink, reserved), RESERVED(unlink, pad) } },
	{ CALL(ATTACH, attach, 0, ON(CACHE), prepare_nothing),
	  .fd_offset = offsetof(struct asynclazy_attach, out_fd),
	  .reserved = { RESERVED(attach, reserved) },
	  .out = { OUT(attach, out_fd), OUT(attach, out_lock_id) } },
	{ CALL(GEOMETRY, geometry, 0, ON(CACHE) | ON(CLIENT), prepare_nothing),
	  .reserved = { RESERVED(geometry, reserved) },
	  .out = { OUT(geometry, out_abi_version), OUT(geometry, out_flags),
		   OUT(geometry, out_features), OUT(geometry, out_cache_id),
		   OUT(geometry, out_max_keys), OUT(geometry, out_slots),
		   OUT(geometry, out_table_size), OUT(geometry, out_arena_size),
		   OUT(geometry, out_segment_size), OUT(geometry, out_value_max),
		   OUT(geometry, out_key_max), OUT(geometry, out_mode),
		   OUT(geometry, out_uid), OUT(geometry, out_access),
		   OUT(geometry, out_visited_size), OUT(geometry, out_pins_size),
		   OUT(geometry, out_budget), OUT(geometry, out_words_size) } },
	{ CALL(STATS, stats, 0, ON(CACHE) | ON(CLIENT), prepare_nothing),
	  .reserved = { RESERVED(stats, reserved) },
	  .out = { OUT(stats, out_claims), OUT(stats, out_hits), OUT(stats, out_tickets),
		   OUT(stats, out_waits), OUT(stats, out_publishes), OUT(stats, out_fails),
		   OUT(stats, out_abandons), OUT(stats, out_deaths),
		   OUT(stats, out_handovers), OUT(stats, out_stale),
		   OUT(stats, out_cancels), OUT(stats, out_sets),
		   OUT(stats, out_invalidates), OUT(stats, out_nospace),
		   OUT(stats, out_keys), OUT(stats, out_errors),
		   OUT(stats, out_initializing), OUT(stats, out_arena_used),
		   OUT(stats, out_arena_allocated), OUT(stats, out_clients),
		   OUT(stats, out_tickets_now), OUT(stats, out_waits_now),
		   OUT(stats, out_evictions), OUT(stats, out_reinsertions),
		   OUT(stats, out_expired), OUT(stats, out_unkept),
		   OUT(stats, out_reclaims), OUT(stats, out_waited),
		   OUT(stats, out_memfds), OUT(stats, out_memfd_bytes),
		   OUT(stats, out_segments), OUT(stats, out_segments_free),
		   OUT(stats, out_segments_open), OUT(stats, out_segments_full),
		   OUT(stats, out_segments_held), OUT(stats, out_pins_now),
		   OUT(stats, out_late), OUT(stats, out_revoked),
		   OUT(stats, out_unaccepted), OUT(stats, out_extends),
		   OUT(stats, out_queued), OUT(stats, out_held),
		   OUT(stats, out_refreshes), OUT(stats, out_broken),
		   OUT(stats, out_wakes) } },
	{ CALL(CLAIM, claim, ASYNCLAZY_CLAIM_FLAGS, ON(CLIENT), prepare_claim),
	  .reserved = { RESERVED(claim, reserved), RESERVED(claim, pin) },
	  .out = { OUT(claim, out_result), OUT(claim, out_fd), OUT(claim, out_error),
		   OUT(claim, out_detail_size), OUT(claim, out_ticket),
		   OUT(claim, out_generation), OUT(claim, out_offset),
		   OUT(claim, out_attempt) } },
	/* of the two flags, each wants more than is given here: see memfd_test */
	{ CALL(PUBLISH, publish, ASYNCLAZY_VALUE_FLAGS, ON(CLIENT), prepare_publish),
	  .reserved = { RESERVED(publish, reserved), RESERVED(publish, pin),
			RESERVED(publish, stale_ttl), RESERVED(publish, dead_ttl),
			RESERVED(publish, value_fd) },
	  .out = { OUT(publish, out_generation), OUT(publish, out_offset) } },
	{ CALL(FAIL, fail, 0, ON(CLIENT), prepare_fail),
	  .reserved = { RESERVED(fail, reserved) },
	  .out = { OUT(fail, out_kept) } },
	{ CALL(ABANDON, abandon, 0, ON(CLIENT), prepare_abandon),
	  .reserved = { RESERVED(abandon, reserved) } },
	{ CALL(CANCEL, cancel, 0, ON(CLIENT), prepare_cancel),
	  .reserved = { RESERVED(cancel, reserved) } },
	{ CALL(FETCH, fetch, 0, ON(CLIENT), prepare_fetch),
	  .reserved = { RESERVED(fetch, reserved) },
	  .out = { OUT(fetch, out_detail_size) } },
	{ CALL(SET, set, ASYNCLAZY_VALUE_FD, ON(CLIENT), prepare_set),
	  .reserved = { RESERVED(set, reserved), RESERVED(set, stale_ttl),
			RESERVED(set, dead_ttl), RESERVED(set, value_fd) },
	  .out = { OUT(set, out_generation), OUT(set, out_offset) } },
	{ CALL(INVALIDATE, invalidate, 0, ON(CLIENT), prepare_invalidate),
	  .reserved = { RESERVED(invalidate, reserved) },
	  .out = { OUT(invalidate, out_count) } },
	{ CALL(CLEAR, clear, 0, ON(CLIENT), prepare_nothing),
	  .reserved = { RESERVED(clear, reserved) },
	  .out = { OUT(clear, out_count) } },
	{ CALL(MEMFD, value, 0, ON(CLIENT), prepare_memfd),
	  .fd_offset = offsetof(struct asynclazy_value, out_fd),
	  .reserved = { RESERVED(value, reserved), RESERVED(value, pad) },
	  .out = { OUT(value, out_fd), OUT(value, out_value_size) } },
	{ CALL(EXTEND, extend, 0, ON(CLIENT), prepare_extend),
	  .reserved = { RESERVED(extend, reserved), RESERVED(extend, pad) },
	  .out = { OUT(extend, out_until), OUT(extend, out_waiters) } },
	{ CALL(FLIGHT, flight, 0, ON(CLIENT), prepare_flight),
	  .reserved = { RESERVED(flight, reserved) },
	  .out = { OUT(flight, out_flags), OUT(flight, out_owner), OUT(flight, out_attempt),
		   OUT(flight, out_waiters), OUT(flight, out_queue),
		   OUT(flight, out_generation),
		   OUT(flight, out_started), OUT(flight, out_granted),
		   OUT(flight, out_until), OUT(flight, out_done), OUT(flight, out_total),
		   OUT(flight, out_detail_size), OUT(flight, out_error),
		   OUT(flight, out_failures), OUT(flight, out_retry) } },
	{ CALL(EXPIRE, expire, 0, ON(CLIENT), prepare_expire),
	  .reserved = { RESERVED(expire, reserved) },
	  .out = { OUT(expire, out_count) } },
	{ CALL(WAIT, wait, BLOCK | EVENT | WAITFD, ON(CLIENT), prepare_wait),
	  .fd_offset = offsetof(struct asynclazy_wait, out_fd),
	  .reserved = { RESERVED(wait, reserved), RESERVED(wait, pad), RESERVED(wait, pad2) },
	  .out = { OUT(wait, out_result), OUT(wait, out_index), OUT(wait, out_fd) } },
	{ CALL(WAKE, wake, ASYNCLAZY_WORD_ADDRESS, ON(CLIENT), prepare_wake),
	  .reserved = { RESERVED(wake, reserved) },
	  .out = { OUT(wake, out_count) } },
	{ CALL(BATCH, batch, 0, ON(CLIENT), prepare_batch),
	  .reserved = { RESERVED(batch, reserved) },
	  .out = { OUT(batch, out_done) } },
};

#define MAX_STRUCT 512

FIXTURE_SETUP(abi)
{
	struct asynclazy_create c;

	self->out_fd = -1;
	self->fd[DEVICE] = alz_device(O_RDWR);
	ASSERT_LE(0, self->fd[DEVICE]);
	snprintf(self->name, sizeof(self->name), "kselftest-abi-%d", getpid());
	ASSERT_EQ(0, alz_create(self->fd[DEVICE], &c, self->name,
				ASYNCLAZY_CREATE_STABLE, 500, 8 << 20));
	ASSERT_EQ(0, alz_join(&self->a, c.out_fd));
	close(c.out_fd);
	self->fd[CACHE] = self->a.cache;
	self->fd[CLIENT] = self->a.client;
	ASSERT_LT(0, alz_ticket(&self->a, "running"));
	self->fd[WAIT] = alz_waitfd(&self->a, "running", 0, 0);
	ASSERT_LE(0, self->fd[WAIT]);
	self->fd[FOREIGN] = eventfd(0, EFD_CLOEXEC);
	ASSERT_LE(0, self->fd[FOREIGN]);
}

FIXTURE_TEARDOWN(abi)
{
	alz_unlink(self->fd[DEVICE], self->name);
	/* what prepare_unlink() made, and nothing has unlinked */
	snprintf(self->text, sizeof(self->text), "%s-unlink", self->name);
	alz_unlink(self->fd[DEVICE], self->text);
}

/* The fd that is meant for a call. */
static int home(FIXTURE_DATA(abi) *self, const struct call *call)
{
	return self->fd[__builtin_ctz(call->kinds)];
}

/* Fill @arg for a call that would work. */
static int prepare(FIXTURE_DATA(abi) *self, const struct call *call, char *arg)
{
	int i, err;

	memset(arg, 0, MAX_STRUCT);
	*(__u32 *)arg = call->size;
	err = call->prepare(self, arg);
	*(__u32 *)arg = call->size;
	for (i = 0; call->out[i].size; i++)
		memset(arg + call->out[i].offset, ALZ_POISON, call->out[i].size);
	return err;
}

/* Do it; close the fd that it makes. */
static int execute(FIXTURE_DATA(abi) *self, const struct call *call, char *arg)
{
	int err = alz_call(home(self, call), call->nr, arg);

	if (!err && call->fd_offset)
		close(*(__s32 *)(arg + call->fd_offset));
	return err;
}

#define FOR_EACH_CALL(call) \
	for (call = calls; call < calls + ARRAY_SIZE(calls); call++)

/* A call that must be refused: the errno, and that nothing has changed. */
#define EXPECT_REFUSED(error, error2, what, number) do {		\
	struct alz_state before_;					\
	int fds_ = alz_open_fds(), err_;				\
									\
	alz_snapshot(&self->a, &before_);				\
	err_ = execute(self, call, arg);				\
	EXPECT_TRUE(err_ == (error) || err_ == (error2))		\
		TH_LOG("%s, %s %llu: expected %d, got %d", call->name, what,	\
		       (unsigned long long)(number), error, err_);	\
	EXPECT_TRUE(alz_unchanged(&self->a, &before_))			\
		TH_LOG("%s, %s %llu", call->name, what,			\
		       (unsigned long long)(number));			\
	EXPECT_EQ(fds_, alz_open_fds());				\
} while (0)

TEST_F(abi, each_call_works_as_prepared)
{
	const struct call *call;
	char arg[MAX_STRUCT];

	FOR_EACH_CALL(call) {
		ASSERT_EQ(0, prepare(self, call, arg)) TH_LOG("%s", call->name);
		EXPECT_EQ(0, execute(self, call, arg)) TH_LOG("%s", call->name);
	}
}

TEST_F(abi, each_call_writes_all_its_out_fields)
{
	const struct call *call;
	char arg[MAX_STRUCT], poison[64];
	int i;

	memset(poison, ALZ_POISON, sizeof(poison));
	FOR_EACH_CALL(call) {
		ASSERT_EQ(0, prepare(self, call, arg)) TH_LOG("%s", call->name);
		ASSERT_EQ(0, execute(self, call, arg)) TH_LOG("%s", call->name);
		for (i = 0; call->out[i].size; i++)
			EXPECT_NE(0, memcmp(arg + call->out[i].offset, poison,
					    call->out[i].size))
				TH_LOG("%s: out field at %zu", call->name,
				       call->out[i].offset);
	}
}

TEST_F(abi, a_struct_too_small_is_refused)
{
	const struct call *call;
	char arg[MAX_STRUCT];

	FOR_EACH_CALL(call) {
		__u32 sizes[] = { 0, 1, 4, 8, call->size / 2, call->size - 8,
				  call->size - 4, call->size - 1 };
		unsigned int i;

		ASSERT_EQ(0, prepare(self, call, arg));
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			if (sizes[i] >= call->size)
				continue;
			*(__u32 *)arg = sizes[i];
			EXPECT_REFUSED(-EINVAL, -EINVAL, "size", sizes[i]);
		}
		*(__u32 *)arg = call->size;
		EXPECT_EQ(0, execute(self, call, arg)) TH_LOG("%s", call->name);
	}
}

TEST_F(abi, a_larger_struct_with_a_zero_tail_is_taken)
{
	const struct call *call;
	char arg[MAX_STRUCT];

	FOR_EACH_CALL(call) {
		__u32 more[] = { 1, 8, 64, MAX_STRUCT - call->size };
		unsigned int i;

		for (i = 0; i < ARRAY_SIZE(more); i++) {
			ASSERT_EQ(0, prepare(self, call, arg));
			*(__u32 *)arg = call->size + more[i];
			EXPECT_EQ(0, execute(self, call, arg))
				TH_LOG("%s + %u", call->name, more[i]);
		}
	}
}

TEST_F(abi, a_larger_struct_with_something_in_its_tail_is_too_big)
{
	const struct call *call;
	char arg[MAX_STRUCT];

	FOR_EACH_CALL(call) {
		__u32 more[] = { 1, 8, 64, MAX_STRUCT - call->size };
		unsigned int i;

		ASSERT_EQ(0, prepare(self, call, arg));
		for (i = 0; i < ARRAY_SIZE(more); i++) {
			memset(arg + call->size, 0, MAX_STRUCT - call->size);
			arg[call->size + more[i] - 1] = 1;
			*(__u32 *)arg = call->size + more[i];
			EXPECT_REFUSED(-E2BIG, -E2BIG, "tail", more[i]);
		}
		/* what lies behind the struct is not looked at */
		arg[call->size] = 1;
		*(__u32 *)arg = call->size;
		EXPECT_EQ(0, execute(self, call, arg)) TH_LOG("%s", call->name);
	}
}

TEST_F(abi, unknown_flags_are_refused)
{
	const struct call *call;
	char arg[MAX_STRUCT];
	int bit;

	FOR_EACH_CALL(call) {
		__u32 *flags = (__u32 *)(arg + 4), good;

		ASSERT_EQ(0, prepare(self, call, arg));
		good = *flags;
		for (bit = 0; bit < 32; bit++) {
			if (call->flags & 1U << bit)
				continue;
			*flags = good | 1U << bit;
			EXPECT_REFUSED(-EINVAL, -EINVAL, "flag", bit);
		}
		*flags = good;
		EXPECT_EQ(0, execute(self, call, arg)) TH_LOG("%s", call->name);
	}
}

TEST_F(abi, reserved_fields_must_be_zero)
{
	const struct call *call;
	char arg[MAX_STRUCT];

	FOR_EACH_CALL(call) {
		const struct member *m;
		size_t i;

		ASSERT_EQ(0, prepare(self, call, arg));
		for (m = call->reserved; m->size; m++)
			for (i = 0; i < m->size; i++) {
				arg[m->offset + i] = i % 2 ? 0x80 : 1;
				EXPECT_REFUSED(m->error, m->error2, "byte", m->offset + i);
				arg[m->offset + i] = 0;
			}
		EXPECT_EQ(0, execute(self, call, arg)) TH_LOG("%s", call->name);
	}
}

TEST_F(abi, a_struct_that_cannot_be_read_is_a_fault)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const struct call *call;

	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, mprotect(page + 4096, 4096, PROT_NONE));
	FOR_EACH_CALL(call) {
		char good[MAX_STRUCT], *arg = NULL;

		ASSERT_EQ(0, prepare(self, call, good));
		EXPECT_REFUSED(-EFAULT, -EFAULT, "null", 0);
		arg = page + 4096;
		EXPECT_REFUSED(-EFAULT, -EFAULT, "unmapped", 0);
		/* the last word is missing */
		arg = page + 4096 - call->size + 4;
		memcpy(arg, good, call->size - 4);
		EXPECT_REFUSED(-EFAULT, -EFAULT, "cut", 0);
		EXPECT_EQ(0, execute(self, call, good)) TH_LOG("%s", call->name);
	}
	munmap(page, 8192);
}

TEST_F(abi, answers_that_cannot_be_written_leak_nothing)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct asynclazy_info info, info2;
	struct asynclazy_stats s, s2;
	const struct call *call;

	ASSERT_NE(MAP_FAILED, page);
	FOR_EACH_CALL(call) {
		int fds = alz_open_fds();

		if (!call->out[0].size)
			continue;
		ASSERT_EQ(0, prepare(self, call, page));
		ASSERT_EQ(0, mprotect(page, 4096, PROT_READ));
		ASSERT_EQ(0, alz_info(&info));
		ASSERT_EQ(0, alz_stats(self->a.cache, &s));
		EXPECT_EQ(-EFAULT, execute(self, call, page)) TH_LOG("%s", call->name);
		ASSERT_EQ(0, mprotect(page, 4096, PROT_READ | PROT_WRITE));
		EXPECT_EQ(fds, alz_open_fds()) TH_LOG("%s leaks an fd", call->name);
		ASSERT_EQ(0, alz_info(&info2));
		EXPECT_GE(info.out_caches_used, info2.out_caches_used)
			TH_LOG("%s leaks a cache", call->name);
		EXPECT_GE(info.out_bytes_used, info2.out_bytes_used)
			TH_LOG("%s leaks memory", call->name);
		ASSERT_EQ(0, alz_stats(self->a.cache, &s2));
		EXPECT_EQ(s.out_clients, s2.out_clients)
			TH_LOG("%s leaks a client", call->name);
		EXPECT_GE(s.out_tickets_now, s2.out_tickets_now)
			TH_LOG("%s leaks a ticket", call->name);
		EXPECT_EQ(s.out_waits_now - (call->nr == ASYNCLAZY_IOC_FETCH &&
					     s2.out_waits_now < s.out_waits_now),
			  s2.out_waits_now) TH_LOG("%s leaks a wait", call->name);
	}
	munmap(page, 4096);
}

TEST_F(abi, each_kind_of_fd_takes_only_its_own_calls)
{
	const struct call *call;
	char arg[MAX_STRUCT];
	int kind;

	FOR_EACH_CALL(call) {
		for (kind = 0; kind < KINDS; kind++) {
			struct alz_state before;

			if (call->kinds & ON(kind))
				continue;
			ASSERT_EQ(0, prepare(self, call, arg));
			alz_snapshot(&self->a, &before);
			EXPECT_EQ(-ENOTTY, alz_call(self->fd[kind], call->nr, arg))
				TH_LOG("%s on an fd of kind %d", call->name, kind);
			EXPECT_TRUE(alz_unchanged(&self->a, &before));
		}
	}
}

TEST_F(abi, unknown_calls_are_refused)
{
	char arg[MAX_STRUCT] = { 0 };
	const struct call *call;
	unsigned long nr;
	int kind;

	*(__u32 *)arg = 64;
	for (kind = DEVICE; kind <= WAIT; kind++) {
		for (nr = _IO(ASYNCLAZY_IOC_TYPE, 0); nr <= _IO(ASYNCLAZY_IOC_TYPE, 0xff); nr++) {
			FOR_EACH_CALL(call)
				if (call->nr == nr)
					break;
			if (call < calls + ARRAY_SIZE(calls))
				continue;
			EXPECT_EQ(-ENOTTY, alz_call(self->fd[kind], nr, arg))
				TH_LOG("%#lx on an fd of kind %d", nr, kind);
		}
	}
}

TEST_F(abi, calls_are_told_apart_by_the_whole_number)
{
	const struct call *call;
	char arg[MAX_STRUCT];

	FOR_EACH_CALL(call) {
		ASSERT_EQ(0, prepare(self, call, arg));
		EXPECT_EQ(-ENOTTY, alz_call(home(self, call), call->nr ^ 0x100, arg))
			TH_LOG("%s of another type", call->name);
		EXPECT_EQ(-ENOTTY, alz_call(home(self, call),
					    call->nr | _IOC_READ << _IOC_DIRSHIFT, arg))
			TH_LOG("%s with a direction", call->name);
		EXPECT_EQ(-ENOTTY, alz_call(home(self, call),
					    call->nr | 8 << _IOC_SIZESHIFT, arg))
			TH_LOG("%s with a size", call->name);
		EXPECT_EQ(0, execute(self, call, arg)) TH_LOG("%s", call->name);
	}
}

TEST_HARNESS_MAIN
