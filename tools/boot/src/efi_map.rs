// SPDX-License-Identifier: GPL-2.0

//! The EFI memory map, as `efi=debug` prints it.

use crate::{log::Log, span::Span};
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
    fn attributes_without_a_name_come_as_a_number() {
        assert!(write_back("attr=0x800000000000000f"));
        assert!(!write_back("attr=0x8000000000000001"));
    }
}
