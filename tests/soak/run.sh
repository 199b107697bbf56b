#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The soak of an evicting cache, in the guest, on each kernel.
set -u
cd "$(dirname "$0")/../.." || exit 1

usage() {
	cat <<'END'
usage: tests/soak/run.sh [KERNEL...] [-- SOAK-OPTION...]     (default: 6.12 kcsan; ALZ_FULL=1 kasan too)

Boots each kernel; eight processes use a cache that is always full, and are killed
again and again: 300,000 operations on a distribution's kernel, 60,000 on each of the
debug kernels (build/kernels/kasan, kcsan). ALZ_FULL=1: 100,000,000, 1,000,000 and
300,000. The program is build/soak/soak (make soak); its options are told by its
--help and can be given after --, for instance `-- --ops 100000 --kill 20`.

Environment: ALZ_FULL=1 full counts; BUILD=build.
END
}

BUILD=${BUILD:-build}
soak=$BUILD/soak/soak
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/kernels.sh
. tests/kernels.sh
kernels_and_options "$@"
if [ ${#kernels[@]} = 0 ]; then
	kernels=(6.12 kcsan)
	# there workers die too young, in a short run, to come to everything
	[ -z "${ALZ_FULL-}" ] || kernels+=(kasan)
fi
log=$BUILD/test-log
mkdir -p "$log"

ops=0
echo "TAP version 13"
for k in "${kernels[@]}"; do
	module=$BUILD/kmod-$k/asynclazy.ko
	name="soak on $k"
	if [ ! -e "$module" ] || [ ! -x "$soak" ]; then
		verdict 1 "$name # make soak $module"
		continue
	fi
	# seconds bound what hangs; kasan keeps what was freed for a while
	leaks=
	case $k in
	kasan) count=60000 full=1000000 kill=40 arena=8 leaks=--leaks slack=128 ;;
	kcsan) count=60000 full=300000 kill=40 arena=8 slack=8 ;;
	*) count=300000 full=100000000 kill=100 arena=16 slack=8 ;;
	esac
	seconds=1200
	if [ -n "${ALZ_FULL-}" ]; then
		count=$full seconds=86400 arena=32
	fi
	out=$log/soak-$k.log
	start=$SECONDS
	cases "$k: " < <(tools/vm/run --kernel "$k" --module "$module" --memory 2G \
		--timeout "$seconds" $leaks --log "$log/soak-console-$k.log" -- "$soak" \
		--ops "$count" --kill "$kill" --arena "$arena" --slack "$slack" \
		"${program_options[@]}" 2>&1 | tee "$out" | grep --line-buffered -av '^# figure'
		exit "${PIPESTATUS[0]}")
	wait $!
	status=$?
	did=$(sed -n 's/^# figure: soak operations //p' "$out")
	[ -n "$did" ] || [ "$status" != 0 ] || status='0, but did not say what it has done'
	if [ "$status" = 0 ]; then
		ops=$((ops + did))
	else
		name+=" # status $status, see $out"
	fi
	verdict "$status" "$name"
	echo "# $k: $((SECONDS - start)) s"
done
echo "# figure: soak operations $ops"
totals
