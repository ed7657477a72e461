// SPDX-License-Identifier: GPL-2.0

#include <asm/memory.h>

__rust_helper u64 rust_helper_arm64_linear_region_size(void)
{
	return PAGE_END - _PAGE_OFFSET(vabits_actual);
}
