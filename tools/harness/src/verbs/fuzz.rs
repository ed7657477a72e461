// SPDX-License-Identifier: GPL-2.0

//! `make fuzz`

use super::{status, test::shown};
use crate::{
    hostile::fuzz,
    opt::{Flag, FuzzOptions},
};
use anyhow::Result;
use std::process::ExitCode;

/// Fuzzes; the last line has the counts of targets.
pub fn run(options: FuzzOptions) -> Result<ExitCode> {
    let targets = fuzz::asked_for(options.target.as_deref())?;
    build::deps::ensure_for("fuzz")?;
    let counts = fuzz::run(&targets, options.seconds, fuzz::Start::Found)?;
    if options.keep == Flag::Yes && counts.failed == 0 {
        fuzz::keep(&targets)?;
    }
    println!("{}", shown(counts));
    Ok(status(counts))
}
