// SPDX-License-Identifier: GPL-2.0-only
/*
 * From a record to its value, for a worker on the uAPI: in place, where in an
 * evicting cache only a pin keeps it from being reused; some pins are kept for a
 * while, so that kills fall on those who have some. Large values are in memfds.
 */
#include "storm.h"

#include <sys/stat.h>

#define KEPT_MAX	6	/* pins of each view that are kept: from PIN_CALL + 1 */

static struct kept {
	struct view *view;	/* NULL: free */
	__u32 key;
	__u64 generation;
	__u64 offset;
	bool error;
} kept[KEPT_MAX];

/* A value that is in a file. @fd is closed. */
void record_memfd(struct view *v, __u32 key, __u64 generation, int fd, const char *how)
{
	struct stat st;
	void *p;

	phase_short(PHASE_MEMFD);
	if (fstat(fd, &st)) {
		wrong(WRONG_ANSWER, "cache %llu key %u, %s: fstat of a memfd: %s", v->serial, key,
		      how, strerror(errno));
		return;
	}
	p = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED) {
		wrong(WRONG_ANSWER, "cache %llu key %u, %s: mmap of a memfd: %s", v->serial, key,
		      how, strerror(errno));
		return;
	}
	value_check(v, key, generation, p, st.st_size, how);
	munmap(p, st.st_size);
	count(&storm->totals.memfds_read);
}

/* The same by its generation; if nothing holds it, it may be gone by now. */
static void record_fetch(struct view *v, __u32 key, __u64 generation, bool held,
			 const char *how)
{
	__u64 size;
	int fd = alz_memfd_of(&v->a, generation, &size);

	if (fd >= 0)
		record_memfd(v, key, generation, fd, how);
	else if (held || fd != -ENOENT)
		wrong(WRONG_ANSWER, "cache %llu key %u generation %llu, %s: MEMFD: %s", v->serial,
		      key, generation, how, strerror(-fd));
}

/* A record that a claim or an event names, or a reader found. */
void record_check(struct view *v, __u32 key, __u64 generation, __u64 offset, __u32 flags,
		  const char *how)
{
	bool error = flags & RECORD_ERROR;
	const struct asynclazy_record *r;
	char name[32];

	if (!error && offset == ASYNCLAZY_NO_RECORD) {
		count(&storm->totals.unkept);
		record_fetch(v, key, generation, true, how);
		return;
	}
	if (offset >= v->a.arena_size) {
		wrong(WRONG_VALUE, "cache %llu key %u, %s: no record at %llu", v->serial, key, how,
		      offset);
		return;
	}
	r = alz_record(&v->a, offset);
	if (r->generation != generation || r->key_size != key_name(key, name) ||
	    memcmp(r + 1, name, r->key_size) || (r->kind == ASYNCLAZY_RECORD_ERROR) != error) {
		wrong(WRONG_VALUE, "cache %llu key %u generation %llu, %s: the record at %llu is of generation %llu, kind %u",
		      v->serial, key, generation, how, offset, r->generation, r->kind);
		return;
	}
	if (error)
		error_check(v, key, generation, r->error, alz_record_value(r), r->value_size, how);
	else if (r->kind == ASYNCLAZY_RECORD_MEMFD)
		record_fetch(v, key, generation, flags & RECORD_HELD, how);
	else
		value_check(v, key, generation, alz_record_value(r), r->value_size, how);
}

/* An error, with its text here or in a record. */
void record_failed(struct view *v, __u32 key, __u64 generation, int error, __u64 offset,
		   const void *text, size_t size, const char *how)
{
	if (offset != ASYNCLAZY_NO_RECORD)
		record_check(v, key, generation, offset, RECORD_ERROR, how);
	else
		error_check(v, key, generation, error, text, size, how);
}

/* HIT or FAILED of a claim that had PIN_CALL, if there are pins. */
void record_answer(struct view *v, __u32 key, const struct asynclazy_claim *c, const char *how)
{
	if (c->out_result == ASYNCLAZY_RESULT_FAILED)
		record_failed(v, key, c->out_generation, c->out_error, c->out_offset,
			      alz_claim_detail(), c->out_detail_size, how);
	else if (c->flags & BLOCK && c->out_fd >= 0)
		record_memfd(v, key, c->out_generation, c->out_fd, how);
	else
		record_check(v, key, c->out_generation, c->out_offset, 0, how);
	if (v->a.pins)
		alz_unpin(&v->a, PIN_CALL);
}

/*
 * Pins
 */

static struct kept *record_keeper(const struct view *v)
{
	struct kept *k;

	if (!v->a.pins || !percent(20))
		return NULL;
	for (k = kept; k < kept + KEPT_MAX; k++)
		if (!k->view)
			return k;
	return NULL;
}

/* Look for a key in place. @f is good for whether there was something. */
void record_read(struct view *v, __u32 key, struct alz_found *f)
{
	struct kept *k = record_keeper(v);
	__u32 pin = k ? PIN_CALL + 1 + (k - kept) : PIN_CALL;
	char name[32];
	size_t size = key_name(key, name);

	phase(PHASE_READ);
	if (v->a.pins)
		alz_read(&v->a, pin, name, size, f);
	else
		alz_find(&v->a, name, size, f);
	if (!f->record)
		return;
	if (f->record->generation < v->last[key])
		wrong(WRONG_VALUE, "cache %llu key %u: generation %llu after %u", v->serial, key,
		      f->record->generation, v->last[key]);
	v->last[key] = f->record->generation;
	record_check(v, key, f->record->generation, f->offset,
		     f->state == ASYNCLAZY_SLOT_FAILED ? RECORD_ERROR : 0, "in place");
	if (k) {
		*k = (struct kept) {
			v, key, f->record->generation, f->offset,
			f->state == ASYNCLAZY_SLOT_FAILED,
		};
		self.me->pins++;
		count(&storm->totals.pins_kept);
	} else if (v->a.pins) {
		alz_unpin(&v->a, pin);
	}
}

static void record_unpin(struct kept *k)
{
	phase(PHASE_READ);
	record_check(k->view, k->key, k->generation, k->offset, k->error ? RECORD_ERROR : 0,
		     "pinned");
	alz_unpin(&k->view->a, PIN_CALL + 1 + (k - kept));
	k->view = NULL;
	self.me->pins--;
}

/* What was pinned is as it was; then let go of it. */
void record_unpin_some(void)
{
	struct kept *k;

	for (k = kept; k < kept + KEPT_MAX; k++)
		if (k->view && rnd(2))
			record_unpin(k);
}

void record_drop_view(const struct view *v)
{
	struct kept *k;

	for (k = kept; k < kept + KEPT_MAX; k++)
		if (k->view == v)
			record_unpin(k);
}
