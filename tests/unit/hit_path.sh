#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Row L1: a hit makes no system call and has no lock, atomic read-modify-write
# or fence: by disassembly, and by counting system calls. KTAP out.

usage() {
	cat <<'END'
Usage: tests/unit/hit_path.sh [BUILD]
Disassembles the hit path of BUILD/lib/libasynclazy.a (BUILD: build), and counts
the system calls of BUILD/unit-plain/hit_syscalls with strace.

Environment: CC (gcc) compiles the examples that the check itself is tried on.
END
}

case ${1-} in
-h | --help) usage; exit 0 ;;
-*) usage >&2; exit 2 ;;
esac
build=${1:-build}
top=$(cd "$(dirname "$0")/../.." && pwd) || exit 2
lib=$build/lib/libasynclazy.a
shared=$build/lib/libasynclazy.so.0
counted=$build/unit-plain/hit_syscalls
CC=${CC:-gcc}
arm_cc=aarch64-linux-gnu-gcc
arm_objdump=aarch64-linux-gnu-objdump

work=$(mktemp -d "${TMPDIR:-/tmp}/hit.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM

# The functions that a hit runs: those of the API, what they do where records are
# pinned, and what they reach in reader.c, which may call nothing else but memcmp
# and the hash.
api_functions='alazy_cache_get alazy_cache_get_until alazy_get alazy_ref_put'
pin_functions='alz_recycle_get alz_recycle_find alz_got_record alz_get_got alz_pin_free'
reader_functions='alz_reader_get alz_reader_find alz_reader_hash alz_reader_pin'
harmless='memcmp|XXH.*'
hit='alz_(reader_(get|find|hash|pin)|recycle_(get|find)|got_record|get_got|pin_free)'
# what these call only when it is no hit, no plain value, or there is no free pin
not_a_hit='alz_(get|lazy_get|key_check|error_record|get_special|line_get|recycle_copy|map_get'
not_a_hit="$not_a_hit|got_copy|got_error|error_backend|ref_let|refresh|refresh_due)(\\.[a-z0-9.]+)?"
# a pin is cleared after all that was read through it: a store-release of 0, which
# is a plain store on x86
clears='alazy_ref_put|alz_reader_pin|alz_got_record|alz_recycle_find'
pin_clear='^stlr[[:space:]]+xzr,'
# a record with a TTL is compared with the clock, which the vDSO reads; those with a
# time to be stale are looked at by alz_refresh_due() too
timed='alz_reader_past'

# shellcheck disable=SC2016  # $0x80 is assembler
x86_bad='(^|[[:space:]])lock([[:space:]]|$)|mfence|lfence|sfence|syscall|sysenter|int[[:space:]]+\$0x80|xacquire'
x86_bad="$x86_bad|xchg[a-z]*[[:space:]].*\\(|cpuid|call[[:space:]]+\\*|call[[:space:]]+QWORD|jmp[[:space:]]+\\*%"
arm_bad='(^|[[:space:]])(ld(a|l)?xr[bhp]*|st(l)?xr[bhp]*|ldax[rp][bh]*|stlx[rp][bh]*|ldar[bh]*|ldapr[bh]*|stlr[bh]*|dmb|dsb|isb|svc|blr'
arm_bad="$arm_bad|cas[alpbh]*|swp[albh]*|ld(add|clr|eor|set|smax|smin|umax|umin)[albh]*)([[:space:]]|\$)"

# dump OBJDUMP FILE...: one line "function<TAB>instruction", relocations as
# "reloc NAME"; the functions of reader.c by name in $work/in-reader
dump() {
	objdump=$1
	shift
	"$objdump" -dr --no-show-raw-insn "$@" 2>/dev/null | awk -v reader="$work/in-reader" '
	/:[ \t]+file format / { in_reader = $1 ~ /reader\.o:$/; fn = ""; next }
	/^[0-9a-f]+ <.*>:$/ {
		fn = $2; sub(/^</, "", fn); sub(/>:$/, "", fn)
		own = fn; sub(/\..*/, "", own)
		if (in_reader) print own > reader
		next
	}
	fn == "" { next }
	/^[ \t]+[0-9a-f]+:[ \t]+R_/ {
		name = $3; sub(/[-+]0x[0-9a-f]+$/, "", name); sub(/^\.text\./, "", name)
		print fn "\treloc " $2 " " name; next }
	/^[ \t]+[0-9a-f]+:\t/ {
		sub(/^[ \t]+[0-9a-f]+:\t/, ""); print fn "\t" $0 }'
}

# body FUNCTION: its own instructions, with the parts that the compiler put aside
body() {
	awk -F '\t' -v fn="$1" '
	{ own = $1; sub(/\.(cold|part|isra|constprop).*$/, "", own) }
	own == fn { $1 = ""; sub(/^ /, ""); print }' "$work/dump"
}

# calls FUNCTION: the names that it calls or jumps to, outside of itself
calls() {
	body "$1" | awk -v fn="$1" '
	function target(s) {
		if (!match(s, /<[^>]*>/)) return ""
		s = substr(s, RSTART + 1, RLENGTH - 2)
		sub(/[-+]0x[0-9a-f]+$/, "", s); sub(/@.*$/, "", s)
		return s
	}
	function flush() {
		if (was != "" && was != fn && index(was, fn ".") != 1) print was
		was = ""
	}
	/^reloc R_(X86_64_(PLT32|PC32)|AARCH64_(CALL26|JUMP26))/ {
		if (was != "") was = $3
		next
	}
	{ flush() }
	/^(call|j[a-z]+|bl|b|b\.[a-z]+|cbn?z|tbn?z)[ \t]/ { was = target($0) }
	END { flush() }' | sort -u
}

# bad_in FUNCTION PATTERN: prints what must not be there
bad_in() {
	body "$1" | grep -v '^reloc' | grep -E "$2" |
		if echo "$1" | grep -Eqx "$clears"; then grep -Ev "$pin_clear"; else cat; fi
}

# bad_calls FUNCTION ALLOWED: prints calls of anything else
bad_calls() {
	calls "$1" | grep -Evx "$2"
}

n=0
pass=0
fail=0
skip=0
ok() {
	n=$((n + 1)) pass=$((pass + 1))
	echo "ok $n $1"
}
not_ok() {
	n=$((n + 1)) fail=$((fail + 1))
	echo "not ok $n $1"
	[ -z "${2-}" ] || echo "$2" | sed 's/^/# /'
}
skipped() {
	n=$((n + 1)) skip=$((skip + 1))
	echo "ok $n $1 # SKIP $2"
}

# check_function NAME BAD ALLOWED SUFFIX
check_function() {
	if [ -z "$(body "$1")" ]; then
		not_ok "l1_$1$4" "there is no such function"
		return
	fi
	bad=$(bad_in "$1" "$2"; bad_calls "$1" "$3")
	if [ -z "$bad" ]; then ok "l1_$1$4"; else not_ok "l1_$1$4" "$bad"; fi
}

# check_functions BAD SUFFIX: each function of the hit path in the dump
check_functions() {
	in_reader=$(sort -u "$work/in-reader" | paste -sd '|' -)
	for fn in $api_functions; do
		check_function "$fn" "$1" "$hit|memcmp|$not_a_hit" "$2"
	done
	for fn in $pin_functions; do
		# the compiler may have put it into its callers
		if [ -n "$(body "$fn")" ] || [ "$fn" = alz_recycle_find ]; then
			check_function "$fn" "$1" "$hit|$not_a_hit" "$2"
		fi
	done
	done='' todo=$reader_functions
	while [ -n "$todo" ]; do
		fn=${todo%% *}
		todo=${todo#"$fn"} todo=${todo# }
		case " $done " in *" $fn "*) continue ;; esac
		done="$done $fn"
		if [ "$fn" = "$timed" ]; then
			check_function "$fn" "$1" 'clock_gettime|alz_clock' "$2"
			continue
		fi
		check_function "$fn" "$1" "$harmless|$in_reader" "$2"
		for callee in $(calls "$fn" | sed 's/\..*//'); do
			# memcmp and the like are not ours
			[ -z "$(body "$callee")" ] || todo="$todo $callee"
		done
		todo=${todo# }
	done
}

# plant NAME C-STATEMENT: the check must object to a function with it in; one that
# may clear a pin, if there is a third argument
plant() {
	clears_saved=$clears
	clears=${3+planted}
	plant_one "$1" "$2"
	clears=$clears_saved
}

plant_one() {
	cat >"$work/planted.c" <<END
long word;
void stranger(void);
long planted(long *p);
long planted(long *p)
{
	$2;
	return *p;
}
END
	if ! "$planted_cc" -O2 -c -o "$work/planted.o" "$work/planted.c" 2>"$work/err"; then
		not_ok "$1" "$(cat "$work/err")"
		return
	fi
	dump "$planted_objdump" "$work/planted.o" >"$work/dump"
	if [ -n "$(bad_in planted "$planted_bad"; bad_calls planted "$harmless")" ]; then
		ok "$1"
	else
		not_ok "$1" "$(body planted)"
	fi
}

# plant_clean NAME: and not to one without, which clears a pin
plant_clean() {
	clears_saved=$clears
	clears=planted
	cat >"$work/planted.c" <<'END'
#include <string.h>
int planted(long *p, const void *key, unsigned long n);
int planted(long *p, const void *key, unsigned long n)
{
	long word = __atomic_load_n(p, __ATOMIC_RELAXED);
	int found = word ? memcmp((const void *)word, key, n) + 1 : 0;

	__atomic_store_n(p, 0, __ATOMIC_RELEASE);
	return found;
}
END
	"$planted_cc" -O2 -c -o "$work/planted.o" "$work/planted.c" 2>"$work/err"
	dump "$planted_objdump" "$work/planted.o" >"$work/dump"
	bad=$(bad_in planted "$planted_bad"; bad_calls planted "$harmless")
	if [ -n "$(calls planted)" ] && [ -z "$bad" ]; then
		ok "$1"
	else
		not_ok "$1" "$(cat "$work/err")$bad"
	fi
	clears=$clears_saved
}

echo "KTAP version 1"

if [ ! -f "$lib" ]; then
	echo "1..1"
	not_ok l1_disassembly "no $lib: build the library first"
	echo "# totals: pass:$pass fail:$fail skip:$skip"
	exit 1
fi

case $("$CC" -dumpmachine) in
x86_64*)
	planted_cc=$CC planted_objdump=objdump planted_bad=$x86_bad
	plant_clean l1_detector_lets_plain_code_pass
	plant l1_detector_sees_a_lock_prefix '__atomic_fetch_add(p, 1, __ATOMIC_RELAXED)'
	plant l1_detector_sees_a_compare_and_swap \
		'long o = 0; __atomic_compare_exchange_n(p, &o, 1, 0, 0, 0)'
	plant l1_detector_sees_an_exchange 'word = __atomic_exchange_n(p, 1, __ATOMIC_RELAXED)'
	plant l1_detector_sees_mfence '__asm__ volatile("mfence" ::: "memory")'
	plant l1_detector_sees_lfence '__builtin_ia32_lfence()'
	plant l1_detector_sees_a_fence_by_name '__atomic_thread_fence(__ATOMIC_SEQ_CST)'
	plant l1_detector_sees_a_system_call '__asm__ volatile("syscall" ::: "rcx", "r11", "memory")'
	plant l1_detector_sees_a_call stranger\(\)
	plant l1_detector_sees_a_call_by_pointer '((void (*)(void))*p)(); word++'
	dump objdump "$lib" >"$work/dump"
	check_functions "$x86_bad" ""
	# one load and one branch
	branches=$(body alazy_get | grep -Ec '^j[a-z]+[ 	]' || true)
	jumps=$(body alazy_get | grep -Ec '^jmp[ 	]' || true)
	if [ $((branches - jumps)) -eq 1 ]; then
		ok l1_resolved_lazy_takes_one_branch
	else
		not_ok l1_resolved_lazy_takes_one_branch "$(body alazy_get)"
	fi
	if [ -f "$shared" ]; then
		# the same functions: an archive says which file they are of
		dump objdump "$shared" >"$work/dump"
		check_functions "$x86_bad" _in_shared_library
	else
		skipped l1_shared_library "no $shared"
	fi
	;;
*)
	skipped l1_disassembly "the patterns are of x86-64 and aarch64"
	;;
esac

if command -v "$arm_cc" >/dev/null && command -v "$arm_objdump" >/dev/null; then
	planted_cc=$arm_cc planted_objdump=$arm_objdump planted_bad=$arm_bad
	plant_clean l1_aarch64_detector_lets_plain_code_pass
	plant l1_aarch64_detector_sees_an_acquire '(void)__atomic_load_n(p, __ATOMIC_ACQUIRE)'
	plant l1_aarch64_detector_sees_a_release '__atomic_store_n(p, 0, __ATOMIC_RELEASE)'
	plant l1_aarch64_detector_sees_a_release_that_clears_no_pin \
		'__atomic_store_n(p, 1, __ATOMIC_RELEASE)' clears
	plant l1_aarch64_detector_sees_a_barrier '__atomic_thread_fence(__ATOMIC_ACQUIRE)'
	plant l1_aarch64_detector_sees_an_atomic \
		'__asm__ volatile(".arch armv8.1-a+lse\n ldadd x1, x2, [x0]" ::: "x2", "memory")'
	# the header alone, not this machine's whole include path
	mkdir -p "$work/include"
	cp /usr/include/xxhash.h "$work/include/" 2>/dev/null
	built=1
	for f in reader get lazy pins set; do
		"$arm_cc" -std=gnu11 -O2 -fPIC -fvisibility=hidden -I "$work/include" \
			-I "$top/libuser/include" -I "$top/libuser/src" -I "$top/kmod/core" \
			-I "$top/kmod/uapi" -D_GNU_SOURCE -c -o "$work/$f.o" "$top/libuser/src/$f.c" \
			2>>"$work/err" || built=0
	done
	if [ $built = 1 ]; then
		dump "$arm_objdump" "$work/reader.o" "$work/get.o" "$work/lazy.o" \
			"$work/pins.o" "$work/set.o" >"$work/dump"
		check_functions "$arm_bad" _on_aarch64
	else
		not_ok l1_aarch64_build "$(cat "$work/err")"
	fi
else
	skipped l1_aarch64 "gcc-aarch64-linux-gnu is not installed"
fi

# system_calls KIND KEY-HITS LAZY-HITS: how many the whole program makes
system_calls() {
	ALZ_TEST_KIND=$1 ALAZY_BACKEND=${ALAZY_BACKEND:-local} \
		strace -f -qq -o "$work/strace" "$counted" "$2" "$3" >"$work/err" 2>&1 || return 1
	# exits and signals have no "("
	grep -c '(' "$work/strace"
}

# count_calls KIND
count_calls() {
	none=$(system_calls "$1" 0 0)
	by_key=$(system_calls "$1" 1000000 0)
	by_lazy=$(system_calls "$1" 0 1000000)
	if [ -n "$none" ] && [ "$none" -gt 0 ] && [ "$none" = "$by_key" ] &&
		[ "$none" = "$by_lazy" ]; then
		ok "l1_hits_add_no_system_call_to_a_run_$1"
	else
		not_ok "l1_hits_add_no_system_call_to_a_run_$1" "$(
			echo "0 hits: $none; 1,000,000 by key: $by_key; of a lazy: $by_lazy"
			cat "$work/err")"
	fi
}

if ! command -v strace >/dev/null; then
	skipped l1_hits_add_no_system_call_to_a_run "strace is not installed"
elif ! strace -o /dev/null true 2>/dev/null; then
	skipped l1_hits_add_no_system_call_to_a_run "strace may not trace here"
elif [ ! -x "$counted" ]; then
	not_ok l1_hits_add_no_system_call_to_a_run "no $counted: make unit-plain"
else
	count_calls stable
	count_calls evict
fi

echo "1..$n"
echo "# totals: pass:$pass fail:$fail skip:$skip"
[ "$fail" -eq 0 ]
