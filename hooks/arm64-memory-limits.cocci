// SPDX-License-Identifier: GPL-2.0
//
// arch/arm64/mm/init.c: what bounds memory can be asked for before the linear map is there.

@@
@@
 #include <linux/efi.h>
+#include <linux/efi_acpi_tables.h>
+#include <linux/kfence.h>

@define@
typedef u64, phys_addr_t;
attribute name __init;
@@
+#ifdef CONFIG_EFI_ACPI_TABLES
+/* The size of the linear map in bytes, before KVM is asked. */
+u64 __init arm64_linear_region_size(void)
+{
+	return PAGE_END - _PAGE_OFFSET(vabits_actual);
+}
+
+/* The last address that a page table can hold, inclusive. */
+phys_addr_t __init arm64_last_phys_addr(void)
+{
+	return PHYS_MASK;
+}
+
+/* The most that paging_init() allocates in one piece, in bytes. */
+u64 __init arm64_largest_paging_alloc(void)
+{
+#ifdef CONFIG_KFENCE
+	return KFENCE_POOL_SIZE;
+#else
+	return PAGE_SIZE;
+#endif
+}
+#endif
+
 arm64_memblock_init(...)
 {
 ...
 }
