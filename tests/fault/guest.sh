#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# In the guest: the programs of DIR, or those named, then what is left of them.
#   guest.sh DIR [NAME...]
# FAULT_OPTIONS: options for each program. ALZ_KO: the module's file.
set -u
dir=${1:?name the directory of the tests}
shift
if [ $# = 0 ]; then
	for program in "$dir"/*_test; do
		case ${ALZ_FULL:-}${program##*/} in
		# minutes of the calls that others make too: for a full run
		interleave_test | race_test) ;;
		*) set -- "$@" "${program##*/}" ;;
		esac
	done
fi
[ "${ALZ_FULL:-}" = 1 ] && limit=20000 || limit=900
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
"$dir/finish" "$ledger" $#
