// SPDX-License-Identifier: GPL-2.0
//
// arch/arm64/kernel/acpi.c: a panic before the ACPI tables are read finds a console, and restarts
// the machine.

@@
@@
 #include <linux/cpumask.h>
+#include <linux/delay.h>

@@
@@
+#include <linux/psci.h>
 #include <linux/smp.h>

@define@
attribute name __init;
@@
+#ifdef CONFIG_EFI_ACPI_TABLES
+/*
+ * acpi_prepare_panic() called for a panic in setup_arch(), before
+ * acpi_boot_table_init() was called.
+ *	1. find the tables, and the console that they name
+ *	2. find the firmware that restarts the machine
+ *	3. make a second in the delay loop a second
+ *
+ * The tables are read through the fixmap. Nothing is allocated; a table
+ * may have memory reserved (BGRT).
+ */
+void __init acpi_prepare_panic(void)
+{
+	bool nospcr = param_acpi_nospcr;
+
+	/* Where a console is preferred, no early one is taken any more. */
+	param_acpi_nospcr = true;
+	acpi_boot_table_init();
+	if (!acpi_disabled) {
+		acpi_parse_spcr(!nospcr, false);
+		psci_acpi_init();
+	}
+	if (read_sysreg(cntfrq_el0))
+		loops_per_jiffy = read_sysreg(cntfrq_el0) / HZ;
+}
+#endif
+
 __acpi_get_writethrough_mem_attribute(...)
 {
 ...
 }
