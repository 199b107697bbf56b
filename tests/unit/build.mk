# SPDX-License-Identifier: GPL-2.0-only
# The native unit tests. Included by the top-level Makefile, from the top of
# the tree; BUILD, CC and CFLAGS are its. For each variant V of plain, asan and
# tsan: target unit-V builds all programs in $(BUILD)/unit-V/. They are linked
# with $(BUILD)/lib/libasynclazy.a (plain) or $(BUILD)/lib-V/libasynclazy.a,
# which the including Makefile knows how to make.

BUILD ?= build

UNIT_DIR := tests/unit
UNIT_LIB_PROGS := $(basename $(notdir $(wildcard $(UNIT_DIR)/lib_*.c))) hit_syscalls
UNIT_CORE_PROGS := $(basename $(notdir $(filter-out %_util.c,$(wildcard $(UNIT_DIR)/core_*.c))))
UNIT_CORE_UTILS := $(basename $(notdir $(wildcard $(UNIT_DIR)/core_*util.c)))
UNIT_CORE_SRCS := $(basename $(notdir $(wildcard kmod/core/*.c)))

# What the crash storm's verdicts rest on.
UNIT_STRESS_PROGS := $(basename $(notdir $(wildcard $(UNIT_DIR)/stress_*.c)))

UNIT_CPPFLAGS := -I$(UNIT_DIR) -Ilibuser/include
UNIT_CORE_CPPFLAGS := -I$(UNIT_DIR) -I$(UNIT_DIR)/core_os -Ikmod/core -Ikmod/uapi
UNIT_CFLAGS := -std=gnu11 -g -O2 -Wall -Wextra -Werror -fno-omit-frame-pointer -pthread
UNIT_SAN_plain :=
UNIT_SAN_asan := -fsanitize=address,undefined -fno-sanitize-recover=all
UNIT_SAN_tsan := -fsanitize=thread
UNIT_LIB_plain = $(BUILD)/lib/libasynclazy.a
UNIT_LIB_asan = $(BUILD)/lib-asan/libasynclazy.a
UNIT_LIB_tsan = $(BUILD)/lib-tsan/libasynclazy.a

# Every allocation call of the library is counted in this one.
comma := ,
# White box.
UNIT_CPPFLAGS_lib_reader := -D_GNU_SOURCE -Ilibuser/src -Ikmod/core -Ikmod/uapi

UNIT_STRESS_CPPFLAGS := -D_GNU_SOURCE -I$(UNIT_DIR) -Itests/stress -Itests/kselftest \
	-Ilibuser/include -Ikmod/uapi

UNIT_LDFLAGS_lib_cache := $(patsubst %,-Wl$(comma)--wrap=%,malloc calloc realloc \
	aligned_alloc posix_memalign strdup mmap)

# unit_variant V
define unit_variant
$(BUILD)/unit-$(1)/%.o: $(UNIT_DIR)/%.c
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) $$(UNIT_CPPFLAGS) $$(UNIT_CPPFLAGS_$$(*F)) $$(UNIT_CFLAGS) $$(UNIT_SAN_$(1)) -MMD -MP -c -o $$@ $$<

$(BUILD)/unit-$(1)/core_%.o: $(UNIT_DIR)/core_%.c
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) $$(UNIT_CORE_CPPFLAGS) $$(UNIT_CFLAGS) $$(UNIT_SAN_$(1)) -MMD -MP -c -o $$@ $$<

$(BUILD)/unit-$(1)/stress_%.o: $(UNIT_DIR)/stress_%.c
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) $$(UNIT_STRESS_CPPFLAGS) $$(UNIT_CFLAGS) $$(UNIT_SAN_$(1)) -MMD -MP -c -o $$@ $$<

$(BUILD)/unit-$(1)/stress/%.o: tests/stress/%.c
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) $$(UNIT_STRESS_CPPFLAGS) $$(UNIT_CFLAGS) $$(UNIT_SAN_$(1)) -MMD -MP -c -o $$@ $$<

$(BUILD)/unit-$(1)/core/%.o: kmod/core/%.c
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) $$(UNIT_CORE_CPPFLAGS) $$(UNIT_CFLAGS) $$(UNIT_SAN_$(1)) -MMD -MP -c -o $$@ $$<

$(patsubst %,$(BUILD)/unit-$(1)/%,$(UNIT_LIB_PROGS)): $(BUILD)/unit-$(1)/%: \
		$(BUILD)/unit-$(1)/%.o $(BUILD)/unit-$(1)/check.o \
		$(BUILD)/unit-$(1)/util.o $(BUILD)/unit-$(1)/values.o $$(UNIT_LIB_$(1))
	$$(CC) $$(CFLAGS) $$(UNIT_CFLAGS) $$(UNIT_SAN_$(1)) $$(UNIT_LDFLAGS_$$(*F)) -o $$@ $$^ \
		-lcmocka

$(patsubst %,$(BUILD)/unit-$(1)/%,$(UNIT_CORE_PROGS)): $(BUILD)/unit-$(1)/%: \
		$(BUILD)/unit-$(1)/%.o $(BUILD)/unit-$(1)/check.o \
		$(patsubst %,$(BUILD)/unit-$(1)/%.o,$(UNIT_CORE_UTILS)) \
		$(patsubst %,$(BUILD)/unit-$(1)/core/%.o,$(UNIT_CORE_SRCS))
	$$(CC) $$(CFLAGS) $$(UNIT_CFLAGS) $$(UNIT_SAN_$(1)) -o $$@ $$^ -lcmocka

$(BUILD)/unit-$(1)/stress_ledger: $(BUILD)/unit-$(1)/stress_ledger.o \
		$(BUILD)/unit-$(1)/check.o $(BUILD)/unit-$(1)/stress/ledger.o
	$$(CC) $$(CFLAGS) $$(UNIT_CFLAGS) $$(UNIT_SAN_$(1)) -o $$@ $$^ -lcmocka

.PHONY: unit-$(1)
unit-$(1): $(patsubst %,$(BUILD)/unit-$(1)/%,$(UNIT_LIB_PROGS) $(UNIT_CORE_PROGS) \
	$(UNIT_STRESS_PROGS))

-include $(wildcard $(BUILD)/unit-$(1)/*.d $(BUILD)/unit-$(1)/core/*.d \
	$(BUILD)/unit-$(1)/stress/*.d)
endef

$(foreach v,plain asan tsan,$(eval $(call unit_variant,$(v))))
.SECONDARY: $(foreach v,plain asan tsan,$(patsubst %,$(BUILD)/unit-$(v)/%.o, \
	$(UNIT_LIB_PROGS) $(UNIT_CORE_PROGS) $(UNIT_STRESS_PROGS) check util $(UNIT_CORE_UTILS)))
