// SPDX-License-Identifier: GPL-2.0-only
/* Simple wait: one sets a flag, the other waits for it. */
#include "pattern.h"

static void *setter(void *arg)
{
	struct alazy_cache *cache = arg;

	change(cache, alazy_word(cache, 0), 1, 1);
	return NULL;
}

int main(void)
{
	struct alazy_cache *cache = open_cache();
	uint32_t *flag = alazy_word(cache, 0);
	pthread_t t = thread(setter, cache);

	while (!load(flag)) {
		int err = alazy_futex_wait(cache, flag, 0, after_ms(20000));

		must(!err || err == -EAGAIN);
	}
	pthread_join(t, NULL);
	alazy_cache_close(cache);
	return 0;
}
