// SPDX-License-Identifier: GPL-2.0

//! What /proc/kcore shows of memory: as much as in a stock kernel.

use crate::{
    case_boot::{set, spans},
    facts::Facts,
    iomem::{SYSTEM_RAM, top_level},
    properties::Answer,
    span::{Span, list},
};
use anyhow::{Context, Result, anyhow, ensure};
use object::{
    Endianness,
    elf::{FileHeader64, PT_LOAD},
    read::elf::{FileHeader, ProgramHeader},
};
use std::collections::BTreeMap;

/// What /proc/kcore shows of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kcore {
    /// The memory that it has, as physical addresses.
    pub memory: Vec<Span>,
    /// The memory whose `struct page` it has.
    pub pages: Vec<Span>,
}

/// Where the kernel has its memory map, and for what.
struct MemoryMap {
    /// The virtual addresses.
    virtual_span: Span,
    /// The physical address that it begins with; it wraps around below zero.
    base: u64,
    /// The size of a page.
    page: u64,
    /// The size of a `struct page`.
    entry: u64,
}

impl Kcore {
    /// Reads the headers of /proc/kcore, and those lines of its VMCOREINFO that say where the memory
    /// map is.
    pub fn parse(headers: &[u8], info: &[String]) -> Result<Self> {
        let map = MemoryMap::parse(info)?;
        let header = FileHeader64::<Endianness>::parse(headers)
            .map_err(|error| anyhow!("/proc/kcore is no 64-bit ELF file: {error}"))?;
        let endian = header.endian()?;
        let mut kcore = Self::default();
        for segment in header.program_headers(endian, headers)? {
            if segment.p_type(endian) != PT_LOAD {
                continue;
            }
            let span =
                |start: u64| Span { start, end: start.saturating_add(segment.p_memsz(endian)) };
            // What is not memory has no physical address.
            if segment.p_paddr(endian) != u64::MAX {
                kcore.memory.push(span(segment.p_paddr(endian)));
            } else if map.virtual_span.contains(span(segment.p_vaddr(endian))) {
                kcore.pages.push(map.described(span(segment.p_vaddr(endian))));
            }
        }
        ensure!(!kcore.memory.is_empty() && !kcore.pages.is_empty(), "/proc/kcore has no memory");
        Ok(kcore)
    }
}

impl MemoryMap {
    fn parse(info: &[String]) -> Result<Self> {
        let values: BTreeMap<_, _> = info.iter().filter_map(|line| line.split_once('=')).collect();
        let value = |name: &str| -> Result<u64> {
            let text = values.get(name).with_context(|| format!("no {name} in VMCOREINFO"))?;
            let number = match text.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16),
                None => text.parse(),
            };
            number.with_context(|| format!("VMCOREINFO has '{name}={text}'"))
        };
        let (page, entry) = (value("PAGESIZE")?, value("SIZE(page)")?);
        ensure!(page > 0 && entry > 0, "VMCOREINFO has pages of no size");
        let virtual_span =
            Span { start: value("NUMBER(VMEMMAP_START)")?, end: value("NUMBER(VMEMMAP_END)")? };
        Ok(Self { virtual_span, base: value("NUMBER(PHYS_OFFSET)")?, page, entry })
    }

    /// The memory that the entries in `part` of the memory map are for.
    fn described(&self, part: Span) -> Span {
        let memory = |address: u64| {
            let number = (address - self.virtual_span.start) / self.entry;
            self.base.wrapping_add(number * self.page)
        };
        Span { start: memory(part.start), end: memory(part.end) }
    }
}

/// What of System RAM is not `here`, and is in stock's.
fn lost(facts: &Facts, here: &[Span], stock: &[Span]) -> Vec<Span> {
    let [here, stock] = [here, stock].map(|spans| set(spans.iter().copied()));
    spans(&set(top_level(&facts.iomem, SYSTEM_RAM)).and(&stock).without(&here))
}

/// /proc/kcore of both kernels has all System RAM that it has in stock, and their pages.
pub fn as_in_stock(kernels: [(&Facts, &Facts); 2]) -> Answer {
    let mut counts = Vec::new();
    for (facts, stock) in kernels {
        let (Some(here), Some(there)) = (&facts.kcore, &stock.kcore) else {
            return Answer::new(false, "no /proc/kcore");
        };
        let memory = lost(facts, &here.memory, &there.memory);
        let pages = lost(facts, &here.pages, &there.pages);
        if !memory.is_empty() || !pages.is_empty() {
            let says = format!("lost: {}; pages of {}", list(&memory), list(&pages));
            return Answer::new(false, says);
        }
        counts.push(format!("{}+{}", here.memory.len(), here.pages.len()));
    }
    Answer::new(true, format!("{} segments", counts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iomem::ACPI_TABLES;

    const INFO: [&str; 5] = [
        "PAGESIZE=4096",
        "SIZE(page)=64",
        "NUMBER(VMEMMAP_START)=0xfffffdffc0000000",
        "NUMBER(VMEMMAP_END)=0xffffffffc0000000",
        "NUMBER(PHYS_OFFSET)=0x40000000",
    ];

    /// The headers of a core with these PT_LOAD: virtual address, physical address, size.
    fn headers(segments: &[(u64, u64, u64)]) -> Vec<u8> {
        let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
        bytes.resize(16, 0);
        for half in [4u16, 183, 1, 0] {
            bytes.extend(half.to_le_bytes());
        }
        for word in [0u64, 64, 0] {
            bytes.extend(word.to_le_bytes());
        }
        for half in [0u16, 0, 64, 56, segments.len() as u16, 0, 0, 0] {
            bytes.extend(half.to_le_bytes());
        }
        for (virtual_address, physical, size) in segments {
            bytes.extend([1u32, 7].map(u32::to_le_bytes).concat());
            for word in [0x1000, *virtual_address, *physical, *size, *size, 0x1000] {
                bytes.extend(word.to_le_bytes());
            }
        }
        bytes
    }

    #[test]
    fn pages_are_told_from_other_segments() {
        let vmalloc = (0xffff_8000_8000_0000, u64::MAX, 0x1000);
        let memory = (0xffff_0000_0000_0000, 0x4000_0000, 0x0100_0000);
        let pages = (0xffff_fdff_c000_0000, u64::MAX, 0x4_0000);
        let info = INFO.map(String::from);
        let kcore = Kcore::parse(&headers(&[vmalloc, memory, pages]), &info).unwrap();
        let span = Span { start: 0x4000_0000, end: 0x4100_0000 };
        assert_eq!(kcore, Kcore { memory: vec![span], pages: vec![span] });
        assert!(Kcore::parse(&headers(&[vmalloc, memory]), &info).is_err(), "no pages");
        assert!(Kcore::parse(&headers(&[memory, pages]), &info[1..]).is_err(), "no PAGESIZE");
        assert!(Kcore::parse(&headers(&[memory, pages])[1..], &info).is_err(), "no ELF file");
    }

    #[test]
    fn the_tables_may_be_lost_and_nothing_else() {
        let of = |spans: &[Span]| Kcore { memory: spans.to_vec(), pages: spans.to_vec() };
        let mut stock = Facts::made_up();
        let ram = top_level(&stock.iomem, SYSTEM_RAM)[0];
        let tables = top_level(&stock.iomem, ACPI_TABLES)[0];
        stock.kcore = Some(of(&[ram, tables]));
        let holds = |kcore| {
            let facts = Facts { kcore, ..Facts::made_up() };
            as_in_stock([(&stock, &stock), (&facts, &stock)]).holds
        };
        assert!(holds(Some(of(&[ram]))));
        assert!(!holds(None));
        let shorter = Span { end: ram.end - 0x1000, ..ram };
        assert!(!holds(Some(Kcore { memory: vec![shorter], ..of(&[ram]) })));
        assert!(!holds(Some(Kcore { pages: vec![shorter], ..of(&[ram]) })));
        // What stock does not have is not lost.
        stock.kcore = Some(of(&[shorter]));
        let facts = Facts { kcore: Some(of(&[shorter])), ..Facts::made_up() };
        assert!(as_in_stock([(&stock, &stock), (&facts, &stock)]).holds);
    }
}
