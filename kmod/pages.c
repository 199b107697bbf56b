// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory of a cache. What is as large as a huge page is made of huge pages,
 * and where there is none of small ones; vmap() joins them for the kernel.
 *
 * Huge pages stay whole folios, which the kernel maps, counts and pins by itself
 * as it does those of a file: see alz_map_folio().
 */
#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "internal.h"

/*
 * Charged to the cgroup of the caller, like all memory of a cache. Users choose
 * the size: rather fail than have the OOM killer make room.
 */
#define ALZ_GFP		(GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN)
#define ALZ_GFP_SMALL	(ALZ_GFP | __GFP_RETRY_MAYFAIL)
#define ALZ_GFP_HUGE	(ALZ_GFP | __GFP_NORETRY)

#define ALZ_HUGE_ORDER	(PMD_SHIFT - PAGE_SHIFT)

/* The folio for the pages from @i on; only at a multiple of its size is it huge. */
static struct folio *alz_folio_new(unsigned long i, unsigned long n)
{
	struct folio *folio = NULL;

	if (!(i & ((1UL << ALZ_HUGE_ORDER) - 1)) && n - i >= 1UL << ALZ_HUGE_ORDER)
		folio = folio_alloc(ALZ_GFP_HUGE, ALZ_HUGE_ORDER);
	return folio ? folio : folio_alloc(ALZ_GFP_SMALL, 0);
}

static void alz_folios_put(struct list_head *folios)
{
	struct folio *folio, *next;

	list_for_each_entry_safe(folio, next, folios, lru)
		folio_put(folio);
}

static int alz_folios_alloc(struct list_head *folios, struct page **pages, unsigned long n)
{
	unsigned long i = 0, part;

	while (i < n) {
		struct folio *folio;

		/* it may take long: who is killed need not wait for it */
		if (fatal_signal_pending(current))
			return -EINTR;
		folio = alz_folio_new(i, n);
		if (!folio)
			return -ENOMEM;
		list_add(&folio->lru, folios);
		for (part = 0; part < folio_nr_pages(folio); part++)
			pages[i++] = folio_page(folio, part);
		cond_resched();
	}
	return 0;
}

static void *alz_folios_join(u64 size)
{
	unsigned long n = DIV_ROUND_UP(size, PAGE_SIZE);
	LIST_HEAD(folios);
	struct page **pages;
	void *p = NULL;

	/* as vmalloc() does: not after all that there is was taken */
	if (n > totalram_pages())
		return NULL;
	pages = kvmalloc_array(n, sizeof(*pages), ALZ_GFP_SMALL);
	if (!pages)
		return NULL;
	if (!alz_folios_alloc(&folios, pages, n))
		p = vmap(pages, n, VM_MAP, PAGE_KERNEL);
	if (!p)
		alz_folios_put(&folios);
	kvfree(pages);
	return p;
}

/* Who has pinned a page for I/O keeps it; all others have let go. */
static void alz_folios_free(void *p, u64 size)
{
	LIST_HEAD(folios);
	u64 offset = 0;

	while (offset < size) {
		struct folio *folio = page_folio(vmalloc_to_page(p + offset));

		list_add(&folio->lru, &folios);
		offset += folio_size(folio);
	}
	vunmap(p);
	alz_folios_put(&folios);
}

/**
 * alz_pages_settle() - wait until nobody is about to map a page of it
 * @p: joined; nobody finds it any more
 * @size: bytes
 *
 * alz_map_folio() locks what it has found, and it is locked until it is mapped.
 */
void alz_pages_settle(void *p, u64 size)
{
	u64 offset = 0;

	while (offset < size) {
		struct folio *folio = page_folio(vmalloc_to_page(p + offset));

		folio_lock(folio);
		folio_unlock(folio);
		offset += folio_size(folio);
	}
}

void *alz_os_pages_alloc(u64 size)
{
	if (alz_pages_joined(size))
		return alz_folios_join(size);
	return __vmalloc(size, ALZ_GFP_SMALL);
}

void alz_os_pages_free(void *p, u64 size)
{
	if (alz_pages_joined(size))
		alz_folios_free(p, size);
	else
		vfree(p);
}
