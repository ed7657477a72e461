// SPDX-License-Identifier: GPL-2.0

//! What a kernel has of memory, beside what a stock kernel has: what the series costs it.

use crate::{
    facts::Facts,
    log::{Log, number},
    memblock::Dump,
    properties::Answer,
    span::{Span, covers},
};
use anyhow::{Context, Result, bail};
use oracle::section;
use regex::Regex;
use std::{collections::BTreeSet, sync::LazyLock};

/// A zone that has memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// Its node, and its name.
    pub name: (u32, String),
    /// From its first page to its last.
    pub span: Span,
    /// How many bytes of it the kernel can allocate.
    pub managed: u64,
}

/// The zones, as the guest tells them: in pages of `page` bytes.
pub fn zones(lines: &[String], page: u64) -> Result<Vec<Zone>> {
    let zone = |line: &String| {
        let words: Vec<_> = line.split(' ').collect();
        let [node, name, start, spanned, managed] = words[..] else {
            bail!("no zone: '{line}'");
        };
        let bytes = |pages: &str| -> Result<u64> {
            pages.parse::<u64>()?.checked_mul(page).context("a zone wraps around")
        };
        let start = bytes(start)?;
        let end = start.checked_add(bytes(spanned)?).context("a zone wraps around")?;
        Ok(Zone {
            name: (node.parse()?, name.into()),
            span: Span { start, end },
            managed: bytes(managed)?,
        })
    };
    lines.iter().map(zone).collect()
}

/// The size of a page, out of the auxiliary vector of a process: AT_PAGESZ.
pub fn page(vector: &[String]) -> Result<u64> {
    const AT_PAGESZ: u64 = 6;
    let word = |hex: &str| Some(u64::from_str_radix(hex, 16).ok()?.swap_bytes());
    let pair = |line: &String| Some((word(line.get(..16)?)?, word(line.get(16..)?)?));
    let size = vector.iter().filter_map(pair).find(|(key, _)| *key == AT_PAGESZ);
    size.map(|(_, size)| size).context("no AT_PAGESZ in the auxiliary vector")
}

/// How large the bounce buffers are that a kernel has made.
pub fn swiotlb(log: &Log) -> Result<u64> {
    static MAPPED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"software IO TLB: mapped \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\]").unwrap()
    });
    log.lines()
        .filter_map(|line| MAPPED.captures(line))
        .map(|parts| {
            let (start, end) = (number(&parts[1])?, number(&parts[2])?);
            end.checked_sub(start).context("bounce buffers end before they begin")
        })
        .sum()
}

/// What the memory map of one section takes: 64 bytes for each page.
pub fn memory_map(page: u64) -> u64 {
    section(page) / page * 64
}

/// The sections that have any memory of `dump`, with native pages of `page` bytes.
fn sections(dump: &Dump, page: u64) -> BTreeSet<u64> {
    let size = section(page);
    let memory = dump.memory.iter().map(|region| region.span);
    memory.flat_map(|span| span.start / size..span.end.div_ceil(size)).collect()
}

/// How many sections have memory that have none in stock.
pub fn new_sections(dump: &Dump, stock: &Dump, page: u64) -> u64 {
    sections(dump, page).difference(&sections(stock, page)).count() as u64
}

/// What page tables, and all else that is not counted, may take.
const SPARE: u64 = 1 << 20;

/// How many bytes a kernel may have less than stock: the memory map of the sections that only it has,
/// and a little.
pub fn allowed(new_sections: u64, page: u64) -> u64 {
    new_sections * memory_map(page) + SPARE
}

/// MemTotal is what it is in stock, but for what is allowed.
pub fn mem_total(facts: &Facts, stock: &Facts) -> Answer {
    let new = new_sections(&facts.memblock, &stock.memblock, facts.page);
    let less = stock.mem_total.saturating_sub(facts.mem_total);
    let says = format!("{} kB less; {new} new sections", less / 1024);
    Answer::new(less <= allowed(new, facts.page), says)
}

/// Each zone begins and ends where it does in stock, or with the tables; a zone that stock does not
/// have has nothing but tables.
pub fn same_zones(facts: &Facts, stock: &Facts) -> Result<(), String> {
    let tables = facts.acpi_reclaim();
    for zone in &facts.zones {
        let Zone { name: (node, name), span, managed } = zone;
        let Some(stock) = stock.zones.iter().find(|stock| stock.name == zone.name) else {
            if *managed == 0 && covers(tables.iter().copied(), [*span]) {
                continue;
            }
            return Err(format!("stock has no zone {name} on node {node}"));
        };
        let begins = span.start == stock.span.start
            || tables
                .iter()
                .any(|table| table.start == span.start && span.start < stock.span.start);
        let ends = span.end == stock.span.end
            || tables.iter().any(|table| table.end == span.end && stock.span.end < span.end);
        if !begins || !ends {
            return Err(format!("zone {name} on node {node} is {span}, not {}", stock.span));
        }
    }
    let here = |zone: &Zone| facts.zones.iter().any(|other| other.name == zone.name);
    match stock.zones.iter().find(|zone| !here(zone)) {
        Some(zone) => Err(format!("no zone {} on node {}", zone.name.1, zone.name.0)),
        None if facts.zones.is_empty() => Err("no zone".into()),
        None => Ok(()),
    }
}

/// The zones of both kernels are those of stock.
pub fn zones_as_in_stock(kernels: [(&Facts, &Facts); 2]) -> Answer {
    for (facts, stock) in kernels {
        if let Err(problem) = same_zones(facts, stock) {
            return Answer::new(false, problem);
        }
    }
    let names = |facts: &Facts| {
        let names: Vec<_> = facts.zones.iter().map(|zone| zone.name.1.as_str()).collect();
        names.join(" ")
    };
    Answer::new(true, kernels.map(|(facts, _)| names(facts)).join(", "))
}

/// Bounce buffers have whole segments of this size: IO_TLB_SEGSIZE slabs.
const SEGMENT: u64 = 256 << 10;

/// The bounce buffers of both kernels are as large as in stock. Where they are made for the alignment
/// of DMA alone, their size follows that of memory, which has the tables, too: a segment more is none.
pub fn swiotlb_as_in_stock(kernels: [(&Facts, &Facts); 2]) -> Answer {
    let same = |facts: &Facts, stock: &Facts| {
        facts.swiotlb.abs_diff(stock.swiotlb) <= SEGMENT
            && (facts.swiotlb > 0) == (stock.swiotlb > 0)
    };
    let holds = kernels.iter().all(|(facts, stock)| same(facts, stock));
    let sizes = kernels.map(|(facts, _)| format!("{} kB", facts.swiotlb / 1024));
    Answer::new(holds, sizes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memblock::Region;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_page_is_what_the_auxiliary_vector_says() {
        let vector = ["21000000000000009038a9ffff0000", "06000000000000000000010000000000"];
        assert_eq!(page(&vector.map(String::from)).unwrap(), 64 << 10);
        assert!(page(&[]).is_err());
    }

    #[test]
    fn bounce_buffers_are_added_up() {
        let log = Log::new(
            "software IO TLB: area num 2.\n\
             software IO TLB: mapped [mem 0x000000005ef00000-0x000000005f000000] (1MB)\n",
        );
        assert_eq!(swiotlb(&log).unwrap(), MIB);
    }

    #[test]
    fn a_section_of_tables_has_its_memory_map() {
        let stock = Facts::made_up();
        let mut facts = Facts::made_up();
        facts.mem_total -= SPARE;
        assert!(mem_total(&facts, &stock).holds);
        facts.mem_total -= 1024;
        assert!(!mem_total(&facts, &stock).holds, "no section pays for that");
        let there = Span { start: 0x8000_0000, end: 0x8001_0000 };
        facts.memblock.memory.push(Region { span: there, flags: 0 });
        facts.mem_total = stock.mem_total - 2 * MIB - SPARE;
        assert!(mem_total(&facts, &stock).holds);
        facts.page = 64 << 10;
        assert!(!mem_total(&facts, &stock).holds, "the memory map is smaller");
    }

    #[test]
    fn a_zone_is_as_in_stock_or_reaches_to_the_tables() {
        let stock = Facts::made_up();
        let acpi = stock.acpi_reclaim()[0];
        let problem = |change: fn(&mut Facts, Span)| {
            let mut facts = Facts::made_up();
            change(&mut facts, acpi);
            same_zones(&facts, &stock).err()
        };
        assert_eq!(problem(|_, _| ()), None);
        assert_eq!(problem(|facts, acpi| facts.zones[0].span.end = acpi.end), None);
        let longer = |facts: &mut Facts, acpi: Span| facts.zones[0].span.end = acpi.end + 0x1000;
        assert!(problem(longer).unwrap().contains("zone DMA on node 0 is"));
        let later = |facts: &mut Facts, _| facts.zones[0].span.start += 0x1000;
        assert!(problem(later).is_some());
        assert_eq!(problem(|facts, _| facts.zones.clear()).unwrap(), "no zone DMA on node 0");
        let zone = |facts: &mut Facts, span, managed| {
            facts.zones.push(Zone { name: (0, "Normal".into()), span, managed });
        };
        let mut facts = Facts::made_up();
        zone(&mut facts, acpi, 0);
        assert_eq!(same_zones(&facts, &stock), Ok(()));
        facts.zones[1].managed = 0x1000;
        assert!(same_zones(&facts, &stock).is_err(), "a page of it can be allocated");
    }

    #[test]
    fn bounce_buffers_do_not_grow() {
        let stock = Facts::made_up();
        let holds = |swiotlb| {
            let facts = Facts { swiotlb, ..Facts::made_up() };
            swiotlb_as_in_stock([(&stock, &stock), (&facts, &stock)]).holds
        };
        assert!(holds(stock.swiotlb) && holds(stock.swiotlb + SEGMENT));
        assert!(!holds(64 * MIB) && !holds(0));
    }
}
