// SPDX-License-Identifier: GPL-2.0

//! R2: what `/proc/iomem` shows.

use crate::{Boot, Set, outcome::Memory};

/// The entries of `/proc/iomem` on top level, as far as they are memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// `System RAM`.
    pub system_ram: Set,
    /// `ACPI Tables`.
    pub acpi_tables: Set,
    /// `reserved`: memory without a mapping.
    pub reserved: Set,
}

/// What a kernel shows that has `memory`.
///
/// A page that is not mapped as a whole is not System RAM. All ACPI is shown, in memory or not, but
/// for pages that are shared with memory without a mapping: nothing can be read there.
pub fn shown(boot: &Boot, memory: &Memory) -> Shown {
    let acpi = if boot.acpi { memory.acpi.clone() } else { Set::default() };
    Shown {
        system_ram: memory.mapped.whole_pages(boot.page).without(&acpi),
        acpi_tables: acpi.without(&memory.nomap),
        reserved: memory.nomap.clone(),
    }
}
