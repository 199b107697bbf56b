// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The core: waits and wakes at random, as a model says. Rows K11, F4 to F7, F9. */
#include "core_words_util.h"

TEST(k11_waits_and_wakes_at_random)
{
	unsigned long steps = scaled(50000000, 1000000);
	struct words_seen s = words_run(steps);

	check(s.waits > steps / 20);
	check(s.changed && s.refused && s.woken && s.passed && s.cancels && s.events);
	check(s.finished && s.closed && s.deaths && s.locks && s.raced);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(k11_waits_and_wakes_at_random),
	};

	return RUN_TESTS(tests);
}
