// SPDX-License-Identifier: GPL-2.0

//! `make apply`

use crate::opt::{ApplyOptions, Flag};
use anyhow::Result;
use build::apply::{self, apply};
use std::process::ExitCode;

/// Applies the series to the user's own tree, and says what it changed.
pub fn run(options: ApplyOptions) -> Result<ExitCode> {
    build::deps::ensure()?;
    let how = apply::ApplyOptions { signoff: options.signoff == Flag::Yes };
    for line in apply(&options.linux, how)? {
        println!("{line}");
    }
    Ok(ExitCode::SUCCESS)
}
