// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* A cache in a GLib main loop. */
#include <asynclazy/glib.h>

#include "waits.h"

static gboolean on_tick(gpointer ctx)
{
	waits_tick(ctx);
	return G_SOURCE_REMOVE;
}

int main(int argc, char **argv)
{
	GMainContext *context = g_main_context_default();
	GSource *source;
	struct waits w;

	waits_begin(&w, argc, argv);
	source = alazy_glib_source_new(w.cache);
	if (!source) {
		perror("alazy_glib_source_new");
		return 1;
	}
	g_source_attach(source, context);
	g_timeout_add(TICK_MS, on_tick, &w);
	while (!waits_done(&w))
		g_main_context_iteration(context, TRUE);
	g_source_destroy(source);
	g_source_unref(source);
	return waits_end(&w, "GLib");
}
