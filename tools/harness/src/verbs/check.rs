// SPDX-License-Identifier: GPL-2.0

//! `make check`

use super::test::shown;
use crate::opt::CheckOptions;
use anyhow::Result;
use std::process::ExitCode;
use upstream::check;

/// Runs upstream's own checks; the last line has the counts.
pub fn run(options: CheckOptions) -> Result<ExitCode> {
    let gates = check::select(options.gate.as_deref())?;
    build::deps::ensure_for("check")?;
    let outcome = check::run(&gates)?;
    println!("{}", shown(outcome.counts));
    Ok(ExitCode::from(outcome.worst.code()))
}
