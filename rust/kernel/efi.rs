// SPDX-License-Identifier: GPL-2.0

//! The EFI memory map, during early boot.
//!
//! C header: [`include/linux/efi.h`](srctree/include/linux/efi.h)

mod memory;

pub use memory::{
    AcpiReclaim,
    Attributes,
    Descriptor,
    Descriptors,
    MemoryType, //
};

use crate::{
    bindings,
    early_boot::EarlyBoot,
    page::PAGE_SIZE,
    phys::{
        PageSize,
        PhysAddr, //
    },
    prelude::*, //
};
use core::{
    ptr::addr_of,
    slice, //
};

/// The size of a native page, which is the smallest piece that memory is mapped in.
pub const NATIVE_PAGE: PageSize = match PageSize::new_checked(PAGE_SIZE as u64) {
    Some(size) => size,
    None => panic!("PAGE_SIZE is no power of two"),
};

/// The EFI memory map as the firmware left it.
#[derive(Clone, Copy)]
pub struct MemoryMap<'boot> {
    descriptors: Descriptors<'boot>,
    soft_reserve: bool,
}

impl<'boot> MemoryMap<'boot> {
    /// A memory map without descriptors.
    #[inline]
    pub const fn empty() -> Self {
        Self {
            descriptors: Descriptors::NONE,
            soft_reserve: false,
        }
    }

    /// The memory map of this boot.
    ///
    /// [`None`] where there is none that can be read: not booted by EFI, already unmapped, or
    /// descriptors that are smaller than version 1 of the UEFI specification makes them.
    #[inline]
    pub fn of_boot(_boot: &'boot EarlyBoot) -> Option<Self> {
        // SAFETY: `efi` is a static of C; nothing writes to it while `setup_arch()` runs but the
        // functions that `setup_arch()` calls, and this is one of them.
        let (memmap, flags) =
            unsafe { (addr_of!(bindings::efi.memmap).read(), bindings::efi.flags) };
        if flags & (1 << bindings::EFI_MEMMAP) == 0 || memmap.map.is_null() {
            return None;
        }
        let count = usize::try_from(memmap.nr_map).ok()?;
        let size = count.checked_mul(memmap.desc_size)?;
        let map = memmap.map.cast_const().cast::<u8>();
        // SAFETY: With `EFI_MEMMAP` set, `efi_memmap_init_early()` has mapped `nr_map` descriptors
        // of `desc_size` bytes at `map`. `efi_memmap_unmap()` is called by `efi_init()` when it
        // gives up, and after `setup_arch()`. Until then nothing writes to the map.
        let bytes = unsafe { slice::from_raw_parts(map, size) };
        Some(Self {
            descriptors: Descriptors::new_checked(bytes, memmap.desc_size)?,
            soft_reserve: soft_reserve_enabled(),
        })
    }

    /// The ACPI Reclaim memory of the map that the kernel reserves.
    #[inline]
    pub fn acpi_reclaim(self) -> AcpiReclaim<impl Iterator<Item = Descriptor> + Clone + 'boot> {
        AcpiReclaim::reserved(self.descriptors(), NATIVE_PAGE, self.soft_reserve)
    }

    #[inline]
    fn descriptors(self) -> impl Iterator<Item = Descriptor> + Clone + 'boot {
        self.descriptors.acpi_reclaim(read_descriptor)
    }
}

/// Reads a descriptor with one instruction for each number, where firmware has aligned it.
///
/// The kernel is compiled such that it never accesses memory unaligned:
/// [`Descriptor::from_bytes()`] takes one byte after the other. That is more code than a copy,
/// which would be a call from the innermost loop.
#[inline]
fn read_descriptor(bytes: &[u8]) -> Option<Descriptor> {
    const _: () = assert!(size_of::<bindings::efi_memory_desc_t>() == Descriptor::SIZE);
    let raw = bytes.as_ptr().cast::<bindings::efi_memory_desc_t>();
    if !raw.is_aligned() || bytes.len() < Descriptor::SIZE {
        return Descriptor::from_bytes(bytes);
    }
    // SAFETY: It is aligned, there are as many bytes, and any of them make a descriptor of C: it
    // has nothing but numbers.
    let raw = unsafe { raw.read() };
    Some(Descriptor {
        memory_type: MemoryType::new(raw.type_),
        start: PhysAddr::new(raw.phys_addr),
        pages: raw.num_pages,
        attributes: Attributes::new(raw.attribute),
    })
}

/// Whether special-purpose memory is kept back.
///
/// C function: `efi_soft_reserve_enabled()`.
#[inline]
fn soft_reserve_enabled() -> bool {
    // SAFETY: It reads a flag that `parse_early_param()` has set.
    cfg!(CONFIG_EFI_SOFT_RESERVE) && unsafe { bindings::__efi_soft_reserve_enabled() }
}

/// The ACPI tables: the ACPI Reclaim memory that the kernel can map. None without an EFI memory
/// map.
#[inline]
pub fn acpi_tables(boot: &EarlyBoot) -> AcpiReclaim<impl Iterator<Item = Descriptor> + Clone + '_> {
    let map = MemoryMap::of_boot(boot).unwrap_or(MemoryMap::empty());
    let last = boot.last_mappable();
    AcpiReclaim::tables(map.descriptors(), NATIVE_PAGE, map.soft_reserve, last)
}

/// Whether this boot uses ACPI, as far as can be told before the tables are read.
///
/// With `acpi=off`, or with a device tree that describes the machine, ACPI Reclaim memory is
/// nothing but reserved.
///
/// Valid once `efi_init()` has read the configuration tables.
#[inline]
pub fn uses_acpi(boot: &EarlyBoot) -> bool {
    has_acpi_root_pointer(boot) && boot.acpi_wanted()
}

/// Whether the firmware handed over an ACPI root pointer (RSDP).
#[inline]
fn has_acpi_root_pointer(_boot: &EarlyBoot) -> bool {
    // SAFETY: As for `MemoryMap::of_boot()`.
    let (acpi, acpi20) = unsafe { (bindings::efi.acpi, bindings::efi.acpi20) };
    // `EFI_INVALID_TABLE_ADDR`, which is a cast that `bindgen` does not take.
    acpi != c_ulong::MAX || acpi20 != c_ulong::MAX
}
