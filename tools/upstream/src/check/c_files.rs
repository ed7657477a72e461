// SPDX-License-Identifier: GPL-2.0

//! The C files that the series touches, and what tools say about them that is not said of the base.

use super::{
    Verdict,
    context::Context,
    output::{self, Warning, warnings},
    tree::{Kind, Tree},
};
use anyhow::Result;
use build::deps;
use std::path::{Path, PathBuf};

/// `make W=1`
pub fn w1(context: &Context, logs: &Path) -> Result<Verdict> {
    compare(context, logs, &["W=1"])
}

/// `make C=2`
pub fn sparse(context: &Context, logs: &Path) -> Result<Verdict> {
    let sparse = deps::need("sparse")?.paths.swap_remove(0);
    compare(context, logs, &["C=2", &format!("CHECK={}", sparse.display())])
}

/// The C files of the base that the series changes, but for what rust/ builds by itself.
pub fn touched(context: &Context) -> Result<Vec<PathBuf>> {
    let mut files = context.files("c", true)?;
    files.retain(|file| !file.starts_with("rust"));
    Ok(files)
}

/// Keeps make from compiling the Rust code first, which other warnings of the C compiler make it do
/// anew. The configuration of the C files is that of the tree.
const C_ALONE: &str = "CONFIG_RUST=";

/// Compiles the touched C files of the base, and of the series with its option on and off.
fn compare(context: &Context, logs: &Path, how: &[&str]) -> Result<Verdict> {
    let files = touched(context)?;
    let mut verdict = Verdict::default();
    let mut said: Vec<Vec<Warning>> = Vec::new();
    for (kind, name) in [(Kind::Stock, "base"), (Kind::On, "on"), (Kind::Off, "off")] {
        let tree = Tree::ready(context, kind)?;
        tree.forget(&files)?;
        let objects = files.iter().map(|file| file.with_extension("o").display().to_string());
        let arguments: Vec<String> =
            [&[C_ALONE], how].concat().into_iter().map(String::from).chain(objects).collect();
        let made = tree.make(context, &arguments, &logs.join(format!("{name}.log")))?;
        if let Some(why) = made.failed {
            verdict.findings.push(format!("{name}: {why}"));
        }
        said.push(warnings(&made.text, &tree.dir)?);
    }
    for (name, after) in [("option on", &said[1]), ("option off", &said[2])] {
        let new = output::new_ones(&said[0], after);
        verdict.findings.extend(new.iter().map(|warning| format!("{name}: {warning}")));
    }
    let counts: Vec<_> = said.iter().map(|all| all.len().to_string()).collect();
    verdict.figures = format!(
        "{} files; warnings on the base, with the option on, and off: {}",
        files.len(),
        counts.join(", ")
    );
    Ok(verdict)
}
