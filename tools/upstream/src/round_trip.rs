// SPDX-License-Identifier: GPL-2.0

//! The patches, applied by the tools that maintainers use, give what `make apply` gives.

use crate::{
    patches::{Committed, Written},
    repository::{BRANCH, as_author},
};
use anyhow::{Context, Result, ensure};
use build::{series::Changes, user_tree::git};
use std::{fs, path::Path};
use util::command::Cmd;

/// Who applies patches in a test.
const SOMEBODY: &str = "Somebody <somebody@localhost>";

/// `git am` of the patches on the pristine tree: the files, byte for byte.
pub fn git_am(committed: &Committed, written: &Written) -> Result<()> {
    let work = committed.repository.work_tree(&committed.touched())?;
    as_author(git(work.path()), SOMEBODY)?
        .args(["am", "--quiet"])
        .args(&written.patches)
        .read()
        .context("git am does not take the patches")?;
    compare(committed, work.path())
}

/// b4, as maintainers run it, on the mails in one file: the files, byte for byte.
pub fn b4(b4: &Path, committed: &Committed, written: &Written, log: &Path) -> Result<()> {
    let work = committed.repository.work_tree(&committed.touched())?;
    let settings = [
        // It would look for the sender's key in the net.
        ("b4.attestation-policy", "off"),
        ("user.name", "Somebody"),
        ("user.email", "somebody@localhost"),
    ];
    for (key, value) in settings {
        git(work.path()).args(["config", key, value]).read()?;
    }
    // It keeps what it has seen below the home directory, and would ask the lists' archive.
    let home = tempfile::tempdir()?;
    Cmd::new(b4)
        .args(["--offline-mode", "--no-stdin", "am", "--mbox-name", "series", "--use-local-mbox"])
        .arg(&written.mbox)
        .arg("--outdir")
        .arg(home.path())
        .dir(work.path())
        .env("HOME", home.path())
        .env("XDG_CACHE_HOME", home.path().join("cache"))
        .env("XDG_DATA_HOME", home.path().join("data"))
        .run_logged(log)
        .context("b4 does not take the mails")?;
    as_author(git(work.path()), SOMEBODY)?
        .args(["am", "--quiet"])
        .arg(home.path().join("series.mbx"))
        .read()
        .context("git am does not take what b4 makes of the mails")?;
    compare(committed, work.path())
}

/// Holds what is in the work tree `dir`, and its commit, against the series.
pub fn compare(committed: &Committed, dir: &Path) -> Result<()> {
    for (path, bytes) in last(&committed.changes) {
        let there = fs::read(dir.join(&path))
            .with_context(|| format!("after the patches there is no {}", path.display()))?;
        ensure!(there == bytes, "{} is not what `make apply` makes of it", path.display());
    }
    let tree = git(dir).args(["rev-parse", "HEAD^{tree}"]).read()?;
    ensure!(
        tree.trim() == committed.repository.tree(BRANCH)?,
        "the patches change more than `make apply` does"
    );
    Ok(())
}

/// The files as they are after the last patch.
fn last(changes: &[Changes]) -> Changes {
    let mut all = Changes::new();
    changes.iter().for_each(|patch| all.extend(patch.clone()));
    all
}
