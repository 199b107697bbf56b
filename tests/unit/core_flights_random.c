// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* The core: all that a flight may meet, at random. Rows K9, K14, L5, L14. */
#include "core_flights_util.h"

TEST(k14_all_of_it_at_random)
{
	int steps = scaled(2000000, 40000), i;

	for (i = 0; i < FLIGHTS_GEOMETRIES; i++) {
		const struct alz_geometry *g = &flights_geometries[i];
		struct flights_seen s = flights_run(*g, steps);

		check(s.taken > (u64)steps / 400);
		check(s.cycles && s.looks);
		check(!g->max_inits || s.queued);
		check(!g->accept || s.unaccepted);
		check(!g->soft_lease || s.late);
		check(!g->hard_lease || s.revoked);
		check(!g->stale_ttl || s.refreshes);
		check(!g->backoff || s.held);
		check(!g->max_deaths || s.refused);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(k14_all_of_it_at_random),
	};

	return RUN_TESTS(tests);
}
