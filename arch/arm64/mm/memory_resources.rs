// SPDX-License-Identifier: GPL-2.0

//! How memory is published in /proc/iomem.

use kernel::{
    memblock::{
        mapped,
        Memory, //
    },
    phys::{
        Difference,
        PageSize,
        PhysRange, //
    }, //
};

/// What a piece of memory is published as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Mapped memory: "System RAM".
    SystemRam,
    /// Memory without mapping: "reserved".
    Reserved,
    /// ACPI Reclaim memory: "ACPI Tables".
    AcpiTables,
}

/// All memory, cut so that no two pieces overlap and each is whole pages; the tables come last.
///
/// `tables` are sorted, without overlaps, and whole pages. They are published even where memblock
/// does not know them, for they exist whether or not they are mapped (`mem=`, a crash kernel).
/// Memory without mapping wins over tables that share a page with it: nothing may be said to be
/// there to read that is not mapped.
#[inline]
pub fn memory_resources<'a>(
    memory: &'a impl Memory,
    tables: impl Iterator<Item = PhysRange> + Clone + 'a,
    page: PageSize,
) -> impl Iterator<Item = (Kind, PhysRange)> + Clone + 'a {
    let ram = mapped(memory).filter_map(move |range| range.whole_pages_within(page));
    // Two of them may share a page, which the first one gets.
    let mut last = None;
    let nomap = memory.regions().filter(|region| region.nomap);
    let nomap = nomap.filter_map(move |region| {
        let pages = region.range.to_whole_pages(page);
        let pages = match last {
            Some(last) => pages.above(last)?,
            None => pages,
        };
        last = Some(pages.last());
        Some(pages)
    });
    Pieces {
        ram: Difference::new(ram, tables.clone()),
        nomap: nomap.clone(),
        tables: Difference::new(tables, nomap),
    }
}

#[derive(Clone)]
struct Pieces<R, N, T> {
    ram: R,
    nomap: N,
    tables: T,
}

impl<R, N, T> Iterator for Pieces<R, N, T>
where
    R: Iterator<Item = PhysRange>,
    N: Iterator<Item = PhysRange>,
    T: Iterator<Item = PhysRange>,
{
    type Item = (Kind, PhysRange);

    #[inline]
    fn next(&mut self) -> Option<(Kind, PhysRange)> {
        if let Some(ram) = self.ram.next() {
            Some((Kind::SystemRam, ram))
        } else if let Some(nomap) = self.nomap.next() {
            Some((Kind::Reserved, nomap))
        } else {
            Some((Kind::AcpiTables, self.tables.next()?))
        }
    }

    #[inline]
    fn count(self) -> usize {
        self.ram.count() + self.nomap.count() + self.tables.count()
    }
}
