// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Stage two: a sha256sum that leaves a trace of each run: one byte more in a
 * file, and a word to the parent. The first run waits to be killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "counted.h"
#include "demo.h"
#include "work.h"

static uint32_t count(const char *counter)
{
	int fd = open(counter, O_WRONLY | O_APPEND | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || write(fd, "x", 1) != 1 || fstat(fd, &st))
		die("cannot count in %s: %s", counter, strerror(errno));
	close(fd);
	return st.st_size;
}

static void tell(int fifo, struct counted *counted)
{
	counted->at = now_ns();
	if (write(fifo, counted, sizeof(*counted)) != sizeof(*counted))
		die("cannot write to the fifo: %s", strerror(errno));
}

int counted_main(int argc, char **argv)
{
	struct counted counted = { .pid = getpid(), .parent = getppid() };
	char value[VALUE_MAX];
	int fifo;

	if (argc != 4)
		die("%s wants COUNTER FIFO FILE", COUNTED_OPTION);
	fifo = open(argv[2], O_WRONLY | O_CLOEXEC);
	if (fifo < 0)
		die("cannot open %s: %s", argv[2], strerror(errno));
	counted.run = count(argv[1]);
	tell(fifo, &counted);
	while (counted.run == 1)
		pause();
	work_do(WORK_SHA256, argv[3], value);
	printf("%s  %s\n", value, argv[3]);
	fprintf(stderr, "one read of %s\n", argv[3]);
	fflush(stdout);
	counted.done = 1;
	counted.cpu = cpu_ns();
	tell(fifo, &counted);
	return 0;
}
