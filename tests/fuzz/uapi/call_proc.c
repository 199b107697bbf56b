// SPDX-License-Identifier: GPL-2.0-only
/* Calls about processes: fork, exec, kill, who one is, quotas. */
#include "lane.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PARAMETERS	"/sys/module/asynclazy/parameters/"

static const struct {
	const char *name;
	const char *usual;
} params[] = {
	{ "max_caches", "64" },
	{ "max_bytes", "8388608" },
	{ "max_waits", "1048576" },
	{ "max_tickets", "65536" },
};

static s64 param_set(u32 i, const char *value)
{
	char path[128];
	int fd, err = 0;

	snprintf(path, sizeof(path), PARAMETERS "%s", params[i].name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		err = -errno;
	close(fd);
	return err;
}

/** params_restore() - the quotas that programs run under */
void params_restore(void)
{
	u32 i;

	for (i = 0; i < 4; i++)
		param_set(i, params[i].usual);
}

static char params_before[4][32];

/** params_save() - what the quotas are, before there are programs */
void params_save(void)
{
	char path[128];
	u32 i;
	int fd;

	for (i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), PARAMETERS "%s", params[i].name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || read(fd, params_before[i], sizeof(params_before[i]) - 1) < 0)
			params_before[i][0] = 0;
		close(fd);
	}
}

/** params_give_back() - the quotas are as they were then */
void params_give_back(void)
{
	u32 i;

	for (i = 0; i < 4; i++)
		param_set(i, params_before[i]);
}

static s64 call_param(struct run *x)
{
	char value[32];

	__atomic_store_n(&sh->params_used, 1, __ATOMIC_RELAXED);
	snprintf(value, sizeof(value), "%llu", val(x, T_PVALUE));
	return param_set(val(x, T_WHICH) % 4, value);
}

/* A child's calls on a client fd that it inherited are refused. */
static void child_calls(const struct process_state *proc)
{
	struct asynclazy_claim c = { .size = sizeof(c), .key = (uintptr_t)"k", .key_size = 1,
				     .flags = ASYNCLAZY_CLAIM_INIT };
	struct asynclazy_event e;
	int i;

	for (i = 0; i < FD_N; i++) {
		if (proc->kind[i] != K_CLIENT)
			continue;
		if (!ioctl(FD_BASE + i, ASYNCLAZY_IOC_CLAIM, &c) || read(FD_BASE + i, &e, sizeof(e)) > 0)
			violation("a forked child was served on its parent's client");
	}
}

static int touch_read(void *addr)
{
	return *(volatile u8 *)addr;
}

static void child_main(struct process_state *proc, u64 what, char *mem)
{
	int i, sig;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (what & 1)
		child_calls(proc);
	if (what & 2)
		for (i = 0; i < MAPS_MAX && i < (int)proc->nr_maps; i++)
			if (proc->map[i].len)
				may_fault(touch_read, (void *)proc->map[i].addr, &sig);
	if (what & 4)
		for (i = 0; i < FD_N; i++)
			close(FD_BASE + i);
	if (what & 8)
		for (i = 0; i < FD_N; i++) {
			struct asynclazy_attach a = { .size = sizeof(a) };
			struct asynclazy_claim c = {
				.size = sizeof(c), .key_size = 1, .flags = ASYNCLAZY_CLAIM_INIT,
			};

			if (proc->kind[i] != K_CACHE ||
			    ioctl(FD_BASE + i, ASYNCLAZY_IOC_ATTACH, &a))
				continue;
			*mem = 'a';
			c.key = (uintptr_t)mem;
			ioctl(a.out_fd, ASYNCLAZY_IOC_CLAIM, &c);
		}
	if (what & 16)
		/* there until the program ends */
		for (;;)
			pause();
	if (what & 32)
		execl("/proc/self/exe", "uapi_fuzz", "--nothing", NULL);
	_exit(0);
}

static s64 call_fork(struct run *x)
{
	u64 what = val(x, T_WHAT);
	pid_t pid;
	u32 i;

	/* not the library's fork(): locks of the other thread's are of no interest */
	pid = syscall(SYS_fork);
	if (!pid)
		child_main(x->proc, what, x->mem + MEM_KEY + x->at);
	if (pid < 0)
		return -errno;
	if (!(what & 16)) {
		waitpid(pid, NULL, 0);
		return 0;
	}
	for (i = 0; i < CHILDREN_MAX; i++)
		if (!x->proc->child[x->lane & 1][i]) {
			x->proc->child[x->lane & 1][i] = pid;
			return 0;
		}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return 0;
}

/**
 * children_end() - none is left, and all that it held is free
 * @proc: of which process
 * @lane: of which lane
 */
void children_end(struct process_state *proc, u32 lane)
{
	pid_t *child = proc->child[lane & 1];
	u32 i;

	for (i = 0; i < CHILDREN_MAX; i++) {
		if (!child[i])
			continue;
		kill(child[i], SIGKILL);
		while (waitpid(child[i], NULL, 0) < 0 && errno == EINTR)
			;
		child[i] = 0;
	}
}

static s64 call_kill(struct run *x)
{
	struct process_state *victim = &sh->proc[val(x, T_PROC) % PROCS];
	u32 started = __atomic_load_n(&victim->started, __ATOMIC_ACQUIRE);
	pid_t pid = __atomic_load_n(&victim->pid, __ATOMIC_ACQUIRE);
	int turns;

	if (!pid)
		return -ESRCH;
	if (kill(pid, SIGKILL))
		return -errno;
	/* gone for good once there is another: what follows can rely on it */
	for (turns = 0; turns < 5000; turns++) {
		if (__atomic_load_n(&victim->started, __ATOMIC_ACQUIRE) != started)
			break;
		usleep(200);
	}
	return 0;
}

static s64 call_exec(struct run *x)
{
	char proc[8];

	snprintf(proc, sizeof(proc), "%u", proc_of(x->lane));
	guard_block(x->lane, false);
	/* nothing but dup2's descriptors are left: see lane_batch() for what follows */
	memset(x->proc->map, 0, sizeof(x->proc->map));
	/* nobody will be here to count it as served */
	__atomic_add_fetch(&sh->ok[C_EXEC], 1, __ATOMIC_RELAXED);
	execl("/proc/self/exe", "uapi_fuzz", "--lanes", proc, NULL);
	__atomic_sub_fetch(&sh->ok[C_EXEC], 1, __ATOMIC_RELAXED);
	return -errno;
}

/** call_proc() - processes */
s64 call_proc(struct run *x)
{
	switch (x->call->nr) {
	case C_FORK: return call_fork(x);
	case C_EXEC: return call_exec(x);
	case C_KILL: return call_kill(x);
	case C_PARAM: return call_param(x);
	case C_UID:
		/* this thread's only; the real one pays for caches */
		return syscall(SYS_setresuid, -1, val(x, T_UID), -1) ? -errno : 0;
	case C_IPCNS:
		return syscall(SYS_unshare, CLONE_NEWIPC) ? -errno : 0;
	case C_SIGNAL:
		x->proc->restart = val(x, T_RFLAGS) & 1;
		return 0;
	default:
		return usleep(val(x, T_COUNT) * 10 % 5000) ? -errno : 0;
	}
}
