// SPDX-License-Identifier: GPL-2.0
//
// arch/arm64/kernel/setup.c: ACPI Reclaim memory for which memblock has no room yet is reserved
// once it has, and until then nothing is allocated from it.

@@
@@
 #include <linux/efi.h>
+#include <linux/efi_acpi_tables.h>

@paging@
@@
 setup_arch(...)
 {
 <...
+efi_protect_acpi_reclaim();
 paging_init();
+efi_reserve_acpi_reclaim_late();
 ...>
 }
