#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# In the guest: run what is to reach the module, then say what it reached.
#   guest.sh DIR SEED TEST...
dir=$1 seed=$2
shift 2
status=0
/uapi_fuzz --blind --seed "$seed" --corpus /corpus --repeat 3 --executions 1000 --seconds 60 \
	>/tmp/fuzz 2>&1 || { status=1; sed 's/^/# /' /tmp/fuzz; }
tests/kselftest/run.sh "$dir" "$@" >/tmp/kselftest 2>&1 || status=1
grep -E '^(not ok|# totals)' /tmp/kselftest | sed 's/^not ok/# failed:/;s/^# totals/# kselftests/'
while :; do
	cat /sys/module/asynclazy/parameters/cover >/tmp/cover
	[ -s /tmp/cover ] || break
	sed 's/^/cover /' /tmp/cover
done
exit $status
