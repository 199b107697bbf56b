// SPDX-License-Identifier: GPL-2.0-only
/* Select over several: whichever comes first, a value, a word or a descriptor. */
#include "pattern.h"

#include <sys/eventfd.h>

static unsigned int values, words;

static int make_later(const struct alazy_ticket *ticket, const void *key, size_t key_size,
		      void *ctx)
{
	(void)key;
	(void)key_size;
	*(struct alazy_ticket *)ctx = *ticket;
	return 0;
}

static void on_value(int err, struct alazy_ref *ref, void *ctx)
{
	(void)ctx;
	must(!err && ref->size == 3);
	values++;
}

static void on_word(int err, size_t index, void *ctx)
{
	(void)ctx;
	must(!err && index == 1);
	words++;
}

int main(void)
{
	struct alazy_cache *cache = open_cache();
	uint32_t *word = alazy_word(cache, 0);
	struct alazy_futex f[2] = { { .word = &word[0] }, { .word = &word[1] } };
	struct pollfd p[2] = { { .fd = alazy_fd(cache), .events = POLLIN },
			       { .fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN } };
	struct alazy_ticket ticket;
	struct alazy_wait *wait;

	must(!alazy_cache_get_async(cache, "k", 1, make_later, on_value, &ticket, &wait));
	must(!alazy_futex_wait_async(cache, f, 2, on_word, NULL, NULL, NULL));

	/* nothing; then the descriptor; then the second of two words; then the value */
	must(poll(p, 2, 0) == 0);
	must(!eventfd_write(p[1].fd, 1));
	must(poll(p, 2, -1) == 1 && p[1].revents);
	close(p[1].fd);
	change(cache, &word[1], 1, 1);
	turn(cache);
	must(words == 1 && values == 0);
	must(!alazy_publish(&ticket, "abc", 3, 0));
	turn(cache);
	must(words == 1 && values == 1);
	/* the first word is free again: who lost uses up no wake */
	must(alazy_futex_wake(cache, &word[0], 1) == 0);
	alazy_cache_close(cache);
	return 0;
}
