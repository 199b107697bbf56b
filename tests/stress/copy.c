// SPDX-License-Identifier: GPL-2.0-only
/*
 * A publish whose copy can be cut: the second half of the value is in pages
 * that are missing until a thread of this process provides them, as slowly as
 * it likes. A kill that comes meanwhile ends the copy in its middle. The thread
 * sets PHASE_COPY only while a fault of the copy waits for it.
 */
#include "storm.h"

#include <sys/syscall.h>
#include <linux/userfaultfd.h>

static int copy_userfaultfd(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, UFFDIO_API, &api)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

bool copy_can_cut(void)
{
	int fd = copy_userfaultfd();

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

struct copy {
	int fd;
	const char *data;	/* the whole value, rounded up to pages */
	char *at;		/* where it is copied from */
	size_t size;
	__u64 rng;
};

static void *copy_provide(void *arg)
{
	struct copy *c = arg;
	struct uffd_msg msg;

	while (read(c->fd, &msg, sizeof(msg)) == sizeof(msg)) {
		size_t page = (msg.arg.pagefault.address & ~4095ULL) - (uintptr_t)c->at;
		struct uffdio_copy copy = {
			.dst = (uintptr_t)c->at + page,
			.src = (uintptr_t)c->data + page,
			.len = 4096,
		};
		struct timespec t = { .tv_nsec = alz_rand(&c->rng) % 5000000 };

		phase(PHASE_COPY);
		count(&storm->totals.cuts);
		if (!calm() && alz_rand(&c->rng) % 4 == 0)
			nanosleep(&t, NULL);
		phase(PHASE_PUBLISH);
		/* now and then the rest at once */
		if (alz_rand(&c->rng) % 4 == 0 || calm())
			copy.len = c->size - page;
		ioctl(c->fd, UFFDIO_COPY, &copy);
	}
	return NULL;
}

/* As ticket_publish(); @data is at the start of a buffer of VALUE_MAX bytes. */
int copy_publish(const struct held *h, const void *data, size_t size)
{
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct copy c = { .data = data, .size = (size + 4095) & ~4095UL, .rng = rnd(~0ULL) };
	size_t half = size / 2 & ~4095UL;
	pthread_t thread;
	int err = -EFAULT;

	c.at = mmap(NULL, c.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c.at == MAP_FAILED)
		return ticket_publish(h, data, size);
	memcpy(c.at, data, half);
	c.fd = copy_userfaultfd();
	reg.range.start = (uintptr_t)c.at + half;
	reg.range.len = c.size - half;
	if (c.fd < 0 || ioctl(c.fd, UFFDIO_REGISTER, &reg) ||
	    pthread_create(&thread, NULL, copy_provide, &c)) {
		err = ticket_publish(h, data, size);
		goto out;
	}
	err = ticket_publish(h, c.at, size);
	pthread_cancel(thread);
	pthread_join(thread, NULL);
out:
	if (c.fd >= 0)
		close(c.fd);
	munmap(c.at, c.size);
	return err;
}

/* A publish whose copy ends at a page that is not there: -EFAULT. */
int copy_bad(const struct held *h, const void *data, size_t size)
{
	size_t half = (size / 2 + 4095) & ~4095UL;
	char *at = mmap(NULL, half + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	size_t from;
	int err;

	if (at == MAP_FAILED)
		return ticket_publish(h, data, size);
	munmap(at + half, 4096);
	from = half - size / 2;
	memcpy(at + from, data, size / 2);
	err = ticket_publish(h, at + from, size);
	/* somebody may have mapped something there: only for reading is it safe */
	if (!err)
		wrong(WRONG_ANSWER, "a value with a hole of %zu bytes was published", size / 2);
	munmap(at, half);
	return err;
}
