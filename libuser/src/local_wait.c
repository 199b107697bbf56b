// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/* Blocked calls of the local backend. */
#include "local.h"

#define ALZ_SLICE_NS	10000000

struct alz_local_sleeper *alz_local_sleeper_new(void)
{
	struct alz_local_sleeper *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (!s)
		return NULL;
	s->waiter.os = s;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->cond, &attr);
	pthread_condattr_destroy(&attr);
	return s;
}

void alz_local_sleeper_free(struct alz_local_sleeper *s)
{
	if (!s)
		return;
	pthread_cond_destroy(&s->cond);
	free(s);
}

static void alz_local_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock, u64 until)
{
	struct timespec ts = {
		.tv_sec = until / ALZ_NSEC_PER_SEC,
		.tv_nsec = until % ALZ_NSEC_PER_SEC,
	};

	pthread_cond_timedwait(cond, lock, &ts);
}

/* Of two times, where 0 is none. */
static u64 alz_sooner(u64 a, u64 b)
{
	return a && a < b ? a : b;
}

/*
 * Wait until the waiter is told, the deadline passes, something is due, or it is
 * time to look whether descriptors with unread tickets have been closed: nobody
 * tells.
 */
static void alz_local_slice(struct alz_local_core *shared, struct alz_local_sleeper *s,
			    u64 deadline)
{
	u64 until = deadline && deadline < INT64_MAX ? deadline : 0;

	if (shared->offers)
		until = alz_sooner(until, alz_os_now() + ALZ_SLICE_NS);
	if (shared->deadline)
		until = alz_sooner(until, shared->deadline);
	if (until)
		alz_local_timedwait(&s->cond, &shared->core.lock, until);
	else
		pthread_cond_wait(&s->cond, &shared->core.lock);
}

/**
 * alz_local_sleep() - until a BLOCK wait has ended, or the deadline
 * @s: registered by alz_claim()
 * @deadline: CLOCK_MONOTONIC ns; 0 or from INT64_MAX on: none
 * @pin: as for alz_wait_finish()
 *
 * Return: 0 with @answer, -ETIMEDOUT.
 */
int alz_local_sleep(struct alz_local_client *client, struct alz_local_sleeper *s,
		    u64 deadline, u32 pin, struct alz_answer *answer)
{
	struct alz_local_core *shared = client->shared;
	bool ends = deadline && deadline < INT64_MAX;

	alz_os_lock(&shared->core.lock);
	while (s->waiter.state == ALZ_WAITING && !(ends && alz_os_now() >= deadline)) {
		bool sweep = shared->offers || shared->deadline;

		alz_local_slice(shared, s, deadline);
		if (!sweep || s->waiter.state != ALZ_WAITING)
			continue;
		alz_os_unlock(&shared->core.lock);
		alz_local_sweep(shared);
		alz_os_lock(&shared->core.lock);
	}
	alz_os_unlock(&shared->core.lock);
	return alz_wait_finish(&client->core, &s->waiter, -ETIMEDOUT, pin, answer);
}
