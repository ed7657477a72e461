// SPDX-License-Identifier: GPL-2.0

//! A kernel without Rust: the series must not be in its way.

use super::{
    Verdict,
    context::Context,
    tree::{self, Kind, Tree},
};
use anyhow::Result;
use build::config;
use std::{fs, path::Path};

/// Configures and builds the whole kernel with CONFIG_RUST=n.
pub fn run(context: &Context, logs: &Path) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let mut tree = Tree::open(context, Kind::NoRust)?;
    let changes = context.changes()?;
    let without = tree::options(context, Kind::NoRust, changes)?;
    let on = tree::options(context, Kind::On, changes)?;
    // The options of the series cannot be had; with them off, there is a configuration.
    let is_off = |name: &str| without.get(name).is_some_and(|value| value == "n");
    let of_series =
        on.iter().filter(|(name, value)| is_off(name.as_str()) && *value != "n" && *name != "RUST");
    for (name, value) in of_series {
        let mut asked = without.clone();
        asked.insert(name.clone(), value.clone());
        if tree.set(context, changes, &asked).is_ok() {
            verdict.findings.push(format!("CONFIG_{name} can be on without Rust"));
        }
    }
    tree.set(context, changes, &without)?;
    let config = config::parse(&fs::read_to_string(tree.dir.join(".config"))?);
    if config.get("RUST").is_some_and(|value| value != "n") {
        verdict.findings.push("CONFIG_RUST is on".into());
    }
    let made = tree.make(context, ["Image"], &logs.join("make.log"))?;
    verdict.findings.extend(made.failed);
    let compiled = made.text.lines().filter(|line| line.starts_with("  CC ")).count();
    verdict.figures = format!("Image built, {compiled} files compiled for it this time");
    Ok(verdict)
}
