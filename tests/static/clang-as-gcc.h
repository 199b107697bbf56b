/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What gcc could do when it configured the kernel, and clang cannot: it leaves the
 * segment out where inline assembly has an operand in a named address space, so
 * that this_cpu_dec() would count somewhere else.
 */
#undef CONFIG_CC_HAS_NAMED_AS
#undef CONFIG_USE_X86_SEG_SUPPORT
