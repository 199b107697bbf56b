// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Keys. Three kinds share a cache and never meet: a text of the user's has no
 * NUL, a command's has some but starts with the directory, a hash starts with
 * a NUL.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "key.h"

#define KEY_MAX		4096	/* bytes that a cache takes */

static const char hash_prefix[] = "\0xxh3-128";

static int key_shorten(struct buf *key)
{
	XXH128_canonical_t hash;

	if (key->size <= KEY_MAX)
		return 0;
	XXH128_canonicalFromHash(&hash, XXH3_128bits(key->data, key->size));
	key->size = 0;
	/* with the NUL at its end: what follows is binary */
	return buf_add(key, hash_prefix, sizeof(hash_prefix)) ?:
	       buf_add(key, &hash, sizeof(hash));
}

int key_of_command(char *const *argv, struct buf *key)
{
	char *cwd = getcwd(NULL, 0);
	int err;

	if (!cwd)
		return -errno;
	err = buf_add(key, cwd, strlen(cwd) + 1);
	free(cwd);
	while (!err && *argv) {
		err = buf_add(key, *argv, strlen(*argv) + 1);
		argv++;
	}
	return err ?: key_shorten(key);
}

int key_of_text(const char *text, struct buf *key)
{
	return buf_add(key, text, strlen(text)) ?: key_shorten(key);
}
