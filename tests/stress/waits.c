// SPDX-License-Identifier: GPL-2.0-only
/* The waits of a worker on the uAPI: events, wait fds, and taking them back. */
#include "storm.h"

#define WAITS_MAX	24
#define EVENTS_MAX	8

struct wait {
	struct view *view;
	__u32 key;
	__u64 cookie;
	int fd;			/* -1: an event */
	bool able;		/* may be offered the ticket */
	bool follow;
};

static struct wait waits[WAITS_MAX];
static __u32 nr_waits;

static void waits_del(__u32 n)
{
	waits[n] = waits[--nr_waits];
	self.me->waits = nr_waits;
}

/* An offer may have gone to another between poll and read. */
void set_nonblock(int fd)
{
	fcntl(fd, F_SETFL, O_NONBLOCK);
}

void waits_add(struct view *v, __u32 key, __u64 cookie, int fd, bool able, bool follow)
{
	if (fd >= 0)
		set_nonblock(fd);
	waits[nr_waits++] = (struct wait) { v, key, cookie, fd, able, follow };
	self.me->waits = nr_waits;
}

bool waits_room(void)
{
	return nr_waits < WAITS_MAX;
}

__u32 waits_left(void)
{
	return nr_waits;
}

/* Whether a ticket may be on its way to us, of one cache or any: then others may wait for us. */
static bool waits_able(const struct view *v)
{
	__u32 i;

	for (i = 0; i < nr_waits; i++)
		if (waits[i].able && (!v || waits[i].view == v))
			return true;
	return false;
}

bool waits_any_able(void)
{
	return waits_able(NULL);
}

void waits_drop_view(const struct view *v)
{
	__u32 i = 0;

	while (i < nr_waits) {
		if (waits[i].view != v) {
			i++;
			continue;
		}
		if (waits[i].fd >= 0)
			close(waits[i].fd);
		waits_del(i);
	}
}

/* Take one back. One thread reads the events, so its event was not read yet. */
void waits_cancel(void)
{
	struct wait w;
	__u32 n;
	int err;

	if (!nr_waits)
		return;
	n = rnd(nr_waits);
	w = waits[n];
	self.me->key = w.key;
	phase_short(PHASE_CANCEL);
	if (w.fd >= 0) {
		close(w.fd);
	} else {
		err = alz_cancel(&w.view->a, w.cookie);
		if (err)
			wrong(WRONG_ANSWER, "cache %llu key %u: cancel of wait %llu: %s",
			      w.view->serial, w.key, w.cookie, strerror(-err));
	}
	waits_del(n);
}

static void waits_ticket(struct wait *w, const struct asynclazy_event *e)
{
	ticket_hold(w->view, w->key, e->generation, e->ticket, e->attempt);
	if (worker_hurry(w->key))
		ticket_end(self.nr_held - 1, calm());
}

/* The text of an error whose event was read: fetch it, or let it go. */
static void waits_text(const struct wait *w, const struct asynclazy_event *e)
{
	char text[ASYNCLAZY_DETAIL_MAX];
	__u32 size;
	int err;

	if (percent(15)) {
		phase_short(PHASE_CANCEL);
		err = alz_cancel(&w->view->a, w->cookie);
	} else {
		phase_short(PHASE_FETCH);
		err = alz_fetch(&w->view->a, w->cookie, text, sizeof(text), &size);
		if (!err)
			record_failed(w->view, w->key, e->generation, e->error, e->offset, text,
				      size, "fetched");
	}
	if (err)
		wrong(WRONG_ANSWER, "cache %llu key %u: text of wait %llu: %s", w->view->serial,
		      w->key, w->cookie, strerror(-err));
}

static void waits_ended(const struct wait *w, const struct asynclazy_event *e,
			const char *text, const char *how)
{
	count(&storm->totals.waits_ended);
	if (e->cache_id != w->view->a.header->cache_id)
		wrong(WRONG_ANSWER, "cache %llu: event of cache id %llu", w->view->serial,
		      e->cache_id);
	if (e->result == ASYNCLAZY_RESULT_HIT)
		record_check(w->view, w->key, e->generation, e->offset, RECORD_HELD, how);
	else if (e->result != ASYNCLAZY_RESULT_FAILED)
		wrong(WRONG_ANSWER, "cache %llu key %u: event with result %u", w->view->serial,
		      w->key, e->result);
	else if (e->flags & ASYNCLAZY_EVENT_DETAIL)
		waits_text(w, e);
	else
		record_failed(w->view, w->key, e->generation, e->error, e->offset, text,
			      e->detail_size, how);
}

static void waits_event(struct view *v, const struct asynclazy_event *e)
{
	__u32 n = 0;
	struct wait w;

	count(&storm->totals.events);
	while (n < nr_waits && (waits[n].view != v || waits[n].fd >= 0 ||
				waits[n].cookie != e->cookie))
		n++;
	if (n == nr_waits) {
		wrong(WRONG_ANSWER, "cache %llu: event for wait %llu, which is not there",
		      v->serial, e->cookie);
		return;
	}
	w = waits[n];
	self.me->key = w.key;
	if (e->result != ASYNCLAZY_RESULT_TICKET) {
		waits_ended(&w, e, NULL, "event");
		waits_del(n);
		return;
	}
	if (w.follow)
		waits[n].able = false;
	else
		waits_del(n);
	waits_ticket(&w, e);
}

static void waits_events(struct view *v)
{
	struct asynclazy_event e[EVENTS_MAX];
	ssize_t n, i;

	phase_short(PHASE_EVENTS);
	n = read(v->a.client, e, (1 + rnd(EVENTS_MAX)) * sizeof(*e));
	/* an offer that was not read in time has gone to another */
	if (n < 0 && errno == EAGAIN && waits_able(v))
		return;
	if (n <= 0 || n % sizeof(*e)) {
		wrong(WRONG_ANSWER, "cache %llu: read of events: %zd, %s", v->serial, n,
		      strerror(errno));
		return;
	}
	for (i = 0; i < n / (ssize_t)sizeof(*e); i++)
		waits_event(v, &e[i]);
}

/* A wait fd is readable: it is so for ever, and says the same for ever. */
static void waits_fd(__u32 n)
{
	struct {
		struct asynclazy_event e;
		char text[ASYNCLAZY_DETAIL_MAX];
	} one, two;
	struct wait w = waits[n];
	ssize_t size;

	self.me->key = w.key;
	phase_short(PHASE_WAITFD);
	if (percent(90)) {
		size = read(w.fd, &one, sizeof(one));
		if (size < 0 && errno == EAGAIN && w.able)
			return;
		if (size < (ssize_t)sizeof(one.e) || one.e.cookie != w.cookie) {
			wrong(WRONG_ANSWER, "cache %llu key %u: read of a wait fd: %zd, %s",
			      w.view->serial, w.key, size, strerror(errno));
		} else {
			if (percent(30) && (read(w.fd, &two, sizeof(two)) != size ||
					    memcmp(&one, &two, size)))
				wrong(WRONG_ANSWER, "cache %llu key %u: a wait fd changed its mind",
				      w.view->serial, w.key);
			if (one.e.result != ASYNCLAZY_RESULT_TICKET)
				waits_ended(&w, &one.e, one.text, "wait fd");
			else
				ticket_hold(w.view, w.key, one.e.generation, one.e.ticket,
					    one.e.attempt);
		}
	}
	phase_short(PHASE_CANCEL);
	close(w.fd);
	waits_del(n);
}

/* Wait for an end, and take it. */
void waits_serve(int timeout_ms)
{
	struct pollfd fds[CACHES + WAITS_MAX];
	__u32 i, n = CACHES;

	for (i = 0; i < CACHES; i++)
		fds[i] = (struct pollfd) { .fd = self.views[i].a.client, .events = POLLIN };
	for (i = 0; i < nr_waits; i++)
		if (waits[i].fd >= 0)
			fds[n++] = (struct pollfd) { .fd = waits[i].fd, .events = POLLIN };
	phase(PHASE_POLL);
	if (poll(fds, n, timeout_ms) <= 0)
		return;
	for (i = 0; i < CACHES; i++)
		if (fds[i].revents)
			waits_events(&self.views[i]);
	/* waits move about: look for each fd again */
	while (n-- > CACHES) {
		if (!fds[n].revents)
			continue;
		for (i = 0; i < nr_waits; i++)
			if (waits[i].fd == fds[n].fd)
				break;
		if (i < nr_waits)
			waits_fd(i);
	}
}
