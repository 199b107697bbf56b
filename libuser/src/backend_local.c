// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
/*
 * The local backend's calls: what the kernel's call layer does, on the core in
 * this process.
 */
#include <sys/eventfd.h>
#include <unistd.h>

#include "local.h"

static struct alz_local_client *alz_local(const struct alazy_cache *cache)
{
	return cache->priv;
}

static int alz_local_backend_open(struct alazy_cache *cache, const char *name,
				  const struct alazy_cache_opts *opts)
{
	struct alz_local_client *client = calloc(1, sizeof(*client));
	int err;

	if (!client)
		return alz_error_backend(-ENOMEM);
	err = alz_local_open(&client->shared, name, opts);
	if (err) {
		free(client);
		return err;
	}
	client->readonly = opts->flags & ALAZY_CACHE_READONLY;
	alz_local_attach(client);
	alz_view_init(&cache->view, client->shared->core.header, client->shared->arena);
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
	free(client);
}

static int alz_local_backend_reattach(struct alazy_cache *cache)
{
	return alz_local_reattach(alz_local(cache)->shared);
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
		err = alz_local_sleep(client, s, deadline, answer);
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

static int alz_local_claim(struct alz_local_client *client, struct asynclazy_claim *c)
{
	struct alz_claim q = {
		.key = (const void *)(uintptr_t)c->key,
		.key_size = c->key_size,
		.flags = c->flags,
		.hash = c->hash,
		.cookie = c->cookie,
	};
	struct alz_answer answer;
	int err;

	if (client->readonly && c->flags & ASYNCLAZY_CLAIM_INIT)
		return -EACCES;
	c->out_fd = -1;
	alz_local_sweep(client->shared);
	if (c->flags & ASYNCLAZY_CLAIM_FD)
		err = alz_claim_fd(client, &q, c, &answer);
	else if (c->flags & ASYNCLAZY_CLAIM_BLOCK)
		err = alz_claim_block(client, &q, c->deadline, &answer);
	else
		err = alz_claim(&client->core, &q, &answer);
	if (!err)
		alz_claim_out(c, &answer);
	return err;
}

/* Copy a value into its record, which nobody sees yet, and link it. */
static int alz_local_commit(struct alz_local_client *client, struct alz_reservation *r,
			    u64 value, u64 size, u64 *offset, u64 *generation)
{
	int err;

	if (size)
		memcpy(r->value, (const void *)(uintptr_t)value, size);
	*offset = r->offset;
	err = alz_publish_commit(&client->core, r);
	if (!err)
		*generation = r->record->generation;
	return err;
}

static int alz_local_publish(struct alz_local_client *client, struct asynclazy_publish *p)
{
	struct alz_reservation r;
	int err;

	if (client->readonly)
		return -EACCES;
	err = alz_publish_begin(&client->core, p->ticket, p->value_size, p->ttl, &r);
	if (err)
		return err;
	return alz_local_commit(client, &r, p->value, p->value_size, &p->out_offset,
				&p->out_generation);
}

static int alz_local_set(struct alz_local_client *client, struct asynclazy_set *s)
{
	struct alz_reservation r;
	int err;

	if (client->readonly)
		return -EACCES;
	err = alz_set_begin(&client->core, (const void *)(uintptr_t)s->key, s->key_size,
			    s->hash, s->value_size, s->ttl, &r);
	if (err)
		return err;
	return alz_local_commit(client, &r, s->value, s->value_size, &s->out_offset,
				&s->out_generation);
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
	case ASYNCLAZY_IOC_STATS:
		return alz_local_stats(client, arg);
	default:
		return -ENOTTY;
	}
}

static int alz_local_backend_call(struct alazy_cache *cache, unsigned long nr, void *arg)
{
	struct alz_local_client *client = alz_local(cache);
	int err = alz_local_do(client, nr, arg);

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

/* Made when it is first asked for; level-triggered from then on. */
static int alz_local_fd(struct alazy_cache *cache)
{
	struct alz_local_client *client = alz_local(cache);
	struct alz_cache *core = &client->shared->core;
	int fd;

	alz_os_lock(&core->lock);
	if (client->fd < 0) {
		client->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		alz_os_ready(&client->core, !alz_list_empty(&client->core.ready));
	}
	fd = client->fd < 0 ? -errno : client->fd;
	alz_os_unlock(&core->lock);
	return fd;
}

const struct alz_backend alz_backend_local = {
	.name = "local",
	.open = alz_local_backend_open,
	.close = alz_local_backend_close,
	.unlink = alz_local_unlink,
	.call = alz_local_backend_call,
	.read_events = alz_local_read_events,
	.read_wait = alz_local_read_wait,
	.fd = alz_local_fd,
	.reattach = alz_local_backend_reattach,
};
