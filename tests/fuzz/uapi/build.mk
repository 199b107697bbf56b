# SPDX-License-Identifier: GPL-2.0-only
# The fuzzer of the uAPI, and the module that measures what it reaches.
# Included from the top-level Makefile; BUILD and CC are its.

UAPI_FUZZ := $(BUILD)/fuzz/uapi
UAPI_FUZZ_DIR := tests/fuzz/uapi
UAPI_FUZZ_SRCS := $(basename $(notdir $(wildcard $(UAPI_FUZZ_DIR)/*.c)))
UAPI_FUZZ_CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror -Ikmod/uapi -Itests/kselftest

.PHONY: fuzz-uapi
fuzz-uapi: $(UAPI_FUZZ)/uapi_fuzz

$(UAPI_FUZZ)/%.o: $(UAPI_FUZZ_DIR)/%.c
	@mkdir -p $(@D)
	$(CC) $(UAPI_FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

# Other clients, beside it.
UAPI_FUZZ_PAIR := $(patsubst %,$(UAPI_FUZZ)/%.o,pair alz view)
$(UAPI_FUZZ_PAIR): $(UAPI_FUZZ)/%.o: tests/kselftest/%.c
	@mkdir -p $(@D)
	$(CC) $(UAPI_FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

$(UAPI_FUZZ)/uapi_fuzz: $(UAPI_FUZZ_SRCS:%=$(UAPI_FUZZ)/%.o) $(UAPI_FUZZ_PAIR)
	$(CC) -static -pthread -o $@ $^

# Basic blocks are counted by cover/module.c, so this works on any kernel.
# UAPI_COVER_KVER is the one to build for.
UAPI_COVER_KVER ?= 6.12
$(BUILD)/kmod-cover/asynclazy.ko: $(KSRC) $(UAPI_FUZZ_DIR)/cover/module.c $(UAPI_FUZZ_DIR)/build.mk \
		| $(BUILD)/kernels/$(UAPI_COVER_KVER)/release
	@rm -rf $(@D)
	@mkdir -p $(@D)
	@cp -r Kbuild kmod $(@D)
	@cp $(UAPI_FUZZ_DIR)/cover/module.c $(@D)/cover_module.c
	@printf '%s\n' 'KCOV_INSTRUMENT := n' 'asynclazy-y += cover_module.o' \
		'ccflags-y += -g -fsanitize-coverage=trace-pc -fno-optimize-sibling-calls' \
		'CFLAGS_cover_module.o += -fno-sanitize-coverage=trace-pc' >>$(@D)/Kbuild
	$(MAKE) -s -C $(BUILD)/kernels/$(UAPI_COVER_KVER)/headers M=$(abspath $(@D)) modules

-include $(wildcard $(UAPI_FUZZ)/*.d)
