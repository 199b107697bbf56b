// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Pins: where a thread says which record it reads, so that nothing happens to it.
 *
 * The attachment's page has lines of eight pins. A thread takes a line at its
 * first read of a cache, and keeps it until it ends: so a hit finds a free pin
 * by looking at its own line, with no lock or read-modify-write. Seven of them
 * stay with refs; the eighth is for reading a value to copy it, when there are
 * more refs than that. The last line is of those threads that got none: they
 * copy too, one at a time, under the cache's lock.
 *
 * A ref may be put by another thread: a pin that is 0 is free, whoever cleared
 * it. When a thread ends, its line is for another, but for pins that are set.
 */
#include "lib.h"

#define ALZ_LINE_PINS	8
#define ALZ_SHARED_LINE	(ALZ_LINES - 1)

/* said again: where it is defined, gcc for aarch64 forgets it, and makes a call */
__attribute__((tls_model("initial-exec")))
__thread struct alz_line alz_lines[ALZ_THREAD_LINES];

static pthread_once_t alz_lines_once = PTHREAD_ONCE_INIT;
static pthread_key_t alz_lines_key;
static bool alz_lines_key_made;
static u64 alz_pins_last_id;

/** alz_pins_new_id() - of an attachment: what threads know of others is void */
u64 alz_pins_new_id(void)
{
	return __atomic_add_fetch(&alz_pins_last_id, 1, __ATOMIC_RELAXED);
}

/* Give a thread's line back, to the attachment that it is of. */
static void alz_line_drop(struct alz_line *line)
{
	struct alazy_cache *cache;
	u64 n;

	if (!line->id || !line->pins)
		return;
	pthread_mutex_lock(&alz_caches_lock);
	cache = alz_caches_find(line->id);
	if (cache) {
		n = (line->pins - cache->view.pins) / ALZ_LINE_PINS;
		pthread_mutex_lock(&cache->lock);
		cache->lines &= ~(1ULL << n);
		pthread_mutex_unlock(&cache->lock);
	}
	pthread_mutex_unlock(&alz_caches_lock);
}

static void alz_lines_end(void *lines)
{
	struct alz_line *line = lines;
	int i;

	for (i = 0; i < ALZ_THREAD_LINES; i++) {
		alz_line_drop(&line[i]);
		line[i] = (struct alz_line){ 0 };
	}
}

static void alz_lines_init(void)
{
	alz_lines_key_made = !pthread_key_create(&alz_lines_key, alz_lines_end);
}

/*
 * A line that is no thread's, best one with a free pin: a ref may outlive the
 * thread that it was got by. Under the lock.
 */
static int alz_line_pick(const struct alazy_cache *cache)
{
	int n, any = ALZ_SHARED_LINE;

	for (n = 0; n < ALZ_SHARED_LINE; n++) {
		if (cache->lines & 1ULL << n)
			continue;
		if (alz_pin_free(cache->view.pins + (size_t)n * ALZ_LINE_PINS))
			return n;
		if (any == ALZ_SHARED_LINE)
			any = n;
	}
	return any;
}

/**
 * alz_line_get() - this thread's line, when it is not at hand
 *
 * Return: NULL: there is none for it, and it copies what it reads.
 */
__attribute__((noinline))
u64 *alz_line_get(struct alazy_cache *cache)
{
	struct alz_line *line;
	u64 *pins = NULL;
	int n;

	/* a forked child has its own page of pins only once it has attached */
	if (!alz_attached(cache) && alz_cache_attach(cache))
		return NULL;
	pthread_once(&alz_lines_once, alz_lines_init);
	line = &alz_lines[cache->pins_id % ALZ_THREAD_LINES];
	alz_line_drop(line);
	pthread_mutex_lock(&cache->lock);
	n = alz_line_pick(cache);
	/* without its end being told, a thread's line would be lost */
	if (n < ALZ_SHARED_LINE && alz_lines_key_made &&
	    !pthread_setspecific(alz_lines_key, alz_lines)) {
		cache->lines |= 1ULL << n;
		pins = cache->view.pins + (size_t)n * ALZ_LINE_PINS;
	}
	pthread_mutex_unlock(&cache->lock);
	*line = (struct alz_line){ cache->pins_id, pins };
	return pins;
}

/** alz_pin_free() - a pin of the line that nothing has. Return: NULL: none */
u64 *alz_pin_free(u64 *line)
{
	int i;

	for (i = 0; line && i < ALZ_LINE_PINS - 1; i++)
		if (!__atomic_load_n(&line[i], __ATOMIC_RELAXED))
			return &line[i];
	return NULL;
}

/**
 * alz_hold_get() - a pin for a call to the backend to set
 * @hold: filled; ->pin is NULL in a STABLE cache, or if this thread has none
 */
void alz_hold_get(struct alazy_cache *cache, struct alz_hold *hold)
{
	u64 *line;

	*hold = (struct alz_hold){ 0 };
	if (!cache->view.pins)
		return;
	line = alz_line_of(cache);
	hold->pin = alz_pin_free(line);
	if (line && !hold->pin) {
		hold->pin = &line[ALZ_LINE_PINS - 1];
		hold->copy = true;
	}
	if (hold->pin)
		hold->number = hold->pin - cache->view.pins + 1;
}

/* What @r points to is pinned meanwhile, and the record is a value or an error. */
static __attribute__((noinline)) int alz_got_copy(const struct asynclazy_record *r, struct alz_got *got)
{
	void *copy = malloc(r->value_size ? r->value_size : 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, alz_record_value(r), r->value_size);
	got->ref.data = copy;
	got->ref.priv[1] = (uintptr_t)copy;
	got->ref.priv[2] = ALZ_REF_COPY;
	return 0;
}

/**
 * alz_got_record() - what a record that is pinned, or stays, brings
 * @hold: its pin; taken over, or cleared
 * @got: filled on 0
 *
 * Return: 0; ALZ_MISS: a memfd that was evicted just now; -ENOMEM and its kin
 * with the text set.
 */
int alz_got_record(struct alazy_cache *cache, const struct asynclazy_record *r,
		   const struct alz_hold *hold, struct alz_got *got)
{
	u64 *keep = NULL;
	int err = 0;

	got->err = r->kind == ASYNCLAZY_RECORD_ERROR ? -r->error : 0;
	got->due = r->flags & ASYNCLAZY_RECORD_TIMES && !got->err &&
		alz_refresh_due(&cache->view, r);
	got->ref = (struct alazy_ref){
		.data = alz_record_value(r),
		.size = r->value_size,
		.generation = r->generation,
	};
	if (r->kind == ASYNCLAZY_RECORD_MEMFD)
		err = alz_map_get(cache, r, &got->ref);
	else if (hold->copy)
		err = alz_got_copy(r, got);
	else
		keep = hold->pin;
	got->ref.priv[0] = (uintptr_t)keep;
	if (hold->pin && !keep)
		alz_pin_clear(hold->pin);
	if (err)
		got->ref = (struct alazy_ref){ 0 };
	return err == -ENOMEM ? alz_error_backend(err) : err;
}

/** alz_got_error() - it is an error: set the text and put it. Return: its errno */
int alz_got_error(struct alz_got *got)
{
	size_t size = got->ref.size;
	int err = got->err;

	if (size > ASYNCLAZY_DETAIL_MAX)
		size = ASYNCLAZY_DETAIL_MAX;
	alz_error_flight(err, got->ref.data, size);
	alz_ref_drop(&got->ref);
	errno = -err;
	return err;
}

/* The thread has no pin to spare: read it, copy it, let it go. */
static __attribute__((noinline)) int
alz_recycle_copy(struct alazy_cache *cache, u64 *line, const void *key, size_t key_size,
		 u64 hash, struct alz_got *got)
{
	struct alz_hold hold = { .copy = true };
	const struct asynclazy_record *r;
	int err = ALZ_MISS;

	/* a forked child that could not attach has no pins that anybody looks at */
	if (!line && !alz_attached(cache))
		return ALZ_MISS;
	if (line)
		hold.pin = &line[ALZ_LINE_PINS - 1];
	else
		hold.pin = cache->view.pins + (size_t)ALZ_SHARED_LINE * ALZ_LINE_PINS;
	if (!line)
		pthread_mutex_lock(&cache->read_lock);
	r = alz_reader_pin(&cache->view, key, key_size, hash, hold.pin);
	if (r)
		err = alz_got_record(cache, r, &hold, got);
	if (!line)
		pthread_mutex_unlock(&cache->read_lock);
	return err;
}

/**
 * alz_recycle_find() - the reader's answer, in a cache that is not STABLE
 *
 * Return: 0 with @got; ALZ_MISS: ask the backend; a negative errno with its text.
 */
__attribute__((noinline))
int alz_recycle_find(struct alazy_cache *cache, const void *key, size_t key_size,
		     u64 hash, struct alz_got *got)
{
	u64 *line = alz_line_of(cache);
	struct alz_hold hold = { .pin = alz_pin_free(line) };
	const struct asynclazy_record *r;

	if (alz_unlikely(!hold.pin))
		return alz_recycle_copy(cache, line, key, key_size, hash, got);
	r = alz_reader_pin(&cache->view, key, key_size, hash, hold.pin);
	return r ? alz_got_record(cache, r, &hold, got) : ALZ_MISS;
}

/**
 * alz_find() - what the reader knows, in any cache
 *
 * Return: 0 with @got; ALZ_MISS; a negative errno with its text.
 */
int alz_find(const struct alz_ask *ask, struct alz_got *got)
{
	static const struct alz_hold none;
	const struct asynclazy_record *r;

	if (ask->cache->view.pins)
		return alz_recycle_find(ask->cache, ask->key, ask->key_size, ask->hash, got);
	r = alz_reader_find(&ask->cache->view, ask->key, ask->key_size, ask->hash);
	return r ? alz_got_record(ask->cache, r, &none, got) : ALZ_MISS;
}

/** alz_ref_let() - put what a ref has that is no pin */
__attribute__((noinline))
void alz_ref_let(struct alazy_ref *ref)
{
	if (ref->priv[2] == ALZ_REF_COPY)
		free((void *)ref->priv[1]);
	else if (ref->priv[2] == ALZ_REF_MAP)
		alz_map_put((struct alz_map *)ref->priv[1]);
}

/** alz_ref_drop() - alazy_ref_put() but for clearing the ref */
void alz_ref_drop(struct alazy_ref *ref)
{
	if (ref->priv[0])
		alz_pin_clear((u64 *)ref->priv[0]);
	alz_ref_let(ref);
}
