// SPDX-License-Identifier: GPL-2.0

//! The EFI memory map, as `efi=debug` prints it.

use crate::{log::Log, span::Span};
use anyhow::{Context, Result};
use regex::Regex;
use std::sync::LazyLock;

/// One descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The addresses.
    pub span: Span,
    /// The kernel's name of its type.
    pub kind: String,
    /// Whether it can be mapped write-back.
    pub write_back: bool,
}

static LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^efi: +0x([0-9a-f]+)-0x([0-9a-f]+) \[([^|\]]*)\|([^\]]*)\]").unwrap()
});

/// The descriptors in the order of the log.
pub fn parse(log: &Log) -> Vec<Descriptor> {
    let hex = |digits: &str| u64::from_str_radix(digits, 16).unwrap_or(u64::MAX);
    log.lines()
        .filter_map(|line| LINE.captures(line))
        .map(|parts| Descriptor {
            span: Span::inclusive(hex(&parts[1]), hex(&parts[2])),
            kind: parts[3].trim_end().into(),
            write_back: write_back(&parts[4]),
        })
        .collect()
}

/// The kernel prints attributes by name, or all as one number when there is one it cannot name.
fn write_back(attributes: &str) -> bool {
    const EFI_MEMORY_WB: u64 = 8;
    match attributes.strip_prefix("attr=0x") {
        Some(digits) => {
            u64::from_str_radix(digits, 16).is_ok_and(|number| number & EFI_MEMORY_WB != 0)
        }
        None => attributes.split('|').any(|attribute| attribute == "WB"),
    }
}

/// The kernel's names of the types, by their numbers.
const KINDS: [&str; 16] = [
    "Reserved",
    "Loader Code",
    "Loader Data",
    "Boot Code",
    "Boot Data",
    "Runtime Code",
    "Runtime Data",
    "Conventional",
    "Unusable",
    ACPI_RECLAIM,
    "ACPI Mem NVS",
    "MMIO",
    "MMIO Port",
    "PAL Code",
    "Persistent",
    "Unaccepted",
];

/// The kernel's names of the attributes, and their bits.
const ATTRIBUTES: [(&str, u64); 15] = [
    ("RUN", 1 << 63),
    ("HP", 1 << 20),
    ("CC", 1 << 19),
    ("SP", 1 << 18),
    ("RO", 1 << 17),
    ("MR", 1 << 16),
    ("NV", 1 << 15),
    ("XP", 1 << 14),
    ("RP", 1 << 13),
    ("WP", 1 << 12),
    ("UCE", 1 << 4),
    ("WB", 1 << 3),
    ("WT", 1 << 2),
    ("WC", 1 << 1),
    ("UC", 1 << 0),
];

/// The descriptors as the firmware has them, for the oracle: with a size that wraps around the
/// address space, or none.
pub fn numbers(log: &Log) -> Result<Vec<oracle::Descriptor>> {
    let hex = |digits: &str| u64::from_str_radix(digits, 16);
    log.lines()
        .filter_map(|line| LINE.captures(line))
        .map(|parts| {
            let (start, last) = (hex(&parts[1])?, hex(&parts[2])?);
            Ok(oracle::Descriptor {
                kind: kind(parts[3].trim_end())?,
                start,
                pages: last.wrapping_add(1).wrapping_sub(start) >> 12,
                attributes: attributes(&parts[4])?,
            })
        })
        .collect()
}

fn kind(name: &str) -> Result<u32> {
    if let Some(number) = name.strip_prefix("type=") {
        return Ok(number.parse()?);
    }
    let found = KINDS.iter().position(|kind| *kind == name);
    Ok(found.with_context(|| format!("no type of EFI is called '{name}'"))? as u32)
}

fn attributes(text: &str) -> Result<u64> {
    if let Some(digits) = text.strip_prefix("attr=0x") {
        return Ok(u64::from_str_radix(digits, 16)?);
    }
    let names = text.split('|').map(str::trim).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let found = ATTRIBUTES.iter().find(|(known, _)| *known == name);
            Ok(found.with_context(|| format!("no attribute of EFI is called '{name}'"))?.1)
        })
        .sum()
}

/// The kernel's name of EFI_ACPI_RECLAIM_MEMORY.
pub const ACPI_RECLAIM: &str = "ACPI Reclaim";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_prints() {
        let log = Log::new(
            "[    0.000000] efi: Processing EFI memory map:\n\
             [    0.000000] efi:   0x000040000000-0x00004007ffff [Loader Data |   |  |  |  |  |  |  |  |  |  |   |WB|WT|WC|UC]\n\
             [    0.000000] efi:   0x00007c430000-0x00007c43ffff [ACPI Reclaim|   |  |  |  |  |  |  |  |  |  |   |WB|WT|WC|UC]\n\
             [    0.000000] efi:   0x000004000000-0x000007ffffff [MMIO        |RUN|  |  |  |  |  |  |  |  |  |   |  |  |  |UC]\n",
        );
        let map = parse(&log);
        assert_eq!(map.len(), 3);
        assert_eq!(map[1].kind, ACPI_RECLAIM);
        assert_eq!(map[1].span, Span { start: 0x7c43_0000, end: 0x7c44_0000 });
        assert!(map[1].write_back);
        assert_eq!(map[2].kind, "MMIO");
        assert!(!map[2].write_back);
    }

    #[test]
    fn numbers_are_those_of_the_firmware() {
        let log = Log::new(
            "efi:   0x000004000000-0x000007ffffff [MMIO        |RUN|  |  |  |  |  |  |  |  |  |   |  |  |WC|  ]\n\
             efi:   0x000050000000-0x00004fffffff [type=99|attr=0x800000000000000f]\n\
             efi:   0xfffffffffffff000-0x000000000fff [ACPI Reclaim|   |  |  |  |  |  |  |  |  |  |   |WB|  |  |  ]\n",
        );
        let descriptor =
            |kind, start, pages, attributes| oracle::Descriptor { kind, start, pages, attributes };
        assert_eq!(
            numbers(&log).unwrap(),
            [
                descriptor(11, 0x400_0000, 0x4000, 1 << 63 | 2),
                descriptor(99, 0x5000_0000, 0, 0x8000_0000_0000_000f),
                descriptor(9, 0xffff_ffff_ffff_f000, 2, 8),
            ]
        );
        let odd = "efi:   0x000004000000-0x000007ffffff [MMIO        |NEW|  ]";
        assert!(numbers(&Log::new(odd)).is_err());
    }

    #[test]
    fn attributes_without_a_name_come_as_a_number() {
        assert!(write_back("attr=0x800000000000000f"));
        assert!(!write_back("attr=0x8000000000000001"));
    }
}
