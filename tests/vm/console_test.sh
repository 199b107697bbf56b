#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What tools/vm/run makes of the kernel's reports: which end in 125 and are shown,
# which are let pass, and what is said then; and of kernels that never start. In place of QEMU a script writes the
# console logs of tests/vm/console, each with what is expected in its first line:
#   # expect STATUS TAINT-AT-THE-END REGEX-OF-STDERR (-: nothing is said)
set -u
cd "$(dirname "$0")/../.." || exit 1

if [[ ${1-} == --help ]]; then
	echo "Usage: tests/vm/console_test.sh [LOG...]"
	echo "Gives tools/vm/run canned console logs; prints KTAP. Boots nothing."
	exit 0
fi
(($#)) || set -- tests/vm/console/*.log
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# shellcheck source=tests/tap.sh
. tests/tap.sh

cat >"$tmp/qemu" <<'EOF'
#!/bin/bash
for argument; do
	case $argument in
	file,id=s0,path=*) tail -n +2 "$CANNED" >"${argument#*path=}" ;;
	file,id=v3,path=*)
		path=${argument#*path=}
		echo "status 0 $((0x1000)) $TAINT 1.00 2.00" >"${path%,append=on}"
		;;
	esac
done
EOF
chmod +x "$tmp/qemu"
: >"$tmp/kernel"

echo "TAP version 13"
for log; do
	read -r _ _ expected taint said <"$log"
	CANNED=$log TAINT=$((taint)) QEMU=$tmp/qemu tools/vm/run --accel tcg --no-module \
		--log "$tmp/log" --kernel "$tmp/kernel" -- true >"$tmp/out" 2>"$tmp/err"
	status=$?
	# what is let pass is said in the log only
	grep 'of the kernel itself' "$tmp/log" >>"$tmp/err"
	if [ "$said" = - ]; then
		[ ! -s "$tmp/err" ]
	else
		grep -qE -- "$said" "$tmp/err"
	fi && [ $status = "$expected" ]
	good=$?
	[ $good = 0 ] || sed "s/^/# /; 1s/^/# status $status\n/" "$tmp/err"
	name=${log##*/}
	verdict $good "${name%.log}: $([ "$expected" = 0 ] && echo "is let pass" || echo "is a failure, and shown")"
done

# a kernel that does not come to start anything: HOW, and how often
cat >"$tmp/qemu" <<'EOF'
#!/bin/bash
for argument; do
	case $argument in
	file,id=s0,path=*) console=${argument#*path=} ;;
	file,id=v3,path=*) path=${argument#*path=} ;;
	esac
done
echo boot >>"$BOOTS"
if [ "$(wc -l <"$BOOTS")" -le "$TIMES" ]; then
	echo "$HOW" >"$console"
	[ "$HOW" != 'a report without an end' ] || exec sleep infinity
	[[ $HOW != *KASAN* ]] || echo blind >>"${path%,append=on}"
else
	printf '%s\n' begun 'status 0 4096 4096 1.00 2.00' >>"${path%,append=on}"
fi
EOF
never() { # HOW TIMES STATUS BOOTS SAID NAME
	: >"$tmp/boots"
	HOW=$1 TIMES=$2 BOOTS=$tmp/boots QEMU=$tmp/qemu tools/vm/run --accel tcg --no-module \
		--boot-timeout 1 --kernel "$tmp/kernel" -- true >"$tmp/out" 2>"$tmp/err"
	status=$?
	[ $status = "$3" ] && [ "$(wc -l <"$tmp/boots")" = "$4" ] &&
		grep -q "$5" "$tmp/err"
	good=$?
	[ $good = 0 ] || sed "s/^/# /; 1s/^/# status $status\n/" "$tmp/err"
	verdict $good "$6"
}
hung='a report without an end' panic='Kernel panic'
never "$hung" 1 0 2 "| $hung" 'a boot that stands still: shown, and booted again'
never "$hung" 9 125 3 'stood still for 1 s' 'three that stand still: a failure'
never "$panic" 1 0 2 'booting again' 'a boot that dies is booted again'
never "$panic" 9 125 3 'the kernel complained' 'three that die: a failure, and shown'
blind='BUG: KASAN: wild-memory-access'
never "$blind" 1 0 2 "| $blind" 'a boot with a report, after which KASAN is silent, is none'
never "$blind" 9 125 3 "| $blind" 'three with a report: a failure, and shown'
totals
