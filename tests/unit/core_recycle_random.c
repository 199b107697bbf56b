// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The core: random operations of three clients on a cache that recycles, beside
 * a model in which a value may vanish at any time, but does not come back, is
 * not another's, and does not change while it is pinned or its event was just
 * read. Now and then, where the core lets go of its lock, others come in. After
 * each step all structures are compared with one another.
 */
#include <stdio.h>

#include "core_model_util.h"

TEST(random_operations_agree_with_a_model_in_which_values_may_vanish)
{
	const struct model_counts *n = &model_counts;
	unsigned long runs = scaled(2000, 40), i;

	for (i = 0; i < runs && !check_failures(); i++)
		model_run(1000);
	printf("# %u values vanished, %u hits, %u waits ended, %u refused, %u late, ",
	       n->vanished, n->hits, n->waits, n->refused, n->late);
	printf("%u came in, %u copied\n", n->came_in, n->copied);
	check(n->vanished > 100 && n->hits > 1000 && n->waits > 30 && n->came_in > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations_agree_with_a_model_in_which_values_may_vanish),
	};

	return RUN_TESTS(tests);
}
