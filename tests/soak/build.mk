# SPDX-License-Identifier: GPL-2.0-only
# The soak. Included by the top-level Makefile, from the top of the tree.

BUILD ?= build

SOAK_OBJS := $(patsubst tests/soak/%.c,$(BUILD)/soak/%.o,$(wildcard tests/soak/*.c))

.PHONY: soak
soak: $(BUILD)/soak/soak

$(BUILD)/soak/%.o: tests/soak/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -D_GNU_SOURCE -Ilibuser/include -std=gnu11 -Wall -Wextra -Werror -MMD -MP -c -o $@ $<

$(BUILD)/soak/soak: $(SOAK_OBJS) $(BUILD)/lib/libasynclazy.a
	$(CC) $(CFLAGS) $(LDFLAGS) -pthread -static -o $@ $^

-include $(wildcard $(BUILD)/soak/*.d)
