// SPDX-License-Identifier: GPL-2.0

//! `make bench`

use super::status;
use crate::{opt::BenchOptions, verbs::test::shown};
use anyhow::Result;
use std::process::ExitCode;

/// Measures what the series costs; a goal that is missed is a failure.
pub fn run(options: BenchOptions) -> Result<ExitCode> {
    let source = options.kernel.source()?;
    build::deps::ensure()?;
    let counts = bench::run(&bench::BenchOptions { source, part: options.part })?;
    println!("{}", shown(counts));
    Ok(status(counts))
}
