// SPDX-License-Identifier: GPL-2.0

//! Keeps ACPI Reclaim memory as firmware left it.
//!
//! The ACPI tables are there, and the EFI memory map. Every kernel that is started by kexec, and a
//! crash kernel above all, needs both as they are: so nothing may be allocated from that memory.
//!
//! This file talks to C. Where memblock may allocate from is decided in the file beside it, which
//! knows nothing of C and is tested on the host.

pub mod free_memory;

use free_memory::{
    largest_free,
    next_free, //
};
use kernel::{
    early_boot::{
        EarlyBoot,
        MOST_LINES, //
    },
    efi::{
        MemoryMap,
        NATIVE_PAGE, //
    },
    memblock::Memblock,
    phys::{
        Difference,
        Merged,
        PhysAddr,
        PhysRange, //
    },
    prelude::*, //
};

const __LOG_PREFIX: &[u8] = b"efi\0";

/// How many entries of memblock.reserved are left to what else is reserved before the list can
/// grow: the kernel, its initramfs, the device tree and what it lists, and page tables.
const SPARE_RESERVATIONS: usize = 48;

/// Why the kernel stops.
const NO_FREE_MEMORY: &CStr = c"more ranges of ACPI Reclaim memory than memblock can reserve, \
    and not enough memory free of them to start from";

/// Reserves the ACPI Reclaim memory of the EFI memory map, before anything is allocated.
///
/// Each range is whole native pages, and says where it is in one line. If memblock has no room for
/// all of them, and its list cannot grow yet, all are left to
/// [`efi_reserve_acpi_reclaim_late()`].
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
    keep(&boot, When::First);
}

/// Has memblock allocate elsewhere, as long as there is ACPI Reclaim memory that is not reserved.
///
/// Called before the linear map is there. C prototype: `include/linux/efi_acpi_tables.h`.
///
/// # Safety
///
/// Called by `setup_arch()`, right before `paging_init()`: all that is reserved for a reason of its
/// own is reserved by then, and next to nothing was allocated.
#[export]
pub unsafe extern "C" fn efi_protect_acpi_reclaim() {
    // SAFETY: `setup_arch()` has called `efi_init()`.
    let boot = unsafe { EarlyBoot::new() };
    keep(&boot, When::BeforePaging);
}

/// Reserves the ACPI Reclaim memory that [`efi_reserve_acpi_reclaim()`] had to leave.
///
/// Called when the linear map is there. C prototype: `include/linux/efi_acpi_tables.h`.
///
/// # Safety
///
/// Called by `setup_arch()`, right after `paging_init()`, which lets the lists of memblock grow.
#[export]
pub unsafe extern "C" fn efi_reserve_acpi_reclaim_late() {
    // SAFETY: `setup_arch()` has called `efi_init()`.
    let boot = unsafe { EarlyBoot::new() };
    // Without a limit all was reserved before: memblock panics where it cannot.
    if Memblock::of_boot(&boot).allocation_limit() != PhysAddr::MAX {
        keep(&boot, When::AfterPaging);
    }
}

/// When something is done for ACPI Reclaim memory.
enum When {
    First,
    BeforePaging,
    AfterPaging,
}

// One function for all: the memory map is read in one place.
fn keep(boot: &EarlyBoot, when: When) {
    let memblock = Memblock::of_boot(boot);
    let Some(map) = MemoryMap::of_boot(boot) else {
        if let When::First = when {
            pr_err!("EFI memory map cannot be read: ACPI Reclaim memory is not reserved\n");
        }
        return;
    };
    let reclaim = map.acpi_reclaim();
    let ranges = reclaim.ranges();
    match when {
        When::First => reserve_first(memblock, ranges),
        _ if all_reserved(memblock, ranges.clone()) => (),
        When::BeforePaging => protect(boot, memblock, ranges),
        When::AfterPaging => reserve_late(boot, memblock, ranges),
    }
}

#[inline]
fn reserve_first(memblock: Memblock<'_>, ranges: Merged<impl Iterator<Item = PhysRange> + Clone>) {
    let count = ranges.clone().count();
    if has_room(memblock, count, SPARE_RESERVATIONS) {
        reserve(memblock, ranges);
    } else {
        pr_info!("ACPI Reclaim memory: {count} ranges: to be reserved when memblock has room\n");
    }
}

#[inline]
fn protect(
    boot: &EarlyBoot,
    memblock: Memblock<'_>,
    ranges: Merged<impl Iterator<Item = PhysRange> + Clone>,
) {
    let count = ranges.clone().count();
    // A limit on memory (`mem=`) truncates the reservations, too. What is left of the spare entries
    // is for page tables.
    if has_room(memblock, count, SPARE_RESERVATIONS / 2) {
        reserve(memblock, ranges);
        return;
    }
    // Lists and page tables take whole pages: bytes above the last whole page would be left.
    // And what does not fit would be taken from below, where tables may be.
    let free = largest_free(&memblock, memblock.reserved(), ranges.clone())
        .and_then(|free| free.whole_pages_within(NATIVE_PAGE))
        .filter(|free| free.size() > boot.largest_paging_alloc());
    match free {
        Some(free) if !memblock.has_preferred() => memblock.allocate_below(free.last().next()),
        // Where all fit without an entry to spare it may still do.
        _ if has_room(memblock, count, 0) => reserve(memblock, ranges),
        _ => boot.stop(NO_FREE_MEMORY),
    }
}

#[inline]
fn reserve_late(
    boot: &EarlyBoot,
    memblock: Memblock<'_>,
    ranges: Merged<impl Iterator<Item = PhysRange> + Clone>,
) {
    let limit = memblock.allocation_limit();
    let free = next_free(&memblock, memblock.reserved(), ranges.clone(), limit);
    // The list grows into new memory while part of the ranges is not reserved yet.
    let growth = memblock.growth_of_reserved(ranges.clone().count());
    if growth.is_none_or(|growth| free.is_none_or(|free| free.size() < growth)) {
        boot.stop(NO_FREE_MEMORY);
    }
    reserve(memblock, ranges);
    memblock.allocate_below(None);
}

/// Whether memblock can reserve `count` more ranges, and `spare` ones after them, before its list
/// can grow.
#[inline]
fn has_room(memblock: Memblock<'_>, count: usize, spare: usize) -> bool {
    count.saturating_add(spare) <= memblock.free_reservations()
}

/// Whether all of `ranges`, which are sorted and without overlaps, are reserved.
///
/// The last byte of the address space is not asked for: the end of what memblock holds is a number,
/// so it leaves that byte out of all that it is given.
#[inline]
fn all_reserved(memblock: Memblock<'_>, ranges: impl Iterator<Item = PhysRange>) -> bool {
    Difference::new(ranges, memblock.reserved()).all(|rest| rest.start() == PhysAddr::MAX)
}

/// Reserves `ranges`, and says which.
#[inline]
fn reserve(memblock: Memblock<'_>, ranges: impl Iterator<Item = PhysRange>) {
    let mut count = 0;
    for range in ranges {
        match memblock.reserve(range) {
            Ok(()) if count < MOST_LINES => pr_info!("ACPI Reclaim memory {range}: reserved\n"),
            Ok(()) => (),
            Err(_) => pr_err!("ACPI Reclaim memory {range}: not reserved\n"),
        }
        count += 1;
    }
    if count > MOST_LINES {
        pr_info!("ACPI Reclaim memory: {count} ranges in all\n");
    }
}
