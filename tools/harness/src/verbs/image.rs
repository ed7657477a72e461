// SPDX-License-Identifier: GPL-2.0

//! `make image`

use crate::opt::{ImageOptions, Switch};
use anyhow::Result;
use build::kernel::{Spec, Variant, obtain};
use std::process::ExitCode;

/// Builds one kernel; the path of its Image is the last line.
pub fn run(options: ImageOptions) -> Result<ExitCode> {
    let variant = Variant { series: options.series == Switch::On, mapping_2017: false };
    let source = options.kernel.source()?;
    build::config::check_flavour(&options.flavour)?;
    build::deps::ensure()?;
    let kernel = obtain(&Spec { source, variant, flavour: options.flavour })?;
    eprintln!("{}", kernel.described);
    println!("{}", kernel.image.display());
    Ok(ExitCode::SUCCESS)
}
