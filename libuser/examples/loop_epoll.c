// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* A cache in an epoll loop that the program has written itself. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "waits.h"

static void watch(int epoll, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev)) {
		perror("epoll_ctl");
		exit(1);
	}
}

int main(int argc, char **argv)
{
	struct itimerspec tick = { .it_value.tv_nsec = TICK_MS * 1000000 };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct epoll_event ev[8];
	struct waits w;
	int i, n;

	waits_begin(&w, argc, argv);
	watch(epoll, alazy_fd(w.cache));
	watch(epoll, timer);
	timerfd_settime(timer, 0, &tick, NULL);
	while (!waits_done(&w)) {
		n = epoll_wait(epoll, ev, 8, -1);
		if (n < 0 && errno != EINTR)
			break;
		for (i = 0; i < n; i++) {
			uint64_t expirations;

			if (ev[i].data.fd != timer)
				alazy_dispatch(w.cache);
			else if (read(timer, &expirations, sizeof(expirations)) > 0)
				waits_tick(&w);
		}
	}
	close(timer);
	close(epoll);
	return waits_end(&w, "epoll");
}
