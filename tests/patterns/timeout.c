// SPDX-License-Identifier: GPL-2.0-only
/* Timeout: in the call by a deadline; in a loop by its own timer, which cancels. */
#include "pattern.h"

static void never(int err, size_t index, void *ctx)
{
	(void)err;
	(void)index;
	(void)ctx;
	must(!"a wait that was cancelled has ended");
}

int main(void)
{
	struct alazy_cache *cache = open_cache();
	uint32_t *word = alazy_word(cache, 0);
	struct alazy_futex f = { .word = word };
	struct pollfd p = { .fd = alazy_fd(cache), .events = POLLIN };
	uint64_t deadline = after_ms(20);
	struct alazy_wait *wait;
	struct alazy_stats s = { .size = sizeof(s) };

	must(alazy_futex_wait(cache, word, 0, deadline) == -ETIMEDOUT);
	must(after_ms(0) >= deadline);

	must(!alazy_futex_wait_async(cache, &f, 1, never, NULL, &wait, NULL));
	must(poll(&p, 1, 20) == 0);
	must(!alazy_cancel(wait));

	/* nobody is left behind */
	must(alazy_futex_wake(cache, word, UINT32_MAX) == 0);
	must(!alazy_cache_stats(cache, &s) && s.waits_now == 0);
	alazy_cache_close(cache);
	return 0;
}
