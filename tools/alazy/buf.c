// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A buffer that grows. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"

#define READ_SIZE	65536	/* what a pipe holds */

static int buf_reserve(struct buf *buf, size_t more)
{
	size_t room = buf->room ? buf->room : 256;
	char *data;

	if (more <= buf->room - buf->size)
		return 0;
	while (room - buf->size < more) {
		if (room > (size_t)-1 / 2)
			return -ENOMEM;
		room *= 2;
	}
	data = realloc(buf->data, room);
	if (!data)
		return -ENOMEM;
	buf->data = data;
	buf->room = room;
	return 0;
}

int buf_add(struct buf *buf, const void *data, size_t size)
{
	int err = buf_reserve(buf, size);

	if (err)
		return err;
	if (size)
		memcpy(buf->data + buf->size, data, size);
	buf->size += size;
	return 0;
}

ssize_t buf_read(struct buf *buf, int fd)
{
	int err = buf_reserve(buf, READ_SIZE);
	ssize_t n;

	if (err)
		return err;
	n = read(fd, buf->data + buf->size, READ_SIZE);
	if (n < 0)
		return -errno;
	buf->size += n;
	return n;
}

void buf_free(struct buf *buf)
{
	free(buf->data);
	memset(buf, 0, sizeof(*buf));
}
