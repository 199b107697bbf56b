// SPDX-License-Identifier: GPL-2.0-only
/* The tickets that a worker holds, and how it ends them. */
#include "storm.h"

static void ticket_forget(__u32 n)
{
	self.held[n] = self.held[--self.nr_held];
	self.me->held = self.nr_held;
}

/* Note a ticket that was granted; make room for it if need be. */
void ticket_hold(struct view *v, __u32 key, __u64 generation, __u64 ticket,
		 __u32 attempt)
{
	ledger_grant(v, key, generation, ticket, attempt);
	if (self.nr_held == HELD_MAX)
		ticket_end(0, true);
	self.held[self.nr_held++] = (struct held) {
		.view = v, .key = key, .generation = generation, .ticket = ticket,
	};
	self.me->held = self.nr_held;
}

/* Where in self.held it is; self.nr_held: it has ended. */
__u32 ticket_find(const struct view *v, __u64 ticket)
{
	__u32 n = 0;

	while (n < self.nr_held && (self.held[n].view != v || self.held[n].ticket != ticket))
		n++;
	return n;
}

/* The client of this cache is about to go, and its tickets with it. */
void ticket_drop_view(const struct view *v)
{
	__u32 i = 0;

	while (i < self.nr_held) {
		if (self.held[i].view != v) {
			i++;
			continue;
		}
		ledger_ending(&self.held[i]);
		ticket_forget(i);
	}
}

static struct alazy_ticket ticket_library(const struct held *h)
{
	return (struct alazy_ticket) {
		.cache = h->view->library, .id = h->ticket, .generation = h->generation,
	};
}

/*
 * As a memfd. Return: -errno of the call; 1: none could be made
 */
static int ticket_publish_memfd(const struct held *h, const void *data, size_t size)
{
	__u32 flags = percent(30) ? ASYNCLAZY_VALUE_UNKEPT : 0;
	enum phase before = phase(PHASE_PUBLISH_MEMFD);
	int fd = alz_memfd(data, size, ALZ_SEALS);
	struct asynclazy_publish p;
	int err;

	if (fd < 0)
		return 1;
	if (h->view->library) {
		struct alazy_ticket t = ticket_library(h);

		err = alazy_publish_fd(&t, fd, NULL);
	} else {
		err = alz_publish_memfd(&h->view->a, h->ticket, fd, size, flags, &p);
	}
	close(fd);
	phase(before);
	if (!err)
		count(&storm->totals.memfds);
	return err;
}

/* Set a key, now and then to a memfd. Return: -errno */
int ticket_set(struct view *v, __u32 key, const void *data, size_t size, __u64 *generation)
{
	struct asynclazy_set s;
	char name[32];
	int err, fd = -1;

	key_name(key, name);
	if (percent(10))
		fd = alz_memfd(data, size, ALZ_SEALS);
	if (fd < 0) {
		err = alz_set_bytes(&v->a, name, data, size, 0, &s);
	} else {
		err = alz_set_memfd(&v->a, name, fd, size, &s);
		close(fd);
	}
	*generation = s.out_generation;
	return err;
}

int ticket_publish(const struct held *h, const void *data, size_t size)
{
	__u64 ttl = percent(30) ? (1 + rnd(50)) * ALZ_MSEC : 0;
	struct asynclazy_publish p;
	int err;

	if (h->view->library) {
		struct alazy_ticket t = ticket_library(h);

		return alazy_publish(&t, data, size, ttl);
	}
	err = alz_publish_bytes(&h->view->a, h->ticket, data, size, ttl, &p);
	if (!err && p.out_generation != h->generation)
		wrong(WRONG_ANSWER, "generation %llu was published as %llu", h->generation,
		      p.out_generation);
	return err;
}

/* What came of publishing it: -errno, or 0, then it is no longer held. */
static int ticket_published(const struct held *h, struct value_note *note, int err)
{
	struct view *v = h->view;

	note->state = err ? VALUE_REFUSED : VALUE_STORED;
	if (err && err != -ESTALE) {
		ledger_alive(h);
		return err;
	}
	ledger_ended(h, err);
	if (!err) {
		ledger_outcome(v, h->generation, OUTCOME_VALUE, note - v->ledger->value);
		count(&storm->totals.published);
	}
	return err;
}

/* -errno, or 0: then it is no longer held. */
static int ticket_publish_some(const struct held *h)
{
	struct view *v = h->view;
	__u32 size = value_size(v);
	struct value_note *note;
	const void *value;
	int err;

	phase(PHASE_MAKE);
	value = value_make(v, h->key, h, size, &note);
	if (!value)
		return -ENOSPC;
	ledger_ending(h);
	phase(PHASE_PUBLISH);
	if (storm->can_cut && !v->index && percent(calm() ? 1 : 10))
		err = copy_publish(h, value, size);
	else if (percent(2))
		err = copy_bad(h, value, size);
	else
		err = percent(8) ? ticket_publish_memfd(h, value, size) : 1;
	if (err > 0)
		err = ticket_publish(h, value, size);
	phase(PHASE_MAKE);
	return ticket_published(h, note, err);
}

static int ticket_fail(const struct held *h)
{
	__u32 class = rnd(10) < 6 ? TRANSIENT : rnd(2) ? NEGATIVE : PERMANENT;
	__u64 ttl = class == NEGATIVE ? (1 + rnd(100)) * ALZ_MSEC : 0;
	char text[ASYNCLAZY_DETAIL_MAX];
	int error = error_make(h, text);
	int err;

	ledger_ending(h);
	phase_short(PHASE_FAIL);
	if (h->view->library) {
		struct alazy_ticket t = ticket_library(h);

		err = alazy_fail(&t, -error, class, ttl, text);
	} else {
		err = alz_fail(&h->view->a, h->ticket, error, class, ttl, text);
	}
	phase(PHASE_MAKE);
	if (err && err != -ESTALE)
		return err;
	ledger_ended(h, err);
	if (!err) {
		ledger_outcome(h->view, h->generation, OUTCOME_ERROR, h->ticket);
		count(&storm->totals.failed);
	}
	return err;
}

static int ticket_abandon(const struct held *h)
{
	int err;

	ledger_ending(h);
	phase_short(PHASE_ABANDON);
	if (h->view->library) {
		struct alazy_ticket t = ticket_library(h);

		err = alazy_abandon(&t);
	} else {
		err = alz_abandon(&h->view->a, h->ticket);
	}
	phase(PHASE_MAKE);
	if (!err)
		count(&storm->totals.abandoned);
	return err;
}

/* Its leases begin anew. Return: -errno of the call */
int ticket_renew(const struct held *h)
{
	struct asynclazy_extend e = { .size = sizeof(e), .ticket = h->ticket };

	if (h->view->library) {
		struct alazy_ticket t = ticket_library(h);

		return alazy_extend(&t, 0, 0);
	}
	phase_short(PHASE_EXTEND);
	return alz_call(h->view->a.client, ASYNCLAZY_IOC_EXTEND, &e);
}

void ticket_extend(__u32 n)
{
	const struct held *h = &self.held[n];
	int err = ticket_renew(h);

	if (err == -ESTALE) {
		ledger_ending(h);
		ledger_ended(h, err);
		count(&storm->totals.stale);
		ticket_forget(n);
	} else if (err < 0) {
		wrong(WRONG_ANSWER, "cache %llu key %u: extend: %s", h->view->serial, h->key,
		      strerror(-err));
	}
}

/*
 * End a ticket with a value that wants little room, and stays.
 * Return: 0; -ENOSPC: there is no room; -ESTALE: it came late; other -errno
 */
int ticket_keep(__u32 n)
{
	const struct held *h = &self.held[n];
	__u32 size = value_size_least();
	struct asynclazy_publish p;
	struct value_note *note;
	const void *value = value_make(h->view, h->key, h, size, &note);
	int err = -ENOSPC;

	if (value) {
		ledger_ending(h);
		err = alz_publish_bytes(&h->view->a, h->ticket, value, size, 3600 * ALZ_SEC, &p);
		err = ticket_published(h, note, err);
	}
	if (err == -ESTALE) {
		count(&storm->totals.stale);
	} else if (err) {
		int late = ticket_abandon(h);

		count(&storm->totals.nospace);
		if (late && late != -ESTALE)
			wrong(WRONG_ANSWER, "cache %llu key %u: abandon: %s", h->view->serial,
			      h->key, strerror(-late));
	}
	ticket_forget(n);
	return err;
}

/* End a ticket in one of the ways, or, unless it must end, leave it. */
void ticket_end(__u32 n, bool must)
{
	const struct held *h = &self.held[n];
	enum phase before = phase(PHASE_MAKE);
	__u64 way = rnd(must ? 85 : 100);
	int err = 0;

	self.me->key = h->key;
	if (way < 55) {
		err = ticket_publish_some(h);
		if (err == -ENOSPC || err == -EFBIG || err == -ENOMEM || err == -EFAULT) {
			count(&storm->totals.nospace);
			/* as an honest initialiser: it still has the ticket */
			err = rnd(2) ? ticket_fail(h) : ticket_abandon(h);
		}
	} else if (way < 72) {
		err = ticket_fail(h);
	} else if (way < 85) {
		err = ticket_abandon(h);
	} else {
		goto out;
	}
	if (err == -ESTALE)
		count(&storm->totals.stale);
	else if (err)
		wrong(WRONG_ANSWER, "cache %llu key %u: ending ticket %llu: %s", h->view->serial,
		      h->key, h->ticket, strerror(-err));
	ticket_forget(n);
out:
	phase(before);
}
