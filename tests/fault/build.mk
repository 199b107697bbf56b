# SPDX-License-Identifier: GPL-2.0-only
# The kselftests once more, with faults injected: $(BUILD)/fault/*_test. Included
# by the top-level Makefile, from the top of the tree; BUILD, CC and CFLAGS are its.

BUILD ?= build

FAULT_DIR := tests/fault
FAULT_KSELF := $(BUILD)/kernels/selftests/tools/testing/selftests
FAULT_TESTS := $(basename $(notdir $(wildcard tests/kselftest/*_test.c $(FAULT_DIR)/*_test.c)))
FAULT_OBJS := $(patsubst %,$(BUILD)/fault/%.o,drive choose hook knobs bystander pair ledger alz view remote)
FAULT_CFLAGS := -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Werror -I$(FAULT_DIR) -Itests/kselftest \
	-isystem $(FAULT_KSELF) -Ikmod/uapi
FAULT_WRAP := $(patsubst %,-Wl$(comma)--wrap=%,ioctl read write poll epoll_ctl mmap syscall)

.PHONY: fault
fault: $(FAULT_TESTS:%=$(BUILD)/fault/%) $(BUILD)/fault/finish

$(BUILD)/fault/%.o: $(FAULT_DIR)/%.c | $(BUILD)/kernels/selftests/.done
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(FAULT_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/fault/%.o: tests/kselftest/%.c | $(BUILD)/kernels/selftests/.done
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(FAULT_CFLAGS) -MMD -MP -c -o $@ $<

$(FAULT_TESTS:%=$(BUILD)/fault/%): $(BUILD)/fault/%: $(BUILD)/fault/%.o $(FAULT_OBJS)
	$(CC) $(CFLAGS) -static -pthread $(FAULT_WRAP) -o $@ $^

$(BUILD)/fault/finish: $(patsubst %,$(BUILD)/fault/%.o,finish ledger alz)
	$(CC) $(CFLAGS) -static -pthread -o $@ $^

-include $(wildcard $(BUILD)/fault/*.d)
.SECONDARY: $(FAULT_OBJS) $(FAULT_TESTS:%=$(BUILD)/fault/%.o) $(BUILD)/fault/finish.o
