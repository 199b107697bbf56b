/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A buffer that grows. */
#ifndef ALAZY_BUF_H
#define ALAZY_BUF_H

#include <stddef.h>
#include <sys/types.h>

struct buf {
	char *data;
	size_t size;
	size_t room;
};

int buf_add(struct buf *buf, const void *data, size_t size);	/* 0, -ENOMEM */
/* One read(2) onto the end: bytes, 0 at the end of file, -errno. */
ssize_t buf_read(struct buf *buf, int fd);
void buf_free(struct buf *buf);

#endif /* ALAZY_BUF_H */
