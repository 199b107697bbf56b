# SPDX-License-Identifier: GPL-2.0-only
# The patterns, each a program. Included by the top-level Makefile; BUILD, CC and CFLAGS
# are its.

PATTERNS := $(basename $(notdir $(wildcard tests/patterns/*.c)))

$(BUILD)/patterns/%: tests/patterns/%.c tests/patterns/pattern.h $(BUILD)/lib/libasynclazy.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -D_GNU_SOURCE -std=gnu11 -Wall -Wextra -Werror -pthread -Ilibuser/include \
		-o $@ $< $(BUILD)/lib/libasynclazy.a

.PHONY: patterns
patterns: $(PATTERNS:%=$(BUILD)/patterns/%)
