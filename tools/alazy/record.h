/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The result of a command, and how it lies in a cache. */
#ifndef ALAZY_RECORD_H
#define ALAZY_RECORD_H

#include "buf.h"

struct result {
	int status;		/* exit status, 0 to 255 */
	int signal;		/* that ended it, or 0 */
	const char *out;
	size_t out_size;
	const char *err;
	size_t err_size;
};

/* Appends the encoded result to @record. Return: 0, -ENOMEM. */
int record_encode(const struct result *result, struct buf *record);

/*
 * @result points into @data. Return: 0; -EPROTO if the bytes are no result that
 * record_encode() of this version made.
 */
int record_decode(const void *data, size_t size, struct result *result);

#endif /* ALAZY_RECORD_H */
