#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Runs the tests in DIR, one after the other, under the kernel that is running
# (as root, with the module loaded), and sums them up in KTAP:
#   tools/vm/run --file build/kselftest -- tests/kselftest/run.sh build/kselftest [NAME...]
# What a program has to say is shown if it fails, or with ALZ_VERBOSE=1; its
# diagnostics always. ALZ_TIMEOUT: seconds that a program may take (default 120,
# 6000 with ALZ_FULL=1). ALZ_KO: the module's file, for the test that unloads it.
set -u

dir=${1:?name the directory of the tests}
shift
if [ $# = 0 ]; then
	for program in "$dir"/*_test; do
		set -- "$@" "${program##*/}"
	done
fi
[ "${ALZ_FULL:-}" = 1 ] && long=6000 || long=120
limit=${ALZ_TIMEOUT:-$long}
if [ -z "${ALZ_KO:-}" ] && [ -r /lib/modules/asynclazy.ko ]; then
	export ALZ_KO=/lib/modules/asynclazy.ko
fi
log=$(mktemp) || exit 1

# What a killed program left running would be in the way of the next one.
kill_strays() {
	for p in /proc/[0-9]*; do
		[ "$(readlink "$p/exe")" != "$(readlink -f "$1")" ] || kill -9 "${p#/proc/}"
	done 2>/dev/null
}

trap 'rm -f "$log"' EXIT

number=0 pass=0 fail=0 skip=0 bad=0
echo "KTAP version 1"
echo "1..$#"
for name; do
	number=$((number + 1))
	read -r start _ </proc/uptime
	timeout -s KILL "$limit" "$dir/$name" >"$log" 2>&1 </dev/null
	status=$?
	read -r end _ </proc/uptime

	planned=$(sed -n 's/^1\.\.\([0-9]*\)$/\1/p' "$log" | head -n 1)
	skipped=$(grep -c '^ok .*# SKIP' "$log")
	passed=$(($(grep -c '^ok ' "$log") - skipped))
	failed=$(grep -c '^not ok ' "$log")
	# what it planned and did not come to is a failure, too
	lost=$((${planned:-1} - passed - failed - skipped))
	[ $lost -gt 0 ] && failed=$((failed + lost))
	pass=$((pass + passed)) fail=$((fail + failed)) skip=$((skip + skipped))

	case $status in
	124 | 137)
		why=" # killed after $limit s"
		kill_strays "$dir/$name"
		;;
	*) why=" # $passed passed, $failed failed, $skipped skipped, $((${end%.*} - ${start%.*})) s" ;;
	esac
	if [ "$status" = 0 ] && [ "$failed" = 0 ]; then
		result=ok
	else
		result='not ok'
		bad=1
	fi
	if [ "$result" != ok ] || [ "${ALZ_VERBOSE:-}" = 1 ]; then
		sed 's/^/    /' "$log"
	else
		grep -E '^(# [a-z_]+\.c:|ok .*# SKIP)' "$log" | sed 's/^/    /'
	fi
	echo "$result $number $name$why"
done
echo "# totals: pass:$pass fail:$fail skip:$skip"
exit $bad
