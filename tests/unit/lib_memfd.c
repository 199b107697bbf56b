// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Large values, in sealed memfds: row L16. The same program on both backends, and
 * on both kinds of cache.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util.h"


/* ---- in place ----------------------------------------------------------- */

TEST(l16_memfd_is_read_in_place_by_every_way_to_a_value)
{
	struct alazy_cache *cache = open_for_large(NULL);
	struct alazy_ref refs[4];
	struct alazy_ticket t;
	struct alazy_answer a;
	struct alazy *lazy;
	unsigned int i;

	set_memfd(cache, "set", LARGE, 1);
	t = take(cache, "published");
	publish_memfd(&t, LARGE, 2);
	get_value(cache, "published", &refs[0]);
	put_pattern(&refs[0], LARGE, 2);
	check_eq(stats_of(cache).memfds, 2);
	check_eq(stats_of(cache).memfd_bytes, 2 * LARGE);

	get_value(cache, "set", &refs[0]);
	check_eq(alazy_cache_peek(cache, "set", 3, &refs[1], NULL), ALAZY_FILLED);
	check_eq(claim(cache, "set", ALAZY_CLAIM_BLOCK, NULL, &a), ALAZY_ANSWER_HIT);
	refs[2] = a.ref;
	lazy = alazy_new(cache, "set", 3, make_never, NULL);
	assert_non_null(lazy);
	check_eq(alazy_get(lazy, &refs[3]), 0);
	/* one mapping for all of a generation */
	for (i = 0; i < 4; i++) {
		check(ref_is_pattern(&refs[i], LARGE, 1));
		check(refs[i].data == refs[0].data);
		check_eq(refs[i].generation, refs[0].generation);
	}
	check(memfd_mappings() <= 2);
	for (i = 0; i < 4; i++)
		put_pattern(&refs[i], LARGE, 1);
	alazy_free(lazy);
	alazy_cache_close(cache);
	check_eq(memfd_mappings(), 0);
}

TEST(l16_descriptor_stays_the_callers_and_is_sealed)
{
	struct alazy_cache *cache = open_for_large(NULL);
	int fd = new_memfd(LARGE, 1), want = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;
	struct alazy_ticket t = take(cache, "k");
	struct alazy_ref ref;

	check_eq(lseek(fd, 100, SEEK_SET), 100);
	check_eq(alazy_publish_fd(&t, fd, NULL), 0);
	check_eq(lseek(fd, 0, SEEK_CUR), 100);
	check_eq(fcntl(fd, F_GET_SEALS) & want, want);
	check_eq(ftruncate(fd, 10), -1);
	check_eq(ftruncate(fd, 2 * LARGE), -1);
	check_eq(write(fd, "x", 1), -1);
	check(mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	/* sealed already: also fine, and under any number of keys */
	check_eq(alazy_cache_set_fd(cache, "l", 1, fd, NULL), 0);
	close(fd);
	get_value(cache, "k", &ref);
	put_pattern(&ref, LARGE, 1);
	get_value(cache, "l", &ref);
	put_pattern(&ref, LARGE, 1);
	alazy_cache_close(cache);
}

TEST(l16_memfd_of_no_bytes)
{
	struct alazy_cache *cache = open_for_large(NULL);
	struct alazy_ref ref;

	set_memfd(cache, "k", 0, 0);
	get_value(cache, "k", &ref);
	check(ref.data);
	put_pattern(&ref, 0, 0);
	check_eq(memfd_mappings(), 0);
	alazy_cache_close(cache);
}

/* ---- what is refused ----------------------------------------------------- */

static void check_refused(const struct alazy_ticket *t, int fd, int err, const char *words)
{
	check_eq(alazy_publish_fd(t, fd, NULL), err);
	check_detail(words);
	check_eq(alazy_cache_set_fd(t->cache, "s", 1, fd, NULL), err);
	check_detail(words);
	check_eq(alazy_cache_peek(t->cache, "s", 1, NULL, NULL), ALAZY_EMPTY);
}

TEST(l16_descriptors_that_others_could_change_are_refused)
{
	struct alazy_cache *cache = open_for_large(NULL);
	struct alazy_publish_opts bad = { 0 };
	struct alazy_ticket t = take(cache, "k");
	int pipes[2], fd = memfd_create("alz-test", MFD_CLOEXEC);
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	void *p;

	check_eq(pipe(pipes), 0);
	check_refused(&t, pipes[0], -EPERM, "memfd_create");
	check_refused(&t, file, -EPERM, "memfd");
	check_refused(&t, fd, -EPERM, "MFD_ALLOW_SEALING");
	check_refused(&t, -1, -EBADF, "descriptor");
	close(fd);
	check_refused(&t, fd, -EBADF, "descriptor");

	fd = new_memfd(LARGE, 3);
	p = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check_refused(&t, fd, -EBUSY, "unmap");
	munmap(p, LARGE);
	check_eq(alazy_publish_fd(&t, fd, &bad), -EINVAL);
	check_detail("size");
	/* the ticket is still held */
	check_eq(alazy_publish_fd(&t, fd, NULL), 0);
	check_eq(alazy_publish_fd(&t, fd, NULL), -ESTALE);
	check_detail("ticket");
	close(fd);
	close(file);
	close(pipes[0]);
	close(pipes[1]);
	alazy_cache_close(cache);
}

TEST(l16_set_fd_of_more_than_the_cache_has_is_refused)
{
	struct alazy_cache *cache = open_for_large(NULL);
	int fd = new_memfd(HUGE, 1);
	char *value = calloc(1, HUGE);

	assert_non_null(value);
	set_memfd(cache, "k", LARGE, 2);
	check_eq(alazy_cache_set_fd(cache, "k", 1, fd, NULL), -ENOSPC);
	check_detail("arena_size");
	check_eq(alazy_cache_set(cache, "k", 1, value, HUGE, 0), -EFBIG);
	check_detail(on_stable() ? "segment_size" : "arena_size");
	/* what was there still is */
	check_eq(alazy_cache_peek(cache, "k", 1, NULL, NULL), ALAZY_FILLED);
	close(fd);
	free(value);
	alazy_cache_close(cache);
}

TEST_EVICT(l16_memfds_count_against_the_arena_and_are_evicted,
	   "an append-only cache keeps what it has")
{
	struct alazy_cache *cache = open_for_large(NULL);
	struct alazy_stats s;
	struct alazy_ref ref;
	char key[16];
	uint64_t i;

	for (i = 0; i < 200; i++) {
		snprintf(key, sizeof(key), "%u", (unsigned int)i);
		set_memfd(cache, key, LARGE + i, i);
		get_value(cache, key, &ref);
		put_pattern(&ref, LARGE + i, i);
		check_eq(set_pattern(cache, i, 5000, i), 0);
		s = stats_of(cache);
		check(s.arena_allocated + s.memfd_bytes <= 16 * SMALL_SEGMENT);
		/* what nobody has and nobody can find is not mapped */
		check(memfd_mappings() <= s.memfds + 1);
	}
	check(s.memfds >= 1 && s.memfds <= 5);
	check(s.evictions > 200);
	alazy_cache_close(cache);
	check_eq(memfd_mappings(), 0);
}

/* ---- mappings come and go ------------------------------------------------ */

TEST(l16_mapping_is_of_a_generation_and_stays_while_it_is_held)
{
	struct alazy_cache *cache = open_for_large(NULL);
	struct alazy_ref old[2], new;

	set_memfd(cache, "k", LARGE, 1);
	get_value(cache, "k", &old[0]);
	get_value(cache, "k", &old[1]);
	set_memfd(cache, "k", LARGE, 2);
	get_value(cache, "k", &new);
	check(new.data != old[0].data);
	check(new.generation > old[0].generation);
	check_eq(memfd_mappings(), 2);
	check_eq(alazy_cache_invalidate(cache, "k", 1), 1);
	check_eq(stats_of(cache).memfds, 0);
	put_pattern(&old[0], LARGE, 1);
	check_eq(memfd_mappings(), 2);
	put_pattern(&old[1], LARGE, 1);
	check_eq(memfd_mappings(), 1);
	put_pattern(&new, LARGE, 2);
	check_eq(memfd_mappings(), 0);
	alazy_cache_close(cache);
}

TEST_EVICT(l16_mapping_of_an_evicted_value_goes_with_its_last_ref,
	   "an append-only cache keeps what it has")
{
	struct alazy_cache *cache = open_for_large(NULL);
	struct alazy_ref ref;
	unsigned int before;
	uint64_t i;

	set_memfd(cache, "k", LARGE, 1);
	get_value(cache, "k", &ref);
	/* the others are read as well, so that it is its turn some day */
	for (i = 0; alazy_cache_peek(cache, "k", 1, NULL, NULL) == ALAZY_FILLED && i < 100;
	     i++) {
		struct alazy_ref other;
		char key[16];

		snprintf(key, sizeof(key), "%u", (unsigned int)i);
		set_memfd(cache, key, LARGE, i);
		get_value(cache, key, &other);
		put_pattern(&other, LARGE, i);
	}
	check_eq(alazy_cache_peek(cache, "k", 1, NULL, NULL), ALAZY_EMPTY);
	before = memfd_mappings();
	put_pattern(&ref, LARGE, 1);
	check_eq(memfd_mappings(), before - 1);
	alazy_cache_close(cache);
}

/* ---- while it is changed ------------------------------------------------- */

static atomic_bool stop;

static void get_while_it_changes(unsigned int me, void *arg)
{
	struct alazy_cache *cache = arg;
	/* mappings cost a lot in an emulated guest */
	unsigned int n = on_kernel() ? scaled(10000, 300) : scaled(50000, 3000), i;
	struct alazy_ref ref;
	int err;

	if (me == 0) {
		for (i = 0; i < n; i++) {
			set_memfd(cache, "k", 8192, 1);
			check_eq(alazy_cache_invalidate(cache, "k", 1), 1);
		}
		atomic_store(&stop, true);
	}
	while (!atomic_load(&stop)) {
		if (me == 1)
			err = alazy_cache_get(cache, "k", 1, NULL, NULL, &ref);
		else
			err = alazy_cache_peek(cache, "k", 1, &ref, NULL) == ALAZY_FILLED ?
				0 : -ENOENT;
		if (err)
			check_eq(err, -ENOENT);
		else
			put_pattern(&ref, 8192, 1);
	}
}

TEST(l16_get_of_a_memfd_that_goes_just_then_is_a_miss)
{
	struct alazy_cache *cache = open_cache(0, 0);

	atomic_store(&stop, false);
	run_threads(3, get_while_it_changes, cache);
	alazy_cache_close(cache);
	check_eq(memfd_mappings(), 0);
}

/* ---- processes ------------------------------------------------------------ */

static int read_all(void *arg)
{
	struct alazy_cache *cache = open_named(arg, ALAZY_CACHE_EXISTING);
	size_t size = scaled(1UL << 30, 16UL << 20);
	struct alazy_ref ref;

	get_value(cache, "model", &ref);
	check_eq(memfd_mappings(), 1);
	put_pattern(&ref, size, 4);
	alazy_cache_close(cache);
	return 0;
}

TEST(l16_large_value_is_read_by_eight_processes_in_place)
{
	struct alazy_cache_opts opts = { .arena_size = scaled(2UL << 30, 64UL << 20) };
	const char *name = unique_name("gib");
	struct alazy_cache *cache;
	struct alazy_ticket t;
	pid_t pids[8];
	unsigned int i;

	if (!on_kernel())
		skip_because("processes share nothing");
	cache = open_with(name, opts);
	t = take(cache, "model");
	publish_memfd(&t, scaled(1UL << 30, 16UL << 20), 4);
	for (i = 0; i < 8; i++)
		pids[i] = start_child(read_all, (void *)name);
	for (i = 0; i < 8; i++)
		check_eq(reap(pids[i]), 0);
	check_eq(stats_of(cache).memfds, 1);
	alazy_cache_close(cache);
	check_eq(alazy_cache_unlink(name, ALAZY_BACKEND_AUTO), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(l16_memfd_is_read_in_place_by_every_way_to_a_value),
		cmocka_unit_test(l16_descriptor_stays_the_callers_and_is_sealed),
		cmocka_unit_test(l16_memfd_of_no_bytes),
		cmocka_unit_test(l16_descriptors_that_others_could_change_are_refused),
		cmocka_unit_test(l16_set_fd_of_more_than_the_cache_has_is_refused),
		cmocka_unit_test(l16_memfds_count_against_the_arena_and_are_evicted),
		cmocka_unit_test(l16_mapping_is_of_a_generation_and_stays_while_it_is_held),
		cmocka_unit_test(l16_mapping_of_an_evicted_value_goes_with_its_last_ref),
		cmocka_unit_test(l16_get_of_a_memfd_that_goes_just_then_is_a_miss),
		cmocka_unit_test(l16_large_value_is_read_by_eight_processes_in_place),
	};

	return RUN_TESTS(tests);
}
