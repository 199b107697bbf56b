#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# shellcheck disable=SC2016,SC2034  # text for other shells, variables for has()
# alazy run, as a user sees it; KTAP out. With the module everything is tested
# but what happens without it, and the other way round. For any POSIX shell, and
# for busybox's tools.
#
#   tools/vm/run --file build/bin/alazy --file build/tests/tools/cachectl \
#	-- tests/tools/alazy_run.sh
#   tests/tools/alazy_run.sh

top=$(cd "$(dirname "$0")/../.." && pwd)
BUILD=${BUILD:-build}
case $BUILD in
/*) ;;
*) BUILD=$top/$BUILD ;;
esac
ALAZY=${ALAZY:-$BUILD/bin/alazy}
CACHECTL=${CACHECTL:-$BUILD/tests/tools/cachectl}
SHELLS=${SHELLS:-64}

T=$(mktemp -d) || exit 1
trap 'rm -rf "$T"' EXIT
trap 'exit 143' TERM INT
cd "$T" || exit 1

number=0 failed=0 module=0
[ ! -e /dev/asynclazy ] || module=1
name='' good=1

begin() { # begin NAME: a test, until end
	name=$1 good=1
	rm -rf "${T:?}"/*
	mkfifo told go
	: >count
	# every test has a cache of its own
	cache=run-test-$$-$((number + 1))
}

fail() {
	good=0
	echo "# $name: $*"
}

# is WHAT ACTUAL EXPECTED
is() {
	[ "$2" = "$3" ] || fail "$1 is '$2', not '$3'"
}

# has FILE TEXT: the file has a line with the text
has() {
	grep -q -e "$2" "$1" || fail "$1 does not say '$2' but: $(head -c 300 "$1")"
}

same() { # same FILE FILE
	cmp "$1" "$2" >cmp.out 2>&1 || fail "$1 and $2 differ: $(cat cmp.out)"
}

end() {
	# a cache counts on the quota until its name is gone
	[ $module = 0 ] || "$CACHECTL" unlink "$cache" || fail 'unlink'
	number=$((number + 1))
	if [ $good = 1 ]; then
		echo "ok $number $name"
	else
		echo "not ok $number $name"
		failed=1
	fi
}

skip() { # skip NAME WHY
	number=$((number + 1))
	echo "ok $number $1 # SKIP $2"
}

runs() { wc -l <count | tr -d ' '; }

# run ARGUMENT...: one alazy run, to out, err and status
run() {
	"$ALAZY" run "$@" >out 2>err </dev/null
	status=$?
}

# ask I ARGUMENT...: a shell of its own, in the background, to out.I ...
ask() {
	i=$1
	shift
	(
		"$ALAZY" run --cache "$cache" "$@" >"out.$i" 2>"err.$i"
		echo $? >"status.$i"
	) &
}

# ask_all ARGUMENT...: as many shells as there are
ask_all() {
	n=0
	while [ $n -lt "$SHELLS" ]; do
		n=$((n + 1))
		ask $n "$@"
	done
}

waits() { "$CACHECTL" await "$cache" "$1" || fail "$1 waits were awaited"; }

# script: the command, from stdin
script() {
	cat >./command
	chmod +x command
}

# counted STATUS: a command that tells of its start, waits for a word, prints
counted() {
	script <<-END
		#!/bin/sh
		echo x >>count
		echo \$PPID \$\$ >told
		read word <go
		echo "out \$word"
		echo "err \$word" >&2
		exit $1
	END
}

# first_stays: a command whose first run tells of itself and never ends
first_stays() {
	script <<-'END'
		#!/bin/sh
		echo x >>count
		if [ $(wc -l <count) = 1 ]; then
			echo $PPID $$ >told
			read word <go
		fi
		echo "out $(wc -l <count)"
	END
}

# Gone, or a zombie that somebody else is to reap.
dead() {
	! grep -q '^State:.[^ZX]' "/proc/$1/status" 2>/dev/null
}

# A process that was sent SIGKILL by the kernel may still be on its way out.
await_dead() {
	tries=0
	until dead "$1"; do
		tries=$((tries + 1))
		[ $tries -lt 500 ] || { fail "process $1 lives"; return; }
		sleep 0.02
	done
}

# ---- anywhere ----

usage_errors() {
	begin 'usage errors are 64 and say where the help is'
	for bad in '' '--bogus' '--ttl' '--ttl 5' '--ttl 5x' '--ttl -1s' '--ttl s' \
		'--error-ttl soon' '--timeout 0' '--key=' '--cache=' '--'; do
		# shellcheck disable=SC2086  # arguments
		case $bad in
		*'--' | '' | *'--ttl') run $bad ;;
		*) run $bad true ;;
		esac
		is "status of '$bad'" $status 64
		has err 'alazy run --help'
		is "stdout of '$bad'" "$(cat out)" ''
	done
	"$ALAZY" >out 2>err
	is 'status of no command' $? 64
	"$ALAZY" walk >out 2>err
	is 'status of an unknown command' $? 64
	has err "no command 'walk'"
	end
}

help_texts() {
	begin '--help and --version'
	"$ALAZY" --help >out || fail "--help: $?"
	has out 'run a command once'
	"$ALAZY" --version >out || fail "--version: $?"
	has out '^alazy [0-9]'
	run --help
	is status $status 0
	has out '^Usage: alazy run '
	end
}

no_module() {
	begin 'without the module: 69, and how to load it'
	run -- sh -c 'echo x >>count'
	is status $status 69
	has err 'asynclazy module is not loaded'
	has err 'modprobe asynclazy'
	has err 'insmod asynclazy.ko'
	is stdout "$(cat out)" ''
	is runs "$(runs)" 0
	end
}

# ---- with the module ----

once() {
	begin "$SHELLS shells at once: the command runs once, all get all of it"
	counted 7
	ask_all --error-ttl never ./command
	read -r runner command <told
	waits $((SHELLS - 1))
	echo hello >go
	wait
	is runs "$(runs)" 1
	yes 'out hello' | head -n "$SHELLS" >expected.out
	yes 'err hello' | head -n "$SHELLS" >expected.err
	yes 7 | head -n "$SHELLS" >expected.status
	for stream in out err status; do
		cat $stream.* >all.$stream
		same all.$stream expected.$stream
	done
	# and who comes later
	run --cache "$cache" ./command
	is 'later status' $status 7
	is 'later stdout' "$(cat out)" 'out hello'
	is 'later stderr' "$(cat err)" 'err hello'
	is 'runs later' "$(runs)" 1
	end
}

taken_over() {
	begin 'the runner is killed: its command dies, another shell runs it again, once'
	script <<-'END'
		#!/bin/sh
		echo x >>count
		if [ $(wc -l <count) = 1 ]; then
			# what it has started is to die too
			sleep 1000 &
			echo $PPID $$ $! >told
			wait
		fi
		echo "out $(wc -l <count)"
	END
	ask_all ./command
	read -r runner command child <told
	waits $((SHELLS - 1))
	kill -KILL "$runner"
	wait
	await_dead "$command"
	await_dead "$child"
	is runs "$(runs)" 2
	killed=$(cat status.* | grep -cx 137)
	printed=$(cat out.* | grep -cx 'out 2')
	is 'statuses' "$(cat status.* | sort -u | tr '\n' ' ')" '0 137 '
	is 'shells whose alazy was killed' "$killed" 1
	is 'shells that printed the second result' "$printed" $((SHELLS - 1))
	end
}

# Not INT: a shell has its background commands ignore that.
terminated() {
	for signal in TERM HUP; do
		begin "SIG$signal to the runner ends its command and it, another takes over"
		first_stays
		ask 1 ./command
		read -r runner command <told
		ask 2 ./command
		waits 1
		kill -$signal "$runner"
		wait
		await_dead "$command"
		case $signal in TERM) n=143 ;; *) n=129 ;; esac
		is 'status of the first' "$(cat status.1)" $n
		is 'status of the second' "$(cat status.2)" 0
		is 'its output' "$(cat out.2)" 'out 2'
		is runs "$(runs)" 2
		end
	done
}

lifetimes() {
	begin 'a result is kept for --ttl, then the command runs again'
	script <<-'END'
		#!/bin/sh
		echo x >>count
		exit $1
	END
	run --cache "$cache" ./command 0
	run --cache "$cache" ./command 0
	is 'runs with the default' "$(runs)" 1
	: >count
	run --cache "$cache" --key short --ttl 300ms ./command 0
	sleep 1
	run --cache "$cache" --key short ./command 0
	is 'runs after 300ms' "$(runs)" 2
	: >count
	run --cache "$cache" --key zero --ttl 0 ./command 0
	run --cache "$cache" --key zero --ttl 0 ./command 0
	is 'runs with 0' "$(runs)" 2
	end

	begin 'a result with another status than 0 is kept for --error-ttl'
	script <<-'END'
		#!/bin/sh
		echo x >>count
		exit $1
	END
	run --cache "$cache" --ttl never ./command 3
	is status $status 3
	sleep 2
	run --cache "$cache" --ttl never ./command 3
	is 'runs after more than the default' "$(runs)" 2
	: >count
	run --cache "$cache" --key long --error-ttl 1h --ttl 0 ./command 3
	sleep 2
	run --cache "$cache" --key long --error-ttl 1h --ttl 0 ./command 3
	is 'runs within 1h' "$(runs)" 1
	is 'status from the cache' $status 3
	end

	begin '--error-ttl 0: all who wait get the failure, who comes later does not'
	counted 9
	ask_all --error-ttl 0 ./command
	read -r runner command <told
	waits $((SHELLS - 1))
	echo first >go
	wait
	is runs "$(runs)" 1
	is 'statuses' "$(cat status.* | sort -u)" 9
	ask 1 --error-ttl 0 ./command
	read -r runner command <told
	echo second >go
	wait
	is 'runs later' "$(runs)" 2
	is 'output later' "$(cat out.1)" 'out second'
	end
}

keys() {
	begin 'what is the same: directory and arguments, or --key'
	script <<-'END'
		#!/bin/sh
		echo x >>"${0%/*}/count"
		echo "$@"
	END
	for arg in one two one; do
		run --cache "$cache" "$T/command" $arg
		is output "$(cat out)" $arg
	done
	is 'runs of two commands' "$(runs)" 2
	run --cache "$cache" "$T/command" one two
	run --cache "$cache" "$T/command" 'one two'
	run --cache "$cache" "$T/command" onetwo
	is 'runs with other words' "$(runs)" 5
	mkdir other
	(cd other && "$ALAZY" run --cache "$cache" "$T/command" one >../out)
	is 'runs in another directory' "$(runs)" 6
	: >count
	run --cache "$cache" --key k "$T/command" a
	run --cache "$cache" --key k "$T/command" b
	is 'output of another command under the same key' "$(cat out)" a
	run --cache "$cache" --key l "$T/command" b
	is 'runs under two keys' "$(runs)" 2
	: >count
	run --cache "$cache-other" --key k "$T/command" c
	is 'output from another cache' "$(cat out)" c
	"$CACHECTL" unlink "$cache-other" || fail unlink
	"$CACHECTL" set "$cache" foreign || fail set
	run --cache "$cache" --key foreign true
	is 'status where the key holds something else' $status 65
	has err "not a command's result"
	# longer than the longest key
	long=$(head -c 6000 /dev/zero | tr '\0' y)
	: >count
	for i in 1 2; do
		run --cache "$cache" "$T/command" "$long"
		is "output of $i" "$(cat out)" "$long"
	done
	run --cache "$cache" "$T/command" "${long}z"
	is 'runs of long ones' "$(runs)" 2
	end
}

binary() {
	begin 'every byte comes through, on both streams'
	i=0
	while [ $i -lt 256 ]; do
		# shellcheck disable=SC2059  # the format is what is made
		printf "\\$(printf %03o $i)"
		i=$((i + 1))
	done >bytes
	head -c 300000 /dev/urandom >noise
	cat bytes noise bytes >expected.out
	cat noise bytes >expected.err
	for i in 1 2; do
		run --cache "$cache" -- sh -c 'echo x >>count; cat bytes noise bytes; cat noise bytes >&2'
		is status $status 0
		same out expected.out
		same err expected.err
	done
	is runs "$(runs)" 1
	run --cache "$cache" true
	is 'no output' "$(cat out err | wc -c)" 0
	end
}

statuses() {
	begin 'statuses: 128+n for a signal, 127 and 126 as a shell has them'
	for i in 1 2; do
		run --cache "$cache" --error-ttl never -- sh -c 'echo x >>count; kill -TERM $$'
		is 'status after SIGTERM' $status 143
	done
	is runs "$(runs)" 1
	run --cache "$cache" ./not-there
	is 'not found' $status 127
	has err './not-there: command not found'
	printf '#!/bin/sh\necho now\n' >not-there
	run --cache "$cache" ./not-there
	is 'not executable' $status 126
	has err './not-there: Permission denied'
	chmod +x not-there
	run --cache "$cache" ./not-there
	is 'now it is there' $status 0
	is output "$(cat out)" now
	end
}

input() {
	begin 'the command reads nothing, and inherits the environment'
	script <<-'END'
		#!/bin/sh
		cat
		echo "$COLOUR"
	END
	echo typed | COLOUR=blue "$ALAZY" run --cache "$cache" ./command >out
	is output "$(cat out)" blue
	end
}

timeouts() {
	begin '--timeout ends a wait with 124, the runner goes on'
	counted 0
	ask 1 ./command
	read -r runner command <told
	run --cache "$cache" --timeout 200ms ./command
	is status $status 124
	has err 'timed out'
	echo late >go
	wait
	is output "$(cat out.1)" 'out late'
	is runs "$(runs)" 1
	end

	begin '--timeout of the runner ends the command, and who waits runs it'
	first_stays
	ask 1 --timeout 2s ./command
	read -r runner command <told
	ask 2 ./command
	wait
	await_dead "$command"
	is 'status of the first' "$(cat status.1)" 124
	is 'output of the second' "$(cat out.2)" 'out 2'
	end
}

too_large() {
	begin 'more output than fits: nothing is lost, who waits runs it too, and says so'
	script <<-'END'
		#!/bin/sh
		echo x >>count
		if [ $(wc -l <count) = 1 ]; then
			echo $PPID $$ >told
			read word <go
		fi
		head -c 6000000 /dev/zero
		exit 5
	END
	ask 1 --error-ttl never ./command
	read -r runner command <told
	ask 2 --error-ttl never ./command
	waits 1
	echo large >go
	wait
	for i in 1 2; do
		is "status of $i" "$(cat status.$i)" 5
		is "size of $i" "$(wc -c <out.$i | tr -d ' ')" 6000000
	done
	has err.1 'takes in one result'
	has err.2 'running the command here'
	is runs "$(runs)" 2
	end
}

json() {
	begin '--json: one object, whoever ran it'
	for i in 1 2; do
		run --cache "$cache" --json --error-ttl never -- \
			sh -c 'printf "a\"\\\\\0\377\303\251\n"; echo oops >&2; exit 3'
		is status $status 3
		is 'lines' "$(wc -l <out | tr -d ' ')" 1
		has out '"exit_status": 3, "signal": null'
		# shellcheck disable=SC1003  # JSON's
		has out '"stdout": "a\\"\\\\\\u0000\\udcffé\\n"'
		has out '"stderr": "oops\\n"}$'
		has out '\\u0000sh\\u0000-c\\u0000'
		cp out "out.$i"
		if command -v python3 >/dev/null; then
			python3 -m json.tool out >pretty || fail 'python3 cannot read it'
		fi
	done
	has out.1 '"ran": true'
	has out.2 '"ran": false'
	run --cache "$cache" --json --key K -- sh -c 'kill -KILL $$'
	is status $status 137
	has out '^{"key": "K", "ran": true, "exit_status": null, "signal": 9, '
	end
}

renewed() { # 64 MiB, of which 4 MB fill a segment
	begin 'the default cache is full: it is renewed, and keeps results again'
	cache=alazy-run-$(id -u)
	i=0
	while [ $i -lt 20 ]; do
		i=$((i + 1))
		run --key "full-$$-$i" --ttl never head -c 4000000 /dev/zero
		is "status of $i" $status 0
		is "size of $i" "$(wc -c <out | tr -d ' ')" 4000000
		[ $good = 1 ] || break
	done
	for i in 1 2; do
		run --key "after-$$" -- sh -c 'echo x >>count; echo here'
		is output "$(cat out)" here
	done
	is runs "$(runs)" 1
	end
}

squatted() {
	begin "the default cache is another user's: 77, and nothing of it is believed"
	cache=alazy-run-$(id -u)
	"$CACHECTL" unlink "$cache"
	"$CACHECTL" squat "$cache" || fail 'squat'
	run -- sh -c 'echo x >>count'
	is status $status 77
	has err 'made by user 65534 with mode 666'
	is runs "$(runs)" 0
	end
}

echo 'KTAP version 1'
usage_errors
help_texts
if [ $module = 1 ]; then
	skip 'without the module: 69, and how to load it' 'the module is loaded'
	once
	taken_over
	terminated
	lifetimes
	keys
	binary
	statuses
	input
	timeouts
	too_large
	json
	renewed
	squatted
else
	no_module
	skip 'everything else' 'the module is not loaded'
fi
echo "1..$number"
exit $failed
