// SPDX-License-Identifier: GPL-2.0
//
// arch/arm64/kernel/acpi.c: whether ACPI is going to be used can be asked before the tables are
// read.

@@
@@
 #include <linux/efi.h>
+#include <linux/efi_acpi_tables.h>

@use@
identifier done;
symbol param_acpi_off, param_acpi_on, param_acpi_force;
@@
 acpi_boot_table_init(...)
 {
 ...
-if (param_acpi_off || (!param_acpi_on && !param_acpi_force && !dt_is_stub()))
+if (!acpi_preferred())
 	goto done;
 ...
 }

@define@
typedef bool;
attribute name __init, __initdata;
@@
 static bool __init dt_is_stub(void)
 {
 ...
 }
+
+static bool __init acpi_preferred(void)
+{
+	/* Not known yet. To find out takes a walk through the device tree. */
+	static int is_stub __initdata = -1;
+
+	if (param_acpi_off)
+		return false;
+	if (param_acpi_on || param_acpi_force)
+		return true;
+	if (is_stub < 0)
+		is_stub = dt_is_stub();
+	return is_stub;
+}
+
+#ifdef CONFIG_EFI_ACPI_TABLES
+bool __init acpi_boot_wanted(void)
+{
+	return acpi_preferred();
+}
+#endif
