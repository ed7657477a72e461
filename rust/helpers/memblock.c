// SPDX-License-Identifier: GPL-2.0

#include <linux/memblock.h>

__rust_helper int rust_helper_memblock_reserve(phys_addr_t base, phys_addr_t size)
{
	return memblock_reserve(base, size);
}
