// SPDX-License-Identifier: GPL-2.0

//! A kernel without Rust: the series must not be in its way.

use super::{
    Verdict,
    context::Context,
    tree::{Kind, Tree},
};
use anyhow::Result;
use build::config;
use std::{fs, path::Path};

/// Configures and builds the whole kernel with CONFIG_RUST=n.
pub fn run(context: &Context, logs: &Path) -> Result<Verdict> {
    let tree = Tree::ready(context, Kind::NoRust)?;
    let made = tree.make(context, ["Image"], &logs.join("make.log"))?;
    let mut verdict = Verdict::default();
    verdict.findings.extend(made.failed);
    let config = config::parse(&fs::read_to_string(tree.dir.join(".config"))?);
    for name in ["RUST", "EFI_ACPI_TABLES"] {
        if config.get(name).is_some_and(|value| value != "n") {
            verdict.findings.push(format!("CONFIG_{name} is on"));
        }
    }
    let compiled = made.text.lines().filter(|line| line.starts_with("  CC ")).count();
    verdict.figures = format!("Image built, {compiled} files compiled for it this time");
    Ok(verdict)
}
