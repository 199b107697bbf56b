/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The cache that results are kept in. */
#ifndef ALAZY_STORE_H
#define ALAZY_STORE_H

#include <stdbool.h>

struct alazy_cache;

struct store {
	const char *name;
	bool own;		/* the default one: ours to renew */
	bool renewed;
	char default_name[32];
	struct alazy_cache *cache;
};

void store_default(struct store *store);	/* its name */
int store_open(struct store *store);		/* 0, or an exit status: it has said why */
void store_close(struct store *store);

/*
 * A cache of this version never gives room back. When the default one is full,
 * its name goes to a new one, once, whoever notices first; those who still have
 * the old one finish there.
 */
void store_renew_name(const struct store *store);
/* Go on in a new cache, once. False: that was no help. */
bool store_move(struct store *store);

#endif /* ALAZY_STORE_H */
