// SPDX-License-Identifier: GPL-2.0

//! Where ACPI tables are, and where a crash kernel's own memory is: the machines that memory is
//! measured on.
//!
//! Firmware puts tables beside memory of its own, which a crash kernel knows of, too; so they are in a
//! section that has a memory map anyway. Here they are in sections that have nothing else.

use boot::budget::memory_map;
use oracle::MAPS_SHARE;
use orders::{ACPI_RECLAIM, Kind, Map, Orders, Pages, Range};

/// A machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Its name.
    pub name: &'static str,
    /// How many sections have tables and nothing else; none: the tables are where firmware has them.
    pub apart: u64,
    /// Memory, in MiB.
    pub memory: u64,
    /// What the first kernel is told of `crashkernel=`.
    pub reservation: &'static str,
    /// What that comes to, in MiB.
    pub own: u64,
}

/// The machine of `make crash`.
const DEFAULT: Layout =
    Layout { name: "default", apart: 0, memory: 512, reservation: "crashkernel=256M", own: 256 };

/// With 64K pages there are not sections enough below 4 GiB. So the crash kernel has memory on both sides:
/// tables above would be left out if all of it were below.
const LARGE: Layout = Layout {
    name: "",
    apart: 1,
    memory: 6656,
    reservation: "crashkernel=128M,high crashkernel=128M,low",
    own: 256,
};

/// All of them.
pub const LAYOUTS: [Layout; 4] = [
    DEFAULT,
    Layout { name: "1 section", ..LARGE },
    Layout { name: "10 sections", apart: 10, ..LARGE },
    Layout {
        name: "10 sections, 384M",
        apart: 10,
        reservation: "crashkernel=256M,high crashkernel=128M,low",
        own: 384,
        ..LARGE
    },
];

/// The largest section, which is that of 64K pages: what is in one of its own there is so everywhere.
const SECTION: u64 = 512 << 20;

/// Where tables can be. Memory begins with section 2, and firmware has its own there and in the last
/// one; the crash kernel has the end of section 7, which is below 4 GiB, and some of the last one.
const APART: [u64; 10] = [3, 4, 5, 6, 8, 9, 10, 11, 12, 13];

/// Where in its section a range of tables is. The application asks firmware to load it to 0x140000000,
/// the start of one of them.
const OFFSET: u64 = 64 << 20;

/// The size of a range of tables, in pages of EFI: a page of 64K, and room for the largest table.
const PAGES: u64 = 16;

/// Cached write-back.
const WB: u64 = 8;

impl Layout {
    /// What the UEFI application is to do; [`None`]: the firmware's own tables stay.
    pub fn orders(&self) -> Option<Orders> {
        let kind = Kind { memory_type: ACPI_RECLAIM, attributes: WB };
        let range = |section| Range {
            pages: Pages { start: section * SECTION + OFFSET, count: PAGES },
            described: Some(kind),
        };
        let ranges: Vec<_> = APART.into_iter().take(self.apart as usize).map(range).collect();
        (!ranges.is_empty()).then(|| Orders {
            map: Map { ranges, ..Map::default() },
            move_tables: true,
            ..Orders::default()
        })
    }

    /// In how many of the sections the tables stay, with native pages of `page` bytes: memory maps of
    /// sections that have nothing but tables may take a share of the crash kernel's own memory.
    pub fn kept(&self, page: u64) -> u64 {
        let most = u128::from(self.own << 20) / MAPS_SHARE / u128::from(memory_map(page));
        u64::try_from(most).map_or(self.apart, |most| self.apart.min(most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orders::EFI_PAGE;

    #[test]
    fn each_range_has_a_section_of_its_own() {
        for layout in LAYOUTS {
            let ranges = layout.orders().map(|orders| orders.map.ranges).unwrap_or_default();
            assert_eq!(ranges.len() as u64, layout.apart, "{}", layout.name);
            // Memory begins at 1 GiB.
            let last = (1 << 30) + (layout.memory << 20);
            for page in [4096, 16384, 65536] {
                let size = oracle::section(page);
                let section = |range: &Range| range.pages.start / size;
                assert!(ranges.windows(2).all(|pair| section(&pair[0]) < section(&pair[1])));
                assert!(ranges.iter().all(|range| range.pages.end() <= last - size));
            }
            assert!(ranges.iter().all(|range| range.pages.count * EFI_PAGE == 65536));
        }
    }

    #[test]
    fn tables_stay_as_far_as_a_sixteenth_of_memory_goes() {
        let kept = |page| LAYOUTS.map(|layout| layout.kept(page));
        assert_eq!(kept(4096), [0, 1, 8, 10]);
        assert_eq!(kept(16384), [0, 1, 10, 10]);
        assert_eq!(kept(65536), [0, 1, 10, 10]);
    }
}
