# SPDX-License-Identifier: GPL-2.0-only OR MIT
# The fuzzers. Included from the top-level Makefile.

include tests/fuzz/core/build.mk
include tests/fuzz/uapi/build.mk
