// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Running what is in files. */
#include <stdio.h>

#include "replay.h"
#include "world.h"

int replay_file(const char *path)
{
	u8 input[INPUT_MAX];
	FILE *f = fopen(path, "rb");
	size_t size;

	if (!f) {
		perror(path);
		return -1;
	}
	size = fread(input, 1, sizeof(input), f);
	fclose(f);
	snprintf(world.name, sizeof(world.name), "%s", path);
	world_run(input, size);
	return 0;
}

int replay_show(const char *path)
{
	world.trace = true;
	return replay_file(path) ? 2 : 0;
}
