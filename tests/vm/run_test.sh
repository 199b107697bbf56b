#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Tests tools/vm/run itself; needs no module.
set -u

if [[ ${1-} == --help ]]; then
	echo "Usage: tests/vm/run_test.sh [KERNEL...]"
	echo "Tests tools/vm/run with each KERNEL (default 6.12); prints KTAP."
	exit 0
fi
(($#)) || set -- 6.12
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
run=$PWD/tools/vm/run
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

check() { # check NAME CONDITION...
	local name=$1 bad=0
	shift
	"$@" || bad=1
	[ $bad = 0 ] || sed 's/^/# /' "$tmp/err"
	verdict $bad "$kernel: $name"
}

vm() {
	"$run" --no-module --kernel "$kernel" --timeout 60 "$@" >"$tmp/out" 2>"$tmp/err"
	status=$?
}

echo 'TAP version 13'
for kernel; do
	# all bytes, many times: what a terminal on the way would change or swallow
	for ((i = 0; i < 256; i++)); do printf '%b' "\\x$(printf %02x $i)"; done >"$tmp/bytes"
	for ((i = 0; i < 200; i++)); do cat "$tmp/bytes"; done >"$tmp/many"
	echo error >"$tmp/error"
	# shellcheck disable=SC2016  # for the guest's shell
	vm --file "$tmp/many:/given/many" -- sh -c 'cat /given/many; echo error >&2; exit 7'
	check 'exit status' test $status = 7
	check 'stdout is binary-clean, --file visible' cmp -s "$tmp/many" "$tmp/out"
	check 'stderr apart' cmp -s "$tmp/error" "$tmp/err"

	# shellcheck disable=SC2016  # perl's
	vm -- perl -e '$| = 1; print "pid $$\n"; kill 9, $$'
	check 'signal death is 128+n' test $status = 137
	check 'dynamic program of the host runs' grep -q '^pid ' "$tmp/out"

	vm --timeout 5 -- sleep 100
	check 'timeout is 124' test $status = 124

	vm -- sh -c 'echo c >/proc/sysrq-trigger; sleep 10'
	check 'panic is 125' test $status = 125
	check 'panic is shown' grep -q 'Kernel panic' "$tmp/err"
done
totals
