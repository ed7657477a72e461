/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ACPI Reclaim memory on arm64: reserved, published, and given back to a crash kernel.
 * All of these are called during setup_arch(), on the boot CPU.
 */
#ifndef _LINUX_EFI_ACPI_TABLES_H
#define _LINUX_EFI_ACPI_TABLES_H

#include <linux/memblock.h>
#include <linux/of_fdt.h>
#include <linux/types.h>

struct resource;

#ifdef CONFIG_EFI_ACPI_TABLES

/* Whether this boot is going to use ACPI, in arch/arm64/kernel/acpi.c. */
bool acpi_boot_wanted(void);

/* Has a panic be seen, and restart the machine, before the ACPI tables are read in setup_arch(). */
void acpi_prepare_panic(void);

/* What bounds memory, in arch/arm64/mm/init.c. */
u64 arm64_linear_region_size(void);
phys_addr_t arm64_last_phys_addr(void);
u64 arm64_largest_paging_alloc(void);

/* Reserves the ACPI Reclaim memory of the EFI memory map, or leaves it to the next two. */
void efi_reserve_acpi_reclaim(void);

/* Right before and right after paging_init(), for memory that is not reserved yet. */
void efi_protect_acpi_reclaim(void);
void efi_reserve_acpi_reclaim_late(void);

/* Whether efi_reserve_acpi_reclaim() reserves ACPI Reclaim memory. */
static inline bool efi_reserves_acpi_reclaim(void)
{
	return true;
}

/*
 * Publishes memory in /proc/iomem. Returns the resources and, in count, how many of them are not
 * ACPI tables; NULL, and nothing was done, without ACPI tables.
 */
struct resource *arm64_request_memory_resources(int *count);

/* Applies linux,usable-memory-range to the memory of the EFI memory map. */
void fdt_enforce_memory_region(void);

/* Applies mem=. */
void arm64_enforce_memory_limit(phys_addr_t limit);

#else /* CONFIG_EFI_ACPI_TABLES */

static inline void efi_reserve_acpi_reclaim(void) { }
static inline void efi_protect_acpi_reclaim(void) { }
static inline void efi_reserve_acpi_reclaim_late(void) { }

static inline bool efi_reserves_acpi_reclaim(void)
{
	return false;
}

static inline struct resource *arm64_request_memory_resources(int *count)
{
	return NULL;
}

static inline void fdt_enforce_memory_region(void)
{
	early_init_dt_check_for_usable_mem_range();
}

static inline void arm64_enforce_memory_limit(phys_addr_t limit)
{
	memblock_mem_limit_remove_map(limit);
}

#endif /* CONFIG_EFI_ACPI_TABLES */

#endif /* _LINUX_EFI_ACPI_TABLES_H */
