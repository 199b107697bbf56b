// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The local backend's calls: what the kernel's call layer does, on the core in
 * this process.
 */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "local.h"

static struct alz_local_client *alz_local(const struct alazy_cache *cache)
{
	return cache->priv;
}

static void alz_local_pages_free(struct alz_local_client *client)
{
	if (client->pins)
		alz_os_pages_free(client->pins, ASYNCLAZY_PINS_SIZE);
	if (client->held)
		alz_os_pages_free(client->held, ASYNCLAZY_HELD_SIZE);
}

/* The pages that are of a client. */
static int alz_local_pages_new(struct alz_local_client *client)
{
	const struct alz_cache *core = &client->shared->core;

	if (!core->arena.stable)
		client->pins = alz_os_pages_alloc(ASYNCLAZY_PINS_SIZE);
	if (core->nr_words)
		client->held = alz_os_pages_alloc(ASYNCLAZY_HELD_SIZE);
	return (client->pins || core->arena.stable) && (client->held || !core->nr_words) ?
		0 : -ENOMEM;
}

static int alz_local_backend_open(struct alazy_cache *cache, const char *name,
				  const struct alazy_cache_opts *opts)
{
	struct alz_local_client *client = calloc(1, sizeof(*client));
	struct alz_cache *core;
	int err;

	if (!client)
		return alz_error_backend(-ENOMEM);
	err = alz_local_open(&client->shared, name, opts);
	if (err) {
		free(client);
		return err;
	}
	client->readonly = opts->flags & ALAZY_CACHE_READONLY;
	if (alz_local_pages_new(client)) {
		alz_local_pages_free(client);
		alz_local_close(client->shared);
		free(client);
		return alz_error_backend(-ENOMEM);
	}
	alz_local_attach(client);
	core = &client->shared->core;
	alz_view_init(&cache->view, core->header, client->shared->arena);
	cache->view.pins = client->pins;
	cache->view.visited = core->visited;
	cache->words = (struct alz_words){
		.nr = core->nr_words,
		.words = core->words,
		.waiting = core->waiting,
		.held = client->readonly ? NULL : client->held,
		.lock_id = client->core.lock_id,
	};
	cache->priv = client;
	return 0;
}

static void alz_local_backend_close(struct alazy_cache *cache)
{
	struct alz_local_client *client = alz_local(cache);

	/* a child that never called: see alz_local_mourn() */
	alz_local_reattach(client->shared);
	alz_local_detach(client);
	alz_local_close(client->shared);
	alz_local_pages_free(client);
	free(client);
}

static int alz_local_backend_reattach(struct alazy_cache *cache)
{
	int err = alz_local_reattach(alz_local(cache)->shared);

	cache->words.lock_id = alz_local(cache)->core.lock_id;
	return err;
}

static void alz_claim_out(struct asynclazy_claim *c, const struct alz_answer *a)
{
	u32 n = a->detail_size < c->detail_size ? a->detail_size : c->detail_size;

	c->out_result = a->result;
	c->out_error = a->error;
	c->out_ticket = a->ticket;
	c->out_generation = a->generation;
	c->out_offset = a->offset;
	c->out_attempt = a->attempt;
	c->out_detail_size = a->detail_size;
	memcpy((void *)(uintptr_t)c->detail, a->detail, n);
}

static int alz_claim_block(struct alz_local_client *client, struct alz_claim *q,
			   u64 deadline, struct alz_answer *answer)
{
	struct alz_local_sleeper *s = alz_local_sleeper_new();
	int err;

	if (!s)
		return -ENOMEM;
	q->waiter = &s->waiter;
	err = alz_claim(&client->core, q, answer);
	if (!err && answer->result == ASYNCLAZY_RESULT_PENDING)
		err = alz_local_sleep(client, s, deadline, q->pin, answer);
	alz_local_sleeper_free(s);
	return err;
}

static int alz_claim_fd(struct alz_local_client *client, struct alz_claim *q,
			struct asynclazy_claim *c, struct alz_answer *answer)
{
	struct alz_local_wait *w = alz_local_wait_new(&q->waiter);
	int err;

	if (!w)
		return -errno;
	err = alz_local_wait_add(client, w);
	if (!err)
		err = alz_claim(&client->core, q, answer);
	if (err || answer->result != ASYNCLAZY_RESULT_PENDING)
		alz_local_wait_discard(client, w);
	else
		c->out_fd = alz_local_wait_fd(w);
	return err;
}

/* A descriptor of the caller's own for a value. */
static int alz_local_dup(const struct alz_blob *blob)
{
	int fd = fcntl((int)(intptr_t)blob->file - 1, F_DUPFD_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static int alz_local_claim(struct alz_local_client *client, struct asynclazy_claim *c)
{
	struct alz_claim q = {
		.key = (const void *)(uintptr_t)c->key,
		.key_size = c->key_size,
		.flags = c->flags,
		.hash = c->hash,
		.cookie = c->cookie,
		.parent = c->parent,
		.pin = c->pin,
	};
	struct alz_answer answer;
	int err;

	if (client->readonly && c->flags & ASYNCLAZY_CLAIM_INIT)
		return -EACCES;
	c->out_fd = -1;
	if (c->flags & ASYNCLAZY_CLAIM_FD)
		err = alz_claim_fd(client, &q, c, &answer);
	else if (c->flags & ASYNCLAZY_CLAIM_BLOCK)
		err = alz_claim_block(client, &q, c->deadline, &answer);
	else
		err = alz_claim(&client->core, &q, &answer);
	if (!err)
		alz_claim_out(c, &answer);
	if (!err && answer.blob) {
		c->out_fd = alz_local_dup(answer.blob);
		if (c->out_fd < 0 && answer.offset == ASYNCLAZY_NO_RECORD)
			err = c->out_fd;
		alz_blob_release(&client->shared->core, answer.blob);
	}
	return err;
}

/* Copy a value into its record, which nobody sees yet, and link it. */
static int alz_local_commit(struct alz_local_client *client, struct alz_reservation *r,
			    u64 value)
{
	if (r->value_size)
		memcpy(r->value, (const void *)(uintptr_t)value, r->value_size);
	return alz_publish_commit(&client->core, r);
}

/* A value in a memfd, whose seals were seen to. Return: NULL with errno. */
static struct alz_blob *alz_local_blob(int fd, u64 size)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct alz_blob *blob;
	struct stat st;

	if (copy < 0)
		return NULL;
	if (fstat(copy, &st)) {
		close(copy);
		return NULL;
	}
	blob = alz_blob_new((void *)(intptr_t)(copy + 1), size, st.st_blksize);
	if (!blob) {
		close(copy);
		errno = ENOMEM;
	}
	return blob;
}

static int alz_local_publish_fd(struct alz_local_client *client,
				const struct asynclazy_publish *p,
				const struct alz_ttl *ttl, struct alz_reservation *r)
{
	struct alz_blob *blob = alz_local_blob(p->value_fd, p->value_size);
	int err;

	if (!blob)
		return -errno;
	err = alz_publish_blob(&client->core, p->ticket, blob,
			       !(p->flags & ASYNCLAZY_VALUE_UNKEPT), ttl, r);
	alz_blob_release(&client->shared->core, blob);
	return err;
}

static int alz_local_publish(struct alz_local_client *client, struct asynclazy_publish *p)
{
	struct alz_ttl ttl = { p->ttl, p->stale_ttl, p->dead_ttl };
	struct alz_reservation r = { .pin = p->pin };
	int err;

	if (client->readonly)
		return -EACCES;
	if (p->flags & ASYNCLAZY_VALUE_FD) {
		err = alz_local_publish_fd(client, p, &ttl, &r);
	} else {
		err = alz_publish_begin(&client->core, p->ticket, p->value_size, &ttl, &r);
		r.pin = p->pin;
		if (!err)
			err = alz_local_commit(client, &r, p->value);
	}
	p->out_offset = r.offset;
	p->out_generation = r.generation;
	return err;
}

static int alz_local_set_fd(struct alz_local_client *client, const struct asynclazy_set *s,
			    const struct alz_ttl *ttl, struct alz_reservation *r)
{
	struct alz_blob *blob = alz_local_blob(s->value_fd, s->value_size);
	int err;

	if (!blob)
		return -errno;
	err = alz_set_blob(&client->core, (const void *)(uintptr_t)s->key, s->key_size,
			   s->hash, blob, ttl, r);
	alz_blob_release(&client->shared->core, blob);
	return err;
}

static int alz_local_set(struct alz_local_client *client, struct asynclazy_set *s)
{
	struct alz_ttl ttl = { s->ttl, s->stale_ttl, s->dead_ttl };
	struct alz_reservation r = { 0 };
	int err;

	if (client->readonly)
		return -EACCES;
	if (s->flags & ASYNCLAZY_VALUE_FD) {
		err = alz_local_set_fd(client, s, &ttl, &r);
	} else {
		err = alz_set_begin(&client->core, (const void *)(uintptr_t)s->key, s->key_size,
				    s->hash, s->value_size, &ttl, &r);
		if (!err)
			err = alz_local_commit(client, &r, s->value);
	}
	s->out_offset = r.offset;
	s->out_generation = r.generation;
	return err;
}

static int alz_local_memfd(struct alz_local_client *client, struct asynclazy_value *v)
{
	struct alz_blob *blob = alz_blob_get(&client->core, v->generation);

	if (!blob)
		return -ENOENT;
	v->out_fd = alz_local_dup(blob);
	v->out_value_size = blob->size;
	alz_blob_release(&client->shared->core, blob);
	return v->out_fd < 0 ? v->out_fd : 0;
}

static int alz_local_fail(struct alz_local_client *client, struct asynclazy_fail *f)
{
	bool kept = false;
	int err;

	if (client->readonly)
		return -EACCES;
	err = alz_fail(&client->core, f->ticket, f->error, f->error_class, f->ttl,
		       (const void *)(uintptr_t)f->detail, f->detail_size, &kept);
	f->out_kept = kept;
	return err;
}

static int alz_local_fetch(struct alz_local_client *client, struct asynclazy_fetch *f)
{
	return alz_fetch(&client->core, f->cookie, (void *)(uintptr_t)f->detail,
			 f->detail_size, &f->out_detail_size, true);
}

static int alz_local_invalidate(struct alz_local_client *client,
				struct asynclazy_invalidate *i)
{
	if (client->readonly)
		return -EACCES;
	return alz_invalidate(&client->core, (const void *)(uintptr_t)i->key, i->key_size,
			      i->hash, &i->out_count);
}

static int alz_local_expire(struct alz_local_client *client, struct asynclazy_expire *e)
{
	if (client->readonly)
		return -EACCES;
	return alz_expire(&client->core, (const void *)(uintptr_t)e->key, e->key_size,
			  e->hash, &e->out_count);
}

static int alz_local_clear(struct alz_local_client *client, struct asynclazy_clear *c)
{
	__u64 count = 0;
	int err;

	if (client->readonly)
		return -EACCES;
	err = alz_clear(&client->core, &count);
	c->out_count = count;
	return err;
}

static int alz_local_extend(struct alz_local_client *client, struct asynclazy_extend *e)
{
	u64 until = 0;
	int err = alz_extend(&client->core, e->ticket, e->done, e->total, &until,
			     &e->out_waiters);

	e->out_until = until;
	return err;
}

static int alz_local_flight(struct alz_local_client *client, struct asynclazy_flight *f)
{
	char detail[ASYNCLAZY_DETAIL_MAX];
	u32 size;
	int err = alz_flight_look(&client->core, (const void *)(uintptr_t)f->key, f->key_size,
				  f->hash, f, detail);

	if (err)
		return err;
	size = f->out_detail_size < f->detail_size ? f->out_detail_size : f->detail_size;
	if (size)
		memcpy((void *)(uintptr_t)f->detail, detail, size);
	return 0;
}

static int alz_local_stats(struct alz_local_client *client, struct asynclazy_stats *s)
{
	alz_cache_stats(&client->shared->core, s);
	return 0;
}

static int alz_local_do(struct alz_local_client *client, unsigned long nr, void *arg)
{
	switch (nr) {
	case ASYNCLAZY_IOC_CLAIM:
		return alz_local_claim(client, arg);
	case ASYNCLAZY_IOC_PUBLISH:
		return alz_local_publish(client, arg);
	case ASYNCLAZY_IOC_FAIL:
		return alz_local_fail(client, arg);
	case ASYNCLAZY_IOC_ABANDON:
		return alz_abandon(&client->core, ((struct asynclazy_abandon *)arg)->ticket);
	case ASYNCLAZY_IOC_CANCEL:
		return alz_cancel(&client->core, ((struct asynclazy_cancel *)arg)->cookie);
	case ASYNCLAZY_IOC_FETCH:
		return alz_local_fetch(client, arg);
	case ASYNCLAZY_IOC_SET:
		return alz_local_set(client, arg);
	case ASYNCLAZY_IOC_INVALIDATE:
		return alz_local_invalidate(client, arg);
	case ASYNCLAZY_IOC_CLEAR:
		return alz_local_clear(client, arg);
	case ASYNCLAZY_IOC_MEMFD:
		return alz_local_memfd(client, arg);
	case ASYNCLAZY_IOC_EXTEND:
		return alz_local_extend(client, arg);
	case ASYNCLAZY_IOC_FLIGHT:
		return alz_local_flight(client, arg);
	case ASYNCLAZY_IOC_EXPIRE:
		return alz_local_expire(client, arg);
	case ASYNCLAZY_IOC_WAIT:
		return alz_local_word_wait(client, arg);
	case ASYNCLAZY_IOC_WAKE:
		return alz_local_word_wake(client, arg);
	case ASYNCLAZY_IOC_STATS:
		return alz_local_stats(client, arg);
	default:
		return -ENOTTY;
	}
}

static int alz_local_backend_call(struct alazy_cache *cache, unsigned long nr, void *arg)
{
	struct alz_local_client *client = alz_local(cache);
	int err;

	alz_local_sweep(client->shared);
	err = alz_local_do(client, nr, arg);
	/* what the call offered to a descriptor that was closed goes on */
	alz_local_sweep(client->shared);
	return err;
}

static int alz_local_read_events(struct alazy_cache *cache, struct asynclazy_event *events,
				 int max)
{
	struct alz_local_client *client = alz_local(cache);
	u32 n;

	alz_local_sweep(client->shared);
	alz_local_waits_collect(client);
	pthread_mutex_lock(&client->read_lock);
	alz_events_release(&client->core);
	n = alz_events_copy(&client->core, events, max);
	alz_events_done(&client->core, true);
	pthread_mutex_unlock(&client->read_lock);
	return n ? (int)n : -EAGAIN;
}

static int alz_local_read_wait(struct alazy_cache *cache, int fd, struct alz_wait_event *w)
{
	struct alz_local_client *client = alz_local(cache);
	struct alz_answer a;
	int err;

	alz_local_sweep(client->shared);
	err = alz_local_wait_read(client, fd, &a);
	if (err)
		return err;
	w->event = (struct asynclazy_event){
		.result = a.result,
		.error = a.error,
		.generation = a.generation,
		.offset = a.offset,
		.ticket = a.ticket,
		.attempt = a.attempt,
		.detail_size = a.detail_size,
	};
	memcpy(w->detail, a.detail, a.detail_size);
	return 0;
}

static void alz_local_end_wait(struct alazy_cache *cache, int fd)
{
	alz_local_wait_close(alz_local(cache), fd);
}

/* Make the eventfd and, where there are leases, a timer, and one for both. */
static int alz_local_fd_make(struct alz_local_client *client)
{
	struct alz_cache *core = &client->shared->core;
	struct epoll_event ev = { .events = EPOLLIN };

	client->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (client->fd < 0)
		return -errno;
	if (core->soft_lease || core->hard_lease || core->backoff) {
		client->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
		client->both = epoll_create1(EPOLL_CLOEXEC);
		if (client->timer < 0 || client->both < 0 ||
		    epoll_ctl(client->both, EPOLL_CTL_ADD, client->fd, &ev) ||
		    epoll_ctl(client->both, EPOLL_CTL_ADD, client->timer, &ev))
			return -errno;
	}
	return 0;
}

static void alz_local_fd_drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Made when it is first asked for; level-triggered from then on. */
static int alz_local_fd(struct alazy_cache *cache)
{
	struct alz_local_client *client = alz_local(cache);
	struct alz_cache *core = &client->shared->core;
	int err = 0;

	alz_os_lock(&core->lock);
	if (client->fd < 0) {
		err = alz_local_fd_make(client);
		if (err) {
			alz_local_fd_drop(&client->both);
			alz_local_fd_drop(&client->timer);
			alz_local_fd_drop(&client->fd);
		} else {
			alz_os_ready(&client->core, !alz_list_empty(&client->core.ready));
			alz_os_deadline(core, client->shared->deadline);
		}
	}
	alz_os_unlock(&core->lock);
	if (err)
		return err;
	return client->both >= 0 ? client->both : client->fd;
}

const struct alz_backend alz_backend_local = {
	.name = "local",
	.open = alz_local_backend_open,
	.close = alz_local_backend_close,
	.unlink = alz_local_unlink,
	.call = alz_local_backend_call,
	.read_events = alz_local_read_events,
	.read_wait = alz_local_read_wait,
	.end_wait = alz_local_end_wait,
	.fd = alz_local_fd,
	.reattach = alz_local_backend_reattach,
};
