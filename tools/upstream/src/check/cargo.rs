// SPDX-License-Identifier: GPL-2.0

//! What the harness depends on: licences, sources, versions, and known vulnerabilities.

use super::{Verdict, context::Context};
use anyhow::Result;
use build::deps;
use std::{fs, path::Path};
use util::command::Cmd;

/// What cargo-deny is told, in the checkout.
const SETTINGS: &str = "tools/deny.toml";

/// What needs nothing but the packages themselves.
const OFFLINE: [&str; 3] = ["bans", "licenses", "sources"];

/// Asks cargo-deny.
pub fn run(context: &Context, logs: &Path) -> Result<Verdict> {
    let deny = deps::need("cargo-deny")?.paths.swap_remove(0);
    let ask = |checks: &[&str], name: &str| {
        let cmd = Cmd::new(&deny)
            .args(["--color", "never", "--manifest-path"])
            .arg(context.checkout.join("Cargo.toml"))
            .args(["--workspace", "--locked", "--config"])
            .arg(context.checkout.join(SETTINGS))
            .arg("check")
            .args(checks);
        let log = logs.join(format!("{name}.log"));
        let asked = cmd.env("CARGO_TERM_COLOR", "never").run_logged(&log);
        (asked, fs::read_to_string(&log).unwrap_or_default())
    };
    let mut verdict = Verdict::default();
    let (asked, said) = ask(&OFFLINE, "deny");
    if asked.is_err() || complaints(&said) > 0 {
        verdict.findings.push(first(&said));
    }
    let mut checked = OFFLINE.join(", ");
    let (asked, said) = ask(&["advisories"], "advisories");
    match asked {
        Ok(()) => checked += ", advisories",
        Err(_) if has_no_database(&said) => verdict.not_checked.push(
            "known vulnerabilities (advisories): their database cannot be fetched from here".into(),
        ),
        Err(_) => verdict.findings.push(first(&said)),
    }
    let lock = fs::read_to_string(context.checkout.join("Cargo.lock"))?;
    let count = lock.lines().filter(|line| *line == "[[package]]").count();
    verdict.figures = format!("{count} packages in Cargo.lock: {checked}");
    Ok(verdict)
}

fn complaints(said: &str) -> usize {
    said.lines().filter(|line| line.starts_with("error[") || line.starts_with("warning[")).count()
}

/// Whether the check failed before it had anything to look in.
fn has_no_database(said: &str) -> bool {
    complaints(said) == 0 && said.contains("advisory database")
}

fn first(said: &str) -> String {
    said.lines().take(30).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_database_is_not_a_vulnerability() {
        assert!(has_no_database("[ERROR] failed to fetch advisory database x\n"));
        assert!(!has_no_database("error[vulnerability]: x\n advisory database\n"));
        assert_eq!(complaints("error[rejected]: a\nwarning[duplicate]: b\nnote: c"), 2);
    }
}
