// SPDX-License-Identifier: GPL-2.0

//! What the fuzz targets share: numbers and boots made of arbitrary bytes.

use arbitrary::Arbitrary;
use oracle::{Boot, Cells, Descriptor};

/// Where memory starts, as a rule.
const BASE: u64 = 0x4000_0000;

/// A number that is likely to meet others: on a grid, or next to it. Or next to a power of two, or
/// any.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Number {
    /// So many units, and a few bytes.
    Grid(u8, i8),
    /// So many parts of units.
    Part(u8),
    /// A power of two, or one less.
    Power(u8, bool),
    /// Any number.
    Any(u64),
}

impl Number {
    /// The number, with `base` below the grid.
    pub fn value(self, base: u64, unit: u64) -> u64 {
        match self {
            Self::Grid(units, bytes) => {
                let at = base.wrapping_add(u64::from(units % 64).wrapping_mul(unit));
                at.wrapping_add_signed(bytes.into())
            }
            Self::Part(parts) => base.wrapping_add(u64::from(parts).wrapping_mul(unit / 16)),
            Self::Power(bit, below) => (1u64 << (bit % 64)) - u64::from(below),
            Self::Any(number) => number,
        }
    }
}

/// The size of a native page.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Page {
    /// 4 KiB.
    Small,
    /// 16 KiB.
    Medium,
    /// 64 KiB.
    Large,
}

impl Page {
    /// The size in bytes.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Small => 0x1000,
            Self::Medium => 0x4000,
            Self::Large => 0x1_0000,
        }
    }
}

/// A descriptor of the map.
#[derive(Arbitrary, Debug)]
struct Entry {
    meaning: Meaning,
    start: u8,
    pages: u8,
    other: Option<(Number, Number)>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Meaning {
    Ram,
    Acpi,
    AcpiNotWriteBack,
    Runtime,
    Device,
    SetAside,
    Other(u32, u64),
}

impl Entry {
    fn descriptor(&self, unit: u64) -> Descriptor {
        let (kind, attributes) = match self.meaning {
            Meaning::Ram => (7, 0xf),
            Meaning::Acpi => (9, 0xf),
            Meaning::AcpiNotWriteBack => (9, 0x2),
            Meaning::Runtime => (6, 0xf),
            Meaning::Device => (11, 0x1),
            Meaning::SetAside => (9, 0x4_000f),
            Meaning::Other(kind, attributes) => (kind % 20, attributes),
        };
        let (start, pages) = match self.other {
            Some((start, pages)) => (start.value(BASE, unit), pages.value(0, unit / 4096)),
            None => (
                BASE.wrapping_add(u64::from(self.start % 64).wrapping_mul(unit)),
                u64::from(self.pages % 32).wrapping_mul(unit / 4096),
            ),
        };
        Descriptor { kind, start, pages, attributes }
    }
}

#[derive(Arbitrary, Debug)]
enum Property {
    None,
    /// As a loader writes it.
    Ranges(Vec<(Number, Number)>, u8),
    /// Any bytes for any cells.
    Bytes(Vec<u8>, u8, u8),
}

/// A whole boot.
#[derive(Arbitrary, Debug)]
pub struct Input {
    unit: u8,
    page: Page,
    map: Vec<Entry>,
    property: Property,
    limit: Option<Number>,
    last: u8,
    linear_map: u8,
    room: Option<u8>,
    flags: u8,
}

impl Input {
    /// The boot.
    pub fn boot(&self) -> Boot {
        let unit = 1u64 << (12 + self.unit % 28);
        let (property, cells) = match &self.property {
            Property::None => (None, Cells { address: 2, size: 2 }),
            Property::Ranges(ranges, behind) => {
                let numbers = ranges.iter().flat_map(|(first, size)| {
                    [first.value(BASE, unit), size.value(0, unit)].map(u64::to_be_bytes)
                });
                let mut bytes = numbers.collect::<Vec<_>>().concat();
                bytes.resize(bytes.len() + usize::from(behind % 16), 0);
                (Some(bytes), Cells { address: 2, size: 2 })
            }
            Property::Bytes(bytes, address, size) => {
                let cells = Cells { address: (address % 9).into(), size: (size % 9).into() };
                (Some(bytes.clone()), cells)
            }
        };
        Boot {
            map: self.map.iter().map(|entry| entry.descriptor(unit)).collect(),
            page: self.page.bytes(),
            soft_reserve: self.flags & 1 != 0,
            property,
            cells,
            acpi: self.flags & 2 == 0,
            // One byte at address zero is no range; the kernel takes whole pages.
            limit: self.limit.map(|limit| limit.value(0, unit)).filter(|limit| *limit != 1),
            last: (1 << (30 + self.last % 33)) - 1,
            linear_map: 1 << (63 - self.linear_map % 50),
            room: self.room.map_or(usize::MAX, |room| usize::from(room % 16)),
            section: 1 << 27,
        }
    }
}
