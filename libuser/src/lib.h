/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Between the library's own files.
 *
 * Locks, in the order in which they are taken:
 *   cache->events_lock            reading events, until their records are ours
 *   cache->read_lock              the pin of those threads that have no line
 *   alz_caches_lock (fork.c)      the list of caches, and attaching anew
 *   cache->lock                   waits, frames, lines and maps of one cache
 *   the local backend's registry  its list of cores
 *   a local core's lock           kmod/core/core.h
 * All are held across a fork. None is held while user code runs or a call to a
 * backend is made, but for the first two, which only such calls are made under
 * that do not wait.
 */
#ifndef ALZ_LIB_H
#define ALZ_LIB_H

#include <poll.h>

#include "reader.h"
#include "backend.h"

#define ALZ_PUBLIC __attribute__((visibility("default")))

struct alz_frame;
struct alz_locks;

/* Words, as the backend has them; all 0: the cache has none. */
struct alz_words {
	u64 nr;
	u32 *words;
	const u32 *waiting;	/* how many wait for each */
	u32 *held;		/* the attachment's; NULL: read-only */
	u32 lock_id;		/* the attachment's */
	struct alz_locks *locks;	/* lock.c */
};

struct alazy_cache {
	struct alz_view view;		/* first: the hit path needs nothing else */
	const struct alz_backend *backend;
	void *priv;			/* the backend's */
	u32 flags;			/* ALAZY_CACHE_* as opened */
	unsigned int epoch;		/* of the attachment: see alz_attached() */
	pid_t pid;			/* that attached */
	struct alazy_cache *next;	/* alz_caches_lock */

	pthread_mutex_t lock;
	struct alazy_wait **waits;	/* by cookie; lock */
	u64 nr_waits;			/* lock */
	u64 waits_mask;			/* lock */
	u64 cookie;			/* the last one given out; lock */
	struct alz_frame *frames;	/* initialisers that run; lock */

	/* in a cache that is not STABLE */
	u64 pins_id;			/* of the attachment's pins: see pins.c */
	u64 lines;			/* a bit each: some thread's; lock */
	pthread_mutex_t events_lock;
	pthread_mutex_t read_lock;
	struct alz_map *maps;		/* memfds; lock */

	struct alz_words words;
};

#define ALZ_LINES		64	/* of an attachment: of a page of pins */
#define ALZ_THREAD_LINES	8	/* caches that a thread keeps its line of */

/* What a thread knows of its line in an attachment. */
struct alz_line {
	u64 id;		/* cache->pins_id */
	u64 *pins;	/* NULL: it has none there */
};

/* A pin that a call may set. */
struct alz_hold {
	u64 *pin;	/* or NULL */
	u32 number;	/* for the backend; 0: none */
	bool copy;	/* it is only for the time of a copy */
	int wait;	/* 0, or one more than the descriptor that holds it instead */
};

/* What a get came to: a value, or an error whose text is the ref's bytes. */
struct alz_got {
	int err;			/* 0, or a negative errno */
	bool due;			/* somebody should make it anew: see refresh.c */
	struct alazy_ref ref;
};

/* struct alazy_ref.priv: [0] a pin or 0, [1] what [2] says */
#define ALZ_REF_COPY	1		/* from malloc() */
#define ALZ_REF_MAP	2		/* a struct alz_map */

#define ALZ_MISS	1		/* the reader does not know: ask the backend */

/* What is asked for in a get. */
struct alz_ask {
	struct alazy_cache *cache;
	const void *key;
	size_t key_size;
	u64 hash;
	alazy_init_fn init;
	void *ctx;
};

/* error.c */
int alz_error(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));
int alz_error_text(int err, const void *text, size_t size);
int alz_error_flight(int err, const void *text, size_t size);
int alz_error_record(const struct asynclazy_record *r);
int alz_error_backend(int err);

extern __thread bool alz_error_set
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* The call has not failed. */
static inline int alz_ok(void)
{
	alz_error_set = false;
	return 0;
}

/* cache.c */
int alz_key_check(const struct alazy_cache *cache, const void *key, size_t key_size);
int alz_call(struct alazy_cache *cache, unsigned long nr, void *arg);

static inline bool alz_key_bad(const struct alazy_cache *cache, const void *key,
			       size_t key_size)
{
	return !cache || !key || key_size - 1 >= ASYNCLAZY_KEY_MAX;
}

int alz_cache_attach(struct alazy_cache *cache);
void alz_cache_forked(struct alazy_cache *cache);

/* pins.c */
extern __thread struct alz_line alz_lines[ALZ_THREAD_LINES]
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

u64 alz_pins_new_id(void);
u64 *alz_line_get(struct alazy_cache *cache);
u64 *alz_pin_free(u64 *line);
void alz_hold_get(struct alazy_cache *cache, struct alz_hold *hold);
int alz_got_record(struct alazy_cache *cache, const struct asynclazy_record *r,
		   const struct alz_hold *hold, struct alz_got *got);
int alz_got_error(struct alz_got *got);
int alz_recycle_find(struct alazy_cache *cache, const void *key, size_t key_size,
		     u64 hash, struct alz_got *got);
int alz_find(const struct alz_ask *ask, struct alz_got *got);
void alz_ref_let(struct alazy_ref *ref);
void alz_ref_drop(struct alazy_ref *ref);

/* This thread's line of pins, or NULL. */
static inline u64 *alz_line_of(struct alazy_cache *cache)
{
	const struct alz_line *line = &alz_lines[cache->pins_id % ALZ_THREAD_LINES];

	return alz_likely(line->id == cache->pins_id) ? line->pins : alz_line_get(cache);
}

/* value.c */
int alz_value_opts(const struct alazy_publish_opts *opts, struct alazy_publish_opts *o);
int alz_value_seal(int fd, size_t *size);
int alz_value_memfd(const void *data, size_t size);

/* map.c */
struct alz_map;
int alz_map_get(struct alazy_cache *cache, const struct asynclazy_record *r,
		struct alazy_ref *ref);
int alz_map_file(struct alazy_cache *cache, int fd, u64 generation,
		 const struct asynclazy_record *r, struct alazy_ref *ref);
int alz_map_unkept(struct alazy_cache *cache, u64 generation, struct alazy_ref *ref);
void alz_map_put(struct alz_map *map);
void alz_maps_close(struct alazy_cache *cache);

/* set.c */
int alz_error_efbig(const struct alazy_cache *cache, size_t size);
int alz_error_arena(const struct alazy_cache *cache);
int alz_error_table(const struct alazy_cache *cache);
int alz_peek(const struct alz_ask *ask, struct alazy_ref *ref, int *err);
int alz_peek_got(struct alz_got *got, struct alazy_ref *ref, int *err);

/* claim.c */
int alz_poll(struct pollfd *fds, size_t n, u64 deadline);
void alz_ref_text(struct alazy_ref *ref);
int alz_claim_call(const struct alz_ask *ask, u32 flags, u64 deadline, u64 cookie,
		   char *detail, struct asynclazy_claim *claim, struct alz_hold *hold);
int alz_claim_got(struct alazy_cache *cache, const struct asynclazy_claim *claim,
		  const char *detail, const struct alz_hold *hold, struct alz_got *got);
int alz_claim_find(const struct alz_ask *ask, const struct asynclazy_claim *claim,
		   const char *detail, const struct alz_hold *hold, struct alz_got *got);
int alz_event_got(struct alazy_cache *cache, const struct asynclazy_event *e,
		  const char *detail, struct alz_got *got);
bool alz_claim_again(const struct asynclazy_claim *claim);
int alz_claim_refused(const struct alz_ask *ask, int err);
void alz_ticket_fill(struct alazy_ticket *ticket, struct alazy_cache *cache,
		     u64 id, u64 generation, u32 attempt);
void alz_answer_event(struct alazy_answer *a, struct alazy_cache *cache,
		      const struct asynclazy_event *e, struct alz_got *got);
struct alz_wait_event;
int alz_wait_read(struct alazy_cache *cache, int fd, struct alz_wait_event *w, bool words);

/* INIT, if the asker can. */
static inline u32 alz_ask_flags(const struct alz_ask *ask)
{
	return ask->init && !(ask->cache->flags & ALAZY_CACHE_READONLY) ?
		ASYNCLAZY_CLAIM_INIT : 0;
}

/* get.c */
int alz_get_empty(const struct alz_ask *ask);
int alz_get_got(struct alz_got *got, struct alazy_ref *ref);
int alz_get(const struct alz_ask *ask, u64 deadline, struct alazy_ref *ref);
int alz_get_init(const struct alz_ask *ask, const struct asynclazy_claim *c,
		 struct alazy_ref *ref);
int alz_get_found(const struct alz_ask *ask, int err, struct alz_got *got, u64 deadline,
		  struct alazy_ref *ref);

/* refresh.c */
bool alz_refresh_due(const struct alz_view *view, const struct asynclazy_record *r);
int alz_refresh(const struct alz_ask *ask, bool must_end, struct alz_got *got);

/* ticket.c */
enum alz_frame_state {
	ALZ_FRAME_HELD,		/* as far as we know */
	ALZ_FRAME_PUBLISHED,
	ALZ_FRAME_FAILED,
	ALZ_FRAME_ABANDONED,
	ALZ_FRAME_OVERTAKEN,	/* ended by somebody else */
};

int alz_ticket_refused(const struct alazy_ticket *ticket, size_t size, int err);
int alz_abandon_call(struct alazy_cache *cache, u64 ticket);
int alz_ticket_check(const struct alazy_ticket *ticket);
u64 alz_frame_ticket(struct alazy_cache *cache);

/* A running initialiser, and what became of its ticket meanwhile. */
struct alz_frame {
	struct alz_frame *next;
	pthread_t thread;	/* whose stack it is on */
	u64 ticket;
	enum alz_frame_state state;
	bool must_end;		/* it is a blocking get's, which waits for the value */
	int err;		/* FAILED: as given to alazy_fail() */
	struct alazy_ref ref;	/* PUBLISHED: the value; no data: ask for it */
	size_t detail_size;
	char detail[ASYNCLAZY_DETAIL_MAX];
};

void alz_frame_begin(struct alz_frame *frame, const struct alazy_ticket *ticket,
		     bool must_end);
void alz_frame_end(struct alz_frame *frame, const struct alazy_ticket *ticket, int err);
void alz_frame_run(struct alz_frame *frame, const struct alz_ask *ask,
		   const struct alazy_ticket *ticket, bool must_end);
void alz_frames_forked(struct alazy_cache *cache);

/* waits.c */

/*
 * An asynchronous wait. It is in its cache's table, by cookie, until it is
 * cancelled or its last callback is about to run. One thread at a time works
 * on it: that one has set ->busy, and frees it if it was cancelled meanwhile.
 * An event that comes while it is busy is left in ->event for that thread.
 */
struct alazy_wait {
	struct alazy_wait *next;	/* cache->lock */
	struct alz_ask ask;		/* a get's key is ours */
	u64 cookie;
	unsigned int epoch;		/* not alz_fork_epoch: the parent's wait */
	bool busy;			/* cache->lock */
	bool ending;			/* its last callback runs; cache->lock */
	bool cancelled;			/* cache->lock */
	bool has_event;			/* cache->lock */
	bool follow;			/* constant */
	u64 ticket;			/* that its init has, if RESTARTABLE; cache->lock */
	struct asynclazy_event event;	/* cache->lock */
	struct alz_got got;		/* what it brought; cache->lock */
	alazy_done_fn done;		/* of a get, else NULL */
	alazy_answer_fn answer;		/* of a claim, else NULL */
	alazy_futex_fn futex;		/* of words, or a lock, else NULL */
	void *ctx;			/* for the one of them */
	u32 nr_words;			/* constant */
	int slot;			/* of a lock that is to be taken, or -1 */
	_Alignas(u64) char key[];	/* of words: their asynclazy_words */
};

struct alazy_wait *alz_async_new(const struct alz_ask *ask, void *ctx, bool keep_key);
int alz_async_add(struct alazy_wait *wait);
void alz_async_drop(struct alazy_wait *wait);
struct alazy_wait *alz_async_for_event(struct alazy_cache *cache,
				       const struct asynclazy_event *event,
				       struct alz_got *got);
bool alz_async_idle(struct alazy_wait *wait, struct asynclazy_event *event,
		    struct alz_got *got);
bool alz_async_alive(struct alazy_wait *wait);
bool alz_async_owns(struct alazy_wait *wait, u64 ticket);
bool alz_async_last(struct alazy_wait *wait);
void alz_async_unlink(struct alazy_wait *wait);
int alz_cancel_call(struct alazy_cache *cache, u64 cookie);
int alz_async_cancel(struct alazy_wait *wait);
void alz_event_drop(struct alazy_cache *cache, const struct asynclazy_event *event,
		    struct alz_got *got);
void alz_async_free_all(struct alazy_cache *cache);

/* async.c */
int alz_async_get(const struct alz_ask *ask, int err, struct alz_got *found,
		  alazy_done_fn done, void *ctx, struct alazy_wait **handle);
void alz_async_serve(struct alazy_wait *wait, const struct asynclazy_event *event,
		     const struct alz_got *got);

/* words_async.c */
void alz_words_serve(struct alazy_wait *wait, const struct asynclazy_event *event);
int alz_words_cancel(struct alazy_wait *wait);

/* lock.c */
int alz_locks_new(struct alazy_cache *cache);
void alz_locks_forked(struct alazy_cache *cache);

/* fork.c */
extern pthread_mutex_t alz_caches_lock;
extern unsigned int alz_fork_epoch;	/* forks between the first process and us */

int alz_fork_init(void);
void alz_caches_add(struct alazy_cache *cache);
void alz_caches_del(struct alazy_cache *cache);
struct alazy_cache *alz_caches_find(u64 pins_id);

/* The attachment is this process's own, not its parent's. */
static inline bool alz_attached(const struct alazy_cache *cache)
{
	return __atomic_load_n(&cache->epoch, __ATOMIC_ACQUIRE) ==
	       __atomic_load_n(&alz_fork_epoch, __ATOMIC_RELAXED);
}

/* local_registry.c: around a fork */
void alz_local_fork_prepare(void);
void alz_local_fork_done(void);

#endif
