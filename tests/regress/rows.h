/* SPDX-License-Identifier: GPL-2.0-only */
/* The table: one row for each bug of an ancestor. */
#ifndef REGRESS_ROWS_H
#define REGRESS_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "subject.h"

/* What one implementation did in one row. */
struct verdict {
	bool held;		/* the property */
	char did[160];
};

void verdict(struct verdict *v, bool held, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

struct row {
	const char *name;
	const struct subject *ancestor;
	const struct subject *ours;
	void (*run)(const struct subject *s, void *obj, struct verdict *v);
};

extern const struct row rows[];
extern const unsigned int nr_rows;

#endif /* REGRESS_ROWS_H */
