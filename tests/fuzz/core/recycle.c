// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * What three unit tests do at random, under libFuzzer: the operations and the model of
 * core_recycle_random, on caches that recycle, and those of core_flights_random, with
 * leases, admission, back-off and refresh; and of core_words_random, with words and
 * locks. The input is what they draw their numbers from; its first byte says which it
 * is.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core_flights_util.h"
#include "core_model_util.h"
#include "core_words_util.h"
#include "recycle.h"

static const u8 *input;
static size_t left;

/* Two bytes a number. When there are no more, what is under way ends somehow. */
static u64 next_number(void)
{
	static u64 x;
	u64 n;

	if (left < 2) {
		random_ended = true;
		x = x * 0x5851f42d4c957f2dULL + 0x14057b7ef767814fULL;
		return x >> 33;
	}
	n = input[0] | input[1] << 8;
	input += 2;
	left -= 2;
	return n;
}

void recycle_run(const u8 *data, size_t size)
{
	u8 which = size ? data[0] : 0;

	input = data + !!size;
	left = size - !!size;
	random_source = next_number;
	random_ended = false;
	if (which & 1)
		flights_run(flights_geometries[which / 2 % FLIGHTS_GEOMETRIES], 100000);
	else if (which & 2)
		words_run(100000);
	else
		model_run(100000);
	if (check_failures()) {
		fprintf(stderr, "recycle: mismatch: see above\n");
		abort();
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	recycle_run(data, size);
	return 0;
}
