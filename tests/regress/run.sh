#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Runs the ancestors' bugs: a port of each ancestor's logic that fails, beside
# ours that passes. KTAP out. Works with busybox, so also in the guest.

usage() {
	cat <<'END'
Usage: tests/regress/run.sh [DIR]
Runs DIR/regress (default build/regress; make regress), and one row more that is
a matter of memory order, which a model shows: it wants spin and gcc.

A row is not ok if the ancestor's logic does not fail, or if ours does.

Environment: ALAZY_BACKEND=local|kernel (default local); BUILD=build.
END
}

case ${1-} in
-h | --help)
	usage
	exit 0
	;;
-*)
	usage >&2
	exit 2
	;;
esac
here=$(dirname "$0")
dir=${1:-${BUILD:-build}/regress}
if [ ! -x "$dir/regress" ]; then
	echo "run.sh: no $dir/regress; build it with 'make regress'" >&2
	exit 2
fi
ALAZY_BACKEND=${ALAZY_BACKEND:-local}
export ALAZY_BACKEND

work=$(mktemp -d "${TMPDIR:-/tmp}/regress.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM

# How many errors spin finds in the publish model, exhaustively, with FLAGS.
errors() { # FLAG...
	mkdir -p "$work/model"
	(cd "$work/model" && spin -a "$@" "$model" >spin.log 2>&1 &&
		gcc -O2 -w -o pan pan.c && ./pan -m100000) 2>&1 |
		sed -n 's/.*errors: \([0-9]*\).*/\1/p'
}

# The ancestor reads the value after a relaxed load of the state, with nothing
# between the two; ours goes from the word to the record by an address dependency.
# No x86 shows the difference. The model takes the dependency away, or leaves it.
litmus() {
	name="lazy: a value is never read before it was written (relaxed load)"
	model=$(cd "$here/../model" 2>/dev/null && pwd)/publish.pml
	if [ ! -e "$model" ]; then
		echo "ok $1 $name # SKIP it is a model's, natively"
		return
	fi
	if ! command -v spin >/dev/null || ! command -v gcc >/dev/null; then
		echo "not ok $1 $name # there is no spin, or no gcc: install them"
		return
	fi
	theirs=$(errors -DNO_DEPENDENCY)
	ours=$(errors)
	verdict="ancestor: a stale value is read (model: ${theirs:-no answer}); ours: never (${ours:-no answer})"
	if [ "${theirs:-0}" -gt 0 ] && [ "${ours:-1}" -eq 0 ]; then
		echo "ok $1 $name # $verdict"
	else
		echo "not ok $1 $name # $verdict"
	fi
}

"$dir/regress" >"$work/out" 2>&1
status=$?
rows=$(sed -n 's/^1\.\.\([0-9]*\)$/\1/p' "$work/out")
grep -v -e '^1\.\.' -e '^# totals:' "$work/out"
seen=$(grep -c -E '^(not )?ok ' "$work/out")
n=$((${rows:-0} + 1))
litmus "$n" | tee "$work/litmus"
cat "$work/litmus" >>"$work/out"
skip=$(grep -c '^ok .*# SKIP' "$work/out")
pass=$(($(grep -c '^ok ' "$work/out") - skip))
fail=$(grep -c '^not ok ' "$work/out")
if [ "$seen" -ne "${rows:-0}" ] || [ "${rows:-0}" -eq 0 ]; then
	# it ended in the middle
	fail=$((fail + ${rows:-1} - seen))
	echo "# regress ended with status $status after $seen of ${rows:-?} rows"
elif [ "$status" -ne 0 ] && [ "$fail" -eq 0 ]; then
	fail=1
	echo "# regress ended with status $status after its last row"
fi
echo "1..$n"
echo "# figure: bugs of ancestors shown and absent here $pass"
echo "# totals: pass:$pass fail:$fail skip:$skip"
[ "$fail" -eq 0 ]
