#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# A word that splits: shellcheck.
dir=$1
ls $dir
