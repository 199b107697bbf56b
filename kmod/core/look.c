// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What others may know of an initialisation: who makes it, and what went wrong. */
#include "core.h"

/* How many are before it, itself included, as far as they are counted. */
static u32 alz_queue_place(const struct alz_cache *cache, const struct alz_flight *f)
{
	const struct alz_list *at;
	u32 n = 1;

	for (at = cache->queue.next; at != &f->queue_link && n < ALZ_COUNT_MAX; at = at->next)
		n++;
	return n;
}

static void alz_look_flight(struct alz_cache *cache, const struct alz_flight *f,
			    struct asynclazy_flight *info)
{
	info->out_flags = (f->offered ? ASYNCLAZY_FLIGHT_OFFERED : 0) |
		(f->late ? ASYNCLAZY_FLIGHT_LATE : 0) |
		(f->queued ? ASYNCLAZY_FLIGHT_QUEUED : 0) |
		(f->held ? ASYNCLAZY_FLIGHT_HELD : 0) |
		(alz_slot_has_record(*alz_flight_slot(cache, f)) ?
		 ASYNCLAZY_FLIGHT_REFRESH : 0);
	info->out_attempt = f->attempt;
	info->out_owner = f->owner ? alz_os_client_pid(f->owner) : 0;
	info->out_queue = f->queued ? alz_queue_place(cache, f) : 0;
	info->out_waiters = alz_flight_waiters(f);
	info->out_generation = f->generation;
	info->out_started = f->started;
	info->out_granted = f->granted;
	if (f->owner)
		info->out_until = alz_hard_until(cache, f);
	info->out_done = f->done;
	info->out_total = f->total;
}

/* The last error that was not kept. */
static void alz_look_trouble(const struct alz_trouble *t, struct asynclazy_flight *info,
			     void *detail)
{
	u64 now = alz_os_now();

	info->out_error = t->error;
	info->out_failures = t->failures;
	info->out_retry = t->until > now ? t->until : 0;
	if (t->open && t->until > now)
		info->out_flags |= ASYNCLAZY_FLIGHT_BROKEN;
	if (!t->detail)
		return;
	info->out_detail_size = t->detail_size;
	memcpy(detail, t->detail, t->detail_size);
}

/**
 * alz_flight_look() - what is known of a running initialisation, and of the last one
 * @client: whose question it is
 * @key: the key
 * @key_size: bytes in it
 * @hash: of the key
 * @info: the out_ fields are filled on 0
 * @detail: ASYNCLAZY_DETAIL_MAX bytes, for the text of the last error
 *
 * Return: 0; -ENOENT: nobody makes it, and nothing went wrong.
 */
int alz_flight_look(struct alz_client *client, const void *key, u32 key_size, u64 hash,
		    struct asynclazy_flight *info, void *detail)
{
	struct alz_cache *cache = client->cache;
	const struct alz_trouble *t;
	struct alz_flight *f;

	*info = (struct asynclazy_flight) {
		.size = info->size,
		.flags = info->flags,
		.key = info->key,
		.key_size = info->key_size,
		.hash = info->hash,
		.detail = info->detail,
		.detail_size = info->detail_size,
		.out_until = ASYNCLAZY_NEVER,
	};
	alz_os_lock(&cache->lock);
	f = alz_flight_find(cache, key, key_size, hash);
	t = alz_trouble_find(cache, hash);
	if (f)
		alz_look_flight(cache, f, info);
	else if (t)
		info->out_flags = ASYNCLAZY_FLIGHT_NONE;
	if (t)
		alz_look_trouble(t, info, detail);
	alz_os_unlock(&cache->lock);
	return f || t ? 0 : -ENOENT;
}
