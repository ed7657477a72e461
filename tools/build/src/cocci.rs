// SPDX-License-Identifier: GPL-2.0

//! Semantic patches, run by Coccinelle on a copy of the one file that they change.

use crate::deps;
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use util::command::Cmd;

/// A semantic patch that takes longer than this does not end.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// Coccinelle, found once.
pub struct Coccinelle {
    spatch: PathBuf,
    /// What it says about its version.
    pub described: String,
}

/// What a semantic patch did.
pub enum Outcome {
    /// The file as it is now.
    Changed(Vec<u8>),
    /// The code that it looks for is not there; what Coccinelle said, which may be nothing.
    NothingFound(String),
}

impl Coccinelle {
    /// Finds it on this machine.
    pub fn find() -> Result<Self> {
        let found = deps::need("spatch")?;
        let described = found.described.lines().next().unwrap_or_default().into();
        Ok(Self { spatch: found.paths[0].clone(), described })
    }

    /// Parses the semantic patch `hook`; what Coccinelle says of it is in `log`.
    pub fn parse(&self, hook: &Path, log: &Path) -> Result<()> {
        let cmd = Cmd::new(&self.spatch).arg("--parse-cocci").arg(hook);
        cmd.run_logged(log)
            .with_context(|| format!("cannot parse the semantic patch {}", hook.display()))
    }

    /// `contents` of `file` as the semantic patch `hook` changes it.
    pub fn apply(&self, hook: &Path, file: &Path, contents: &[u8]) -> Result<Outcome> {
        let shown = || format!("{} on {}", hook.display(), file.display());
        let dir = tempfile::tempdir()?;
        let name = file.file_name().with_context(|| format!("{} is no file", file.display()))?;
        let copy = dir.path().join(name);
        fs::write(&copy, contents)?;
        let log = dir.path().join("spatch.log");
        Cmd::new(&self.spatch)
            .args(["--very-quiet", "--no-includes", "--smpl-spacing", "--timeout"])
            .arg(TIME_LIMIT.as_secs().to_string())
            .arg("--sp-file")
            .arg(hook)
            .arg("--in-place")
            .arg(&copy)
            .run_logged(&log)
            .with_context(shown)?;
        let changed = fs::read(&copy)?;
        if changed == contents {
            let said = fs::read_to_string(&log).unwrap_or_default();
            return Ok(Outcome::NothingFound(said.trim().into()));
        }
        Ok(Outcome::Changed(tidy(contents, &changed)))
    }
}

/// Takes away the white space at line ends that was not there before.
fn tidy(before: &[u8], after: &[u8]) -> Vec<u8> {
    let (before, after) = (String::from_utf8_lossy(before), String::from_utf8_lossy(after));
    let known: std::collections::HashSet<_> = before.lines().collect();
    let mut text = String::with_capacity(after.len());
    for line in after.lines() {
        text += if known.contains(line) { line } else { line.trim_end() };
        text.push('\n');
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_lines_are_tidied() {
        assert_eq!(tidy(b"old \nb\n", b"old \nnew\t \nb\n"), b"old \nnew\nb\n");
    }
}
