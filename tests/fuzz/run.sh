#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Runs the fuzzers; TAP out.
set -u
cd "$(dirname "$0")/../.." || exit 1

usage() {
	cat <<'END'
usage: tests/fuzz/run.sh [core] [uapi] [races] [stress-ng] [coverage]     (default: all)

  core       the core natively, under libFuzzer, beside a model
  uapi       /dev/asynclazy in the guest, guided by coverage, under KASAN
  races      the same, under KCSAN
  stress-ng  stress-ng --dev on /dev/asynclazy, under KASAN
  coverage   which basic blocks of the module its tests reach, by file

See tests/fuzz/core/run.sh --help and tests/fuzz/uapi/run.sh --help.
Environment: ALZ_FULL=1 full counts; BUILD=build.
END
}

parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(core uapi races stress-ng coverage)
for p in "${parts[@]}"; do
	case $p in
	core | uapi | races | stress-ng | coverage) ;;
	-h | --help) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
done

# Each part numbers its own cases; here they are one list.
n=0 pass=0 fail=0 skip=0
echo 'TAP version 13'
take() {
	while IFS= read -r line; do
		case $line in
		'ok '* | 'not ok '*)
			n=$((n + 1))
			case $line in
			*'# SKIP'*) skip=$((skip + 1)) ;;
			ok*) pass=$((pass + 1)) ;;
			*) fail=$((fail + 1)) ;;
			esac
			printf '%s\n' "$line" | sed "s/ok [0-9]*/ok $n/"
			;;
		'TAP version'* | '# totals:'* | 1..*) ;;
		*) printf '%s\n' "$line" ;;
		esac
	done
}

status=0
for p in "${parts[@]}"; do
	echo "# $p"
	before=$((pass + fail + skip)) failed=$fail
	case $p in
	core) command=(tests/fuzz/core/run.sh) ;;
	*) command=(tests/fuzz/uapi/run.sh "$p") ;;
	esac
	code=$(mktemp)
	take < <("${command[@]}" 2>&1; echo $? >"$code")
	wait
	if [ "$(cat "$code")" != 0 ]; then
		status=1
		# it ended badly and no case says so
		if [ "$fail" = "$failed" ]; then
			n=$((n + 1)) fail=$((fail + 1))
			echo "not ok $n $p ended with status $(cat "$code")"
		fi
	elif [ "$before" = $((pass + fail + skip)) ]; then
		n=$((n + 1)) fail=$((fail + 1)) status=1
		echo "not ok $n $p ran nothing"
	fi
	rm -f "$code"
done
echo "1..$n"
echo "# totals: pass:$pass fail:$fail skip:$skip"
[ "$fail" = 0 ] && exit $status
exit 1
