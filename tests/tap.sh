# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# The cases of a suite that is a script, which sources this: numbered, counted, in
# TAP. It prints "TAP version 13" itself, and ends with totals.

n=0 failed=0 skipped=0
# as the programs read it
[ "${ALZ_FULL-}" = 1 ] || unset ALZ_FULL

verdict() { # STATUS NAME
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n $2"
	else
		failed=$((failed + 1))
		echo "not ok $n $2"
	fi
}

skip() { # NAME WHY
	n=$((n + 1)) skipped=$((skipped + 1))
	echo "ok $n $1 # SKIP $2"
}

# The cases of another TAP on stdin, as some of this suite's; its other lines as they are.
cases() { # [PREFIX]
	local line
	while IFS= read -r line; do
		case $line in
		'ok '*' '*' # SKIP '*)
			line=${line#ok * }
			skip "${1-}${line%% # SKIP *}" "${line#* # SKIP }"
			;;
		'ok '*) verdict 0 "${1-}${line#ok * }" ;;
		'not ok '*) verdict 1 "${1-}${line#not ok * }" ;;
		'TAP version'* | 'KTAP version'* | '# totals:'* | 1..*) ;;
		*) printf '%s\n' "$line" ;;
		esac
	done
}

# The plan and the sums. Its status is what the script ends with.
totals() {
	echo "1..$n"
	echo "# totals: pass:$((n - failed - skipped)) fail:$failed skip:$skipped"
	[ "$failed" = 0 ]
}
