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

/* Return: 1 ok, 0 not ok, -1 skipped */
static int row_run(const struct row *row, unsigned int n)
{
	struct verdict ancestor, ours = { .held = true, .did = "" };
	bool ok;

	if (row->later) {
		printf("ok %u %s # SKIP %s\n", n, row->name, row->later);
		return -1;
	}
	ancestor = run(row, row->ancestor);
	if (!row->ours_later)
		ours = run(row, row->ours);
	ok = !ancestor.held && ours.held;
	if (ok && row->ours_later)
		printf("ok %u %s # SKIP ours %s; ancestor: %s\n", n, row->name, row->ours_later,
		       ancestor.did);
	else
		printf("%sok %u %s # ancestor: %s%s; ours: %s%s\n", ok ? "" : "not ", n, row->name,
		       ancestor.did, ancestor.held ? " (it was to fail)" : "", ours.did,
		       ours.held ? "" : " (wrong)");
	return ok && row->ours_later ? -1 : ok;
}

int main(int argc, char **argv)
{
	unsigned int count[3] = { 0 }, i;	/* skipped, failed, passed */

	if (argc > 1) {
		printf("usage: regress\nRuns the rows; ALAZY_BACKEND=local|kernel says on what.\n");
		return strcmp(argv[1], "--help") ? 2 : 0;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	alarm(WATCHDOG);
	printf("TAP version 13\n1..%u\n", nr_rows);
	printf("# ours is on the %s backend\n", ours_on_kernel() ? "kernel" : "local");
	for (i = 0; i < nr_rows; i++)
		count[row_run(&rows[i], i + 1) + 1]++;
	printf("# totals: pass:%u fail:%u skip:%u\n", count[2], count[1], count[0]);
	return count[1] ? 1 : 0;
}
