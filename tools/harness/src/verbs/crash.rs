// SPDX-License-Identifier: GPL-2.0

//! `make crash`

use super::status;
use crate::opt::{CrashOptions, Fault};
use anyhow::Result;
use std::process::ExitCode;

/// Crashes the machine with the series and without it; prints the table and the verdict.
pub fn run(options: CrashOptions) -> Result<ExitCode> {
    let source = options.kernel.source()?;
    build::deps::ensure()?;
    let outcome = boot::crash::run(&boot::crash::CrashOptions {
        source,
        reproduce_2017: options.reproduce == Some(Fault::Mapping2017),
    })?;
    Ok(status(outcome.counts))
}
