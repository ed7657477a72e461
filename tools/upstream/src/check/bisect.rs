// SPDX-License-Identifier: GPL-2.0

//! Whether `git bisect` can stop at any patch: what the series touches compiles after each of them.
//!
//! A state that compiled is remembered by its content, so that it is compiled once.

use super::{
    Verdict,
    context::Context,
    tree::{self, Kind, Tree},
};
use anyhow::Result;
use build::{
    config::{self, Options},
    series::Changes,
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};
use util::{hash::Key, place};

/// Compiles after each patch, with the option on and off.
pub fn run(context: &Context, logs: &Path) -> Result<Verdict> {
    let mut findings = Vec::new();
    let (mut compiled, mut known) = (0, 0);
    let targets = targets(context)?;
    let mut times = Vec::new();
    for (kind, name) in [(Kind::On, "on"), (Kind::Off, "off")] {
        let mut tree = None;
        for (at, state) in context.states()?.iter().enumerate() {
            let subject = &context.series.patches[at].subject;
            let options = tree::options(context, kind, state)?;
            let kept = place::cache("check/compiled")?
                .join(key(context, state, &options, &targets).short());
            if kept.exists() {
                known += 1;
                continue;
            }
            eprintln!("  option {name}, after patch {}: {subject}", at + 1);
            let started = Instant::now();
            let tree = match &mut tree {
                Some(tree) => tree,
                none => none.insert(Tree::open(context, kind)?),
            };
            tree.set(context, state, &options)?;
            let log = logs.join(format!("{:02}-{name}.log", at + 1));
            let made = tree.make(context, &targets, &log)?;
            match made.failed {
                None => fs::write(&kept, subject)?,
                Some(why) => findings.push(format!("option {name}, after '{subject}': {why}")),
            }
            compiled += 1;
            times.push(format!("{:.0}", started.elapsed().as_secs_f64()));
        }
    }
    let seconds =
        if times.is_empty() { String::new() } else { format!(" ({} s)", times.join(", ")) };
    let figures = format!(
        "{} patches, option on and off: {compiled} states compiled{seconds}, {known} had compiled \
         before, {} failed; {}",
        context.states()?.len(),
        findings.len(),
        targets.join(" ")
    );
    Ok(Verdict { figures, findings, ..Verdict::default() })
}

/// The directories with code that the series touches; rust/ is compiled before any other.
fn targets(context: &Context) -> Result<Vec<String>> {
    let dirs = directories(context.changes()?.keys());
    Ok([String::from("prepare")].into_iter().chain(dirs).collect())
}

/// The directories of the code among `files`, but for rust/.
pub fn directories<'a>(files: impl Iterator<Item = &'a PathBuf>) -> BTreeSet<String> {
    let code = |file: &&PathBuf| {
        file.extension().is_some_and(|ending| ending == "c" || ending == "rs")
            && !file.starts_with("rust")
    };
    let dir = |file: &PathBuf| file.parent().map(|dir| format!("{}/", dir.display()));
    files.filter(code).filter_map(dir).collect()
}

fn key(context: &Context, state: &Changes, options: &Options, targets: &[String]) -> Key {
    let mut key = Key::new()
        .part("pristine", &context.pristine.identity)
        .part("config", config::text(options))
        .part("tools", &context.toolchain.described)
        .part("targets", targets.join(" "));
    for (path, bytes) in state {
        // Nothing is compiled from these.
        if !path.starts_with("Documentation") && path != Path::new("MAINTAINERS") {
            key = key.part(&path.to_string_lossy(), bytes);
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_with_code_are_targets() {
        let files =
            ["arch/arm64/mm/a.rs", "arch/arm64/mm/init.c", "rust/kernel/b.rs", "include/c.h"];
        let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
        let dirs: Vec<_> = directories(files.iter()).into_iter().collect();
        assert_eq!(dirs, ["arch/arm64/mm/"]);
    }
}
