/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The texts beside the errors that the core itself ends a claim with. */
#ifndef ALZ_CORE_TEXT_H
#define ALZ_CORE_TEXT_H

#include "core.h"

#define ALZ_TEXT_KEY	48	/* bytes of a key that are told */

/* Text of a fixed size, cut where it is full. */
struct alz_text {
	u8 *at;
	u8 *end;
};

static inline void alz_text_put(struct alz_text *t, const char *s)
{
	for (; *s && t->at < t->end; s++)
		*t->at++ = *s;
}

static inline void alz_text_key(struct alz_text *t, const struct alz_flight *f)
{
	const u8 *key = f->key;
	u32 i;

	for (i = 0; i < f->key_size && i < ALZ_TEXT_KEY && t->at < t->end; i++)
		*t->at++ = key[i] >= ' ' && key[i] < 0x7f ? key[i] : '?';
	if (f->key_size > ALZ_TEXT_KEY)
		alz_text_put(t, "...");
}

static inline void alz_text_number(struct alz_text *t, u32 n)
{
	char digits[11];
	char *p = digits + sizeof(digits) - 1;

	*p = 0;
	do {
		*--p = '0' + n % 10;
		n /= 10;
	} while (n);
	alz_text_put(t, p);
}

#endif
