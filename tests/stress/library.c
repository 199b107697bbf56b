// SPDX-License-Identifier: GPL-2.0-only
/* A worker that uses the library. */
#include "storm.h"

#include <sys/prctl.h>

#define ASKS_MAX	16

/* Something asked for that has not ended. */
struct ask {
	bool used;
	struct view *view;
	__u32 key;
	struct alazy_wait *wait;	/* NULL: a wait fd */
	int fd;
	bool able;
	bool must_end;			/* the initialiser's ticket, before it returns */
};

static struct ask asks[ASKS_MAX];

static struct ask *ask_new(struct view *v, __u32 key)
{
	__u32 i;

	for (i = 0; i < ASKS_MAX; i++) {
		if (asks[i].used)
			continue;
		asks[i] = (struct ask) { .used = true, .view = v, .key = key, .fd = -1 };
		self.me->waits++;
		return &asks[i];
	}
	return NULL;
}

static void ask_free(struct ask *a)
{
	a->used = false;
	self.me->waits--;
}

static bool asks_able(const struct view *v)
{
	__u32 i;

	for (i = 0; i < ASKS_MAX; i++)
		if (asks[i].used && asks[i].able && (!v || asks[i].view == v))
			return true;
	return false;
}

/* What a get or claim failed with. */
void library_error(struct view *v, __u32 key, int err, const char *text, size_t size,
		   const char *how)
{
	switch (err) {
	case -ETIMEDOUT:
	case -ENOENT:
	case -EAGAIN:
		break;
	case -ENOSPC:
	case -EFBIG:
		count(&storm->totals.nospace);
		break;
	default:
		error_check(v, key, 0, -err, text, size, how);
	}
}

/* The same of the last call. */
static void library_failed(struct view *v, __u32 key, int err, const char *how)
{
	const char *text = alazy_strerror_detail();

	library_error(v, key, err, text, strlen(text), how);
}

/* Refs that are kept for a while. */
static struct {
	struct view *view;	/* NULL: free */
	__u32 key;
	struct alazy_ref ref;
} refs[4];

#define REFS_MAX	(sizeof(refs) / sizeof(*refs))

void library_value(struct view *v, __u32 key, struct alazy_ref *ref, const char *how)
{
	unsigned int i;

	value_check(v, key, ref->generation, ref->data, ref->size, how);
	for (i = 0; i < REFS_MAX && percent(60); i++) {
		if (refs[i].view)
			continue;
		refs[i].view = v;
		refs[i].key = key;
		refs[i].ref = *ref;
		memset(ref, 0, sizeof(*ref));
		self.me->pins++;
		count(&storm->totals.pins_kept);
		return;
	}
	alazy_ref_put(ref);
}

/* What they lead to is as it was; then let go of them: of a view's, or all (NULL). */
static void library_put(const struct view *v)
{
	unsigned int i;

	for (i = 0; i < REFS_MAX; i++) {
		struct alazy_ref *ref = &refs[i].ref;

		if (!refs[i].view || (v && refs[i].view != v))
			continue;
		value_check(refs[i].view, refs[i].key, ref->generation, ref->data, ref->size,
			    "kept");
		alazy_ref_put(ref);
		refs[i].view = NULL;
		self.me->pins--;
	}
}

static int library_make(const struct alazy_ticket *ticket, const void *name, size_t size,
			void *ctx)
{
	struct ask *a = ctx;
	enum phase before = phase(PHASE_LIB_MAKE);
	char expected[32];
	struct held h;
	int err = 0;

	if (key_name(a->key, expected) != size || memcmp(name, expected, size))
		wrong(WRONG_ANSWER, "cache %llu key %u: the initialiser is given another key",
		      a->view->serial, a->key);
	ticket_hold(a->view, a->key, ticket->generation, ticket->id, ticket->attempt);
	h = self.held[self.nr_held - 1];
	if (percent(20)) {
		struct timespec t = { .tv_nsec = rnd(ALZ_MSEC) };

		nanosleep(&t, NULL);
	}
	if (a->must_end && percent(20)) {
		/* to be given up by the library: abandoned, or failed */
		ledger_ending(&h);
		self.me->held = --self.nr_held;
		err = rnd(2) ? -ECANCELED : 0;
	} else if (a->must_end || worker_hurry(a->key)) {
		ticket_end(self.nr_held - 1, a->must_end);
	}
	phase(before);
	return err;
}

static void library_get(struct view *v, __u32 key)
{
	struct ask a = { .view = v, .key = key, .must_end = true };
	bool init = percent(85);
	struct alazy_ref ref;
	__u64 deadline = 0;
	char name[32];
	int err;

	if (self.nr_held || asks_able(NULL) || rnd(2))
		deadline = alz_now() + rnd(20 * ALZ_MSEC);
	phase(PHASE_LIB_GET);
	err = alazy_cache_get_until(v->library, name, key_name(key, name),
				    init ? library_make : NULL, &a, deadline, &ref);
	if (!err)
		library_value(v, key, &ref, "get");
	else
		library_failed(v, key, err, "get");
}

static void library_done(int err, struct alazy_ref *ref, void *ctx)
{
	struct ask *a = ctx;
	struct ask was = *a;

	ask_free(a);
	count(&storm->totals.waits_ended);
	if (err)
		library_failed(was.view, was.key, err, "asynchronous get");
	else
		library_value(was.view, was.key, ref, "asynchronous get");
}

static void library_async(struct view *v, __u32 key)
{
	struct ask *a = ask_new(v, key);
	struct alazy_wait *wait = NULL;
	bool init = percent(85);
	char name[32];
	int err;

	if (!a)
		return;
	a->able = init;
	phase(PHASE_LIB_ASYNC);
	err = alazy_cache_get_async(v->library, name, key_name(key, name),
				    init ? library_make : NULL, library_done, a, &wait);
	if (err == 1)
		return;
	if (err) {
		ask_free(a);
		library_failed(v, key, err, "asynchronous get");
		return;
	}
	a->wait = wait;
}

/* The answer of a claim or of a wait that has ended. Return: more is to come. */
static bool library_answer(struct ask *a, struct alazy_answer *answer, const char *how)
{
	struct view *v = a->view;

	switch (answer->kind) {
	case ALAZY_ANSWER_HIT:
		library_value(v, a->key, &answer->ref, how);
		return false;
	case ALAZY_ANSWER_FAILED:
		library_failed(v, a->key, answer->err, how);
		return false;
	case ALAZY_ANSWER_TICKET:
		ticket_hold(v, a->key, answer->ticket.generation, answer->ticket.id,
			    answer->ticket.attempt);
		if (worker_hurry(a->key))
			ticket_end(self.nr_held - 1, calm());
		return answer->wait;
	case ALAZY_ANSWER_PENDING:
		return answer->wait || answer->fd >= 0;
	default:
		return false;
	}
}

static void library_told(struct alazy_answer *answer, void *ctx)
{
	struct ask *a = ctx;

	count(&storm->totals.events);
	if (!library_answer(a, answer, "answer"))
		ask_free(a);
	else
		a->able = false;
}

static void library_claim(struct view *v, __u32 key)
{
	static const __u32 kinds[] = {
		ALAZY_CLAIM_EVENT, ALAZY_CLAIM_EVENT | ALAZY_CLAIM_FOLLOW, ALAZY_CLAIM_FD,
		ALAZY_CLAIM_BLOCK,
	};
	__u32 flags = kinds[rnd(4)];
	struct ask *a = ask_new(v, key);
	struct alazy_answer answer;
	char name[32];
	int err;

	if (!a)
		return;
	if (flags & ALAZY_CLAIM_FOLLOW || percent(85))
		flags |= ALAZY_CLAIM_INIT;
	a->able = flags & ALAZY_CLAIM_INIT;
	phase(PHASE_LIB_ASYNC);
	err = alazy_claim(v->library, name, key_name(key, name), flags,
			  alz_now() + rnd(20 * ALZ_MSEC), library_told, a, &answer);
	if (err) {
		ask_free(a);
		library_failed(v, key, err, "claim");
		return;
	}
	if (answer.kind == ALAZY_ANSWER_PENDING && flags & ALAZY_CLAIM_FD)
		a->fd = answer.fd;
	else if (flags & ALAZY_CLAIM_EVENT)
		a->wait = answer.wait;
	if (answer.kind == ALAZY_ANSWER_TICKET)
		a->able = false;
	if (!library_answer(a, &answer, "claim"))
		ask_free(a);
}

static void library_wait_read(struct ask *a)
{
	struct alazy_answer answer;
	struct ask was = *a;
	int err;

	err = alazy_wait_read(was.view->library, was.fd, &answer);
	/* an offer that was not read in time has gone to another */
	if (err == -EAGAIN && was.able)
		return;
	ask_free(a);
	if (err)
		wrong(WRONG_ANSWER, "cache %llu key %u: alazy_wait_read: %s", was.view->serial,
		      was.key, strerror(-err));
	else
		library_answer(&was, &answer, "wait fd");
	close(was.fd);
}

static void library_dispatch(int timeout_ms)
{
	struct pollfd fds[CACHES + ASKS_MAX];
	__u32 i, n = CACHES, k;

	phase(PHASE_LIB_DISPATCH);
	for (i = 0; i < CACHES; i++)
		fds[i] = (struct pollfd) {
			.fd = alazy_fd(self.views[i].library), .events = POLLIN,
		};
	for (i = 0; i < ASKS_MAX; i++)
		if (asks[i].used && asks[i].fd >= 0)
			fds[n++] = (struct pollfd) { .fd = asks[i].fd, .events = POLLIN };
	if (poll(fds, n, timeout_ms) <= 0)
		return;
	for (i = 0; i < CACHES; i++)
		if (fds[i].revents && alazy_dispatch(self.views[i].library) < 0)
			wrong(WRONG_ANSWER, "alazy_dispatch failed");
	for (k = CACHES; k < n; k++)
		for (i = 0; fds[k].revents && i < ASKS_MAX; i++)
			if (asks[i].used && asks[i].fd == fds[k].fd)
				library_wait_read(&asks[i]);
}

static void library_cancel(void)
{
	struct ask *a = asks;
	int err = 0;

	while (a < asks + ASKS_MAX && !a->used)
		a++;
	if (a == asks + ASKS_MAX)
		return;
	phase_short(PHASE_LIB_CANCEL);
	if (a->fd >= 0)
		close(a->fd);
	else
		err = alazy_cancel(a->wait);
	if (err)
		wrong(WRONG_ANSWER, "cache %llu key %u: alazy_cancel: %s", a->view->serial, a->key,
		      strerror(-err));
	ask_free(a);
}

static void library_store(struct view *v, __u32 key)
{
	__u64 what = rnd(100);
	struct value_note *note;
	const void *value;
	char name[32];
	int err = 0;

	key_name(key, name);
	phase(PHASE_LIB_STORE);
	if (what < 50) {
		__u32 size = value_size(v);

		value = value_make(v, key, NULL, size, &note);
		if (!value)
			return;
		err = alazy_cache_set(v->library, name, strlen(name), value, size, 0);
		note->state = err ? VALUE_REFUSED : VALUE_STORED;
		if (!err)
			count(&storm->totals.sets);
		if (err == -ENOSPC || err == -EFBIG)
			return;
	} else if (what < 70) {
		err = alazy_cache_expire(v->library, name, strlen(name));
		if (err == -ENOSPC)
			return;
	} else if (what < 97) {
		err = alazy_cache_invalidate(v->library, name, strlen(name));
	} else {
		err = alazy_cache_clear(v->library);
	}
	if (err < 0)
		wrong(WRONG_ANSWER, "cache %llu key %u: library store: %s", v->serial, key,
		      strerror(-err));
}

static void library_peek(struct view *v, __u32 key)
{
	struct alazy_ref ref;
	char name[32];
	int err = 0;

	phase(PHASE_READ);
	switch (alazy_cache_peek(v->library, name, key_name(key, name), &ref, &err)) {
	case ALAZY_FILLED:
		library_value(v, key, &ref, "peek");
		break;
	case ALAZY_FAILED:
		library_failed(v, key, err, "peek");
		break;
	}
}

/*
 * Coming and going
 */

static void library_open(struct view *v)
{
	struct alazy_cache_opts o = {
		.size = sizeof(o),
		.flags = ALAZY_CACHE_EXISTING | ALAZY_CACHE_SHARED,
		.backend = ALAZY_BACKEND_KERNEL,
	};
	char name[64];

	phase(PHASE_LIB_OPEN);
	for (;;) {
		if (!cache_enter(v, name))
			continue;
		v->library = alazy_cache_open(name, &o);
		if (v->library)
			return;
		if (errno != ENOENT || !cache_moved(v))
			wrong(WRONG_ANSWER, "cache %llu: alazy_cache_open: %s", v->serial,
			      strerror(errno));
	}
}

/* The waits of a cache are gone. */
static void library_forget(const struct view *v)
{
	__u32 i;

	for (i = 0; i < ASKS_MAX; i++) {
		if (!asks[i].used || asks[i].view != v)
			continue;
		if (asks[i].fd >= 0)
			close(asks[i].fd);
		ask_free(&asks[i]);
	}
	library_words_forget(v);
}

static void library_close(struct view *v)
{
	phase_short(PHASE_LIB_CLOSE);
	ticket_drop_view(v);
	library_put(v);
	library_forget(v);
	alazy_cache_close(v->library);
	v->library = NULL;
	cache_leave(v);
}

/*
 * A child takes over this worker's place, with the caches that it inherits, and
 * this process ends: the library attaches anew in the child. A child that finds
 * that the place has been given to another was too late.
 */
static void library_fork(void)
{
	int parent = getpid(), old = parent;
	pid_t pid;
	__u32 i;

	phase(PHASE_LIB_FORK);
	library_put(NULL);
	pid = fork();
	if (pid < 0)
		return;
	if (pid) {
		while (self.me->pid == old)
			sched_yield();
		for (i = 0; i < CACHES; i++)
			ticket_drop_view(&self.views[i]);
		_exit(0);
	}
	if (!atomic_compare_exchange_strong(&self.me->pid, &old, getpid()))
		_exit(0);
	/* not for this parent, which is about to end */
	while (getppid() == parent)
		sched_yield();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	self.me->epoch++;
	self.rng ^= self.me->epoch;
	self.nr_held = 0;
	self.me->held = 0;
	for (i = 0; i < CACHES; i++)
		library_forget(&self.views[i]);
}

static void library_step(struct view *v)
{
	__u32 key = some_key(v);
	__u64 what = rnd(100);

	if (storm->caches[v->index].full || what >= 97) {
		struct timespec t = { .tv_nsec = rnd(2 * ALZ_MSEC) };

		phase(self.nr_held ? PHASE_LIB_MAKE : PHASE_THINK);
		nanosleep(&t, NULL);
	} else if (what < 8) {
		library_words(v);
	} else if (what < 35) {
		library_get(v, key);
	} else if (what < 50) {
		library_async(v, key);
	} else if (what < 58) {
		library_claim(v, key);
	} else if (what < 62) {
		/* who holds what others wait for does not wait for ever itself */
		library_many(v, !self.nr_held && !asks_able(NULL) && rnd(2));
	} else if (what < 75) {
		library_dispatch(rnd(3));
	} else if (what < 79) {
		library_cancel();
	} else if (what < 87) {
		library_store(v, key);
	} else if (what < 89) {
		library_peek(v, key);
	} else if (what < 90) {
		library_put(v);
	} else if (what < 94) {
		if (self.nr_held)
			ticket_end(rnd(self.nr_held), false);
	} else if (what < 96) {
		library_close(v);
		library_open(v);
	} else if (percent(50)) {
		library_fork();
	}
}

static void library_calm(void)
{
	library_words_calm();
	while (self.nr_held || self.me->waits) {
		while (self.nr_held)
			ticket_end(self.nr_held - 1, true);
		if (self.me->waits)
			library_dispatch(1000);
	}
	worker_idle();
}

void library_run(void)
{
	__u32 i;

	for (i = 0; i < CACHES; i++)
		library_open(&self.views[i]);
	for (;;) {
		struct view *v = &self.views[rnd(CACHES)];

		worker_operation();
		if (calm()) {
			library_calm();
		} else if (cache_moved(v) && percent(20)) {
			library_close(v);
			library_open(v);
		} else {
			library_step(v);
		}
	}
}
