// SPDX-License-Identifier: GPL-2.0

//! A machine of 64 EFI pages, kept page by page: the oracle that the kernel's code is held against.
//!
//! Nothing here uses the range algebra of the code under test. A set of memory is an array of
//! booleans, written down from DESIGN's rules.

#![allow(dead_code, reason = "each test file uses its part of it")]

use kernel::{
    efi::{AcpiReclaim, Attributes, Descriptor, MemoryType},
    fdt::RegEntry,
    memblock::{Memory, Region},
    phys::{PageSize, PhysAddr, PhysRange},
};
use proptest::prelude::*;
use std::cell::RefCell;

/// The machine's size in EFI pages.
pub const PAGES: usize = 64;
/// The size of an EFI page in bytes.
pub const PAGE: u64 = 4096;
/// Where the machine's memory starts: not at zero, and a multiple of every native page size.
pub const BASE: u64 = 0x4000_0000;

/// A set of EFI pages.
pub type Set = [bool; PAGES];

/// The range from page `first` to before page `end`.
pub fn pages(first: usize, end: usize) -> PhysRange {
    let start = PhysAddr::new(BASE + first as u64 * PAGE);
    PhysRange::from_start_size(start, (end - first) as u64 * PAGE).expect("pages out of order")
}

/// The set that `ranges` cover; each page must be covered as a whole or not at all.
pub fn set_of(ranges: impl Iterator<Item = PhysRange>) -> Set {
    let mut set = [false; PAGES];
    for range in ranges {
        for (page, there) in set.iter_mut().enumerate() {
            let page = pages(page, page + 1);
            assert!(
                !range.overlaps(page) || range.contains(page),
                "{range} cuts page {page}"
            );
            *there |= range.contains(page);
        }
    }
    set
}

/// Sets, page by page.
pub fn combine(one: &Set, other: &Set, with: fn(bool, bool) -> bool) -> Set {
    std::array::from_fn(|page| with(one[page], other[page]))
}

/// What `one` and `other` have in common.
pub fn both(one: &Set, other: &Set) -> Set {
    combine(one, other, |a, b| a && b)
}

/// What is in either of them.
pub fn either(one: &Set, other: &Set) -> Set {
    combine(one, other, |a, b| a || b)
}

/// What is in `one` and not in `other`.
pub fn without(one: &Set, other: &Set) -> Set {
    combine(one, other, |a, b| a && !b)
}

/// What an EFI memory descriptor can mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Conventional memory.
    Ram,
    /// ACPI Reclaim memory that can be mapped write-back.
    Acpi,
    /// ACPI Reclaim memory that cannot.
    AcpiNoWriteBack,
    /// Runtime services data.
    Runtime,
    /// Registers of a device.
    Device,
}

/// One descriptor of the machine's map.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub meaning: Meaning,
    pub first: usize,
    pub end: usize,
}

impl Entry {
    /// As firmware would write it.
    pub fn descriptor(self) -> Descriptor {
        let (memory_type, attributes) = match self.meaning {
            Meaning::Ram => (7, Attributes::WRITE_BACK),
            Meaning::Acpi => (9, Attributes::WRITE_BACK.and(Attributes::WRITE_COMBINE)),
            Meaning::AcpiNoWriteBack => (9, Attributes::WRITE_COMBINE),
            Meaning::Runtime => (6, Attributes::WRITE_BACK),
            Meaning::Device => (11, Attributes::new(1)),
        };
        Descriptor {
            memory_type: MemoryType::new(memory_type),
            start: PhysAddr::new(BASE + self.first as u64 * PAGE),
            pages: (self.end - self.first) as u64,
            attributes,
        }
    }
}

/// A machine: its map, in the firmware's order, and how many EFI pages a native page has.
#[derive(Clone, Debug)]
pub struct Machine {
    pub map: Vec<Entry>,
    pub native: usize,
}

impl Machine {
    /// The pages of all descriptors with one of `meanings`, rounded to native pages.
    pub fn set(&self, meanings: &[Meaning]) -> Set {
        std::array::from_fn(|page| {
            let native = page / self.native * self.native;
            (native..native + self.native).any(|page| {
                self.map.iter().any(|entry| {
                    // What is empty and starts within a native page is that page: PFN_UP().
                    let end = match entry.first % self.native {
                        0 => entry.end,
                        _ => entry.end.max(entry.first + 1),
                    };
                    meanings.contains(&entry.meaning) && (entry.first..end).contains(&page)
                })
            })
        })
    }

    /// DESIGN's NOMAP.
    pub fn nomap(&self) -> Set {
        self.set(&[Meaning::Runtime, Meaning::AcpiNoWriteBack])
    }

    /// DESIGN's ACPI, but for the pages that it shares with memory that is not mapped.
    pub fn acpi(&self) -> Set {
        without(&self.set(&[Meaning::Acpi]), &self.nomap())
    }

    /// DESIGN's RAM, likewise: memory that is mapped and that is no ACPI table.
    pub fn ram(&self) -> Set {
        let mapped = without(&self.set(&[Meaning::Ram]), &self.nomap());
        without(&mapped, &self.acpi())
    }

    /// The native page size.
    pub fn page_size(&self) -> PageSize {
        PageSize::new_checked(PAGE * self.native as u64).expect("no power of two")
    }

    /// What the kernel's code finds in the map.
    pub fn reclaim(&self) -> AcpiReclaim<impl Iterator<Item = Descriptor> + Clone + '_> {
        let descriptors = self.map.iter().map(|entry| entry.descriptor());
        AcpiReclaim::new(descriptors, self.page_size(), false)
    }

    /// memblock.memory as efi_init() fills it.
    pub fn memblock(&self) -> Memblock {
        let (nomap, ram, acpi) = (self.nomap(), self.ram(), self.acpi());
        let state = |page: usize| {
            if nomap[page] {
                Some(true)
            } else if ram[page] || acpi[page] {
                Some(false)
            } else {
                None
            }
        };
        Memblock(RefCell::new(
            (0..PAGES as u64 * PAGE)
                .step_by(CELL as usize)
                .map(|cell| state((cell / PAGE) as usize))
                .collect(),
        ))
    }
}

/// memblock works on bytes; the model on cells of 256 bytes.
pub const CELL: u64 = 256;

/// memblock.memory, cell by cell: none, or whether it is NOMAP.
pub struct Memblock(RefCell<Vec<Option<bool>>>);

impl Memblock {
    /// The pages with such a state; a page must be in one state as a whole.
    pub fn set(&self, nomap: bool) -> Set {
        set_of(
            self.regions()
                .filter(|region| region.nomap == nomap)
                .map(|region| region.range),
        )
    }

    /// The cells that are mapped.
    pub fn mapped_cells(&self) -> Vec<bool> {
        self.0
            .borrow()
            .iter()
            .map(|state| *state == Some(false))
            .collect()
    }
}

fn cell(addr: u64) -> usize {
    (addr.saturating_sub(BASE) / CELL) as usize
}

impl Memory for Memblock {
    fn regions(&self) -> impl Iterator<Item = Region> + Clone {
        let cells = self.0.borrow();
        let mut regions = Vec::<Region>::new();
        for (index, state) in cells.iter().enumerate() {
            let Some(nomap) = *state else { continue };
            let start = PhysAddr::new(BASE + index as u64 * CELL);
            let range = PhysRange::from_start_size(start, CELL).expect("beyond the end");
            match regions.last_mut() {
                Some(last) if last.nomap == nomap && last.range.touches(range) => {
                    last.range = last.range.hull(range);
                }
                _ => regions.push(Region { range, nomap }),
            }
        }
        regions.into_iter()
    }

    fn remove(&self, range: PhysRange) {
        assert_eq!(
            range.start().as_u64() % CELL,
            0,
            "{range} cuts a cell of the model"
        );
        assert_eq!(range.size() % CELL, 0, "{range} cuts a cell of the model");
        let mut cells = self.0.borrow_mut();
        for state in &mut cells[cell(range.start().as_u64())..=cell(range.last().as_u64())] {
            assert_ne!(*state, Some(true), "{range} is not mapped, and must stay");
            *state = None;
        }
    }
}

/// An entry of linux,usable-memory-range, in cells from [`BASE`].
pub fn usable_entry(first: u64, count: u64) -> RegEntry {
    RegEntry {
        addr: Some(BASE + first * CELL),
        size: Some(count * CELL),
    }
}

/// Maps of up to 12 descriptors in any order, overlapping or not, with 1, 4 or 16 EFI pages to a
/// native page.
pub fn machines() -> impl Strategy<Value = Machine> {
    let meaning = prop_oneof![
        4 => Just(Meaning::Ram),
        3 => Just(Meaning::Acpi),
        1 => Just(Meaning::AcpiNoWriteBack),
        1 => Just(Meaning::Runtime),
        1 => Just(Meaning::Device),
    ];
    let entry = (meaning, 0..PAGES, 0..24usize).prop_map(|(meaning, first, size)| Entry {
        meaning,
        first,
        end: (first + size).min(PAGES),
    });
    let map = prop::collection::vec(entry, 0..12);
    (map, prop::sample::select(vec![1, 4, 16])).prop_map(|(map, native)| Machine { map, native })
}

/// Up to 5 entries of linux,usable-memory-range: empty, overlapping, in any order, cutting pages.
pub fn properties() -> impl Strategy<Value = Vec<RegEntry>> {
    let cells = PAGES as u64 * PAGE / CELL;
    let entry = (0..cells, 0..cells / 2)
        .prop_map(move |(first, count)| usable_entry(first, count.min(cells - first)));
    prop::collection::vec(entry, 0..5)
}
