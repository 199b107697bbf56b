// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Calls that begin a flight. What ends one: ops_store.c. */
#include <stdlib.h>

#include "world.h"

static struct side **side_free(void)
{
	int i;

	for (i = 0; i < SIDES; i++)
		if (!world.side[i])
			return &world.side[i];
	return NULL;
}

static const char *flag_names(u32 flags)
{
	static char names[64];

	names[0] = 0;
	if (flags & ASYNCLAZY_CLAIM_INIT)
		strcat(names, " INIT");
	if (flags & ASYNCLAZY_CLAIM_BLOCK)
		strcat(names, " BLOCK");
	if (flags & ASYNCLAZY_CLAIM_EVENT)
		strcat(names, " EVENT");
	if (flags & ASYNCLAZY_CLAIM_FD)
		strcat(names, " FD");
	if (flags & ASYNCLAZY_CLAIM_FOLLOW)
		strcat(names, " FOLLOW");
	return names;
}

static void claim_apply(struct run *r, bool last)
{
	if (!last)
		fuzz_fail("a claim breathes");
	absorb_vanished(r->c, r->key, r->hash);
	if (r->no_room)
		check_no_room(r->c, r->hash);
	r->answer = m_claim(&r->c->model, r->client, r->key, r->hash, r->class, r->cookie,
			    r->side, fuzz_os.failed, r->no_room);
}

static int claim(const struct op *op, int client, int key, u64 hash, u32 flags, u64 cookie)
{
	struct run r = {
		.apply = claim_apply, .key = key, .hash = hash, .class = flags,
		.cookie = cookie,
	};
	struct world_cache *c = cache_of(client);
	bool needs = m_claim_needs_memory(&c->model, client, key, hash, flags);
	struct alz_claim ask = { .hash = hash, .flags = flags, .cookie = cookie };
	struct alz_answer a;
	struct side **side = NULL;
	u32 key_size;

	ask.key = key_bytes(key, &key_size);
	ask.key_size = key_size;
	if (flags & (ASYNCLAZY_CLAIM_BLOCK | ASYNCLAZY_CLAIM_FD)) {
		side = side_free();
		if (!side)
			return -EAGAIN;
		*side = calloc(1, sizeof(**side));
		fuzz_check(*side, "out of memory");
		(*side)->cache = world.client[client].cache;
		ask.waiter = &(*side)->w;
		r.side = *side;
	}
	trace("claim: client %d key %d hash %#llx%s cookie %llu", client, key, hash,
	      flag_names(flags), cookie);
	memset(&a, 0xa5, sizeof(a));
	run_begin(&r, op, client);
	r.err = alz_claim(world.client[client].core, &ask, &a);
	r.no_room = r.err == -ENOSPC;
	fuzz_check(needs || !fuzz_os.requests, "a claim that starts nothing takes memory");
	run_end(&r);
	if (r.err)
		a.detail_size = 0;
	expect_answer("claim", r.err, &a, &r.answer);
	if (side && (r.err || a.result != ASYNCLAZY_RESULT_PENDING)) {
		fuzz_check(m_wait_of(&c->model, *side) < 0, "a wait that is not one");
		free(*side);
		*side = NULL;
	}
	check_key(c, key, hash);
	return r.err;
}

void op_claim(const struct op *op)
{
	static const u32 choices[] = {
		ASYNCLAZY_CLAIM_INIT,
		ASYNCLAZY_CLAIM_INIT | ASYNCLAZY_CLAIM_EVENT,
		ASYNCLAZY_CLAIM_INIT | ASYNCLAZY_CLAIM_EVENT | ASYNCLAZY_CLAIM_FOLLOW,
		ASYNCLAZY_CLAIM_EVENT,
		ASYNCLAZY_CLAIM_INIT | ASYNCLAZY_CLAIM_BLOCK,
		ASYNCLAZY_CLAIM_BLOCK,
		ASYNCLAZY_CLAIM_INIT | ASYNCLAZY_CLAIM_FD,
		ASYNCLAZY_CLAIM_FD,
		0,
	};
	int client = client_for(op), key = op->key & world.key_mask;
	/* 16 small ones, which meet again, and large ones */
	u64 cookie = op->b & 128 ? op->b * 0x9e3779b97f4a7c15ULL : op->b & 15;

	claim(op, client, key, key_hash(cache_of(client), key, op->who >> 3 & 7),
	      choices[op->a % ARRAY_SIZE(choices)], cookie);
}

/* Many waits of one client on one key: more than are told at a time. */
void op_claim_many(const struct op *op)
{
	int client = client_for(op), key = op->key & world.key_mask, err = 0, i;
	u64 hash = key_hash(cache_of(client), key, op->who >> 3 & 7);
	u32 flags = ASYNCLAZY_CLAIM_EVENT;

	if (op->a & 2)
		flags = op->a & 4 ? ASYNCLAZY_CLAIM_FD : ASYNCLAZY_CLAIM_EVENT;
	for (i = 0; i < op->d % 140 && !err && !world_full(); i++)
		err = claim(NULL, client, key, hash,
			    flags | (op->a & 1 ? ASYNCLAZY_CLAIM_INIT : 0),
			    1000 * (op->b % 4 + 1) + i);
}

/* Tickets for many keys: more than are handed over or cleared at a time. */
void op_claim_keys(const struct op *op)
{
	int client = client_for(op), err = 0, i;

	for (i = 0; i < op->d % 100 && !err && !world_full(); i++)
		err = claim(NULL, client, (op->key + i) % KEYS,
			    key_hash(cache_of(client), (op->key + i) % KEYS,
				     op->who >> 3 & 7), ASYNCLAZY_CLAIM_INIT, 0);
}
