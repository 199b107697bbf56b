// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* What all unit tests share; see check.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#define FAILURES_SHOWN	10

static atomic_uint failures;
static char current[128];

/* ---- tests and checks -------------------------------------------------- */

static unsigned int watchdog_seconds(void)
{
	const char *s = getenv("ALZ_TEST_TIMEOUT");
	long n = s ? strtol(s, NULL, 10) : 0;

	if (n > 0 && n <= UINT_MAX)
		return n;
	return full_run() ? 3600 : 300;
}

static void on_alarm(int sig)
{
	static const char text[] = " hangs: ended by its watchdog\n";
	ssize_t n;

	(void)sig;
	n = write(STDERR_FILENO, "# ", 2);
	n += write(STDERR_FILENO, current, strlen(current));
	n += write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(n ? 124 : 125);
}

void test_init(void)
{
	struct sigaction sa = { .sa_handler = on_alarm };

	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGALRM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

void test_begin(const char *name)
{
	snprintf(current, sizeof(current), "%s", name);
	atomic_store(&failures, 0);
	alarm(watchdog_seconds());
}

void test_end(void)
{
	alarm(0);
	if (check_failures())
		fail_msg("%u failed checks, see above", check_failures());
}

bool check_at(bool held, const char *file, int line, const char *what)
{
	if (held)
		return true;
	if (atomic_fetch_add(&failures, 1) < FAILURES_SHOWN)
		fprintf(stderr, "# %s:%d: not so: %s (%s)\n", file, line, what,
			current);
	return false;
}

bool check_eq_at(long long a, long long b, const char *file, int line,
		 const char *what)
{
	char text[256];

	if (a == b)
		return true;
	snprintf(text, sizeof(text), "%s: %lld, %lld", what, a, b);
	return check_at(false, file, line, text);
}

unsigned int check_failures(void)
{
	return atomic_load(&failures);
}

const char *test_name(void)
{
	return current;
}

/* ---- the run ----------------------------------------------------------- */

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * SEC + ts.tv_nsec;
}

bool full_run(void)
{
	const char *s = getenv("ALZ_FULL");

	return s && *s && strcmp(s, "0");
}

unsigned long scaled(unsigned long full, unsigned long quick)
{
	return full_run() ? full : quick;
}

/* ---- threads, latches, children ---------------------------------------- */

void latch_add(struct latch *latch)
{
	pthread_mutex_lock(&latch->lock);
	latch->count++;
	pthread_cond_broadcast(&latch->changed);
	pthread_mutex_unlock(&latch->lock);
}

void latch_wait(struct latch *latch, unsigned int at_least)
{
	pthread_mutex_lock(&latch->lock);
	while (latch->count < at_least)
		pthread_cond_wait(&latch->changed, &latch->lock);
	pthread_mutex_unlock(&latch->lock);
}

struct member {
	void (*fn)(unsigned int me, void *arg);
	void *arg;
	unsigned int me;
	pthread_barrier_t *start;
};

static void *member_main(void *arg)
{
	struct member *m = arg;

	pthread_barrier_wait(m->start);
	m->fn(m->me, m->arg);
	return NULL;
}

void run_threads(unsigned int n, void (*fn)(unsigned int me, void *arg),
		 void *arg)
{
	struct member *members = calloc(n, sizeof(*members));
	pthread_t *threads = calloc(n, sizeof(*threads));
	pthread_barrier_t start;
	unsigned int i;

	assert_non_null(members);
	assert_non_null(threads);
	pthread_barrier_init(&start, NULL, n);
	for (i = 0; i < n; i++) {
		members[i] = (struct member){ fn, arg, i, &start };
		threads[i] = start_thread(member_main, &members[i]);
	}
	for (i = 0; i < n; i++)
		join_thread(threads[i]);
	pthread_barrier_destroy(&start);
	free(members);
	free(threads);
}

pthread_t start_thread(void *(*fn)(void *arg), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, fn, arg)) {
		perror("# pthread_create");
		abort();
	}
	return thread;
}

void join_thread(pthread_t thread)
{
	pthread_join(thread, NULL);
}

pid_t start_child(int (*fn)(void *arg), void *arg)
{
	pid_t parent = getpid(), pid;
	int err;

	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		perror("# fork");
		abort();
	}
	if (pid)
		return pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	alarm(watchdog_seconds());
	atomic_store(&failures, 0);
	err = fn(arg);
	if (err)
		fprintf(stderr, "# the child of %s ends with %d\n", current, err);
	_exit(err || check_failures() ? 1 : 0);
}

int reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void *share_alloc(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

void share_free(void *p, size_t size)
{
	munmap(p, size);
}
