/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Which key a command's result is kept under. */
#ifndef ALAZY_KEY_H
#define ALAZY_KEY_H

#include "buf.h"

/* The working directory and every argument, each ended by NUL. 0, -errno. */
int key_of_command(char *const *argv, struct buf *key);
/* The text itself. 0, -ENOMEM. */
int key_of_text(const char *text, struct buf *key);

#endif /* ALAZY_KEY_H */
