// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Bytes as JSON strings. */
#include <stdint.h>

#include "json.h"

/* How many bytes the valid UTF-8 sequence at @s has; 0: there is none. */
static size_t utf8_length(const unsigned char *s, size_t size)
{
	uint32_t code, least;
	size_t n, i;

	if (s[0] < 0x80)
		return 1;
	if ((s[0] & 0xe0) == 0xc0) {
		n = 2;
		code = s[0] & 0x1f;
		least = 0x80;
	} else if ((s[0] & 0xf0) == 0xe0) {
		n = 3;
		code = s[0] & 0x0f;
		least = 0x800;
	} else if ((s[0] & 0xf8) == 0xf0) {
		n = 4;
		code = s[0] & 0x07;
		least = 0x10000;
	} else {
		return 0;
	}
	if (size < n)
		return 0;
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	return n;
}

void json_string(FILE *to, const void *data, size_t size)
{
	const unsigned char *s = data;
	size_t n;

	fputc('"', to);
	for (; size; s += n, size -= n) {
		n = utf8_length(s, size);
		if (!n) {
			fprintf(to, "\\udc%02x", *s);
			n = 1;
		} else if (*s == '"' || *s == '\\') {
			fprintf(to, "\\%c", *s);
		} else if (*s == '\n') {
			fputs("\\n", to);
		} else if (*s == '\t') {
			fputs("\\t", to);
		} else if (*s < 0x20 || *s == 0x7f) {
			fprintf(to, "\\u%04x", *s);
		} else {
			fwrite(s, 1, n, to);
		}
	}
	fputc('"', to);
}
