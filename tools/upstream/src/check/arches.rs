// SPDX-License-Identifier: GPL-2.0

//! What the series touches and other architectures compile as well.

use super::{
    Verdict,
    context::Context,
    output::{new_ones, warnings},
    tree::made,
};
use anyhow::Result;
use build::config;
use std::{fs, path::Path};
use util::place;

/// Other architectures: name, whether efi-init.c is one of its files, and what turns EFI and the
/// device tree on.
const ARCHES: [(&str, &[&str]); 3] = [
    ("arm", &["MMU", "ARCH_MULTIPLATFORM", "ARCH_MULTI_V7", "ARCH_VIRT", "EFI"]),
    ("riscv", &["MMU", "64BIT", "ARCH_RV64I", "EFI"]),
    ("x86_64", &["64BIT", "ACPI", "EFI", "OF"]),
];

/// What is compiled, as objects only.
pub fn run(_context: &Context, _logs: &Path) -> Result<Verdict> {
    let _ = (ARCHES, made, new_ones, warnings, config::parse, fs::read::<&str>, place::checkout);
    anyhow::bail!("not there yet")
}
