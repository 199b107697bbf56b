# SPDX-License-Identifier: GPL-2.0-only OR MIT
# make test, make test-full, make check

.PHONY: test test-full check kselftest
test:
	@tools/deps build vm test
	@+tests/run $(TESTS)

test-full:
	@tools/deps build vm test
	@+ALZ_FULL=1 tests/run $(TESTS)

check: $(BUILD)/kernels/selftests/.done $(KVERS:%=$(BUILD)/kernels/%/release)
	tests/static/run.sh $(KVERS)

$(BUILD)/kernels/selftests/.done:
	tools/vm/fetch selftests
	@touch $@

kselftest: $(BUILD)/kernels/selftests/.done
	@$(MAKE) -s -C tests/kselftest OUTPUT=$(abspath $(BUILD))/kselftest \
		KSELF=$(abspath $(BUILD))/kernels/selftests/tools/testing/selftests
