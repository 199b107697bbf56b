// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs the table: each row on the ancestor's logic, which must fail it, and on
 * ours, which must not.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rows.h"
#include "world.h"

#define WATCHDOG	120	/* seconds for all: only a hang of ours needs it */

const char *result_text(int result)
{
	static char text[64];

	switch (result) {
	case 0:
		return "got a value";
	case HANGS:
		return "hangs";
	case PANICS:
		return "panics";
	default:
		snprintf(text, sizeof(text), "got an error (%s)", strerror(-result));
		return text;
	}
}

int make_run(struct make *make, int *value)
{
	void (*during)(void *arg) = make->during;

	*value = make->value + (int)make->runs++;
	make->during = NULL;
	if (during)
		during(make->arg);
	return make->err;
}

static struct verdict run(const struct row *row, const struct subject *s)
{
	struct verdict v = { .held = true };
	void *obj;

	world_begin();
	obj = s->open();
	row->run(s, obj, &v);
	actors_settle(0);
	s->close(obj);
	return v;
}

static bool row_run(const struct row *row, unsigned int n)
{
	struct verdict ancestor = run(row, row->ancestor), ours = run(row, row->ours);
	bool ok = !ancestor.held && ours.held;

	printf("%sok %u %s # ancestor: %s%s; ours: %s%s\n", ok ? "" : "not ", n, row->name,
	       ancestor.did, ancestor.held ? " (it was to fail)" : "", ours.did,
	       ours.held ? "" : " (wrong)");
	return ok;
}

int main(int argc, char **argv)
{
	unsigned int failed = 0, i;

	if (argc > 1) {
		printf("usage: regress\nRuns the rows; ALAZY_BACKEND=local|kernel says on what.\n");
		return strcmp(argv[1], "--help") ? 2 : 0;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	alarm(WATCHDOG);
	printf("TAP version 13\n1..%u\n", nr_rows);
	printf("# ours is on the %s backend\n", ours_on_kernel() ? "kernel" : "local");
	for (i = 0; i < nr_rows; i++)
		failed += !row_run(&rows[i], i + 1);
	printf("# totals: pass:%u fail:%u skip:0\n", nr_rows - failed, failed);
	return failed != 0;
}
