// SPDX-License-Identifier: GPL-2.0
//
// drivers/firmware/efi/efi-init.c: what a crash kernel may use is decided where the EFI memory map
// is known.

@@
@@
 efi_init(...)
 {
 <...
-early_init_dt_check_for_usable_mem_range();
+fdt_enforce_memory_region();
 ...>
 }
