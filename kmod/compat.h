/* SPDX-License-Identifier: GPL-2.0-only */
/* What differs between the kernels that we build on. Kbuild probes for it. */
#ifndef ALZ_COMPAT_H
#define ALZ_COMPAT_H

#include <linux/mm.h>

#if BITS_PER_LONG != 64
#error "asynclazy needs a 64-bit kernel: slots are 64-bit words that readers load in one piece"
#endif

static inline void alz_vma_flags(struct vm_area_struct *vma, vm_flags_t set,
				 vm_flags_t clear)
{
#ifdef ALZ_HAVE_VM_FLAGS_SET
	vm_flags_mod(vma, set, clear);
#else
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
#endif
}

#endif
