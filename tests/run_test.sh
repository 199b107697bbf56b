#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# tests/run itself: a suite that fails, dies, is cut off or says nothing never counts as
# passed, whether others run beside it or not. The suites here are stubs.
set -u
cd "$(dirname "$0")/.." || exit 1
case ${1-} in
-h | --help)
	echo "usage: tests/run_test.sh"
	echo "Tries tests/run on suites that are stubs, in a folder of its own."
	exit 0
	;;
esac
# shellcheck source=tests/tap.sh
. tests/tap.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/run-test.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/tests/{static,model,regress}
cp tests/run "$work/tests/run"
# what the suites need is there; regress, in a guest, meets those that are beside
printf '%%:\n\t@:\n' >"$work/Makefile"
mkdir -p "$work/tools/vm"
printf '#!/bin/sh\necho "ok 1 in the guest"\n' >"$work/tools/vm/run"
printf '#!/bin/sh\necho "ok 1 natively"\n' >"$work/tests/regress/run.sh"
chmod +x "$work"/tools/vm/run "$work"/tests/regress/run.sh

# stub SUITE BODY
stub() {
	printf '#!/bin/bash\n%s\n' "$2" >"$work/tests/$1/run.sh"
	chmod +x "$work/tests/$1/run.sh"
}

# expect NAME STATUS LAST-LINE SUITE...
expect() {
	local name=$1 status=$2 last=$3 got
	shift 3
	(cd "$work" && env -u BUILD -u MAKEFLAGS KVERS=6.12 timeout -s KILL 60 tests/run "$@") \
		>"$work/out" 2>&1
	got=$?
	[ "$got" = "$status" ] && [ "$(tail -1 "$work/out")" = "$last" ] && verdict 0 "$name" && return
	sed 's/^/# /' "$work/out"
	verdict 1 "$name # status $got"
}

echo "TAP version 13"
good='echo "ok 1 a"; echo "ok 2 b # SKIP why"; echo "# totals: pass:1 fail:0 skip:1"'
stub static "$good"
expect "a suite that passes" 0 "1 passed, 0 failed, 1 skipped" static
expect "the same suite twice" 0 "2 passed, 0 failed, 2 skipped" static static
stub static 'echo "ok 1 a"; echo "not ok 2 b"; echo "# totals: pass:1 fail:1 skip:0"; exit 1'
expect "a case that fails" 1 "1 passed, 1 failed, 0 skipped" static
stub static 'echo "ok 1 a"; echo "not ok 2 b"; printf "# totals: pass:1 "; kill -9 $$'
expect "a suite that dies in its last line" 1 "1 passed, 1 failed, 0 skipped" static
stub static 'echo "ok 1 a"; kill -9 $$'
expect "a suite that dies" 1 "1 passed, 1 failed, 0 skipped" static
stub static "$good; exit 3"
expect "a suite that ends badly with all cases passed" 1 "1 passed, 1 failed, 1 skipped" static
stub static 'exit 0'
expect "a suite that says nothing" 1 "0 passed, 1 failed, 0 skipped" static
expect "a name that is none, last" 2 "tests/run: no suite 'nosuch'; see tests/run --help" \
	static nosuch

stub model "$good"
expect "a suite beside others" 0 "3 passed, 0 failed, 1 skipped" model regress
expect "twice beside others" 0 "2 passed, 0 failed, 2 skipped" model model
stub model 'echo "ok 1 a"; kill -9 $$'
expect "a suite beside others that dies" 1 "3 passed, 1 failed, 0 skipped" model regress
# shellcheck disable=SC2016  # the stub's parent
stub model 'echo "ok 1 a"; kill -9 $PPID'
expect "a suite beside others whose shell is killed" 1 "3 passed, 1 failed, 0 skipped" model regress

# what is beside ends with the one that began it: a FIFO that it holds open tells. That
# one is ended once it does so, and the FIFO is opened here once: no end is missed.
mkfifo "$work/held" "$work/go"
stub model "exec 9>'$work/held'; echo \$\$ >&9; exec sleep 300"
stub regress "read -r _ <'$work/go'; kill -TERM \$(cat '$work/pid')"
(cd "$work" && exec env -u BUILD KVERS=6.12 bash -c \
	"echo \$\$ >pid; exec tests/run model regress") >"$work/out" 2>&1 &
exec 8<"$work/held"
read -r held <&8
echo >"$work/go"
timeout 60 cat <&8 >/dev/null
verdict $? "what runs beside ends when tests/run is ended"
kill "$held" 2>/dev/null
totals
