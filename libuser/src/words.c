// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Waiting for words, and waking: in the call, and by a descriptor of its own.
 *
 * Whoever wakes has changed the word before. The count of those who wait is only
 * looked at after that, and a waiter is counted before the word is looked at: see
 * kmod/core/word.c. So a wake that finds nobody costs no call.
 */
#include <limits.h>

#include "words.h"

/** alz_word_name() - what a backend calls a word. Return: 0, or -EINVAL with its text */
int alz_word_name(const struct alazy_cache *cache, const u32 *word, struct asynclazy_word *w)
{
	u64 at = (uintptr_t)word - (uintptr_t)cache->words.words;

	if (!word || (uintptr_t)word % sizeof(*word))
		return alz_error(-EINVAL, "the word is at %p: it has to be a uint32_t, aligned as "
				 "such", (const void *)word);
	*w = (struct asynclazy_word){ 0 };
	if (cache->words.nr && at / sizeof(*word) < cache->words.nr) {
		w->word = at / sizeof(*word);
	} else {
		w->word = (uintptr_t)word;
		w->flags = ASYNCLAZY_WORD_ADDRESS;
	}
	return 0;
}

/* The same of @n words, with what is expected of them, into @w. */
static int alz_words_name(const struct alazy_cache *cache, const struct alazy_futex *words, size_t n,
		   struct asynclazy_word *w)
{
	size_t i;
	int err;

	if (!cache)
		return alz_key_check(NULL, NULL, 0);
	if (!words || !n || n > ALAZY_FUTEX_MAX)
		return alz_error(-EINVAL, "a wait is for 1 to %d words, this one for %zu",
				 ALAZY_FUTEX_MAX, words ? n : 0);
	for (i = 0; i < n; i++) {
		if (words[i].reserved)
			return alz_error(-EINVAL, "reserved of word %zu is not 0", i);
		err = alz_word_name(cache, words[i].word, &w[i]);
		if (err)
			return err;
		w[i].expected = words[i].expected;
	}
	return 0;
}

static int alz_words_changed(void)
{
	return alz_error(-EAGAIN, "a word has another value than expected: look at it, and wait "
			 "again if need be");
}

/**
 * alz_words_begin() - before a wait for words
 * @w: @n of them, what a backend calls them
 * @index: NULL, or on -EAGAIN: which one is not as expected already; no call has to be
 *	made for that
 *
 * Return: 0; -EAGAIN, -EINVAL, with the text.
 */
int alz_words_begin(struct alazy_cache *cache, const struct alazy_futex *words, size_t n,
		    struct asynclazy_word *w, size_t *index)
{
	size_t i;
	int err;

	err = alz_words_name(cache, words, n, w);
	for (i = 0; !err && i < n; i++) {
		if (alz_word_load(words[i].word) == words[i].expected)
			continue;
		if (index)
			*index = i;
		err = alz_words_changed();
	}
	return err;
}

/** alz_words_refused() - a backend has refused a wait or a wake. Return: @err */
int alz_words_refused(int err)
{
	switch (err) {
	case -EAGAIN:
		return alz_words_changed();
	case -ETIMEDOUT:
		return alz_error(err, "nobody has woken the word by the deadline");
	case -EACCES:
		return alz_error(err, "the cache is open read-only: words can be waited for, not "
				 "woken or locked");
	case -EINVAL:
		return alz_error(err, "no word can be there: it has to be in the cache's words, "
				 "or in memory that is not of a cache");
	case -EFAULT:
		return alz_error(err, "a word's memory cannot be read");
	case -EDQUOT:
		return alz_error(err, "this process has as many waits as it may (each word counts): "
				 "cancel some, or raise the module's quota");
	default:
		return alz_error_backend(err);
	}
}

/**
 * alz_words_wait() - wait in the call
 * @index: on 0 and -EAGAIN: which word it was
 *
 * Return: 0: woken; -EAGAIN: one is not as expected; another negative errno. No text.
 */
int alz_words_wait(struct alazy_cache *cache, const struct asynclazy_word *w, u32 n,
		   u64 deadline, u32 *index)
{
	struct asynclazy_wait q = {
		.size = sizeof(q),
		.flags = ASYNCLAZY_CLAIM_BLOCK,
		.words = (uintptr_t)w,
		.count = n,
		.deadline = deadline,
	};
	int err = alz_call(cache, ASYNCLAZY_IOC_WAIT, &q);

	*index = q.out_index;
	if (err)
		return err;
	return q.out_result == ASYNCLAZY_RESULT_CHANGED ? -EAGAIN : 0;
}

ALZ_PUBLIC int alazy_futex_wait_any(struct alazy_cache *cache, const struct alazy_futex *words,
				    size_t n, uint64_t deadline_ns, size_t *index)
{
	struct asynclazy_word w[ALAZY_FUTEX_MAX];
	u32 which;
	int err;

	err = alz_words_begin(cache, words, n, w, index);
	if (err)
		return err;
	err = alz_words_wait(cache, w, n, deadline_ns, &which);
	if ((!err || err == -EAGAIN) && index)
		*index = which;
	return err ? alz_words_refused(err) : alz_ok();
}

ALZ_PUBLIC int alazy_futex_wait(struct alazy_cache *cache, const uint32_t *word,
				uint32_t expected, uint64_t deadline_ns)
{
	struct alazy_futex f = { .word = word, .expected = expected };

	return alazy_futex_wait_any(cache, &f, 1, deadline_ns, NULL);
}

ALZ_PUBLIC int alazy_futex_wait_fd(struct alazy_cache *cache, const struct alazy_futex *words,
				   size_t n, size_t *index)
{
	struct asynclazy_word w[ALAZY_FUTEX_MAX];
	struct asynclazy_wait q = {
		.size = sizeof(q),
		.flags = ASYNCLAZY_CLAIM_FD,
		.words = (uintptr_t)w,
		.count = n,
	};
	int err;

	err = alz_words_begin(cache, words, n, w, index);
	if (err)
		return err;
	err = alz_call(cache, ASYNCLAZY_IOC_WAIT, &q);
	if (err)
		return alz_words_refused(err);
	if (q.out_result == ASYNCLAZY_RESULT_CHANGED) {
		if (index)
			*index = q.out_index;
		return alz_words_changed();
	}
	alz_ok();
	return q.out_fd;
}

ALZ_PUBLIC int alazy_futex_wait_read(struct alazy_cache *cache, int fd, size_t *index)
{
	struct alz_wait_event w = { 0 };
	int err;

	if (!cache)
		return alz_key_check(NULL, NULL, 0);
	err = alz_wait_read(cache, fd, &w, true);
	if (err)
		return err;
	if (index)
		*index = w.event.attempt;
	return alz_ok();
}

/**
 * alz_words_wake() - wake at most @n of those who wait for a word
 *
 * Return: how many; a negative errno, without its text.
 */
int alz_words_wake(struct alazy_cache *cache, const struct asynclazy_word *w, u32 n)
{
	struct asynclazy_wake q = {
		.size = sizeof(q),
		.flags = w->flags,
		.word = w->word,
		.count = n,
	};
	int err;

	if (alz_word_own(w)) {
		/* what the caller did to the word comes before, for all who wait */
		alz_os_fence();
		if (!alz_os_load_u32(&cache->words.waiting[w->word]))
			return 0;
	}
	err = alz_call(cache, ASYNCLAZY_IOC_WAKE, &q);
	if (err)
		return err;
	return q.out_count < INT_MAX ? (int)q.out_count : INT_MAX;
}

ALZ_PUBLIC int alazy_futex_wake(struct alazy_cache *cache, const uint32_t *word, uint32_t n)
{
	struct asynclazy_word w = { 0 };
	int woken;

	if (!cache)
		return alz_key_check(NULL, NULL, 0);
	woken = alz_word_name(cache, word, &w);
	if (woken)
		return woken;
	if (cache->flags & ALAZY_CACHE_READONLY)
		return alz_words_refused(-EACCES);
	woken = n ? alz_words_wake(cache, &w, n) : 0;
	if (woken < 0)
		return alz_words_refused(woken);
	alz_ok();
	return woken;
}

ALZ_PUBLIC uint64_t alazy_words(const struct alazy_cache *cache)
{
	alz_ok();
	return cache->words.nr;
}

ALZ_PUBLIC uint32_t *alazy_word(struct alazy_cache *cache, uint64_t index)
{
	if (!cache) {
		alz_key_check(NULL, NULL, 0);
		return NULL;
	}
	if (index >= cache->words.nr) {
		alz_error(-EINVAL, "the cache has %llu words, counted from 0: there is no word %llu; "
			  "how many it has is said when it is made (words)",
			  (unsigned long long)cache->words.nr, (unsigned long long)index);
		return NULL;
	}
	alz_ok();
	return &cache->words.words[index];
}
