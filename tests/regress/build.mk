# SPDX-License-Identifier: GPL-2.0-only
# The ancestors' bugs. Included by the top-level Makefile, from the top of the
# tree; BUILD, CC and CFLAGS are its.

BUILD ?= build

REGRESS_DIR := tests/regress
REGRESS_OBJS := $(patsubst $(REGRESS_DIR)/%.c,$(BUILD)/regress/%.o,$(wildcard $(REGRESS_DIR)/*.c))
REGRESS_CFLAGS := -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -pthread -Ilibuser/include

.PHONY: regress
regress: $(BUILD)/regress/regress

$(BUILD)/regress/%.o: $(REGRESS_DIR)/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(REGRESS_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/regress/regress: $(REGRESS_OBJS) $(BUILD)/lib/libasynclazy.a
	$(CC) $(CFLAGS) $(REGRESS_CFLAGS) $(LDFLAGS) -o $@ $^

-include $(wildcard $(BUILD)/regress/*.d)
