// SPDX-License-Identifier: GPL-2.0-only
/* What all workers have in common, and the check that every key can be got. */
#include "storm.h"

#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct worker self;

static void worker_init(unsigned int slot)
{
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* the killer's is another one */
	setpriority(PRIO_PROCESS, 0, 0);
	memset(&self, 0, sizeof(self));
	self.slot = slot;
	self.me = &storm->slots[slot];
	self.rng = storm->seed ^ (__u64)slot << 48 ^ self.me->epoch;
	for (i = 0; i < CACHES; i++) {
		self.views[i].index = i;
		self.views[i].a.client = -1;
		self.views[i].a.cache = -1;
		self.me->in[i] = 0;
	}
	self.me->held = 0;
	self.me->waits = 0;
	self.me->pins = 0;
	self.me->idle = 0;
	phase(PHASE_START);
}

void worker_run(unsigned int slot)
{
	worker_init(slot);
	if (slot * 100 < storm->procs * storm->library)
		library_run();
	raw_run();
}

/* Some keys are asked for much more often than others; less so where that fills it. */
__u32 some_key(const struct view *v)
{
	bool hot = percent(v->index ? 25 : 60) && storm->keys > HOT_KEYS;

	self.me->key = rnd(hot ? HOT_KEYS : storm->keys);
	return self.me->key;
}

/* Whether to end a ticket at once: the hot keys are kept waiting. */
bool worker_hurry(__u32 key)
{
	return calm() || percent(key < HOT_KEYS ? 15 : 50);
}

/* An operation begins. The killer may wait for it. */
void worker_operation(void)
{
	count(&self.me->operations);
	/* not only at 0: who counted that down may have been killed since */
	if (atomic_fetch_sub(&storm->work, 1) <= 1 && !storm->worked) {
		storm->worked = 1;
		syscall(SYS_futex, &storm->worked, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
}

/* Nothing left to do in this calm: stay until it is over. */
void worker_idle(void)
{
	__u32 now = storm->calm;

	if (!(now & 1))
		return;
	phase(PHASE_THINK);
	self.me->idle = now;
	while (storm->calm == now)
		syscall(SYS_futex, &storm->calm, FUTEX_WAIT, now, NULL, NULL, 0);
}

/* Whether a small value may find none: what evicts has some but for what is read. */
static bool no_room(const struct view *v)
{
	struct asynclazy_stats s;

	if (!v->index || v->ledger->values >= VALUES)
		return true;
	return !alz_stats(v->a.client, &s) && s.out_segments_held;
}

/*
 * Every key can be got: there is a value or a kept error, or the ticket comes
 * at once. Eight times it ends in any way. If there is nothing then, a small value is
 * published that stays, again if its lease was over: no excuse is left but that there is
 * no room for it.
 */
static void check_key(struct view *v, __u32 key)
{
	__u64 limit = alz_now() + ALZ_SOON_MS * ALZ_MSEC;
	struct asynclazy_claim c;
	char name[32];
	bool kept = false;
	int err, i;

	key_name(key, name);
	for (i = 0; i < 64; i++) {
		alz_claim_fill(&v->a, &c, name, strlen(name), INIT | BLOCK);
		c.deadline = limit;
		c.pin = v->a.pins ? PIN_CALL : 0;
		err = alz_claim_raw(&v->a, &c);
		if (err) {
			wrong(WRONG_GET, "cache %llu key %u: %s", v->serial, key, strerror(-err));
			return;
		}
		switch (c.out_result) {
		case ASYNCLAZY_RESULT_HIT:
		case ASYNCLAZY_RESULT_FAILED:
			record_answer(v, key, &c, "at the end");
			return;
		case ASYNCLAZY_RESULT_TICKET:
			ticket_hold(v, key, c.out_generation, c.out_ticket, c.out_attempt);
			if (i < 8) {
				ticket_end(0, true);
				break;
			}
			if (kept) {
				wrong(WRONG_GET, "cache %llu key %u: it was published, and is not there",
				      v->serial, key);
				ticket_end(0, true);
				return;
			}
			err = ticket_keep(0);
			if (err == -ENOSPC && no_room(v))
				return;
			if (err && err != -ESTALE) {
				wrong(WRONG_GET, "cache %llu key %u: a value of %u bytes: %s",
				      v->serial, key, value_size_least(), strerror(-err));
				return;
			}
			kept = !err;
			break;
		default:
			wrong(WRONG_GET, "cache %llu key %u: result %u", v->serial, key,
			      c.out_result);
			return;
		}
	}
	wrong(WRONG_GET, "cache %llu key %u: its lease is always over", v->serial, key);
}

/* In a process of its own, with the workers idle. */
bool cache_check_keys(void)
{
	unsigned int slot = SLOTS_MAX - 1, i;
	pid_t pid;
	int status = 0;
	__u32 key;

	storm->slots[slot].epoch++;
	pid = fork();
	if (!pid) {
		worker_init(slot);
		for (i = 0; i < CACHES; i++) {
			struct view *v = &self.views[i];
			int device = alz_device(O_RDWR), fd;
			char name[64];

			cache_enter(v, name);
			fd = alz_open(device, name, ASYNCLAZY_OPEN_READ | ASYNCLAZY_OPEN_WRITE);
			if (fd < 0 || alz_join(&v->a, fd))
				_exit(1);
			close(fd);
			close(device);
			for (key = 0; key < storm->keys; key++)
				check_key(v, key);
			alz_leave(&v->a);
			cache_leave(v);
		}
		_exit(0);
	}
	/* each of its waits has a deadline */
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
		wrong(WRONG_GET, "the check of all keys ended with status 0x%x", status);
		return false;
	}
	return true;
}
