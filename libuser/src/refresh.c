// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Values that are made anew before they are gone. Who finds one that is stale, or
 * soon will be, and can make it, asks for the ticket; all others read on.
 *
 * Soon: each reader draws by chance whether it is its turn, the more likely the
 * nearer the end and the longer the value took to make: "Optimal Probabilistic
 * Cache Stampede Prevention" (Vattani, Chierichetti, Lowenstein; VLDB 2015). So a
 * value that many read is made anew before it is stale.
 */
#include "lib.h"

#define ALZ_LEAD_MAX	8	/* times what it took: beyond it is one in 3,000 */

/* This thread's own: nothing depends on it being good. xorshift64* */
static u64 alz_random(void)
{
	static __thread u64 state __attribute__((tls_model("initial-exec")));

	if (!state)
		state = ((uintptr_t)&state ^ alz_os_now()) | 1;
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dULL;
}

/* -ln(u) for an even u in (0, 1), in 1/65536; the logarithm is linear between powers of 2 */
static u64 alz_exponential(void)
{
	u64 u = alz_random() | 1;
	unsigned int zeros = __builtin_clzll(u);
	u64 fraction = (u << zeros << 1) >> 48;

	return (((u64)zeros << 16) + 65536 - fraction) * 45426 >> 16;
}

static bool alz_refresh_soon(const struct asynclazy_record *r, u64 now)
{
	const struct asynclazy_times *t = alz_record_times(r);
	u64 most = alz_refresh_lead(r);
	u64 took = most / ALZ_LEAD_MAX;
	u64 lead = took < 1ULL << 40 ? took * alz_exponential() >> 16 : 0;

	return now + (lead < most ? lead : most) >= t->fresh_until;
}

/**
 * alz_refresh_due() - whether a record that was found should be made anew
 * @r: readable, with times, no error
 */
__attribute__((noinline))
bool alz_refresh_due(const struct alz_view *view, const struct asynclazy_record *r)
{
	const struct asynclazy_times *t = alz_record_times(r);
	const u64 *slot;
	u64 now;

	if (t->stale_until == t->fresh_until || t->fresh_until == ASYNCLAZY_NEVER ||
	    alz_clock_before(t->fresh_until - alz_refresh_lead(r)))
		return false;
	now = alz_os_now();
	if (now < t->fresh_until && !alz_refresh_soon(r, now))
		return false;
	slot = alz_reader_slot(view, r);
	return slot && !(__atomic_load_n(slot, __ATOMIC_RELAXED) & ASYNCLAZY_SLOT_REFRESHING);
}

/* What is there by now takes the place of what was found. */
static int alz_refresh_again(const struct alz_ask *ask, struct alz_got *got)
{
	alz_ref_drop(&got->ref);
	return alz_find(ask, got);
}

/* The ticket is ours. */
static int alz_refresh_make(const struct alz_ask *ask, const struct asynclazy_claim *c,
			    bool must_end, struct alz_got *got)
{
	struct alazy_ref ref = { 0 };
	struct alazy_ticket ticket;
	struct alz_frame frame;
	int err, found;

	if (must_end) {
		err = alz_get_init(ask, c, &ref);
	} else {
		alz_ticket_fill(&ticket, ask->cache, c->out_ticket, c->out_generation,
				c->out_attempt);
		alz_frame_run(&frame, ask, &ticket, false);
		err = ALZ_MISS;
	}
	if (!err) {
		alz_ref_drop(&got->ref);
		got->err = 0;
		got->ref = ref;
		return 0;
	}
	found = alz_refresh_again(ask, got);
	/* it failed, and what was there may not be read any longer */
	return found == ALZ_MISS && err < 0 ? err : found;
}

/**
 * alz_refresh() - make a value anew, if it is for this asker to do
 * @ask: with an init function
 * @must_end: as for alz_frame_run(): it is a blocking get's
 * @got: the value that was found; replaced by what came of it
 *
 * Never waits for others.
 *
 * Return: 0; ALZ_MISS: it is gone, ask the backend; a negative errno with its text,
 * if it failed and what was there is too old.
 */
int alz_refresh(const struct alz_ask *ask, bool must_end, struct alz_got *got)
{
	u32 flags = alz_ask_flags(ask);
	char detail[ASYNCLAZY_DETAIL_MAX];
	struct asynclazy_claim c;
	struct alz_hold hold;
	struct alz_got now;
	int err;

	if (!flags)
		return 0;
	err = alz_claim_call(ask, flags | ASYNCLAZY_CLAIM_REFRESH, 0, 0, detail, &c, &hold);
	/* whatever it is, there is a value */
	if (err)
		return 0;
	if (c.out_result == ASYNCLAZY_RESULT_TICKET)
		return alz_refresh_make(ask, &c, must_end, got);
	if (c.out_result != ASYNCLAZY_RESULT_HIT)
		return 0;
	err = alz_claim_find(ask, &c, detail, &hold, &now);
	if (err)
		return err < 0 ? err : 0;
	alz_ref_drop(&got->ref);
	*got = now;
	return 0;
}

ALZ_PUBLIC int alazy_cache_expire(struct alazy_cache *cache, const void *key, size_t key_size)
{
	struct asynclazy_expire e = {
		.size = sizeof(e),
		.key = (uintptr_t)key,
		.key_size = key_size,
	};
	int err;

	if (alz_key_bad(cache, key, key_size))
		return alz_key_check(cache, key, key_size);
	e.hash = alz_reader_hash(&cache->view, key, key_size);
	err = alz_call(cache, ASYNCLAZY_IOC_EXPIRE, &e);
	if (err == -ENOSPC)
		return alz_error(err, "there is no room for the value with its new times: "
				 "alazy_cache_invalidate() needs none");
	if (err)
		return alz_error_backend(err);
	alz_ok();
	return e.out_count;
}
