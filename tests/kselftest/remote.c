// SPDX-License-Identifier: GPL-2.0-only
/* A client in another process. */
#include <sys/prctl.h>
#include <sys/socket.h>

#include "remote.h"

/*
 * The other end of REMOTE_EXEC: this program again, which then only sleeps
 * until the socket ends.
 */
static void __attribute__((constructor)) remote_sleep(void)
{
	const char *fd = getenv("ALZ_REMOTE_SLEEP");
	__u64 word;

	if (!fd)
		return;
	peer_say(atoi(fd), 1);
	while (read(atoi(fd), &word, sizeof(word)) > 0)
		;
	_exit(0);
}

pid_t peer_fork(int *fd)
{
	pid_t parent = getpid(), pid;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		close(pair[0]);
		close(pair[1]);
		return pid;
	}
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		close(pair[0]);
		*fd = pair[1];
	} else {
		close(pair[1]);
		*fd = pair[0];
	}
	return pid;
}

int peer_say(int fd, __u64 word)
{
	return send(fd, &word, sizeof(word), MSG_NOSIGNAL) == sizeof(word) ? 0 : -errno;
}

/* 0, -ETIMEDOUT, or -EPIPE once the other end is gone. */
int peer_hear(int fd, __u64 *word, int timeout_ms)
{
	ssize_t n;

	if (!alz_poll(fd, timeout_ms))
		return -ETIMEDOUT;
	n = recv(fd, word, sizeof(*word), 0);
	if (n == sizeof(*word))
		return 0;
	return n < 0 ? -errno : -EPIPE;
}

/* The exit status of a child, 128 + the signal that ended it, or -ETIMEDOUT. */
int peer_reap(pid_t pid)
{
	__u64 until = alz_now() + ALZ_SOON_MS * ALZ_MSEC;
	struct timespec t = { .tv_nsec = 200 * 1000 };
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (alz_now() > until) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return -ETIMEDOUT;
		}
		nanosleep(&t, NULL);
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/*
 * In the other process
 */

struct server {
	struct alz a;
	int socket;
	int waitfd;
};

static int serve_touch(size_t bytes)
{
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	madvise(p, bytes, MADV_NOHUGEPAGE);	/* the slow kind of memory */
	for (size_t i = 0; i < bytes; i += 4096)
		p[i] = 1;
	return 0;
}

static int serve_fork(const struct server *s, struct remote_answer *a)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		close(s->socket);
		for (;;)
			pause();
	}
	a->claim.out_ticket = pid;
	return 0;
}

static void serve_exec(const struct server *s, bool keep)
{
	char fd[16];

	snprintf(fd, sizeof(fd), "%d", s->socket);
	setenv("ALZ_REMOTE_SLEEP", fd, 1);
	fcntl(s->socket, F_SETFD, 0);
	if (keep) {
		fcntl(s->a.client, F_SETFD, 0);
		fcntl(s->a.cache, F_SETFD, 0);
	}
	execl("/proc/self/exe", "sleeper", NULL);
	_exit(127);
}

static int serve_cgroup(const char *path)
{
	char file[300];
	int fd, err = 0;

	snprintf(file, sizeof(file), "%s/cgroup.procs", path);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, "0", 1) != 1)
		err = -errno;
	close(fd);
	return err;
}

static void *serve(void *arg);

static int serve_one(struct server *s, const struct remote_request *q,
		     struct remote_answer *a)
{
	pthread_t thread;
	int fd, err;

	switch (q->op) {
	case REMOTE_CLAIM:
		alz_claim_fill(&s->a, &a->claim, q->key, strlen(q->key), q->flags);
		a->claim.cookie = q->cookie;
		a->claim.deadline = q->deadline;
		err = alz_claim_raw(&s->a, &a->claim);
		memcpy(a->detail, alz_claim_detail(), sizeof(a->detail));
		if (!err && q->flags & WAITFD && a->claim.out_result == ASYNCLAZY_RESULT_PENDING)
			s->waitfd = a->claim.out_fd;
		return err;
	case REMOTE_PUBLISH:
		return alz_publish(&s->a, q->ticket, q->text);
	case REMOTE_FAIL:
		return alz_fail(&s->a, q->ticket, q->error, q->error_class, 0, q->text);
	case REMOTE_ABANDON:
		return alz_abandon(&s->a, q->ticket);
	case REMOTE_SET:
		return alz_set(&s->a, q->key, q->text);
	case REMOTE_EVENT:
		err = alz_events(&s->a, &a->event, 1, q->number);
		return err == 1 ? 0 : err;
	case REMOTE_WAITFD:
		return alz_read_waitfd(s->waitfd, &a->event, q->number);
	case REMOTE_TOUCH:
		return serve_touch(q->number);
	case REMOTE_FORK:
		return serve_fork(s, a);
	case REMOTE_CLOSE_DUP:
		fd = dup(s->a.client);
		return close(fd) ? -errno : 0;
	case REMOTE_CLOSE:
		alz_unmap(&s->a);
		return close(s->a.client) ? -errno : 0;
	case REMOTE_EXIT:
		_exit(0);
	case REMOTE_CRASH:
		prctl(PR_SET_DUMPABLE, 0);
		raise(SIGSEGV);
		return -EIO;
	case REMOTE_EXEC:
		serve_exec(s, q->number);
		return -EIO;
	case REMOTE_THREADS:
		if (pthread_create(&thread, NULL, serve, s))
			return -EAGAIN;
		pthread_exit(NULL);
	case REMOTE_CGROUP:
		return serve_cgroup(q->text);
	case REMOTE_EAT:
		for (;;)
			if (serve_touch(1 << 20))
				_exit(2);
	}
	return -EINVAL;
}

static void *serve(void *arg)
{
	struct server *s = arg;
	struct remote_request q;
	struct remote_answer a;

	memset(&a, 0, sizeof(a));
	if (send(s->socket, &a, sizeof(a), MSG_NOSIGNAL) != sizeof(a))
		_exit(1);
	while (recv(s->socket, &q, sizeof(q), 0) == sizeof(q)) {
		memset(&a, 0, sizeof(a));
		if (q.op == REMOTE_EXIT && q.number) {
			/* this thread only; the process goes with its last one */
			send(s->socket, &a, sizeof(a), MSG_NOSIGNAL);
			pthread_exit(NULL);
		}
		a.err = serve_one(s, &q, &a);
		if (send(s->socket, &a, sizeof(a), MSG_NOSIGNAL) != sizeof(a))
			break;
	}
	_exit(0);
}

/*
 * In the test
 */

/* Returns once the other process has attached to the cache. */
int remote_start(struct remote *r, int cache)
{
	/* static: REMOTE_THREADS leaves the stack that it would be on */
	static struct server s;
	struct remote_answer a;

	memset(r, 0, sizeof(*r));
	r->pid = peer_fork(&r->socket);
	if (r->pid < 0)
		return r->pid;
	if (!r->pid) {
		s.socket = r->socket;
		s.waitfd = -1;
		a.err = alz_join(&s.a, cache);
		if (a.err)
			_exit(1);
		serve(&s);
	}
	return remote_hear(r, &a, ALZ_SOON_MS);
}

int remote_send(struct remote *r, const struct remote_request *q)
{
	return send(r->socket, q, sizeof(*q), MSG_NOSIGNAL) == sizeof(*q) ? 0 : -errno;
}

/* 0 once there is an answer; -ETIMEDOUT; -EPIPE if the process is gone. */
int remote_hear(struct remote *r, struct remote_answer *a, int timeout_ms)
{
	ssize_t n;

	if (!alz_poll(r->socket, timeout_ms))
		return -ETIMEDOUT;
	n = recv(r->socket, a, sizeof(*a), 0);
	if (n == sizeof(*a))
		return 0;
	return n < 0 ? -errno : -EPIPE;
}

/* Ask and wait for the answer; 0 or the first error on the way. */
int remote_do(struct remote *r, const struct remote_request *q, struct remote_answer *a)
{
	int err = remote_send(r, q);

	if (!err)
		err = remote_hear(r, a, ALZ_SOON_MS);
	return err ? err : a->err;
}

int remote_claim(struct remote *r, const char *key, __u32 flags, __u64 cookie,
		 struct remote_answer *a)
{
	struct remote_request q = { .op = REMOTE_CLAIM, .flags = flags, .cookie = cookie };

	strncpy(q.key, key, sizeof(q.key) - 1);
	if (flags & BLOCK)
		return remote_send(r, &q);
	return remote_do(r, &q, a);
}

/* The ticket of a key, held by the other process; 0 if it got none. */
__u64 remote_ticket(struct remote *r, const char *key)
{
	struct remote_answer a;

	if (remote_claim(r, key, INIT, 0, &a) ||
	    a.claim.out_result != ASYNCLAZY_RESULT_TICKET)
		return 0;
	return a.claim.out_ticket;
}

int remote_publish(struct remote *r, __u64 ticket, const char *value)
{
	struct remote_request q = { .op = REMOTE_PUBLISH, .ticket = ticket };
	struct remote_answer a;

	strncpy(q.text, value, sizeof(q.text) - 1);
	return remote_do(r, &q, &a);
}

/* REMOTE_EVENT or REMOTE_WAITFD. */
int remote_event(struct remote *r, enum remote_op op, int timeout_ms,
		 struct remote_answer *a)
{
	struct remote_request q = { .op = op, .number = timeout_ms };

	return remote_do(r, &q, a);
}

int remote_simple(struct remote *r, enum remote_op op, __u64 number)
{
	struct remote_request q = { .op = op, .number = number };
	struct remote_answer a;
	int err = remote_send(r, &q);

	/* gigabytes take their time on an emulated machine */
	if (!err)
		err = remote_hear(r, &a, op == REMOTE_TOUCH ? 10 * ALZ_SOON_MS : ALZ_SOON_MS);
	if (!err)
		err = a.err;
	if (!err && op == REMOTE_FORK)
		r->child = a.claim.out_ticket;
	return err;
}

int remote_reap(struct remote *r)
{
	int status = peer_reap(r->pid);

	if (r->child)
		kill(r->child, SIGKILL);
	close(r->socket);
	r->pid = 0;
	return status;
}

int remote_kill(struct remote *r)
{
	return kill(r->pid, SIGKILL) ? -errno : 0;
}

/* Kill it if it lives. */
void remote_end(struct remote *r)
{
	if (r->pid <= 0)
		return;
	kill(r->pid, SIGKILL);
	remote_reap(r);
}
