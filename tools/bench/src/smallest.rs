// SPDX-License-Identifier: GPL-2.0

//! How little memory is enough for a crash kernel.

use crate::{crash::Crash, machine::CPU};
use anyhow::{Result, ensure};
use boot::{directories::of_bench, guest::Guest};
use build::{deps::Qemu, kernel::Kernel};
use serde::Serialize;

/// The machine's memory, in MiB; that of `make crash`.
const MEMORY: u64 = 512;

/// Between which sizes of `crashkernel=` the smallest is looked for, in MiB.
const BOUNDS: (u64, u64) = (16, 64);

/// The smallest `crashkernel=` that still saves a dump, in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Smallest {
    /// It saves one.
    pub saves: u64,
    /// One MiB less does not.
    pub fails: u64,
}

/// Looks for the smallest `crashkernel=`.
pub fn smallest(kernel: &Kernel, name: &str, qemu: &Qemu, guest: &Guest) -> Result<Smallest> {
    let (mut fails, mut saves) = BOUNDS;
    let case = |size| of_bench(&format!("dump-{name}-{size}M"));
    let enough = |size| saves_dump(kernel, case(size), size, qemu, guest);
    ensure!(enough(saves)?, "'{}' saved no dump", case(saves));
    ensure!(!enough(fails)?, "'{}' saved a dump: the bound is too high", case(fails));
    while saves - fails > 1 {
        let size = fails.midpoint(saves);
        if enough(size)? {
            saves = size;
        } else {
            fails = size;
        }
    }
    Ok(Smallest { saves, fails })
}

fn saves_dump(
    kernel: &Kernel,
    name: String,
    size: u64,
    qemu: &Qemu,
    guest: &Guest,
) -> Result<bool> {
    let crash = Crash {
        name,
        kernel,
        cpu: CPU,
        memory: MEMORY,
        reservation: machines::reservation(size << 20),
        options: "",
        script: "bench-dump",
        disk: true,
        firmware: None,
    };
    let Some(log) = crash.run(qemu, guest)? else {
        return Ok(false);
    };
    let saved = log.sections()?.remove("saved").unwrap_or_default().concat();
    // All of memory but the crash kernel's own, and the headers.
    Ok(saved.parse::<u64>().is_ok_and(|bytes| bytes > 0 && bytes <= MEMORY << 20))
}
