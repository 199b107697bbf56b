// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Values in memfds, as this process maps them: once a generation, shared by its
 * refs. One that nobody has stays mapped while its record is in the table.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib.h"

struct alz_map {
	struct alazy_cache *cache;	/* constant */
	struct alz_map *next;		/* cache->lock */
	u64 generation;			/* constant */
	void *data;			/* constant */
	size_t size;			/* constant, bytes */
	unsigned int refs;		/* cache->lock */
	const u64 *slot;		/* constant: that linked to its record, or NULL */
	u64 word;			/* constant: what was in it */
};

/* But for the mark, which comes and goes while it links to the same record. */
static u64 alz_map_word(const u64 *slot)
{
	return __atomic_load_n(slot, __ATOMIC_RELAXED) & ~ASYNCLAZY_SLOT_REFRESHING;
}

static void alz_map_free(struct alz_map *map)
{
	if (map->size)
		munmap(map->data, map->size);
	free(map);
}

/* Under the lock: take out those that nobody has, and nobody will find. */
static struct alz_map *alz_maps_old(struct alazy_cache *cache)
{
	struct alz_map **at = &cache->maps;
	struct alz_map *old = NULL;

	while (*at) {
		struct alz_map *map = *at;

		if (map->refs || (map->slot && map->word == alz_map_word(map->slot))) {
			at = &map->next;
			continue;
		}
		*at = map->next;
		map->next = old;
		old = map;
	}
	return old;
}

static void alz_maps_free(struct alz_map *map)
{
	while (map) {
		struct alz_map *next = map->next;

		alz_map_free(map);
		map = next;
	}
}

/** alz_maps_close() - the cache is being closed: all refs are void */
void alz_maps_close(struct alazy_cache *cache)
{
	alz_maps_free(cache->maps);
	cache->maps = NULL;
}

static void alz_map_ref(struct alz_map *map, struct alazy_ref *ref)
{
	*ref = (struct alazy_ref){
		.data = map->data,
		.size = map->size,
		.generation = map->generation,
		.priv = { 0, (uintptr_t)map, ALZ_REF_MAP },
	};
}

/* Under the lock. */
static struct alz_map *alz_map_find(struct alazy_cache *cache, u64 generation)
{
	struct alz_map *map = cache->maps;

	while (map && map->generation != generation)
		map = map->next;
	return map;
}

/* Map the file; @fd is used up. Return: NULL with errno. */
static struct alz_map *alz_map_new(struct alazy_cache *cache, int fd, u64 generation,
				   size_t size)
{
	struct alz_map *map = calloc(1, sizeof(*map));
	void *data = NULL;

	if (map && size)
		data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (!map || data == MAP_FAILED) {
		free(map);
		return NULL;
	}
	map->cache = cache;
	map->generation = generation;
	map->size = size;
	/* an empty value is somewhere, too */
	map->data = size ? data : map;
	return map;
}

static int alz_map_error(size_t size)
{
	int err = -errno;

	return alz_error(err, "a value of %zu bytes cannot be mapped: %m", size);
}

/* Keep a fresh one, unless another thread was faster. */
static void alz_map_add(struct alz_map *map, struct alazy_ref *ref)
{
	struct alazy_cache *cache = map->cache;
	struct alz_map *other, *old;

	pthread_mutex_lock(&cache->lock);
	other = alz_map_find(cache, map->generation);
	if (!other) {
		map->next = cache->maps;
		cache->maps = map;
		other = map;
	}
	other->refs++;
	alz_map_ref(other, ref);
	old = alz_maps_old(cache);
	pthread_mutex_unlock(&cache->lock);
	if (other != map)
		alz_map_free(map);
	alz_maps_free(old);
}

/* Which slot links to it, so that it stays mapped for as long as that is so. */
static void alz_map_note(struct alz_map *map, const struct asynclazy_record *r)
{
	map->slot = alz_reader_slot(&map->cache->view, r);
	map->word = map->slot ? alz_map_word(map->slot) : 0;
}

/**
 * alz_map_generation() - a ref to the value of a generation
 * @r: its record, pinned or to stay; NULL: it was not kept
 *
 * Return: 0; ALZ_MISS: it is gone; a negative errno with its text.
 */
static int alz_map_generation(struct alazy_cache *cache, u64 generation,
			      const struct asynclazy_record *r, struct alazy_ref *ref)
{
	struct asynclazy_value v = { .size = sizeof(v), .generation = generation };
	struct alz_map *map;
	int err;

	pthread_mutex_lock(&cache->lock);
	map = alz_map_find(cache, generation);
	if (map) {
		map->refs++;
		alz_map_ref(map, ref);
	}
	pthread_mutex_unlock(&cache->lock);
	if (map)
		return 0;
	err = alz_call(cache, ASYNCLAZY_IOC_MEMFD, &v);
	if (err == -ENOENT)
		return ALZ_MISS;
	if (err)
		return alz_error_backend(err);
	map = alz_map_new(cache, v.out_fd, generation, v.out_value_size);
	if (!map)
		return alz_map_error(v.out_value_size);
	if (r)
		alz_map_note(map, r);
	alz_map_add(map, ref);
	return 0;
}

/** alz_map_get() - a ref to the value that a RECORD_MEMFD says; as above */
int alz_map_get(struct alazy_cache *cache, const struct asynclazy_record *r,
		struct alazy_ref *ref)
{
	return alz_map_generation(cache, r->generation, r, ref);
}

/**
 * alz_map_file() - a ref to a value whose file we have
 * @fd: used up
 * @r: its record, pinned or to stay; NULL: it was not kept
 *
 * Return: 0; a negative errno with its text.
 */
int alz_map_file(struct alazy_cache *cache, int fd, u64 generation,
		 const struct asynclazy_record *r, struct alazy_ref *ref)
{
	struct alz_map *map;
	struct stat st;

	/* its offset is everybody's, and would not tell */
	if (fstat(fd, &st)) {
		int err = alz_map_error(0);

		close(fd);
		return err;
	}
	map = alz_map_new(cache, fd, generation, st.st_size);
	if (!map)
		return alz_map_error(st.st_size);
	if (r)
		alz_map_note(map, r);
	alz_map_add(map, ref);
	return 0;
}

/** alz_map_unkept() - a ref to a value that was delivered only; as above */
int alz_map_unkept(struct alazy_cache *cache, u64 generation, struct alazy_ref *ref)
{
	return alz_map_generation(cache, generation, NULL, ref);
}

/** alz_map_put() - a ref less */
void alz_map_put(struct alz_map *map)
{
	struct alazy_cache *cache = map->cache;
	struct alz_map *old;

	pthread_mutex_lock(&cache->lock);
	map->refs--;
	old = alz_maps_old(cache);
	pthread_mutex_unlock(&cache->lock);
	alz_maps_free(old);
}
