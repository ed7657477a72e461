// SPDX-License-Identifier: GPL-2.0

//! `make patches`: the series as mails.

use crate::{
    cover::{self, Measured},
    repository::{BRANCH, Repository},
};
use anyhow::{Context, Result, ensure};
use build::{
    apply,
    kernel::Source,
    pristine::Pristine,
    series::{Changes, Series},
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use util::place;

/// What to write.
#[derive(Clone, Debug)]
pub struct PatchOptions {
    /// The tree that the patches are for.
    pub source: Source,
    /// Version of the series; above 1 the cover letter says what changed.
    pub version: u32,
    /// Whether the user signs the patches off.
    pub signoff: bool,
    /// Who sends them: a name, and an address in angle brackets. [`None`] asks git.
    pub sender: Option<String>,
    /// What the cover letter shows; without it, that it was not measured.
    pub measured: Option<Measured>,
}

impl PatchOptions {
    /// The first version of the series for `source`, to look at and not to send.
    pub fn draft(source: Source) -> Self {
        let sender = Some("Nobody <nobody@localhost>".into());
        Self { source, version: 1, signoff: false, sender, measured: None }
    }
}

/// What was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// The cover letter.
    pub cover: PathBuf,
    /// The patches, in order.
    pub patches: Vec<PathBuf>,
    /// All of it in one file.
    pub mbox: PathBuf,
}

impl Written {
    /// Everything that goes to the lists.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        std::iter::once(&self.cover).chain(&self.patches).chain(std::iter::once(&self.mbox))
    }
}

/// The series in a repository.
pub struct Committed {
    /// The tree that it is for.
    pub pristine: Pristine,
    /// The repository, with the series on [`BRANCH`].
    pub repository: Repository,
    /// The files after each patch.
    pub changes: Vec<Changes>,
    /// What the patches are made from.
    pub series: Series,
}

impl Committed {
    /// The files that the series touches.
    pub fn touched(&self) -> Vec<PathBuf> {
        let mut all: Vec<_> = self.changes.iter().flat_map(Changes::keys).cloned().collect();
        all.sort();
        all.dedup();
        all
    }
}

/// Commits the series on top of the tree of `options`, in a repository of its own.
pub fn commit(options: &PatchOptions) -> Result<Committed> {
    let checkout = place::checkout()?;
    let series = Series::load(&checkout)?;
    let pristine = Pristine::obtain(&options.source)?;
    apply::refuse_applied(&series, &pristine)?;
    let sender = match &options.sender {
        Some(sender) => sender.clone(),
        None => apply::identity(&pristine.dir)?,
    };
    let changes = series.per_patch(&pristine, &checkout, Some(&sender))?;
    apply::refuse_local_changes(&pristine.dir, &changes)?;
    let repository = Repository::of(&pristine)?;
    repository.commit(&series.patches, &changes, &sender)?;
    Ok(Committed { pristine, repository, changes, series })
}

/// Writes the series into the empty directory `dir`.
pub fn write(committed: &Committed, options: &PatchOptions, dir: &Path) -> Result<Written> {
    let Committed { repository, series, .. } = committed;
    let description = cover::description(committed, options)?;
    let key = format!("branch.{BRANCH}.description");
    repository.git().args(["config", &key, &description]).read()?;
    let mut format = repository
        .git()
        // The user's own settings may add headers, but not change what the lists expect.
        .args(["-c", "format.subjectPrefix=PATCH", "-c", "diff.noprefix=false"])
        .args(["-c", "diff.mnemonicPrefix=false", "-c", "core.abbrev=12", "format-patch"])
        .args(["--quiet", "--cover-letter", "--cover-from-description=subject", "--numbered"])
        .args(["--thread=shallow", "--stat=75"])
        .arg(format!("--base={}", repository.base))
        .arg("--output-directory")
        .arg(dir);
    if options.version > 1 {
        format = format.arg(format!("--reroll-count={}", options.version));
    }
    if options.signoff {
        format = format.arg("--signoff");
    }
    // Sign-offs and the author are the sender's, whatever git would say in this repository.
    if let Some(sender) = &options.sender {
        format = crate::repository::as_author(format, sender)?;
    }
    format.arg(format!("{}..{BRANCH}", repository.base)).read()?;
    let mut files = fs::read_dir(dir)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()
        .with_context(|| format!("cannot read {}", dir.display()))?;
    files.sort();
    ensure!(files.len() == series.patches.len() + 1, "git wrote {} files", files.len());
    let mbox = dir.join(match options.version {
        0 | 1 => "series.mbox".into(),
        version => format!("v{version}-series.mbox"),
    });
    let mut all = Vec::new();
    for file in &files {
        all.extend(fs::read(file)?);
        all.push(b'\n');
    }
    fs::write(&mbox, all)?;
    let cover = files.remove(0);
    Ok(Written { cover, patches: files, mbox })
}
