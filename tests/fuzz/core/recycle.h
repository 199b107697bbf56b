/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef FUZZ_RECYCLE_H
#define FUZZ_RECYCLE_H

#include "core.h"

#define RECYCLE_INPUT_MAX	16384

void recycle_run(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#endif
