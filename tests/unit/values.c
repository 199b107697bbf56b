// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Values that the library's tests make and tell again; see util.h. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util.h"

/* ---- values that tell by every byte whose they are --------------------- */

/* The word at @i of them. */
static uint64_t pattern_word(uint64_t what, size_t i)
{
	return (what + i) * 0x9e3779b97f4a7c15ULL;
}

void pattern_fill(void *p, size_t size, uint64_t what)
{
	size_t i;

	for (i = 0; i < size; i += 8) {
		uint64_t word = pattern_word(what, i);

		memcpy((char *)p + i, &word, size - i < 8 ? size - i : 8);
	}
}

bool pattern_is(const void *p, size_t size, uint64_t what)
{
	size_t i;

	for (i = 0; i < size; i += 8) {
		uint64_t word = pattern_word(what, i);

		if (memcmp((const char *)p + i, &word, size - i < 8 ? size - i : 8))
			return false;
	}
	return true;
}

bool ref_is_pattern(const struct alazy_ref *ref, size_t size, uint64_t what)
{
	return ref->size == size && pattern_is(ref->data, size, what);
}

int set_pattern(struct alazy_cache *cache, uint64_t key, size_t size, uint64_t what)
{
	static _Thread_local char value[SMALL_SEGMENT];

	pattern_fill(value, size, what);
	return alazy_cache_set(cache, &key, sizeof(key), value, size, 0);
}

void flood_cache(struct alazy_cache *cache)
{
	static atomic_ulong serial = 1UL << 40;
	uint64_t segments = stats_of(cache).segments, i;

	for (i = 0; i < 4 * segments * SMALL_SEGMENT / 4096; i++)
		check_eq(set_pattern(cache, atomic_fetch_add(&serial, 1), 4000, i), 0);
}

void check_no_pins(struct alazy_cache *cache)
{
	flood_cache(cache);
	check_eq(stats_of(cache).pins_now, 0);
	check_eq(stats_of(cache).segments_held, 0);
}

/* ---- large values ------------------------------------------------------ */

struct alazy_cache *open_for_large(const char *name)
{
	return open_with(name, (struct alazy_cache_opts){
		.arena_size = 16 * SMALL_SEGMENT, .segment_size = SMALL_SEGMENT,
	});
}

int new_memfd(size_t size, uint64_t what)
{
	int fd = memfd_create("alz-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *p;

	check(fd >= 0);
	check_eq(ftruncate(fd, size), 0);
	if (!size)
		return fd;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (check(p != MAP_FAILED)) {
		pattern_fill(p, size, what);
		munmap(p, size);
	}
	return fd;
}

unsigned int memfd_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned int n = 0;
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (!strstr(line, "/memfd:alz-test") && !strstr(line, "/memfd:asynclazy"))
			continue;
		/* nobody can write there */
		check(strstr(line, " r--s "));
		n++;
	}
	fclose(f);
	return n;
}

void set_memfd(struct alazy_cache *cache, const char *key, size_t size, uint64_t what)
{
	int fd = new_memfd(size, what);

	check_eq(alazy_cache_set_fd(cache, key, strlen(key), fd, NULL), 0);
	close(fd);
}

void publish_memfd(const struct alazy_ticket *t, size_t size, uint64_t what)
{
	int fd = new_memfd(size, what);

	check_eq(lseek(fd, 10, SEEK_SET), 10);
	check_eq(alazy_publish_fd(t, fd, NULL), 0);
	/* the descriptor is the caller's, and its offset too */
	check_eq(lseek(fd, 0, SEEK_CUR), 10);
	close(fd);
}

void get_value(struct alazy_cache *cache, const char *key, struct alazy_ref *ref)
{
	memset(ref, 0, sizeof(*ref));
	check_eq(alazy_cache_get(cache, key, strlen(key), NULL, NULL, ref), 0);
}

void put_pattern(struct alazy_ref *ref, size_t size, uint64_t what)
{
	check(ref_is_pattern(ref, size, what));
	alazy_ref_put(ref);
}
