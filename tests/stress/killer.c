// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parent: starts workers, kills them at random instants, reaps them, notes
 * what they were doing, and starts others in their place. It has no cache
 * mapped and stays small, so that a fork of it is cheap.
 */
#include "storm.h"

#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define NURSES		2
#define OLD_AGE	30	/* times as old as the others */
#define AIM_NS		(300 * 1000)	/* how long to look for one in a rare phase */

struct kills kills;

const char *const phase_names[PHASE_END] = {
#define X(name, text) text,
	PHASES(X)
#undef X
};

static const char *program_path;
static char fd_text[16];
static int targets[SLOTS_MAX];	/* killed and not reaped */
static __u32 doomed_epoch[SLOTS_MAX];	/* of each, when it was killed */
static __u64 dying;		/* how many of them */
static bool hired;		/* there are nurses */
static __u64 operations_before[SLOTS_MAX];	/* of those who had the place */

/* What exec is to start, here and in a worker. */
void killer_program(const char *program, int shared_fd)
{
	program_path = program;
	sprintf(fd_text, "%d", shared_fd);
}

void killer_start(void)
{
	/* orphans of a worker that forked come to us */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	/* else the workers would leave it no time to kill them */
	setpriority(PRIO_PROCESS, 0, -20);
}

/*
 * Births: fork costs more than all else that the killer does, and would leave the
 * other processors to workers that wait to be killed. So others do it for it,
 * one for each processor, in such a way that the newborn are its own children.
 */

/* In the newborn: from here on it can be killed. */
static void killer_born(struct slot *s)
{
	s->pid = getpid();
	s->birth = BIRTH_NONE;
	if (storm->barren)
		syscall(SYS_futex, &s->birth, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static int killer_fork(void *slot)
{
	killer_born(slot);
	worker_run((struct slot *)slot - storm->slots);
}

/* In the memory of the nurse, who waits. */
static int killer_exec(void *slot)
{
	struct slot *s = slot;
	char number[24];

	killer_born(slot);
	sprintf(number, "%td", s - storm->slots);
	execl(program_path, "storm", "--worker", number, "--shared", fd_text, NULL);
	_exit(127);
}

static void killer_bear(struct slot *s, void *stack)
{
	__u32 birth = s->birth;
	int pid;

	if ((birth != BIRTH_FORK && birth != BIRTH_EXEC) ||
	    !atomic_compare_exchange_strong(&s->birth, &birth, BIRTH_BEGUN))
		return;
	if (birth == BIRTH_FORK)
		pid = clone(killer_fork, stack, CLONE_PARENT | SIGCHLD, s);
	else
		pid = clone(killer_exec, stack,
			    CLONE_PARENT | CLONE_VM | CLONE_VFORK | SIGCHLD, s);
	if (pid > 0)
		return;
	wrong(WRONG_WORKER, "clone: %s", strerror(errno));
	s->birth = BIRTH_NONE;
}

static void killer_nurse(void)
{
	static char stack[256 << 10] __attribute__((aligned(4096)));
	int shared = atoi(fd_text);
	__u32 births, i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* nobody else is to keep a cache that the parent lets go of */
	close_range(3, shared - 1, 0);
	close_range(shared + 1, ~0U, 0);
	while (!storm->barren) {
		births = storm->births;
		for (i = 0; i < storm->procs; i++)
			killer_bear(&storm->slots[i], stack + sizeof(stack));
		syscall(SYS_futex, &storm->births, FUTEX_WAIT, births, NULL, NULL, 0);
	}
	_exit(0);
}

static void killer_hire(void)
{
	unsigned int i;
	pid_t pid;

	storm->barren = false;
	for (i = 0; i < NURSES; i++) {
		pid = fork();
		if (!pid)
			killer_nurse();
		if (pid < 0)
			wrong(WRONG_WORKER, "fork: %s", strerror(errno));
	}
	hired = true;
}

/* No more births, and all that were begun are over. */
static void killer_dismiss(void)
{
	unsigned int i;

	if (!hired)
		return;
	hired = false;
	storm->barren = true;
	storm->births++;
	syscall(SYS_futex, &storm->births, FUTEX_WAKE, NURSES, NULL, NULL, 0);
	for (i = 0; i < storm->procs; i++) {
		struct slot *s = &storm->slots[i];
		__u32 birth = s->birth;

		while (birth != BIRTH_BEGUN && birth != BIRTH_NONE)
			if (atomic_compare_exchange_strong(&s->birth, &birth, BIRTH_NONE))
				break;
		while (s->birth == BIRTH_BEGUN)
			syscall(SYS_futex, &s->birth, FUTEX_WAIT, BIRTH_BEGUN, NULL, NULL, 0);
	}
}

/* For a worker: be another program all of a sudden. */
void worker_exec(void)
{
	char number[16];

	phase(PHASE_EXEC);
	sprintf(number, "%u", self.slot);
	self.me->epoch++;
	execl(program_path, "storm", "--worker", number, "--shared", fd_text, NULL);
	_exit(127);
}

void killer_fill(void)
{
	unsigned int i;

	bool any = false;

	if (!hired)
		killer_hire();
	for (i = 0; i < storm->procs; i++) {
		struct slot *s = &storm->slots[i];

		if (s->birth || s->pid)
			continue;
		s->epoch++;
		s->doomed = false;
		s->phase = PHASE_START;
		operations_before[i] = s->operations;
		s->birth = rnd(100) < storm->exec ? BIRTH_EXEC : BIRTH_FORK;
		any = true;
	}
	if (!any)
		return;
	storm->births++;
	syscall(SYS_futex, &storm->births, FUTEX_WAKE, NURSES, NULL, NULL, 0);
}

static void killer_tally(struct slot *s)
{
	unsigned int c, in = 0;

	kills.by_phase[s->phase]++;
	kills.worked += s->operations - operations_before[s - storm->slots] >= WORKED;
	kills.holding += !!s->held;
	kills.waiting += !!s->waits;
	kills.pinning += !!s->pins;
	for (c = 0; c < CACHES; c++) {
		in += !!s->in[c];
		kills.retired += cache_retired(s, c);
	}
	kills.both_caches += in == CACHES;
}

/* A process has ended: whose place was it in? */
static void killer_reaped(pid_t pid, int status)
{
	bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	bool ours = false;
	unsigned int i, c;
	struct slot *s;

	for (i = 0; i < storm->procs && !ours; i++)
		ours = targets[i] == pid;
	if (ours) {
		i--;
		targets[i] = 0;
		dying--;
	} else {
		for (i = 0; i < storm->procs && storm->slots[i].pid != pid; i++)
			;
	}
	if (killed)
		kills.done += ours;
	else if (status)
		wrong(WRONG_WORKER, "a worker ended with status 0x%x", status);
	/* a child that came too late to take its place */
	if (i == storm->procs)
		return;
	s = &storm->slots[i];
	if (!atomic_compare_exchange_strong(&s->pid, &pid, 0)) {
		/* one whose child took its place: that one was not killed */
		if (ours) {
			/* what it was given is of an epoch that its child ends */
			while (s->epoch == doomed_epoch[i])
				sched_yield();
			s->doomed = false;
		}
		return;
	}
	if (killed && ours)
		killer_tally(s);
	else if (killed)
		wrong(WRONG_WORKER, "a worker was killed by somebody else");
	for (c = 0; c < CACHES; c++)
		s->in[c] = 0;
	s->held = 0;
	s->waits = 0;
	s->pins = 0;
}

/* Reap those that are dead; with @wait, one at least. */
void killer_reap(bool wait)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, wait ? 0 : WNOHANG)) > 0) {
		killer_reaped(pid, status);
		wait = false;
	}
}

__u64 killer_dying(void)
{
	return dying;
}

/* Before the kill: its tickets may be handed over from here on. */
static void killer_doom(unsigned int i)
{
	struct slot *s = &storm->slots[i];

	s->doomed = true;
	doomed_epoch[i] = s->epoch;
	targets[i] = s->pid;
	dying++;
	/* the dying do not stand in line behind those who are alive */
	setpriority(PRIO_PROCESS, targets[i], -20);
}

/* Whether there can be a kill in this phase. */
bool phase_expected(enum phase p)
{
	bool library = !strncmp(phase_names[p], "library", 7);

	if (library)
		return storm->library > 0;
	return storm->library < 100 || p == PHASE_START || p == PHASE_READ || p == PHASE_MAKE;
}

/* Some phase was hit much less than its share. */
static bool killer_neglects(void)
{
	__u64 least = ~0ULL;
	int i;

	for (i = 0; i < PHASE_END; i++)
		if (phase_expected(i) && kills.by_phase[i] < least)
			least = kills.by_phase[i];
	return least * 4 < kills.done / PHASE_END;
}

/*
 * One worker in all mostly gets away, and grows old: what it pins has to stay while all
 * around it is reused, which takes seconds; the others live for a quarter of one.
 */
static bool killer_spares(unsigned int i)
{
	static __u64 instant, drawn;

	if (instant != kills.instants) {
		instant = kills.instants;
		drawn = rnd(OLD_AGE);
	}
	return i && i == storm->procs - 1 && drawn;
}

/* Who to kill: anybody, or whoever does what was hit least. SLOTS_MAX: nobody. */
static unsigned int killer_choose(bool aimed, __u64 *hits)
{
	unsigned int first = rnd(storm->procs), victim = SLOTS_MAX, n;

	*hits = ~0ULL;
	for (n = 0; n < storm->procs; n++) {
		unsigned int i = (first + n) % storm->procs;
		const struct slot *s = &storm->slots[i];
		__u64 h = kills.by_phase[s->phase];

		if (!s->pid || targets[i] || h >= *hits || killer_spares(i))
			continue;
		victim = i;
		*hits = h;
		if (!aimed)
			break;
	}
	return victim;
}

/*
 * At half of the instants anybody is hit; at the others one of them is whoever
 * does what was hit least, else the short phases would rarely be hit. Half of
 * them hit one process only, the others up to @most: an owner dies together
 * with those who wait for it. Return: how many were hit.
 */
unsigned int killer_kill(unsigned int most)
{
	unsigned int n = most && rnd(2) ? 1 + rnd(most) : 1, victims[SLOTS_MAX + 1], i;
	bool aimed = rnd(2);
	__u64 until = aimed && killer_neglects() ? alz_now() + AIM_NS : 0;
	__u64 hits;

	kills.instants++;
	do {
		victims[0] = killer_choose(aimed, &hits);
	} while (until && hits * 4 >= kills.done / PHASE_END && alz_now() < until);
	for (i = 0; i < n && victims[i] < SLOTS_MAX; i++) {
		killer_doom(victims[i]);
		victims[i + 1] = killer_choose(false, &hits);
	}
	n = i;
	for (i = 0; i < n; i++)
		kill(targets[victims[i]], SIGKILL);
	return n;
}

/* Until all are dead and reaped, orphans too. */
void killer_all(void)
{
	unsigned int i;
	int status;
	pid_t pid;

	killer_dismiss();
	/* a fork may be under way: its child takes the place */
	do {
		for (i = 0; i < storm->procs; i++)
			if (storm->slots[i].pid && !targets[i]) {
				killer_doom(i);
				kill(targets[i], SIGKILL);
			}
		pid = waitpid(-1, &status, 0);
		if (pid > 0)
			killer_reaped(pid, status);
	} while (pid > 0);
}

static void killer_stuck(void)
{
	unsigned int i;

	for (i = 0; i < storm->procs; i++) {
		const struct slot *s = &storm->slots[i];

		if (s->idle != storm->calm)
			wrong(WRONG_STUCK, "worker %u is stuck, %s, key %u, with %u tickets and %u waits",
			      i, phase_names[s->phase], s->key, s->held, s->waits);
	}
}

/* No kills any more: all that was begun ends, without anybody's help. */
bool killer_calm(__u64 watchdog_ns)
{
	struct timespec t = { .tv_nsec = ALZ_MSEC };
	__u64 until = alz_now() + watchdog_ns;
	unsigned int i;

	while (dying)
		killer_reap(true);
	killer_fill();
	storm->calm++;
	do {
		for (i = 0; i < storm->procs && storm->slots[i].idle == storm->calm; i++)
			;
		if (i == storm->procs)
			return true;
		nanosleep(&t, NULL);
		killer_reap(false);
		killer_fill();
	} while (alz_now() < until);
	killer_stuck();
	return false;
}
