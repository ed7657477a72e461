// SPDX-License-Identifier: GPL-2.0

//! What the gates look at: the base, the series on it, and the tools.

use crate::patches::{self, Committed, PatchOptions, Written};
use anyhow::{Context as _, Result};
use build::{
    kernel::Source,
    pristine::Pristine,
    series::{Changes, Series},
    toolchain::Toolchain,
};
use std::{
    cell::OnceCell,
    fs,
    path::{Path, PathBuf},
};
use util::place;

/// What the gates look at. What takes time is made when the first gate asks for it.
pub struct Context {
    /// The checkout of the project.
    pub checkout: PathBuf,
    /// The tree that the series is for.
    pub pristine: Pristine,
    /// The series.
    pub series: Series,
    /// The compilers.
    pub toolchain: Toolchain,
    states: OnceCell<Vec<Changes>>,
    mails: OnceCell<(Committed, Written)>,
}

impl Context {
    /// The default base, and the series of the checkout.
    pub fn new() -> Result<Self> {
        let checkout = place::checkout()?;
        Ok(Self {
            pristine: Pristine::obtain(&SOURCE)?,
            series: Series::load(&checkout)?,
            toolchain: Toolchain::find()?,
            checkout,
            states: OnceCell::new(),
            mails: OnceCell::new(),
        })
    }

    /// For each patch: all that differs from the base after it.
    pub fn states(&self) -> Result<&[Changes]> {
        if let Some(states) = self.states.get() {
            return Ok(states);
        }
        let mut states: Vec<Changes> = Vec::new();
        for own in self.series.per_patch(&self.pristine, &self.checkout, None)? {
            let mut state = states.last().cloned().unwrap_or_default();
            state.extend(own);
            states.push(state);
        }
        Ok(self.states.get_or_init(|| states))
    }

    /// All that differs from the base after the last patch.
    pub fn changes(&self) -> Result<&Changes> {
        self.states()?.last().context("the series has no patch")
    }

    /// The series in a repository, and the mails that `make patches` would write.
    pub fn mails(&self) -> Result<&(Committed, Written)> {
        if let Some(mails) = self.mails.get() {
            return Ok(mails);
        }
        let dir = place::out("check")?.join("patches");
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(&dir)?;
        let options = PatchOptions::draft(SOURCE);
        let committed = patches::commit(&options)?;
        let written = patches::write(&committed, &options, &dir)?;
        Ok(self.mails.get_or_init(|| (committed, written)))
    }

    /// The files of the series that end with `ending`: those that the base has, or new ones.
    pub fn files(&self, ending: &str, in_base: bool) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for path in self.changes()?.keys() {
            let fits = path.extension().is_some_and(|one| one == ending);
            if fits && self.pristine.dir.join(path).exists() == in_base {
                files.push(path.clone());
            }
        }
        Ok(files)
    }

    /// Whether `file`, as a tool names it, is one that the series adds or changes.
    pub fn is_ours(&self, file: &Path) -> Result<bool> {
        Ok(self.changes()?.contains_key(file))
    }
}

/// The base that the checks are made on.
pub const SOURCE: Source = Source::Default;
