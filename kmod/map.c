// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmap of a client fd: table and arena, read-only for good. Pages are looked
 * up when they are touched, so mapping costs nothing, and a part of the arena
 * that has no memory yet is SIGBUS: no record leads there.
 */
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "internal.h"

static vm_fault_t alz_map_page(struct vm_fault *vmf, void *address)
{
	struct page *page = vmalloc_to_page(address);

	if (!page)
		return VM_FAULT_SIGBUS;
	get_page(page);
	vmf->page = page;
	return 0;
}

static struct alz_cache *alz_map_cache(struct vm_fault *vmf)
{
	struct alz_process *process = vmf->vma->vm_file->private_data;

	return &process->shared->core;
}

static vm_fault_t alz_table_fault(struct vm_fault *vmf)
{
	u64 offset = (u64)vmf->pgoff << PAGE_SHIFT;
	struct alz_cache *cache = alz_map_cache(vmf);

	if (offset >= cache->table_size)
		return VM_FAULT_SIGBUS;
	return alz_map_page(vmf, (char *)cache->header + offset);
}

static vm_fault_t alz_arena_fault(struct vm_fault *vmf)
{
	u64 offset = ((u64)vmf->pgoff << PAGE_SHIFT) - ASYNCLAZY_OFF_ARENA;
	struct alz_arena *arena = &alz_map_cache(vmf)->arena;
	u64 index = offset >> arena->segment_shift;
	char *segment;

	if (index >= arena->nr_segments)
		return VM_FAULT_SIGBUS;
	/* pairs with alz_os_store_pointer() in alz_arena_grow() */
	segment = smp_load_acquire(&arena->segments[index]);
	if (!segment)
		return VM_FAULT_SIGBUS;
	return alz_map_page(vmf, segment + (offset & ((1ULL << arena->segment_shift) - 1)));
}

static const struct vm_operations_struct alz_table_vm_ops = {
	.fault = alz_table_fault,
};

static const struct vm_operations_struct alz_arena_vm_ops = {
	.fault = alz_arena_fault,
};

/** alz_process_mmap() - TABLE and ARENA; nothing else is served yet */
int alz_process_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct alz_process *process = file->private_data;
	const struct vm_operations_struct *ops;
	u64 start = (u64)vma->vm_pgoff << PAGE_SHIFT;
	u64 length = vma->vm_end - vma->vm_start;
	u64 size;
	int err;

	err = alz_process_check(process);
	if (err)
		return err;
	if (start < ASYNCLAZY_OFF_ARENA) {
		ops = &alz_table_vm_ops;
		size = process->shared->core.table_size;
	} else if (start < ASYNCLAZY_OFF_VISITED) {
		ops = &alz_arena_vm_ops;
		size = process->shared->core.header->arena_size;
		start -= ASYNCLAZY_OFF_ARENA;
	} else {
		return -EINVAL;
	}
	if (start > size || length > PAGE_ALIGN(size) - start)
		return -EINVAL;
	if (vma->vm_flags & (VM_WRITE | VM_EXEC))
		return -EACCES;
	alz_vma_flags(vma, VM_DONTEXPAND | VM_DONTDUMP, VM_MAYWRITE | VM_MAYEXEC);
	vma->vm_ops = ops;
	return 0;
}
