// SPDX-License-Identifier: GPL-2.0

//! `make patches`

use crate::opt::PatchesOptions;
use anyhow::{Result, bail};
use std::process::ExitCode;

/// Writes the series as mails, and lists them.
pub fn run(options: PatchesOptions) -> Result<ExitCode> {
    bail!("not there yet: {options:?}")
}
