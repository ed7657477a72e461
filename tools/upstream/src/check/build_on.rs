// SPDX-License-Identifier: GPL-2.0

//! The tree with the series and its option on: what rustc, Clippy, rustdoc and modpost say.

use super::{
    Verdict,
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

/// Everything in Rust that the series touches: the kernel crate comes with `prepare`.
fn rust(context: &Context, logs: &Path, how: &[&str]) -> Result<Verdict> {
    let tree = Tree::ready(context, Kind::On)?;
    let mut objects = vec![PathBuf::from("rust/kernel.o")];
    let files = [context.files("rs", false)?, context.files("rs", true)?].concat();
    objects.extend(outside(&files));
    tree.forget(&objects)?;
    let mut arguments: Vec<String> = how.iter().map(|one| one.to_string()).collect();
    arguments.push("prepare".into());
    for object in &objects[1..] {
        let object = object.with_extension("o");
        // What no other one is a part of has an object of its own.
        if tree.dir.join(object.with_extension("rs")).exists() {
            arguments.push(object.display().to_string());
        }
    }
    let made = tree.make(context, &arguments, &logs.join("make.log"))?;
    let compiled = made.text.lines().filter(|line| line.ends_with("rust/kernel/lib.rs")).count();
    let mut verdict = ours(context, &tree, made)?;
    if compiled == 0 {
        verdict.findings.push("the kernel crate was not compiled".into());
    }
    verdict.figures = format!("{} Rust files; {}", files.len(), verdict.figures);
    Ok(verdict)
}

/// The root of each crate outside of the kernel crate: no other file of its directory has it as a
/// module.
fn outside(files: &[PathBuf]) -> Vec<PathBuf> {
    files.iter().filter(|file| !file.starts_with("rust")).cloned().collect()
}

/// Makes the documentation of the kernel crate.
pub fn rustdoc(context: &Context, logs: &Path) -> Result<Verdict> {
    let tree = Tree::ready(context, Kind::On)?;
    let made = tree.make(context, ["rustdoc"], &logs.join("make.log"))?;
    ours(context, &tree, made)
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
