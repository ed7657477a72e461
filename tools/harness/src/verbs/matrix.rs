// SPDX-License-Identifier: GPL-2.0

//! `make matrix`

use super::{status, test::shown};
use crate::opt::{Flag, MatrixOptions};
use anyhow::Result;
use boot::matrix;
use std::process::ExitCode;

/// Does the runs that are asked for, or lists them; the last line has the counts.
pub fn run(options: MatrixOptions) -> Result<ExitCode> {
    let pattern = options.case.as_deref();
    if options.list == Flag::Yes {
        for name in matrix::names(pattern)? {
            println!("{name}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let source = options.kernel.source()?;
    build::deps::ensure()?;
    let counts = matrix::run(&source, pattern)?;
    println!("{}", shown(counts));
    Ok(status(counts))
}
