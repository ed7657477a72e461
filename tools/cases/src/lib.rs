// SPDX-License-Identifier: GPL-2.0

//! The cases of hostile firmware and of hostile device trees: `cases.toml` of the checkout.
//!
//! A case is boots, and it is input for the code on the host. What must come of it is computed, by
//! the oracle, from what it says; what the file says about that is for people, and is checked.

mod entries;
mod text;

use anyhow::Result;
use orders::{Map, Pages};
use serde::Deserialize;
use util::{place, table};

/// The memory that a kernel can be given without a reservation: firmware leaves it alone. The kernel,
/// its initramfs and its device tree are there, and nothing else is in front of the fence.
pub const GOOD: Pages = Pages { start: 0x4800_0000, count: 0x8000 };

/// One case.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The name, and that of its directories below out/boots.
    pub name: String,
    /// What is in the property, or in the map: for people.
    pub what: String,
    /// The machine's memory, in MiB.
    pub memory: u64,
    /// Whether `make test` boots it as well.
    pub quick: bool,
    /// Whether the machine is crashed, too, for its dump.
    pub crash: bool,
    /// Whether memory outside of [`GOOD`] is behind a fence, and the kernel writes to all memory that
    /// it takes for its own.
    pub fence: bool,
    /// What the EFI memory map has of its own.
    pub map: Map,
    /// Whether the ACPI tables are in there.
    pub move_tables: bool,
    /// The bytes of `linux,usable-memory-range`, where there is one.
    pub property: Option<Vec<u8>>,
    /// What `#address-cells` and `#size-cells` of the root node say.
    pub cells: (u32, u32),
    /// What comes of it with the series.
    pub series: Series,
    /// What comes of it without.
    pub stock: Stock,
    /// The same with native pages of 64 KiB, where it is something else.
    pub stock_64k: Option<Stock>,
}

impl Case {
    /// What comes of it without the series, where a native page has so many bytes.
    pub fn stock_with(&self, page: u64) -> Stock {
        self.stock_64k.filter(|_| page == 64 << 10).unwrap_or(self.stock)
    }
}

/// What comes of a case with the series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Series {
    /// The kernel stops, and names the property.
    Stops,
    /// The kernel boots with what it was given, and with the ACPI tables.
    Boots,
}

/// What comes of a case without the series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stock {
    /// The kernel boots, and allocates from nothing but what it was given.
    Given,
    /// It takes all memory of the machine.
    All,
    /// It takes ACPI tables for free memory.
    Tables,
    /// It takes something else that it was not given.
    More,
    /// It overwrites its own device tree.
    Tree,
    /// It does not come up, and says nothing of the property.
    Nothing,
}

/// The cases of the checkout.
pub fn load() -> Result<Vec<Case>> {
    table::load(&place::checkout()?.join("cases.toml"), parse)
}

/// The cases that `text` has.
pub fn parse(text: &str) -> Result<Vec<Case>> {
    text::parse(text)
}
