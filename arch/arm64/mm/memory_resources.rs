// SPDX-License-Identifier: GPL-2.0

//! How memory is published in /proc/iomem.

use kernel::{
    memblock::Memory,
    phys::{
        Difference,
        Merged,
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

/// All memory, cut so that no two pieces overlap and each is whole pages.
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
    let ram = memory
        .regions()
        .filter(|region| !region.nomap)
        .filter_map(move |region| region.range.whole_pages_within(page));
    // Two of them may share a page.
    let nomap = Merged::new(
        memory
            .regions()
            .filter(|region| region.nomap)
            .map(move |region| region.range.to_whole_pages(page)),
    );

    let kind = |kind| move |range| (kind, range);
    Difference::new(ram, tables.clone())
        .map(kind(Kind::SystemRam))
        .chain(nomap.clone().map(kind(Kind::Reserved)))
        .chain(Difference::new(tables, nomap).map(kind(Kind::AcpiTables)))
}
