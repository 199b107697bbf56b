/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A call whose struct can no longer be written when it has its answer: the kernel
 * comes to read what the struct points to, for which it has to wait, and meanwhile
 * the page of the struct changes.
 */
#ifndef KSELFTEST_LATE_FAULT_H
#define KSELFTEST_LATE_FAULT_H

#include <sys/syscall.h>
#include <linux/userfaultfd.h>

#include "alz.h"

struct late_fault {
	int uffd;
	char *missing;		/* a page that is not there */
	char *page;		/* has the struct */
	const void *data;	/* what will be on the missing page */
	size_t size;
};

/* Return: 0, or why there is no userfaultfd here */
static inline int late_fault_open(struct late_fault *l, char *page)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register r = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	l->page = page;
	l->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (l->uffd < 0)
		return -errno;
	l->missing = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	if (l->missing == MAP_FAILED)
		return -errno;
	r.range.start = (uintptr_t)l->missing;
	r.range.len = 4096;
	if (ioctl(l->uffd, UFFDIO_API, &api) || ioctl(l->uffd, UFFDIO_REGISTER, &r))
		return -errno;
	return 0;
}

static inline void *late_fault_serve(void *arg)
{
	static char data[4096] __attribute__((aligned(4096)));
	struct late_fault *l = arg;
	struct uffdio_copy copy = {
		.dst = (uintptr_t)l->missing, .src = (uintptr_t)data, .len = sizeof(data),
	};
	struct uffd_msg msg;

	if (read(l->uffd, &msg, sizeof(msg)) != sizeof(msg))
		return NULL;
	memcpy(data, l->data, l->size);
	mprotect(l->page, 4096, PROT_READ);
	ioctl(l->uffd, UFFDIO_COPY, &copy);
	return NULL;
}

/* The call by the struct on l->page; @data is what it finds at l->missing. */
static inline int late_fault_call(struct late_fault *l, int fd, unsigned int cmd,
				  const void *data, size_t size)
{
	pthread_t thread;
	int err;

	l->data = data;
	l->size = size;
	if (madvise(l->missing, 4096, MADV_DONTNEED) ||
	    pthread_create(&thread, NULL, late_fault_serve, l))
		return -EAGAIN;
	err = alz_call(fd, cmd, l->page);
	pthread_join(thread, NULL);
	mprotect(l->page, 4096, PROT_READ | PROT_WRITE);
	return err;
}

#endif
