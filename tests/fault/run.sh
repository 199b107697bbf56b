#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Every allocation of the module, and every copy to and from user space, fails
# once: the kselftests on the KASAN kernel with one fault at a time.
set -u
cd "$(dirname "$0")/../.." || exit 1

usage() {
	cat <<'END'
usage: tests/fault/run.sh [option...] [PROGRAM...]      (default: all programs)

  --kernel K    a kernel with fault injection (default kasan)
  --module FILE the module (default $BUILD/kmod-K/asynclazy.ko)
  --options S   options for the programs; `--options -h` tells which there are
  --log NAME    of the console's log in $BUILD/test-log (default console-fault)
  --timeout S   seconds for all (default 1200; with ALZ_FULL=1 8 hours)

Programs are those of tests/kselftest and tests/fault (claim_test, ...), built by
`make fault`. After all of them each call must have failed by a fault. A slice takes
those in tests/fault/slice, and of them each test once without a fault, each place in
each call once, in whichever test comes to it first, and one drawn allocation of each
test. With ALZ_FULL=1 each test of each program but huge_test runs with its first
allocation failing, its second, ... until it passes without a fault, and the same with
copies. Of a loop of thousands of calls that are
alike it takes the first ones, the last, and a few between; a cache's hundreds of
pages, and copies, in two dozen tests each; and of a test that takes longer than a
second what the others have not, which is said; one that takes longer than ten is
skipped. With `--options -a --timeout 0` it leaves out none, which takes days;
`--options -p` only counts them. A full run of all, without options, also tries modules
that are broken, which must be found (mutants.sh).

Environment: BUILD (default build), ALZ_FULL=1
END
}

kernel=kasan module='' options='' timeout=1200 log=console-fault asked=$*
[ "${ALZ_FULL-}" != 1 ] || timeout=28800
while [ $# -gt 0 ]; do
	case $1 in
	-h | --help) usage; exit 0 ;;
	--kernel) kernel=$2; shift 2 ;;
	--module) module=$2; shift 2 ;;
	--options) options=$2; shift 2 ;;
	--log) log=$2; shift 2 ;;
	--timeout) timeout=$2; shift 2 ;;
	-*) usage >&2; exit 2 ;;
	*) break ;;
	esac
done
build=$(realpath "${BUILD:-build}")
module=${module:-$build/kmod-$kernel/asynclazy.ko}
if [ ! -x "$build/fault/finish" ]; then
	echo "tests/fault/run.sh: no programs in $build/fault; build them with 'make fault'" >&2
	exit 2
fi
mkdir -p "$build/test-log"

# shellcheck source=tests/tap.sh
. tests/tap.sh
echo "TAP version 13"
cases < <(tools/vm/run --kernel "$kernel" --module "$module" --memory 2G --timeout "$timeout" \
	--log "$build/test-log/$log.log" --file "$build/fault" \
	${ALZ_FULL:+--env ALZ_FULL} --env ALZ_KO=/lib/modules/asynclazy.ko \
	--env FAULT_OPTIONS="$options" --env FAULT_SLICE="$(grep -v '^#' tests/fault/slice | xargs)" \
	-- tests/fault/guest.sh "$build/fault" "$@" 2>&1)
wait $!
status=$?

# a complaint of the kernel, or no end, is a case of its own
case $status in
0) ;;
124) verdict 1 "the guest: it was not done after $timeout s" ;;
125) verdict 1 "the guest: the kernel complained, see above" ;;
*) [ "$failed" -gt 0 ] || verdict 1 "the guest: status $status" ;;
esac
if [ "${ALZ_FULL-}" = 1 ] && [ -z "$asked" ]; then
	before=$failed
	cases "broken modules: " < <(tests/fault/mutants.sh 2>&1)
	wait $! || [ "$failed" -gt "$before" ] || verdict 1 "broken modules: they were not tried"
fi
totals
