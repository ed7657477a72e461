// SPDX-License-Identifier: GPL-2.0
//
// Test only, and no part of the series. kexec-tools, kexec/arch/arm64/kexec-arm64.c: the property
// linux,usable-memory-range that is made for kexec_load() has the ACPI tables, behind the memory that
// was reserved for the crash kernel. This is the route that was proposed in 2017.

@lists@
symbol usablemem_rgns, crash_reserved_mem, size, ranges;
@@
 setup_2nd_dtb(...)
 {
 <+...
(
-usablemem_rgns.size
+listed()->size
|
-usablemem_rgns.ranges
+listed()->ranges
|
-crash_reserved_mem
+listed()->ranges
)
 ...+>
 }

@depends on lists@
@@
+static int list(void *ranges, int nr, char *name, unsigned long long base,
+		unsigned long long length)
+{
+	return mem_regions_alloc_and_add(ranges, base, length, RANGE_RAM);
+}
+
+/* The property has them in the reverse order. */
+static struct memory_ranges *listed(void)
+{
+	static struct memory_ranges ranges;
+	int i;
+
+	if (ranges.size)
+		return &ranges;
+	kexec_iomem_for_each_line("ACPI Tables\n", list, &ranges);
+	for (i = 0; i < usablemem_rgns.size; i++)
+		list(&ranges, 0, NULL, usablemem_rgns.ranges[i].start,
+		     usablemem_rgns.ranges[i].end - usablemem_rgns.ranges[i].start + 1);
+	return &ranges;
+}
+
 static int setup_2nd_dtb(...)
 {
 ...
 }
