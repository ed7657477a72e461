// SPDX-License-Identifier: GPL-2.0

//! Holds the pure files of the kernel part against the oracle.
//!
//! [`run`] does to a [`Boot`] what the kernel does, by the kernel's own files and in the same order;
//! the crate `oracle` says what must come of it. Where boots come from is the business of the tests
//! and of the fuzz targets: all of a small scope, at random, or led by coverage.

mod bytes;
mod memblock;
mod run;

pub use bytes::{bytes_of, descriptors_of};
pub use memblock::Memblock;
pub use oracle::{Before, Boot};
pub use run::{Came, run};

use oracle::{Outcome, before, judged, outcome, shown};
use std::fmt::Debug;

/// Whether the kernel's files make of `boot` what the oracle does; the error says what differs.
pub fn hold(boot: &Boot) -> Result<(), String> {
    let came = run(boot, &before(boot), &descriptors_of(&boot.map));
    let wanted = outcome(boot);
    same("the outcome", &came.outcome, &wanted, boot)?;
    let wanted_shown = match &wanted {
        Outcome::Boots(memory) => Some(shown(boot, memory)),
        Outcome::Stops => None,
    };
    same("/proc/iomem", &came.shown, &wanted_shown, boot)?;
    let wanted = boot.property.as_ref().and_then(|property| judged(boot, property));
    same("what is said of the property", &came.judged, &wanted, boot)
}

/// Whether `came` is what is `wanted`.
fn same<T: PartialEq + Debug>(what: &str, came: &T, wanted: &T, boot: &Boot) -> Result<(), String> {
    if came == wanted {
        return Ok(());
    }
    Err(format!("{what} is\n  {came:x?}\nand must be\n  {wanted:x?}\nof {boot:x?}"))
}
