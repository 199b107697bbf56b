// SPDX-License-Identifier: GPL-2.0-only
/* Batch wait: one wait for many counters, of which each change is told by itself. */
#include "pattern.h"

#define N	64

int main(void)
{
	struct alazy_cache *cache = open_cache();
	uint32_t *words = alazy_word(cache, 0);
	struct alazy_futex f[N] = { { 0 } };
	unsigned long long seen = 0;
	unsigned int i;

	for (i = 0; i < N; i++) {
		change(cache, &words[i], 100, 0);
		f[i].word = &words[i];
		f[i].expected = 100;
	}
	/* one up, one down: a sum of them would not tell */
	change(cache, &words[3], 101, 1);
	change(cache, &words[60], 99, 1);
	for (i = 0; i < 2; i++) {
		size_t index = N;

		must(alazy_futex_wait_any(cache, f, N, after_ms(20000), &index) == -EAGAIN);
		must(index < N);
		seen |= 1ULL << index;
		f[index].expected = load(f[index].word);
	}
	must(seen == (1ULL << 3 | 1ULL << 60));
	must(alazy_futex_wait_any(cache, f, N, after_ms(5), NULL) == -ETIMEDOUT);
	alazy_cache_close(cache);
	return 0;
}
