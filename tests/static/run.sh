#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Static checks, as KTAP: of the kernel code, the library, the tools and the
# tests' own C, and of what the documents say. Zero findings pass; what is let
# pass is in the file exceptions. Each check is also shown a file of bad/ that it
# must complain about.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build}
jobs=${JOBS:-2}
# of a make that runs this: ours would warn of its jobs, and a warning is a finding
unset MAKEFLAGS MFLAGS
usage() {
	cat <<'END'
usage: tests/static/run.sh [--only REGEX] [--findings] [KVER...]

KVER: kernels to check the module against (default: 6.12 6.1)
--only REGEX  only the checks whose name matches, for instance 'gcc|tidy'
--findings    print findings as they are, without the exceptions

Environment: JOBS=2 at a time; BUILD=build; CLANG, CLANG_TIDY.
END
}

only=. raw=
while :; do
	case ${1-} in
	-h | --help)
		usage
		exit 0
		;;
	--only)
		only=${2:?}
		shift 2
		;;
	--findings)
		raw=1
		shift
		;;
	*) break ;;
	esac
done
kvers=("$@")
[ ${#kvers[@]} -gt 0 ] || kvers=(6.12 6.1)
for c in clang clang-19 clang-tidy-19 cppcheck perl python3 shellcheck sparse spatch; do
	command -v "$c" >/dev/null || missing+=" $c"
done
[ -z "${missing-}" ] || {
	echo "tests/static/run.sh: not found:$missing; run tools/deps test" >&2
	exit 1
}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
# shellcheck source=tests/static/checks.sh
. tests/static/checks.sh

# The targets that compile every C file of ours: what is delivered; the tests,
# whatever their makefiles make; those on the kernel's harness, which only gcc
# understands.
targets=(lib "$build/bin/alazy" "$build/bin/asynclazy-demo" "$build/bin/asynclazy-bench"
	"$build/bin/policy" examples)
targets_harness=(kselftest fault)
mapfile -t targets_tests < <(echo unit-plain
	sed -n 's/^\.PHONY: *//p' tests/*/build.mk tests/*/*/build.mk | tr ' ' '\n' |
		grep -vxF -e "$(printf '%s\n' "${targets_harness[@]}")" | grep -v '[$]' | sort -u)

# shellcheck source=tests/tap.sh
. tests/tap.sh
report() { # NAME OUTPUT
	[ -z "$2" ] || printf '%s\n' "$2" | sed 's/^/# /'
	[ -z "$2" ]
	verdict $? "$1"
}

# Drops what the exceptions of a check allow, and notes which were needed.
allowed() { # CHECK
	[ -z "$raw" ] || {
		cat
		return
	}
	awk -v check="$1" -v used="$work/used" -F ' [|] ' '
	NR == FNR {
		if ($0 ~ /^[^#]/ && $1 == check) {
			n++
			file[n] = $2; pattern[n] = $3; line[n] = FNR
		}
		next
	}
	{
		for (i = 1; i <= n; i++)
			if ((file[i] == "*" || index($0, file[i]) == 1) && $0 ~ pattern[i]) {
				print line[i] >>used
				next
			}
		print
	}' tests/static/exceptions -
}

# The exceptions of the checks that ran, but for those that were needed.
unneeded() {
	awk -v ran=" $ran " -F ' [|] ' '
	NR == FNR { used[$1]; next }
	/^[^#]/ && NF != 4 { print FILENAME ":" FNR ": error: not CHECK | FILES | PATTERN | reason" }
	/^[^#]/ && NF == 4 && index(ran, " " $1 " ") && !(FNR in used) {
		print FILENAME ":" FNR ": error: no finding needs this exception: " $0 }
	' "$work/used" tests/static/exceptions
}

# what gcc's pass has written
[[ ! analyzer =~ $only || gcc =~ $only ]] || only+='|^gcc$'

# check NAME TITLE FUNCTION ARG...: runs it, if it is asked for
: >"$work/used"
ran=
check() {
	local name=$1 title=$2 start=$SECONDS
	shift 2
	[[ $name =~ $only ]] || return 0
	ran+=" $name"
	report "$title" "$("$@" | allowed "$name")"
	echo "# $name: $((SECONDS - start)) s"
}

# catches NAME REGEX FUNCTION ARG...: it must find what was put there
catches() {
	local name=$1 expected=$2 out
	shift 2
	[[ $name =~ $only ]] || return 0
	out=$("$@")
	report "$name finds what is bad" "$(grep -q -E -e "$expected" <<<"$out" ||
		printf 'not found: %s, in:\n%s\n' "$expected" "$out")"
}

# How bad/*.c would be compiled.
bad_database() {
	local f sep='['
	for f in tests/static/bad/{strict,analyzer,cppcheck,tidy}.c; do
		printf '%s\n{ "directory": "%s", "file": "%s",\n"arguments": ' "$sep" "$PWD" "$PWD/$f"
		printf '["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-c", "%s"] }' "$PWD/$f"
		sep=,
	done
	echo ']'
}

mkdir -p "$work"/{db,tests,harness,bad}
db=$work/db/compile_commands.json
db_tests=$work/tests/compile_commands.json
db_harness=$work/harness/compile_commands.json
bad=$work/bad/compile_commands.json
bad_database >"$bad"
export BUILD=$build
echo "TAP version 13"
report "make says how each file is compiled" "$(
	tests/static/database.py "$db" "${targets[@]}" 2>&1
	tests/static/database.py --but "$db" "$db_tests" "${targets_tests[@]}" 2>&1
	tests/static/database.py --but "$db" --but "$db_tests" "$db_harness" \
		"${targets_harness[@]}" 2>&1)"
check unseen "every C file is compiled by a target that is known here" \
	check_unseen "$db" "$db_tests" "$db_harness"
catches unseen 'libuser/src/get.c' check_unseen "$bad"

mapfile -t kernel_c < <(find kmod -name '*.[ch]' | sort)
mapfile -t scripts < <(find .ci tests tools -type f ! -path 'tests/static/bad/*' -print0 |
	xargs -0 grep -lE -e '^#!/bin/(ba)?sh' | sort)
check checkpatch "checkpatch --strict finds nothing" check_checkpatch "${kernel_c[@]}"
catches checkpatch 'SPACING' check_checkpatch tests/static/bad/module.c
check shellcheck "shellcheck finds nothing" check_shellcheck "${scripts[@]}"
catches shellcheck 'SC2086' check_shellcheck tests/static/bad/shell.sh
catches shellcheck 'without a reason' check_shellcheck tests/static/bad/shell.sh
check docs "the documents name what the headers define, and nothing else" \
	tests/static/docs.sh "$work"
catches docs 'IOC_FECTH' tests/static/docs.sh "$work" 's/IOC_FETCH/IOC_FECTH/'
catches docs 'alazy_cancel\b.*no man page' tests/static/docs.sh "$work" '' alazy_cancel

check gcc "gcc has no warning, with many asked for" check_gcc "$db" "$db_tests"
check gcc "the same, of the tests on the kernel's harness" \
	compile "$db_harness" gcc -O2 "${strict[@]}" "${strict_gcc[@]}"
check analyzer "gcc -fanalyzer finds nothing" check_analyzer
catches gcc 'strict.c.*-Wshadow' check_gcc "$bad"
catches analyzer 'analyzer.c.*-Wanalyzer-double-free' check_analyzer
check clang "clang has no warning, with many asked for" check_clang "$db" "$db_tests"
catches clang 'strict.c.*-Wshadow' check_clang "$bad"
check clang-build "clang builds library, tools and unit tests" check_clang_build
check cppcheck "cppcheck finds nothing" check_cppcheck "$db"
catches cppcheck 'cppcheck.c.*arrayIndexOutOfBounds' check_cppcheck "$bad"
check clang-tidy "clang-tidy finds nothing" check_tidy "$db" "$db_tests"
catches clang-tidy 'tidy.c.*bugprone-sizeof-expression' check_tidy "$bad"

check coccinelle "the kernel's coccinelle checks find nothing" check_coccinelle kmod
catches coccinelle 'module.c.*NULL check before' check_coccinelle tests/static/bad \
	ifnullfree
for kver in "${kvers[@]}"; do
	sources=(Kbuild kmod)
	check sparse "sparse and W=1 find nothing on $kver" check_sparse "$kver" \
		"static-$kver"
	check clang-module "clang builds the module for $kver without a warning" \
		check_clang_module "$kver" "kmod-$kver-clang"
done
sources=(tests/static/bad/Kbuild tests/static/bad/module.c)
catches sparse 'module.c.*different address spaces' check_sparse "${kvers[0]}" static-bad
catches sparse 'module.c.*-Wunused-but-set-variable' check_sparse "${kvers[0]}" static-bad
catches clang-module 'module.c.*-Wself-assign' check_clang_module "${kvers[0]}" \
	static-bad
[ -n "$raw" ] || report "every exception is still needed" "$(unneeded)"
totals
