#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Runs the unit tests of a directory; KTAP out. Works with busybox.

usage() {
	cat <<'END'
Usage: tests/unit/run.sh DIR [PROGRAM...]
Runs the unit test programs in DIR (lib_*, core_*, stress_*, hit_*), or those named.

Those of the library are run on each kind of cache: PROGRAM-stable and
PROGRAM-evict; but those that are about one kind, or none, once.

Environment:
  ALAZY_BACKEND     kernel or local; local if unset
  ALZ_TEST_KIND     stable or evict: run no other kind; both if unset
  ALZ_FULL=1        full counts
  ALZ_TEST_TIMEOUT  seconds for one test case (default 300)
  ALZ_TIMEOUT       seconds for one program (default 900, full 7200)

Exit status: 0 if nothing failed, 1 if something did, 2 for wrong usage.
END
}

case ${1-} in
-h | --help) usage; exit 0 ;;
'' | -*) usage >&2; exit 2 ;;
esac
dir=$1
shift
if [ ! -d "$dir" ]; then
	echo "run.sh: no directory $dir" >&2
	exit 2
fi

if [ $# -eq 0 ]; then
	for f in "$dir"/core_* "$dir"/stress_* "$dir"/lib_* "$dir"/hit_*; do
		if [ -f "$f" ] && [ -x "$f" ]; then set -- "$@" "${f##*/}"; fi
	done
fi
if [ $# -eq 0 ]; then
	echo "run.sh: no test programs in $dir; build them with 'make unit-plain'" >&2
	exit 2
fi

ALAZY_BACKEND=${ALAZY_BACKEND:-local}
CMOCKA_MESSAGE_OUTPUT=TAP
export ALAZY_BACKEND CMOCKA_MESSAGE_OUTPUT
# a sanitizer's report is a failure, and ends the program
export ASAN_OPTIONS="${ASAN_OPTIONS-detect_leaks=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS-print_stacktrace=1}"
export TSAN_OPTIONS="${TSAN_OPTIONS-halt_on_error=1:second_deadlock_stack=1}"
if [ -n "${ALZ_FULL-}" ] && [ "$ALZ_FULL" != 0 ]; then
	limit=${ALZ_TIMEOUT:-7200}
else
	limit=${ALZ_TIMEOUT:-900}
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/unit.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM

# One program's own TAP becomes a nested test. What it says on stderr comes
# first, as comments. The counts go to $work/counts.
nest() {
	awk -v name="$1" -v status="$2" -v out="$work/counts" '
	function comment(s) { print (s ~ /^ *#/ ? "" : "# ") s }
	BEGIN { plan = -1 }
	{ sub(/\r$/, "") }
	FILENAME ~ /stderr$/ { if ($0 != "") comment("  " $0); next }
	/^1\.\.[0-9]+$/ { plan = substr($0, 4) + 0; print "  " $0; next }
	/^(not )?ok [0-9]+/ && /# SKIP/ {
		skip++; sub(/^not ok/, "ok"); print "  " $0; next }
	/^ok [0-9]+/ { pass++; print "  " $0; next }
	/^not ok [0-9]+/ { fail++; print "  " $0; next }
	$0 != "" { comment("  " $0) }
	END {
		seen = pass + fail + skip
		# a program that ended in the middle fails all that it left out
		if (plan <= 0 || seen < plan || (status && !fail)) {
			why = "it ended with status " status
			if (status == 124 || status == 137 || status == 143)
				why = "it hung"
			if (plan <= 0)
				why = why " and ran nothing"
			lost = seen < plan ? plan - seen : 1
			comment("  " lost " cases of " name " failed: " why)
			fail += lost
		}
		print pass + 0, fail + 0, skip + 0 > out
	}' "$work/stderr" "$work/stdout"
}

# kinds PROGRAM: what to run it on; "-" if that means nothing to it
kinds() {
	case $1 in
	lib_deliver | lib_evict* | lib_pins | lib_reader) echo - ;;
	lib_* | hit_*) echo "${ALZ_TEST_KIND:-stable evict}" ;;
	*) echo - ;;
	esac
}

# each PROGRAM-KIND, or PROGRAM
runs=
for name; do
	for kind in $(kinds "$name"); do
		runs="$runs $name/$kind"
	done
done
# shellcheck disable=SC2086  # names
set -- $runs

pass=0
fail=0
skip=0
n=0
echo "KTAP version 1"
echo "1..$#"
for run; do
	n=$((n + 1))
	program=${run%/*}
	kind=${run##*/}
	name=$program-$kind
	if [ "$kind" = - ]; then name=$program kind=evict; fi
	echo "  KTAP version 1"
	ALZ_TEST_KIND=$kind timeout "$limit" "$dir/$program" >"$work/stdout" 2>"$work/stderr"
	status=$?
	rm -f "$work/counts"
	nest "$name" "$status"
	p=0 f='' s=0
	{ read -r p f s <"$work/counts"; } 2>/dev/null
	if [ -z "$s" ] || [ -z "$f" ]; then
		echo "  # $name: its cases could not be counted"
		p=0 f=1 s=0
	fi
	pass=$((pass + p))
	fail=$((fail + f))
	skip=$((skip + s))
	if [ "$f" -ne 0 ]; then
		echo "not ok $n $name"
	elif [ "$p" -eq 0 ] && [ "$s" -ne 0 ]; then
		echo "ok $n $name # SKIP"
	else
		echo "ok $n $name"
	fi
done
echo "# totals: pass:$pass fail:$fail skip:$skip"
[ "$fail" -eq 0 ]
