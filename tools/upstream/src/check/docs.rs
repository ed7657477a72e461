// SPDX-License-Identifier: GPL-2.0

//! The page of the series in the kernel's documentation.

use super::{
    Verdict,
    context::Context,
    output::warnings,
    tree::{Kind, Tree},
};
use anyhow::{Context as _, Result};
use std::{collections::BTreeSet, path::Path};

/// Makes the part of the documentation that the page is in.
pub fn run(context: &Context, logs: &Path) -> Result<Verdict> {
    let tree = Tree::ready(context, Kind::Off)?;
    let pages = context.files("rst", false)?;
    let dirs: BTreeSet<_> = pages
        .iter()
        .filter_map(|page| page.parent()?.strip_prefix("Documentation").ok())
        .map(|dir| dir.display().to_string())
        .collect();
    let output = tree.dir.join("Documentation/output");
    // What Sphinx read before it does not read again, and then it does not warn.
    if output.exists() {
        std::fs::remove_dir_all(&output)?;
    }
    let dirs = Vec::from_iter(dirs).join(" ");
    // Here this variable is no program, but an option of the script that starts Sphinx.
    let asked = ["RUSTDOC=", "htmldocs", &format!("SPHINXDIRS={dirs}")];
    let made = tree.make(context, asked, &logs.join("make.log"))?;
    let mut verdict = Verdict::default();
    let all = warnings(&made.text, &tree.dir)?;
    for warning in &all {
        if context.is_ours(&warning.file)? {
            verdict.findings.push(warning.to_string());
        }
    }
    verdict.figures = format!(
        "{} pages in {dirs}; {} warnings about them, {} about others",
        pages.len(),
        verdict.findings.len(),
        all.len() - verdict.findings.len()
    );
    verdict.findings.extend(made.failed);
    for page in &pages {
        let name = page.file_stem().context("a page has a name")?.to_string_lossy();
        let is_it = |entry: &walkdir::DirEntry| *entry.file_name() == *format!("{name}.html");
        if !walkdir::WalkDir::new(&output).into_iter().flatten().any(|entry| is_it(&entry)) {
            verdict.findings.push(format!("no {name}.html was made"));
        }
    }
    Ok(verdict)
}
