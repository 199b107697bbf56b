// SPDX-License-Identifier: GPL-2.0-only
/*
 * Other clients, who must not notice that somebody's memory runs out.
 *
 * A pair of processes that use a cache of their own all the time: one claims,
 * the other waits for it, in turn as a blocked call, by event and by wait fd,
 * and the key ends in turn by publish, fail and abandon. And a visitor, who
 * becomes a client of the cache in which the fault was, and uses it.
 */
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "alz.h"
#include "fault.h"

#define PACE_NS		(10 * ALZ_MSEC)	/* leave the processors to the tests */
#define ANSWER_MS	20000

struct shared {
	__u64 rounds;
	bool stop;
	char complaint[256];
};

struct visit_answer {
	int err;
	int step;
};

static struct shared *shared;
static pid_t children[3];

#define COMPLAIN(...) do {						\
	if (!shared->complaint[0])					\
		snprintf(shared->complaint, sizeof(shared->complaint), __VA_ARGS__);	\
	_exit(1);							\
} while (0)

#define MUST(what, have, want) do {					\
	long have_ = (have), want_ = (want);				\
	if (have_ != want_)						\
		COMPLAIN("%s is %ld, not %ld", what, have_, want_);	\
} while (0)

static void become_child(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fault_hook_never();
}

static bool hear(int fd, __u64 *word)
{
	return alz_poll(fd, ANSWER_MS) & POLLIN &&
	       recv(fd, word, sizeof(*word), 0) == sizeof(*word);
}

static bool tell(int fd, __u64 word)
{
	return send(fd, &word, sizeof(word), MSG_NOSIGNAL) == sizeof(word);
}

/*
 * The pair. Per round: the owner claims and tells; the waiter registers and
 * tells (or is about to block); the owner ends the key; the waiter looks at what
 * it got, and tells.
 */

static void owner_run(const struct alz *a, int peer)
{
	struct timespec pace = { .tv_nsec = PACE_NS };
	struct asynclazy_claim c;
	char key[32], value[32];
	__u64 round, word, count;
	__u64 ticket;

	for (round = 1; !shared->stop; round++) {
		snprintf(key, sizeof(key), "key %u", (unsigned int)(round % 64));
		snprintf(value, sizeof(value), "value %llu", round);
		MUST("invalidate", alz_invalidate(a, key, NULL), 0);
		ticket = alz_ticket(a, key);
		if (!ticket)
			COMPLAIN("no ticket in round %llu", round);
		if (!tell(peer, round) || !hear(peer, &word))
			COMPLAIN("the waiter is not there in round %llu", round);
		switch (round % 4) {
		case 0:
			MUST("fail", alz_fail(a, ticket, EIO, TRANSIENT, 0, value), 0);
			break;
		case 1:
			MUST("abandon", alz_abandon(a, ticket), 0);
			break;
		default:
			MUST("publish", alz_publish(a, ticket, value), 0);
		}
		if (!hear(peer, &word))
			COMPLAIN("the waiter hangs in round %llu", round);
		MUST("look", alz_claim(a, key, 0, &c), 0);
		if (round % 4 && !alz_has(a, key, value))
			COMPLAIN("the value is not there in round %llu", round);
		if (round % 1024 == 0)
			MUST("clear", alz_clear(a, (__u64 *)&count), 0);
		shared->rounds = round;
		nanosleep(&pace, NULL);
	}
}

/* Wait for the key in the round's way. */
static void waiter_wait(const struct alz *a, const char *key, __u64 round, int peer,
			struct asynclazy_event *e)
{
	__u64 deadline = alz_now() + ANSWER_MS * ALZ_MSEC;
	struct asynclazy_claim c;
	int fd;

	memset(e, 0, sizeof(*e));
	switch (round / 4 % 3) {
	case 0:
		if (!tell(peer, round))
			COMPLAIN("the owner is gone");
		alz_claim_fill(a, &c, key, strlen(key), INIT | BLOCK);
		c.deadline = deadline;
		MUST("claim with BLOCK", alz_claim_raw(a, &c), 0);
		e->result = c.out_result;
		e->error = c.out_error;
		e->ticket = c.out_ticket;
		return;
	case 1:
		MUST("claim with EVENT", alz_claim_event(a, key, INIT | EVENT, round, &c), 0);
		MUST("its result", c.out_result, ASYNCLAZY_RESULT_PENDING);
		if (!tell(peer, round))
			COMPLAIN("the owner is gone");
		MUST("the event", alz_event(a, e), 0);
		MUST("its cookie", e->cookie, round);
		return;
	default:
		fd = alz_waitfd(a, key, INIT, round);
		if (fd < 0)
			COMPLAIN("claim with FD: %d", fd);
		if (!tell(peer, round))
			COMPLAIN("the owner is gone");
		MUST("the wait fd", alz_read_waitfd(fd, e, ANSWER_MS), 0);
		close(fd);
	}
}

static void waiter_run(const struct alz *a, int peer)
{
	struct asynclazy_event e;
	char key[32], value[32], text[ASYNCLAZY_DETAIL_MAX];
	__u64 round;
	__u32 size;

	while (!shared->stop && hear(peer, &round)) {
		snprintf(key, sizeof(key), "key %u", (unsigned int)(round % 64));
		snprintf(value, sizeof(value), "value %llu", round);
		waiter_wait(a, key, round, peer, &e);
		if (e.result == ASYNCLAZY_RESULT_TICKET)
			MUST("publish by the waiter", alz_publish(a, e.ticket, value), 0);
		else if (round % 4 == 0 && e.result == ASYNCLAZY_RESULT_FAILED)
			MUST("the error", e.error, EIO);
		else if (round % 4 == 0)
			/* it came to the blocking call after the end: a ticket */
			COMPLAIN("result %u of a key that failed", e.result);
		else
			MUST("the result", e.result, ASYNCLAZY_RESULT_HIT);
		if (e.flags & ASYNCLAZY_EVENT_DETAIL && round / 4 % 3 == 1)
			MUST("the text", alz_fetch(a, e.cookie, text, sizeof(text), &size), 0);
		if (round % 4 && !alz_has(a, key, value))
			COMPLAIN("the waiter does not see the value of round %llu", round);
		if (!tell(peer, round))
			break;
	}
}

static void pair_start(void)
{
	int device = alz_device(O_RDWR), pair[2], i;
	struct asynclazy_create c;
	struct alz a;

	if (device < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) ||
	    alz_create(device, &c, NULL, 0, 1000, 1 << 20))
		COMPLAIN("cannot make the bystanders' cache");
	close(device);
	for (i = 0; i < 2; i++) {
		children[i] = fork();
		if (children[i])
			continue;
		become_child();
		close(pair[!i]);
		MUST("join", alz_join(&a, c.out_fd), 0);
		if (i)
			waiter_run(&a, pair[i]);
		else
			owner_run(&a, pair[i]);
		_exit(0);
	}
	close(pair[0]);
	close(pair[1]);
	close(c.out_fd);
}

/*
 * The visitor
 */

/* What a cache that a test has filled, or its quotas, may say. */
static bool no_room(int err)
{
	return err == -ENOSPC || err == -EDQUOT;
}

static int visit_cache(int cache, int *step)
{
	static __u64 visits;
	struct asynclazy_claim c;
	struct asynclazy_event e;
	struct alz a, b;
	__u64 ticket;
	char key[64];
	int err;

	snprintf(key, sizeof(key), "visitor %d %llu", getpid(), ++visits);
	b.client = -1;
	*step = 1;
	err = alz_join(&a, cache);
	if (err)
		goto out_a;
	*step = 2;
	err = alz_join(&b, cache);
	if (err)
		goto out;
	*step = 3;
	err = alz_claim(&a, key, INIT, &c);
	if (err)
		goto out;
	*step = 4;
	err = -EIO;
	if (c.out_result != ASYNCLAZY_RESULT_TICKET)
		goto out;
	ticket = c.out_ticket;
	*step = 5;
	err = alz_claim_event(&b, key, EVENT, 7, &c);
	if (no_room(err))
		goto out;
	if (err || c.out_result != ASYNCLAZY_RESULT_PENDING) {
		err = err ?: -EIO;
		goto out;
	}
	*step = 6;
	err = alz_publish(&a, ticket, key);
	if (err)
		goto out;
	*step = 7;
	err = alz_event(&b, &e);
	if (err)
		goto out;
	*step = 8;
	if (e.result != ASYNCLAZY_RESULT_HIT || !alz_has(&b, key, key))
		err = -EIO;
out:
	alz_leave(&b);
out_a:
	alz_leave(&a);
	return no_room(err) ? 0 : err;
}

static int receive_fd(int from)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *h;
	int fd;

	if (recvmsg(from, &m, MSG_CMSG_CLOEXEC) != 1)
		_exit(0);
	h = CMSG_FIRSTHDR(&m);
	if (!h || h->cmsg_type != SCM_RIGHTS)
		_exit(1);
	memcpy(&fd, CMSG_DATA(h), sizeof(fd));
	return fd;
}

static void visitor_run(int socket)
{
	struct visit_answer answer;
	int fd;

	for (;;) {
		fd = receive_fd(socket);
		answer.err = visit_cache(fd, &answer.step);
		close(fd);
		send(socket, &answer, sizeof(answer), MSG_NOSIGNAL);
	}
}

/* Asked by the task that had the fault: does another client find all well? */
int fault_visit(int cache, int *step)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct visit_answer answer = { -EPIPE, 0 };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	if (fcntl(FAULT_FD_VISIT, F_GETFD) < 0)
		return 1;	/* none was started */
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &cache, sizeof(cache));
	if (sendmsg(FAULT_FD_VISIT, &m, MSG_NOSIGNAL) != 1)
		return -EPIPE;
	*step = -1;
	if (!alz_poll(FAULT_FD_VISIT, ANSWER_MS))
		return -ETIMEDOUT;
	if (recv(FAULT_FD_VISIT, &answer, sizeof(answer), 0) != sizeof(answer))
		return -EPIPE;
	*step = answer.step;
	return answer.err;
}

static void visitor_start(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		COMPLAIN("no socket pair");
	children[2] = fork();
	if (!children[2]) {
		become_child();
		close(pair[0]);
		visitor_run(pair[1]);
	}
	close(pair[1]);
	if (dup3(pair[0], FAULT_FD_VISIT, O_CLOEXEC) < 0)
		COMPLAIN("no descriptor %d", FAULT_FD_VISIT);
	close(pair[0]);
}

void fault_bystander_start(void)
{
	__u64 until = alz_now() + ANSWER_MS * ALZ_MSEC;
	struct timespec t = { .tv_nsec = ALZ_MSEC };

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		abort();
	visitor_start();
	pair_start();
	while (!shared->rounds && !shared->complaint[0] && alz_now() < until)
		nanosleep(&t, NULL);
}

__u64 fault_bystander_rounds(void)
{
	return shared ? shared->rounds : 0;
}

/* What is wrong, or NULL. */
const char *fault_bystander_complaint(void)
{
	int i;

	if (!shared)
		return NULL;
	for (i = 0; i < 3; i++)
		if (children[i] > 0 && waitpid(children[i], NULL, WNOHANG) == children[i] &&
		    !shared->complaint[0])
			snprintf(shared->complaint, sizeof(shared->complaint),
				 "bystander %d is gone", i);
	return shared->complaint[0] ? shared->complaint : NULL;
}

void fault_bystander_stop(void)
{
	int i;

	if (!shared)
		return;
	for (i = 0; i < 3; i++) {
		kill(children[i], SIGKILL);
		waitpid(children[i], NULL, 0);
	}
	close(FAULT_FD_VISIT);
	munmap(shared, sizeof(*shared));
	shared = NULL;
}
