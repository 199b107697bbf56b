// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Initialisations that run: what their owner says of them, and others see. */
#include "lib.h"

_Static_assert((int)ALAZY_FLIGHT_OFFERED == (int)ASYNCLAZY_FLIGHT_OFFERED &&
	       (int)ALAZY_FLIGHT_LATE == (int)ASYNCLAZY_FLIGHT_LATE &&
	       (int)ALAZY_FLIGHT_QUEUED == (int)ASYNCLAZY_FLIGHT_QUEUED &&
	       (int)ALAZY_FLIGHT_HELD == (int)ASYNCLAZY_FLIGHT_HELD &&
	       (int)ALAZY_FLIGHT_REFRESH == (int)ASYNCLAZY_FLIGHT_REFRESH &&
	       (int)ALAZY_FLIGHT_NONE == (int)ASYNCLAZY_FLIGHT_NONE &&
	       (int)ALAZY_FLIGHT_BROKEN == (int)ASYNCLAZY_FLIGHT_BROKEN &&
	       sizeof(((struct alazy_flight *)0)->detail) > ASYNCLAZY_DETAIL_MAX,
	       "the library's numbers are the uAPI's");

ALZ_PUBLIC int alazy_extend(const struct alazy_ticket *ticket, uint64_t done, uint64_t total)
{
	struct asynclazy_extend e = { .size = sizeof(e), .done = done, .total = total };
	int err = alz_ticket_check(ticket);

	if (err)
		return err;
	if (total && done > total)
		return alz_error(-EINVAL, "%llu of %llu cannot be done: give a total of 0 if it "
				 "is not known", (unsigned long long)done,
				 (unsigned long long)total);
	e.ticket = ticket->id;
	err = alz_call(ticket->cache, ASYNCLAZY_IOC_EXTEND, &e);
	if (err)
		return alz_ticket_refused(ticket, 0, err);
	alz_ok();
	return e.out_waiters;
}

ALZ_PUBLIC int alazy_cache_flight(struct alazy_cache *cache, const void *key, size_t key_size,
				  struct alazy_flight *flight)
{
	struct asynclazy_flight f = { .size = sizeof(f) };
	char detail[ASYNCLAZY_DETAIL_MAX];
	u32 size;
	int err;

	if (alz_key_bad(cache, key, key_size))
		return alz_key_check(cache, key, key_size);
	size = flight ? flight->size : 0;
	if (size < sizeof(*flight))
		return alz_error(-EINVAL, "size is %u: set it to sizeof(struct alazy_flight)",
				 size);
	f.key = (uintptr_t)key;
	f.key_size = key_size;
	f.hash = alz_reader_hash(&cache->view, key, key_size);
	f.detail = (uintptr_t)detail;
	f.detail_size = sizeof(detail);
	err = alz_call(cache, ASYNCLAZY_IOC_FLIGHT, &f);
	if (err == -ENOENT)
		return alz_error(err, "nobody makes a value of this key, and none failed");
	if (err)
		return alz_error_backend(err);
	memset(flight, 0, size);
	*flight = (struct alazy_flight){
		.size = size,
		.flags = f.out_flags,
		.owner = f.out_owner,
		.attempt = f.out_attempt,
		.waiters = f.out_waiters,
		.queue = f.out_queue,
		.generation = f.out_generation,
		.started_ns = f.out_started,
		.granted_ns = f.out_granted,
		.until_ns = f.out_until,
		.done = f.out_done,
		.total = f.out_total,
		.err = -f.out_error,
		.failures = f.out_failures,
		.retry_ns = f.out_retry,
	};
	memcpy(flight->detail, detail, f.out_detail_size);
	return alz_ok();
}
