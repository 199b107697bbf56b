#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Fuzzes the module in the guest, and measures what its tests reach; TAP out.
set -u
cd "$(dirname "$0")/../../.." || exit 1

usage() {
	cat <<'END'
usage: tests/fuzz/uapi/run.sh [uapi] [races] [stress-ng] [coverage] [option...]

  uapi       the fuzzer of this directory on the KASAN kernel (default)
  races      the same without coverage on the KCSAN kernel
  stress-ng  stress-ng --dev on the KASAN kernel
  coverage   kselftests and fuzzer on a module that counts basic blocks

  --kernel K        for uapi and stress-ng (default: kasan)
  --executions N    programs that the fuzzer runs (default 6000, full 10000000, races too)
  --seconds S       or until then (default 110, full 3600; races 40, full 600)
  --seed N          of its random numbers (default 1)
  --keep DIR        afterwards write what uapi found there as a corpus
  --replay FILE     run the programs of a file instead, and show what they did
  --repeat N        so many times

Environment: ALZ_FULL=1 full counts; BUILD=build; KO the module to test
instead of the one that is built. What goes wrong is shown with the programs
that were running: put them into a file for --replay.
END
}

here=tests/fuzz/uapi
export BUILD=${BUILD:-build}
full=${ALZ_FULL:-}
[ "$full" = 1 ] || full=
kernel=kasan executions=6000 seconds=110 seed=1 keep='' replay='' repeat=1 ops=400 parts=()
[ -z "$full" ] || executions=10000000 seconds=3600 ops=100000
while [ $# -gt 0 ]; do
	case $1 in
	-h | --help) usage; exit 0 ;;
	uapi | races | stress-ng | coverage) parts+=("$1") ;;
	--kernel | --executions | --seconds | --seed | --keep | --replay | --repeat)
		[ $# -gt 1 ] || { usage >&2; exit 2; }
		declare "${1#--}=$2"
		[ "$1" != --seconds ] || races=$2
		[ "$1" != --executions ] || asked=$2
		shift
		;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done
[ ${#parts[@]} -gt 0 ] || parts=(uapi)
fuzzer=$BUILD/fuzz/uapi/uapi_fuzz
out=$BUILD/fuzz/uapi
mkdir -p "$out"

# shellcheck source=tests/tap.sh
. tests/tap.sh

quiet_make() {
	make -s "$@" >"$out/make.log" 2>&1 || {
		sed 's/^/# /' "$out/make.log"
		return 1
	}
}

# A panic shows all of the log, and in it the programs that were running.
guest() { # KERNEL MODULE MEMORY ARGS...
	local k=$1 ko=$2 memory=$3
	shift 3
	tools/vm/run --kernel "$k" --module "$ko" --memory "$memory" \
		--timeout $((seconds * 2 + 600)) --log "$out/console.log" \
		--env ALZ_COMPLAINTS="$(grep -v '^#' tools/vm/complaints | paste -sd '|')" \
		--append 'printk.devkmsg=on panic_print=0x20 softlockup_panic=1 log_buf_len=1M no_timer_check' "$@"
}

module() { # KERNEL
	if [ -n "${KO-}" ]; then
		echo "$KO"
		return
	fi
	quiet_make "$BUILD/kmod-$1/asynclazy.ko" >&2 && echo "$BUILD/kmod-$1/asynclazy.ko"
}

# in_guest NAME GUEST-ARGS...: its output as it comes, also to $out/NAME.log;
# then one case that says whether it, and the kernel, ended well.
in_guest() {
	local name=$1 status
	shift
	rm -f "$out/$name.fifo"
	mkfifo "$out/$name.fifo"
	{
		guest "$@" 2>&1
		echo "guest ended with status $?"
	} > >(tee "$out/$name.log" >"$out/$name.fifo") &
	cases "" < <(grep -av --line-buffered -e '^cover ' -e '^guest ended' "$out/$name.fifo")
	wait
	status=$(sed -n 's/^guest ended with status //p' "$out/$name.log")
	return "${status:-125}"
}

run_uapi() {
	local ko args name=${kernel/kasan/uapi}
	if ! ko=$(module "$kernel") || ! quiet_make fuzz-uapi; then
		verdict 1 'the fuzzer and the module are built'
		return
	fi
	if [ -n "$replay" ]; then
		args=(--replay "$(grep -v '^#' "$replay")" --repeat "$repeat")
	else
		args=(--executions "$executions" --seconds "$seconds" --seed "$seed"
			--corpus /corpus --module /lib/modules/asynclazy.ko)
		[ -z "$keep" ] || args+=(--distill 150)
	fi
	[ "$kernel" = kasan ] || args+=(--blind)
	in_guest "$name" "$kernel" "$ko" 1G --file "$here/corpus:/corpus" -- "$fuzzer" "${args[@]}"
	verdict $? 'the kernel has nothing to say about it'
	if [ -n "$keep" ]; then
		mkdir -p "$keep"
		# those that were written by hand have names
		rm -f "$keep"/[0-9]*.txt
		# shellcheck disable=SC2016  # awk's
		awk -v dir="$keep" '/^----/ { close(f); f = ""; next }
			/^[0-3][+ ]/ { if (!f) f = sprintf("%s/%03d.txt", dir, ++n); print >f }' \
			"$out/$name.log"
	fi
}

run_races() {
	kernel=kcsan executions=${asked:-10000000} seconds=${races:-$([ -z "$full" ] && echo 40 || echo 600)} keep='' run_uapi
}

run_stress() {
	local ko program time=15
	[ -z "$full" ] || time=600
	if ! program=$(command -v stress-ng); then
		verdict 1 'stress-ng is there (package stress-ng)'
		return
	fi
	if ! ko=$(module "$kernel"); then
		verdict 1 'the module is built'
		return
	fi
	in_guest stress "$kernel" "$ko" 1G --file "$program" -- sh -c \
		"$program --dev 2 --dev-file /dev/asynclazy --dev-ops $ops --timeout ${time}s --metrics-brief && rmmod asynclazy"
	verdict $? 'stress-ng --dev ends well, and the module goes'
	# its own count of what it did; a stressor that cannot run ends well, too
	awk '$4 == "dev" { n = $5; print "# stress-ng did " n " rounds of its operations" }
		END { exit !(n > 0) }' "$out/stress.log"
	verdict $? 'stress-ng did something'
}

run_coverage() {
	local k=${UAPI_COVER_KVER:-6.12} tests=() chance=5
	# what a slice, whose end is a time, may miss by chance
	[ -z "$full" ] || chance=0
	if ! quiet_make fuzz-uapi kselftest "$BUILD/kmod-cover/asynclazy.ko"; then
		verdict 1 'what measures coverage is built'
		return
	fi
	# the counts are in the module, which has to stay
	mapfile -t tests < <(cd "$BUILD/kselftest" && printf '%s\n' *_test | grep -v module_test)
	in_guest coverage "$k" "$BUILD/kmod-cover/asynclazy.ko" 4G --file "$BUILD/kselftest" \
		--file tests/kselftest/run.sh --file "$here/cover/guest.sh" --file "$here/corpus:/corpus" --file "$fuzzer:/uapi_fuzz" -- \
		sh "$here/cover/guest.sh" "$BUILD/kselftest" "$seed" "${tests[@]}"
	verdict $? 'the tests whose coverage is measured pass'
	python3 "$here/cover/report.py" "$BUILD/kmod-cover/asynclazy.ko" "$here/unreached.txt" \
		"$out/coverage.log" "$chance"
	verdict $? "every basic block is reached, or named in unreached.txt, but for $chance"
}

echo 'TAP version 13'
for p in "${parts[@]}"; do
	case $p in
	uapi) run_uapi ;;
	races) run_races ;;
	stress-ng) run_stress ;;
	coverage) run_coverage ;;
	esac
done
totals
