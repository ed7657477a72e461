// SPDX-License-Identifier: GPL-2.0

//! Where things are: the checkout, its output, and the cache outside of it.

use crate::setup;
use anyhow::{Context, Result};
use std::{
    env, fs,
    path::{self, Path, PathBuf},
};

/// Name of the cache's directory.
const CACHE_NAME: &str = "acpi-kdump";
/// The environment variable that moves it.
pub const CACHE_VARIABLE: &str = "ACPI_KDUMP_CACHE";

/// The top of the checkout that this harness was built from.
///
/// The Makefile hands it over, so that a moved or a cached binary never works on another checkout.
pub fn checkout() -> Result<PathBuf> {
    let top = env::var_os("ACPI_KDUMP_TOP")
        .map(PathBuf::from)
        .ok_or_else(|| setup!("ACPI_KDUMP_TOP is not set; start the harness through `make`"))?;
    if !top.join("series").exists() {
        return Err(setup!("{} is no checkout of this project (no file 'series')", top.display()));
    }
    Ok(top)
}

/// A directory below `out/` of the checkout; made if it does not exist.
pub fn out(below: impl AsRef<Path>) -> Result<PathBuf> {
    made(checkout()?.join("out").join(below))
}

/// A directory below the cache; made if it does not exist.
///
/// `$ACPI_KDUMP_CACHE`, else `$XDG_CACHE_HOME/acpi-kdump`, else `~/.cache/acpi-kdump`.
pub fn cache(below: impl AsRef<Path>) -> Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let top = set(CACHE_VARIABLE)
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join(CACHE_NAME)))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache").join(CACHE_NAME)))
        .ok_or_else(|| {
            setup!("neither HOME nor {CACHE_VARIABLE} says where to keep built kernels")
        })?;
    // Commands run in directories of their own.
    let top = path::absolute(&top).unwrap_or(top);
    let dir = top.join(below);
    fs::create_dir_all(&dir).map_err(|error| {
        setup!(
            "cannot make {}: {error}; {CACHE_VARIABLE} names the directory to keep things in, set it to one \
             that can be written",
            dir.display()
        )
    })?;
    Ok(dir)
}

fn made(dir: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}
