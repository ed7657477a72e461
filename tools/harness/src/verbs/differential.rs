// SPDX-License-Identifier: GPL-2.0

//! `make differential`

use super::{status, test::shown};
use crate::opt::DifferentialOptions;
use anyhow::Result;
use boot::Counts;
use differential::{CASES, Options, SEED};
use std::process::ExitCode;

/// Boots what is asked for; the last line has the counts.
pub fn run(options: DifferentialOptions) -> Result<ExitCode> {
    let source = options.kernel.source()?;
    build::deps::ensure_for("differential")?;
    let counts = boots(&Options { source, cases: options.cases, seed: options.seed })?;
    println!("{}", shown(counts));
    Ok(status(counts))
}

/// The part of `make test`: always the same boots.
pub fn always_the_same(source: &build::kernel::Source) -> Result<Counts> {
    boots(&Options { source: source.clone(), cases: CASES, seed: SEED })
}

/// The part of `make matrix`: other boots than those of `make test`, and many more.
pub fn many(source: &build::kernel::Source) -> Result<Counts> {
    boots(&Options { source: source.clone(), cases: 10 * CASES, seed: SEED + 1 })
}

fn boots(options: &Options) -> Result<Counts> {
    let report = differential::run(options)?;
    for line in &report.lines {
        println!("{line}");
    }
    for failure in &report.failures {
        println!("not as expected: {failure}");
    }
    Ok(Counts { passed: report.passed, failed: report.failures.len() })
}
