/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the parent share. */
#ifndef UAPI_FUZZ_PARENT_H
#define UAPI_FUZZ_PARENT_H

#include "fuzz.h"

#define EDGES_MAX	1024

/* Some edges: pairs of basic blocks that came one after the other. */
struct edges {
	u32 n;
	u32 edge[EDGES_MAX];
};

/* batch.c */
int batch_setup(bool blind, u32 watchdog);
int batch_run(const struct program *p, u32 n);
void batch_show(FILE *out, bool results);
int batch_leaks(void);
u64 batch_executed(void);
u64 batch_calls(void);
void batch_end(void);
void batch_watch_kernel(void);

/* cover.c */
int cover_setup(void);
void cover_batch(void);
u32 cover_program(u32 k, struct edges *fresh);
bool cover_has(u32 k, const struct edges *want);
void cover_add(const struct edges *edges);
void cover_fresh(const struct edges *of, struct edges *fresh);
u32 cover_edges(void);
u32 cover_blocks(void);
void cover_forget(void);

/* corpus.c */
int corpus_load(const char *path);
u32 corpus_size(void);
const struct program *corpus_pick(void);
const struct program *corpus_at(u32 i);
void corpus_add(const struct program *p);
int corpus_minimise(struct program *p, const struct edges *want);
int corpus_distill(FILE *out, u32 max);

#endif
