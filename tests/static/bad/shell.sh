#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A word that splits, and an exception without a reason: shellcheck.
dir=$1
ls $dir
# shellcheck disable=SC2046
ls $(cat "$dir")
