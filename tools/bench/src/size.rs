// SPDX-License-Identifier: GPL-2.0

//! What a kernel grows by, in bytes.
//!
//! Sections end at page boundaries, which hides some of it and makes other look like a page. So the
//! read-only data is looked at more closely: the names of all symbols (kallsyms) are in it, those of
//! functions that are freed after boot, too, and before them what the kernel's own code has.

use anyhow::{Context, Result};
use build::size::{Growth, growth};
use object::{Object, ObjectSection, ObjectSymbol};
use serde::Serialize;
use std::{fs, path::Path};

/// What one kernel has more than another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Freed after boot: code and data.
    pub init: i64,
    /// Stays: data and code.
    pub resident: i64,
    /// Stays: names of symbols.
    pub symbol_names: i64,
    /// As linked, by section.
    pub sections: Vec<(String, i64)>,
}

/// What `kernel` has more than `stock`; both are ELF files.
pub fn size(stock: &Path, kernel: &Path) -> Result<Size> {
    let sections = growth(stock, kernel)?;
    let sum = |wanted: &dyn Fn(&Growth) -> bool| {
        sections.iter().filter(|growth| wanted(growth)).map(Growth::bytes).sum::<i64>()
    };
    let (before, after) = (read_only(stock)?, read_only(kernel)?);
    let grown = |of: fn(&ReadOnly) -> u64| of(&after).cast_signed() - of(&before).cast_signed();
    Ok(Size {
        init: sum(&Growth::is_init),
        resident: sum(&|growth| !growth.is_init() && growth.section != READ_ONLY)
            + grown(|data| data.own),
        symbol_names: grown(|data| data.symbol_names),
        sections: sections.iter().map(|growth| (growth.section.clone(), growth.bytes())).collect(),
    })
}

/// The section with read-only data.
const READ_ONLY: &str = ".rodata";

/// What is in the read-only data.
struct ReadOnly {
    own: u64,
    symbol_names: u64,
}

/// kallsyms begins with how many symbols there are, and ends with three bytes for each.
fn read_only(vmlinux: &Path) -> Result<ReadOnly> {
    let bytes = fs::read(vmlinux).with_context(|| format!("cannot read {}", vmlinux.display()))?;
    let elf = object::File::parse(&*bytes)?;
    let context = || format!("{} has no kallsyms", vmlinux.display());
    let section = elf.section_by_name(READ_ONLY).with_context(context)?;
    let address = |name| {
        let symbol = elf.symbols().find(|symbol| symbol.name() == Ok(name));
        symbol.map(|symbol| symbol.address()).with_context(context)
    };
    let (first, last) = (address("kallsyms_num_syms")?, address("kallsyms_seqs_of_names")?);
    let number = section.data_range(first, 4)?.and_then(|bytes| bytes.first_chunk().copied());
    let number = u32::from_le_bytes(number.with_context(context)?);
    Ok(ReadOnly {
        own: first - section.address(),
        symbol_names: last + 3 * u64::from(number) - first,
    })
}
