// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Words: waits for a u32 that clients write, as futex(2) has them, on the same
 * waiters as the waits for keys.
 *
 * A word is one of the cache's own, or a place in an object that the side knows. It
 * is here only while somebody waits for it, or has been woken and not been told yet:
 * if that one goes, the wake goes on to the next.
 *
 * No wake is lost:
 *
 *	wait                               wake
 *	on the queue, counted in waiting   the word gets its new value
 *	full barrier                       full barrier
 *	look at the word                   look at waiting: nobody? no call
 *
 * Either the waiter sees the new value, or the waker sees the waiter; and the call
 * that wakes has to take the lock that the waiter looked under.
 */
#include "core.h"

/* What a wait may need memory for, which is taken without the lock. */
struct alz_word_spares {
	struct alz_list words;
	u32 nr;
	u32 need;		/* how many are not there */
	struct alz_waiter *waiter;	/* or the caller's */
	struct alz_word_entry *many;	/* of more than one word */
};

/** alz_words_size() - bytes of pages for so many words */
u64 alz_words_size(u64 words)
{
	u64 size = words * sizeof(u32);

	return (size + ASYNCLAZY_HEADER_SIZE - 1) & ~(ASYNCLAZY_HEADER_SIZE - 1ULL);
}

/** alz_words_init() - also without words a cache has waits for others. Return: 0, -ENOMEM */
int alz_words_init(struct alz_cache *cache, u64 words)
{
	u64 size = alz_words_size(words);

	cache->woken = alz_flight_new("", 1, 0);
	if (!cache->woken)
		return -ENOMEM;
	cache->woken->ended = true;
	cache->woken->result = ASYNCLAZY_RESULT_WOKEN;
	cache->woken->offset = ASYNCLAZY_NO_RECORD;
	if (!words)
		return 0;
	cache->nr_words = words;
	cache->words = alz_os_pages_alloc(size);
	cache->waiting = alz_os_pages_alloc(size);
	return cache->words && cache->waiting ? 0 : -ENOMEM;
}

/** alz_words_fini() - all clients have detached */
void alz_words_fini(struct alz_cache *cache)
{
	u64 size = alz_words_size(cache->nr_words);

	if (cache->waiting)
		alz_os_pages_free(cache->waiting, size);
	if (cache->words)
		alz_os_pages_free(cache->words, size);
	alz_flight_put(cache->woken);
}

/** alz_word_valid() - whether the cache has a word of this number */
bool alz_word_valid(const struct alz_cache *cache, u64 index)
{
	return index < cache->nr_words;
}

static struct alz_list *alz_word_chain(struct alz_cache *cache, const void *object, u64 offset)
{
	u64 hash = alz_mix(cache, alz_mix(cache, (uintptr_t)object) + offset);

	return &cache->words_by_place[hash & cache->flight_mask];
}

static struct alz_word *alz_word_find(struct alz_cache *cache, const void *object, u64 offset)
{
	struct alz_list *head = alz_word_chain(cache, object, offset);
	struct alz_list *at;

	ALZ_MUST_HOLD(&cache->lock);
	for (at = head->next; at != head; at = at->next) {
		struct alz_word *word = alz_entry(at, struct alz_word, chain);

		if (word->object == object && word->offset == offset)
			return word;
	}
	return NULL;
}

/* What readers see of how many wait; nobody sees it of another's object. */
static void alz_word_count(struct alz_cache *cache, const struct alz_word *word, u32 by)
{
	u32 *waiting;

	if (word->object)
		return;
	waiting = &cache->waiting[word->offset / sizeof(u32)];
	alz_os_store_u32(waiting, *waiting + by);
}

static void alz_word_put(struct alz_word *word)
{
	if (--word->refs)
		return;
	alz_list_del(&word->chain);
	if (word->file)
		alz_os_file_put(word->file);
	alz_os_free(word);
}

/* The word at a place; it is made of a spare if it is not there. */
static struct alz_word *alz_word_get(struct alz_cache *cache, struct alz_word_at *at,
				     struct alz_word_spares *spares)
{
	struct alz_word *word = alz_word_find(cache, at->object, at->offset);

	if (!word) {
		word = alz_entry(spares->words.next, struct alz_word, chain);
		alz_list_del(&word->chain);
		spares->nr--;
		word->object = at->object;
		word->offset = at->offset;
		word->file = at->file;
		at->file = NULL;
		alz_list_add_tail(&word->chain,
				  alz_word_chain(cache, at->object, at->offset));
	}
	word->refs++;
	return word;
}

static struct alz_word_entry *alz_word_entries(struct alz_waiter *w)
{
	return w->words > 1 ? w->many : &w->one;
}

static void alz_word_join(struct alz_cache *cache, struct alz_waiter *w,
			  struct alz_word_entry *e, struct alz_word *word)
{
	e->waiter = w;
	e->word = word;
	e->turn = cache->word_turn;
	alz_list_add_tail(&e->link, &word->waiters);
	alz_word_count(cache, word, 1);
}

/* Off the queue of its word, if it is on it; the word stays. */
static void alz_word_unqueue(struct alz_cache *cache, struct alz_word_entry *e)
{
	if (alz_list_empty(&e->link))
		return;
	alz_list_del(&e->link);
	alz_word_count(cache, e->word, -1);
}

/* The wait behind @e is over, by way of @e: the others are of no use any more. */
static void alz_word_woken(struct alz_cache *cache, struct alz_word_entry *e)
{
	struct alz_waiter *w = e->waiter;
	struct alz_word_entry *entries = alz_word_entries(w);
	u32 i;

	for (i = 0; i < w->words; i++) {
		alz_word_unqueue(cache, &entries[i]);
		if (&entries[i] == e)
			continue;
		alz_word_put(entries[i].word);
		entries[i].word = NULL;
	}
	w->attempt = e - entries;
	w->woken = true;
	alz_wait_deliver(w, ALZ_ENDED);
}

static void alz_word_wake_one(struct alz_cache *cache, struct alz_word *word)
{
	if (!alz_list_empty(&word->waiters))
		alz_word_woken(cache, alz_entry(word->waiters.next, struct alz_word_entry,
						link));
}

/** alz_word_wake_own() - wake the first who waits for a word of the cache */
void alz_word_wake_own(struct alz_cache *cache, u64 index)
{
	struct alz_word *word = alz_word_find(cache, NULL, index * sizeof(u32));

	if (word)
		alz_word_wake_one(cache, word);
}

/**
 * alz_word_leave() - a wait for words is being dropped
 * @cache: the cache
 * @w: it may have been woken; if nobody was told of that, the next one is woken
 */
void alz_word_leave(struct alz_cache *cache, struct alz_waiter *w)
{
	struct alz_word_entry *entries = alz_word_entries(w);
	bool untold = w->woken && !w->reported && w->kind != ALZ_WAIT_BLOCK;
	u32 i;

	ALZ_MUST_HOLD(&cache->lock);
	for (i = 0; i < w->words; i++) {
		struct alz_word *word = entries[i].word;

		if (!word)
			continue;
		alz_word_unqueue(cache, &entries[i]);
		entries[i].word = NULL;
		if (untold)
			alz_word_wake_one(cache, word);
		alz_word_put(word);
	}
	if (w->words > 1)
		alz_os_free(w->many);
}

static bool alz_word_value(struct alz_cache *cache, const struct alz_word_at *at, u32 *value)
{
	if (at->object)
		return alz_os_load_word(at->address, value);
	*value = alz_os_load_u32(&cache->words[at->offset / sizeof(u32)]);
	return true;
}

/* Return: 0: all are as expected; 1: @changed is not; -EFAULT: it cannot be seen now. */
static int alz_words_look(struct alz_cache *cache, const struct alz_word_wait *q, u32 *changed)
{
	u32 value, i;

	for (i = 0; i < q->count; i++) {
		if (!alz_word_value(cache, &q->at[i], &value))
			return -EFAULT;
		if (value != q->at[i].expected) {
			*changed = i;
			return 1;
		}
	}
	return 0;
}

/* All that can be refused, before anything is changed. */
static int alz_word_check(struct alz_client *client, const struct alz_word_wait *q,
			  struct alz_word_spares *spares)
{
	u32 i;

	if (client->nr_waits + q->count > client->max_waits)
		return -EDQUOT;
	if (q->kind == ALZ_WAIT_EVENT && alz_waits_find(client, q->cookie))
		return -EEXIST;
	spares->need = 0;
	for (i = 0; i < q->count; i++)
		spares->need += !alz_word_find(client->cache, q->at[i].object,
					       q->at[i].offset);
	return spares->need > spares->nr ? -ENOMEM : 0;
}

/* On the queues, and then look: see the head of this file. */
static int alz_word_try(struct alz_client *client, const struct alz_word_wait *q,
			struct alz_word_spares *spares, u32 *changed)
{
	struct alz_cache *cache = client->cache;
	struct alz_waiter *w = spares->waiter;
	struct alz_word_entry *entries;
	int err;
	u32 i;

	err = alz_word_check(client, q, spares);
	if (err)
		return err;
	alz_list_init(&w->link);
	w->kind = q->kind;
	w->cookie = q->cookie;
	w->words = q->count;
	entries = &w->one;
	if (spares->many) {
		entries = spares->many;
		w->many = entries;
	}
	cache->word_turn++;
	for (i = 0; i < q->count; i++)
		alz_word_join(cache, w, &entries[i], alz_word_get(cache, &q->at[i], spares));
	alz_os_fence();
	err = alz_words_look(cache, q, changed);
	if (!err) {
		if (q->kind == ALZ_WAIT_EVENT) {
			w->client = client;
			alz_waits_add(client, w);
		}
		alz_wait_begin(client, w, cache->woken);
		return 0;
	}
	for (i = 0; i < q->count; i++) {
		alz_word_unqueue(cache, &entries[i]);
		alz_word_put(entries[i].word);
	}
	w->words = 0;
	return err;
}

/* Without the lock: words for those that are not there. */
static int alz_word_spares_get(struct alz_word_spares *spares)
{
	for (; spares->nr < spares->need; spares->nr++) {
		struct alz_word *word = alz_os_alloc(sizeof(*word));

		if (!word)
			return -ENOMEM;
		alz_list_init(&word->waiters);
		alz_list_add_tail(&word->chain, &spares->words);
	}
	return 0;
}

static void alz_word_spares_free(struct alz_word_spares *spares)
{
	while (!alz_list_empty(&spares->words)) {
		struct alz_word *word = alz_entry(spares->words.next, struct alz_word, chain);

		alz_list_del(&word->chain);
		alz_os_free(word);
	}
}

/* With and without the lock, until there is all that it takes. Return: as alz_word_wait() */
static int alz_word_begin(struct alz_client *client, const struct alz_word_wait *q,
			  struct alz_word_spares *spares, u32 *changed)
{
	struct alz_cache *cache = client->cache;
	int err;

	do {
		err = alz_word_spares_get(spares);
		if (err)
			return err;
		alz_os_lock(&cache->lock);
		err = alz_word_try(client, q, spares, changed);
		alz_os_unlock(&cache->lock);
	} while (err == -ENOMEM);
	return err;
}

/**
 * alz_word_wait() - wait until any of some words is woken
 * @client: who
 * @q: for what; files that it does not take are left in there
 * @changed: which one has another value than expected
 *
 * Return: 0: the wait is registered; 1: it is not, @changed is set; -EDQUOT, -EEXIST,
 * -ENOMEM; -EFAULT: a word cannot be seen just now.
 */
int alz_word_wait(struct alz_client *client, const struct alz_word_wait *q, u32 *changed)
{
	struct alz_word_spares spares = { .waiter = q->waiter };
	bool event = q->kind == ALZ_WAIT_EVENT;
	bool many = q->count > 1;
	int err;

	/* most often it is known by now: no memory, and no lock */
	err = alz_words_look(client->cache, q, changed);
	if (err)
		return err;
	alz_list_init(&spares.words);
	if (event)
		spares.waiter = alz_os_alloc(sizeof(*spares.waiter));
	if (many)
		spares.many = alz_os_alloc(q->count * sizeof(*spares.many));
	if (!spares.waiter || (many && !spares.many)) {
		err = -ENOMEM;
		goto free;
	}
	err = alz_word_begin(client, q, &spares, changed);
	alz_word_spares_free(&spares);
	if (!err)
		return 0;
free:
	alz_os_free(spares.many);
	if (event)
		alz_os_free(spares.waiter);
	return err;
}

/**
 * alz_word_wake() - wake those who have waited longest for a word
 * @client: who wakes
 * @at: which one
 * @n: how many at most
 *
 * Return: how many; those who come meanwhile are not among them.
 */
u32 alz_word_wake(struct alz_client *client, const struct alz_word_at *at, u32 n)
{
	struct alz_cache *cache = client->cache;
	struct alz_word *word;
	u32 done = 0, steps = 0;
	u64 last;

	alz_os_lock(&cache->lock);
	word = alz_word_find(cache, at->object, at->offset);
	if (!word)
		goto out;
	word->refs++;
	last = cache->word_turn;
	while (done < n && !alz_list_empty(&word->waiters) &&
	       alz_entry(word->waiters.next, struct alz_word_entry, link)->turn <= last) {
		alz_word_wake_one(cache, word);
		done++;
		alz_breathe(cache, &steps);
	}
	alz_word_put(word);
	cache->count.wakes += done;
out:
	alz_os_unlock(&cache->lock);
	return done;
}
