// SPDX-License-Identifier: GPL-2.0

//! The EFI memory map, as `efi=debug` prints it.

use crate::log::{Log, number};
use anyhow::{Context, Result};
use oracle::Descriptor;
use regex::Regex;
use std::sync::LazyLock;

static LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^efi: +0x([0-9a-f]+)-0x([0-9a-f]+) \[([^|\]]*)\|([^\]]*)\]").unwrap()
});

/// The numbers of EfiRuntimeServicesCode and EfiRuntimeServicesData.
pub const RUNTIME: [u32; 2] = [5, 6];

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
    "ACPI Reclaim",
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

/// The descriptors as the firmware has them, in the order of the log: with a size that wraps around
/// the address space, or none.
pub fn parse(log: &Log) -> Result<Vec<Descriptor>> {
    log.lines()
        .filter_map(|line| LINE.captures(line))
        .map(|parts| {
            let (start, last) = (number(&parts[1])?, number(&parts[2])?);
            Ok(Descriptor {
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
        return number(digits);
    }
    let names = text.split('|').map(str::trim).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let found = ATTRIBUTES.iter().find(|(known, _)| *known == name);
            Ok(found.with_context(|| format!("no attribute of EFI is called '{name}'"))?.1)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_those_of_the_firmware() {
        let log = Log::new(
            "[    0.000000] efi: Processing EFI memory map:\n\
             [    0.000000] efi:   0x000004000000-0x000007ffffff [MMIO        |RUN|  |  |  |  |  |  |  |  |  |   |  |  |WC|  ]\n\
             efi:   0x000050000000-0x00004fffffff [type=99|attr=0x800000000000000f]\n\
             efi:   0xfffffffffffff000-0x000000000fff [ACPI Reclaim|   |  |  |  |  |  |  |  |  |  |   |WB|  |  |  ]\n",
        );
        let descriptor =
            |kind, start, pages, attributes| Descriptor { kind, start, pages, attributes };
        assert_eq!(
            parse(&log).unwrap(),
            [
                descriptor(11, 0x400_0000, 0x4000, 1 << 63 | 2),
                descriptor(99, 0x5000_0000, 0, 0x8000_0000_0000_000f),
                descriptor(9, 0xffff_ffff_ffff_f000, 2, 8),
            ]
        );
        let odd = "efi:   0x000004000000-0x000007ffffff [MMIO        |NEW|  ]";
        assert!(parse(&Log::new(odd)).is_err());
    }
}
