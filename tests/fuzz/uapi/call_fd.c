// SPDX-License-Identifier: GPL-2.0-only
/* Calls about descriptors: read, poll, copies, passing them on. */
#include "lane.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static u32 proc_here(const struct run *x)
{
	return proc_of(x->lane);
}

/** fd_note() - remember what a descriptor is */
void fd_note(struct process_state *proc, int fd, enum kind kind, u64 cache)
{
	if (fd < FD_BASE || fd >= FD_BASE + FD_N)
		return;
	proc->kind[fd - FD_BASE] = kind;
	proc->cache[fd - FD_BASE] = cache;
}

/** fd_keep() - the same, and it is what the call brought */
void fd_keep(struct run *x, int fd, enum kind kind, u64 cache)
{
	x->r->fd = fd;
	x->r->cache = cache;
	fd_note(x->proc, fd, kind, cache);
}

enum kind fd_kind(const struct process_state *proc, int fd)
{
	return fd < FD_BASE || fd >= FD_BASE + FD_N ? K_NONE : proc->kind[fd - FD_BASE];
}

/** fd_cache() - id of the cache that a descriptor belongs to, or 0 */
u64 fd_cache(const struct process_state *proc, int fd)
{
	return fd < FD_BASE || fd >= FD_BASE + FD_N ? 0 : proc->cache[fd - FD_BASE];
}

/* What came in events; per-wait fds tell the same one again and again. */
static void take_events(struct run *x, int fd, const char *buf, s64 got)
{
	struct asynclazy_event e;
	s64 at;

	for (at = 0; at + (s64)sizeof(e) <= got; at += sizeof(e)) {
		memcpy(&e, buf + at, sizeof(e));
		x->r->out = e.result;
		x->r->offset = e.offset;
		x->r->generation = e.generation;
		x->r->cache = e.cache_id;
		if (e.result == ASYNCLAZY_RESULT_TICKET) {
			x->r->ticket = e.ticket;
			if (fd_kind(x->proc, fd) == K_CLIENT)
				check_grant(e.cache_id, e.ticket, e.generation);
		}
		if (fd_kind(x->proc, fd) == K_WAIT)
			break;
	}
}

static s64 call_read(struct run *x)
{
	int fd = val(x, T_ANYFD), flags = val(x, T_RFLAGS);
	u64 len = val(x, T_RLEN);
	enum place p = val(x, T_VPTR);
	char *at = place(x, p, MEM_VALUE, NULL, 0);
	struct iovec iov[2] = { { at, len }, { x->mem + LANE_NOTHING, 4096 } };
	s64 got;

	if (fd < FD_BASE)
		return -EBADF;
	if (p == P_EDGE || p == P_OVER)
		iov[0].iov_base = x->mem + LANE_RW - (len > 4096 ? 4096 : len) + (p == P_OVER);
	if (len > LANE_RW / 4)
		iov[0].iov_len = LANE_RW / 4;
	if (flags & 1)
		flags = RWF_NOWAIT;
	if (flags != RWF_NOWAIT)
		guard_block(x->lane, true);
	switch (flags) {
	case RWF_NOWAIT:
		got = preadv2(fd, iov, 1, -1, RWF_NOWAIT);
		break;
	case 2:
		/* the rest of the events is where nothing can be */
		iov[0].iov_len = 64;
		got = preadv2(fd, iov, 2, -1, 0);
		break;
	default:
		got = read(fd, iov[0].iov_base, iov[0].iov_len);
	}
	if (got < 0)
		got = -errno;
	if (flags != RWF_NOWAIT)
		guard_block(x->lane, false);
	if (got < 0)
		return got;
	if (fd_kind(x->proc, fd) == K_CLIENT && ((!got && len) || got % sizeof(struct asynclazy_event)))
		violation("read of a client returned %lld", got);
	if (got && (p == P_READONLY || p == P_MAP))
		violation("read wrote where the caller may not write");
	if (p == P_OWN)
		take_events(x, fd, iov[0].iov_base, got);
	return got;
}

static s64 call_poll(struct run *x)
{
	struct pollfd p = { .fd = val(x, T_ANYFD), .events = val(x, T_EVENTS) };
	int n = poll(&p, 1, val(x, T_MS) & 3);

	x->r->out = p.revents;
	if (n > 0 && p.revents & POLLERR && !(p.revents & POLLIN) && p.events & POLLIN &&
	    (fd_kind(x->proc, p.fd) == K_CLIENT || fd_kind(x->proc, p.fd) == K_WAIT))
		violation("POLLERR without POLLIN");
	return n < 0 ? -errno : n;
}

static s64 call_epoll(struct run *x)
{
	struct epoll_event ev = { .events = val(x, T_EVENTS) }, out[4];
	int fd, ret;

	switch (x->call->nr) {
	case C_EPOLL:
		fd = epoll_create1(EPOLL_CLOEXEC);
		if (fd < 0)
			return -errno;
		fd_keep(x, fd, K_OTHER, 0);
		return 0;
	case C_EPOLL_ADD:
		ret = epoll_ctl(val(x, T_EPOLL), EPOLL_CTL_ADD, val(x, T_ANYFD), &ev);
		break;
	case C_EPOLL_DEL:
		ret = epoll_ctl(val(x, T_EPOLL), EPOLL_CTL_DEL, val(x, T_ANYFD), &ev);
		break;
	default:
		ret = epoll_wait(val(x, T_EPOLL), out, 4, val(x, T_MS) & 3);
	}
	return ret < 0 ? -errno : ret;
}

static s64 call_dup(struct run *x)
{
	int from = val(x, T_ANYFD), fd;

	if (from < FD_BASE)
		return -EBADF;
	if (x->call->nr == C_DUP) {
		fd = fcntl(from, F_DUPFD_CLOEXEC, FD_BASE);
	} else {
		fd = FD_BASE + val(x, T_SLOT) % FD_N;
		/* not close-on-exec: it survives an exec, the client does not */
		fd = dup2(from, fd);
	}
	if (fd < 0)
		return -errno;
	fd_keep(x, fd, fd_kind(x->proc, from), fd_cache(x->proc, from));
	return 0;
}

static s64 call_close(struct run *x)
{
	int fd = val(x, T_ANYFD);

	/* it stays noted: another thread may have the number by now */
	return fd < FD_BASE ? -EBADF : close(fd) ? -errno : 0;
}

static s64 call_fdinfo(struct run *x)
{
	char path[64], buf[512];
	int fd;
	s64 n;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", (int)val(x, T_ANYFD));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, sizeof(buf));
	close(fd);
	return n;
}

static s64 call_sendfd(struct run *x)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (char[]){ 'f' }, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			    .msg_controllen = sizeof(control.room) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	int fd = val(x, T_ANYFD);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	return sendmsg(OUTBOX_FD + val(x, T_PROC) % PROCS, &m, MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int inbox_take(u32 proc)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			    .msg_controllen = sizeof(control.room) };
	struct cmsghdr *h;
	int fd = -1;

	if (recvmsg(INBOX_FD + proc, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
		return -errno;
	h = CMSG_FIRSTHDR(&m);
	if (h && h->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(h), sizeof(fd));
	return fd < 0 ? -EMFILE : fd;
}

/** inbox_drain() - drop what was sent and never taken */
void inbox_drain(u32 proc)
{
	int fd;

	while ((fd = inbox_take(proc)) >= 0 || fd == -EMFILE)
		if (fd >= 0)
			close(fd);
}

static s64 call_recvfd(struct run *x)
{
	struct asynclazy_attach bad = { .size = sizeof(bad), .flags = 1 };
	struct asynclazy_geometry g = { .size = sizeof(g) };
	int fd = -1, turns;

	for (turns = 0; turns < 200; turns++) {
		fd = inbox_take(proc_here(x));
		if (fd != -EAGAIN)
			break;
		sched_yield();
	}
	if (fd < 0)
		return fd;
	/* whose it is: only a cache fd knows ATTACH */
	if (ioctl(fd, ASYNCLAZY_IOC_ATTACH, &bad) && errno == EINVAL) {
		ioctl(fd, ASYNCLAZY_IOC_GEOMETRY, &g);
		fd_keep(x, fd, K_CACHE, g.out_cache_id);
	} else {
		fd_keep(x, fd, K_OTHER, 0);
	}
	return 0;
}

/** call_fd() - descriptors */
s64 call_fd(struct run *x)
{
	int fd, flags;

	switch (x->call->nr) {
	case C_READ: return call_read(x);
	case C_POLL: return call_poll(x);
	case C_DUP:
	case C_DUP2: return call_dup(x);
	case C_CLOSE: return call_close(x);
	case C_FDINFO: return call_fdinfo(x);
	case C_SENDFD: return call_sendfd(x);
	case C_RECVFD: return call_recvfd(x);
	case C_WRITE:
		fd = val(x, T_ANYFD);
		if (fd < FD_BASE)
			return -EBADF;
		if (val(x, T_WHAT) & 1)
			return lseek(fd, 4096, SEEK_SET) < 0 ? -errno : 0;
		return write(fd, "12345678", 8) < 0 ? -errno : 0;
	case C_FCNTL:
		fd = val(x, T_ANYFD);
		flags = val(x, T_RFLAGS) & 1 ? O_NONBLOCK : 0;
		return fd < FD_BASE ? -EBADF : fcntl(fd, F_SETFL, flags) ? -errno : 0;
	default: return call_epoll(x);
	}
}
