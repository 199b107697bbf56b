#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# In the guest: the programs of DIR, or those named, then what is left of them.
#   guest.sh DIR [NAME...]
# FAULT_OPTIONS: options for each program. FAULT_SLICE: the programs of a slice.
# ALZ_KO: the module's file.
set -u
dir=${1:?name the directory of the tests}
shift
[ $# = 0 ] || export FAULT_NAMED=1
if [ $# = 0 ] && [ "${ALZ_FULL:-}" != 1 ]; then
	# shellcheck disable=SC2086  # names
	set -- ${FAULT_SLICE:?}
elif [ $# = 0 ]; then
	for program in "$dir"/*_test; do
		case ${program##*/} in
		# it makes allocations fail itself; more_test has what it allocates
		huge_test) ;;
		cgroup_test | event_hold_test) ;;
		*) set -- "$@" "${program##*/}" ;;
		esac
	done
	# the slowest last: of slow tests it is what the others have not that counts
	set -- "$@" event_hold_test cgroup_test
fi
# seconds for one
case "${ALZ_FULL:-} ${FAULT_OPTIONS:-} " in
*" -a "*) limit=99999999 ;;
1*) limit=20000 ;;
*) limit=900 ;;
esac
ledger=$(mktemp) || exit 1
trap 'rm -f "$ledger"' EXIT

for program; do
	alone=
	# its tests unload the module
	[ "$program" != module_test ] || alone=-B
	# shellcheck disable=SC2086  # options, if any
	timeout -s KILL "$limit" "$dir/$program" -l "$ledger" $alone ${FAULT_OPTIONS:-} </dev/null 2>&1
	status=$?
	[ $status -lt 2 ] || echo "# $program ended with status $status"
done
# what is only counted has no faults to be judged
case " ${FAULT_OPTIONS:-} " in
*" -p "*) exit ;;
esac
"$dir/finish" "$ledger" $#
