# SPDX-License-Identifier: GPL-2.0-only OR MIT
# The explorer: all interleavings of the core's real code. Included by the
# top-level Makefile, or used alone from the top of the tree: target
# model-explore builds $(BUILD)/model/explore/explore. The core and the reader
# are instrumented by the compiler as for the thread sanitizer, whose runtime is
# not linked: explore/memory.c has what they call.

BUILD ?= build

MODEL_DIR := tests/model/explore
MODEL_OUT := $(BUILD)/model/explore
MODEL_CPPFLAGS := -D_GNU_SOURCE -I$(MODEL_DIR) -Ikmod/core -Ikmod/uapi -Ilibuser/src \
	-Ilibuser/include
MODEL_CFLAGS := -std=gnu11 -g -O1 -Wall -Wextra -Werror
MODEL_OBJS := $(patsubst kmod/core/%.c,$(MODEL_OUT)/core_%.o,$(wildcard kmod/core/*.c)) \
	$(MODEL_OUT)/core_reader.o \
	$(patsubst $(MODEL_DIR)/%.c,$(MODEL_OUT)/%.o,$(wildcard $(MODEL_DIR)/*.c))

.PHONY: model-explore
model-explore: $(MODEL_OUT)/explore

$(MODEL_OUT)/explore: $(MODEL_OBJS)
	$(CC) $(CFLAGS) -o $@ $^ -Wl,-z,now

$(MODEL_OUT)/core_%.o: kmod/core/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(MODEL_CPPFLAGS) $(MODEL_CFLAGS) -fsanitize=thread -MMD -MP -c -o $@ $<

$(MODEL_OUT)/core_%.o: libuser/src/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(MODEL_CPPFLAGS) $(MODEL_CFLAGS) -fsanitize=thread -MMD -MP -c -o $@ $<

$(MODEL_OUT)/%.o: $(MODEL_DIR)/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(MODEL_CPPFLAGS) $(MODEL_CFLAGS) -O2 -MMD -MP -c -o $@ $<

# MODEL_MUTANT=DIR: the same with the core's files, or the explorer's, that lie
# there in place of ours, and MODEL_DEFINES; everything else is as built above.
MODEL_MUTANT ?=
MODEL_DEFINES ?=
MODEL_CHANGED := $(notdir $(wildcard $(MODEL_MUTANT)/*.c))

.PHONY: model-mutant
model-mutant: $(MODEL_OUT)/explore
	set -e; objs='$(MODEL_OBJS)'; \
	for f in $(MODEL_CHANGED); do \
		o=$${f%.c}.o; san=; \
		if [ ! -e $(MODEL_DIR)/$$f ]; then o=core_$$o; san=-fsanitize=thread; fi; \
		$(CC) $(CFLAGS) $(MODEL_CPPFLAGS) $(MODEL_CFLAGS) $$san $(MODEL_DEFINES) \
			-c -o $(MODEL_MUTANT)/$$o $(MODEL_MUTANT)/$$f; \
		objs=$$(echo "$$objs" | sed "s|$(MODEL_OUT)/$$o|$(MODEL_MUTANT)/$$o|"); \
	done; \
	$(CC) $(CFLAGS) -o $(MODEL_MUTANT)/explore $$objs -Wl,-z,now

-include $(wildcard $(MODEL_OUT)/*.d)
