// SPDX-License-Identifier: GPL-2.0
//
// kernel/crash_reserve.c: the crash kernel's memory stays below the System RAM that it was taken from,
// also if it is all of that.

@@
symbol iomem_resource, crashk_res, crashk_low_res;
@@
 insert_crashkernel_resources(...)
 {
 <...
(
-insert_resource(&iomem_resource, &crashk_res);
+insert_crashkernel_resource(&crashk_res);
|
-insert_resource(&iomem_resource, &crashk_low_res);
+insert_crashkernel_resource(&crashk_low_res);
)
 ...>
 }
