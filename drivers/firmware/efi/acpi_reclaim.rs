// SPDX-License-Identifier: GPL-2.0

//! Keeps ACPI Reclaim memory as firmware left it.
//!
//! The ACPI tables are there, and the EFI memory map. Every kernel that is started by kexec, and a
//! crash kernel above all, needs both as they are: so nothing may be allocated from that memory.

use kernel::{
    early_boot::EarlyBoot,
    efi::MemoryMap,
    memblock::Memblock,
    prelude::*, //
};

const __LOG_PREFIX: &[u8] = b"efi\0";

/// Reserves the ACPI Reclaim memory of the EFI memory map, before anything is allocated.
///
/// Each range is whole native pages, and says where it is in one line.
///
/// Called before the linear map is there. C prototype: `include/linux/efi_acpi_tables.h`.
///
/// # Safety
///
/// Called by `efi_init()` of arm64, once it has filled memblock.
#[export]
pub unsafe extern "C" fn efi_reserve_acpi_reclaim() {
    // SAFETY: `setup_arch()` calls `efi_init()`, which calls this function.
    let boot = unsafe { EarlyBoot::new() };
    let Some(map) = MemoryMap::of_boot(&boot) else {
        pr_err!("EFI memory map cannot be read: ACPI Reclaim memory is not reserved\n");
        return;
    };

    let memblock = Memblock::of_boot(&boot);
    for range in map.acpi_reclaim().reserved() {
        match memblock.reserve(range) {
            Ok(()) => pr_info!("ACPI Reclaim memory {range}: reserved\n"),
            Err(error) => pr_err!("ACPI Reclaim memory {range}: not reserved: {error:?}\n"),
        }
    }
}
