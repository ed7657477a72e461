/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Takes the place of the one in tools/include, where a physical address is one of the host's own:
 * here memory is where the boot has it, and a page has the size that the machine was built for.
 */
#ifndef _LINUX_MM_H
#define _LINUX_MM_H

#include <linux/align.h>
#include <linux/mmzone.h>
#include <linux/sizes.h>
#include <linux/types.h>

#define PAGE_SIZE		(_AC(1, UL) << PAGE_SHIFT)
#define PAGE_MASK		(~(PAGE_SIZE - 1))
#define PAGE_ALIGN(addr)	ALIGN(addr, PAGE_SIZE)
#define PAGE_ALIGN_DOWN(addr)	ALIGN_DOWN(addr, PAGE_SIZE)
#define PAGE_ALIGNED(addr)	IS_ALIGNED((unsigned long)(addr), PAGE_SIZE)

#define PHYS_ADDR_MAX		(~(phys_addr_t)0)

/* The linear map, in machine/memory.c. */
void *phys_to_virt(phys_addr_t address);
phys_addr_t virt_to_phys(const volatile void *address);

#define __va(x)			phys_to_virt(x)
#define __pa(x)			virt_to_phys((void *)(x))
#define __pa_symbol(x)		((phys_addr_t)(x))
#define __phys_to_virt(x)	((unsigned long)(x))
#define pfn_to_page(pfn)	((struct page *)((pfn) * PAGE_SIZE))

static inline void totalram_pages_inc(void) { }
static inline void totalram_pages_add(long count) { }
/* Up to 6.18. */
static inline void reserve_bootmem_region(phys_addr_t start, phys_addr_t end, int nid) { }
static inline int early_pfn_to_nid(unsigned long pfn) { return 0; }

#endif
