// SPDX-License-Identifier: GPL-2.0

//! ACPI tables in `/proc/iomem`.
//!
//! This file talks to C. How memory is cut is decided in the file beside it, which knows nothing
//! of C and is tested on the host.

pub mod memory_resources;

use kernel::{
    early_boot::EarlyBoot,
    efi::{
        acpi_tables,
        uses_acpi,
        NATIVE_PAGE, //
    },
    memblock::{
        resources::{
            Description,
            RawResource,
            Resources, //
        },
        Memblock, //
    },
    prelude::*, //
};
use memory_resources::{
    memory_resources,
    Kind, //
};

const __LOG_PREFIX: &[u8] = b"arm64/mm\0";

/// Publishes memory in `/proc/iomem`, with the ACPI tables cut out of System RAM.
///
/// Returns an array of resources and writes to `count` how many of them are not ACPI tables; those
/// come first. [`reserve_memblock_reserved_regions()`] hangs what is reserved below these, so the
/// tables, which are reserved from end to end, stay without such a child.
///
/// Returns NULL, and changes nothing, if there are no ACPI tables.
///
/// Called when the linear map is there. C prototype: `include/linux/efi_acpi_tables.h`.
///
/// [`reserve_memblock_reserved_regions()`]: srctree/arch/arm64/kernel/setup.c
///
/// # Safety
///
/// Called by `request_standard_resources()`, with a pointer to a number that it may write.
#[export]
pub unsafe extern "C" fn arm64_request_memory_resources(count: *mut c_int) -> *mut RawResource {
    // SAFETY: `setup_arch()` calls `request_standard_resources()` after `efi_init()`.
    let boot = unsafe { EarlyBoot::new() };
    let memblock = Memblock::of_boot(&boot);
    let tables = acpi_tables(&boot);
    let tables = tables.ranges();
    if !uses_acpi(&boot) || tables.hull().is_none() {
        return core::ptr::null_mut();
    }

    let pieces = memory_resources(&memblock, tables, NATIVE_PAGE);
    // SAFETY: `setup_arch()` calls `paging_init()` before `request_standard_resources()`.
    let Some(mut resources) = (unsafe { Resources::new(memblock, pieces.clone().count()) }) else {
        return core::ptr::null_mut();
    };
    let mut standard = 0;
    for (kind, range) in pieces {
        let description = match kind {
            Kind::SystemRam => Description::SystemRam,
            Kind::Reserved => Description::Reserved,
            Kind::AcpiTables => Description::AcpiTables,
        };
        if resources.insert(description, range).is_err() {
            pr_warn!("{range}: not shown in /proc/iomem\n");
        }
        if kind != Kind::AcpiTables {
            standard = resources.count();
        }
    }
    // SAFETY: The caller's promise.
    unsafe { count.write(c_int::try_from(standard).unwrap_or(0)) };
    resources.into_raw()
}
