#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The crash storm, in the guest, on each kernel.
set -u
cd "$(dirname "$0")/../.." || exit 1

usage() {
	cat <<'END'
usage: tests/stress/run.sh [KERNEL...] [-- STORM-OPTION...]     (default: 6.12 kasan kcsan)

Boots each kernel and kills processes that use caches at random instants, some
10,000 times on a distribution's kernel; debug kernels (build/kernels/kasan, kcsan)
are slow: 500 and 300. ALZ_FULL=1: 1,000,000, 20,000 and 5,000, and then broken
modules, which must be found (mutants.sh). The program is
build/stress/storm (make stress); its options are told by its --help and can be
given after --, for instance `-- --kills 500 --seed 7`.

Environment: ALZ_FULL=1 full counts; BUILD=build; ALZ_STORM_SEED=N seed.
END
}

BUILD=${BUILD:-build}
export BUILD
storm=$BUILD/stress/storm
# shellcheck source=tests/kernels.sh
. tests/kernels.sh
kernels_and_options "$@"
[ ${#kernels[@]} -gt 0 ] || kernels=(6.12 kasan kcsan)
log=$BUILD/test-log
mkdir -p "$log"

# shellcheck source=tests/tap.sh
. tests/tap.sh
kills=0
echo "TAP version 13"
for k in "${kernels[@]}"; do
	module=$BUILD/kmod-$k/asynclazy.ko
	name="crash storm on $k"
	leaks=
	if [ ! -e "$module" ] || [ ! -x "$storm" ]; then
		verdict 1 "$name # make stress $module"
		continue
	fi
	# seconds bound what hangs; a calm has a watchdog of its own
	case $k in
	kasan) count=500 full=20000 round=250 memory=3G leaks=--kmemleak ;;
	kcsan) count=300 full=5000 round=150 memory=2G ;;
	*) count=10000 full=1000000 round=2000 memory=2G ;;
	esac
	seconds=1800
	if [ -n "${ALZ_FULL-}" ]; then
		# rounds in which caches wear out and are replaced, on slow kernels too
		count=$full seconds=86400 round=$((round < 1000 ? 1000 : round))
	fi
	out=$log/storm-$k.log
	start=$SECONDS
	cases "$k: " < <(tools/vm/run --kernel "$k" --module "$module" --memory "$memory" \
		--timeout "$seconds" --log "$log/storm-console-$k.log" -- "$storm" \
		--kills "$count" --round "$round" --unload $leaks \
		${ALZ_STORM_SEED:+--seed "$ALZ_STORM_SEED"} "${program_options[@]}" 2>&1 |
		tee "$out" | grep --line-buffered -av '^# figure'
		exit "${PIPESTATUS[0]}")
	wait $!
	status=$?
	survived=$(sed -n 's/^# figure: kills survived //p' "$out")
	if [ "$status" = 0 ]; then
		kills=$((kills + survived))
	else
		name+=" # status $status, see $out"
	fi
	verdict "$status" "$name"
	echo "# $k: ${survived:-0} kills survived, $((SECONDS - start)) s"
done
if [ -n "${ALZ_FULL-}" ] && [ $# = 0 ]; then
	before=$failed
	cases "broken modules: " < <(tests/stress/mutants.sh 2>&1)
	wait $! || [ "$failed" -gt "$before" ] || verdict 1 "broken modules: they were not tried"
fi
echo "# figure: kills survived $kills"
totals
