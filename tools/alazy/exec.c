// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A command with its output captured. One poll loop watches both pipes, the
 * command itself and the signals that tell us to end.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alazy.h"
#include "exec.h"
#include "keeper.h"

#define GRACE_NS	2000000000ULL	/* from the first signal to SIGKILL */

static const int ending_signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };

/* What exists while the command runs; descriptors are -1 when they do not. */
struct running {
	struct keeper keeper;
	pid_t pid;
	int out;
	int err;
	int pidfd;
	int signals;
	uint64_t kill_at;	/* UINT64_MAX: nobody told it to end */
	bool gone;		/* it has ended; what it started may not have */
	int outcome;		/* EXEC_* */
};

enum { FD_OUT, FD_ERR, FD_PID, FD_SIGNALS, NR_FDS };

/* The signals that end us, less those that our parent had us ignore (nohup). */
static void signals_to_watch(sigset_t *set)
{
	struct sigaction sa;
	size_t i;

	sigemptyset(set);
	for (i = 0; i < sizeof(ending_signals) / sizeof(ending_signals[0]); i++)
		if (!sigaction(ending_signals[i], NULL, &sa) &&
		    sa.sa_handler != SIG_IGN)
			sigaddset(set, ending_signals[i]);
}

static void child(char *const *argv, pid_t parent, pid_t group, const int *fds,
		  const sigset_t *mask)
{
	int null, error;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);	/* it died before we asked to be told */
	/* in the background the terminal is not ours: an error, not a stop */
	signal(SIGTTIN, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null >= 0 && dup2(null, 0) == 0 && dup2(fds[0], 1) == 1 &&
	    dup2(fds[1], 2) == 2 && !setpgid(0, group)) {
		sigprocmask(SIG_SETMASK, mask, NULL);
		execvp(argv[0], argv);
	}
	error = errno;
	while (write(fds[2], &error, sizeof(error)) < 0 && errno == EINTR)
		;
	_exit(STATUS_NOT_FOUND);
}

/* Close both ends of the pipes that were made. */
static void close_pipes(int (*pipes)[2], int n)
{
	while (n--) {
		close(pipes[n][0]);
		close(pipes[n][1]);
	}
}

/* Start the command. Return: 0; 1 if execvp() failed; negative errno. */
static int start(struct running *run, struct exec *exec, char *const *argv,
		 const sigset_t *mask)
{
	int pipes[3][2];	/* stdout, stderr, the errno of execvp() */
	int fds[3], n, err;
	pid_t parent = getpid();
	ssize_t got;

	for (n = 0; n < 3; n++) {
		if (pipe2(pipes[n], O_CLOEXEC)) {
			err = -errno;
			close_pipes(pipes, n);
			return err;
		}
		fds[n] = pipes[n][1];
	}
	run->pid = fork();
	if (!run->pid)
		child(argv, parent, run->keeper.pid, fds, mask);
	err = -errno;
	if (run->pid < 0) {
		close_pipes(pipes, 3);
		return err;
	}
	for (n = 0; n < 3; n++)
		close(fds[n]);
	run->out = pipes[0][0];
	run->err = pipes[1][0];
	/* ends when execvp() closes the other end */
	do
		got = read(pipes[2][0], &exec->error, sizeof(exec->error));
	while (got < 0 && errno == EINTR);
	close(pipes[2][0]);
	if (got == sizeof(exec->error))
		return 1;
	run->pidfd = pidfd_open(run->pid, 0);
	return run->pidfd < 0 ? -errno : 0;
}

/* Tell the command to end; the second time it is not asked any more. */
static void end_it(struct running *run, int signo, int outcome)
{
	if (run->kill_at == UINT64_MAX) {
		run->outcome = outcome;
		run->kill_at = now_ns() + GRACE_NS;
		kill(-run->keeper.pid, signo);
	} else {
		run->kill_at = 0;
	}
}

static void take_signal(struct running *run, struct exec *exec)
{
	struct signalfd_siginfo info;

	if (read(run->signals, &info, sizeof(info)) != sizeof(info))
		return;
	exec->caught = info.ssi_signo;
	end_it(run, info.ssi_signo, EXEC_CAUGHT);
}

/* Take what a pipe has; at its end close it. */
static int take_output(struct buf *buf, int *fd)
{
	ssize_t n = buf_read(buf, *fd);

	if (n > 0 || n == -EINTR || n == -EAGAIN)
		return 0;
	if (n < 0)
		return n;
	close(*fd);
	*fd = -1;
	return 0;
}

static int milliseconds_until(uint64_t at)
{
	uint64_t now = now_ns();

	if (at == UINT64_MAX)
		return -1;
	if (at <= now)
		return 0;
	at = (at - now + 999999) / 1000000;
	return at > 1000000 ? 1000000 : at;
}

/* It has ended, and its output too; if it was told to end, that is enough. */
static bool finished(const struct running *run)
{
	return run->gone && (run->kill_at != UINT64_MAX ||
			     (run->out < 0 && run->err < 0));
}

static void keep_time(struct running *run, uint64_t deadline)
{
	uint64_t now = now_ns();

	if (run->kill_at == UINT64_MAX) {
		if (now >= deadline)
			end_it(run, SIGTERM, EXEC_TIMED_OUT);
	} else if (now >= run->kill_at) {
		kill(-run->keeper.pid, SIGKILL);
		run->kill_at = UINT64_MAX - 1;
	}
}

static int watch(struct running *run, struct exec *exec, uint64_t deadline)
{
	int err = 0;

	while (!err && !finished(run)) {
		struct pollfd fds[NR_FDS] = {
			[FD_OUT] = { .fd = run->out, .events = POLLIN },
			[FD_ERR] = { .fd = run->err, .events = POLLIN },
			[FD_PID] = { .fd = run->gone ? -1 : run->pidfd, .events = POLLIN },
			[FD_SIGNALS] = { .fd = run->signals, .events = POLLIN },
		};
		uint64_t next = run->kill_at != UINT64_MAX ? run->kill_at : deadline;

		if (poll(fds, NR_FDS, milliseconds_until(next)) < 0) {
			if (errno != EINTR)
				err = -errno;
			continue;
		}
		if (fds[FD_OUT].revents)
			err = take_output(&exec->out, &run->out);
		if (!err && fds[FD_ERR].revents)
			err = take_output(&exec->err, &run->err);
		if (fds[FD_PID].revents)
			run->gone = true;
		if (fds[FD_SIGNALS].revents)
			take_signal(run, exec);
		if (!finished(run))
			keep_time(run, deadline);
	}
	return err;
}

static void reap(struct running *run, struct exec *exec)
{
	int status;

	while (waitpid(run->pid, &status, 0) < 0)
		if (errno != EINTR)
			return;
	if (WIFSIGNALED(status))
		exec->signal = WTERMSIG(status);
	else
		exec->status = WEXITSTATUS(status);
}

static void close_all(struct running *run)
{
	const int fds[] = { run->out, run->err, run->pidfd, run->signals };
	size_t i;

	for (i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

int exec_capture(struct exec *exec, char *const *argv, uint64_t deadline_ns)
{
	struct running run = {
		.pid = -1,
		.out = -1,
		.err = -1,
		.pidfd = -1,
		.kill_at = UINT64_MAX,
		.outcome = EXEC_ENDED,
	};
	sigset_t watched, mask;
	int err;

	err = keeper_start(&run.keeper);
	if (err)
		return err;
	signals_to_watch(&watched);
	sigprocmask(SIG_BLOCK, &watched, &mask);
	run.signals = signalfd(-1, &watched, SFD_CLOEXEC);
	err = run.signals < 0 ? -errno : start(&run, exec, argv, &mask);
	if (err > 0)
		run.outcome = EXEC_NOT_STARTED;
	else if (!err)
		err = watch(&run, exec, deadline_ns);
	/* what did not end by itself is not to outlive the call */
	if (run.pid > 0 && (err < 0 || run.kill_at != UINT64_MAX))
		kill(-run.keeper.pid, SIGKILL);
	if (run.pid > 0)
		reap(&run, exec);
	keeper_stop(&run.keeper);
	close_all(&run);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	return err < 0 ? err : run.outcome;
}

void exec_free(struct exec *exec)
{
	buf_free(&exec->out);
	buf_free(&exec->err);
}
