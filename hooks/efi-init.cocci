// SPDX-License-Identifier: GPL-2.0
//
// drivers/firmware/efi/efi-init.c: ACPI Reclaim memory is reserved in one place, and what a crash
// kernel may use is decided where the EFI memory map is known.

@@
@@
 #include <linux/efi.h>
+#include <linux/efi_acpi_tables.h>

@reserve@
symbol md, paddr, size;
@@
 reserve_regions(...)
 {
 <...
-if (md->type == EFI_ACPI_RECLAIM_MEMORY)
+if (md->type == EFI_ACPI_RECLAIM_MEMORY && !efi_acpi_tables_kept())
 	memblock_reserve(paddr, size);
 ...>
 }

@init@
@@
 efi_init(...)
 {
 <...
 reserve_regions();
+efi_acpi_tables_reserve();
 ...
-early_init_dt_check_for_usable_mem_range();
+fdt_enforce_memory_region();
 ...>
 }
