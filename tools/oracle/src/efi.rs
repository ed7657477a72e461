// SPDX-License-Identifier: GPL-2.0

//! What arm64 takes from the EFI memory map, before anything is taken away from it.
//!
//! This is what stock Linux does in `efi_init()`, and the series leaves it as it is.

use crate::{Boot, Set, Span};

/// Types of descriptors that the rules tell apart.
pub mod kind {
    /// Memory that is free after boot services, whatever it was used for: loader, boot services,
    /// conventional, ACPI Reclaim, persistent.
    pub const FREE: [u32; 7] = [1, 2, 3, 4, 7, ACPI_RECLAIM, 14];
    /// ACPI Reclaim.
    pub const ACPI_RECLAIM: u32 = 9;
}

/// Attributes of descriptors that the rules tell apart.
pub mod attribute {
    /// Can be mapped write-combining, write-through, write-back.
    pub const ANY_MEMORY: u64 = 0x2 | 0x4 | WRITE_BACK;
    /// Can be mapped write-back.
    pub const WRITE_BACK: u64 = 0x8;
    /// Is set aside for a specific purpose.
    pub const SPECIFIC_PURPOSE: u64 = 0x4_0000;
}

/// One entry of the EFI memory map, in EFI's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The type.
    pub kind: u32,
    /// The first byte.
    pub start: u64,
    /// The size in pages of 4 KiB.
    pub pages: u64,
    /// The attributes.
    pub attributes: u64,
}

impl Descriptor {
    /// Whether efi_init() takes this for memory at all.
    fn is_memory(&self, boot: &Boot) -> bool {
        let set_aside = boot.soft_reserve && self.attributes & attribute::SPECIFIC_PURPOSE != 0;
        self.attributes & attribute::ANY_MEMORY != 0 && !set_aside
    }

    /// Whether the kernel maps this memory.
    fn is_mapped(&self, boot: &Boot) -> bool {
        let write_back = self.attributes & attribute::WRITE_BACK != 0;
        self.is_memory(boot) && kind::FREE.contains(&self.kind) && write_back
    }

    /// The memory in whole native pages.
    ///
    /// Open: what a descriptor means that wraps around the address space. efi_init() computes both
    /// ends with 64 bits, and memblock ends with the address space what wraps between them. The
    /// memory that comes of it is there for all of Linux, so the rules are about that memory, too.
    fn pages(&self, page: u64) -> Option<Span> {
        let start = self.start & !(page - 1);
        let end = self.start.wrapping_add(self.pages << 12).wrapping_add(page - 1) & !(page - 1);
        match end.wrapping_sub(start) {
            0 => None,
            size => Some(Span { first: start, last: start.saturating_add(size - 1) }),
        }
    }
}

/// The memory of a machine before a property or `mem=` is applied to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    /// Memory in the linear map: RAM and ACPI.
    pub mapped: Set,
    /// Memory without a mapping.
    pub nomap: Set,
    /// ACPI Reclaim memory that can be mapped write-back, which is what the rules call ACPI.
    pub acpi: Set,
    /// All ACPI Reclaim memory, which is reserved.
    pub reclaim: Set,
}

/// What `boot` has in memblock.memory before anything is taken away, and what of it is ACPI Reclaim.
pub fn before(boot: &Boot) -> Before {
    let set = |wanted: &dyn Fn(&Descriptor) -> bool| {
        let found = boot.map.iter().filter(|descriptor| wanted(descriptor));
        Set::of(&found.filter_map(|descriptor| descriptor.pages(boot.page)).collect::<Vec<_>>())
    };
    let reclaim = |descriptor: &Descriptor| descriptor.kind == kind::ACPI_RECLAIM;
    let nomap = set(&|descriptor| descriptor.is_memory(boot) && !descriptor.is_mapped(boot));
    Before {
        // A page that two descriptors share stays without a mapping if one of them wants that.
        mapped: set(&|descriptor| descriptor.is_mapped(boot)).without(&nomap),
        nomap,
        acpi: set(&|descriptor| reclaim(descriptor) && descriptor.is_mapped(boot)),
        reclaim: set(&|descriptor| reclaim(descriptor) && descriptor.is_memory(boot)),
    }
}
