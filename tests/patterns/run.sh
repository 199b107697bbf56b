#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Runs the patterns, and the examples of event loops; KTAP out. Works with busybox, so
# also in the guest.

usage() {
	cat <<'END'
Usage: tests/patterns/run.sh DIR...
Runs each program in each DIR (build/patterns, build/examples: make patterns examples).
One that ends with 77 is skipped.

Environment: ALAZY_BACKEND=local|kernel; ALZ_TIMEOUT seconds for each (60)
END
}

case ${1-} in
-h | --help)
	usage
	exit 0
	;;
'' | -*)
	usage >&2
	exit 2
	;;
esac
out=$(mktemp) || exit 2
trap 'rm -f "$out"' EXIT
n=0 pass=0 fail=0 skip=0
echo "TAP version 13"
for dir; do
	for program in "$dir"/*; do
		[ -x "$program" ] || continue
		n=$((n + 1))
		name="${ALAZY_BACKEND:-auto}: ${program##*/}"
		timeout "${ALZ_TIMEOUT:-60}" "$program" >"$out" 2>&1 </dev/null
		status=$?
		sed 's/^/# /' "$out"
		case $status in
		0)
			pass=$((pass + 1))
			echo "ok $n $name"
			;;
		77)
			skip=$((skip + 1))
			echo "ok $n $name # SKIP this system, or this backend, is not for it"
			;;
		*)
			fail=$((fail + 1))
			echo "not ok $n $name # status $status"
			;;
		esac
	done
done
echo "1..$n"
echo "# totals: pass:$pass fail:$fail skip:$skip"
[ "$fail" = 0 ] && [ "$n" -gt 0 ]
