#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Checks the models exhaustively with spin, and that each fails when what it is
# about is taken away. The litmus test needs herd7, which Debian 12 has not.
set -u
cd "$(dirname "$0")" || exit 1
build=$(cd ../.. && mkdir -p "${BUILD:-build}/model" && cd "${BUILD:-build}/model" && pwd)
case ${1-} in
-h | --help)
	echo "usage: tests/model/run.sh"
	exit 0
	;;
esac
command -v spin >/dev/null || {
	echo "tests/model/run.sh: spin is missing; install the package spin" >&2
	exit 1
}

n=0 failed=0 skipped=0
verdict() { # OK NAME
	n=$((n + 1))
	if [ "$1" = 1 ]; then
		echo "ok $n $2"
	else
		failed=$((failed + 1))
		echo "not ok $n $2"
	fi
}

# search MODEL FLAGS...: prints "errors states"
search() {
	local model=$1 dir=$build/$1
	shift
	rm -rf "$dir"
	mkdir -p "$dir"
	(cd "$dir" && spin -a "$@" "$OLDPWD/$model.pml" >spin.log 2>&1 &&
		gcc -O2 -w -o pan pan.c && ./pan -m100000 >pan.log 2>&1)
	sed -n 's/.*errors: \([0-9]*\).*/\1/p; s/^ *\([0-9]*\) states, stored.*/\1/p' \
		"$dir/pan.log" | tr '\n' ' '
}

holds() { # MODEL NAME FLAGS...
	local model=$1 name=$2 errors states
	shift 2
	read -r errors states <<<"$(search "$model" "$@")"
	echo "# $model $*: $states states, $errors errors"
	verdict "$([ "$errors" = 0 ] && [ "${states:-0}" -gt 100 ] && echo 1)" "$name"
}

breaks() { # MODEL NAME FLAGS...
	local model=$1 name=$2 errors states
	shift 2
	read -r errors states <<<"$(search "$model" "$@")"
	echo "# $model $*: $errors errors"
	verdict "$([ "${errors:-0}" -gt 0 ] && echo 1)" "$name"
}

echo "TAP version 13"
echo "1..4"
holds publish "K5 a reader of a terminal state sees its record"
breaks publish "K5 without the store-release it does not" -DNO_RELEASE
breaks publish "K5 without the address dependency it does not" -DNO_DEPENDENCY
if command -v herd7 >/dev/null; then
	verdict "$(herd7 -conf linux-kernel.cfg publish.litmus | grep -c '^Observation.*Never')" \
		"K5 litmus test under the kernel's memory model"
else
	n=$((n + 1)) skipped=$((skipped + 1))
	echo "ok $n K5 litmus test under the kernel's memory model # SKIP herd7 is not installed"
fi
echo "# totals: pass:$((n - failed - skipped)) fail:$failed skip:$skipped"
[ "$failed" = 0 ]
