# SPDX-License-Identifier: GPL-2.0-only
# The crash storm. Included by the top-level Makefile, from the top of the tree;
# BUILD, CC and CFLAGS are its.

BUILD ?= build

STRESS_DIR := tests/stress
STRESS_OUT := $(BUILD)/stress
STRESS_OBJS := $(patsubst $(STRESS_DIR)/%.c,$(STRESS_OUT)/%.o,$(wildcard $(STRESS_DIR)/*.c)) \
	$(STRESS_OUT)/alz.o $(STRESS_OUT)/view.o $(STRESS_OUT)/libasynclazy.o
STRESS_CPPFLAGS := -D_GNU_SOURCE -Itests/kselftest -Ilibuser/include -Ikmod/uapi
STRESS_CFLAGS := -std=gnu11 -Wall -Wextra -Werror -pthread

.PHONY: stress
stress: $(STRESS_OUT)/storm

$(STRESS_OUT)/%.o: $(STRESS_DIR)/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(STRESS_CPPFLAGS) $(STRESS_CFLAGS) -MMD -MP -c -o $@ $<

$(STRESS_OUT)/alz.o $(STRESS_OUT)/view.o: $(STRESS_OUT)/%.o: tests/kselftest/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(STRESS_CPPFLAGS) $(STRESS_CFLAGS) -MMD -MP -c -o $@ $<

# The library's inner names are those of the tests' calls, too.
$(STRESS_OUT)/libasynclazy.o: $(BUILD)/lib/libasynclazy.a
	@mkdir -p $(@D)
	$(LD) -r -o $@ --whole-archive $<
	$(or $(OBJCOPY),objcopy) --localize-hidden $@

$(STRESS_OUT)/storm: $(STRESS_OBJS)
	$(CC) $(CFLAGS) $(STRESS_CFLAGS) $(LDFLAGS) -static -o $@ $^

-include $(wildcard $(STRESS_OUT)/*.d)
