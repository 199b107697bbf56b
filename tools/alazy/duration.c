// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Durations as people write them. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alazy.h"

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

bool duration_parse(const char *text, uint64_t *ns)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		{ "ms", 1000000ULL },
		{ "s", 1000000000ULL },
		{ "m", 60 * 1000000000ULL },
		{ "h", 3600 * 1000000000ULL },
		{ "d", 86400 * 1000000000ULL },
	};
	unsigned long long n;
	char *end;
	size_t i;

	if (!strcmp(text, "never")) {
		*ns = DURATION_NEVER;
		return true;
	}
	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno)
		return false;
	if (!*end && !n) {
		*ns = 0;
		return true;
	}
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].name))
			continue;
		/* centuries are as good as for ever */
		if (n >= DURATION_NEVER / 2 / units[i].ns)
			*ns = DURATION_NEVER;
		else
			*ns = n * units[i].ns;
		return true;
	}
	return false;
}
