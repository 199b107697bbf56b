# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# The checks of run.sh, sourced by it: each a function that prints its findings
# as "FILE:LINE: message", FILE from the top of the tree, and nothing else.
# $build, $work, $jobs and $sources are run.sh's.
: "${build:?}" "${work:?}" "${jobs:?}"
sources=()

# What gcc and clang are asked beyond -Wall -Wextra. Left out on purpose:
# -Wconversion and -Wsign-conversion (kernel style converts implicitly),
# -Wcast-align and -Wcast-qual (a record is cut out of the arena's bytes; list
# and container casts drop const as the kernel's do), -Wpadded.
strict=(-Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wmissing-declarations
	-Wold-style-definition -Wredundant-decls -Wnested-externs -Wformat=2 -Wvla -Wundef
	-Wpointer-arith -Wwrite-strings -Wdouble-promotion -Wimplicit-fallthrough
	-Wdate-time)
strict_gcc=(-Wduplicated-cond -Wduplicated-branches -Wlogical-op -Wnull-dereference
	-Walloca -Wswitch-unreachable -Wstack-usage=32768)
strict_clang=(-Wcomma -Wunreachable-code -Wloop-analysis -Wassign-enum -Wextra-semi
	-Wconditional-uninitialized -Wno-unknown-warning-option)

# From compilers' output: the findings and not what is told about them.
findings() {
	sed "s#$PWD/##g" | grep -E '^[^ :]+:[0-9]+:([0-9]+:)? (fatal )?(warning|error)' | sort -u
}

# compile DATABASE COMPILER FLAG...
compile() {
	local db=$1
	shift
	tests/static/each.py "$db" "$jobs" compile "$@" | findings
}

# One pass for two checks: the analyzer's findings go to $work/analyzer.
check_gcc() { # DATABASE DATABASE-NOT-ANALYZED
	{
		compile "$1" gcc -O2 "${strict[@]}" "${strict_gcc[@]}" -fanalyzer \
			-fdiagnostics-plain-output
		[ -z "${2-}" ] || compile "$2" gcc -O2 "${strict[@]}" "${strict_gcc[@]}"
	} | sort -u >"$work/gcc"
	grep -e '\[-Wanalyzer' "$work/gcc" >"$work/analyzer"
	grep -v -e '\[-Wanalyzer' "$work/gcc"
}

check_analyzer() { # after check_gcc
	cat "$work/analyzer"
}

check_clang() { # DATABASE...
	local db
	for db; do
		compile "$db" "${CLANG:-clang-19}" -O2 "${strict[@]}" "${strict_clang[@]}"
	done | sort -u
}

# As the makefiles do it, linking too.
check_clang_build() {
	make -s -j "$jobs" CC=clang BUILD="$build/clang" lib tools unit-plain \
		"$build/clang/bin/asynclazy-demo" "$build/clang/bin/asynclazy-bench" \
		"$build/clang/bin/policy" 2>&1
}

check_cppcheck() { # DATABASE
	cppcheck --quiet -j "$jobs" --project="$1" --std=c11 --library=gnu,posix \
		--enable=warning,performance,portability \
		--suppress=missingInclude --template='{file}:{line}: {severity}: {message} [{id}]' \
		-D__LP64__=1 -D__GNUC__=12 -D__x86_64__=1 2>&1 | sed "s#$PWD/##g" |
		grep -e '^[^ ]*:[0-9]*: ' | sort -u
}

# The tests without clang's analyzer, which takes longest; gcc's leaves them out, too.
check_tidy() { # DATABASE DATABASE-NOT-ANALYZED
	{
		tidy_one "$1"
		[ -z "${2-}" ] || tidy_one "$2" '--checks=-clang-analyzer-*'
	} | sort -u
}

tidy_one() { # DATABASE OPTION...
	local db=$1
	shift
	tests/static/each.py "$db" "$jobs" file "${CLANG_TIDY:-clang-tidy-19}" --quiet -p "$db" \
		--config-file=tests/static/.clang-tidy --extra-arg=-Wno-unknown-warning-option "$@" |
		findings
}

check_checkpatch() { # FILE...
	printf '%s\n' "$@" | xargs -P "$jobs" -n 8 perl "$build/kernels/selftests/scripts/checkpatch.pl" \
		--no-tree --strict --terse --quiet --no-summary --show-types \
		--max-line-length=100 -f 2>&1 | sort -u
}

check_shellcheck() { # FILE...
	shellcheck -x --format=gcc "$@" 2>&1
	# exceptions of this check are where they are needed, and say why
	grep -nH 'shellcheck disable=[^#]*$' "$@" | sed -E 's/^([^:]*:[0-9]*):.*/\1:1: error: disabled without a reason/'
}

# The kernel's own semantic patches; but not those with parts in OCaml, which need a
# compiler of it. One that fails does not keep the others from being run.
check_coccinelle() { # DIR [NAME-OF-PATCH]
	local dir=$1
	find "$build/kernels/selftests/scripts/coccinelle" -name "${2-*}.cocci" | sort |
		while read -r f; do
			! grep -q ':ocaml@' "$f" || continue
			printf '%s %s\0' "$f" "$(sed -n 's,^// Options: *,,p' "$f" | head -1)"
		done |
		xargs -0 -P "$jobs" -I{} sh -c "spatch -D report --very-quiet --no-show-diff \
			-I kmod -I kmod/core -I kmod/uapi --dir $dir --cocci-file {} 2>/dev/null ||
			echo 'spatch:1:1: error: fails: {}'" |
		sed "s#$PWD/##g" | grep -e '^[^ ]*:[0-9]' | sort -u
}

# kbuild DIR KVER MAKE-ARGS...: a copy of $sources, the module's or another's
kbuild() {
	local dir=$build/$1 kver=$2 full
	shift 2
	rm -rf "$dir"
	mkdir -p "$dir"
	cp -r "${sources[@]}" "$dir"
	full=$(realpath "$dir")
	make -s -j "$jobs" -C "$build/kernels/$kver/headers" M="$full" "$@" modules 2>&1 |
		sed "s#$full/##g; s#^$dir/##"
	[ "${PIPESTATUS[0]}" = 0 ] || echo "Kbuild:1: error: the build for $kver failed"
}

check_sparse() { # KVER DIR
	kbuild "$2" "$1" W=1 C=2 CHECK=sparse | grep -E '^(kmod/|Kbuild:|[a-z]*\.c:)' | sort -u
}

check_clang_module() { # KVER DIR
	kbuild "$2" "$1" CC="$PWD/tests/static/clang-as-gcc" |
		grep -E '^(kmod/|Kbuild:|[a-z]*\.c:).*(warning|error)' | sort -u
}

# C files of ours, other than modules, that no target of run.sh's compiles
check_unseen() { # DATABASE...
	find libuser tools tests kmod/core -name '*.c' ! -path 'tests/static/bad/*' | sort |
		while read -r f; do
			grep -q -h -e "\"$PWD/$f\"" "$@" || grep -q '<linux/module.h>' "$f" ||
				echo "$f:1: error: compiled by no target that run.sh knows"
		done
}
