// SPDX-License-Identifier: GPL-2.0

//! The patches, applied as maintainers apply them.

use super::{Verdict, context::Context};
use crate::{
    patches::{Committed, Written},
    round_trip,
};
use anyhow::Result;
use build::deps;
use std::path::Path;

/// Applies the mails that `make patches` writes.
pub fn git(context: &Context, _logs: &Path) -> Result<Verdict> {
    let (committed, written) = context.mails()?;
    round_trip::git_am(committed, written)?;
    Ok(verdict(committed, written))
}

/// Has b4 read them from one mailbox, and applies what it makes of them.
pub fn b4(context: &Context, logs: &Path) -> Result<Verdict> {
    let (committed, written) = context.mails()?;
    let b4 = deps::need("b4")?;
    round_trip::b4(&b4.paths[0], committed, written, &logs.join("b4.log"))?;
    let mut verdict = verdict(committed, written);
    verdict.figures += &format!(", {}", b4.described.lines().next().unwrap_or("b4"));
    Ok(verdict)
}

fn verdict(committed: &Committed, written: &Written) -> Verdict {
    let figures = format!("{} patches, {} files", written.patches.len(), committed.touched().len());
    Verdict { figures, ..Verdict::default() }
}
