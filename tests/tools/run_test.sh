#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# The tests of the tools, here and in the guest; KTAP out, one after the other.
#   tests/tools/run_test.sh [kernel]	(default 6.12)
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=${BUILD:-build}
kernel=${1:-6.12}
failed=0

make -s tools-tests "$BUILD/kmod-$kernel/asynclazy.ko" "$BUILD/kmod-$kernel-abi/asynclazy.ko" >&2 || {
	echo 'not ok 1 build'
	exit 1
}
guest() {
	tools/vm/run --kernel "$kernel" --module "$BUILD/kmod-$kernel/asynclazy.ko" \
		--env BUILD="$(realpath "$BUILD")" --file "$BUILD/bin/alazy" "$@"
}

"$BUILD/tests/tools/record_test" || failed=1
tests/tools/alazy_run.sh || failed=1
guest --file "$BUILD/tests/tools/cachectl" --timeout 300 -- tests/tools/alazy_run.sh || failed=1

# K1: a real module of another ABI.
echo 'KTAP version 1'
echo 1..1
out=$(tools/vm/run --kernel "$kernel" --module "$BUILD/kmod-$kernel-abi/asynclazy.ko" \
	-- "$BUILD/bin/alazy" run -- true 2>&1)
status=$?
if [ $status = 69 ] && grep -q 'ABI 999.*same release' <<<"$out"; then
	echo 'ok 1 K1 a module of another ABI is refused with a clear error'
else
	printf '# status %s: %s\n' "$status" "${out//$'\n'/$'\n'# }"
	echo 'not ok 1 K1 a module of another ABI is refused with a clear error'
	failed=1
fi

# The demonstration checks itself.
echo 'KTAP version 1'
echo 1..1
if out=$(guest --timeout 120 -- "$BUILD/bin/asynclazy-demo" --plain \
	"$(realpath "$BUILD/bin/alazy")" "$(realpath "$BUILD/bin/asynclazy-demo")" 2>&1); then
	echo 'ok 1 asynclazy-demo: every count is right'
else
	printf '# %s\n' "${out//$'\n'/$'\n'# }"
	echo 'not ok 1 asynclazy-demo: every count is right'
	failed=1
fi
exit $failed
