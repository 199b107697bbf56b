/* SPDX-License-Identifier: LGPL-2.1-or-later OR MIT */
/*
 * asynclazy in a GLib main loop: <asynclazy/glib.h>. Callbacks of the cache run in the
 * thread of the source's context. A complete program: libuser/examples/loop_glib.c.
 */
#ifndef ASYNCLAZY_GLIB_H
#define ASYNCLAZY_GLIB_H

#include <asynclazy.h>
#include <errno.h>
#include <glib-unix.h>
#include <glib.h>

static inline gboolean alazy_glib_ready(gint fd, GIOCondition condition, gpointer cache)
{
	(void)fd;
	(void)condition;
	alazy_dispatch((struct alazy_cache *)cache);
	return G_SOURCE_CONTINUE;
}

/**
 * alazy_glib_source_new() - have a main loop call what is due
 * @cache: stays open until the source is destroyed
 *
 * Return: the source, with one reference, which is the caller's: g_source_attach() it
 * to a context, and g_source_destroy() and g_source_unref() it. NULL with errno.
 */
static inline GSource *alazy_glib_source_new(struct alazy_cache *cache)
{
	int fd = alazy_fd(cache);
	GSource *source;

	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	source = g_unix_fd_source_new(fd, G_IO_IN);
	g_source_set_callback(source, G_SOURCE_FUNC(alazy_glib_ready), cache, NULL);
	g_source_set_static_name(source, "asynclazy");
	return source;
}

#endif /* ASYNCLAZY_GLIB_H */
