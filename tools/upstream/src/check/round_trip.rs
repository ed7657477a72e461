// SPDX-License-Identifier: GPL-2.0

//! The patches, applied by git.

use super::{Verdict, context::Context};
use crate::round_trip;
use anyhow::Result;
use std::path::Path;

/// Applies the mails that `make patches` writes.
pub fn run(context: &Context, _logs: &Path) -> Result<Verdict> {
    let (committed, written) = context.mails()?;
    round_trip::git_am(committed, written)?;
    let figures = format!("{} patches, {} files", written.patches.len(), committed.touched().len());
    Ok(Verdict { figures, ..Verdict::default() })
}
