/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/* Flights at random, for a unit test and for libFuzzer. */
#ifndef ALZ_TEST_CORE_FLIGHTS_UTIL_H
#define ALZ_TEST_CORE_FLIGHTS_UTIL_H

#include "core_util.h"

/* How often each came about. */
struct flights_seen {
	u64 taken, cycles, queued, held, refused, looks;
	u64 unaccepted, late, revoked, refreshes;
};

#define FLIGHTS_GEOMETRIES	9
extern const struct alz_geometry flights_geometries[FLIGHTS_GEOMETRIES];

struct flights_seen flights_run(struct alz_geometry g, int steps);

#endif
