// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* From the first byte of a call to what it does, and how answers are compared. */
#include "world.h"

static void (*const ops[])(const struct op *op) = {
	op_claim, op_claim, op_claim, op_claim, op_claim, op_claim, op_claim, op_claim,
	op_claim_many, op_claim_keys,
	op_publish, op_publish, op_publish, op_publish,
	op_fail, op_fail, op_fail,
	op_abandon, op_abandon,
	op_set, op_set, op_set, op_set_many, op_set_many,
	op_begin, op_begin, op_commit, op_commit,
	op_events, op_events, op_events,
	op_cancel, op_cancel, op_fetch, op_finish, op_finish, op_fd_answer, op_fd_close,
	op_invalidate, op_invalidate, op_invalidate, op_clear,
	op_die, op_die, op_time, op_time, op_geometry, op_read,
};

void op_do(const struct op *op)
{
	if (!world_full())
		ops[op->code % ARRAY_SIZE(ops)](op);
}

const char *result_name(u32 result)
{
	static const char *const names[] = { "EMPTY", "HIT", "FAILED", "TICKET", "PENDING" };

	return result < ARRAY_SIZE(names) ? names[result] : "?";
}

/* The core's answer is the model's. */
void expect_answer(const char *call, int err, const struct alz_answer *a,
		   const struct m_answer *m)
{
	trace(" -> %d", err);
	if (!err)
		trace(" %s error %d ticket %llu generation %llu offset %#llx attempt %u text %u",
		      result_name(a->result), a->error, a->ticket, a->generation, a->offset,
		      a->attempt, a->detail_size);
	trace("\n");
	fuzz_check(err == m->err, "%s returned %d, not %d", call, err, m->err);
	if (err)
		return;
	fuzz_check(a->result == m->result, "%s: %s, not %s", call, result_name(a->result),
		   result_name(m->result));
	fuzz_check(a->error == m->error, "%s: error %d, not %d", call, a->error, m->error);
	fuzz_check(a->ticket == m->ticket, "%s: ticket %llu, not %llu", call, a->ticket,
		   (u64)m->ticket);
	fuzz_check(a->generation == m->generation, "%s: generation %llu, not %llu", call,
		   a->generation, (u64)m->generation);
	fuzz_check(a->offset == m->offset, "%s: offset %#llx, not %#llx", call, a->offset,
		   (u64)m->offset);
	fuzz_check(a->attempt == m->attempt, "%s: attempt %u, not %u", call, a->attempt,
		   m->attempt);
	fuzz_check(a->detail_size == m->detail_size &&
		   !memcmp(a->detail, m->detail_size ? m->detail : a->detail, m->detail_size),
		   "%s: a wrong text of %u bytes, not %u", call, a->detail_size,
		   m->detail_size);
}
