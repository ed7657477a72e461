// SPDX-License-Identifier: GPL-2.0

//! What a boot must come to, said a second time and in another way: from the rules R1 to R7 of the
//! design, for any EFI memory map and any `linux,usable-memory-range`.
//!
//! It shares no code with the series and no idea either. It never steps along two lists at once: the
//! address space is cut at every bound that anything mentions, each piece is decided alone, by the
//! rules, and pieces that agree are joined. That is slow, takes memory, and is easy to believe.
//!
//! Where the rules leave something open, what the kernel does is written down at the place, with the
//! reason; look for "Open:".

mod efi;
mod give_back;
mod outcome;
mod pieces;
mod property;
mod shown;

pub use efi::{Before, Descriptor, attribute, before, kind};
pub use give_back::MAPS_SHARE;
pub use outcome::{Memory, Outcome, outcome, outcome_from};
pub use pieces::{Set, Span};
pub use property::{Cells, Fault, given, judged, number};
pub use shown::{Shown, shown};

/// The size of a section of memory in bytes, with native pages of `page` bytes
/// (`SECTION_SIZE_BITS`, `arch/arm64/include/asm/sparsemem.h`).
pub fn section(page: u64) -> u64 {
    if page < 0x1_0000 { 1 << 27 } else { 1 << 29 }
}

/// Everything that the memory of a boot follows from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boot {
    /// The EFI memory map, in the firmware's order.
    pub map: Vec<Descriptor>,
    /// The size of a native page in bytes: 4, 16 or 64 KiB.
    pub page: u64,
    /// Whether the kernel sets special-purpose memory aside (`efi_soft_reserve_enabled()`).
    pub soft_reserve: bool,
    /// The bytes of `linux,usable-memory-range`; [`None`]: there is no such property.
    pub property: Option<Vec<u8>>,
    /// How many cells an address and a size of the property have.
    pub cells: Cells,
    /// Whether this boot uses ACPI: firmware handed tables over, and the user wants them.
    pub acpi: bool,
    /// `mem=`, in bytes.
    pub limit: Option<u64>,
    /// The last physical address that the kernel can map, inclusive.
    pub last: u64,
    /// The size of the linear map in bytes.
    pub linear_map: u64,
    /// How many ranges memblock has room for besides those that it has.
    pub room: usize,
    /// The size of a section in bytes, which has a memory map or has none.
    pub section: u64,
}

impl Default for Boot {
    /// A machine without memory, and nothing that limits what it could have.
    fn default() -> Self {
        Self {
            map: Vec::new(),
            page: 0x1000,
            soft_reserve: false,
            property: None,
            cells: Cells { address: 2, size: 2 },
            acpi: true,
            limit: None,
            last: (1 << 52) - 1,
            linear_map: 1 << 63,
            room: usize::MAX,
            section: section(0x1000),
        }
    }
}
