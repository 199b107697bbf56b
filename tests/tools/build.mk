# SPDX-License-Identifier: GPL-2.0-only OR MIT
# What tests/tools/run_test.sh needs.

$(BUILD)/tests/tools/cachectl: tests/tools/cachectl.c $(BUILD)/lib/libasynclazy.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(WARN) -Ilibuser/include $(LDFLAGS) -o $@ $^ -pthread

$(BUILD)/tests/tools/record_test: tests/tools/record_test.c tools/alazy/record.c tools/alazy/buf.c \
		tools/alazy/record.h tools/alazy/buf.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(WARN) -Itools/alazy $(LDFLAGS) -o $@ $(filter %.c,$^)

.PHONY: tools-tests
tools-tests: $(BUILD)/tests/tools/cachectl $(BUILD)/tests/tools/record_test \
	$(BUILD)/bin/alazy $(BUILD)/bin/asynclazy-demo
