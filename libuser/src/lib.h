/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * Between the library's own files.
 *
 * Locks, in the order in which they are taken:
 *   alz_caches_lock (fork.c)      the list of caches, and attaching anew
 *   cache->lock                   the waits and the frames of one cache
 *   the local backend's registry  its list of cores
 *   a local core's lock           kmod/core/core.h
 * All are held across a fork. None is held while user code runs or a call to a
 * backend is made.
 */
#ifndef ALZ_LIB_H
#define ALZ_LIB_H

#include "reader.h"
#include "backend.h"

#define ALZ_PUBLIC __attribute__((visibility("default")))

struct alz_frame;

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
};

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

/* set.c */
int alz_error_efbig(const struct alazy_cache *cache, size_t size);
int alz_error_arena(const struct alazy_cache *cache);
int alz_error_table(const struct alazy_cache *cache);
int alz_peek(const struct alz_ask *ask, struct alazy_ref *ref, int *err);
int alz_peek_record(const struct asynclazy_record *r, struct alazy_ref *ref, int *err);

/* claim.c */
int alz_claim_call(const struct alz_ask *ask, u32 flags, u64 deadline, u64 cookie,
		   char *detail, struct asynclazy_claim *claim);
int alz_claim_failed(const struct alazy_cache *cache,
		     const struct asynclazy_claim *claim, const char *detail);
bool alz_claim_again(const struct asynclazy_claim *claim);
int alz_claim_refused(const struct alz_ask *ask, int err);
void alz_ticket_fill(struct alazy_ticket *ticket, struct alazy_cache *cache,
		     u64 id, u64 generation, u32 attempt);
void alz_answer_event(struct alazy_answer *a, struct alazy_cache *cache,
		      const struct asynclazy_event *e, const char *detail);

/* INIT, if the asker can. */
static inline u32 alz_ask_flags(const struct alz_ask *ask)
{
	return ask->init && !(ask->cache->flags & ALAZY_CACHE_READONLY) ?
		ASYNCLAZY_CLAIM_INIT : 0;
}

/* get.c */
int alz_get_empty(const struct alz_ask *ask);
int alz_get(const struct alz_ask *ask, u64 deadline, struct alazy_ref *ref);

/* ticket.c */
enum alz_frame_state {
	ALZ_FRAME_HELD,		/* as far as we know */
	ALZ_FRAME_PUBLISHED,
	ALZ_FRAME_FAILED,
	ALZ_FRAME_ABANDONED,
	ALZ_FRAME_OVERTAKEN,	/* ended by somebody else */
};

/* A running initialiser, and what became of its ticket meanwhile. */
struct alz_frame {
	struct alz_frame *next;
	pthread_t thread;	/* whose stack it is on */
	u64 ticket;
	enum alz_frame_state state;
	int err;		/* FAILED: as given to alazy_fail() */
	u64 offset;		/* PUBLISHED */
	size_t detail_size;
	char detail[ASYNCLAZY_DETAIL_MAX];
};

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
	struct asynclazy_event event;	/* cache->lock */
	alazy_done_fn done;		/* of a get, else NULL */
	alazy_answer_fn answer;		/* of a claim, else NULL */
	void *ctx;			/* for ->done or ->answer */
	char key[];
};

struct alazy_wait *alz_async_new(const struct alz_ask *ask, void *ctx, bool keep_key);
int alz_async_add(struct alazy_wait *wait);
void alz_async_drop(struct alazy_wait *wait);
struct alazy_wait *alz_async_for_event(struct alazy_cache *cache,
				       const struct asynclazy_event *event);
bool alz_async_idle(struct alazy_wait *wait, struct asynclazy_event *event);
bool alz_async_alive(struct alazy_wait *wait);
bool alz_async_last(struct alazy_wait *wait);
int alz_async_cancel(struct alazy_wait *wait);
void alz_event_drop(struct alazy_cache *cache, const struct asynclazy_event *event);
void alz_async_free_all(struct alazy_cache *cache);

/* async.c */
int alz_async_get(const struct alz_ask *ask, const struct asynclazy_record *found,
		  alazy_done_fn done, void *ctx, struct alazy_wait **handle);
void alz_async_serve(struct alazy_wait *wait, const struct asynclazy_event *event);

/* fork.c */
extern pthread_mutex_t alz_caches_lock;
extern unsigned int alz_fork_epoch;	/* forks between the first process and us */

int alz_fork_init(void);
void alz_caches_add(struct alazy_cache *cache);
void alz_caches_del(struct alazy_cache *cache);

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
