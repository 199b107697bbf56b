#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Compares what the documents name with what the headers define, and prints each
# difference as "FILE:1: error: ...":
#  - the ioctls of the uAPI header are those of asynclazy.rst;
#  - whatever the .rst names of the uAPI exists; whatever exists is in the .rst,
#    or is told of where it is defined;
#  - each function that the library exports has a prototype, a comment before it
#    and a man page; the man pages name nothing that the header does not have.
#
# usage: docs.sh WORK-DIRECTORY [SED-EXPRESSION [FUNCTION]]
# For its own test: the .rst is read through SED, and FUNCTION's page is not seen.
set -u
cd "$(dirname "$0")/../.." || exit 1
work=${1:?}
rst=kmod/Documentation/asynclazy.rst
uapi=kmod/uapi/linux/asynclazy.h
header=libuser/include/asynclazy.h
map=libuser/libasynclazy.map
text=$work/docs.rst
sed -e "${2-}" "$rst" >"$text"
hidden=${3-none}

# only_in FILE WHAT LIST-A LIST-B: names of A that B has not
only_in() {
	comm -23 <(sort -u "$3") <(sort -u "$4") | sed "s#.*#$1:1: error: & $2#"
}

grep -oE 'ASYNCLAZY_IOC_[A-Z0-9]+' "$text" >"$work/rst.ioc"
sed -nE 's/^#define (ASYNCLAZY_IOC_[A-Z0-9]+)[ \t]+_IO.*/\1/p' "$uapi" >"$work/uapi.ioc"
only_in "$rst" "is no ioctl of the header" "$work/rst.ioc" "$work/uapi.ioc"
only_in "$uapi" "is not in the .rst" "$work/uapi.ioc" "$work/rst.ioc"

grep -oE '\b(ASYNCLAZY_[A-Z0-9_]+|asynclazy_[a-z0-9_]+)' "$text" >"$work/rst.names"
grep -oE '\b(ASYNCLAZY_[A-Z0-9_]+|asynclazy_[a-z0-9_]+)' "$uapi" >"$work/uapi.names"
only_in "$rst" "is not in the header" "$work/rst.names" "$work/uapi.names"

# A definition is told of by a comment on its line or above its paragraph, or by
# the .rst, which may leave the prefix, or what all of its kind share, out.
awk -v text="$text" '
BEGIN { while ((getline line <text) > 0) { gsub(/[^A-Z0-9_]+/, " ", line); words = words " " line " " } }
/^$/ { told = 0 }
/\/\*|\*\// { told = 1 }
/^#define ASYNCLAZY_[A-Z0-9_]+[ \t]/ {
	short = $2; sub(/^ASYNCLAZY_/, "", short)
	last = short; sub(/^[A-Z]+_/, "", last)
	if (!told && !index(words, " " $2 " ") && !index(words, " " short " ") &&
	    !index(words, " " last " "))
		print FILENAME ":" FNR ": error: nothing tells of " $2
}
/^struct asynclazy_[a-z_]+ \{/ && !told { print FILENAME ":" FNR ": error: nothing tells of " $2 }
' "$uapi"

sed -nE 's/^\t(alazy_[a-z0-9_]+);$/\1/p' "$map" >"$work/map.names"
grep -vE '^ ?\*|^/\*' "$header" | grep -oE '\balazy_[a-z0-9_]+\(' | tr -d '(' >"$work/lib.names"
only_in "$map" "has no prototype in the header" "$work/map.names" "$work/lib.names"
only_in "$header" "is not exported by the map" "$work/lib.names" "$work/map.names"
while read -r f; do
	grep -qE "^(/\*\*| \*) $f\(\) - " "$header" ||
		echo "$header:1: error: no comment tells what $f() does"
	[ -e "libuser/man/$f.3" ] && [ "$f" != "$hidden" ] ||
		echo "$header:1: error: $f() has no man page"
done <"$work/map.names"

grep -ohE '\b(alazy_[a-z0-9_]+|ALAZY_[A-Z0-9_]+)' "$header" |
	grep -vE '_$' >"$work/header.names"
grep -hvE '^\.(TH|\\")' libuser/man/*.[37] |
	grep -oE '\b(alazy_[a-z0-9_]+|ALAZY_[A-Z0-9_]+)' | sed 's/_$//' >"$work/man.names"
only_in libuser/man "is not in the header" "$work/man.names" "$work/header.names"
sed -nE 's/^#define (ALAZY_[A-Z0-9_]+)[ \t].*/\1/p' "$header" >"$work/constants"
only_in "$header" "is in no man page" "$work/constants" "$work/man.names"
true
