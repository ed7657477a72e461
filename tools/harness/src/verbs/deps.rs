// SPDX-License-Identifier: GPL-2.0

//! `make deps`

use anyhow::Result;
use std::process::ExitCode;

/// Installs what is missing, fetches what runs in the guest, and lists what there is.
pub fn run() -> Result<ExitCode> {
    build::deps::ensure()?;
    build::deps::report()?;
    println!("{:20} {:8} {}", "guest's packages", "", build::unpacked::root("guest")?.display());
    Ok(ExitCode::SUCCESS)
}
