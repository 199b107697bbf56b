# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Modules with one deliberate bug each, for a script that sources this at the top of the
# tree, with its own arguments, and defines found(): the suite must find each.

case ${1-} in
-h | --help)
	echo "usage: $0 [NAME...]"
	echo "Tries modules that are broken, each in another way, and has to find each, or those named."
	echo "Environment: BUILD (default build)."
	exit 0
	;;
esac
export BUILD=${BUILD:-build}
mkdir -p "$BUILD/test-log"
# shellcheck source=tests/tap.sh
. tests/tap.sh

mutants_only=("$@")
mutants_seen=0
mutants_controls=0
mutants_new=' '
echo "TAP version 13"

# build_mutant KERNEL FILE SED-SCRIPT: a module of which one file is changed, as $mutant_ko
# (or none: the script is empty)
build_mutant() {
	local dir=$BUILD/mutant-$1

	mutant_ko=$dir/asynclazy.ko
	# of an earlier run nothing is left
	[[ $mutants_new == *" $1 "* ]] || rm -rf "$dir"
	mutants_new+="$1 "
	mkdir -p "$dir"
	rsync -rtc Kbuild kmod "$dir"
	# as it was again, and to be compiled again
	[ ! -e "$dir/changed" ] || touch "$(cat "$dir/changed")"
	rm -f "$dir/changed"
	sed -i -E "${3:-}" "$dir/kmod/$2"
	if [ -n "$3" ] && cmp -s "kmod/$2" "$dir/kmod/$2"; then
		echo "# the change does not apply to kmod/$2: mend it"
		return 1
	fi
	echo "$dir/kmod/$2" >"$dir/changed"
	make -s -C "$BUILD/kernels/$1/headers" M="$(realpath "$dir")" modules >"$dir/build.log" 2>&1 && return
	sed 's/^/# /' "$dir/build.log"
	return 1
}

# unbroken KERNEL [ARGUMENT...]: found() finds nothing in the module as it is
unbroken() {
	local kernel=$1 log

	mutants_controls=$((mutants_controls + 1))
	log=$BUILD/test-log/mutant-none-$kernel-$mutants_controls.log
	shift
	build_mutant "$kernel" main.c '' && found "$mutant_ko" "$@" >"$log" 2>&1
	verdict $? "the module as it is passes # $log"
}

# mutant KERNEL NAME SAID FILE SED-SCRIPT [ARGUMENT...]: found() gets the module and the
# arguments, and is to fail, with a line that matches SAID
mutant() {
	local kernel=$1 name=$2 said=$3 file=$4 script=$5 log=$BUILD/test-log/mutant-$2.log

	[ ${#mutants_only[@]} = 0 ] || [[ " ${mutants_only[*]} " == *" $name "* ]] || return
	shift 5
	mutants_seen=$((mutants_seen + 1))
	if ! build_mutant "$kernel" "$file" "$script"; then
		verdict 1 "$name is built"
	elif found "$mutant_ko" "$@" >"$log" 2>&1 || ! grep -qaE "$said" "$log"; then
		verdict 1 "$name is found # see $log"
	else
		echo "# $(grep -m 1 -aE "$said" "$log" | sed 's/^# //' | cut -c 1-150)"
		verdict 0 "$name is found"
	fi
}

# The end of the script.
mutants_end() {
	[ "$mutants_seen" -gt 0 ] || verdict 1 "there is a broken module of that name"
	totals
}
