// SPDX-License-Identifier: GPL-2.0

#include <linux/efi.h>

__rust_helper bool rust_helper_efi_soft_reserve_enabled(void)
{
	return efi_soft_reserve_enabled();
}
