/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* What the tests of caches that recycle share: numbered keys, readers, files. */
#ifndef ALZ_TEST_CORE_RECYCLE_UTIL_H
#define ALZ_TEST_CORE_RECYCLE_UTIL_H

#include "core_util.h"

#define SEGMENT		65536ULL
#define RECORD_MAX	(SEGMENT / 2)

/* key @i is set to @size bytes that are like no other key's */
int put(struct bench *b, u32 i, u64 size);
int put_for(struct bench *b, u32 i, u64 size, u64 ttl);
/* the key's name; good until the fourth call from now */
const char *name_of(u32 i);
/* where the key's record is, not marking it as read; or NO_RECORD */
u64 where(struct bench *b, u32 i);
/* it is there, with the bytes that put() wrote */
bool has(struct bench *b, u32 i);
bool bytes_are(struct bench *b, u64 offset, u32 i);
/* how many of the keys from @from up to @to are there, each with its bytes */
u32 count_keys(struct bench *b, u32 from, u32 to);
/* a reader's mark in VISITED; false if the key is not there */
bool visit(struct bench *b, u32 i);
/* keys from *@next on, until the next one needs reclaim */
void fill_up(struct bench *b, u32 *next, u64 size);
/* keys from *@next on until so many segments have been emptied since the start */
void churn(struct bench *b, u32 *next, u64 size, u64 reclaims);

struct alz_segment *segment_of(struct bench *b, u64 offset);
/* a pin, as a reader or the core sets it */
static inline u64 pin_of(u64 offset)
{
	return offset | ASYNCLAZY_PIN_SET;
}

/* @file counts who has it: alz_os_file_put() is one less */
struct alz_blob *blob_new(int *file, u64 size);
int publish_blob(struct bench *b, int who, u64 ticket, struct alz_blob *blob, bool keep,
		 u64 ttl, struct alz_reservation *r);
int set_blob(struct bench *b, int who, const char *key, struct alz_blob *blob, u64 ttl,
	     struct alz_reservation *r);
/* a new memfd of that size is set; the count of its file */
int put_blob(struct bench *b, const char *key, u64 size, int *file);
bool blob_is_found(struct bench *b, u64 generation);

#endif /* ALZ_TEST_CORE_RECYCLE_UTIL_H */
