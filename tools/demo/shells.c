// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Stage two: the same as stage one for commands. As many `alazy run` as before
 * ask for one command; the alazy that runs it is killed once all others wait.
 */
#define _GNU_SOURCE
#include <asynclazy.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "counted.h"
#include "demo.h"
#include "work.h"

#define LOOK_MS		20	/* between two looks at the kernel's figures */
#define TEXT_MAX	4352	/* a path and a hash */

enum { OUT, ERR, NR_STREAMS };

struct shell {
	pid_t pid;
	int fds[NR_STREAMS];
	size_t size[NR_STREAMS];
	char text[NR_STREAMS][TEXT_MAX];
};

struct shells {
	const struct demo *demo;
	const char *file;
	char dir[64];
	char counter[80];
	char fifo[80];
	char cache_name[64];
	struct alazy_cache *cache;
	int told;			/* reading end of the fifo */
	struct shell *shells;
	unsigned int open;		/* streams that have not ended */
	uint64_t start;
	pid_t victim;			/* the alazy to be killed */
	int first_run;			/* pidfd of the command that it runs */
	uint64_t killed_at;
	uint64_t handover_ns;
	bool command_died;
	uint64_t cpu;			/* of the run that got through */
};

static void say(const struct shells *s, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(const struct shells *s, const char *format, ...)
{
	va_list args;

	printf("  %6.2f s  ", seconds(now_ns() - s->start));
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static void make_files(struct shells *s)
{
	const char *tmp = getenv("TMPDIR");
	int fd;

	if (snprintf(s->dir, sizeof(s->dir), "%s/asynclazy-demo-XXXXXX",
		     tmp ?: "/tmp") >= (int)sizeof(s->dir))
		die("TMPDIR is too long");
	if (!mkdtemp(s->dir))
		die("cannot make %s: %s", s->dir, strerror(errno));
	snprintf(s->counter, sizeof(s->counter), "%s/counter", s->dir);
	snprintf(s->fifo, sizeof(s->fifo), "%s/fifo", s->dir);
	fd = open(s->counter, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || mkfifo(s->fifo, 0600))
		die("cannot make files in %s: %s", s->dir, strerror(errno));
	close(fd);
	/* for writing too: it does not end when a command does */
	s->told = open(s->fifo, O_RDWR | O_CLOEXEC);
	if (s->told < 0)
		die("cannot open %s: %s", s->fifo, strerror(errno));
}

static void remove_files(const struct shells *s)
{
	close(s->told);
	unlink(s->counter);
	unlink(s->fifo);
	rmdir(s->dir);
}

static void start_shell(struct shells *s, struct shell *shell, const int *barrier)
{
	int pipes[NR_STREAMS][2], i;
	pid_t parent = getpid();
	char c;

	for (i = 0; i < NR_STREAMS; i++)
		if (pipe2(pipes[i], O_CLOEXEC))
			die("pipe: %s", strerror(errno));
	shell->pid = fork();
	if (shell->pid < 0)
		die("fork: %s", strerror(errno));
	if (!shell->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		close(barrier[1]);
		dup2(pipes[OUT][1], 1);
		dup2(pipes[ERR][1], 2);
		while (read(barrier[0], &c, 1) < 0 && errno == EINTR)
			;
		execlp(s->demo->alazy, s->demo->alazy, "run", "--cache",
		       s->cache_name, "--ttl", "never", "--", s->demo->self,
		       COUNTED_OPTION, s->counter, s->fifo, s->file, NULL);
		fprintf(stderr, "cannot run %s: %s", s->demo->alazy, strerror(errno));
		_exit(127);
	}
	for (i = 0; i < NR_STREAMS; i++) {
		close(pipes[i][1]);
		shell->fds[i] = pipes[i][0];
		s->open++;
	}
}

static void start_shells(struct shells *s)
{
	unsigned int i;
	int barrier[2];

	if (pipe2(barrier, O_CLOEXEC))
		die("pipe: %s", strerror(errno));
	fflush(stdout);
	s->shells = calloc(s->demo->workers, sizeof(*s->shells));
	if (!s->shells)
		die("no memory");
	for (i = 0; i < s->demo->workers; i++)
		start_shell(s, &s->shells[i], barrier);
	close(barrier[0]);
	close(barrier[1]);
}

/* Once all others wait, the alazy that runs the command dies. */
static void maybe_kill(struct shells *s)
{
	struct alazy_stats stats = { .size = sizeof(stats) };

	if (!s->victim || s->killed_at)
		return;
	if (alazy_cache_stats(s->cache, &stats) ||
	    stats.waits_now < s->demo->workers - 1)
		return;
	say(s, "%llu wait. SIGKILL to alazy %d, which runs the command",
	    (unsigned long long)stats.waits_now, s->victim);
	/* all have it open: it needs its name no longer */
	alazy_cache_unlink(s->cache_name, ALAZY_BACKEND_KERNEL);
	s->killed_at = now_ns();
	kill(s->victim, SIGKILL);
}

static void take_word(struct shells *s)
{
	struct counted counted;

	if (read(s->told, &counted, sizeof(counted)) != sizeof(counted))
		die("the fifo is broken");
	if (counted.done) {
		s->cpu = counted.cpu;
		say(s, "the command has ended");
	} else if (counted.run == 1) {
		s->first_run = pidfd_open(counted.pid, 0);
		s->victim = counted.parent;
		say(s, "alazy %d runs the command", counted.parent);
	} else {
		s->handover_ns = counted.at - s->killed_at;
		say(s, "alazy %d runs the command again", counted.parent);
	}
}

static void take_text(struct shells *s, struct shell *shell, int stream)
{
	size_t room = TEXT_MAX - shell->size[stream];
	ssize_t n = read(shell->fds[stream],
			 shell->text[stream] + shell->size[stream], room);

	if (n > 0) {
		shell->size[stream] += n;
		return;
	}
	close(shell->fds[stream]);
	shell->fds[stream] = -1;
	s->open--;
}

/* Until all output has ended. False: they are stuck. */
static bool follow(struct shells *s)
{
	unsigned int workers = s->demo->workers, i, n = workers * NR_STREAMS;
	struct pollfd fds[MAX_WORKERS * NR_STREAMS + 2];
	uint64_t last = now_ns();
	int ready;

	while (s->open || (s->killed_at && !s->command_died)) {
		for (i = 0; i < n; i++)
			fds[i] = (struct pollfd){
				.fd = s->shells[i / NR_STREAMS].fds[i % NR_STREAMS],
				.events = POLLIN,
			};
		fds[n] = (struct pollfd){ .fd = s->told, .events = POLLIN };
		fds[n + 1] = (struct pollfd){
			.fd = s->killed_at && !s->command_died ? s->first_run : -1,
			.events = POLLIN,
		};
		/* there is no event yet for "so many wait": look now and then */
		ready = poll(fds, n + 2, s->victim && !s->killed_at ? LOOK_MS : STUCK_MS);
		if (ready > 0)
			last = now_ns();
		else if (now_ns() - last >= STUCK_MS * 1000000ULL)
			return false;
		if (fds[n].revents)
			take_word(s);
		if (fds[n + 1].revents) {
			s->command_died = true;
			say(s, "its command is dead too");
		}
		for (i = 0; i < n; i++)
			if (fds[i].revents)
				take_text(s, &s->shells[i / NR_STREAMS], i % NR_STREAMS);
		maybe_kill(s);
	}
	return true;
}

static bool same(const struct shell *shell, int stream, const char *text)
{
	return shell->size[stream] == strlen(text) &&
	       !memcmp(shell->text[stream], text, shell->size[stream]);
}

/* Return: how many printed what they should, with status 0. */
static unsigned int compare(struct shells *s, unsigned int *killed)
{
	char out[TEXT_MAX], err[TEXT_MAX], hash[VALUE_MAX];
	unsigned int i, right = 0;
	int status;

	work_do(WORK_SHA256, s->file, hash);
	snprintf(out, sizeof(out), "%s  %s\n", hash, s->file);
	snprintf(err, sizeof(err), "one read of %s\n", s->file);
	*killed = 0;
	for (i = 0; i < s->demo->workers; i++) {
		struct shell *shell = &s->shells[i];

		while (waitpid(shell->pid, &status, 0) < 0)
			if (errno != EINTR)
				die("waitpid: %s", strerror(errno));
		if (shell->pid == s->victim && WIFSIGNALED(status) &&
		    WTERMSIG(status) == SIGKILL)
			++*killed;
		else if (!status && same(shell, OUT, out) && same(shell, ERR, err))
			right++;
		else
			fprintf(stderr, "shell %d: status %#x, stdout '%.*s', stderr '%.*s'\n",
				shell->pid, status, (int)shell->size[OUT],
				shell->text[OUT], (int)shell->size[ERR],
				shell->text[ERR]);
	}
	return right;
}

static unsigned int check(struct shells *s, uint64_t took)
{
	struct alazy_stats stats = { .size = sizeof(stats) };
	unsigned int workers = s->demo->workers, bad = 0, killed;
	unsigned int right = compare(s, &killed);
	struct stat st = { .st_size = 0 };
	double price = seconds(s->cpu) * workers / s->demo->cpus;

	stat(s->counter, &st);
	alazy_cache_stats(s->cache, &stats);
	printf("\n");
	bad += !report(right == workers - 1 && killed == 1, "shells",
		       "%u asked, %u printed its stdout and stderr and ended with its status, %u was killed while it ran it",
		       workers, right, killed);
	bad += !report(st.st_size == 2 && stats.tickets == 2 && stats.publishes == 1,
		       "runs", "%lld of the command, by its own count; the kernel counts %llu",
		       (long long)st.st_size, (unsigned long long)stats.tickets);
	bad += !report(stats.handovers == 1 && stats.deaths == 1, "hand-overs",
		       "%llu by the kernel's count; %.1f ms from SIGKILL to the first line of the next run",
		       (unsigned long long)stats.handovers,
		       seconds(s->handover_ns) * 1000);
	bad += !report(s->command_died, "killed", "alazy's death ended its command");
	bad += !report(true, "time", "%.2f s, the start of %u processes included; without at least %.1f s on %u CPUs",
		       seconds(took), workers, price, s->demo->cpus);
	return bad;
}

unsigned int shells_run(const struct demo *demo)
{
	struct alazy_cache_opts opts = {
		.size = sizeof(opts),
		/* as alazy run asks for it */
		.flags = ALAZY_CACHE_SHARED | ALAZY_CACHE_STABLE,
		.backend = ALAZY_BACKEND_KERNEL,
	};
	struct shells s = {
		.demo = demo,
		.file = demo->files[0],
		.first_run = -1,
	};
	unsigned int i, bad;

	printf("\n2. The same for commands: %u times `alazy run -- sha256sum %s`\n"
	       "   at once. The alazy that runs it is killed.\n\n", demo->workers,
	       base_name(s.file));
	snprintf(s.cache_name, sizeof(s.cache_name), "asynclazy-demo-%d-run", getpid());
	s.cache = alazy_cache_open(s.cache_name, &opts);
	if (!s.cache)
		die("cannot open a shared cache: %s", strerror(errno));
	make_files(&s);
	s.start = now_ns();
	start_shells(&s);
	if (!follow(&s)) {
		fprintf(stderr, "nothing has happened for %d s: killing all\n",
			STUCK_MS / 1000);
		for (i = 0; i < demo->workers; i++)
			kill(s.shells[i].pid, SIGKILL);
	}
	bad = check(&s, now_ns() - s.start);
	if (s.first_run >= 0)
		close(s.first_run);
	alazy_cache_close(s.cache);
	if (!s.killed_at)
		alazy_cache_unlink(s.cache_name, ALAZY_BACKEND_KERNEL);
	remove_files(&s);
	free(s.shells);
	return bad;
}
