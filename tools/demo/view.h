/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Stage one, as a person sees it. */
#ifndef DEMO_VIEW_H
#define DEMO_VIEW_H

#include "board.h"

enum key_state { KEY_EMPTY, KEY_INITIALISING, KEY_LOST, KEY_FILLED };

struct key_view {
	enum key_state state;
	pid_t pid;		/* who initialises, or did last */
	unsigned int waiting;
	unsigned int inits;
	uint64_t cpu;		/* of the one that published */
};

struct view {
	const struct crowd *crowd;
	struct key_view keys[MAX_KEYS];
	unsigned int answers;
	unsigned int done;
	unsigned int handovers;
	uint64_t start;
	uint64_t drawn;
	bool up;		/* a picture is on the screen */
};

/* Something changed: redraw, but not more often than an eye can follow. */
void view_changed(struct view *view);
/* ms until view_draw() is due even if nothing happens: a clock runs in it */
int view_due(const struct view *view);
void view_draw(struct view *view);
/* One line about a key, where there is no picture. */
void view_line(const struct view *view, unsigned int key, uint64_t at,
	       const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif /* DEMO_VIEW_H */
