#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Static checks of the kernel code, as KTAP: checkpatch --strict, sparse and
# W=1 against each kernel, a clang build. Zero findings pass; the exceptions are
# listed here, with their reason.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build}
case ${1-} in
-h | --help)
	echo "usage: tests/static/run.sh [KVER...]   (default: 6.12 6.1)"
	exit 0
	;;
esac
kvers=("$@")
[ ${#kvers[@]} -gt 0 ] || kvers=(6.12 6.1)

# BIT_MACRO: user space has no BIT(), and the core and uAPI are shared with it.
# NEW_TYPEDEFS: alz_os_lock_t is a different type on each side of core/os.h.
# MACRO_ARG_REUSE: ALZ_CALL() takes a struct tag, which has no side effects.
ignore=BIT_MACRO,NEW_TYPEDEFS,MACRO_ARG_REUSE

n=0 failed=0
report() { # NAME OUTPUT
	n=$((n + 1))
	if [ -z "$2" ]; then
		echo "ok $n $1"
	else
		failed=$((failed + 1))
		printf '%s\n' "$2" | sed 's/^/# /'
		echo "not ok $n $1"
	fi
}

module() { # DIR KVER MAKE-ARGS...
	local dir=$build/$1 kver=$2
	shift 2
	rm -rf "$dir"
	mkdir -p "$dir"
	cp -r Kbuild kmod "$dir"
	make -s -C "$build/kernels/$kver/headers" M="$PWD/$dir" "$@" modules 2>&1 ||
		echo "build of $dir failed"
}

echo "TAP version 13"
echo "1..$((3 + 2 * ${#kvers[@]}))"
report "checkpatch --strict finds nothing" "$(
	find kmod -name '*.[ch]' | sort | while read -r f; do
		perl "$build/kernels/selftests/scripts/checkpatch.pl" --no-tree --strict \
			--terse --quiet --no-summary --max-line-length=100 --ignore "$ignore" -f "$f"
	done 2>&1)"
report "shellcheck finds nothing" "$(
	find .ci tests tools -type f -print0 |
		xargs -0 grep -lE -e '^#!/bin/(ba)?sh' | sort | xargs shellcheck 2>&1)"
report "clang builds library, tools and unit tests without a warning" "$(
	make -s CC=clang BUILD="$build/clang" lib tools unit-plain "$build/clang/bin/asynclazy-demo" \
		"$build/clang/bin/asynclazy-bench" 2>&1)"
for kver in "${kvers[@]}"; do
	report "sparse and W=1 find nothing on $kver" "$(
		module "static-$kver" "$kver" W=1 C=2 CHECK=sparse | grep -e 'kmod/' -e failed)"
	report "clang builds the module for $kver without a warning" "$(
		module "kmod-$kver-clang" "$kver" CC="$PWD/tests/static/clang-as-gcc" |
			grep -e '^[^ ]*kmod-[^ /]*-clang/kmod/[^ ]*: \(warning\|error\)' -e failed)"
done
echo "# totals: pass:$((n - failed)) fail:$failed skip:0"
[ "$failed" = 0 ]
