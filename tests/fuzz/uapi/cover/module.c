// SPDX-License-Identifier: GPL-2.0-only
/*
 * For measuring coverage: linked into a copy of the module that was built with
 * -fsanitize-coverage=trace-pc, this takes the place of the kernel's kcov and
 * keeps one bit for each basic block that ran, in whatever context: kcov sees
 * the tasks that ask for it, and neither workqueues nor the end of a process.
 *
 * Reading the module parameter `cover` returns offsets from this function, as
 * many as fit, and goes on from there the next time; nothing means that this
 * was all, and it begins again.
 */
#include <linux/bitops.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#define COVER_BYTES	(512 << 10)	/* of .text around us: far more than there is */

void __sanitizer_cov_trace_pc(void);

static DECLARE_BITMAP(alz_cover, COVER_BYTES);
static unsigned long alz_cover_at;

notrace void __sanitizer_cov_trace_pc(void)
{
	unsigned long offset = (unsigned long)__builtin_return_address(0) -
		(unsigned long)__sanitizer_cov_trace_pc + COVER_BYTES / 2;

	if (offset < COVER_BYTES && !test_bit(offset, alz_cover))
		set_bit(offset, alz_cover);
}

static int alz_cover_get(char *buffer, const struct kernel_param *kp)
{
	int n = 0;

	for (;;) {
		alz_cover_at = find_next_bit(alz_cover, COVER_BYTES, alz_cover_at);
		if (alz_cover_at >= COVER_BYTES) {
			if (!n)
				alz_cover_at = 0;
			return n;
		}
		if (n > PAGE_SIZE - 32)
			return n;
		n += sprintf(buffer + n, "%ld\n", (long)alz_cover_at - COVER_BYTES / 2);
		alz_cover_at++;
	}
}

static const struct kernel_param_ops alz_cover_ops = {
	.get = alz_cover_get,
};
module_param_cb(cover, &alz_cover_ops, NULL, 0400);
