// SPDX-License-Identifier: GPL-2.0

//! What the firmware of a boot is told, and how the harness tells it.
//!
//! The harness puts two files into QEMU's fw_cfg. The application in `tools/firmware` reads them,
//! does what it is told, and starts the kernel.

#![no_std]

extern crate alloc;

mod map;
mod pattern;

pub use map::{Descriptor, Kind, Map, MapOrder, Range};
pub use pattern::{fill, pattern};

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// The file with the [`Orders`].
pub const ORDERS_FILE: &str = "opt/acpi-kdump/orders";
/// The file with the kernel that is started in the end.
pub const KERNEL_FILE: &str = "opt/acpi-kdump/kernel";

/// How each line begins that the application prints.
pub const LINE: &str = "firmware: ";

/// The size of a page of EFI, whatever that of the kernel.
pub const EFI_PAGE: u64 = 4096;

/// What the firmware is to do before it starts the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// What the memory map has of its own. The ranges in it are allocated, and filled with the
    /// [`pattern`].
    pub map: Map,
    /// Whether the ACPI tables move into the ranges that are [`ACPI_RECLAIM`], as far as there is
    /// room.
    pub move_tables: bool,
    /// The flat device tree to hand over; empty: none.
    pub device_tree: Vec<u8>,
    /// The fence: all free memory outside of these is allocated and filled with the [`pattern`].
    /// The kernel is loaded within. Empty: there is no fence.
    pub open: Vec<Pages>,
}

/// Whole pages of EFI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pages {
    /// The first byte.
    pub start: u64,
    /// How many.
    pub count: u64,
}

impl Pages {
    /// The first byte behind.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.count.saturating_mul(EFI_PAGE))
    }
}

/// The number of EfiACPIReclaimMemory.
pub const ACPI_RECLAIM: u32 = 9;

/// Orders that cannot be read.
#[derive(Clone, Copy, Debug)]
pub struct Unreadable;

impl Orders {
    /// The orders as they are handed over.
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_allocvec(self).expect("nothing in it has no form")
    }

    /// The orders that were handed over.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        postcard::from_bytes(bytes).map_err(|_| Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn orders_come_as_they_were_given() {
        let pages = Pages { start: 0x5000_1000, count: 1 };
        let kind = Kind { memory_type: ACPI_RECLAIM, attributes: 8 };
        let beyond = Pages { start: u64::MAX, count: u64::MAX };
        let orders = Orders {
            map: Map {
                ranges: vec![Range { pages, described: Some(kind) }],
                descriptors: vec![Descriptor { pages: beyond, kind }],
                order: MapOrder::Reversed,
            },
            move_tables: true,
            device_tree: vec![0xd0, 0x0d],
            open: vec![pages],
        };
        assert_eq!(Orders::from_bytes(&orders.to_bytes()).unwrap(), orders);
        assert!(Orders::from_bytes(&[]).is_err());
    }

    #[test]
    fn pages_end_where_the_next_ones_may_begin() {
        assert_eq!(Pages { start: 0x1000, count: 2 }.end(), 0x3000);
        assert_eq!(Pages { start: u64::MAX, count: u64::MAX }.end(), u64::MAX);
    }
}
