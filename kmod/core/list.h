/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A circular doubly linked list with a head, for the core's own use. */
#ifndef ALZ_CORE_LIST_H
#define ALZ_CORE_LIST_H

#include "os.h"

struct alz_list {
	struct alz_list *next;
	struct alz_list *prev;
};

#define alz_entry(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))

static inline void alz_list_init(struct alz_list *head)
{
	head->next = head;
	head->prev = head;
}

static inline bool alz_list_empty(const struct alz_list *head)
{
	return head->next == head;
}

static inline void alz_list_add(struct alz_list *node, struct alz_list *head)
{
	node->prev = head;
	node->next = head->next;
	head->next->prev = node;
	head->next = node;
}

static inline void alz_list_add_tail(struct alz_list *node, struct alz_list *head)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

/* Leaves @node empty, so that deleting it twice is harmless. */
static inline void alz_list_del(struct alz_list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	alz_list_init(node);
}

/* Moves all of @from behind the last of @to, in order. */
static inline void alz_list_splice_tail(struct alz_list *from, struct alz_list *to)
{
	if (alz_list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	alz_list_init(from);
}

#endif
