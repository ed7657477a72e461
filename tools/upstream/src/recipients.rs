// SPDX-License-Identifier: GPL-2.0

//! Who gets the patches, as the tree itself says.

use anyhow::Result;
use std::path::{Path, PathBuf};
use util::command::Cmd;

/// The output of get_maintainer.pl in `tree` for all of `patches`: one address per line.
pub fn recipients(tree: &Path, patches: &[PathBuf]) -> Result<Vec<String>> {
    // A tree without git has no history to ask; MAINTAINERS is what counts.
    let output = Cmd::new("perl")
        .args(["scripts/get_maintainer.pl", "--no-git", "--no-git-fallback", "--no-rolestats"])
        .args(patches)
        .dir(tree)
        .read()?;
    Ok(listed(&output))
}

/// People first, lists behind them, each once.
fn listed(output: &str) -> Vec<String> {
    let mut all: Vec<_> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    all.sort_by_key(|line| (!line.contains('<'), line.to_lowercase()));
    all.dedup();
    all.into_iter().map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_come_before_lists() {
        let output = "list@example.org\nB <b@example.org>\na <a@example.org>\nlist@example.org\n";
        let all = ["a <a@example.org>", "B <b@example.org>", "list@example.org"];
        assert_eq!(listed(output), all);
    }
}
