/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * What all unit tests share: checks that work in any thread and in forked
 * children, latches, threads, children.
 *
 * cmocka's own assert_*() may only be used by the thread that runs the test.
 */
#ifndef ALZ_TEST_CHECK_H
#define ALZ_TEST_CHECK_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define MSEC		1000000ULL
#define SEC		1000000000ULL

/* ---- tests and checks -------------------------------------------------- */

/* TEST(name) { … }: a cmocka test that also fails on a failed check() */
#define TEST(name)							\
	static void name##_body(void);					\
	static void name(void **state)					\
	{								\
		(void)state;						\
		test_begin(#name);					\
		name##_body();						\
		test_end();						\
	}								\
	static void name##_body(void)

/* last in main(): run an array of struct CMUnitTest */
#define RUN_TESTS(tests)						\
	(test_init(), cmocka_run_group_tests((tests), NULL, NULL))

void test_init(void);
void test_begin(const char *name);
void test_end(void);

/*
 * From any thread or child: note a failure and go on. Both return whether the
 * check held.
 */
#define check(cond)	check_at((cond) ? true : false, __FILE__, __LINE__, #cond)
#define check_eq(a, b)							\
	check_eq_at((long long)(a), (long long)(b), __FILE__, __LINE__,	\
		    #a " == " #b)
bool check_at(bool held, const char *file, int line, const char *what);
bool check_eq_at(long long a, long long b, const char *file, int line,
		 const char *what);
unsigned int check_failures(void);

const char *test_name(void);

/* ---- the run ----------------------------------------------------------- */

uint64_t now_ns(void);
bool full_run(void);				/* ALZ_FULL=1 */
unsigned long scaled(unsigned long full, unsigned long quick);

/* ---- threads, latches, children ---------------------------------------- */

struct latch {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int count;
};

#define LATCH_INIT { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 }

void latch_add(struct latch *latch);
void latch_wait(struct latch *latch, unsigned int at_least);

/* @n threads that start at the same moment; returns when all have ended */
void run_threads(unsigned int n, void (*fn)(unsigned int me, void *arg),
		 void *arg);
pthread_t start_thread(void *(*fn)(void *arg), void *arg);
void join_thread(pthread_t thread);

/*
 * A child that runs @fn and exits with 0 if it returned 0 and every check in
 * it held. It dies with its parent.
 */
pid_t start_child(int (*fn)(void *arg), void *arg);
int reap(pid_t pid);				/* exit status, or 128 + signal */

/* memory that children share; zeroed */
void *share_alloc(size_t size);
void share_free(void *p, size_t size);

#endif /* ALZ_TEST_CHECK_H */
