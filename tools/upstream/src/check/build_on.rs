// SPDX-License-Identifier: GPL-2.0

//! The tree with the series and its option on: what rustc, Clippy, rustdoc and modpost say.

use super::{
    Verdict, bisect,
    context::Context,
    output::{Warning, warnings},
    tree::{Kind, Made, Tree},
};
use anyhow::Result;
use build::deps;
use std::path::{Path, PathBuf};

/// Compiles the Rust code with Clippy, which the kernel's build starts instead of rustc.
pub fn clippy(context: &Context, logs: &Path) -> Result<Verdict> {
    let clippy = deps::need("clippy")?.paths.swap_remove(0);
    let clippy = format!("CLIPPY_DRIVER={}", clippy.display());
    rust(context, logs, &["CLIPPY=1", &clippy])
}

/// Compiles the Rust code as users do.
pub fn rustc(context: &Context, logs: &Path) -> Result<Verdict> {
    rust(context, logs, &[])
}

/// Everything in Rust that the series touches: the kernel crate comes with `prepare`, the others
/// with their directories.
fn rust(context: &Context, logs: &Path, how: &[&str]) -> Result<Verdict> {
    let tree = Tree::ready(context, Kind::On)?;
    let files = [context.files("rs", false)?, context.files("rs", true)?].concat();
    // Those that are no root of a crate have no object.
    tree.forget(&[vec![PathBuf::from(KERNEL_CRATE)], files.clone()].concat())?;
    let mut arguments: Vec<String> = how.iter().map(|one| one.to_string()).collect();
    arguments.push("prepare".into());
    arguments.extend(bisect::directories(files.iter()));
    let made = tree.make(context, &arguments, &logs.join("make.log"))?;
    let crates = crates(&made.text);
    let mut verdict = ours(context, &tree, made)?;
    if !crates.iter().any(|one| *one == KERNEL_CRATE) {
        verdict.findings.push("the kernel crate was not compiled".into());
    }
    let names = crates.join(", ");
    verdict.figures = format!("{} Rust files; {}; compiled: {names}", files.len(), verdict.figures);
    Ok(verdict)
}

/// The object of the kernel crate.
const KERNEL_CRATE: &str = "rust/kernel.o";

/// The objects of the crates that were compiled.
fn crates(said: &str) -> Vec<String> {
    let object = |line: &str| {
        let compiler = ["  RUSTC ", "  CLIPPY "].iter().any(|name| line.starts_with(name));
        compiler.then(|| line.rsplit(' ').next().unwrap_or_default().to_owned())
    };
    said.lines().filter_map(object).collect()
}

/// Makes the documentation of the kernel crate.
pub fn rustdoc(context: &Context, logs: &Path) -> Result<Verdict> {
    let tree = Tree::ready(context, Kind::On)?;
    let made = tree.make(context, ["rustdoc"], &logs.join("make.log"))?;
    let ran = made.text.lines().any(|line| line.ends_with("rust/kernel/lib.rs"));
    let mut verdict = ours(context, &tree, made)?;
    if !ran {
        verdict.findings.push("rustdoc has not read the kernel crate".into());
    }
    Ok(verdict)
}

/// Links the kernel; the build lets modpost look for references from one section to another.
pub fn modpost(context: &Context, logs: &Path) -> Result<Verdict> {
    let tree = Tree::ready(context, Kind::On)?;
    let results = ["vmlinux.symvers", "Module.symvers", "vmlinux.o"].map(PathBuf::from);
    for result in &results {
        let path = tree.dir.join(result);
        if path.exists() {
            std::fs::remove_file(path)?;
        }
    }
    let made = tree.make(context, ["vmlinux"], &logs.join("make.log"))?;
    let ran = made.text.contains("MODPOST");
    let mut verdict = Verdict::default();
    verdict.findings.extend(made.failed);
    let all = warnings(&made.text, &tree.dir)?;
    let mismatches: Vec<_> =
        all.iter().filter(|warning| warning.text.contains("section mismatch")).collect();
    verdict.findings.extend(mismatches.iter().map(|warning| warning.text.clone()));
    if !ran {
        verdict.findings.push("modpost has not run".into());
    }
    verdict.figures =
        format!("{} section mismatches, {} warnings of the link", mismatches.len(), all.len());
    Ok(verdict)
}

/// What `made` says about files of the series.
fn ours(context: &Context, tree: &Tree, made: Made) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let mut others = 0;
    for warning in warnings(&made.text, &tree.dir)? {
        if is_ours(context, &warning)? {
            verdict.findings.push(warning.to_string());
        } else {
            others += 1;
        }
    }
    verdict.figures = format!(
        "{} warnings about files of the series, {others} about others",
        verdict.findings.len()
    );
    verdict.findings.extend(made.failed);
    Ok(verdict)
}

/// A warning that names no file may be about any.
fn is_ours(context: &Context, warning: &Warning) -> Result<bool> {
    Ok(warning.file.as_os_str().is_empty() || context.is_ours(&warning.file)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_are_found_under_both_compilers() {
        let said = "  RUSTC L rust/kernel.o\n  CC      a.o\n  CLIPPY     arch/b.o\n";
        assert_eq!(crates(said), [KERNEL_CRATE, "arch/b.o"]);
    }
}
