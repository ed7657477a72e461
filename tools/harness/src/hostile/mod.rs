// SPDX-License-Identifier: GPL-2.0

//! Hostile input, on the host: the pure files held against the oracle.

pub mod corpus;
mod coverage;
pub mod fuzz;

use crate::cargo::{cargo_test, tested};
use anyhow::Result;
use boot::Counts;
use util::place;

/// How long each target is fuzzed in `make test`, in seconds.
const FUZZ_SECONDS: u32 = 6;

/// All of a small scope, random boots, the kept corpus and some more, and what of the pure files all
/// that reaches.
pub fn test() -> Result<Counts> {
    let mut all = held(&[])?;
    all += fuzz::run(&fuzz::targets()?, FUZZ_SECONDS, fuzz::Start::Kept)?;
    all += coverage::run()?;
    Ok(all)
}

/// Runs the tests of the crate `proof`, and prints their figures. With `--ignored` these are the
/// scopes that take minutes.
pub fn held(more: &[&str]) -> Result<Counts> {
    let cmd = cargo_test()?
        .args(["--locked", "--quiet", "--no-fail-fast", "--package", "proof"])
        .args(["--package", "oracle", "--tests", "--", "--nocapture"])
        .args(more)
        .dir(place::checkout()?);
    let (counts, text) = tested(&cmd)?;
    if counts.failed == 0 {
        // Dots are tests that have passed meanwhile, and an i is one that is ignored.
        let lines = text.lines().map(|line| line.trim_start_matches(['.', 'i']));
        lines.filter(|line| line.ends_with(" cases")).for_each(|line| println!("{line}"));
    }
    Ok(counts)
}
