# SPDX-License-Identifier: GPL-2.0-only OR MIT
# The core under libFuzzer, beside a model. Included by the top-level Makefile;
# BUILD and CC are its. Targets:
#   fuzz-core         $(BUILD)/fuzz/core_fuzz: libFuzzer, ASan, UBSan (clang)
#   fuzz-core-replay  $(BUILD)/fuzz/core_replay: the same without libFuzzer ($(CC))
#   fuzz-core-cov     $(BUILD)/fuzz/core_cov: core_replay that measures coverage (clang);
#                     $(BUILD)/fuzz/unit_cov/: so do the unit tests of the core
# and with each the same for caches that recycle: $(BUILD)/fuzz/recycle_fuzz and so on

FUZZ_CLANG ?= clang
FUZZ_CORE_DIR := tests/fuzz/core
FUZZ_CORE_COMMON := model model_wait fuzz_os world check input ops ops_claim ops_store ops_wait \
	ops_cache reader_os replay
FUZZ_RECYCLE_COMMON := recycle check $(basename $(notdir $(wildcard tests/unit/core_*util.c)))
FUZZ_RECYCLE_MAIN_fuzz :=
FUZZ_RECYCLE_MAIN_replay := recycle_main limit
FUZZ_RECYCLE_MAIN_cov := recycle_main limit
FUZZ_CORE_CORE := $(basename $(notdir $(wildcard kmod/core/*.c)))
FUZZ_CORE_CFLAGS := -std=gnu11 -g -O2 -Wall -Wextra -Werror -fno-omit-frame-pointer \
	-fno-sanitize-recover=all
FUZZ_CORE_CPPFLAGS = -I$(FUZZ_CORE_DIR) -Itests/unit/core_os -Ikmod/core -Ikmod/uapi
FUZZ_CORE_LIB = -D_GNU_SOURCE -Dclock_gettime=fuzz_clock_gettime -Ilibuser/src \
	-Ilibuser/include -Ikmod/core -Ikmod/uapi

FUZZ_CORE_CC_fuzz = $(FUZZ_CLANG)
FUZZ_CORE_CC_replay = $(CC)
FUZZ_CORE_CC_cov = $(FUZZ_CLANG)
FUZZ_CORE_SAN_fuzz := -fsanitize=address,undefined
FUZZ_CORE_SAN_replay := -fsanitize=address,undefined
FUZZ_CORE_SAN_cov := -fprofile-instr-generate -fcoverage-mapping
# libFuzzer is led by the core and the reader; to follow the model costs more
# than it brings
FUZZ_CORE_LED_fuzz := -fsanitize=fuzzer-no-link
FUZZ_CORE_LINK_fuzz := -fsanitize=fuzzer
FUZZ_CORE_MAIN_fuzz := fuzz
FUZZ_CORE_MAIN_replay := main limit
FUZZ_CORE_MAIN_cov := main limit

# fuzz_core_variant V
define fuzz_core_variant
$(BUILD)/fuzz/core-$(1)/%.o: $(FUZZ_CORE_DIR)/%.c
	@mkdir -p $$(@D)
	$$(FUZZ_CORE_CC_$(1)) $$(FUZZ_CORE_CPPFLAGS) -Ilibuser/src -Ilibuser/include \
		$$(FUZZ_CORE_CFLAGS) $$(FUZZ_CORE_SAN_$(1)) -MMD -MP -c -o $$@ $$<

$(BUILD)/fuzz/core-$(1)/core/%.o: kmod/core/%.c
	@mkdir -p $$(@D)
	$$(FUZZ_CORE_CC_$(1)) $$(FUZZ_CORE_CPPFLAGS) $$(FUZZ_CORE_CFLAGS) \
		$$(FUZZ_CORE_SAN_$(1)) $$(FUZZ_CORE_LED_$(1)) -MMD -MP -c -o $$@ $$<

$(BUILD)/fuzz/core-$(1)/lib/reader.o: libuser/src/reader.c
	@mkdir -p $$(@D)
	$$(FUZZ_CORE_CC_$(1)) $$(FUZZ_CORE_LIB) $$(FUZZ_CORE_CFLAGS) \
		$$(FUZZ_CORE_SAN_$(1)) $$(FUZZ_CORE_LED_$(1)) -MMD -MP -c -o $$@ $$<

$(BUILD)/fuzz/core_$(1): $(patsubst %,$(BUILD)/fuzz/core-$(1)/%.o, \
		$(FUZZ_CORE_COMMON) $(FUZZ_CORE_MAIN_$(1)) $(FUZZ_CORE_CORE:%=core/%) lib/reader)
	$$(FUZZ_CORE_CC_$(1)) $$(FUZZ_CORE_CFLAGS) $$(FUZZ_CORE_SAN_$(1)) $$(FUZZ_CORE_LINK_$(1)) \
		-o $$@ $$^

$(BUILD)/fuzz/recycle-$(1)/%.o: tests/unit/%.c
	@mkdir -p $$(@D)
	$$(FUZZ_CORE_CC_$(1)) $$(FUZZ_CORE_CPPFLAGS) -Itests/unit $$(FUZZ_CORE_CFLAGS) \
		$$(FUZZ_CORE_SAN_$(1)) -MMD -MP -c -o $$@ $$<

$(BUILD)/fuzz/recycle-$(1)/%.o: $(FUZZ_CORE_DIR)/%.c
	@mkdir -p $$(@D)
	$$(FUZZ_CORE_CC_$(1)) $$(FUZZ_CORE_CPPFLAGS) -Itests/unit $$(FUZZ_CORE_CFLAGS) \
		$$(FUZZ_CORE_SAN_$(1)) -MMD -MP -c -o $$@ $$<

$(BUILD)/fuzz/recycle_$(1): $(patsubst %,$(BUILD)/fuzz/recycle-$(1)/%.o, \
		$(FUZZ_RECYCLE_COMMON) $(FUZZ_RECYCLE_MAIN_$(1))) \
		$(FUZZ_CORE_CORE:%=$(BUILD)/fuzz/core-$(1)/core/%.o)
	$$(FUZZ_CORE_CC_$(1)) $$(FUZZ_CORE_CFLAGS) $$(FUZZ_CORE_SAN_$(1)) $$(FUZZ_CORE_LINK_$(1)) \
		-o $$@ $$^ -lcmocka

-include $(wildcard $(BUILD)/fuzz/core-$(1)/*.d $(BUILD)/fuzz/core-$(1)/*/*.d)
-include $(wildcard $(BUILD)/fuzz/recycle-$(1)/*.d)
endef

$(foreach v,fuzz replay cov,$(eval $(call fuzz_core_variant,$(v))))

# What the unit tests of the core reach counts, too: $(BUILD)/fuzz/unit_cov/.
FUZZ_UNIT_COV := $(UNIT_CORE_PROGS:%=$(BUILD)/fuzz/unit_cov/%)
FUZZ_UNIT_COV_FLAGS = $(FUZZ_CORE_CFLAGS) $(FUZZ_CORE_SAN_cov) -pthread

$(BUILD)/fuzz/unit_cov/%.o: tests/unit/%.c
	@mkdir -p $(@D)
	$(FUZZ_CLANG) $(FUZZ_CORE_CPPFLAGS) -Itests/unit $(FUZZ_UNIT_COV_FLAGS) -MMD -MP -c -o $@ $<

$(FUZZ_UNIT_COV): %: %.o $(BUILD)/fuzz/unit_cov/check.o \
		$(UNIT_CORE_UTILS:%=$(BUILD)/fuzz/unit_cov/%.o) \
		$(FUZZ_CORE_CORE:%=$(BUILD)/fuzz/core-cov/core/%.o)
	$(FUZZ_CLANG) $(FUZZ_UNIT_COV_FLAGS) -o $@ $^ -lcmocka

-include $(wildcard $(BUILD)/fuzz/unit_cov/*.d)

# core_replay without the core: for mutants.sh
$(BUILD)/fuzz/core_harness.a: $(BUILD)/fuzz/core-replay/lib/reader.o $(patsubst \
		%,$(BUILD)/fuzz/core-replay/%.o,$(FUZZ_CORE_COMMON) $(FUZZ_CORE_MAIN_replay))
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/fuzz/recycle_harness.a: $(patsubst %,$(BUILD)/fuzz/recycle-replay/%.o, \
		$(FUZZ_RECYCLE_COMMON) $(FUZZ_RECYCLE_MAIN_replay))
	@rm -f $@
	ar rcs $@ $^

.PHONY: fuzz-core fuzz-core-replay fuzz-core-cov
fuzz-core: $(BUILD)/fuzz/core_fuzz $(BUILD)/fuzz/recycle_fuzz
fuzz-core-replay: $(BUILD)/fuzz/core_replay $(BUILD)/fuzz/recycle_replay
fuzz-core-cov: $(BUILD)/fuzz/core_cov $(BUILD)/fuzz/recycle_cov $(FUZZ_UNIT_COV)
