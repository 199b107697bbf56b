// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Where the time of an asynchronous wait goes: its beginning, one by one and many in a
 * call; its wake; its event's way to the reader, by reads of several sizes and by the
 * library. Beside them what the same events would cost in a ring that is mapped, as far
 * as its reader goes, and in a command of io_uring's: so much either can save at most.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <asynclazy.h>
#include <linux/asynclazy.h>

#include "bench.h"

#define WAITS	8192	/* a multiple of all of these: */
#define BATCH	256
#define RING	256

struct stages {
	int client;
	struct asynclazy_word word;
	struct asynclazy_wait wait[BATCH];
	struct asynclazy_call call[BATCH];
	struct asynclazy_event events[WAITS];
};

static void call(int fd, unsigned int cmd, void *arg, const char *what)
{
	if (ioctl(fd, cmd, arg))
		bench_die(what, -errno);
}

static int client_of(int device)
{
	struct asynclazy_create c = {
		.size = sizeof(c), .max_keys = 64, .arena_size = 1 << 20, .words = 16,
	};
	struct asynclazy_attach a = { .size = sizeof(a) };

	call(device, ASYNCLAZY_IOC_CREATE, &c, "CREATE");
	call(c.out_fd, ASYNCLAZY_IOC_ATTACH, &a, "ATTACH");
	close(device);
	close(c.out_fd);
	return a.out_fd;
}

static void stages_open(struct stages *s)
{
	unsigned int i;

	s->client = client_of(open("/dev/asynclazy", O_RDWR | O_CLOEXEC));
	for (i = 0; i < BATCH; i++) {
		s->wait[i] = (struct asynclazy_wait) {
			.size = sizeof(s->wait[i]), .flags = ASYNCLAZY_CLAIM_EVENT,
			.words = (uintptr_t)&s->word, .count = 1,
		};
		s->call[i] = (struct asynclazy_call) {
			.arg = (uintptr_t)&s->wait[i], .cmd = ASYNCLAZY_IOC_WAIT,
		};
	}
}

static void begin(struct stages *s, struct bench_result *r)
{
	uint64_t start = bench_now();
	unsigned int i;

	for (i = 0; i < WAITS; i++) {
		s->wait[0].cookie = i;
		call(s->client, ASYNCLAZY_IOC_WAIT, &s->wait[0], "WAIT");
	}
	bench_add(r, start, WAITS);
}

static void begin_many(struct stages *s, struct bench_result *r)
{
	struct asynclazy_batch b = {
		.size = sizeof(b), .calls = (uintptr_t)s->call, .count = BATCH,
	};
	uint64_t start = bench_now();
	unsigned int i, j;

	for (i = 0; i < WAITS; i += BATCH) {
		for (j = 0; j < BATCH; j++)
			s->wait[j].cookie = i + j;
		call(s->client, ASYNCLAZY_IOC_BATCH, &b, "BATCH");
	}
	bench_add(r, start, WAITS);
}

static void wake(struct stages *s, struct bench_result *r)
{
	struct asynclazy_wake w = { .size = sizeof(w), .count = ~0U };
	uint64_t start = bench_now();

	call(s->client, ASYNCLAZY_IOC_WAKE, &w, "WAKE");
	bench_add(r, start, WAITS);
	if (w.out_count != WAITS)
		bench_die("WAKE", -EPROTO);
}

static void read_all(struct stages *s, struct bench_result *r, unsigned int at_once)
{
	size_t want = at_once * sizeof(*s->events);
	uint64_t start = bench_now();
	unsigned int i;

	for (i = 0; i < WAITS; i += at_once)
		if (read(s->client, &s->events[i], want) != (ssize_t)want)
			bench_die("read", -errno);
	bench_add(r, start, WAITS);
}

/* The reader's side of a mapped ring: no call, and the event is looked at in place. */
static void ring_all(const struct stages *s, struct bench_result *r)
{
	static struct { uint64_t head, tail; } ring;
	const struct asynclazy_event *e;
	uint64_t start = bench_now(), sum = 0;
	unsigned int i;

	__atomic_store_n(&ring.tail, WAITS, __ATOMIC_RELEASE);
	for (i = 0; i < WAITS; i++) {
		if (__atomic_load_n(&ring.tail, __ATOMIC_ACQUIRE) == ring.head)
			break;
		e = &s->events[ring.head % RING];
		sum += e->cookie + e->result + e->attempt;
		__atomic_store_n(&ring.head, ring.head + 1, __ATOMIC_RELEASE);
	}
	bench_use(sum);
	ring.head = 0;
	bench_add(r, start, WAITS);
}

/* A call that does nothing, as it is and as a command of io_uring's, one and many. */
static void nops(struct bench_result *alone, struct bench_result *uring,
		 struct bench_result *uring_many)
{
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	unsigned int i, j, n;
	uint64_t start;
	int err;

	start = bench_now();
	for (i = 0; i < WAITS; i++)
		syscall(SYS_getppid);
	bench_add(alone, start, WAITS);
	err = io_uring_queue_init(BATCH, &ring, 0);
	if (err)
		bench_die("io_uring_queue_init", err);
	for (n = 1; n <= BATCH; n += BATCH - 1) {
		start = bench_now();
		for (i = 0; i < WAITS; i += n) {
			for (j = 0; j < n; j++) {
				sqe = io_uring_get_sqe(&ring);
				if (!sqe)
					bench_die("io_uring_get_sqe", -EBUSY);
				io_uring_prep_nop(sqe);
			}
			io_uring_submit_and_wait(&ring, n);
			for (j = 0; j < n && !io_uring_peek_cqe(&ring, &cqe); j++)
				io_uring_cqe_seen(&ring, cqe);
		}
		bench_add(n == 1 ? uring : uring_many, start, WAITS);
	}
	io_uring_queue_exit(&ring);
}

static void told(int err, size_t index, void *ctx)
{
	(void)err;
	(void)index;
	++*(unsigned int *)ctx;
}

static void library(struct alazy_cache *cache, struct bench_result *beginning,
		    struct bench_result *dispatch)
{
	struct alazy_futex f = { .word = alazy_word(cache, 0) };
	struct pollfd p = { .fd = alazy_fd(cache), .events = POLLIN };
	unsigned int i, n = 0;
	uint64_t start = bench_now();
	int err;

	for (i = 0; i < WAITS; i++) {
		err = alazy_futex_wait_async(cache, &f, 1, told, &n, NULL, NULL);
		if (err)
			bench_die("alazy_futex_wait_async", err);
	}
	bench_add(beginning, start, WAITS);
	alazy_futex_wake(cache, alazy_word(cache, 0), UINT32_MAX);
	start = bench_now();
	while (n < WAITS) {
		poll(&p, 1, -1);
		alazy_dispatch(cache);
	}
	bench_add(dispatch, start, WAITS);
}

void bench_stages(int runs)
{
	struct bench_result one = { .name = "begin a wait: WAIT" };
	struct bench_result many = { .name = "begin a wait: 256 in a BATCH" };
	struct bench_result woken = { .name = "wake, for each of 8,192" };
	struct bench_result read_1 = { .name = "read an event: one at a time" };
	struct bench_result read_16 = { .name = "read an event: 16 at a time" };
	struct bench_result read_256 = { .name = "read an event: 256 at a time" };
	struct bench_result in_ring = { .name = "look at an event in a mapped ring" };
	struct bench_result lib = { .name = "begin a wait: alazy_futex_wait_async()" };
	struct bench_result dispatch = { .name = "event to callback: alazy_dispatch()" };
	struct bench_result nop = { .name = "a system call that does nothing" };
	struct bench_result uring = { .name = "an io_uring command that does nothing" };
	struct bench_result uring_many = { .name = "the same, 256 at a time" };
	struct alazy_cache *cache = alazy_cache_open(NULL, NULL);
	static struct stages s;
	double whole, call_ns;

	if (!cache)
		bench_die("alazy_cache_open", -errno);
	printf("\nwhere the time of a wait goes\n");
	if (strcmp(alazy_backend(cache), "kernel")) {
		printf("not here: of the module\n");
		alazy_cache_close(cache);
		return;
	}
	stages_open(&s);
	while (runs--) {
		begin(&s, &one);
		wake(&s, &woken);
		read_all(&s, &read_1, 1);
		begin_many(&s, &many);
		wake(&s, &woken);
		read_all(&s, &read_256, BATCH);
		begin_many(&s, &many);
		wake(&s, &woken);
		read_all(&s, &read_16, 16);
		ring_all(&s, &in_ring);
		library(cache, &lib, &dispatch);
		nops(&nop, &uring, &uring_many);
	}
	whole = bench_report(&one, NULL, 0);
	bench_report(&many, one.name, whole);
	bench_report(&woken, one.name, whole);
	bench_report(&read_1, one.name, whole);
	bench_report(&read_16, one.name, whole);
	bench_report(&read_256, one.name, whole);
	bench_report(&in_ring, one.name, whole);
	bench_report(&lib, one.name, whole);
	bench_report(&dispatch, one.name, whole);
	call_ns = bench_report(&nop, NULL, 0);
	bench_report(&uring, nop.name, call_ns);
	bench_report(&uring_many, nop.name, call_ns);
	close(s.client);
	alazy_cache_close(cache);
}
