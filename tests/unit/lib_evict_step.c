// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * A reader that is stopped at each instruction of a hit, one after the other, while
 * all that the cache has goes and its room is used again: it finds what was there,
 * whole, and that stays so; or it finds nothing. Row L13, I2. The same program on
 * both backends; on x86-64, where a program can step itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "util.h"

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#define SIZE		500
#define SEGMENTS	8
#define STOPS		200	/* in one hit, at most */
#define TRAP_FLAG	0x100

/* What the others do to the key while the reader stands still. */
enum what { INVALIDATE, SET, EVICT, WHATS };

static struct {
	struct alazy_cache *cache;
	enum what what;
	uint64_t serial;		/* of the value that the reader may find */
	unsigned long at, n;		/* instructions: where to stop, done so far */
	unsigned int segments;		/* that the others fill then */
	atomic_uint asked, served;
	atomic_bool end;
} s;

static const uint64_t key = 7;

/* Two values that leave no room for a third in a segment. */
static void fill_segments(unsigned int n)
{
	static uint64_t serial = 1UL << 40;

	while (n--) {
		check_eq(set_pattern(s.cache, serial++, 61000, n), 0);
		check_eq(set_pattern(s.cache, serial++, 4000, n), 0);
	}
}

static void *others(void *arg)
{
	(void)arg;
	while (!atomic_load(&s.end)) {
		if (atomic_load(&s.asked) == atomic_load(&s.served)) {
			sched_yield();
			continue;
		}
		if (s.what == INVALIDATE)
			check(alazy_cache_invalidate(s.cache, &key, sizeof(key)) >= 0);
		if (s.what == SET)
			check_eq(set_pattern(s.cache, key, SIZE, s.serial + 1), 0);
		fill_segments(s.segments);
		atomic_fetch_add(&s.served, 1);
	}
	return NULL;
}

/* A hit has no lock, so that it can be stopped anywhere for as long as one likes. */
static void let_others(void)
{
	unsigned int n = atomic_fetch_add(&s.asked, 1) + 1;

	while (atomic_load(&s.served) < n)
		sched_yield();
}

static void on_trap(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)sig;
	(void)info;
	if (++s.n != s.at)
		return;
	uc->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
	let_others();
}

static inline void step(bool on)
{
	/* beyond the red zone of whoever this is inlined to */
	if (on)
		__asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\t"
				 "popfq\n\tlea 128(%%rsp), %%rsp" : : : "memory", "cc");
	else
		__asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\t"
				 "popfq\n\tlea 128(%%rsp), %%rsp" : : : "memory", "cc");
}

/*
 * A hit that is stopped at an instruction, for as long as it takes to fill some
 * segments: so few that its value's is there as it was, or has been let go but not
 * written over yet, or is another's. Return: how many instructions until then.
 */
static unsigned long hit(unsigned long at, unsigned int segments, bool *found)
{
	struct alazy_ref ref = { 0 };
	int state;

	s.serial += 2;
	check_eq(set_pattern(s.cache, key, SIZE, s.serial), 0);
	s.segments = segments;
	s.at = at;
	s.n = 0;
	step(true);
	state = alazy_cache_peek(s.cache, &key, sizeof(key), &ref, NULL);
	step(false);
	*found = state == ALAZY_FILLED;
	if (!*found) {
		check_eq(state, ALAZY_EMPTY);
		return s.n;
	}
	/* the old one or, asked for again, the new one */
	check(ref_is_pattern(&ref, SIZE, s.serial) ||
	      ref_is_pattern(&ref, SIZE, s.serial + 1));
	if (ref_is_pattern(&ref, SIZE, s.serial + 1))
		s.serial++;
	/* and now all of them */
	s.segments = 3 * SEGMENTS;
	let_others();
	put_pattern(&ref, SIZE, s.serial);
	return s.n;
}

static void stop_everywhere(enum what what, unsigned int segments)
{
	unsigned int hits = 0, misses = 0;
	unsigned long all, at;
	bool found;

	s.what = what;
	all = hit(~0UL, 0, &found);
	check(all > 20 && found);
	/* a quick run looks at every other one, in turns */
	at = full_run() ? 1 : 1 + segments % 2;
	for (; at < all && !check_failures(); at += all / STOPS + 2 - full_run()) {
		hit(at, segments, &found);
		hits += found;
		misses += !found;
	}
	/* before it has a pin it is too late, and after that it is in time */
	check(hits);
	if (what == INVALIDATE)
		check(misses);
}

TEST(l13_reader_that_is_stopped_anywhere_finds_all_or_nothing)
{
	struct sigaction sa = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	struct alazy_ref ref;
	pthread_t thread;
	enum what what;
	unsigned int n;

	if (on_kernel())
		skip_because("natively it takes seconds, emulated it takes many minutes; the "
			     "reader is the same");
	memset(&s, 0, sizeof(s));
	s.cache = open_small(NULL, SEGMENTS);
	sigaction(SIGTRAP, &sa, NULL);
	/* so that this thread has its line */
	check_eq(set_pattern(s.cache, key, SIZE, 1), 0);
	check_eq(alazy_cache_peek(s.cache, &key, sizeof(key), &ref, NULL), ALAZY_FILLED);
	alazy_ref_put(&ref);
	thread = start_thread(others, NULL);
	for (what = 0; what < WHATS; what++)
		for (n = 0; n <= SEGMENTS + 1; n += full_run() || (what == EVICT && n) ? 1 : 4)
			stop_everywhere(what, n);
	atomic_store(&s.end, true);
	join_thread(thread);
	check_no_pins(s.cache);
	alazy_cache_close(s.cache);
}

#else

TEST(l13_reader_that_is_stopped_anywhere_finds_all_or_nothing)
{
	skip_because("on x86-64 a program can step itself; what sanitizers add is too much");
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(l13_reader_that_is_stopped_anywhere_finds_all_or_nothing),
	};

	return RUN_TESTS(tests);
}
