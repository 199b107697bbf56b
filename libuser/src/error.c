// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The text beside a thread's last error. A call that succeeds only clears the
 * flag: one store, which a hit can afford.
 */
#include <stdarg.h>
#include <stdio.h>

#include "lib.h"

#define ALZ_TEXT_MAX	768

__thread bool alz_error_set;
static __thread char alz_error_buf[ALZ_TEXT_MAX];

/** alz_error() - the call fails with @err, for this reason. Return: @err */
int alz_error(int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(alz_error_buf, sizeof(alz_error_buf), format, args);
	va_end(args);
	alz_error_set = true;
	errno = -err;
	return err;
}

/** alz_error_text() - the call fails with @err, and an initialiser's own text */
int alz_error_text(int err, const void *text, size_t size)
{
	memcpy(alz_error_buf, text, size);
	alz_error_buf[size] = 0;
	alz_error_set = true;
	errno = -err;
	return err;
}

/**
 * alz_error_flight() - a flight ended with an error
 * @err: negative errno
 * @text: @size bytes, at most ASYNCLAZY_DETAIL_MAX; none if @size is 0
 *
 * Return: @err.
 */
int alz_error_flight(int err, const void *text, size_t size)
{
	if (size)
		return alz_error_text(err, text, size);
	switch (err) {
	case -EOWNERDEAD:
		return alz_error(err, "the process that was making the value died, and no "
				 "waiter that could initialise took over: get with an init "
				 "function, or retry");
	case -ECANCELED:
		return alz_error(err, "the initialisation was given up, and no waiter that could "
				 "initialise took over: get with an init function, or retry");
	case -ESTALE:
		return alz_error(err, "the key was invalidated while its value was in the making: "
				 "claim again");
	default:
		errno = -err;
		return alz_error(err, "the initialiser of this key failed without a text: %m");
	}
}

/** alz_error_record() - a kept error. Return: its negative errno */
int alz_error_record(const struct asynclazy_record *r)
{
	size_t size = r->value_size;

	if (size > ASYNCLAZY_DETAIL_MAX)
		size = ASYNCLAZY_DETAIL_MAX;
	return alz_error_flight(-r->error, alz_record_value(r), size);
}

/** alz_error_backend() - errors that mean the same in every call. Return: @err */
int alz_error_backend(int err)
{
	switch (err) {
	case -EACCES:
		return alz_error(err, "the cache was opened read-only: to initialise, set or "
				 "invalidate, open it without ALAZY_CACHE_READONLY");
	case -EDQUOT:
		return alz_error(err, "this process has as many waits or tickets on the cache "
				 "as its quota allows: end some, or raise the module's "
				 "max_waits or max_tickets");
	case -ENOMEM:
		return alz_error(err, "out of memory");
	case -EMFILE:
	case -ENFILE:
		return alz_error(err, "out of file descriptors: close some, or raise "
				 "RLIMIT_NOFILE");
	case -EOWNERDEAD:
		return alz_error(err, "the attachment to the cache is dead: "
				 "close the cache and open it again");
	case -EBADF:
	case -ENOTTY:
		return alz_error(err, "the cache's file descriptor was closed or replaced: the "
				 "program must leave it to the library; open the cache again");
	default:
		errno = -err;
		return alz_error(err, "the backend refused the call: %m");
	}
}

ALZ_PUBLIC const char *alazy_strerror_detail(void)
{
	return alz_error_set ? alz_error_buf : "";
}
