// SPDX-License-Identifier: GPL-2.0

//! The cover letter: its text from `series`, and what was measured.

use crate::patches::{Committed, PatchOptions};
use anyhow::{Context, Result};
use boot::crash::{self, CrashOptions};
use build::{
    kernel::Source,
    pristine::Pristine,
    series::{Cover, Series},
    size::{Growth, growth},
};
use util::setup;

/// What a crash on this machine showed.
#[derive(Clone, Debug)]
pub struct Measured {
    iomem: String,
    table: String,
    machine: String,
    size: Vec<Growth>,
}

/// What stands where nothing was measured.
const NOT_MEASURED: &str = "(not measured)";

/// Crashes the machine as `make crash` does; an error when that is not as expected.
pub fn measure(source: &Source) -> Result<Measured> {
    let options = CrashOptions { source: source.clone(), reproduce_2017: false };
    let outcome = crash::measure(&options)?;
    anyhow::ensure!(
        outcome.counts.failed == 0,
        "{}\n{}\nA series is not sent while `make crash` fails.",
        outcome.verdict(),
        outcome.complaints.join("\n")
    );
    let letter = outcome.letter;
    Ok(Measured {
        size: growth(&letter.stock.vmlinux, &letter.series.vmlinux)?,
        iomem: letter.iomem,
        table: letter.table,
        machine: letter.machine,
    })
}

/// Subject and text, as git takes them.
pub fn description(committed: &Committed, options: &PatchOptions) -> Result<String> {
    let Committed { pristine, repository, series, .. } = committed;
    let cover = series.cover.as_ref().context("series: there is no [cover]")?;
    let mut text = filled_in(cover, options.measured.as_ref());
    text += &format!("\n\nThe series is for {}.\n", based_on(pristine, repository.base_is_known));
    text += &changes(series, options.version)?;
    Ok(format!("{}\n\n{}\n", cover.subject, text.trim()))
}

fn based_on(pristine: &Pristine, base_is_known: bool) -> String {
    if base_is_known {
        return format!("Linux {}, at the commit below", pristine.version);
    }
    format!(
        "Linux {}. It was made with a source tree that is no git\nrepository: the commit below \
         names an import of it, and is not upstream's",
        pristine.version
    )
}

fn filled_in(cover: &Cover, measured: Option<&Measured>) -> String {
    let value = |get: fn(&Measured) -> String| measured.map_or(NOT_MEASURED.into(), get);
    cover
        .message
        .trim()
        .replace("{iomem}", &indented(&value(|measured| measured.iomem.clone())))
        .replace("{table}", &indented(&value(|measured| measured.table.clone())))
        .replace("{machine}", &value(|measured| measured.machine.clone()))
        .replace("{size}", &indented(&value(|measured| sizes(&measured.size))))
}

/// Two columns further right, so that a mail reader takes it for what it is.
fn indented(text: &str) -> String {
    let line = |line: &str| if line.is_empty() { String::new() } else { format!("  {line}") };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn sizes(growth: &[Growth]) -> String {
    let rows: Vec<_> = growth
        .iter()
        .map(|one| {
            let freed = if one.is_init() { "  freed after boot" } else { "" };
            format!("{:20} {:>+8}{freed}", one.section, one.bytes())
        })
        .collect();
    rows.join("\n")
}

/// What changed since the versions before.
fn changes(series: &Series, version: u32) -> Result<String> {
    let mut text = String::new();
    for version in (2..=version).rev() {
        let changed =
            series.versions.iter().find(|entry| entry.number == version).ok_or_else(|| {
                setup!(
                    "the file 'series' does not say what changed in version {version}; add it: \
                     [[version]], number = {version}, changes = \"\"\"...\"\"\""
                )
            })?;
        text += &format!("\nChanges in v{version}:\n{}\n", changed.changes.trim());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::ExitCode;

    fn series() -> Series {
        toml::from_str(
            "[cover]\nsubject = 's'\nmessage = '''\nbefore\n\n{iomem}\n\n{size}\n'''\n\
             [[version]]\nnumber = 2\nchanges = '- a'\n",
        )
        .unwrap()
    }

    #[test]
    fn a_later_version_says_what_changed() {
        assert_eq!(changes(&series(), 1).unwrap(), "");
        assert_eq!(changes(&series(), 2).unwrap(), "\nChanges in v2:\n- a\n");
        let error = changes(&series(), 3).unwrap_err();
        assert!(error.to_string().contains("what changed in version 3"), "{error}");
        assert_eq!(util::failure::exit_code(&error), ExitCode::from(2));
    }

    #[test]
    fn what_was_measured_is_filled_in_and_nothing_is_made_up() {
        let cover = series().cover.unwrap();
        let text = filled_in(&cover, None);
        assert!(text.contains("  (not measured)"), "{text}");
        let grown = |section: &str, after| Growth { section: section.into(), before: 10, after };
        let measured = Measured {
            iomem: "a\n\n  b".into(),
            table: String::new(),
            machine: String::new(),
            size: vec![grown(".init.text", 30), grown(".text", 4)],
        };
        let text = filled_in(&cover, Some(&measured));
        assert!(text.contains("\n  a\n\n    b\n"), "{text}");
        assert!(text.contains(".init.text                +20  freed after boot\n"), "{text}");
        assert!(text.ends_with(".text                      -6"), "{text}");
    }
}
