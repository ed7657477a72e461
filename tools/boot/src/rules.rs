// SPDX-License-Identifier: GPL-2.0

//! Whether the memory of a kernel with the series is what the oracle makes of its EFI memory map and
//! of its property.

use crate::{
    case_boot::set,
    iomem::{ACPI_TABLES, Resource, SYSTEM_RAM, top_level},
    memblock::Dump,
};
use anyhow::{Result, ensure};
use oracle::{Boot, Memory, Set, shown};

/// What a kernel says of its memory.
pub struct Found<'a> {
    /// memblock's lists when they were complete.
    pub dump: &'a Dump,
    /// /proc/iomem.
    pub iomem: &'a [Resource],
    /// MemTotal, in bytes.
    pub mem_total: u64,
}

/// R1 to R4: memory is `memory`, which is what must come of `boot`. The error says what is otherwise.
pub fn kept(boot: &Boot, memory: &Memory, found: &Found<'_>) -> Result<()> {
    let (mapped, reserved) = (set(found.dump.mapped()), set(found.dump.reserved()));
    same("mapped memory", &mapped, &memory.mapped)?;
    let nomap = found.dump.memory.iter().filter(|region| region.nomap());
    same("memory without a mapping", &set(nomap.map(|region| region.span)), &memory.nomap)?;
    // The list that the dump is of is the kernel's own; it has more than the rules ask for.
    let free = memory.reserved.without(&reserved);
    ensure!(free.is_empty(), "{:?} is not reserved", free.spans());
    let allocatable = mapped.without(&reserved).without(&memory.allocatable);
    ensure!(allocatable.is_empty(), "{:?} can be allocated", allocatable.spans());

    let wanted = shown(boot, memory);
    same(SYSTEM_RAM, &set(top_level(found.iomem, SYSTEM_RAM)), &wanted.system_ram)?;
    same(ACPI_TABLES, &set(top_level(found.iomem, ACPI_TABLES)), &wanted.acpi_tables)?;
    let parent =
        |resource: &&Resource| resource.name == ACPI_TABLES && !resource.children.is_empty();
    let parents = found.iomem.iter().filter(parent).count();
    ensure!(parents == 0, "{parents} ranges of ACPI Tables have something below");
    let most = memory.allocatable.bytes();
    ensure!(u128::from(found.mem_total) <= most, "{} bytes of memory", found.mem_total);
    Ok(())
}

/// The sets are the same; the error says what of them is not.
pub fn same(what: &str, found: &Set, wanted: &Set) -> Result<()> {
    let (more, less) = (found.without(wanted), wanted.without(found));
    ensure!(more.is_empty(), "{what} has {:?} that it must not have", more.spans());
    ensure!(less.is_empty(), "{what} lacks {:?}", less.spans());
    Ok(())
}
