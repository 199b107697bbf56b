// SPDX-License-Identifier: GPL-2.0-only
/* See pair.h. */
#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "alz.h"
#include "pair.h"

#define PACE_NS		(50 * ALZ_MSEC)	/* leave the processors to the tests */
#define ANSWER_MS	20000

struct shared {
	__u64 rounds;
	__u32 turn;		/* rounds, for a futex */
	char complaint[256];
};

static struct shared *shared;
static pid_t children[2];

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
 * Per round: the owner claims and tells; the waiter registers and
 * tells (or is about to block); the owner ends the key; the waiter looks at what
 * it got, and tells.
 */

static void owner_run(const struct alz *a, int peer)
{
	struct timespec pace = { .tv_nsec = PACE_NS };
	struct asynclazy_claim c;
	char key[32], value[32];
	__u64 round, word, count;

	for (round = 1;; round++) {
		snprintf(key, sizeof(key), "key %u", (unsigned int)(round % 64));
		snprintf(value, sizeof(value), "value %llu", round);
		MUST("invalidate", alz_invalidate(a, key, NULL), 0);
		MUST("claim", alz_claim(a, key, INIT, &c), 0);
		MUST("its result", c.out_result, ASYNCLAZY_RESULT_TICKET);
		if (!tell(peer, round) || !hear(peer, &word))
			COMPLAIN("the waiter is not there in round %llu", round);
		switch (round % 4) {
		case 0:
			MUST("fail", alz_fail(a, c.out_ticket, EIO, TRANSIENT, 0, value), 0);
			break;
		case 1:
			MUST("abandon", alz_abandon(a, c.out_ticket), 0);
			break;
		default:
			MUST("publish", alz_publish(a, c.out_ticket, value), 0);
		}
		if (!hear(peer, &word))
			COMPLAIN("the waiter hangs in round %llu", round);
		MUST("look", alz_claim(a, key, 0, &c), 0);
		if (round % 4 && !alz_has(a, key, value))
			COMPLAIN("the value is not there in round %llu", round);
		if (round % 1024 == 0)
			MUST("clear", alz_clear(a, (__u64 *)&count), 0);
		shared->rounds = round;
		__atomic_store_n(&shared->turn, round, __ATOMIC_SEQ_CST);
		syscall(SYS_futex, &shared->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
		nanosleep(&pace, NULL);
	}
}

/* Wait for the key in the round's way. */
static void waiter_wait(const struct alz *a, const char *key, __u64 round, int peer,
			struct asynclazy_event *e)
{
	struct asynclazy_claim c;
	int fd;

	memset(e, 0, sizeof(*e));
	switch (round / 4 % 3) {
	case 0:
		if (!tell(peer, round))
			COMPLAIN("the owner is gone");
		alz_claim_fill(a, &c, key, strlen(key), INIT | BLOCK);
		c.deadline = alz_now() + ANSWER_MS * ALZ_MSEC;
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

	while (hear(peer, &round)) {
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

/* In the parent: nothing is lost by a pair that could not start, it is told. */
static int pair_fork(void (*child)(void), int cache, const int pair[2])
{
	struct alz a;
	int i;

	for (i = 0; i < 2; i++) {
		children[i] = fork();
		if (children[i] < 0)
			return -errno;
		if (children[i])
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (child)
			child();
		close(pair[!i]);
		MUST("join", alz_join(&a, cache), 0);
		if (i)
			waiter_run(&a, pair[i]);
		else
			owner_run(&a, pair[i]);
		_exit(0);
	}
	return 0;
}

bool alz_pair_goes_on(void)
{
	__u64 until = alz_now() + ANSWER_MS * ALZ_MSEC, more = alz_pair_rounds() + 2;
	/* nobody wakes us when one of them dies */
	struct timespec look_up = { .tv_sec = 1 };
	__u32 turn;

	while (!alz_pair_complaint()) {
		turn = __atomic_load_n(&shared->turn, __ATOMIC_SEQ_CST);
		if (alz_pair_rounds() >= more)
			break;
		if (alz_now() > until)
			return false;
		syscall(SYS_futex, &shared->turn, FUTEX_WAIT, turn, &look_up, NULL, 0);
	}
	return !alz_pair_complaint();
}

int alz_pair_start(void (*child)(void))
{
	int device, pair[2], err;
	struct asynclazy_create c;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return -errno;
	device = alz_device(O_RDWR);
	if (device < 0)
		return device;
	err = alz_create(device, &c, NULL, 0, 1000, 1 << 20);
	close(device);
	if (err)
		return err;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		err = -errno;
		goto out_cache;
	}
	err = pair_fork(child, c.out_fd, pair);
	close(pair[0]);
	close(pair[1]);
out_cache:
	close(c.out_fd);
	return err ?: alz_pair_goes_on() ? 0 : -EIO;
}

__u64 alz_pair_rounds(void)
{
	return shared ? shared->rounds : 0;
}

const char *alz_pair_complaint(void)
{
	int i;

	if (!shared)
		return NULL;
	for (i = 0; i < 2; i++)
		/* or who started the pair has reaped it among others */
		if (children[i] > 0 && waitpid(children[i], NULL, WNOHANG)) {
			children[i] = 0;
			if (!shared->complaint[0])
				snprintf(shared->complaint, sizeof(shared->complaint),
					 "%s of the pair is gone", i ? "who waits" : "the owner");
		}
	return shared->complaint[0] ? shared->complaint : NULL;
}

void alz_pair_stop(void)
{
	int i;

	if (!shared)
		return;
	for (i = 0; i < 2; i++) {
		if (children[i] <= 0)
			continue;
		kill(children[i], SIGKILL);
		waitpid(children[i], NULL, 0);
		children[i] = 0;
	}
	munmap(shared, sizeof(*shared));
	shared = NULL;
}
