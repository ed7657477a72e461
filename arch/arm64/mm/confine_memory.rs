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

/// Prints the first few of `ranges`, and how many there are beyond.
#[inline]
fn list(ranges: impl Iterator<Item = PhysRange>, print: impl Fn(PhysRange), what: &'static str) {
    let mut count = 0;
    for range in ranges {
        count += 1;
        if count <= MOST_LINES {
            print(range);
        }
    }
    if count > MOST_LINES {
        pr_info!("ACPI Tables: {what}: {count} ranges in all\n");
    }
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
        confine(&boot, property);
    }
}

#[inline]
fn confine(boot: &EarlyBoot, property: &[u8]) {
    let memblock = Memblock::of_boot(boot);
    let Some(cells) = root_cells(boot) else {
        boot.stop(NOT_DECODABLE);
    };
    remove_above(&memblock, boot.last_mappable());
    let reg = Reg::new(property, cells);
    // Each range may need a region of its own. The first one will do with those that there are.
    let room = room(memblock).max(1);
    report(boot, memblock, reg, room);

    if !keep(boot, memblock, None, reg, room) {
        boot.stop(NOTHING_USABLE);
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

    // As for `keep()`.
    #[inline(never)]
    fn next(&mut self) -> Option<PhysRange> {
        if self.below.is_some() {
            return self.below.take();
        }
        self.entries
            .find_map(|entry| range_of(entry, NATIVE_PAGE).ok())
    }
}

/// Keeps of memory what is `below`, or what the first `most` entries of `reg` give, and the ACPI
/// tables. Whether there is memory to use in it; if not, nothing was done.
// Two copies of it would be most of the code.
#[inline(never)]
fn keep(
    boot: &EarlyBoot,
    memblock: Memblock<'_>,
    below: Option<PhysRange>,
    reg: Reg<'_>,
    most: usize,
) -> bool {
    let usable = Usable {
        below,
        entries: reg.entries().take(most),
    };
    let uses_acpi = uses_acpi(boot);
    let limits = limits(boot, memblock, usable.clone().count(), uses_acpi);
    let Some(plan) = Plan::new(&memblock, usable, acpi_tables(boot), limits) else {
        return false;
    };
    plan.apply(&memblock);
    if uses_acpi {
        report_tables(&plan);
    }
    true
}

/// Says what is used of the property, and what is not and why.
#[inline]
fn report(boot: &EarlyBoot, memblock: Memblock<'_>, reg: Reg<'_>, room: usize) {
    let mut ignored = 0;
    for (index, entry) in reg.entries().enumerate() {
        let fault = if index < room {
            usable(&memblock, acpi_tables(boot), entry, NATIVE_PAGE)
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

/// Says which tables stay, and which do not.
#[inline]
fn report_tables<U, T>(plan: &Plan<U, T>)
where
    U: Iterator<Item = PhysRange> + Clone,
    T: Iterator<Item = PhysRange> + Clone,
{
    let kept = |range| pr_info!("ACPI Tables {range}: kept in memory\n");
    list(plan.kept(), kept, "kept in memory");
    let left_out = |range| {
        pr_warn!("ACPI Tables {range}: left out of memory: no room, or too far from the rest\n")
    };
    list(plan.left_out(), left_out, "left out of memory");
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
    let memblock = Memblock::of_boot(&boot);
    if !uses_acpi(&boot) || acpi_tables(&boot).next().is_none() {
        // SAFETY: The caller is `arm64_memblock_init()`: nothing was allocated yet, and it reserves
        // the kernel and its initramfs after this.
        unsafe { memblock.remove_above_limit(limit) };
        return;
    }
    let Some(below) = below_limit(&memblock, acpi_tables(&boot), limit) else {
        return;
    };
    if !keep(&boot, memblock, Some(below), NO_ENTRIES, 0) {
        // SAFETY: As above.
        unsafe { memblock.remove_above_limit(limit) };
    }
}
