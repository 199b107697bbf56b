// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parent of the lanes: gives them batches of programs, replaces those that
 * a program killed, and watches the clock, the counters and the kernel's log.
 */
#include "lane.h"
#include "pair.h"
#include "parent.h"

#include <fcntl.h>
#include <regex.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <linux/futex.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static u32 watchdog_seconds;
static regex_t complaints;	/* of the kernel */
static u64 executed;
static struct asynclazy_info before = { .size = sizeof(before) };	/* us */
static int kmsg_in = -1, kmsg_out = -1, device = -1;

u64 batch_executed(void)
{
	return executed;
}

u64 batch_calls(void)
{
	u64 n = 0;
	u32 i;

	for (i = 0; i < LANES; i++)
		n += sh->lane[i].calls;
	return n;
}

static void on_child(int sig)
{
	(void)sig;	/* it is enough that a wait is interrupted */
}

static int spawn(u32 proc)
{
	char number[8];
	pid_t pid;

	snprintf(number, sizeof(number), "%u", proc);
	pid = vfork();
	if (!pid) {
		execl("/proc/self/exe", "uapi_fuzz", "--lanes", number, NULL);
		_exit(127);
	}
	if (pid < 0)
		return -errno;
	sh->proc[proc].pid = pid;
	return 0;
}

static int fd_place(int fd, int to)
{
	if (fd < 0)
		return -errno;
	if (fd == to)
		return 0;
	if (dup2(fd, to) < 0)
		return -errno;
	close(fd);
	return 0;
}

static int fds_setup(void)
{
	int i, pair[2], fd;

	/* keep the numbers free that are wanted below */
	for (i = SHM_FD; i < FD_BASE; i++)
		dup2(0, i);
	fd = memfd_create("uapi_fuzz", 0);
	if (ftruncate(fd, sizeof(*sh)) || fd_place(fd, SHM_FD))
		return -errno;
	fd = open("/proc/self/ns/ipc", O_RDONLY);
	if (fd_place(fd, IPCNS_FD))
		return -errno;
	for (i = 0; i < PROCS; i++) {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
			return -errno;
		fd_place(pair[0], INBOX_FD + i);
		fd_place(pair[1], OUTBOX_FD + i);
	}
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED, SHM_FD, 0);
	return sh == MAP_FAILED ? -errno : 0;
}

/** batch_watch_kernel() - what the log says from here on is ours */
void batch_watch_kernel(void)
{
	if (kmsg_in < 0)
		kmsg_in = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	lseek(kmsg_in, 0, SEEK_END);
}

/* What complaints look like is told by tools/vm/complaints, in ALZ_COMPLAINTS. */
static int complaints_setup(void)
{
	const char *text = getenv("ALZ_COMPLAINTS");

	if (!text || !*text || regcomp(&complaints, text, REG_EXTENDED | REG_NOSUB)) {
		printf("# ALZ_COMPLAINTS is to be the expressions of tools/vm/complaints, with | between\n");
		return -EINVAL;
	}
	return 0;
}

/**
 * batch_setup() - start the lanes
 * @blind: without coverage
 * @watchdog: seconds that a batch may take
 *
 * Return: 0 or -errno.
 */
int batch_setup(bool blind, u32 watchdog)
{
	struct sigaction sa = { .sa_handler = on_child };
	u32 i;
	int err;

	watchdog_seconds = watchdog;
	err = complaints_setup() ?: fds_setup();
	if (!err && !blind)
		err = cover_setup();
	if (err)
		return err;
	sh->kcov = !blind;
	kmsg_out = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	device = open("/dev/asynclazy", O_RDWR | O_CLOEXEC);
	if (device < 0)
		return -errno;
	if (ioctl(device, ASYNCLAZY_IOC_INFO, &before))
		return -errno;
	batch_watch_kernel();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigaction(SIGCHLD, &sa, NULL);
	params_save();
	params_restore();
	sh->serial = 1;
	for (i = 0; i < PROCS && !err; i++)
		err = spawn(i);
	return err;
}

static void reap(void)
{
	int status;
	pid_t pid;
	u32 i;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (i = 0; i < PROCS; i++) {
			struct process_state *state = &sh->proc[i];

			if (state->pid != pid)
				continue;
			if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
				violation("process %u of the fuzzer ended with status %#x", i, status);
			state->pid = 0;
			/* what it left running is ours now */
			children_end(state, 0);
			children_end(state, 1);
			memset(state->kind, 0, sizeof(state->kind));
			spawn(i);
		}
	}
}

/* Return: whether the kernel complained since the last time. */
static bool kernel_complained(void)
{
	char line[1024];
	bool bad = false;
	ssize_t n;

	while ((n = read(kmsg_in, line, sizeof(line) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		if (n < 0)
			continue;
		line[n] = 0;
		/* tools/vm/run tells which of these are the kernel's own */
		if (strstr(line, "uapi_fuzz:") || strstr(line, "BUG: KCSAN:") ||
		    (strstr(line, "WARNING: ") && strstr(line, " hrtimer_forward+")))
			continue;
		if (!regexec(&complaints, line, 0, NULL, 0)) {
			printf("# the kernel says: %s", strchr(line, ';') ? strchr(line, ';') + 1 : line);
			bad = true;
		}
	}
	return bad;
}

/*
 * The kernel's log has what is being run, so that a panic shows it. At a level
 * that the console shows only then.
 */
static void log_batch(void)
{
	char text[16384], line[960];
	u32 k;

	for (k = 0; k < sh->n; k++) {
		char *at = text;

		text_write(&sh->prog[k], text, sizeof(text));
		while (*at) {
			size_t n = strlen(at), head;

			if (n > 900)
				for (n = 900; at[n - 1] != '\n'; n--)
					;
			head = snprintf(line, sizeof(line), "<7>uapi_fuzz: %u/%u\n%.*s", k, sh->n,
					(int)n, at);
			if (write(kmsg_out, line, head) < 0)
				return;
			at += n;
		}
	}
}

static void hang(void)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
	u32 i;

	violation("nothing moved for %u s", watchdog_seconds);
	for (i = 0; i < LANES; i++)
		printf("# lane %u: serial %llu stage %llu, before call %u\n", i,
		       (sh->lane[i].arrived / STAGES),
		       (sh->lane[i].arrived % STAGES), sh->lane[i].pos);
	if (fd >= 0) {
		if (write(fd, "w", 1) < 0 || write(fd, "d", 1) < 0)
			perror("sysrq");
		close(fd);
	}
}

static bool batch_wait(void)
{
	u64 until = now_ns() + watchdog_seconds * 1000000000ULL;

	for (;;) {
		struct timespec t = { .tv_nsec = 100000000 };
		u32 done = __atomic_load_n(&sh->done, __ATOMIC_ACQUIRE);
		u32 i;

		for (i = 0; i < LANES && sh->lane[i].seq_done == sh->seq; i++)
			;
		if (i == LANES)
			return true;
		syscall(SYS_futex, &sh->done, FUTEX_WAIT, done, &t);
		reap();
		if (sh->failed || now_ns() > until)
			break;
	}
	if (!sh->failed)
		hang();
	return false;
}

/**
 * batch_leaks() - whether something is left of what programs made
 *
 * What a killed process had goes a moment later.
 */
int batch_leaks(void)
{
	struct asynclazy_info info = { .size = sizeof(info) };
	u64 until = now_ns() + 10000000000ULL;

	for (;;) {
		if (ioctl(device, ASYNCLAZY_IOC_INFO, &info))
			return -errno;
		if (info.out_caches_used <= before.out_caches_used &&
		    info.out_bytes_used <= before.out_bytes_used)
			return 0;
		if (now_ns() > until)
			break;
		usleep(1000);
	}
	violation("I8: %llu caches of %llu bytes are left", info.out_caches_used,
		  info.out_bytes_used);
	return -EBUSY;
}

/* The cache that C_CACHE opens; each batch has another one. */
static int cache_make(void)
{
	static const u64 backoffs[] = { ASYNCLAZY_NEVER, 1, 300000, 0 };
	static u32 made;
	struct asynclazy_create c = {
		.size = sizeof(c),
		/* each other batch */
		.flags = made % 2 ? 0 : ASYNCLAZY_CREATE_STABLE,
		.name = (uintptr_t)BATCH_CACHE,
		.name_size = sizeof(BATCH_CACHE) - 1,
		.max_keys = 4 << sh->serial % 5,
		.words = sh->serial % 3 ? 1024 : 0,
		.arena_size = 65536 * (1 + sh->serial % 16),
		.segment_size = 65536,
		.backoff = backoffs[made / 2 % 4],
		.breaker = 1000000,
		.max_deaths = made % 3 ? 2 : ~0U,
		.max_inits = made % 7 ? 0 : 2,
	};

	made++;
	if (ioctl(device, ASYNCLAZY_IOC_CREATE, &c))
		return -errno;
	close(c.out_fd);
	return 0;
}

static void cache_unmake(void)
{
	struct asynclazy_unlink u = {
		.size = sizeof(u),
		.name = (uintptr_t)BATCH_CACHE,
		.name_size = sizeof(BATCH_CACHE) - 1,
	};

	if (ioctl(device, ASYNCLAZY_IOC_UNLINK, &u))
		violation("the batch's cache is gone: %s", strerror(errno));
}

/* Lane 0 tidies up for lane 1, too; and who is sent something has it to drop. */
static u32 lanes_of(const struct program *p)
{
	u32 mask = 0, i;

	for (i = 0; i < p->n; i++) {
		const struct call *c = &p->call[i];

		mask |= 1U << c->lane;
		if (c->nr == C_SENDFD) {
			u32 to = c->arg[descs[C_SENDFD].pos[T_PROC]].v % PROCS;

			mask |= 1U << (to ? to + 1 : 0);
		}
	}
	return mask | (mask >> 1 & 1);
}

/**
 * batch_run() - run some programs
 * @p: them
 * @n: how many, BATCH_MAX at most
 *
 * Return: 0; -EIO if anything was wrong, which has been printed.
 */
int batch_run(const struct program *p, u32 n)
{
	bool done;
	u32 k;

	sh->n = n;
	memcpy(sh->prog, p, n * sizeof(*p));
	memset(sh->result, 0, n * sizeof(sh->result[0]));
	for (k = 0; k < n; k++)
		sh->mask[k] = lanes_of(&p[k]);
	if (sh->kcov)
		cover_batch();
	log_batch();
	if (cache_make())
		violation("no cache for the batch: %s", strerror(errno));
	__atomic_add_fetch(&sh->seq, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &sh->seq, FUTEX_WAKE, 100);
	done = batch_wait();
	executed += n;
	if (done) {
		cache_unmake();
		batch_leaks();
	}
	if (kernel_complained())
		violation("the kernel complained");
	if (alz_pair_complaint())
		violation("another client was disturbed: %s", alz_pair_complaint());
	/* only now: lanes that are replaced look at it */
	if (done)
		sh->serial += n;
	if (!sh->failed)
		return 0;
	printf("# %s\n# in or after program %u of these %u:\n", sh->failure, sh->failed_at, n);
	batch_show(stdout, true);
	fflush(stdout);
	return -EIO;
}

/** batch_show() - the programs of the batch, and what came of them */
void batch_show(FILE *out, bool results)
{
	char text[16384];
	u32 k, i;

	for (k = 0; k < sh->n; k++) {
		if (sh->failed)
			fprintf(out, "# program %u\n", k);
		text_write(&sh->prog[k], text, sizeof(text));
		fprintf(out, "%s", text);
		for (i = 0; results && i < sh->prog[k].n; i++) {
			const struct result *r = &sh->result[k][i];

			fprintf(out, "# r%u %s = %d%s fd=%d out=%d ticket=%llu offset=%#llx\n", i,
				descs[sh->prog[k].call[i].nr].name, r->err, r->done ? "" : " (not done)",
				r->fd, r->out, r->ticket, r->offset);
		}
		fprintf(out, "----\n");
	}
}

/** batch_end() - let the lanes go */
void batch_end(void)
{
	u32 i;

	signal(SIGCHLD, SIG_DFL);
	for (i = 0; i < PROCS; i++) {
		kill(sh->proc[i].pid, SIGKILL);
		waitpid(sh->proc[i].pid, NULL, 0);
	}
	params_give_back();
	close(device);
}
