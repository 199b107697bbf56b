#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Checks the models exhaustively, and that each fails when what it is about is
# taken away:
#   flight, refresh, word, publish, pin	in Promela, with spin
#   explore			the core's real code, by our own explorer
#   publish, pin .litmus	with herd7, which Debian has not; skipped without
set -u
cd "$(dirname "$0")" || exit 1
here=$PWD
top=$(cd ../.. && pwd)
build=$(cd "$top" && mkdir -p "${BUILD:-build}/model" && cd "${BUILD:-build}" && pwd)
full=${ALZ_FULL:-0}
case ${1-} in
-h | --help)
	echo "usage: [ALZ_FULL=1] tests/model/run.sh [flight|refresh|word|publish|pin|explore|litmus]..."
	exit 0
	;;
esac
parts=("$@")
for tool in spin patch; do
	command -v "$tool" >/dev/null || {
		echo "tests/model/run.sh: $tool is missing; install the package $tool" >&2
		exit 1
	}
done

# shellcheck source=tests/tap.sh
. "$top/tests/tap.sh"
all_states=0 all_runs=0

part() { # NAME: whether it was asked for
	[ ${#parts[@]} = 0 ] || [[ " ${parts[*]} " == *" $1 "* ]]
}

# patiently FILE COMMAND...: runs it with its output in FILE, and shows the end of
# that every 20 seconds
exec {never}<> <(:)
patiently() {
	local file=$1 ticker status
	shift
	while read -rt 20 -u "$never"; [ $? -gt 128 ]; do
		echo "# $SECONDS s, ${file#"$build"/model/}: $(tail -n 1 "$file")"
	done &
	ticker=$!
	"$@" >"$file" 2>&1
	status=$?
	kill "$ticker"
	wait "$ticker" 2>/dev/null
	return $status
}

# ---- spin -------------------------------------------------------------------

# search DIR MODEL FLAGS...: sets errors (empty: it did not finish), states
# Compiling takes longer than finding an error: not optimised then.
pan_safety=(-DSAFETY -DMEMLIM=5500)
[ "$full" = 1 ] && pan_safety+=(-DCOLLAPSE)
pan_flags=("${pan_safety[@]}")
opt=-O1
search() {
	local dir=$build/model/$1 model=$2
	shift 2
	rm -rf "$dir"
	mkdir -p "$dir"
	(cd "$dir" && spin -a "$@" "$here/$model.pml" >spin.log 2>&1 &&
		gcc "$opt" -w "${pan_flags[@]}" -o pan pan.c &&
		./pan -d >pan.states && patiently "$PWD/pan.log" ./pan -m100000 "${pan_args[@]}")
	errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' "$dir/pan.log" 2>/dev/null)
	states=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' "$dir/pan.log" 2>/dev/null)
	# out of memory, or too deep: not all was seen
	grep -q 'Search not completed\|max search depth too small\|out of memory' \
		"$dir/pan.log" && [ "$errors" = 0 ] && errors=
	rm -f "$dir"/pan "$dir"/pan.[bchmpt] "$dir"/*.trail
}
pan_args=()

holds() { # MODEL NAME FLAGS...
	local model=$1 name=$2
	shift 2
	search "$model$(printf '%s' "$@" | tr -cd 'A-Z0-9_=-')" "$model" "$@"
	echo "# $model $*: ${states:-no} states, ${errors:-unknown} errors"
	all_states=$((all_states + ${states:-0}))
	[ "$errors" = 0 ] && [ "${states:-0}" -gt 100 ]
	verdict $? "$name"
}

breaks() { # MODEL NAME FLAGS...
	local model=$1 name=$2 what
	shift 2
	opt=-O0
	search "$model-broken" "$model" "$@"
	opt=-O1
	what=$(sed -n 's/^pan:1: //p' "$build/model/$model-broken/pan.log")
	echo "# $model $*: ${errors:-unknown} errors, $what"
	# by what the model states, or by nobody going on: not by an error of the model's own
	[ "${errors:-0}" -gt 0 ] && [[ $what =~ ^('assertion violated'|'invalid end state') ]]
	verdict $? "$name"
}

# lines FILE: "proctype line state" of each state that pan lists in it
lines() {
	awk '/^(proctype|unreached in|init)/ { p = $NF }
		match($0, /\.pml:[0-9]+/) && !/-end-/ {
			line = substr($0, RSTART + 5, RLENGTH - 5)
			if (match($0, /state *[0-9]+/))
				print p, line, substr($0, RSTART + 5, RLENGTH - 5) + 0
		}' "$1" | sort -u
}

# Each line of a model is reached, in one of its places at least, in one of the
# searches at least: what is never reached proves nothing. (A line of an inline
# is in many places, and can in some of them by nature not be reached.)
covered() { # MODEL DIRS...
	local model=$1 dir missed states
	shift
	lines "$build/model/$1/pan.states" >"$build/model/states"
	missed=$(cat "$build/model/states")
	for dir; do
		missed=$(comm -12 <(echo "$missed") \
			<(lines "$build/model/$dir/pan.log"))
	done
	missed=$(comm -23 <(cut -d' ' -f1,2 <<<"$missed" | sort -u) \
		<(comm -23 "$build/model/states" <(echo "$missed") | cut -d' ' -f1,2 | sort -u))
	states=$(wc -l <"$build/model/states")
	echo "# $model: $states statements in $(cut -d' ' -f1,2 "$build/model/states" | sort -u | wc -l) lines"
	[ -z "$missed" ] || printf '%s\n' "$missed" | sed 's/^/# never reached: /'
	[ -z "$missed" ] && [ "$states" -gt 10 ]
	verdict $? "$model: every line is reached"
}

flight() {
	local v

	holds flight "flight: 3 clients, 2 generations, blocked calls" -DFORMS=1 -DACTS=3
	holds flight "flight: the same with per-wait fds" -DFORMS=4 -DACTS=3
	holds flight "flight: the same with events" -DFORMS=2 -DACTS=3
	holds flight "flight: 2 clients with events and followers" -DFORMS=10 -DACTS=3 -DPROCS=2
	covered flight flight-DFORMS=1-DACTS=3 flight-DFORMS=4-DACTS=3 flight-DFORMS=2-DACTS=3 \
		flight-DFORMS=10-DACTS=3-DPROCS=2
	holds flight "flight: two clients, all forms mixed, an accept deadline" \
		-DPROCS=2 -DFORMS=15 -DACTS=2 -DACCEPT_DEADLINE
	pan_flags=(-DNP -DCOLLAPSE -DMEMLIM=5500)
	pan_args=(-l)
	holds flight "flight: nothing goes on for ever" -DPROCS=2 -DFORMS=15 -DACTS=2
	pan_args=()
	pan_flags=("${pan_safety[@]}")
	for v in NO_RECHECK:1 NO_FENCE:1 DEATH_KEEPS:1 DEATH_LOSES_OFFER:2 \
		CANCEL_LOSES_OFFER:2 CLOSE_LOSES_OFFER:4 TIMEOUT_WINS:1 INVALIDATE_KEEPS:1 \
		WAKE_IS_AN_EDGE:1 WAKE_IS_AN_EDGE:2 TELL_FIRST:1; do
		breaks flight "flight: -D${v%:*} is found (form ${v#*:})" "-D${v%:*}" \
			-DFORMS="${v#*:}" -DACTS=3
	done
	breaks flight "flight: -DDEADLINE_LOSES_OFFER is found" -DACCEPT_DEADLINE \
		-DDEADLINE_LOSES_OFFER -DFORMS=1 -DACTS=3
	[ "$full" = 1 ] || return
	holds flight "flight: 3 clients with events and followers" -DFORMS=10 -DACTS=3
	for v in 1 2 4; do
		holds flight "flight: 3 clients, 4 acts, form $v" -DFORMS=$v -DACTS=4
	done
	holds flight "flight: 3 clients, blocked calls and per-wait fds" -DFORMS=5 -DACTS=3
	holds flight "flight: 3 clients, 3 generations" -DFORMS=1 -DACTS=4 -DGENS=3
	holds flight "flight: 4 clients" -DFORMS=1 -DACTS=3 -DPROCS=4
	holds flight "flight: 3 clients, an accept deadline" -DFORMS=1 -DACTS=3 -DACCEPT_DEADLINE
}

refresh() {
	local v

	holds refresh "refresh: 3 clients, leases, back-off, invalidate, set, expire, evict" \
		-DACTS=7 -DTICKETS=4
	holds refresh "refresh: 4 clients" -DPROCS=4
	covered refresh refresh-DACTS=7-DTICKETS=4 refresh-DPROCS=4
	for v in MARK_STAYS MARK_IGNORED NO_FENCE REFRESH_EMPTIES EVICT_FORGETS OFFER_LOST \
		LEASE_KEEPS HELD_FOR_EVER READ_ON; do
		breaks refresh "refresh: -D$v is found" "-D$v"
	done
	[ "$full" = 1 ] || return
	holds refresh "refresh: 4 clients, 6 acts" -DPROCS=4 -DACTS=6 -DTICKETS=4
	holds refresh "refresh: 3 clients, 9 acts" -DACTS=9 -DTICKETS=4
}

word() {
	local v

	pan_flags+=(-DCOLLAPSE)
	holds word "word: a lock of 3 clients, 2 rounds, a death" -DDEATHS=1
	holds word "word: 3 clients, 2 deaths" -DROUNDS=1
	covered word word-DDEATHS=1 word-DROUNDS=1
	for v in NO_RECHECK NO_WAITER_FENCE NO_WAKER_FENCE TIMEOUT_WINS HELD_LATE CLEAR_FIRST \
		NO_HEIR DEATH_SILENT; do
		breaks word "word: -D$v is found" "-D$v"
	done
	if [ "$full" = 1 ]; then
		holds word "word: 3 clients, 2 rounds, 2 deaths"
		holds word "word: 4 clients" -DPROCS=4 -DROUNDS=1 -DDEATHS=1
	fi
	pan_flags=("${pan_safety[@]}")
}

publish() {
	holds publish "K5 a reader of a terminal state sees its record"
	breaks publish "K5 without the store-release it does not" -DNO_RELEASE
	breaks publish "K5 without the address dependency it does not" -DNO_DEPENDENCY
}

pin() {
	local v

	holds pin "pin: a record is not reused under a reader (TSO)"
	covered pin pin
	for v in NO_BARRIER EARLY_LOOK LATE_UNLINK NO_RELOAD EARLY_RELOAD; do
		breaks pin "pin: -D$v is found" -D$v
	done
	breaks pin "pin: loads out of order are found" -DEARLY_USE
	holds pin "pin: and do no harm if no word comes back" -DEARLY_USE -DFRESH_WORDS
	[ "$full" = 1 ] || return
	holds pin "pin: 3 readers" -DREADERS=3
	holds pin "pin: 3 rounds" -DROUNDS=3 -DREADS=3
}

# ---- the explorer -----------------------------------------------------------

maker() {
	make -s -C "$top" -f tests/model/build.mk BUILD="$build" "$@"
}

explored() { # MODEL-OF-MEMORY small|all
	local out=$build/model/explore-$1.log name

	patiently "$out" "$build/model/explore/explore" "$1" "$2"
	local status=$?
	cat "$out"
	while read -r name; do
		verdict 0 "explore: $name under $1"
	done < <(sed -n "s/^# \(.*\) under $1: states.*/\1/p" "$out")
	[ $status = 0 ] || verdict 1 "explore: all scenarios under $1"
	all_states=$((all_states + $(sed -n 's/.*: states \([0-9]*\),.*/\1/p' "$out" | paste -sd+ | bc)))
	all_runs=$((all_runs + $(sed -n 's/.* interleavings \([0-9]*\)$/\1/p' "$out" | paste -sd+ | bc)))
}

# The core, or the explorer's own waiting, with a part taken away.
caught() { # NAME MODEL-OF-MEMORY SCENARIO DEFINE|PATCH
	local dir=$build/model/mutant f out

	rm -rf "$dir"
	mkdir -p "$dir/kmod/core"
	if [ -e "explore/mutants/$4.patch" ]; then
		cp "$top"/kmod/core/*.c "$dir/kmod/core"
		patch -s -d "$dir" -p1 <"explore/mutants/$4.patch" || {
			verdict 1 "explore: $1: explore/mutants/$4.patch does not apply: mend it"
			return
		}
		for f in "$dir"/kmod/core/*.c; do
			cmp -s "$f" "$top/kmod/core/${f##*/}" || cp "$f" "$dir"
		done
		maker model-mutant MODEL_MUTANT="$dir" || dir=/nonexistent
	else
		cp explore/memory.c explore/scenarios*.c "$dir"
		maker model-mutant MODEL_MUTANT="$dir" MODEL_DEFINES="-DMUTANT_$4" || dir=/nonexistent
	fi
	out=$("$dir/explore" "$2" all "$3" 2>&1)
	f=$?
	# 1 is an error that it found; a crash or a failed build is none
	[ $f = 1 ] && grep ', after$' <<<"$out" | head -n 1
	[ $f = 1 ] && grep -q ', after$' <<<"$out"
	verdict $? "explore: $1 is found"
}

explore() {
	local size=small

	maker model-explore || {
		verdict 1 "explore: it builds"
		return
	}
	[ "$full" = 1 ] && size=all
	explored tso $size
	explored pso $size
	caught "a plain store in place of the store-release" pso "publish against two" PLAIN_STORE
	caught "a record written to after it was linked" tso "a set against" link-first
	caught "a claim that does not look again" tso "two claims" no-recheck
	caught "a publish without the fence" tso "invalidate and a wait" no-fence
	caught "a cancel that loses an offer" tso "against cancel" cancel-loses-offer
	caught "a deadline that wins over a ticket" tso "against a deadline" timeout-wins
	caught "a move that unlinks before it links, wrongly" tso "a move" torn-move
	caught "a sleeper that does not look again" tso "publish against waits" NO_LOOK
	caught "a waker that peeks at the queue" tso "publish against waits" WAKE_PEEK
	caught "a reclaim without a barrier" tso "evicts a value" NO_BARRIER
	caught "a wait for a word without the fence" tso "against a wait for a word" word-no-fence
	caught "a waker without the fence" tso "against a wait for a word" NO_WAKER_FENCE
	caught "a wait for a word that does not look again" tso "against a wait for a word" word-no-recheck
	caught "a cancel that loses a wake" tso "cancel of a wait for a word" word-loses-wake
	caught "a death that loses a wake" tso "death of who waits for a word" word-loses-wake
}

litmus() {
	local t

	for t in publish pin; do
		if command -v herd7 >/dev/null; then
			herd7 -conf linux-kernel.cfg $t.litmus | grep -q '^Observation.*Never'
			verdict $? "$t.litmus under the kernel's memory model"
		else
			skip "$t.litmus under the kernel's memory model" "herd7 is not installed"
		fi
	done
}

echo "TAP version 13"
for p in publish pin word flight refresh explore litmus; do
	part $p && $p
done
echo "# figure: model states $all_states"
echo "# figure: interleavings explored $all_runs"
totals
