/* SPDX-License-Identifier: GPL-2.0-only */
/* WAIT and WAKE as functions, and the pages of words of a client. */
#ifndef KSELFTEST_WORD_H
#define KSELFTEST_WORD_H

#include <sched.h>

#include "alz.h"

#define WORDS	1024

struct words {
	__u32 *words;
	const __u32 *waiting;
	__u32 *held;
};

static inline int words_map(struct words *w, int client)
{
	w->words = mmap(NULL, WORDS * 4, PROT_READ | PROT_WRITE, MAP_SHARED, client,
			ASYNCLAZY_OFF_WORDS);
	w->waiting = mmap(NULL, WORDS * 4, PROT_READ, MAP_SHARED, client,
			  ASYNCLAZY_OFF_WAITING);
	w->held = mmap(NULL, ASYNCLAZY_HELD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, client,
		       ASYNCLAZY_OFF_HELD);
	if (w->words == MAP_FAILED || w->waiting == MAP_FAILED || w->held == MAP_FAILED)
		return -errno;
	return 0;
}

static inline void words_unmap(struct words *w)
{
	munmap(w->words, WORDS * 4);
	munmap((void *)w->waiting, WORDS * 4);
	munmap(w->held, ASYNCLAZY_HELD_SIZE);
}

/* Until so many wait for a word. */
static inline bool words_await(const struct words *w, int word, __u32 n)
{
	__u64 until = alz_now() + ALZ_SOON_MS * ALZ_MSEC;

	/* so many it was at some moment: it may be others by now */
	while (__atomic_load_n(&w->waiting[word], __ATOMIC_SEQ_CST) != n) {
		if (alz_now() >= until)
			return false;
		sched_yield();
	}
	return true;
}

static inline int word_wait(int client, const struct asynclazy_word *words, __u32 count,
			    __u32 flags, __u64 cookie, __u64 deadline,
			    struct asynclazy_wait *q)
{
	*q = (struct asynclazy_wait){
		.size = sizeof(*q), .flags = flags, .words = (uintptr_t)words,
		.count = count, .cookie = cookie, .deadline = deadline,
	};
	ALZ_POISON_RANGE(q, out_result, out_fd);
	return alz_call(client, ASYNCLAZY_IOC_WAIT, q);
}

/* Return: 0: woken, or it has another value. */
static inline int word_block(int client, __u64 word, __u32 expected, __u64 deadline)
{
	struct asynclazy_word at = { word, expected, 0 };
	struct asynclazy_wait q;

	return word_wait(client, &at, 1, BLOCK, 0, deadline, &q);
}

static inline int word_event(int client, __u64 word, __u32 expected, __u64 cookie)
{
	struct asynclazy_word at = { word, expected, 0 };
	struct asynclazy_wait q;
	int err = word_wait(client, &at, 1, EVENT, cookie, 0, &q);

	return err ? err : q.out_result == ASYNCLAZY_RESULT_PENDING ? 0 : -EAGAIN;
}

static inline int word_wake_raw(int client, __u64 word, __u32 flags, __u32 n)
{
	struct asynclazy_wake w = {
		.size = sizeof(w), .flags = flags, .word = word, .count = n,
		.out_count = 0xa5a5a5a5,
	};
	int err = alz_call(client, ASYNCLAZY_IOC_WAKE, &w);

	return err ? err : (int)w.out_count;
}

static inline int word_wake(int client, __u64 word, __u32 n)
{
	return word_wake_raw(client, word, 0, n);
}

static inline int word_wake_at(int client, const __u32 *address, __u32 n)
{
	return word_wake_raw(client, (uintptr_t)address, ASYNCLAZY_WORD_ADDRESS, n);
}

#endif
