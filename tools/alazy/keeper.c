// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The parent-death signal reaches only the command itself, not what it has
 * started in turn (a shell's pipeline), and not a set-user-ID program. So the
 * command runs in a process group whose leader, the keeper, holds the reading
 * end of a pipe that nobody writes to. When this process dies, even by SIGKILL,
 * the pipe ends, and the keeper kills the group.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper.h"

static void keeper_main(int life)
{
	sigset_t all;
	char c;

	/* what is sent to the whole group is not for us */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (setpgid(0, 0) || dup2(life, 0) < 0)
		_exit(1);
	/* no output of others may stay open for our sake, nor our own pipe */
	close_range(1, ~0U, 0);
	prctl(PR_SET_NAME, "alazy-keeper");
	while (read(0, &c, 1) < 0 && errno == EINTR)
		;
	kill(-getpid(), SIGKILL);
	_exit(1);
}

int keeper_start(struct keeper *keeper)
{
	int fds[2], err;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	keeper->life = fds[1];
	keeper->pid = fork();
	if (!keeper->pid)
		keeper_main(fds[0]);
	err = -errno;
	close(fds[0]);
	if (keeper->pid < 0) {
		close(fds[1]);
		return err;
	}
	/* it does so too: whoever comes first */
	setpgid(keeper->pid, keeper->pid);
	return 0;
}

void keeper_stop(struct keeper *keeper)
{
	kill(keeper->pid, SIGKILL);
	while (waitpid(keeper->pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(keeper->life);
}
