// SPDX-License-Identifier: GPL-2.0

//! scripts/checkpatch.pl on every patch.

use super::{Verdict, context::Context};
use anyhow::{Context as _, Result};
use regex::Regex;
use std::{fs, path::Path};
use util::command::Cmd;

/// Nobody signs but people, and `make patches` signs when it is asked to.
const IGNORED: &str = "MISSING_SIGN_OFF";

/// What checkpatch says of a commit that it cannot look up.
const NO_HISTORY: &str = "WARNING:UNKNOWN_COMMIT_ID: ";

/// Asks checkpatch about the mails that `make patches` writes.
pub fn run(context: &Context, logs: &Path) -> Result<Verdict> {
    let script = context.pristine.dir.join("scripts/checkpatch.pl");
    let (mut findings, mut lines, mut not_checked) = (Vec::new(), Vec::new(), Vec::new());
    let (committed, written) = context.mails()?;
    let patches = &written.patches;
    for patch in patches {
        let name = patch.file_name().context("a patch has a name")?.to_string_lossy();
        let log = logs.join(format!("{name}.log"));
        // It keeps notes in the directory where it is started.
        let asked = Cmd::new("perl")
            .arg(&script)
            .args(["--strict", "--terse", "--showfile", "--show-types", "--no-signoff"])
            .args(["--ignore", IGNORED])
            .arg(format!("--root={}", context.pristine.dir.display()))
            .arg(patch)
            .dir(logs)
            .run_logged(&log);
        let said = fs::read_to_string(&log).unwrap_or_default();
        let reports = reports(&said)?;
        if let (Err(error), true) = (&asked, reports.is_empty()) {
            findings.push(format!("{name}: {error:#}"));
        }
        for report in reports {
            // It takes every commit for unknown where there is no history to look in.
            let is_blind = !committed.repository.base_is_known && report.contains(NO_HISTORY);
            let list = if is_blind { &mut not_checked } else { &mut findings };
            list.push(format!("{name}: {report}"));
        }
        lines.push(added(&fs::read_to_string(patch)?));
    }
    if patches.is_empty() {
        findings.push("there is no patch".into());
    }
    let each: Vec<_> = lines.iter().map(usize::to_string).collect();
    let figures = format!(
        "{} patches, {} lines added ({}), {} errors, warnings and checks",
        patches.len(),
        lines.iter().sum::<usize>(),
        each.join(" + "),
        findings.len()
    );
    let no_history = |report: String| format!("{report} (the base has no git history here)");
    let not_checked = not_checked.into_iter().map(no_history).collect();
    Ok(Verdict { figures, findings, not_checked })
}

/// The reports in what checkpatch said with --terse: place, kind, type, text.
fn reports(said: &str) -> Result<Vec<String>> {
    let report = Regex::new(r"\b(?:ERROR|WARNING|CHECK):[A-Z_]+: ")?;
    Ok(said.lines().filter(|line| report.is_match(line)).map(String::from).collect())
}

/// How many lines a patch adds.
fn added(patch: &str) -> usize {
    patch.lines().filter(|line| line.starts_with('+') && !line.starts_with("+++ ")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_told_from_sums() {
        let said = "a.c:3: ERROR:TRAILING_WHITESPACE: trailing whitespace\n\
                    0001.patch:9: CHECK:LINE_SPACING: Please use a blank line\n\
                    total: 1 errors, 0 warnings, 1 checks, 9 lines checked\n";
        assert_eq!(reports(said).unwrap().len(), 2);
        assert!(
            reports("total: 0 errors, 0 warnings, 0 checks, 9 lines checked").unwrap().is_empty()
        );
    }

    #[test]
    fn added_lines_are_counted() {
        assert_eq!(added("--- a/x\n+++ b/x\n@@ -1 +1,2 @@\n-a\n+b\n+\n"), 2);
    }
}
