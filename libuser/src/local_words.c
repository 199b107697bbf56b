// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* WAIT and WAKE of the local backend: what kmod/call_word.c does, in this process. */
#include "local.h"

/* What is at an address is this process's alone: one object for all of them. */
static const char alz_local_memory;

static int alz_local_word_at(const struct alz_local_client *client, u64 word, u32 flags,
			     struct alz_word_at *at)
{
	if (flags & ASYNCLAZY_WORD_ADDRESS) {
		at->object = &alz_local_memory;
		at->offset = word;
		at->address = (const u32 *)(uintptr_t)word;
		return 0;
	}
	if (!alz_word_valid(&client->shared->core, word))
		return -EINVAL;
	at->offset = word * sizeof(u32);
	return 0;
}

static int alz_local_word_block(struct alz_local_client *client, struct alz_word_wait *q,
				struct asynclazy_wait *w)
{
	struct alz_local_sleeper *s = alz_local_sleeper_new();
	struct alz_answer answer;
	int err;

	if (!s)
		return -ENOMEM;
	q->waiter = &s->waiter;
	err = alz_word_wait(&client->core, q, &w->out_index);
	if (!err) {
		err = alz_local_sleep(client, s, w->deadline, 0, &answer);
		w->out_result = ASYNCLAZY_RESULT_WOKEN;
		w->out_index = err ? 0 : answer.attempt;
	}
	alz_local_sleeper_free(s);
	return err;
}

static int alz_local_word_fd(struct alz_local_client *client, struct alz_word_wait *q,
			     struct asynclazy_wait *w)
{
	struct alz_local_wait *wait = alz_local_wait_new(&q->waiter);
	int err;

	if (!wait)
		return -errno;
	err = alz_local_wait_add(client, wait);
	if (!err)
		err = alz_word_wait(&client->core, q, &w->out_index);
	if (err)
		alz_local_wait_discard(client, wait);
	else
		w->out_fd = alz_local_wait_fd(wait);
	return err;
}

/** alz_local_word_wait() - WAIT, by the library, which has seen to the arguments */
int alz_local_word_wait(struct alz_local_client *client, struct asynclazy_wait *w)
{
	const struct asynclazy_word *words = (const void *)(uintptr_t)w->words;
	struct alz_word_at at[ASYNCLAZY_WORDS_PER_WAIT];
	struct alz_word_wait q = { .at = at, .count = w->count, .cookie = w->cookie };
	int err = 0;
	u32 i;

	for (i = 0; i < w->count && !err; i++) {
		at[i] = (struct alz_word_at) { 0 };
		err = alz_local_word_at(client, words[i].word, words[i].flags, &at[i]);
		at[i].expected = words[i].expected;
	}
	if (err)
		return err;
	w->out_fd = -1;
	w->out_index = 0;
	w->out_result = ASYNCLAZY_RESULT_PENDING;
	if (w->flags & ASYNCLAZY_CLAIM_BLOCK) {
		q.kind = ALZ_WAIT_BLOCK;
		err = alz_local_word_block(client, &q, w);
	} else if (w->flags & ASYNCLAZY_CLAIM_FD) {
		q.kind = ALZ_WAIT_FD;
		err = alz_local_word_fd(client, &q, w);
	} else {
		q.kind = ALZ_WAIT_EVENT;
		err = alz_word_wait(&client->core, &q, &w->out_index);
	}
	if (err == 1) {
		w->out_result = ASYNCLAZY_RESULT_CHANGED;
		err = 0;
	}
	return err;
}

/** alz_local_word_wake() - WAKE */
int alz_local_word_wake(struct alz_local_client *client, struct asynclazy_wake *w)
{
	struct alz_word_at at = { 0 };
	int err;

	if (client->readonly)
		return -EACCES;
	err = alz_local_word_at(client, w->word, w->flags, &at);
	if (!err)
		w->out_count = alz_word_wake(&client->core, &at, w->count);
	return err;
}
