/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef ALAZY_JSON_H
#define ALAZY_JSON_H

#include <stddef.h>
#include <stdio.h>

/*
 * Any bytes as a JSON string, quotes included. UTF-8 stays what it is; a byte
 * 0xNN that is not part of valid UTF-8 becomes \udcNN, a lone surrogate, as
 * Python's "surrogateescape" has it, so that nothing is lost.
 */
void json_string(FILE *to, const void *data, size_t size);

#endif /* ALAZY_JSON_H */
