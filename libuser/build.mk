# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
# The library. Included by the top-level Makefile, which gives BUILD, CC,
# CFLAGS and VERSION.

BUILD ?= build
VERSION ?= 0.1.0
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
AR ?= ar
comma := ,

LIB_SRCS := $(wildcard libuser/src/*.c)
LIB_CORE_SRCS := $(wildcard kmod/core/*.c)
LIB_SONAME := libasynclazy.so.0
LIB_MAP := libuser/libasynclazy.map

# What the library's own files need, whatever CFLAGS says.
LIB_CPPFLAGS := -D_GNU_SOURCE -Ilibuser/include -Ikmod/uapi -Ikmod/core -Ilibuser/src
LIB_CFLAGS := -std=gnu11 -Wall -Wextra -Werror -fvisibility=hidden -pthread

# $(1): name of the variant, $(2): its flags. A core file is core-NAME.o: two
# members of an archive cannot share a name.
define LIB_VARIANT
LIB_OBJS_$(1) := $$(LIB_SRCS:libuser/src/%.c=$(BUILD)/obj/$(1)/%.o) \
	$$(LIB_CORE_SRCS:kmod/core/%.c=$(BUILD)/obj/$(1)/core-%.o)

$(BUILD)/obj/$(1)/%.o: libuser/src/%.c libuser/build.mk
	@mkdir -p $$(@D)
	$$(CC) $$(LIB_CPPFLAGS) $$(CFLAGS) $$(LIB_CFLAGS) $(2) -MMD -MP -c -o $$@ $$<

$(BUILD)/obj/$(1)/core-%.o: kmod/core/%.c libuser/build.mk
	@mkdir -p $$(@D)
	$$(CC) $$(LIB_CPPFLAGS) $$(CFLAGS) $$(LIB_CFLAGS) $(2) -MMD -MP -c -o $$@ $$<

-include $$(LIB_OBJS_$(1):.o=.d)
endef

define LIB_ARCHIVE
$(BUILD)/$(1)/libasynclazy.a: $$(LIB_OBJS_$(1))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(AR) rcs $$@ $$^
endef

LIB_SAN := -g -O1 -fno-omit-frame-pointer

$(eval $(call LIB_VARIANT,lib,))
$(eval $(call LIB_VARIANT,lib-pic,-fPIC))
$(eval $(call LIB_VARIANT,lib-asan,$(LIB_SAN) -fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined))
$(eval $(call LIB_VARIANT,lib-tsan,$(LIB_SAN) -fsanitize=thread))
$(eval $(call LIB_ARCHIVE,lib))
$(eval $(call LIB_ARCHIVE,lib-asan))
$(eval $(call LIB_ARCHIVE,lib-tsan))

$(BUILD)/lib/$(LIB_SONAME): $(LIB_OBJS_lib-pic) $(LIB_MAP)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -pthread -Wl,-soname,$(LIB_SONAME) \
		-Wl,--version-script,$(LIB_MAP) -Wl,-z,defs -Wl,-z,relro,-z,now,-z,nodelete \
		-o $@ $(LIB_OBJS_lib-pic)

$(BUILD)/lib/libasynclazy.so: $(BUILD)/lib/$(LIB_SONAME)
	ln -sf $(LIB_SONAME) $@

$(BUILD)/lib/asynclazy.pc: libuser/asynclazy.pc.in libuser/build.mk FORCE
	@mkdir -p $(@D)
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' \
		-e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' -e 's|@VERSION@|$(VERSION)|' $< >$@

LIB_MAN3 := $(wildcard libuser/man/*.3)
LIB_MAN7 := $(wildcard libuser/man/*.7)

.PHONY: lib lib-asan lib-tsan install-lib FORCE
lib: $(BUILD)/lib/libasynclazy.a $(BUILD)/lib/libasynclazy.so $(BUILD)/lib/asynclazy.pc
lib-asan: $(BUILD)/lib-asan/libasynclazy.a
lib-tsan: $(BUILD)/lib-tsan/libasynclazy.a

install-lib: lib
	install -d $(DESTDIR)$(INCLUDEDIR)/asynclazy $(DESTDIR)$(LIBDIR)/pkgconfig \
		$(DESTDIR)$(MANDIR)/man3 $(DESTDIR)$(MANDIR)/man7
	install -m 644 libuser/include/asynclazy.h $(DESTDIR)$(INCLUDEDIR)
	install -m 644 libuser/adapters/asynclazy/*.h $(DESTDIR)$(INCLUDEDIR)/asynclazy
	install -m 644 $(BUILD)/lib/libasynclazy.a $(DESTDIR)$(LIBDIR)
	install -m 755 $(BUILD)/lib/$(LIB_SONAME) $(DESTDIR)$(LIBDIR)
	ln -sf $(LIB_SONAME) $(DESTDIR)$(LIBDIR)/libasynclazy.so
	install -m 644 $(BUILD)/lib/asynclazy.pc $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 644 $(LIB_MAN3) $(DESTDIR)$(MANDIR)/man3
	install -m 644 $(LIB_MAN7) $(DESTDIR)$(MANDIR)/man7
	[ -n "$(DESTDIR)" ] || ldconfig
