// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * Per-wait descriptors of the local backend. The caller has one end of a pair
 * of datagram sockets, and reads nothing from it; we keep the other.
 *
 * Readable for ever: a datagram that nobody takes. EPOLLERR with it: when a
 * connected datagram socket parts from its peer with mail unread, the peer
 * gets ECONNRESET, so the caller's end has one lie here from the start.
 *
 * Nobody tells us that the caller has closed its end. Sending to it then fails:
 * whoever is about to wait, or to look for events, has us try the ends that
 * have a ticket which was not read. The others are looked for by and by: a
 * descriptor that is not the one that we made has been closed. (A duplicate of
 * it is then told that its wait is over.)
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "local.h"

#define ALZ_COLLECT_BATCH	64	/* descriptors to look at in one go */

struct alz_local_wait {
	struct alz_waiter waiter;
	int fd;			/* the caller's */
	int peer;		/* ours */
	ino_t inode;		/* of ->fd, while the caller has it */
	bool offered;		/* with a ticket, not read */
	bool lost;		/* nobody will read it */
};

/* The caller's end stays open. */
static void alz_local_wait_free(struct alz_local_wait *w)
{
	if (!w)
		return;
	if (w->peer >= 0)
		close(w->peer);
	free(w);
}

/** alz_local_wait_new() - Return: a wait that is not registered, or NULL with errno */
struct alz_local_wait *alz_local_wait_new(struct alz_waiter **waiter)
{
	struct alz_local_wait *w = calloc(1, sizeof(*w));
	struct stat st;
	int fds[2];

	if (!w)
		return NULL;
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds)) {
		free(w);
		return NULL;
	}
	w->fd = fds[0];
	w->peer = fds[1];
	if (fstat(w->fd, &st) || send(w->fd, "", 1, MSG_NOSIGNAL) != 1) {
		close(w->fd);
		alz_local_wait_free(w);
		return NULL;
	}
	w->inode = st.st_ino;
	w->waiter.os = w;
	*waiter = &w->waiter;
	return w;
}

static bool alz_local_wait_told(const struct alz_local_wait *w)
{
	return send(w->peer, "", 1, MSG_NOSIGNAL) == 1 || errno == EAGAIN;
}

/* Under the core's lock; alz_local_sweep_due() looks without it. */
static void alz_local_count(u32 *n, u32 by)
{
	__atomic_store_n(n, *n + by, __ATOMIC_RELAXED);
}

/* Whoever polls the caller's end sees an error from now on. */
static void alz_local_wait_error(const struct alz_local_wait *w)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	connect(w->peer, &none, sizeof(none));
}

/*
 * A ticket was offered to a descriptor. Those who are blocked behind it may
 * have to find out that it was closed: they begin to look now and then.
 */
static void alz_local_wait_offered(struct alz_local_wait *w)
{
	struct alz_local_client *client = w->waiter.client->os;
	struct alz_list *head = &w->waiter.flight->waiters;
	struct alz_list *at;

	w->offered = true;
	alz_local_count(&client->shared->offers, 1);
	for (at = head->next; at != head; at = at->next) {
		struct alz_waiter *other = alz_entry(at, struct alz_waiter, link);

		if (other->kind == ALZ_WAIT_BLOCK)
			alz_os_wake(other);
	}
}

/** alz_local_wait_wake() - it has ended, or has the ticket; under the core's lock */
void alz_local_wait_wake(struct alz_local_wait *w)
{
	struct alz_local_client *client = w->waiter.client->os;
	struct alz_local_core *shared = client->shared;

	if (w->waiter.state == ALZ_OFFERED)
		alz_local_wait_offered(w);
	if (!alz_local_wait_told(w)) {
		w->lost = true;
		alz_local_count(&shared->lost, 1);
	} else if (w->waiter.state == ALZ_ORPHAN ||
		   (w->waiter.state == ALZ_ENDED &&
		    w->waiter.flight->result == ASYNCLAZY_RESULT_FAILED)) {
		alz_local_wait_error(w);
	}
}

/* Take a wait whose descriptor is gone off its client. Under the core's lock. */
static void alz_local_wait_unlink(struct alz_local_client *client, struct alz_local_wait *w)
{
	client->waits[w->fd] = NULL;
	if (w->offered)
		alz_local_count(&client->shared->offers, -1);
	if (w->lost)
		alz_local_count(&client->shared->lost, -1);
}

/*
 * Whether @fd is still the caller's end of @w, and not another file of its
 * number, which another thread may be making just now: ThreadSanitizer would
 * call fstat() a race with that.
 */
static bool alz_local_wait_is(const struct alz_local_wait *w, int fd)
{
	struct stat st;

	return w && !fstatat(fd, "", &st, AT_EMPTY_PATH) && S_ISSOCK(st.st_mode) &&
	       st.st_ino == w->inode;
}

/* It is off its client, and its descriptor is closed. */
static void alz_local_wait_end(struct alz_local_core *shared, struct alz_local_wait *w)
{
	alz_wait_fd_close(&shared->core, &w->waiter);
	alz_local_wait_free(w);
}

/* The room for descriptor @fd, whose former holder, if any, was closed. */
static int alz_local_waits_room(struct alz_local_client *client, int fd,
				struct alz_local_wait **former)
{
	struct alz_local_wait **waits;
	int n = client->nr_waits ? client->nr_waits : 64;

	while (n <= fd)
		n *= 2;
	if (n > client->nr_waits) {
		waits = realloc(client->waits, n * sizeof(*waits));
		if (!waits)
			return -ENOMEM;
		memset(waits + client->nr_waits, 0,
		       (n - client->nr_waits) * sizeof(*waits));
		client->waits = waits;
		client->nr_waits = n;
	}
	*former = client->waits[fd];
	if (*former)
		alz_local_wait_unlink(client, *former);
	return 0;
}

/** alz_local_wait_add() - before it is registered. Return: 0, -ENOMEM */
int alz_local_wait_add(struct alz_local_client *client, struct alz_local_wait *w)
{
	struct alz_local_core *shared = client->shared;
	struct alz_local_wait *former = NULL;
	int err;

	alz_os_lock(&shared->core.lock);
	err = alz_local_waits_room(client, w->fd, &former);
	if (!err)
		client->waits[w->fd] = w;
	alz_os_unlock(&shared->core.lock);
	if (former)
		alz_local_wait_end(shared, former);
	return err;
}

/* Under the core's lock: the first wait of a client whose ticket is lost. */
static struct alz_local_wait *alz_local_waits_lost(struct alz_local_client *client)
{
	int i;

	for (i = 0; i < client->nr_waits; i++) {
		struct alz_local_wait *w = client->waits[i];

		if (w && (w->lost || (w->offered && !alz_local_wait_told(w)))) {
			alz_local_wait_unlink(client, w);
			return w;
		}
	}
	return NULL;
}

/* Under the core's lock. */
static struct alz_local_wait *alz_local_lost(struct alz_local_core *shared)
{
	struct alz_list *head = &shared->core.clients;
	struct alz_local_wait *w = NULL;
	struct alz_list *at;

	for (at = head->next; at != head && !w; at = at->next)
		w = alz_local_waits_lost(alz_entry(at, struct alz_local_client, core.link));
	return w;
}

/** alz_local_waits_sweep() - hand on the tickets of descriptors that were closed */
void alz_local_waits_sweep(struct alz_local_core *shared)
{
	struct alz_local_wait *w;

	do {
		alz_os_lock(&shared->core.lock);
		w = alz_local_lost(shared);
		alz_os_unlock(&shared->core.lock);
		if (w)
			alz_local_wait_end(shared, w);
	} while (w);
}

/*
 * Under the core's lock: one of the next waits whose descriptor was closed.
 * @at and @budget: where to go on, and how many may be looked at.
 */
static struct alz_local_wait *alz_local_waits_closed(struct alz_local_client *client,
						     int *at, int *budget)
{
	for (; *at < client->nr_waits && *budget; ++*at) {
		struct alz_local_wait *w = client->waits[*at];

		if (!w)
			continue;
		--*budget;
		if (alz_local_wait_is(w, w->fd))
			continue;
		alz_local_wait_unlink(client, w);
		if (alz_local_wait_told(w))
			alz_local_wait_error(w);
		return w;
	}
	return NULL;
}

/** alz_local_waits_collect() - end some of the waits whose descriptor was closed */
void alz_local_waits_collect(struct alz_local_client *client)
{
	struct alz_local_core *shared = client->shared;
	int budget = ALZ_COLLECT_BATCH;
	struct alz_local_wait *w;
	int at;

	alz_os_lock(&shared->core.lock);
	at = client->collected;
	do {
		w = alz_local_waits_closed(client, &at, &budget);
		client->collected = at < client->nr_waits ? at : 0;
		if (!w)
			break;
		alz_os_unlock(&shared->core.lock);
		alz_local_wait_end(shared, w);
		alz_os_lock(&shared->core.lock);
	} while (budget);
	alz_os_unlock(&shared->core.lock);
}

/**
 * alz_local_wait_read() - Return: 0 with @answer; -EAGAIN; -EBADF: no wait of
 * this client
 */
int alz_local_wait_read(struct alz_local_client *client, int fd, struct alz_answer *answer)
{
	struct alz_local_core *shared = client->shared;
	struct alz_local_wait *w = NULL;

	alz_os_lock(&shared->core.lock);
	if (fd >= 0 && fd < client->nr_waits)
		w = client->waits[fd];
	if (!alz_local_wait_is(w, fd))
		w = NULL;
	if (w && w->offered) {
		w->offered = false;
		alz_local_count(&shared->offers, -1);
	}
	alz_os_unlock(&shared->core.lock);
	if (!w)
		return -EBADF;
	alz_wait_fd_answer(&shared->core, &w->waiter, true, answer);
	return answer->result == ASYNCLAZY_RESULT_PENDING ? -EAGAIN : 0;
}

/** alz_local_wait_close() - close a descriptor, of a wait of this client, and end that */
void alz_local_wait_close(struct alz_local_client *client, int fd)
{
	struct alz_local_wait *w;

	alz_os_lock(&client->shared->core.lock);
	w = client->waits[fd];
	alz_local_wait_unlink(client, w);
	alz_os_unlock(&client->shared->core.lock);
	close(fd);
	alz_local_wait_end(client->shared, w);
}

/** alz_local_wait_discard() - added, but not registered: nobody has seen its end */
void alz_local_wait_discard(struct alz_local_client *client, struct alz_local_wait *w)
{
	alz_os_lock(&client->shared->core.lock);
	if (w->fd < client->nr_waits && client->waits[w->fd] == w)
		alz_local_wait_unlink(client, w);
	alz_os_unlock(&client->shared->core.lock);
	close(w->fd);
	alz_local_wait_free(w);
}

int alz_local_wait_fd(const struct alz_local_wait *w)
{
	return w->fd;
}

/** alz_local_waits_free() - the client has detached */
void alz_local_waits_free(struct alz_local_client *client)
{
	int i;

	for (i = 0; i < client->nr_waits; i++)
		alz_local_wait_free(client->waits[i]);
	free(client->waits);
	client->waits = NULL;
	client->nr_waits = 0;
}
