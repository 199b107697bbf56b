// SPDX-License-Identifier: GPL-2.0-only
/*
 * Between a test and its system calls (ld's --wrap). One task of each run, the
 * first to make a watched call, has /proc/thread-self/fail-nth set: for the first
 * run to a large number, so that what is left of it tells how many places for a
 * fault each call has; then for one call at a time, to the place in it.
 */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "alz.h"
#include "fault.h"

struct fault_run *fault_run;

static bool never;
static __thread bool mine, decided;

/* A call, so that it can be made twice. */
struct watched {
	__u32 id;
	int fd;
	unsigned long nr;
	void *arg;
	size_t size;
	long more[4];
	long (*make)(const struct watched *w);
};

int __real_ioctl(int fd, unsigned long nr, void *arg);
ssize_t __real_read(int fd, void *buf, size_t size);
int __real_poll(struct pollfd *fds, nfds_t n, int timeout);
int __real_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
ssize_t __real_write(int fd, const void *buf, size_t size);
void *__real_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
long __real_syscall(long nr, long a, long b, long c, long d, long e, long f);
int __wrap_ioctl(int fd, unsigned long nr, void *arg);
ssize_t __wrap_read(int fd, void *buf, size_t size);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
ssize_t __wrap_write(int fd, const void *buf, size_t size);
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
long __wrap_syscall(long nr, long a, long b, long c, long d, long e, long f);

static void open_nth(void)
{
	int fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	dup3(fd, FAULT_FD_NTH, O_CLOEXEC);
	close(fd);
}

/* fail-nth is the task's own: a child has none. */
static void in_child(void)
{
	mine = false;
	decided = false;
	if (fault_run && fault_run->on && !never)
		open_nth();
}

void fault_hook_init(void)
{
	fault_run = mmap(NULL, sizeof(*fault_run), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fault_run == MAP_FAILED || pthread_atfork(NULL, NULL, in_child))
		abort();
}

void fault_hook_never(void)
{
	never = true;
}

static __u32 nth_left(void)
{
	char text[16] = "";

	return pread(FAULT_FD_NTH, text, sizeof(text) - 1, 0) > 0 ? strtoul(text, NULL, 10) : 0;
}

static void nth_set(__u32 n)
{
	char text[16];
	int size = snprintf(text, sizeof(text), "%u", n);

	if (pwrite(FAULT_FD_NTH, text, size, 0) != size)
		abort();
}

/* Whether this task is the one; the first to ask is. */
static bool watching(void)
{
	if (!fault_run || !fault_run->on || never)
		return false;
	if (!decided) {
		decided = true;
		mine = !__atomic_exchange_n(&fault_run->taken, true, __ATOMIC_SEQ_CST);
		if (mine) {
			if (gettid() != getpid())
				open_nth();
			if (!fault_run->target)
				nth_set(FAULT_COUNT);
		}
	}
	return mine;
}

/*
 * A copy that fails comes too late to be simply made up for once the call has
 * had effects: after the struct was copied in, the probe of the answer, and
 * what the call reads, that is. What it then does is undone as far as it can be.
 * (A value whose pages are there is read by a copy that gets no faults.)
 */
static bool copy_too_late(__u32 id, __u32 ordinal)
{
	__u32 reads = 0;

	switch (FAULT_NR(id)) {
	case _IOC_NR(ASYNCLAZY_IOC_CREATE):
	case _IOC_NR(ASYNCLAZY_IOC_OPEN):
	case _IOC_NR(ASYNCLAZY_IOC_UNLINK):
	case _IOC_NR(ASYNCLAZY_IOC_CLAIM):
	case _IOC_NR(ASYNCLAZY_IOC_FAIL):
	case _IOC_NR(ASYNCLAZY_IOC_FETCH):
	case _IOC_NR(ASYNCLAZY_IOC_INVALIDATE):
	case _IOC_NR(ASYNCLAZY_IOC_SET):
	case _IOC_NR(ASYNCLAZY_IOC_WAIT):
		reads = 1;
	}
	return ordinal > 2 + reads;
}

/* A cache fd of this process that can be written to, or -1. */
static int cache_fd(void)
{
	static const char kind[] = "anon_inode:[asynclazy-cache]";
	char path[32], text[64];
	int fd;

	for (fd = 3; fd < 256; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (readlink(path, text, sizeof(text)) == sizeof(kind) - 1 &&
		    !memcmp(text, kind, sizeof(kind) - 1) &&
		    (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR)
			return fd;
	}
	return -1;
}

static void die_here(void)
{
	/* the test with all its processes: the harness made them a group */
	kill(0, SIGKILL);
	for (;;)
		pause();
}

/* As documented: an error that finds no memory to be kept in is only told. */
static bool told_only(const struct watched *w)
{
	const struct asynclazy_fail *f = w->arg;

	return FAULT_NR(w->id) == _IOC_NR(ASYNCLAZY_IOC_FAIL) && f->error_class != TRANSIENT &&
	       !f->out_kept;
}

/* As documented: who finds no memory for making a stale value anew reads on. */
static bool read_on(const struct watched *w)
{
	const struct asynclazy_claim *c = w->arg;

	return FAULT_NR(w->id) == _IOC_NR(ASYNCLAZY_IOC_CLAIM) &&
	       (c->flags & ASYNCLAZY_CLAIM_INIT) && c->out_result == ASYNCLAZY_RESULT_HIT;
}

/* A copy of no bytes, which is none, but gets a fault. */
static bool no_bytes(const struct watched *w)
{
	const struct asynclazy_fail *fail = w->arg;
	const struct asynclazy_fetch *fetch = w->arg;

	return (FAULT_NR(w->id) == _IOC_NR(ASYNCLAZY_IOC_FAIL) && !fail->detail_size) ||
	       (FAULT_NR(w->id) == _IOC_NR(ASYNCLAZY_IOC_FETCH) && !fetch->detail_size);
}

/*
 * One of the calls of a BATCH got the fault: it is made again by itself, as its caller
 * would. Return: whether there was one.
 */
static bool one_again(const struct watched *w, int wanted)
{
	const struct asynclazy_batch *b = w->arg;
	struct asynclazy_call *at = (struct asynclazy_call *)(uintptr_t)b->calls;
	__u32 i;

	for (i = 0; i < b->out_done; i++) {
		if (at[i].out_error != wanted)
			continue;
		at[i].out_error = __real_ioctl(w->fd, at[i].cmd,
					       (void *)(uintptr_t)at[i].arg) ? errno : 0;
		return true;
	}
	return false;
}

static bool fault_shows(const struct watched *w, enum fault_kind kind, __u32 ordinal, int err)
{
	if (kind == FAULT_MEMORY)
		return !err && told_only(w);
	if (FAULT_NR(w->id) == FAULT_READ)
		return err != EFAULT;
	return copy_too_late(w->id, ordinal);
}

static long injected(const struct watched *w, long result)
{
	struct fault_run *r = fault_run;
	int wanted = r->kind == FAULT_MEMORY ? ENOMEM : EFAULT;
	int err = result < 0 ? errno : 0;
	int cache;

	/* the memory may have been for the caller's own page, on the way of a copy */
	if (err == EFAULT)
		wanted = err;

	mine = false;
	if (!err && r->kind == FAULT_MEMORY && r->mode == FAULT_AGAIN &&
	    FAULT_NR(w->id) == _IOC_NR(ASYNCLAZY_IOC_BATCH)) {
		r->again = one_again(w, wanted);
		err = r->again ? wanted : 0;
	}
	r->id = w->id;
	r->err = err;
	r->nothing = r->place > 2 && no_bytes(w);
	r->shows = fault_shows(w, r->kind, r->place, err);
	r->injected = true;
	if (r->mode == FAULT_VISIT || r->shows) {
		cache = cache_fd();
		r->visit = cache < 0 ? 1 : fault_visit(cache, &r->visit_step);
		die_here();
	}
	if (r->again)
		return result;
	if ((err == wanted && FAULT_NR(w->id) != FAULT_RING) || (!err && read_on(w))) {
		r->again = true;
		return w->make(w);
	}
	errno = err;
	return result;
}

static long watch_counting(const struct watched *w)
{
	struct fault_run *r = fault_run;
	static __u32 last = FAULT_COUNT;
	__u32 before = nth_left(), after;
	long result = w->make(w);
	int err = errno;

	after = nth_left();
	if (before)
		r->elsewhere += last - before;
	last = after;
	if (r->nr_calls < FAULT_CALLS)
		r->call[r->nr_calls++] = (struct fault_call){ w->id, before - after, result < 0 ? err : 0 };
	errno = err;
	return result;
}

static long watch(const struct watched *w)
{
	struct fault_run *r = fault_run;
	bool fired;
	long result;
	int err;

	if (!r->target)
		return watch_counting(w);
	if (++r->nr_calls != r->target)
		return w->make(w);
	nth_set(r->place);
	result = w->make(w);
	err = errno;
	fired = !nth_left();
	nth_set(0);
	errno = err;
	if (fired)
		return injected(w, result);
	mine = false;
	return result;
}

/*
 * The calls
 */

/* @from may be any address. */
static bool peek(void *to, const void *from, size_t size)
{
	struct iovec into = { to, size }, at = { (void *)from, size };

	return process_vm_readv(getpid(), &into, 1, &at, 1, 0) == (ssize_t)size;
}

/*
 * Caches that a killed test leaves are to be unlinked. Before the call, since
 * the test may be killed right after it.
 */
static void note_name(const void *arg)
{
	struct fault_run *r = fault_run;
	struct asynclazy_create c;
	char name[ASYNCLAZY_NAME_MAX];
	__u32 i;

	if (!peek(&c, arg, sizeof(c)) || !c.name_size || c.name_size > sizeof(name) ||
	    !peek(name, (const void *)(uintptr_t)c.name, c.name_size))
		return;
	i = __atomic_fetch_add(&r->nr_names, 1, __ATOMIC_SEQ_CST);
	if (i < sizeof(r->name) / sizeof(r->name[0]))
		memcpy(r->name[i], name, c.name_size);
}

static __u32 ioctl_id(unsigned long nr, const void *arg)
{
	struct { __u32 size, flags; } start = { 0, 0 };

	if (nr == ASYNCLAZY_IOC_CLAIM || nr == ASYNCLAZY_IOC_PUBLISH || nr == ASYNCLAZY_IOC_SET)
		peek(&start, arg, sizeof(start));
	return FAULT_ID(_IOC_NR(nr), start.flags & (nr == ASYNCLAZY_IOC_CLAIM ?
						    ASYNCLAZY_CLAIM_FLAGS :
						    ASYNCLAZY_VALUE_FLAGS));
}

static long make_ioctl(const struct watched *w)
{
	return __real_ioctl(w->fd, w->nr, w->arg);
}

int __wrap_ioctl(int fd, unsigned long nr, void *arg)
{
	struct watched w = { .fd = fd, .nr = nr, .arg = arg, .make = make_ioctl };

	if (_IOC_TYPE(nr) != ASYNCLAZY_IOC_TYPE || never || !fault_run || !fault_run->on)
		return __real_ioctl(fd, nr, arg);
	w.id = ioctl_id(nr, arg);
	if (nr == ASYNCLAZY_IOC_CREATE)
		note_name(arg);
	return watching() ? watch(&w) : __real_ioctl(fd, nr, arg);
}

static long make_read(const struct watched *w)
{
	return __real_read(w->fd, w->arg, w->size);
}

ssize_t __wrap_read(int fd, void *buf, size_t size)
{
	struct watched w = {
		.id = FAULT_ID(FAULT_READ, 0),
		.fd = fd,
		.arg = buf,
		.size = size,
		.make = make_read,
	};

	return watching() ? watch(&w) : make_read(&w);
}

static long make_poll(const struct watched *w)
{
	return __real_poll(w->arg, w->size, w->more[0]);
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	struct watched w = {
		.id = FAULT_ID(FAULT_POLL, 0),
		.arg = fds,
		.size = n,
		.more = { timeout },
		.make = make_poll,
	};

	return watching() ? watch(&w) : make_poll(&w);
}

static long make_epoll(const struct watched *w)
{
	return __real_epoll_ctl(w->more[0], w->more[1], w->fd, w->arg);
}

int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	struct watched w = {
		.id = FAULT_ID(FAULT_EPOLL, 0),
		.fd = fd,
		.arg = event,
		.more = { epfd, op },
		.make = make_epoll,
	};

	return watching() ? watch(&w) : make_epoll(&w);
}

/* These two the harness makes as well, so they do not tell which task is the test's. */
static long make_write(const struct watched *w)
{
	return __real_write(w->fd, w->arg, w->size);
}

ssize_t __wrap_write(int fd, const void *buf, size_t size)
{
	struct watched w = {
		.id = FAULT_ID(FAULT_TOUCH, 0),
		.fd = fd,
		.arg = (void *)buf,
		.size = size,
		.make = make_write,
	};

	return mine ? watch(&w) : make_write(&w);
}

static long make_mmap(const struct watched *w)
{
	return (long)__real_mmap(w->arg, w->size, w->more[0], w->more[1], w->fd, w->more[2]);
}

void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	struct watched w = {
		.id = FAULT_ID(FAULT_MMAP, 0),
		.fd = fd,
		.arg = at,
		.size = size,
		.more = { prot, flags, offset },
		.make = make_mmap,
	};

	return (void *)(mine ? watch(&w) : make_mmap(&w));
}

static long make_module(const struct watched *w)
{
	return __real_syscall(SYS_finit_module, w->fd, (long)w->arg, w->more[0], 0, 0, 0);
}

static long make_ring(const struct watched *w)
{
	return __real_syscall(SYS_io_uring_enter, w->fd, w->more[0], w->more[1], w->more[2],
			      w->more[3], w->size);
}

long __wrap_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	struct watched w = { .fd = a };

	switch (nr) {
	case SYS_finit_module:
		w.id = FAULT_ID(FAULT_MODULE, 0);
		w.arg = (void *)b;
		w.more[0] = c;
		w.make = make_module;
		break;
	case SYS_io_uring_enter:
		w.id = FAULT_ID(FAULT_RING, 0);
		w.more[0] = b;
		w.more[1] = c;
		w.more[2] = d;
		w.more[3] = e;
		w.size = f;
		w.make = make_ring;
		break;
	default:
		return __real_syscall(nr, a, b, c, d, e, f);
	}
	return watching() ? watch(&w) : w.make(&w);
}
