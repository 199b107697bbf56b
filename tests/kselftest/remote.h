/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A client in another process, told over a socket pair what to do. A request
 * whose answer takes long (a claim with BLOCK) is sent, and heard later.
 */
#ifndef KSELFTEST_REMOTE_H
#define KSELFTEST_REMOTE_H

#include <sys/wait.h>
#include "alz.h"

enum remote_op {
	REMOTE_CLAIM,		/* key, flags, cookie, deadline */
	REMOTE_PUBLISH,		/* ticket, text */
	REMOTE_FAIL,		/* ticket, error, error_class, text */
	REMOTE_ABANDON,		/* ticket */
	REMOTE_SET,		/* key, text */
	REMOTE_EVENT,		/* read the next event, wait up to `number` ms */
	REMOTE_WAITFD,		/* the same from the fd of the last FD claim */
	REMOTE_TOUCH,		/* take `number` bytes of memory */
	REMOTE_FORK,		/* have a child that sleeps and keeps all fds */
	REMOTE_CLOSE_DUP,	/* dup the client fd, close the copy */
	REMOTE_CLOSE,		/* unmap, and close the client fd */
	REMOTE_EXIT,		/* `number`: of this thread only */
	REMOTE_CRASH,
	REMOTE_EXEC,		/* of a program that sleeps; `number`: keep the fds */
	REMOTE_THREADS,		/* the main thread exits, another serves on */
	REMOTE_CGROUP,		/* move to the cgroup `text` */
	REMOTE_EAT,		/* touch memory until somebody kills us */
};

struct remote_request {
	enum remote_op op;
	__u32 flags;
	__u64 cookie, deadline, ticket, number;
	__s32 error;
	__u32 error_class;
	char key[64];
	char text[ASYNCLAZY_DETAIL_MAX];
};

struct remote_answer {
	int err;
	struct asynclazy_claim claim;
	struct asynclazy_event event;
	char detail[ASYNCLAZY_DETAIL_MAX];
};

struct remote {
	pid_t pid;
	int socket;
	pid_t child;		/* of REMOTE_FORK */
};

int remote_start(struct remote *r, int cache);
int remote_send(struct remote *r, const struct remote_request *q);
int remote_hear(struct remote *r, struct remote_answer *a, int timeout_ms);
int remote_do(struct remote *r, const struct remote_request *q, struct remote_answer *a);
int remote_claim(struct remote *r, const char *key, __u32 flags, __u64 cookie,
		 struct remote_answer *a);
__u64 remote_ticket(struct remote *r, const char *key);
int remote_publish(struct remote *r, __u64 ticket, const char *value);
int remote_event(struct remote *r, enum remote_op op, int timeout_ms,
		 struct remote_answer *a);
int remote_simple(struct remote *r, enum remote_op op, __u64 number);
int remote_kill(struct remote *r);
int remote_reap(struct remote *r);
void remote_end(struct remote *r);

/* Fork with a socket to the parent; 0 in the child. It dies with its parent. */
pid_t peer_fork(int *socket);
int peer_say(int socket, __u64 word);
int peer_hear(int socket, __u64 *word, int timeout_ms);
int peer_reap(pid_t pid);

#endif
