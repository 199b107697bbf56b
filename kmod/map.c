// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmap of a client fd: table and arena, read-only for good; visited bits, pins, words
 * and locks, which the client may write what it likes to. Pages are looked up when they are
 * touched, so mapping costs nothing, and a part of the arena that has no memory
 * is SIGBUS: no record leads there.
 *
 * All client fds of a cache have one mapping, so that a segment can be taken out
 * of all processes at once: alz_os_segment_release().
 *
 * What may consist of huge pages is mapped as a file's pages are: the fault finds
 * the page, and the kernel puts in what it is part of, whole if it can. The rest is
 * VM_MIXEDMAP, in which we may put in many small pages at a fault, but no huge one
 * that is counted. One that is not, as of vmf_insert_pfn_pmd(), would not do:
 * copy_huge_pmd() looks at it before it has the lock, so a fork could bring back
 * what was just unmapped.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/vmalloc.h>

#include "internal.h"

#define ALZ_FAULT_AROUND	16	/* pages */
#define ALZ_OFF_END		(7ULL << 44)

static struct alz_process *alz_map_process(struct vm_fault *vmf)
{
	return vmf->vma->vm_file->private_data;
}

/* Map the page at @address, and those after it in its block of pages. */
static vm_fault_t alz_map_pages(struct vm_fault *vmf, char *address, u64 size)
{
	unsigned long pfn = (unsigned long)address >> PAGE_SHIFT;
	unsigned long n = ALZ_FAULT_AROUND - pfn % ALZ_FAULT_AROUND;
	unsigned long user = vmf->address & PAGE_MASK;
	unsigned long i;
	int err = 0;

	n = min3(n, (unsigned long)(size >> PAGE_SHIFT),
		 (vmf->vma->vm_end - user) >> PAGE_SHIFT);
	for (i = 0; i < n && !err; i++) {
		err = vm_insert_page(vmf->vma, user + i * PAGE_SIZE,
				     vmalloc_to_page(address + i * PAGE_SIZE));
		/* another thread was faster, or it was mapped as one of these */
		if (err == -EBUSY)
			err = 0;
		if (err && !i)
			return vmf_error(err);
	}
	return n ? VM_FAULT_NOPAGE : VM_FAULT_SIGBUS;
}

/*
 * Have the page at @address mapped, with all of its folio if that is huge and the
 * vma has room for it. It is locked until then: see alz_pages_settle().
 */
static vm_fault_t alz_map_folio(struct vm_fault *vmf, char *address)
{
	struct page *page = vmalloc_to_page(address);
	struct folio *folio = page_folio(page);

	folio_get(folio);
	folio_lock(folio);
	/* the kernel would look for others who map it, in the file that it is not of */
	if (unlikely(PageHWPoison(page))) {
		folio_unlock(folio);
		folio_put(folio);
		return VM_FAULT_HWPOISON;
	}
	/* where it would be in a file: finish_fault() asks whether that has an end */
	folio->index = round_down(vmf->pgoff, folio_nr_pages(folio));
	vmf->page = page;
	return VM_FAULT_LOCKED;
}

static vm_fault_t alz_map(struct vm_fault *vmf, char *address, u64 size)
{
	if (vmf->vma->vm_flags & VM_MIXEDMAP)
		return alz_map_pages(vmf, address, size);
	return alz_map_folio(vmf, address);
}

/* A region that is there as long as its cache. */
static vm_fault_t alz_region_fault(struct vm_fault *vmf, void *region, u64 size, u64 start)
{
	u64 offset = ((u64)vmf->pgoff << PAGE_SHIFT) - start;

	if (offset >= size)
		return VM_FAULT_SIGBUS;
	return alz_map(vmf, (char *)region + offset, size - offset);
}

static vm_fault_t alz_table_fault(struct vm_fault *vmf)
{
	struct alz_cache *cache = &alz_map_process(vmf)->shared->core;

	return alz_region_fault(vmf, cache->header, cache->table_size, ASYNCLAZY_OFF_TABLE);
}

static vm_fault_t alz_visited_fault(struct vm_fault *vmf)
{
	struct alz_cache *cache = &alz_map_process(vmf)->shared->core;

	return alz_region_fault(vmf, cache->visited, cache->visited_size,
				ASYNCLAZY_OFF_VISITED);
}

static vm_fault_t alz_pins_fault(struct vm_fault *vmf)
{
	return alz_region_fault(vmf, alz_map_process(vmf)->pins, ASYNCLAZY_PINS_SIZE,
				ASYNCLAZY_OFF_PINS);
}

static vm_fault_t alz_words_fault(struct vm_fault *vmf)
{
	struct alz_cache *cache = &alz_map_process(vmf)->shared->core;

	return alz_region_fault(vmf, cache->words, alz_words_size(cache->nr_words),
				ASYNCLAZY_OFF_WORDS);
}

static vm_fault_t alz_waiting_fault(struct vm_fault *vmf)
{
	struct alz_cache *cache = &alz_map_process(vmf)->shared->core;

	return alz_region_fault(vmf, cache->waiting, alz_words_size(cache->nr_words),
				ASYNCLAZY_OFF_WAITING);
}

static vm_fault_t alz_held_fault(struct vm_fault *vmf)
{
	return alz_region_fault(vmf, alz_map_process(vmf)->held, ASYNCLAZY_HELD_SIZE,
				ASYNCLAZY_OFF_HELD);
}

static vm_fault_t alz_arena_fault(struct vm_fault *vmf)
{
	u64 offset = ((u64)vmf->pgoff << PAGE_SHIFT) - ASYNCLAZY_OFF_ARENA;
	struct alz_shared *shared = alz_map_process(vmf)->shared;
	struct alz_arena *arena = &shared->core.arena;
	u64 index = offset >> arena->segment_shift;
	u64 size = 1ULL << arena->segment_shift;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	char *segment;

	if (index >= arena->nr_segments)
		return VM_FAULT_SIGBUS;
	offset &= size - 1;
	down_read(&shared->map_lock);
	/* pairs with alz_os_store_pointer() in alz_arena_grow() */
	segment = smp_load_acquire(&arena->memory[index]);
	if (segment)
		ret = alz_map(vmf, segment + offset, size - offset);
	up_read(&shared->map_lock);
	return ret;
}

static const struct vm_operations_struct alz_table_vm_ops = {
	.fault = alz_table_fault,
};

static const struct vm_operations_struct alz_arena_vm_ops = {
	.fault = alz_arena_fault,
};

static const struct vm_operations_struct alz_visited_vm_ops = {
	.fault = alz_visited_fault,
};

static const struct vm_operations_struct alz_pins_vm_ops = {
	.fault = alz_pins_fault,
};

static const struct vm_operations_struct alz_words_vm_ops = {
	.fault = alz_words_fault,
};

static const struct vm_operations_struct alz_waiting_vm_ops = {
	.fault = alz_waiting_fault,
};

static const struct vm_operations_struct alz_held_vm_ops = {
	.fault = alz_held_fault,
};

struct alz_region {
	const struct vm_operations_struct *ops;
	u64 start;
	u64 size;
	bool writable;
	bool huge;		/* there may be huge pages */
};

static struct alz_region alz_region_at(const struct alz_process *process, u64 start)
{
	const struct asynclazy_header *h = process->shared->core.header;
	u64 segment_size = 1ULL << h->segment_shift;

	if (start < ASYNCLAZY_OFF_ARENA)
		return (struct alz_region) { &alz_table_vm_ops, ASYNCLAZY_OFF_TABLE,
					     h->table_size, false,
					     alz_pages_joined(h->table_size) };
	if (start < ASYNCLAZY_OFF_VISITED)
		return (struct alz_region) { &alz_arena_vm_ops, ASYNCLAZY_OFF_ARENA,
					     h->arena_size, false,
					     alz_pages_joined(segment_size) };
	if (start < ASYNCLAZY_OFF_PINS)
		return (struct alz_region) { &alz_visited_vm_ops, ASYNCLAZY_OFF_VISITED,
					     h->visited_size, true, false };
	if (start < ASYNCLAZY_OFF_WORDS)
		return (struct alz_region) { &alz_pins_vm_ops, ASYNCLAZY_OFF_PINS,
					     h->pins_size, true, false };
	if (start < ASYNCLAZY_OFF_WAITING)
		return (struct alz_region) { &alz_words_vm_ops, ASYNCLAZY_OFF_WORDS,
					     h->words_size, process->access & FMODE_WRITE,
					     false };
	if (start < ASYNCLAZY_OFF_HELD)
		return (struct alz_region) { &alz_waiting_vm_ops, ASYNCLAZY_OFF_WAITING,
					     h->words_size, false, false };
	if (start < ALZ_OFF_END)
		return (struct alz_region) { &alz_held_vm_ops, ASYNCLAZY_OFF_HELD,
					     h->words_size ? ASYNCLAZY_HELD_SIZE : 0, true,
					     false };
	return (struct alz_region) { NULL };
}

/** alz_map_is_words() - whether a mapping is of the words of this cache */
bool alz_map_is_words(const struct vm_area_struct *vma, const struct alz_shared *shared)
{
	return vma->vm_ops == &alz_words_vm_ops &&
	       vma->vm_file->f_mapping == &shared->mapping;
}

/** alz_map_is_ours() - whether a mapping is of any client fd */
bool alz_map_is_ours(const struct vm_area_struct *vma)
{
	return vma->vm_ops == &alz_words_vm_ops || vma->vm_ops == &alz_table_vm_ops ||
	       vma->vm_ops == &alz_arena_vm_ops || vma->vm_ops == &alz_visited_vm_ops ||
	       vma->vm_ops == &alz_pins_vm_ops || vma->vm_ops == &alz_waiting_vm_ops ||
	       vma->vm_ops == &alz_held_vm_ops;
}

/**
 * alz_map_attach() - let a client fd map its cache
 * @shared: the cache
 * @file: of the client
 *
 * The first one makes the inode that finish_fault() expects behind a file's pages,
 * with a size that they are all within: the inode of @file has none.
 *
 * Return: 0, -ENOMEM.
 */
int alz_map_attach(struct alz_shared *shared, struct file *file)
{
	struct inode *inode;

	if (!READ_ONCE(shared->mapping.host)) {
		inode = alloc_anon_inode(file_inode(file)->i_sb);
		if (IS_ERR(inode))
			return PTR_ERR(inode);
		i_size_write(inode, ALZ_OFF_END);
		/* somebody may have been faster */
		if (cmpxchg(&shared->mapping.host, NULL, inode))
			iput(inode);
	}
	file->f_mapping = &shared->mapping;
	return 0;
}

/** alz_process_mmap() - TABLE, ARENA, VISITED, PINS, WORDS, WAITING and HELD */
int alz_process_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct alz_process *process = file->private_data;
	u64 start = (u64)vma->vm_pgoff << PAGE_SHIFT;
	u64 length = vma->vm_end - vma->vm_start;
	struct alz_region region;
	int err;

	err = alz_process_check(process);
	if (err)
		return err;
	region = alz_region_at(process, start);
	start -= region.start;
	if (!region.ops || start > region.size || length > PAGE_ALIGN(region.size) - start)
		return -EINVAL;
	/* a private copy would be of no use, and a wrong one */
	if (vma->vm_flags & VM_EXEC || !(vma->vm_flags & VM_SHARED) ||
	    (vma->vm_flags & VM_WRITE && !region.writable))
		return -EACCES;
	alz_vma_flags(vma, VM_DONTEXPAND | VM_DONTDUMP |
		      (region.huge ? 0 : VM_MIXEDMAP) |
		      (region.ops == &alz_pins_vm_ops || region.ops == &alz_held_vm_ops ?
		       VM_DONTCOPY : 0),
		      VM_MAYEXEC | (region.writable ? 0 : VM_MAYWRITE));
	vma->vm_ops = region.ops;
	return 0;
}
