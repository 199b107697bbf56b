// SPDX-License-Identifier: GPL-2.0-only
/*
 * Other clients, who must not notice that somebody's memory runs out.
 *
 * A pair with a cache of its own: see pair.h. And a visitor, who becomes a
 * client of the cache in which the fault was, and uses it.
 */
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "alz.h"
#include "fault.h"
#include "pair.h"

#define ANSWER_S	20

struct visit_answer {
	int err;
	int step;
};

static pid_t visitor;
static char complaint[256];

/* What a cache that a test has filled, or its quotas, may say. */
static bool no_room(int err)
{
	return err == -ENOSPC || err == -EDQUOT;
}

/* One who waits for it is told when @a publishes it. */
static int visit_key(const struct alz *a, const struct alz *b, const char *key, __u64 ticket,
		     int *step)
{
	struct asynclazy_claim c;
	struct asynclazy_event e;
	int err;

	*step = 4;
	err = alz_claim_event(b, key, EVENT, 7, &c);
	if (no_room(err))
		return 0;
	if (err || c.out_result != ASYNCLAZY_RESULT_PENDING)
		return err ?: -EIO;
	*step = 5;
	err = alz_publish(a, ticket, key);
	if (err)
		return err;
	*step = 6;
	err = alz_event(b, &e);
	if (err)
		return err;
	*step = 7;
	return e.result == ASYNCLAZY_RESULT_HIT && alz_has(b, key, key) ? 0 : -EIO;
}

/* As many initialisations run as the cache admits. */
static bool not_admitted(int cache, int err)
{
	struct asynclazy_stats s;

	return err == -EAGAIN && !alz_stats(cache, &s) && s.out_initializing;
}

static int visit_cache(int cache, int *step)
{
	static __u64 visits;
	struct asynclazy_claim c;
	struct alz a, b;
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
	if (not_admitted(cache, err))
		err = 0;
	else if (!err && c.out_result != ASYNCLAZY_RESULT_TICKET)
		err = -EIO;
	else if (!err)
		err = visit_key(&a, &b, key, c.out_ticket, step);
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
	ssize_t n;

	if (fcntl(FAULT_FD_VISIT, F_GETFD) < 0)
		return 1;	/* none was started */
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &cache, sizeof(cache));
	/* an answer that came too late is of another visit */
	while (recv(FAULT_FD_VISIT, &answer, sizeof(answer), MSG_DONTWAIT) > 0)
		;
	answer = (struct visit_answer) { -EPIPE, 0 };
	if (sendmsg(FAULT_FD_VISIT, &m, MSG_NOSIGNAL) != 1)
		return -EPIPE;
	*step = -1;
	do {
		n = recv(FAULT_FD_VISIT, &answer, sizeof(answer), 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return -ETIMEDOUT;
	if (n != sizeof(answer))
		return -EPIPE;
	*step = answer.step;
	return answer.err;
}

static bool visitor_start(void)
{
	/* not by poll(), which a test that has forbidden itself descriptors cannot call */
	struct timeval patience = { .tv_sec = ANSWER_S };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) ||
	    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		return false;
	visitor = fork();
	if (!visitor) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fault_hook_never();
		close(pair[0]);
		visitor_run(pair[1]);
	}
	close(pair[1]);
	if (dup3(pair[0], FAULT_FD_VISIT, O_CLOEXEC) < 0)
		return false;
	close(pair[0]);
	return visitor > 0;
}

void fault_bystander_start(void)
{
	int err;

	if (!visitor_start())
		snprintf(complaint, sizeof(complaint), "the visitor cannot start");
	err = alz_pair_start(fault_hook_never);
	if (err && !complaint[0] && !alz_pair_complaint())
		snprintf(complaint, sizeof(complaint), "the pair cannot start: %s", strerror(-err));
}

__u64 fault_bystander_rounds(void)
{
	return alz_pair_rounds();
}

/* What is wrong, or NULL. */
const char *fault_bystander_complaint(void)
{
	if (visitor > 0 && waitpid(visitor, NULL, WNOHANG) == visitor) {
		visitor = 0;
		snprintf(complaint, sizeof(complaint), "the visitor is gone");
	}
	return complaint[0] ? complaint : alz_pair_complaint();
}

void fault_bystander_stop(void)
{
	if (visitor > 0) {
		kill(visitor, SIGKILL);
		waitpid(visitor, NULL, 0);
		visitor = 0;
	}
	close(FAULT_FD_VISIT);
	alz_pair_stop();
}
