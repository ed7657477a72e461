// SPDX-License-Identifier: GPL-2.0

//! Confines memory to what `linux,usable-memory-range` or `mem=` leave of it, and to the ACPI
//! tables.
//!
//! This file talks to C. What is to be done is decided in the files beside it, which know nothing
//! of C and are tested on the host.

pub mod cap_memory;
pub mod usable_memory;

use cap_memory::{
    below_limit,
    remove_above, //
};
use kernel::{
    early_boot::{
        EarlyBoot,
        MOST_LINES, //
    },
    efi::{
        acpi_tables,
        uses_acpi,
        NATIVE_PAGE, //
    },
    fdt::{
        chosen_property,
        root_cells,
        Cells,
        Reg,
        RegEntry, //
    },
    memblock::Memblock,
    page::PAGE_SIZE,
    phys::{
        Merged,
        PageSize,
        PhysRange, //
    },
    prelude::*, //
};
use usable_memory::{
    range_of,
    usable,
    Fault,
    Limits,
    Plan, //
};

const __LOG_PREFIX: &[u8] = b"arm64/mm\0";

/// The property of `/chosen` that lists what a crash kernel may use.
const USABLE_MEMORY_RANGE: &CStr = c"linux,usable-memory-range";

/// Why a crash kernel stops.
const NOT_DECODABLE: &CStr = c"linux,usable-memory-range cannot be decoded: \
    #address-cells or #size-cells of the root node is out of range; \
    not touching the crashed kernel's memory";
/// Why a crash kernel stops.
const NOTHING_USABLE: &CStr = c"linux,usable-memory-range gives no usable memory; \
    not touching the crashed kernel's memory. Check how the crash kernel was loaded";

/// `arm64_memblock_init()` rounds the base of the linear map down to `ARM64_MEMSTART_ALIGN`, which
/// is private to it and at most this for every page size.
const LINEAR_MAP_ALIGN: PageSize = match PageSize::new_checked(1 << 30) {
    Some(align) => align,
    None => panic!("1 GiB is no power of two"),
};

/// The size of a section in bytes, of which `asm/sparsemem.h` has the bits.
const SECTION_SIZE: u64 = if PAGE_SIZE < 1 << 16 {
    1 << 27
} else {
    1 << 29
};
const SECTION: PageSize = match PageSize::new_checked(SECTION_SIZE) {
    Some(section) => section,
    None => panic!("SECTION_SIZE is no power of two"),
};

/// The size of a section's memory map: 64 bytes for each page, and little more for debugging.
const SECTION_MAP: u64 = SECTION_SIZE / PAGE_SIZE as u64 * 64;

/// How many regions of memblock.memory are left free for what `setup_arch()` adds or splits later.
const SPARE_REGIONS: usize = 32;

/// A property without entries.
const NO_ENTRIES: Reg<'static> = match Cells::new_checked(1, 1) {
    Some(cells) => Reg::new(&[], cells),
    None => panic!("an entry of two cells can be described"),
};

/// How much memory the kernel can take over and above its own.
#[inline]
fn limits(boot: &EarlyBoot, memblock: Memblock<'_>, used: usize, uses_acpi: bool) -> Limits {
    Limits {
        linear_map: boot.linear_map_size(),
        linear_map_align: LINEAR_MAP_ALIGN,
        regions: if uses_acpi {
            room(memblock).saturating_sub(used)
        } else {
            0
        },
        section: SECTION,
        section_map: SECTION_MAP,
    }
}

/// How many regions memblock.memory can get, and leave enough for the rest of `setup_arch()`.
#[inline]
fn room(memblock: Memblock<'_>) -> usize {
    memblock.free_regions().saturating_sub(SPARE_REGIONS)
}

/// Confines a crash kernel to what `linux,usable-memory-range` gives it, and to the ACPI tables.
///
/// Without the property all memory stays. With a property that gives nothing the kernel stops: all
/// memory would be that of the crashed kernel, which is the evidence.
///
/// Called before the linear map is there. C prototype: `include/linux/efi_acpi_tables.h`.
///
/// # Safety
///
/// Called by `efi_init()` of arm64, once it has filled memblock from the EFI memory map.
#[export]
pub unsafe extern "C" fn fdt_enforce_memory_region() {
    // SAFETY: `setup_arch()` calls `efi_init()`, which calls this function.
    let boot = unsafe { EarlyBoot::new() };
    if let Some(property) = chosen_property(&boot, USABLE_MEMORY_RANGE) {
        // SAFETY: It is no limit.
        unsafe { confine(&boot, To::Property(property)) };
    }
}

/// What memory is confined to.
#[derive(Clone, Copy)]
enum To<'a> {
    /// What the property gives.
    Property(&'a [u8]),
    /// So many bytes, the lowest.
    Limit(u64),
}

/// Confines memory, and keeps the ACPI tables.
///
/// # Safety
///
/// A limit is given by `arm64_memblock_init()` alone: nothing was allocated yet, and it reserves
/// the kernel and its initramfs after this.
// One function for both: most of the code is in what they have in common.
unsafe fn confine(boot: &EarlyBoot, to: To<'_>) {
    let memblock = Memblock::of_boot(boot);
    let tables = acpi_tables(boot);
    let tables = tables.ranges();
    let uses_acpi = uses_acpi(boot);
    let remove_above_limit = |limit| {
        // SAFETY: The caller's promise, for there is a limit.
        unsafe { memblock.remove_above_limit(limit) };
    };
    let usable = match to {
        To::Property(property) => {
            let Some(cells) = root_cells(boot) else {
                boot.stop(NOT_DECODABLE);
            };
            remove_above(&memblock, boot.last_mappable());
            let reg = Reg::new(property, cells);
            // Each range may need a region of its own. The first one will do with those that there
            // are.
            let room = room(memblock).max(1);
            report(memblock, tables.clone(), reg, room);
            Usable {
                below: None,
                entries: reg.entries().take(room),
            }
        }
        To::Limit(limit) => {
            if !uses_acpi || tables.hull().is_none() {
                return remove_above_limit(limit);
            }
            let Some(below) = below_limit(&memblock, tables.clone(), limit) else {
                return;
            };
            Usable {
                below: Some(below),
                entries: NO_ENTRIES.entries().take(0),
            }
        }
    };
    if keep(boot, memblock, Merged::new(usable), tables, uses_acpi) {
        return;
    }
    match to {
        To::Property(_) => boot.stop(NOTHING_USABLE),
        To::Limit(limit) => remove_above_limit(limit),
    }
}

/// The usable ranges: what is `below`, and what entries of the property give.
#[derive(Clone)]
struct Usable<I> {
    below: Option<PhysRange>,
    entries: I,
}

impl<I: Iterator<Item = RegEntry>> Iterator for Usable<I> {
    type Item = PhysRange;

    // Not marked for inlining, as `Merged` is not.
    fn next(&mut self) -> Option<PhysRange> {
        if self.below.is_some() {
            return self.below.take();
        }
        self.entries
            .find_map(|entry| range_of(entry, NATIVE_PAGE).ok())
    }
}

/// Keeps of memory what is `usable`, and the ACPI tables. Whether there is memory to use in it; if
/// not, nothing was done.
#[inline]
fn keep(
    boot: &EarlyBoot,
    memblock: Memblock<'_>,
    usable: Merged<impl Iterator<Item = PhysRange> + Clone>,
    tables: Merged<impl Iterator<Item = PhysRange> + Clone>,
    uses_acpi: bool,
) -> bool {
    let limits = limits(boot, memblock, usable.clone().count(), uses_acpi);
    let Some(plan) = Plan::new(&memblock, usable, tables, limits) else {
        return false;
    };
    plan.apply(&memblock);
    if uses_acpi {
        report_left_out(&plan);
    }
    true
}

/// Says what is used of the property, and what is not and why.
#[inline]
fn report(
    memblock: Memblock<'_>,
    tables: Merged<impl Iterator<Item = PhysRange> + Clone>,
    reg: Reg<'_>,
    room: usize,
) {
    let mut ignored = 0;
    for (index, entry) in reg.entries().enumerate() {
        let fault = if index < room {
            usable(&memblock, tables.clone(), entry, NATIVE_PAGE)
        } else {
            Err(Fault::TooMany)
        };
        match fault {
            Ok(range) if index < MOST_LINES => {
                pr_info!("usable memory {range}: given by linux,usable-memory-range\n");
            }
            Ok(_) => (),
            Err(fault) => {
                ignored += 1;
                if ignored <= MOST_LINES {
                    let (addr, size) = (entry.addr.unwrap_or(0), entry.size.unwrap_or(0));
                    let fault = fault.as_str();
                    pr_warn!(
                        "linux,usable-memory-range: entry {index} ({addr:#x}, size {size:#x}) \
                         {fault}: ignored\n"
                    );
                }
            }
        }
    }
    if ignored > MOST_LINES {
        pr_warn!("linux,usable-memory-range: {ignored} entries ignored in all\n");
    }
    if reg.leftover() != 0 {
        pr_warn!(
            "linux,usable-memory-range: the last {} bytes are no whole entry: ignored\n",
            reg.leftover()
        );
    }
}

/// Says which tables do not stay.
#[inline]
fn report_left_out<U, T>(plan: &Plan<U, T>)
where
    U: Iterator<Item = PhysRange> + Clone,
    T: Iterator<Item = PhysRange> + Clone,
{
    let mut count = 0;
    for range in plan.left_out() {
        count += 1;
        if count <= MOST_LINES {
            pr_warn!(
                "ACPI Tables {range}: left out of memory: no room, or too far from the rest\n"
            );
        }
    }
    if count > MOST_LINES {
        pr_info!("ACPI Tables: left out of memory: {count} ranges in all\n");
    }
}

/// Applies `mem=`, which gives the size of memory in bytes, and keeps the ACPI tables.
///
/// Called before the linear map is there. C prototype: `include/linux/efi_acpi_tables.h`.
///
/// # Safety
///
/// Called by `arm64_memblock_init()`.
#[export]
pub unsafe extern "C" fn arm64_enforce_memory_limit(limit: u64) {
    // SAFETY: `setup_arch()` calls `arm64_memblock_init()` after `efi_init()`.
    let boot = unsafe { EarlyBoot::new() };
    // SAFETY: The caller is `arm64_memblock_init()`.
    unsafe { confine(&boot, To::Limit(limit)) };
}
