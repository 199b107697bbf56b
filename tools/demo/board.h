/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Stage one: what its workers and their parent tell each other. */
#ifndef DEMO_BOARD_H
#define DEMO_BOARD_H

#include <stdatomic.h>
#include <sys/types.h>

#include "demo.h"
#include "work.h"

struct key {
	int kind;		/* WORK_* */
	const char *path;
	char name[512];		/* the key in the cache */
};

/* What a worker got: the parent compares it with what it should be. */
struct answer {
	size_t size;
	unsigned char hash[HASH_SIZE];
};

/* Shared memory: the workers count here, each request when it is made. */
struct board {
	atomic_uint requests[MAX_KEYS];
	atomic_uint inits;
	atomic_bool victim_taken;
	struct answer answers[MAX_WORKERS][MAX_KEYS];
};

enum event_kind {
	EVENT_READY,		/* attached, at the barrier */
	EVENT_INIT,		/* initialises; @amount: owners before */
	EVENT_HELD,		/* the same, and stays there until it is killed */
	EVENT_FILLED,		/* has published; @amount: ns of CPU time */
	EVENT_WAITING,		/* is on the queue of who initialises */
	EVENT_GOT,		/* has the value; @amount: it had to wait */
	EVENT_DONE,		/* has all values */
	EVENT_ERROR,		/* @amount: errno */
};

/* From the workers, through one pipe: small enough to be written in one go. */
struct event {
	uint32_t kind;
	uint32_t worker;
	uint32_t key;
	pid_t pid;
	uint64_t at;		/* CLOCK_MONOTONIC */
	uint64_t amount;
};

struct crowd {
	const struct demo *demo;
	struct key keys[MAX_KEYS];
	unsigned int nr_keys;
	unsigned int victim;	/* the key whose first initialiser is killed */
	char cache_name[64];
	struct board *board;
	int events[2];		/* workers -> parent */
	int barrier[2];		/* ends: go */
};

/* A worker's whole life; returns its exit status. */
int worker_main(const struct crowd *crowd, unsigned int me);

#endif /* DEMO_BOARD_H */
