// SPDX-License-Identifier: GPL-2.0-only
/* Many keys in one call of the library. */
#include "storm.h"

#define MANY	6

struct many {
	struct view *view;
	__u32 key[MANY];
	char name[MANY][32];
};

/*
 * All are held at once, and each is ended in one of the ways: those that are not when it
 * returns the library gives up. (Of the others that are held some may have ended for room.)
 */
static int make_many(const struct alazy_ticket *tickets, const size_t *which, size_t n,
		     void *ctx)
{
	const struct many *m = ctx;
	enum phase before = phase(PHASE_LIB_MAKE);
	size_t i;

	for (i = 0; i < n; i++)
		ticket_hold(m->view, m->key[which[i]], tickets[i].generation, tickets[i].id,
			    tickets[i].attempt);
	for (i = 0; i < n; i++) {
		__u32 at = ticket_find(m->view, tickets[i].id);

		if (at < self.nr_held)
			ticket_end(at, true);
	}
	phase(before);
	return 0;
}

/** library_many() - get some keys of @v at once, all or any of them */
void library_many(struct view *v, bool patient)
{
	struct alazy_item items[MANY] = { 0 };
	struct many m = { .view = v };
	__u64 deadline = patient ? 0 : alz_now() + rnd(20 * ALZ_MSEC);
	bool any = percent(30);
	unsigned int i;
	int n;

	for (i = 0; i < MANY; i++) {
		m.key[i] = some_key(v);
		items[i].key = m.name[i];
		items[i].key_size = key_name(m.key[i], m.name[i]);
	}
	phase(PHASE_LIB_MANY);
	n = alazy_cache_get_many(v->library, items, MANY, percent(85) ? make_many : NULL, &m,
				 any ? ALAZY_MANY_ANY : 0, deadline);
	if (n < 0 && !(any && n == -ETIMEDOUT))
		wrong(WRONG_ANSWER, "cache %llu: get of many: %s", v->serial, strerror(-n));
	for (i = 0; n >= 0 && i < MANY; i++) {
		if (!items[i].err)
			library_value(v, m.key[i], &items[i].ref, "get of many");
		else if (items[i].err != -EINPROGRESS)
			library_error(v, m.key[i], items[i].err, items[i].ref.data,
				      items[i].ref.size, "get of many");
		if (items[i].err)
			alazy_ref_put(&items[i].ref);
	}
}
