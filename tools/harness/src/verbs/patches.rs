// SPDX-License-Identifier: GPL-2.0

//! `make patches`

use crate::opt::{Flag, PatchesOptions};
use anyhow::{Context, Result};
use build::user_tree::git;
use std::{fs, process::ExitCode};
use upstream::{
    cover,
    patches::{self, PatchOptions},
    recipients::recipients,
    round_trip,
};
use util::{place, setup};

/// Writes the series as mails below out/patches, and lists them.
pub fn run(options: PatchesOptions) -> Result<ExitCode> {
    if options.v == 0 {
        return Err(setup!("V= takes the version of the series, from 1 on"));
    }
    let source = options.kernel.source()?;
    build::deps::ensure()?;
    let mut how = PatchOptions {
        source,
        version: options.v,
        signoff: options.signoff == Flag::Yes,
        sender: None,
        measured: None,
    };
    // What is wrong with the tree, the series or the sender comes out before the crashes are run.
    let committed = patches::commit(&how)?;
    cover::description(&committed, &how)?;
    how.measured = Some(cover::measure(&how.source)?);

    let out = place::out("")?;
    let new = tempfile::Builder::new().prefix("patches-").tempdir_in(&out)?;
    let written = patches::write(&committed, &how, new.path())?;
    round_trip::git_am(&committed, &written)?;
    let dir = out.join("patches");
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    fs::rename(new.keep(), &dir).with_context(|| format!("cannot make {}", dir.display()))?;

    let stat = ["diff", "--shortstat", &committed.repository.base, upstream::repository::BRANCH];
    println!(
        "{}: {}",
        committed.pristine.described,
        git(committed.repository.dir()).args(stat).read()?.trim()
    );
    for file in written.files() {
        println!("{}", dir.join(file.file_name().unwrap_or_default()).display());
    }
    if options.cc == Flag::Yes {
        let in_place =
            written.patches.iter().map(|file| dir.join(file.file_name().unwrap_or_default()));
        println!("\nget_maintainer.pl of the tree names:");
        for line in recipients(&committed.pristine.dir, &in_place.collect::<Vec<_>>())? {
            println!("{line}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
