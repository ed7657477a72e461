// SPDX-License-Identifier: GPL-2.0

//! Holds the pure files of the kernel part against the oracle.
//!
//! A [`Machine`] does to a [`Boot`] what the kernel does, by the kernel's own files and in the same
//! order; the crate `oracle` says what must come of it. Where boots come from is the business of the
//! tests and of the fuzz targets: all of a small scope, at random, or led by coverage.

mod bytes;
mod memblock;
mod run;

pub use bytes::{bytes_of, descriptors_of};
pub use memblock::Memblock;
pub use oracle::{Before, Boot};
pub use run::Machine;

use kernel::efi::Descriptor;
use oracle::{Outcome, Set, Span, before, judged, outcome_from, shown};
use std::fmt::Debug;

/// Whether the kernel's files make of `boot` what the oracle does; the error says what differs.
pub fn hold(boot: &Boot) -> Result<(), String> {
    let (stock, map) = (before(boot), descriptors_of(&boot.map));
    let wanted = boot.property.as_ref().and_then(|property| judged(boot, property));
    let came = Machine::new(boot, &stock, &map).judged();
    same(boot, "what is said of the property", came, wanted)?;
    hold_map(boot, &stock, &map)?;
    hold_memory(boot, &stock, &map)
}

/// What the kernel finds in `map`, the EFI memory map of `boot` as it has it. `stock` is what
/// efi_init() makes of it.
pub fn hold_map(boot: &Boot, stock: &Before, map: &[Descriptor]) -> Result<(), String> {
    let machine = Machine::new(boot, stock, map);
    same(boot, "what is reserved", machine.reserved(), stock.reclaim.spans().iter().copied())?;
    let acpi = stock.acpi.up_to(boot.last);
    same(boot, "what are ACPI tables", machine.tables(), acpi.spans().iter().copied())
}

/// What memory the kernel ends up with, and what it shows.
pub fn hold_memory(boot: &Boot, stock: &Before, map: &[Descriptor]) -> Result<(), String> {
    let wanted = outcome_from(boot, stock);
    let mut machine = Machine::new(boot, stock, map);
    let boots = machine.boot();
    same(boot, "whether it boots", [boots], [wanted != Outcome::Stops])?;
    let Outcome::Boots(memory) = wanted else {
        return Ok(());
    };
    let wanted = shown(boot, &memory);
    let wanted = [wanted.system_ram, wanted.acpi_tables, wanted.reserved];
    for (came, wanted) in machine.shown().into_iter().zip(wanted) {
        let bytes = came.iter().copied().map(Span::bytes).sum::<u128>();
        let came = Set::of(&came);
        same(
            boot,
            "what /proc/iomem shows",
            came.spans().iter().copied(),
            wanted.spans().iter().copied(),
        )?;
        same(boot, "how much /proc/iomem shows in all", [bytes], [came.bytes()])?;
    }
    let spans = |nomap| machine.memory.spans(nomap);
    same(boot, "what is mapped", spans(false), memory.mapped.spans().iter().copied())?;
    same(boot, "what is not mapped", spans(true), memory.nomap.spans().iter().copied())?;
    same(boot, "what is kept", machine.kept, memory.kept)
}

/// Whether the same `came` as `wanted`.
fn same<T: PartialEq + Debug>(
    boot: &Boot,
    what: &str,
    came: impl IntoIterator<Item = T>,
    wanted: impl IntoIterator<Item = T>,
) -> Result<(), String> {
    let (mut came, mut wanted) = (came.into_iter(), wanted.into_iter());
    loop {
        match (came.next(), wanted.next()) {
            (None, None) => return Ok(()),
            (one, other) if one == other => (),
            (one, other) => {
                return Err(format!("{what}: {one:x?} came, {other:x?} was wanted, of {boot:x?}"));
            }
        }
    }
}
