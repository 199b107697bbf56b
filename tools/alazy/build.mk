# SPDX-License-Identifier: GPL-2.0-only OR MIT
# The command line tool. BUILD, CC, CFLAGS, WARN and VERSION come from the top-level Makefile.
# It is linked with the static library: one file that needs no installation.

ALAZY_SRC := $(wildcard tools/alazy/*.c)
ALAZY_OBJ := $(ALAZY_SRC:tools/%.c=$(BUILD)/tools/%.o)

$(ALAZY_OBJ): $(BUILD)/tools/%.o: tools/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(WARN) -Ilibuser/include -DALAZY_VERSION='"$(VERSION)"' -MMD -MP -c -o $@ $<

$(BUILD)/bin/alazy: $(ALAZY_OBJ) $(BUILD)/lib/libasynclazy.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -pthread

-include $(ALAZY_OBJ:.o=.d)
