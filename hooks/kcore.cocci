// SPDX-License-Identifier: GPL-2.0
//
// fs/proc/kcore.c: what a piece of memory map shares with the one before it is left out at its
// beginning, and the rest stays.

@@
symbol start, end, tmp, addr, size;
@@
 get_sparsemem_vmemmap_info(...)
 {
 <...
-if (start < tmp->addr + tmp->size)
-	if (end > tmp->addr)
-		end = tmp->addr;
+if (start >= tmp->addr + tmp->size || end <= tmp->addr)
+	continue;
+if (start < tmp->addr)
+	end = tmp->addr;
+else
+	start = tmp->addr + tmp->size;
 ...>
 }
