// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * The stored form of a command's result, as alazy run reads it: what was
 * written comes back, and nothing else is believed. Every cut and every flipped
 * byte of a record is tried; run it with a sanitizer.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"

static int number, failed;

static void result_is(bool held, const char *name)
{
	printf("%sok %d %s\n", held ? "" : "not ", ++number, name);
	failed += !held;
}

/* In memory of exactly its size, so that a sanitizer sees one byte too far. */
static int decode(const void *data, size_t size, struct result *result)
{
	void *copy = malloc(size ?: 1);
	volatile char seen = 0;
	size_t i;
	int err;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, size);
	err = record_decode(copy, size, result);
	if (!err) {
		for (i = 0; i < result->out_size; i++)
			seen = result->out[i];
		for (i = 0; i < result->err_size; i++)
			seen = result->err[i];
	}
	(void)seen;
	free(copy);
	return err;
}

int main(void)
{
	static const char out[] = "a\0b\377", err_text[] = "not good";
	const struct result result = {
		.status = 3,
		.out = out,
		.out_size = sizeof(out),
		.err = err_text,
		.err_size = sizeof(err_text),
	};
	const struct result empty = { .signal = 9 };
	struct buf record = { 0 }, none = { 0 };
	struct result got;
	bool held = true;
	size_t i;
	int bit;

	puts("KTAP version 1\n1..5");
	record_encode(&result, &record);
	result_is(!record_decode(record.data, record.size, &got) &&
		  got.status == 3 && !got.signal &&
		  got.out_size == sizeof(out) && !memcmp(got.out, out, sizeof(out)) &&
		  got.err_size == sizeof(err_text) &&
		  !memcmp(got.err, err_text, sizeof(err_text)),
		  "what was encoded comes back");
	record_encode(&empty, &none);
	result_is(!record_decode(none.data, none.size, &got) && got.signal == 9 &&
		  !got.out_size && !got.err_size, "so does an empty result");
	for (i = 0; i < record.size; i++)
		held &= decode(record.data, i, &got) < 0;
	result_is(held, "a record that was cut anywhere is refused");
	buf_add(&record, "x", 1);
	result_is(decode(record.data, record.size, &got) < 0,
		  "a record with a byte too many is refused");
	record.size--;
	for (i = 0; i < record.size; i++) {
		for (bit = 0; bit < 8; bit++) {
			record.data[i] ^= 1 << bit;
			decode(record.data, record.size, &got);
			record.data[i] ^= 1 << bit;
		}
	}
	result_is(true, "a flipped bit leads nowhere");
	buf_free(&record);
	buf_free(&none);
	return failed ? 1 : 0;
}
