/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* What the library's tests share: caches, callers of gets, a poll loop. */
#ifndef ALZ_TEST_UTIL_H
#define ALZ_TEST_UTIL_H

#include "asynclazy.h"
#include "check.h"

/* the last call failed: its text names what was wrong, by one of @words ("a|b") */
#define check_detail(words)	check_detail_at((words), __FILE__, __LINE__)
bool check_detail_at(const char *words, const char *file, int line);

bool on_kernel(void);				/* ALAZY_BACKEND=kernel */
const char *unique_name(const char *stem);	/* a cache name of this test's own */

/* an anonymous cache (0: the default), or the test ends as failed */
struct alazy_cache *open_cache(uint64_t max_keys, uint64_t arena_size);
struct alazy_cache *open_named(const char *name, uint32_t flags);

/* until the cache has @n waits; the state is awaited, no time is assumed */
void await_waits(struct alazy_cache *cache, uint64_t n);
struct alazy_stats stats_of(struct alazy_cache *cache);

/* ---- gets -------------------------------------------------------------- */

/* The ctx of one get: what its initialiser does, and what came of it. */
struct get {
	int value;			/* what make_*() publish */
	int fail;			/* make_error(): negative errno */
	int fail_class;
	uint64_t ttl;
	const char *detail;
	struct latch *started;		/* make_gated(): told */
	struct latch *go;		/* make_gated(): awaited */
	struct alazy_ticket ticket;	/* make_later(): kept */
	unsigned int attempt;		/* of the ticket that an init got */
	atomic_uint inits;
	atomic_uint dones;
	int err;			/* what the get returned */
	int got;			/* its value */
	struct alazy_cache *cache;	/* for tests' own use */
	const void *key;
	size_t key_size;
};

/* alazy_init_fn; ctx is a struct get */
int make_int(const struct alazy_ticket *ticket, const void *key, size_t key_size,
	     void *ctx);		/* publish at once */
int make_slow(const struct alazy_ticket *ticket, const void *key,
	      size_t key_size, void *ctx);	/* 10 ms, then publish */
int make_gated(const struct alazy_ticket *ticket, const void *key,
	       size_t key_size, void *ctx);	/* tell, await, publish */
int make_later(const struct alazy_ticket *ticket, const void *key,
	       size_t key_size, void *ctx);	/* keep the ticket */
int make_error(const struct alazy_ticket *ticket, const void *key,
	       size_t key_size, void *ctx);	/* alazy_fail() */
int make_nothing(const struct alazy_ticket *ticket, const void *key,
		 size_t key_size, void *ctx);	/* return with the ticket held */
int make_never(const struct alazy_ticket *ticket, const void *key,
	       size_t key_size, void *ctx);	/* a failed check if it runs */

/* blocking get of an int: into get->err and get->got; returns get->err */
int get_int(struct alazy_cache *cache, const char *key, alazy_init_fn init,
	    struct get *get);
int get_int_until(struct alazy_cache *cache, const char *key, alazy_init_fn init,
		  struct get *get, uint64_t deadline);
/* asynchronous, into the same; returns what alazy_cache_get_async() returned */
int get_int_async(struct alazy_cache *cache, const char *key, alazy_init_fn init,
		  struct get *get, struct alazy_wait **wait);
void on_done(int err, struct alazy_ref *ref, void *ctx);	/* alazy_done_fn */

/* run by start_thread() with a struct get whose cache and key are set */
void *get_thread(void *arg);			/* with make_int */
void *get_gated_thread(void *arg);		/* with make_gated */

/* ---- claims ------------------------------------------------------------ */

/* What came of an EVENT wait. */
struct answered {
	atomic_uint calls;
	int kind;
	int err;
	int value;
	struct alazy_ticket ticket;
	char detail[300];
};

void on_answer(struct alazy_answer *answer, void *ctx);	/* alazy_answer_fn */

/* returns answer->kind; EVENT answers into @ctx */
int claim(struct alazy_cache *cache, const char *key, uint32_t flags,
	  struct answered *ctx, struct alazy_answer *answer);
struct alazy_ticket take(struct alazy_cache *cache, const char *key);
void publish_int(const struct alazy_ticket *ticket, int value);

/* ---- refs, descriptors ------------------------------------------------- */

bool ref_is(const struct alazy_ref *ref, const void *data, size_t size);
int ref_int(const struct alazy_ref *ref);

/* 1 if fd is readable now, 0 if not */
int readable(int fd);
/* poll and dispatch until *count reaches @target, which callbacks raise */
void drive(struct alazy_cache *cache, const atomic_uint *count,
	   unsigned int target);

#endif /* ALZ_TEST_UTIL_H */
