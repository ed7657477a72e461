// SPDX-License-Identifier: GPL-2.0
//
// drivers/firmware/efi/efi-init.c: ACPI Reclaim memory is reserved in one place.

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
+if (md->type == EFI_ACPI_RECLAIM_MEMORY && !efi_reserves_acpi_reclaim())
 	memblock_reserve(paddr, size);
 ...>
 }

@init@
@@
 efi_init(...)
 {
 <...
 reserve_regions();
+efi_reserve_acpi_reclaim();
 ...>
 }
