// SPDX-License-Identifier: GPL-2.0
//
// arch/arm64/mm/init.c: mem= does not take the ACPI tables away.

@limit@
symbol memory_limit;
@@
 arm64_memblock_init(...)
 {
 <...
-memblock_mem_limit_remove_map(memory_limit);
+arm64_enforce_memory_limit(memory_limit);
 ...>
 }
