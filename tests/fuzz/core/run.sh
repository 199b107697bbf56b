#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Fuzzes the core natively beside a model; TAP out.
set -u
cd "$(dirname "$0")/../../.." || exit 1

usage() {
	cat <<'END'
usage: tests/fuzz/core/run.sh [--runs N] [--jobs N] [--seed S] [--corpus DIR]

Replays the corpus, runs random inputs, then fuzzes with libFuzzer for a fixed
number of executions, and measures which lines of kmod/core all of this and the
unit tests of the core reached: each that can be.

  --runs N      executions of libFuzzer, of all jobs (default 30000, full 300000);
                a tenth as many of caches that recycle
  --jobs N      processes (default 1, full 2)
  --seed S      of libFuzzer and of the random inputs (default 1)
  --corpus DIR  keep what was found there, and begin with it

Environment: ALZ_FULL=1 full counts, and the deliberate bugs of mutants.sh;
BUILD=build; CC the compiler of the replayer, FUZZ_CLANG of the fuzzer (clang);
LLVM_COV, LLVM_PROFDATA (llvm-cov-14, llvm-profdata-14).
An input that fails is kept in $BUILD/fuzz/found/; see what it does with
$BUILD/fuzz/core_fuzz --show FILE.
END
}

here=tests/fuzz/core
export BUILD=${BUILD:-build}
full=${ALZ_FULL:-}
[ "$full" = 1 ] || full=
runs=30000 jobs=1 random=1500 seed=1 keep=
[ -z "$full" ] || runs=300000 jobs=2 random=100000
while [ $# -gt 0 ]; do
	case $1 in
	-h | --help)
		usage
		exit 0
		;;
	--runs | --jobs | --seed | --corpus)
		[ $# -gt 1 ] || { usage >&2; exit 2; }
		case $1 in
		--runs) runs=$2 ;;
		--jobs) jobs=$2 ;;
		--seed) seed=$2 ;;
		--corpus) keep=$2 ;;
		esac
		shift
		;;
	*)
		usage >&2
		exit 2
		;;
	esac
	shift
done
cov=${LLVM_COV:-llvm-cov-14}
profdata=${LLVM_PROFDATA:-llvm-profdata-14}

# shellcheck source=tests/tap.sh
. tests/tap.sh
executions=0

# quote COMMAND...: its output as comments
quote() {
	"$@" 2>&1 | sed -u '/^#/!s/^/# /'
	return "${PIPESTATUS[0]}"
}

work=$(mktemp -d "${TMPDIR:-/tmp}/fuzz-core.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
export ASAN_OPTIONS="${ASAN_OPTIONS-detect_leaks=1:quarantine_size_mb=16}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS-print_stacktrace=1}"

echo "TAP version 13"
targets=(fuzz-core-replay)
clang=1
command -v "${FUZZ_CLANG:-clang}" >/dev/null || clang=
[ -z "$clang" ] || targets+=(fuzz-core fuzz-core-cov)
if ! quote make -s "${targets[@]}"; then
	echo "Bail out! the fuzzer does not build"
	exit 1
fi

files=$(find "$here/corpus" -type f | wc -l)
bytes=$(find "$here/corpus" -type f -printf '%s\n' | awk '{ s += $1 } END { print s + 0 }')
echo "# corpus: $files files, $bytes bytes"
[ "$files" -gt 0 ] && [ "$files" -le 150 ] && [ "$bytes" -le 153600 ]
verdict $? "the corpus is there, and is small"

mapfile -d '' -t corpus < <(find "$here/corpus" -type f -print0 | sort -z)
quote "$BUILD/fuzz/core_replay" "${corpus[@]}"
verdict $? "the core answers the corpus as the model does"
quote "$BUILD/fuzz/core_replay" --seed "$seed" --random "$random"
verdict $? "the core answers random inputs as the model does"
quote "$BUILD/fuzz/recycle_replay" --seed "$seed" --random $((random / 5))
verdict $? "caches that recycle answer random inputs as their model does"
executions=$((files + random + random / 5))

# fuzz: all jobs side by side, from the same corpus, each with a seed of its own
fuzz() {
	local i pids=() status=0
	mkdir -p "$BUILD/fuzz/found"
	for ((i = 0; i < jobs; i++)); do
		mkdir "$work/corpus-$i"
		cp "$here"/corpus/* "$work/corpus-$i"
		[ -z "$keep" ] || find "$keep" -type f -exec cp -t "$work/corpus-$i" {} +
		CORE_FUZZ_RUNS=$((runs / jobs)) "$BUILD/fuzz/core_fuzz" -runs=$((runs / jobs)) \
			-seed=$((seed + i)) -max_len=1024 -timeout=60 -verbosity=0 \
			-print_final_stats=1 -artifact_prefix="$BUILD/fuzz/found/" \
			"$work/corpus-$i" 2>"$work/fuzz-$i.log" &
		pids+=($!)
	done
	for i in "${!pids[@]}"; do
		wait "${pids[$i]}" && continue
		status=1
		sed 's/^/# /' "$work/fuzz-$i.log" | tail -200
	done
	return $status
}

# the same of caches that recycle, which have no corpus
recycle_fuzz() {
	local i pids=() status=0
	for ((i = 0; i < jobs; i++)); do
		mkdir "$work/recycle-corpus-$i"
		"$BUILD/fuzz/recycle_fuzz" -runs=$((runs / 10 / jobs)) -seed=$((seed + i)) \
			-max_len=4096 -len_control=10 -timeout=60 -verbosity=0 -print_final_stats=1 \
			-artifact_prefix="$BUILD/fuzz/found/recycle-" \
			"$work/recycle-corpus-$i" 2>"$work/fuzz-recycle-$i.log" &
		pids+=($!)
	done
	for i in "${!pids[@]}"; do
		wait "${pids[$i]}" && continue
		status=1
		sed 's/^/# /' "$work/fuzz-recycle-$i.log" | tail -60
	done
	return $status
}

# what was found, for whoever has only this output: base64 -d makes the input again
found() {
	local file
	for file in "$BUILD"/fuzz/found/*; do
		[ "$file" -nt "$work" ] || continue
		echo "# found: ${file##*/}, $(stat -c %s "$file") bytes, in base64:"
		base64 -w 100 "$file" | sed 's/^/#   /'
	done
}

if [ -n "$clang" ]; then
	fuzz
	verdict $? "libFuzzer finds no input that the core answers otherwise than the model"
	recycle_fuzz
	verdict $? "libFuzzer finds none for caches that recycle"
	found
	executions=$((executions + $(cat "$work"/fuzz-*.log |
		awk '/number_of_executed_units/ { s += $2 } END { print s + 0 }')))
	if [ -n "$keep" ]; then
		mkdir -p "$keep"
		"$BUILD/fuzz/core_fuzz" -merge=1 -max_len=1024 -verbosity=0 "$keep" \
			"$work"/corpus-*/ 2>/dev/null
	fi
else
	verdict 1 "libFuzzer runs # there is no ${FUZZ_CLANG:-clang}: install clang"
fi
echo "# figure: fuzz executions $executions"

# missed FILE: the lines that were never run, as "FUNCTION | source text"
missed() {
	awk -F'|' '
	{ text = $0; sub(/^[^|]*\|[^|]*\|/, "", text) }
	text ~ /^[a-z].*\(/ && text !~ /;/ {
		name = text; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name)
	}
	$2 ~ /^ *0$/ { gsub(/^[ \t]+|[ \t]+$/, "", text); print name " | " text " | " $1 + 0 }
	' "$1"
}

coverage() {
	local file line lines lost at status=0
	: >"$work/all-missed"
	find "$work" "$here/corpus" -path "*corpus*" ! -path "*recycle*" -type f -print0 |
		LLVM_PROFILE_FILE="$work/cov-%p.profraw" xargs -0 "$BUILD/fuzz/core_cov" \
			>/dev/null || return 1
	LLVM_PROFILE_FILE="$work/cov-random.profraw" \
		"$BUILD/fuzz/core_cov" --seed "$seed" --random "$random" >/dev/null || return 1
	LLVM_PROFILE_FILE="$work/cov-recycle.profraw" \
		"$BUILD/fuzz/recycle_cov" --seed "$seed" --random $((random / 5)) >/dev/null || return 1
	find "$work" -path "*recycle-corpus*" -type f -print0 |
		LLVM_PROFILE_FILE="$work/cov-recycle-%p.profraw" xargs -0 -r "$BUILD/fuzz/recycle_cov" \
			>/dev/null || return 1
	for file in "$BUILD"/fuzz/unit_cov/core_*; do
		[[ $file != *.[od] ]] || continue
		LLVM_PROFILE_FILE="$work/cov-unit-%p.profraw" "$file" >"$work/unit.log" 2>&1 && continue
		quote cat "$work/unit.log"
		return 1
	done
	"$profdata" merge -o "$work/cov.profdata" "$work"/cov-*.profraw || return 1
	for file in kmod/core/*.[ch]; do
		"$cov" show -show-instantiations=false -instr-profile="$work/cov.profdata" \
			"$BUILD/fuzz/core_cov" -object "$BUILD/fuzz/unit_cov/core_ttl" "$file" >"$work/shown" 2>/dev/null
		lines=$(awk -F'|' '$2 ~ /[0-9]/ { n++ } END { print n + 0 }' "$work/shown")
		if [ "$lines" = 0 ]; then
			# of a header that only declares there is nothing to measure
			[[ $file == *.h ]] || { status=1; echo "# of $file there are no counts"; }
			continue
		fi
		missed "$work/shown" >"$work/missed"
		lost=$(wc -l <"$work/missed")
		at=$(sed 's/.*| //' "$work/missed" | paste -sd ' ')
		echo "# coverage: $file $(awk -v a="$lines" -v b="$lost" \
			'BEGIN { printf "%.1f", 100 * (a - b) / a }')% of $lines lines${at:+ (lines missed: $at)}"
		sed "s|^|${file##*/} |; s/ | [^|]*$//" "$work/missed" >>"$work/all-missed"
	done
	# a name is for one line: two that are alike want two
	sort -o "$work/all-missed" "$work/all-missed"
	grep -v '^#' "$here/unreached.txt" | sed 's/ | [^|]*$//' | sort >"$work/named"
	while IFS= read -r line; do
		status=1
		echo "# not reached, and not in unreached.txt: $line"
	done < <(comm -23 "$work/all-missed" "$work/named")
	while IFS= read -r line; do
		status=1
		echo "# in unreached.txt, and reached, or not in the source: $line"
	done < <(comm -13 "$work/all-missed" "$work/named")
	return $status
}

name="every line of the core that can be reached was reached"
if [ -z "$clang" ] || ! command -v "$cov" >/dev/null || ! command -v "$profdata" >/dev/null; then
	verdict 1 "$name # there is no clang, $cov or $profdata: install clang and llvm"
else
	coverage
	verdict $? "$name"
fi

if [ -n "$full" ]; then
	quote $here/mutants.sh
	verdict $? "each deliberate bug in the core is found"
fi
totals
