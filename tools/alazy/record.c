// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The stored form of a result: a header, stdout, stderr. Native byte order: a
 * cache never leaves its host. Whoever may write to the cache can put anything
 * there, so that every length is checked before it is used.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "record.h"

#define RECORD_MAGIC	0x6e75527a6c410a00ULL	/* no text starts like that */
#define RECORD_VERSION	1

struct record_header {
	uint64_t magic;
	uint32_t version;
	uint16_t status;
	uint16_t signal;
	uint64_t out_size;
	uint64_t err_size;
};

int record_encode(const struct result *result, struct buf *record)
{
	struct record_header header = {
		.magic = RECORD_MAGIC,
		.version = RECORD_VERSION,
		.status = result->status,
		.signal = result->signal,
		.out_size = result->out_size,
		.err_size = result->err_size,
	};
	int err;

	err = buf_add(record, &header, sizeof(header));
	if (!err)
		err = buf_add(record, result->out, result->out_size);
	if (!err)
		err = buf_add(record, result->err, result->err_size);
	return err;
}

int record_decode(const void *data, size_t size, struct result *result)
{
	struct record_header header;

	if (size < sizeof(header))
		return -EPROTO;
	memcpy(&header, data, sizeof(header));
	size -= sizeof(header);
	if (header.magic != RECORD_MAGIC || header.version != RECORD_VERSION ||
	    header.status > 255 || header.signal > 127 ||
	    header.out_size > size || header.err_size != size - header.out_size)
		return -EPROTO;
	result->status = header.status;
	result->signal = header.signal;
	result->out = (const char *)data + sizeof(header);
	result->out_size = header.out_size;
	result->err = result->out + header.out_size;
	result->err_size = header.err_size;
	return 0;
}
