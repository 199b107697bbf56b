// SPDX-License-Identifier: GPL-2.0-only
/* K13: each quota with its errno, and counters that equal the test's own tally. */
#include <grp.h>
#include <sys/stat.h>

#include "kselftest_harness.h"
#include "remote.h"

#define USER	1000

static const char *const parameters[] = {
	"max_caches", "max_bytes", "max_waits", "max_tickets",
};

FIXTURE(quota) {
	long was[ARRAY_SIZE(parameters)];
	mode_t mode;
	struct alz a, b;
	struct asynclazy_claim c;
	struct asynclazy_event e;
	struct alz_state before;
};

FIXTURE_SETUP(quota)
{
	struct stat st;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(parameters); i++) {
		self->was[i] = alz_parameter_get(parameters[i]);
		ASSERT_LT(0, self->was[i]) TH_LOG("%s", parameters[i]);
	}
	ASSERT_EQ(0, stat(ALZ_DEVICE, &st));
	self->mode = st.st_mode & 07777;
	self->a.cache = self->a.client = self->b.cache = self->b.client = -1;
}

FIXTURE_TEARDOWN(quota)
{
	unsigned int i;

	alz_leave(&self->b);
	alz_leave(&self->a);
	for (i = 0; i < ARRAY_SIZE(parameters); i++)
		alz_parameter_set(parameters[i], self->was[i]);
	chmod(ALZ_DEVICE, self->mode);
}

/* As another user: a cache, or -errno. */
static int make(int device, __u64 arena)
{
	struct asynclazy_create c;
	int err = alz_create(device, &c, NULL, ASYNCLAZY_CREATE_STABLE, 8, arena);

	return err ? err : c.out_fd;
}

static int become_user(void)
{
	if (setgroups(0, NULL) || setgid(USER) || setuid(USER))
		return -1;
	return alz_device(O_RDWR);
}

TEST_F(quota, caches_of_a_user)				/* K13 */
{
	int socket;
	pid_t pid;

	ASSERT_EQ(0, alz_parameter_set("max_caches", 2));
	ASSERT_EQ(0, chmod(ALZ_DEVICE, 0666));
	pid = peer_fork(&socket);
	if (!pid) {
		struct asynclazy_info i;
		int fd[3], device = become_user();

		if (device < 0 || alz_info(&i) || i.out_caches_used || i.out_caches_max != 2)
			_exit(1);
		fd[0] = make(device, 1);
		fd[1] = make(device, 1);
		if (fd[0] < 0 || fd[1] < 0)
			_exit(2);
		if (make(device, 1) != -EDQUOT)
			_exit(3);
		if (alz_info(&i) || i.out_caches_used != 2)
			_exit(4);
		close(fd[0]);
		fd[2] = make(device, 1);
		if (fd[2] < 0)
			_exit(5);
		if (make(device, 1) != -EDQUOT)
			_exit(6);
		close(fd[1]);
		close(fd[2]);
		if (alz_info(&i) || i.out_caches_used)
			_exit(7);
		_exit(0);
	}
	EXPECT_EQ(0, peer_reap(pid));
	/* another user's are counted apart */
	EXPECT_EQ(0, alz_setup(&self->a, 8, 1));
}

TEST_F(quota, users_are_told_apart)			/* K13 */
{
	struct asynclazy_info before, i;
	int socket;
	__u64 word;
	pid_t pid;

	ASSERT_EQ(0, chmod(ALZ_DEVICE, 0666));
	ASSERT_EQ(0, alz_setup(&self->a, 8, 1));
	ASSERT_EQ(0, alz_info(&before));
	pid = peer_fork(&socket);
	if (!pid) {
		int device;

		alz_leave(&self->a);
		device = become_user();
		/* with and without one of its own, beside ours */
		if (device < 0 || alz_info(&i) || i.out_caches_used || i.out_bytes_used)
			_exit(1);
		if (make(device, 1) < 0 || alz_info(&i) || i.out_caches_used != 1)
			_exit(2);
		_exit(peer_say(socket, 1) || peer_hear(socket, &word, ALZ_SOON_MS) ? 3 : 0);
	}
	ASSERT_EQ(0, peer_hear(socket, &word, ALZ_SOON_MS));
	ASSERT_EQ(0, alz_info(&i));
	EXPECT_EQ(before.out_caches_used, i.out_caches_used);
	EXPECT_EQ(before.out_bytes_used, i.out_bytes_used);
	alz_leave(&self->a);
	ASSERT_EQ(0, alz_info(&i));
	EXPECT_EQ(before.out_caches_used - 1, i.out_caches_used);
	peer_say(socket, 1);
	EXPECT_EQ(0, peer_reap(pid));
	close(socket);
}

TEST_F(quota, a_cache_that_is_closed_makes_room_at_once)	/* K13 */
{
	int i, err = 0;

	ASSERT_EQ(0, alz_parameter_set("max_caches", 4));
	for (i = 0; i < 100 && !err; i++) {
		err = alz_setup(&self->a, 8, 1);
		alz_leave(&self->a);
	}
	EXPECT_EQ(0, err) TH_LOG("cache %d, while no other is open", i);
}

TEST_F(quota, named_caches_count_until_they_are_unlinked)	/* K13 */
{
	int socket;
	pid_t pid;

	ASSERT_EQ(0, alz_parameter_set("max_caches", 1));
	ASSERT_EQ(0, chmod(ALZ_DEVICE, 0666));
	pid = peer_fork(&socket);
	if (!pid) {
		const char *name = "kselftest-quota";
		struct asynclazy_create c;
		int device = become_user();

		if (alz_create(device, &c, name, ASYNCLAZY_CREATE_STABLE, 8, 1))
			_exit(1);
		close(c.out_fd);
		if (make(device, 1) != -EDQUOT)
			_exit(2);
		/* to open it takes nothing */
		if (alz_create(device, &c, name, ASYNCLAZY_CREATE_STABLE, 8, 1) || c.out_created)
			_exit(3);
		close(c.out_fd);
		if (alz_unlink(device, name))
			_exit(4);
		if (make(device, 1) < 0)
			_exit(5);
		_exit(0);
	}
	EXPECT_EQ(0, peer_reap(pid));
}

TEST_F(quota, bytes_of_a_user)				/* K13 */
{
	int socket;
	pid_t pid;

	ASSERT_EQ(0, alz_parameter_set("max_bytes", 8 << 20));
	ASSERT_EQ(0, chmod(ALZ_DEVICE, 0666));
	pid = peer_fork(&socket);
	if (!pid) {
		struct asynclazy_info i;
		int fd, device = become_user();

		if (device < 0 || alz_info(&i) || i.out_bytes_used ||
		    i.out_bytes_max != 8 << 20)
			_exit(1);
		if (make(device, 16 << 20) != -EDQUOT)
			_exit(2);
		if (alz_info(&i) || i.out_bytes_used || i.out_caches_used)
			_exit(3);
		fd = make(device, 5 << 20);
		if (fd < 0)
			_exit(4);
		if (alz_info(&i) || i.out_bytes_used < 5 << 20 || i.out_bytes_used > 6 << 20)
			_exit(5);
		if (make(device, 5 << 20) != -EDQUOT)
			_exit(6);
		if (make(device, 1 << 20) < 0)
			_exit(7);
		close(fd);
		if (make(device, 5 << 20) < 0)
			_exit(8);
		_exit(0);
	}
	EXPECT_EQ(0, peer_reap(pid));
}

TEST_F(quota, waits_of_a_client)			/* K13 */
{
	struct alz_blocker blocker;
	struct asynclazy_info info;
	__u64 ticket;
	int i, fd;

	ASSERT_EQ(0, alz_parameter_set("max_waits", 10));
	ASSERT_EQ(0, alz_info(&info));
	EXPECT_EQ(10, info.out_waits_max);
	ASSERT_EQ(0, alz_setup(&self->a, 100, 1 << 20));
	ASSERT_EQ(0, alz_join(&self->b, self->a.cache));
	ticket = alz_ticket(&self->b, "k");
	for (i = 0; i < 9; i++)
		ASSERT_EQ(0, alz_claim_event(&self->a, "k", INIT | EVENT, i, &self->c));
	fd = alz_waitfd(&self->a, "k", 0, 0);
	ASSERT_LE(0, fd);
	alz_snapshot(&self->a, &self->before);
	EXPECT_EQ(-EDQUOT, alz_claim_event(&self->a, "k", EVENT, 100, &self->c));
	EXPECT_EQ(-EDQUOT, alz_claim(&self->a, "k", INIT | BLOCK, &self->c));
	EXPECT_EQ(-EDQUOT, alz_waitfd(&self->a, "k", 0, 0));
	EXPECT_EQ(-EDQUOT, alz_claim_event(&self->a, "new", INIT | EVENT | FOLLOW, 100, &self->c));
	EXPECT_TRUE(alz_unchanged(&self->a, &self->before));
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "new"));
	/* what needs no wait is free, and another client has its own */
	EXPECT_EQ(0, alz_claim(&self->a, "k", INIT, &self->c));
	EXPECT_EQ(0, alz_claim_event(&self->b, "k", EVENT, 100, &self->c));
	/* there is room again after each way to end a wait */
	close(fd);
	ASSERT_EQ(0, alz_claim_event(&self->a, "k", EVENT, 100, &self->c));
	EXPECT_EQ(-EDQUOT, alz_claim_event(&self->a, "k", EVENT, 101, &self->c));
	ASSERT_EQ(0, alz_cancel(&self->a, 100));
	alz_block(&blocker, &self->a, "k", 0, 0);
	ASSERT_TRUE(alz_await_waits(&self->a, 11));
	EXPECT_EQ(-EDQUOT, alz_claim_event(&self->a, "k", EVENT, 101, &self->c));
	ASSERT_EQ(0, alz_publish(&self->b, ticket, "value"));
	ASSERT_TRUE(alz_block_ended(&blocker, ALZ_SOON_MS));
	ticket = alz_ticket(&self->b, "other");
	EXPECT_EQ(0, alz_claim_event(&self->a, "other", EVENT, 101, &self->c));
	EXPECT_EQ(-EDQUOT, alz_claim_event(&self->a, "other", EVENT, 102, &self->c));
	ASSERT_EQ(0, alz_event(&self->a, &self->e));
	EXPECT_EQ(0, alz_claim_event(&self->a, "other", EVENT, 102, &self->c));
}

TEST_F(quota, an_unfetched_text_is_a_wait)		/* K13, K9 */
{
	char text[16];
	__u64 ticket;
	__u32 size;

	ASSERT_EQ(0, alz_parameter_set("max_waits", 1));
	ASSERT_EQ(0, alz_setup(&self->a, 100, 1 << 20));
	ticket = alz_ticket(&self->a, "k");
	ASSERT_EQ(0, alz_claim_event(&self->a, "k", EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_fail(&self->a, ticket, EIO, TRANSIENT, 0, "why"));
	ASSERT_EQ(0, alz_event(&self->a, &self->e));
	ASSERT_LT(0, alz_ticket(&self->a, "k"));
	EXPECT_EQ(-EDQUOT, alz_claim_event(&self->a, "k", EVENT, 2, &self->c));
	EXPECT_EQ(0, alz_fetch(&self->a, 1, text, sizeof(text), &size));
	EXPECT_EQ(0, alz_claim_event(&self->a, "k", EVENT, 2, &self->c));
}

TEST_F(quota, tickets_of_a_client)			/* K13 */
{
	struct asynclazy_info info;
	__u64 ticket[3];
	char key[16];
	int i;

	ASSERT_EQ(0, alz_parameter_set("max_tickets", 3));
	ASSERT_EQ(0, alz_info(&info));
	EXPECT_EQ(3, info.out_tickets_max);
	ASSERT_EQ(0, alz_setup(&self->a, 100, 1 << 20));
	ASSERT_EQ(0, alz_join(&self->b, self->a.cache));
	for (i = 0; i < 3; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ticket[i] = alz_ticket(&self->a, key);
		ASSERT_LT(0, ticket[i]);
	}
	alz_snapshot(&self->a, &self->before);
	EXPECT_EQ(-EDQUOT, alz_claim(&self->a, "new", INIT, &self->c));
	EXPECT_EQ(-EDQUOT, alz_claim(&self->a, "new", INIT | BLOCK, &self->c));
	EXPECT_EQ(-EDQUOT, alz_claim(&self->a, "new", INIT | EVENT, &self->c));
	EXPECT_EQ(-EDQUOT, alz_claim(&self->a, "new", INIT | WAITFD, &self->c));
	EXPECT_TRUE(alz_unchanged(&self->a, &self->before));
	EXPECT_EQ(ASYNCLAZY_SLOT_EMPTY, alz_state_of(&self->a, "new"));
	/* what is running, or there, can be waited for and read */
	EXPECT_EQ(0, alz_claim(&self->a, "k0", INIT, &self->c));
	EXPECT_EQ(ASYNCLAZY_RESULT_PENDING, self->c.out_result);
	EXPECT_LT(0, alz_ticket(&self->b, "new"));
	/* each way to end a ticket makes room */
	ASSERT_EQ(0, alz_publish(&self->a, ticket[0], "value"));
	ASSERT_LT(0, alz_ticket(&self->a, "x0"));
	EXPECT_EQ(0, alz_ticket(&self->a, "x1"));
	ASSERT_EQ(0, alz_fail(&self->a, ticket[1], EIO, TRANSIENT, 0, NULL));
	ASSERT_LT(0, alz_ticket(&self->a, "x1"));
	EXPECT_EQ(0, alz_ticket(&self->a, "x2"));
	ASSERT_EQ(0, alz_abandon(&self->a, ticket[2]));
	ASSERT_LT(0, alz_ticket(&self->a, "x2"));
	EXPECT_EQ(0, alz_ticket(&self->a, "x3"));
	ASSERT_EQ(0, alz_invalidate(&self->b, "x2", NULL));
	EXPECT_LT(0, alz_ticket(&self->a, "x3"));
}

TEST_F(quota, a_full_client_still_inherits)		/* K13, K3, I10 */
{
	struct asynclazy_event invalid;
	struct alz_blocker blocker;
	struct asynclazy_stats s;
	struct remote remote;
	__u64 ticket;
	int fd;

	ASSERT_EQ(0, alz_parameter_set("max_tickets", 1));
	ASSERT_EQ(0, alz_setup(&self->a, 100, 1 << 20));
	ASSERT_EQ(0, alz_join(&self->b, self->a.cache));
	ASSERT_LT(0, alz_ticket(&self->a, "mine"));
	EXPECT_EQ(-EDQUOT, alz_claim(&self->a, "new", INIT, &self->c));
	/* it asked to initialise: each way to lose an owner gives it the ticket */
	ticket = alz_ticket(&self->b, "given up");
	ASSERT_LT(0, ticket);
	ASSERT_EQ(0, alz_claim_event(&self->a, "given up", INIT | EVENT, 1, &self->c));
	ASSERT_EQ(0, alz_abandon(&self->b, ticket));
	ASSERT_EQ(0, alz_event(&self->a, &self->e));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->e.result);

	ASSERT_LT(0, alz_ticket(&self->b, "invalid"));
	fd = alz_waitfd(&self->a, "invalid", INIT, 2);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, alz_invalidate(&self->b, "invalid", NULL));
	ASSERT_EQ(0, alz_read_waitfd(fd, &invalid, ALZ_SOON_MS));
	EXPECT_EQ(ASYNCLAZY_RESULT_TICKET, invalid.result);
	close(fd);

	ASSERT_EQ(0, remote_start(&remote, self->a.cache));
	ASSERT_LT(0, remote_ticket(&remote, "dies"));
	alz_block(&blocker, &self->a, "dies", INIT, 0);
	ASSERT_TRUE(alz_await_waits(&self->a, 1));
	remote_end(&remote);
	ASSERT_TRUE(alz_block_ended(&blocker, ALZ_SOON_MS));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, blocker.claim.out_result);

	ASSERT_EQ(0, alz_stats(self->a.cache, &s));
	EXPECT_EQ(4, s.out_tickets_now);
	/* a claim of its own is still refused, until all above the quota is done */
	EXPECT_EQ(-EDQUOT, alz_claim(&self->a, "new", INIT, &self->c));
	EXPECT_EQ(0, alz_publish(&self->a, self->e.ticket, "value"));
	EXPECT_TRUE(alz_has(&self->b, "given up", "value"));
	EXPECT_EQ(0, alz_publish(&self->a, invalid.ticket, "value"));
	EXPECT_EQ(0, alz_publish(&self->a, blocker.claim.out_ticket, "value"));
	EXPECT_EQ(-EDQUOT, alz_claim(&self->a, "new", INIT, &self->c));
	ASSERT_EQ(0, alz_invalidate(&self->a, "mine", NULL));
	EXPECT_LT(0, alz_ticket(&self->a, "new"));
}

TEST_F(quota, counters_equal_the_tally)			/* K13 */
{
	struct asynclazy_stats t, s;
	__u64 r = 1, ticket, count;
	struct remote remote;
	char key[16];
	int i;

	memset(&t, 0, sizeof(t));
	ASSERT_EQ(0, alz_setup(&self->a, 1000, 1 << 20));
	t.out_clients = 1;
	for (i = 0; i < 400; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ASSERT_EQ(0, alz_claim(&self->a, key, INIT, &self->c));
		t.out_claims++;
		t.out_tickets++;
		ticket = self->c.out_ticket;
		switch (alz_rand(&r) % 8) {
		case 0:		/* published, and hit */
			ASSERT_EQ(0, alz_publish(&self->a, ticket, "value"));
			ASSERT_EQ(0, alz_claim(&self->a, key, INIT, &self->c));
			t.out_publishes++;
			t.out_claims++;
			t.out_hits++;
			t.out_keys++;
			break;
		case 1:		/* failed, kept */
			ASSERT_EQ(0, alz_fail(&self->a, ticket, EIO, PERMANENT, 0, "text"));
			t.out_fails++;
			t.out_errors++;
			break;
		case 2:		/* failed, not kept; too late to publish */
			ASSERT_EQ(0, alz_fail(&self->a, ticket, EIO, TRANSIENT, 0, NULL));
			ASSERT_EQ(-ESTALE, alz_publish(&self->a, ticket, "late"));
			t.out_fails++;
			t.out_stale++;
			break;
		case 3:		/* abandoned */
			ASSERT_EQ(0, alz_abandon(&self->a, ticket));
			t.out_abandons++;
			break;
		case 4:		/* abandoned, handed over, published */
			ASSERT_EQ(0, alz_claim_event(&self->a, key, INIT | EVENT, i, &self->c));
			ASSERT_EQ(0, alz_abandon(&self->a, ticket));
			ASSERT_EQ(0, alz_event(&self->a, &self->e));
			ASSERT_EQ(0, alz_publish(&self->a, self->e.ticket, "value"));
			t.out_claims++;
			t.out_waits++;
			t.out_abandons++;
			t.out_handovers++;
			t.out_tickets++;
			t.out_publishes++;
			t.out_keys++;
			break;
		case 5:		/* awaited, cancelled, set */
			ASSERT_EQ(0, alz_claim_event(&self->a, key, EVENT, i, &self->c));
			ASSERT_EQ(0, alz_cancel(&self->a, i));
			ASSERT_EQ(0, alz_set(&self->a, key, "value"));
			t.out_claims++;
			t.out_waits++;
			t.out_cancels++;
			t.out_sets++;
			t.out_keys++;
			break;
		case 6:		/* published, invalidated */
			ASSERT_EQ(0, alz_publish(&self->a, ticket, "value"));
			ASSERT_EQ(0, alz_invalidate(&self->a, key, NULL));
			t.out_publishes++;
			t.out_invalidates++;
			break;
		case 7:		/* left running, and awaited */
			ASSERT_EQ(0, alz_claim_event(&self->a, key, EVENT, i, &self->c));
			t.out_claims++;
			t.out_waits++;
			t.out_tickets_now++;
			t.out_waits_now++;
			t.out_initializing++;
			break;
		}
	}
	/* an owner dies, with a waiter and without */
	ASSERT_EQ(0, remote_start(&remote, self->a.cache));
	ASSERT_LT(0, remote_ticket(&remote, "dies"));
	ASSERT_LT(0, remote_ticket(&remote, "dies too"));
	ASSERT_EQ(0, alz_claim_event(&self->a, "dies", INIT | EVENT, 1000, &self->c));
	remote_end(&remote);
	ASSERT_EQ(0, alz_event(&self->a, &self->e));
	ASSERT_EQ(ASYNCLAZY_RESULT_TICKET, self->e.result);
	ASSERT_TRUE(alz_await_clients(&self->a, 1));
	t.out_claims += 3;
	t.out_tickets += 3;
	t.out_waits++;
	t.out_deaths += 2;
	t.out_handovers++;
	t.out_tickets_now++;
	t.out_initializing++;

	ASSERT_EQ(0, alz_stats(self->a.cache, &s));
#define SAME(name) EXPECT_EQ(t.out_##name, s.out_##name)
	SAME(claims);
	SAME(hits);
	SAME(tickets);
	SAME(waits);
	SAME(publishes);
	SAME(fails);
	SAME(abandons);
	SAME(deaths);
	SAME(handovers);
	SAME(stale);
	SAME(cancels);
	SAME(sets);
	SAME(invalidates);
	SAME(nospace);
	SAME(keys);
	SAME(errors);
	SAME(initializing);
	SAME(clients);
	SAME(tickets_now);
	SAME(waits_now);
	EXPECT_EQ(s.out_keys, self->a.header->keys);
	EXPECT_EQ(s.out_errors, self->a.header->errors);
	EXPECT_EQ(s.out_initializing, self->a.header->initializing);
	EXPECT_EQ(s.out_arena_used, self->a.header->arena_used);
	EXPECT_EQ(0, alz_clear(&self->a, &count));
	EXPECT_EQ(t.out_keys + t.out_errors + t.out_initializing, count);
}

TEST_HARNESS_MAIN
