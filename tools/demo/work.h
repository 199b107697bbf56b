/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The expensive results. */
#ifndef DEMO_WORK_H
#define DEMO_WORK_H

#include <stddef.h>

enum { WORK_SHA256, WORK_DEFLATE };

#define VALUE_MAX	80	/* bytes of a result, with its NUL */
#define HASH_SIZE	32

extern const char *const work_names[];

/* The result as text. Return: its length; the program ends on an error. */
size_t work_do(int kind, const char *path, char value[VALUE_MAX]);

void work_hash(const void *data, size_t size, unsigned char hash[HASH_SIZE]);

#endif /* DEMO_WORK_H */
