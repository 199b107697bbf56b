# SPDX-License-Identifier: GPL-2.0-only OR MIT
#
#   make            the library, the tools, and the module for KDIR
#   make run        see what this is: a VM, 64 processes, one initialisation
#   make test       everything that CI runs (make test-full: at full counts)
#   make bench      figures, with those of peers in the same run
#   make install    library, headers, tools, man pages (DESTDIR, PREFIX)
#   make help       all targets

VERSION := 0.1.0
BUILD ?= build
PREFIX ?= /usr/local
CFLAGS ?= -O2 -g
KVERS ?= 6.12 6.1
KDIR ?= /lib/modules/$(shell uname -r)/build

WARN := -std=gnu11 -Wall -Wextra -Werror
VM := tools/vm/run

.DELETE_ON_ERROR:
.PHONY: all lib tools modules modules-vm help clean distclean

all: lib tools modules

include libuser/build.mk
include libuser/examples/build.mk
include tools/alazy/build.mk
include tools/demo/build.mk
include tools/bench/build.mk
include tools/policy/build.mk
include tests/unit/build.mk
include tests/patterns/build.mk
include tests/tools/build.mk
include tests/regress/build.mk
include tests/model/build.mk
include tests/fault/build.mk
include tests/stress/build.mk
include tests/soak/build.mk
include tests/fuzz/build.mk
include tests/build.mk

lib: $(BUILD)/lib/libasynclazy.a $(BUILD)/lib/libasynclazy.so.0
tools: $(BUILD)/bin/alazy

# The module, built in a copy of its sources so that the tree stays clean and
# several kernels can be built for at once.
KSRC := Kbuild $(shell find kmod -name '*.[ch]')
define kmod-build
	@mkdir -p $(dir $@)
	@cp -ru Kbuild kmod $(dir $@)
	+$(MAKE) -s -C $(1) M=$(abspath $(dir $@)) $(2) modules
	@touch $@
endef

modules: $(BUILD)/kmod/asynclazy.ko
$(BUILD)/kmod/asynclazy.ko: $(KSRC)
	@test -e $(KDIR)/Makefile || { echo "make modules: no kernel headers in $(KDIR); install them (Debian: linux-headers-$$(uname -r)), or name a kernel tree with KDIR=" >&2; exit 1; }
	$(call kmod-build,$(KDIR))

# For the kernels that the VM boots.
modules-vm: $(KVERS:%=$(BUILD)/kmod-%/asynclazy.ko)
$(BUILD)/kernels/%/release:
	tools/vm/fetch $*
$(BUILD)/kmod-%/asynclazy.ko: $(KSRC) | $(BUILD)/kernels/%/release
	$(call kmod-build,$(BUILD)/kernels/$*/headers)
$(BUILD)/kmod-%-clang/asynclazy.ko: $(KSRC) tests/static/clang-as-gcc tests/static/clang-as-gcc.h | $(BUILD)/kernels/%/release
	$(call kmod-build,$(BUILD)/kernels/$*/headers,CC=$(abspath tests/static/clang-as-gcc))
# A module that claims another ABI, to test that the library refuses it.
$(BUILD)/kmod-%-abi/asynclazy.ko: $(KSRC) | $(BUILD)/kernels/%/release
	@mkdir -p $(@D)
	@cp -r Kbuild kmod $(@D)
	@sed -i 's/^\(#define ASYNCLAZY_ABI_VERSION\).*/\1 999/' $(@D)/kmod/uapi/linux/asynclazy.h
	$(MAKE) -s -C $(BUILD)/kernels/$*/headers M=$(abspath $(@D)) modules
# Debug kernels change with their configuration, and modules with them.
DEBUG_KERNELS := kasan kcsan
$(DEBUG_KERNELS:%=$(BUILD)/kernels/%/release): $(BUILD)/kernels/%/release: \
		tools/vm/config/base tools/vm/config/% tools/vm/kernel
	tools/vm/kernel $*
	@touch $@
$(DEBUG_KERNELS:%=$(BUILD)/kmod-%/asynclazy.ko): $(BUILD)/kmod-%/asynclazy.ko: $(BUILD)/kernels/%/release
$(BUILD)/bugs-%/bugs.ko: tests/vm/bugs/bugs.c tests/vm/bugs/Kbuild $(BUILD)/kernels/%/release
	@mkdir -p $(@D)
	@cp tests/vm/bugs/* $(@D)
	$(MAKE) -s -C $(BUILD)/kernels/$*/headers M=$(abspath $(@D)) modules
	@touch $@
.PRECIOUS: $(BUILD)/kernels/%/release $(BUILD)/kmod-%/asynclazy.ko

.PHONY: run
run:
	@tools/deps run
	@echo 'building the library, the tools and the module ...'
	@+$(MAKE) -s --no-print-directory run-demo

.PHONY: install install-tools
install: install-lib install-tools

install-tools: tools
	install -D $(BUILD)/bin/alazy $(DESTDIR)$(PREFIX)/bin/alazy
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 tools/alazy/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -D -m 644 tools/udev/60-asynclazy.rules \
		$(DESTDIR)$(PREFIX)/lib/udev/rules.d/60-asynclazy.rules
	install -D -m 644 tools/udev/asynclazy.sysusers \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d/asynclazy.conf
	install -D -m 644 kmod/uapi/linux/asynclazy.h \
		$(DESTDIR)$(PREFIX)/include/linux/asynclazy.h

help:
	@sed -n 's/^#   make/make/p' Makefile
	@echo 'make modules     the module alone (KDIR=kernel build tree)'
	@echo 'make lib tools   the library, the alazy command'
	@echo 'make check       static checks: checkpatch, sparse, coccinelle, W=1, compilers, clang-tidy, cppcheck, shellcheck'
	@echo 'make policy      simulate ways to evict, and draw what comes of it'
	@echo 'make clean       remove what was built (distclean: downloads too)'

clean:
	find $(BUILD) -mindepth 1 -maxdepth 1 ! -name kernels -exec rm -rf {} + 2>/dev/null || true

distclean:
	rm -rf $(BUILD)
