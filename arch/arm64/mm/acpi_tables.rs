// SPDX-License-Identifier: GPL-2.0

//! ACPI tables on arm64: in memory, in `/proc/iomem`, and in a crash kernel.
//!
//! This file talks to C. What is to be done is decided in the files beside it, which know nothing
//! of C and are tested on the host.

pub mod cap_memory;
pub mod memory_resources;
pub mod usable_memory;

use cap_memory::{
    enforce_limit,
    Memory,
    Region, //
};
use kernel::{
    early_boot::EarlyBoot,
    efi::{
        has_acpi_root_pointer,
        MemoryMap,
        NATIVE_PAGE, //
    },
    fdt::{
        chosen_property,
        root_cells,
        Reg, //
    },
    memblock::{
        resources::{
            Description,
            RawResource,
            Resources, //
        },
        Memblock, //
    },
    phys::{
        PageSize,
        PhysRange, //
    },
    prelude::*, //
};
use memory_resources::{
    memory_resources,
    Kind, //
};
use usable_memory::{
    range_of,
    usable,
    Limits,
    Plan, //
};

const __LOG_PREFIX: &[u8] = b"arm64/mm\0";

/// The property of `/chosen` that lists what a crash kernel may use.
const USABLE_MEMORY_RANGE: &CStr = c"linux,usable-memory-range";

/// The most lines about entries of the property that are no use: it can have very many of them.
const MOST_WARNINGS: usize = 8;

/// `arm64_memblock_init()` rounds the base of the linear map down to `ARM64_MEMSTART_ALIGN`, which
/// is private to it and at most this for every page size.
const LINEAR_MAP_ALIGN: PageSize = match PageSize::new_checked(1 << 30) {
    Some(align) => align,
    None => panic!("1 GiB is no power of two"),
};

/// How many regions of memblock.memory are left free for what `setup_arch()` adds or splits later.
const SPARE_REGIONS: usize = 32;

impl Memory for Memblock<'_> {
    #[inline]
    fn regions(&self) -> impl Iterator<Item = Region> + Clone {
        (*self).regions().map(|region| Region {
            range: region.range,
            nomap: region.nomap,
        })
    }

    #[inline]
    fn remove(&self, range: PhysRange) {
        if let Err(error) = (*self).remove(range) {
            pr_err!("{range}: not removed from memory: {error:?}\n");
        }
    }
}

/// The ACPI tables, if this boot uses them: merged, sorted, whole native pages.
///
/// With `acpi=off`, or with a device tree that describes the machine, there are none: ACPI Reclaim
/// memory is what it is without this file.
#[inline]
fn tables(boot: &EarlyBoot) -> impl Iterator<Item = PhysRange> + Clone + '_ {
    let map = if has_acpi_root_pointer(boot) && boot.acpi_wanted() {
        MemoryMap::of_boot(boot)
    } else {
        None
    };
    map.unwrap_or(MemoryMap::empty()).acpi_reclaim().tables()
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
    let tables = tables(boot);
    let memblock = Memblock::of_boot(boot);
    let Some(cells) = root_cells(boot) else {
        boot.stop(c"linux,usable-memory-range cannot be decoded: #address-cells or #size-cells of the root node is out of range; not touching the crashed kernel's memory");
    };
    let reg = Reg::new(property, cells);

    let mut warnings = 0;
    for (index, entry) in reg.entries().enumerate() {
        match usable(&memblock, tables.clone(), entry) {
            Ok(range) => pr_info!("usable memory {range}: given by linux,usable-memory-range\n"),
            Err(fault) => {
                warnings += 1;
                if warnings <= MOST_WARNINGS {
                    let (addr, size) = (entry.addr.unwrap_or(0), entry.size.unwrap_or(0));
                    pr_warn!("linux,usable-memory-range: entry {index} ({addr:#x}, size {size:#x}) {fault}: ignored\n");
                }
            }
        }
    }
    if warnings > MOST_WARNINGS {
        pr_warn!("linux,usable-memory-range: {warnings} entries ignored in all\n");
    }
    if reg.leftover() != 0 {
        pr_warn!(
            "linux,usable-memory-range: {} bytes, the last {} are no whole entry: ignored\n",
            property.len(),
            reg.leftover()
        );
    }

    let usable = reg.entries().filter_map(|entry| range_of(entry).ok());
    let limits = Limits {
        linear_map: boot.linear_map_size(),
        linear_map_align: LINEAR_MAP_ALIGN,
        regions: memblock
            .region_slots()
            .saturating_sub(Memblock::regions(memblock).count())
            .saturating_sub(SPARE_REGIONS),
    };
    let Some(plan) = Plan::new(&memblock, usable, tables, limits) else {
        boot.stop(c"linux,usable-memory-range gives no usable memory; not touching the crashed kernel's memory. Check how the crash kernel was loaded");
    };

    for range in plan.left_out() {
        pr_warn!("ACPI Tables {range}: left out of memory, they would cost the crash kernel memory of its own\n");
    }
    plan.apply(&memblock);
    for range in plan.given_back() {
        pr_info!("ACPI Tables {range}: kept in memory for the crash kernel\n");
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
    // SAFETY: `setup_arch()` calls `arm64_memblock_init()`, which calls this function.
    let boot = unsafe { EarlyBoot::new() };
    let memblock = Memblock::of_boot(&boot);
    let tables = tables(&boot);
    if tables.clone().next().is_some() {
        enforce_limit(&memblock, tables, limit);
    } else {
        memblock.remove_above_limit(limit);
    }
}

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
    // SAFETY: `setup_arch()` calls `request_standard_resources()`, which calls this function.
    let boot = unsafe { EarlyBoot::new() };
    let memblock = Memblock::of_boot(&boot);
    let Some((resources, standard)) = publish(&boot, memblock) else {
        return core::ptr::null_mut();
    };
    // SAFETY: The caller's promise.
    unsafe { count.write(c_int::try_from(standard).unwrap_or(0)) };
    resources.into_raw()
}

/// The resources, and how many of them are not ACPI tables.
#[inline]
fn publish(boot: &EarlyBoot, memblock: Memblock<'_>) -> Option<(Resources, usize)> {
    let tables = tables(boot);
    tables.clone().next()?;

    let pieces = memory_resources(&memblock, tables, NATIVE_PAGE);
    let mut resources = Resources::new(memblock, pieces.clone().count())?;
    let mut standard = 0;
    for (kind, range) in pieces {
        let description = match kind {
            Kind::SystemRam => Description::SystemRam,
            Kind::Reserved => Description::Reserved,
            Kind::AcpiTables => Description::AcpiTables,
        };
        if let Err(error) = resources.insert(description, range) {
            pr_warn!("{range}: not shown in /proc/iomem: {error:?}\n");
        }
        if kind != Kind::AcpiTables {
            standard = resources.count();
        }
    }
    Some((resources, standard))
}
