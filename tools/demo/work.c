// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The expensive results: the SHA-256 of a file, and how small zlib makes it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "demo.h"
#include "work.h"

#define CHUNK	(1 << 16)

const char *const work_names[] = { "sha256", "deflate" };

void work_hash(const void *data, size_t size, unsigned char hash[HASH_SIZE])
{
	unsigned int length = HASH_SIZE;

	if (EVP_Digest(data, size, hash, &length, EVP_sha256(), NULL) != 1)
		die("libcrypto has no SHA-256");
}

static size_t do_sha256(const void *data, size_t size, char *value)
{
	unsigned char hash[HASH_SIZE];
	size_t i;

	work_hash(data, size, hash);
	for (i = 0; i < HASH_SIZE; i++)
		snprintf(value + 2 * i, 3, "%02x", hash[i]);
	return 2UL * HASH_SIZE;
}

static size_t do_deflate(const void *data, size_t size, char *value)
{
	static unsigned char out[CHUNK];
	z_stream z = { .next_in = (void *)data, .avail_in = size };
	int err;

	if (deflateInit(&z, Z_DEFAULT_COMPRESSION) != Z_OK)
		die("zlib has no memory");
	do {
		z.next_out = out;
		z.avail_out = sizeof(out);
		err = deflate(&z, Z_FINISH);
	} while (err == Z_OK);
	if (err != Z_STREAM_END)
		die("zlib: error %d", err);
	deflateEnd(&z);
	return snprintf(value, VALUE_MAX, "%lu", z.total_out);
}

size_t work_do(int kind, const char *path, char value[VALUE_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	static char none[1];
	void *data = none;
	struct stat st;
	size_t n;

	if (fd < 0 || fstat(fd, &st))
		die("cannot read %s: %s", path, strerror(errno));
	if (st.st_size > UINT32_MAX)
		die("%s is larger than this demonstration takes", path);
	if (st.st_size) {
		data = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (data == MAP_FAILED)
			die("cannot read %s: %s", path, strerror(errno));
	}
	close(fd);
	n = kind == WORK_SHA256 ? do_sha256(data, st.st_size, value) :
				  do_deflate(data, st.st_size, value);
	if (st.st_size)
		munmap(data, st.st_size);
	return n;
}
