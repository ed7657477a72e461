// SPDX-License-Identifier: GPL-2.0

//! Whether the touched C files make the same code as before when the option is off.

use super::{
    Verdict,
    c_files::touched,
    context::Context,
    objects,
    tree::{Kind, Tree},
};
use anyhow::{Context as _, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Compiles them in the base and in the series with the same configuration, and compares the
/// objects.
///
/// CONFIG_RUST is on in both. The C helpers of the Rust code belong to the touched C files. What fixes
/// change is not compared: they are there to change it.
pub fn run(context: &Context, logs: &Path) -> Result<Verdict> {
    let fixed = context.series.fixed();
    let is_compared = |file: &PathBuf| !fixed.contains(file.as_path());
    let mut files = touched(context)?;
    files.retain(is_compared);
    let mut names = context.files("c", true)?;
    names.retain(is_compared);
    let mut verdict = Verdict::default();
    let mut all: Vec<Vec<Vec<u8>>> = Vec::new();
    for (kind, name) in [(Kind::Stock, "base"), (Kind::Off, "off")] {
        let tree = Tree::ready(context, kind)?;
        let mut arguments = vec![String::from("prepare")];
        arguments.extend(files.iter().map(|file| object(file).display().to_string()));
        let made = tree.make(context, &arguments, &logs.join(format!("{name}.log")))?;
        if let Some(why) = made.failed {
            verdict.findings.push(format!("{name}: {why}"));
            return Ok(verdict);
        }
        let mut contents = Vec::new();
        for file in &names {
            let path = tree.dir.join(object(file));
            let bytes = fs::read(&path);
            contents.push(bytes.with_context(|| format!("no object {}", path.display()))?);
        }
        all.push(contents);
    }
    let (mut count, mut bytes, mut equal, mut moved) = (0, 0, 0, Vec::new());
    for (at, file) in names.iter().enumerate() {
        let [before, after] = [&all[0][at], &all[1][at]].map(|data| objects::pieces(data));
        let (before, after) = (before?, after?);
        let shown = file.display();
        let found = objects::differences(&before, &after);
        verdict.findings.extend(found.iter().map(|difference| format!("{shown}: {difference}")));
        count += before.len();
        bytes += before.values().map(|piece| piece.size).sum::<u64>();
        if all[0][at] == all[1][at] {
            equal += 1;
        } else if found.is_empty() {
            moved.push(shown.to_string());
        }
    }
    verdict.figures = format!(
        "{} objects, {count} symbols and gaps, {bytes} bytes: {equal} equal byte by byte; the same but \
         for order and line numbers: {}",
        names.len(),
        if moved.is_empty() { "none".into() } else { moved.join(", ") }
    );
    Ok(verdict)
}

fn object(file: &Path) -> PathBuf {
    file.with_extension("o")
}
