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

/*
 * Most tests are run on both kinds of cache: the environment variable
 * ALZ_TEST_KIND is stable, or evict (the default, as of the library).
 */
bool on_stable(void);

/* as TEST(): skipped where the kind is the other one; @why is a sentence */
#define TEST_STABLE(name, why)	TEST_IF(name, on_stable(), why)
#define TEST_EVICT(name, why)	TEST_IF(name, !on_stable(), why)
/* what takes long at full counts is then run on one kind */
#define TEST_VOLUME(name)						\
	TEST_IF(name, !full_run() || !on_stable(),			\
		"at full counts on evicting caches only")
#define TEST_IF(name, cond, why)					\
	static void name##_if(void);					\
	TEST(name)							\
	{								\
		if (!(cond))						\
			skip_because(why);				\
		name##_if();						\
	}								\
	static void name##_if(void)
void skip_because(const char *why);

/*
 * A cache of the kind that is asked for, or the test ends as failed; @name NULL:
 * anonymous, 0: the default. open_with() sets size, and STABLE if that is the kind.
 */
struct alazy_cache *open_cache(uint64_t max_keys, uint64_t arena_size);
struct alazy_cache *open_named(const char *name, uint32_t flags);
struct alazy_cache *open_with(const char *name, struct alazy_cache_opts opts);
/* whatever the kind: what the test is about is append-only */
struct alazy_cache *open_stable(uint64_t max_keys, uint64_t arena_size);

/* an evicting one of @segments of 64 KiB, whatever the kind */
#define SMALL_SEGMENT	65536UL
struct alazy_cache *open_small(const char *name, unsigned int segments);

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

/* ---- words ------------------------------------------------------------- */

static inline void word_store(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static inline uint32_t word_load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

/* Two that wait for each other's answer in a word, @rounds times. */
struct pong {
	struct alazy_cache *cache;
	uint32_t *word;
	unsigned long rounds;
};

/* @mine: 0 or 1: of an even or an odd word the answer is this side's. Return: 0, 1 */
int pong_side(struct pong *p, uint32_t mine);

/* ---- values that tell by every byte whose they are --------------------- */

void pattern_fill(void *p, size_t size, uint64_t what);
bool pattern_is(const void *p, size_t size, uint64_t what);
bool ref_is_pattern(const struct alazy_ref *ref, size_t size, uint64_t what);
/* alazy_cache_set() of @key, at most a segment's */
int set_pattern(struct alazy_cache *cache, uint64_t key, size_t size, uint64_t what);

/* evict all that there is in a small one, and use its room again, many times over */
void flood_cache(struct alazy_cache *cache);
/* all refs have been put: nothing is held */
void check_no_pins(struct alazy_cache *cache);

/* ---- large values, by such patterns ------------------------------------ */

#define LARGE	200000UL	/* more than a segment, less than a cache */
#define HUGE	1500000UL	/* more than a cache */
/* sixteen segments of 64 KiB, of the kind that is asked for */
struct alazy_cache *open_for_large(const char *name);
/* a memfd of @size bytes that nobody has mapped */
int new_memfd(size_t size, uint64_t what);
/* how many of these, and of the library's, this process has mapped */
unsigned int memfd_mappings(void);
void set_memfd(struct alazy_cache *cache, const char *key, size_t size, uint64_t what);
void publish_memfd(const struct alazy_ticket *t, size_t size, uint64_t what);
void get_value(struct alazy_cache *cache, const char *key, struct alazy_ref *ref);
void put_pattern(struct alazy_ref *ref, size_t size, uint64_t what);

/* ---- refs, descriptors ------------------------------------------------- */

bool ref_is(const struct alazy_ref *ref, const void *data, size_t size);
int ref_int(const struct alazy_ref *ref);

/* 1 if fd is readable now, 0 if not */
int readable(int fd);
/* poll and dispatch until *count reaches @target, which callbacks raise */
void drive(struct alazy_cache *cache, const atomic_uint *count,
	   unsigned int target);

#endif /* ALZ_TEST_UTIL_H */
