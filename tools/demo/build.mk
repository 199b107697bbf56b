# SPDX-License-Identifier: GPL-2.0-only OR MIT
# The demonstration of `make run`. BUILD, CC, CFLAGS and WARN come from the top-level
# Makefile. Debian: libssl-dev, zlib1g-dev.

DEMO_SRC := $(wildcard tools/demo/*.c)
DEMO_OBJ := $(DEMO_SRC:tools/%.c=$(BUILD)/tools/%.o)

$(DEMO_OBJ): $(BUILD)/tools/%.o: tools/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(WARN) -Ilibuser/include -MMD -MP -c -o $@ $<

$(BUILD)/bin/asynclazy-demo: $(DEMO_OBJ) $(BUILD)/lib/libasynclazy.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcrypto -lz -pthread

-include $(DEMO_OBJ:.o=.d)

# What it works on: the kernel that the VM boots, and what every Debian has.
DEMO_KVER ?= 6.12
DEMO_FILES ?= $(abspath $(BUILD))/kernels/$(DEMO_KVER)/vmlinuz \
	$(wildcard /usr/lib/*/libcrypto.so.3) /bin/bash

.PHONY: run-demo
run-demo: $(BUILD)/bin/asynclazy-demo $(BUILD)/bin/alazy $(BUILD)/kmod-$(DEMO_KVER)/asynclazy.ko
	@live=--plain; [ ! -t 1 ] || live=--live; \
	$(VM) --kernel $(DEMO_KVER) --module $(BUILD)/kmod-$(DEMO_KVER)/asynclazy.ko \
		--file $(BUILD)/bin/alazy $(DEMO_FILES:%=--file %) --timeout 300 \
		-- $(BUILD)/bin/asynclazy-demo $$live $(DEMO_FILES)
