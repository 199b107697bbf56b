// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The ticket level: claims in each form, hand-over, a descriptor for one wait.
 * The same program on both backends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "util.h"

#define EVENT_INIT	(ALAZY_CLAIM_EVENT | ALAZY_CLAIM_INIT)
#define FD_INIT		(ALAZY_CLAIM_FD | ALAZY_CLAIM_INIT)

/* ---- claims ------------------------------------------------------------ */

TEST(claim_answers_each_state)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_answer a;
	struct alazy_ticket t;

	check_eq(claim(cache, "k", 0, NULL, &a), ALAZY_ANSWER_EMPTY);
	t = take(cache, "k");
	check_eq(t.attempt, 0);
	check_eq(claim(cache, "k", 0, NULL, &a), ALAZY_ANSWER_PENDING);
	check_eq(claim(cache, "k", ALAZY_CLAIM_INIT, NULL, &a),
		 ALAZY_ANSWER_PENDING);
	publish_int(&t, 3);
	check_eq(claim(cache, "k", 0, NULL, &a), ALAZY_ANSWER_HIT);
	check_eq(ref_int(&a.ref), 3);
	check_eq(a.ref.generation, t.generation);
	alazy_ref_put(&a.ref);
	check_eq(claim(cache, "k", EVENT_INIT, NULL, &a), ALAZY_ANSWER_HIT);
	alazy_ref_put(&a.ref);
	check_eq(claim(cache, "k", FD_INIT, NULL, &a), ALAZY_ANSWER_HIT);
	alazy_ref_put(&a.ref);

	t = take(cache, "bad");
	check_eq(alazy_fail(&t, -EIO, ALAZY_PERMANENT, 0, "text"), 0);
	check_eq(claim(cache, "bad", ALAZY_CLAIM_INIT, NULL, &a),
		 ALAZY_ANSWER_FAILED);
	check_eq(a.err, -EIO);
	check_eq(strcmp(alazy_strerror_detail(), "text"), 0);
	alazy_cache_close(cache);
}

static void *claim_blocking(void *arg)
{
	struct get *get = arg;
	struct alazy_answer a;

	check_eq(claim(get->cache, get->key, ALAZY_CLAIM_INIT | ALAZY_CLAIM_BLOCK,
		       NULL, &a), get->fail);
	get->ticket = a.ticket;
	if (a.kind == ALAZY_ANSWER_HIT) {
		get->got = ref_int(&a.ref);
		alazy_ref_put(&a.ref);
	}
	return NULL;
}

TEST(blocking_claim_waits_for_the_value_or_the_ticket)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get hit = { .cache = cache, .key = "k",
			   .fail = ALAZY_ANSWER_HIT };
	struct get offer = { .cache = cache, .key = "l",
			     .fail = ALAZY_ANSWER_TICKET };
	struct alazy_ticket t = take(cache, "k"), u = take(cache, "l");
	struct alazy_answer a;
	pthread_t threads[2];

	threads[0] = start_thread(claim_blocking, &hit);
	threads[1] = start_thread(claim_blocking, &offer);
	await_waits(cache, 2);
	publish_int(&t, 6);
	check_eq(alazy_abandon(&u), 0);
	join_thread(threads[0]);
	join_thread(threads[1]);
	check_eq(hit.got, 6);
	check_eq(offer.ticket.attempt, 1);
	check_eq(alazy_publish(&u, "late", 4, 0), -ESTALE);
	publish_int(&offer.ticket, 7);
	/* a deadline */
	t = take(cache, "m");
	check_eq(alazy_claim(cache, "m", 1, ALAZY_CLAIM_BLOCK,
			     now_ns() + 5 * MSEC, NULL, NULL, &a), -ETIMEDOUT);
	check_eq(alazy_abandon(&t), 0);
	alazy_cache_close(cache);
}

/* ---- EVENT, FOLLOW ----------------------------------------------------- */

TEST(event_brings_value_error_or_ticket)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct answered hit = { 0 }, failed = { 0 }, offered = { 0 };
	struct alazy_ticket t = take(cache, "hit"), u = take(cache, "failed");
	struct alazy_ticket v = take(cache, "offered");
	struct alazy_answer a;

	check_eq(claim(cache, "hit", ALAZY_CLAIM_EVENT, &hit, &a),
		 ALAZY_ANSWER_PENDING);
	check_eq(claim(cache, "failed", EVENT_INIT, &failed, &a),
		 ALAZY_ANSWER_PENDING);
	check_eq(claim(cache, "offered", EVENT_INIT, &offered, &a),
		 ALAZY_ANSWER_PENDING);
	publish_int(&t, 1);
	check_eq(alazy_fail(&u, -EIO, ALAZY_TRANSIENT, 0, "the text"), 0);
	check_eq(alazy_abandon(&v), 0);
	drive(cache, &hit.calls, 1);
	drive(cache, &failed.calls, 1);
	drive(cache, &offered.calls, 1);
	check_eq(hit.kind, ALAZY_ANSWER_HIT);
	check_eq(hit.value, 1);
	check_eq(failed.kind, ALAZY_ANSWER_FAILED);
	check_eq(failed.err, -EIO);
	check_eq(strcmp(failed.detail, "the text"), 0);
	check_eq(offered.kind, ALAZY_ANSWER_TICKET);
	check_eq(offered.ticket.attempt, 1);
	publish_int(&offered.ticket, 2);
	check_eq(alazy_dispatch(cache), 0);
	check_eq(atomic_load(&offered.calls), 1);
	alazy_cache_close(cache);
}

TEST(kept_error_text_comes_with_its_event)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct answered got = { 0 };
	struct alazy_ticket t = take(cache, "k");
	struct alazy_answer a;

	check_eq(claim(cache, "k", EVENT_INIT, &got, &a), ALAZY_ANSWER_PENDING);
	check_eq(alazy_fail(&t, -EPERM, ALAZY_NEGATIVE, 0, "kept text"), 0);
	drive(cache, &got.calls, 1);
	check_eq(got.kind, ALAZY_ANSWER_FAILED);
	check_eq(got.err, -EPERM);
	check_eq(strcmp(got.detail, "kept text"), 0);
	alazy_cache_close(cache);
}

TEST(waiters_that_cannot_init_are_cancelled_with_the_last_owner)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct answered got = { 0 };
	struct get call = { 0 };
	struct alazy_ticket t = take(cache, "k");
	struct alazy_answer a;

	check_eq(claim(cache, "k", ALAZY_CLAIM_EVENT, &got, &a),
		 ALAZY_ANSWER_PENDING);
	check_eq(get_int_async(cache, "k", NULL, &call, NULL), 0);
	check_eq(alazy_abandon(&t), 0);
	drive(cache, &got.calls, 1);
	drive(cache, &call.dones, 1);
	check_eq(got.kind, ALAZY_ANSWER_FAILED);
	check_eq(got.err, -ECANCELED);
	check_eq(call.err, -ECANCELED);
	check_eq(claim(cache, "k", 0, NULL, &a), ALAZY_ANSWER_EMPTY);
	alazy_cache_close(cache);
}

TEST(follow_tells_the_owner_how_its_flight_ended)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct answered got[3] = { 0 };
	struct alazy_answer a;
	int five = 5;

	check_eq(claim(cache, "k", EVENT_INIT | ALAZY_CLAIM_FOLLOW, &got[0], &a),
		 ALAZY_ANSWER_TICKET);
	check_eq(alazy_dispatch(cache), 0);
	publish_int(&a.ticket, 4);
	drive(cache, &got[0].calls, 1);
	check_eq(got[0].kind, ALAZY_ANSWER_HIT);
	check_eq(got[0].value, 4);

	check_eq(claim(cache, "l", EVENT_INIT | ALAZY_CLAIM_FOLLOW, &got[1], &a),
		 ALAZY_ANSWER_TICKET);
	check_eq(alazy_fail(&a.ticket, -EIO, ALAZY_TRANSIENT, 0, NULL), 0);
	drive(cache, &got[1].calls, 1);
	check_eq(got[1].kind, ALAZY_ANSWER_FAILED);
	check_eq(got[1].err, -EIO);

	/* whoever ends it */
	check_eq(claim(cache, "m", EVENT_INIT | ALAZY_CLAIM_FOLLOW, &got[2], &a),
		 ALAZY_ANSWER_TICKET);
	check_eq(alazy_cache_set(cache, "m", 1, &five, sizeof(five), 0), 0);
	drive(cache, &got[2].calls, 1);
	check_eq(got[2].value, 5);
	check_eq(alazy_publish(&a.ticket, "x", 1, 0), -ESTALE);
	check_eq(alazy_dispatch(cache), 0);
	alazy_cache_close(cache);
}

TEST(owner_that_abandons_follows_its_successor)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct get first = { .value = 1 }, second = { .value = 2 };

	check_eq(get_int_async(cache, "k", make_later, &first, NULL), 0);
	check_eq(get_int_async(cache, "k", make_later, &second, NULL), 0);
	check_eq(alazy_abandon(&first.ticket), 0);
	drive(cache, &second.inits, 1);
	check_eq(second.attempt, 1);
	check_eq(atomic_load(&first.dones), 0);
	publish_int(&second.ticket, 2);
	drive(cache, &first.dones, 1);
	drive(cache, &second.dones, 1);
	check_eq(first.err, 0);
	check_eq(first.got, 2);
	check_eq(second.err, 0);
	check_eq(second.got, 2);
	check_eq(atomic_load(&first.inits), 1);
	check_eq(atomic_load(&second.inits), 1);
	alazy_cache_close(cache);
}

TEST(hand_over_is_first_come_first_served)
{
	enum { WAITERS = 20 };
	struct alazy_cache *cache = open_cache(0, 0);
	struct answered got[WAITERS] = { 0 };
	struct alazy_ticket t = take(cache, "k");
	struct alazy_answer a;
	unsigned int i, j;

	for (i = 0; i < WAITERS; i++)
		check_eq(claim(cache, "k", EVENT_INIT, &got[i], &a),
			 ALAZY_ANSWER_PENDING);
	for (i = 0; i < WAITERS - 1; i++) {
		check_eq(alazy_abandon(&t), 0);
		drive(cache, &got[i].calls, 1);
		check_eq(got[i].kind, ALAZY_ANSWER_TICKET);
		check_eq(got[i].ticket.attempt, i + 1);
		for (j = i + 1; j < WAITERS; j++)
			check_eq(atomic_load(&got[j].calls), 0);
		t = got[i].ticket;
	}
	publish_int(&t, 1);
	drive(cache, &got[WAITERS - 1].calls, 1);
	check_eq(got[WAITERS - 1].kind, ALAZY_ANSWER_HIT);
	alazy_cache_close(cache);
}

/* ---- a descriptor of its own ------------------------------------------- */

static short polled(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	check(poll(&p, 1, 0) >= 0);
	return p.revents;
}

TEST(wait_fd_is_readable_from_the_end_on)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_ticket t = take(cache, "k");
	struct alazy_answer a, r;
	int i;

	check_eq(claim(cache, "k", ALAZY_CLAIM_FD, NULL, &a),
		 ALAZY_ANSWER_PENDING);
	check(a.fd >= 0);
	check_eq(polled(a.fd), 0);
	check_eq(alazy_wait_read(cache, a.fd, &r), -EAGAIN);
	publish_int(&t, 5);
	for (i = 0; i < 3; i++) {
		check_eq(polled(a.fd), POLLIN);
		check_eq(alazy_wait_read(cache, a.fd, &r), 0);
		check_eq(r.kind, ALAZY_ANSWER_HIT);
		check_eq(ref_int(&r.ref), 5);
		alazy_ref_put(&r.ref);
	}
	/* the client's own descriptor has nothing to do with it */
	check_eq(readable(alazy_fd(cache)), 0);
	check_eq(alazy_dispatch(cache), 0);
	close(a.fd);
	alazy_cache_close(cache);
}

TEST(wait_fd_of_a_failure_shows_pollerr)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_ticket t = take(cache, "k"), u = take(cache, "l");
	struct alazy_answer a, b, r;

	check_eq(claim(cache, "k", ALAZY_CLAIM_FD, NULL, &a),
		 ALAZY_ANSWER_PENDING);
	check_eq(claim(cache, "l", ALAZY_CLAIM_FD, NULL, &b),
		 ALAZY_ANSWER_PENDING);
	check_eq(alazy_fail(&t, -EIO, ALAZY_TRANSIENT, 0, "transient"), 0);
	check_eq(alazy_fail(&u, -EPERM, ALAZY_PERMANENT, 0, "permanent"), 0);
	check_eq(polled(a.fd), POLLIN | POLLERR);
	check_eq(polled(b.fd), POLLIN | POLLERR);
	check_eq(alazy_wait_read(cache, a.fd, &r), 0);
	check_eq(r.kind, ALAZY_ANSWER_FAILED);
	check_eq(r.err, -EIO);
	check_eq(strcmp(alazy_strerror_detail(), "transient"), 0);
	check_eq(alazy_wait_read(cache, b.fd, &r), 0);
	check_eq(r.err, -EPERM);
	check_eq(strcmp(alazy_strerror_detail(), "permanent"), 0);
	close(a.fd);
	close(b.fd);
	alazy_cache_close(cache);
}

TEST(wait_fd_brings_the_ticket)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_ticket t = take(cache, "k");
	struct alazy_answer a, b, r;

	check_eq(claim(cache, "k", FD_INIT, NULL, &a), ALAZY_ANSWER_PENDING);
	check_eq(claim(cache, "k", FD_INIT, NULL, &b), ALAZY_ANSWER_PENDING);
	check_eq(alazy_abandon(&t), 0);
	check_eq(polled(a.fd), POLLIN);
	check_eq(polled(b.fd), 0);
	check_eq(alazy_wait_read(cache, a.fd, &r), 0);
	check_eq(r.kind, ALAZY_ANSWER_TICKET);
	check_eq(r.ticket.attempt, 1);
	close(a.fd);	/* told already: the ticket stays */
	check_eq(polled(b.fd), 0);
	publish_int(&r.ticket, 9);
	check_eq(polled(b.fd), POLLIN);
	check_eq(alazy_wait_read(cache, b.fd, &r), 0);
	check_eq(ref_int(&r.ref), 9);
	alazy_ref_put(&r.ref);
	close(b.fd);
	alazy_cache_close(cache);
}

TEST(closed_wait_fd_ends_its_wait)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_ticket t = take(cache, "k");
	struct alazy_answer a, b, c, r;

	check_eq(claim(cache, "k", FD_INIT, NULL, &a), ALAZY_ANSWER_PENDING);
	check_eq(claim(cache, "k", FD_INIT, NULL, &b), ALAZY_ANSWER_PENDING);
	check_eq(claim(cache, "k", FD_INIT, NULL, &c), ALAZY_ANSWER_PENDING);
	close(a.fd);			/* while it waits */
	check_eq(alazy_abandon(&t), 0);	/* b has the ticket on its way */
	check_eq(polled(b.fd), POLLIN);
	close(b.fd);			/* nobody has seen it: c gets it */
	/* in one process nobody tells the library: its next call sees it */
	if (!on_kernel())
		check(alazy_dispatch(cache) >= 0);
	check_eq(polled(c.fd), POLLIN);
	check_eq(alazy_wait_read(cache, c.fd, &r), 0);
	check_eq(r.kind, ALAZY_ANSWER_TICKET);
	publish_int(&r.ticket, 1);
	close(c.fd);
	check_eq(stats_of(cache).tickets_now, 0);
	alazy_cache_close(cache);
}

static unsigned int open_descriptors(void)
{
	unsigned int n = 0;
	int fd;

	for (fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

TEST(closed_wait_fds_leave_nothing_behind)
{
	enum { WAITS = 50 };
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_answer a[WAITS], r;
	struct alazy_ticket t = take(cache, "k");
	unsigned int i, before;

	check(alazy_fd(cache) >= 0);
	before = open_descriptors();
	for (i = 0; i < WAITS; i++)
		check_eq(claim(cache, "k", ALAZY_CLAIM_FD, NULL, &a[i]),
			 ALAZY_ANSWER_PENDING);
	for (i = 0; i < WAITS / 2; i++)		/* before the end */
		close(a[i].fd);
	publish_int(&t, 5);
	for (; i < WAITS; i++) {		/* after it, read or not */
		if (i % 2) {
			check_eq(alazy_wait_read(cache, a[i].fd, &r), 0);
			alazy_ref_put(&r.ref);
		}
		close(a[i].fd);
	}
	check_eq(alazy_dispatch(cache), 0);
	check_eq(stats_of(cache).waits_now, 0);
	check_eq(open_descriptors(), before);
	alazy_cache_close(cache);
}

/* Its offset would lead nowhere; the right cache can still read it. */
TEST(wait_read_in_another_cache_is_refused)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_cache *other = open_cache(0, 0);
	struct alazy_ticket t = take(cache, "k");
	struct alazy_answer a, r;

	check_eq(claim(cache, "k", ALAZY_CLAIM_FD, NULL, &a),
		 ALAZY_ANSWER_PENDING);
	publish_int(&t, 5);
	check_eq(alazy_wait_read(other, a.fd, &r), -EBADF);
	check_detail("descriptor");
	check_eq(alazy_wait_read(cache, a.fd, &r), 0);
	check_eq(ref_int(&r.ref), 5);
	alazy_ref_put(&r.ref);
	close(a.fd);
	alazy_cache_close(other);
	alazy_cache_close(cache);
}

TEST(wait_read_of_another_descriptor_is_refused)
{
	struct alazy_cache *cache = open_cache(0, 0);
	struct alazy_answer r;
	int pipes[2];

	check_eq(pipe(pipes), 0);
	check(alazy_wait_read(cache, pipes[0], &r) < 0);
	check_detail("descriptor|fd|wait");
	check(alazy_wait_read(cache, -1, &r) < 0);
	check_detail("descriptor|fd|wait");
	close(pipes[0]);
	close(pipes[1]);
	alazy_cache_close(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(claim_answers_each_state),
		cmocka_unit_test(blocking_claim_waits_for_the_value_or_the_ticket),
		cmocka_unit_test(event_brings_value_error_or_ticket),
		cmocka_unit_test(kept_error_text_comes_with_its_event),
		cmocka_unit_test(waiters_that_cannot_init_are_cancelled_with_the_last_owner),
		cmocka_unit_test(follow_tells_the_owner_how_its_flight_ended),
		cmocka_unit_test(owner_that_abandons_follows_its_successor),
		cmocka_unit_test(hand_over_is_first_come_first_served),
		cmocka_unit_test(wait_fd_is_readable_from_the_end_on),
		cmocka_unit_test(wait_fd_of_a_failure_shows_pollerr),
		cmocka_unit_test(wait_fd_brings_the_ticket),
		cmocka_unit_test(closed_wait_fd_ends_its_wait),
		cmocka_unit_test(closed_wait_fds_leave_nothing_behind),
		cmocka_unit_test(wait_read_of_another_descriptor_is_refused),
		cmocka_unit_test(wait_read_in_another_cache_is_refused),
	};

	return RUN_TESTS(tests);
}
