# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
# The examples: a cache in each event loop. Included by the top-level Makefile.

EXAMPLES := epoll uv event glib sdevent uring
EXAMPLE_PKG_uv := libuv
EXAMPLE_PKG_event := libevent_core
EXAMPLE_PKG_glib := glib-2.0
EXAMPLE_PKG_sdevent := libsystemd
EXAMPLE_PKG_uring := liburing
EXAMPLE_CFLAGS := -std=gnu11 -Wall -Wextra -Werror -pthread -Ilibuser/include -Ilibuser/adapters
example_pkg = $(if $(EXAMPLE_PKG_$(1)),$(shell pkg-config --$(2) $(EXAMPLE_PKG_$(1))))

$(BUILD)/examples/loop_%: libuser/examples/loop_%.c libuser/examples/waits.h \
		$(wildcard libuser/adapters/asynclazy/*.h) $(BUILD)/lib/libasynclazy.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -D_GNU_SOURCE $(EXAMPLE_CFLAGS) $(call example_pkg,$*,cflags) -o $@ $< \
		$(BUILD)/lib/libasynclazy.a $(call example_pkg,$*,libs)

.PHONY: examples
examples: $(EXAMPLES:%=$(BUILD)/examples/loop_%)
