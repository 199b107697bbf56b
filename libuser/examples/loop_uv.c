// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* A cache in a libuv loop. */
#include <asynclazy/uv.h>

#include "waits.h"

struct program {
	struct waits w;
	uv_loop_t loop;
	uv_timer_t timer;
	uv_check_t check;
	struct alazy_uv cache;
};

static void on_tick(uv_timer_t *timer)
{
	struct program *p = timer->data;

	waits_tick(&p->w);
	uv_close((uv_handle_t *)timer, NULL);
}

/* After each turn of the loop: with all handles closed it ends. */
static void on_turn(uv_check_t *check)
{
	struct program *p = check->data;

	if (!waits_done(&p->w))
		return;
	alazy_uv_stop(&p->cache, NULL);
	uv_close((uv_handle_t *)check, NULL);
}

int main(int argc, char **argv)
{
	static struct program p;
	int err;

	waits_begin(&p.w, argc, argv);
	uv_loop_init(&p.loop);
	err = alazy_uv_start(&p.cache, &p.loop, p.w.cache);
	if (err) {
		fprintf(stderr, "alazy_uv_start: %s\n", uv_strerror(err));
		return 1;
	}
	uv_timer_init(&p.loop, &p.timer);
	p.timer.data = &p;
	uv_timer_start(&p.timer, on_tick, TICK_MS, 0);
	uv_check_init(&p.loop, &p.check);
	p.check.data = &p;
	uv_check_start(&p.check, on_turn);
	uv_run(&p.loop, UV_RUN_DEFAULT);
	uv_loop_close(&p.loop);
	return waits_end(&p.w, "libuv");
}
