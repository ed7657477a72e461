// SPDX-License-Identifier: GPL-2.0
//
// Test only, and no part of the series. arch/arm64/kernel/acpi.c: ACPI Reclaim memory that is not
// in the linear map is mapped as Device memory, as it was in 2017. The first unaligned access to a
// table faults then.

@reclaim@
symbol phys, prot;
expression linear;
@@
 acpi_os_ioremap(...)
 {
 <...
 if (memblock_is_map_memory(phys))
 	return linear;
+prot = __pgprot(PROT_DEVICE_nGnRnE);
+break;
 ...>
 }
