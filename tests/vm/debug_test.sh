#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The debug kernels prove themselves: a module with one deliberate bug of each
# kind is loaded, and tools/vm/run must fail and show the report of that kind.
set -u
cd "$(dirname "$0")/../.." || exit 1

if [[ ${1-} == --help ]]; then
	cat <<'EOF'
Usage: tests/vm/debug_test.sh
Loads tests/vm/bugs into the kernels kasan and kcsan; prints KTAP.
ALZ_FULL=1: one boot for each bug, where the short run takes several at once.
EOF
	exit 0
fi
build=${BUILD:-build}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# shellcheck source=tests/tap.sh
. tests/tap.sh

declare -A report=(
	[uaf]='KASAN: slab-use-after-free in bug_uaf'
	[bounds]='KASAN: slab-out-of-bounds in bug_bounds'
	[double-free]='KASAN: double-free in bug_double_free'
	[inversion]='WARNING: possible circular locking dependency'
	[atomic]='BUG: scheduling while atomic: insmod'
	# of the 16: more than others leave, and the stack may hide some
	[leak]='kmemleak: ([89]|[1-9][0-9]+) new suspected memory leaks'
	[list]='list_del corruption'
	[shift]='UBSAN: shift-out-of-bounds in .*bugs.c'
	[race]='KCSAN: data-race in racer'
)

boot() { # KERNEL LEAKS BUG...: sets status
	local kernel=$1 leaks=$2 shots=
	shift 2
	# KASAN would only report the first of them; but of a report on itself, as it boots,
	# it might make another one, and of that
	[ "$1" = none ] || shots=kasan_multi_shot
	cat >"$tmp/insert" <<'EOF'
for b; do insmod /bugs.ko bug=$b || exit 1; rmmod bugs; done
EOF
	tools/vm/run --kernel "$kernel" --no-module ${leaks:+--leaks} --timeout 300 \
		--append "$shots" --file "$build/bugs-$kernel/bugs.ko:/bugs.ko" \
		--file "$tmp/insert:/insert" --quiet-console -- sh /insert "$@" \
		>"$tmp/out" 2>&1
	status=$?
}

check() { # NAME CONDITION...
	local name=$1 bad=0
	shift
	"$@" || bad=1
	[ $bad = 0 ] || sed 's/^/# /' "$tmp/out"
	verdict $bad "$name"
}

caught() { # BUG
	[ "$status" = 125 ] && grep -qE "${report[$1]}" "$tmp/out"
}

# Lockdep goes out at the first report of another kind; kmemleak's comes last.
batches=('inversion uaf bounds double-free atomic list shift leak')
[ -z "${ALZ_FULL-}" ] || batches=(inversion uaf bounds double-free atomic list shift leak)

echo "TAP version 13"
boot kasan leaks none
check "kasan: no bug, no report" test "$status" = 0
for batch in "${batches[@]}"; do
	leaks=
	[[ $batch != *leak* ]] || leaks=1
	# shellcheck disable=SC2086  # a list
	boot kasan "$leaks" $batch
	for bug in $batch; do
		check "kasan: $bug is caught" caught "$bug"
	done
done
tools/vm/run --kernel kasan --no-module --leaks --append kmemleak=off -- true >"$tmp/out" 2>&1
status=$?
check "kasan: that kmemleak is off is a failure" test "$status" = 125
check "kasan: which is shown" grep -q 'kmemleak.* is off' "$tmp/out"
boot kcsan '' none
check "kcsan: no bug, no report" test "$status" = 0
boot kcsan '' race
check "kcsan: race is caught" caught race
totals
