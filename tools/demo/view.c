// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Stage one, as a person sees it: a table that is redrawn, or lines. */
#include <stdarg.h>
#include <stdio.h>

#include "view.h"

#define FRAME_NS	100000000ULL	/* not more often */
#define IDLE_MS		250		/* not less often */
#define BAR		32

static void draw_key(const struct key *key, const struct key_view *k)
{
	char state[64];

	switch (k->state) {
	case KEY_EMPTY:
		snprintf(state, sizeof(state), "empty");
		break;
	case KEY_INITIALISING:
		snprintf(state, sizeof(state), "initialising by %d%s", k->pid,
			 k->inits > 1 ? " now" : "");
		break;
	case KEY_LOST:
		snprintf(state, sizeof(state), "%d was killed", k->pid);
		break;
	case KEY_FILLED:
		snprintf(state, sizeof(state), "filled by %d", k->pid);
		break;
	}
	printf("  %-7s %-26.26s  %-24s %7u %5u", work_names[key->kind],
	       base_name(key->path), state, k->waiting, k->inits);
	if (k->state == KEY_FILLED)
		printf(" %7.2f s", seconds(k->cpu));
	printf("\033[K\n");
}

static void draw_bar(const struct view *view)
{
	unsigned int all = view->crowd->nr_keys * (view->crowd->demo->workers - 1);
	unsigned int filled = view->answers * BAR / all, i;

	printf("\033[K\n  answers [");
	for (i = 0; i < BAR; i++)
		putchar(i < filled ? '#' : '.');
	printf("] %u   processes done %u   initialisations %u   hand-overs %u   %.1f s\033[K\n",
	       view->answers, view->done, atomic_load(&view->crowd->board->inits),
	       view->handovers, seconds(now_ns() - view->start));
}

void view_draw(struct view *view)
{
	const struct crowd *crowd = view->crowd;
	unsigned int i;

	if (!crowd->demo->live || !view->start)
		return;
	if (view->up)
		printf("\033[%uA", crowd->nr_keys + 3);
	printf("  %-34s  %-24s %7s %5s %9s\033[K\n", "result", "state", "waiting",
	       "runs", "CPU time");
	for (i = 0; i < crowd->nr_keys; i++)
		draw_key(&crowd->keys[i], &view->keys[i]);
	draw_bar(view);
	fflush(stdout);
	view->up = true;
	view->drawn = now_ns();
}

void view_changed(struct view *view)
{
	if (now_ns() - view->drawn >= FRAME_NS)
		view_draw(view);
}

int view_due(const struct view *view)
{
	return view->crowd->demo->live ? IDLE_MS : STUCK_MS;
}

void view_line(const struct view *view, unsigned int key, uint64_t at,
	       const char *format, ...)
{
	const struct key *k = &view->crowd->keys[key];
	va_list args;

	if (view->crowd->demo->live)
		return;
	printf("  %6.2f s  %-7s %-26.26s  ", seconds(at - view->start),
	       work_names[k->kind], base_name(k->path));
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}
