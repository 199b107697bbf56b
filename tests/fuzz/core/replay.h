/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Running what is in files. */
#ifndef FUZZ_REPLAY_H
#define FUZZ_REPLAY_H

int replay_file(const char *path);	/* 0, or -1 with a message */
int replay_show(const char *path);	/* an exit status */

#endif
