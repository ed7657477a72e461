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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        case_boot::Configured,
        facts::Facts,
        made_up::{GIVEN, RAM},
        memblock::Region,
        span::Span,
    };
    use oracle::Outcome;

    /// What is not kept by a crash kernel in which something was changed; nothing, if all is.
    fn broken(change: impl FnOnce(&mut Facts, &mut Memory)) -> Option<String> {
        let mut facts = Facts::made_up();
        let boot = Boot {
            property: Some([GIVEN.start, GIVEN.bytes()].map(u64::to_be_bytes).concat()),
            ..Configured::made_up().boot(facts.efi_map.clone())
        };
        let Outcome::Boots(mut memory) = oracle::outcome(&boot) else { panic!("it stops") };
        change(&mut facts, &mut memory);
        let Facts { memblock: dump, iomem, mem_total, .. } = &facts;
        let found = Found { dump, iomem, mem_total: *mem_total };
        kept(&boot, &memory, &found).err().map(|error| error.to_string())
    }

    #[test]
    fn each_rule_is_seen_to_be_broken() {
        let region = |flags, span| Region { span, flags };
        let page = |start| Span { start, end: start + 0x1000 };
        let (nomap, behind) = (region(4, page(RAM.start)), region(0, page(GIVEN.end)));
        let without_first_page = Span { start: GIVEN.start + 0x1000, ..GIVEN };
        assert_eq!(broken(|_, _| ()), None);
        for (found, wanted) in [
            // Memory of the crashed kernel.
            (
                broken(|facts, _| facts.memblock.memory.push(behind)),
                "mapped memory has [5a600000-5a600fff] that it must not have",
            ),
            // No tables, and less memory than was given.
            (
                broken(|facts, _| facts.memblock.memory.truncate(1)),
                "mapped memory lacks [5c430000-5c43ffff]",
            ),
            (
                broken(|facts, _| facts.memblock.memory[0].span = without_first_page),
                "mapped memory lacks [4a600000-4a600fff]",
            ),
            (
                broken(|facts, _| facts.memblock.memory.push(nomap)),
                "memory without a mapping has [40000000-40000fff] that it must not have",
            ),
            (
                broken(|_, memory| memory.nomap = set([page(RAM.start)])),
                "memory without a mapping lacks [40000000-40000fff]",
            ),
            // Tables that are not reserved as a whole, and other memory that cannot be allocated.
            (
                broken(|facts, _| facts.memblock.reserved[0].span.end -= 0x1000),
                "[5c43f000-5c43ffff] is not reserved",
            ),
            (
                broken(|_, memory| memory.allocatable = set([without_first_page])),
                "[4a600000-4a600fff] can be allocated",
            ),
            // /proc/iomem.
            (
                broken(|facts, _| facts.iomem[0].span.end += 0x1000),
                "System RAM has [5a600000-5a600fff] that it must not have",
            ),
            (
                broken(|facts, _| facts.iomem[0].span = without_first_page),
                "System RAM lacks [4a600000-4a600fff]",
            ),
            (
                broken(|facts, _| facts.iomem[1].span.end += 0x1000),
                "ACPI Tables has [5c440000-5c440fff] that it must not have",
            ),
            (
                broken(|facts, _| facts.iomem[1].span.start += 0x1000),
                "ACPI Tables lacks [5c430000-5c430fff]",
            ),
            (
                broken(|facts, _| {
                    let reserved = Resource { name: "reserved".into(), ..facts.iomem[1].clone() };
                    facts.iomem[1].children.push(reserved);
                }),
                "1 ranges of ACPI Tables have something below",
            ),
            (broken(|facts, _| facts.mem_total = GIVEN.bytes() + 1), "268435457 bytes of memory"),
        ] {
            assert_eq!(found.as_deref(), Some(wanted));
        }
        assert_eq!(broken(|facts, _| facts.mem_total = GIVEN.bytes()), None);
        let more = region(0, page(RAM.start));
        assert_eq!(broken(|facts, _| facts.memblock.reserved.push(more)), None);
    }
}
