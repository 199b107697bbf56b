// SPDX-License-Identifier: GPL-2.0-only
/* Values: key, serial, size, then bytes that follow from those. */
#include <string.h>

#include "soak.h"

struct head {
	uint64_t key;
	uint64_t serial;
	uint64_t size;
};

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/* By key: mostly some hundred bytes, some kilobytes, one in 4096 a memfd. */
size_t value_size(uint64_t key)
{
	uint64_t m = mix(key + 1);	/* the first key is the one most asked for */

	if (!(m % 4096))
		return VALUE_MAX - m / 4096 % 4096;
	if (!(m % 16))
		return 1024 + m / 16 % 8192;
	return sizeof(struct head) + m / 16 % 512;
}

static uint64_t word_at(uint64_t start, size_t i)
{
	return start + i * 0x9e3779b97f4a7c15ULL;
}

void value_make(void *to, size_t size, uint64_t key, uint64_t serial)
{
	struct head h = { key, serial, size };
	uint64_t start = mix(key ^ mix(serial));
	char *p = (char *)to + sizeof(h);
	size_t n = size - sizeof(h);
	size_t i;

	memcpy(to, &h, sizeof(h));
	for (i = 0; n >= 8; i++, p += 8, n -= 8) {
		uint64_t w = word_at(start, i);

		memcpy(p, &w, 8);
	}
	memset(p, (char)start, n);
}

const char *value_wrong(const void *data, size_t size, uint64_t key, bool whole)
{
	const char *p = data;
	size_t words, i;
	uint64_t start;
	struct head h;

	if (size < sizeof(h))
		return "shorter than its head";
	memcpy(&h, p, sizeof(h));
	if (h.key != key)
		return "another key's";
	if (h.size != size || size != value_size(key))
		return "of another size";
	start = mix(key ^ mix(h.serial));
	p += sizeof(h);
	words = (size - sizeof(h)) / 8;
	for (i = 0; i < words; i += whole || i + 1 == words ? 1 : words - 1 - i) {
		uint64_t w;

		memcpy(&w, p + i * 8, 8);
		if (w != word_at(start, i))
			return i ? "torn" : "changed";
	}
	return NULL;
}
