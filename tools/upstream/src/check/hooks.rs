// SPDX-License-Identifier: GPL-2.0

//! The semantic patches: whether they parse, and apply to every base that is here.

use super::{Verdict, context::Context};
use anyhow::Result;
use build::{cocci::Coccinelle, source_package};
use std::{collections::BTreeSet, fs, path::Path};

/// Parses each hook, and applies the series to each base that was fetched so far.
pub fn run(context: &Context, logs: &Path) -> Result<Verdict> {
    let coccinelle = Coccinelle::find()?;
    let mut findings = Vec::new();
    // Some versions warn about the macros that they come with, whatever they parse.
    let empty = logs.join("empty.cocci");
    fs::write(&empty, "@@\n@@\n-f();\n")?;
    coccinelle.parse(&empty, &logs.join("empty.log"))?;
    let always = complaints(&fs::read_to_string(logs.join("empty.log"))?, "");
    let hooks: BTreeSet<_> = context.series.hooks().map(|hook| hook.cocci.clone()).collect();
    for hook in &hooks {
        let log = logs.join(format!("{}.log", hook.display()).replace('/', "-"));
        let parsed = coccinelle.parse(&context.checkout.join(hook), &log);
        let said = fs::read_to_string(&log).unwrap_or_default();
        let complaints = complaints(&said, &always.join("\n"));
        match parsed {
            Err(error) if complaints.is_empty() => findings.push(format!("{error:#}")),
            _ => findings.extend(complaints),
        }
    }
    let mut applied = Vec::new();
    for base in source_package::all_kept()? {
        match context.series.per_patch(&base, &context.checkout, None) {
            Ok(_) => applied.push(base.version.to_string()),
            Err(error) => findings.push(format!("{error:#}")),
        }
    }
    let figures = format!("{} hooks parse; applied to {}", hooks.len(), applied.join(", "));
    Ok(Verdict { figures, findings, ..Verdict::default() })
}

/// The lines of what Coccinelle said that are warnings or errors, and that it does not say always.
fn complaints(said: &str, always: &str) -> Vec<String> {
    let always = always.to_lowercase();
    let words = ["warning", "error", "should it be a metavariable", "failure", "inconsistent"];
    let is_one = |line: &&str| {
        let line = line.to_lowercase();
        words.iter().any(|word| line.contains(word)) && !always.contains(&line)
    };
    said.lines().filter(is_one).map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coccinelle_warns_in_several_ways() {
        for line in [
            "warning: line 9: should res be a metavariable?",
            "minus: parse error:",
            "Warning: PARSING: defined twice",
        ] {
            assert_eq!(complaints(line, "").len(), 1, "{line}");
        }
        assert!(complaints("init_defs_builtins: standard.h\n@@\n@@", "").is_empty());
        assert!(complaints("Warning: PARSING: a macro", "Warning: PARSING: a macro").is_empty());
    }
}
