// SPDX-License-Identifier: GPL-2.0-only
/*
 * Words of the caches, through the library. Locks guard what is done in two steps, so
 * that two at a time, or a death that nobody was told of, would show; whoever waits for
 * one for long is stuck, as all leave theirs soon, or die.
 */
#include "storm.h"

#include <poll.h>
#include <unistd.h>

#define LOCKS		4
#define PAIR		8	/* two words for each lock, the same while nobody has it */
#define INSIDE		16	/* a word for each lock: who has it, plus one */
#define COUNTER		24
#define FUTEX		32
#define FUTEXES		8
#define ASKS		4

/* A wait, for a lock or for words, that has not ended. */
static struct ask {
	struct view *view;	/* NULL: free */
	struct alazy_wait *wait;
	bool lock;
	__u32 which;
} asks[ASKS];

static __u32 *word(const struct view *v, __u32 index)
{
	return alazy_word(v->library, index);
}

static __u32 load(const __u32 *w)
{
	return __atomic_load_n(w, __ATOMIC_RELAXED);
}

static void store(__u32 *w, __u32 value)
{
	__atomic_store_n(w, value, __ATOMIC_RELAXED);
}

/* Two steps, and perhaps death in between. @err: as the lock was got */
static void with_lock(struct view *v, __u32 lock, int err)
{
	__u32 *pair = word(v, PAIR + 2 * lock), *inside = word(v, INSIDE + lock);
	enum phase before = phase_short(PHASE_LIB_LOCKED);

	count(&storm->totals.locks);
	if (err == -EOWNERDEAD) {
		count(&storm->totals.heirs);
		store(&pair[1], load(&pair[0]));
	} else if (load(inside) || load(&pair[0]) != load(&pair[1])) {
		wrong(WRONG_ANSWER, "cache %llu lock %u: it was %u's, %u and %u, and nobody said so",
		      v->serial, lock, load(inside), load(&pair[0]), load(&pair[1]));
	}
	store(inside, self.slot + 1);
	store(&pair[0], load(&pair[0]) + 1);
	phase_short(PHASE_LIB_LOCKED);
	store(&pair[1], load(&pair[1]) + 1);
	if (load(inside) != self.slot + 1 || load(&pair[0]) != load(&pair[1]))
		wrong(WRONG_ANSWER, "cache %llu lock %u: %u came in", v->serial, lock, load(inside));
	store(inside, 0);
	err = alazy_unlock(v->library, word(v, lock));
	if (err)
		wrong(WRONG_ANSWER, "cache %llu: unlock: %s", v->serial, strerror(-err));
	phase(before);
}

static void lock_here(struct view *v, __u32 lock)
{
	bool patient = rnd(2);
	int err;

	phase_short(PHASE_LIB_LOCK);
	if (percent(20))
		err = alazy_trylock(v->library, word(v, lock));
	else
		err = alazy_lock(v->library, word(v, lock),
				 alz_now() + (patient ? ALZ_SOON_MS : rnd(3)) * ALZ_MSEC);
	if (!err || err == -EOWNERDEAD)
		with_lock(v, lock, err);
	else if (err == -ETIMEDOUT && patient)
		wrong(WRONG_STUCK, "cache %llu lock %u: nobody leaves it", v->serial, lock);
	else if (err != -ETIMEDOUT && err != -EBUSY)
		wrong(WRONG_ANSWER, "cache %llu: lock: %s", v->serial, strerror(-err));
}

static struct ask *ask_new(struct view *v, bool lock, __u32 which)
{
	__u32 i;

	for (i = 0; i < ASKS; i++) {
		if (asks[i].view)
			continue;
		asks[i] = (struct ask) { .view = v, .lock = lock, .which = which };
		self.me->waits++;
		return &asks[i];
	}
	return NULL;
}

static void ask_free(struct ask *a)
{
	a->view = NULL;
	self.me->waits--;
}

static void ask_ended(int err, size_t index, void *ctx)
{
	struct ask *a = ctx;
	struct view *v = a->view;
	bool lock = a->lock;

	ask_free(a);
	if (lock ? err && err != -EOWNERDEAD : err || index > 1)
		wrong(WRONG_ANSWER, "cache %llu: a wait of words ended with %d, %zu", v->serial, err,
		      index);
	else if (lock)
		with_lock(v, a->which, err);
}

static void lock_later(struct view *v, __u32 lock)
{
	struct ask *a = ask_new(v, true, lock);
	int err;

	if (!a)
		return;
	phase_short(PHASE_LIB_LOCK);
	err = alazy_lock_async(v->library, word(v, lock), ask_ended, a, &a->wait);
	if (err < 0) {
		ask_free(a);
		wrong(WRONG_ANSWER, "cache %llu: lock: %s", v->serial, strerror(-err));
	}
}

/* Two words as they are now. */
static void some_words(const struct view *v, struct alazy_futex *f)
{
	int i;

	for (i = 0; i < 2; i++) {
		f[i] = (struct alazy_futex) { .word = word(v, FUTEX + rnd(FUTEXES)) };
		f[i].expected = load(f[i].word);
	}
}

static void wait_here(struct view *v)
{
	struct alazy_futex f[2];
	int err;

	some_words(v, f);
	phase_short(PHASE_LIB_WORD);
	err = alazy_futex_wait_any(v->library, f, 2, alz_now() + rnd(3 * ALZ_MSEC), NULL);
	if (err && err != -EAGAIN && err != -ETIMEDOUT)
		wrong(WRONG_ANSWER, "cache %llu: wait: %s", v->serial, strerror(-err));
}

static void wait_by_fd(struct view *v)
{
	struct alazy_futex f[2];
	struct pollfd p = { .events = POLLIN };
	size_t index = 9;
	int err;

	some_words(v, f);
	phase_short(PHASE_LIB_WORD);
	p.fd = alazy_futex_wait_fd(v->library, f, 2, NULL);
	if (p.fd == -EAGAIN)
		return;
	if (p.fd < 0) {
		wrong(WRONG_ANSWER, "cache %llu: wait by fd: %s", v->serial, strerror(-p.fd));
		return;
	}
	poll(&p, 1, rnd(3));
	if (rnd(2)) {
		err = alazy_futex_wait_read(v->library, p.fd, &index);
		if (err ? err != -EAGAIN || p.revents : index > 1)
			wrong(WRONG_ANSWER, "cache %llu: read of a wait: %s", v->serial,
			      strerror(-err));
	}
	close(p.fd);
}

static void wait_later(struct view *v)
{
	struct ask *a = ask_new(v, false, 0);
	struct alazy_futex f[2];
	int err;

	if (!a)
		return;
	some_words(v, f);
	phase_short(PHASE_LIB_WORD);
	err = alazy_futex_wait_async(v->library, f, 2, ask_ended, a, &a->wait, NULL);
	if (!err)
		return;
	ask_free(a);
	if (err != -EAGAIN)
		wrong(WRONG_ANSWER, "cache %llu: wait: %s", v->serial, strerror(-err));
}

static void cancel(struct ask *a)
{
	int err;

	phase_short(PHASE_LIB_CANCEL);
	err = alazy_cancel(a->wait);
	if (err)
		wrong(WRONG_ANSWER, "cancel of a wait for words: %s", strerror(-err));
	ask_free(a);
}

static void wake_some(struct view *v)
{
	static const __u32 counts[] = { 1, 1, 2, UINT32_MAX };
	__u32 *w = word(v, FUTEX + rnd(FUTEXES));
	int n;

	phase_short(PHASE_LIB_WAKE);
	__atomic_fetch_add(w, 1, __ATOMIC_SEQ_CST);
	n = alazy_futex_wake(v->library, w, counts[rnd(4)]);
	if (n < 0)
		wrong(WRONG_ANSWER, "cache %llu: wake: %s", v->serial, strerror(-n));
}

static void count_some(struct view *v)
{
	uint64_t *counter = (uint64_t *)word(v, COUNTER);
	uint64_t seen = alazy_counter_read(counter), now = 0;
	int err;

	if (rnd(2)) {
		phase_short(PHASE_LIB_WAKE);
		/* so much that its lower word comes round */
		err = alazy_counter_add(v->library, counter, 1 + rnd(1ULL << 30), &now);
	} else {
		phase_short(PHASE_LIB_WORD);
		err = alazy_counter_wait(v->library, counter, seen, alz_now() + rnd(3 * ALZ_MSEC),
					 &now);
	}
	if (err ? err != -ETIMEDOUT : now <= seen)
		wrong(WRONG_ANSWER, "cache %llu: counter: %s, from %llu to %llu", v->serial,
		      strerror(-err), (unsigned long long)seen, (unsigned long long)now);
}

/** library_words() - something with words of @v */
void library_words(struct view *v)
{
	__u32 lock = rnd(LOCKS), i;
	__u64 what = rnd(100);

	if (what < 35) {
		lock_here(v, lock);
	} else if (what < 50) {
		lock_later(v, lock);
	} else if (what < 58) {
		wait_here(v);
	} else if (what < 64) {
		wait_by_fd(v);
	} else if (what < 72) {
		wait_later(v);
	} else if (what < 78) {
		i = rnd(ASKS);
		if (asks[i].view)
			cancel(&asks[i]);
	} else if (what < 90) {
		wake_some(v);
	} else {
		count_some(v);
	}
}

/** library_words_calm() - nobody changes words any more; locks still come */
void library_words_calm(void)
{
	__u32 i;

	for (i = 0; i < ASKS; i++)
		if (asks[i].view && !asks[i].lock)
			cancel(&asks[i]);
}

/** library_words_forget() - what waits in @v is gone with it */
void library_words_forget(const struct view *v)
{
	__u32 i;

	for (i = 0; i < ASKS; i++)
		if (asks[i].view == v)
			ask_free(&asks[i]);
}
