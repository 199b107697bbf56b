# SPDX-License-Identifier: GPL-2.0-only OR MIT
# make bench: natively on the local backend, then in the guest on the module.
# The guest counts instructions: one is one nanosecond, so that a rerun gives
# the same figures; it sees no cache misses and has one CPU. Deaths, and wakes of many
# waiters, are timed in a guest with two CPUs, where the dying owner does not keep the
# next one from running; emulated time there is only an order of magnitude.

BENCH_SRC := $(wildcard tools/bench/*.c)
BENCH_OBJ := $(BENCH_SRC:tools/bench/%.c=$(BUILD)/bench/%.o)
BENCH_KVER ?= 6.12

$(BUILD)/bench/%.o: tools/bench/%.c
	@mkdir -p $(@D)
	$(CC) $(WARN) $(CFLAGS) -D_GNU_SOURCE -MMD -Ilibuser/include -Ikmod/uapi -c -o $@ $<

$(BUILD)/bin/asynclazy-bench: $(BENCH_OBJ) $(BUILD)/lib/libasynclazy.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $^ -lpthread -luring

-include $(BENCH_OBJ:.o=.d)

.PHONY: bench bench-run
bench:
	@tools/deps build vm bench
	@+$(MAKE) --no-print-directory bench-run

bench-run: $(BUILD)/bin/asynclazy-bench $(BUILD)/kmod-$(BENCH_KVER)/asynclazy.ko
	ALAZY_BACKEND=local $(BUILD)/bin/asynclazy-bench
	@echo '# in the guest, on the module, counting instructions: some minutes'
	$(VM) --kernel $(BENCH_KVER) --icount --memory 2G --timeout 1800 --env ALAZY_BACKEND=kernel \
		--module $(BUILD)/kmod-$(BENCH_KVER)/asynclazy.ko -- $(BUILD)/bin/asynclazy-bench \
		hits stores recycle wakes stages
	@echo '# in the guest, on the module, two CPUs'
	$(VM) --kernel $(BENCH_KVER) --memory 2G --timeout 600 --env ALAZY_BACKEND=kernel \
		--module $(BUILD)/kmod-$(BENCH_KVER)/asynclazy.ko -- $(BUILD)/bin/asynclazy-bench \
		pingpong death waiters fanout ticker
