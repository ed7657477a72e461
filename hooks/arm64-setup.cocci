// SPDX-License-Identifier: GPL-2.0
//
// arch/arm64/kernel/setup.c: memory is published with the ACPI tables cut out of System RAM.

@request@
symbol iomem_resource, kernel_data, standard_resources, num_standard_resources;
identifier res;
@@
 request_standard_resources(...)
 {
 ...
 struct resource *res;
 ...
 insert_resource(&iomem_resource, &kernel_data);
+res = arm64_request_memory_resources(&num_standard_resources);
+if (res) {
+	standard_resources = res;
+	return;
+}
 ...
 }
