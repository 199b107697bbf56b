#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Two parts of a build that bring apt's package lists up to date at once: apt has one
# lock for them and does not wait for it. In place of apt-get there is a stand-in.
set -u
cd "$(dirname "$0")/../.." || exit 1

if [[ ${1-} == --help ]]; then
	echo "Usage: tests/vm/fetch_test.sh"
	echo "Gives tools/vm/fetch and tools/deps an apt-get that refuses a second one"
	echo "beside it; prints KTAP. Downloads and installs nothing."
	exit 0
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# shellcheck source=tests/tap.sh
. tests/tap.sh

# It updates only while who called it keeps others out, and installs only once the lists
# are there.
cat >"$tmp/apt-get" <<'EOS'
#!/bin/bash
case " $* " in
*' install '*)
	[[ -e ${0%/*}/lists ]] || { echo "E: Unable to locate package" >&2; exit 100; }
	;;
*' update '*)
	! flock --nonblock tools true || { echo "E: another one could come in" >&2; exit 100; }
	mkdir "${0%/*}/lock" || { echo "E: Could not get lock" >&2; exit 100; }
	rmdir "${0%/*}/lock"
	: >"${0%/*}/lists"
	;;
esac
EOS
# as if nothing was installed
printf '#!/bin/sh\nexit 1\n' >"$tmp/dpkg-query"
# for those who are not root
# shellcheck disable=SC2016  # it is the script's
printf '#!/bin/sh\n[ "$1" != -n ] || shift\nexec "$@"\n' >"$tmp/sudo"
chmod +x "$tmp"/{apt-get,dpkg-query,sudo}

# together COMMAND...: two of each command at once, and how many failed
together() {
	local pids=() pid command lost=0
	rm -f "$tmp/lists" "$tmp/out"
	for command in "$@" "$@"; do
		PATH=$tmp:$PATH $command >>"$tmp/out" 2>&1 &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || lost=$((lost + 1))
	done
	[ "$lost" = 0 ] || sed 's/^/# /' "$tmp/out"
	return "$lost"
}

echo "TAP version 13"
together 'tools/vm/fetch --update'
verdict $? "two fetches bring the lists up to date one after the other"
together 'tools/deps vm' 'tools/vm/fetch --update'
verdict $? "installing and fetching do so, too"
mkdir "$tmp/lock"
together 'tools/vm/fetch --update' >"$tmp/said"
[ $? = 2 ] && grep -q 'Could not get lock' "$tmp/said"
verdict $? "where apt refuses, so do they, and show what it says"
totals
