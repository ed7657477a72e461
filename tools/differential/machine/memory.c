// SPDX-License-Identifier: GPL-2.0
/*
 * Physical memory, as far as it is touched through the linear map. What the boot was not given is
 * not there: to touch it is a fault.
 */

#include "machine.h"
#include <linux/memory_hotplug.h>
#include <linux/slab.h>
#include <sys/mman.h>

static u8 *linear_map;
static u64 linear_map_base;

void linear_map_make(u64 base)
{
	u8 *map = mmap(NULL, order.linear_map, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		fail("the host has no room for a linear map of %#llx bytes",
		     (unsigned long long)order.linear_map);
	for (u64 i = 0; i < order.writable; i++) {
		u64 first = order_writable[2 * i], last = order_writable[2 * i + 1];

		first = first < base ? 0 : first - base;
		if (last < base || first >= order.linear_map)
			continue;
		/* The host's pages are the smallest that there are, so no neighbour is let in. */
		first &= ~0xfffULL;
		last = min(last - base, order.linear_map - 1) | 0xfff;
		if (mprotect(map + first, last - first + 1, PROT_READ | PROT_WRITE))
			fail("the host cannot map %#llx bytes",
			     (unsigned long long)(last - first + 1));
	}
	linear_map_base = base;
	linear_map = map;
}

void *phys_to_virt(phys_addr_t address)
{
	u64 offset = address - linear_map_base;

	if (!linear_map)
		fail("%#llx is looked at before the linear map is there",
		     (unsigned long long)address);
	if (offset >= order.linear_map)
		fail("%#llx is not in the linear map", (unsigned long long)address);
	return linear_map + offset;
}

phys_addr_t virt_to_phys(const volatile void *address)
{
	u64 offset = (const volatile u8 *)address - linear_map;

	if (!linear_map || offset >= order.linear_map)
		fail("%p is not in the linear map", (void *)address);
	return linear_map_base + offset;
}

/* There is no other allocator yet, and nothing is freed to the one of pages. */

bool movable_node_enabled;

bool slab_is_available(void)
{
	return false;
}

void *kmalloc(size_t size, gfp_t flags)
{
	fail("kmalloc(%zu) in early boot", size);
}

void kfree(void *memory)
{
	fail("kfree() in early boot");
}

struct pglist_data *first_online_pgdat(void)
{
	return NULL;
}

struct pglist_data *next_online_pgdat(struct pglist_data *node)
{
	return NULL;
}

void atomic_long_set(atomic_long_t *value, long number)
{
}
