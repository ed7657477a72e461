// SPDX-License-Identifier: GPL-2.0

//! `make patches`: the series as mails.

use anyhow::{Result, bail};
use build::kernel::Source;
use std::path::{Path, PathBuf};

/// What to write.
#[derive(Clone, Debug)]
pub struct PatchOptions {
    /// The tree that the patches are for.
    pub source: Source,
    /// Version of the series; above 1 the cover letter says what changed.
    pub version: u32,
    /// Whether the user signs the patches off.
    pub signoff: bool,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// The cover letter.
    pub cover: PathBuf,
    /// The patches, in order.
    pub patches: Vec<PathBuf>,
}

/// Writes the series into the empty directory `dir`.
pub fn write(_options: &PatchOptions, _dir: &Path) -> Result<Written> {
    bail!("not there yet")
}
