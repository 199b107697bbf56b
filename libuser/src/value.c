// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Values on their way in: their options, and memfds. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib.h"

#define ALZ_SEALS	(F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK)

/**
 * alz_value_opts() - read the options of a publish
 * @opts: the caller's, or NULL
 * @o: filled
 *
 * Return: 0; -EINVAL, -E2BIG with the text set.
 */
int alz_value_opts(const struct alazy_publish_opts *opts, struct alazy_publish_opts *o)
{
	const char *p = (const char *)opts;
	size_t i;

	memset(o, 0, sizeof(*o));
	if (!opts)
		return 0;
	if (opts->size < sizeof(*opts))
		return alz_error(-EINVAL, "size is %u: set it to sizeof(struct "
				 "alazy_publish_opts)", opts->size);
	for (i = sizeof(*opts); i < opts->size; i++)
		if (opts->size > 4096 || p[i])
			return alz_error(-E2BIG, "the options (size %u) are newer than this "
					 "library: install the libasynclazy that the program "
					 "was built for", opts->size);
	*o = *opts;
	if (o->flags || o->reserved[0] || o->reserved[1])
		return alz_error(-EINVAL, "a flag or a reserved field of the options is not 0: "
				 "zero-initialise struct alazy_publish_opts");
	if (!o->ttl_ns && (o->stale_ttl_ns || o->dead_ttl_ns))
		return alz_error(-EINVAL, "stale_ttl_ns and dead_ttl_ns begin where ttl_ns "
				 "ends: set that too");
	return 0;
}

/**
 * alz_value_seal() - make sure that nothing can change a memfd
 * @size: set to the bytes in it
 *
 * Return: 0; a negative errno with its text.
 */
int alz_value_seal(int fd, size_t *size)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 && errno == EBADF)
		return alz_error(-EBADF, "%d is no open descriptor", fd);
	if (seals < 0)
		return alz_error(-EPERM, "descriptor %d is no memfd: make it with memfd_create() "
				 "and MFD_ALLOW_SEALING", fd);
	if ((seals & ALZ_SEALS) != ALZ_SEALS && fcntl(fd, F_ADD_SEALS, ALZ_SEALS)) {
		if (errno == EBUSY)
			return alz_error(-EBUSY, "the memfd is still mapped for writing: unmap "
					 "it before it is published");
		return alz_error(-EPERM, "the memfd lets nobody add the seals against writing "
				 "and resizing: make it with MFD_ALLOW_SEALING");
	}
	if (fstat(fd, &st))
		return alz_error_backend(-errno);
	*size = st.st_size;
	return 0;
}

static int alz_value_write(int fd, const char *data, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pwrite(fd, data + done, size - done, done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENOSPC;
		done += n;
	}
	return fcntl(fd, F_ADD_SEALS, ALZ_SEALS) ? -errno : 0;
}

/** alz_value_memfd() - a sealed memfd with a copy. Return: it; a negative errno */
int alz_value_memfd(const void *data, size_t size)
{
	int fd = memfd_create("asynclazy-value", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err;

	if (fd < 0)
		return -errno;
	err = alz_value_write(fd, data, size);
	if (!err)
		return fd;
	close(fd);
	return err;
}
