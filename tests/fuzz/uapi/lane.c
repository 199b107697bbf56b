// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lanes: threads that run their calls of each program side by side. What a
 * process was in the middle of is in shared memory, so that it can be killed,
 * or exec, at any time and its successor goes on after the call that did it.
 */
#include "lane.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>
#include <linux/futex.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <linux/kcov.h>

#define BLOCK_NS	1500000		/* what a call may block */
#define REF_TURNS	100		/* until a reference is there */
#define DELAY_SPINS	50		/* one unit of a call's delay */
#define SPIN_TURNS	100		/* at a barrier, before sleeping there */

struct shared *sh;
static timer_t lane_timer[LANES];
static u64 *lane_cover[LANES];
__thread u32 this_lane = LANES - 1;
static u32 this_proc;

u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void futex_wait(u32 *word, u32 value)
{
	struct timespec t = { .tv_nsec = 50000000 };

	syscall(SYS_futex, word, FUTEX_WAIT, value, &t);
}

static void futex_wake(u32 *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 100);
}

/** val() - an argument of the call, by its type */
u64 val(const struct run *x, enum type t)
{
	const struct result *r;
	const struct arg *arg;
	int turns = 0;

	if (x->desc->pos[t] < 0)
		return 0;
	arg = &x->call->arg[x->desc->pos[t]];
	if (!arg->ref)
		return arg->v;
	r = &sh->result[x->k][arg->ref - 1];
	/* another lane is about to bring it */
	while (!__atomic_load_n(&r->done, __ATOMIC_ACQUIRE) && turns++ < REF_TURNS)
		sched_yield();
	if (!r->done)
		return type_default(t);
	switch (t) {
	case T_TICKET: return r->ticket;
	case T_OFFSET: return r->offset;
	case T_GENERATION: return r->generation;
	case T_MAP: return r->addr;
	default: return r->fd;
	}
}

/*
 * A call that blocks is ended by a signal. Where the program asked for signals
 * that restart calls, the second one does not.
 */
static void on_alarm(int sig)
{
	struct sigaction sa = { .sa_handler = on_alarm };

	sigaction(sig, &sa, NULL);
}

void guard_block(u32 lane, bool on)
{
	struct itimerspec t = {
		.it_value.tv_nsec = on ? BLOCK_NS : 0,
		.it_interval.tv_nsec = on ? BLOCK_NS : 0,
	};

	if (on && sh->proc[this_proc].restart) {
		struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };

		sigaction(SIGALRM, &sa, NULL);
	}
	timer_settime(lane_timer[lane], 0, &t, NULL);
}

/*
 * A lane has come to @number. Those who sleep are woken by the one that all of
 * them waited for, which is the one after which everybody is at @all.
 */
static void arrive(u32 lane, u64 number, u64 all)
{
	u32 i;

	__atomic_store_n(&sh->lane[lane].arrived, number, __ATOMIC_SEQ_CST);
	for (i = 0; i < LANES; i++)
		if (__atomic_load_n(&sh->lane[i].arrived, __ATOMIC_SEQ_CST) < all)
			return;
	__atomic_add_fetch(&sh->moved, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&sh->sleepers, __ATOMIC_SEQ_CST))
		futex_wake(&sh->moved);
}

static bool all_at(u64 number)
{
	u32 i;

	for (i = 0; i < LANES; i++)
		if (__atomic_load_n(&sh->lane[i].arrived, __ATOMIC_SEQ_CST) < number)
			return false;
	return true;
}

static void barrier(u32 lane, u64 number)
{
	u32 moved, turns;

	arrive(lane, number, number);
	for (turns = 0; turns < SPIN_TURNS; turns++) {
		if (all_at(number))
			return;
		__builtin_ia32_pause();
	}
	for (;;) {
		/* one that is killed here leaves it too high: no harm but a wake */
		__atomic_add_fetch(&sh->sleepers, 1, __ATOMIC_SEQ_CST);
		moved = __atomic_load_n(&sh->moved, __ATOMIC_SEQ_CST);
		if (!all_at(number))
			futex_wait(&sh->moved, moved);
		__atomic_sub_fetch(&sh->sleepers, 1, __ATOMIC_SEQ_CST);
		if (all_at(number))
			return;
	}
}

/* A name is there before it is opened, as in a program that is one process. */
static void await_creates(const struct program *p, u32 k, u32 at)
{
	u32 i, turns = 0;

	for (i = 0; i < at; i++)
		while (p->call[i].nr == C_CREATE && turns++ < REF_TURNS &&
		       !__atomic_load_n(&sh->result[k][i].done, __ATOMIC_ACQUIRE))
			sched_yield();
}

static void mark_cover(u32 lane, u32 k, u32 at)
{
	if (lane_cover[lane])
		sh->lane[lane].mark[k][at] =
			__atomic_load_n(&lane_cover[lane][0], __ATOMIC_RELAXED);
}

static void lane_call(u32 lane, u32 k, u32 at)
{
	const struct program *p = &sh->prog[k];
	struct run x = {
		.lane = lane, .at = at, .k = k,
		.call = &p->call[at],
		.desc = &descs[p->call[at].nr],
		.r = &sh->result[k][at],
		.proc = &sh->proc[this_proc],
		.mem = (char *)LANE_MEM(lane),
	};
	s64 err;
	u32 i;

	for (i = 0; i < x.call->delay * DELAY_SPINS; i++)
		__builtin_ia32_pause();
	if (x.call->nr == C_OPEN)
		await_creates(p, k, at);
	if (x.call->nr < C_MMAP)
		err = call_ioctl(&x);
	else if (x.call->nr < C_READ)
		err = call_mem(&x);
	else if (x.call->nr < C_FORK)
		err = call_fd(&x);
	else
		err = call_proc(&x);
	check_errno(&x, err);
	x.r->err = err;
	__atomic_add_fetch(err < 0 ? &sh->refused[x.call->nr] : &sh->ok[x.call->nr], 1,
			   __ATOMIC_RELAXED);
	__atomic_store_n(&x.r->done, 1, __ATOMIC_RELEASE);
}

static void lane_calls(u32 lane, u32 k)
{
	const struct program *p = &sh->prog[k];
	struct lane_state *l = &sh->lane[lane];

	while (l->pos < p->n) {
		u32 at = l->pos;

		l->pos = at + 1;
		if (p->call[at].lane != lane)
			continue;
		mark_cover(lane, k, at);
		lane_call(lane, k, at);
		l->calls++;
		/* the end is where the next one begins */
		mark_cover(lane, k, at + 1);
	}
}

/* What a lane changed of itself. */
static void lane_restore(u32 k, u32 lane)
{
	const struct program *p = &sh->prog[k];
	bool uid = false, ipcns = false;
	u32 i;

	for (i = 0; i < p->n; i++) {
		if (p->call[i].lane != lane)
			continue;
		uid |= p->call[i].nr == C_UID;
		ipcns |= p->call[i].nr == C_IPCNS;
	}
	/* first who may do the other */
	if (uid) {
		syscall(SYS_setresuid, -1, 0, -1);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	if (ipcns && syscall(SYS_setns, IPCNS_FD, 0))
		violation("lane %u cannot go back to its IPC namespace: %s", lane, strerror(errno));
}

static void names_unlink(void)
{
	u32 i;

	for (i = 0; i < sh->nr_names && i < NAMES_MAX; i++) {
		struct asynclazy_unlink u = {
			.size = sizeof(u),
			.name = (uintptr_t)sh->name[i],
			.name_size = sh->name_size[i],
		};

		ioctl(DEV_RW_FD, ASYNCLAZY_IOC_UNLINK, &u);
	}
	sh->nr_names = 0;
}

static void proc_forget(struct process_state *proc)
{
	proc->nr_maps = 0;
	proc->restart = 0;
	memset(proc->kind, 0, sizeof(proc->kind));
}

static void lane_close(struct process_state *proc)
{
	u32 i;

	inbox_drain(this_proc);
	if (proc->nr_maps)
		munmap((void *)MAP_WINDOW, MAPS_MAX * MAP_SLOT);
	for (i = 0; i < FD_N; i++)
		if (proc->kind[i] && proc->kind[i] != K_CACHE)
			close(FD_BASE + i);
}

static void lane_program(u32 lane, u32 k, u32 stage)
{
	struct process_state *proc = &sh->proc[this_proc];
	bool last = lane == (u32)__builtin_ctz(sh->mask[k]);
	u64 base = (sh->serial + k) * STAGES;
	/* one lane of each process tidies up */
	bool first = lane != 1;

	if (stage <= S_CALLS) {
		barrier(lane, base + S_CALLS);
		lane_calls(lane, k);
		lane_restore(k, lane);
		children_end(proc, lane);
	}
	if (stage <= S_CHECK) {
		barrier(lane, base + S_CHECK);
		if (first)
			check_polls(proc);
	}
	if (stage <= S_CLOSE) {
		barrier(lane, base + S_CLOSE);
		if (first)
			lane_close(proc);
	}
	barrier(lane, base + S_END);
	if (first) {
		check_idle(proc);
		syscall(SYS_close_range, FD_BASE, ~0U, 0);
		proc_forget(proc);
	}
	if (last) {
		names_unlink();
		if (__atomic_exchange_n(&sh->params_used, 0, __ATOMIC_RELAXED))
			params_restore();
		sh->nr_grants = 0;
	}
	/* before the next program's first barrier, where a kill would find it */
	sh->lane[lane].pos = 0;
}

static void lane_batch(u32 lane)
{
	struct lane_state *l = &sh->lane[lane];
	u32 k = 0, stage = 0;

	if (l->arrived >= sh->serial * STAGES) {
		/* the one before was killed */
		k = l->arrived / STAGES - sh->serial;
		stage = l->arrived % STAGES;
	} else {
		l->pos = 0;
		if (lane_cover[lane])
			__atomic_store_n(&lane_cover[lane][0], 0, __ATOMIC_RELAXED);
	}
	for (; k < sh->n; k++, stage = 0) {
		u64 base = (sh->serial + k) * STAGES;

		if (sh->mask[k] & 1U << lane)
			lane_program(lane, k, stage);
		else
			arrive(lane, base + S_END, base + S_CALLS);
	}
}

static void kcov_start(u32 lane)
{
	lane_cover[lane] = mmap(NULL, KCOV_WORDS * sizeof(u64), PROT_READ | PROT_WRITE,
				MAP_SHARED, KCOV_FD + lane, 0);
	if (lane_cover[lane] == MAP_FAILED ||
	    ioctl(KCOV_FD + lane, KCOV_ENABLE, KCOV_TRACE_PC))
		violation("kcov of lane %u: %s", lane, strerror(errno));
}

static void *lane_main(void *arg)
{
	u32 lane = (uintptr_t)arg;
	struct lane_state *l = &sh->lane[lane];
	struct sigevent ev = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = SIGALRM,
		._sigev_un._tid = syscall(SYS_gettid),
	};

	this_lane = lane;
	if (timer_create(CLOCK_MONOTONIC, &ev, &lane_timer[lane]))
		violation("timer: %s", strerror(errno));
	if (sh->kcov)
		kcov_start(lane);
	for (;;) {
		u32 seq = __atomic_load_n(&sh->seq, __ATOMIC_ACQUIRE);

		if (seq == l->seq_done) {
			futex_wait(&sh->seq, seq);
			continue;
		}
		lane_batch(lane);
		l->seq_done = seq;
		__atomic_add_fetch(&sh->done, 1, __ATOMIC_RELEASE);
		futex_wake(&sh->done);
	}
	return NULL;
}

static void lane_memory(u32 lane)
{
	char *mem = (char *)LANE_MEM(lane);
	void *p = mmap(mem, LANE_RW, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	void *q = mmap(mem + LANE_RO, 4096, PROT_READ,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (p != mem || q != mem + LANE_RO)
		violation("no memory for lane %u: %s", lane, strerror(errno));
}

static void fd_move(int fd, int to)
{
	if (fd != to) {
		dup3(fd, to, O_CLOEXEC);
		close(fd);
	}
}

/** lanes_main() - the process that runs the lanes of @proc; forever */
int lanes_main(u32 proc)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct rlimit limit = { FD_BASE + FD_N, FD_BASE + FD_N };
	struct process_state *state;
	pthread_attr_t attr;
	pthread_t thread;
	u32 i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED, SHM_FD, 0);
	if (sh == MAP_FAILED)
		return 1;
	desc_init();
	this_proc = proc;
	state = &sh->proc[proc];
	state->pid = getpid();
	/* after an exec, one of them is still enabled for this thread */
	if (sh->kcov)
		for (i = 0; i < LANES; i++)
			ioctl(KCOV_FD + i, KCOV_DISABLE, 0);
	syscall(SYS_close_range, DEV_RW_FD, DEV_RO_FD, 0);
	/* what was before an exec is as it was for a new one, too */
	syscall(SYS_setresuid, -1, 0, -1);
	syscall(SYS_setns, IPCNS_FD, 0);
	fd_move(open("/dev/asynclazy", O_RDWR | O_CLOEXEC), DEV_RW_FD);
	fd_move(open("/dev/asynclazy", O_RDONLY | O_CLOEXEC), DEV_RO_FD);
	setrlimit(RLIMIT_NOFILE, &limit);
	sigaction(SIGALRM, &sa, NULL);
	check_setup();
	state->restart = 0;
	state->nr_maps = 0;
	children_end(state, 0);
	children_end(state, 1);
	if (!proc)
		lane_memory(1);
	lane_memory(proc ? proc + 1 : 0);
	__atomic_add_fetch(&state->started, 1, __ATOMIC_RELEASE);
	if (!proc) {
		pthread_attr_init(&attr);
		pthread_attr_setstacksize(&attr, 256 << 10);
		if (pthread_create(&thread, &attr, lane_main, (void *)1UL))
			violation("no thread for lane 1");
	}
	lane_main((void *)(uintptr_t)(proc ? proc + 1 : 0));
	return 0;
}
